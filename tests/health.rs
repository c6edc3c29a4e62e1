//! Health checks and preflights over real sockets: who is down gets nothing, and nobody sets out who is not ready.

use std::time::Duration;

use cutover::admin::changes::{Change, ChangeError};
use cutover::serve;
use health::CheckStatus;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::view::ServiceView;
use judgement::rollout::{ChangeKind, DeployRequest, OperatorAction, OperatorCommand, Requester};
use judgement::traffic::Environment;

use crate::support::front::{Front, NOBODY, at, routing};
use crate::support::h2::H2Origin;
use crate::support::house::{House, Load, settings};
use crate::support::origin::{Do, Origin, RUNTIME};
use crate::support::tls::{Authority, Certificate, serving};
use crate::support::{SOON, wait_until};

/// A check of `/healthz` ten times a second, which falls and rises after two rounds.
fn check(more: &str) -> String {
    format!(
        "[[service.shop.health]]\nname = \"home\"\ninterval = \"100ms\"\ntimeout = \"300ms\"\nretries = 0\n{more}\n"
    )
}

fn healthz() -> String {
    check("http = { path = \"/healthz\" }")
}

/// The same, where the guard leaves failed checks alone.
fn healthz_only() -> String {
    healthz() + "[[service.shop.guard.trigger]]\nmetric = \"error_rate\"\nabove = 50\n"
}

/// An origin whose clients are served, whatever its check says.
fn says(origin: &Origin, what: Do) {
    origin.does(move |request| match request.line().contains("/healthz") {
        true => what.clone(),
        false => Do::Status(200),
    });
}

fn view(house: &House) -> ServiceView {
    house.running.sidecar.status().unwrap().services.remove(0)
}

fn shown(house: &House, side: Environment) -> CheckStatus {
    let find = || house.running.health.show().into_iter().find(|shown| shown.environment == side);
    wait_until("the check is on the board", SOON, || find().is_some());
    find().unwrap()
}

#[track_caller]
fn wait_for(house: &House, up: [bool; 2]) {
    wait_until(&format!("up is {up:?}"), SOON, || house.split().up == up);
}

fn ask(house: &House) -> String {
    house.client().get("/", &[]).body
}

#[test]
fn a_candidate_that_fails_its_check_gets_nothing_until_it_passes_again() {
    let house = House::start("weight = 100", &healthz_only());
    wait_until("both are checked", SOON, || Environment::BOTH.into_iter().all(|side| shown(&house, side).rounds > 0));
    assert_eq!((house.split().up, ask(&house)), ([true; 2], "green".to_owned()));
    says(&house.green, Do::Status(503));
    wait_for(&house, [true, false]);
    assert_eq!(ask(&house), "blue");
    let bad = shown(&house, Environment::Green);
    assert!(!bad.up && bad.failures >= 2, "{bad:?}");
    let why = format!("{} returned 503 for GET /healthz", house.green.address);
    assert_eq!(bad.last_error, Some(why.clone()));
    let metrics = house.metrics();
    assert!(
        metrics.contains("cutover_health_up{check=\"home\",environment=\"green\",service=\"shop\"} 0"),
        "{metrics}"
    );
    says(&house.green, Do::Status(200));
    wait_for(&house, [true, true]);
    assert_eq!(ask(&house), "green");
    assert_eq!(house.weight(), 10_000, "its share was never taken");
    let told = || -> Vec<String> {
        house.history().into_iter().filter(|e| e.change.kind == ChangeKind::Health).map(|e| e.change.why).collect()
    };
    wait_until("both are in the journal", SOON, || told().len() == 2);
    let down = format!("green, the candidate, is down: check home: {why}");
    assert_eq!(told(), ["green, the candidate, is up again: all health checks pass".to_owned(), down]);
    assert_eq!(view(&house).up, [true, true]);
}

#[test]
fn an_active_that_is_down_gives_way_only_where_the_service_says_so() {
    let house = House::start("weight = 0", &healthz());
    says(&house.blue, Do::Hang);
    wait_for(&house, [false, true]);
    assert_eq!(ask(&house), "blue");
    assert_eq!(
        shown(&house, Environment::Blue).last_error.unwrap(),
        format!("{} did not respond within 300ms", house.blue.address)
    );
    house.write("weight = 0\nfailover = \"both\"", &healthz());
    wait_until("failover is on", SOON, || house.fails_over_both());
    wait_for(&house, [false, true]);
    assert_eq!(ask(&house), "green");
}

#[test]
fn one_bad_address_of_two_rests_until_it_passes_again() {
    let (one, other) = (Origin::start("one"), Origin::start_on("other", "127.0.0.2:0".parse().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[service.shop]\n[service.shop.blue]\nurls = [\"{}\", \"{}\"]\n[service.shop.green]\nurl = \"{}\"\n{}",
        one.url(),
        other.url(),
        one.url(),
        healthz()
    );
    std::fs::write(dir.path().join("routing.toml"), text).unwrap();
    let running = serve::start(&settings(dir.path())).unwrap();
    let served = || {
        let mut client = crate::support::client::Client::to(running.addresses[0]);
        let mut names: Vec<String> = (0..8).map(|_| client.get("/", &[]).body).collect();
        names.sort();
        names.dedup();
        names
    };
    wait_until("both serve", SOON, || served() == ["one", "other"]);
    says(&other, Do::Status(500));
    wait_until("one serves alone", SOON, || served() == ["one"]);
    let snapshot = running.published.load();
    assert!(snapshot.table.services().all(|(_, _, split)| split.up == [true; 2]), "one is enough");
    says(&other, Do::Status(200));
    wait_until("both serve again", SOON, || served() == ["one", "other"]);
}

#[test]
fn a_check_wants_its_status_its_body_and_sends_what_it_is_told_to() {
    let more = "environment = \"green\"\nhttp = { path = \"/healthz?deep=1\", headers = { x-token = \"s3cret\" }, \
                status = [204, 200], body = \"green\" }";
    let house = House::start("weight = 0", &check(more));
    wait_until("it passes", SOON, || shown(&house, Environment::Green).rounds > 1);
    assert_eq!(house.running.health.show().len(), 1, "blue has no check");
    assert!(shown(&house, Environment::Green).up);
    let request = house.green.last();
    assert_eq!(request.line(), "GET /healthz?deep=1 HTTP/1.1");
    assert_eq!(request.header("host"), Some(house.green.address.to_string().as_str()));
    assert_eq!(request.header("x-token"), Some("s3cret"));
    house.green.always(Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue".into()));
    wait_for(&house, [true, false]);
    let why = shown(&house, Environment::Green).last_error.unwrap();
    assert!(why.contains("the body does not contain the expected text"), "{why}");
    house.green.always(Do::Raw("HTTP/1.1 302 Found\r\nLocation: /green\r\nContent-Length: 5\r\n\r\ngreen".into()));
    wait_until("a redirect is an answer of its own", SOON, || {
        shown(&house, Environment::Green).last_error.unwrap().contains("returned 302 for GET /healthz?deep=1")
    });
}

#[test]
fn an_origin_is_asked_with_the_certificates_and_in_the_http_of_clients_requests() {
    let (authority, ours) = (Authority::new(), Certificate::of(&["127.0.0.1"]));
    let known = authority.sign(&["proxy.test"]);
    let files = [("ca.pem", ours.pem.as_str()), ("known.pem", &known.pem), ("known.key", &known.key)];
    let tls = |alpn: &[&str]| H2Origin::tls(serving(&ours, alpn, Some(&authority)));
    let ca = "ca_file = \"ca.pem\"\nclient_cert_file = \"known.pem\"\nclient_key_file = \"known.key\"\n";
    for (origin, lines, said, up) in [
        (tls(&["h2", "http/1.1"]), ca.to_owned(), "HTTP/2", true),
        (tls(&["http/1.1"]), ca.to_owned(), "HTTP/1.1", true),
        (H2Origin::clear(), "h2 = \"only\"".to_owned(), "HTTP/2", true),
        (tls(&["http/1.1"]), format!("{ca}h2 = \"only\""), "HTTP/1.1", false),
        (tls(&["h2"]), String::new(), "HTTP/2", false),
        (tls(&["h2"]), "ca_file = \"ca.pem\"".to_owned(), "HTTP/2", false),
    ] {
        let check = check(&format!("environment = \"blue\"\nhttp = {{ body = \"{said}\" }}"));
        let front = Front::start(&routing(&at(&origin, &lines), NOBODY, &check), &files);
        let house = &front.house;
        let is = || house.running.health.show().first().filter(|shown| shown.rounds > 2).map(|shown| shown.up);
        wait_until(&lines, SOON, || is().is_some());
        assert_eq!(is(), Some(up), "{lines}: {:?}", house.running.health.show());
    }
}

#[test]
fn a_check_is_switched_off_and_on_and_run_now() {
    let house = House::start("weight = 100", &healthz_only());
    says(&house.green, Do::Close);
    wait_for(&house, [true, false]);
    let switch = |check: &str, on: bool| {
        let caller = Requester { who: "ann".into(), why: "to see".into(), ..Requester::default() };
        let change = Change::PutHealth { check: check.into(), on };
        RUNTIME.block_on(house.running.changes.apply("shop".into(), caller, change))
    };
    let put = |on: bool| switch("home", on).unwrap();
    assert!(matches!(switch("hoem", false), Err(ChangeError::NotThere { .. })));
    put(false);
    wait_for(&house, [true, true]);
    assert!(!shown(&house, Environment::Green).on);
    put(true);
    wait_for(&house, [true, false]);
    let before = shown(&house, Environment::Green).rounds;
    let health = house.running.health.clone();
    let now = RUNTIME.block_on(async move { health.check_now("shop").await });
    assert_eq!(now.len(), 2);
    assert!(now.iter().all(|shown| shown.rounds > 0) && now[1].rounds > before, "{now:?}");
}

#[test]
fn a_candidate_that_goes_down_is_taken_back_where_the_check_says_so() {
    let more = "on_down = [\"eject\", \"rollback\"]\nhttp = { path = \"/healthz\" }";
    let house = House::start("weight = 50", &check(more));
    says(&house.green, Do::Reset);
    house.wait_for_weight(0);
    let change = house.entry(ChangeKind::Rollback).change;
    assert_eq!(change.who, "health");
    assert!(change.why.starts_with("green is down: check home: "), "{}", change.why);
    assert!(view(&house).latch.is_some());
}

#[test]
fn where_both_sides_are_down_nothing_is_taken_back() {
    let more = "on_down = [\"eject\", \"rollback\"]\nfall = 3\nhttp = { path = \"/healthz\" }";
    let house = House::start("weight = 50", &check(more));
    says(&house.blue, Do::Status(500));
    wait_for(&house, [false, true]);
    says(&house.green, Do::Status(500));
    wait_for(&house, [false, false]);
    assert_eq!(house.weight(), 5000);
}

#[test]
fn a_reload_that_leaves_a_check_alone_keeps_its_history() {
    let house = House::start("weight = 0", &healthz());
    wait_until("it was checked", SOON, || shown(&house, Environment::Green).rounds > 3);
    let before = shown(&house, Environment::Green).rounds;
    house.write("weight = 0", &(healthz() + "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\n"));
    house.running.reload();
    let taken = |house: &House| house.metrics().contains("cutover_config_reload_total{result=\"taken\"} 2");
    wait_until("it is reloaded", SOON, || taken(&house));
    assert!(shown(&house, Environment::Green).rounds >= before);
    house.write("weight = 0", "");
    wait_until("its line goes with the check", SOON, || house.running.health.show().is_empty());
    assert!(!house.metrics().contains("cutover_health_up"));
}

fn deploy(house: &House) -> OperatorCommand {
    let deploy = DeployRequest { version: "v2".into(), ..DeployRequest::default() };
    let generation = Some(house.running.published.load().generation);
    OperatorCommand {
        service: "shop".into(),
        by: Requester { who: "ann".into(), generation, ..Requester::default() },
        act: OperatorAction::Deploy(deploy),
    }
}

#[test]
fn a_deploy_walks_its_plan_to_the_promotion_and_no_request_fails() {
    let plan = "[service.shop.rollout]\nsteps = [50, 100]\nbake = \"200ms\"\nrequests = 5\nwatch = \"1s\"\n";
    let house = House::start("weight = 0", &(plan.to_owned() + &healthz()));
    let load = Load::start(house.address(), 20, Duration::from_millis(10));
    house.running.sidecar.command(deploy(&house)).unwrap().unwrap();
    let phase = || view(&house).rollout.map(|rollout| rollout.phase);
    wait_until("v2 is promoted", SOON * 3, || phase() == Some(RolloutPhase::Promoted));
    wait_until("clients meet it", SOON, || ask(&house) == "green");
    let metrics = house.metrics();
    assert!(metrics.contains("cutover_rollout_phase{phase=\"promoted\",service=\"shop\"} 1"), "{metrics}");
    assert!(metrics.contains("cutover_rollout_phase{phase=\"shifting\",service=\"shop\"} 0"), "{metrics}");
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0, "of {requests}");
    let said = house.entry(ChangeKind::Preflight).change.why;
    assert!(said.contains("3 warm-up requests to its address") && said.contains("check home passed"), "{said}");
}

#[test]
fn a_version_that_is_not_ready_meets_no_client() {
    let house = House::start("weight = 0", "[service.shop.rollout]\nwarm_up = 1\n");
    house.green.always(Do::Status(500));
    house.running.sidecar.command(deploy(&house)).unwrap().unwrap();
    let phase = || view(&house).rollout.map(|rollout| rollout.phase);
    wait_until("it is given up", SOON, || phase() == Some(RolloutPhase::Aborted));
    let why = view(&house).rollout.unwrap().why.unwrap();
    assert_eq!(why, format!("green ({}) returned 500 for GET /", house.green.address));
    assert_eq!((house.weight(), house.green.requests()), (0, 3), "once more, and once again");
}

#[test]
fn a_candidate_whose_checks_go_on_failing_is_rolled_back_by_the_guard_and_the_entry_replays() {
    let house = House::start("weight = 10", &healthz());
    says(&house.green, Do::Status(503));
    house.wait_for_weight(0);
    let change = house.entry(ChangeKind::Rollback).change;
    assert_eq!(change.who, "guard");
    let why = change.why.strip_prefix("failing health checks: ").unwrap_or_else(|| panic!("{}", change.why));
    let (rounds, rest) = why.split_once(' ').unwrap();
    assert_eq!(rest, "rounds of green's health checks failed in 1m, over the limit of 3; 0 of blue's failed");
    // The fourth one does it; on a busy machine the next one may have failed before the guard has looked.
    assert!(rounds.parse::<u32>().unwrap() >= 4, "{why}");
    let evidence = change.evidence.unwrap();
    assert_eq!(judgement::guard::judge(&evidence.policy, &evidence.sight), evidence.judgement);
    assert!(house.metrics().contains("cutover_rollbacks_total{service=\"shop\",reason=\"failing health checks\"} 1"));
    let state = house.settings.state.display().to_string();
    let explained = crate::cli::cutover(house.dir.path(), &["explain", &change.id.to_string(), "--state", &state]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.status.success(), "{text}");
    assert!(text.contains(&format!("health_failures above 3 for 0s: FIRED at {rounds}")), "{text}");
}

#[test]
fn where_active_fails_its_checks_too_the_guard_holds() {
    let more = "http = { path = \"/healthz\" }";
    let house = House::start("weight = 50", &check(more));
    says(&house.blue, Do::Status(503));
    wait_for(&house, [false, true]);
    says(&house.green, Do::Status(503));
    wait_until("that is said", SOON, || house.find(ChangeKind::SharedFate).is_some());
    assert_eq!(house.weight(), 5000);
}

#[test]
fn a_webhook_is_told_once_of_each_fall() {
    let hook = Origin::start("hook");
    let more = format!(
        "on_down = [\"eject\", \"webhook\"]\nwebhook = \"{}/hook?token=s3cret\"\nenvironment = \"green\"\n\
         http = {{ path = \"/healthz\" }}",
        hook.url()
    );
    let house = House::start("weight = 0", &check(&more));
    says(&house.green, Do::Status(503));
    wait_until("the webhook is told", SOON, || hook.requests() == 1);
    let request = hook.last();
    assert_eq!(request.line(), "POST /hook?token=s3cret HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    let told: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    for (key, value) in [("event", "health"), ("service", "shop"), ("environment", "green"), ("check", "home")] {
        assert_eq!(told[key], value, "{told}");
    }
    assert_eq!((&told["up"], told["at"].is_u64()), (&serde_json::Value::Bool(false), true), "{told}");
    assert_eq!(told["why"], format!("{} returned 503 for GET /healthz", house.green.address));
    let rounds = shown(&house, Environment::Green).rounds;
    wait_until("it is tried on", SOON, || shown(&house, Environment::Green).rounds > rounds + 3);
    assert_eq!(hook.requests(), 1, "once a fall");
    says(&house.green, Do::Status(200));
    wait_for(&house, [true, true]);
    says(&house.green, Do::Status(503));
    wait_until("it is told of the next fall", SOON, || hook.requests() == 2);
    let journal = serde_json::to_string(&house.history()).unwrap();
    assert!(!(journal + &house.metrics()).contains("s3cret"));
    assert!(!serde_json::to_string(&house.running.health.show()).unwrap().contains("s3cret"));
}

#[test]
fn a_webhook_that_points_elsewhere_is_not_followed() {
    let (hook, elsewhere) = (Origin::start("hook"), Origin::start("elsewhere"));
    let to = elsewhere.url();
    hook.does(move |_| Do::Raw(format!("HTTP/1.1 307 Away\r\nLocation: {to}/\r\nContent-Length: 0\r\n\r\n")));
    let more = format!(
        "on_down = [\"webhook\"]\nwebhook = \"{}/\"\nenvironment = \"green\"\nhttp = {{ path = \"/healthz\" }}",
        hook.url()
    );
    let house = House::start("weight = 0", &check(&more));
    says(&house.green, Do::Status(503));
    wait_until("the webhook is told", SOON, || hook.requests() == 1);
    let rounds = shown(&house, Environment::Green).rounds;
    wait_until("it is tried on", SOON, || shown(&house, Environment::Green).rounds > rounds + 3);
    assert_eq!((hook.requests(), elsewhere.requests()), (1, 0));
    assert_eq!(house.split().up, [true, true], "this check only tells");
}

#[test]
fn a_check_that_flaps_is_said_once_while_routing_follows_it() {
    let hook = Origin::start("hook");
    let more = format!(
        "on_down = [\"eject\", \"webhook\"]\nwebhook = \"{}/\"\nenvironment = \"green\"\nhttp = {{ path = \"/healthz\" }}",
        hook.url()
    );
    let guard = "[[service.shop.guard.trigger]]\nmetric = \"error_rate\"\nabove = 50\n";
    let house = House::start("weight = 100", &(check(&more) + guard));
    for turn in 1..=10 {
        says(&house.green, Do::Status(503));
        wait_for(&house, [true, false]);
        assert_eq!(ask(&house), "blue", "turn {turn}");
        says(&house.green, Do::Status(200));
        wait_for(&house, [true, true]);
        assert_eq!(ask(&house), "green", "its share comes back, turn {turn}");
    }
    wait_until("it is said", SOON, || house.find(ChangeKind::Flapping).is_some());
    let kinds: Vec<ChangeKind> = house.history().into_iter().map(|entry| entry.change.kind).collect();
    let count = |kind: ChangeKind| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!((count(ChangeKind::Health), count(ChangeKind::Flapping)), (4, 1), "{kinds:?}");
    let said = house.entry(ChangeKind::Flapping).change.why;
    assert!(said.starts_with("green flaps: check home went down and up 5 times within "), "{said}");
    wait_until("the webhook was called", SOON, || hook.requests() == 3);
    let told: Vec<bool> =
        hook.all().iter().map(|call| String::from_utf8_lossy(&call.body).contains("\"flapping\":true")).collect();
    assert_eq!(told, [false, false, true], "and then no more");
    assert!(shown(&house, Environment::Green).flapping);
    assert!(
        house.metrics().contains("cutover_health_flapping{check=\"home\",environment=\"green\",service=\"shop\"} 1")
    );
}

#[test]
fn a_check_whose_addresses_hang_holds_up_no_other() {
    // What connects waits in the queue of the kernel, and is never answered.
    let hangs = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = hangs.local_addr().unwrap().port();
    let hung: Vec<String> = (2..102).map(|host| format!("\"http://127.0.0.{host}:{port}\"")).collect();
    let green = Origin::start("green");
    let dir = tempfile::tempdir().unwrap();
    let slow = "interval = \"1s\"\ntimeout = \"60s\"\nhttp = { path = \"/\" }\n";
    let text = format!(
        "[service.shop]\n[service.shop.blue]\nurls = [{}]\n[service.shop.green]\nurl = \"{}\"\n\
         [[service.shop.health]]\nname = \"slow\"\nenvironment = \"blue\"\n{slow}{}",
        hung.join(", "),
        green.url(),
        check("environment = \"green\"\nhttp = { path = \"/healthz\" }")
    );
    std::fs::write(dir.path().join("routing.toml"), text).unwrap();
    let running = serve::start(&settings(dir.path())).unwrap();
    let is_slow = || running.health.show().iter().any(|shown| shown.check == "slow");
    wait_until("the addresses are checked", SOON, is_slow);
    // Their probes begin within a tenth of their interval, and end after a minute.
    let before = green.requests();
    wait_until("the other check goes on", SOON, || green.requests() >= before + 20);
    says(&green, Do::Status(503));
    let is_down = || running.health.show().iter().any(|shown| shown.check == "home" && !shown.up);
    wait_until("green is found down", SOON, is_down);
}
