//! What a deploy would come to: how long each step of its plan takes, and what it can see.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Side;
use judgement::rollout::forecast::{RolloutForecast, StepForecast, StepLimit, StepSight};

/// The plan of a service's next version, at a rate of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Plan)]
pub struct DeployPlan {
    pub service: String,
    pub version: Option<String>,
    /// Where it would be deployed.
    pub environment: Side,
    /// The routes that it would be limited to; empty for all.
    pub functions: Vec<String>,
    pub traffic: PlanTraffic,
    pub steps: Vec<DeployPlanStep>,
    /// The least time to the promotion; `null` if it never comes at this rate.
    pub least_ms: Option<u64>,
    /// How long the guard keeps watching after the promotion.
    pub watch_ms: u64,
    /// What to know before it begins, in words.
    pub warnings: Vec<String>,
    /// What the figures leave out, in words.
    pub notes: Vec<String>,
}

/// The requests that a plan reckons with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanTraffic {
    /// Requests a second of both environments together.
    pub rate: f64,
    /// Whether the caller named the rate.
    pub named: bool,
    /// The requests of the last hour.
    pub requests: u64,
    /// The period that they cover: less than an hour if the process is younger than that.
    pub over_ms: u64,
    /// Of active's requests, in percent.
    pub error_rate: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanStep)]
pub struct DeployPlanStep {
    /// In percent.
    pub weight: f64,
    pub bake_ms: u64,
    /// The least number of judged requests.
    pub wanted: u64,
    pub approve: bool,
    pub suites: Vec<String>,
    /// The least time at this step; `null` if it never ends at this rate.
    pub least_ms: Option<u64>,
    /// What takes that long: `bake`, `requests` or `verdict`.
    pub limit: String,
    /// The candidate's requests to expect in that time.
    pub requests: f64,
    /// The smallest failure rate, in percent, that 95 of 100 rollouts would have found by the end of the step; `null` if
    /// none.
    pub shows: Option<f64>,
    /// Who could see a fault: `evidence`; `nothing`, because the step is too short; `triggers`, because the guard has
    /// nothing to compare with or weighs no evidence; or `copies` of requests, before the first client.
    pub sight: String,
    /// The failure rate that should show for a verdict, in percent.
    pub enough: f64,
}

impl DeployPlan {
    /// The plan of a version of a service. Its `version` and `functions` are still to be filled in.
    pub fn of(service: String, environment: Side, traffic: PlanTraffic, forecast: RolloutForecast) -> DeployPlan {
        let (warnings, notes) = (forecast.warnings(), forecast.notes());
        DeployPlan {
            service,
            version: None,
            environment,
            functions: Vec::new(),
            traffic,
            least_ms: forecast.least.map(|least| least.0),
            steps: forecast.steps.into_iter().map(DeployPlanStep::from).collect(),
            watch_ms: forecast.watch.0,
            warnings,
            notes,
        }
    }
}

impl From<StepForecast> for DeployPlanStep {
    fn from(forecast: StepForecast) -> DeployPlanStep {
        let StepForecast { plan, least, limit, requests, sight, enough } = forecast;
        let (shows, sight) = match sight {
            StepSight::Shows(rate) => (Some(100.0 * rate), "evidence"),
            StepSight::Nothing => (None, "nothing"),
            StepSight::Alone | StepSight::NoEvidence => (None, "triggers"),
            StepSight::Copies => (None, "copies"),
        };
        let limit = match limit {
            StepLimit::Bake => "bake",
            StepLimit::Requests => "requests",
            StepLimit::Verdict => "verdict",
        };
        DeployPlanStep {
            weight: plan.weight.percent(),
            bake_ms: plan.bake.0,
            wanted: plan.requests,
            approve: plan.approve,
            suites: plan.suites,
            least_ms: least.map(|least| least.0),
            limit: limit.to_owned(),
            requests,
            shows,
            sight: sight.to_owned(),
            enough: 100.0 * enough,
        }
    }
}
