//! `[acme]`: certificates that Cutover gets by itself.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::acme::AcmeChallenge;
use crate::file::values::{HostName, Word};
use crate::file::{At, OneOrMany};

/// Certificates from a CA by ACME (RFC 8555), such as Let's Encrypt. They are for the TLS listeners that name no
/// `cert_file`, or say `acme = true`. Who writes this table agrees to the CA's terms of service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeFile {
    /// Where the CA may write to about the account.
    pub email: Option<At<String>>,
    /// The URL of the CA's directory.
    #[schemars(extend("default" = "https://acme-v02.api.letsencrypt.org/directory"))]
    pub directory: Option<At<String>>,
    /// PEM file of the certificates that the directory's own certificate is checked by, instead of the system's. For private
    /// CAs. Relative to this file.
    pub directory_ca_file: Option<At<String>>,
    /// The names to get certificates for: one certificate for each. Default: every host of the routing file without a `*`.
    pub names: Option<At<OneOrMany<HostName>>>,
    /// How the CA checks that a name is ours: "http-01" asks on port 80 of the name, "tls-alpn-01" on its port 443. Of
    /// several, the next is tried when one has failed. Default: both, as far as there are plain and TLS listeners.
    pub challenge: Option<At<OneOrMany<Word<AcmeChallenge>>>>,
    /// The account at the CA that this one is bound to, if the CA wants that.
    pub eab: Option<At<EabFile>>,
    /// Names whose certificate is ordered once a client asks for them.
    pub on_demand: Option<At<OnDemandFile>>,
}

/// An external account binding (RFC 8555 7.3.4).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["kid", "hmac_file"]))]
pub struct EabFile {
    /// The key's identifier, as the CA gave it out.
    pub kid: Option<At<String>>,
    /// A file with the key in base64url, as the CA gave it out. Relative to this file.
    pub hmac_file: Option<At<String>>,
}

/// Names whose certificate is ordered once a client asks for them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["allow"]))]
pub struct OnDemandFile {
    /// The names: "shop.example.com", or "*.example.com" for all below. Certificates are kept for at most 1,000 of them.
    pub allow: Option<At<OneOrMany<HostName>>>,
}
