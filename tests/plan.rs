//! What a deploy would come to: asked before it, warned of by it, and told while it waits.

use serde_json::Value;

use crate::rollouts::Site;
use crate::support::client::get;
use crate::support::{SOON, wait_until};

/// Few requests in a long step: its bake time says nothing of how long it takes.
const SLOW: &str = "steps = [10, 50, 100]\nbake = \"2s\"\nrequests = 500\n";

fn plan(site: &Site, args: &[&str]) -> Value {
    let said = site.must(&[&["plan", "2.0.0", "--output", "json"], args].concat());
    serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"))
}

/// So many requests, and they are counted.
fn ask(site: &Site, requests: u64) {
    let address = site.process.address;
    (0..requests).for_each(|_| drop(get(address, "/", &[])));
    wait_until("all are counted", SOON, || plan(site, &[])["traffic"]["requests"].as_u64() >= Some(requests));
}

#[test]
fn a_plan_says_how_long_each_step_takes_and_what_it_sees() {
    let site = Site::new(SLOW);
    let none = plan(&site, &[]);
    assert_eq!((&none["least_ms"], &none["traffic"]["rate"]), (&Value::Null, &0.0.into()), "{none}");
    assert!(none["warnings"][0].as_str().unwrap().starts_with("no requests come, so these steps do not end"), "{none}");

    let plan = plan(&site, &["--rate", "50"]);
    let steps = plan["steps"].as_array().unwrap();
    let least: Vec<u64> = steps.iter().map(|step| step["least_ms"].as_u64().unwrap()).collect();
    assert_eq!(least, [100_000, 20_000, 10_000], "{plan}");
    assert_eq!(
        (&plan["least_ms"], &plan["version"], &plan["environment"]),
        (&130_000.into(), &"2.0.0".into(), &"green".into())
    );
    assert_eq!((&steps[0]["limit"], &steps[0]["wanted"]), (&"requests".into(), &500.into()));
    let shows = |at: usize| steps[at]["shows"].as_f64().unwrap();
    assert!(shows(1) < shows(0) && (1.0..5.0).contains(&shows(0)), "{plan}");
    assert_eq!((&steps[2]["shows"], &steps[2]["sight"]), (&Value::Null, &"triggers".into()), "nothing to compare with");

    let said = site.must(&["plan", "2.0.0", "--rate", "50"]);
    for part in [
        "shop: 2.0.0 on green, at 50 requests/s; none of active's fail",
        "2m 10s at least to the promotion",
        "the requests that the plan wants take longer than the bake time: 10 % (1m 40s), 50 % (20s), 100 % (10s)",
        "active gets no requests to compare with, so only triggers and health checks judge: 100 %",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = site.cutover(&["plan", "--function", "basket"]);
    assert!(code == Some(1) && said.contains("basket"), "{said}");
    let (code, said) = site.cutover(&["plan", "--rate=-1"]);
    assert!(code != Some(0) && said.contains("rate"), "{said}");
}

#[test]
fn a_deploy_warns_in_one_line_and_its_wait_says_how_long_the_requests_take() {
    let site = Site::new(SLOW);
    ask(&site, 40);
    let said = site.must(&["deploy", "2.0.0"]);
    let warning = said
        .lines()
        .find(|line| line.contains("take longer than the bake time: 10 % ("))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(warning.contains("requests/s in the last ") && warning.ends_with("see `cutover plan`"), "{warning}");
    site.wait_for_phase("shifting");
    let waiting = || site.status()["rollout"]["waiting_for"].to_string();
    assert!(waiting().contains("0 of 500 requests (none yet)"), "{}", waiting());
    let address = site.process.address;
    wait_until("the rest is estimated", SOON, || {
        drop(get(address, "/", &[]));
        waiting().contains(" of 500 requests (about ")
    });
    let status = site.status();
    assert!(status["rollout"]["left_ms"].as_u64() > Some(6000), "more than the bake times: {status}");
    let said = site.must(&["abort"]);
    assert!(said.starts_with("shop: abort from 10 % to 0 % (entry "), "{said}");
    let said = site.must(&["shift", "25"]);
    assert!(said.starts_with("shop: traffic shift from 0 % to 25 % (entry "), "{said}");
}
