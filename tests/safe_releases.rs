//! Releases that hold in the real world: never to a dead side, never past a lock, and everything on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use judgement::rollout::ChangeKind;

use crate::rollouts::Site;
use crate::support::client::{Client, get};
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin, Request};
use crate::support::{SOON, wait_until};

/// Steps of a second, and a watch that outlasts the test.
const FAST: &str = "steps = [10, 50, 100]\nbake = \"1s\"\nrequests = 5\nwatch = \"60s\"\nwarm_up = 1";

#[test]
fn a_promoted_version_that_stumbles_is_not_taken_back_to_a_side_that_is_off() {
    let mut site = Site::new(FAST);
    let proxy = site.process.address;
    let load = Load::start(proxy, 4, Duration::from_millis(5));
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("promoted");
    // Nobody needs it any more.
    let nobody = Origin::start("nobody");
    drop(std::mem::replace(&mut site.blue, nobody).end());
    std::thread::sleep(Duration::from_secs(6));
    site.green.always(Do::Status(503));
    wait_until("the rollback is held", SOON, || site.kinds().contains(&ChangeKind::RollbackHeld));
    site.green.always(Do::Status(200));
    wait_until("it is no longer called for", SOON, || site.kinds().contains(&ChangeKind::RollbackDropped));
    assert_eq!(site.status()["active"], "green");
    assert!(!site.kinds().contains(&ChangeKind::Rollback));
    assert_eq!(
        (get(proxy, "/", &[]).status, site.kinds().iter().filter(|kind| **kind == ChangeKind::RollbackHeld).count()),
        (200, 1)
    );
    load.stop();
}

#[test]
fn a_promoted_version_that_stumbles_is_not_taken_back_to_a_deploy_that_is_deleted() {
    let site = Site::new(&format!("{FAST}\nwarm_up_path = \"/up\""));
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    site.must(&["deploy", "2.0.0"]);
    site.wait_for_phase("promoted");
    // Its platform answers for it.
    site.blue.always(Do::Status(404));
    std::thread::sleep(Duration::from_secs(6));
    site.green.does(|request| Do::Status(if request.line().contains(" /up ") { 200 } else { 503 }));
    wait_until("the rollback is held", SOON, || site.kinds().contains(&ChangeKind::RollbackHeld));
    let history = site.must(&["history"]);
    let why =
        "not rolled back, because blue answers 404 to GET /up where green answers 200: start blue, and the rollback";
    assert!(history.contains(why), "{history}");
    assert_eq!(site.status()["active"], "green");
    // It is deployed again.
    site.blue.always(Do::Status(200));
    wait_until("the rollback follows", SOON, || site.kinds().contains(&ChangeKind::Rollback));
    load.stop();
}

#[test]
fn what_a_promoted_version_fails_is_served_by_the_side_that_it_replaced() {
    let site = Site::new(FAST);
    site.must(&["deploy", "2.0.0"]);
    let load = Load::start(site.process.address, 8, Duration::from_millis(5));
    site.wait_for_phase("promoted");
    // One in ten, in which nobody is sure; then all.
    let turn = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = turn.clone();
    site.green.does(move |_| Do::Status(if count.fetch_add(1, SeqCst).is_multiple_of(10) { 503 } else { 200 }));
    wait_until("some have failed", SOON, || turn.load(SeqCst) > 300 || site.kinds().contains(&ChangeKind::Rollback));
    site.green.always(Do::Reset);
    wait_until("it is rolled back", SOON, || site.kinds().contains(&ChangeKind::Rollback));
    let (asked, failed) = load.stop();
    assert_eq!(failed, 0, "of {asked}");
    // It is active again, and has nobody behind it.
    site.blue.always(Do::Status(503));
    assert_eq!(get(site.process.address, "/", &[]).status, 503);
}

/// Answers one request in so many with 503.
fn one_fails_in(n: u64) -> impl Fn(&Request) -> Do + Send + Sync + 'static {
    let turn = std::sync::atomic::AtomicU64::new(0);
    move |_| Do::Status(if turn.fetch_add(1, SeqCst).is_multiple_of(n) { 503 } else { 200 })
}

#[test]
fn a_promoted_version_is_judged_by_what_active_did_before_and_by_what_it_serves_again() {
    let site = Site::new(FAST);
    site.must(&["deploy", "2.0.0"]);
    let load = Load::start(site.process.address, 8, Duration::from_millis(5));
    site.wait_for_phase("promoted");
    // Both fail one in ten: who is to blame, nobody can tell.
    site.blue.does(one_fails_in(10));
    site.green.does(one_fails_in(10));
    let before = site.green.requests();
    wait_until("hundreds have failed", SOON, || site.green.requests() >= before + 3000);
    assert!(!site.kinds().contains(&ChangeKind::Rollback), "{}", site.must(&["history"]));
    let (_, failed) = load.stop();
    assert!(failed > 0, "what both fail is not saved");

    site.blue.always(Do::Status(200));
    let load = Load::start(site.process.address, 8, Duration::from_millis(5));
    wait_until("it is rolled back", SOON, || site.kinds().contains(&ChangeKind::Rollback));
    let (asked, failed) = load.stop();
    assert_eq!(failed, 0, "of {asked}");
    let history = site.must(&["history"]);
    assert!(
        history.contains(", blue failed 0.") && history.contains(" in its worst five minutes: evidence "),
        "{history}"
    );
    let entry = history.lines().find(|line| line.contains("in its worst five minutes")).unwrap();
    let number = entry.split_whitespace().next().unwrap();
    let explained = site.must(&["explain", number]);
    assert!(explained.contains(", as recorded"), "{explained}");
}

/// Deploys may name these origins.
fn allow(site: &Site, origins: &[&Origin]) {
    let text = std::fs::read_to_string(site.routing()).unwrap();
    let urls: Vec<String> = origins.iter().map(|origin| origin.url()).collect();
    let line = format!("[service.shop]\nallowed_origins = {urls:?}\n");
    std::fs::write(site.routing(), text.replacen("[service.shop]\n", &line, 1)).unwrap();
    wait_until("they may", SOON, || site.kinds().contains(&ChangeKind::Reload));
}

#[test]
fn an_earlier_version_is_brought_back_by_its_name_from_where_it_was() {
    let site = Site::new("steps = [100]\nbake = \"1s\"\nrequests = 1\nwarm_up = 1");
    let origins = ["first", "second", "third"].map(Origin::start);
    allow(&site, &origins.each_ref());
    let load = Load::start(site.process.address, 2, Duration::from_millis(5));
    for (origin, version) in origins.iter().zip(["1.1.0", "1.2.0", "1.3.0"]) {
        site.must(&["deploy", version, "--origin", &origin.url()]);
        site.wait_for_phase("promoted");
    }
    let body = || get(site.process.address, "/", &[]).body;
    assert_eq!(body(), "third");
    let refused = |version: &str| {
        let (code, said) = site.cutover(&["rollback", "--to", version]);
        assert_eq!(code, Some(1), "{said}");
        said
    };
    assert!(refused("1.3.0").contains("1.3.0 is active in shop"));
    assert!(refused("0.9.0").contains("`0.9.0` is not among the last 200 versions that were promoted"));

    // It is not there any more: nothing happens to anybody.
    origins[0].always(Do::Status(404));
    origins[2].always(Do::Status(200));
    let said = refused("1.1.0");
    assert!(said.contains("1.1.0 is not brought back: blue answers 404 to GET / where green answers 200"), "{said}");
    assert!(!site.kinds().contains(&ChangeKind::Abort) && site.status()["rollout"]["watching"] == true);
    assert_eq!(body(), "third");
    origins[0].always(Do::Status(200));
    site.must(&["freeze", "--reason", "holidays"]);
    site.must(&["rollback", "--to", "1.1.0", "--reason", "the last one that worked"]);
    site.wait_for_phase("promoted");
    assert_eq!(body(), "first");
    // What it replaced stands on the other side.
    site.must(&["rollback", "--to", "1.3.0"]);
    assert_eq!(body(), "third");
    load.stop();
}

#[test]
fn a_start_tells_of_an_active_side_that_is_deleted() {
    let site = Site::new(FAST);
    site.green.always(Do::Status(404));
    site.blue.always(Do::Status(404));
    // Both answer so: that is what the site says.
    let site = site.restart("INT");
    site.green.always(Do::Status(200));
    let site = site.restart("INT");
    wait_until("it is told", SOON, || site.kinds().contains(&ChangeKind::Silent));
    let why = "blue is active and answers 404 to GET / where green answers 200; green answers: start blue, or deploy to green";
    let history = site.must(&["history"]);
    assert_eq!(history.matches(why).count(), 1, "{history}");
    assert_eq!(site.kinds().iter().filter(|kind| **kind == ChangeKind::Silent).count(), 1, "{history}");
    assert_eq!(site.status()["active"], "blue");
}

#[test]
fn a_broken_active_does_not_keep_its_fix_back_and_a_rescue_is_through_at_once() {
    for words in [&["deploy", "1.0.1"][..], &["deploy", "1.0.1", "--rescue"]] {
        let site = Site::new(FAST);
        site.blue.always(Do::Status(500));
        let load = Load::start(site.process.address, 4, Duration::from_millis(5));
        site.must(words);
        site.wait_for_phase("promoted");
        assert_eq!(get(site.process.address, "/", &[]).body, "green");
        assert_eq!(site.kinds().contains(&ChangeKind::Step), words.len() == 2);
        load.stop();
    }
}

#[test]
fn a_freeze_holds_for_the_file_and_every_reload_is_on_record() {
    let house = House::start("weight = 0", "");
    house.write("weight = 10", "[service.shop.rollout]\nbake = \"1m\"");
    house.wait_for_weight(1000);
    let reload = || house.entry(ChangeKind::Reload);
    let entry = reload();
    assert!(entry.change.why.starts_with("routing.toml (owned by "), "{}", entry.change.why);
    for part in ["changed shop: weight, rollout", "\n-weight = 0\n", "\n+weight = 10\n", "+bake = \"1m\""] {
        assert!(entry.change.why.contains(part), "{part}: {}", entry.change.why);
    }
    // What changes nothing that is in force is no entry.
    house.write("weight = 10 # still", "[service.shop.rollout]\nbake = \"60s\"");
    house.running.reload();
    let taken = || house.running.counters.process.reloads_taken.load(std::sync::atomic::Ordering::Relaxed);
    let before = taken();
    house.running.reload();
    wait_until("it is read", SOON, || taken() > before);
    assert_eq!(house.history().iter().filter(|entry| entry.change.kind == ChangeKind::Reload).count(), 1);
    // Frozen for all days but one minute that is not now.
    let all_day = "[service.shop.rollout]\nfreeze = [\"Mon 00:00–Sun 23:59 UTC\", \"Sun 12:00-Mon 12:00\"]";
    house.write("weight = 10", all_day);
    wait_until("it is in force", SOON, || {
        house.history().iter().filter(|entry| entry.change.kind == ChangeKind::Reload).count() == 2
    });
    house.write("weight = 50", all_day);
    let refused = || house.running.counters.process.reloads_refused.load(std::sync::atomic::Ordering::Relaxed);
    wait_until("it is refused", SOON, || refused() > 0);
    assert_eq!(house.weight(), 1000);
    house.write("weight = 0", all_day);
    house.wait_for_weight(0);
}

#[test]
fn clients_that_gave_up_on_a_hang_are_in_the_cost_of_its_verdict() {
    let house = House::start("weight = 50", "");
    let warm = Load::start(house.address(), 2, Duration::from_millis(5));
    std::thread::sleep(Duration::from_secs(1));
    house.green.always(Do::Hang);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (stop, address) = (stop.clone(), house.address());
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let mut client = Client::to(address);
                    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
                    std::thread::sleep(Duration::from_millis(700));
                }
            })
        })
        .collect();
    wait_until("it is rolled back", SOON, || house.find(ChangeKind::Rollback).is_some());
    stop.store(true, SeqCst);
    let ledger = house.entry(ChangeKind::Rollback).change.ledger.unwrap();
    assert!(ledger.waiting > 0 && ledger.left + ledger.waiting >= 3, "{ledger:?}");
    clients.into_iter().for_each(|client| client.join().unwrap());
    wait_until("the last has left", SOON, || house.find(ChangeKind::Ledger).is_some());
    let ledger = house.entry(ChangeKind::Ledger).change.ledger.unwrap();
    assert!(ledger.left >= 3 && ledger.waiting == 0, "{ledger:?}");
    warm.stop();
}

#[test]
fn what_changes_while_nobody_runs_is_on_record_and_a_rolled_back_version_stays_away() {
    let site = Site::new(FAST);
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    site.must(&["deploy", "2.0.0"]);
    site.must(&["rollback"]);
    load.stop();
    let (code, said) = site.cutover(&["shift", "10"]);
    assert!(code == Some(1) && said.contains("2.0.0 was rolled back") && said.contains("--force"), "{code:?} {said}");
    site.must(&["shift", "10", "--force"]);
    site.must(&["shift", "0"]);
    let text = std::fs::read_to_string(site.routing()).unwrap();
    let site = site.restart_with("INT", || {});
    assert!(!site.kinds().contains(&ChangeKind::Reload), "nothing has changed");
    let routing = site.routing();
    let site = site.restart_with("INT", || {
        std::fs::write(&routing, text.replace("bake = \"1s\"", "bake = \"2s\"")).unwrap();
    });
    wait_until("it is on record", SOON, || site.kinds().contains(&ChangeKind::Reload));
    let said = site.must(&["history", "--kind", "reload", "--output", "json"]);
    assert!(said.contains("while Cutover was not running, routing.toml") && said.contains("+bake"), "{said}");
}

#[test]
fn a_deploy_that_names_no_origin_is_not_sent_to_that_of_the_one_before() {
    let (site, other) = (Site::new(FAST), Origin::start("other"));
    allow(&site, &[&other]);
    site.must(&["deploy", "2.0.0", "--origin", &other.url()]);
    wait_until("it is there", SOON, || site.status()["origins"]["green"] == other.url());
    site.must(&["abort"]);
    let before = site.green.requests();
    site.must(&["deploy", "3.0.0"]);
    assert!(site.status()["origins"]["green"].is_null(), "{}", site.status());
    wait_until("the file's is tried", SOON, || site.green.requests() > before);
}

#[test]
fn a_freeze_and_a_stop_are_not_passed_by_a_restart() {
    for (hold, lift) in [(&["freeze", "--reason", "sale"][..], "unfreeze"), (&["stop"], "clear")] {
        let site = Site::new(FAST);
        site.must(hold);
        let text = std::fs::read_to_string(site.routing()).unwrap();
        let other = text.replace(&site.blue.url(), &site.green.url());
        let routing = site.routing();
        let site = site.restart_with("INT", || std::fs::write(&routing, &other).unwrap());
        let served = || get(site.process.address, "/", &[]).body;
        assert!((0..20).all(|_| served() == "blue"), "{hold:?}");
        wait_until("it is on record", SOON, || site.kinds().contains(&ChangeKind::Waiting));
        let said = site.must(&["history", "--kind", "waiting", "--output", "json"]);
        assert!(said.contains("refused at the start") && said.contains("routing.toml:"), "{said}");
        site.must(&[lift]);
        std::fs::write(&routing, format!("{other}\n")).unwrap();
        wait_until("it is followed", SOON, || served() == "green");
    }
}

#[test]
fn a_state_that_is_lost_takes_its_locks_with_it_and_that_is_said() {
    let site = Site::new(FAST);
    site.must(&["freeze", "--reason", "sale"]);
    let state = site.routing().with_file_name("cutover.db");
    let site = site.restart_with("INT", || {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", state.display()));
        }
    });
    wait_until("it is on record", SOON, || site.kinds().contains(&ChangeKind::Added));
    let said = site.must(&["history", "--kind", "added", "--output", "json"]);
    assert!(said.contains("the state before is lost"), "{said}");
}

#[test]
fn a_command_does_not_reach_another_cutover_because_its_main_file_is_wrong() {
    let site = Site::new(FAST);
    let broken = site.routing().with_file_name("broken.toml");
    for text in [None, Some("version = 1\nno_such_key = 1\n")] {
        if let Some(text) = text {
            std::fs::write(&broken, text).unwrap();
        }
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.args(["status", "-c"]).arg(&broken).env_remove("CUTOVER_ADMIN_URL").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("broken.toml"), "{said}");
    }
}
