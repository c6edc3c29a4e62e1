//! What gates do to a rollout: which hook it has reached, what an answer means, and for how long one is waited for.
//!
//! A rollback asks none of them: nothing here is looked at on its way.

use crate::rollout::gate_history::GateNews;
use crate::rollout::gate_hook::GateHook;
use crate::rollout::gates::{GateAnswer, GateRequest, GateView, RolloutGate};
use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::plan::OnFailure;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{Announcement, AnnouncementLevel, ChangeKind, Effect};
use crate::time::Millis;

/// A wait before the first step is stored this often: later, the progress of the step carries it.
const KEEP: Millis = Millis::seconds(5);

impl ServiceState {
    /// The hooks whose gates are asked now: those of each step, and the one that the plan has come to if nothing else keeps
    /// it where it is. `wall`: the time of day.
    fn hooks(&self, is_held_otherwise: bool, wall: u64) -> Vec<GateHook> {
        let asks = self.gates.all().next().is_some() && !self.durable.stopped;
        let Some(release) = self.durable.release.as_ref().filter(|_| asks) else { return Vec::new() };
        let owes = |hook: &GateHook| !self.gates.owing(*hook, &self.durable).is_empty();
        let next = |hooks: &[GateHook]| hooks.iter().copied().find(owes);
        match release.phase {
            RolloutPhase::Preflight if release.rescue || self.is_frozen_for(release, wall) => Vec::new(),
            RolloutPhase::Preflight if self.gates.owes_preflight => Vec::from_iter(next(&[GateHook::ConfirmRollout])),
            RolloutPhase::Preflight if self.gates.ready.is_some() => {
                Vec::from_iter(next(&[GateHook::PreRollout, GateHook::ConfirmTrafficIncrease]))
            }
            RolloutPhase::Shifting | RolloutPhase::Baking => {
                let is_held = is_held_otherwise || owes(&GateHook::Rollout);
                let confirms = match (release.next(), release.phase) {
                    (Some(_), _) => next(&[GateHook::ConfirmTrafficIncrease]),
                    (None, RolloutPhase::Baking) => next(&[GateHook::ConfirmPromotion]),
                    (None, _) => None,
                };
                [GateHook::Rollout].into_iter().chain(confirms.filter(|_| !is_held)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn is_frozen_for(&self, release: &Release, wall: u64) -> bool {
        !release.passes_freeze && self.frozen(wall).is_some()
    }

    /// The gates that keep a rollout where it is. `others`: what else does.
    pub(super) fn gates_wanted(&self, others: &[WaitReason], now: Millis, wall: u64) -> Option<WaitReason> {
        let hooks = self.hooks(!others.is_empty(), wall);
        let owing: Vec<&RolloutGate> =
            hooks.into_iter().flat_map(|hook| self.gates.owing(hook, &self.durable)).collect();
        let words: Vec<String> = owing.iter().map(|gate| self.gate_in_words(gate, now)).collect();
        let names = owing.into_iter().map(|gate| gate.name.clone()).collect();
        (!words.is_empty()).then(|| WaitReason::Gate { names, because: words.join("; ") })
    }

    /// ``gate `team-ok` (confirm-promotion): 403 Forbidden from https://gates.example.com, asked 12s ago``.
    fn gate_in_words(&self, gate: &RolloutGate, now: Millis) -> String {
        let host = &gate.host;
        match self.gates.last_here(gate, &self.durable, now) {
            None => format!("{gate}: no answer yet from {host}"),
            Some((age, Ok(said) | Err(said))) => {
                format!("{gate}: {said} from {host}, asked {} ago", age.whole_seconds())
            }
        }
    }

    /// What is shown of every gate.
    pub(super) fn gate_views(&self, now: Millis) -> Vec<GateView> {
        let views = self.gates.all().map(|gate| {
            let (verdict, age_ms, said) = match self.gates.last(&gate.name, now) {
                None => ("not_asked", None, None),
                Some((age, Ok(said))) => ("passed", Some(age), Some(said)),
                Some((age, Err(why))) => ("failed", Some(age), Some(why)),
            };
            let why = said.map_or_else(|| "not asked yet".to_owned(), |said| format!("{said} from {}", gate.host));
            GateView { name: gate.name.clone(), hook: gate.hook, verdict, age_ms, why }
        });
        views.collect()
    }

    /// Whether gates hold the first step of a rollout that is ready for it.
    pub(super) fn holds_first_step(&self) -> bool {
        [GateHook::PreRollout, GateHook::ConfirmTrafficIncrease]
            .iter()
            .any(|hook| !self.gates.owing(*hook, &self.durable).is_empty())
    }
}

impl ServiceUpdate<'_> {
    /// At a tick: a rollout before its first step goes on when its gates have passed, or the file has them no longer.
    pub(super) fn pass_gates_before_first_step(&mut self) -> Vec<Effect> {
        let ServiceState { durable, gates, .. } = &mut *self.state;
        gates.look(durable);
        if gates.owes_preflight && gates.owing(GateHook::ConfirmRollout, durable).is_empty() {
            return self.preflight().into_iter().collect();
        }
        if self.state.gates.ready.is_none() || self.state.holds_first_step() {
            return Vec::new();
        }
        let (rollout, said) = (self.state.durable.rollout, self.state.gates.ready.take().unwrap_or_default());
        self.preflighted(rollout, Ok(said))
    }

    /// At a tick: asks the gates whose time has come. `reasons`: what keeps the rollout where it is.
    pub(super) fn ask_gates(&mut self, reasons: &[WaitReason]) -> Vec<Effect> {
        let is_held = reasons.iter().any(|reason| !matches!(reason, WaitReason::Gate { .. }));
        let wall = self.wall();
        let mut hooks = self.state.hooks(is_held, wall);
        let waits = hooks.iter().copied().find(|hook| hook.confirms());
        let mut effects = self.wait_for_gates(waits);
        if !effects.is_empty() && !matches!(effects.as_slice(), [Effect::Keep(_)]) {
            return effects;
        }
        let ServiceState { durable, gates, .. } = &mut *self.state;
        gates.look(durable);
        if durable.is_under_way() || durable.is_watching() {
            hooks.push(GateHook::Rollback);
        }
        let sequence = &mut *self.sequence;
        let number = || sequence.next_question();
        let due = gates.due(&hooks, durable, self.now, number);
        effects.extend(due.into_iter().map(|(gate, number)| self.question(&gate, number, None)));
        effects
    }

    /// Counts the time for which a hook has been waited for, and ends it where it is over.
    fn wait_for_gates(&mut self, hook: Option<GateHook>) -> Vec<Effect> {
        let now = self.now;
        let ServiceState { durable, gates, .. } = &mut *self.state;
        let counted = std::mem::replace(&mut gates.counted, hook.map(|_| now));
        let (Some(release), Some(hook)) = (&mut durable.release, hook) else { return Vec::new() };
        let progress = &mut release.gates;
        if progress.hook != Some(hook) {
            (progress.hook, progress.waited) = (Some(hook), Millis::ZERO);
        }
        let before = progress.waited;
        progress.waited = before.plus(counted.map_or(Millis::ZERO, |counted| now.since(counted)));
        let waited = progress.waited;
        let is_due = release.phase == RolloutPhase::Preflight && before.0 / KEEP.0 != waited.0 / KEEP.0;
        let over = gates.owing(hook, durable).into_iter().find(|gate| waited >= gate.deadline).cloned();
        match over {
            Some(gate) => self.end_wait(&gate),
            None if is_due => vec![Effect::Keep(self.name.to_owned())],
            None => Vec::new(),
        }
    }

    /// A gate has been waited for as long as the file allows.
    fn end_wait(&mut self, gate: &RolloutGate) -> Vec<Effect> {
        let Some(release) = &self.state.durable.release else { return Vec::new() };
        let said = self.state.gate_in_words(gate, self.now);
        let why = format!("{}: not passed within {}: {said}", release.title(), gate.deadline);
        let is_tried = release.phase == RolloutPhase::Preflight;
        match gate.on_deadline {
            OnFailure::Rollback if is_tried => self.never_start(gate, why),
            OnFailure::Rollback if !self.state.durable.unwatched => {
                self.roll_back_safely(by_gate(gate, ChangeKind::Rollback, why), RollbackGround::Plan)
            }
            OnFailure::Rollback | OnFailure::Hold => self.pause(by_gate(gate, ChangeKind::Deadline, why)),
        }
    }

    fn never_start(&mut self, gate: &RolloutGate, why: String) -> Vec<Effect> {
        self.alter(by_gate(gate, ChangeKind::Abort, why.clone()), |durable| durable.abort(&why))
    }

    /// The answer of a gate.
    pub(super) fn gated(&mut self, number: u64, answer: GateAnswer) -> Vec<Effect> {
        let ServiceState { durable, gates, .. } = &mut *self.state;
        gates.look(durable);
        let Some(news) = gates.answered(number, answer, durable, self.now) else { return Vec::new() };
        match news.gate.hook {
            GateHook::PostRollout | GateHook::Event => self.heard(&news).into_iter().collect(),
            GateHook::Rollback => self.take_back_for(&news),
            _ if !self.state.durable.is_under_way() => Vec::new(),
            GateHook::PreRollout | GateHook::Rollout if news.failures >= news.gate.threshold => self.fail_for(&news),
            _ => self.go_on_or_hold(&news),
        }
    }

    /// A gate of the way forward has passed, or keeps the rollout where it is.
    fn go_on_or_hold(&mut self, news: &GateNews) -> Vec<Effect> {
        let durable = &mut self.state.durable;
        let Some(release) = &durable.release else { return Vec::new() };
        let (gate, title) = (&news.gate, release.title().to_owned());
        match &news.answer {
            // It is asked again and again: that it goes well is no news.
            Ok(_) if gate.hook == GateHook::Rollout => Vec::new(),
            Ok(said) => {
                let note =
                    by_gate(gate, ChangeKind::Gate, format!("{title}: {gate} has passed: {said} from {}", gate.host));
                let before = durable.clone();
                told(AnnouncementLevel::Info, self.change(note, Some(before))).into()
            }
            Err(_) if release.gates.told.contains(&gate.name) => Vec::new(),
            Err(why) => {
                let before = durable.clone();
                if let Some(release) = &mut durable.release {
                    release.gates.told.push(gate.name.clone());
                }
                let failures = match gate.hook.counts() {
                    true => format!(" (failure {} of {})", news.failures, gate.threshold),
                    false => String::new(),
                };
                let why = format!("{title} waits at {} for {gate}: {why} from {}{failures}", before.weight, gate.host);
                let note = by_gate(gate, ChangeKind::Waiting, why);
                told(AnnouncementLevel::Warning, self.change(note, Some(before))).into()
            }
        }
    }

    /// A gate has failed too often.
    fn fail_for(&mut self, GateNews { gate, answer, failures, .. }: &GateNews) -> Vec<Effect> {
        let (Some(release), Err(said)) = (&self.state.durable.release, answer) else { return Vec::new() };
        let title = release.title();
        let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
        let why = format!("{title}: {gate} has failed {times}: {said} from {}", gate.host);
        match gate.hook {
            GateHook::PreRollout => self.never_start(gate, why),
            _ if !self.state.durable.unwatched => {
                self.roll_back_safely(by_gate(gate, ChangeKind::Rollback, why), RollbackGround::Gate)
            }
            _ if release.phase == RolloutPhase::Paused => Vec::new(),
            _ => {
                let why = format!("{why}; it stays at its step because the guard is off");
                self.pause(by_gate(gate, ChangeKind::Pause, why))
            }
        }
    }

    /// A gate asks for a rollback, or does not.
    fn take_back_for(&mut self, GateNews { gate, answer, .. }: &GateNews) -> Vec<Effect> {
        let durable = &self.state.durable;
        let Ok(said) = answer else { return Vec::new() };
        if !durable.is_under_way() && !durable.is_watching() {
            return Vec::new();
        }
        let has_clients = !durable.subject_share().is_zero();
        let note = by_gate(gate, ChangeKind::Rollback, format!("{gate} asks for it: {said} from {}", gate.host));
        match has_clients {
            true => self.roll_back_safely(note, RollbackGround::Gate),
            // Nobody has to be moved to a side that may not answer.
            false => self.roll_back(note),
        }
    }

    /// A gate that is only told something has heard it, or has not.
    fn heard(&mut self, GateNews { gate, answer, is_news, .. }: &GateNews) -> Option<Effect> {
        let before = self.state.durable.clone();
        let is_end = gate.hook == GateHook::PostRollout;
        if is_end
            && !self.state.gates.is_telling(GateHook::PostRollout)
            && let Some(release) = &mut self.state.durable.release
        {
            release.gates.owed = false;
        }
        let said = match answer {
            Ok(said) => format!("has passed: {said}"),
            Err(why) => format!("has failed: {why}"),
        };
        // Only the journal has it: an announcement would be told again.
        let note = by_gate(gate, ChangeKind::Gate, format!("{gate} {said} from {}", gate.host));
        let on_record = is_end || (answer.is_err() && *is_news);
        on_record.then(|| Effect::Journal(Box::new(self.change(note, Some(before)))))
    }

    /// Tells the gates of a hook: of the end of the rollout, or of an announcement.
    pub(super) fn tell_gates(&mut self, hook: GateHook, event: Option<&Announcement>) -> Vec<Effect> {
        let sequence = &mut *self.sequence;
        let number = || sequence.next_question();
        let (told, full) = self.state.gates.tell(hook, number);
        let mut effects: Vec<Effect> =
            told.into_iter().map(|(gate, number)| self.question(&gate, number, event.cloned())).collect();
        effects.extend(full.iter().filter_map(|news| self.heard(news)));
        effects
    }

    fn question(&self, gate: &RolloutGate, number: u64, event: Option<Announcement>) -> Effect {
        let durable = &self.state.durable;
        let release = durable.release.as_ref();
        let is_tried = release.is_some_and(|release| release.phase.is_under_way() && !release.is_live());
        let raised = release.filter(|_| gate.hook == GateHook::ConfirmTrafficIncrease).and_then(|release| {
            let next = if is_tried { release.plan.steps.first() } else { release.next() };
            Some(next?.weight)
        });
        Effect::AskGate(GateRequest {
            service: self.name.to_owned(),
            gate: gate.name.clone(),
            hook: gate.hook,
            number,
            version: release.and_then(|release| release.version.clone()),
            environment: release.map_or(durable.subject(), |release| release.environment),
            functions: release.map_or(Vec::new(), |release| release.functions.clone()),
            rollout: durable.rollout,
            phase: release.map(|release| release.phase),
            weight: durable.weight,
            next_weight: raised,
            step: release.filter(|_| !is_tried).map_or(0, |release| release.step + 1),
            steps: release.map_or(0, |release| release.plan.steps.len()),
            event,
        })
    }
}

fn by_gate(gate: &RolloutGate, kind: ChangeKind, why: String) -> ChangeNote {
    ChangeNote { gate: Some(gate.name.clone()), ..ChangeNote::by(Component::Plan, kind, why) }
}
