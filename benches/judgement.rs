//! What a request, a tick and a reload cost: `cargo bench`. Read the ratios; the machine is never quiet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use config::routing_text;
use divan::Bencher;
use http1::{Head, HeadLimits, parse_request};
use judgement::guard::trigger::TriggerReading;
use judgement::guard::window::{JudgedTotals, WindowSample};
use judgement::guard::{GuardPolicy, Observation, judge};
use judgement::rollout::{Event, LoadedService, SplitRequest, State};
use judgement::time::Millis;
use judgement::traffic::split::{TrafficSplit, Weight, mix};
use judgement::traffic::{Environment, RoutingTable, decide};
use memory::counters::{AttemptOutcome, Counters, ResponseClass, Shard};

fn main() {
    divan::main();
}

/// So many services of 20 routes, the first with 20 rules.
fn file(services: usize) -> String {
    let mut text = String::new();
    for service in 0..services {
        text.push_str(&format!(
            "[service.s{service}]\nhosts = [\"s{service}.example.com\"]\n[service.s{service}.blue]\nurl = \"http://127.0.0.1:1\"\n\
             [service.s{service}.green]\nurl = \"http://127.0.0.1:2\"\n[service.s{service}.split]\nweight = 10\n"
        ));
        for route in 0..20 {
            text.push_str(&format!(
                "[[service.s{service}.route]]\nname = \"r{route}\"\npath = \"/api/function-{route}/*\"\n"
            ));
        }
        for rule in 0..20 {
            text.push_str(&format!(
                "[[service.s{service}.rule]]\nheader = {{ name = \"x-rule-{rule}\", equals = \"yes\" }}\nto = \"candidate\"\n"
            ));
        }
    }
    text
}

fn table(services: usize) -> RoutingTable {
    let routing = routing_text("bench", &file(services)).expect("the bench's file is good");
    let split = TrafficSplit {
        weight: Weight::from_percent(10.0).expect("a weight"),
        ..TrafficSplit::resting(Environment::Blue)
    };
    RoutingTable::compile(routing.services.into_iter().map(|service| (service.traffic, split.clone())).collect())
}

/// A request as browsers send it, to the last route.
fn request(service: usize) -> (String, Head) {
    let text = format!(
        "GET /api/function-19/items/42?page=2 HTTP/1.1\r\nHost: s{service}.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n\
         Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br\r\nReferer: https://s.example.com/\r\n\
         Cookie: session=0123456789abcdef; theme=dark\r\nCache-Control: no-cache\r\n\r\n"
    );
    let mut head = Head::default();
    parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).expect("a head");
    (text, head)
}

/// Host, 20 routes, 20 rules that do not match, and the draw; in a table of one service and of
/// a thousand.
#[divan::bench(args = [1, 1000], sample_size = 1000)]
fn decide_20_routes_20_rules(bencher: Bencher, services: usize) {
    let table = table(services);
    let (text, head) = request(services / 2);
    let view = head.view(text.as_bytes());
    let client = "192.0.2.1".parse().expect("an address");
    let mut ordinal = 0;
    bencher.bench_local(|| {
        ordinal += 1;
        let (view, table) = (black_box(&view), black_box(&table));
        decide(table, &view.request_head(client), |_| ordinal)
    });
}

/// One worker, and two that share a route but not a shard.
#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn record(bencher: Bencher) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: Shard = Shard(NEXT.fetch_add(1, Ordering::Relaxed) % 8));
    let route = Counters::new(8).route("shop", "api");
    let outcome = AttemptOutcome {
        class: ResponseClass::Success,
        failure: None,
        is_refusal: false,
        body: None,
        is_loop: false,
        client: 0,
        upstream_micros: 12_345,
        request_micros: 12_400,
    };
    bencher.bench(|| SHARD.with(|shard| route.record(*shard, Environment::Blue, true, black_box(outcome))));
}

/// The standard policy over readings that are there.
#[divan::bench]
fn judge_a_route(bencher: Bencher) {
    let policy = GuardPolicy::standard();
    let sample = WindowSample {
        span: Millis(10_000),
        answers: 1000,
        failed: 3,
        p95_us: Some(40_000),
        ..WindowSample::default()
    };
    let reading = TriggerReading { active: sample, candidate: sample, share: 0.5, held: Millis::ZERO, usual: None };
    let sight = Observation { route: None, readings: vec![reading; policy.triggers.len()], evidence: None };
    bencher.bench_local(|| judge(black_box(&policy), black_box(&sight)));
}

/// A tick of the grid over one route, or over twenty of one service: 1,000 requests/s and route at 10 %, some failing on
/// both sides; all three meters bet, every trigger is measured in its turn, the judge is asked.
#[divan::bench(args = [1, 20], sample_size = 2000)]
fn tick_of_a_service(bencher: Bencher, routes: usize) {
    let mut state = State::default();
    let loaded = LoadedService {
        routes: (0..routes).map(|route| format!("r{route}")).collect(),
        ask: SplitRequest { active: None, weight: Some(Weight::from_percent(10.0).expect("a weight")) },
        ..LoadedService::standard("shop")
    };
    let _ = state.apply(Event::Loaded(vec![loaded]), Millis::ZERO);
    let mut totals = vec![<[JudgedTotals; 2]>::default(); routes];
    let mut now = Millis::ZERO;
    bencher.bench_local(|| {
        now = now.plus(Millis(20));
        let slot = (now.0 / 100 % 64) as usize;
        for (route, pair) in totals.iter_mut().enumerate() {
            // Different from tick to tick, as traffic is.
            let luck = mix(now.0 ^ (route as u64) << 40);
            for (side, requests, one_in) in [(0, 16 + luck % 5, 100), (1, 1 + luck / 5 % 3, 1000)] {
                let side = &mut pair[side];
                side.counts.answers += requests;
                side.counts.failed += u64::from((luck / 15).is_multiple_of(one_in));
                side.tally.requests += requests;
                side.cohorts.sent[slot] = side.cohorts.sent[slot].wrapping_add(requests as u32);
                side.cohorts.ended[slot] = side.cohorts.ended[slot].wrapping_add(requests as u32);
                (0..requests).for_each(|n| side.latency[50 + (mix(luck ^ n) % 30) as usize] += 1);
            }
        }
        let routes = totals.iter().cloned().map(Some).collect();
        state.apply(Event::Counted { service: "shop".to_owned(), routes, on_grid: true }, now)
    });
    assert!(state.split("shop").is_some_and(|split| !split.weight.is_zero()), "nothing was rolled back meanwhile");
}

/// From the text of a file to the checked routing, and from that to the table.
#[divan::bench(args = [1, 1000], sample_count = 5)]
fn read_and_check(bencher: Bencher, services: usize) {
    let text = file(services);
    bencher.bench_local(|| routing_text("bench", black_box(&text)));
}

#[divan::bench(args = [1, 1000], sample_count = 5)]
fn compile_the_table(bencher: Bencher, services: usize) {
    let routing = routing_text("bench", &file(services)).expect("the bench's file is good");
    let services: Vec<_> =
        routing.services.into_iter().map(|s| (s.traffic, TrafficSplit::resting(Environment::Blue))).collect();
    bencher.with_inputs(|| services.clone()).bench_local_values(RoutingTable::compile);
}

/// What a weight change costs: the same rules with other splits.
#[divan::bench(args = [1, 1000])]
fn change_a_weight(bencher: Bencher, services: usize) {
    let table = table(services);
    bencher.bench_local(|| black_box(&table).with_splits(|_| TrafficSplit::resting(Environment::Blue)));
}
