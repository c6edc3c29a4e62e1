//! What people lay over the routing file at run time: in force at once, listed, kept, and never above the file.

use cutover::admin::changes::{Change, ChangeError};
use cutover::serve::{self, Running};
use judgement::rollout::{ChangeKind, Requester};
use sidecar::CommandReceipt;

use crate::cli::cutover;
use crate::support::client::{Client, get};
use crate::support::house::House;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

fn change(running: &Running, change: Change) -> Result<CommandReceipt, ChangeError> {
    let caller = Requester { who: "ann".into(), why: "to see".into(), ..Requester::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(running.changes.apply("shop".into(), caller, change))
}

fn testers(value: &str) -> Change {
    let rule = format!(
        "name = \"testers\"\nto = \"green\"\noverride = true\nheader = {{ name = \"x-canary\", equals = \"{value}\" }}"
    );
    Change::PutRule { name: "testers".into(), rule }
}

fn side(running: &Running, value: &str) -> String {
    Client::to(running.addresses[0]).get("/", &[&format!("x-canary: {value}")]).body
}

#[test]
fn a_rule_laid_over_the_file_holds_at_once_outlives_reload_and_restart_and_goes_when_it_is_cleared() {
    let house = House::start("weight = 0", "");
    let done = change(&house.running, testers("always")).unwrap();
    assert!(done.written && done.entry.is_some());
    assert_eq!(side(&house.running, "always"), "green");
    assert_eq!(side(&house.running, "never"), "blue");

    house.set("expose = true");
    assert_eq!(side(&house.running, "always"), "green", "after a reload");
    let House { running, settings, blue: _blue, green: _green, dir: _dir } = house;
    running.stop();
    let running = serve::start(&settings).unwrap();
    assert_eq!(side(&running, "always"), "green", "after a restart");
    assert!(running.sidecar.status().unwrap().services[0].overlay.rules.contains_key("testers"), "and listed");

    change(&running, testers("sometimes")).unwrap();
    assert_eq!([side(&running, "always"), side(&running, "sometimes")], ["blue", "green"], "replaced whole");
    change(&running, Change::ClearOverlay).unwrap();
    assert_eq!(side(&running, "sometimes"), "blue");
    assert!(matches!(change(&running, Change::ClearOverlay), Err(ChangeError::Refused(_))), "nothing left to clear");
}

#[test]
fn the_history_names_what_was_laid_over_the_file_and_explain_shows_it() {
    let house = House::start("weight = 0", "");
    let entries = [testers("always"), testers("sometimes"), Change::ClearOverlay].map(|done| {
        let id = change(&house.running, done).unwrap().entry.unwrap();
        let state = house.settings.state.to_str().unwrap();
        let explained = cutover(house.dir.path(), &["explain", &id.to_string(), "--state", state]);
        (house.entry(ChangeKind::Overlay).change.why, String::from_utf8(explained.stdout).unwrap())
    });
    let [(set, was_set), (replaced, was_replaced), (cleared, was_cleared)] = entries;
    assert!(set.contains("rule testers is set at run time"), "{set}");
    assert!(replaced.contains("rule testers, set at run time, is replaced"), "{replaced}");
    assert!(cleared.contains("rule testers, set at run time, is removed"), "{cleared}");
    let lines = |explained: &str, side: &str| explained.lines().filter(|line| line.starts_with(side)).count();
    for (explained, [gone, new]) in [(&was_set, [0, 4]), (&was_replaced, [4, 4]), (&was_cleared, [4, 0])] {
        assert_eq!([lines(explained, "  - "), lines(explained, "  + ")], [gone, new], "{explained}");
    }
    let old = "  - header = { name = \"x-canary\", equals = \"always\" }";
    let new = "  + header = { name = \"x-canary\", equals = \"sometimes\" }";
    assert!(was_replaced.contains(old) && was_replaced.contains(new), "{was_replaced}");
}

#[test]
fn the_file_stays_the_truth_for_what_it_names() {
    let rule = "[[service.shop.rule]]\nname = \"testers\"\nto = \"green\"\noverride = true\nmethod = \"PUT\"\n";
    let house = House::start("weight = 0", rule);
    let refused = change(&house.running, testers("always")).unwrap_err();
    assert_eq!(refused.to_string(), "rule `testers` is defined in the routing file; change it there");
    let refused = change(&house.running, Change::DeleteRule { name: "testers".into() }).unwrap_err();
    assert!(matches!(refused, ChangeError::InTheFile { .. }), "{refused}");

    // What was laid over it first gives way when the file names it.
    house.write("weight = 0", "");
    wait_until("the file's rule is gone", SOON, || change(&house.running, testers("always")).is_ok());
    assert_eq!(side(&house.running, "always"), "green");
    house.write("weight = 0", rule);
    wait_until("the file's own rule holds", SOON, || side(&house.running, "always") == "blue");
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason_and_changes_nothing() {
    let house = House::start("weight = 0", "");
    let put = |rule: &str| change(&house.running, Change::PutRule { name: "x".into(), rule: rule.into() });
    for (rule, why) in [
        ("name = \"x\"\nto = \"green\"", "the rule has no condition"),
        ("name = \"x\"\nto = \"grean\"\nmethod = \"PUT\"", "did you mean `green`"),
        ("name = \"x\"\nto = \"green\"\nmethd = \"PUT\"", "unknown key `methd`"),
        ("name = \"x\"\nto = \"green\"\nroute = \"nowhere\"", "nowhere"),
    ] {
        let refused = put(rule).unwrap_err().to_string();
        assert!(refused.contains(why), "{rule}: {refused}");
    }
    let trigger =
        |trigger: &str| change(&house.running, Change::PutTrigger { name: "x".into(), trigger: trigger.into() });
    assert!(trigger("name = \"x\"\nmetric = \"error_rate\"").unwrap_err().to_string().contains("no limit"));
    assert!(matches!(
        change(&house.running, Change::DeleteRule { name: "x".into() }),
        Err(ChangeError::NotThere { .. })
    ));
    assert_eq!(house.find(ChangeKind::Overlay), None);

    std::fs::write(house.routing_path(), "[service.shop]\nnonsense = 1\n").unwrap();
    let refused = change(&house.running, testers("always")).unwrap_err();
    assert!(matches!(&refused, ChangeError::BadFile { problems } if problems.contains("nonsense")), "{refused:?}");
}

#[test]
fn a_trigger_laid_over_the_defaults_takes_the_place_of_its_namesake_and_rolls_back() {
    let house = House::start("weight = 50", "[service.shop.guard]\nevidence = false\ndead_candidate = false");
    let trigger = "name = \"high error rate\"\nmetric = \"error_rate\"\nabove = 50\nrequests = 5\nwindow = \"5s\"";
    change(&house.running, Change::PutTrigger { name: "high error rate".into(), trigger: trigger.into() }).unwrap();
    house.green.always(Do::Status(500));
    let mut client = house.client();
    wait_until("rolled back", SOON, || {
        client.get("/", &[]);
        house.weight() == 0
    });
    let entry = house.entry(ChangeKind::Rollback);
    assert!(entry.change.why.starts_with("high error rate"), "{}", entry.change.why);
    assert!(get(house.running.admin, "/readyz", &[]).is_good());
}
