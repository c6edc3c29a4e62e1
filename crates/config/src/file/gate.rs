//! `[[service.NAME.rollout.gate]]` as it is typed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;
use crate::file::values::{Duration, Whole, Word, one_of};
use judgement::rollout::gate_hook::GateHook;
use judgement::rollout::plan::OnFailure;

/// Another system that a rollout asks before it goes on, or tells what it has done: with POST, signed. Any status from 200
/// to 299 passes; redirects are not followed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "hook", "url"], "oneOf" = one_of(&["secret_file", "secret"])))]
pub struct GateFile {
    /// The name in status, metrics and the journal. Up to 64 letters, digits, `-`, `_` and `.`.
    pub name: Option<At<String>>,
    /// When it is asked, by Flagger's names.
    pub hook: Option<At<Word<GateHook>>>,
    /// The URL that is asked.
    pub url: Option<At<String>>,
    /// A file that contains the secret of the signature, "whsec_" and base64. Several lines are several secrets. Relative to
    /// this file, and read again at each reload. Either this or `secret` is needed.
    pub secret_file: Option<At<String>>,
    /// The same secret, from the environment: "${GATE_SECRET}".
    pub secret: Option<At<String>>,
    /// Further headers of the request. Values may come from the environment: "Bearer ${GATE_TOKEN}".
    pub headers: BTreeMap<String, At<String>>,
    /// What else is sent: the names and values of `metadata` in the body.
    pub metadata: BTreeMap<String, At<String>>,
    /// Time from one question to the next, from "1s" to "1h". Not for "post-rollout" and "event".
    #[schemars(extend("default" = "10s"))]
    pub every: Option<At<Duration<1_000, 3_600_000>>>,
    /// Time for one attempt, up to "1m".
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<At<Duration<1, 60_000>>>,
    /// For "pre-rollout", "rollout", "post-rollout" and "event": further attempts where there is no answer, or one of 408,
    /// 425, 429 and 500 to 599. The others are asked again anyway.
    #[schemars(extend("default" = 2))]
    pub retries: Option<At<Whole<0, 10>>>,
    /// For "pre-rollout" and "rollout": so many failures in a row end the rollout.
    #[schemars(extend("default" = 3))]
    pub threshold: Option<At<Whole<1, 1_000>>>,
    /// For the confirming hooks: how long a rollout waits until it passes, without pauses and freezes.
    #[schemars(extend("default" = "24h"))]
    pub deadline: Option<At<Duration<1>>>,
    /// What happens then: "rollback", or "hold" until a person decides.
    #[schemars(extend("default" = "rollback"))]
    pub on_deadline: Option<At<Word<OnFailure>>>,
}
