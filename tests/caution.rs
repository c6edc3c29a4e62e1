//! Caution, through real sockets: who goes to a green that is in doubt, and what is told of those who do not.

use judgement::time::Millis;
use judgement::traffic::Environment::{Blue, Green};
use relay::access::{AccessLog, LogFormat, LogTarget, SampleRate};
use serde_json::Value;

use crate::support::house::House;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

#[test]
fn posts_go_to_blue_while_green_is_in_doubt_and_count_for_neither() {
    let house = House::with("weight = 50", "", |settings| {
        // A verdict waits for the grid, so that the doubt lasts.
        settings.tick = Millis::seconds(60);
        let target = LogTarget::File(settings.state.with_file_name("access.log"));
        settings.access_log = Some(AccessLog { target, format: LogFormat::Json, sample: SampleRate::ALL });
    });
    house.green.always(Do::Status(500));
    let mut client = house.client();
    wait_until("green is in doubt", SOON, || {
        assert_eq!(client.get("/", &[]).body, "blue", "rescued");
        house.split().cautious
    });
    let tally = |side| house.running.counters.route("shop", "default").totals(side).tally;
    let all_seen = || [Blue, Green].iter().map(|side| house.seen(*side).classes.iter().sum::<u64>()).sum::<u64>();
    let answered = || house.blue.requests() + house.green.requests();
    wait_until("all are counted", SOON, || all_seen() == answered());
    let (asked, blue, green) = (house.green.requests(), tally(Blue), tally(Green));
    for _ in 0..40 {
        assert_eq!(client.request("POST", "/", &[], "body").body, "blue");
    }
    let away = tally(Green).turned_away;
    assert!((19..=21).contains(&away), "half of them would have gone to green: {away}");
    assert_eq!(house.green.requests(), asked);
    wait_until("all are counted", SOON, || all_seen() == answered());
    assert_eq!((tally(Blue).requests, tally(Green).requests), (blue.requests, green.requests), "neither is judged");

    let before = house.green.requests();
    wait_until("a get still goes to green", SOON, || {
        assert_eq!(client.get("/", &[]).body, "blue", "and is rescued");
        house.green.requests() > before
    });
    let keyed = (0..4).map(|_| client.request("POST", "/", &["Idempotency-Key: k"], "body").body);
    assert!(keyed.collect::<Vec<_>>().iter().all(|body| body == "blue"));
    assert!(house.green.requests() > before + 1, "so does a post that may be repeated");

    let metric = format!("cutover_turned_away_total{{service=\"shop\",route=\"default\"}} {away}\n");
    assert!(house.metrics().contains(&metric), "no {metric}");
    let path = house.dir.path().join("access.log");
    let turned_away = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["turned_away"] == true).collect::<Vec<_>>()
    };
    wait_until("the log tells", SOON, || turned_away().len() as u64 == away);
    for line in turned_away() {
        assert_eq!(
            (&line["method"], &line["environment"], &line["status"]),
            (&"POST".into(), &"blue".into(), &200.into())
        );
    }
}
