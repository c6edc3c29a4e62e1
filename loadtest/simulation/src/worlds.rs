//! The worlds: how much traffic there is, how its two sides fail and how slow they are, and what goes wrong when.
//!
//! A [`World`] is a description; a [`Scene`] is one of its histories, drawn from a seed: when the bursts came and how
//! high they were. [`Scene::sky`] then says, for any stretch of time, with which chances requests fail and how long they
//! take. Active is side 0, the candidate side 1.

use crate::dice::Dice;

/// The grid of the product's judge, in milliseconds.
pub const TICK: u64 = 20;

#[derive(Clone, Debug)]
pub struct World {
    pub name: String,
    /// Requests a second, of both sides together.
    pub rate: f64,
    /// The share of requests that could not be served again: POST without an idempotency key.
    pub posts: f64,
    pub routes: usize,
    /// From which millisecond on the candidate has which share, in percent.
    pub plan: Vec<(u64, f64)>,
    pub errors: ErrorModel,
    /// `None`: every request is answered at once, and only failures are looked at: the judge sees no latency.
    pub latency: Option<LatencyModel>,
    pub unwanted: Option<UnwantedModel>,
    pub fault: Option<FaultModel>,
}

/// How requests fail on both sides while nothing is wrong with the candidate.
#[derive(Clone, Copy, Debug)]
pub struct ErrorModel {
    /// The share that fails at active.
    pub base: f64,
    /// The candidate's share is so many times that.
    pub ratio: f64,
    pub shape: ErrorShape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorShape {
    Steady,
    /// Both sides' rate goes up and down twenty-fold, in two minutes.
    Drifting,
    /// Failures come in clusters of this mean size: requests of one side that come within three ticks.
    Clustered(f64),
    /// The same, but a cluster fails the next requests of its side however long they are in coming.
    InARow(f64),
    /// Shared outages: one every `every` seconds in the mean, of 2 s in the mean, in which 2 to 60 % fail. The candidate
    /// sees each up to so many milliseconds earlier or later than active.
    Bursts {
        every: f64,
        apart: f64,
    },
    /// One client of so many requests a second, of which this share fails wherever it is. It is pinned: to the candidate
    /// once its bucket is under the weight, until then to active.
    Client {
        rate: f64,
        fails: f64,
    },
}

impl ErrorShape {
    fn cluster(self) -> f64 {
        if let ErrorShape::Clustered(mean) | ErrorShape::InARow(mean) = self { mean } else { 1.0 }
    }

    /// A cluster waits for its requests.
    pub fn lasts(self) -> bool {
        matches!(self, ErrorShape::InARow(_))
    }
}

/// How slow the two sides are while nothing is wrong: log-normal, one in a hundred five times as slow.
#[derive(Clone, Copy, Debug)]
pub struct LatencyModel {
    /// In seconds.
    pub median: f64,
    pub cold: ColdStarts,
    /// Every minute or so both sides are five times as slow, for 3 s in the mean.
    pub spikes: bool,
    /// The candidate is slower by this factor, over and above 1.
    pub slower: f64,
    pub stalls: Option<StallModel>,
}

impl Default for LatencyModel {
    fn default() -> LatencyModel {
        LatencyModel { median: 0.05, cold: ColdStarts::No, spikes: false, slower: 0.0, stalls: None }
    }
}

/// One side stands still from time to time: a garbage collection, a throttled CPU, a noisy neighbour, a flush of the disk.
/// Whoever asks meanwhile is answered when it goes on. 50 ms to 2 s, all orders of magnitude alike.
#[derive(Clone, Copy, Debug)]
pub struct StallModel {
    /// One in so many seconds, at any moment of them; `None`: once in a rollout.
    pub every: Option<f64>,
    /// How busy the side is while it catches up with what has waited, 0..1; 0: it answers all of it at once.
    pub load: f64,
    pub side: usize,
}

/// What clients do not want, and is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// 4xx, redirects.
    Refusals,
    /// Other media types, lengths, slow bodies.
    OddResponses,
}

/// How often that comes while nothing is wrong with the candidate. Clients are spread over all groups.
#[derive(Clone, Copy, Debug)]
pub struct UnwantedModel {
    pub what: Unwanted,
    /// Active's share.
    pub base: f64,
    /// The candidate's share is so many times that.
    pub ratio: f64,
    /// Both sides' rate goes up and down twenty-fold, in two minutes.
    pub drifts: bool,
    /// One client of so many requests a second asks for what is not there. It is pinned: to the candidate once its bucket is
    /// under the weight, until then to active.
    pub crawler: f64,
}

/// What a new candidate's first answers suffer from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ColdStarts {
    #[default]
    No,
    /// All answers are five times as slow at first: `1 + 4·exp(−t / 5 s)`.
    Whole,
    /// The first request of each new instance is 1 to 3 s late: 60 % of the new share at first, then falling by `exp(−t / 3 s)`.
    Instances,
}

/// What goes wrong with the candidate.
#[derive(Clone, Copy, Debug)]
pub struct FaultModel {
    /// In milliseconds since the candidate's first request.
    pub at: u64,
    /// `None`: on all routes.
    pub route: Option<usize>,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug)]
pub enum FaultKind {
    /// This share fails.
    Fails(f64),
    /// So many times as slow.
    Slower(f64),
    /// This share is so many seconds late.
    Late(f64, f64),
    /// This share hangs for 10 s.
    Hangs(f64),
    /// The share that fails grows by so much a minute.
    Creeps(f64),
    /// This share is what the world's [`UnwantedModel`] counts.
    Unwanted(f64),
}

impl World {
    /// The load that the targets are stated for: 1,000 requests/s, a tenth of them to the candidate.
    pub fn reference(name: &str) -> World {
        World {
            name: name.to_owned(),
            rate: 1000.0,
            posts: 0.3,
            routes: 1,
            plan: vec![(0, 10.0)],
            errors: ErrorModel { base: 0.001, ratio: 1.0, shape: ErrorShape::Steady },
            latency: None,
            unwanted: None,
            fault: None,
        }
    }

    /// A rollout of this many milliseconds over six weights, at 500 requests/s, in which nothing is wrong.
    pub fn healthy(name: &str, length: u64) -> World {
        let weights = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0];
        let plan = weights.iter().zip(0..).map(|(weight, at)| (length / 6 / 1000 * 1000 * at, *weight)).collect();
        World { rate: 500.0, plan, ..World::reference(name) }
    }

    pub fn with_fault(mut self, at: u64, kind: FaultKind) -> World {
        self.fault = Some(FaultModel { at, route: None, kind });
        self
    }

    pub fn with_errors(mut self, base: f64, shape: ErrorShape) -> World {
        self.errors = ErrorModel { base, ratio: 1.0, shape };
        self
    }

    pub fn with_latency(mut self, latency: LatencyModel) -> World {
        self.latency = Some(latency);
        self
    }

    pub fn with_unwanted(mut self, unwanted: UnwantedModel) -> World {
        self.unwanted = Some(unwanted);
        self
    }

    /// The candidate's share at a millisecond, 0..1.
    pub fn weight(&self, now: u64) -> f64 {
        self.plan.iter().rev().find(|(at, _)| *at <= now).map_or(0.0, |(_, percent)| percent / 100.0)
    }

    /// How much of the candidate's share is younger than which age, in seconds: a pair for each raise so far.
    fn raises(&self, now: u64) -> impl Iterator<Item = (f64, f64)> {
        let share = self.weight(now).max(1e-9);
        let before = std::iter::once(0.0).chain(self.plan.iter().map(|(_, percent)| percent / 100.0));
        let past = self.plan.iter().zip(before).filter(move |((at, _), _)| *at <= now);
        past.map(move |((at, percent), before)| ((percent / 100.0 - before) / share, (now - at) as f64 / 1000.0))
    }
}

/// With which chances the requests of one side end how.
#[derive(Clone, Copy, Debug)]
pub struct SideConditions {
    pub fails: f64,
    /// Times as slow.
    pub slower: f64,
    /// This share is so many seconds late.
    pub late: (f64, f64),
    pub hangs: f64,
    /// This share meets a cold instance.
    pub cold: f64,
    /// The usual latency, in seconds.
    pub median: f64,
    pub unwanted: f64,
}

impl SideConditions {
    /// Nothing but what is usual.
    pub const CLEAR: SideConditions = SideConditions {
        fails: 0.0,
        slower: 1.0,
        late: (0.0, 0.0),
        hangs: 0.0,
        cold: 0.0,
        median: 0.05,
        unwanted: 0.0,
    };

    /// How long an answer takes, in microseconds, and whether a fault of these chances has made it late.
    pub fn latency(&self, dice: &mut Dice) -> (u64, bool) {
        let mut seconds = self.median * (0.5 * dice.normal()).exp();
        if dice.chance(0.01) {
            seconds *= 5.0;
        }
        seconds *= self.slower;
        let mut hit = self.slower != 1.0;
        if self.hangs > 0.0 {
            hit = dice.chance(self.hangs);
            seconds = if hit { 10.0 } else { seconds };
        }
        let (share, by) = self.late;
        if share > 0.0 {
            hit = dice.chance(share);
            seconds += if hit { by } else { 0.0 };
        }
        if self.cold > 0.0 && dice.chance(self.cold) {
            seconds += dice.between(1.0, 3.0);
        }
        ((seconds * 1e6) as u64, hit)
    }
}

/// A stretch of time in which the chances stand still.
#[derive(Clone, Copy, Debug)]
pub struct TickConditions {
    pub sides: [SideConditions; 2],
    /// The candidate's air where its fault is, and on which route.
    pub broken: Option<(SideConditions, Option<usize>)>,
    /// Mean number of failures that come together.
    pub cluster: f64,
    /// The one heavy client: its side, its requests a second, and the share of them that fails.
    pub client: Option<(usize, f64, f64)>,
    /// The one crawler: its side, and its requests a second.
    pub crawler: Option<(usize, f64)>,
}

impl TickConditions {
    /// The air of a side on a route, and whether it is the fault's.
    pub fn air(&self, side: usize, route: usize) -> (&SideConditions, bool) {
        match &self.broken {
            Some((air, place)) if side == 1 && place.is_none_or(|place| place == route) => (air, true),
            _ => (&self.sides[side], false),
        }
    }
}

/// One history of a world.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    pub world: &'a World,
    /// By tick: the share that fails because of bursts, of each side; empty without.
    bursts: [Vec<f32>; 2],
    /// By tick: times as slow; empty without.
    spikes: Vec<f32>,
    /// From when until when a side stands still, in milliseconds.
    stalls: Vec<(f64, f64)>,
    /// Where the drift is in its period, in seconds.
    phase: f64,
    /// Where the heavy client's key falls, 0..1.
    bucket: f64,
}

impl<'a> Scene<'a> {
    /// A history of at most this length, in milliseconds.
    pub fn new(world: &'a World, length: u64, dice: &mut Dice) -> Scene<'a> {
        let ticks = (length / TICK) as usize;
        let mut bursts = [Vec::new(), Vec::new()];
        if let ErrorShape::Bursts { every, apart } = world.errors.shape {
            bursts = [vec![0.0; ticks], vec![0.0; ticks]];
            let seconds = length as f64 / 1000.0;
            for _ in 0..dice.poisson(seconds / every) {
                let (from, long) = (dice.unit() * seconds, dice.exponential(2.0));
                let height = dice.between(0.02_f64.ln(), 0.6_f64.ln()).exp();
                let apart = dice.between(-apart, apart) / 1000.0;
                burst(&mut bursts[0], from, from + long, height);
                burst(&mut bursts[1], from + apart, from + apart + long, height);
            }
        }
        let mut spikes = Vec::new();
        if world.latency.is_some_and(|latency| latency.spikes) {
            spikes = vec![1.0; ticks];
            for _ in 0..dice.poisson(length as f64 / 60_000.0) {
                let from = dice.below(ticks as u64) as usize;
                let to = from + (dice.exponential(3.0) * 1000.0) as usize / TICK as usize + 1;
                spikes[from..to.min(ticks)].fill(5.0);
            }
        }
        let stalls = world.latency.and_then(|latency| latency.stalls).map(|model| model.draw(length as f64, dice));
        let stalls = stalls.unwrap_or_default();
        Scene { world, bursts, spikes, stalls, phase: dice.unit() * 300.0, bucket: dice.unit() }
    }

    /// How long a request of this side, sent at this millisecond, waits until the side has caught up, in milliseconds.
    pub fn waits(&self, side: usize, sent: f64) -> f64 {
        let Some(StallModel { load, side: stalled, .. }) = self.world.latency.and_then(|latency| latency.stalls) else {
            return 0.0;
        };
        if side != stalled {
            return 0.0;
        }
        // What came before it since the stall began is served first, at a constant pace.
        let wait = |(from, to): &(f64, f64)| if sent < *from { 0.0 } else { to + (sent - from) * load - sent };
        self.stalls.iter().map(wait).fold(0.0, f64::max)
    }

    /// The chances from a millisecond on, for so long.
    pub fn sky(&self, from: u64, long: u64) -> TickConditions {
        let ErrorModel { base, ratio, shape } = self.world.errors;
        let seconds = from as f64 / 1000.0;
        let drift = (1.5 + 1.5 * (std::f64::consts::TAU * (seconds + self.phase) / 120.0).sin()).exp();
        let base = if shape == ErrorShape::Drifting { base * drift } else { base };
        let fails = [base, base * ratio];
        let slower = mean(&self.spikes, from, long, 1.0);
        let mut sides = [0, 1].map(|side| {
            let fails = 1.0 - (1.0 - fails[side]) * (1.0 - mean(&self.bursts[side], from, long, 0.0));
            let median = self.world.latency.map_or(SideConditions::CLEAR.median, |latency| latency.median);
            SideConditions { fails, slower, median, ..SideConditions::CLEAR }
        });
        if let Some(UnwantedModel { base, ratio, drifts, .. }) = self.world.unwanted {
            let base = if drifts { base * drift } else { base };
            (sides[0].unwanted, sides[1].unwanted) = (base, base * ratio);
        }
        if let Some(latency) = self.world.latency {
            sides[1].slower *= 1.0 + latency.slower;
            match latency.cold {
                ColdStarts::No => {}
                ColdStarts::Whole => sides[1].slower *= 1.0 + 4.0 * (-seconds / 5.0).exp(),
                ColdStarts::Instances => {
                    let shares = self.world.raises(from).map(|(new, age)| 0.6 * new.max(0.0) * (-age / 3.0).exp());
                    sides[1].cold = shares.sum::<f64>().min(1.0);
                }
            }
        }
        let broken = self.world.fault.filter(|fault| from >= fault.at);
        let client = match shape {
            ErrorShape::Client { rate, fails } => {
                Some((usize::from(self.bucket < self.world.weight(from)), rate, fails))
            }
            _ => None,
        };
        let crawler = self.world.unwanted.filter(|model| model.crawler > 0.0);
        let crawler = crawler.map(|model| (usize::from(self.bucket < self.world.weight(from)), model.crawler));
        TickConditions {
            sides,
            crawler,
            broken: broken.map(|fault| (fault.kind.on(sides[1], from - fault.at), fault.route)),
            cluster: shape.cluster(),
            client,
        }
    }
}

impl FaultKind {
    /// What the fault makes of the candidate's air, so many milliseconds after it began.
    fn on(self, air: SideConditions, since: u64) -> SideConditions {
        match self {
            FaultKind::Fails(share) => SideConditions { fails: air.fails.max(share), ..air },
            FaultKind::Slower(factor) => SideConditions { slower: air.slower * factor, ..air },
            FaultKind::Late(share, seconds) => SideConditions { late: (share, seconds), ..air },
            FaultKind::Hangs(share) => SideConditions { hangs: share, ..air },
            FaultKind::Unwanted(share) => SideConditions { unwanted: share, ..air },
            FaultKind::Creeps(minute) => {
                SideConditions { fails: (air.fails + minute * since as f64 / 60_000.0).min(1.0), ..air }
            }
        }
    }
}

impl StallModel {
    fn draw(self, length: f64, dice: &mut Dice) -> Vec<(f64, f64)> {
        let every = self.every.map_or(length, |every| every * 1000.0);
        let stall = |at: usize, dice: &mut Dice| {
            let from = (at as f64 + dice.unit()) * every;
            (from, from + dice.between(50_f64.ln(), 2000_f64.ln()).exp())
        };
        (0..(length / every) as usize).map(|at| stall(at, dice)).collect()
    }
}

/// Adds an outage to the ticks that it touches, to each in proportion.
fn burst(ticks: &mut [f32], from: f64, to: f64, height: f64) {
    let tick = TICK as f64 / 1000.0;
    let (from, to) = (from / tick, to / tick);
    for at in (from.max(0.0) as usize)..ticks.len().min(to.max(0.0) as usize + 1) {
        let touched = to.min(at as f64 + 1.0) - from.max(at as f64);
        let before = f64::from(ticks[at]);
        ticks[at] = (1.0 - (1.0 - before) * (1.0 - height * touched.max(0.0))) as f32;
    }
}

fn mean(ticks: &[f32], from: u64, long: u64, otherwise: f64) -> f64 {
    let (from, to) = ((from / TICK) as usize, ((from + long) / TICK) as usize);
    match ticks.get(from..to) {
        Some(part) if !part.is_empty() => part.iter().map(|share| f64::from(*share)).sum::<f64>() / part.len() as f64,
        _ => otherwise,
    }
}
