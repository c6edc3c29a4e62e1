//! Whether the split holds, as an operator sees it: the real program, real clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use judgement::rollout::ChangeKind;
use judgement::traffic::split::{KeyBucket, Weight};
use judgement::traffic::sticky::{BucketSalt, StickyKey, bucket};

use crate::rollouts::{LONG, QUICK, Site};
use crate::support::client::{admin, get};
use crate::support::house::Load;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// A site whose clients are told apart by the header `x-plan`, and whose plan begins at 10 %.
fn site(sample_ratio: &str) -> Site {
    let site = Site::new(QUICK);
    let text = std::fs::read_to_string(site.routing()).unwrap();
    let split = "[service.shop.split]\n";
    assert!(text.contains(split), "{text}");
    let text = text.replace(split, &format!("{split}sticky = {{ header = \"x-plan\" }}\n"));
    let guard = format!("\n[service.shop.guard]\nsample_ratio = \"{sample_ratio}\"\n");
    std::fs::write(site.routing(), text + &guard).unwrap();
    site.restart("INT")
}

/// Clients that send one of these values each, one after another.
fn load(site: &Site, values: Vec<String>) -> Load {
    Load::asking(site.process.address, 4, Duration::from_millis(1), move |client, turn| {
        client.try_request("GET", "/", &[&format!("X-Plan: {}", values[turn % values.len()])], "")
    })
}

fn metric(site: &Site, name: &str) -> Option<f64> {
    let metrics = admin(site.process.admin, "/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_key_with_three_values_is_told_of_and_holds_the_step() {
    let site = site("hold");
    let tenth = Weight::from_percent(10.0).unwrap();
    let of =
        |key: &String| -> KeyBucket { bucket(BucketSalt::of_service("shop"), 0, StickyKey::Bytes(key.as_bytes())) };
    let names = (0..).map(|number| format!("plan-{number}"));
    let values: Vec<String> = names.filter(|name| tenth <= of(name)).take(3).collect();
    let load = load(&site, values);
    site.must(&["deploy", "2.0.0"]);
    wait_until("it is told", LONG, || site.kinds().contains(&ChangeKind::SampleRatio));
    let said = site.must(&["status"]);
    let cause = "likely cause: 3 clients, by the header `x-plan`, send all ";
    assert!(said.contains("a split that holds: green got 0 % of ") && said.contains(cause), "{said}");
    assert!(said.contains(" requests where 10 % are promised: "), "{said}");

    let status = site.status();
    let split = &status["guard"]["split"];
    assert_eq!(split["decisions"]["of"], 3, "{split}");
    assert_eq!((split["requests"]["promised"].as_f64(), split["requests"]["got"].as_f64()), (Some(10.0), Some(0.0)));
    assert!(split["mismatch"].as_str().unwrap().contains(cause), "{split}");
    let reasons = &status["rollout"]["waiting_for"];
    assert!(reasons.to_string().contains("a split that holds: green got 0 % of "), "{reasons}");
    assert_eq!(metric(&site, "cutover_rollout_waiting{service=\"shop\",reason=\"sample_ratio\"}"), Some(1.0));
    let promised = metric(&site, "cutover_guard_split_promised_ratio{service=\"shop\",of=\"requests\"}");
    assert!(promised.is_some_and(|promised| (promised - 0.1).abs() < 1e-9), "{promised:?}");
    assert_eq!(metric(&site, "cutover_guard_split_got_ratio{service=\"shop\",of=\"requests\"}"), Some(0.0));
    assert!(metric(&site, "cutover_guard_split_evidence{service=\"shop\"}").is_some_and(|odds| odds < 1000.0));
    assert_eq!((status["weight"].as_f64(), status["rollout"]["phase"].as_str()), (Some(10.0), Some("shifting")));

    // Other clients come, and the split holds.
    load.stop();
    let _load = self::load(&site, (0..5000).map(|number| format!("user-{number}")).collect());
    wait_until("the split holds", LONG, || site.status()["guard"]["split"]["mismatch"].is_null());
    wait_until("the step is left", LONG, || site.status()["weight"].as_f64() != Some(10.0));
}

#[test]
fn clients_by_key_and_requests_without_one_pass_a_rollout_without_a_word() {
    let site = site("hold");
    let load = Load::asking(site.process.address, 8, Duration::from_millis(1), |client, turn| match turn % 3 {
        0 => client.try_request("GET", "/", &[], ""),
        _ => client.try_request("GET", "/", &[&format!("X-Plan: user-{}", turn * 7919 % 997)], ""),
    });
    site.must(&["deploy", "2.0.0", "--wait", "--through-watch"]);
    assert_eq!(load.stop().1, 0);
    wait_until("all of it is in the journal", SOON, || site.kinds().contains(&ChangeKind::Watched));
    assert!(!site.kinds().contains(&ChangeKind::SampleRatio), "{:?}", site.kinds());
    assert_eq!(metric(&site, "cutover_guard_split_evidence{service=\"shop\"}"), None, "nothing is divided any more");
}

#[test]
fn what_is_drawn_is_counted_once_it_is_sent_and_the_figures_are_exact() {
    let site = Site::new("steps = [{ weight = 20, bake = \"1h\" }, 100]\n");
    site.must(&["deploy", "2.0.0"]);
    wait_until("it is under way", SOON, || site.status()["weight"].as_f64() == Some(20.0));
    (0..100).for_each(|_| assert!(get(site.process.address, "/", &["Connection: close"]).is_good()));
    let split = || site.status()["guard"]["split"].clone();
    wait_until("all are counted", SOON, || split()["requests"]["of"] == 100);
    let seen = split();
    assert_eq!((seen["decisions"]["of"].as_u64(), seen["decisions"]["promised"].as_f64()), (Some(100), Some(20.0)));
    // Each worker draws exactly, to within one request.
    let got = seen["decisions"]["got"].as_f64().unwrap();
    assert!((17.0..=23.0).contains(&got), "{seen}");
}

#[test]
fn clients_that_hang_up_on_the_candidate_are_told_of_as_the_cause_and_hold_nothing_by_default() {
    let site = Site::new("steps = [{ weight = 20, bake = \"1h\" }, 100]\n");
    let text = std::fs::read_to_string(site.routing()).unwrap();
    std::fs::write(site.routing(), text + "\n[service.shop.guard]\nevidence = false\n").unwrap();
    let site = site.restart("INT");
    site.must(&["deploy", "2.0.0"]);
    wait_until("it is under way", SOON, || site.status()["weight"].as_f64() == Some(20.0));
    site.green.always(Do::Slow(Duration::from_secs(5)));
    wait_until("it is told", LONG, || {
        let mut client = TcpStream::connect(site.process.address).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n").unwrap();
        let _ = client.read(&mut [0; 4096]);
        drop(client);
        site.kinds().contains(&ChangeKind::SampleRatio)
    });
    let said = site.must(&["status"]);
    let cause = " of what green was sent ended before there was an answer, and 0 % of blue's (the client hung up";
    assert!(said.contains("the split does not hold: green got ") && said.contains(cause), "{said}");
    assert!(!said.contains("a split that holds"), "{said}");
}
