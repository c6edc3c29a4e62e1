//! The plan's own moves: from preflight to the first step, from step to step, to the promotion, and through the watch.

use serde::Serialize;

use crate::guard::{InsufficientReason, Verdict};
use crate::rollout::journal_entries::{Actor, ChangeNote};
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::state::ServiceState;
use crate::rollout::suite_gate;
use crate::rollout::{ChangeKind, DurableState, Effect, State};
use crate::time::Millis;
use crate::traffic::split::Weight;

/// How far a rollout is gets written down this often: a restart bakes again what it had baked since.
const KEEP: Millis = Millis::seconds(5);

/// Since when, in this process, the step or the watch has been running, and what was counted before.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepClock {
    /// `None`: not since the rollout came here.
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// The rollout, its step and its phase: another one begins anew.
    place: (u32, usize, RolloutPhase),
    since: Millis,
    /// The subject's answers at `since`.
    answers: u64,
    /// What the release says of the time before.
    spent: Millis,
    requests: u64,
    kept: Millis,
}

/// What keeps a rollout where it is.
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
    },
    /// For a verdict of health.
    Verdict {
        because: &'static str,
    },
    /// They run, and have not passed yet.
    Suites {
        names: Vec<String>,
    },
    Approval,
    Frozen,
    /// The guard is off: only a person moves it.
    Monitoring,
    Paused,
}

impl std::fmt::Display for WaitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WaitReason::Preflight => f.write_str("preflight"),
            WaitReason::Bake { left } => write!(f, "{left} to bake"),
            WaitReason::Requests { seen, wanted } => write!(f, "{seen} of {wanted} requests"),
            WaitReason::Verdict { because } => f.write_str(because),
            WaitReason::Suites { names } => f.write_str(&suite_gate::suites(names)),
            WaitReason::Approval => f.write_str("approval"),
            WaitReason::Frozen => f.write_str("frozen"),
            WaitReason::Monitoring => f.write_str("the guard is off"),
            WaitReason::Paused => f.write_str("paused"),
        }
    }
}

impl ServiceState {
    /// Brings the clock of the step up to date.
    pub(super) fn clock(&mut self, now: Millis, answers: u64) {
        let durable = &mut self.durable;
        let (number, watching) = (durable.rollout, durable.is_watching());
        let Some(release) = &mut durable.release else { return self.clocked = StepClock::default() };
        let runs = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking) || watching;
        if !runs {
            self.clocked = StepClock::default();
            return;
        }
        let place = (number, release.step, release.phase);
        let running = match self.clocked.running {
            Some(running) if running.place == place => running,
            _ => {
                let (spent, requests) = (release.spent, release.requests);
                Running { place, since: now, answers, spent, requests, kept: now }
            }
        };
        self.clocked.running = Some(running);
        release.requests = running.requests + answers.saturating_sub(running.answers);
        release.spent = running.spent.plus(now.since(running.since));
    }

    /// Whether it is time to write down how far the rollout is.
    fn is_due(&mut self, now: Millis) -> bool {
        let Some(running) = self.clocked.running.as_mut().filter(|running| now.since(running.kept) >= KEEP) else {
            return false;
        };
        running.kept = now;
        true
    }

    /// What keeps a rollout on its step; nothing where there is none.
    pub fn waiting(&self, wall: u64) -> Vec<WaitReason> {
        let DurableState { release: Some(release), unwatched, .. } = &self.durable else { return Vec::new() };
        match release.phase {
            RolloutPhase::Preflight => return vec![WaitReason::Preflight],
            RolloutPhase::Paused => return vec![WaitReason::Paused],
            RolloutPhase::Shifting | RolloutPhase::Baking => {}
            RolloutPhase::Promoted | RolloutPhase::RolledBack | RolloutPhase::Aborted => return Vec::new(),
        }
        let Some(step) = release.current() else { return Vec::new() };
        let mut all = Vec::new();
        let left = step.bake.since(release.spent);
        if left > Millis::ZERO {
            all.push(WaitReason::Bake { left });
        }
        if release.requests < step.requests {
            all.push(WaitReason::Requests { seen: release.requests, wanted: step.requests });
        }
        if *unwatched {
            all.push(WaitReason::Monitoring);
        } else if let Some(because) = self.verdict_wanting() {
            all.push(WaitReason::Verdict { because });
        }
        if !release.suites_owed().is_empty() {
            all.push(WaitReason::Suites { names: release.suites_owed().to_vec() });
        }
        if step.approve && !release.approved {
            all.push(WaitReason::Approval);
        }
        if self.durable.frozen(wall).is_some() {
            all.push(WaitReason::Frozen);
        }
        all
    }

    fn verdict_wanting(&self) -> Option<&'static str> {
        match self.watch.as_ref().and_then(|watch| watch.shown().verdict.as_ref()) {
            Some(Verdict::Healthy) => None,
            None | Some(Verdict::Insufficient { missing: InsufficientReason::Requests }) => {
                Some("too few requests for a verdict")
            }
            Some(Verdict::Insufficient { missing: InsufficientReason::HealthyActive }) => Some("both sides fail"),
            Some(Verdict::Unhealthy(_)) => Some("the candidate is unhealthy"),
        }
    }
}

impl State {
    /// What the plan does by itself, a tick of the grid.
    pub(super) fn advance(&mut self, name: &str, now: Millis) -> Vec<Effect> {
        let wall = self.wall(now);
        let Some(service) = self.services.get_mut(name) else { return Vec::new() };
        let due = service.is_due(now);
        let keep = || if due { vec![Effect::Keep(name.to_owned())] } else { Vec::new() };
        let Some(release) = service.durable.release.clone() else { return Vec::new() };
        if release.phase == RolloutPhase::Promoted {
            let over = service.clocked.running.is_some() && !release.is_watched();
            return if over { self.watched(name, &release, now) } else { keep() };
        }
        let moves = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking) && !service.durable.stopped;
        if !moves || !service.waiting(wall).is_empty() {
            return keep();
        }
        match release.next().map(|step| step.weight) {
            Some(weight) => {
                let step = release.step + 1;
                let note = self.note(ChangeKind::Step, format!("{}: {}", release.title(), self.stood(name, &release)));
                self.alter(name, note, now, |durable| {
                    durable.set_weight(weight);
                    if let Some(release) = &mut durable.release {
                        release.enter(step);
                    }
                })
            }
            None if release.phase == RolloutPhase::Baking => {
                let side = release.environment;
                let said = format!("{} is promoted: {}; {side} is active", release.title(), self.stood(name, &release));
                self.promote(name, release, self.note(ChangeKind::Promote, said), now)
            }
            None => {
                let weight = service_weight(&release);
                let said = format!("{} has come as far as it was told to: {weight}", release.title());
                self.pause(name, self.note(ChangeKind::Pause, said), now)
            }
        }
    }

    /// What a step has shown, in words.
    fn stood(&self, name: &str, release: &Release) -> String {
        let requests = crate::guard::evidence::grouped(release.requests);
        let weight = self.services.get(name).map_or(Weight::ZERO, |service| service.durable.weight);
        format!("{weight} held for {} over {requests} requests", release.spent)
    }

    pub(super) fn promote(&mut self, name: &str, release: Release, note: ChangeNote, now: Millis) -> Vec<Effect> {
        self.alter(name, note, now, |durable| durable.promote(release))
    }

    pub(super) fn pause(&mut self, name: &str, note: ChangeNote, now: Millis) -> Vec<Effect> {
        let (who, why) = (note.by.who.clone(), note.why.clone());
        self.alter(name, note, now, |durable| durable.pause(who, why))
    }

    fn watched(&mut self, name: &str, release: &Release, now: Millis) -> Vec<Effect> {
        let said = format!("{} has stood its watch of {}", release.title(), release.plan.watch);
        let note = self.note(ChangeKind::Watched, said);
        let ledger = self.ledger(name);
        let mut effects = self.alter(name, note, now, |durable| {
            durable.weight = Weight::ZERO;
            if let Some(release) = &mut durable.release {
                release.spent = release.plan.watch;
            }
        });
        // Its requests go on, as the active side's: the account of the rollout ends here.
        if let Some(ledger) = ledger {
            effects.extend(self.close_book(
                name,
                crate::rollout::ledger::RolloutLedger { closed: true, ..ledger },
                now,
            ));
        }
        if let Some(service) = self.services.get_mut(name) {
            service.clocked = StepClock::default();
            service.book = None;
        }
        effects
    }

    /// What a preflight came to. One of an earlier rollout, or of one that holds or has ended meanwhile, is no news.
    pub(super) fn preflighted(
        &mut self,
        name: &str,
        rollout: u32,
        result: Result<String, String>,
        now: Millis,
    ) -> Vec<Effect> {
        let wall = self.wall(now);
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let release = service.durable.release.as_ref().filter(|release| release.phase == RolloutPhase::Preflight);
        let Some(release) = release.filter(|_| service.durable.rollout == rollout) else { return Vec::new() };
        let title = release.title().to_owned();
        match result {
            Err(why) => {
                let note = self.note(ChangeKind::Abort, format!("{title} does not set out: {why}"));
                self.alter(name, note, now, |durable| durable.abort(&why))
            }
            Ok(said) if service.durable.frozen(wall).is_some() => {
                let note = self.note(ChangeKind::Pause, format!("{title} is ready, and frozen: {said}"));
                self.pause(name, note, now)
            }
            Ok(said) => {
                let note = self.note(ChangeKind::Preflight, format!("{title} is ready: {said}"));
                self.alter(name, note, now, |durable| {
                    let first = durable.release.as_ref().and_then(|release| release.plan.steps.first());
                    let weight = first.map_or(Weight::ZERO, |step| step.weight);
                    durable.set_weight(weight);
                    if let Some(release) = &mut durable.release {
                        release.enter(0);
                    }
                })
            }
        }
    }

    /// An entry of the plan's own.
    pub(super) fn note(&self, kind: ChangeKind, why: String) -> ChangeNote {
        ChangeNote::of(kind, Actor::the("plan"), why)
    }
}

fn service_weight(release: &Release) -> Weight {
    release.current().map_or(Weight::ZERO, |step| step.weight)
}

#[cfg(test)]
mod tests;
