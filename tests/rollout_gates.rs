//! Gates of rollouts: real receivers that say when a version may go on, or hear what it has done.

use std::time::{Duration, Instant};

use judgement::rollout::ChangeKind;
use serde_json::Value;

use crate::notify::is_signed;
use crate::rollouts::{LONG, Site};
use crate::support::client::get;
use crate::support::house::Load;
use crate::support::origin::{Do, Origin, Request};
use crate::support::{SOON, wait_until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Steps of a second, and a watch that outlasts the test.
const FAST: &str = "steps = [10, 50, 100]\nbake = \"1s\"\nrequests = 5\nwatch = \"60s\"\nwarm_up = 1\n";

/// A receiver, and the secret that it knows.
struct Receiver {
    origin: Origin,
    dir: tempfile::TempDir,
}

impl Receiver {
    fn start() -> Receiver {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("gate.secret"), format!("{OLD_SECRET}\n{SECRET}\n")).unwrap();
        Receiver { origin: Origin::start("gates"), dir }
    }

    /// A gate at a path of its hook's name.
    fn gate(&self, hook: &str, keys: &str) -> String {
        let (url, secret) = (self.origin.url(), self.dir.path().join("gate.secret"));
        format!(
            "[[service.shop.rollout.gate]]\nname = \"my-{hook}\"\nhook = \"{hook}\"\nurl = \"{url}/{hook}?key=hidden\"\n\
             secret_file = \"{}\"\n{keys}\n",
            secret.display()
        )
    }

    /// The bodies of what was asked at this hook.
    fn asked(&self, hook: &str) -> Vec<Value> {
        self.origin.all().iter().filter(|request| hook_of(request) == hook).map(body).collect()
    }

    /// Every hook that was asked, in order, without repetitions.
    fn order(&self) -> Vec<String> {
        let mut order: Vec<String> = self.origin.all().iter().map(hook_of).collect();
        order.dedup();
        order
    }
}

fn hook_of(request: &Request) -> String {
    let path = request.line().split(' ').nth(1).unwrap();
    path.trim_start_matches('/').split('?').next().unwrap().to_owned()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// This status at a hook, and 204 elsewhere.
fn only(hook: &'static str, status: u16) -> impl Fn(&Request) -> Do + Send + Sync {
    move |request| Do::Status(if hook_of(request) == hook { status } else { 204 })
}

fn site(gates: &[String]) -> (Site, Load) {
    let site = Site::new(&format!("{FAST}{}", gates.concat()));
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    (site, load)
}

fn waiting(site: &Site) -> String {
    site.status()["rollout"]["waiting_for"].to_string()
}

fn times(site: &Site, kind: ChangeKind) -> usize {
    site.kinds().iter().filter(|known| **known == kind).count()
}

fn metrics(site: &Site) -> String {
    get(site.process.admin, "/metrics", &[&format!("Host: {}", site.process.admin)]).body
}

const OFTEN: &str = "every = \"1s\"";

#[test]
fn a_whole_rollout_asks_its_hooks_in_order_with_what_it_is_about_and_signed() {
    let receiver = Receiver::start();
    receiver.origin.does(only("rollback", 403));
    let asked =
        ["confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback"];
    let metadata = "metadata = { team = \"shop\", ticket = \"OPS-1\" }";
    let mut gates: Vec<String> =
        asked.iter().map(|hook| receiver.gate(hook, &format!("{OFTEN}\n{metadata}"))).collect();
    gates.extend(["post-rollout", "event"].map(|hook| receiver.gate(hook, metadata)));
    let (site, load) = site(&gates);
    let plan = site.must(&["plan"]);
    assert!(plan.contains("not counted is how long gates take: `my-confirm-rollout` (confirm-rollout), "), "{plan}");
    site.must(&["deploy", "2.0.0", "--function", "default"]);
    site.wait_for_phase("promoted");
    wait_until("its end is told", SOON, || !receiver.asked("post-rollout").is_empty());
    load.stop();

    let way = ["confirm-rollout", "pre-rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout"];
    let mut order = receiver.order();
    order.retain(|hook| way.contains(&hook.as_str()));
    order.dedup();
    let raises = receiver.asked("confirm-traffic-increase");
    assert_eq!(order, way, "the hooks of a step come between");
    let next: Vec<_> = raises.iter().map(|body| body["next_weight"].as_f64().unwrap()).collect();
    assert_eq!(next, [10.0, 50.0, 100.0], "each raise is asked for once");
    let weights: Vec<_> = raises.iter().map(|body| body["weight"].as_f64().unwrap()).collect();
    assert_eq!(weights, [0.0, 10.0, 50.0]);
    let steps: Vec<_> = receiver.asked("rollout").iter().map(|body| body["step"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted() && [1, 2, 3].iter().all(|step| steps.contains(step)), "{steps:?}");
    let told = receiver.asked("event");
    let kinds: Vec<&str> = told.iter().map(|body| body["event"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["added", "deploy"]);
    assert!(kinds.contains(&"step") && kinds.contains(&"promote"), "{kinds:?}");
    assert!(kinds.iter().position(|kind| *kind == "preflight") < kinds.iter().position(|kind| *kind == "step"));

    let mut ids = Vec::new();
    for request in receiver.origin.all() {
        assert!(request.line().starts_with("POST "), "{}", request.line());
        assert!(is_signed(&request, SECRET) && is_signed(&request, OLD_SECRET), "{}", request.head);
        assert_eq!(request.header("content-type"), Some("application/json"));
        ids.push(request.header("webhook-id").unwrap().to_owned());
        let body = body(&request);
        if body["event"]["kind"] == "added" {
            continue;
        }
        assert_eq!(body["name"], format!("my-{}", hook_of(&request)));
        for (key, value) in
            [("type", "cutover.gate"), ("service", "shop"), ("version", "2.0.0"), ("environment", "green")]
        {
            assert_eq!(body[key], value, "{body}");
        }
        assert_eq!(body["functions"], serde_json::json!(["default"]));
        assert_eq!((&body["hook"], &body["rollout"]), (&hook_of(&request).into(), &1.into()));
        assert_eq!(body["metadata"], serde_json::json!({ "team": "shop", "ticket": "OPS-1" }));
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "each question has an id of its own");
    let end = &receiver.asked("post-rollout")[0];
    assert_eq!((end["phase"].as_str(), end["weight"].as_f64()), (Some("promoted"), Some(0.0)), "{end}");
    site.must(&["history", "--verify"]);
}

#[test]
fn a_raise_waits_until_its_gate_passes_and_everybody_can_see_why() {
    let receiver = Receiver::start();
    receiver.origin.does(|request| {
        let is_first = body(request)["weight"].as_f64() == Some(0.0);
        Do::Status(if is_first { 200 } else { 403 })
    });
    let (site, load) = site(&[receiver.gate("confirm-traffic-increase", OFTEN)]);
    site.must(&["deploy", "2.0.0"]);
    let host = receiver.origin.url();
    let why =
        format!("gate `my-confirm-traffic-increase` (confirm-traffic-increase): 403 Forbidden from {host}, asked ");
    wait_until("it waits", LONG, || waiting(&site).contains(&why));
    wait_until("it is asked again", SOON, || receiver.asked("confirm-traffic-increase").len() > 4);
    let status = site.status();
    assert_eq!(status["weight"].as_f64(), Some(10.0));
    let gate = &status["gates"][0];
    assert_eq!(
        (&gate["name"], &gate["hook"]),
        (&"my-confirm-traffic-increase".into(), &"confirm-traffic-increase".into())
    );
    assert_eq!((&gate["verdict"], &gate["why"]), (&"failed".into(), &format!("403 Forbidden from {host}").into()));
    let said = site.must(&["status"]);
    assert!(said.contains(&format!("shop: waiting: {why}")), "{said}");
    let metrics = metrics(&site);
    assert!(metrics.contains("cutover_rollout_waiting{service=\"shop\",reason=\"gate\"} 1"), "{metrics}");
    let labels = "{service=\"shop\",gate=\"my-confirm-traffic-increase\",hook=\"confirm-traffic-increase\"}";
    let count = |name: &str| {
        let line = format!("cutover_rollout_gate_{name}_total{labels} ");
        let found = metrics.lines().find_map(|known| known.strip_prefix(&line)?.parse::<u64>().ok());
        found.unwrap_or_else(|| panic!("no {line}: {metrics}"))
    };
    assert!(count("asked") == count("failed") + 1 && count("failed") >= 3, "{metrics}");
    assert_eq!(times(&site, ChangeKind::Waiting), 1, "once, and not with each question");
    let history = site.must(&["history"]);
    assert!(history.contains("2.0.0 waits at 10 % for gate `my-confirm-traffic-increase`"), "{history}");
    assert!(!format!("{status}{said}{history}{metrics}").contains("hidden"), "a URL may be a secret");
    receiver.origin.always(Do::Status(200));
    site.wait_for_phase("promoted");
    load.stop();
    assert_eq!(times(&site, ChangeKind::Gate), 3, "that each raise was confirmed is on record");
}

#[test]
fn nobody_is_sent_to_a_version_before_it_is_confirmed_nor_if_its_pre_rollout_fails() {
    let receiver = Receiver::start();
    receiver.origin.does(only("confirm-rollout", 409));
    let gates =
        [receiver.gate("confirm-rollout", OFTEN), receiver.gate("pre-rollout", "every = \"1s\"\nthreshold = 2")];
    let (site, load) = site(&gates);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it waits", LONG, || waiting(&site).contains("(confirm-rollout): 409 Conflict from"));
    assert_eq!((site.green.requests(), receiver.asked("pre-rollout").len()), (0, 0), "not even tried");
    receiver.origin.does(only("pre-rollout", 500));
    site.wait_for_phase("aborted");
    load.stop();
    let why = site.status()["rollout"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("gate `my-pre-rollout` (pre-rollout) has failed 2 times in a row: 500 "), "{why}");
    assert_eq!(site.green.requests(), 1, "its warm-up alone");
    let attempts = receiver.asked("pre-rollout").len();
    assert_eq!(attempts, 2 * 3, "two questions, with two more attempts each");
    // It may be deployed again.
    receiver.origin.always(Do::Status(200));
    site.must(&["deploy", "2.0.0"]);
    wait_until("it goes on", LONG, || site.status()["weight"].as_f64() == Some(10.0));
}

#[test]
fn a_rollback_gate_takes_the_version_back_when_it_passes() {
    let receiver = Receiver::start();
    receiver.origin.always(Do::Status(404));
    let (site, load) = site(&[receiver.gate("rollback", OFTEN), receiver.gate("confirm-promotion", OFTEN)]);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it waits for the promotion", LONG, || waiting(&site).contains("(confirm-promotion): 404 Not Found"));
    assert_eq!(site.status()["weight"].as_f64(), Some(100.0));
    receiver.origin.does(|request| Do::Status(if hook_of(request) == "rollback" { 200 } else { 404 }));
    site.wait_for_phase("rolled_back");
    let (_, failed) = load.stop();
    assert_eq!(failed, 0);
    let reason = site.status()["latch"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("gate `my-rollback` (rollback) asks for it: 200 "), "{reason}");
    let metrics = metrics(&site);
    assert!(metrics.contains("cutover_rollbacks_total{service=\"shop\",reason=\"my-rollback\"} 1"), "{metrics}");
    let asked = receiver.origin.requests();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(receiver.origin.requests(), asked, "it is over");
}

#[test]
fn failures_of_a_rollout_gate_roll_back_at_the_threshold() {
    let receiver = Receiver::start();
    let (site, load) = site(&[receiver.gate("rollout", "every = \"1s\"\nthreshold = 2\nretries = 0")]);
    receiver.origin.always(Do::Close);
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("rolled_back");
    load.stop();
    let reason = site.status()["latch"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("(rollout) has failed 2 times in a row: no answer ("), "{reason}");
    assert_eq!(receiver.origin.requests(), 2);
    assert_eq!(times(&site, ChangeKind::Waiting), 1);
}

#[test]
fn after_a_crash_in_the_middle_it_asks_again_and_goes_on() {
    let receiver = Receiver::start();
    receiver.origin.does(only("confirm-rollout", 403));
    let gates = ["confirm-rollout", "pre-rollout", "confirm-promotion"].map(|hook| receiver.gate(hook, OFTEN));
    let (site, load) = site(&gates);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it waits", LONG, || waiting(&site).contains("(confirm-rollout): 403"));
    load.stop();
    let site = site.crash();
    let before = receiver.origin.requests();
    wait_until("it is asked again", SOON, || receiver.origin.requests() > before);
    assert_eq!(site.status()["rollout"]["phase"], "preflight");
    receiver.origin.does(only("confirm-promotion", 403));
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    wait_until("it waits at the end", LONG, || waiting(&site).contains("(confirm-promotion): 403"));
    load.stop();
    let site = site.crash();
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    wait_until("it waits again", LONG, || waiting(&site).contains("(confirm-promotion): 403"));
    assert_eq!(site.status()["weight"].as_f64(), Some(100.0));
    receiver.origin.always(Do::Status(204));
    site.wait_for_phase("promoted");
    load.stop();
    assert_eq!(times(&site, ChangeKind::Waiting), 2, "once each, over both crashes");
    assert_eq!(receiver.asked("pre-rollout").len(), 1);
}

#[test]
fn a_wait_that_is_over_rolls_back_or_holds_as_the_file_says() {
    let receiver = Receiver::start();
    receiver.origin.always(Do::Status(403));
    let promoted = |on_deadline: &str| {
        let keys = format!("{OFTEN}\ndeadline = \"2s\"\non_deadline = \"{on_deadline}\"");
        let (site, load) = site(&[receiver.gate("confirm-promotion", &keys)]);
        site.must(&["deploy", "2.0.0"]);
        (site, load)
    };
    let (rolled_back, load) = promoted("rollback");
    rolled_back.wait_for_phase("rolled_back");
    let (_, failed) = load.stop();
    assert_eq!(failed, 0);
    let reason = rolled_back.status()["latch"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("2.0.0: not passed within 2s: gate `my-confirm-promotion`"), "{reason}");

    let (held, load) = promoted("hold");
    held.wait_for_phase("paused");
    assert_eq!((held.status()["weight"].as_f64(), times(&held, ChangeKind::Deadline)), (Some(100.0), 1));
    receiver.origin.always(Do::Status(200));
    held.must(&["resume"]);
    held.wait_for_phase("promoted");
    load.stop();
}

#[test]
fn no_rollback_waits_for_a_gate_that_hangs() {
    let receiver = Receiver::start();
    receiver.origin.always(Do::Hang);
    let hooks = ["rollout", "rollback", "post-rollout", "event"];
    let gates = hooks.map(|hook| receiver.gate(hook, "timeout = \"1m\""));
    // By hand.
    let (by_hand, load) = site(&gates);
    by_hand.must(&["deploy", "2.0.0"]);
    wait_until("its gates hang", LONG, || waiting(&by_hand).contains("(rollout): no answer yet from"));
    let began = Instant::now();
    by_hand.must(&["rollback"]);
    assert_eq!((began.elapsed() < Duration::from_secs(2), by_hand.status()["weight"].as_f64()), (true, Some(0.0)));
    load.stop();
    // By the guard.
    let (by_guard, load) = site(&gates);
    by_guard.must(&["deploy", "2.0.0"]);
    wait_until("its gates hang", LONG, || waiting(&by_guard).contains("(rollout): no answer yet from"));
    by_guard.green.always(Do::Status(500));
    let began = Instant::now();
    by_guard.wait_for_phase("rolled_back");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let (_, failed) = load.stop();
    assert_eq!(failed, 0);
    assert_eq!(by_guard.status()["latch"]["reason"].as_str().map(|reason| reason.contains("gate")), Some(false));
}

#[test]
fn what_may_pass_the_next_time_is_tried_again_with_the_same_id() {
    let receiver = Receiver::start();
    let answers = std::sync::atomic::AtomicU64::new(0);
    receiver.origin.does(move |request| match hook_of(request).as_str() {
        "post-rollout" => {
            Do::Status([503, 429, 200][answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) as usize % 3])
        }
        _ => Do::Raw("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned()),
    });
    let (site, load) = site(&[receiver.gate("post-rollout", ""), receiver.gate("event", "")]);
    site.must(&["deploy", "2.0.0"]);
    site.must(&["abort"]);
    wait_until("it is heard", LONG, || receiver.asked("post-rollout").len() == 3);
    load.stop();
    wait_until("its end is on record", SOON, || {
        site.must(&["history"]).contains("gate `my-post-rollout` (post-rollout) has passed: 200 ")
    });
    let all = receiver.origin.all();
    let ends: Vec<&Request> = all.iter().filter(|request| hook_of(request) == "post-rollout").collect();
    assert!(ends.iter().all(|request| request.header("webhook-id") == ends[0].header("webhook-id")));
    assert!(ends.iter().all(|request| is_signed(request, SECRET) && body(request)["phase"] == "aborted"));
    assert!(!receiver.order().contains(&"elsewhere".to_owned()), "redirects are not followed");
    wait_until("a gate that does not hear is on record, once", SOON, || {
        let history = site.must(&["history"]);
        history.matches("gate `my-event` (event) has failed: 302 Found (redirects are not followed) from").count() == 1
    });
    let said = site.must(&["status"]);
    assert!(said.contains("shop: gate `my-event` (event): 302 Found (redirects are not followed) from"), "{said}");
    site.must(&["history", "--verify"]);
}

#[test]
fn a_reload_asks_the_new_gate_and_drops_one_that_is_gone() {
    let receiver = Receiver::start();
    receiver.origin.does(|request| if hook_of(request) == "confirm-rollout" { Do::Hang } else { Do::Status(403) });
    let (site, load) = site(&[receiver.gate("confirm-rollout", "every = \"1s\"\ntimeout = \"1m\"")]);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it hangs", LONG, || receiver.asked("confirm-rollout").len() == 1);
    let routing = std::fs::read_to_string(site.routing()).unwrap();
    std::fs::write(site.routing(), routing.replace("/confirm-rollout", "/elsewhere")).unwrap();
    wait_until("the new one is asked", SOON, || waiting(&site).contains("(confirm-rollout): 403"));
    let (without, _) = routing.split_once("[[service.shop.rollout.gate]]").unwrap();
    std::fs::write(site.routing(), without).unwrap();
    site.wait_for_phase("promoted");
    load.stop();
}

#[test]
fn a_freeze_and_a_pause_ask_nobody_to_go_on() {
    let receiver = Receiver::start();
    receiver.origin.always(Do::Status(403));
    let (site, load) = site(&[receiver.gate("confirm-promotion", OFTEN)]);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it waits", LONG, || waiting(&site).contains("(confirm-promotion): 403"));
    for (begin, end) in [(["freeze", "--reason", "fair"].as_slice(), "unfreeze"), (&["pause"], "resume")] {
        site.must(begin);
        wait_until("nobody is asked", SOON, || {
            let before = receiver.origin.requests();
            std::thread::sleep(Duration::from_millis(2500));
            receiver.origin.requests() == before
        });
        let before = receiver.origin.requests();
        site.must(&[end]);
        wait_until("it is asked again", SOON, || receiver.origin.requests() > before);
    }
    receiver.origin.always(Do::Status(200));
    site.wait_for_phase("promoted");
    load.stop();
}
