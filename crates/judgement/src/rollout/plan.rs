//! The plan of a rollout: its steps, and what it takes to leave each.

use serde::{Deserialize, Serialize};

use crate::time::Millis;
use crate::traffic::split::Weight;

/// A weight, and the conditions for leaving it. A healthy verdict is always one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    pub weight: Weight,
    /// Minimum time at this weight.
    pub bake: Millis,
    /// Minimum number of the candidate's judged requests.
    pub requests: u64,
    /// Whether a person must approve.
    #[serde(default)]
    pub approve: bool,
    /// Suites that must have passed. They run while it bakes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
    /// What happens if one of them fails, or the copies differ by more than they may.
    #[serde(default, skip_serializing_if = "OnFailure::is_rollback")]
    pub on_fail: OnFailure,
    /// At weight 0: what copies of clients' requests must show before the first client. `bake` is how long they are
    /// compared, and `requests` is how many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorGate>,
}

/// What the copies of clients' requests may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorGate {
    /// The most kinds of differences with which the step is passed.
    pub differences: u32,
}

/// What becomes of a rollout whose suite fails, or whose time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Roll it back.
    #[default]
    Rollback,
    /// Pause it until a person resumes it or rolls it back.
    Hold,
}

impl OnFailure {
    pub const fn name(self) -> &'static str {
        match self {
            OnFailure::Rollback => "rollback",
            OnFailure::Hold => "hold",
        }
    }

    fn is_rollback(&self) -> bool {
        *self == OnFailure::Rollback
    }
}

impl PlanStep {
    /// A step without suites or approval.
    pub const fn new(weight: Weight, bake: Millis, requests: u64) -> PlanStep {
        let on_fail = OnFailure::Rollback;
        PlanStep { weight, bake, requests, approve: false, suites: Vec::new(), on_fail, mirror: None }
    }
}

/// How a version goes from no traffic to all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutPlan {
    /// In ascending order; the last one is everything, or everything except the holdback.
    pub steps: Vec<PlanStep>,
    /// How long the guard keeps watching the new side after the promotion.
    pub watch: Millis,
    /// What stays on the old side meanwhile, as a live baseline.
    pub holdback: Weight,
    pub warm_up: WarmUp,
    /// How long it may be under way, without the time for which it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// What happens then.
    #[serde(default, skip_serializing_if = "OnFailure::is_rollback")]
    pub on_deadline: OnFailure,
    /// Over how long a rollback moves the clients, so that a side that has served nobody can warm up; zero: at once.
    #[serde(default, skip_serializing_if = "is_at_once")]
    pub return_over: Millis,
    /// How long the preflight waits for a new side that is still starting.
    #[serde(default = "RolloutPlan::ready_within")]
    pub ready_within: Millis,
    /// Suites that must pass before the first client. If one fails, the rollout ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
}

/// Requests to the new side before any client's, to absorb cold starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmUp {
    pub requests: u32,
    pub path: String,
}

fn is_at_once(length: &Millis) -> bool {
    *length == Millis::ZERO
}

impl RolloutPlan {
    /// The judged requests that a step needs if the file does not say.
    pub const REQUESTS: u64 = 20;
    pub const BAKE: Millis = Millis::seconds(120);
    pub const WATCH: Millis = Millis::seconds(600);
    pub const READY_WITHIN: Millis = Millis::seconds(30);

    /// Of a plan that was stored before it had this.
    fn ready_within() -> Millis {
        RolloutPlan::READY_WITHIN
    }

    /// 10, 25, 50, 75 and 100 %.
    pub fn standard() -> RolloutPlan {
        let weights = [1000, 2500, 5000, 7500, 10_000].into_iter().flat_map(Weight::from_basis_points);
        let step = |weight| PlanStep::new(weight, RolloutPlan::BAKE, RolloutPlan::REQUESTS);
        let warm_up = WarmUp { requests: 3, path: "/".to_owned() };
        RolloutPlan {
            steps: weights.map(step).collect(),
            watch: RolloutPlan::WATCH,
            holdback: Weight::ZERO,
            warm_up,
            deadline: None,
            on_deadline: OnFailure::Rollback,
            return_over: Millis::ZERO,
            ready_within: RolloutPlan::READY_WITHIN,
            suites: Vec::new(),
        }
    }

    /// The highest weight that the candidate gets.
    pub fn full(&self) -> Weight {
        self.holdback.rest()
    }

    /// The plan as far as `target`: the steps below it, and one at it, with the conditions of the step that it cuts
    /// short.
    pub fn up_to(&self, target: Weight) -> RolloutPlan {
        let mut steps: Vec<PlanStep> = self.steps.iter().filter(|step| step.weight < target).cloned().collect();
        if let Some(step) = self.steps.iter().find(|step| step.weight >= target).or(self.steps.last()) {
            steps.push(PlanStep { weight: target, ..step.clone() });
        }
        RolloutPlan { steps, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_was_stored_without_a_time_to_start_has_the_usual_one() {
        let mut stored = serde_json::to_value(RolloutPlan::standard()).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("ready_within").is_some());
        let read: RolloutPlan = serde_json::from_value(stored).unwrap();
        assert_eq!(read, RolloutPlan::standard());
    }
}
