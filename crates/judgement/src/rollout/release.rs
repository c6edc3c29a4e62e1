//! One version on its way from candidate to active: its plan, where it is, and how long it has been there.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::rollout::plan::{PlanStep, RolloutPlan};
use crate::time::Millis;
use crate::traffic::Environment;

/// A version under way, or one that has ended: kept until the next one sets out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `None`: a share was raised step by step, and nobody said of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The side that it is on, whatever role that has by now.
    pub environment: Environment,
    /// The routes that it is limited to; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// As it was when the version set out: an edit of the file is for the next one.
    pub plan: RolloutPlan,
    pub phase: RolloutPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<ReleasePause>,
    /// The place of the step in the plan.
    pub step: usize,
    /// How long in this step, or in the watch, as last written down.
    pub spent: Millis,
    /// The candidate's judged requests in this step, as last written down.
    pub requests: u64,
    pub approved: bool,
    /// What the suites of this step came to; `None`: they still run, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<SuiteGate>,
    pub who: String,
    /// When it set out, in milliseconds since 1970.
    pub at: u64,
    /// Why it ended, or holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RolloutPhase {
    /// The new side is tried before any client meets it.
    Preflight,
    /// On one of the steps.
    Shifting,
    /// It has everything, and is not promoted yet.
    Baking,
    Paused,
    Promoted,
    RolledBack,
    Aborted,
}

/// What the suites of a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteGate {
    Passed,
    /// They failed, or could not be run: the rollout holds until a person has them run again.
    Held,
}

/// Why a rollout holds, and where it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePause {
    pub who: String,
    pub why: String,
    pub phase: RolloutPhase,
}

impl RolloutPhase {
    pub const ALL: &'static [RolloutPhase] = RolloutPhase::VARIANTS;

    /// As the journal, the API and the metrics have it.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Not ended yet.
    pub const fn is_under_way(self) -> bool {
        matches!(self, RolloutPhase::Preflight | RolloutPhase::Shifting | RolloutPhase::Baking | RolloutPhase::Paused)
    }
}

impl Release {
    /// At the first step of its plan.
    pub fn begin(plan: RolloutPlan, environment: Environment, who: String, at: u64) -> Release {
        Release {
            version: None,
            environment,
            functions: Vec::new(),
            plan,
            phase: RolloutPhase::Shifting,
            pause: None,
            step: 0,
            spent: Millis::ZERO,
            requests: 0,
            approved: false,
            gate: None,
            who,
            at,
            why: None,
        }
    }

    /// Clients meet it: past preflight, and not ended.
    pub fn is_live(&self) -> bool {
        match (self.phase, &self.pause) {
            (RolloutPhase::Paused, Some(pause)) => pause.phase != RolloutPhase::Preflight,
            (phase, _) => matches!(phase, RolloutPhase::Shifting | RolloutPhase::Baking),
        }
    }

    /// Promoted, and the guard still looks.
    pub fn is_watched(&self) -> bool {
        self.phase == RolloutPhase::Promoted && self.spent < self.plan.watch
    }

    pub fn current(&self) -> Option<&PlanStep> {
        self.plan.steps.get(self.step)
    }

    pub fn next(&self) -> Option<&PlanStep> {
        self.plan.steps.get(self.step + 1)
    }

    /// Stands at a step as if it had just come there.
    pub fn enter(&mut self, step: usize) {
        (self.step, self.spent, self.requests) = (step, Millis::ZERO, 0);
        (self.approved, self.gate) = (false, None);
        self.phase = if self.is_full() { RolloutPhase::Baking } else { RolloutPhase::Shifting };
        self.pause = None;
    }

    /// The suites that must still pass before this step is left; none where it is not stood on.
    pub fn suites_owed(&self) -> &[String] {
        let stands =
            matches!(self.phase, RolloutPhase::Shifting | RolloutPhase::Baking) && self.gate != Some(SuiteGate::Passed);
        self.current().filter(|_| stands).map_or(&[], |step| step.suites.as_slice())
    }

    /// It holds because suites have not passed.
    pub fn is_held(&self) -> bool {
        self.phase == RolloutPhase::Paused && self.gate == Some(SuiteGate::Held)
    }

    fn is_full(&self) -> bool {
        self.current().is_some_and(|step| step.weight >= self.plan.full())
    }

    /// The name that people know it by.
    pub fn title(&self) -> &str {
        self.version.as_deref().unwrap_or("the candidate")
    }
}
