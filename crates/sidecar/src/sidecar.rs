//! The thread: it takes inputs, asks the state, and carries out the effects.

mod work_queues;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::command::{
    AfterSuspension, CommandReceipt, CommandResult, RecordedAnnouncement, SidecarHandle, SidecarInput, SidecarStatus,
    Suspension,
};
use crate::journal::{Journal, JournalEntry, RestoredState};
use crate::readings::{CounterReadings, checked};
use crate::routing::{CurrentRouting, ResolvedRouting};
use crate::sidecar::work_queues::WorkQueues;
use judgement::guard::evidence::MeterKind;
use judgement::guard::outside_metric::MeasuredFigures;
use judgement::guard::trigger::{Trigger, TriggerAction};
use judgement::guard::{GuardPolicy, Verdict};
use judgement::rollout::gates::{GateAnswer, GateRequest};
use judgement::rollout::release::Release;
use judgement::rollout::{
    Announcement, AnnouncementLevel, ChangeKind, Component, DurableState, Effect, Event, GuardInsight, HandedWatch,
    JournalChange, MetricRequest, OperatorCommand, RolloutError, RuntimeOverrides, State,
};
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::{TrafficSplit, Weight};
use memory::clock;
use memory::counters::{Counters, count, set};
use memory::snapshot::{RoutingSnapshot, SnapshotPublisher};

/// It is looked this often whether splits hold: unlike failures, that hurts nobody, and reads many counters.
const ARRIVALS: Millis = Millis(250);
/// Inputs that wait for the sidecar. Each is an operator's command, a reload, a change in DNS or the one wake-up that
/// the alarm lets through, so hundreds at once mean that something is broken.
const QUEUE: usize = 256;
/// Announcements kept for each listener; a slower one loses the oldest.
const ANNOUNCEMENTS: usize = 256;
/// Reasons for rollbacks that are there whatever the guard's policy is.
const ASKED_FOR: &str = "asked for";
const MIRROR: &str = "mirror";
const SUITES: &str = "suites";
/// The journal has so long to be written before another process opens it.
const RELEASE: Duration = Duration::from_secs(5);
/// How often it is tried to take it back.
const RECLAIM: Duration = Duration::from_millis(100);
/// The least time between two wake-ups: a burst of failures causes one look, not a thousand.
const WAKE_SPACING: Millis = Millis(10);

/// The only writer of weights, with everything that it writes to.
#[derive(Debug)]
pub struct Sidecar {
    state: State,
    placed: CurrentRouting,
    readings: CounterReadings,
    publisher: SnapshotPublisher,
    counters: Arc<Counters>,
    journal: Journal,
    news: broadcast::Sender<RecordedAnnouncement>,
    /// The last entry recorded, which an announcement of the same number carries along.
    recorded: Option<Arc<JournalEntry>>,
    work: WorkQueues,
    /// When it was last looked whether splits hold.
    arrivals_seen: Millis,
    /// After a panic: ticks no longer judge, and operators can still give commands.
    frozen: bool,
}

impl Sidecar {
    /// A sidecar over a restored state. It has no services until a routing file is loaded.
    pub fn new(
        restored: RestoredState,
        publisher: SnapshotPublisher,
        counters: Arc<Counters>,
        journal: Journal,
    ) -> Sidecar {
        let RestoredState { services, generation, last_entry, lost, missing, .. } = restored;
        let began = clock::wall_millis().saturating_sub(clock::now().0);
        let state = match lost {
            true => State::after_loss(began),
            false => State::restored(services, generation, last_entry, began),
        };
        let state = if missing { state.with_a_past() } else { state };
        let (news, _) = broadcast::channel(ANNOUNCEMENTS);
        let (placed, readings) = (CurrentRouting::default(), CounterReadings::default());
        Sidecar {
            state,
            placed,
            readings,
            publisher,
            counters,
            journal,
            news,
            recorded: None,
            work: WorkQueues::default(),
            arrivals_seen: Millis::ZERO,
            frozen: false,
        }
    }

    /// Goes on from what another process knew of each candidate.
    #[must_use]
    pub fn going_on_from(self, handed: BTreeMap<String, HandedWatch>) -> Sidecar {
        Sidecar { state: self.state.going_on_from(handed), ..self }
    }

    /// Subscribes to everything that is announced from now on.
    pub fn listen(&self) -> broadcast::Receiver<RecordedAnnouncement> {
        self.news.subscribe()
    }

    /// Starts the thread. It judges at every `tick` and after failing requests, until it is told to end or its handles
    /// are gone.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(self, tick: Millis) -> std::io::Result<(SidecarHandle, JoinHandle<()>)> {
        let (inputs, received) = sync_channel(QUEUE);
        let handle = SidecarHandle::new(inputs, self.news.clone());
        let thread = std::thread::Builder::new().name("sidecar".to_owned()).spawn(move || self.run(&received, tick))?;
        Ok((handle, thread))
    }

    fn run(mut self, inputs: &Receiver<SidecarInput>, tick: Millis) {
        let mut next_tick = clock::now();
        // When a wake-up that came too soon after the last one is acted on.
        let mut next_glance = None;
        let mut last_wake = Millis::ZERO;
        loop {
            let now = clock::now();
            let wait = next_glance.unwrap_or(next_tick).min(next_tick).since(now);
            let input = match inputs.recv_timeout(wait.as_duration()) {
                Ok(SidecarInput::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let now = clock::now();
            match input {
                Some(SidecarInput::Suspend(answer)) => match self.suspend(&answer) {
                    AfterSuspension::GoOn => {}
                    AfterSuspension::End => return,
                },
                Some(SidecarInput::Wake) if now.since(last_wake) < WAKE_SPACING => {
                    next_glance = Some(last_wake.plus(WAKE_SPACING));
                }
                Some(SidecarInput::Wake) => {
                    last_wake = now;
                    self.guarded(|sidecar| sidecar.glance(now));
                }
                Some(input) => self.guarded(|sidecar| sidecar.handle(input, now)),
                None if now >= next_tick => {
                    self.guarded(|sidecar| sidecar.tick(now));
                    // Ticks stay on their grid however long one takes; a missed tick is not made up for.
                    next_tick = next_tick.plus(Millis((now.since(next_tick).0 / tick.0.max(1) + 1) * tick.0.max(1)));
                    next_glance = None;
                }
                None => {
                    (last_wake, next_glance) = (now, None);
                    self.guarded(|sidecar| sidecar.glance(now));
                }
            }
        }
    }

    /// Lets another process open the state, and waits for what comes of it.
    fn suspend(&mut self, answer: &SyncSender<Option<Suspension>>) -> AfterSuspension {
        self.keep_progress();
        if !self.journal.release(RELEASE) {
            let _ = answer.try_send(None);
            return AfterSuspension::GoOn;
        }
        // One place for its word, and one for its end.
        let (after, ended) = sync_channel(2);
        // If nobody waits for it any more, it is dropped here, and goes on.
        let _ = answer.try_send(Some(Suspension::new(after, self.state.hand_over())));
        if ended.recv() == Ok(AfterSuspension::End) {
            return AfterSuspension::End;
        }
        while let Err(error) = self.journal.reclaim() {
            tracing::error!(%error, "cannot take the state back; will retry");
            std::thread::park_timeout(RECLAIM);
        }
        AfterSuspension::GoOn
    }

    /// Saves how far every step has come: the grid on which that is saved by itself is seconds wide.
    fn keep_progress(&self) {
        let live = self.state.live().filter_map(|service| Some((service, self.state.durable(service)?)));
        live.for_each(|(service, durable)| self.journal.save_state(service.to_owned(), durable.clone()));
    }

    /// Runs one round. A panic in it freezes the weights; requests continue on the last snapshot.
    fn guarded(&mut self, round: impl FnOnce(&mut Sidecar)) {
        let started = clock::micros();
        if catch_unwind(AssertUnwindSafe(|| round(self))).is_err() {
            count(&self.counters.process.sidecar_panics);
            self.frozen = true;
            tracing::error!(
                "sidecar panicked; weights are frozen and automatic rollback is off until Cutover is restarted"
            );
        }
        let process = &self.counters.process;
        set(&process.sidecar_tick_micros, clock::micros() - started);
        count(&process.sidecar_ticks);
        set(&process.sidecar_seen, clock::now().0);
    }

    /// Handles one input at `now`.
    pub fn handle(&mut self, input: SidecarInput, now: Millis) {
        match input {
            SidecarInput::Load(load, answer) => {
                let taken = self.load(*load, now);
                // Judge at once, so that the candidate's first request falls into its window.
                self.glance(now);
                let _ = answer.try_send(taken);
            }
            SidecarInput::Resolved { origin, endpoints } => {
                if self.placed.resolved(origin, endpoints) {
                    self.publish();
                }
            }
            SidecarInput::Command { command, load, answer } => {
                if let Err(refused) = self.command(*command, load, &answer, now) {
                    let _ = answer.try_send(Err(refused));
                }
            }
            SidecarInput::Event(Event::Measured { order, answer }) => self.measured(order, answer, now),
            SidecarInput::Event(Event::Gated { order, answer }) => self.gated(order, answer, now),
            SidecarInput::Event(event) => self.apply(event, now),
            SidecarInput::Status(answer) => {
                let _ = answer.try_send(SidecarStatus {
                    last_entry: self.state.last_entry(),
                    generation: self.state.generation(),
                    services: self.state.views(now),
                    overs: self.overs(),
                });
            }
            SidecarInput::Insight(service, answer) => {
                let _ = answer.try_send(self.insight(&service, now));
            }
            SidecarInput::Wake => self.glance(now),
            SidecarInput::Suspend(_) | SidecarInput::End => {}
        }
    }

    /// A regular tick: judges every live service.
    pub fn tick(&mut self, now: Millis) {
        self.look(now, true);
    }

    /// An early look between two ticks, because a request failed. Blocks of evidence end only at ticks.
    pub fn glance(&mut self, now: Millis) {
        self.look(now, false);
    }

    fn look(&mut self, now: Millis, on_grid: bool) {
        // Before looking, so that whatever fails from here on raises the alarm again.
        self.counters.alarm.quiet();
        self.state.tell_time(clock::wall_millis(), clock::now());
        if self.frozen {
            return;
        }
        self.apply(Event::Aged, now);
        let live: Vec<String> = self.state.live().map(str::to_owned).collect();
        let counts_arrivals = on_grid && now.since(self.arrivals_seen) >= ARRIVALS;
        if counts_arrivals {
            self.arrivals_seen = now;
        }
        for service in &live {
            if on_grid && self.readings.rests(service, now) {
                continue;
            }
            let Some(serving) = self.placed.serving(service) else { continue };
            // During the watch that is the side that was replaced, which has no traffic any more.
            let usual = self.state.durable(service).map_or(Environment::Blue, |durable| durable.subject().other());
            let routes = checked(self.readings.read(now, usual, serving), self.counters.health_failures(service));
            let event = Event::Counted { service: service.clone(), routes, on_grid };
            self.apply(event, now);
            if counts_arrivals {
                self.see_arrivals(service, now);
            }
            self.show(service);
            if on_grid {
                let waits = self.state.waits(service);
                self.counters.judge(service, |judged| waits.clone_into(&mut judged.waiting));
            }
        }
        self.readings.keep(&live);
    }

    /// Reads what the split of a service has sent.
    fn see_arrivals(&mut self, service: &str, now: Millis) {
        let Some(split) = self.state.split(service) else { return };
        let Some(sticky) = self.placed.sticky(service).cloned() else { return };
        let counted = self.counters.split(service, &split);
        let arrivals = counted.map(|counted| counted.arrivals(sticky));
        self.apply(Event::Arrived { service: service.to_owned(), arrivals }, now);
    }

    /// Puts a routing file in force as a whole, and publishes it.
    ///
    /// # Errors
    /// The file sets a weight that a running rollout controls. Nothing has changed.
    pub fn load(&mut self, load: ResolvedRouting, now: Millis) -> Result<(), RolloutError> {
        let asks = load.asks();
        self.state.may_load(&asks, now)?;
        self.placed.replace(load, &self.counters);
        self.readings.forget();
        let names: Vec<String> = asks.iter().map(|loaded| loaded.service.clone()).collect();
        self.apply(Event::Loaded(asks), now);
        // After a restart no entry has reported the phase yet.
        for name in names {
            self.expect_rollbacks(&name);
            let named = self.state.policy(&name).map(|policy| policy.metrics.as_slice()).unwrap_or_default();
            let gates = self.state.gates(&name);
            self.counters.judge(&name, |judged| {
                judged.keep_figures(named);
                judged.keep_gates(&gates);
            });
            if let Some(release) = self.state.durable(&name).and_then(|durable| durable.release.as_ref()) {
                self.counters.judge(&name, |judged| judged.phase = Some(release.phase));
            }
        }
        Ok(())
    }

    /// Carries out an operator's command together with the routing that belongs to it: both or neither.
    fn command(
        &mut self,
        command: OperatorCommand,
        load: Option<Box<ResolvedRouting>>,
        answer: &SyncSender<CommandResult>,
        now: Millis,
    ) -> Result<(), RolloutError> {
        if let Some(load) = &load {
            self.state.may_load(&load.asks(), now)?;
        }
        let effects = self.state.apply(Event::Command(command), now)?;
        let mut changes = effects.iter().filter_map(|effect| match effect {
            Effect::Journal(change) => Some((change.id, change.weights())),
            _ => None,
        });
        let (entry, weights) = changes.next().map_or((None, None), |(id, weights)| (Some(id), weights));
        if let Some(load) = load {
            // Accepted above; the command has not changed the answer.
            let _ = self.load(*load, now);
        }
        self.carry_out(effects, now);
        self.glance(now);
        self.answer_when_written(entry, weights, answer.clone());
        Ok(())
    }

    fn apply(&mut self, event: Event, now: Millis) {
        if let Ok(effects) = self.state.apply(event, now) {
            self.carry_out(effects, now);
        }
    }

    /// The answer to a question that another system was asked: counted, shown and judged.
    fn measured(&mut self, order: MetricRequest, answer: Result<MeasuredFigures, String>, now: Millis) {
        self.counters.judge(&order.service, |judged| judged.measured(&order, answer.as_ref().ok()));
        self.apply(Event::Measured { order, answer }, now);
    }

    /// The answer of a gate: counted, and taken in.
    fn gated(&mut self, order: GateRequest, answer: GateAnswer, now: Millis) {
        self.counters.judge(&order.service, |judged| judged.gated(&order, answer.is_ok()));
        self.apply(Event::Gated { order, answer }, now);
    }

    /// The runtime overrides of each service.
    pub fn overs(&self) -> BTreeMap<String, RuntimeOverrides> {
        self.state.overs()
    }

    /// Whether there was a state before this process, known or not.
    pub fn has_past(&self) -> bool {
        self.state.has_past()
    }

    /// Whether that is not known any more.
    pub fn is_forgotten(&self) -> bool {
        self.state.is_forgotten()
    }

    /// The active side of a service that has been seen before.
    pub fn active_of(&self, service: &str) -> Option<Environment> {
        self.state.active_of(service)
    }

    /// A service's current split.
    pub fn split(&self, service: &str) -> Option<TrafficSplit> {
        self.state.split(service)
    }

    fn carry_out(&mut self, effects: Vec<Effect>, now: Millis) {
        for effect in effects {
            match effect {
                Effect::Preflight(order) => self.request_preflight(order, now),
                Effect::Measure(order) => self.request_figure(order, now),
                Effect::AskGate(order) => self.request_gate(order, now),
                Effect::Probe(order) => self.request_probe(order, now),
                Effect::Validate(order) => self.request_suites(order, now),
                Effect::Keep(service) => {
                    if let Some(durable) = self.state.durable(&service) {
                        self.journal.save_state(service, durable.clone());
                    }
                }
                Effect::Publish => self.publish(),
                Effect::Journal(change) => self.record(*change, now),
                Effect::Announce(news) => self.announce(news),
            }
        }
    }

    fn publish(&mut self) {
        let split_of = |name: &str| self.state.split(name).unwrap_or(TrafficSplit::resting(Environment::Blue));
        let table = self.placed.table(split_of);
        let services = table.services();
        let tallies = services.map(|(_, rules, split)| self.counters.split_tally(&rules.name, split)).collect();
        self.publisher.publish(RoutingSnapshot {
            generation: self.state.generation(),
            table,
            services: self.placed.services(),
            endpoints: self.placed.endpoints(),
            auth_endpoints: self.placed.auth_endpoints(),
            tallies,
        });
    }

    fn show(&self, service: &str) {
        let (shown, ledger) = (self.state.shown(service), self.state.ledger(service));
        let split = self.state.split_reading(service).cloned();
        self.counters.judge(service, |judged| {
            if let Some(shown) = shown {
                judged.shown.clone_from(shown);
            }
            if let Some(ledger) = ledger {
                judged.ledger = ledger;
            }
            judged.split.clone_from(&split);
        });
    }

    /// What the guard sees of a service, read from the counters that it judges by; `None` for an unknown service.
    fn insight(&self, service: &str, now: Millis) -> Option<GuardInsight> {
        let serving = self.placed.serving(service)?;
        let totals = serving.routes.iter().map(|route| route.judged()).collect();
        let totals = checked(totals, self.counters.health_failures(service));
        self.state.insight(service, &totals, now)
    }

    fn record(&mut self, mut change: JournalChange, now: Millis) {
        if change.kind == ChangeKind::Rollback {
            self.count_rollback(&change);
        }
        if let Some(release) = change.after.as_ref().and_then(|after| after.release.as_ref()) {
            let is_judged = change.after.as_ref().is_some_and(DurableState::is_judged);
            self.counters.judge(&change.service, |judged| {
                judged.phase = Some(release.phase);
                judged.split = judged.split.take().filter(|_| is_judged);
                if !release.phase.is_under_way() {
                    judged.waiting.clear();
                }
            });
        }
        if change.kind == ChangeKind::Caution {
            self.counters.judge(&change.service, |judged| judged.cautions += 1);
        }
        if let Some(ledger) = &mut change.ledger {
            // The proxy records the keys; the state does not have them.
            ledger.keys = self.counters.keys(&change.service).estimate(ledger.rollout);
            let ledger = *ledger;
            self.counters.judge(&change.service, |judged| judged.ledger = ledger);
        }
        self.readings.stir(&change.service, now);
        let entry = JournalEntry { at: clock::wall_millis(), change };
        self.recorded = Some(Arc::new(entry.clone()));
        self.journal.append(entry);
    }

    /// Begins to count for whatever may take a service's candidate back.
    fn expect_rollbacks(&self, service: &str) {
        let mut reasons = vec![ASKED_FOR, MIRROR, SUITES];
        let gates = self.state.gates(service);
        reasons.extend(gates.iter().filter(|gate| !gate.hook.is_told()).map(|gate| gate.name.as_str()));
        if let Some(policy) = self.state.policy(service) {
            let GuardPolicy { evidence, triggers, metrics, .. } = policy;
            let meters = MeterKind::ALL.iter().filter(|_| evidence.is_some());
            reasons.extend(meters.map(|meter| meter.reason()));
            let takes_back = |trigger: &&Trigger| trigger.action == TriggerAction::Rollback;
            reasons.extend(triggers.iter().filter(takes_back).map(|trigger| trigger.name.as_str()));
            reasons.extend(metrics.iter().map(|metric| metric.name.as_str()));
        }
        reasons.iter().for_each(|reason| self.counters.expect_rollbacks(service, reason));
    }

    fn count_rollback(&self, change: &JournalChange) {
        let verdict = change.evidence.as_ref().map(|evidence| (&evidence.judgement.verdict, &evidence.sight));
        let reason = match (verdict, &change.figure, &change.gate) {
            (Some((Verdict::Unhealthy(reason), _)), ..) => reason.name.as_str(),
            (_, Some(figure), _) => figure.metric.name.as_str(),
            (.., Some(gate)) => gate,
            // The plan itself rolls back only for failing suites, and for copies of requests that differ.
            _ if change.is_by(Component::Plan) && compares(change) => MIRROR,
            _ if change.is_by(Component::Plan) => SUITES,
            _ => ASKED_FOR,
        };
        self.counters.count_rollback(&change.service, reason);
        if let Some((verdict, sight)) = verdict {
            self.counters.judge(&change.service, |judged| judged.convict(verdict, sight.evidence.as_ref()));
        }
    }

    fn announce(&mut self, announcement: Announcement) {
        let Announcement { level, service, kind, text, entry } = &announcement;
        let kind = kind.name();
        match level {
            AnnouncementLevel::Info => tracing::info!(%service, kind, entry, "{text}"),
            AnnouncementLevel::Warning => tracing::warn!(%service, kind, entry, "{text}"),
            AnnouncementLevel::Critical => tracing::error!(%service, kind, entry, "{text}"),
        }
        let entry = self.recorded.clone().filter(|recorded| recorded.change.id == announcement.entry);
        // An error means that nobody is subscribed.
        let _ = self.news.send(RecordedAnnouncement { announcement, entry, newest: self.journal.newest() });
    }

    fn answer_when_written(&self, entry: Option<u64>, weights: Option<[Weight; 2]>, answer: SyncSender<CommandResult>) {
        let generation = self.state.generation();
        self.journal.when_written(Box::new(move |written| {
            let _ = answer.try_send(Ok(CommandReceipt { entry, generation, written, weights }));
        }));
    }
}

/// Whether copies of requests were compared at the step at which this was changed.
fn compares(change: &JournalChange) -> bool {
    let release = change.before.as_ref().and_then(|before| before.release.as_ref());
    release.is_some_and(Release::mirrors)
}

#[cfg(test)]
mod tests;
