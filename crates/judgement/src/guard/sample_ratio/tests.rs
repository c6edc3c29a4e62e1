use std::collections::HashSet;

use super::*;
use crate::traffic::names::FieldName;
use crate::traffic::split::{KeyBucket, mix, turn};
use crate::traffic::sticky::{BucketSalt, StickyKey, hash};

/// A split over time, as the proxy counts it.
struct Run {
    arrivals: SplitArrivals,
    seen: HashSet<u64>,
    of_clients: Vec<u64>,
    state: u64,
    ordinal: u64,
}

impl Run {
    fn new(sticky: StickyBy, seed: u64) -> Run {
        let arrivals = SplitArrivals { weights: Vec::new(), heaviest: 0, sticky };
        let (seen, of_clients) = (HashSet::new(), vec![0; 256]);
        Run { arrivals, seen, of_clients, state: mix(seed), ordinal: mix(!seed) % 1_000_000 }
    }

    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(1);
        (mix(self.state) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&mut self, weight: Weight) -> &mut WeightArrivals {
        if self.arrivals.weights.last().is_none_or(|last| last.weight != weight) {
            self.arrivals.weights.push(WeightArrivals { weight, ..WeightArrivals::default() });
        }
        self.arrivals.weights.last_mut().unwrap()
    }

    fn send(&mut self, weight: Weight, candidate: bool, is_new: bool, key: bool) {
        let at = self.at(weight);
        let side = usize::from(candidate);
        at.requests[side].sent += 1;
        at.decisions[side].sent += u64::from(is_new);
        at.keyless += u64::from(!key);
    }

    /// A request without a key, by the draw.
    fn draw(&mut self, weight: Weight) {
        self.ordinal += 1;
        self.send(weight, turn(weight, self.ordinal), true, false);
    }

    /// A request of this client, by its key.
    fn ask(&mut self, service: &str, weight: Weight, client: u64) {
        let hashed = hash(BucketSalt::of_service(service), 0, StickyKey::Bytes(&client.to_be_bytes()));
        let is_new = self.seen.insert(hashed);
        self.of_clients[(hashed >> 17) as usize % 256] += 1;
        self.send(weight, weight > KeyBucket::of(hashed), is_new, true);
    }

    fn reading(&mut self) -> SplitReading {
        let mut of_clients = self.of_clients.clone();
        of_clients.sort_unstable();
        self.arrivals.heaviest = of_clients.iter().rev().take(FEW).sum();
        self.arrivals.reading(["blue", "green"])
    }
}

fn weight(percent: f64) -> Weight {
    Weight::from_percent(percent).unwrap()
}

fn by_header() -> StickyBy {
    StickyBy::Header(FieldName::parse("x-user").unwrap())
}

const STEPS: [f64; 6] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0];

/// How many of 2,000 healthy rollouts from 1 to 75 %, looked at at every tick, were told of.
fn false_alarms(ticks: u64, sticky: &StickyBy, mut request: impl FnMut(&mut Run, u64, Weight)) -> u32 {
    let mut alarms = 0;
    for seed in 0..2000 {
        let mut run = Run::new(sticky.clone(), seed);
        let mut told = false;
        for step in STEPS.map(weight) {
            for _ in 0..ticks {
                (0..20).for_each(|_| request(&mut run, seed, step));
                told |= run.reading().mismatch.is_some();
            }
        }
        alarms += u32::from(told);
    }
    alarms
}

/// Zipf's law over 5,000 clients: the n-th sends in proportion to 1 / n.
fn zipf(unit: f64) -> u64 {
    (5000_f64.powf(unit)) as u64
}

#[test]
fn healthy_splits_of_drawn_requests_are_never_told_of() {
    assert_eq!(false_alarms(20, &StickyBy::None, |run, _, weight| run.draw(weight)), 0, "the draw is exact");
}

#[test]
fn healthy_splits_by_key_are_told_of_once_in_a_thousand_at_the_most() {
    let alarms = false_alarms(20, &by_header(), |run, seed, weight| {
        let client = zipf(run.unit());
        // Each run is a service of its own, with buckets of its own.
        run.ask(&format!("shop {seed}"), weight, client);
    });
    assert!(alarms <= 2, "{alarms} of 2,000");
}

#[test]
fn healthy_splits_where_every_client_comes_once_are_told_of_once_in_a_thousand_at_the_most() {
    let mut client = 0;
    let alarms = false_alarms(20, &by_header(), |run, _, weight| {
        client += 1;
        run.ask("shop", weight, client);
    });
    assert!(alarms <= 2, "{alarms} of 2,000");
}

#[test]
fn seven_percent_of_ten_promised_are_found_within_4000_clients_in_nine_runs_of_ten() {
    let mut found = Vec::new();
    for seed in 0..200 {
        let mut run = Run::new(by_header(), seed);
        let at = (1..=20_000).find(|_| {
            let candidate = run.unit() < 0.07;
            run.send(weight(10.0), candidate, true, true);
            run.reading().mismatch.is_some()
        });
        found.push(at.unwrap());
    }
    found.sort_unstable();
    assert!((1000..2500).contains(&found[100]), "median {}", found[100]);
    assert!(found[180] <= 4000, "nine in ten: {}", found[180]);
    assert!(found[199] <= 8000, "all: {}", found[199]);
}

#[test]
fn evidence_is_carried_on_from_one_weight_to_the_next() {
    let mut run = Run::new(by_header(), 1);
    for step in STEPS {
        for n in 0..1500 {
            // A fifth less than promised, in odds.
            let odds = 0.8 * step / (100.0 - step);
            run.send(weight(step), f64::from(n) / 1500.0 < odds / (1.0 + odds), true, true);
        }
    }
    let alone = run.arrivals.weights.clone().into_iter().map(|at| {
        let alone = SplitArrivals { weights: vec![at], ..run.arrivals.clone() };
        alone.reading(["blue", "green"]).evidence
    });
    assert!(alone.fold(0.0, f64::max) < 1000.0);
    assert!(run.reading().evidence > 100_000.0, "{}", run.reading().evidence);
}

#[test]
fn clients_that_give_up_on_the_candidate_are_the_cause() {
    let mut run = Run::new(StickyBy::None, 3);
    (0..10_000).for_each(|_| run.draw(weight(10.0)));
    let at = run.at(weight(10.0));
    at.decisions[1].left = 310;
    at.requests[1].left = 310;
    at.decisions[0].left = 90;
    at.requests[0].left = 90;
    let said = run.reading().mismatch.unwrap();
    assert!(said.starts_with("green got 7.2 % of 9,600 requests where 10 % are promised (odds "), "{said}");
    let cause = "likely cause: 31 % of what green was sent ended before there was an answer, and 1 % of blue's (the client \
                 hung up, or there was no place for it)";
    assert!(said.ends_with(cause), "{said}");
}

#[test]
fn one_heavy_client_is_no_mismatch_but_a_cause_where_the_requests_are_off() {
    let mut run = Run::new(by_header(), 5);
    for n in 0..3000 {
        run.ask("shop", weight(10.0), n % 1000);
    }
    assert_eq!(run.reading().mismatch, None);
    let hashed = |client: u64| hash(BucketSalt::of_service("shop"), 0, StickyKey::Bytes(&client.to_be_bytes()));
    let heavy = (0..1000).find(|client| weight(10.0) > KeyBucket::of(hashed(*client))).unwrap();
    (0..7000).for_each(|_| run.ask("shop", weight(10.0), heavy));
    let reading = run.reading();
    assert!(reading.evidence < 1.0, "{}", reading.evidence);
    let said = reading.mismatch.unwrap();
    assert!(said.starts_with("green got 7"), "{said}");
    assert!(said.contains(" of 10,000 requests where 10 % are promised: likely cause: 8 of 1,000 clients, by the header `x-user`, send 7"), "{said}");
}

#[test]
fn three_clients_that_send_everything_are_said() {
    let mut run = Run::new(by_header(), 7);
    (0..1500).for_each(|n| run.ask("shop", weight(10.0), n % 3));
    assert_eq!(
        run.reading().mismatch.unwrap(),
        "green got 0 % of 1,500 requests where 10 % are promised: likely cause: 3 clients, by the header `x-user`, send \
         all 1,500 requests with a key; a key that tells more clients apart splits them better"
    );
}

#[test]
fn what_stands_out_is_said_and_no_cause_is_made_up() {
    let sure = |sticky: StickyBy, keyless: u64, requests: u64| {
        let decisions = [SentCounts { sent: 980, left: 0 }, SentCounts { sent: 20, left: 0 }];
        let requests = [SentCounts { sent: requests - 20, left: 0 }, SentCounts { sent: 20, left: 0 }];
        let at = WeightArrivals { weight: weight(10.0), decisions, requests, keyless };
        SplitArrivals { weights: vec![at], heaviest: 100, sticky }.reading(["blue", "green"]).mismatch.unwrap()
    };
    assert!(
        sure(by_header(), 0, 5000).ends_with(
            " of 1,000 clients where 10 % are promised (odds over 1,000,000,000 : 1): no cause shows in what is counted"
        ),
        "{}",
        sure(by_header(), 0, 5000)
    );
    assert!(sure(by_header(), 600, 1500).ends_with("what stands out: 40 % of the requests have no header `x-user`"));
    assert!(
        sure(StickyBy::Cookie("cutover".into()), 0, 1000)
            .ends_with("what stands out: clients do not keep the cookie `cutover`: 1,000 keys in 1,000 requests")
    );
}

#[test]
fn whatever_is_counted_the_reading_is_finite() {
    let reading = |weight: u16, counts: [u64; 4]| {
        let sent = |sent, left| SentCounts { sent, left };
        let both = [sent(counts[0], counts[2]), sent(counts[1], counts[3])];
        let at = WeightArrivals {
            weight: Weight::from_basis_points(weight).unwrap(),
            decisions: both,
            requests: both,
            keyless: counts[2],
        };
        SplitArrivals { weights: vec![at], heaviest: counts[3], sticky: by_header() }.reading(["blue", "green"])
    };
    for weight in [0, 1, 9999, 10_000] {
        for counts in [[0; 4], [1, 0, 1, 9], [0, 1 << 50, 0, 0], [1 << 50, 0, 0, 1 << 50], [5, 5, 9, 9]] {
            let SplitReading { decisions, requests, evidence, .. } = reading(weight, counts);
            let all = [decisions.promised, decisions.got, requests.promised, requests.got, evidence];
            assert!(all.iter().all(|number| number.is_finite()), "{weight} {counts:?}: {all:?}");
        }
    }
}
