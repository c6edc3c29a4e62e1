//! Loads with the curves that real ones have: drawn from log-normal latencies, with a seed of their own.

use std::collections::BTreeMap;

use wire::{Latencies, LimitResult, LoadResult, LoadSecond, Outcome, ProcessUse, Side};

#[derive(Clone, Copy)]
pub struct Course {
    pub seconds: u32,
    pub rate: f64,
    /// The median latency, in milliseconds.
    pub middle: f64,
    /// Of its logarithm.
    pub spread: f64,
    /// The share that a cold store answers, ten times as slowly.
    pub second_hump: f64,
    /// Seconds in which it is ill, and a third fails.
    pub ill: Option<(u32, u32)>,
}

impl Default for Course {
    fn default() -> Course {
        Course { seconds: 30, rate: 100.0, middle: 12.0, spread: 0.3, second_hump: 0.0, ill: None }
    }
}

pub fn load(name: &str, environment: Side, course: Course) -> LoadResult {
    let mut random = fastrand::Rng::with_seed(name.len() as u64 + environment as u64);
    let (mut all, mut seconds) = (Vec::new(), Vec::new());
    for at in 0..course.seconds {
        let is_ill = course.ill.is_some_and(|(from, to)| (from..to).contains(&at));
        let intended = course.rate as u64;
        let failed = if is_ill { intended / 3 + random.u64(0..9) } else { 0 };
        let mut now: Vec<f64> = (0..intended - failed).map(|_| drawn(&mut random, course, is_ill)).collect();
        now.sort_by(f64::total_cmp);
        let (p50, p95, p99) = (at_share(&now, 0.5), at_share(&now, 0.95), at_share(&now, 0.99));
        let in_flight = if is_ill { 41 } else { 4 };
        seconds.push(LoadSecond { at, intended, answered: now.len() as u64, failed, p50, p95, p99, in_flight });
        all.extend(now);
    }
    all.sort_by(f64::total_cmp);
    finish(name, environment, course, &all, seconds)
}

fn finish(name: &str, environment: Side, course: Course, all: &[f64], seconds: Vec<LoadSecond>) -> LoadResult {
    let failed: u64 = seconds.iter().map(|second| second.failed).sum();
    let requests = all.len() as u64 + failed;
    let mut answers = BTreeMap::from([("200".to_owned(), all.len() as u64)]);
    if failed > 0 {
        answers.extend([("503".to_owned(), failed - failed / 4), ("timeout".to_owned(), failed / 4)]);
    }
    let latency = of(all);
    let service: Vec<f64> = all.iter().map(|ms| ms * 0.94).collect();
    LoadResult {
        name: name.to_owned(),
        environment,
        profile: "steady".to_owned(),
        outcome: Outcome::Passed,
        why: None,
        took_ms: f64::from(course.seconds) * 1000.0 + 36.0,
        users: 50,
        rate_intended: course.rate,
        rate_sent: requests as f64 / f64::from(course.seconds),
        throughput: all.len() as f64 / f64::from(course.seconds),
        requests,
        failed,
        error_rate: failed as f64 / requests as f64 * 100.0,
        latency,
        service_time: of(&service),
        answers,
        examples: if failed > 0 {
            vec![
                "GET /api/products?page=3: 503 Service Unavailable".to_owned(),
                "GET /: gave no complete response within 5s".to_owned(),
            ]
        } else {
            Vec::new()
        },
        seconds,
        histogram: histogram(all),
        limits: vec![limit("p95", 60.0, latency.p95)],
        process: ProcessUse { cpu: 18.4, memory_peak_bytes: 61_341_696, open_files_peak: 214 },
        late: 3,
        unjudged: Vec::new(),
        active: None,
        resources: None,
    }
}

/// The same with its rate from a fifth, to the peak in the middle third, and back.
pub fn spike(mut load: LoadResult) -> LoadResult {
    load.profile = "spike".to_owned();
    let third = load.seconds.len() as u32 / 3;
    for second in &mut load.seconds {
        if !(third..2 * third).contains(&second.at) {
            second.intended /= 5;
            second.answered /= 5;
        } else {
            (second.p95, second.p99) = (second.p95 * 1.4, second.p99 * 1.9);
        }
    }
    load
}

pub fn limit(what: &str, limit: f64, found: f64) -> LimitResult {
    let held = if what == "throughput" { found >= limit } else { found <= limit };
    LimitResult { what: what.to_owned(), limit, found, held, relative: None }
}

pub fn latencies(middle: f64) -> Latencies {
    let mut random = fastrand::Rng::with_seed(7);
    let mut all: Vec<f64> =
        (0..2_000).map(|_| drawn(&mut random, Course { middle, ..Course::default() }, false)).collect();
    all.sort_by(f64::total_cmp);
    of(&all)
}

fn drawn(random: &mut fastrand::Rng, course: Course, is_ill: bool) -> f64 {
    // Box and Muller.
    let normal = (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos();
    let slow = if random.f64() < course.second_hump { 9.0 } else { 1.0 };
    let ill = if is_ill { 6.0 } else { 1.0 };
    ((course.middle * slow * ill * (normal * course.spread).exp()).min(5_000.0) * 1000.0).round() / 1000.0
}

fn at_share(sorted: &[f64], share: f64) -> f64 {
    sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied().unwrap_or(0.0)
}

fn of(sorted: &[f64]) -> Latencies {
    let at = |share| at_share(sorted, share);
    Latencies {
        min: at(0.0),
        mean: (sorted.iter().sum::<f64>() / sorted.len().max(1) as f64 * 1000.0).round() / 1000.0,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
    }
}

/// 24 bars a factor of ten, without gaps, as a load makes them.
fn histogram(sorted: &[f64]) -> Vec<(f64, u64)> {
    let bar = |ms: f64| (ms.log10() * 24.0).ceil() as i32;
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let mut bars: Vec<(f64, u64)> = (bar(*first)..=bar(*last))
        .map(|at| ((10f64.powf(f64::from(at) / 24.0) * 1000.0).round() / 1000.0, 0))
        .collect();
    for ms in sorted {
        bars[(bar(*ms) - bar(*first)) as usize].1 += 1;
    }
    bars
}
