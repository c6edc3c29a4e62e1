//! Health checks as the file defines them: what is tested, how often, and what follows.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue, Method};

use crate::snapshot::secret_url::SecretUrl;
use judgement::time::Millis;
use judgement::traffic::Environment;

/// One check of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub name: String,
    /// `None` for both.
    pub environment: Option<Environment>,
    pub probe: HealthProbe,
    pub interval: Millis,
    /// The timeout of one attempt.
    pub timeout: Millis,
    /// Retries within a round, after the first attempt.
    pub retries: u32,
    /// Failed rounds in a row until it is down.
    pub fall: u32,
    /// Successful rounds in a row until it is up again.
    pub rise: u32,
    /// Whatever is down gets no requests as long as there is an alternative.
    pub eject: bool,
    /// A new side that goes down is rolled back.
    pub rollback: bool,
    /// Called when an environment goes down.
    pub webhook: Option<SecretUrl>,
    /// False if someone has switched it off.
    pub on: bool,
}

impl HealthCheck {
    pub fn is_of(&self, side: Environment) -> bool {
        self.environment.is_none_or(|of| of == side)
    }
}

/// What a check tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthProbe {
    /// A request to every address of the environment.
    Http(HttpProbe),
    /// A query to a database.
    Sql(SqlProbe),
    /// A write to Redis, and reading it back.
    Redis(SecretUrl),
}

impl HealthProbe {
    pub const fn kind(&self) -> &'static str {
        match self {
            HealthProbe::Http(_) => "http",
            HealthProbe::Sql(_) => "sql",
            HealthProbe::Redis(_) => "redis",
        }
    }
}

/// A request, and what its response must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    pub method: Method,
    /// Appended to the origin's base path.
    pub path: String,
    /// The values are marked as secret, so they appear in no log.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty for 200 to 399.
    pub status: Vec<u16>,
    /// Must occur somewhere in the body.
    pub body: Option<String>,
}

impl HttpProbe {
    /// A plain GET.
    pub fn get(path: &str) -> HttpProbe {
        HttpProbe { method: Method::GET, path: path.to_owned(), headers: Vec::new(), status: Vec::new(), body: None }
    }

    pub fn takes(&self, status: u16) -> bool {
        if self.status.is_empty() { (200..400).contains(&status) } else { self.status.contains(&status) }
    }
}

/// A database and a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlProbe {
    pub engine: SqlEngine,
    pub query: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlEngine {
    Postgres(SecretUrl),
    /// MariaDB too.
    Mysql(SecretUrl),
    /// A file.
    Sqlite(PathBuf),
}
