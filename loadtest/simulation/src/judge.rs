//! A judge of a run: the product's own state, fed with totals as the sidecar feeds it, and what the candidate has cost.

use judgement::guard::window::{COHORT, COHORTS, JudgedTotals};
use judgement::guard::{GuardPolicy, Verdict};
use judgement::rollout::{ChangeKind, Effect, Event, LoadedService, SplitRequest, State};
use judgement::time::Millis;
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::counters::RescueBudget;

use crate::dice::Dice;
use crate::worlds::{TickConditions, Unwanted, World};

/// After a rollback so many milliseconds of requests are still under way to the candidate.
pub const LAG: u64 = 50;

/// Who may be turned away: those that active answers anyway, those that could be rescued, those that could not.
#[derive(Clone, Copy, PartialEq)]
pub enum RequestClass {
    Active,
    Rescuable,
    Post,
}

impl RequestClass {
    pub const ALL: [RequestClass; 3] = [RequestClass::Active, RequestClass::Rescuable, RequestClass::Post];

    pub fn side(self) -> usize {
        usize::from(self != RequestClass::Active)
    }
}

/// An answer on its way.
#[derive(Clone, Copy)]
pub struct PendingAnswer {
    pub bucket: u8,
    pub route: u8,
    /// Where it is counted in its cohort's ring; `None`: it comes too late for that.
    pub slot: Option<u8>,
    pub class: RequestClass,
    pub failed: bool,
    /// Judges, by bit, that turned the request away.
    pub turned: u8,
}

/// What the candidate cost clients since its fault began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RolloutCost {
    /// Failures that were judged.
    pub failed: u64,
    /// Of these, seen by clients: not rescued.
    pub hurt: u64,
    /// Answers that the fault made late.
    pub slow: u64,
    /// Requests that it refused, or answered oddly.
    pub unwanted: u64,
    /// Requests that caution sent to active, in all.
    pub turned_away: u64,
}

/// A rollback.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutEnd {
    /// When the last request can have reached the candidate.
    pub at: u64,
    pub reason: String,
}

/// Who is to judge a run: by what, how often (in milliseconds), and for how long.
pub struct Watcher {
    pub policy: GuardPolicy,
    pub every: u64,
    pub until: u64,
}

/// The product's state as the judge of this run, with totals of its own: caution changes what it sees.
pub struct SimulatedJudge {
    pub state: State,
    totals: Vec<Option<[JudgedTotals; 2]>>,
    /// It looks every so many milliseconds, until it rolls back or this time has come.
    pub every: u64,
    until: u64,
    budget: RescueBudget,
    cautious: bool,
    standing: bool,
    /// The candidate has all of the traffic.
    promoted: bool,
    /// The chance that active fails what it serves again, and dice for that.
    pub active_fails: f64,
    dice: Dice,
    pub cautions: u32,
    pub cost: RolloutCost,
    pub end: Option<RolloutEnd>,
}

fn millis(now: u64) -> Millis {
    Millis(now)
}

pub fn weight(share: f64) -> Weight {
    Weight::from_percent((share * 1e4).round() / 100.0).unwrap_or(Weight::ZERO)
}

impl SimulatedJudge {
    pub fn new(world: &World, Watcher { policy, every, until }: Watcher, history: &JudgedTotals) -> SimulatedJudge {
        let routes: Vec<String> = (0..world.routes).map(|at| format!("route {at}")).collect();
        let totals = vec![Some([history.clone(), JudgedTotals::default()]); world.routes];
        let ask = SplitRequest { active: Some(Environment::Blue), weight: Some(weight(world.weight(0))) };
        let mut judge = SimulatedJudge {
            state: State::default(),
            totals,
            every,
            until,
            budget: RescueBudget::default(),
            cautious: false,
            standing: false,
            promoted: false,
            active_fails: 0.0,
            dice: Dice::new(1),
            cautions: 0,
            cost: RolloutCost::default(),
            end: None,
        };
        judge.apply(Event::Loaded(vec![LoadedService { routes, ask, policy, ..LoadedService::standard("shop") }]), 0);
        judge.look(0, false);
        judge
    }

    /// Hands an event to the state, and notes what came of it.
    pub fn apply(&mut self, event: Event, now: u64) -> Vec<Effect> {
        let Ok(mut effects) = self.state.apply(event, millis(now)) else { return Vec::new() };
        // Active is there, and says so at once.
        let asked =
            effects.iter().find_map(|effect| if let Effect::Probe(asked) = effect { Some(asked.number) } else { None });
        if let Some(number) = asked {
            let answer = Event::Probed { service: "shop".into(), number, result: Ok("200".into()) };
            effects.extend(self.state.apply(answer, millis(now)).unwrap_or_default());
        }
        for effect in &effects {
            let Effect::Journal(change) = effect else { continue };
            match change.kind {
                ChangeKind::Caution => self.cautions += 1,
                ChangeKind::Rollback if self.end.is_none() => {
                    let verdict = change.evidence.as_ref().map(|evidence| &evidence.judgement.verdict);
                    let reason =
                        if let Some(Verdict::Unhealthy(reason)) = verdict { &reason.name } else { &change.who };
                    self.end = Some(RolloutEnd { at: now + LAG, reason: reason.clone() });
                }
                _ => {}
            }
        }
        if !effects.is_empty() {
            let Some(split) = self.state.split("shop") else { return effects };
            (self.cautious, self.standing) = (split.cautious, split.standing);
            self.promoted = split.weight == Weight::FULL;
        }
        effects
    }

    pub fn watches(&self, now: u64) -> bool {
        self.end.is_none() && now < self.until
    }

    pub fn look(&mut self, now: u64, on_grid: bool) -> Vec<Effect> {
        self.apply(Event::Counted { service: "shop".into(), routes: self.totals.clone(), on_grid }, now)
    }

    pub fn totals(&mut self, route: usize, side: usize) -> &mut JudgedTotals {
        &mut self.totals[route].get_or_insert_default()[side]
    }

    /// Requests of a class are sent; false: they are turned away.
    pub fn send(&mut self, class: RequestClass, route: usize, n: u32, at: u64) -> bool {
        let turned = self.keeps_away(class);
        let totals = self.totals(route, class.side());
        if turned {
            totals.tally.turned_away += u64::from(n);
            self.cost.turned_away += u64::from(n);
        } else {
            let sent = &mut totals.cohorts.sent[slot(at)];
            *sent = sent.wrapping_add(n);
        }
        !turned
    }

    fn keeps_away(&self, class: RequestClass) -> bool {
        self.standing && class.side() == 1 || self.cautious && class == RequestClass::Post
    }

    /// So many answers of a class, so many of them failed. `fault`: it is on.
    pub fn answer(&mut self, class: RequestClass, route: usize, (n, failed): (u32, u32), now: u64, fault: bool) {
        let rescues = if class == RequestClass::Rescuable { failed } else { 0 };
        let active = || self.totals.iter().flatten().map(|[active, _]| active.counts.answers).sum();
        // A side that has all the traffic is rescued without a budget.
        let may = |_: &u32| self.promoted || self.budget.take(millis(now), active);
        let rescued = (0..rescues).filter(may).count() as u64;
        let saved = (0..rescued).filter(|_| !self.dice.chance(self.active_fails)).count() as u64;
        let totals = self.totals(route, class.side());
        totals.counts.answers += u64::from(n);
        totals.counts.failed += u64::from(failed);
        totals.tally.requests += u64::from(n);
        totals.tally.rescued += rescued;
        totals.tally.saved += saved;
        totals.tally.hurt += u64::from(failed) - saved;
        if fault && class != RequestClass::Active {
            self.cost.failed += u64::from(failed);
            self.cost.hurt += u64::from(failed) - saved;
        }
    }

    /// So many of the last answers of a class and a route were not what clients of these groups want. `fault`: it is on.
    pub fn spoil(&mut self, what: Unwanted, (class, route): (RequestClass, usize), groups: &[usize], fault: bool) {
        let totals = self.totals(route, class.side());
        totals.clients = u64::MAX;
        let counts = match what {
            Unwanted::Refusals => &mut totals.refusals,
            Unwanted::OddResponses => &mut totals.odd,
        };
        for group in groups {
            counts[*group] = counts[*group].wrapping_add(1);
        }
        if fault && class != RequestClass::Active {
            self.cost.unwanted += groups.len() as u64;
        }
    }

    pub fn receive(&mut self, answer: PendingAnswer, now: u64, fault: bool) {
        let (route, class) = (usize::from(answer.route), answer.class);
        self.answer(class, route, (1, u32::from(answer.failed)), now, fault);
        let totals = self.totals(route, class.side());
        if !answer.failed {
            totals.latency[usize::from(answer.bucket)] += 1;
        }
        if let Some(slot) = answer.slot {
            let ended = &mut totals.cohorts.ended[usize::from(slot)];
            *ended = ended.wrapping_add(1);
        }
    }

    /// The requests that still reach the candidate after the rollback. With dice of its own: the traffic stays the same.
    pub fn linger(&mut self, world: &World, share: f64, sky: &TickConditions, mut dice: Dice) {
        let Some((air, place)) = sky.broken else { return };
        let part = place.map_or(1.0, |_| 1.0 / world.routes as f64);
        let mean = world.rate * share * part * LAG as f64 / 1000.0;
        for (class, share) in [(RequestClass::Rescuable, 1.0 - world.posts), (RequestClass::Post, world.posts)] {
            if self.keeps_away(class) {
                continue;
            }
            let failed = u64::from(dice.poisson(mean * share * air.fails));
            self.cost.failed += failed;
            self.cost.hurt += if class == RequestClass::Post { failed } else { 0 };
            let hit = (0..dice.poisson(mean * share)).filter(|_| air.latency(&mut dice).1).count();
            self.cost.slow += if world.latency.is_some() { hit as u64 } else { 0 };
        }
    }
}

pub fn slot(at: u64) -> usize {
    (at / COHORT.0) as usize % COHORTS
}
