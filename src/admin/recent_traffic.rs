//! The last minute of traffic: counts sampled every few seconds, from which differences are computed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use judgement::guard::latency::{BUCKETS, quantile};
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{Counters, ResponseClass, RouteCounters, RouteTotals};
use parking_lot::{Mutex, MutexGuard};
use wire::{EnvironmentTraffic, TrafficNumbers};

const SPACING: Millis = Millis::seconds(5);
const MINUTE: Millis = Millis::seconds(60);
/// Routes that are sampled: a minute takes 30 KiB for a busy one, and next to nothing for an idle one.
const MOST_ROUTES: usize = 1000;

/// The counts of one environment that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSum {
    classes: [u64; ResponseClass::ALL.len()],
    failed: u64,
    rescued: u64,
    hurt: u64,
    latency: [u64; BUCKETS],
}

impl Default for TrafficSum {
    fn default() -> TrafficSum {
        TrafficSum { classes: [0; ResponseClass::ALL.len()], failed: 0, rescued: 0, hurt: 0, latency: [0; BUCKETS] }
    }
}

impl From<RouteTotals> for TrafficSum {
    fn from(seen: RouteTotals) -> TrafficSum {
        let failed = seen.failures.iter().sum();
        TrafficSum {
            classes: seen.classes,
            failed,
            rescued: seen.rescued,
            hurt: seen.hurt,
            latency: seen.upstream.buckets,
        }
    }
}

impl TrafficSum {
    pub fn of(route: &RouteCounters, side: Environment) -> TrafficSum {
        route.seen(side).map(TrafficSum::from).unwrap_or_default()
    }

    pub fn add(&mut self, other: &TrafficSum) {
        self.classes.iter_mut().zip(other.classes).for_each(|(sum, part)| *sum += part);
        self.latency.iter_mut().zip(other.latency).for_each(|(sum, part)| *sum += part);
        self.failed += other.failed;
        self.rescued += other.rescued;
        self.hurt += other.hurt;
    }

    fn minus(&self, earlier: &TrafficSum) -> TrafficSum {
        let mut rest = self.clone();
        rest.classes.iter_mut().zip(earlier.classes).for_each(|(sum, part)| *sum = sum.saturating_sub(part));
        rest.latency.iter_mut().zip(earlier.latency).for_each(|(sum, part)| *sum = sum.saturating_sub(part));
        rest.failed = rest.failed.saturating_sub(earlier.failed);
        rest.rescued = rest.rescued.saturating_sub(earlier.rescued);
        rest.hurt = rest.hurt.saturating_sub(earlier.hurt);
        rest
    }

    fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    fn numbers(&self, all: u64, over: Millis) -> TrafficNumbers {
        let requests = self.requests();
        let aborted = self.classes.get(ResponseClass::Aborted as usize).copied().unwrap_or(0);
        let percent = |part: u64, all: u64| (all > 0).then(|| rounded(100.0 * part as f64 / all as f64));
        let at = |q| quantile(&self.latency, q).map(|micros| micros as f64 / 1000.0);
        TrafficNumbers {
            requests,
            share: percent(requests, all),
            classes: ResponseClass::ALL
                .iter()
                .zip(self.classes)
                .map(|(class, count)| (class.name().to_owned(), count))
                .collect(),
            failed: self.failed,
            error_rate: percent(self.failed, requests.saturating_sub(aborted)),
            rescued: self.rescued,
            hurt: self.hurt,
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            over_ms: over.0,
        }
    }
}

/// To a hundredth of a percent, the resolution of a weight.
fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

type Sides = Arc<[TrafficSum; 2]>;
type Sample = HashMap<(String, String), Sides>;

/// Samples of the last minute, the oldest first.
#[derive(Clone, Debug)]
pub struct RecentTraffic {
    counters: Arc<Counters>,
    samples: Arc<Mutex<VecDeque<(Millis, Sample)>>>,
}

/// Earlier counts, for some routes.
#[derive(Debug)]
pub struct TrafficBaseline {
    at: Millis,
    sample: Sample,
}

impl RecentTraffic {
    pub fn new(counters: Arc<Counters>) -> RecentTraffic {
        // Nothing has been counted yet: whatever comes before the first sample is of the last minute.
        let beginning = VecDeque::from([(clock::now(), Sample::new())]);
        RecentTraffic { counters, samples: Arc::new(Mutex::new(beginning)) }
    }

    /// Takes samples for as long as it runs.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(SPACING.as_duration()).await;
            self.sample(clock::now());
        }
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<(Millis, Sample)>> {
        // A panic while the lock is held cannot leave a sample half made: it is pushed whole.
        self.samples.lock()
    }

    fn sample(&self, now: Millis) {
        let last: Option<Sample> = self.samples().back().map(|(_, sample)| sample.clone());
        let same = |key: &(String, String), sides: &[TrafficSum; 2]| {
            let known = last.as_ref().and_then(|last| last.get(key));
            known.filter(|known| ***known == *sides).cloned()
        };
        let asked = self.counters.routes().into_iter().filter_map(|(key, route)| {
            let any = Environment::BOTH.into_iter().any(|side| route.seen(side).is_some());
            let sides = any.then(|| Environment::BOTH.map(|side| TrafficSum::of(&route, side)))?;
            // Unchanged counts are stored only once.
            let sides = same(&key, &sides).unwrap_or_else(|| Arc::new(sides));
            Some((key, sides))
        });
        let sample = asked.take(MOST_ROUTES).collect();
        let mut samples = self.samples();
        samples.push_back((now, sample));
        while samples.get(1).is_some_and(|(at, _)| now.since(*at) >= MINUTE) {
            samples.pop_front();
        }
    }

    /// The counts of a minute ago, or as long ago as is known.
    pub fn before(&self) -> TrafficBaseline {
        let oldest = self.samples().front().cloned();
        let (at, sample) = oldest.unwrap_or_else(|| (clock::now(), Sample::new()));
        TrafficBaseline { at, sample }
    }
}

impl TrafficBaseline {
    /// The total traffic of these routes of a service, blue and green.
    pub fn traffic(&self, service: &str, routes: &[(&str, &RouteCounters)], now: Millis) -> Vec<EnvironmentTraffic> {
        let (mut all, mut lately) =
            ([TrafficSum::default(), TrafficSum::default()], [TrafficSum::default(), TrafficSum::default()]);
        for (route, counters) in routes {
            let before = self.sample.get(&(service.to_owned(), (*route).to_owned()));
            let nothing = [TrafficSum::default(), TrafficSum::default()];
            let before = before.map_or(&nothing, |sides| &**sides);
            for ((side, (all, lately)), before) in
                Environment::BOTH.into_iter().zip(all.iter_mut().zip(&mut lately)).zip(before)
            {
                let sum = TrafficSum::of(counters, side);
                lately.add(&sum.minus(before));
                all.add(&sum);
            }
        }
        let total = |sums: &[TrafficSum; 2]| sums.iter().map(TrafficSum::requests).sum::<u64>();
        let (requests, recent) = (total(&all), total(&lately));
        let sides = Environment::BOTH.into_iter().zip(all.iter().zip(&lately));
        let traffic = sides.map(|(side, (all, lately))| EnvironmentTraffic {
            environment: side.into(),
            last_minute: lately.numbers(recent, now.since(self.at)),
            since_start: all.numbers(requests, now),
        });
        traffic.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::counters::{AttemptOutcome, Shard};

    fn record(counters: &Counters, side: Environment, count: u64) {
        let route = counters.route("shop", "default");
        let outcome = AttemptOutcome {
            class: ResponseClass::Success,
            failure: None,
            is_refusal: false,
            body: None,
            is_loop: false,
            client: 0,
            upstream_micros: 2000,
            request_micros: 2000,
        };
        (0..count).for_each(|_| route.record(Shard(0), side, true, outcome));
    }

    #[test]
    fn the_last_minute_is_what_came_since() {
        let counters = Arc::new(Counters::new(1));
        let minutes = RecentTraffic::new(counters.clone());
        record(&counters, Environment::Blue, 100);
        for seconds in (0..120).step_by(5) {
            minutes.sample(Millis::seconds(seconds));
        }
        record(&counters, Environment::Blue, 30);
        record(&counters, Environment::Green, 10);
        let before = minutes.before();
        assert_eq!(before.at, Millis::seconds(55));
        let route = counters.route("shop", "default");
        let traffic = before.traffic("shop", &[("default", &route)], Millis::seconds(115));
        assert_eq!((traffic[0].last_minute.requests, traffic[0].since_start.requests), (30, 130));
        assert_eq!((traffic[1].last_minute.requests, traffic[1].last_minute.share), (10, Some(25.0)));
        assert!(traffic[0].since_start.p50_ms.is_some_and(|p50| (1.5..2.5).contains(&p50)));
    }

    #[test]
    fn what_nobody_asks_for_is_kept_once() {
        let counters = Arc::new(Counters::new(1));
        let minutes = RecentTraffic::new(counters.clone());
        record(&counters, Environment::Blue, 1);
        (0..13).for_each(|n| minutes.sample(Millis::seconds(n * 5)));
        let samples = minutes.samples();
        assert!(samples.len() <= 13);
        let sides: Vec<_> = samples.iter().flat_map(|(_, sample)| sample.values()).collect();
        assert!(sides.windows(2).all(|pair| Arc::ptr_eq(pair[0], pair[1])));
    }
}
