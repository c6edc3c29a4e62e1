//! Environments that take only so many requests at once: who waits for how long, who is sent elsewhere, and what clients see.

use std::sync::mpsc;
use std::time::Duration;

use judgement::traffic::Environment;
use memory::counters::{AttemptFailure, ResponseClass};
use tokio::sync::watch;

use crate::support::client::{Answer, Client};
use crate::support::front::{Front, NOBODY, at, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::House;
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

/// A house whose environments have these lines more.
fn house(blue: &str, green: &str, split: &str, rest: &str) -> House {
    House::with(split, rest, |settings| {
        let text = std::fs::read_to_string(&settings.routing).unwrap();
        let text = text.replacen("[service.shop.blue]\n", &format!("[service.shop.blue]\n{blue}\n"), 1);
        let text = text.replacen("[service.shop.green]\n", &format!("[service.shop.green]\n{green}\n"), 1);
        std::fs::write(&settings.routing, text).unwrap();
    })
}

/// The origin answers once this is true.
fn hold(origin: &Origin) -> watch::Sender<bool> {
    let (free, held) = watch::channel(false);
    origin.always(Do::When(held));
    free
}

fn ask(house: &House) -> Client {
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client
}

/// A request that the origin has, and does not answer yet.
fn asked(house: &House, origin: &Origin) -> Client {
    let before = origin.requests();
    let client = ask(house);
    wait_until("the origin has it", SOON, || origin.requests() > before);
    client
}

/// A request on a thread of its own.
fn ask_aside(house: &House, answers: &mpsc::Sender<Answer>) {
    let (mut client, answers) = (ask(house), answers.clone());
    std::thread::spawn(move || answers.send(client.answer()));
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body.as_str())
}

const URL: &str = "https://shop.test/";
const BUSY: (u16, &str) = (503, "503 the origin is busy\n");

fn failures(house: &House, side: Environment) -> u64 {
    house.seen(side).failures[AttemptFailure::Busy as usize]
}

#[test]
fn an_environment_takes_so_many_requests_at_once_and_so_many_wait() {
    let house = house("max_connections = 2\nqueue = 1", "", "weight = 0", "");
    let free = hold(&house.blue);
    let mut first = [asked(&house, &house.blue), asked(&house, &house.blue)];
    // One of two waits, whichever is first; the other one is told at once.
    let (answers, told) = mpsc::channel();
    ask_aside(&house, &answers);
    ask_aside(&house, &answers);
    assert_eq!(said(&told.recv_timeout(SOON).unwrap()), BUSY);
    // A reload changes nothing for those that are there.
    house.set("expose = true");
    assert_eq!(said(&ask(&house).answer()), BUSY);
    assert_eq!(house.blue.requests(), 2);
    free.send(true).unwrap();
    assert_eq!(said(&told.recv_timeout(SOON).unwrap()), (200, "blue"));
    assert!(first.iter_mut().all(|client| said(&client.answer()) == (200, "blue")));
    wait_until("they are counted", SOON, || failures(&house, Environment::Blue) == 2);
    assert_eq!((house.blue.requests(), said(&ask(&house).answer())), (3, (200, "blue")));
}

#[test]
fn who_leaves_waits_no_more() {
    let house = house("max_connections = 1\nqueue = 1", "", "weight = 0", "[service.shop.timeouts]\nqueue = \"1m\"\n");
    let free = hold(&house.blue);
    let mut first = asked(&house, &house.blue);
    let (answers, told) = mpsc::channel();
    let waiting = [ask(&house), ask(&house)];
    wait_until("one is too many", SOON, || failures(&house, Environment::Blue) == 1);
    drop(waiting);
    let left = || house.seen(Environment::Blue).classes[ResponseClass::Aborted as usize];
    wait_until("the other one has left", SOON, || left() == 1);
    ask_aside(&house, &answers);
    free.send(true).unwrap();
    assert_eq!(said(&told.recv_timeout(SOON).unwrap()), (200, "blue"));
    assert_eq!(said(&first.answer()), (200, "blue"));
    assert_eq!(house.blue.requests(), 2, "nobody asked for the one that left");
}

#[test]
fn a_candidate_that_is_too_slow_for_its_requests_has_failed_and_active_serves_them() {
    for rescue in [true, false] {
        let split = format!("weight = 100\nrescue = {rescue}");
        let rest = "[service.shop.timeouts]\nqueue = \"100ms\"\n[service.shop.guard]\nevidence = false\n\
                    dead_candidate = false\n";
        let house = house("", "max_connections = 1", &split, rest);
        let _held = hold(&house.green);
        let _first = asked(&house, &house.green);
        let served = if rescue { (200, "blue") } else { BUSY };
        assert_eq!(said(&house.client().request("POST", "/", &[], "body")), served, "nothing of it was sent");
        wait_until("it is counted", SOON, || failures(&house, Environment::Green) == 1);
        assert_eq!(house.green.requests(), 1);
    }
}

#[test]
fn an_address_with_room_is_asked_before_anyone_waits() {
    let second = Origin::start("second");
    let house = House::with("weight = 0", "", |settings| {
        let text = std::fs::read_to_string(&settings.routing).unwrap();
        let (before, rest) = text.split_once("url = \"").unwrap();
        let (first, rest) = rest.split_once('"').unwrap();
        let urls = format!("urls = [\"{first}\", \"{}\"]\nmax_connections = 1", second.url());
        std::fs::write(&settings.routing, format!("{before}{urls}{rest}")).unwrap();
    });
    let (blue, other) = (hold(&house.blue), hold(&second));
    let mut clients: Vec<Client> = (0..2).map(|_| ask(&house)).collect();
    wait_until("each has one", SOON, || (house.blue.requests(), second.requests()) == (1, 1));
    // Whichever is free first.
    let (answers, told) = mpsc::channel();
    ask_aside(&house, &answers);
    other.send(true).unwrap();
    assert_eq!(said(&told.recv_timeout(SOON).unwrap()), (200, "second"));
    assert_eq!((house.blue.requests(), second.requests()), (1, 2));
    for _ in 0..4 {
        assert_eq!(said(&ask(&house).answer()), (200, "second"));
    }
    blue.send(true).unwrap();
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
    assert_eq!(failures(&house, Environment::Blue), 0);
}

#[test]
fn requests_are_counted_where_they_share_a_connection() {
    let origin = H2Origin::clear();
    let (free, held) = watch::channel(false);
    origin.does(move |mut exchange| {
        let mut held = held.clone();
        async move {
            let _ = held.wait_for(|free| *free).await;
            exchange.say(200, "served");
        }
    });
    let lines = at(&origin, "h2 = \"only\"\nmax_connections = 2\nqueue = 0");
    let front = Front::start(&routing(&lines, NOBODY, ""), &[]);
    block_on(async {
        let [mut one, mut other, mut third] = [front.client().await, front.client().await, front.client().await];
        let busy = async {
            while origin.requests() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let busy = third.get(URL).await.unwrap();
            free.send(true).unwrap();
            busy.status
        };
        let (one, other, busy) = tokio::join!(one.get(URL), other.get(URL), busy);
        assert_eq!((one.unwrap().status, other.unwrap().status, busy), (200, 200, 503));
        assert_eq!(third.get(URL).await.unwrap().status, 200);
    });
    front.wait_for_failures(Environment::Blue, AttemptFailure::Busy, 1);
}
