//! Name servers that fail, with the real binary: origins stay where they were last.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::soak::ledger::{Id, Ledger, Outcome, Protocol, Side};
use crate::soak::names::Says;
use crate::soak::place::Place;
use crate::soak::sites::Sites;
use crate::support::SOON;
use crate::support::client::Client;

/// What is answered to a request of its own.
fn answered_by(place: &Place, ledger: &Ledger) -> Option<Outcome> {
    let id = [(); 3].map(|()| ledger.begin(Protocol::New)).into_iter().find(|id| !id.is_post() && !id.is_hiccup())?;
    let answer = Client::to(place.plain).get(&format!("/{}", id.0), &[]);
    let side = [Side::Blue, Side::Green].into_iter().find(|side| Id::response(id, *side, b"") == answer.body);
    Some(side.map_or(Outcome::Failed(answer.body), |side| Outcome::Told(side, answer.status)))
}

#[test]
#[ignore = "needs root, for a resolv.conf of its own, and libfaketime: .ci/run has both"]
fn the_last_good_addresses_serve_whatever_a_name_server_says_and_after_an_upgrade_too() {
    let ledger = Arc::new(Ledger::open());
    let sites = Sites::start(&ledger);
    let mut place = Place::start(&sites);
    let serves = |place: &Place| assert_eq!(answered_by(place, &ledger), Some(Outcome::Told(Side::Blue, 200)));
    serves(&place);
    for says in [Says::NoSuchName, Says::ServerFailure, Says::Nothing, Says::Silence] {
        place.names.says(says);
        let failed = place.metric("cutover_resolve_errors_total", "");
        crate::support::wait_until("the failure is counted", SOON, || {
            serves(&place);
            place.metric("cutover_resolve_errors_total", "") > failed
        });
        // The new process has never had an answer of its own.
        let (done, said) = place.try_upgrade();
        assert!(done, "{says:?}: {said}");
        (0..20).for_each(|_| serves(&place));
        // By now it has asked twice.
        let failed = place.metric("cutover_resolve_errors_total", "");
        place.wait_until("it asks again", |place| place.metric("cutover_resolve_errors_total", "") > failed);
        serves(&place);
    }
    // Where cloud platforms keep credentials; the name resolves, and nobody goes there.
    place.names.says(Says::Address(Ipv4Addr::new(169, 254, 169, 254)));
    crate::support::wait_until("the address is ignored", SOON, || {
        serves(&place);
        place.log().contains("ignoring the link-local address")
    });
    serves(&place);
    assert_eq!(sites.asked_at_second(), 0);
    place.names.says(Says::Address(Ipv4Addr::new(127, 0, 0, 2)));
    crate::support::wait_until("the new address is in force", SOON, || {
        serves(&place);
        sites.asked_at_second() > 0
    });
}
