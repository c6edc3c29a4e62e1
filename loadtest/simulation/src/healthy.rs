//! The worlds in which nothing is wrong with the candidate, and some that no judge of this kind can tell from those.

use crate::runs::{RunSpec, budget};
use crate::worlds::{ColdStarts, ErrorModel, ErrorShape, LatencyModel, StallModel, Unwanted, UnwantedModel, World};

pub struct HealthyWorld {
    pub world: World,
    pub spec: RunSpec,
    pub runs: usize,
    /// The share of false rollbacks that it is held to; `None`: it is shown, and no promise is made.
    pub target: Option<f64>,
}

/// The length that the rules of others are made for, in milliseconds: half an hour.
const HALF_AN_HOUR: u64 = 1_800_000;

/// The same worlds over half an hour, for the rules of others alone: many of them look every minute or every five.
pub fn long(runs: usize) -> Vec<HealthyWorld> {
    let mut worlds = all(runs, HALF_AN_HOUR);
    for healthy in &mut worlds {
        // Every single answer is drawn where there are latencies.
        healthy.runs = if healthy.world.latency.is_some() { runs.div_ceil(8) } else { runs };
        let plain = (healthy.runs.div_ceil(20), HALF_AN_HOUR);
        healthy.spec = RunSpec { patience: 0, plain, peers: (healthy.runs, HALF_AN_HOUR), ..healthy.spec.clone() };
    }
    worlds
}

/// A rollout in which the whole stake is in play within its length, in milliseconds: so the judge's stakes are as dense as
/// the rollout is short, and it is as likely to be wrong in it as in a longer one.
pub fn all(runs: usize, length: u64) -> Vec<HealthyWorld> {
    let base = |name: &str| World::healthy(name, length);
    let errors = |name: &str, rate, shape| base(name).with_errors(rate, shape);
    let bursts = |name: &str, apart| errors(name, 0.001, ErrorShape::Bursts { every: 60.0, apart });
    let latency = |name: &str, latency| base(name).with_latency(latency);
    let plain = LatencyModel::default();
    let instances = LatencyModel { cold: ColdStarts::Instances, ..plain };
    let mut tolerably = base("errors × 1.3");
    tolerably.errors = ErrorModel { base: 0.001, ratio: 1.3, shape: ErrorShape::Steady };
    // 1.5 times active's rate and 0.1 points: one more in a thousand would be a fault.
    let mut barely = base("errors at the edge of what is tolerated: 1 % and 1.6 %");
    barely.errors = ErrorModel { base: 0.01, ratio: 1.6, shape: ErrorShape::Steady };
    let worlds = vec![
        (errors("steady, 0.1 %", 0.001, ErrorShape::Steady), Some(0.001)),
        (errors("steady, 1 %", 0.01, ErrorShape::Steady), Some(0.001)),
        (errors("drifting", 0.001, ErrorShape::Drifting), Some(0.001)),
        (errors("clustered, three within 60 ms", 0.001, ErrorShape::Clustered(3.0)), Some(0.001)),
        (bursts("shared bursts", 0.0), Some(0.001)),
        (bursts("shared bursts, up to 50 ms apart", 50.0), Some(0.001)),
        (bursts("shared bursts, up to 100 ms apart", 100.0), Some(0.001)),
        (bursts("shared bursts, up to 200 ms apart", 200.0), Some(0.005)),
        (tolerably, Some(0.001)),
        (barely, Some(0.001)),
        (latency("cold starts by instance", instances), Some(0.001)),
        (latency("cold start of all instances", LatencyModel { cold: ColdStarts::Whole, ..plain }), Some(0.001)),
        (latency("shared spikes × 5", LatencyModel { spikes: true, ..plain }), Some(0.001)),
        (latency("cold instances and spikes", LatencyModel { spikes: true, ..instances }), Some(0.001)),
        (latency("latency × 1.2", LatencyModel { slower: 0.2, ..plain }), Some(0.001)),
        (errors("not covered: clusters that are three in a row, however slow", 0.001, ErrorShape::InARow(3.0)), None),
        (bursts("not covered: shared bursts, up to 300 ms apart", 300.0), None),
        (
            errors(
                "not covered: one client, 10 requests/s, 20 % fail, pinned",
                0.001,
                ErrorShape::Client { rate: 10.0, fails: 0.2 },
            ),
            None,
        ),
    ];
    let worlds = worlds.into_iter().chain(unwanted(length)).chain(stalls(length)).chain(promoted(length));
    let healthy = worlds.map(|(world, target)| {
        let runs = if target.is_some() { runs } else { runs.div_ceil(4) };
        let spec = RunSpec {
            budget: budget(length),
            patience: length,
            plain: (runs.div_ceil(20), length),
            peers: (if world.latency.is_some() { runs.div_ceil(4) } else { runs }, length),
        };
        HealthyWorld { world, spec, runs, target }
    });
    healthy.collect()
}

/// Both sides refuse clients, as sites do, or have responses of unusual shapes.
fn unwanted(length: u64) -> impl Iterator<Item = (World, Option<f64>)> {
    let usual = UnwantedModel { what: Unwanted::Refusals, base: 0.05, ratio: 1.0, drifts: false, crawler: 0.0 };
    let refusals = [
        ("5 % on both sides", usual),
        ("20 % on both sides", UnwantedModel { base: 0.2, ..usual }),
        ("0.3 to 6 % on both sides, drifting", UnwantedModel { base: 0.003, drifts: true, ..usual }),
        ("2 % and 8 %: tolerated", UnwantedModel { base: 0.02, ratio: 4.0, ..usual }),
        ("1 %, and a crawler of 10 requests/s on one side", UnwantedModel { base: 0.01, crawler: 10.0, ..usual }),
    ];
    let usual = UnwantedModel { what: Unwanted::OddResponses, base: 0.005, ..usual };
    let odd = [
        ("0.5 % on both sides", usual),
        ("4 % on both sides", UnwantedModel { base: 0.04, ..usual }),
        ("none, and 4 % are new: tolerated", UnwantedModel { base: 0.0005, ratio: 80.0, ..usual }),
        ("0.3 to 6 % on both sides, drifting", UnwantedModel { base: 0.003, drifts: true, ..usual }),
        ("0.5 %, and a crawler of 10 requests/s on one side", UnwantedModel { crawler: 10.0, ..usual }),
    ];
    let named = |prefix: &'static str| move |(name, model): (&str, UnwantedModel)| (format!("{prefix}, {name}"), model);
    let models = refusals.map(named("refusals")).into_iter().chain(odd.map(named("odd responses")));
    models.map(move |(name, model)| (World::healthy(&name, length).with_unwanted(model), Some(0.001)))
}

/// The candidate has all of the traffic after a quarter of the time: nothing is left to compare it with.
fn promoted(length: u64) -> impl Iterator<Item = (World, Option<f64>)> {
    let base = move |name: &str| {
        let third = length / 12 / 1000 * 1000;
        let plan = [25.0, 50.0, 75.0, 100.0].iter().zip(0..).map(|(weight, at)| (third * at, *weight)).collect();
        World { plan, ..World::healthy(&format!("promoted, {name}"), length) }
    };
    let errors = |name: &str, rate, shape| base(name).with_errors(rate, shape);
    let latency = |name: &str, latency| base(name).with_latency(latency);
    let bursts = ErrorShape::Bursts { every: 60.0, apart: 0.0 };
    let usual = UnwantedModel { what: Unwanted::Refusals, base: 0.05, ratio: 1.0, drifts: false, crawler: 0.0 };
    let plain = LatencyModel::default();
    let stalls = StallModel { every: Some(30.0), load: 0.0, side: 1 };
    [
        errors("steady, 0.1 %", 0.001, ErrorShape::Steady),
        errors("steady, 1 %", 0.01, ErrorShape::Steady),
        errors("drifting", 0.001, ErrorShape::Drifting),
        errors("clustered, three within 60 ms", 0.001, ErrorShape::Clustered(3.0)),
        errors("shared bursts", 0.001, bursts),
        World { posts: 1.0, ..errors("shared bursts, and nothing can be rescued", 0.001, bursts) },
        base("refusals of 5 %").with_unwanted(usual),
        base("refusals of 0.3 to 6 %, drifting").with_unwanted(UnwantedModel { base: 0.003, drifts: true, ..usual }),
        latency("latency", plain),
        latency("shared spikes × 5", LatencyModel { spikes: true, ..plain }),
        latency("cold starts by instance", LatencyModel { cold: ColdStarts::Instances, ..plain }),
        latency("stalls every 30 s", LatencyModel { median: 0.005, stalls: Some(stalls), ..plain }),
    ]
    .into_iter()
    .map(|world| {
        // What both sides share is seen by what is served again, if at all.
        let target = match world.name.contains("shared") {
            true => (world.posts < 1.0).then_some(0.005),
            false => Some(0.001),
        };
        (world, target)
    })
}

/// One side alone stands still for 50 ms to 2 s, where answers usually take 5 ms. No promise is made where it is then
/// slow for a while.
fn stalls(length: u64) -> impl Iterator<Item = (World, Option<f64>)> {
    let world = move |rate: f64, name: &str, stalls: StallModel| {
        let mut world = World::healthy(&format!("stalls, {rate} requests/s, {name}"), length);
        world.rate = rate;
        let target = (stalls.load == 0.0).then_some(0.001);
        (world.with_latency(LatencyModel { median: 0.005, stalls: Some(stalls), ..LatencyModel::default() }), target)
    };
    [5.0, 50.0, 1000.0].into_iter().flat_map(move |rate| {
        let often = StallModel { every: Some(30.0), load: 0.0, side: 1 };
        [
            world(rate, "one", StallModel { every: None, ..often }),
            world(rate, "every 30 s", often),
            world(rate, "every 30 s, then 30 % busy", StallModel { load: 0.3, ..often }),
            world(rate, "active's, every 30 s", StallModel { side: 0, ..often }),
        ]
    })
}
