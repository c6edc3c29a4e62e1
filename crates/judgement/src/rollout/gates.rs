//! Gates: other systems that a rollout asks before it goes on, or tells what it has done. The names of the hooks, and
//! what they mean, are Flagger's.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::rollout::Announcement;
use crate::rollout::plan::OnFailure;
use crate::rollout::release::RolloutPhase;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

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

/// A gate as the routing file has it, without what it takes to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutGate {
    pub name: String,
    pub hook: GateHook,
    /// The scheme and the host, which people are shown.
    pub host: String,
    /// Of all that is sent, and where to: an answer to another question says nothing about this one.
    pub question: u64,
    /// From one question to the next.
    pub every: Millis,
    /// For each attempt.
    pub timeout: Millis,
    /// Further attempts at one question.
    pub retries: u32,
    /// So many failures in a row end the rollout, where they count.
    pub threshold: u32,
    /// How long a rollout waits for it, where it confirms.
    pub deadline: Millis,
    pub on_deadline: OnFailure,
}

impl RolloutGate {
    /// The pause before the next attempt, after so many failed ones.
    pub fn pause(failed: u32) -> Millis {
        const FIRST: u64 = 500;
        const LONGEST: u64 = 10_000;
        Millis((FIRST << failed.clamp(1, 10)).min(LONGEST))
    }

    /// How long all attempts at one question take at most.
    pub fn patience(&self) -> Millis {
        let pauses = (1..=self.retries).map(RolloutGate::pause);
        pauses.fold(Millis(self.timeout.0 * (u64::from(self.retries) + 1)), Millis::plus)
    }
}

impl fmt::Display for RolloutGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gate `{}` ({})", self.name, self.hook.name())
    }
}

/// What a gate has answered: that it passes, or why not, such as `403 Forbidden`.
pub type GateAnswer = Result<String, String>;

/// A question that somebody must ask, and report the answer as [`Event::Gated`](crate::rollout::Event::Gated).
#[derive(Clone, Debug, PartialEq)]
pub struct GateRequest {
    pub service: String,
    /// The gate's name.
    pub gate: String,
    pub hook: GateHook,
    /// An answer with another number is not awaited any more.
    pub number: u64,
    /// What the rollout is about.
    pub version: Option<String>,
    pub environment: Environment,
    pub rollout: u32,
    /// `None` if no rollout is known.
    pub phase: Option<RolloutPhase>,
    pub weight: Weight,
    /// What the weight is raised to, before a raise.
    pub next_weight: Option<Weight>,
    /// Counted from 1; 0 before the first step.
    pub step: usize,
    pub steps: usize,
    /// What is told, of an `event`.
    pub event: Option<Announcement>,
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

/// What is shown of a gate.
#[derive(Clone, Debug, Serialize)]
pub struct GateView {
    pub name: String,
    pub hook: GateHook,
    /// One of `passed`, `failed` and `not_asked`: the last answer, for this rollout.
    pub verdict: &'static str,
    /// How long ago it was asked.
    pub age_ms: Option<Millis>,
    /// What it answered.
    pub why: String,
}
