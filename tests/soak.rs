//! A soak: everything that can go wrong, at once and for a while, and every request accounted for at both ends.
//!
//! `CUTOVER_SOAK` says how long (`"2m"` without it), `CUTOVER_SOAK_SEED` which faults come in which order. `loadtest/soak`
//! runs it for an hour.

mod audit;
mod chaos;
mod clients;
pub mod ledger;
pub mod names;
pub mod place;
pub mod sites;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use audit::{Ending, Findings, audit, longest, miscounted, percentile};
use chaos::{Chaos, Course};
use clients::Crowd;
use judgement::time::Millis;
use ledger::{Ledger, Protocol};
use place::{Footprint, Place};
use sites::Sites;

use crate::support::tls::trusting;
use crate::support::{SOON, wait_until};

/// Until memory and connections are what they are at rest.
const SETTLING: Duration = Duration::from_secs(8);

#[test]
#[ignore = "takes two minutes and both cores, and needs root and libfaketime: .ci/run runs it alone"]
fn no_request_is_lost_doubled_or_swapped_whatever_happens_at_once() {
    let length = std::env::var("CUTOVER_SOAK").map_or(Millis::seconds(120), |text| Millis::parse(&text).unwrap());
    let seed = std::env::var("CUTOVER_SOAK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("CUTOVER_SOAK_SEED={seed}");
    let ledger = Arc::new(Ledger::open());
    let sites = Sites::start(&ledger);
    let mut place = Place::start(&sites);
    let crowd = Arc::new(Crowd {
        ledger: ledger.clone(),
        plain: place.plain,
        secure: place.secure,
        trusts: [trusting(&[&place.certificate], &[]), trusting(&[&place.certificate], &["h2"])],
        stop: AtomicBool::new(false),
    });
    let clients = clients::start(&crowd);
    std::thread::sleep(SETTLING);
    let before = place.footprint();
    let course = Chaos::new(&ledger, seed).run(&mut place, &sites, ledger.now() + length.as_duration());
    wait_until("only one serves", SOON, || place.running() == [place.process]);
    std::thread::sleep(SETTLING);
    let after = place.footprint();
    crowd.stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());

    let requests = ledger.closed();
    let mut found = audit(&requests, &course);
    found.wrong.extend(grown(before, after));
    found.wrong.extend(miscounted(&requests, &course, place.metric("cutover_requests_total", "") as u64));
    let verified = place.command(&["history", "--verify"]);
    let said = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    if !verified.status.success() || !said.starts_with("intact") {
        found.wrong.push(format!("history --verify: {said}"));
    }
    print(&found, &course, [before, after], &said);
    let first = &found.wrong[..found.wrong.len().min(20)];
    let wrong = found.wrong.len();
    assert!(wrong == 0, "CUTOVER_SOAK_SEED={seed}: {wrong} things went wrong: {first:#?}\n{}", place.log());
}

/// What a process takes up after everything that it did not take up before.
fn grown(before: Footprint, after: Footprint) -> Option<String> {
    let is_bounded = after.kib <= before.kib + before.kib / 2 + 16 * 1024
        && after.files <= before.files + 24
        && after.threads <= before.threads + 2;
    (!is_bounded).then(|| format!("it has grown: {before:?}, and then {after:?}"))
}

fn print(found: &Findings, course: &Course, [before, after]: [Footprint; 2], journal: &str) {
    let headings = ["requests", "answered", "rescued", "told of failure", "cut by kill", "p50 ms", "p99 ms", "max ms"];
    println!("{:28}{}", "", headings.map(|heading| format!("{heading:>16}")).concat());
    for protocol in Protocol::ALL.map(Protocol::name) {
        let endings = [Ending::Answered, Ending::Rescued, Ending::ToldOfFailure, Ending::Killed];
        let counts = endings.map(|ending| found.endings.get(&(protocol, ending)).copied().unwrap_or_default());
        let times = found.times.get(protocol).map_or(&[][..], Vec::as_slice);
        let times = [50.0, 99.0, 100.0].map(|percent| format!("{:16.1}", percentile(times, percent))).concat();
        let sum: u64 = counts.iter().sum();
        println!("{protocol:28}{sum:16}{}{times}", counts.map(|count| format!("{count:16}")).concat());
    }
    for (fault, count) in &course.faults {
        println!("{count:6} × {}", fault.name());
    }
    println!("{:6} upgrades put off by a full disk", course.refused_upgrades);
    println!("{:6} ms without service at a kill -9, at the most", longest(&course.kills).as_millis());
    let asked: u64 = found.weights.iter().map(|(all, _, _)| all).sum();
    println!("{:6} spans of constant weight, {asked} requests within them", found.weights.len());
    for (cause, count) in &found.causes {
        println!("{count:6} without an answer: {cause}");
    }
    let most = course.most.unwrap_or(after);
    for (when, Footprint { kib, files, threads }) in [("before", before), ("after", after), ("at the most", most)] {
        println!("{when:12} {kib:8} KiB {files:6} descriptors {threads:4} threads");
    }
    print!("journal: {journal}");
    println!("{} wrong", found.wrong.len());
}
