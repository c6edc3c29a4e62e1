//! One service as the state keeps it: its durable part, its watch, and the clock of its step.

use serde::Serialize;

use crate::guard::GuardPolicy;
use crate::guard::sample_ratio::SplitReading;
use crate::rollout::SplitRequest;
use crate::rollout::durable_state::{DeployFreeze, DurableState};
use crate::rollout::figure_history::OutsideFigures;
use crate::rollout::forecast::time_of;
use crate::rollout::freeze_window::FreezeWindow;
use crate::rollout::gate_history::RolloutGates;
use crate::rollout::handed_watch::HandedWatch;
use crate::rollout::held_rollback::{GradualReturn, HELD, HeldRollback, LastServed};
use crate::rollout::journal_entries::Component;
use crate::rollout::ledger::OpenLedger;
use crate::rollout::plan::{PlanStep, RolloutPlan};
use crate::rollout::premises::{FilePremises, share_a_url};
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_watch::{GuardReading, ServiceWatch};
use crate::rollout::shadow::ShadowNews;
use crate::rollout::suite_run::{SuiteRun, suites};
use crate::rollout::told_news::WaitingNews;
use crate::time::Millis;
use crate::traffic::Environment;

/// Progress is stored this often: a restart repeats the bake time since then.
const KEEP: Millis = Millis::seconds(5);

#[derive(Clone, Debug)]
pub(super) struct ServiceState {
    pub(super) durable: DurableState,
    pub(super) routes: Vec<String>,
    pub(super) policy: GuardPolicy,
    pub(super) plan: RolloutPlan,
    pub(super) premises: FilePremises,
    pub(super) freezes: Vec<FreezeWindow>,
    /// See [`LoadedService`](crate::rollout::LoadedService).
    pub(super) failure_rules: u64,
    /// See [`LoadedService`](crate::rollout::LoadedService).
    pub(super) mirrors: bool,
    /// What copies have shown, as last heard.
    pub(super) shadow: Option<ShadowNews>,
    /// What the last file asked for; `None` before the first.
    pub(super) ask: Option<SplitRequest>,
    /// By [`Environment::index`]: a check that rolls back fails.
    pub(super) failing: [bool; 2],
    pub(super) watch: Option<ServiceWatch>,
    /// What another process knew of the candidate, until the watch begins.
    pub(super) handed: Option<HandedWatch>,
    /// Whether the split holds, while that is judged.
    pub(super) split: Option<SplitReading>,
    /// For the current rollout, or for the last one until its last request has ended.
    pub(super) book: Option<OpenLedger>,
    pub(super) clocked: StepClock,
    /// The run of suites whose answer is awaited. After a restart nobody is running them any more.
    pub(super) ordered: Option<SuiteRun>,
    /// What health checks say, by [`Environment::index`]. After a restart everything counts as up until it is checked.
    pub(super) up: [bool; 2],
    /// When each last served a client well.
    pub(super) served: LastServed,
    /// A rollback that waits for the side that it would go to.
    pub(super) held: Option<HeldRollback>,
    /// A rollback that moves the clients bit by bit.
    pub(super) returning: Option<GradualReturn>,
    pub(super) news: WaitingNews,
    /// What other systems say.
    pub(super) figures: OutsideFigures,
    /// What gates say.
    pub(super) gates: RolloutGates,
    /// The names of what the rollout waits for, at the last tick.
    pub(super) waits: Vec<&'static str>,
}

impl ServiceState {
    /// Before anyone has looked at it.
    pub(super) fn unseen(durable: DurableState, policy: GuardPolicy, plan: RolloutPlan) -> ServiceState {
        ServiceState {
            durable,
            routes: Vec::new(),
            policy,
            plan,
            premises: FilePremises::default(),
            freezes: Vec::new(),
            failure_rules: 0,
            mirrors: false,
            shadow: None,
            ask: None,
            failing: [false; 2],
            watch: None,
            handed: None,
            split: None,
            book: None,
            clocked: StepClock::default(),
            ordered: None,
            up: [true; 2],
            served: LastServed::default(),
            held: None,
            returning: None,
            news: WaitingNews::default(),
            figures: OutsideFigures::default(),
            gates: RolloutGates::default(),
            waits: Vec::new(),
        }
    }

    /// Whether the service, or its clock, must be looked at.
    pub(super) fn is_live(&self) -> bool {
        self.durable.is_judged()
            || self.durable.is_under_way()
            || self.durable.is_watching()
            || self.held.is_some()
            || self.returning.is_some()
    }

    /// Where an environment is: the file's URL, or a deploy's.
    pub(super) fn url(&self, side: Environment) -> &str {
        let deployed = side.of(&self.durable.origins).as_ref();
        deployed.map_or_else(|| side.of(&self.premises.urls).as_str(), |origin| origin.url.as_str())
    }

    /// Why a side is not what it was when another one was promoted in its place.
    pub(super) fn replaced_since(&self, target: Environment) -> Option<String> {
        let release = self.durable.release.as_ref().filter(|release| release.environment != target)?;
        let (before, now) = (release.replaced.as_ref()?, self.url(target));
        let is_other = self.durable.has_promoted() && !share_a_url(before, now);
        is_other.then(|| format!("is {now} now, and not {before}, which {} replaced", release.title()))
    }

    /// The freeze in force at a time of day, in milliseconds since 1970: a person's, or one of the file's windows.
    pub(super) fn frozen(&self, wall: u64) -> Option<DeployFreeze> {
        let window = |window: &FreezeWindow| {
            let until = Some(window.open_until(wall)?);
            Some(DeployFreeze { who: Component::File.name().to_owned(), why: window.text().to_owned(), until })
        };
        self.durable.frozen(wall).cloned().or_else(|| self.freezes.iter().find_map(window))
    }

    /// What is known of the candidate, if it is judged.
    pub(super) fn hand_over(&self) -> Option<HandedWatch> {
        let rollout = self.durable.rollout;
        let scopes = self.watch.as_ref().map(ServiceWatch::hand_over);
        let ledger = self.book.as_ref().map(OpenLedger::ledger).filter(|ledger| ledger.rollout == rollout);
        let is_known = scopes.is_some() || ledger.is_some();
        let (routes, failure_rules) = (self.routes.clone(), self.failure_rules);
        is_known.then_some(HandedWatch { rollout, routes, failure_rules, scopes, ledger })
    }

    /// Ends the watch, and soon the ledger: what they saw is not part of the next attempt.
    pub(super) fn end_watch(&mut self, now: Millis, verdict: bool) {
        self.watch = None;
        self.split = None;
        self.news.end_watch();
        if let Some(book) = &mut self.book {
            book.close(now, verdict);
        }
    }
}

/// The first few of them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 3;
    let shown: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    let rest = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    shown.join(", ") + &rest
}

/// Since when the step or the watch has been running in this process, and what was counted before.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepClock {
    /// `None` if not since the rollout reached this step.
    pub(super) running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    /// The rollout, its step and its phase: if any of them changes, the clock starts again.
    place: (u32, usize, RolloutPhase),
    since: Millis,
    /// The judged side's responses at `since`.
    answers: u64,
    /// What the release says about the time before.
    spent: Millis,
    /// How long it had lasted when that was last counted anew.
    lasted: Millis,
    counted: Millis,
    requests: u64,
    kept: Millis,
}

/// What a rollout is waiting for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    Preflight,
    /// Milliseconds.
    Bake {
        left: Millis,
    },
    Requests {
        seen: u64,
        wanted: u64,
        /// How long the rest will take, at the rate of this step so far; `None` before the first. Milliseconds.
        left: Option<Millis>,
        /// What keeps others from it: the rollout is limited, or the file has taken hosts away.
        #[serde(skip_serializing_if = "Option::is_none")]
        limits: Option<String>,
    },
    /// For a healthy verdict.
    Verdict {
        because: String,
    },
    /// For good figures from elsewhere.
    Metric {
        names: Vec<String>,
        because: String,
    },
    /// For gates that have not passed.
    Gate {
        names: Vec<String>,
        because: String,
    },
    /// They are running, and have not passed yet.
    Suites {
        names: Vec<String>,
    },
    /// For a split that gives the two sides the shares that the weight promises.
    SampleRatio {
        because: String,
    },
    /// For copies of clients' requests that are answered alike.
    Mirror {
        because: String,
    },
    /// It goes no further while a rollback waits for the side that it would go to.
    Rollback {
        because: String,
    },
    Approval,
    Frozen,
    /// The guard is off, so only a person can move it.
    Monitoring,
    Paused,
}

impl WaitReason {
    pub const NAMES: [&str; 14] = [
        "preflight",
        "bake",
        "requests",
        "verdict",
        "metric",
        "gate",
        "suites",
        "sample_ratio",
        "mirror",
        "rollback",
        "approval",
        "frozen",
        "monitoring",
        "paused",
    ];

    /// The name in the metrics, and of the reason in the API.
    pub const fn name(&self) -> &'static str {
        match self {
            WaitReason::Preflight => "preflight",
            WaitReason::Bake { .. } => "bake",
            WaitReason::Requests { .. } => "requests",
            WaitReason::Verdict { .. } => "verdict",
            WaitReason::Metric { .. } => "metric",
            WaitReason::Gate { .. } => "gate",
            WaitReason::Suites { .. } => "suites",
            WaitReason::SampleRatio { .. } => "sample_ratio",
            WaitReason::Mirror { .. } => "mirror",
            WaitReason::Rollback { .. } => "rollback",
            WaitReason::Approval => "approval",
            WaitReason::Frozen => "frozen",
            WaitReason::Monitoring => "monitoring",
            WaitReason::Paused => "paused",
        }
    }
}

impl std::fmt::Display for WaitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WaitReason::Preflight => f.write_str("preflight"),
            WaitReason::Bake { left } => write!(f, "{left} to bake"),
            WaitReason::Requests { seen, wanted, left, limits } => {
                let pace = match (seen, left) {
                    (0, _) => Some("none yet".to_owned()),
                    (_, left) => left.map(|left| format!("about {left} at this rate")),
                };
                let notes: Vec<&str> = pace.iter().chain(limits).map(String::as_str).collect();
                let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
                write!(f, "{seen} of {wanted} requests{notes}")
            }
            WaitReason::Verdict { because }
            | WaitReason::Metric { because, .. }
            | WaitReason::Gate { because, .. }
            | WaitReason::Mirror { because }
            | WaitReason::Rollback { because } => f.write_str(because),
            WaitReason::SampleRatio { because } => write!(f, "a split that holds: {because}"),
            WaitReason::Suites { names } => f.write_str(&suites(names)),
            WaitReason::Approval => f.write_str("approval"),
            WaitReason::Frozen => f.write_str("frozen"),
            WaitReason::Monitoring => f.write_str("the guard is off"),
            WaitReason::Paused => f.write_str("paused"),
        }
    }
}

impl ServiceState {
    /// Brings the step's clock up to date.
    pub(super) fn clock(&mut self, now: Millis, wall: u64, answers: u64) {
        let frozen = self.frozen(wall).is_some();
        let durable = &mut self.durable;
        let (number, watching) = (durable.rollout, durable.is_watching());
        let Some(release) = &mut durable.release else { return self.clocked = StepClock::default() };
        // One that should be rolled back does not pass its watch by waiting.
        let watching = watching && self.held.is_none();
        let runs = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking) || watching;
        if !runs {
            self.clocked = StepClock::default();
            return;
        }
        let place = (number, release.step, release.phase);
        let running = match self.clocked.running {
            Some(running) if running.place == place => running,
            _ => {
                let Release { spent, lasted, requests, .. } = *release;
                Running { place, since: now, answers, spent, lasted, counted: now, requests, kept: now }
            }
        };
        let mut running = running;
        // A freeze is nobody's delay.
        if frozen && !release.passes_freeze {
            running.lasted = release.lasted;
            running.counted = now;
        }
        self.clocked.running = Some(running);
        release.requests = running.requests + answers.saturating_sub(running.answers);
        release.spent = running.spent.plus(now.since(running.since));
        release.lasted = running.lasted.plus(now.since(running.counted));
    }

    /// Whether it is time to store how far the rollout is.
    pub(super) fn is_due(&mut self, now: Millis) -> bool {
        let Some(running) = self.clocked.running.as_mut().filter(|running| now.since(running.kept) >= KEEP) else {
            return false;
        };
        running.kept = now;
        true
    }

    /// What keeps a rollout on its step; nothing if it is not on one. `wall`: the time of day.
    pub fn waiting(&self, now: Millis, wall: u64) -> Vec<WaitReason> {
        let mut all = self.waiting_without_gates(now, wall);
        all.extend(self.gates_wanted(&all, now, wall));
        all
    }

    fn waiting_without_gates(&self, now: Millis, wall: u64) -> Vec<WaitReason> {
        let DurableState { release: Some(release), unwatched, .. } = &self.durable else { return Vec::new() };
        match release.phase {
            // It has not begun, or is done, and gates hold it.
            RolloutPhase::Preflight if self.gates.owes_preflight || self.gates.ready.is_some() => {
                return if self.is_frozen_for(release, wall) { vec![WaitReason::Frozen] } else { Vec::new() };
            }
            RolloutPhase::Preflight => return vec![WaitReason::Preflight],
            RolloutPhase::Paused => return vec![WaitReason::Paused],
            RolloutPhase::Shifting | RolloutPhase::Baking => {}
            RolloutPhase::Promoted | RolloutPhase::RolledBack | RolloutPhase::Aborted => return Vec::new(),
        }
        let Some(step) = release.current() else { return Vec::new() };
        let mut all = match step.mirror {
            // Nobody has been sent to the candidate, so there is nothing to judge yet.
            Some(gate) => self.shadow_wanting(release, step, gate),
            None => self.judgement_wanting(release, step, now),
        };
        if let Some(held) = &self.held {
            let why = held.why.as_deref().unwrap_or("it is not known yet whether its target answers");
            all.push(WaitReason::Rollback { because: format!("{}: {why}", HELD) });
        }
        if *unwatched {
            all.push(WaitReason::Monitoring);
        }
        if !release.suites_owed().is_empty() {
            all.push(WaitReason::Suites { names: release.suites_owed().to_vec() });
        }
        if step.approve && !release.approved {
            all.push(WaitReason::Approval);
        }
        if self.is_frozen_for(release, wall) {
            all.push(WaitReason::Frozen);
        }
        all
    }

    /// What the candidate's own requests must still show.
    fn judgement_wanting(&self, release: &Release, step: &PlanStep, now: Millis) -> Vec<WaitReason> {
        let mut all = Vec::new();
        let left = step.bake.since(release.spent);
        if left > Millis::ZERO {
            all.push(WaitReason::Bake { left });
        }
        if release.requests < step.requests {
            let left = time_of((step.requests - release.requests) as f64, release.requests_a_second());
            let limits = self.limits_of(release);
            all.push(WaitReason::Requests { seen: release.requests, wanted: step.requests, left, limits });
        }
        // Without a guard there is no verdict to wait for, and nothing is asked of others.
        if !self.durable.unwatched {
            all.extend(self.verdict_wanting().map(|because| WaitReason::Verdict { because }));
            all.extend(self.figures_wanted(now));
            all.extend(self.split_wanting());
        }
        all
    }

    /// Why fewer requests reach the candidate than the share promises, in words.
    fn limits_of(&self, release: &Release) -> Option<String> {
        let only = (!release.functions.is_empty()).then(|| format!("only those of {}", listed(&release.functions)));
        let served = self.premises.served_in_words();
        let hosts = match &release.served {
            Some(before) if before.is_empty() && !served.is_empty() => {
                Some(format!("the service has only the hosts {} now, and had all", listed(&served)))
            }
            Some(before) if !served.is_empty() => {
                let gone: Vec<String> = before.iter().filter(|host| !served.contains(host)).cloned().collect();
                (!gone.is_empty()).then(|| format!("{} left `hosts` since it began", listed(&gone)))
            }
            _ => None,
        };
        let all: Vec<String> = only.into_iter().chain(hosts).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn verdict_wanting(&self) -> Option<String> {
        let watch = self.watch.as_ref();
        watch.map_or(Some(GuardReading::default().wanting()), |watch| {
            (!watch.shown().is_healthy()).then(|| watch.shown().wanting())
        })
    }
}
