//! Health checks as the file means them: what is tried of an environment, how often, and what follows.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue, Method};

use crate::snapshot::secret_url::SecretUrl;
use judgement::time::Millis;
use judgement::traffic::Environment;

/// One check of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub name: String,
    /// `None`: both.
    pub environment: Option<Environment>,
    pub probe: HealthProbe,
    pub interval: Millis,
    /// Of one attempt.
    pub timeout: Millis,
    /// Attempts of a round after the first one.
    pub retries: u32,
    /// So many failed rounds in a row, and it is down.
    pub fall: u32,
    /// So many good rounds in a row, and it is up again.
    pub rise: u32,
    /// What is down gets no requests as long as there is another.
    pub eject: bool,
    /// A new side that goes down is taken back.
    pub rollback: bool,
    /// Is told when an environment goes down.
    pub webhook: Option<SecretUrl>,
    /// Nobody has switched it off.
    pub on: bool,
}

impl HealthCheck {
    pub fn is_of(&self, side: Environment) -> bool {
        self.environment.is_none_or(|of| of == side)
    }
}

/// What is tried.
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

/// A request, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    pub method: Method,
    /// Behind the origin's own path.
    pub path: String,
    /// The values are marked as secret: they are in no log.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty: 200 to 399.
    pub status: Vec<u16>,
    /// Must be somewhere in the body.
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

/// A database, and what it is asked.
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
