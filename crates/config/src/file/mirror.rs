//! `mirror` of a service as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;
use crate::file::values::Share;

/// Copies of clients' requests to the candidate before its first client. Active answers the client, as always; then both are
/// asked, and their answers are compared. No client waits for it, and none sees it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorFile {
    /// The percentage of the GET and HEAD requests that are copied, at most 20 a second.
    #[schemars(extend("default" = 5))]
    pub share: Option<At<Share>>,
    /// Copy only requests that change nothing. It cannot be switched off: a copy of an order is an order.
    #[schemars(extend("default" = true))]
    pub safe_only: Option<At<bool>>,
    /// JSONPaths that are not compared, such as "$..updated_at". What differs by itself is found out without them.
    #[schemars(extend("default" = []))]
    pub ignore: Vec<At<String>>,
}
