//! Checks of responses: one that no client could understand is the origin's failure, and is not passed on. Whether its
//! framing can be read in one way only is the parser's to say.

use http1::{HeadView, KnownField};

/// The most interim responses (100, 102, 103) before the final one: a long job may say every few seconds that it goes on.
const INTERIMS: u8 = 100;

/// Whether a head may go on to the client. `interims`: how many interim ones came before it; `upgrade`: the request
/// asked for a WebSocket, and a 101 must be to that. A 101 that does not say so is one that no client may believe (RFC
/// 6455 4.1); one to anything else would be a tunnel for a protocol that nobody checks.
pub fn is_sane(response: HeadView<'_>, interims: u8, upgrade: bool) -> bool {
    match response.head().status() {
        101 => upgrade && is_websocket(response),
        100..=199 => interims < INTERIMS,
        200..=599 => true,
        _ => false,
    }
}

/// Whether Upgrade names a WebSocket, and nothing else.
fn is_websocket(response: HeadView<'_>) -> bool {
    let mut lines = response.all(KnownField::Upgrade);
    lines.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) && lines.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::response;

    #[test]
    fn only_answers_that_a_client_can_make_sense_of_go_on() {
        for (status, interims, upgrade, sane) in [
            (200, 0, false, true),
            (599, INTERIMS, false, true),
            (101, 0, true, false),
            (101, 0, false, false),
            (100, INTERIMS - 1, false, true),
            (103, INTERIMS, false, false),
        ] {
            assert_eq!(is_sane(response(status, &[]).view(), interims, upgrade), sane, "{status} after {interims}");
        }
    }

    #[test]
    fn a_switch_of_protocols_is_to_the_one_that_was_asked_for() {
        for (lines, matches) in [
            (&["websocket"][..], true),
            (&["WebSocket"], true),
            (&["h2c"], false),
            (&[""], false),
            (&["websocket, h2c"], false),
            (&["websocket", "websocket"], false),
            (&["websocket", "h2c"], false),
        ] {
            let fields: Vec<String> = lines.iter().map(|line| format!("Upgrade: {line}")).collect();
            let sample = response(101, &fields.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(is_sane(sample.view(), 0, true), matches, "{lines:?}");
            assert!(!is_sane(sample.view(), 0, false), "{lines:?}");
        }
    }
}
