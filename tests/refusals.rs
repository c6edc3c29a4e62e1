//! A candidate that refuses its clients or sends them elsewhere fails nothing, and is worse all the same.

use std::time::Duration;

use judgement::rollout::ChangeKind;

use crate::support::house::{House, Load};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// Clients of so many addresses, behind a trusted proxy; the first one asks far more often than the others.
fn crowd(house: &House, greedy: &'static str) -> (Load, Load) {
    let many = Load::asking(house.address(), 4, Duration::from_millis(4), |client, turn| {
        let address = format!("X-Forwarded-For: 10.0.{}.{}", turn % 7, turn % 251);
        client.try_request("GET", "/", &[&address], "")
    });
    let one = Load::asking(house.address(), 2, Duration::from_millis(2), move |client, _| {
        client.try_request("GET", "/gone", &[greedy], "")
    });
    (many, one)
}

fn house(split: &str) -> House {
    House::with(split, "", |settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
}

#[test]
fn a_candidate_that_refuses_or_redirects_everybody_is_taken_back() {
    for (what, status) in [("401", 401), ("404", 404), ("429", 429), ("a redirect", 302)] {
        let house = House::start("weight = 20", "");
        let load = Load::asking(house.address(), 4, Duration::from_millis(5), |client, _| {
            client.try_request("GET", "/", &[], "")
        });
        std::thread::sleep(Duration::from_secs(1));
        house.green.always(Do::Status(status));
        wait_until(what, SOON, || house.find(ChangeKind::Rollback).is_some());
        let why = house.entry(ChangeKind::Rollback).change.why;
        assert!(why.contains("with 4xx or a redirect"), "{what}: {why}");
        load.stop();
    }
}

#[test]
fn what_both_sides_refuse_and_what_one_client_asks_in_vain_takes_nobody_back() {
    let house = house("weight = 50\nsticky = { client_address = true }");
    for side in [&house.blue, &house.green] {
        side.does(|request| if request.line().contains("/gone") { Do::Status(404) } else { Do::Status(200) });
    }
    // One of these is on green, whoever that is.
    for greedy in ["X-Forwarded-For: 10.1.0.1", "X-Forwarded-For: 10.1.0.2", "X-Forwarded-For: 10.1.0.3"] {
        let (many, one) = crowd(&house, greedy);
        std::thread::sleep(Duration::from_secs(4));
        many.stop();
        one.stop();
    }
    assert_eq!(house.weight(), 5000, "{:?}", house.find(ChangeKind::Rollback).map(|entry| entry.change.why));
}
