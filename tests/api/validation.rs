//! `/api/admin/validation`: suites are listed, run, watched, cancelled, kept, switched and deleted.

use config::admin::Role;
use judgement::rollout::ChangeKind;
use serde_json::{Value, json};

use super::{Desk, Said, VALIDATION, with_tokens};
use crate::support::house::House;
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

const SMOKE: &str = "version = 1\ntitle = \"Smoke\"\ntags = [\"smoke\"]\n\
    [[case]]\nname = \"it is up\"\npath = \"/up\"\nexpect = { body = \"green\" }\n";
/// Waits for an answer that never comes.
const ENDLESS: &str = "version = 1\ntimeout = \"10m\"\n[[setup]]\npath = \"/begin\"\n[[case]]\npath = \"/hangs\"\n\
    [[teardown]]\nmethod = \"DELETE\"\npath = \"/end\"\n";

fn house(suites: &[(&str, &str)]) -> House {
    let house = House::with("weight = 0", "", with_tokens);
    std::fs::create_dir_all(&house.settings.suites).unwrap();
    for (name, text) in suites {
        std::fs::write(house.settings.suites.join(format!("{name}.toml")), text).unwrap();
    }
    house
}

fn run(desk: &Desk, suite: &str, environment: &str) -> Said {
    desk.post(VALIDATION, &json!({ "action": "run", "suite": suite, "environment": environment }))
}

/// Runs it to its end.
fn ran(desk: &Desk, suite: &str, environment: &str) -> Value {
    let begun = run(desk, suite, environment);
    begun.is_done();
    over(desk, begun.json["execution"]["id"].as_str().unwrap())
}

fn over(desk: &Desk, id: &str) -> Value {
    let path = format!("{VALIDATION}?action=execution&id={id}");
    let is_over = || !["queued", "running"].contains(&desk.get(&path).json["state"].as_str().unwrap());
    wait_until("the run is over", SOON, is_over);
    desk.get(&path).json
}

#[test]
fn a_suite_is_run_and_what_it_found_is_kept() {
    let house = house(&[("smoke", SMOKE)]);
    let desk = Desk::of(&house, Role::Operator);
    let suites = desk.get(VALIDATION).json;
    assert_eq!((&suites["suites"][0]["name"], &suites["suites"][0]["cases"]), (&json!("smoke"), &json!(1)));

    let green = ran(&desk, "smoke", "green");
    assert_eq!((&green["state"], &green["who"]), (&json!("passed"), &json!("otto")), "{green:#}");
    let both = ran(&desk, "smoke", "both");
    assert_eq!(both["state"], "failed");
    let parts = both["parts"].as_array().unwrap();
    let states: Vec<_> = parts.iter().map(|part| (part["environment"].clone(), part["outcome"].clone())).collect();
    assert_eq!(states, [(json!("blue"), json!("failed")), (json!("green"), json!("passed"))]);
    let finding = &parts[0]["steps"][0]["failures"][0];
    assert_eq!((&finding["what"], &finding["found"]), (&json!("body"), &json!("\"blue\"")), "{finding:#}");
    assert!(both["verdict"].as_str().unwrap().starts_with("1 of 2 parts failed: it is up on blue: "), "{both:#}");

    let listed = desk.get(&format!("{VALIDATION}?action=executions")).json;
    let ids: Vec<_> = listed["executions"].as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert_eq!(ids, [json!("failed"), json!("passed")], "latest first");
    wait_until("the journal has its end", SOON, || {
        let told = |why: &str| why.contains("suite smoke against both: 1 of 2 parts failed");
        house.history().iter().any(|entry| entry.change.kind == ChangeKind::Validation && told(&entry.change.why))
    });
}

#[test]
fn reports_come_as_a_page_and_as_junit() {
    let house = house(&[("smoke", SMOKE)]);
    let desk = Desk::of(&house, Role::Viewer);
    let id = ran(&Desk::admin(&house), "smoke", "both")["id"].as_str().unwrap().to_owned();
    let page = desk.get(&format!("{VALIDATION}?action=execution&id={id}&format=html"));
    page.is_done();
    assert!(page.answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(page.answer.body.contains("it is up"), "{}", page.answer.body);
    let junit = desk.get(&format!("{VALIDATION}?action=execution&id={id}&format=junit"));
    junit.is_done();
    assert!(junit.answer.body.contains("failures=\"1\""), "{}", junit.answer.body);
    desk.get(&format!("{VALIDATION}?action=execution&id={id}&format=pdf")).is_refused(400, "bad_parameter");
}

#[test]
fn a_cancel_ends_a_run_within_a_second_and_what_was_set_up_is_taken_down() {
    let house = house(&[("endless", ENDLESS)]);
    house.green.does(|request| if request.line().contains("/hangs") { Do::Hang } else { Do::Status(200) });
    let desk = Desk::of(&house, Role::Operator);
    let begun = run(&desk, "endless", "green");
    let id = begun.json["execution"]["id"].as_str().unwrap().to_owned();
    let asked = |path: &str| house.green.all().iter().any(|request| request.line().contains(path));
    wait_until("it hangs", SOON, || asked("/hangs"));
    let began = std::time::Instant::now();
    desk.post(VALIDATION, &json!({ "action": "cancel", "execution": id })).is_done();
    let run = over(&desk, &id);
    let took = began.elapsed();
    assert_eq!((&run["state"], &run["verdict"]), (&json!("cancelled"), &json!("cancelled by otto")), "{run:#}");
    // A second is what is promised: it takes a few milliseconds.
    assert!(took.as_secs_f64() < 1.0, "{took:?}");
    wait_until("it is taken down", SOON, || asked("DELETE /end"));
    desk.post(VALIDATION, &json!({ "action": "cancel", "execution": id })).is_refused(409, "execution_over");
}

#[test]
fn several_runs_go_on_at_once_and_the_others_wait() {
    let house = house(&[("endless", ENDLESS), ("smoke", SMOKE)]);
    house.green.does(|request| if request.line().contains("/hangs") { Do::Hang } else { Do::Status(200) });
    let desk = Desk::admin(&house);
    let ids: Vec<String> = (0..house.settings.validation.at_once + 1)
        .map(|_| run(&desk, "endless", "green").json["execution"]["id"].as_str().unwrap().to_owned())
        .collect();
    let states = || {
        let state = |id: &String| {
            desk.get(&format!("{VALIDATION}?action=execution&id={id}&format=summary")).json["state"].clone()
        };
        ids.iter().map(state).filter(|state| state == "running").count()
    };
    wait_until("four run", SOON, || states() == house.settings.validation.at_once);
    let waits = ids.iter().find(|id| {
        desk.get(&format!("{VALIDATION}?action=execution&id={id}&format=summary")).json["state"] == "queued"
    });
    assert!(waits.is_some());
    for id in &ids {
        desk.post(VALIDATION, &json!({ "action": "cancel", "execution": id })).is_done();
    }
    assert_eq!(ran(&desk, "smoke", "green")["state"], "passed", "there is room again");
}

#[test]
fn what_cannot_be_run_is_refused_with_the_way_out() {
    let data = "version = 1\n[database.a]\nblue = { url = \"sqlite:b.db\" }\ngreen = { url = \"sqlite:g.db\" }\n[[data]]\ntable = \"t\"\n";
    let house = house(&[("smoke", SMOKE), ("broken", "version = 1\n[[case]]\nname = \"a\"\n"), ("data", data)]);
    let desk = Desk::admin(&house);
    let missing = run(&desk, "smoek", "green");
    missing.is_refused(404, "no_such_suite");
    assert!(missing.message().contains("did you mean `smoke`?"), "{missing:?}");
    run(&desk, "../smoke", "green").is_refused(404, "no_such_suite");
    let broken = run(&desk, "broken", "green");
    broken.is_refused(422, "suite_broken");
    assert!(broken.message().contains("the request has no `path`"), "{broken:?}");
    run(&desk, "data", "green").is_refused(422, "needs_both");
    run(&desk, "smoke", "red").is_refused(400, "bad_field");
    desk.get(&format!("{VALIDATION}?action=execution&id=gone")).is_refused(404, "no_such_execution");
    desk.get(&format!("{VALIDATION}?action=execution")).is_refused(400, "parameter_missing");
    let listed = desk.get(VALIDATION).json;
    let why = listed["suites"][0]["broken"].as_str().unwrap();
    assert!(why.contains("broken.toml:2"), "{why}");
}

#[test]
fn a_suite_is_switched_off_and_on_and_a_run_deleted() {
    let house = house(&[("smoke", SMOKE)]);
    let desk = Desk::admin(&house);
    let put = |body: Value| desk.ask("PUT", VALIDATION, &[], &body.to_string());
    put(json!({ "action": "suite", "suite": "smoke", "enabled": false })).is_done();
    run(&desk, "smoke", "green").is_refused(409, "suite_off");
    let set =
        put(json!({ "action": "suite", "suite": "smoke", "enabled": true, "every": "1h", "after_rollback": "on" }));
    set.is_done();
    assert_eq!(
        (&set.json["suite"]["every_ms"], &set.json["suite"]["after_rollback"]),
        (&json!(3_600_000), &json!(true))
    );
    put(json!({ "action": "suite", "suite": "smoke", "every": "1s" })).is_refused(422, "bad_every");
    put(json!({ "action": "suite", "suite": "gone", "enabled": true })).is_refused(404, "no_such_suite");

    let id = ran(&desk, "smoke", "green")["id"].as_str().unwrap().to_owned();
    let path = format!("{VALIDATION}?execution={id}");
    desk.ask("DELETE", &path, &[], "").is_done();
    desk.ask("DELETE", &path, &[], "").is_refused(404, "no_such_execution");
    assert_eq!(desk.get(&format!("{VALIDATION}?action=executions")).json["executions"], json!([]));
}

#[test]
fn of_switches_that_are_set_at_once_none_is_lost_on_the_disk() {
    let names: Vec<String> = (0..8).map(|at| format!("s{at}")).collect();
    let suites: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), SMOKE)).collect();
    let house = house(&suites);
    let file = house.settings.state.with_file_name("cutover.db.runs").join("settings.json");
    for round in 0..10 {
        let enabled = round % 2 == 1;
        std::thread::scope(|scope| {
            for name in &names {
                let desk = Desk::admin(&house);
                let body = json!({ "action": "suite", "suite": name, "enabled": enabled }).to_string();
                scope.spawn(move || desk.ask("PUT", VALIDATION, &[], &body).is_done());
            }
        });
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(names.iter().all(|name| kept[name]["enabled"] == enabled), "round {round}: {kept:#}");
    }
}

#[test]
fn a_run_that_finds_more_than_a_record_holds_is_kept_and_says_what_is_left_out() {
    let step = "[[case.step]]\npath = \"/big\"\nmethod = \"POST\"\nbody = \"${big}\"\n".repeat(3);
    let case = |at: usize| format!("[[case]]\nname = \"case {at}\"\n{step}");
    let cases: String = (0..500).map(case).collect();
    let big = "x".repeat(16 << 10);
    let house = house(&[("big", &format!("version = 1\n[variables]\nbig = \"{big}\"\n{cases}"))]);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{big}", big.len());
    for origin in [&house.blue, &house.green] {
        origin.always(Do::Raw(answer.clone()));
    }
    let desk = Desk::admin(&house);
    let begun = run(&desk, "big", "both");
    let id = begun.json["execution"]["id"].as_str().unwrap_or_else(|| panic!("{:#}", begun.json)).to_owned();
    // The journal has its end when the disk has it.
    let told = |why: &str| why.contains("suite big against both: all 1000 parts passed");
    wait_until("the run is over", crate::rollouts::LONG, || {
        house.history().iter().any(|entry| told(&entry.change.why))
    });
    let read = desk.get(&format!("{VALIDATION}?action=execution&id={id}"));
    read.is_done();
    let parts = read.json["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &read.json["not_kept"]), (1000, &Value::Null), "every part is there, and on the disk");
    let body = |part: &Value| part["steps"][0]["response"]["body"].as_str().unwrap().to_owned();
    let left_out = parts.iter().filter(|part| body(part) == "… omitted: the report is full").count();
    assert!((100..900).contains(&left_out), "96 MB are found, and 32 MiB kept: {left_out}");
}

#[test]
fn after_a_rollback_the_report_says_what_its_suites_found() {
    let house = house(&[("smoke", &SMOKE.replace("[[case]]", "after_rollback = true\n[[case]]"))]);
    let desk = Desk::admin(&house);
    desk.shift(10.0).is_done();
    desk.act("rollback").is_done();
    let report = || desk.get("/api/admin/rollback?action=report").json["validations"].clone();
    wait_until("it was validated", SOON, || report()[0]["state"] == "failed");
    let found = report();
    assert_eq!((&found[0]["suite"], &found[0]["who"]), (&json!("smoke"), &json!("rollback")), "{found:#}");
}

#[test]
fn a_snapshot_keeps_data_and_two_of_them_show_what_has_moved() {
    let dir = tempfile::tempdir().unwrap();
    for side in ["blue", "green"] {
        let db = rusqlite::Connection::open(dir.path().join(format!("{side}.db"))).unwrap();
        db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');")
            .unwrap();
    }
    let url = |side: &str| format!("{{ url = \"sqlite:{}\" }}", dir.path().join(format!("{side}.db")).display());
    let data = format!(
        "version = 1\n[database.a]\nblue = {}\ngreen = {}\n[[data]]\ntable = \"t\"\n",
        url("blue"),
        url("green")
    );
    let house = house(&[("data", &data)]);
    let desk = Desk::admin(&house);
    let create = |name: &str| {
        let made = desk.post(super::ROLLBACK, &json!({ "action": "create_snapshot", "name": name, "suite": "data" }));
        made.is_done();
        made.json["snapshot"]["id"].as_str().unwrap().to_owned()
    };
    let before = create("before");
    let db = rusqlite::Connection::open(dir.path().join("green.db")).unwrap();
    db.execute_batch("DELETE FROM t WHERE id = 2").unwrap();
    let after = create("after");
    let compared = desk.post(super::ROLLBACK, &json!({ "action": "compare_snapshots", "from": before, "to": after }));
    compared.is_done();
    let all = compared.json["differences"].as_array().unwrap();
    let of = |field: &str| all.iter().find(|difference| difference["field"] == field).cloned();
    let rows = of("data.t.green.rows").unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!((&rows["from"], &rows["to"]), (&json!(2), &json!(1)));
    assert!(of("data.t.green.checksum").is_some() && of("data.t.blue.checksum").is_none(), "{all:#?}");
}

/// A suite that runs by itself, and should have run long ago.
const DUE: &str = "version = 1\nevery = \"10s\"\n[[case]]\nname = \"it is up\"\npath = \"/up\"\n";

#[test]
fn a_schedule_outlives_a_restart_and_a_suite_that_fails_is_said_once_each_way() {
    let house = House::with("weight = 0", "", |settings| {
        with_tokens(settings);
        std::fs::create_dir_all(&settings.suites).unwrap();
        std::fs::write(settings.suites.join("smoke.toml"), DUE).unwrap();
        let runs = sidecar::journal::beside(&settings.state, ".runs");
        std::fs::create_dir(&runs).unwrap();
        std::fs::write(runs.join("automation.json"), "{\"smoke\":{\"last_ms\":1}}").unwrap();
    });
    house.green.always(Do::Status(500));
    let began = std::time::Instant::now();
    let failed = house.entry(ChangeKind::ValidationFailed).change;
    assert!(began.elapsed().as_secs() < 9, "it did not wait for an interval: {:?}", began.elapsed());
    assert_eq!((failed.service.as_str(), failed.who.as_str()), ("shop", "schedule"));
    assert!(failed.why.starts_with("suite smoke, which runs by itself, fails: "), "{}", failed.why);
    let is = |line: &str| wait_until(line, SOON * 3, || house.metrics().contains(line));
    is("cutover_validation_failing{suite=\"smoke\",service=\"shop\"} 1");
    // The next one fails too, and nothing more is said.
    is("cutover_validation_runs_total{suite=\"smoke\",service=\"shop\",result=\"failed\"} 2");
    house.green.always(Do::Status(200));
    is("cutover_validation_failing{suite=\"smoke\",service=\"shop\"} 0");
    house.entry(ChangeKind::ValidationPassed);
    let kinds: Vec<ChangeKind> = house.history().into_iter().map(|entry| entry.change.kind).collect();
    let said = kinds.iter().filter(|kind| **kind == ChangeKind::ValidationFailed).count();
    assert_eq!(said, 1, "{kinds:?}");
}

/// One run at once, a suite that is done in a moment, and one that never is.
fn busy_house(rest: &str) -> House {
    let house = House::with("weight = 0", rest, |settings| {
        with_tokens(settings);
        settings.validation.at_once = 1;
        std::fs::create_dir_all(&settings.suites).unwrap();
        std::fs::write(settings.suites.join("smoke.toml"), SMOKE).unwrap();
        std::fs::write(settings.suites.join("soak.toml"), ENDLESS).unwrap();
    });
    house.green.does(|request| if request.line().contains("/hangs") { Do::Hang } else { Do::Status(200) });
    house
}

#[test]
fn a_run_for_a_rollout_is_never_behind_a_persons() {
    let rollout = "[service.shop.rollout]\nsuites = [\"smoke\"]\nwarm_up = 1\nsteps = [10, 100]\nbake = \"1h\"\n";
    let house = busy_house(rollout);
    let desk = Desk::admin(&house);
    run(&desk, "soak", "green").is_done();
    let waits = run(&desk, "soak", "green").json["execution"]["id"].as_str().unwrap().to_owned();
    desk.post(super::DEPLOYMENT, &json!({ "action": "deploy", "version": "2" })).is_done();
    house.wait_for_weight(1000);
    let state = desk.get(&format!("{VALIDATION}?action=execution&id={waits}&format=summary")).json["state"].clone();
    assert_eq!(state, "queued", "and the one behind the soak still waits");
}

#[test]
fn a_soak_of_one_service_holds_up_no_run_of_another() {
    let green = Origin::start("green");
    let other = format!(
        "[service.other]\nhosts = [\"other.test\"]\n[service.other.blue]\nurl = \"http://127.0.0.1:1\"\n\
         [service.other.green]\nurl = \"{}\"\n",
        green.url()
    );
    let house = busy_house(&other);
    let desk = Desk::admin(&house);
    let begin = |suite: &str, service: &str| {
        let body = json!({ "action": "run", "suite": suite, "service": service, "environment": "green" });
        let begun = desk.post(VALIDATION, &body);
        begun.is_done();
        begun.json["execution"]["id"].as_str().unwrap().to_owned()
    };
    begin("soak", "shop");
    begin("soak", "shop");
    assert_eq!(over(&desk, &begin("smoke", "other"))["state"], "passed");
}
