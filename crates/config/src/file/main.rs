//! `cutover.toml` as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::LogFormat;
use crate::admin::Role;
use crate::file::values::{Duration, ListenAddress, Share, Size, TokenExpiry, TrustedProxies, Whole, Word};
use crate::file::{AcmeFile, At, NotifyFile, OneOrMany, PlainListenerFile};
use crate::{EarlyHints, ProxyProtocol};

/// The limit of numbers that are only counted.
const ANY: u64 = u32::MAX as u64;
/// The most bytes of a head.
const LARGEST_HEAD: u64 = 1 << 20;
/// No request fits in a smaller head.
const SMALLEST_HEAD: u64 = 256;
/// In milliseconds. Last night's rollback must still be there in the morning.
const DAY: u64 = 86_400_000;
/// About ten years, in milliseconds.
const DECADE: u64 = 3660 * DAY;

/// `cutover.toml`: how this process listens, who may steer it, and where its state is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["version"]))]
#[schemars(title = "Cutover main file")]
pub struct MainFile {
    /// The version of this format.
    pub version: Option<At<Whole<1, 1>>>,
    /// The routing file, or a folder whose *.toml files each hold services. Relative to this file.
    #[schemars(extend("default" = "routing.toml"))]
    pub routing: Option<At<String>>,
    /// The listeners for clients, and their limits.
    pub proxy: Option<At<ProxyFile>>,
    /// Certificates from a CA such as Let's Encrypt.
    pub acme: Option<At<AcmeFile>>,
    /// The admin listener: API, dashboard and metrics.
    pub admin: Option<At<AdminFile>>,
    /// The journal.
    pub state: Option<At<StateFile>>,
    /// How often the guard judges.
    pub guard: Option<At<SidecarFile>>,
    /// The receivers of notices.
    pub notify: Vec<At<NotifyFile>>,
    /// The folder of the validation suites, relative to this file.
    #[schemars(extend("default" = "suites"))]
    pub suites: Option<At<String>>,
    /// How validation suites run, and how long their runs are kept.
    pub validation: Option<At<ValidationFile>>,
}

/// How validation suites run, and how long their runs are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationFile {
    /// How many suites of a service run at once. Others wait their turn, except for those of a rollout.
    #[schemars(extend("default" = 4, "x-unit" = "runs"))]
    pub at_once: Option<At<Whole<1, 32>>>,
    /// How many runs are kept.
    #[schemars(extend("default" = 500, "x-unit" = "runs"))]
    pub keep: Option<At<Whole<1, 10_000>>>,
    /// How long a run is kept.
    #[schemars(extend("default" = "90d"))]
    pub keep_for: Option<At<Duration>>,
    /// How long a named snapshot is kept.
    #[schemars(extend("default" = "90d"))]
    pub snapshots_for: Option<At<Duration>>,
}

/// The listeners for clients, and their limits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyFile {
    /// Addresses with a port, for plain HTTP. Default: "0.0.0.0:8080", unless there are TLS listeners. Behind a load balancer
    /// that says who the client is, a table: { address = "0.0.0.0:8080", proxy_protocol = "required" }.
    #[schemars(extend("default" = ["0.0.0.0:8080"]))]
    pub listen: Option<At<OneOrMany<PlainListenerFile, true>>>,
    /// Whether plain listeners take HTTP/2 from clients that begin with it (prior knowledge, RFC 9113 3.3), such as gRPC
    /// without TLS.
    #[schemars(extend("default" = true))]
    pub http2: Option<bool>,
    /// Worker threads. 0 means one per core.
    #[schemars(extend("default" = 0, "x-unit" = "threads"))]
    pub threads: Option<At<Whole<0, 1024>>>,
    /// CIDRs of proxies in front of this one, whose X-Forwarded-*, Forwarded, X-Request-Id, traceparent and tracestate
    /// are trusted. "cloudflare" is what Cloudflare publishes, "private" the networks of RFC 1918 and RFC 4193 and
    /// link-local ones, "loopback" this host.
    pub trusted_proxies: Option<OneOrMany<TrustedProxies, true>>,
    /// Send Forwarded (RFC 7239) in addition to X-Forwarded-*.
    #[schemars(extend("default" = false))]
    pub forwarded: Option<bool>,
    /// Send Via to origins (RFC 9110 7.6.3). Some origins, such as nginx, do not compress responses to requests that
    /// have it.
    #[schemars(extend("default" = false))]
    pub via: Option<bool>,
    /// Send traceparent and check tracestate (W3C Trace Context). If false, both are passed on unchanged.
    #[schemars(extend("default" = true))]
    pub trace_context: Option<bool>,
    /// Which clients get an origin's 103 (Early Hints): those over "http2", "all", or "never" any. Over HTTP/1.1 browsers
    /// ignore it, and some clients and proxies take it for the final response (RFC 8297 3).
    #[schemars(extend("default" = "http2"))]
    pub early_hints: Option<At<Word<EarlyHints>>>,
    /// How long SIGTERM waits for requests in flight.
    #[schemars(extend("default" = "30s"))]
    pub drain: Option<At<Duration<0>>>,
    /// How long new connections are still accepted at the start of `drain`, while readiness already fails.
    #[schemars(extend("default" = "2s"))]
    pub drain_delay: Option<At<Duration<0>>>,
    /// Listeners with TLS.
    pub tls: Vec<At<TlsFile>>,
    /// Redirect clients of the plain listeners to https on this port. Default: no redirect.
    #[schemars(extend("x-unit" = "port"))]
    pub redirect_to_https: Option<At<Whole<1, 65_535>>>,
    /// A folder in which other ACME clients put their answers, for example `certbot certonly --webroot -w FOLDER`. Requests
    /// for /.well-known/acme-challenge/TOKEN are answered with the file of that path below it, before any redirect; if there
    /// is none, they are requests as any other. Relative to this file.
    pub acme_challenges: Option<At<String>>,
    /// Limits on what a client may use.
    pub limits: Option<At<LimitsFile>>,
    /// The access log. Default: none.
    pub access_log: Option<At<AccessLogFile>>,
}

/// A listener with TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["listen"]))]
pub struct TlsFile {
    /// An address with a port.
    pub listen: Option<At<ListenAddress>>,
    /// Whether connections from `trusted_proxies` begin with a header of the PROXY protocol, version 1 or 2, that names the
    /// client: "required", "optional" or "off".
    #[schemars(extend("default" = "off"))]
    pub proxy_protocol: Option<At<Word<ProxyProtocol>>>,
    /// The certificate with its chain, in PEM. Relative to this file, and read again when it changes. Without one, the
    /// listener has the certificates of `[acme]`.
    pub cert_file: Option<At<String>>,
    /// The private key of the certificate, in PEM. Relative to this file.
    pub key_file: Option<At<String>>,
    /// Whether the listener has the certificates of `[acme]`. Of a name that is in a `cert_file` too, that one counts. Default:
    /// if there is no `cert_file`.
    pub acme: Option<At<bool>>,
    /// Whether to offer HTTP/2.
    #[schemars(extend("default" = true))]
    pub http2: Option<bool>,
    /// More certificates. Clients get the one that matches the host they ask for, or else the first.
    pub certificate: Vec<At<CertificateFile>>,
}

/// An additional certificate of a listener.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["cert_file", "key_file"]))]
pub struct CertificateFile {
    /// The certificate with its chain, in PEM. Relative to this file.
    pub cert_file: Option<At<String>>,
    /// The private key of the certificate, in PEM. Relative to this file.
    pub key_file: Option<At<String>>,
}

/// Limits on what a client may use.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// The time from a request's first byte to the end of its head, and for the whole header of the PROXY protocol.
    #[schemars(extend("default" = "10s"))]
    pub header_time: Option<At<Duration>>,
    /// The size of a request's head, from 256 bytes to "1MiB".
    #[schemars(extend("default" = "64KiB"))]
    pub header_bytes: Option<At<Size<SMALLEST_HEAD, LARGEST_HEAD>>>,
    /// The number of header lines in a request.
    #[schemars(extend("default" = 100, "x-unit" = "lines"))]
    pub header_fields: Option<At<Whole<1, 256>>>,
    /// The size of the request line, from 256 bytes to "1MiB".
    #[schemars(extend("default" = "16KiB"))]
    pub target_bytes: Option<At<Size<SMALLEST_HEAD, LARGEST_HEAD>>>,
    /// The longest pause within a request body.
    #[schemars(extend("default" = "30s"))]
    pub body_idle: Option<At<Duration>>,
    /// The slowest rate at which a request body is accepted, measured after its first ten seconds. 0 means no limit.
    #[schemars(extend("default" = 240, "x-unit" = "bytes per second"))]
    pub body_rate: Option<At<Whole<0, ANY>>>,
    /// How long a client may go without reading any of its response.
    #[schemars(extend("default" = "30s"))]
    pub write_idle: Option<At<Duration>>,
    /// How long an unused client connection stays open.
    #[schemars(extend("default" = "60s"))]
    pub keep_alive: Option<At<Duration>>,
    /// Whether a client may close its side after its request and still get the response. If not, a closed connection means
    /// that nobody waits for it any more, and the request ends.
    #[schemars(extend("default" = false))]
    pub half_close: Option<bool>,
    /// The number of requests on one connection.
    #[schemars(extend("default" = 10_000, "x-unit" = "requests"))]
    pub requests: Option<At<Whole<1, ANY>>>,
    /// How long a tunnel (WebSocket) without traffic stays open.
    #[schemars(extend("default" = "1h"))]
    pub tunnel_idle: Option<At<Duration>>,
    /// Time for a TLS handshake.
    #[schemars(extend("default" = "10s"))]
    pub tls_handshake: Option<At<Duration>>,
    /// Client connections in total. 0 means as many as the file descriptors allow.
    #[schemars(extend("default" = 0, "x-unit" = "connections"))]
    pub connections: Option<At<Whole<0, ANY>>>,
    /// Client connections from one address. 0 means no limit. Connections from `trusted_proxies` count in total alone, unless
    /// the PROXY protocol names their client.
    #[schemars(extend("default" = 256, "x-unit" = "connections"))]
    pub connections_per_address: Option<At<Whole<0, ANY>>>,
    /// Requests at once in total, whatever their protocol. 0 means as many as the file descriptors allow.
    #[schemars(extend("default" = 0, "x-unit" = "requests"))]
    pub requests_in_flight: Option<At<Whole<0, ANY>>>,
    /// Requests at once of one client, of those that come over HTTP/2 or from `trusted_proxies`. 0 means no limit.
    #[schemars(extend("default" = 1024, "x-unit" = "requests"))]
    pub requests_in_flight_per_address: Option<At<Whole<0, ANY>>>,
}

/// The access log: one line for each request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["path"]))]
pub struct AccessLogFile {
    /// A file, relative to this one, or "stdout".
    pub path: Option<At<String>>,
    /// "json", or "combined" for Apache's format.
    #[schemars(extend("default" = "json"))]
    pub format: Option<At<Word<LogFormat>>>,
    /// The percentage of requests that are logged, with up to two decimals. Failed requests are always logged.
    #[schemars(extend("default" = 100))]
    pub sample: Option<At<Share>>,
}

/// The admin listener.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminFile {
    /// An address with a port. Outside loopback it needs tokens, and TLS or `insecure`.
    #[schemars(extend("default" = "127.0.0.1:9700"))]
    pub listen: Option<At<ListenAddress>>,
    /// The certificate with its chain, in PEM. Relative to this file, and read again when it changes.
    pub cert_file: Option<At<String>>,
    /// The private key of the certificate, in PEM. Relative to this file.
    pub key_file: Option<At<String>>,
    /// Listen outside loopback without TLS, because a proxy in front terminates TLS.
    #[schemars(extend("default" = false))]
    pub insecure: Option<bool>,
    /// Host names that requests may use, in addition to the listener's own address and localhost.
    pub hosts: Option<OneOrMany<String, true>>,
    /// Serve /metrics without a token even outside loopback.
    #[schemars(extend("default" = false))]
    pub open_metrics: Option<bool>,
    /// The tokens that the API accepts. If there are none, the first start on loopback creates one.
    pub token: Vec<At<TokenFile>>,
}

/// A token, as `cutover token new` prints it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "role", "sha256"]))]
pub struct TokenFile {
    /// The name under which the journal records the token's actions. Up to 64 letters, digits, `-`, `_`, `.` and `@`.
    pub name: Option<At<String>>,
    /// What the token may do: a viewer reads, an operator also moves traffic, an admin may do everything.
    pub role: Option<At<Word<Role>>>,
    /// The SHA-256 of the token, in 64 hexadecimal digits. The token itself is not in any file.
    pub sha256: Option<At<String>>,
    /// The first day, in UTC, on which the token is refused: "2027-01-01". Default: it does not expire.
    pub expires: Option<At<TokenExpiry>>,
}

/// The journal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateFile {
    /// The file with the journal and the state. Relative to this file.
    #[schemars(extend("default" = "cutover.db"))]
    pub path: Option<At<String>>,
    /// Older journal entries are deleted. At least "1d".
    #[schemars(extend("default" = "400d"))]
    pub keep: Option<At<Duration<DAY, DECADE>>>,
    /// The oldest journal entries are deleted while the file is larger than this. At least "1MiB".
    #[schemars(extend("default" = "256MiB"))]
    pub keep_size: Option<At<Size<1_048_576>>>,
}

/// The sidecar, which judges the candidate and moves weights.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SidecarFile {
    /// How often the guard judges, from "10ms" to "1s". Failed requests wake it earlier.
    #[schemars(extend("default" = "20ms"))]
    pub tick: Option<At<Duration<10, 1000>>>,
}
