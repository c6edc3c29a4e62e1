//! The order of decisions, one fact a test.

use std::net::IpAddr;

use super::*;
use crate::traffic::rule::{Condition, PathTest, Rule, Test, whole_regex};
use crate::traffic::split::Weight;

fn rule(name: &str, conditions: Vec<Condition>, answer: Answer) -> Rule {
    Rule { name: name.into(), conditions, answer, overrides: false, strip: false, share: 0 }
}

fn header_is(name: &'static str, value: &str) -> Condition {
    Condition::Header { name: http::HeaderName::from_static(name), test: Test::Equals(value.into()) }
}

fn service(name: &str, hosts: &[&str]) -> Service {
    Service {
        name: name.into(),
        hosts: hosts.iter().map(|h| HostPattern::parse(h).unwrap()).collect(),
        sticky: Sticky::None,
        routes: Routes::new([("api".to_owned(), "/api/*".to_owned())]),
        rules: vec![],
    }
}

fn at_weight(percent: f64) -> Split {
    Split { weight: Weight::from_percent(percent).unwrap(), ..Split::resting(Environment::Blue) }
}

struct Ask(http::request::Builder);

fn get(uri: &str) -> Ask {
    Ask(http::Request::builder().uri(uri))
}

impl Ask {
    fn with(self, name: &str, value: &str) -> Ask {
        Ask(self.0.header(name, value))
    }

    fn from(self, table: &Table, client: &str, ordinal: u64) -> Result<Decision, Refusal> {
        let (parts, ()) = self.0.body(()).unwrap().into_parts();
        decide(table, Head { parts: &parts, client: client.parse::<IpAddr>().unwrap() }, |_| ordinal)
    }

    fn of(self, table: &Table) -> Decision {
        self.from(table, "192.0.2.1", 0).unwrap()
    }
}

#[test]
fn hosts_go_exact_then_longest_wildcard_then_catch_all() {
    let table = Table::compile(
        [("exact", vec!["a.example.com"]), ("far", vec!["*.com"]), ("near", vec!["*.example.com"]), ("rest", vec![])]
            .map(|(name, hosts)| (service(name, &hosts), at_weight(0.0)))
            .to_vec(),
    );
    for (host, name) in [
        ("a.example.com", "exact"),
        ("A.EXAMPLE.com:8080", "exact"),
        ("b.example.com", "near"),
        ("b.c.example.com", "near"),
        ("example.com", "far"),
        ("example.org", "rest"),
    ] {
        let decision = get("/").with("host", host).of(&table);
        assert_eq!(table.service(decision.service).0.name, name, "{host}");
    }
}

#[test]
fn a_request_without_a_service_is_refused_with_its_reason() {
    let table = Table::compile(vec![(service("shop", &["shop.test"]), at_weight(0.0))]);
    let refusal = |ask: Ask| ask.from(&table, "192.0.2.1", 0).unwrap_err();
    assert_eq!(refusal(get("/").with("host", "other.test")), Refusal::UnknownHost);
    assert_eq!(refusal(get("/")), Refusal::BadHost, "HTTP/1.1 needs a Host");
    assert_eq!(refusal(get("/%00").with("host", "shop.test")), Refusal::BadPath);
    let old = Ask(http::Request::builder().uri("/").version(http::Version::HTTP_10));
    assert_eq!(refusal(old), Refusal::UnknownHost, "HTTP/1.0 does without");
}

#[test]
fn overrides_reach_the_candidate_at_weight_0_and_are_not_judged() {
    let mut shop = service("shop", &[]);
    let testers = rule("testers", vec![header_is("x-canary", "always")], Answer::Candidate);
    shop.rules = vec![Rule { overrides: true, ..testers.clone() }];
    let asked =
        |split| get("/").with("host", "x").with("x-canary", "always").of(&Table::compile(vec![(shop.clone(), split)]));

    let decision = asked(at_weight(0.0));
    assert_eq!((decision.environment, decision.judged, decision.why), (Environment::Green, false, Why::Override(0)));

    let stopped = asked(Split { stopped: true, ..at_weight(50.0) });
    assert_eq!((stopped.environment, stopped.why), (Environment::Blue, Why::Stopped), "the emergency stop comes first");

    let down = asked(Split { up: [true, false], ..at_weight(0.0) });
    assert_eq!(
        (down.environment, down.why),
        (Environment::Blue, Why::Failover),
        "a candidate that is down takes nobody"
    );
}

#[test]
fn plain_rules_hold_only_while_a_rollout_is_live() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![rule("beta", vec![header_is("x-beta", "1")], Answer::Candidate)];
    let asked = |split| get("/").with("host", "x").with("x-beta", "1").of(&Table::compile(vec![(shop.clone(), split)]));
    assert_eq!(asked(at_weight(0.0)).why, Why::NoWeight);
    let live = asked(at_weight(0.01));
    assert_eq!((live.environment, live.judged, live.why), (Environment::Green, true, Why::Rule(0)));
    assert_eq!(asked(Split { live: true, ..at_weight(0.0) }).why, Why::Rule(0), "a rollout past preflight is live");
    let other = asked(Split { only: Some(vec![1]), ..at_weight(100.0) });
    assert_eq!((other.environment, other.why), (Environment::Blue, Why::OtherRoute));
}

#[test]
fn the_first_rule_that_matches_wins() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![
        rule("a", vec![header_is("x-a", "1")], Answer::Environment(Environment::Green)),
        rule("b", vec![header_is("x-b", "1")], Answer::Active),
    ];
    let table = Table::compile(vec![(shop, at_weight(10.0))]);
    let both = get("/").with("host", "x").with("x-a", "1").with("x-b", "1").of(&table);
    assert_eq!(both.why, Why::Rule(0));
    assert_eq!(get("/").with("host", "x").with("x-b", "1").of(&table).why, Why::Rule(1));
}

#[test]
fn every_kind_of_condition_matches_what_it_says() {
    let header = |test| Condition::Header { name: http::HeaderName::from_static("x-v"), test };
    let cookie = |test| Condition::Cookie { name: "c".into(), test };
    let query = |test| Condition::Query { name: "q".into(), test };
    let yes = || {
        get("/api/a%2fb?q=1&q=2&e=")
            .with("host", "x.test")
            .with("x-v", "one")
            .with("x-v", "two,three")
            .with("cookie", "a=b; c=\"d\"; c=e")
    };
    let net = |text: &str| vec![text.parse().unwrap()];
    for (condition, holds) in [
        (header(Test::Equals("one".into())), true),
        (header(Test::Equals("two".into())), false),
        (header(Test::Equals("two,three".into())), true),
        (header(Test::Prefix("tw".into())), true),
        (header(Test::Suffix("three".into())), true),
        (header(Test::Contains("o,t".into())), true),
        (header(Test::Contains("onetwo".into())), false),
        (header(Test::Regex(whole_regex("o|one").unwrap())), true),
        (header(Test::Regex(whole_regex("on").unwrap())), false),
        (header(Test::Present), true),
        (header(Test::Absent), false),
        (Condition::Header { name: http::HeaderName::from_static("x-w"), test: Test::Absent }, true),
        (cookie(Test::Equals("\"d\"".into())), true),
        (cookie(Test::Equals("e".into())), true),
        (Condition::Cookie { name: "C".into(), test: Test::Present }, false),
        (query(Test::Equals("1".into())), true),
        (query(Test::Equals("2".into())), false),
        (Condition::Query { name: "e".into(), test: Test::Equals(vec![]) }, true),
        (Condition::Query { name: "f".into(), test: Test::Equals(vec![]) }, false),
        (Condition::Path(PathTest::Exact("/api/a%2Fb".into())), true),
        (Condition::Path(PathTest::Prefix("/api".into())), true),
        (Condition::Path(PathTest::Prefix("/ap".into())), false),
        (Condition::Path(PathTest::Regex(whole_regex("/api/.*").unwrap())), true),
        (Condition::Path(PathTest::Glob(crate::traffic::path::Glob::new("/a*b"))), true),
        (Condition::Method(vec![http::Method::POST, http::Method::GET]), true),
        (Condition::Method(vec![http::Method::POST]), false),
        (Condition::Host(vec![HostPattern::parse("*.test").unwrap()]), true),
        (Condition::ClientAddress(net("192.0.2.0/24")), true),
        (Condition::ClientAddress(net("192.0.3.0/24")), false),
        (Condition::Route(vec![Some(RouteRef(0))]), true),
        (Condition::Route(vec![None]), false),
    ] {
        let mut shop = service("shop", &[]);
        shop.rules = vec![rule("r", vec![condition.clone()], Answer::Candidate)];
        let decision = yes().from(&Table::compile(vec![(shop, at_weight(0.01))]), "192.0.2.1", 5000).unwrap();
        assert_eq!(decision.why == Why::Rule(0), holds, "{condition:?}");
    }
}

#[test]
fn a_mapped_address_is_the_address_that_it_maps() {
    let mut shop = service("shop", &[]);
    shop.rules =
        vec![rule("r", vec![Condition::ClientAddress(vec!["192.0.2.0/24".parse().unwrap()])], Answer::Candidate)];
    let table = Table::compile(vec![(shop, at_weight(1.0))]);
    assert_eq!(get("/").with("host", "x").from(&table, "::ffff:192.0.2.7", 5).unwrap().why, Why::Rule(0));
}

#[test]
fn ten_thousand_requests_without_a_key_split_exactly() {
    let table = Table::compile(vec![(service("shop", &[]), at_weight(10.0))]);
    let green = (0..10_000)
        .filter(|n| get("/").with("host", "x").from(&table, "192.0.2.1", *n).unwrap().environment == Environment::Green)
        .count();
    assert_eq!(green, 1000);
}

#[test]
fn raising_the_weight_never_moves_a_client_back_and_a_new_epoch_frees_everyone() {
    let mut shop = service("shop", &[]);
    shop.sticky = Sticky::Header(http::HeaderName::from_static("x-user"));
    let table = |split: Split| Table::compile(vec![(shop.clone(), split)]);
    let steps = [0.0, 0.01, 10.0, 25.0, 50.0, 75.0, 100.0].map(|weight| table(at_weight(weight)));
    let rolled_back = table(Split { epoch: 1, ..at_weight(0.0) });
    for user in 0..100_000 {
        let (parts, ()) =
            http::Request::get("/").header("host", "x").header("x-user", user).body(()).unwrap().into_parts();
        let head = Head { parts: &parts, client: "192.0.2.1".parse().unwrap() };
        let side = |table: &Table| decide(table, head, |_| 0).unwrap().environment;
        let sides = steps.each_ref().map(side);
        assert!(sides.is_sorted(), "user {user} goes back: {sides:?}");
        assert_eq!(side(&rolled_back), Environment::Blue);
    }
}

#[test]
fn a_client_without_a_cookie_is_pinned_only_when_the_split_decided() {
    let mut shop = service("shop", &[]);
    shop.sticky = Sticky::Cookie("cutover".into());
    shop.rules = vec![rule("beta", vec![header_is("x-beta", "1")], Answer::Candidate)];
    let table = Table::compile(vec![(shop, at_weight(50.0))]);
    assert!(get("/").with("host", "x").of(&table).pin);
    assert!(!get("/").with("host", "x").with("x-beta", "1").of(&table).pin);
    assert!(!get("/").with("host", "x").with("cookie", "cutover=abc").of(&table).pin);
    assert!(get("/").with("host", "x").with("cookie", "cutover=").of(&table).pin, "an empty value is no key");
}

#[test]
fn a_share_rule_uses_the_key_where_there_is_one_and_a_sequence_of_its_own_where_not() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![
        rule("plain", vec![header_is("x-a", "1")], Answer::Active),
        rule("share", vec![header_is("x-b", "1")], Answer::Share(Weight::from_percent(25.0).unwrap())),
    ];
    let table = Table::compile(vec![(shop.clone(), at_weight(1.0))]);
    let (parts, ()) = http::Request::get("/").header("host", "x").header("x-b", "1").body(()).unwrap().into_parts();
    let head = Head { parts: &parts, client: "192.0.2.1".parse().unwrap() };
    let green = (0..1000)
        .filter(|n| {
            let decision = decide(&table, head, |sequence| {
                assert_eq!(sequence, Sequence::Share(ServiceId(0), 0));
                *n
            });
            decision.unwrap().environment == Environment::Green
        })
        .count();
    assert_eq!(green, 250);
}

fn cautious(split: Split) -> Split {
    Split { cautious: true, ..split }
}

fn post(uri: &str) -> Ask {
    Ask(http::Request::post(uri))
}

/// Where it goes, why, and whether it is judged.
fn way(decision: Decision) -> (Environment, Why, bool) {
    assert!(!decision.pin, "{decision:?}");
    (decision.environment, decision.why, decision.judged)
}

#[test]
fn caution_sends_the_candidate_only_what_could_be_rescued() {
    let ask = |percent, ask: Ask| {
        way(ask.with("host", "x").of(&Table::compile(vec![(service("shop", &[]), cautious(at_weight(percent)))])))
    };
    let (blue, green) = (Environment::Blue, Environment::Green);
    assert_eq!(ask(100.0, get("/")), (green, Why::Draw, true));
    assert_eq!(ask(100.0, post("/").with("idempotency-key", "k")), (green, Why::Draw, true));
    assert_eq!(ask(100.0, post("/")), (blue, Why::Caution, false), "turned away");
    let long = post("/").with("idempotency-key", "k").with("content-length", "65537");
    assert_eq!(ask(100.0, long), (blue, Why::Caution, false));
    // The first of ten thousand at 0.01 % is drawn for active.
    let calm = Table::compile(vec![(service("shop", &[]), at_weight(0.01))]);
    let ordinal = (0..10_000).find(|n| !split::turn(at_weight(0.01).weight, *n)).unwrap();
    let drawn = post("/").with("host", "x").from(&calm, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, Why::Draw, true), "without caution it is judged");
    let doubt = Table::compile(vec![(service("shop", &[]), cautious(at_weight(0.01)))]);
    let drawn = post("/").with("host", "x").from(&doubt, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, Why::Draw, false), "like is compared with like");
    let drawn = get("/").with("host", "x").from(&doubt, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, Why::Draw, true));
}

#[test]
fn caution_turns_away_whatever_chose_the_candidate_but_an_override() {
    let mut shop = service("shop", &[]);
    shop.sticky = Sticky::Header(http::HeaderName::from_static("x-user"));
    let testers = rule("testers", vec![header_is("x-canary", "always")], Answer::Candidate);
    shop.rules = vec![
        Rule { overrides: true, ..testers },
        rule("beta", vec![header_is("x-beta", "1")], Answer::Candidate),
        rule("part", vec![header_is("x-part", "1")], Answer::Share(Weight::FULL)),
    ];
    let table = Table::compile(vec![(shop, cautious(at_weight(100.0)))]);
    let asked = |name, value| way(post("/").with("host", "x").with(name, value).of(&table));
    let (blue, green) = (Environment::Blue, Environment::Green);
    assert_eq!(asked("x-canary", "always"), (green, Why::Override(0), false), "a tester knows what it does");
    assert_eq!(asked("x-beta", "1"), (blue, Why::Caution, false));
    assert_eq!(asked("x-part", "1"), (blue, Why::Caution, false));
    assert_eq!(asked("x-user", "17"), (blue, Why::Caution, false), "the bucket");
    assert_eq!(asked("x-nobody", "1"), (blue, Why::Caution, false), "the draw");
}

#[test]
fn caution_pins_nobody_whom_it_turns_away() {
    let mut shop = service("shop", &[]);
    shop.sticky = Sticky::Cookie("c".into());
    let table = Table::compile(vec![(shop, cautious(at_weight(100.0)))]);
    assert!(get("/").with("host", "x").of(&table).pin);
    let turned_away = post("/").with("host", "x").of(&table);
    assert_eq!((turned_away.why, turned_away.pin), (Why::Caution, false));
}

#[test]
fn a_failover_is_stronger_than_caution() {
    let at = |up| Split { up, failover_both: true, ..cautious(at_weight(100.0)) };
    let asked = |split, ask: Ask| way(ask.with("host", "x").of(&Table::compile(vec![(service("shop", &[]), split)])));
    let (blue, green) = (Environment::Blue, Environment::Green);
    let active_down = asked(at([false, true]), post("/"));
    assert_eq!(active_down, (green, Why::Failover, false), "better in doubt than down");
    assert_eq!(asked(at([true, false]), get("/")), (blue, Why::Failover, true));
    assert_eq!(asked(at([true, false]), post("/")), (blue, Why::Caution, false), "active, either way");
    let one_way = Split { failover_both: false, ..at([false, true]) };
    assert_eq!(asked(one_way, post("/")), (blue, Why::Caution, false));
}

#[test]
fn a_decision_tells_the_hash_that_its_bucket_is_made_of() {
    let mut shop = service("shop", &[]);
    shop.sticky = Sticky::Header(http::HeaderName::from_static("x-user"));
    let table = Table::compile(vec![(shop, Split { epoch: 3, ..at_weight(50.0) })]);
    let hash = sticky::hash(sticky::Salt::of_service("shop"), 3, sticky::Key::Bytes(b"17"));
    assert_eq!(get("/").with("host", "x").with("x-user", "17").of(&table).key, Some(hash));
    assert_eq!(get("/").with("host", "x").of(&table).key, None);
}

proptest::proptest! {
    #[test]
    fn decide_is_total(
        path in "/[ -~é%]{0,30}",
        host in "[ -~]{0,20}",
        cookie in "[ -~]{0,30}",
        points in 0_u16..=10_000,
        ordinal in proptest::prelude::any::<u64>(),
        cautious in proptest::prelude::any::<bool>(),
        posted in proptest::prelude::any::<bool>(),
    ) {
        let mut shop = service("shop", &[]);
        shop.sticky = Sticky::Cookie("c".into());
        shop.rules = vec![
            rule("a", vec![Condition::Cookie { name: "a".into(), test: Test::Contains("x".into()) }], Answer::Active),
            rule("b", vec![Condition::Path(PathTest::Glob(crate::traffic::path::Glob::new("/a*b")))], Answer::Candidate),
        ];
        let weight = Weight::from_basis_points(points).unwrap();
        let split = Split { weight, cautious, ..Split::resting(Environment::Green) };
        let table = Table::compile(vec![(shop, split)]);
        let method = if posted { "POST" } else { "GET" };
        let request = http::Request::builder().method(method).uri(path).header("host", host).header("cookie", cookie).body(());
        // What http itself refuses never gets here.
        if let Ok(request) = request {
            let (parts, ()) = request.into_parts();
            let head = Head { parts: &parts, client: "192.0.2.1".parse().unwrap() };
            let one = decide(&table, head, |_| ordinal);
            proptest::prop_assert_eq!(one, decide(&table, head, |_| ordinal), "and a function");
            if let Ok(decision) = one {
                proptest::prop_assert_eq!(decision.candidate, decision.environment == Environment::Blue);
                proptest::prop_assert!(points > 0 || !decision.candidate);
                proptest::prop_assert!(!(cautious && posted) || !decision.candidate && !decision.judged);
            }
        }
    }
}
