//! `[acme]` once all of its problems are solved.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::notify::Secret;
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;

/// The CA that is asked if the file names none.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// After a first failure, an order for the same name waits this long, and twice as long after each one that follows: five
/// in the first hour, as many as Let's Encrypt lets fail.
pub const FIRST_RETRY: Millis = Millis::seconds(120);

/// How a CA checks that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AcmeChallenge {
    #[serde(rename = "http-01")]
    Http,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
}

/// Where certificates come from, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    pub email: Option<String>,
    pub directory: Url,
    /// In DER; `None` for the system's.
    pub directory_roots: Option<Vec<Vec<u8>>>,
    /// `None`: the hosts of the routing file.
    pub names: Option<Vec<String>>,
    /// At least one: the next is tried when one has failed.
    pub challenges: Vec<AcmeChallenge>,
    pub eab: Option<ExternalAccount>,
    /// The names that a client may cause to be ordered.
    pub on_demand: Vec<HostPattern>,
    /// Account and certificates.
    pub folder: PathBuf,
    pub first_retry: Millis,
}

/// An account that a CA knows from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    pub kid: String,
    pub key: Secret<Vec<u8>>,
}
