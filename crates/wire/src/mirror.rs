//! What copies of clients' requests have shown of a candidate before its first client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Side;

/// How a service's candidate has answered copies of clients' requests, compared with active, and active with itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Mirror)]
pub struct MirrorReport {
    pub service: String,
    /// The side that copies go to, or the one that the last comparison was about.
    pub candidate: Side,
    /// The version that the routing file gives it, or gave it then.
    #[serde(default)]
    pub version: Option<String>,
    /// This is the last comparison, of a rollout that is over or a candidate that is another one now.
    #[serde(default)]
    pub over: bool,
    /// Why no copies are sent now; `null` if they are.
    #[serde(default)]
    pub why: Option<String>,
    /// Whether copies are being sent now: at weight 0, where the routing file or a step of the rollout asks for them.
    pub sending: bool,
    /// The percentage of the requests that change nothing that are copied.
    pub share: f64,
    /// The rollout that the comparison belongs to.
    pub rollout: u32,
    /// The time since the first copy was sent.
    pub lasted_ms: u64,
    /// Copied requests that were compared.
    pub compared: u64,
    /// Copied requests to which active gave no answer, so that nothing could be compared. Its clients get an error of
    /// Cutover's own then.
    pub unanswered: u64,
    /// Why active did not answer the last of these, as in `refused the connection`.
    #[serde(default)]
    pub unanswered_why: Option<String>,
    /// Copied requests that were answered alike as far as their heads tell, with bodies that are compressed or too long.
    #[serde(default)]
    pub unread: u64,
    /// Since the process started: requests of which both sides were sent copies, and copies for which there was no room.
    pub copied: u64,
    pub dropped: u64,
    /// The number of groups that count.
    pub differences: u32,
    /// The differences, those that count first.
    pub groups: Vec<MirrorDifference>,
    /// Differences for which there was no room among the groups.
    pub left_out: u64,
}

/// One kind of difference on one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorDifference {
    /// With `{id}` for what looks like one.
    pub path: String,
    /// In words, as in `lacks total`.
    pub what: String,
    /// The whole in words, as in `/api/cart lacks total in 37 of 40`.
    pub text: String,
    /// Whether it is more than active shows against itself, and of a kind that a step of a rollout counts.
    pub counts: bool,
    /// In how many requests the candidate differs from active, and active not from itself.
    pub seen: u64,
    /// In how many requests active differs from itself, and the candidate not from it.
    pub noise: u64,
    /// The requests of this path that were compared.
    pub of: u64,
    pub example: Option<MirrorExample>,
}

/// One of the requests that differ. Secrets are shown as `***`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorExample {
    pub request: String,
    pub active: String,
    pub candidate: String,
}

/// What a comparison comes to so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorSummary {
    /// Whether copies are being sent now.
    pub sending: bool,
    pub compared: u64,
    /// The number of differences that count.
    pub differences: u32,
    /// The one that is seen most often, in words.
    pub worst: Option<String>,
}

impl MirrorReport {
    /// The same in short; `None` if there is nothing to tell of.
    pub fn summary(&self) -> Option<MirrorSummary> {
        let MirrorReport { sending, compared, differences, groups, over, .. } = self;
        let worst = groups.iter().find(|group| group.counts).map(|group| group.text.clone());
        let summary = MirrorSummary { sending: *sending, compared: *compared, differences: *differences, worst };
        (*sending || *compared > 0 && !over).then_some(summary)
    }
}
