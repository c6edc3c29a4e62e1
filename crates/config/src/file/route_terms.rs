//! What a route does besides forwarding, as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;
use crate::file::values::{RedirectUrl, Whole};

/// Another address for the requests of a route. No environment is asked, and nothing is judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["to"]))]
pub struct RedirectFile {
    /// The new address: a URL such as "https://www.example.com{path}", or a path. {path} is the request's path, less
    /// `strip_prefix` and behind `add_prefix`, {host} the request's host without its port, {scheme} its http or https.
    pub to: Option<At<RedirectUrl>>,
    /// 301 and 308 are for ever, 302 and 307 for now; 307 and 308 keep method and body; 303 turns into a GET.
    #[schemars(extend("default" = 302, "enum" = [301, 302, 303, 307, 308]))]
    pub status: Option<At<Whole<300, 399>>>,
    /// Whether the request's query goes along. Default: unless `to` has a query.
    pub keep_query: Option<bool>,
}
