//! A client of the admin API: where it is, which token to use, and its errors as words and exit codes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::admin::tokens;
use crate::admin::verb::EVENTS;
use crate::cli::{Exit, Output};
use config;
use wire::{DEPLOYMENT, ErrorBody, ErrorResponse, RequestBody, Service, Status};

/// The timeout of a response: at most, it waits for a disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// The timeout of requests that read whole tables.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// The longest response: a page of the history.
const MOST_BYTES: usize = 64 << 20;

/// The main file of whoever names none.
const USUAL_MAIN_FILE: &str = "cutover.toml";

/// How to reach the admin API.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectionArgs {
    /// URL of the admin API. Default: from the main file, or http://127.0.0.1:9700.
    #[arg(long, env = "CUTOVER_ADMIN_URL", value_name = "URL", value_parser = admin_url)]
    admin_url: Option<String>,
    /// File with the token. Default: CUTOVER_TOKEN, or the token that `run` made on this host.
    #[arg(long, env = "CUTOVER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file of CA certificates to trust for the admin API, instead of the system's.
    #[arg(long, env = "CUTOVER_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// The admin API, the service, and the form of the output.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminArg {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The main configuration file, used if the URL or the token is not given.
    #[arg(long, short, env = "CUTOVER_CONFIG", default_value = USUAL_MAIN_FILE)]
    config: PathBuf,
    /// The service; not needed if there is only one.
    #[arg(long, short, env = "CUTOVER_SERVICE")]
    pub service: Option<String>,
    /// Print text or JSON.
    #[arg(long, value_enum, default_value = "text", env = "CUTOVER_OUTPUT")]
    pub output: Output,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("cannot reach the admin API at {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{}", said(.0))]
    Refused(ErrorBody),
    #[error("the admin API sent a response that Cutover does not understand: {0}")]
    Strange(String),
}

fn said(problem: &ErrorBody) -> String {
    // The API's own hints are API calls.
    let command = match problem.code.as_str() {
        "no_such_suite" => Some("see `cutover validate list`"),
        "no_such_execution" => Some("see `cutover validate history`"),
        "no_such_snapshot" => Some("see `cutover snapshot list`"),
        "shelf_full" => Some("make room with `cutover snapshot delete`"),
        "no_rollout" => Some("start one with `cutover deploy VERSION`"),
        "stopped" => Some("clear it with `cutover clear`"),
        "frozen" => Some(
            "wait, lift a person's freeze with `cutover unfreeze`, or pass it with `cutover deploy --pass-freeze`, as an admin; rollbacks are not affected",
        ),
        "under_way" => {
            Some("wait until it ends, replace it with `cutover deploy --replace`, or abort it with `cutover abort`")
        }
        "in_preflight" => Some("wait until it ends, or abort it with `cutover abort`"),
        "paused" => Some("continue it with `cutover resume`"),
        "not_paused" => Some("pause it with `cutover pause`"),
        "no_token" => {
            Some("name its file with --token-file, or put it in CUTOVER_TOKEN; `cutover token new` makes one")
        }
        // The message says it all.
        "as_asked" | "bad_version" => return problem.message.clone(),
        _ => None,
    };
    match command.or(problem.hint.as_deref()) {
        Some(hint) => format!("{}\n  {hint}", problem.message),
        None => problem.message.clone(),
    }
}

impl CallError {
    pub fn exit(&self) -> Exit {
        match self {
            CallError::Unreachable { .. } => Exit::Unreachable,
            CallError::Refused(_) | CallError::Strange(_) => Exit::Failed,
        }
    }
}

/// A connection to an admin API.
#[derive(Debug)]
pub struct AdminClient {
    url: String,
    token: Option<String>,
    http: reqwest::Client,
    runtime: Runtime,
    /// The timeout of one response.
    patience: Duration,
}

fn admin_url(text: &str) -> Result<String, String> {
    let has_scheme = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    if has_scheme { Ok(text.to_owned()) } else { Err(format!("write http://{text} or https://{text}")) }
}

impl AdminArg {
    /// # Errors
    /// A file given as an option cannot be read.
    pub fn client(&self) -> anyhow::Result<AdminClient> {
        self.connection.client(&self.config)
    }
}

impl ConnectionArgs {
    /// `config`: the main file, used if the URL or the token is not given.
    ///
    /// # Errors
    /// A file given as an option cannot be read.
    pub fn client(&self, config: &Path) -> anyhow::Result<AdminClient> {
        crate::serve::install_crypto_provider();
        let settings = self.main_file(config)?;
        let url = match (&self.admin_url, &settings) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(settings)) => {
                let scheme = if settings.admin_access.tls.is_some() { "https" } else { "http" };
                let mut address = settings.admin;
                if address.ip().is_unspecified() {
                    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                format!("{scheme}://{address}")
            }
            (None, None) => "http://127.0.0.1:9700".to_owned(),
        };
        let state = settings.map_or_else(|| PathBuf::from("cutover.db"), |settings| settings.state);
        let mut http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                http = http.add_root_certificate(certificate);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(AdminClient { url, token: self.token(&state)?, http: http.build()?, runtime, patience: PATIENCE })
    }

    /// The main file. Where it is needed and named, it must be there and valid: a command must not reach another Cutover.
    fn main_file(&self, path: &Path) -> anyhow::Result<Option<config::MainConfig>> {
        let is_needed = self.admin_url.is_none();
        let is_named = path != Path::new(USUAL_MAIN_FILE);
        let must_be_there = is_needed && is_named;
        if !path.exists() && !must_be_there {
            return Ok(None);
        }
        match config::load_main(path) {
            Ok(settings) => Ok(Some(settings)),
            Err(refused) if is_needed => Err(refused.into()),
            Err(_) => Ok(None),
        }
    }

    fn token(&self, state: &Path) -> anyhow::Result<Option<String>> {
        let read = |path: &Path| -> anyhow::Result<String> {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token in {}", path.display()))?;
            Ok(text.trim().to_owned())
        };
        if let Some(path) = &self.token_file {
            return read(path).map(Some);
        }
        if let Ok(token) = std::env::var("CUTOVER_TOKEN") {
            return Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()));
        }
        let local = tokens::beside(state);
        // Without a token, the admin API says what is missing.
        if local.exists() { read(&local).map(Some) } else { Ok(None) }
    }
}

impl AdminClient {
    #[cfg(feature = "validation")]
    /// The admin API of a Cutover in this process.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn within(admin: std::net::SocketAddr, token: Option<String>) -> anyhow::Result<AdminClient> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(AdminClient { url: format!("http://{admin}"), token, http, runtime, patience: PATIENCE })
    }

    /// For calls without a time limit, while someone watches and can cancel.
    pub fn patient(self) -> AdminClient {
        AdminClient { patience: LONG, ..self }
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, CallError> {
        self.runtime.block_on(self.call(Method::GET, path, query, None::<&()>))
    }

    pub fn post<B: RequestBody, T: DeserializeOwned>(&self, body: &B) -> Result<T, CallError> {
        self.runtime.block_on(self.call(Method::POST, B::PATH, &[], Some(body)))
    }

    #[cfg(feature = "validation")]
    pub fn put<B: RequestBody, T: DeserializeOwned>(&self, body: &B) -> Result<T, CallError> {
        self.runtime.block_on(self.call(Method::PUT, B::PATH, &[], Some(body)))
    }

    pub fn delete<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, CallError> {
        self.runtime.block_on(self.call(Method::DELETE, path, query, None::<&()>))
    }

    /// The status of one service.
    pub fn service(&self, name: Option<&str>) -> Result<(u64, Service), CallError> {
        let query: Vec<(&str, &str)> = name.iter().map(|name| ("service", *name)).collect();
        let Status { generation, services, .. } = self.get(DEPLOYMENT, &query)?;
        let names: Vec<&str> = services.iter().map(|service| service.service.as_str()).collect();
        let names = names.join(", ");
        let mut services = services.into_iter();
        match (services.next(), services.next()) {
            (Some(service), None) => Ok((generation, service)),
            (None, _) => Err(CallError::Strange("there are no services".to_owned())),
            (Some(_), Some(_)) => Err(CallError::Refused(ErrorBody {
                code: "several_services".to_owned(),
                message: format!("there are several services: {names}"),
                hint: Some("name one with --service".to_owned()),
            })),
        }
    }

    /// Waits; returns false if interrupted by Ctrl-C.
    pub fn wait(&self, time: Duration) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => true,
                _ = tokio::signal::ctrl_c() => false,
            }
        })
    }

    /// Opens the stream of events, starting after an entry.
    ///
    /// # Errors
    /// The admin API cannot be reached, or refuses.
    pub fn events(&self, after: u64) -> Result<EventStream<'_>, CallError> {
        self.runtime.block_on(async {
            let url = format!("{}{EVENTS}?last_event_id={after}", self.url);
            let request = self.token.iter().fold(self.http.get(url), |request, token| request.bearer_auth(token));
            let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
            if !answer.status().is_success() {
                let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
                return Err(refused(&bytes));
            }
            Ok(EventStream { client: self, answer, text: String::new() })
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        CallError::Unreachable { url: self.url.clone(), why: root(error) }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        let unreachable = |error: reqwest::Error| CallError::Unreachable { url: self.url.clone(), why: root(&error) };
        let strange = |why: String| CallError::Strange(why);
        let mut url = format!("{}{path}", self.url);
        if !query.is_empty() {
            let pairs = query.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
            url = format!("{url}?{}", pairs.collect::<Vec<_>>().join("&"));
        }
        let mut request = self.http.request(method, url).timeout(self.patience);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let text = serde_json::to_string(body).map_err(|error| strange(error.to_string()))?;
            request = request.header("content-type", "application/json").body(text);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BYTES {
                return Err(strange(format!("it is longer than {} MiB", MOST_BYTES >> 20)));
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()));
        }
        Err(refused(&bytes))
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream<'c> {
    client: &'c AdminClient,
    answer: reqwest::Response,
    /// Received but not read yet.
    text: String,
}

impl EventStream<'_> {
    /// The number of the next journal entry; `None` after Ctrl-C. The progress of validation runs has no number, and is
    /// skipped.
    ///
    /// # Errors
    /// The stream was cut off.
    pub fn next_entry(&mut self) -> Result<Option<u64>, CallError> {
        loop {
            while let Some((line, rest)) = self.text.split_once('\n') {
                let id = line.strip_prefix("id:").and_then(|id| id.trim().parse().ok());
                self.text = rest.to_owned();
                if id.is_some() {
                    return Ok(id);
                }
            }
            let chunk = self.client.runtime.block_on(async {
                tokio::select! {
                    chunk = self.answer.chunk() => Some(chunk),
                    _ = tokio::signal::ctrl_c() => None,
                }
            });
            let Some(chunk) = chunk else { return Ok(None) };
            match chunk.map_err(|error| self.client.unreachable(&error))? {
                Some(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                None => {
                    let why = "the connection was closed".to_owned();
                    return Err(CallError::Unreachable { url: self.client.url.clone(), why });
                }
            }
        }
    }
}

/// Why the admin API refused.
fn refused(bytes: &[u8]) -> CallError {
    match serde_json::from_slice::<ErrorResponse>(bytes) {
        Ok(failed) => CallError::Refused(failed.error),
        Err(_) => CallError::Strange(String::from_utf8_lossy(bytes).chars().take(200).collect()),
    }
}

/// The root cause of an error: `Connection refused`, not `error sending request`.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'*');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
