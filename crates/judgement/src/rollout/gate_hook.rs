//! When gates are asked, and how far they are at a step. The names of the hooks, and what they mean, are Flagger's.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::time::Millis;

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum GateHook {
    /// Before a version is tried at all: the rollout waits until the gate passes.
    ConfirmRollout,
    /// Once it is ready, before its first client.
    PreRollout,
    /// At every step, again and again.
    Rollout,
    /// Before each raise of the weight: the rollout waits until the gate passes.
    ConfirmTrafficIncrease,
    /// Before the promotion: the rollout waits until the gate passes.
    ConfirmPromotion,
    /// After its end.
    PostRollout,
    /// As long as it is under way or watched: a pass takes it back.
    Rollback,
    /// With every announcement.
    Event,
}

impl GateHook {
    pub const ALL: &'static [GateHook] = GateHook::VARIANTS;

    /// The name in the file, the journal, the API and the metrics.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Whether a rollout waits, within a bound, until the gate passes.
    pub const fn confirms(self) -> bool {
        matches!(self, GateHook::ConfirmRollout | GateHook::ConfirmTrafficIncrease | GateHook::ConfirmPromotion)
    }

    /// Whether its failures end the rollout.
    pub const fn counts(self) -> bool {
        matches!(self, GateHook::PreRollout | GateHook::Rollout)
    }

    /// Whether the gate is only told something: whatever it answers, nothing waits for it.
    pub const fn is_told(self) -> bool {
        matches!(self, GateHook::PostRollout | GateHook::Event)
    }
}

/// How far a step's gates are. Stored, so that a restart does not wait for them as long again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateProgress {
    /// The gates that people have been told of at this step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// The hook that the rollout waits for, and for how long it has, without pauses and freezes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<GateHook>,
    pub waited: Millis,
    /// The rollout has ended, and `post-rollout` has not been answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub owed: bool,
}

impl GateProgress {
    pub(super) fn is_none(&self) -> bool {
        *self == GateProgress::default()
    }
}
