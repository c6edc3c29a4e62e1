//! Gates: other systems that a rollout asks before it goes on, or tells what it has done.

use std::fmt;

use serde::Serialize;

use crate::rollout::Announcement;
use crate::rollout::gate_hook::GateHook;
use crate::rollout::plan::OnFailure;
use crate::rollout::release::RolloutPhase;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

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
    /// The routes that it is limited to; empty for all.
    pub functions: Vec<String>,
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
