//! The configuration: what a file means once all of its problems are solved.
//!
//! `file` is what was written, `read` finds values that cannot be read, `check` finds combinations that make no sense,
//! and `watch` notices that a file has changed. A file is accepted or refused as a whole: there is no way to get a
//! [`RoutingConfig`] with a problem.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod access;
pub mod acme;
pub mod admin;
pub mod allowed;
pub mod check;
pub mod file;
mod network_sets;
pub mod notify;
pub mod read;
mod suggest;
pub mod suite;
pub mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use crate::admin::AdminAccess;
use crate::allowed::AllowedOrigin;
use crate::file::{MainFile, RoutingFile, SuiteFile};
use crate::read::{FileProblem, MAX_BYTES, ProblemSeverity, SourceFile};
use judgement::guard::GuardPolicy;
use judgement::rollout::freeze_window::FreezeWindow;
use judgement::rollout::gates::RolloutGate;
use judgement::rollout::plan::RolloutPlan;
use judgement::rollout::{FilePlace, RuntimeOverrides, SplitRequest};
use judgement::time::Millis;
use judgement::traffic;
use memory::snapshot::gate_call::GateCall;
use memory::snapshot::health_check::HealthCheck;
use memory::snapshot::outside_question::OutsideQuestion;
use memory::snapshot::{FailureRules, OriginSettings, ServiceTerms};

/// How this process listens, who may steer it, and where its state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainConfig {
    /// A routing file, or a folder of them.
    pub routing: PathBuf,
    pub listen: Vec<PlainListener>,
    pub tls: Vec<TlsListener>,
    /// Where certificates come from that no file has.
    pub acme: Option<acme::AcmeSettings>,
    /// A folder with other programs' answers to a CA.
    pub acme_challenges: Option<PathBuf>,
    /// The port that plain listeners redirect to.
    pub redirect_to_https: Option<u16>,
    /// Plain listeners take HTTP/2 from clients that begin with it.
    pub plain_http2: bool,
    pub limits: ClientLimits,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
    pub trusted_proxies: Vec<IpNet>,
    pub hop: HopHeaders,
    pub early_hints: EarlyHints,
    pub drain: Millis,
    /// The part of `drain` in which new connections are still accepted.
    pub drain_delay: Millis,
    pub access_log: Option<access::AccessLog>,
    pub admin: SocketAddr,
    pub admin_access: AdminAccess,
    pub state: PathBuf,
    pub keep: JournalRetention,
    pub tick: Millis,
    /// The receivers of notices.
    pub notify: Vec<notify::Sink>,
    /// The folder of the validation suites, which need not exist.
    pub suites: PathBuf,
    pub validation: ValidationSettings,
    /// Settings that are accepted, but probably mistakes.
    pub warnings: Vec<FileProblem>,
}

/// How validation suites run, and how long their runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationSettings {
    /// Runs at once; the others wait.
    pub at_once: usize,
    /// How many runs are kept, none older than `age`.
    pub keep: usize,
    pub age: Millis,
    /// How long named snapshots are kept.
    pub snapshots: Millis,
}

impl Default for ValidationSettings {
    /// A quarter of a year of releases.
    fn default() -> ValidationSettings {
        let days = |days: u64| Millis::seconds(days * 86_400);
        ValidationSettings { at_once: 4, keep: 500, age: days(90), snapshots: days(90) }
    }
}

/// How much of the journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRetention {
    pub age: Millis,
    pub bytes: u64,
}

impl Default for JournalRetention {
    /// Over a year, so that last year's release can be looked up; some hundred thousand entries.
    fn default() -> JournalRetention {
        JournalRetention { age: Millis::seconds(400 * 86_400), bytes: 256 << 20 }
    }
}

/// A listener without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainListener {
    pub listen: SocketAddr,
    pub proxy_protocol: ProxyProtocol,
}

impl From<SocketAddr> for PlainListener {
    fn from(listen: SocketAddr) -> PlainListener {
        PlainListener { listen, proxy_protocol: ProxyProtocol::Off }
    }
}

/// Whether the connections of trusted proxies begin with a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// All must, and nobody else may connect.
    Required,
    /// They may.
    Optional,
    /// None does.
    #[default]
    Off,
}

/// A TLS listener. Its files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    pub listen: SocketAddr,
    pub proxy_protocol: ProxyProtocol,
    pub http2: bool,
    /// The first is for clients that ask for no name, or an unknown one. None only if there are those of a CA.
    pub certificates: Vec<CertificateFiles>,
    /// It has the certificates of `[acme]` too.
    pub acme: bool,
}

/// A certificate with its chain, and its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Limits on what a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    pub header_time: Millis,
    pub header_bytes: usize,
    pub header_fields: usize,
    pub target_bytes: usize,
    pub body_idle: Millis,
    /// Bytes a second.
    pub body_rate: u64,
    pub write_idle: Millis,
    /// A client may close its side and still read.
    pub half_close: bool,
    pub keep_alive: Millis,
    pub requests: u32,
    pub tunnel_idle: Millis,
    pub tls_handshake: Millis,
    /// 0 means as many as the file descriptors allow.
    pub connections: usize,
    /// 0 means no limit. Trusted proxies have none.
    pub connections_per_address: usize,
    /// 0 means as many as the file descriptors allow.
    pub requests_in_flight: usize,
    /// 0 means no limit.
    pub requests_in_flight_per_address: usize,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            header_time: Millis::seconds(10),
            header_bytes: 64 << 10,
            header_fields: 100,
            target_bytes: 16 << 10,
            body_idle: Millis::seconds(30),
            body_rate: 240,
            write_idle: Millis::seconds(30),
            half_close: false,
            keep_alive: Millis::seconds(60),
            requests: 10_000,
            tunnel_idle: Millis::seconds(3600),
            tls_handshake: Millis::seconds(10),
            connections: 0,
            connections_per_address: 256,
            requests_in_flight: 0,
            requests_in_flight_per_address: 1024,
        }
    }
}

/// What origins are told about this hop, in addition to X-Forwarded-*, X-Real-IP and X-Request-Id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopHeaders {
    /// Forwarded (RFC 7239).
    pub forwarded: bool,
    /// Via (RFC 9110 7.6.3).
    pub via: bool,
    /// traceparent and tracestate; passed on unchanged if false.
    pub trace_context: bool,
}

impl Default for HopHeaders {
    fn default() -> HopHeaders {
        HopHeaders { forwarded: false, via: false, trace_context: true }
    }
}

/// The clients that get a 103 (RFC 8297).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EarlyHints {
    /// Those that speak HTTP/2. Over HTTP/1.1 browsers ignore it, and some programs take it for the final response, such as
    /// nginx before 1.29 in front of this, whatever the browser behind it understands.
    #[default]
    Http2,
    /// HTTP/1.1 too.
    All,
    Never,
}

/// The services of one or several routing files.
#[derive(Clone, Debug, Default)]
pub struct RoutingConfig {
    pub services: Vec<ServiceConfig>,
    /// The services that cannot be known without a secret that is not here. Only where such are tolerated.
    pub unchecked: Vec<String>,
    /// Settings that are accepted, but probably mistakes.
    pub warnings: Vec<FileProblem>,
}

/// A service as the file defines it.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    pub traffic: traffic::ServiceDefinition,
    pub ask: SplitRequest,
    /// The lines of what a reload may be refused for.
    pub lines: Vec<(FilePlace, usize)>,
    /// When deploys and steps are frozen, again and again.
    pub freezes: Vec<FreezeWindow>,
    /// How long the pages of a side that was replaced may ask for it; `None` if none may.
    pub skew: Option<Millis>,
    pub policy: GuardPolicy,
    pub plan: RolloutPlan,
    /// By [`traffic::Environment::index`].
    pub origins: [Arc<OriginSettings>; 2],
    pub health: Vec<HealthCheck>,
    /// One for each metric of the policy.
    pub questions: Vec<OutsideQuestion>,
    /// The other systems that a rollout asks or tells, and how each of them is asked.
    pub gates: Vec<RolloutGate>,
    pub gate_calls: Vec<GateCall>,
    pub rescue: bool,
    pub websocket: bool,
    /// By route, `default` first.
    pub deadlines: Vec<Millis>,
    /// What counts as a failure: by route, `default` first.
    pub failures: Vec<FailureRules>,
    pub terms: ServiceTerms,
    /// Where the file sends the environments, whatever a deploy has set.
    pub urls: [String; 2],
    /// Where a deploy may send them.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// The triggers and rules that the file itself names.
    pub named: NamedInFile,
    /// Runtime changes that do not fit the file, and are not in force.
    pub aside: Vec<IgnoredOverlay>,
}

/// The rules and triggers that the file names. They can only be changed there.
#[derive(Clone, Debug, Default)]
pub struct NamedInFile {
    pub rules: Vec<String>,
    pub triggers: Vec<String>,
}

/// A runtime change that does not fit the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredOverlay {
    /// `rule`, `trigger` or `origin`.
    pub what: &'static str,
    pub name: String,
    pub why: String,
}

/// Runtime changes of services, by name.
pub type Overlays = BTreeMap<String, RuntimeOverrides>;

/// What a routing file is checked against, besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoutingContext<'a> {
    /// Changes made at run time. One that does not fit is set aside, and does not refuse the file.
    pub overlays: Option<&'a Overlays>,
    /// The addresses that this process listens on: an origin there would make requests loop.
    pub listeners: Option<&'a OwnListeners>,
    /// The suites that a plan may name; `None` if this is not checked.
    pub suites: Option<&'a SuiteFolder>,
    /// This Cutover was built without what compares answers: a mirror would wait for ever.
    pub cannot_compare: bool,
}

/// The addresses that this process listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnListeners {
    /// For clients, plain and TLS.
    pub proxy: Vec<SocketAddr>,
    pub admin: SocketAddr,
}

/// The folder of the validation suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteFolder {
    pub path: PathBuf,
    pub is_there: bool,
    pub names: Vec<String>,
}

/// A file that was refused, with every problem in it.
#[derive(Debug)]
pub struct ConfigError {
    pub problems: Vec<FileProblem>,
}

impl ConfigError {
    /// A problem that does not belong to a line of the file.
    pub fn at_large(name: &Path, why: String) -> ConfigError {
        ConfigError::at_large_with(name, why, None)
    }

    /// The same, with the way out.
    pub fn at_large_with(name: &Path, why: String, hint: Option<String>) -> ConfigError {
        let mut source = SourceFile::new(name.display().to_string(), "");
        source.problem(0..0, why, hint);
        ConfigError { problems: source.problems }
    }

    pub fn problems(&self) -> impl Iterator<Item = &FileProblem> {
        self.problems.iter()
    }

    /// The same, with the way out if the file itself is missing.
    fn if_missing(mut self, path: &Path, hint: &str) -> ConfigError {
        for problem in self.problems.iter_mut().filter(|_| !path.exists()) {
            problem.hint = Some(hint.to_owned());
        }
        self
    }

    /// For a terminal, with line and caret.
    pub fn render(&self, colour: bool) -> String {
        read::render(self.problems.iter(), ProblemSeverity::Error, colour)
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

impl MainConfig {
    pub fn listeners(&self) -> OwnListeners {
        let plain = self.listen.iter().map(|listener| listener.listen);
        let tls = self.tls.iter().map(|listener| listener.listen);
        OwnListeners { proxy: plain.chain(tls).collect(), admin: self.admin }
    }
}

/// What else than the text of `cutover.toml` is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MainScope {
    /// Nothing: who only asks a running Cutover may be elsewhere, or may not read its files.
    Text,
    Suites,
    /// What is served: without its suites too.
    Served,
    Everything,
}

/// Reads `cutover.toml`. What it names is not looked at: who only asks a running Cutover may not read it.
///
/// # Errors
/// [`ConfigError`] with every problem of the file.
pub fn load_main(path: &Path) -> Result<MainConfig, ConfigError> {
    main_file(path, MainScope::Text)
}

/// The same, for who reads its suites: their folder must be there, if the file names one.
///
/// # Errors
/// [`ConfigError`] with every problem of the file.
pub fn load_main_with_suites(path: &Path) -> Result<MainConfig, ConfigError> {
    main_file(path, MainScope::Suites)
}

/// The same, for who serves: the routing file, the folder of the journal, and what the certificates hold. Of a missing
/// folder of suites it only warns.
///
/// # Errors
/// [`ConfigError`] with every problem of the file.
pub fn load_main_with_certificates(path: &Path) -> Result<MainConfig, ConfigError> {
    main_file(path, MainScope::Served)
}

/// The same with everything that it names.
///
/// # Errors
/// [`ConfigError`] with every problem of the file.
pub fn load_main_to_check(path: &Path) -> Result<MainConfig, ConfigError> {
    main_file(path, MainScope::Everything)
}

fn main_file(path: &Path, scope: MainScope) -> Result<MainConfig, ConfigError> {
    let source = open(path).map_err(|refused| refused.if_missing(path, "create it, or name another with --config"))?;
    main_of(source, path.parent().unwrap_or(Path::new("")), scope)
}

fn main_of(mut source: SourceFile, base: &Path, scope: MainScope) -> Result<MainConfig, ConfigError> {
    let file: MainFile = source.read_with_environment();
    let hint = "services belong in the routing file; `cutover check --routing FILE` checks one by itself";
    source.hint_at_unknown_keys(&OF_ROUTING, hint);
    let mut config = check::main(&mut source, &file, base);
    if matches!(scope, MainScope::Served | MainScope::Everything) {
        check::files::check(&mut source, &file, base);
        check::tls_files(&mut source, &file, base);
    }
    match check::files::wrong_suites(&file, base) {
        Some((span, message, hint)) if scope == MainScope::Served => source.warning(span, message, &hint),
        Some((span, message, hint)) if scope != MainScope::Text => source.problem(span, message, Some(hint)),
        _ => {}
    }
    config.warnings.append(&mut source.warnings);
    source.refused().map_or(Ok(config), Err)
}

/// Keys that belong in the other file.
const OF_ROUTING: [&str; 7] = ["service", "blue", "green", "split", "route", "rule", "rollout"];
const OF_MAIN: [&str; 7] = ["version", "proxy", "admin", "state", "notify", "suites", "validation"];

/// Reads the routing file, or every `*.toml` of a folder in the order of their names.
///
/// # Errors
/// [`ConfigError`] with every problem of every file.
pub fn load_routing(path: &Path, context: &RoutingContext<'_>) -> Result<RoutingConfig, ConfigError> {
    let mut sources = Vec::new();
    for path in routing_files(path)? {
        sources.push(open_routing(&path)?);
    }
    routing_of(sources, context)
}

/// Reads routing files that are not on the disk any more, as they were.
///
/// # Errors
/// [`ConfigError`] with every problem.
pub fn routing_texts(texts: &[(PathBuf, String)], context: &RoutingContext<'_>) -> Result<RoutingConfig, ConfigError> {
    let sources = texts.iter().map(|(path, text)| SourceFile::new(path.display().to_string(), text));
    routing_of(sources.collect(), context)
}

fn routing_of(mut sources: Vec<SourceFile>, context: &RoutingContext<'_>) -> Result<RoutingConfig, ConfigError> {
    let files: Vec<RoutingFile> = sources.iter_mut().map(SourceFile::read_with_environment).collect();
    for source in &mut sources {
        source.hint_at_unknown_keys(&OF_MAIN, "this belongs in cutover.toml");
    }
    let routing = check::routing(&mut sources, &files, context);
    let refused = sources.into_iter().filter_map(SourceFile::refused);
    let problems: Vec<FileProblem> = refused.flat_map(|refused| refused.problems).collect();
    if problems.is_empty() { Ok(routing) } else { Err(ConfigError { problems }) }
}

/// Reads a single suite.
///
/// # Errors
/// [`ConfigError`] with every problem of the file.
pub fn load_suite(path: &Path) -> Result<suite::Suite, ConfigError> {
    suite_of(open(path)?, &path.file_stem().unwrap_or_default().to_string_lossy())
}

fn suite_of(mut source: SourceFile, name: &str) -> Result<suite::Suite, ConfigError> {
    let file: SuiteFile = source.read();
    if !is_suite_name(name) {
        let hint = Some("rename the file".to_owned());
        source.problem(0..0, "invalid name for a suite: up to 64 letters, digits, `-`, `_` and `.`", hint);
    }
    let suite = check::suite(&mut source, name, &file);
    source.refused().map_or(Ok(suite), Err)
}

/// Whether this can be the name of a suite, which is used in URLs and on command lines.
pub fn is_suite_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain && !name.starts_with('.') && !name.is_empty() && name.len() <= 64
}

/// The routing files: the path itself, or the files in the folder.
///
/// # Errors
/// The folder cannot be listed, or has none.
pub fn routing_files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = check::files::toml_files(path).map_err(|error| {
        ConfigError::at_large(path, format!("cannot list the folder: {}", check::files::why_unreadable(&error)))
    })?;
    if files.is_empty() {
        let hint = "put a routing file in it, such as shop.toml, or name the routing file itself".to_owned();
        return Err(ConfigError::at_large_with(path, "the folder has no *.toml file".to_owned(), Some(hint)));
    }
    Ok(files)
}

/// A routing file, which may be gone since Cutover has started.
fn open_routing(path: &Path) -> Result<SourceFile, ConfigError> {
    open(path).map_err(|refused| {
        let usual = "`routing` in cutover.toml names the routing file, or a folder of them".to_owned();
        let hint = check::files::close_to(path, false).map_or(usual, |name| format!("did you mean `{name}`?"));
        refused.if_missing(path, &hint)
    })
}

fn open(path: &Path) -> Result<SourceFile, ConfigError> {
    use std::io::Read;
    let refuse = |why: String| ConfigError::at_large(path, why);
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(|e| refuse(unreadable(&e)))?;
    if !kind.is_file() {
        return Err(refuse("this is not a file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|e| refuse(unreadable(&e)))?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| refuse(unreadable(&e)))?;
    if bytes.len() > MAX_BYTES {
        return Err(refuse(format!("the file is over {} MiB", MAX_BYTES >> 20)));
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => Err(refuse("the file is empty".to_owned())),
        Ok(text) => Ok(SourceFile::new(path.display().to_string(), text)),
        Err(e) => {
            let valid = e.utf8_error().valid_up_to();
            let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
            Err(refuse(format!("the file is not UTF-8: see line {line}")))
        }
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        _ => format!("cannot read the file: {}", check::files::why_unreadable(error)),
    }
}

/// The services that a suite may name; problems are noted at its `service`.
///
/// # Errors
/// The suite names another one.
pub fn service_of_suite(path: &Path, services: &[&str]) -> Result<(), ConfigError> {
    let mut source = open(path)?;
    let file: SuiteFile = source.read();
    // What else is wrong is reported where the suite is loaded.
    source.problems.clear();
    if let Some(at) = file.service.filter(|at| !services.contains(&at.value.as_str())) {
        let hint = read::did_you_mean(&at.value, services);
        source.problem(at.span, format!("there is no service `{}`", at.value), Some(hint));
    }
    source.refused().map_or(Ok(()), Err)
}

/// Checks a routing text that is not in a file, for tests and tools.
///
/// # Errors
/// [`ConfigError`] with every problem.
pub fn routing_text(name: &str, text: &str) -> Result<RoutingConfig, ConfigError> {
    routing_of(vec![SourceFile::new(name, text)], &RoutingContext::default())
}

/// Checks the text of a `cutover.toml` that is not in a file, for tests and tools. What it names is not looked at.
///
/// # Errors
/// [`ConfigError`] with every problem.
pub fn main_text(name: &str, text: &str) -> Result<MainConfig, ConfigError> {
    main_of(SourceFile::new(name, text), Path::new(""), MainScope::Text)
}

/// Checks the text of a suite that is not in a file, for tests and tools. `name`: the suite's.
///
/// # Errors
/// [`ConfigError`] with every problem.
pub fn suite_text(name: &str, text: &str) -> Result<suite::Suite, ConfigError> {
    suite_of(SourceFile::new(format!("{name}.toml"), text), name)
}
