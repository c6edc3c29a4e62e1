//! What an origin may answer: an answer that no client could make sense of is a failure of the origin's, and goes no
//! further. pingora passes all of it on.

/// Interim answers (100, 103) before the real one.
const INTERIMS: u8 = 8;

/// Whether a head may go on to the client. `interims`: how many interim ones came before it; `upgrade`: the request asked
/// for another protocol.
pub fn is_sane(status: u16, interims: u8, upgrade: bool) -> bool {
    match status {
        101 => upgrade,
        100..=199 => interims < INTERIMS,
        200..=599 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_a_client_can_make_sense_of_go_on() {
        for (status, interims, upgrade, sane) in [
            (200, 0, false, true),
            (599, 8, false, true),
            (600, 0, false, false),
            (999, 0, true, false),
            (99, 0, false, false),
            (101, 0, true, true),
            (101, 0, false, false),
            (100, 7, false, true),
            (103, 8, false, false),
        ] {
            assert_eq!(is_sane(status, interims, upgrade), sane, "{status} after {interims}");
        }
    }
}
