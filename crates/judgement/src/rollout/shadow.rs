//! What copies of clients' requests have shown of a candidate, as it comes from outside.

use crate::rollout::plan::MirrorGate;
use crate::time::Millis;

/// The most characters of a difference in a reason: it is in every later entry.
const LONGEST_WORDS: usize = 300;

/// What the copies of a service's requests have shown so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowNews {
    pub service: String,
    pub rollout: u32,
    /// As the split has told it: what was compared for another one does not count.
    pub comparison: u32,
    /// How many requests were answered by both sides, or by active alone.
    pub compared: u64,
    /// How many more could not be compared, because their bodies are compressed or too long.
    pub unread: u64,
    /// How many more active did not answer, so that there was nothing to compare with.
    pub unanswered: u64,
    /// The time since the first of them was asked.
    pub lasted: Millis,
    /// How many kinds of differences there are, beyond what active shows against itself.
    pub differences: u32,
    /// The one that is seen most often, in words: `/api/cart lacks total in 37 of 40`.
    pub worst: Option<String>,
}

impl ShadowNews {
    /// `2 differences: /api/cart lacks total in 37 of 40`.
    pub(super) fn found(&self) -> String {
        let count = match self.differences {
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        let worst: String = self.worst.iter().flat_map(|worst| worst.chars().take(LONGEST_WORDS)).collect();
        if worst.is_empty() { count } else { format!("{count}: {worst}") }
    }

    pub(super) fn too_many(&self, gate: MirrorGate) -> String {
        let allowed = match gate.differences {
            0 => "none may be".to_owned(),
            most => format!("{most} may be"),
        };
        format!("{} ({allowed})", self.found())
    }
}
