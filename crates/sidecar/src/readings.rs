//! The counters of live services as last read, so that a tick costs little if nothing has happened.

use std::collections::HashMap;

use judgement::guard::shape::ShapeMemory;
use judgement::guard::window::JudgedTotals;
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::counters::RouteCounters;
use memory::snapshot::ServedService;

/// What is usual is looked at this often.
const LEARNT: Millis = Millis(500);
/// A service that had no requests for so long rests: no request of before is waited for any more.
const QUIET: Millis = Millis(10_000);
/// How often a service that rests is looked at. A request that fails wakes the sidecar, which then looks at all.
const REST: Millis = Millis(200);

/// The judged totals of every live service's routes, as last read.
#[derive(Debug, Default)]
pub struct CounterReadings(HashMap<String, ServiceReading>);

/// The reading of one service.
#[derive(Debug)]
struct ServiceReading {
    routes: Vec<Reading>,
    /// When something had last happened since it is live.
    stirred: Option<Millis>,
    looked: Millis,
}

/// The reading of one route. The default stands for a route without requests.
#[derive(Clone, Debug, Default)]
struct Reading {
    activity: u64,
    totals: Option<[JudgedTotals; 2]>,
    /// What usual responses look like, and whose they are.
    shapes: Option<(Environment, ShapeMemory)>,
    /// When that was last looked at.
    looked: Millis,
}

impl Reading {
    /// Tells the route what is usual, a few times a second.
    fn learn(&mut self, now: Millis, usual: Environment, route: &RouteCounters) {
        let Some(totals) = &self.totals else { return };
        let seen = &usual.of(totals).shapes;
        match &mut self.shapes {
            Some((side, _)) if *side == usual && now.since(self.looked) < LEARNT => return,
            Some((side, memory)) if *side == usual => memory.look(now, seen),
            shapes => *shapes = Some((usual, ShapeMemory::new(now, seen))),
        }
        self.looked = now;
        self.shapes.iter().for_each(|(_, memory)| route.set_usual(memory.usual()));
    }
}

impl CounterReadings {
    /// Forgets everything: a new file may have other routes in another order.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Forgets the services that are no longer live.
    pub fn keep(&mut self, live: &[String]) {
        // Looking at every key is slow if many services are live, and they seldom change.
        if self.0.len() > live.len() {
            self.0.retain(|service, _| live.contains(service));
        }
    }

    /// Whether a tick may pass over a service: most of many have no requests, and each look has its price.
    pub fn rests(&self, service: &str, now: Millis) -> bool {
        let known = self.0.get(service);
        known.is_some_and(|known| {
            known.stirred.is_none_or(|stirred| now.since(stirred) >= QUIET) && now.since(known.looked) < REST
        })
    }

    /// Something else has happened to a service: it is looked at by every tick for a while.
    pub fn stir(&mut self, service: &str, now: Millis) {
        if let Some(known) = self.0.get_mut(service) {
            known.stirred = Some(now);
        }
    }

    /// The current totals of a service's routes. Only routes that have changed are read in full. `usual`: by whose responses
    /// others are odd.
    pub fn read(&mut self, now: Millis, usual: Environment, serving: &ServedService) -> Vec<Option<[JudgedTotals; 2]>> {
        if !self.0.contains_key(&serving.name) {
            let routes = vec![Reading::default(); serving.routes.len()];
            self.0.insert(serving.name.clone(), ServiceReading { routes, stirred: None, looked: now });
        }
        let Some(known) = self.0.get_mut(&serving.name) else { return Vec::new() };
        known.looked = now;
        let stirred = &mut known.stirred;
        let read = known.routes.iter_mut().zip(&serving.routes).map(|(reading, route)| {
            // Read before the totals, so that what happens in between is read twice rather than missed.
            let activity = route.activity();
            if activity != reading.activity {
                (reading.activity, reading.totals) = (activity, route.judged());
                *stirred = Some(now);
                reading.learn(now, usual, route);
            }
            reading.totals.clone()
        });
        read.collect()
    }
}

/// Adds the failures of health checks, which concern the whole service and are attached to its first route.
pub fn checked(mut routes: Vec<Option<[JudgedTotals; 2]>>, failures: [u64; 2]) -> Vec<Option<[JudgedTotals; 2]>> {
    if let Some(first) = routes.first_mut().filter(|_| failures != [0; 2]) {
        let pair = first.get_or_insert_default();
        pair.iter_mut().zip(failures).for_each(|(side, failures)| side.health_failures = failures);
    }
    routes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{CurrentRouting, ResolvedRouting};
    use config::routing_text;
    use memory::counters::{AttemptOutcome, Counters, ResponseClass, Shard};

    /// Services `a` and `b`, each with the routes `default`, `one` and `two`.
    fn serving(counters: &Counters) -> [Arc<ServedService>; 2] {
        let service = |name: &str| {
            format!(
                "[service.{name}]\nhosts = [\"{name}.test\"]\n\
                 [[service.{name}.route]]\nname = \"one\"\npath = \"/1\"\n[[service.{name}.route]]\nname = \"two\"\npath = \"/2\"\n\
                 [service.{name}.blue]\nurl = \"http://127.0.0.1:1\"\n[service.{name}.green]\nurl = \"http://127.0.0.1:2\"\n"
            )
        };
        let routing = routing_text("routing.toml", &(service("a") + &service("b"))).unwrap();
        let mut placed = CurrentRouting::default();
        placed.replace(ResolvedRouting { routing, ..ResolvedRouting::default() }, counters);
        ["a", "b"].map(|name| placed.serving(name).unwrap().clone())
    }

    fn good() -> AttemptOutcome {
        AttemptOutcome {
            class: ResponseClass::Success,
            failure: None,
            is_refusal: false,
            body: None,
            is_loop: false,
            client: 0,
            upstream_micros: 1000,
            request_micros: 1000,
        }
    }

    #[test]
    fn every_reading_is_as_good_as_a_fresh_one() {
        let counters = Counters::new(2);
        let [shop, _] = serving(&counters);
        let mut readings = CounterReadings::default();
        let (blue, green) = (Environment::Blue, Environment::Green);
        let route = &shop.routes[1];
        let steps: [&dyn Fn(); 8] = [
            &|| {},
            &|| route.send(Shard(0), green, 1_000),
            &|| route.end(Shard(0), green, 1_000, 2_000),
            &|| route.record(Shard(1), green, true, good()),
            &|| route.record_hurt(Shard(0), green, true),
            &|| route.record_rescue(Shard(0), green, true),
            &|| route.record_turned_away(Shard(1), green),
            &|| shop.routes[2].record(Shard(0), blue, true, good()),
        ];
        for (at, step) in steps.iter().enumerate() {
            step();
            let fresh: Vec<_> = shop.routes.iter().map(|route| route.judged()).collect();
            assert_eq!(readings.read(Millis::ZERO, Environment::Blue, &shop), fresh, "after step {at}");
            assert_eq!(readings.read(Millis::ZERO, Environment::Blue, &shop), fresh, "read again after step {at}");
        }
        route.record(Shard(0), green, false, good());
        let known = readings.read(Millis::ZERO, Environment::Blue, &shop);
        assert_eq!(known[1], route.judged(), "what is not judged is no news");
    }

    #[test]
    fn a_service_rests_while_nothing_happens() {
        let counters = Counters::new(1);
        let [shop, _] = serving(&counters);
        let mut readings = CounterReadings::default();
        let at = |now: u64| Millis(now);
        let side = Environment::Blue;
        assert!(!readings.rests("a", at(0)), "it was never looked at");
        readings.read(at(10_000), side, &shop);
        assert!(readings.rests("a", at(10_199)), "it never had a request");
        assert!(!readings.rests("a", at(10_200)), "it is looked at now and then");
        shop.routes[2].send(Shard(0), side, 1_000);
        readings.read(at(10_200), side, &shop);
        assert!(!readings.rests("a", at(20_199)), "a request was sent");
        readings.read(at(20_300), side, &shop);
        assert!(readings.rests("a", at(20_301)));
        readings.stir("a", at(20_301));
        assert!(!readings.rests("a", at(20_302)));
    }

    #[test]
    fn only_the_live_are_remembered() {
        let counters = Counters::new(1);
        let [shop, other] = serving(&counters);
        let mut readings = CounterReadings::default();
        readings.read(Millis::ZERO, Environment::Blue, &shop);
        readings.read(Millis::ZERO, Environment::Blue, &other);
        readings.keep(&["b".to_owned()]);
        assert_eq!(readings.0.keys().collect::<Vec<_>>(), ["b"]);
        readings.forget();
        assert!(readings.0.is_empty());
    }
}
