//! What operators ask for, and what follows. Everything they may ask in every phase is decided here.

use crate::rollout::gate_hook::GateHook;
use crate::rollout::journal_entries::{Actor, ChangeNote};
use crate::rollout::release::{Release, RolloutPhase, SuiteGate};
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{
    ChangeKind, DeployFreeze, DeployRequest, DurableState, Effect, OperatorAction, PreflightRequest,
    QuarantinedVersion, Requester, RolloutError,
};
use crate::time::Millis;
use crate::traffic::split::{RequestHold, Weight};

const LONGEST_VERSION: usize = 128;

const fn guard_is(on: bool) -> &'static str {
    if on {
        "the guard is on again"
    } else {
        "the guard is off: no automatic rollbacks, and rollouts stay at their step"
    }
}

impl ServiceUpdate<'_> {
    pub(super) fn command(&mut self, by: Requester, act: OperatorAction) -> Result<Vec<Effect>, RolloutError> {
        let Requester { who, from, key, generation: _, why } = by;
        let durable = self.state.durable.clone();
        let name = self.name.to_owned();
        let by = Actor { who, from, key };
        let note = |kind: ChangeKind, what: &str| ChangeNote::of(kind, by.clone(), said(what, &why));
        let as_asked = |what: &'static str| Err(RolloutError::AsAsked { service: self.name.to_owned(), what });
        match act {
            OperatorAction::Deploy(deploy) => self.deploy(&durable, deploy, note),
            OperatorAction::Shift { weight, gradual, force } => self.shift(&durable, weight, (gradual, force), note),
            OperatorAction::Pause => self.pause_by_hand(&durable, note),
            OperatorAction::Resume => self.resume(&durable, note),
            OperatorAction::Approve => self.approve(&durable, note),
            OperatorAction::Promote => self.promote_by_hand(&durable, note),
            OperatorAction::Abort => {
                let release = under_way(self.name, &durable)?;
                let note = note(ChangeKind::Abort, &format!("{} aborted at {}", release.title(), durable.weight));
                Ok(self.alter(note, |durable| durable.abort(&why)))
            }
            OperatorAction::Rollback => self.roll_back_by_hand(&durable, &why, note),
            OperatorAction::Stop if durable.stopped => as_asked("the emergency stop is already in force"),
            OperatorAction::Stop => {
                let note = note(ChangeKind::Stop, "everything to active, all automation off");
                Ok(self.alter(note, DurableState::stop))
            }
            OperatorAction::Clear if !durable.stopped => Err(RolloutError::NotStopped { service: name }),
            // What was in progress when the emergency began is over: the next raise is a person's decision.
            OperatorAction::Clear => {
                let note = note(ChangeKind::Clear, "the emergency is over");
                Ok(self.alter(note, DurableState::clear))
            }
            OperatorAction::Freeze { until } => {
                let freeze = DeployFreeze { who: by.who.clone(), why: why.clone(), until };
                let note = note(ChangeKind::Freeze, "deploys and steps are frozen");
                Ok(self.alter(note, |durable| durable.freeze = Some(freeze)))
            }
            OperatorAction::Unfreeze => self.unfreeze(&durable, note),
            OperatorAction::Hold(hold) => self.hold_requests(Some(hold), note),
            OperatorAction::Release => self.hold_requests(None, note),
            OperatorAction::Monitoring(on) if durable.unwatched != on => {
                as_asked(if on { "the guard is already on" } else { "the guard is already off" })
            }
            OperatorAction::Monitoring(on) => {
                Ok(self.alter(note(ChangeKind::Monitoring, guard_is(on)), |durable| durable.unwatched = !on))
            }
            OperatorAction::Alerting(on) if durable.silent != on => {
                as_asked(if on { "notices are already sent" } else { "notices are already off" })
            }
            OperatorAction::Alerting(on) => {
                let what = if on { "notices are sent again" } else { "no notices are sent" };
                Ok(self.alter(note(ChangeKind::Alerting, what), |durable| durable.silent = !on))
            }
            OperatorAction::Overlay(overlay) if durable.overlay == *overlay => {
                as_asked("what is set at run time already says so")
            }
            OperatorAction::Overlay(overlay) => {
                let note = note(ChangeKind::Overlay, &durable.overlay.changes_to(&overlay));
                Ok(self.alter(note, |durable| durable.overlay = *overlay))
            }
        }
    }

    fn roll_back_by_hand(
        &mut self,
        durable: &DurableState,
        why: &str,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        if self.state.returning.is_some() {
            return Ok(self.alter(note(ChangeKind::Rollback, "the rest at once"), DurableState::take_back));
        }
        if durable.weight.is_zero() && !durable.has_promoted() && !durable.is_under_way() {
            return Err(RolloutError::NothingToRollBack { service: self.name.to_owned() });
        }
        let what = if why.is_empty() { "requested by hand" } else { "" };
        Ok(self.roll_back(note(ChangeKind::Rollback, what)))
    }

    fn unfreeze(
        &mut self,
        durable: &DurableState,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let service = self.name.to_owned();
        if durable.freeze.is_some() {
            let note = note(ChangeKind::Unfreeze, "the freeze is lifted");
            return Ok(self.alter(note, |durable| durable.freeze = None));
        }
        Err(match self.state.frozen(self.wall()) {
            Some(_) => RolloutError::AsAsked {
                service,
                what: "it is frozen by a window of the routing file: take it out there and unfreeze again, or deploy with --pass-freeze",
            },
            None => RolloutError::NotFrozen { service },
        })
    }

    fn hold_requests(
        &mut self,
        hold: Option<RequestHold>,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let note = match hold {
            Some(hold) => {
                let length = Millis::seconds(hold.until.saturating_sub(self.wall()).div_ceil(1000));
                note(ChangeKind::Hold, &format!("new requests wait for {length}, up to {} of them", hold.most))
            }
            None if self.state.durable.held(self.wall()).is_none() => {
                return Err(RolloutError::AsAsked { service: self.name.to_owned(), what: "no requests are held" });
            }
            None => note(ChangeKind::Release, "the requests that waited go on"),
        };
        // A gradual return of clients goes on meanwhile.
        let returning = self.state.returning.take();
        let effects = self.alter(note, |durable| durable.hold = hold);
        self.state.returning = returning;
        Ok(effects)
    }

    fn pause_by_hand(
        &mut self,
        durable: &DurableState,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let release = under_way(self.name, durable)?;
        if release.phase == RolloutPhase::Paused {
            return Err(RolloutError::Paused { service: self.name.to_owned() });
        }
        let note = note(ChangeKind::Pause, &format!("{} paused at {}", release.title(), durable.weight));
        Ok(self.pause(note))
    }

    fn approve(
        &mut self,
        durable: &DurableState,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let release = under_way(self.name, durable)?;
        let step = release.current().filter(|step| release.is_live() && step.approve && !release.approved);
        let step = step.ok_or_else(|| RolloutError::NothingToApprove { service: self.name.to_owned() })?;
        let note = note(ChangeKind::Approve, &format!("{} is approved to leave {}", release.title(), step.weight));
        Ok(self.alter(note, |durable| {
            if let Some(release) = &mut durable.release {
                release.approved = true;
            }
        }))
    }

    fn deploy(
        &mut self,
        durable: &DurableState,
        deploy: DeployRequest,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let passed = self.may_deploy(durable, &deploy)?;
        let DeployRequest { version, functions, origin, rescue, pass_freeze, .. } = deploy;
        let (candidate, plan) = (durable.active.other(), self.state.plan.clone());
        let limits = if functions.is_empty() { String::new() } else { format!(" of {}", functions.join(", ")) };
        let passed =
            passed.map_or(String::new(), |DeployFreeze { who, why, .. }| format!(", past the freeze by {who} ({why})"));
        let before = durable.quarantine.iter().find(|before| before.version == version);
        let forced = before.map_or(String::new(), forced);
        let rescued = if rescue { ", as a rescue" } else { "" };
        let returning = if self.state.returning.is_some() { ", which ends the gradual return at once" } else { "" };
        let mut effects = match durable.release.as_ref().filter(|release| release.phase.is_under_way()) {
            Some(before) => {
                let said = format!("{} was replaced by {version} at {}", before.title(), durable.weight);
                let note = note(ChangeKind::Abort, &said);
                self.alter(note, |durable| durable.abort(&said))
            }
            None => Vec::new(),
        };
        let note = note(
            ChangeKind::Deploy,
            &format!("deploying {version}{limits} to {candidate}{rescued}{forced}{passed}{returning}"),
        );
        let url = origin
            .as_ref()
            .map_or_else(|| candidate.of(&self.state.premises.urls).clone(), |origin| origin.url.clone());
        let host = Some(candidate.of(&self.state.premises.hosts).clone());
        let release = Release {
            version: Some(version.clone()),
            environment: candidate,
            url: Some(url),
            host,
            served: Some(self.state.premises.served_in_words()),
            rescue,
            passes_freeze: pass_freeze,
            functions,
            phase: RolloutPhase::Preflight,
            ..Release::begin(plan, candidate, note.by.who.clone(), self.wall())
        };
        effects.extend(self.alter(note, |durable| {
            durable.settle();
            durable.latch = None;
            // Its pages would meet the new version.
            durable.replaced = None;
            durable.quarantine.retain(|before| before.version != version);
            *candidate.of_mut(&mut durable.versions) = Some(version);
            *candidate.of_mut(&mut durable.origins) = origin;
            durable.rollout += 1;
            durable.epoch += 1;
            durable.release = Some(release);
        }));
        effects.extend(self.preflight());
        Ok(effects)
    }

    /// Whether a version may be deployed; returns the freeze that it passes.
    fn may_deploy(&self, durable: &DurableState, deploy: &DeployRequest) -> Result<Option<DeployFreeze>, RolloutError> {
        let DeployRequest { version, functions, force, replace, pass_freeze, .. } = deploy;
        let service = || self.name.to_owned();
        if version.is_empty() || version.len() > LONGEST_VERSION || !version.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(RolloutError::BadVersion { version: version.chars().take(LONGEST_VERSION).collect() });
        }
        let passed = self.may_raise(*pass_freeze)?;
        let under_way = durable.release.as_ref().filter(|release| release.phase.is_under_way());
        if let Some(release) = under_way.filter(|_| !replace) {
            let (title, phase) = (release.title().to_owned(), release.phase.name());
            return Err(RolloutError::UnderWay { service: service(), title, phase });
        }
        if !durable.weight.is_zero() && !durable.is_watching() && under_way.is_none() {
            let (candidate, weight) = (durable.active.other().name(), durable.weight);
            return Err(RolloutError::HasShare { service: service(), candidate, weight });
        }
        if let Some(before) = durable.quarantine.iter().find(|before| before.version == *version && !force) {
            let (version, entry) = (version.clone(), before.entry);
            return Err(RolloutError::Quarantined { service: service(), version, entry });
        }
        let active = durable.active;
        if self.state.version(active) == Some(version) && !force {
            let (version, side) = (version.clone(), active.name());
            return Err(RolloutError::AlreadyActive { service: service(), version, side });
        }
        let routes = &self.state.routes;
        if let Some(route) = functions.iter().find(|function| !routes.contains(function)) {
            let known = routes.join(", ");
            return Err(RolloutError::NoSuchRoute { service: service(), route: route.clone(), known });
        }
        Ok(passed)
    }

    fn shift(
        &mut self,
        durable: &DurableState,
        weight: Weight,
        (gradual, force): (bool, bool),
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let quarantined = durable.quarantined(durable.active.other()).cloned().filter(|_| weight > durable.weight);
        let forced = quarantined.as_ref().map_or(String::new(), forced);
        if weight > durable.weight {
            self.may_raise(false)?;
            if let Some(QuarantinedVersion { version, entry, .. }) = quarantined.clone().filter(|_| !force) {
                return Err(RolloutError::Quarantined { service: self.name.to_owned(), version, entry });
            }
        } else if durable.stopped {
            return Err(RolloutError::Stopped { service: self.name.to_owned() });
        }
        let under_way = durable.release.as_ref().filter(|release| release.phase.is_under_way());
        if let Some(release) = under_way {
            if weight.is_zero() {
                let note =
                    note(ChangeKind::Abort, &format!("{} aborted at {}: weight 0", release.title(), durable.weight));
                return Ok(self.alter(note, |durable| durable.abort("the weight was set back to 0")));
            }
            if release.phase == RolloutPhase::Preflight || !release.is_live() {
                return Err(RolloutError::InPreflight { service: self.name.to_owned() });
            }
        }
        if gradual && weight > durable.weight {
            let note = note(ChangeKind::Shift, &format!("step by step to {weight}{forced}"));
            let candidate = durable.active.other();
            let release = match under_way {
                Some(release) => Release { plan: release.plan.up_to(weight), ..release.clone() },
                None => Release {
                    url: Some(self.state.url(candidate).to_owned()),
                    host: Some(candidate.of(&self.state.premises.hosts).clone()),
                    served: Some(self.state.premises.served_in_words()),
                    ..Release::begin(self.state.plan.up_to(weight), candidate, note.by.who.clone(), self.wall())
                },
            };
            return Ok(self.alter(note, |durable| {
                durable.settle();
                durable.latch = None;
                durable.forgive_candidate();
                // The first step above its current weight.
                let step = release.plan.steps.iter().position(|step| step.weight > durable.weight).unwrap_or(0);
                if let Some(to) = release.plan.steps.get(step) {
                    durable.set_weight(to.weight);
                }
                durable.release.insert(release).enter(step);
            }));
        }
        let note = note(ChangeKind::Shift, &format!("by hand{forced}"));
        let who = note.by.who.clone();
        Ok(self.alter(note, |durable| {
            durable.settle();
            durable.set_weight(weight);
            if !weight.is_zero() {
                durable.latch = None;
                durable.forgive_candidate();
            }
            // A person has taken over: the plan is paused until it is resumed.
            durable.pause(who, format!("shifted to {weight} by hand"));
        }))
    }

    fn resume(
        &mut self,
        durable: &DurableState,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        let release = under_way(self.name, durable)?;
        let Some(pause) = release.pause.clone().filter(|_| release.phase == RolloutPhase::Paused) else {
            return Err(RolloutError::NotPaused { service: self.name.to_owned() });
        };
        let is_last =
            release.next().is_none() && release.current().is_some_and(|step| step.weight < release.plan.full());
        // Suites that have not passed may be run again there.
        let reached = is_last && !release.is_held();
        if reached && release.current().is_some_and(|step| step.weight <= durable.weight) {
            return Err(RolloutError::Reached { service: self.name.to_owned(), weight: durable.weight });
        }
        let note = note(ChangeKind::Resume, &format!("{} resumed at {}", release.title(), durable.weight));
        self.state.news.past_deadline = None;
        let mut effects = self.alter(note, |durable| {
            let Some(release) = &mut durable.release else { return };
            release.compare_anew();
            release.pause = None;
            // A person's word gives it as much time again.
            if release.plan.deadline.is_some_and(|deadline| release.lasted >= deadline) {
                release.lasted = Millis::ZERO;
            }
            release.gates.waited = Millis::ZERO;
            if pause.phase == RolloutPhase::Preflight {
                release.phase = RolloutPhase::Preflight;
                return;
            }
            // The step that its current weight belongs to, because a person may have moved it meanwhile.
            let at = release.plan.steps.iter().rposition(|step| step.weight <= durable.weight);
            match at {
                Some(at) if at == release.step => {
                    release.phase = pause.phase;
                    release.gate = release.gate.filter(|gate| *gate == SuiteGate::Passed);
                }
                at => release.enter(at.unwrap_or(0)),
            }
        });
        if pause.phase == RolloutPhase::Preflight {
            effects.extend(self.preflight());
        }
        Ok(effects)
    }

    fn promote_by_hand(
        &mut self,
        durable: &DurableState,
        note: impl Fn(ChangeKind, &str) -> ChangeNote,
    ) -> Result<Vec<Effect>, RolloutError> {
        // That a rollout passes a freeze is no leave to skip its steps in it.
        self.may_raise(false)?;
        let candidate = durable.active.other();
        let release = match durable.release.as_ref().filter(|release| release.phase.is_under_way()) {
            Some(release) if !release.is_live() => {
                return Err(RolloutError::InPreflight { service: self.name.to_owned() });
            }
            Some(release) => release.clone(),
            None if durable.weight.is_zero() || durable.is_watching() => {
                return Err(RolloutError::NoRollout { service: self.name.to_owned() });
            }
            None => Release::begin(self.state.plan.clone(), candidate, String::new(), self.wall()),
        };
        let note = note(
            ChangeKind::Promote,
            &format!("{} promoted by hand at {}: {candidate} is active", release.title(), durable.weight),
        );
        Ok(self.promote(release, note))
    }

    /// The preflight of a service that is waiting for one, once the gates before it have passed.
    pub(super) fn preflight(&mut self) -> Option<Effect> {
        let ServiceState { durable, gates, .. } = &mut *self.state;
        gates.look(durable);
        let release = durable.release.as_ref().filter(|release| release.phase == RolloutPhase::Preflight)?;
        gates.ready = None;
        // A person's word is enough for a rescue.
        gates.owes_preflight = !release.rescue && !gates.owing(GateHook::ConfirmRollout, durable).is_empty();
        if gates.owes_preflight {
            return None;
        }
        Some(Effect::Preflight(PreflightRequest {
            service: self.name.to_owned(),
            rollout: durable.rollout,
            environment: release.environment,
            warm_up: release.plan.warm_up.clone(),
            ready_within: release.plan.ready_within,
            suites: release.plan.suites.clone(),
            at_once: release.rescue,
        }))
    }

    /// Refuses if the service is stopped, or frozen and the freeze is not to be passed; returns the freeze that is.
    fn may_raise(&self, pass_freeze: bool) -> Result<Option<DeployFreeze>, RolloutError> {
        let service = self.name.to_owned();
        if self.state.durable.stopped {
            return Err(RolloutError::Stopped { service });
        }
        match self.state.frozen(self.wall()) {
            Some(DeployFreeze { who, why, .. }) if !pass_freeze => Err(RolloutError::Frozen { service, who, why }),
            frozen => Ok(frozen),
        }
    }
}

/// That a person has overruled a rollback, for the record.
fn forced(QuarantinedVersion { version, entry, .. }: &QuarantinedVersion) -> String {
    format!(", although {version} was rolled back (entry {entry})")
}

fn under_way<'d>(name: &str, durable: &'d DurableState) -> Result<&'d Release, RolloutError> {
    let release = durable.release.as_ref().filter(|release| release.phase.is_under_way());
    release.ok_or_else(|| RolloutError::NoRollout { service: name.to_owned() })
}

/// What is done, and why it was asked for.
fn said(what: &str, why: &str) -> String {
    match (what, why) {
        (what, "") => what.to_owned(),
        ("", why) => why.to_owned(),
        (what, why) => format!("{what}: {why}"),
    }
}
