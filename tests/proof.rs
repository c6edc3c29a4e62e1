//! The live proof: green turns bad in mid-flight, through real sockets. What clients saw is counted by the clients, and
//! must agree with the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use judgement::guard::judge;
use judgement::rollout::ChangeKind;
use judgement::rollout::ledger::RolloutLedger;
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use crate::support::client::Answer;
use crate::support::house::{House, Load};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// What failed as the clients saw it, of a mixture of GETs and POSTs without a key.
#[derive(Debug, Default)]
struct Book {
    failed_gets: AtomicU64,
    failed_posts: AtomicU64,
    /// Of these, those that were sent while caution was in force.
    failed_under_caution: AtomicU64,
}

/// Clients of which every fifth request is a POST, and their book.
fn load(house: &House, clients: usize, pause: Duration) -> (Load, Arc<Book>) {
    let (book, published) = (Arc::<Book>::default(), house.running.published.clone());
    let kept = book.clone();
    let load = Load::asking(house.address(), clients, pause, move |client, turn| {
        let post = turn.is_multiple_of(5);
        let cautious = published.load().table.services().any(|(_, _, split)| split.cautious);
        let answer = match post {
            true => client.try_request("POST", "/", &[], "an order"),
            false => client.try_request("GET", "/", &[], ""),
        };
        if !answer.as_ref().is_ok_and(Answer::is_good) {
            let failed = if post { &kept.failed_posts } else { &kept.failed_gets };
            failed.fetch_add(1, SeqCst);
            kept.failed_under_caution.fetch_add(u64::from(post && cautious), SeqCst);
        }
        answer
    });
    (load, book)
}

/// What came of a fault in mid-flight.
struct Outcome {
    house: House,
    book: Arc<Book>,
    ledger: RolloutLedger,
    reason: String,
}

/// Green at a tenth of the traffic is well for a while, then does `what`, until it is taken back.
fn turns_bad(what: &Do, clients: usize, pause: Duration) -> Outcome {
    let house = House::with("weight = 10", "[service.shop.timeouts]\nfirst_byte = \"1s\"\n", |settings| {
        settings.tick = judgement::time::Millis(20);
    });
    let (load, book) = load(&house, clients, pause);
    wait_until("green is in mid-flight", SOON, || house.green.requests() > 60);
    house.green.always(what.clone());
    house.wait_for_weight(0);
    let at_verdict = load.requests();
    wait_until("traffic goes on", SOON, || load.requests() > at_verdict + 100);
    load.stop();
    wait_until("the account is closed", SOON, || house.find(ChangeKind::Ledger).is_some());
    let entry = house.entry(ChangeKind::Rollback);
    let evidence = entry.change.evidence.unwrap();
    assert_eq!(judge(&evidence.policy, &evidence.sight), evidence.judgement, "{what:?}: the entry replays");
    let (tape, weighed) = (evidence.tape.expect("a tape"), evidence.sight.evidence.expect("evidence"));
    let again = tape.replay().1.evidence();
    assert!((again / weighed.parts[0].evidence - 1.0).abs() < 1e-6, "{what:?}: and so does its evidence");
    let ledger = house.entry(ChangeKind::Ledger).change.ledger.unwrap();
    Outcome { house, book, ledger, reason: entry.change.why }
}

impl Outcome {
    /// The clients' books and the ledger say the same.
    fn agree(&self, what: &str) {
        let Outcome { book, ledger, .. } = self;
        let seen = book.failed_gets.load(SeqCst) + book.failed_posts.load(SeqCst);
        // What met a connection that green was closing is counted apart.
        let stale = self.house.seen(Environment::Green).failures[AttemptFailure::Stale as usize];
        assert_eq!(ledger.hurt + stale, seen, "{what}: {ledger:?}");
        assert_eq!(ledger.failed, ledger.rescued + ledger.hurt, "{what}: {ledger:?}");
        assert!(ledger.closed && ledger.verdict.is_some() && ledger.first_failure <= ledger.verdict, "{ledger:?}");
    }
}

#[test]
fn a_green_that_turns_bad_hurts_no_get_and_hardly_a_post() {
    for (clients, pause) in [(5, 50), (10, 20), (20, 20)] {
        for way in [Do::Status(500), Do::Reset] {
            let name = format!("{way:?} at {clients} clients");
            let outcome = turns_bad(&way, clients, Duration::from_millis(pause));
            outcome.agree(&name);
            let Outcome { house, book, ledger, reason } = &outcome;
            assert_eq!(book.failed_gets.load(SeqCst), 0, "{name}: {book:?}");
            // Caution begins after three failures and a look, which a busy machine takes later.
            assert!(book.failed_posts.load(SeqCst) <= 6, "{name}: {book:?}");
            assert_eq!(book.failed_under_caution.load(SeqCst), 0, "{name}: {book:?}");
            assert!(reason.contains("green fails"), "{reason}");
            if matches!(way, Do::Status(_)) {
                // A reset may be a kept connection that was closed already: then the request is sent again, and counts once.
                assert_eq!(ledger.requests, house.green.requests(), "{name}: {ledger:?}");
            }
        }
    }
}

#[test]
fn a_green_that_hangs_is_taken_back_and_its_gets_are_served_by_blue() {
    let outcome = turns_bad(&Do::Hang, 40, Duration::from_millis(20));
    outcome.agree("hang");
    assert_eq!(outcome.book.failed_gets.load(SeqCst), 0, "{:?}", outcome.book);
    assert!(outcome.reason.contains("hang") || outcome.reason.contains("fails"), "{}", outcome.reason);
}

#[test]
fn a_green_that_is_slow_is_taken_back_and_nobody_sees_a_failure() {
    let outcome = turns_bad(&Do::Slow(Duration::from_millis(150)), 40, Duration::from_millis(20));
    outcome.agree("slow");
    assert_eq!((outcome.ledger.failed, outcome.ledger.hurt), (0, 0), "{:?}", outcome.ledger);
    assert!(outcome.reason.contains("green takes over"), "{}", outcome.reason);
}

#[test]
fn a_green_that_dies_in_mid_body_hurts_only_until_it_is_taken_back() {
    let half = Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".to_owned());
    let outcome = turns_bad(&half, 10, Duration::from_millis(20));
    outcome.agree("death in mid-body");
    // The head has gone to the client already: nothing can be rescued, and it is said so.
    assert!(outcome.book.failed_gets.load(SeqCst) > 0, "{:?}", outcome.book);
    assert!(outcome.ledger.hurt <= 60, "{:?}", outcome.ledger);
}
