//! One version on its way from candidate to active: its plan, where it is, and how long it has been there.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::rollout::forecast::time_of;
use crate::rollout::gate_hook::GateProgress;
use crate::rollout::plan::{PlanStep, RolloutPlan};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

/// The current version, or one that has ended: kept until the next one starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `None` if a share was raised step by step without naming a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The side that it is on, whatever role that has now.
    pub environment: Environment,
    /// Where it was when it started: what is there later is another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The Host that it was sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The hosts of the service then; empty for all, `None` if nobody has noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Vec<String>>,
    /// Where the side was that it replaced when it was promoted: what is there later is no safe place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// A person's word that it is promoted as soon as it has passed its preflight.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rescue: bool,
    /// It goes on while others are frozen, on record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes_freeze: bool,
    /// The routes that it is limited to; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// The plan as it was when the version started: an edit of the file applies to the next one.
    pub plan: RolloutPlan,
    pub phase: RolloutPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<ReleasePause>,
    /// The index of the step in the plan.
    pub step: usize,
    /// How long it has been in this step or in the watch, as last stored.
    pub spent: Millis,
    /// The candidate's judged requests in this step, as last stored.
    pub requests: u64,
    /// How long it has been under way, without pauses, as last stored.
    #[serde(default)]
    pub lasted: Millis,
    pub approved: bool,
    /// People have been told that this step waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// The result of this step's suites; `None` if they are still running or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<SuiteGate>,
    /// Counts how often the copies of this step are compared from the beginning.
    #[serde(default, skip_serializing_if = "is_first")]
    pub comparison: u32,
    /// How far this step's gates are.
    #[serde(default, skip_serializing_if = "GateProgress::is_none")]
    pub gates: GateProgress,
    pub who: String,
    /// When it started, in milliseconds since 1970.
    pub at: u64,
    /// Why it ended or is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

fn is_first(comparison: &u32) -> bool {
    *comparison == 0
}

/// The phase of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RolloutPhase {
    /// The new side is tried before any client reaches it.
    Preflight,
    /// On one of the steps.
    Shifting,
    /// It has all the traffic, and is not promoted yet.
    Baking,
    Paused,
    Promoted,
    RolledBack,
    Aborted,
}

/// The result of a step's suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteGate {
    Passed,
    /// They failed or could not be run: the rollout is paused until a person has them run again.
    Held,
}

/// Why a rollout is paused, and where it resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePause {
    pub who: String,
    pub why: String,
    pub phase: RolloutPhase,
}

impl RolloutPhase {
    pub const ALL: &'static [RolloutPhase] = RolloutPhase::VARIANTS;

    /// The name in the journal, the API and the metrics.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Whether it has not ended yet.
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
            url: None,
            host: None,
            served: None,
            replaced: None,
            rescue: false,
            passes_freeze: false,
            functions: Vec::new(),
            plan,
            phase: RolloutPhase::Shifting,
            pause: None,
            step: 0,
            spent: Millis::ZERO,
            requests: 0,
            lasted: Millis::ZERO,
            approved: false,
            told: false,
            gate: None,
            comparison: 0,
            gates: GateProgress::default(),
            who,
            at,
            why: None,
        }
    }

    /// Whether clients reach it: past preflight, and not ended.
    pub fn is_live(&self) -> bool {
        match (self.phase, &self.pause) {
            (RolloutPhase::Paused, Some(pause)) => pause.phase != RolloutPhase::Preflight,
            (phase, _) => matches!(phase, RolloutPhase::Shifting | RolloutPhase::Baking),
        }
    }

    /// Whether it is promoted and the guard is still watching.
    pub fn is_watched(&self) -> bool {
        self.phase == RolloutPhase::Promoted && self.spent < self.plan.watch
    }

    pub fn current(&self) -> Option<&PlanStep> {
        self.plan.steps.get(self.step)
    }

    /// The candidate's judged requests a second at this step so far; 0 before the first.
    pub fn requests_a_second(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { 1000.0 * self.requests as f64 / self.spent.0.max(1) as f64 }
    }

    /// The least time until the last step is over: the bake times, or longer where the requests that are wanted come more
    /// slowly, at the rate of this step so far.
    pub fn left(&self) -> Millis {
        let here = self.current().map_or(Weight::ZERO, |step| step.weight).ratio();
        let rate = self.requests_a_second();
        let steps = self.plan.steps.iter().enumerate().skip(self.step);
        let left = steps.map(|(at, step)| {
            let (spent, seen) = if at == self.step { (self.spent, self.requests) } else { (Millis::ZERO, 0) };
            let wanted = step.requests.saturating_sub(seen) as f64;
            // Before the first request nobody knows.
            let requests = time_of(wanted, rate * step.weight.ratio() / here).unwrap_or_default();
            step.bake.since(spent).max(requests)
        });
        left.fold(Millis::ZERO, Millis::plus)
    }

    pub fn next(&self) -> Option<&PlanStep> {
        self.plan.steps.get(self.step + 1)
    }

    /// Enters a step as if it had just arrived there.
    pub fn enter(&mut self, step: usize) {
        (self.step, self.spent, self.requests) = (step, Millis::ZERO, 0);
        (self.approved, self.told, self.gate, self.gates) = (false, false, None, GateProgress::default());
        self.phase = if self.is_full() { RolloutPhase::Baking } else { RolloutPhase::Shifting };
        self.pause = None;
    }

    /// A person wants to see again whether the copies differ, where that has held it.
    pub(super) fn compare_anew(&mut self) {
        if self.is_held() && self.mirrors() {
            (self.spent, self.comparison) = (Millis::ZERO, self.comparison + 1);
        }
    }

    /// The suites that must still pass before this step is left; none if it is not on a step.
    pub fn suites_owed(&self) -> &[String] {
        let stands =
            matches!(self.phase, RolloutPhase::Shifting | RolloutPhase::Baking) && self.gate != Some(SuiteGate::Passed);
        self.current().filter(|_| stands).map_or(&[], |step| step.suites.as_slice())
    }

    /// Whether it stands at a step at which copies are compared, paused or not.
    pub fn mirrors(&self) -> bool {
        self.is_live() && self.current().is_some_and(|step| step.mirror.is_some())
    }

    /// Whether it is paused because suites have not passed.
    pub fn is_held(&self) -> bool {
        self.phase == RolloutPhase::Paused && self.gate == Some(SuiteGate::Held)
    }

    fn is_full(&self) -> bool {
        self.current().is_some_and(|step| step.weight >= self.plan.full())
    }

    /// Its name for human readers.
    pub fn title(&self) -> &str {
        self.version.as_deref().unwrap_or("the candidate")
    }
}
