//! `[service.NAME]` as it is typed.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::allowed::AllowedOrigin;
use crate::file::values::{
    CookieDomain, CookieName, CookiePath, Duration, HeaderField, HostChoice, HostName, Network, OriginUrl, PathPattern,
    PathPrefix, QueryName, RuleMethod, RuleRegex, Share, Size, StatusRange, TriggerLimit, TunnelStay, Version, Whole,
    Word, one_of,
};
use crate::file::{
    At, EditsFile, ForwardAuthFile, HealthFile, MaintenanceFile, MetricFile, MirrorFile, OneOrMany, RateLimitFile,
    RedirectFile, RolloutFile,
};
use judgement::guard::sample_ratio::SampleRatioAction;
use judgement::guard::trigger::{Metric, TriggerAction};
use judgement::traffic::Environment;

/// What becomes of open WebSockets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelsFile {
    /// How long they stay on a side that gets no traffic any more, after a rollback and after a promotion: "close" for not
    /// at all, a duration such as "30s", or "keep". They are closed with status 1012, so that clients connect again.
    #[schemars(extend("default" = "close"))]
    pub after_rollback: Option<At<TunnelStay>>,
}

/// Where requests carry the version of the page that they come from, and for how long that counts. At least one of `header`,
/// `query` and `cookie` is needed; the first that a request has counts, in this order.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = one_of(&["header", "query", "cookie"])))]
pub struct SkewFile {
    /// A header that pages add to their calls, such as "x-deployment-id". The surest way.
    pub header: Option<At<HeaderField>>,
    /// A parameter of the query, such as "dpl", for scripts and images that a page loads.
    pub query: Option<At<QueryName>>,
    /// A cookie, which the proxy sets when a browser opens a page. It is the same in every tab of the browser.
    pub cookie: Option<At<CookieName>>,
    /// How long a side that was replaced by a promotion serves the pages that came from it, if it is not deployed to again.
    #[serde(rename = "for")]
    #[schemars(extend("default" = "12h"))]
    pub keep: Option<At<Duration>>,
}

/// A service: the hosts that one pair of environments serves, with its own routing, rollout and guard.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["blue", "green"]))]
pub struct ServiceFile {
    /// Host names, exact or "*.example.com". Default: every host that no other service names.
    pub hosts: Option<OneOrMany<HostName>>,
    /// Timeouts, limits and header names that suit a platform. Keys in the file override the preset.
    pub preset: Option<At<Word<PresetName>>>,
    /// The Host that origins are sent: "origin" for the one in their URL, "preserve" for the client's, or a name. Default:
    /// "origin" if the URL has a domain name, "preserve" if it has an address or a name without a dot, such as localhost
    /// or a container's. The presets "netlify" and "lambda-url" set "origin".
    pub host: Option<At<HostChoice>>,
    /// The longest request body, in bytes or with a unit, or "unlimited". Longer ones are answered with 413. The
    /// presets "netlify" and "lambda-url" set "6MiB".
    #[schemars(extend("default" = "10MiB"))]
    pub max_body: Option<At<Size>>,
    /// Tell clients which environment and version served them, and the request's ID.
    #[schemars(extend("default" = false))]
    pub expose: Option<bool>,
    /// The gRPC statuses that count as failures of the environment, from the trailers of its responses; [] for none.
    #[schemars(extend("default" = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]))]
    pub grpc_failures: Option<OneOrMany<Word<GrpcStatus>, true>>,
    /// The statuses that count as failures of the environment: a status (429), a class ("5xx") or a range ("500-504"), or a
    /// list of them; [] for none. A request that gets no whole response has failed whatever this says.
    #[schemars(extend("default" = ["5xx"]))]
    pub failures: Option<OneOrMany<StatusRange, true>>,
    /// The statuses that are neither failures nor refusals, such as a 404 that is usual here. Written like `failures`; none
    /// may be in both.
    #[schemars(extend("default" = []))]
    pub ignore: Option<OneOrMany<StatusRange, true>>,
    /// The response header by which the origin says that a request has failed, whatever its status: with any value but none,
    /// "0" and "false". It never reaches clients. Default: no header.
    pub failure_header: Option<At<HeaderField>>,
    /// Whether a response counts against the candidate if its media type, its length or the time that its body takes is not
    /// what active's are on the same route. Turn it off where a release changes them on purpose.
    #[schemars(extend("default" = true))]
    pub compare_shape: Option<bool>,
    /// Changes to the headers of every request on its way to the origin. A route's own changes come after these.
    pub request_headers: Option<At<EditsFile>>,
    /// Changes to the headers of every response on its way to the client. A route's own changes come after these.
    pub response_headers: Option<At<EditsFile>>,
    /// The blue environment.
    pub blue: Option<At<EnvironmentFile>>,
    /// The green environment.
    pub green: Option<At<EnvironmentFile>>,
    /// How traffic is split between blue and green.
    pub split: Option<At<SplitFile>>,
    /// Serve what a page calls from the side that the page came from. Default: pages are not told apart.
    pub skew: Option<At<SkewFile>>,
    /// Let clients open WebSockets.
    #[schemars(extend("default" = false))]
    pub websocket: Option<bool>,
    /// What becomes of open WebSockets.
    pub tunnels: Option<At<TunnelsFile>>,
    /// How long an origin may take.
    pub timeouts: Option<TimeoutsFile>,
    /// Pages in the place of Cutover's own short texts, by status (502), class ("5xx") or range: files of up to 64 KiB,
    /// relative to this file, that end in .html, .json, .txt or .svg. Responses of origins are never replaced.
    pub error_pages: BTreeMap<String, At<String>>,
    /// While it is there, every request of the service is answered with 503: { page = "maintenance.html", retry_after = "10m" }.
    pub maintenance: Option<At<MaintenanceFile>>,
    /// Ask another service whether a request may go on, as Traefik's ForwardAuth: { url = "http://127.0.0.1:9091/verify" }, or
    /// "none". Routes may say otherwise.
    #[schemars(extend("default" = "none"))]
    pub forward_auth: Option<At<ForwardAuthFile>>,
    /// Named path patterns. The guard judges each one separately, and each can be shifted on its own.
    pub route: Vec<At<RouteFile>>,
    /// Conditions on the request that choose where it goes. The first rule that matches decides.
    pub rule: Vec<At<RuleFile>>,
    /// Where a deploy may send an environment instead of its `url`: patterns such as "https://*--shop.netlify.app".
    /// Default: deploys cannot name an origin.
    pub allowed_origins: Option<OneOrMany<AllowedOrigin>>,
    /// Copies of clients' requests to the candidate before its first client: { share = 5 }, in percent. Default: none, but
    /// for a step of the rollout that asks for them.
    pub mirror: Option<At<MirrorFile>>,
    /// How a deployed version gets its share of the traffic.
    pub rollout: Option<At<RolloutFile>>,
    /// What judges the candidate.
    pub guard: Option<At<GuardFile>>,
    /// Health checks of the origins.
    pub health: Vec<At<HealthFile>>,
}

/// A platform whose limits are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PresetName {
    Netlify,
    LambdaUrl,
    Https,
}

/// The outcome of a gRPC call. The numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum GrpcStatus {
    Cancelled = 1,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// One of the two copies of the site.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = one_of(&["url", "urls"])))]
pub struct EnvironmentFile {
    /// Where requests go: "https://next--shop.netlify.app", with a base path if needed. Either this or `urls` is needed.
    pub url: Option<At<OriginUrl>>,
    /// Several origins instead of one `url`, used in rotation.
    pub urls: Option<At<Vec<At<OriginUrl>>>>,
    /// The Host that this origin is sent: "origin", "preserve" or a name. Default: the service's `host`.
    pub host: Option<At<HostChoice>>,
    /// The version deployed there. Status shows it, with `expose` clients see it, and with `skew` pages ask for it.
    pub version: Option<At<Version>>,
    /// HTTP/2 to the origin: "auto" where TLS negotiates it, "only" (also without TLS, as for gRPC), or "never".
    #[schemars(extend("default" = "auto"))]
    pub h2: Option<At<Word<Http2Choice>>>,
    /// The most requests at once at each address of the environment, over all workers. Further ones wait. Default: no limit.
    #[schemars(extend("x-unit" = "requests"))]
    pub max_connections: Option<At<Whole<1, 1_000_000>>>,
    /// The most requests that wait while the environment has `max_connections`, for `timeouts.queue` each. Further ones, and
    /// those that waited in vain, fail: active may serve them, or the client gets 503.
    #[schemars(extend("default" = 100, "x-unit" = "requests"))]
    pub queue: Option<At<Whole<0, 1_000_000>>>,
    /// A PEM file of CA certificates to trust for the origin, instead of the system's. Relative to this file.
    pub ca_file: Option<At<String>>,
    /// A PEM file with the certificate to present to an origin that asks for one. Relative to this file.
    pub client_cert_file: Option<At<String>>,
    /// The private key of `client_cert_file`, in PEM. Relative to this file.
    pub client_key_file: Option<At<String>>,
}

/// Whether HTTP/2 is used with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Http2Choice {
    Auto,
    Only,
    Never,
}

/// How traffic is split between the two environments.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitFile {
    /// The environment that serves by default. The other one is the candidate.
    #[schemars(extend("default" = "blue"))]
    pub active: Option<At<Word<Environment>>>,
    /// The candidate's share in percent, with up to two decimals: 25 is a quarter of the requests.
    #[schemars(extend("default" = 0))]
    pub weight: Option<At<Share>>,
    /// What keeps a client on one side: { cookie = "name" }, { header = "name" }, { client_address = true } or "none".
    /// A cookie may have attributes beside its name.
    #[schemars(extend("default" = "none"))]
    pub sticky: Option<At<StickyFile>>,
    /// Serve failed candidate requests again from the active environment if that is safe.
    #[schemars(extend("default" = true))]
    pub rescue: Option<bool>,
    /// Which environment gives way when health checks find it down: the "candidate" to the active one, or "both" to
    /// each other.
    #[schemars(extend("default" = "candidate"))]
    pub failover: Option<At<Word<Failover>>>,
}

/// Which environment gives way when it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failover {
    Candidate,
    Both,
}

/// "none", or one of the keys.
#[derive(Clone, Debug, Default)]
pub struct StickyFile {
    pub none: bool,
    pub table: StickyTable,
}

/// What keeps a client on one side. Exactly one of `cookie`, `header` and `client_address` is needed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = one_of(&["cookie", "header", "client_address"])))]
pub struct StickyTable {
    /// A cookie of this name. The proxy sets it if the client has none, and no script of a page can read it.
    pub cookie: Option<At<CookieName>>,
    /// A header that clients send.
    pub header: Option<At<HeaderField>>,
    /// The client's address.
    pub client_address: Option<bool>,
    /// The cookie goes to this domain and everything below it. Default: only to the host that set it.
    pub domain: Option<At<CookieDomain>>,
    /// The cookie goes to this path and everything below it.
    #[schemars(extend("default" = "/"))]
    pub path: Option<At<CookiePath>>,
    /// How long a browser keeps the cookie, up to "400d", the most that browsers allow.
    #[schemars(extend("default" = "365d"))]
    pub max_age: Option<At<Duration<1000, LONGEST_COOKIE>>>,
    /// Whether the cookie goes along with requests that another site caused: with "lax" only if they open a page, with
    /// "strict" never, with "none" always, which needs https.
    #[schemars(extend("default" = "lax"))]
    pub same_site: Option<At<Word<SameSite>>>,
    /// Whether the cookie goes over https only. Default: if the client came by https, and always where browsers ask for it.
    pub secure: Option<At<bool>>,
    /// A cookie for each site that this one is embedded in (CHIPS). Needs https.
    #[schemars(extend("default" = false))]
    pub partitioned: Option<At<bool>>,
}

/// In milliseconds: 400 days (RFC 6265bis 5.5).
pub const LONGEST_COOKIE: u64 = 400 * 86_400_000;

/// Whether a cookie goes along with requests that another site caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

impl<'de> Deserialize<'de> for StickyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StickyFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StickyFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{ cookie = \"name\" }, { header = \"name\" }, { client_address = true } or \"none\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StickyFile, E> {
                if text == "none" {
                    return Ok(StickyFile { none: true, ..StickyFile::default() });
                }
                Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StickyFile, A::Error> {
                let table = StickyTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(StickyFile { none: false, table })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StickyFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sticky".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<StickyTable>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "enum": ["none"] }, table] })
    }
}

/// How long an origin may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsFile {
    /// Time to connect.
    #[schemars(extend("default" = "2s"))]
    pub connect: Option<At<Duration>>,
    /// Time for the TLS handshake.
    #[schemars(extend("default" = "4s"))]
    pub tls: Option<At<Duration>>,
    /// Time from the end of the request to the first byte of the response. The preset "netlify" sets "65s", "lambda-url"
    /// "905s".
    #[schemars(extend("default" = "30s"))]
    pub first_byte: Option<At<Duration>>,
    /// The longest silence within a response.
    #[schemars(extend("default" = "60s"))]
    pub between_bytes: Option<At<Duration>>,
    /// Time within which the origin must accept more of a request body.
    #[schemars(extend("default" = "30s"))]
    pub write: Option<At<Duration>>,
    /// How long an unused connection stays open. Keep it below the origin's own limit.
    #[schemars(extend("default" = "50s"))]
    pub idle: Option<At<Duration>>,
    /// How long a request waits while the environment has `max_connections`.
    #[schemars(extend("default" = "5s"))]
    pub queue: Option<At<Duration>>,
    /// How long after the request's head a rescue may still start.
    #[schemars(extend("default" = "60s"))]
    pub deadline: Option<At<Duration>>,
}

/// A named path pattern.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "path"]))]
pub struct RouteFile {
    /// The name in status, metrics and the journal, up to 64 characters. "default" is the route of all other paths.
    pub name: Option<At<String>>,
    /// "/exact", "/prefix/*", or a glob in which `*` also matches slashes.
    pub path: Option<At<PathPattern>>,
    /// How long after the request's head a rescue may still start. Default: the service's `timeouts.deadline`.
    pub deadline: Option<At<Duration>>,
    /// The statuses that count as failures here. Default: the service's `failures`.
    pub failures: Option<OneOrMany<StatusRange, true>>,
    /// The statuses that are neither failures nor refusals here. Default: the service's `ignore`.
    pub ignore: Option<OneOrMany<StatusRange, true>>,
    /// The response header by which the origin says here that a request has failed. Default: the service's `failure_header`.
    pub failure_header: Option<At<HeaderField>>,
    /// Whether the shape of responses is compared here. Default: the service's `compare_shape`.
    pub compare_shape: Option<bool>,
    /// Changes to the request's headers, after the service's.
    pub request_headers: Option<At<EditsFile>>,
    /// Changes to the response's headers, after the service's.
    pub response_headers: Option<At<EditsFile>>,
    /// Answer with another address instead of asking an origin: `{ to = "https://www.example.com{path}", status = 308 }`.
    pub redirect: Option<At<RedirectFile>>,
    /// How many requests of one client the route takes: { requests = 100, per = "1m", burst = 20 }. Others get 429.
    pub rate_limit: Option<At<RateLimitFile>>,
    /// Who is asked here whether a request may go on, or "none". Default: the service's `forward_auth`.
    pub forward_auth: Option<At<ForwardAuthFile>>,
    /// Take these segments from the beginning of the path before it is forwarded. Origins read them in X-Forwarded-Prefix.
    pub strip_prefix: Option<At<PathPrefix>>,
    /// Put these segments in front of the path before it is forwarded, after `strip_prefix`.
    pub add_prefix: Option<At<PathPrefix>>,
}

/// A rule: conditions that must all hold, and where the request goes then.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleFile {
    /// The name in status and the journal. Default: "rule 1", "rule 2" and so on.
    pub name: Option<At<String>>,
    /// A condition on a header, or a list of them.
    pub header: Option<OneOrMany<ValueFile>>,
    /// A condition on a cookie, or a list of them.
    pub cookie: Option<OneOrMany<ValueFile>>,
    /// A condition on a parameter of the query, or a list of them.
    pub query: Option<OneOrMany<ValueFile>>,
    /// A condition on the path: a glob such as "/api/*", or a table with `exact`, `prefix` or `regex`.
    pub path: Option<At<PathFile>>,
    /// The methods, in upper case.
    pub method: Option<OneOrMany<RuleMethod>>,
    /// The hosts, written as in `hosts`.
    pub host: Option<OneOrMany<HostName>>,
    /// The client's address: CIDRs or addresses.
    pub client_address: Option<OneOrMany<Network>>,
    /// The names of routes, or "default".
    pub route: Option<OneOrMany<String>>,
    /// Where matching requests go. Use `candidate` instead to send a share.
    pub to: Option<At<Word<RuleTargetWord>>>,
    /// The percentage of matching requests that go to the candidate, with up to two decimals.
    pub candidate: Option<At<Share>>,
    /// Apply the rule even at weight 0 and after a rollback. Such requests are not judged.
    #[serde(rename = "override")]
    #[schemars(extend("default" = false))]
    pub overrides: Option<bool>,
    /// Remove the headers that the rule names before the request is forwarded.
    #[schemars(extend("default" = false))]
    pub strip: Option<bool>,
}

/// Where a rule sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleTargetWord {
    Blue,
    Green,
    Active,
    Candidate,
}

/// A condition on a named value: its name, and one operator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct ValueFile {
    /// The name of the header, cookie or parameter.
    pub name: Option<At<String>>,
    /// The value is this text.
    pub equals: Option<At<String>>,
    /// The value begins with this text.
    pub prefix: Option<At<String>>,
    /// The value ends with this text.
    pub suffix: Option<At<String>>,
    /// The value contains this text.
    pub contains: Option<At<String>>,
    /// A regular expression that the whole value must match.
    pub regex: Option<At<RuleRegex>>,
    /// The request has it, whatever its value.
    pub present: Option<At<bool>>,
    /// The request does not have it.
    pub absent: Option<At<bool>>,
}

/// A condition on the path: a glob, or a table with one operator.
#[derive(Clone, Debug, Default)]
pub struct PathFile {
    pub glob: Option<PathPattern>,
    pub exact: Option<At<PathPattern>>,
    pub prefix: Option<At<PathPattern>>,
    pub regex: Option<At<RuleRegex>>,
}

/// A condition on the path. Exactly one of the keys is needed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct PathTable {
    /// The path is this one.
    exact: Option<At<PathPattern>>,
    /// The path begins with these segments.
    prefix: Option<At<PathPattern>>,
    /// A regular expression that the whole path must match.
    regex: Option<At<RuleRegex>>,
}

impl<'de> Deserialize<'de> for PathFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PathFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PathFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a glob such as \"/api/*\", or a table with `exact`, `prefix` or `regex`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PathFile, E> {
                let glob = PathPattern::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(PathFile { glob: Some(glob), ..PathFile::default() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<PathFile, A::Error> {
                let table = PathTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let PathTable { exact, prefix, regex } = table;
                Ok(PathFile { glob: None, exact, prefix, regex })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for PathFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathCondition".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (glob, table) = (generator.subschema_for::<PathPattern>(), generator.subschema_for::<PathTable>());
        schemars::json_schema!({ "anyOf": [glob, table] })
    }
}

/// What judges the candidate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardFile {
    /// Judge the candidate against the active environment over the same seconds, with a sequential test. If false, only
    /// the triggers judge.
    #[schemars(extend("default" = true))]
    pub evidence: Option<bool>,
    /// Roll back at once if the candidate fails nearly every request and there is nothing to compare it with.
    #[schemars(extend("default" = true))]
    pub dead_candidate: Option<bool>,
    /// What is done if the two sides do not get the shares that the weight promises, by odds of 1,000 : 1. "hold": it is told,
    /// and the rollout stays on its step while it lasts. "warn": it is told. "off": it is not looked at.
    #[schemars(extend("default" = "warn"))]
    pub sample_ratio: Option<At<Word<SampleRatioAction>>>,
    /// Thresholds. Naming one replaces all the default triggers.
    pub trigger: Vec<At<TriggerFile>>,
    /// Figures of other systems that must be good before a step ends, and that can roll a version back.
    pub metric: Vec<At<MetricFile>>,
}

impl GuardFile {
    /// The names of its triggers and metrics.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let triggers = self.trigger.iter().filter_map(|at| at.value.name.as_ref());
        let metrics = self.metric.iter().filter_map(|at| at.value.name.as_ref());
        triggers.chain(metrics).map(|at| at.value.as_str())
    }
}

/// A threshold, and what happens when it is crossed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["metric"]))]
pub struct TriggerFile {
    /// The name in status, metrics and the journal. Default: the metric's name.
    pub name: Option<At<String>>,
    /// What is measured on the candidate.
    pub metric: Option<At<Word<Metric>>>,
    /// Fires above this: a percentage, a duration for a latency, or a count for health_failures.
    pub above: Option<At<TriggerLimit>>,
    /// Fires below this percentage. For availability.
    pub below: Option<At<TriggerLimit>>,
    /// The time over the whole of which the figure must be past the limit, by more than chance, and in half of its eighths,
    /// the last among them.
    #[serde(rename = "for")]
    #[schemars(extend("default" = "0s"))]
    pub hold: Option<At<Duration<0>>>,
    /// The time over which is measured where there is no `for`, from "100ms" to "1m". For health_failures the default is
    /// "1m".
    #[schemars(extend("default" = "10s"))]
    pub window: Option<At<Duration<100, { LONGEST_WINDOW }>>>,
    /// With fewer responses than this in that time, the trigger says nothing.
    #[schemars(extend("default" = 20, "x-unit" = "requests"))]
    pub requests: Option<At<Whole<1, 1_000_000>>>,
    /// What happens when it fires.
    #[schemars(extend("default" = "rollback"))]
    pub action: Option<At<Word<TriggerAction>>>,
}

/// In milliseconds: the counters reach no further back.
pub const LONGEST_WINDOW: u64 = judgement::guard::window::LONGEST.0;
