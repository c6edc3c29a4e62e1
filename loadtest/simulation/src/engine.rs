//! One rollout in virtual time: traffic from a world, the product's own state as its judge, and what it cost.
//!
//! The engine draws what both sides do, tick by tick, and hands the totals to the state as the sidecar does. Whatever a
//! judge decides, the same traffic is drawn: so two judges, and the rules of others on the counts of every second, see
//! the same run, as if the candidate had stayed. Arrivals are Poisson, which is rougher than the product's exact split.

use judgement::guard::latency::bucket_of;
use judgement::guard::window::{CLIENTS, JudgedTotals};
use judgement::rollout::{Effect, Event, OperatorAction, OperatorCommand, Requester};

use crate::dice::Dice;
use crate::judge::{PendingAnswer, RequestClass, SimulatedJudge, Watcher, slot, weight};
use crate::peer_rules::SecondCounts;
use crate::worlds::{Scene, SideConditions, TICK, TickConditions, UnwantedModel, World};

/// What active has answered before the rollout: a minute at 50 requests/s.
const HISTORY: u64 = 3000;
/// An answer that takes longer finds its cohort's slot taken by the next lap.
const LATEST: u64 = 6300;
/// How far ahead answers are kept, in ticks: over 20 s, twice the longest hang.
const AHEAD: usize = 1024;
/// The crawler's group.
const CRAWLER: usize = 7;
/// A cluster of failures is over after so many ticks, whether it has met all its requests or not.
const CLUSTER: u8 = 3;

pub struct Engine<'a> {
    scene: Scene<'a>,
    dice: Dice,
    pub now: u64,
    /// The candidate's share, 0..1.
    pub share: f64,
    pub judges: Vec<SimulatedJudge>,
    answers: Vec<Vec<PendingAnswer>>,
    /// Of failures that come in clusters, those that are still to come, and for how many ticks; by route and class.
    owed: Vec<[(u32, u8); 3]>,
    /// The next tick whose answers are due.
    due: u64,
    pub seconds: SecondCounts,
}

impl<'a> Engine<'a> {
    /// A run of at most this length. The dice make its history, then its traffic. `seconds`: the rules of others want to
    /// see it all.
    pub fn new(world: &'a World, length: u64, mut dice: Dice, watchers: Vec<Watcher>, seconds: bool) -> Engine<'a> {
        let scene = Scene::new(world, length, &mut dice);
        let mut history = JudgedTotals::default();
        history.counts.answers = HISTORY;
        history.counts.failed = u64::from(dice.poisson(HISTORY as f64 * world.errors.base));
        if let Some(latency) = world.latency {
            let usual = SideConditions { median: latency.median, ..SideConditions::CLEAR };
            (0..HISTORY).for_each(|_| history.latency[bucket_of(usual.latency(&mut dice).0)] += 1);
        }
        let judges = watchers.into_iter().map(|watcher| SimulatedJudge::new(world, watcher, &history)).collect();
        let answers = if world.latency.is_some() { vec![Vec::new(); AHEAD] } else { Vec::new() };
        let seconds = SecondCounts::new(if seconds { length / 1000 } else { 0 } as usize, world.latency.is_some());
        let owed = vec![[(0, 0); 3]; world.routes];
        Engine { scene, dice, now: 0, share: world.weight(0), judges, answers, owed, due: 0, seconds }
    }

    /// Runs to a point of time: as finely as those who watch look, and by the second once nobody does; or not at all
    /// then, where the seconds are not asked for.
    pub fn run(&mut self, until: u64) {
        while self.now < until {
            if !self.seconds.is_kept() && !self.judges.iter().any(|judge| judge.watches(self.now)) {
                return;
            }
            let share = self.scene.world.weight(self.now);
            if share != self.share {
                self.share = share;
                self.shift(share);
            }
            let watching = self.judges.iter().filter(|judge| judge.watches(self.now));
            let step = watching.map(|judge| judge.every).min();
            let step = step.unwrap_or(1000).min(1000);
            // Steps begin and end on multiples of their own length.
            let step = step - self.now % step;
            self.tick(step.min(until - self.now));
        }
    }

    /// As a plan would: every judge that still watches is told of the new weight.
    fn shift(&mut self, share: f64) {
        let now = self.now;
        for judge in self.judges.iter_mut().filter(|judge| judge.watches(now)) {
            let act = OperatorAction::Shift { weight: weight(share), gradual: false, force: false };
            let command = OperatorCommand {
                service: "shop".into(),
                by: Requester { who: "plan".into(), why: "next step".into(), ..Requester::default() },
                act,
            };
            judge.apply(Event::Command(command), now);
        }
    }

    /// So many milliseconds of the world's traffic, and what the judges make of it.
    pub fn tick(&mut self, step: u64) -> Vec<Effect> {
        let sky = self.scene.sky(self.now, step);
        self.tick_under(step, &sky)
    }

    /// The same under chances that somebody else names.
    pub fn tick_under(&mut self, step: u64, sky: &TickConditions) -> Vec<Effect> {
        self.judges.iter_mut().for_each(|judge| judge.active_fails = sky.sides[0].fails);
        if self.answers.is_empty() {
            self.count(step, sky);
        } else {
            self.send(step, sky);
            self.receive(self.now + step, sky.broken.is_some());
        }
        let (from, now, share) = (self.now, self.now + step, self.share);
        self.now = now;
        let Engine { judges, scene, dice, .. } = self;
        let due = judges.iter_mut().filter(|judge| judge.watches(from) && now.is_multiple_of(judge.every));
        let mut effects = Vec::new();
        for judge in due {
            effects.extend(judge.look(now, true));
            if judge.end.is_some() {
                judge.linger(scene.world, share, sky, dice.fork());
            }
        }
        effects
    }

    /// So many requests of a class are to be expected on a route in a step.
    fn expected(&self, class: RequestClass, step: u64) -> f64 {
        let World { rate, posts, routes, .. } = *self.scene.world;
        let all = rate * step as f64 / 1000.0 / routes as f64;
        match class {
            RequestClass::Active => all * (1.0 - self.share),
            RequestClass::Rescuable => all * self.share * (1.0 - posts),
            RequestClass::Post => all * self.share * posts,
        }
    }

    /// A step of a world without latencies: sent and answered at once.
    fn count(&mut self, step: u64, sky: &TickConditions) {
        for route in 0..self.scene.world.routes {
            for class in RequestClass::ALL {
                let (air, _) = sky.air(class.side(), route);
                let (fails, mean) = (air.fails, self.expected(class, step));
                let drawn = self.draw(mean, fails, sky.cluster, class, route);
                self.settle(class, route, drawn, step, sky);
                let groups = self.draw_unwanted(air.unwanted, drawn.0 - drawn.1);
                self.spoil(class, route, &groups, sky);
            }
        }
        if let Some((side, rate, fails)) = sky.client {
            let class = if side == 0 { RequestClass::Active } else { RequestClass::Rescuable };
            let mean = rate * step as f64 / 1000.0;
            let drawn = self.draw(mean, fails, 1.0, class, 0);
            self.settle(class, 0, drawn, step, sky);
        }
        if let Some((side, rate)) = sky.crawler {
            let class = if side == 0 { RequestClass::Active } else { RequestClass::Rescuable };
            let n = self.dice.poisson(rate * step as f64 / 1000.0);
            self.settle(class, 0, (n, 0), step, sky);
            self.spoil(class, 0, &vec![CRAWLER; n as usize], sky);
        }
    }

    /// Of so many good answers, those that their clients do not want.
    fn draw_unwanted(&mut self, share: f64, good: u32) -> Vec<usize> {
        if share == 0.0 {
            return Vec::new();
        }
        let n = (0..good).filter(|_| self.dice.chance(share)).count();
        (0..n).map(|_| self.dice.below(CLIENTS as u64) as usize).collect()
    }

    fn spoil(&mut self, class: RequestClass, route: usize, groups: &[usize], sky: &TickConditions) {
        let Some(UnwantedModel { what, .. }) = self.scene.world.unwanted else { return };
        let from = self.now;
        for judge in self.judges.iter_mut().filter(|judge| judge.watches(from)) {
            judge.spoil(what, (class, route), groups, sky.broken.is_some());
        }
    }

    /// How many requests, and how many of them fail. Failures and successes of a Poisson stream are independent.
    fn draw(&mut self, mean: f64, fails: f64, cluster: f64, class: RequestClass, route: usize) -> (u32, u32) {
        let dice = &mut self.dice;
        if cluster <= 1.0 {
            let failed = dice.poisson(mean * fails);
            return (failed + dice.poisson(mean * (1.0 - fails)), failed);
        }
        // A cluster fails the requests that come next, for a while.
        let (owed, ticks) = &mut self.owed[route][class as usize];
        let n = dice.poisson(mean);
        *ticks = ticks.saturating_sub(1);
        if *ticks == 0 && !self.scene.world.errors.shape.lasts() {
            *owed = 0;
        }
        for _ in 0..dice.poisson(mean * fails / cluster) {
            *owed += 1 + dice.geometric(cluster - 1.0);
            *ticks = CLUSTER;
        }
        let failed = n.min(*owed);
        *owed -= failed;
        (n, failed)
    }

    fn settle(&mut self, class: RequestClass, route: usize, (n, failed): (u32, u32), step: u64, sky: &TickConditions) {
        if n == 0 {
            return;
        }
        let (from, now) = (self.now, self.now + step);
        self.seconds.count(from, class.side(), n, failed);
        for judge in self.judges.iter_mut().filter(|judge| judge.watches(from)) {
            if judge.send(class, route, n, from) {
                judge.answer(class, route, (n, failed), now, sky.broken.is_some());
                let ended = &mut judge.totals(route, class.side()).cohorts.ended[slot(from)];
                *ended = ended.wrapping_add(n);
            }
        }
    }

    /// Sends the requests of a step, and puts their answers where they will come.
    fn send(&mut self, step: u64, sky: &TickConditions) {
        for route in 0..self.scene.world.routes {
            for class in RequestClass::ALL {
                let (air, broken) = sky.air(class.side(), route);
                for _ in 0..self.dice.poisson(self.expected(class, step)) {
                    let sent = self.now as f64 + self.dice.unit() * step as f64;
                    let failed = self.dice.chance(air.fails);
                    let (micros, hit) = air.latency(&mut self.dice);
                    let micros = micros + (self.scene.waits(class.side(), sent) * 1000.0) as u64;
                    let mut turned = 0;
                    for (at, judge) in self.judges.iter_mut().enumerate() {
                        if !judge.watches(self.now) {
                            continue;
                        }
                        if !judge.send(class, route, 1, sent as u64) {
                            turned |= 1 << at;
                        } else if broken && hit {
                            judge.cost.slow += 1;
                        }
                    }
                    let slot = (micros / 1000 <= LATEST).then_some(slot(sent as u64) as u8);
                    let (bucket, route) = (bucket_of(micros) as u8, route as u8);
                    let due = (sent + micros as f64 / 1000.0) as u64 / TICK;
                    let place = due.min(self.due + AHEAD as u64 - 1) as usize % AHEAD;
                    self.answers[place].push(PendingAnswer { bucket, route, slot, class, failed, turned });
                }
            }
        }
    }

    /// Takes the answers in that come before a point of time.
    fn receive(&mut self, now: u64, fault: bool) {
        for tick in self.due..now / TICK {
            let mut answers = std::mem::take(&mut self.answers[tick as usize % AHEAD]);
            for answer in answers.drain(..) {
                self.seconds.receive(tick * TICK, answer.class.side(), answer.bucket, answer.failed);
                for (at, judge) in self.judges.iter_mut().enumerate() {
                    if judge.watches(self.now) && answer.turned & 1 << at == 0 {
                        judge.receive(answer, now, fault);
                    }
                }
            }
            self.answers[tick as usize % AHEAD] = answers;
        }
        self.due = now / TICK;
    }
}
