//! The last hour of requests by route: one mark a minute, from which rates are computed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{Counters, ResponseClass, RouteCounters};
use parking_lot::Mutex;

const SPACING: Millis = Millis::seconds(60);
const HOUR: Millis = Millis::seconds(3600);
/// Routes that are marked: an hour of each takes 2 KiB.
const MOST_ROUTES: usize = 1000;

/// Requests whose client did not leave before the answer, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnsweredRequests {
    pub all: u64,
    pub failed: u64,
}

impl AnsweredRequests {
    fn of(route: &RouteCounters, side: Environment) -> AnsweredRequests {
        let Some(seen) = route.seen(side) else { return AnsweredRequests::default() };
        let all: u64 = seen.classes.iter().sum();
        let aborted = seen.classes.get(ResponseClass::Aborted as usize).copied().unwrap_or(0);
        AnsweredRequests { all: all.saturating_sub(aborted), failed: seen.failures.iter().sum() }
    }
}

/// What a service answered in the last hour, or since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HourOfTraffic {
    /// Blue's and green's.
    pub sides: [AnsweredRequests; 2],
    pub over: Millis,
}

impl HourOfTraffic {
    /// Requests a second of both sides together.
    pub fn rate(&self) -> f64 {
        let all: u64 = self.sides.iter().map(|side| side.all).sum();
        1000.0 * all as f64 / self.over.0.max(1) as f64
    }

    /// The share of a side's requests that failed, 0..1.
    pub fn fails(&self, side: Environment) -> f64 {
        let AnsweredRequests { all, failed } = *side.of(&self.sides);
        if all == 0 { 0.0 } else { (failed as f64 / all as f64).min(1.0) }
    }
}

type Sides = [AnsweredRequests; 2];

/// The marks of the last hour, the oldest first. A route that came later has as many fewer.
#[derive(Debug)]
struct TrafficMarks {
    at: VecDeque<Millis>,
    routes: HashMap<(String, String), VecDeque<Sides>>,
}

#[derive(Clone, Debug)]
pub struct HourlyTraffic {
    counters: Arc<Counters>,
    marks: Arc<Mutex<TrafficMarks>>,
}

impl HourlyTraffic {
    pub fn new(counters: Arc<Counters>) -> HourlyTraffic {
        // Nothing has been counted yet: whatever comes before the first mark is of the last hour.
        let marks = TrafficMarks { at: VecDeque::from([clock::now()]), routes: HashMap::new() };
        HourlyTraffic { counters, marks: Arc::new(Mutex::new(marks)) }
    }

    /// Marks the counts for as long as it runs.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(SPACING.as_duration()).await;
            self.mark(clock::now());
        }
    }

    fn mark(&self, now: Millis) {
        let routes = self.counters.routes();
        let mut marks = self.marks.lock();
        let TrafficMarks { at, routes: kept } = &mut *marks;
        at.push_back(now);
        let known: HashSet<&(String, String)> = routes.iter().map(|(key, _)| key).collect();
        kept.retain(|key, _| known.contains(key));
        let asked = |route: &RouteCounters| Environment::BOTH.into_iter().any(|side| route.seen(side).is_some());
        for (key, route) in routes.iter().filter(|(_, route)| asked(route)) {
            if kept.len() < MOST_ROUTES || kept.contains_key(key) {
                let sides = Environment::BOTH.map(|side| AnsweredRequests::of(route, side));
                kept.entry(key.clone()).or_default().push_back(sides);
            }
        }
        while at.get(1).is_some_and(|next| now.since(*next) >= HOUR) {
            at.pop_front();
            let left = at.len();
            kept.values_mut().filter(|sides| sides.len() > left).for_each(|sides| {
                sides.pop_front();
            });
        }
    }

    /// What these routes of a service answered in the last hour.
    pub fn answered(&self, service: &str, routes: &[(&str, &RouteCounters)], now: Millis) -> HourOfTraffic {
        let marks = self.marks.lock();
        let since = marks.at.front().copied().unwrap_or(now);
        let mut sum = HourOfTraffic { over: now.since(since), ..HourOfTraffic::default() };
        for (route, counters) in routes {
            let kept = marks.routes.get(&(service.to_owned(), (*route).to_owned()));
            // A route with fewer marks had no requests at the oldest one.
            let before = kept.filter(|sides| sides.len() == marks.at.len()).and_then(VecDeque::front);
            let before = before.copied().unwrap_or_default();
            for ((side, sum), before) in Environment::BOTH.into_iter().zip(&mut sum.sides).zip(before) {
                let AnsweredRequests { all, failed } = AnsweredRequests::of(counters, side);
                sum.all += all.saturating_sub(before.all);
                sum.failed += failed.saturating_sub(before.failed);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::counters::{AttemptFailure, AttemptOutcome, Shard};

    fn record(counters: &Counters, route: &str, side: Environment, status: u16, count: u64) {
        let route = counters.route("shop", route);
        let failure = (status >= 500).then(|| AttemptFailure::of_status(status));
        let class = if failure.is_some() { ResponseClass::ServerError } else { ResponseClass::Success };
        let outcome = AttemptOutcome {
            class,
            failure,
            is_refusal: false,
            body: None,
            is_loop: false,
            client: 0,
            upstream_micros: 2000,
            request_micros: 2000,
        };
        (0..count).for_each(|_| route.record(Shard(0), side, true, outcome));
    }

    fn minutes(n: u64) -> Millis {
        Millis::seconds(60 * n)
    }

    #[test]
    fn the_rate_is_of_the_last_hour_and_of_the_routes_that_are_asked_for() {
        let counters = Arc::new(Counters::new(1));
        let hours = HourlyTraffic::new(counters.clone());
        hours.marks.lock().at[0] = Millis::ZERO;
        record(&counters, "default", Environment::Blue, 200, 7200);
        let (default, api) = (counters.route("shop", "default"), counters.route("shop", "api"));
        let all = [("default", &*default), ("api", &*api)];
        assert_eq!(hours.answered("shop", &all, minutes(10)).rate(), 12.0, "since the start");
        (1..=60).for_each(|n| hours.mark(minutes(n)));
        record(&counters, "api", Environment::Green, 200, 1800);
        record(&counters, "api", Environment::Blue, 200, 1770);
        record(&counters, "api", Environment::Blue, 502, 30);
        (61..=100).for_each(|n| hours.mark(minutes(n)));
        let seen = hours.answered("shop", &all, minutes(100));
        assert_eq!((seen.over, seen.rate()), (minutes(60), 1.0), "the first 7200 were over an hour ago");
        assert_eq!((seen.fails(Environment::Blue), seen.fails(Environment::Green)), (30.0 / 1800.0, 0.0));
        assert_eq!(hours.answered("shop", &all[..1], minutes(100)).rate(), 0.0);
        assert!(hours.marks.lock().at.len() <= 61);
        (101..=200).for_each(|n| hours.mark(minutes(n)));
        assert_eq!(hours.answered("shop", &all, minutes(200)).rate(), 0.0);
    }
}
