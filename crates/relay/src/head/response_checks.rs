//! Checks of responses: one that no client could understand is the origin's failure, and is not passed on. pingora
//! would pass on all of them.

use http::Version;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora_error::Result;
use pingora_http::ResponseHeader;

use crate::proxy::hop::is_websocket;

/// The most interim responses (100, 103) before the final one.
const INTERIMS: u8 = 8;

/// Whether a head may go on to the client. `interims`: how many interim ones came before it; `upgrade`: the request
/// asked for a WebSocket, and a 101 must be to that. A 101 that does not say so is one that no client may believe (RFC
/// 6455 4.1); one to anything else would be a tunnel for a protocol that nobody checks.
pub fn is_sane(response: &ResponseHeader, interims: u8, upgrade: bool) -> bool {
    match response.status.as_u16() {
        101 => upgrade && is_websocket(&response.headers),
        100..=199 => interims < INTERIMS,
        200..=599 => true,
        _ => false,
    }
}

/// Whether the head of a final response gives the length of its body in exactly one way (RFC 9112 6.1, 6.3). pingora
/// has already interpreted it; the next reader may do so differently.
pub fn is_framed(response: &ResponseHeader) -> bool {
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            response.version == Version::HTTP_11 && coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => false,
    }
}

/// Makes a response Cutover's own: its HTTP version, whatever the origin's (RFC 9112 2.3), and a single length, if the
/// same one is given several times.
///
/// # Errors
/// None in practice: the length was a header before.
pub fn make_ours(response: &mut ResponseHeader) -> Result<()> {
    if response.version < Version::HTTP_11 {
        response.set_version(Version::HTTP_11);
    }
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    let first = first.as_bytes();
    let one = first.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if one.len() != first.len() || lengths.next().is_some() {
        let one = one.to_vec();
        response.insert_header(CONTENT_LENGTH, one)?;
    }
    Ok(())
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
            (101, 0, true, false),
            (101, 0, false, false),
            (100, 7, false, true),
            (103, 8, false, false),
        ] {
            let response = ResponseHeader::build(status, None).unwrap();
            assert_eq!(is_sane(&response, interims, upgrade), sane, "{status} after {interims}");
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
            let mut response = ResponseHeader::build(101, None).unwrap();
            for line in lines {
                response.append_header("upgrade", *line).unwrap();
            }
            assert_eq!(is_sane(&response, 0, true), matches, "{lines:?}");
            assert!(!is_sane(&response, 0, false), "{lines:?}");
        }
    }

    fn answer(version: Version, lines: &[(&'static str, &str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.set_version(version);
        for (name, value) in lines {
            response.append_header(*name, *value).unwrap();
        }
        response
    }

    #[test]
    fn an_answer_is_framed_in_one_way() {
        let chunked = ("transfer-encoding", "chunked");
        assert!(is_framed(&answer(Version::HTTP_11, &[chunked])));
        assert!(is_framed(&answer(Version::HTTP_11, &[("transfer-encoding", "Chunked")])));
        assert!(is_framed(&answer(Version::HTTP_10, &[("content-length", "2")])));
        assert!(!is_framed(&answer(Version::HTTP_10, &[chunked])));
        assert!(!is_framed(&answer(Version::HTTP_11, &[chunked, chunked])));
        assert!(!is_framed(&answer(Version::HTTP_11, &[("transfer-encoding", "identity")])));
        assert!(!is_framed(&answer(Version::HTTP_11, &[("transfer-encoding", "gzip, chunked")])));
    }

    #[test]
    fn an_answer_goes_out_in_our_version_with_one_length() {
        for lines in [&[("content-length", "2, 2")][..], &[("content-length", "2"), ("content-length", "2")]] {
            let mut response = answer(Version::HTTP_10, lines);
            make_ours(&mut response).unwrap();
            let lengths = response.headers.get_all(CONTENT_LENGTH).iter();
            let lengths: Vec<&[u8]> = lengths.map(|length| length.as_bytes()).collect();
            assert_eq!((response.version, lengths), (Version::HTTP_11, vec![&b"2"[..]]));
        }
    }
}
