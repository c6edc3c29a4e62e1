//! `cutover.toml` as it is typed.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::file::{At, NotifyFile, Number, Size};

/// `cutover.toml`: what needs a restart to change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Cutover main file")]
pub struct MainFile {
    /// The version of this format: 1.
    pub version: Option<At<Number>>,
    /// The routing file, or a folder of them; relative to this file.
    pub routing: Option<At<String>>,
    pub proxy: Option<At<ProxyFile>>,
    pub admin: Option<At<AdminFile>>,
    pub state: Option<At<StateFile>>,
    pub guard: Option<At<SidecarFile>>,
    /// Who hears of it.
    pub notify: Vec<At<NotifyFile>>,
    /// The folder of the validation suites, relative to this file. Default "suites".
    pub suites: Option<At<String>>,
    pub validation: Option<At<ValidationFile>>,
}

impl MainFile {
    /// The JSON Schema of `cutover.toml`.
    pub fn schema() -> Schema {
        schemars::schema_for!(MainFile)
    }
}

/// How validation suites run, and what of their runs is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationFile {
    /// Runs at once; others wait for their turn. Default 4.
    pub at_once: Option<At<Number>>,
    /// So many runs are kept. Default 500.
    pub keep: Option<At<Number>>,
    /// And none for longer. Default "90d".
    pub keep_for: Option<At<String>>,
    /// Named snapshots are kept this long. Default "90d".
    pub snapshots_for: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyFile {
    /// Addresses with port. Default ["0.0.0.0:8080"].
    pub listen: Option<At<Vec<At<String>>>>,
    /// Workers; 0: one per core (default).
    pub threads: Option<At<Number>>,
    /// CIDRs whose X-Forwarded-*, Forwarded, X-Request-Id, traceparent and tracestate are believed.
    pub trusted_proxies: Option<Vec<At<String>>>,
    /// Send Forwarded (RFC 7239) beside X-Forwarded-*. Default false.
    pub forwarded: Option<bool>,
    /// Send Via to origins (RFC 9110 7.6.3). Default false: some origins, nginx among them, do not compress then.
    pub via: Option<bool>,
    /// Send traceparent, and check tracestate (W3C Trace Context). Default true; false: they pass as they came.
    pub trace_context: Option<bool>,
    /// How long SIGTERM waits for requests in flight. Default "30s".
    pub drain: Option<At<String>>,
    /// How long, at the start of it, new connections are still taken while readiness fails and clients are told to go.
    /// Default "2s".
    pub drain_delay: Option<At<String>>,
    /// Listeners with TLS.
    pub tls: Vec<At<TlsFile>>,
    /// The port that plain listeners send clients to, by https. Left out: they serve.
    pub redirect_to_https: Option<At<Number>>,
    /// What one client may take.
    pub limits: Option<At<LimitsFile>>,
    /// A line a request. Left out: none.
    pub access_log: Option<At<AccessLogFile>>,
}

/// A listener with TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFile {
    /// Address with port.
    pub listen: Option<At<String>>,
    /// The certificate with its chain, in PEM; relative to this file. Read again when it changes.
    pub cert_file: Option<At<String>>,
    /// Its private key, in PEM.
    pub key_file: Option<At<String>>,
    /// Offer HTTP/2. Default true.
    pub http2: Option<bool>,
    /// More certificates; a client gets the one that names the host it asks for, else the first.
    pub certificate: Vec<At<CertificateFile>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateFile {
    pub cert_file: Option<At<String>>,
    pub key_file: Option<At<String>>,
}

/// What one client may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// From a request's first byte to the end of its head. Default "10s".
    pub header_time: Option<At<String>>,
    /// A request's head in all. Default "64KiB".
    pub header_bytes: Option<At<Size>>,
    /// Header lines of a request. Default 100.
    pub header_fields: Option<At<Number>>,
    /// The request line. Default "16KiB".
    pub target_bytes: Option<At<Size>>,
    /// The longest silence within a request's body. Default "30s".
    pub body_idle: Option<At<String>>,
    /// The slowest body, in bytes a second, once it has taken ten seconds. Default 240.
    pub body_rate: Option<At<Number>>,
    /// How long a client may take nothing of its answer. Default "30s".
    pub write_idle: Option<At<String>>,
    /// A connection that nobody uses is closed after this. Default "60s".
    pub keep_alive: Option<At<String>>,
    /// Requests on one connection. Default 10000.
    pub requests: Option<At<Number>>,
    /// A tunnel (WebSocket) through which nothing goes is closed after this. Default "1h".
    pub tunnel_idle: Option<At<String>>,
    /// For a TLS handshake. Default "10s".
    pub tls_handshake: Option<At<String>>,
    /// Client connections in all; 0: as many as the file descriptors allow (default).
    pub connections: Option<At<Number>>,
    /// Client connections from one address; 0: no limit. Default 256.
    pub connections_per_address: Option<At<Number>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogFile {
    /// A file, relative to this one, or "stdout".
    pub path: Option<At<String>>,
    /// "json" (default), or "combined" for Apache's.
    pub format: Option<At<String>>,
    /// Percent of the requests that are written, with up to two decimals; failures always are. Default 100.
    pub sample: Option<At<Number>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminFile {
    /// Address with port. Default "127.0.0.1:9700".
    pub listen: Option<At<String>>,
    /// The certificate with its chain, in PEM; relative to this file. Read again when it changes.
    pub cert_file: Option<At<String>>,
    /// Its private key, in PEM.
    pub key_file: Option<At<String>>,
    /// Listen beyond loopback without TLS: something that has it stands in front. Default false.
    pub insecure: Option<bool>,
    /// Names that requests may ask for beside the listener's own address and localhost.
    pub hosts: Option<Vec<At<String>>>,
    /// Beyond loopback, /metrics for everybody. Default false: it takes a token.
    pub open_metrics: Option<bool>,
    /// Who may come in. Left out, on loopback: one is made.
    pub token: Vec<At<TokenFile>>,
}

/// A token, as `cutover token new` prints it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenFile {
    /// As the journal names who did something.
    pub name: Option<At<String>>,
    /// "viewer", "operator" or "admin".
    pub role: Option<At<String>>,
    /// Of the token's text, in hexadecimal digits. The token itself stands in no file of the proxy.
    pub sha256: Option<At<String>>,
    /// The first day on which it opens nothing, in UTC: "2027-01-01".
    pub expires: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateFile {
    /// The embedded journal and state; relative to this file. Default "cutover.db".
    pub path: Option<At<String>>,
    /// Entries of the journal that are older go. Default "400d".
    pub keep: Option<At<String>>,
    /// The oldest entries go while the file holds more. Default "256MiB".
    pub keep_size: Option<At<Size>>,
}

/// The sidecar.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SidecarFile {
    /// How often it looks, beside at failures. Default "20ms".
    pub tick: Option<At<String>>,
}
