//! Server-sent events: live, told again, filtered, and not more than there is room for.

use serde_json::Value;

use super::{Desk, SLOW, house};
use crate::support::client::Client;
use crate::support::{SOON, wait_until};

const EVENTS: &str = "/api/admin/events";

/// A stream that is open.
struct Stream {
    client: Client,
    text: String,
}

impl Stream {
    fn open(desk: &Desk, path: &str, lines: &[&str]) -> Stream {
        let mut client = Client::to(desk.admin);
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            desk.admin, desk.token
        ));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        Stream { client, text: String::new() }
    }

    /// The next event of an entry: its id, its name, its data.
    fn next(&mut self) -> (u64, String, Value) {
        loop {
            if let (Some(id), kind, data) = self.any() {
                return (id, kind, data);
            }
        }
    }

    /// The next event, with an id or without.
    fn named(&mut self) -> (String, Value) {
        let (_, kind, data) = self.any();
        (kind, data)
    }

    fn any(&mut self) -> (Option<u64>, String, Value) {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(kind), Some(data)) = (field("event:"), field("data:")) {
                    let id = field("id:").map(|id| id.parse().unwrap());
                    return (id, kind.to_owned(), serde_json::from_str(data).unwrap());
                }
            }
            self.text.push_str(&self.client.chunk());
        }
    }
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let mut stream = Stream::open(&desk, EVENTS, &[]);
    desk.shift(10.0).is_done();
    let (id, kind, data) = stream.next();
    assert_eq!(
        (kind.as_str(), &data["who"], &data["service"], &data["id"]),
        ("shift", &"ann".into(), &"shop".into(), &id.into())
    );
    desk.act("emergency_stop").is_done();
    let (next, kind, data) = stream.next();
    assert_eq!((next, kind.as_str(), &data["level"]), (id + 1, "stop", &"critical".into()));
}

#[test]
fn what_was_missed_is_told_again_in_order_and_once() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    for percent in 1..=5 {
        desk.shift(f64::from(percent)).is_done();
    }
    let mut stream = Stream::open(&desk, EVENTS, &["Last-Event-ID: 2"]);
    desk.shift(6.0).is_done();
    let ids: Vec<u64> = (0..5).map(|_| stream.next().0).collect();
    let first = ids[0];
    assert!(first > 2);
    assert_eq!(ids, (first..first + 5).collect::<Vec<_>>());
    let mut by_query = Stream::open(&desk, &format!("{EVENTS}?last_event_id={}", first + 3), &[]);
    assert_eq!(by_query.next().0, first + 4);
    desk.get(&format!("{EVENTS}?service=shpo")).is_refused(404, "no_such_service");
    let mut filtered = Stream::open(&desk, &format!("{EVENTS}?service=shop&last_event_id=0"), &[]);
    assert_eq!(filtered.next().2["service"], "shop");
}

#[test]
fn a_reload_is_an_event() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let mut stream = Stream::open(&desk, EVENTS, &[]);
    house.write("weight = 0", "[service.shop.rollout]\nbake = \"7m\"");
    let news = std::iter::repeat_with(|| stream.next()).find(|(_, kind, _)| kind == "reload").unwrap();
    assert_eq!((&news.2["level"], &news.2["who"]), (&"info".into(), &"file".into()));
}

#[test]
fn who_saw_an_entry_that_there_is_not_gets_everything_and_is_told_so() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    desk.shift(1.0).is_done();
    for unknown in ["4711", "x", "-1", "01HV-of-another"] {
        let by_header = Stream::open(&desk, EVENTS, &[&format!("Last-Event-ID: {unknown}")]);
        let by_query = Stream::open(&desk, &format!("{EVENTS}?last_event_id={unknown}"), &[]);
        for mut stream in [by_header, by_query] {
            let (kind, data) = stream.named();
            assert_eq!((kind.as_str(), &data["last_event_id"]), ("reset", &unknown.into()), "{data}");
            assert_eq!(stream.next().0, 1, "from the first entry on");
        }
    }
    let mut known = Stream::open(&desk, EVENTS, &["Last-Event-ID: 1"]);
    assert_ne!(known.named().0, "reset");
}

#[test]
fn who_reads_slowly_misses_nothing() {
    let house = house("weight = 0", SLOW);
    let desk = Desk::admin(&house);
    let mut stream = Stream::open(&desk, EVENTS, &[]);
    // More than the channel holds, before anything is read.
    let give = |percent: u16| {
        let weight = judgement::traffic::split::Weight::from_basis_points(percent).unwrap();
        let act = judgement::rollout::OperatorAction::Shift { weight, gradual: false, force: false };
        let command = judgement::rollout::OperatorCommand { service: "shop".into(), act, ..Default::default() };
        house.running.sidecar.command(command).unwrap().unwrap().entry.unwrap()
    };
    let ids: Vec<u64> = (1..=600).map(give).collect();
    let told: Vec<u64> = ids.iter().map(|_| stream.next().0).collect();
    assert_eq!(told, ids);
}

#[test]
fn there_is_room_for_so_many_and_the_next_may_come_when_one_has_gone() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let mut open: Vec<Stream> = (0..48).map(|_| Stream::open(&desk, EVENTS, &[])).collect();
    let full = desk.get(EVENTS);
    full.is_refused(503, "too_many_streams");
    assert!(full.answer.header("retry-after").is_some());
    open.pop();
    wait_until("there is room again", SOON, || {
        let mut client = Client::to(desk.admin);
        client.send(format!(
            "GET {EVENTS} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            desk.admin, desk.token
        ));
        client.head().starts_with("HTTP/1.1 200")
    });
}

#[test]
fn a_stream_ends_when_the_house_does() {
    let house = house("weight = 0", "");
    let desk = Desk::admin(&house);
    let mut stream = Stream::open(&desk, EVENTS, &[]);
    house.running.stop();
    let _ = stream.client.rest();
}
