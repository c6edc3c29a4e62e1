//! Each action as it works, and as it is refused.

use judgement::rollout::ChangeKind;
use serde_json::{Value, json};

use super::{DEPLOYMENT, Desk, ROLLBACK, SLOW, VALIDATION, house};
use crate::support::client::{Client, get};
use crate::support::house::{House, shop};
use crate::support::origin::Origin;
use crate::support::{SOON, wait_until};

#[test]
fn shares_are_moved_by_environment_whatever_its_role() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    desk.shift(33.33).is_done();
    assert_eq!(house.weight(), 3333);
    let to_blue = |percentage: Value| json!({ "action": "traffic_shift", "from_environment": "green", "to_environment": "blue", "percentage": percentage });
    desk.post(DEPLOYMENT, &to_blue(json!(75))).is_done();
    assert_eq!(house.weight(), 2500, "the candidate gets the rest");
    for (percentage, says) in [
        (json!(null), "null"),
        (json!("50"), "string"),
        (json!(101), "101"),
        (json!(-1), "-1"),
        (json!(0.001), "decimals"),
        (json!([1]), "a list"),
    ] {
        let said = desk.post(DEPLOYMENT, &to_blue(percentage));
        said.is_refused(400, "bad_field");
        assert!(said.message().contains("`percentage`") && said.message().contains(says), "{said:?}");
    }
    let same =
        json!({ "action": "traffic_shift", "from_environment": "blue", "to_environment": "blue", "percentage": 5 });
    desk.post(DEPLOYMENT, &same).is_refused(400, "same_environment");
    let red = json!({ "action": "traffic_shift", "to_environment": "red", "percentage": 5 });
    let said = desk.post(DEPLOYMENT, &red);
    said.is_refused(400, "bad_field");
    assert!(said.message().contains("to_environment"), "{said:?}");
    assert_eq!(house.weight(), 2500);
}

#[test]
fn a_rollout_is_begun_held_approved_promoted_and_taken_back() {
    let rest = "[service.shop.rollout]\nsteps = [{ weight = 10, bake = \"1h\", approve = true }, 50, 100]\n";
    let house = house("weight = 0", rest);
    let desk = Desk::admin(&house);
    for (action, code) in [
        ("pause", "no_rollout"),
        ("resume", "no_rollout"),
        ("approve", "no_rollout"),
        ("abort", "no_rollout"),
        ("promote", "no_rollout"),
        ("rollback", "nothing_to_roll_back"),
    ] {
        let said = desk.act(action);
        said.is_refused(409, code);
        assert!(!said.hint().is_empty(), "{said:?}");
    }
    let gradual = json!({ "action": "traffic_shift", "to_environment": "green", "percentage": 100, "gradual": true });
    desk.post(DEPLOYMENT, &gradual).is_done();
    assert_eq!(house.weight(), 1000);
    desk.act("approve").is_done();
    desk.act("approve").is_refused(409, "nothing_to_approve");
    desk.act("pause").is_done();
    desk.act("pause").is_refused(409, "paused");
    desk.act("resume").is_done();
    desk.act("resume").is_refused(409, "not_paused");
    desk.post(DEPLOYMENT, &json!({ "action": "deploy", "version": "3" })).is_refused(409, "under_way");
    desk.act("promote").is_done();
    assert_eq!(desk.status()["active"], "green");
    desk.post(DEPLOYMENT, &json!({ "action": "rollback", "reason": "no" })).is_done();
    let status = desk.status();
    assert_eq!((&status["active"], &status["rollout"]["phase"]), (&"blue".into(), &"rolled_back".into()));
    assert_eq!(status["latch"]["reason"], "no");
    desk.post(DEPLOYMENT, &gradual).is_done();
    desk.act("abort").is_done();
    assert_eq!((house.weight(), &desk.status()["rollout"]["phase"]), (0, &"aborted".into()));
}

#[test]
fn a_deploy_says_what_is_wrong_with_its_version_and_its_routes() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let deploy = |more: Value| {
        let mut body = json!({ "action": "deploy", "version": "2.0.0" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        desk.post(DEPLOYMENT, &body)
    };
    deploy(json!({ "version": "with space" })).is_refused(422, "bad_version");
    deploy(json!({ "functions": ["atempts"] })).is_refused(422, "no_such_route");
    deploy(json!({ "service": "shpo" })).is_refused(404, "no_such_service");
    deploy(json!({ "origin": "https://deploy-17--shop.netlify.app" })).is_refused(422, "origin_not_allowed");
    let missing = desk.post(DEPLOYMENT, &json!({ "action": "deploy" }));
    missing.is_refused(400, "field_missing");
    assert!(missing.message().contains("`version`"));
    let unknown = deploy(json!({ "function": ["attempts"] }));
    unknown.is_refused(400, "unknown_field");
    assert_eq!(unknown.hint(), "did you mean `functions`?");
    assert!(house.history().iter().all(|entry| entry.change.kind.name() != "deploy"), "nothing was deployed");
}

/// Where somebody tries candidates it sets out; where nobody does yet, it is aborted with that said.
#[test]
fn a_deploy_sets_out_or_says_why_not() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let done = desk.post(DEPLOYMENT, &json!({ "action": "deploy", "version": "2.0.0" }));
    done.is_done();
    assert_eq!(done.answer.header("etag").unwrap(), format!("\"{}\"", done.json["generation"]));
    wait_until("it is past its preflight", SOON, || desk.status()["rollout"]["phase"] != "preflight");
    let rollout = desk.status()["rollout"].clone();
    match rollout["phase"].as_str().unwrap() {
        "shifting" => assert_eq!(house.weight(), 1000),
        "aborted" => assert!(rollout["why"].as_str().unwrap().contains("the preflight could not start"), "{rollout}"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_freeze_has_a_reason_and_an_end() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let freeze = |body: Value| desk.post(DEPLOYMENT, &body);
    freeze(json!({ "action": "freeze" })).is_refused(400, "field_missing");
    freeze(json!({ "action": "freeze", "reason": " " })).is_refused(400, "bad_field");
    freeze(json!({ "action": "freeze", "reason": "a\nb" })).is_refused(400, "bad_field");
    freeze(json!({ "action": "freeze", "reason": "x".repeat(501) })).is_refused(400, "bad_field");
    for until in ["soon", "2020-01-01T00:00:00Z", "0s"] {
        freeze(json!({ "action": "freeze", "reason": "the sale", "until": until })).is_refused(422, "bad_until");
    }
    freeze(json!({ "action": "freeze", "reason": "the sale", "until": "2h" })).is_done();
    let frozen = desk.status()["freeze"].clone();
    assert_eq!((&frozen["who"], &frozen["why"]), (&"ann".into(), &"the sale".into()));
    assert!(frozen["until"].as_str().unwrap().starts_with("20") && frozen["until_ms"].is_u64(), "{frozen}");
    let refused = desk.shift(10.0);
    refused.is_refused(409, "frozen");
    assert!(refused.message().contains("the sale") && refused.hint().contains("unfreeze"), "{refused:?}");
    desk.act("unfreeze").is_done();
    desk.act("unfreeze").is_refused(409, "not_frozen");
    desk.shift(10.0).is_done();
}

#[test]
fn an_emergency_stops_every_service_and_says_which_it_did_not() {
    let house = House::with("weight = 50", "", super::with_tokens);
    let desk = Desk::admin(&house);
    let second = shop(&house.blue.url(), &house.green.url(), "weight = 20", "").replace("service.shop", "service.site");
    let first = shop(&house.blue.url(), &house.green.url(), "weight = 50", "");
    let hosts = |text: String, name: &str| {
        text.replacen(&format!("[service.{name}]\n"), &format!("[service.{name}]\nhosts = [\"{name}.test\"]\n"), 1)
    };
    std::fs::write(house.routing_path(), hosts(first, "shop") + &hosts(second, "site")).unwrap();
    house.running.reload();
    let services = || desk.get(DEPLOYMENT).json["services"].as_array().unwrap().clone();
    wait_until("both are in force", SOON, || services().len() == 2);

    let which = desk.act("emergency_stop");
    which.is_refused(400, "service_missing");
    assert_eq!(which.hint(), "one of shop, site; on the command line, --service");
    desk.post(DEPLOYMENT, &json!({ "action": "rollback", "service": "*" })).is_refused(404, "no_such_service");
    desk.post(DEPLOYMENT, &json!({ "action": "emergency_stop", "service": "site" })).is_done();
    let every = desk.post(DEPLOYMENT, &json!({ "action": "emergency_stop", "service": "*", "reason": "fire" }));
    every.is_done();
    let results = every.json["results"].as_array().unwrap();
    assert_eq!(results[0]["done"]["service"], "shop");
    assert_eq!((&results[1]["service"], &results[1]["error"]["code"]), (&"site".into(), &"as_asked".into()));
    assert!(services().iter().all(|service| service["stopped"] == true));
    desk.post(DEPLOYMENT, &json!({ "action": "emergency_stop", "service": "*" })).is_refused(409, "as_asked");
    let stopped = json!({ "action": "traffic_shift", "service": "shop", "to_environment": "green", "percentage": 60 });
    desk.post(DEPLOYMENT, &stopped).is_refused(409, "stopped");
    let cleared = desk.post(DEPLOYMENT, &json!({ "action": "emergency_clear", "service": "*" }));
    assert!(cleared.json["results"].as_array().unwrap().iter().all(|result| result["done"]["durable"] == true));
    desk.post(DEPLOYMENT, &json!({ "action": "emergency_clear", "service": "*" })).is_refused(409, "not_stopped");
    desk.post(DEPLOYMENT, &json!({ "action": "freeze", "service": "*", "reason": "sale" })).is_done();
    desk.post(DEPLOYMENT, &json!({ "action": "unfreeze", "service": "*" })).is_done();
}

#[test]
fn the_guard_and_the_notices_are_switched() {
    let house = house("weight = 50", "");
    let desk = Desk::admin(&house);
    desk.post(ROLLBACK, &json!({ "action": "start_monitoring" })).is_refused(409, "as_asked");
    desk.post(ROLLBACK, &json!({ "action": "stop_monitoring", "reason": "a test of load" })).is_done();
    assert_eq!(desk.status()["guard"]["monitoring"], false);
    let report = desk.get("/api/admin/rollback?action=report").json;
    assert!(report["recommendations"][0]["text"].as_str().unwrap().contains("guard is off"), "{report}");
    desk.post(ROLLBACK, &json!({ "action": "start_monitoring" })).is_done();
    desk.ask("PUT", ROLLBACK, &[], r#"{"action":"alerting","enabled":false}"#).is_done();
    assert_eq!(desk.status()["alerting"], false);
    desk.ask("PUT", ROLLBACK, &[], r#"{"action":"alerting","enabled":false}"#).is_refused(409, "as_asked");
    desk.ask("PUT", ROLLBACK, &[], r#"{"action":"alerting","enabled":1}"#).is_refused(400, "bad_field");
}

#[test]
fn what_cannot_be_read_is_told_where() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let broken = desk.ask("POST", DEPLOYMENT, &[], "{\n  \"action\": deploy\n}");
    broken.is_refused(400, "bad_json");
    assert!(broken.message().contains("line 2, column 1"), "{broken:?}");
    desk.ask("POST", DEPLOYMENT, &[], "[1]").is_refused(400, "bad_body");
    desk.ask("POST", DEPLOYMENT, &["Content-Type: text/plain"], "{}").is_refused(415, "unsupported_media_type");
    desk.ask("POST", DEPLOYMENT, &["Content-Type: application/json; charset=utf-8"], "{}")
        .is_refused(400, "action_missing");
    let body = "{\n  \"action\":\"deploy\",\"version\":\"1\",\n  \"version\":\"2\"}";
    let twice = desk.ask("POST", DEPLOYMENT, &[], body);
    twice.is_refused(400, "duplicate_field");
    assert_eq!(twice.message(), "`version` is there twice: the second time at line 3, column 11");
    let unknown = desk.act("deplyo");
    unknown.is_refused(400, "unknown_action");
    assert!(unknown.hint().contains("emergency_stop"), "{unknown:?}");
    desk.post(DEPLOYMENT, &json!({ "action": 5 })).is_refused(400, "bad_field");
    desk.get("/api/admin/deployment?action=stats").is_refused(400, "unknown_action");
    let misspelt = desk.get("/api/admin/deployment?servce=shop");
    misspelt.is_refused(400, "unknown_parameter");
    assert_eq!(misspelt.hint(), "did you mean `service`?");
    desk.get("/api/admin/deployment?service=a&service=b").is_refused(400, "bad_parameter");
    desk.get("/api/admin/deployments").is_refused(404, "not_found");
    let method = desk.ask("PATCH", DEPLOYMENT, &[], "");
    method.is_refused(405, "method_not_allowed");
    let allowed = method.answer.header("allow").unwrap();
    assert!(["GET", "POST", "PUT", "DELETE"].iter().all(|method| allowed.contains(method)), "{allowed}");
    let large = format!("{{\"action\":\"freeze\",\"reason\":\"{}\"}}", "x".repeat(70_000));
    desk.ask("POST", DEPLOYMENT, &[], &large).is_refused(413, "body_too_large");
}

#[test]
fn a_delete_says_what() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    desk.ask("DELETE", DEPLOYMENT, &[], "").is_refused(400, "bad_parameter");
    desk.ask("DELETE", ROLLBACK, &[], "").is_refused(400, "bad_parameter");
    desk.ask("DELETE", VALIDATION, &[], "").is_refused(400, "parameter_missing");
}

#[test]
fn rules_and_triggers_are_laid_over_the_file_and_taken_away() {
    let house = house("weight = 50", "");
    let desk = Desk::admin(&house);
    let put = |path: &str, body: Value| desk.ask("PUT", path, &[], &body.to_string());
    let rule = json!({ "to": "green", "override": true, "header": { "name": "x-canary", "equals": "always" } });
    let done = put(DEPLOYMENT, json!({ "action": "rule", "name": "testers", "rule": rule, "reason": "to try it" }));
    done.is_done();
    assert_eq!((&done.json["action"], &done.json["durable"]), (&"rule".into(), &true.into()));
    assert_eq!(desk.status()["overlay"]["rules"], json!(["testers"]));
    assert!((0..10).all(|_| house.client().get("/", &["X-Canary: always"]).body == "green"));
    put(DEPLOYMENT, json!({ "action": "rule", "name": "odd", "rule": { "too": "green" } }))
        .is_refused(422, "does_not_fit");
    put(DEPLOYMENT, json!({ "action": "rule", "name": "odd", "rule": { "to": null } })).is_refused(422, "does_not_fit");
    let trigger = json!({ "metric": "error_rate", "above": 7, "for": "1m", "action": "warn" });
    put(ROLLBACK, json!({ "action": "trigger", "name": "errors", "trigger": trigger })).is_done();
    desk.ask("DELETE", "/api/admin/rollback?trigger=errors", &[], "").is_done();
    desk.ask("DELETE", "/api/admin/deployment?rule=testers", &[], "").is_done();
    desk.ask("DELETE", "/api/admin/deployment?rule=testers", &[], "").is_refused(404, "not_there");
    put(DEPLOYMENT, json!({ "action": "health_check", "check": "home", "enabled": false }))
        .is_refused(404, "not_there");
    put(DEPLOYMENT, json!({ "action": "rule", "name": "testers", "rule": rule })).is_done();
    desk.ask("DELETE", "/api/admin/deployment?overlay=true", &[], "").is_done();
    assert_eq!(desk.status()["overlay"]["rules"], json!([]));
}

#[test]
fn health_checks_are_run_when_somebody_asks() {
    let check = "[[service.shop.health]]\nname = \"home\"\ninterval = \"1h\"\nhttp = { path = \"/\" }\n";
    let house = house("weight = 0", check);
    let desk = Desk::admin(&house);
    let said = desk.act("health_check");
    said.is_done();
    let blue = &said.json["health"][0]["environments"][0];
    assert_eq!(
        (&blue["environment"], &blue["up"], &blue["checks"][0]["check"]),
        (&"blue".into(), &true.into(), &"home".into())
    );
    assert!(blue["checks"][0]["rounds"].as_u64().unwrap() >= 1, "{blue}");
}

#[test]
fn a_deploy_to_our_own_listener_is_refused() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    house.set(&format!("allowed_origins = [\"http://{}\"]", house.address()));
    let origin = format!("http://{}", house.address());
    let refused = desk.post(DEPLOYMENT, &json!({ "action": "deploy", "version": "2.0.0", "origin": origin }));
    refused.is_refused(422, "origin_not_allowed");
    assert!(refused.message().contains("own listener"), "{}", refused.message());
}

#[test]
fn what_curl_says_of_a_body_is_taken_if_it_is_json() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let curls = ["Content-Type: application/x-www-form-urlencoded"];
    let body = json!({ "action": "freeze", "reason": "sale" }).to_string();
    desk.ask("POST", DEPLOYMENT, &curls, &body).is_done();
    desk.ask("POST", DEPLOYMENT, &curls, "action=unfreeze").is_refused(415, "unsupported_media_type");
    desk.ask("POST", DEPLOYMENT, &["Content-Type: text/plain"], &body).is_refused(415, "unsupported_media_type");
    let foreign = [curls[0], "Origin: http://elsewhere.test"];
    assert_eq!(desk.ask("POST", DEPLOYMENT, &foreign, &body).status(), 403, "a page of another origin gains nothing");
}

#[test]
fn if_match_may_be_a_list_and_matches_by_one_of_it() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let shift = json!({ "action": "traffic_shift", "to_environment": "green", "percentage": 5 }).to_string();
    let now = || house.running.published.load().generation;
    let ask = |tags: String| desk.ask("POST", DEPLOYMENT, &[&format!("If-Match: {tags}")], &shift);
    let (current, other) = (now(), now() + 7);
    ask(format!("\"{other}\", \"{}\"", other + 1)).is_refused(412, "stale");
    ask(format!("W/\"{current}\"")).is_refused(412, "stale");
    ask(format!("\"not-ours\", W/\"{current}\", \"{other}\"")).is_refused(412, "stale");
    ask(format!("\"{other}\", \"{current}\"")).is_done();
    ask("*".to_owned()).is_done();
    let (last, tag) = (format!("If-Match: \"{}\"", now()), format!("If-Match: \"{other}00\""));
    desk.ask("POST", DEPLOYMENT, &[&tag, &last], &shift).is_done();
}

#[test]
fn a_reason_loses_what_a_terminal_would_obey() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let freeze = |reason: &str| desk.post(DEPLOYMENT, &json!({ "action": "freeze", "reason": reason }));
    freeze("sale \u{9b}31m\u{9d}0;x\u{9c}\u{2028}\u{202e}gnp.exe").is_done();
    assert!(house.entry(ChangeKind::Freeze).change.why.ends_with(": sale 31m0;xgnp.exe"));
    freeze("sale \u{1b}[31m").is_refused(400, "bad_field");
    freeze("sale \u{7f}").is_refused(400, "bad_field");
}

#[test]
fn a_refusal_before_the_body_was_read_ends_the_connection_and_says_so() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let head = |token: &str, length: usize| {
        format!(
            "POST {DEPLOYMENT} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n",
            desk.admin
        )
    };
    for (token, length, status) in [("of-nobody", 100, "401"), (desk.token, 1 << 20, "413")] {
        let mut client = Client::to(desk.admin);
        client.send(head(token, length) + "{\"action\":");
        let answer = client.head().to_ascii_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status}")) && answer.contains("connection: close"), "{answer}");
    }
    let mut client = Client::to(desk.admin);
    client.send(head("of-nobody", 0));
    let answer = client.head().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 401") && !answer.contains("connection: close"), "nothing is left: {answer}");
}

/// Frozen on all days but for a minute that is not now.
const ALL_WEEK: &str = "[service.shop.rollout]\nfreeze = [\"Mon 00:00–Sun 23:59 UTC\", \"Sun 12:00-Mon 12:00\"]\n";

#[test]
fn a_freeze_has_no_way_around_it() {
    let house = house("weight = 0", ALL_WEEK);
    let desk = Desk::admin(&house);
    let refused = || house.running.counters.process.reloads_refused.load(std::sync::atomic::Ordering::Relaxed);
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let rule = "[[service.shop.rule]]\nname = \"all\"\npath = \"/*\"\nto = \"green\"\noverride = true\n";
    let other = Origin::start("other");
    for (wrong, place) in [
        (format!("{text}{rule}"), "all"),
        (text.replace(&house.blue.url(), &other.url()), "blue"),
        (text.replace("weight = 0", "weight = 5"), "weight"),
    ] {
        let before = refused();
        std::fs::write(house.routing_path(), wrong).unwrap();
        wait_until(place, SOON, || refused() > before);
        assert_eq!(get(house.address(), "/", &[]).body, "blue", "{place}");
    }
    // The same by the API.
    std::fs::write(house.routing_path(), &text).unwrap();
    let rule = json!({ "path": "/*", "to": "green", "override": true });
    let body = json!({ "action": "rule", "name": "all", "rule": rule }).to_string();
    let said = desk.ask("PUT", DEPLOYMENT, &[], &body);
    said.is_refused(409, "frozen");
    assert!(said.message().contains("rule `all` may not change who goes where"), "{}", said.message());
    // Without the window, what is open of it still holds; and then whoever may lifts it.
    house.write("weight = 0", "");
    wait_until("the window holds on", SOON, || house.find(ChangeKind::Freeze).is_some());
    let before = refused();
    house.write("weight = 5", "");
    wait_until("it is refused", SOON, || refused() > before);
    desk.act("unfreeze").is_done();
    house.running.reload();
    house.wait_for_weight(500);
}
