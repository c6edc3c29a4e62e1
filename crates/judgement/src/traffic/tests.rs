//! The order of decisions, one fact per test.

use super::*;
use crate::traffic::head::FieldList;
use crate::traffic::names::{FieldName, MethodName};
use crate::traffic::rule::{PathTest, RoutingRule, RuleCondition, ValueTest, whole_regex};
use crate::traffic::split::Weight;

fn rule(name: &str, conditions: Vec<RuleCondition>, answer: RuleTarget) -> RoutingRule {
    RoutingRule { name: name.into(), conditions, answer, overrides: false, strip: false, share: 0 }
}

fn header_is(name: &'static str, value: &str) -> RuleCondition {
    RuleCondition::Header { name: FieldName::parse(name).unwrap(), test: ValueTest::Equals(value.into()) }
}

fn service(name: &str, hosts: &[&str]) -> ServiceDefinition {
    ServiceDefinition {
        name: name.into(),
        hosts: hosts.iter().map(|h| HostPattern::parse(h).unwrap()).collect(),
        sticky: StickyBy::None,
        skew: None,
        routes: Routes::new([("api".to_owned(), "/api/*".to_owned())]),
        rules: vec![],
        failover_both: false,
    }
}

fn at_weight(percent: f64) -> TrafficSplit {
    TrafficSplit { weight: Weight::from_percent(percent).unwrap(), ..TrafficSplit::resting(Environment::Blue) }
}

/// A request of one client, with its target in origin form.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    version: HttpVersion,
    target: String,
    fields: Vec<(String, String)>,
}

fn get(target: &str) -> Ask {
    Ask { method: "GET", version: HttpVersion::Http11, target: target.to_owned(), fields: Vec::new() }
}

fn post(target: &str) -> Ask {
    Ask { method: "POST", ..get(target) }
}

impl Ask {
    fn with(mut self, name: &str, value: &str) -> Ask {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn draws(
        &self,
        table: &RoutingTable,
        client: &str,
        draw: impl FnOnce(DrawSequence) -> u64,
    ) -> Result<Decision, RoutingError> {
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let mut lines = fields.iter().filter(|(name, _)| *name == "host").map(|(_, value)| *value);
        let (authority, host_lines) = (None, [lines.next(), lines.next()]);
        let fields = &FieldList(&fields);
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let (method, version, client) = (self.method, self.version, client.parse().unwrap());
        decide(table, &RequestHead { method, version, authority, host_lines, path, query, fields, client }, draw)
    }

    fn from(self, table: &RoutingTable, client: &str, ordinal: u64) -> Result<Decision, RoutingError> {
        self.draws(table, client, |_| ordinal)
    }

    fn of(self, table: &RoutingTable) -> Decision {
        self.from(table, "192.0.2.1", 0).unwrap()
    }
}

fn method(name: &str) -> MethodName {
    MethodName::parse(name).unwrap()
}

#[test]
fn hosts_go_exact_then_longest_wildcard_then_catch_all() {
    let table = RoutingTable::compile(
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
    let table = RoutingTable::compile(vec![(service("shop", &["shop.test"]), at_weight(0.0))]);
    let refusal = |ask: Ask| ask.from(&table, "192.0.2.1", 0).unwrap_err();
    assert_eq!(refusal(get("/").with("host", "other.test")), RoutingError::UnknownHost);
    assert_eq!(refusal(get("/")), RoutingError::BadHost, "HTTP/1.1 needs a Host");
    assert_eq!(refusal(get("/%00").with("host", "shop.test")), RoutingError::BadPath);
    let old = Ask { version: HttpVersion::Http10, ..get("/") };
    assert_eq!(refusal(old), RoutingError::UnknownHost, "HTTP/1.0 does without");
}

#[test]
fn overrides_reach_the_candidate_at_weight_0_and_are_not_judged() {
    let mut shop = service("shop", &[]);
    let testers = rule("testers", vec![header_is("x-canary", "always")], RuleTarget::Candidate);
    shop.rules = vec![RoutingRule { overrides: true, ..testers.clone() }];
    let asked = |split| {
        get("/").with("host", "x").with("x-canary", "always").of(&RoutingTable::compile(vec![(shop.clone(), split)]))
    };

    let decision = asked(at_weight(0.0));
    assert_eq!(
        (decision.environment, decision.judged, decision.why),
        (Environment::Green, false, DecisionReason::Override(0))
    );

    let stopped = asked(TrafficSplit { stopped: true, ..at_weight(50.0) });
    assert_eq!(
        (stopped.environment, stopped.why),
        (Environment::Blue, DecisionReason::Stopped),
        "the emergency stop comes first"
    );

    let down = asked(TrafficSplit { up: [true, false], ..at_weight(0.0) });
    assert_eq!(
        (down.environment, down.why),
        (Environment::Blue, DecisionReason::Failover),
        "a candidate that is down takes nobody"
    );
}

#[test]
fn plain_rules_hold_only_while_a_rollout_is_live() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![rule("beta", vec![header_is("x-beta", "1")], RuleTarget::Candidate)];
    let asked =
        |split| get("/").with("host", "x").with("x-beta", "1").of(&RoutingTable::compile(vec![(shop.clone(), split)]));
    assert_eq!(asked(at_weight(0.0)).why, DecisionReason::NoWeight);
    let live = asked(at_weight(0.01));
    assert_eq!((live.environment, live.judged, live.why), (Environment::Green, true, DecisionReason::Rule(0)));
    assert_eq!(
        asked(TrafficSplit { live: true, ..at_weight(0.0) }).why,
        DecisionReason::Rule(0),
        "a rollout past preflight is live"
    );
    let other = asked(TrafficSplit { only: Some(vec![1]), ..at_weight(100.0) });
    assert_eq!((other.environment, other.why), (Environment::Blue, DecisionReason::OtherRoute));
}

#[test]
fn the_first_rule_that_matches_wins() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![
        rule("a", vec![header_is("x-a", "1")], RuleTarget::Environment(Environment::Green)),
        rule("b", vec![header_is("x-b", "1")], RuleTarget::Active),
    ];
    let table = RoutingTable::compile(vec![(shop, at_weight(10.0))]);
    let both = get("/").with("host", "x").with("x-a", "1").with("x-b", "1").of(&table);
    assert_eq!(both.why, DecisionReason::Rule(0));
    assert_eq!(get("/").with("host", "x").with("x-b", "1").of(&table).why, DecisionReason::Rule(1));
}

#[test]
fn every_kind_of_condition_matches_what_it_says() {
    let header = |test| RuleCondition::Header { name: FieldName::parse("x-v").unwrap(), test };
    let cookie = |test| RuleCondition::Cookie { name: "c".into(), test };
    let query = |test| RuleCondition::Query { name: "q".into(), test };
    let yes = || {
        get("/api/a%2fb?q=1&q=2&e=")
            .with("host", "x.test")
            .with("x-v", "one")
            .with("x-v", "two,three")
            .with("cookie", "a=b; c=\"d\"; c=e")
    };
    let net = |text: &str| vec![text.parse().unwrap()];
    for (condition, holds) in [
        (header(ValueTest::Equals("one".into())), true),
        (header(ValueTest::Equals("two".into())), false),
        (header(ValueTest::Equals("two,three".into())), true),
        (header(ValueTest::Prefix("tw".into())), true),
        (header(ValueTest::Suffix("three".into())), true),
        (header(ValueTest::Contains("o,t".into())), true),
        (header(ValueTest::Contains("onetwo".into())), false),
        (header(ValueTest::Regex(whole_regex("o|one").unwrap())), true),
        (header(ValueTest::Regex(whole_regex("on").unwrap())), false),
        (header(ValueTest::Present), true),
        (header(ValueTest::Absent), false),
        (RuleCondition::Header { name: FieldName::parse("x-w").unwrap(), test: ValueTest::Absent }, true),
        (cookie(ValueTest::Equals("\"d\"".into())), true),
        (cookie(ValueTest::Equals("e".into())), true),
        (RuleCondition::Cookie { name: "C".into(), test: ValueTest::Present }, false),
        (query(ValueTest::Equals("1".into())), true),
        (query(ValueTest::Equals("2".into())), false),
        (RuleCondition::Query { name: "e".into(), test: ValueTest::Equals(vec![]) }, true),
        (RuleCondition::Query { name: "f".into(), test: ValueTest::Equals(vec![]) }, false),
        (RuleCondition::Path(PathTest::Exact("/api/a%2Fb".into())), true),
        (RuleCondition::Path(PathTest::Prefix("/api".into())), true),
        (RuleCondition::Path(PathTest::Prefix("/ap".into())), false),
        (RuleCondition::Path(PathTest::Regex(whole_regex("/api/.*").unwrap())), true),
        (RuleCondition::Path(PathTest::Glob(crate::traffic::path::Glob::new("/a*b"))), true),
        (RuleCondition::Method(vec![method("POST"), method("GET")]), true),
        (RuleCondition::Method(vec![method("POST")]), false),
        (RuleCondition::Host(vec![HostPattern::parse("*.test").unwrap()]), true),
        (RuleCondition::ClientAddress(net("192.0.2.0/24")), true),
        (RuleCondition::ClientAddress(net("192.0.3.0/24")), false),
        (RuleCondition::Route(vec![Some(RouteIndex(0))]), true),
        (RuleCondition::Route(vec![None]), false),
    ] {
        let mut shop = service("shop", &[]);
        shop.rules = vec![rule("r", vec![condition.clone()], RuleTarget::Candidate)];
        let decision = yes().from(&RoutingTable::compile(vec![(shop, at_weight(0.01))]), "192.0.2.1", 5000).unwrap();
        assert_eq!(decision.why == DecisionReason::Rule(0), holds, "{condition:?}");
    }
}

#[test]
fn a_mapped_address_is_the_address_that_it_maps() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![rule(
        "r",
        vec![RuleCondition::ClientAddress(vec!["192.0.2.0/24".parse().unwrap()])],
        RuleTarget::Candidate,
    )];
    let table = RoutingTable::compile(vec![(shop, at_weight(1.0))]);
    assert_eq!(get("/").with("host", "x").from(&table, "::ffff:192.0.2.7", 5).unwrap().why, DecisionReason::Rule(0));
}

#[test]
fn ten_thousand_requests_without_a_key_split_exactly() {
    let table = RoutingTable::compile(vec![(service("shop", &[]), at_weight(10.0))]);
    let green = (0..10_000)
        .filter(|n| get("/").with("host", "x").from(&table, "192.0.2.1", *n).unwrap().environment == Environment::Green)
        .count();
    assert_eq!(green, 1000);
}

#[test]
fn raising_the_weight_never_moves_a_client_back_and_a_new_epoch_frees_everyone() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Header(FieldName::parse("x-user").unwrap());
    let table = |split: TrafficSplit| RoutingTable::compile(vec![(shop.clone(), split)]);
    let steps = [0.0, 0.01, 10.0, 25.0, 50.0, 75.0, 100.0].map(|weight| table(at_weight(weight)));
    let rolled_back = table(TrafficSplit { epoch: 1, ..at_weight(0.0) });
    for user in 0..100_000 {
        let ask = get("/").with("host", "x").with("x-user", &user.to_string());
        let side = |table: &RoutingTable| ask.draws(table, "192.0.2.1", |_| 0).unwrap().environment;
        let sides = steps.each_ref().map(side);
        assert!(sides.is_sorted(), "user {user} goes back: {sides:?}");
        assert_eq!(side(&rolled_back), Environment::Blue);
    }
}

#[test]
fn a_client_without_a_cookie_is_pinned_only_when_the_split_decided() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Cookie("cutover".into());
    shop.rules = vec![rule("beta", vec![header_is("x-beta", "1")], RuleTarget::Candidate)];
    let table = RoutingTable::compile(vec![(shop, at_weight(50.0))]);
    assert!(get("/").with("host", "x").of(&table).pin);
    assert!(!get("/").with("host", "x").with("x-beta", "1").of(&table).pin);
    assert!(!get("/").with("host", "x").with("cookie", "cutover=abc").of(&table).pin);
    assert!(get("/").with("host", "x").with("cookie", "cutover=").of(&table).pin, "an empty value is no key");
}

#[test]
fn a_share_rule_uses_the_key_where_there_is_one_and_a_sequence_of_its_own_where_not() {
    let mut shop = service("shop", &[]);
    shop.rules = vec![
        rule("plain", vec![header_is("x-a", "1")], RuleTarget::Active),
        rule("share", vec![header_is("x-b", "1")], RuleTarget::Share(Weight::from_percent(25.0).unwrap())),
    ];
    let table = RoutingTable::compile(vec![(shop.clone(), at_weight(1.0))]);
    let ask = get("/").with("host", "x").with("x-b", "1");
    let green = (0..1000)
        .filter(|n| {
            let decision = ask.draws(&table, "192.0.2.1", |sequence| {
                assert_eq!(sequence, DrawSequence::Share(ServiceId(0), 0));
                *n
            });
            decision.unwrap().environment == Environment::Green
        })
        .count();
    assert_eq!(green, 250);
}

fn cautious(split: TrafficSplit) -> TrafficSplit {
    TrafficSplit { cautious: true, ..split }
}

/// Where it goes, why, and whether it is judged.
fn way(decision: Decision) -> (Environment, DecisionReason, bool) {
    assert!(!decision.pin, "{decision:?}");
    (decision.environment, decision.why, decision.judged)
}

#[test]
fn caution_sends_the_candidate_only_what_could_be_rescued() {
    let ask = |percent, ask: Ask| {
        way(ask
            .with("host", "x")
            .of(&RoutingTable::compile(vec![(service("shop", &[]), cautious(at_weight(percent)))])))
    };
    let (blue, green) = (Environment::Blue, Environment::Green);
    assert_eq!(ask(100.0, get("/")), (green, DecisionReason::Draw, true));
    assert_eq!(ask(100.0, post("/").with("idempotency-key", "k")), (green, DecisionReason::Draw, true));
    assert_eq!(ask(100.0, post("/")), (blue, DecisionReason::Caution, false), "turned away");
    let long = post("/").with("idempotency-key", "k").with("content-length", "65537");
    assert_eq!(ask(100.0, long), (blue, DecisionReason::Caution, false));
    // The first of ten thousand at 0.01 % is drawn for active.
    let calm = RoutingTable::compile(vec![(service("shop", &[]), at_weight(0.01))]);
    let ordinal = (0..10_000).find(|n| !split::turn(at_weight(0.01).weight, *n)).unwrap();
    let drawn = post("/").with("host", "x").from(&calm, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, DecisionReason::Draw, true), "without caution it is judged");
    let doubt = RoutingTable::compile(vec![(service("shop", &[]), cautious(at_weight(0.01)))]);
    let drawn = post("/").with("host", "x").from(&doubt, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, DecisionReason::Draw, false), "like is compared with like");
    let drawn = get("/").with("host", "x").from(&doubt, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, DecisionReason::Draw, true));
}

#[test]
fn caution_turns_away_whatever_chose_the_candidate_but_an_override() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Header(FieldName::parse("x-user").unwrap());
    let testers = rule("testers", vec![header_is("x-canary", "always")], RuleTarget::Candidate);
    shop.rules = vec![
        RoutingRule { overrides: true, ..testers },
        rule("beta", vec![header_is("x-beta", "1")], RuleTarget::Candidate),
        rule("part", vec![header_is("x-part", "1")], RuleTarget::Share(Weight::FULL)),
    ];
    let table = RoutingTable::compile(vec![(shop, cautious(at_weight(100.0)))]);
    let asked = |name, value| way(post("/").with("host", "x").with(name, value).of(&table));
    let (blue, green) = (Environment::Blue, Environment::Green);
    assert_eq!(asked("x-canary", "always"), (green, DecisionReason::Override(0), false), "a tester knows what it does");
    assert_eq!(asked("x-beta", "1"), (blue, DecisionReason::Caution, false));
    assert_eq!(asked("x-part", "1"), (blue, DecisionReason::Caution, false));
    assert_eq!(asked("x-user", "17"), (blue, DecisionReason::Caution, false), "the bucket");
    assert_eq!(asked("x-nobody", "1"), (blue, DecisionReason::Caution, false), "the draw");
}

#[test]
fn a_candidate_that_stands_still_gets_no_new_requests() {
    let mut shop = service("shop", &[]);
    let testers = rule("testers", vec![header_is("x-canary", "always")], RuleTarget::Candidate);
    shop.rules = vec![RoutingRule { overrides: true, ..testers }];
    let at = |up| {
        let split = TrafficSplit { standing: true, up, ..at_weight(100.0) };
        RoutingTable::compile(vec![(shop.clone(), split)])
    };
    let (blue, green) = (Environment::Blue, Environment::Green);
    let table = at([true, true]);
    assert_eq!(way(get("/").with("host", "x").of(&table)), (blue, DecisionReason::Caution, false));
    let tester = way(get("/").with("host", "x").with("x-canary", "always").of(&table));
    assert_eq!(tester, (green, DecisionReason::Override(0), false), "a tester knows what it does");
    let active_down = get("/").with("host", "x").of(&at([false, true]));
    assert_eq!((active_down.environment, active_down.judged), (green, true), "better late than down");
    // What is active's anyway is judged as ever.
    let ordinal = (0..10_000).find(|n| !split::turn(at_weight(0.01).weight, *n)).unwrap();
    let few = RoutingTable::compile(vec![(shop.clone(), TrafficSplit { standing: true, ..at_weight(0.01) })]);
    let drawn = get("/").with("host", "x").from(&few, "192.0.2.1", ordinal).unwrap();
    assert_eq!(way(drawn), (blue, DecisionReason::Draw, true));
}

#[test]
fn caution_pins_nobody_whom_it_turns_away() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Cookie("c".into());
    let table = RoutingTable::compile(vec![(shop, cautious(at_weight(100.0)))]);
    assert!(get("/").with("host", "x").of(&table).pin);
    let turned_away = post("/").with("host", "x").of(&table);
    assert_eq!((turned_away.why, turned_away.pin), (DecisionReason::Caution, false));
}

#[test]
fn a_failover_is_stronger_than_caution() {
    let at = |up| TrafficSplit { up, ..cautious(at_weight(100.0)) };
    let asked = |failover_both, split, ask: Ask| {
        let shop = ServiceDefinition { failover_both, ..service("shop", &[]) };
        way(ask.with("host", "x").of(&RoutingTable::compile(vec![(shop, split)])))
    };
    let (blue, green) = (Environment::Blue, Environment::Green);
    let active_down = asked(true, at([false, true]), post("/"));
    assert_eq!(active_down, (green, DecisionReason::Failover, false), "better in doubt than down");
    assert_eq!(asked(true, at([true, false]), get("/")), (blue, DecisionReason::Failover, true));
    assert_eq!(asked(true, at([true, false]), post("/")), (blue, DecisionReason::Caution, false), "active, either way");
    assert_eq!(asked(false, at([false, true]), post("/")), (blue, DecisionReason::Caution, false));
}

#[test]
fn a_decision_tells_the_hash_that_its_bucket_is_made_of() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Header(FieldName::parse("x-user").unwrap());
    let table = RoutingTable::compile(vec![(shop, TrafficSplit { epoch: 3, ..at_weight(50.0) })]);
    let hash = sticky::hash(sticky::BucketSalt::of_service("shop"), 3, sticky::StickyKey::Bytes(b"17"));
    assert_eq!(get("/").with("host", "x").with("x-user", "17").of(&table).key, Some(hash));
    assert_eq!(get("/").with("host", "x").of(&table).key, None);
}

/// A service whose pages say their version in any of three ways. Blue is active.
fn skewed() -> ServiceDefinition {
    let skew = SkewBy {
        header: FieldName::parse("x-deployment-id").ok(),
        query: Some("dpl".into()),
        cookie: Some("release".into()),
    };
    ServiceDefinition { skew: Some(skew), ..service("shop", &[]) }
}

/// Blue is 1.9.4 and green 2.0.0, and pages of both are open.
fn of_both(split: TrafficSplit) -> TrafficSplit {
    TrafficSplit { pages: [Some("1.9.4".into()), Some("2.0.0".into())], ..split }
}

#[test]
fn a_page_calls_the_side_that_it_came_from_whatever_the_draw_says() {
    let (blue, green) = (Environment::Blue, Environment::Green);
    let at = |percent| RoutingTable::compile(vec![(skewed(), of_both(at_weight(percent)))]);
    let calls = |percent, version: &str| {
        let in_header = post("/api/buy").with("host", "x").with("x-deployment-id", version).of(&at(percent));
        let in_query = post(&format!("/api/buy?a=1&dpl={version}")).with("host", "x").of(&at(percent));
        let cookie = format!("a=b; release={version}");
        let in_cookie = post("/api/buy").with("host", "x").with("cookie", &cookie).of(&at(percent));
        assert_eq!((in_header, in_header), (in_query, in_cookie), "{version} at {percent}");
        way(in_header)
    };
    assert_eq!(calls(100.0, "1.9.4"), (blue, DecisionReason::Skew, false));
    assert_eq!(calls(100.0, "2.0.0"), (green, DecisionReason::Draw, true), "there it is judged");
    assert_eq!(calls(0.0, "2.0.0"), (green, DecisionReason::Skew, false), "after a promotion");
    assert_eq!(calls(0.0, "1.9.4"), (blue, DecisionReason::NoWeight, true));
    for unknown in ["", "1.9", "1.9.40", "2.0.0-rc", "3.0.0", "\"2.0.0\""] {
        assert_eq!(calls(0.0, unknown), (blue, DecisionReason::NoWeight, true), "{unknown:?} is as if absent");
    }
    let both = post("/?dpl=2.0.0").with("host", "x").with("x-deployment-id", "1.9.4").of(&at(0.0));
    assert_eq!(way(both), (blue, DecisionReason::NoWeight, true), "the header counts first");
}

#[test]
fn a_version_that_may_not_be_asked_for_is_as_if_absent() {
    let ask = |service, split| {
        way(post("/")
            .with("host", "x")
            .with("x-deployment-id", "2.0.0")
            .of(&RoutingTable::compile(vec![(service, split)])))
    };
    let (blue, green) = (Environment::Blue, Environment::Green);
    let only_blue = TrafficSplit { pages: [Some("1.9.4".into()), None], ..at_weight(0.0) };
    assert_eq!(ask(skewed(), only_blue), (blue, DecisionReason::NoWeight, true));
    assert_eq!(ask(service("shop", &[]), of_both(at_weight(0.0))), (blue, DecisionReason::NoWeight, true));
    let down = TrafficSplit { up: [true, false], ..of_both(at_weight(0.0)) };
    assert_eq!(ask(skewed(), down), (blue, DecisionReason::Failover, false), "a side that is down serves nobody");
    assert_eq!(ask(skewed(), of_both(at_weight(0.0))), (green, DecisionReason::Skew, false));
}

#[test]
fn a_new_page_is_dealt_anew_whatever_the_last_one_was() {
    let table = RoutingTable::compile(vec![(skewed(), of_both(at_weight(0.0)))]);
    let with = |ask: Ask, cookie: bool| {
        let ask = ask.with("host", "x").with("accept", "text/html,*/*;q=0.8");
        if cookie { ask.with("cookie", "release=2.0.0") } else { ask.with("x-deployment-id", "2.0.0") }.of(&table).why
    };
    assert_eq!(with(get("/"), true), DecisionReason::NoWeight);
    assert_eq!(with(post("/"), true), DecisionReason::Skew, "a form is the page's call");
    assert_eq!(with(get("/"), false), DecisionReason::Skew, "who says so in a header means it");
}

#[test]
fn the_version_of_a_page_is_stronger_than_rules_and_keys_and_weaker_than_overrides_and_the_stop() {
    let testers = rule("testers", vec![header_is("x-canary", "always")], RuleTarget::Active);
    let beta = rule("beta", vec![header_is("x-beta", "1")], RuleTarget::Active);
    let shop = ServiceDefinition {
        sticky: StickyBy::Header(FieldName::parse("x-user").unwrap()),
        rules: vec![RoutingRule { overrides: true, ..testers }, beta],
        ..skewed()
    };
    let ask = |split: TrafficSplit, name: &str| {
        let table = RoutingTable::compile(vec![(shop.clone(), split)]);
        post("/api/x")
            .with("host", "x")
            .with("x-deployment-id", "2.0.0")
            .with(name, "always")
            .with("x-beta", "1")
            .of(&table)
            .why
    };
    let half = || of_both(at_weight(50.0));
    assert_eq!(ask(half(), "x-canary"), DecisionReason::Override(0));
    assert_eq!(ask(half(), "x-other"), DecisionReason::Skew, "although the rule beta says active");
    assert_eq!(ask(half(), "x-user"), DecisionReason::Skew);
    assert_eq!(ask(TrafficSplit { stopped: true, ..half() }, "x-user"), DecisionReason::Stopped);
    let limited = TrafficSplit { only: Some(vec![0]), ..half() };
    assert_eq!(ask(limited, "x-user"), DecisionReason::OtherRoute, "the release has no such function");
}

#[test]
fn a_page_of_a_candidate_in_doubt_still_calls_its_own_functions_unless_it_answers_nobody() {
    let (blue, green) = (Environment::Blue, Environment::Green);
    let ask = |split, version: &str| {
        let table = RoutingTable::compile(vec![(skewed(), of_both(split))]);
        way(post("/").with("host", "x").with("x-deployment-id", version).of(&table))
    };
    let doubt = || cautious(at_weight(100.0));
    assert_eq!(ask(doubt(), "2.0.0"), (green, DecisionReason::Skew, false), "active does not have them");
    assert_eq!(ask(doubt(), "1.9.4"), (blue, DecisionReason::Skew, false));
    assert_eq!(ask(doubt(), "unknown"), (blue, DecisionReason::Caution, false));
    assert_eq!(ask(cautious(at_weight(0.01)), "2.0.0"), (green, DecisionReason::Skew, false));
    let standing = |up| TrafficSplit { standing: true, up, ..at_weight(0.01) };
    assert_eq!(ask(standing([true, true]), "2.0.0"), (blue, DecisionReason::Caution, false));
    assert_eq!(ask(standing([false, true]), "2.0.0"), (green, DecisionReason::Skew, false), "better late than down");
    assert_eq!(ask(TrafficSplit { standing: true, ..at_weight(100.0) }, "2.0.0").1, DecisionReason::Caution);
}

#[test]
fn a_page_pins_nobody_to_its_side() {
    let shop = ServiceDefinition { sticky: StickyBy::Cookie("c".into()), ..skewed() };
    let table = RoutingTable::compile(vec![(shop, of_both(at_weight(100.0)))]);
    assert!(get("/").with("host", "x").with("x-deployment-id", "2.0.0").of(&table).pin, "where it was drawn");
    assert!(!get("/").with("host", "x").with("x-deployment-id", "1.9.4").of(&table).pin);
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
        version in "[ -~]{0,4}|1[.]9[.]4|2[.]0[.]0",
        skews in proptest::prelude::any::<bool>(),
    ) {
        let mut shop = skewed();
        shop.sticky = StickyBy::Cookie("c".into());
        shop.rules = vec![
            rule("a", vec![RuleCondition::Cookie { name: "a".into(), test: ValueTest::Contains("x".into()) }], RuleTarget::Active),
            rule("b", vec![RuleCondition::Path(PathTest::Glob(crate::traffic::path::Glob::new("/a*b")))], RuleTarget::Candidate),
        ];
        let weight = Weight::from_basis_points(points).unwrap();
        let split = TrafficSplit { weight, cautious, ..TrafficSplit::resting(Environment::Green) };
        let split = if skews { of_both(split) } else { split };
        let table = RoutingTable::compile(vec![(shop, split)]);
        let method = if posted { "POST" } else { "GET" };
        let ask = Ask { method, ..get(&path) }.with("host", &host).with("cookie", &cookie).with("x-deployment-id", &version);
        let one = ask.clone().from(&table, "192.0.2.1", ordinal);
        proptest::prop_assert_eq!(one, ask.from(&table, "192.0.2.1", ordinal), "and a function");
        if let Ok(decision) = one {
            proptest::prop_assert_eq!(decision.candidate, decision.environment == Environment::Blue);
            let is_page = decision.why == DecisionReason::Skew;
            proptest::prop_assert!(skews && !decision.judged && !decision.pin || !is_page);
            proptest::prop_assert!(points > 0 || !decision.candidate || is_page);
            proptest::prop_assert!(!(cautious && posted) || (!decision.candidate || is_page) && !decision.judged);
            let own = if decision.environment == Environment::Blue { "1.9.4" } else { "2.0.0" };
            let is_known = ["1.9.4", "2.0.0"].contains(&version.as_str());
            proptest::prop_assert!(!(skews && is_known) || own == version, "a page met the other version");
        }
    }
}

#[test]
fn what_the_weight_alone_divides_is_marked_on_both_sides_alike() {
    let mut shop = service("shop", &[]);
    shop.sticky = StickyBy::Header(FieldName::parse("x-user").unwrap());
    shop.skew = Some(SkewBy { header: FieldName::parse("x-page").ok(), ..SkewBy::default() });
    shop.rules = vec![rule("beta", vec![header_is("x-beta", "1")], RuleTarget::Candidate)];
    let half = at_weight(50.0);
    let pages = [Some("1".into()), Some("2".into())];
    let marked = |split: &TrafficSplit, ask: Ask| {
        let table = RoutingTable::compile(vec![(shop.clone(), split.clone())]);
        let decisions = (0..64).map(|user| ask.clone().with("host", "x").with("x-user", &format!("{user}")).of(&table));
        let marked: Vec<Decision> = decisions.filter(|decision| decision.by_weight).collect();
        [false, true].map(|candidate| marked.iter().filter(|decision| decision.candidate == candidate).count())
    };
    let [active, candidate] = marked(&half, get("/"));
    assert!(active + candidate == 64 && candidate > 16 && active > 16, "{active} {candidate}");
    let keyless = get("/").with("host", "x").of(&RoutingTable::compile(vec![(shop.clone(), half.clone())]));
    assert_eq!((keyless.why, keyless.by_weight), (DecisionReason::Draw, true));

    for (why, split, ask) in [
        ("a rule", half.clone(), get("/").with("x-beta", "1")),
        ("active's page", TrafficSplit { pages: pages.clone(), ..half.clone() }, get("/").with("x-page", "1")),
        ("the candidate's page", TrafficSplit { pages, ..half.clone() }, get("/").with("x-page", "2")),
        ("a standstill", TrafficSplit { standing: true, ..half.clone() }, get("/")),
        ("caution", TrafficSplit { cautious: true, ..half.clone() }, post("/")),
        ("active is down", TrafficSplit { up: [false, true], ..half.clone() }, get("/")),
        ("the candidate is down", TrafficSplit { up: [true, false], ..half.clone() }, get("/")),
        ("another route", TrafficSplit { only: Some(vec![1]), ..half.clone() }, get("/")),
        ("the holdback", TrafficSplit { mirrored: true, ..half.clone() }, get("/")),
        ("a stop", TrafficSplit { stopped: true, ..half.clone() }, get("/")),
        ("no weight", at_weight(0.0), get("/")),
        ("all of it", at_weight(100.0), get("/")),
    ] {
        assert_eq!(marked(&split, ask), [0, 0], "{why}");
    }
    assert_eq!(
        marked(&TrafficSplit { cautious: true, ..half }, get("/")),
        [active, candidate],
        "what could be rescued"
    );
}
