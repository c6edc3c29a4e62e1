//! The part of a service's state that outlives the process, and the few ways in which it changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::rollout::active_before::{self, ActiveBefore};
use crate::rollout::plan::RolloutPlan;
use crate::rollout::premises::share_a_url;
use crate::rollout::release::{Release, ReleasePause, RolloutPhase};
use crate::rollout::replaced_side::ReplacedSide;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::{RequestHold, Weight};

/// The part of a service's state that outlives the process: kept in the state store, and written with the change that
/// made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurableState {
    pub active: Environment,
    pub weight: Weight,
    pub epoch: u32,
    /// Set by a rollback: only a person can raise the weight again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latch: Option<RollbackLatch>,
    /// The emergency stop.
    #[serde(default)]
    pub stopped: bool,
    /// The number of the rollout: goes up whenever the weight rises from 0, and with every deploy.
    #[serde(default)]
    pub rollout: u32,
    /// What the routing file asked for when it was last read: only a change to that is a command.
    pub asked: RequestedSplit,
    /// The current version, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The versions deployed, by [`Environment::index`].
    #[serde(default)]
    pub versions: [Option<String>; 2],
    /// Where a deploy sent an environment instead of the file's URL.
    #[serde(default)]
    pub origins: [Option<DeployedOrigin>; 2],
    /// Versions that were rolled back, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<QuarantinedVersion>,
    /// The side that was active before, while pages that came from it may ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ReplacedSide>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<DeployFreeze>,
    /// New requests wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<RequestHold>,
    /// A person has switched the guard off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unwatched: bool,
    /// What active did before the candidate got all of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "active_before::known")]
    pub before: Option<ActiveBefore>,
    /// No notices are sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
    /// What was added to the file at run time.
    #[serde(default, skip_serializing_if = "RuntimeOverlay::is_empty")]
    pub overlay: RuntimeOverlay,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl DurableState {
    /// A service that is seen for the first time.
    pub fn new(asked: RequestedSplit) -> DurableState {
        let RequestedSplit { active, weight } = asked;
        DurableState {
            active,
            weight,
            epoch: 0,
            latch: None,
            stopped: false,
            rollout: u32::from(!weight.is_zero()),
            asked,
            release: None,
            versions: [None, None],
            origins: [None, None],
            quarantine: Vec::new(),
            replaced: None,
            freeze: None,
            hold: None,
            unwatched: false,
            before: None,
            silent: false,
            overlay: RuntimeOverlay::default(),
        }
    }

    /// Whether another state has the same of what only a decision changes, and every decision is in the journal: who is
    /// active, who gets how much, what was rolled back, stopped or frozen.
    pub fn is_as_decided(&self, other: &DurableState) -> bool {
        fn decided(state: &DurableState) -> impl PartialEq {
            let DurableState { active, weight, epoch, latch, stopped, rollout, versions, .. } = state;
            let DurableState { quarantine, freeze, unwatched, .. } = state;
            (active, weight, epoch, latch, stopped, rollout, versions, quarantine, freeze, unwatched)
        }
        decided(self) == decided(other)
    }

    /// A weight that rises from 0 begins a rollout, unless a deploy has already begun it.
    pub(super) fn set_weight(&mut self, weight: Weight) {
        if self.weight.is_zero() && !weight.is_zero() && !self.is_under_way() {
            self.rollout += 1;
        }
        self.weight = weight;
    }

    /// Whether a planned rollout is in progress, paused or not.
    pub fn is_under_way(&self) -> bool {
        self.release.as_ref().is_some_and(|release| release.phase.is_under_way())
    }

    /// The environment that is judged: the candidate, or a promoted one that is still being watched.
    pub fn subject(&self) -> Environment {
        if self.is_watching() { self.active } else { self.active.other() }
    }

    /// Whether a file that asks for this gives the candidate more than it has, or the roles to others.
    pub(super) fn is_raised_by(&self, asked: RequestedSplit) -> bool {
        let share = if self.stopped { Weight::ZERO } else { self.weight };
        self.is_swapped_by(asked) || asked.weight > share
    }

    /// What is known of an environment's version if it was rolled back.
    pub(super) fn quarantined(&self, side: Environment) -> Option<&QuarantinedVersion> {
        let version = side.of(&self.versions).as_ref()?;
        self.quarantine.iter().find(|before| before.version == *version)
    }

    /// The version that was rolled back at one of these URLs, the latest first.
    pub(super) fn quarantined_at(&self, url: &str) -> Option<&QuarantinedVersion> {
        let was_there = |before: &&QuarantinedVersion| before.url.as_ref().is_some_and(|was| share_a_url(was, url));
        self.quarantine.iter().rev().find(was_there)
    }

    /// A person has said that the candidate's version may have clients although it was rolled back.
    pub(super) fn forgive_candidate(&mut self) {
        if let Some(version) = self.active.other().of(&self.versions) {
            self.quarantine.retain(|before| before.version != *version);
        }
    }

    /// Whether a file that asks for this gives the roles to others.
    pub(super) fn is_swapped_by(&self, asked: RequestedSplit) -> bool {
        asked.active != self.asked.active && asked.active != self.active
    }

    /// The share of the clients that a rollback takes from it.
    pub(super) fn subject_share(&self) -> Weight {
        let promoted = self.has_promoted() && (self.weight.is_zero() || self.is_watching());
        if promoted { self.weight.rest() } else { self.weight }
    }

    pub fn over(&self) -> RuntimeOverrides {
        RuntimeOverrides { overlay: self.overlay.clone(), origins: self.origins.clone() }
    }

    /// Whether a promoted version is still being watched.
    pub fn is_watching(&self) -> bool {
        self.release.as_ref().is_some_and(Release::is_watched)
    }

    /// Whether the rollout is held because suites have not passed.
    pub fn is_held(&self) -> bool {
        self.release.as_ref().is_some_and(Release::is_held)
    }

    /// The requests that the plan wants of the candidate at its step.
    pub(super) fn wanted_requests(&self) -> u64 {
        self.release.as_ref().and_then(Release::current).map_or(RolloutPlan::REQUESTS, |step| step.requests)
    }

    /// Whether there is anything to judge.
    pub fn is_judged(&self) -> bool {
        !self.stopped && !self.unwatched && (!self.weight.is_zero() || self.is_watching())
    }

    /// The freeze in force, at a time of day in milliseconds since 1970.
    pub fn frozen(&self, wall: u64) -> Option<&DeployFreeze> {
        self.freeze.as_ref().filter(|freeze| freeze.until.is_none_or(|until| wall < until))
    }

    /// The hold in force, at a time of day in milliseconds since 1970.
    pub fn held(&self, wall: u64) -> Option<RequestHold> {
        self.hold.filter(|hold| wall < hold.until)
    }

    /// The promoted version no longer needs to be watched: it stays, and nothing is held back any more.
    pub(super) fn settle(&mut self) {
        if let Some(release) = self.release.as_mut().filter(|release| release.is_watched()) {
            release.spent = release.plan.watch;
            self.weight = Weight::ZERO;
        }
    }

    /// An emergency stop: everything goes to active, and any rollout is over.
    pub(super) fn stop(&mut self) {
        self.end(RolloutPhase::Aborted, "emergency stop");
        self.stopped = true;
    }

    /// The end of an emergency stop.
    pub(super) fn clear(&mut self) {
        self.stopped = false;
        self.take_back();
    }

    /// Sends everything to active, and voids every pin to the candidate. Its pages go to active too.
    pub(super) fn take_back(&mut self) {
        self.replaced = None;
        self.weight = Weight::ZERO;
        self.epoch += 1;
    }

    /// Ends the current rollout, if there is one.
    pub(super) fn end(&mut self, phase: RolloutPhase, why: &str) {
        if let Some(release) = self.release.as_mut().filter(|release| release.phase.is_under_way()) {
            (release.phase, release.pause, release.why) = (phase, None, Some(why.to_owned()));
        }
    }

    pub(super) fn abort(&mut self, why: &str) {
        self.end(RolloutPhase::Aborted, why);
        self.take_back();
    }

    pub(super) fn pause(&mut self, who: String, why: String) {
        if let Some(release) = self.release.as_mut().filter(|release| release.phase.is_under_way()) {
            // A pause within a pause returns to where the first one began.
            let phase = release.pause.as_ref().map_or(release.phase, |pause| pause.phase);
            release.pause = Some(ReleasePause { who, why, phase });
            release.phase = RolloutPhase::Paused;
        }
    }

    /// Makes the new side the active one. `replaced`: the side that was active until now, if pages may ask for it.
    pub(super) fn promote(&mut self, release: Release, replaced: Option<ReplacedSide>) {
        self.replaced = replaced;
        self.active = release.environment;
        self.weight = if release.plan.watch > Millis::ZERO { release.plan.holdback } else { Weight::ZERO };
        self.latch = None;
        self.release =
            Some(Release { phase: RolloutPhase::Promoted, pause: None, spent: Millis::ZERO, requests: 0, ..release });
    }

    /// Whether a rollout has ended since it was like this.
    pub(super) fn has_ended_since(&self, before: &DurableState) -> bool {
        let place = |durable: &DurableState| durable.release.as_ref().map(|release| (release.at, release.phase));
        let is_over = self.release.as_ref().is_some_and(|release| !release.phase.is_under_way());
        is_over && place(before) != place(self)
    }

    /// Takes back a candidate's share, or the role of the last promoted side.
    pub(super) fn roll_back(&mut self, reason: &str, entry: u64) {
        let promoted = self.has_promoted() && (self.weight.is_zero() || self.is_watching());
        if promoted {
            self.active = self.active.other();
        }
        if let Some(release) = self.release.as_mut().filter(|release| promoted || release.phase.is_under_way()) {
            (release.phase, release.pause, release.why) = (RolloutPhase::RolledBack, None, Some(reason.to_owned()));
            if let Some(version) = release.version.clone() {
                self.quarantine.retain(|before| before.version != version);
                self.quarantine.push(QuarantinedVersion { version, entry, url: release.url.clone() });
                let surplus = self.quarantine.len().saturating_sub(MOST_QUARANTINED);
                self.quarantine.drain(..surplus);
            }
        }
        self.latch = Some(RollbackLatch { reason: reason.to_owned(), entry });
        self.take_back();
    }

    /// Whether the last rollout was promoted and its side is still the active one.
    pub(super) fn has_promoted(&self) -> bool {
        let release = self.release.as_ref();
        release.is_some_and(|release| release.phase == RolloutPhase::Promoted && release.environment == self.active)
    }
}

/// How many rolled-back versions are remembered.
const MOST_QUARANTINED: usize = 20;

/// Where a deploy sent an environment. The file's own URL applies again as soon as it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedOrigin {
    pub url: String,
    /// What the file said then.
    pub instead_of: String,
}

/// A version that cannot be deployed again without force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedVersion {
    pub version: String,
    /// The rollback's journal entry.
    pub entry: u64,
    /// Where it was: what comes back there without a name is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// No deploys and no steps. Rollbacks still happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployFreeze {
    pub who: String,
    pub why: String,
    /// Milliseconds since 1970; `None`: until someone lifts the freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What people have added to a service at run time: fragments of the routing file by name, in TOML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeOverlay {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, String>,
    /// Health checks that are switched off.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub health_off: BTreeSet<String>,
}

/// What is laid over a service of the routing file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeOverrides {
    pub overlay: RuntimeOverlay,
    /// By [`Environment::index`].
    pub origins: [Option<DeployedOrigin>; 2],
}

/// A rule or a trigger that one overlay has otherwise than another: the fragments in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayEdit<'a> {
    /// `rule` or `trigger`.
    pub what: &'static str,
    pub name: &'a str,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
}

impl OverlayEdit<'_> {
    /// Without the fragments: whoever may read the history need not know which header opens the candidate.
    fn words(&self) -> String {
        let OverlayEdit { what, name, before, after } = self;
        match (before, after) {
            (None, _) => format!("{what} {name} is set at run time"),
            (_, None) => format!("{what} {name}, set at run time, is removed"),
            (Some(_), Some(_)) => format!("{what} {name}, set at run time, is replaced"),
        }
    }
}

impl RuntimeOverlay {
    /// The rules and triggers that another overlay in the place of this one adds, changes or removes.
    pub fn edits_to<'a>(&'a self, after: &'a RuntimeOverlay) -> Vec<OverlayEdit<'a>> {
        let maps = [("rule", &self.rules, &after.rules), ("trigger", &self.triggers, &after.triggers)];
        let edits = maps.into_iter().flat_map(|(what, before, after)| {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let text = |map: &'a BTreeMap<String, String>, name: &String| map.get(name).map(String::as_str);
            names.into_iter().map(move |name| OverlayEdit {
                what,
                name,
                before: text(before, name),
                after: text(after, name),
            })
        });
        edits.filter(|edit| edit.before != edit.after).collect()
    }

    /// What another overlay in the place of this one changes, in words.
    pub(super) fn changes_to(&self, after: &RuntimeOverlay) -> String {
        let mut changes: Vec<String> = self.edits_to(after).iter().map(OverlayEdit::words).collect();
        let (off, before) = (&after.health_off, &self.health_off);
        changes.extend(off.difference(before).map(|check| format!("health check {check} is switched off")));
        changes.extend(before.difference(off).map(|check| format!("health check {check} is on again")));
        changes.join("; ")
    }

    pub fn is_empty(&self) -> bool {
        *self == RuntimeOverlay::default()
    }
}

/// Why a service is latched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackLatch {
    pub reason: String,
    /// The rollback's journal entry.
    pub entry: u64,
}

/// What the routing files last asked for a service's split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedSplit {
    pub active: Environment,
    pub weight: Weight,
}
