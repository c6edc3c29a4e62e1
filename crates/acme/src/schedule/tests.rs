use super::*;

const DAY: i64 = 86_400;
const WALL: i64 = 1_800_000_000;
const RETRY: Millis = Millis::seconds(120);

fn schedule(names: &[(&str, Option<CertificateOutlook>)]) -> OrderSchedule {
    let mut schedule = OrderSchedule::new(RETRY, OrderRecord::default(), Millis::ZERO, WALL);
    names.iter().for_each(|(name, certificate)| schedule.add(name, *certificate, false, Millis::ZERO, WALL));
    schedule
}

fn ninety_days(age: i64) -> CertificateOutlook {
    CertificateOutlook::new(WALL - age, WALL - age + 90 * DAY, 0.5)
}

/// Has every order fail for as long as this, and returns when they went out.
fn failing(schedule: &mut OrderSchedule, from: Millis, seconds: u64) -> Vec<u64> {
    let mut orders = Vec::new();
    for second in 0..seconds {
        let now = Millis(from.0 + second * 1000);
        while let Some(name) = schedule.due(now, WALL + second as i64) {
            schedule.begin(&name, now);
            schedule.fail(&name, "refused".to_owned(), None, 0.0, now);
            orders.push(second);
        }
    }
    orders
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_time_or_a_little_earlier() {
    for draw in [0.0, 0.3, 1.0] {
        let renew = CertificateOutlook::new(WALL, WALL + 90 * DAY, draw).renew - WALL;
        assert!((57 * DAY..=60 * DAY).contains(&renew), "{draw}: {} days", renew / DAY);
    }
    let mut schedule = schedule(&[("shop.test", Some(ninety_days(56 * DAY)))]);
    assert_eq!(schedule.due(Millis::ZERO, WALL), None);
    assert_eq!(schedule.due(Millis::ZERO, WALL + 4 * DAY).as_deref(), Some("shop.test"));
    assert_eq!(CertificateOutlook::new(WALL, WALL - 1, 0.5).renew, WALL, "no life at all");
}

#[test]
fn what_has_no_certificate_goes_first_and_then_what_ends_first() {
    let old = |days| Some(ninety_days(days * DAY));
    let mut schedule = schedule(&[("a.test", old(70)), ("b.test", old(80)), ("c.test", None)]);
    let mut order = Vec::new();
    while let Some(name) = schedule.due(Millis::ZERO, WALL) {
        schedule.begin(&name, Millis::ZERO);
        schedule.succeed(&name, ninety_days(0));
        order.push(name);
    }
    assert_eq!(order, ["c.test", "b.test", "a.test"]);
}

#[test]
fn failures_double_the_pause_up_to_six_hours_and_five_fit_in_the_first_hour() {
    let mut schedule = schedule(&[("shop.test", None)]);
    let orders = failing(&mut schedule, Millis::ZERO, 3 * 24 * 3600);
    assert_eq!(&orders[..6], &[0, 120, 360, 840, 1800, 3720]);
    let pauses: Vec<u64> = orders.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.last(), Some(&(6 * 3600)), "capped");
    assert!(orders.len() < 20, "{} orders in three days", orders.len());
}

#[test]
fn all_names_together_have_a_hundred_orders_an_hour() {
    let names: Vec<String> = (0..500).map(|at| format!("shop-{at}.test")).collect();
    let names: Vec<(&str, Option<CertificateOutlook>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    let mut schedule = schedule(&names);
    let orders = failing(&mut schedule, Millis::ZERO, 2 * 3600);
    assert_eq!(orders.iter().filter(|second| **second < 3600).count(), ORDERS_AN_HOUR);
    assert_eq!(orders.iter().filter(|second| **second >= 3600).count(), ORDERS_AN_HOUR);
}

#[test]
fn a_clock_that_jumps_makes_no_storm() {
    let mut schedule = schedule(&[("shop.test", Some(ninety_days(0)))]);
    // Years ahead and back, each minute for a day: each certificate is dated by a CA whose clock is right.
    let mut orders = 0;
    for minute in 0..24 * 60 {
        let (now, jump) = (Millis(minute * 60_000), if minute % 2 == 0 { 3650 * DAY } else { -3650 * DAY });
        while let Some(name) = schedule.due(now, WALL + jump) {
            schedule.begin(&name, now);
            // As the keeper has it: a certificate that is due as it comes has failed.
            schedule.fail(&name, "due".to_owned(), None, 0.0, now);
            orders += 1;
        }
    }
    assert!((1..20).contains(&orders), "{orders} orders in a day");
}

#[test]
fn a_restart_neither_forgets_pauses_nor_lengthens_them() {
    let mut before = schedule(&[("shop.test", None)]);
    assert_eq!(failing(&mut before, Millis::ZERO, 700), [0, 120, 360]);
    let record = |wall| {
        let text = serde_json::to_string(&before.record(Millis::seconds(700), wall)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    for (jump, wait) in [(0, 140), (-3650 * DAY, 480 + 6 * 3600), (3650 * DAY, 1)] {
        let mut after = OrderSchedule::new(RETRY, record(WALL + 700), Millis(50), WALL + 700 + jump);
        after.add("shop.test", None, false, Millis(50), WALL + 700 + jump);
        let next = (0..).find(|second| after.due(Millis(50 + second * 1000), WALL).is_some()).unwrap();
        assert!(next <= wait && (jump != 0 || next >= 139), "{next} s after a jump of {jump} s");
        assert_eq!(after.names()["shop.test"].failures, 3);
    }
    let many = OrderRecord { orders: vec![WALL; ORDERS_AN_HOUR], ..OrderRecord::default() };
    let mut after = OrderSchedule::new(RETRY, many, Millis::ZERO, WALL + 60);
    after.add("shop.test", None, false, Millis::ZERO, WALL + 60);
    assert_eq!(after.due(Millis::ZERO, WALL), None, "the hour is used up");
    assert!(after.due(Millis::seconds(3541), WALL).is_some());
}

#[test]
fn a_ca_that_wants_to_be_left_alone_is_for_every_name() {
    let mut schedule = schedule(&[("a.test", None), ("b.test", None)]);
    schedule.begin("a.test", Millis::ZERO);
    let (_, pause) = schedule.fail("a.test", "rate limit".to_owned(), Some(HOUR), 0.0, Millis::ZERO).unwrap();
    assert_eq!(pause, HOUR);
    assert_eq!(schedule.due(Millis::seconds(3599), WALL), None);
    assert!(schedule.due(HOUR, WALL).is_some());
    schedule.fail("a.test", "rate limit".to_owned(), Some(Millis(u64::MAX)), 0.0, HOUR);
    assert!(schedule.due(Millis(HOUR.0 + LONGEST_REST.0), WALL).is_some(), "no longer than a day");
}

#[test]
fn strangers_cause_few_orders_and_are_forgotten() {
    let mut schedule = schedule(&[]);
    let asked = (0..ON_DEMAND_NAMES + 500).filter(|at| schedule.ask_for(&format!("{at}.test"), Millis::ZERO, WALL));
    assert_eq!(asked.count(), ON_DEMAND_NAMES);
    let orders = failing(&mut schedule, Millis::ZERO, 60);
    assert_eq!(orders.len(), ON_DEMAND_AN_HOUR);
    schedule.add("shop.test", None, false, Millis::ZERO, WALL);
    assert_eq!(schedule.due(Millis::seconds(60), WALL).as_deref(), Some("shop.test"), "the file's own goes on");
    schedule.retain(&[], Millis::seconds(3600), WALL);
    assert_eq!(schedule.names().len(), ON_DEMAND_NAMES - ON_DEMAND_AN_HOUR, "those that still wait");
    // One that has a certificate is kept until it ends, and renewed without being asked for.
    let mut schedule = self::schedule(&[]);
    assert!(schedule.ask_for("a.test", Millis::ZERO, WALL));
    schedule.begin("a.test", Millis::ZERO);
    schedule.succeed("a.test", ninety_days(0));
    schedule.retain(&[], HOUR, WALL);
    assert!(schedule.contains("a.test") && schedule.due(HOUR, WALL).is_none());
    assert!(schedule.due(HOUR, WALL + 60 * DAY).is_some());
    schedule.retain(&[], HOUR, WALL + 91 * DAY);
    assert!(!schedule.contains("a.test"));
}
