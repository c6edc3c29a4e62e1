//! How far a request may go, and what belongs to one connection alone.

use http1::{HeadView, KnownField};

use crate::head::visible;
use memory::counters::RefusalReason;

/// How often an OPTIONS request may be forwarded, if it says so: after the last time, Cutover answers itself (RFC 9110
/// 7.6.2). TRACE is refused whatever it says, and to other methods the field means nothing.
///
/// # Errors
/// [`RefusalReason::Field`] if that is no number, or several. Apache answers 400 too; to ignore it would send a request
/// that was to end here on a longer way.
pub fn forwards_left(head: HeadView<'_>) -> Result<Option<u64>, RefusalReason> {
    if head.method() != "OPTIONS" {
        return Ok(None);
    }
    let mut lines = head.all(KnownField::MaxForwards);
    let (Some(line), next) = (lines.next(), lines.next()) else { return Ok(None) };
    let digits = visible(line).ok_or(RefusalReason::Field)?.trim();
    if next.is_some() || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RefusalReason::Field);
    }
    // A larger number is as good as the largest.
    Ok(Some(digits.parse().unwrap_or(u64::MAX)))
}

/// Whether no origin is asked, because of the method. TRACE is refused, as by nginx: its answer is the request as it arrived,
/// with the cookies that a script must not read and whatever the proxies on the way have added. In lower case it is no
/// method, but to some origins the same one. CONNECT is a tunnel to anywhere.
pub fn refuses_method(method: &str) -> bool {
    method == "CONNECT" || method.eq_ignore_ascii_case("TRACE")
}

/// Whether a head has to do with NTLM or Negotiate. They authenticate a connection instead of a request, against RFC 9110
/// 11.2: an origin takes all that comes by it for that client's, so it must not carry anybody else's requests.
pub fn needs_own_connection(head: HeadView<'_>) -> bool {
    let authorization = head.all(KnownField::Authorization);
    let mut values = authorization.chain(head.all(KnownField::WwwAuthenticate));
    values.any(|value| value.split(|byte| *byte == b',').any(names_connection_scheme))
}

/// Whether a member of a list of challenges begins with one of the two schemes.
fn names_connection_scheme(challenge: &[u8]) -> bool {
    let mut words = challenge.trim_ascii().split(u8::is_ascii_whitespace);
    let scheme = words.next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{request, response};

    #[test]
    fn a_request_goes_as_far_as_it_says() {
        let odd = Err(RefusalReason::Field);
        for (method, lines, left) in [
            ("OPTIONS", &[][..], Ok(None)),
            ("OPTIONS", &["0"], Ok(Some(0))),
            ("OPTIONS", &["000"], Ok(Some(0))),
            ("OPTIONS", &["007"], Ok(Some(7))),
            ("OPTIONS", &["99999999999999999999999"], Ok(Some(u64::MAX))),
            ("OPTIONS", &[""], odd),
            ("OPTIONS", &["-1"], odd),
            ("OPTIONS", &["+1"], odd),
            ("OPTIONS", &["1.5"], odd),
            ("OPTIONS", &["ten"], odd),
            ("OPTIONS", &["1, 1"], odd),
            ("OPTIONS", &["1", "1"], odd),
            ("GET", &["0"], Ok(None)),
            ("GET", &["ten"], Ok(None)),
        ] {
            let fields: Vec<String> = lines.iter().map(|line| format!("Max-Forwards: {line}")).collect();
            let sample = request(&format!("{method} /"), &fields.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(forwards_left(sample.view()), left, "{method} {lines:?}");
        }
    }

    #[test]
    fn some_methods_go_nowhere() {
        for method in ["TRACE", "trace", "Trace", "CONNECT"] {
            assert!(refuses_method(method), "{method}");
        }
        for method in ["GET", "OPTIONS", "TRACES", "get", ""] {
            assert!(!refuses_method(method), "{method}");
        }
    }

    #[test]
    fn a_connection_that_is_authenticated_is_its_clients() {
        for (value, own) in [
            ("NTLM TlRMTVNTUAAB", true),
            ("negotiate YII=", true),
            ("Negotiate", true),
            ("Basic realm=\"a\", ntlm", true),
            ("Basic realm=\"a\",Negotiate", true),
            ("Basic bnRsbTpudGxt", false),
            ("Bearer ntlm", false),
            ("Negotiated x", false),
            ("", false),
        ] {
            let line = format!("Authorization: {value}");
            assert_eq!(needs_own_connection(request("GET /", &[&line]).view()), own, "{value}");
            let line = format!("WWW-Authenticate: {value}");
            let said = response(401, &["WWW-Authenticate: Basic realm=\"b\"", &line]);
            assert_eq!(needs_own_connection(said.view()), own, "{value}");
        }
    }
}
