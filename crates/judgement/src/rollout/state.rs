//! The state of all services, and `apply`: the only place where a weight changes.

use std::collections::BTreeMap;

use crate::guard::sample_ratio::SplitReading;
use crate::rollout::gate_hook::GateHook;
use crate::rollout::journal_entries::told;
use crate::rollout::ledger::{OpenLedger, RolloutLedger};
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_update::{Sequence, ServiceUpdate};
use crate::rollout::service_watch::{GuardReading, ServiceWatch};
use crate::rollout::{
    Announcement, AuditRemark, ChangeKind, DurableState, Effect, Event, HandedWatch, JournalChange, OperatorCommand,
    RolloutError, RuntimeOverrides,
};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::TrafficSplit;

/// All services: the durable state of each, and the watch over those that are live.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) services: BTreeMap<String, ServiceState>,
    /// Services that no file names at the moment. They are kept, so that a file that drops one and restores it loses
    /// nothing.
    pub(super) resting: BTreeMap<String, DurableState>,
    pub(super) sequence: Sequence,
    /// There was a state that could not be read, so services that seem new may not be.
    pub(super) lost: bool,
    /// There was a state, and nothing is left of it: services that seem new may have been promoted meanwhile.
    pub(super) missing: bool,
    /// What the process before this one knew, until its services are loaded.
    pub(super) handed: BTreeMap<String, HandedWatch>,
}

impl State {
    /// The state as stored, before any file is read.
    /// `began`: the time of day at zero of the monotonic clock, in milliseconds since 1970.
    pub fn restored(services: BTreeMap<String, DurableState>, generation: u64, last_entry: u64, began: u64) -> State {
        State {
            resting: services,
            sequence: Sequence { generation, last_entry, began, ..Sequence::default() },
            ..State::default()
        }
    }

    /// The state after the store was lost: every service in a file begins at weight 0, latched.
    pub fn after_loss(began: u64) -> State {
        State { lost: true, sequence: Sequence { began, ..Sequence::default() }, ..State::default() }
    }

    /// The same state, where there must have been another one before it.
    pub fn with_a_past(self) -> State {
        State { missing: true, ..self }
    }

    /// What is known of the candidate of each service that is judged, for another process.
    pub fn hand_over(&self) -> BTreeMap<String, HandedWatch> {
        let handed = |(name, service): (&String, &ServiceState)| Some((name.clone(), service.hand_over()?));
        self.services.iter().filter_map(handed).collect()
    }

    /// Goes on from what another process knew, once the services are loaded.
    #[must_use]
    pub fn going_on_from(self, handed: BTreeMap<String, HandedWatch>) -> State {
        State { handed, ..self }
    }

    /// Takes the time of day: clocks are set, and hosts sleep, and what people agreed on is by the clock on the wall.
    pub fn tell_time(&mut self, wall: u64, now: Millis) {
        self.sequence.began = wall.saturating_sub(now.0);
    }

    /// The time of day in milliseconds since 1970, as last told.
    pub fn wall(&self, now: Millis) -> u64 {
        self.sequence.began + now.0
    }

    pub fn generation(&self) -> u64 {
        self.sequence.generation
    }

    /// What is laid over the services, including those that no file names now.
    pub fn overs(&self) -> BTreeMap<String, RuntimeOverrides> {
        let served = self.services.iter().map(|(name, service)| (name, &service.durable));
        let all = served.chain(&self.resting).map(|(name, durable)| (name.clone(), durable.over()));
        all.filter(|(_, over)| *over != RuntimeOverrides::default()).collect()
    }

    /// Whether there was a state before this process, known or not.
    pub fn has_past(&self) -> bool {
        self.is_forgotten() || !self.resting.is_empty()
    }

    /// Whether that is not known any more.
    pub fn is_forgotten(&self) -> bool {
        self.lost || self.missing
    }

    /// The active side of a service that has been seen before, whether or not a file names it.
    pub fn active_of(&self, service: &str) -> Option<Environment> {
        let durable = self.durable(service).or_else(|| self.resting.get(service));
        durable.map(|durable| durable.active)
    }

    pub fn last_entry(&self) -> u64 {
        self.sequence.last_entry
    }

    /// The split of a service as the next snapshot shows it.
    pub fn split(&self, service: &str) -> Option<TrafficSplit> {
        self.services.get(service).map(|state| {
            let ServiceState { durable, watch, routes, up, returning, .. } = state;
            let release = durable.release.as_ref().filter(|release| release.phase.is_under_way());
            let watching = durable.is_watching();
            let place = |function: &String| routes.iter().position(|route| route == function);
            let only = |functions: &[String]| functions.iter().filter_map(place).map(|place| place as u32).collect();
            TrafficSplit {
                weight: returning.map_or(durable.weight, |returning| returning.left),
                epoch: durable.epoch,
                live: release.is_some_and(|release| release.is_live()),
                stopped: durable.stopped,
                only: release.filter(|release| !release.functions.is_empty()).map(|release| only(&release.functions)),
                mirrored: watching,
                warm: watching && state.replaced_since(durable.active.other()).is_none(),
                up: *up,
                rollout: durable.rollout,
                cautious: !watching && watch.as_ref().is_some_and(ServiceWatch::is_cautious),
                standing: !watching && watch.as_ref().is_some_and(ServiceWatch::is_standing),
                shadow: state.comparison(),
                pages: state.pages(),
                ..TrafficSplit::resting(durable.active)
            }
        })
    }

    /// What the judge makes of a live service.
    pub fn shown(&self, service: &str) -> Option<&GuardReading> {
        self.services.get(service)?.watch.as_ref().map(ServiceWatch::shown)
    }

    /// Whether the split of a live service holds; `None` if that is not judged.
    pub fn split_reading(&self, service: &str) -> Option<&SplitReading> {
        self.services.get(service)?.split.as_ref()
    }

    /// The names of what the rollout of a service waits for, at the last tick.
    pub fn waits(&self, service: &str) -> &[&'static str] {
        self.services.get(service).map_or(&[], |service| &service.waits)
    }

    /// What the rollout of a service has cost so far.
    pub fn ledger(&self, service: &str) -> Option<RolloutLedger> {
        self.services.get(service)?.book.as_ref().map(OpenLedger::ledger)
    }

    /// The durable state of a service that a file names.
    pub fn durable(&self, service: &str) -> Option<&DurableState> {
        self.services.get(service).map(|service| &service.durable)
    }

    /// The services whose totals the next tick needs: live ones, and those with last requests in flight.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        let wants = |service: &ServiceState| service.is_live() || service.book.is_some();
        self.services.iter().filter(move |(_, service)| wants(service)).map(|(name, _)| name.as_str())
    }

    /// Applies one event. The effects come in the order in which they must be carried out: publish, journal, announce.
    ///
    /// # Errors
    /// [`RolloutError`]: the event does not fit the state, and nothing has changed.
    pub fn apply(&mut self, event: Event, now: Millis) -> Result<Vec<Effect>, RolloutError> {
        let mut effects = self.applied(event, now)?;
        let news: Vec<Announcement> = effects.iter().filter_map(|effect| self.told_to_gates(effect)).collect();
        for news in news {
            effects.extend(
                self.update(&news.service, now, |mut service| service.tell_gates(GateHook::Event, Some(&news))),
            );
        }
        Ok(effects)
    }

    /// The announcement that gates of its service are told.
    fn told_to_gates(&self, effect: &Effect) -> Option<Announcement> {
        let Effect::Announce(news) = effect else { return None };
        let service = self.services.get(&news.service)?;
        // That alerting was switched off is the last that they hear.
        let is_heard = !service.durable.silent || news.kind == ChangeKind::Alerting;
        (is_heard && service.gates.has(GateHook::Event)).then(|| news.clone())
    }

    fn applied(&mut self, event: Event, now: Millis) -> Result<Vec<Effect>, RolloutError> {
        match event {
            Event::Loaded(services) => {
                self.may_load(&services, now)?;
                Ok(self.load(services, now))
            }
            Event::Counted { service, routes, on_grid } => {
                Ok(self.update(&service, now, |mut service| service.count(&routes, on_grid)))
            }
            Event::Arrived { service, arrivals } => {
                Ok(self.update(&service, now, |mut service| service.arrived(arrivals.as_ref())))
            }
            Event::Command(command) => self.command(command, now),
            Event::Aged => Ok(self.age(now)),
            Event::Remarked(remark) => Ok(self.remarked(remark, now)),
            Event::Preflighted { service, rollout, result } => {
                Ok(self.update(&service, now, |mut service| service.preflighted(rollout, result)))
            }
            Event::Validated { order, result } => {
                Ok(self.update(&order.service, now, |mut service| service.validated(&order, result)))
            }
            Event::Shadowed(news) => {
                let service = news.service.clone();
                Ok(self.update(&service, now, |mut service| service.shadowed(news)))
            }
            Event::Silent { service, silent } => {
                Ok(self.update(&service, now, |mut service| service.tell_silent(&silent).into()))
            }
            Event::Probed { service, number, result } => {
                Ok(self.update(&service, now, |mut service| service.probed(number, result)))
            }
            Event::Measured { order, answer } => {
                Ok(self.update(&order.service, now, |mut service| service.measured(order.number, answer)))
            }
            Event::Gated { order, answer } => {
                Ok(self.update(&order.service, now, |mut service| service.gated(order.number, answer)))
            }
            Event::Health { service, environment, up, why, rollback, quiet } => {
                Ok(self.update(&service, now, |mut service| service.checked(environment, up, &why, (rollback, quiet))))
            }
        }
    }

    /// What an event means for one service; nothing for a service that no file names any more.
    fn update(&mut self, name: &str, now: Millis, apply: impl FnOnce(ServiceUpdate<'_>) -> Vec<Effect>) -> Vec<Effect> {
        let State { services, sequence, .. } = self;
        services.get_mut(name).map_or(Vec::new(), |state| apply(ServiceUpdate { name, state, sequence, now }))
    }

    fn age(&mut self, now: Millis) -> Vec<Effect> {
        let State { services, sequence, .. } = self;
        let all = services.iter_mut();
        all.flat_map(|(name, state)| ServiceUpdate { name, state, sequence: &mut *sequence, now }.age()).collect()
    }

    fn command(&mut self, command: OperatorCommand, now: Millis) -> Result<Vec<Effect>, RolloutError> {
        let OperatorCommand { service: name, by, act } = command;
        if let Some(asked) = by.generation.filter(|asked| *asked != self.generation()) {
            return Err(RolloutError::Stale { asked, now: self.generation() });
        }
        let State { services, sequence, .. } = self;
        let Some(state) = services.get_mut(&name) else { return Err(RolloutError::NoSuchService(name)) };
        ServiceUpdate { name: &name, state, sequence, now }.command(by, act)
    }

    /// An entry that changes nothing. Most are not announced: those who want to know read the journal.
    fn remarked(&mut self, remark: AuditRemark, now: Millis) -> Vec<Effect> {
        let AuditRemark { kind, service, who, from, why, announced } = remark;
        self.sequence.last_entry += 1;
        let is_silent = self.services.get(&service).is_some_and(|state| state.durable.silent);
        let change = JournalChange {
            id: self.sequence.last_entry,
            generation: self.sequence.generation,
            uptime: now,
            service,
            kind,
            who,
            from,
            key: None,
            why,
            before: None,
            after: None,
            evidence: None,
            figure: None,
            gate: None,
            ledger: None,
        };
        match announced.filter(|_| !is_silent) {
            Some(level) => told(level, change).into(),
            None => vec![Effect::Journal(Box::new(change))],
        }
    }
}
