//! The status of the services.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ComparedSides, Side, SplitShares};
use judgement::guard::evidence::grouped;
use judgement::rollout::FigureView;
use judgement::rollout::gate_hook::GateHook;
use judgement::rollout::gates::GateView;
use judgement::rollout::ledger::{RolloutLedger, rescues_in_words};
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::view::{GuardView, RolloutView, ServiceView};
use judgement::time::rfc3339;

/// The requested services. The ETag is the generation; figures that change within a generation (requests, elapsed time,
/// evidence) may be newer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub generation: u64,
    pub services: Vec<Service>,
    /// The names that a CA is asked for by `[acme]`.
    #[serde(default)]
    pub certificates: Vec<OrderedCertificate>,
}

/// The certificate of a name, and the orders for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderedCertificate {
    pub name: String,
    /// When it ends; `null` if there is none.
    pub until_ms: Option<u64>,
    pub until: Option<String>,
    /// Orders that have failed since the last that did not, and why the last one did.
    pub failures: u32,
    pub error: Option<String>,
    /// A client has asked for it, and no file names it.
    pub on_demand: bool,
}

/// The current state of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    pub service: String,
    pub active: Side,
    pub candidate: Side,
    /// The candidate's configured share, in percent.
    pub weight: f64,
    /// Whether an emergency stop is in force.
    pub stopped: bool,
    /// Set by a rollback: only a person can raise the weight again.
    pub latch: Option<Latched>,
    pub freeze: Option<Frozen>,
    /// New requests wait until then.
    pub hold: Option<HeldService>,
    /// The current rollout, or the last one.
    pub rollout: Option<Rollout>,
    /// Counts the rollouts of this service.
    pub rollout_number: u32,
    /// The versions deployed to blue and green.
    pub versions: EnvironmentPair,
    /// The side that was active before, while it serves the pages that came from it (`skew`).
    #[serde(default)]
    pub pages: Option<ServedPages>,
    /// The origins that deploys have set, if they differ from the file's.
    pub origins: EnvironmentPair,
    pub guard: GuardSummary,
    /// The other systems that a rollout asks before it goes on, or tells what it has done.
    #[serde(default)]
    pub gates: Vec<GateSummary>,
    /// What the rollout has cost so far.
    pub ledger: Option<RolloutCost>,
    /// What copies of requests show of the candidate, before its first client.
    #[serde(default)]
    pub mirror: Option<super::MirrorSummary>,
    /// Versions that cannot be deployed again without `force`.
    pub quarantine: Vec<Quarantine>,
    /// Whether notices are sent.
    pub alerting: bool,
    pub overlay: OverlaySummary,
    pub routes: Vec<String>,
    /// Traffic of the last minute, by environment.
    pub last_minute: Vec<super::EnvironmentTraffic>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Pair)]
pub struct EnvironmentPair {
    pub blue: Option<String>,
    pub green: Option<String>,
}

impl From<[Option<String>; 2]> for EnvironmentPair {
    fn from([blue, green]: [Option<String>; 2]) -> EnvironmentPair {
        EnvironmentPair { blue, green }
    }
}

/// The pages of a version that was replaced, as long as their own side serves what they call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedPages {
    pub environment: Side,
    pub version: String,
    pub until_ms: u64,
    pub until: String,
    /// The requests that have gone to this environment because their page came from there, since Cutover started.
    pub requests: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Latched {
    pub reason: String,
    /// The number of the rollback's journal entry.
    pub entry: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frozen {
    pub who: String,
    pub why: String,
    /// `null`: until someone lifts the freeze.
    pub until_ms: Option<u64>,
    pub until: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldService {
    pub until_ms: u64,
    pub until: String,
    /// The most requests that wait at once.
    pub max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    pub version: String,
    /// The number of the rollback's journal entry.
    pub entry: u64,
}

/// What was set at run time on top of the routing file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Laid)]
pub struct OverlaySummary {
    pub rules: Vec<String>,
    pub triggers: Vec<String>,
    /// Health checks that are switched off.
    pub health_off: Vec<String>,
}

/// The current rollout, or the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    pub version: Option<String>,
    pub environment: Side,
    /// The routes that it is limited to; empty for all.
    pub functions: Vec<String>,
    /// One of `preflight`, `shifting`, `baking`, `paused`, `promoted`, `rolled_back` and `aborted`.
    #[schema(value_type = String)]
    pub phase: RolloutPhase,
    /// Counted from 1.
    pub step: usize,
    pub steps: Vec<RolloutStep>,
    /// What the current step is waiting for, in words.
    pub waiting_for: Vec<String>,
    /// Judged requests at this step.
    pub requests: u64,
    pub spent_ms: u64,
    /// The least time until the promotion, at the present rate of requests; after it, the time until the watch ends.
    pub left_ms: u64,
    /// Whether it is promoted and the guard is still watching.
    pub watching: bool,
    pub who: String,
    /// When it started.
    pub at_ms: u64,
    pub at: String,
    /// Why it ended or is paused.
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Step)]
pub struct RolloutStep {
    pub weight: f64,
    pub bake_ms: u64,
    pub requests: u64,
    /// Whether a person must approve before the step is left.
    pub approve: bool,
    /// Validation suites that must pass before the step is left.
    #[serde(default)]
    pub suites: Vec<String>,
    /// What happens if one of them fails: `rollback` or `hold`.
    #[serde(default)]
    pub on_fail: String,
    /// At a step without clients, where copies of their requests are compared: the most kinds of differences with which it
    /// is passed. `null` at every other step.
    #[serde(default)]
    pub differences: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Guard)]
pub struct GuardSummary {
    /// Whether the guard is on.
    pub monitoring: bool,
    /// One of `healthy`, `unhealthy`, `insufficient` and `not_compared` (the side has all of the traffic, nothing is known
    /// of what the other one did, and no trigger has fired); `null` if nothing is being judged.
    pub verdict: Option<String>,
    pub why: Option<String>,
    /// The odds, to one, that the new side is worse.
    pub evidence: f64,
    /// The odds that cause a rollback.
    pub threshold: Option<f64>,
    /// The smallest failure rate that would have been detected by now.
    pub resolution: Option<f64>,
    pub caution: bool,
    /// The environment that is judged: the candidate, or a promoted one that is still being watched. The other one is the
    /// `active` that it is compared with.
    pub subject: Side,
    /// How the two sides differ at the present weight; `null` if nothing is being judged.
    #[serde(default)]
    pub compared: Option<ComparedSides>,
    /// Whether both sides get the shares that the weight promises; `null` if that is not judged.
    #[serde(default)]
    pub split: Option<SplitShares>,
    /// The figures of other systems that the guard judges too.
    #[serde(default)]
    pub metrics: Vec<MetricFigure>,
}

/// The last figure of another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricFigure {
    pub name: String,
    /// Of the candidate, or of a promoted version that is still watched; 1 and 0 for pass and fail.
    pub value: Option<f64>,
    /// Of the other environment, if the two are compared.
    pub active: Option<f64>,
    /// One of `good`, `bad` and `no_data`.
    pub verdict: String,
    /// The time since it was asked for.
    pub age_ms: Option<u64>,
    /// What was seen, or why there is no figure.
    pub why: String,
}

impl From<FigureView> for MetricFigure {
    fn from(view: FigureView) -> MetricFigure {
        let FigureView { name, value, active, verdict, age_ms, why } = view;
        MetricFigure { name, value, active, verdict: verdict.to_owned(), age_ms: age_ms.map(|age| age.0), why }
    }
}

/// Another system that a rollout asks or tells, with its last answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Gate)]
pub struct GateSummary {
    pub name: String,
    /// When it is asked: one of `confirm-rollout`, `pre-rollout`, `rollout`, `confirm-traffic-increase`,
    /// `confirm-promotion`, `post-rollout`, `rollback` and `event`.
    #[schema(value_type = String)]
    pub hook: GateHook,
    /// One of `passed`, `failed` and `not_asked`.
    pub verdict: String,
    /// The time since it was asked.
    pub age_ms: Option<u64>,
    /// What it answered.
    pub why: String,
}

impl From<GateView> for GateSummary {
    fn from(view: GateView) -> GateSummary {
        let GateView { name, hook, verdict, age_ms, why } = view;
        GateSummary { name, hook, verdict: verdict.to_owned(), age_ms: age_ms.map(|age| age.0), why }
    }
}

/// What a rollout has cost its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Cost)]
pub struct RolloutCost {
    pub rollout: u32,
    pub requests: u64,
    /// Of these, those whose client left before it was answered.
    pub left: u64,
    /// Requests to the candidate that have neither been answered nor given up.
    pub waiting: u64,
    /// An estimate of the distinct sticky keys.
    pub keys: u64,
    pub failed: u64,
    /// Of these, those that active served instead.
    pub rescued: u64,
    /// Of these, those that active was asked to serve: some of them it may have failed too.
    #[serde(default)]
    pub rescues_tried: u64,
    /// Requests whose client saw a failure.
    pub hurt: u64,
    pub turned_away: u64,
    pub cautions: u32,
    /// Whether the figures are final.
    pub closed: bool,
}

impl From<RolloutLedger> for RolloutCost {
    fn from(ledger: RolloutLedger) -> RolloutCost {
        let RolloutLedger { rollout, requests, left, waiting, keys, failed, hurt, turned_away, .. } = ledger;
        let RolloutLedger { cautions, closed, rescued: rescues_tried, .. } = ledger;
        let rescued = ledger.served_again();
        RolloutCost {
            rollout,
            requests,
            left,
            waiting,
            keys,
            failed,
            rescued,
            rescues_tried,
            hurt,
            turned_away,
            cautions,
            closed,
        }
    }
}

impl RolloutCost {
    /// `31 requests, 14 failed, 12 rescued (of 14 tried), 2 seen by clients, 3 left by clients`.
    pub fn sentence(&self) -> String {
        let RolloutCost { requests, failed, rescued, rescues_tried, hurt, left, .. } = *self;
        let [requests, failed, hurt] = [requests, failed, hurt].map(grouped);
        let rescues = rescues_in_words(rescued, rescues_tried);
        let left = if left > 0 { format!(", {} left by clients", grouped(left)) } else { String::new() };
        format!("{requests} requests, {failed} failed, {rescues}, {hurt} seen by clients{left}")
    }
}

impl From<GuardView> for GuardSummary {
    fn from(view: GuardView) -> GuardSummary {
        let GuardView {
            monitoring,
            verdict,
            why,
            evidence,
            threshold,
            resolution,
            caution,
            subject,
            compared,
            split,
            metrics,
        } = view;
        let subject = subject.into();
        let (compared, split) = (compared.map(ComparedSides::from), split.map(SplitShares::from));
        let (verdict, metrics) = (verdict.map(str::to_owned), metrics.into_iter().map(MetricFigure::from).collect());
        GuardSummary {
            monitoring,
            verdict,
            why,
            evidence,
            threshold,
            resolution,
            caution,
            subject,
            compared,
            split,
            metrics,
        }
    }
}

impl From<RolloutView> for Rollout {
    fn from(view: RolloutView) -> Rollout {
        let steps = view.steps.into_iter().map(|step| RolloutStep {
            weight: step.weight,
            bake_ms: step.bake_ms.0,
            requests: step.requests,
            approve: step.approve,
            suites: step.suites,
            on_fail: step.on_fail.name().to_owned(),
            differences: step.differences,
        });
        Rollout {
            version: view.version,
            environment: view.environment.into(),
            functions: view.functions,
            phase: view.phase,
            step: view.step,
            steps: steps.collect(),
            waiting_for: view.waiting_for,
            requests: view.requests,
            spent_ms: view.spent_ms.0,
            left_ms: view.left_ms.0,
            watching: view.watching,
            who: view.who,
            at_ms: view.at,
            at: rfc3339(view.at),
            why: view.why,
        }
    }
}

impl Service {
    /// What is shown of a service; what copies of requests show is still to be filled in.
    pub fn of(view: ServiceView, last_minute: Vec<super::EnvironmentTraffic>) -> Service {
        let overlay = view.overlay;
        Service {
            service: view.service,
            active: view.active.into(),
            candidate: view.candidate.into(),
            weight: view.weight,
            stopped: view.stopped,
            latch: view.latch.map(|latch| Latched { reason: latch.reason, entry: latch.entry }),
            freeze: view.freeze.map(|freeze| Frozen {
                who: freeze.who,
                why: freeze.why,
                until_ms: freeze.until,
                until: freeze.until.map(rfc3339),
            }),
            hold: view.hold.map(|hold| HeldService {
                until_ms: hold.until,
                until: rfc3339(hold.until),
                max: hold.most,
            }),
            rollout: view.rollout.map(Rollout::from),
            rollout_number: view.rollout_number,
            versions: view.versions.into(),
            pages: view.pages.map(|pages| ServedPages {
                environment: pages.environment.into(),
                version: pages.version,
                until_ms: pages.until,
                until: rfc3339(pages.until),
                requests: 0,
            }),
            origins: view.origins.into(),
            guard: view.guard.into(),
            gates: view.rollout_gates.into_iter().map(GateSummary::from).collect(),
            ledger: view.ledger.map(RolloutCost::from),
            mirror: None,
            quarantine: view
                .quarantine
                .into_iter()
                .map(|old| Quarantine { version: old.version, entry: old.entry })
                .collect(),
            alerting: view.alerting,
            overlay: OverlaySummary {
                rules: overlay.rules.into_keys().collect(),
                triggers: overlay.triggers.into_keys().collect(),
                health_off: overlay.health_off.into_iter().collect(),
            },
            routes: view.routes,
            last_minute,
        }
    }
}

/// The safety of the services: latches, guard and costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Safety {
    pub generation: u64,
    pub safety: Vec<ServiceSafety>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceSafety {
    pub service: String,
    pub latch: Option<Latched>,
    pub stopped: bool,
    pub guard: GuardSummary,
    pub alerting: bool,
    /// Whether there is a share or a promotion to take back.
    pub can_roll_back: bool,
    pub ledger: Option<RolloutCost>,
    /// The last rollback.
    pub last_rollback: Option<super::HistoryEntry>,
}

/// The results of the health checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthReport {
    pub health: Vec<ServiceHealth>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceHealth {
    pub service: String,
    /// Blue, then green.
    pub environments: Vec<EnvironmentHealth>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentHealth {
    pub environment: Side,
    /// `false` if the checks report it as down; it then gets no requests.
    pub up: bool,
    /// The number of addresses that its origin resolves to.
    pub endpoints: usize,
    pub checks: Vec<CheckHealth>,
}

/// A health check of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckHealth {
    pub check: String,
    pub kind: String,
    /// `false` if it is switched off.
    pub on: bool,
    pub up: bool,
    /// It goes down and up so often that its turns are not told.
    #[serde(default)]
    pub flapping: bool,
    /// How long it has been up or down.
    pub since_ms: u64,
    pub rounds: u64,
    pub failures: u64,
    pub last_error: Option<String>,
}
