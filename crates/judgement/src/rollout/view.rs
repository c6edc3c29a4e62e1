//! What is shown of a service: its roles and weights, its rollout, and what the judge makes of it.

use serde::Serialize;

use crate::guard::comparison::SidesCompared;
use crate::guard::sample_ratio::SplitReading;
use crate::guard::{GuardPolicy, Verdict};
use crate::rollout::gates::{GateView, RolloutGate};
use crate::rollout::held_rollback::HELD;
use crate::rollout::ledger::RolloutLedger;
use crate::rollout::outside_figures::FigureView;
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::replaced_side::OpenPages;
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_watch::GuardReading;
use crate::rollout::{DeployFreeze, DurableState, QuarantinedVersion, RollbackLatch, RuntimeOverlay, State, SuiteRun};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::RequestHold;

/// The current state of a service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceView {
    pub service: String,
    pub active: Environment,
    pub candidate: Environment,
    /// The candidate's share, in percent.
    pub weight: f64,
    pub stopped: bool,
    /// What health checks say, blue first.
    pub up: [bool; 2],
    /// Why only a person can raise the weight.
    pub latch: Option<RollbackLatch>,
    pub freeze: Option<DeployFreeze>,
    pub hold: Option<RequestHold>,
    pub rollout: Option<RolloutView>,
    /// The number of the rollout within its service.
    pub rollout_number: u32,
    pub versions: [Option<String>; 2],
    /// The side that was replaced, while it serves the pages that came from it.
    pub pages: Option<OpenPages>,
    /// Where deploys have sent the environments, instead of the file's URLs.
    pub origins: [Option<String>; 2],
    pub guard: GuardView,
    /// What the rollout has cost so far.
    pub ledger: Option<RolloutLedger>,
    /// The run of suites whose answer is awaited.
    pub run: Option<u64>,
    pub quarantine: Vec<QuarantinedVersion>,
    pub alerting: bool,
    pub overlay: RuntimeOverlay,
    pub routes: Vec<String>,
    /// The validation suites that the next version's plan names.
    pub gates: Vec<String>,
    pub rollout_gates: Vec<GateView>,
    /// Why no copies of requests are sent now; `None` if they are.
    pub no_copies: Option<String>,
}

/// The current version, or the last one.
#[derive(Clone, Debug, Serialize)]
pub struct RolloutView {
    pub version: Option<String>,
    pub environment: Environment,
    pub functions: Vec<String>,
    pub phase: RolloutPhase,
    /// Counted from 1.
    pub step: usize,
    pub steps: Vec<StepView>,
    /// What it is waiting for.
    pub waiting: Vec<WaitReason>,
    /// The same in words.
    pub waiting_for: Vec<String>,
    /// Judged requests at this step.
    pub requests: u64,
    /// How long it has been on this step, or watched.
    pub spent_ms: Millis,
    /// The least time until the promotion, at the present rate of requests; after it, the time until the watch ends.
    pub left_ms: Millis,
    /// Whether it is promoted and the guard is still watching.
    pub watching: bool,
    pub who: String,
    /// When it started, in milliseconds since 1970.
    pub at: u64,
    /// Why it ended or is paused.
    pub why: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// In percent.
    pub weight: f64,
    pub bake_ms: Millis,
    pub requests: u64,
    pub approve: bool,
    pub suites: Vec<String>,
    pub on_fail: OnFailure,
    /// Where copies of requests are compared: the most kinds of differences.
    pub differences: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GuardView {
    /// Whether the guard is on.
    pub monitoring: bool,
    /// One of [`GuardReading::NAMES`]; `None` if nothing is being judged.
    pub verdict: Option<&'static str>,
    pub why: Option<String>,
    /// The odds, to one, that the new side is worse.
    pub evidence: f64,
    /// The odds that cause a rollback.
    pub threshold: Option<f64>,
    /// The smallest failure rate that would have been detected by now.
    pub resolution: Option<f64>,
    pub caution: bool,
    /// The side that is judged: the candidate, or a promoted one that is still being watched.
    pub subject: Environment,
    /// How it and the other side differ at the present weight, if they are judged.
    pub compared: Option<SidesCompared>,
    /// Whether both sides get the shares that the weight promises, if that is judged.
    pub split: Option<SplitReading>,
    /// Figures from elsewhere.
    pub metrics: Vec<FigureView>,
}

impl GuardView {
    /// How the reason begins while a rollback waits for the side that it would go to.
    pub const HELD: &str = HELD;
}

impl ServiceView {
    /// Whether this rollout's version is being tried before its first client.
    pub fn tries(&self, rollout: u32) -> bool {
        self.rollout_number == rollout && self.rollout.as_ref().is_some_and(|own| own.phase == RolloutPhase::Preflight)
    }

    /// Whether an answer to this order is still awaited: the rollout may have moved on.
    pub fn awaits(&self, order: &SuiteRun) -> bool {
        self.service == order.service && self.run == Some(order.run)
    }
}

impl State {
    /// Every service that a file names, in the order of their names.
    pub fn views(&self, now: Millis) -> Vec<ServiceView> {
        let wall = self.wall(now);
        self.services.iter().map(|(name, service)| service.view(name, now, wall)).collect()
    }

    /// The gates of a service's rollouts.
    pub fn gates(&self, service: &str) -> Vec<RolloutGate> {
        self.services.get(service).map_or(Vec::new(), |service| service.gates.all().cloned().collect())
    }

    /// The policy that a service is judged by.
    pub fn policy(&self, service: &str) -> Option<&GuardPolicy> {
        self.services.get(service).map(|service| &service.policy)
    }
}

impl ServiceState {
    fn view(&self, name: &str, now: Millis, wall: u64) -> ServiceView {
        let durable = &self.durable;
        let waiting = self.waiting(now, wall);
        ServiceView {
            service: name.to_owned(),
            active: durable.active,
            candidate: durable.active.other(),
            weight: self.returning.map_or(durable.weight, |returning| returning.left).percent(),
            stopped: durable.stopped,
            up: self.up,
            latch: durable.latch.clone(),
            freeze: self.frozen(wall),
            hold: durable.held(wall),
            rollout: durable.release.as_ref().map(|release| rollout(release, waiting)),
            rollout_number: durable.rollout,
            versions: durable.versions.clone(),
            pages: self.open_pages(),
            origins: durable.origins.each_ref().map(|origin| origin.as_ref().map(|origin| origin.url.clone())),
            guard: self.guard(durable, now),
            ledger: self.book.as_ref().map(|book| book.ledger()),
            run: self.ordered.as_ref().map(|order| order.run),
            quarantine: durable.quarantine.clone(),
            alerting: !durable.silent,
            overlay: durable.overlay.clone(),
            routes: self.routes.clone(),
            gates: self
                .plan
                .suites
                .iter()
                .chain(self.plan.steps.iter().flat_map(|step| &step.suites))
                .cloned()
                .collect(),
            rollout_gates: self.gate_views(now),
            no_copies: self.no_copies_because(),
        }
    }

    fn guard(&self, durable: &DurableState, now: Millis) -> GuardView {
        let shown = self.watch.as_ref().map(|watch| watch.shown());
        let why = match shown.and_then(|shown| shown.verdict.as_ref()) {
            None => None,
            Some(Verdict::Healthy) => shown.and_then(|shown| shown.uncompared(durable.subject().other())),
            Some(Verdict::Unhealthy(reason)) => Some(reason.name.clone()),
            Some(Verdict::Insufficient { .. }) => shown.map(GuardReading::wanting),
        };
        let held = self.held.as_ref().and_then(|held| held.why.as_ref());
        let why = held.map(|held| format!("{}: {held}", GuardView::HELD)).or(why);
        GuardView {
            monitoring: !durable.unwatched,
            verdict: shown.and_then(GuardReading::name),
            why,
            evidence: shown.map_or(0.0, |shown| shown.evidence.iter().fold(0.0, |sum, part| sum + part)),
            threshold: self.policy.evidence.map(|budget| 1.0 / budget.alpha),
            resolution: shown.and_then(|shown| shown.resolution),
            caution: shown.is_some_and(|shown| shown.cautious),
            subject: durable.subject(),
            compared: shown.map(|shown| shown.compared),
            split: self.split.clone(),
            metrics: self.figure_views(now),
        }
    }
}

fn rollout(release: &Release, waiting: Vec<WaitReason>) -> RolloutView {
    let left = match release.phase {
        RolloutPhase::Promoted => release.plan.watch.since(release.spent),
        phase if phase.is_under_way() => release.left(),
        _ => Millis::ZERO,
    };
    let why = release.pause.as_ref().map(|pause| pause.why.clone()).or_else(|| release.why.clone());
    RolloutView {
        version: release.version.clone(),
        environment: release.environment,
        functions: release.functions.clone(),
        phase: release.phase,
        step: release.step + 1,
        steps: release
            .plan
            .steps
            .iter()
            .map(|step| StepView {
                weight: step.weight.percent(),
                bake_ms: step.bake,
                requests: step.requests,
                approve: step.approve,
                suites: step.suites.clone(),
                on_fail: step.on_fail,
                differences: step.mirror.map(|gate| gate.differences),
            })
            .collect(),
        waiting_for: waiting.iter().map(WaitReason::to_string).collect(),
        waiting,
        requests: release.requests,
        spent_ms: release.spent,
        left_ms: left,
        watching: release.is_watched(),
        who: release.who.clone(),
        at: release.at,
        why,
    }
}
