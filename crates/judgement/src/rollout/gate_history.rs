//! What is known of the gates of one service, and when to ask them again. Not durable: after a restart they are asked
//! again.

use std::collections::BTreeSet;

use crate::rollout::durable_state::DurableState;
use crate::rollout::gate_hook::GateHook;
use crate::rollout::gates::{GateAnswer, RolloutGate};
use crate::rollout::release::RolloutPhase;
use crate::time::Millis;

/// An answer that is so much late will not come.
const LOST: Millis = Millis::seconds(30);
/// What one gate may still have to be told. More than this waits only where it hangs.
const MOST_TOLD: usize = 32;

/// The gates of a service, in the file's order, with their answers.
#[derive(Clone, Debug, Default)]
pub(super) struct RolloutGates {
    place: Option<GatePlace>,
    of: Vec<GateHistory>,
    /// The preflight waits for the gates before it.
    pub owes_preflight: bool,
    /// What the preflight has said, while gates hold the first step.
    pub ready: Option<String>,
    /// When the wait for a confirming gate was last counted; `None` while nobody waits.
    pub counted: Option<Millis>,
}

/// A rollout's number, when its plan began, and its step; `None` before the first.
pub(super) type GatePlace = (u32, u64, Option<usize>);

/// What is known of one gate.
#[derive(Clone, Debug)]
struct GateHistory {
    gate: RolloutGate,
    /// The question whose answer is awaited, and its number.
    asked: Option<(u64, GateQuestion)>,
    /// When to ask next; `None` for at once.
    next: Option<Millis>,
    last: Option<(GateQuestion, GateAnswer)>,
    /// Where it has passed.
    passed: Option<GatePlace>,
    /// In a row, at this place.
    failures: u32,
    /// Its last answer was one, and that is on record.
    failed: bool,
    /// The numbers of what it is being told.
    telling: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct GateQuestion {
    at: Millis,
    place: GatePlace,
}

/// An answer that was awaited.
#[derive(Clone, Debug)]
pub(super) struct GateNews {
    pub gate: RolloutGate,
    pub answer: GateAnswer,
    /// In a row, with this one.
    pub failures: u32,
    /// It has not failed like this just before.
    pub is_news: bool,
}

impl RolloutGates {
    pub fn new(gates: Vec<RolloutGate>) -> RolloutGates {
        RolloutGates { of: gates.into_iter().map(GateHistory::new).collect(), ..RolloutGates::default() }
    }

    /// With the gates of another file: what is known of those that it has too stays.
    pub fn with(mut self, gates: Vec<RolloutGate>) -> RolloutGates {
        let mut before = std::mem::take(&mut self.of);
        let known = |gate| match before.iter().position(|history| history.gate == gate) {
            Some(at) => before.swap_remove(at),
            None => GateHistory::new(gate),
        };
        RolloutGates { of: gates.into_iter().map(known).collect(), ..self }
    }

    pub fn has(&self, hook: GateHook) -> bool {
        self.of(hook).next().is_some()
    }

    fn of(&self, hook: GateHook) -> impl Iterator<Item = &GateHistory> {
        self.of.iter().filter(move |history| history.gate.hook == hook)
    }

    /// Another rollout begins with nothing, and another step asks anew.
    pub fn look(&mut self, durable: &DurableState) {
        let place = place_of(durable);
        if durable.release.as_ref().is_none_or(|release| release.phase != RolloutPhase::Preflight) {
            (self.owes_preflight, self.ready) = (false, None);
        }
        let before = self.place.replace(place);
        if before == Some(place) {
            return;
        }
        let is_other = before.is_none_or(|before| (before.0, before.1) != (place.0, place.1));
        for history in &mut self.of {
            history.move_on(is_other);
        }
    }

    /// The gates of a hook that have not passed here.
    pub fn owing(&self, hook: GateHook, durable: &DurableState) -> Vec<&RolloutGate> {
        let place = place_of(durable);
        self.of(hook).filter(|history| history.passed != Some(place)).map(|history| &history.gate).collect()
    }

    /// The gates to ask now, with the number of each question. Those that have passed are asked only while they are
    /// watched.
    pub fn due(
        &mut self,
        hooks: &[GateHook],
        durable: &DurableState,
        now: Millis,
        mut number: impl FnMut() -> u64,
    ) -> Vec<(RolloutGate, u64)> {
        let place = place_of(durable);
        let mut due = Vec::new();
        for history in self.of.iter_mut().filter(|history| hooks.contains(&history.gate.hook)) {
            history.asked.take_if(|(_, asked)| now.since(asked.at) > history.gate.patience().plus(LOST));
            let is_watched = matches!(history.gate.hook, GateHook::Rollout | GateHook::Rollback);
            let is_due = history.asked.is_none() && history.next.is_none_or(|next| now >= next);
            if is_due && (is_watched || history.passed != Some(place)) {
                let number = number();
                history.asked = Some((number, GateQuestion { at: now, place }));
                history.next = Some(now.plus(history.gate.every));
                due.push((history.gate.clone(), number));
            }
        }
        due
    }

    /// The gates of a hook that can be told something now, with a number for each; and those that have too much to hear.
    pub fn tell(
        &mut self,
        hook: GateHook,
        mut number: impl FnMut() -> u64,
    ) -> (Vec<(RolloutGate, u64)>, Vec<GateNews>) {
        let (mut told, mut full) = (Vec::new(), Vec::new());
        for history in self.of.iter_mut().filter(|history| history.gate.hook == hook) {
            if history.telling.len() < MOST_TOLD {
                let number = number();
                history.telling.insert(number);
                told.push((history.gate.clone(), number));
            } else {
                full.push(history.fail(format!("it has not answered the last {MOST_TOLD} yet")));
            }
        }
        (told, full)
    }

    /// Takes in the answer to a question; `None` if it is not awaited any more.
    pub fn answered(
        &mut self,
        number: u64,
        answer: GateAnswer,
        durable: &DurableState,
        now: Millis,
    ) -> Option<GateNews> {
        let place = place_of(durable);
        let is_awaited = |history: &&mut GateHistory| {
            history.telling.contains(&number) || history.asked.is_some_and(|(own, _)| own == number)
        };
        let history = self.of.iter_mut().find(is_awaited)?;
        let asked = match history.telling.remove(&number) {
            true => GateQuestion { at: now, place },
            false => history.asked.take()?.1,
        };
        history.last = Some((asked, answer.clone()));
        match answer {
            Ok(said) => {
                (history.passed, history.failures, history.failed) = (Some(asked.place), 0, false);
                Some(GateNews { gate: history.gate.clone(), answer: Ok(said), failures: 0, is_news: true })
            }
            Err(why) => {
                history.passed = None;
                Some(history.fail(why))
            }
        }
    }

    /// Whether a gate calls for a rollback: it asks for one, or has failed too often.
    pub fn call_for_rollback(&self) -> bool {
        let asks = |history: &GateHistory| history.last.as_ref().is_some_and(|(_, answer)| answer.is_ok());
        self.of(GateHook::Rollback).any(asks)
            || self.of(GateHook::Rollout).any(|history| history.failures >= history.gate.threshold)
    }

    /// Whether a gate is still being told something.
    pub fn is_telling(&self, hook: GateHook) -> bool {
        self.of(hook).any(|history| !history.telling.is_empty())
    }

    /// What a gate has last answered, and how long ago it was asked.
    pub fn last(&self, name: &str, now: Millis) -> Option<(Millis, &GateAnswer)> {
        let history = self.of.iter().find(|history| history.gate.name == name)?;
        history.last.as_ref().map(|(asked, answer)| (now.since(asked.at), answer))
    }

    /// The same, if it was asked at this step.
    pub fn last_here(&self, gate: &RolloutGate, durable: &DurableState, now: Millis) -> Option<(Millis, &GateAnswer)> {
        let history = self.of.iter().find(|history| history.gate == *gate)?;
        let (asked, answer) = history.last.as_ref()?;
        (asked.place == place_of(durable)).then(|| (now.since(asked.at), answer))
    }

    pub fn all(&self) -> impl Iterator<Item = &RolloutGate> {
        self.of.iter().map(|history| &history.gate)
    }
}

impl GateHistory {
    fn new(gate: RolloutGate) -> GateHistory {
        GateHistory {
            gate,
            asked: None,
            next: None,
            last: None,
            passed: None,
            failures: 0,
            failed: false,
            telling: BTreeSet::new(),
        }
    }

    fn move_on(&mut self, is_other: bool) {
        // What asks for a rollback asks for all of it, and what is told is told to its end.
        if self.gate.hook.is_told() || (self.gate.hook == GateHook::Rollback && !is_other) {
            return;
        }
        (self.asked, self.next, self.passed, self.failures) = (None, None, None, 0);
        if is_other {
            (self.last, self.failed) = (None, false);
        }
    }

    fn fail(&mut self, why: String) -> GateNews {
        self.failures += 1;
        let is_news = !std::mem::replace(&mut self.failed, true);
        GateNews { gate: self.gate.clone(), answer: Err(why), failures: self.failures, is_news }
    }
}

pub(super) fn place_of(durable: &DurableState) -> GatePlace {
    let Some(release) = &durable.release else { return (durable.rollout, 0, None) };
    let is_tried = release.phase.is_under_way() && !release.is_live();
    (durable.rollout, release.at, (!is_tried).then_some(release.step))
}
