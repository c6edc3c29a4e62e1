//! The header by which an origin says that a request has failed, whatever its status: it is for the proxy, and no client
//! sees it.

use http::HeaderName;
use http1::{FieldLine, HeadView, KnownField, encode};

/// What the origin says of the failure: the first value of the header, in a head or in trailers, that says there is one.
pub fn reported_failure<'a>(fields: HeadView<'a>, header: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = fields.walk().filter(|line| is_named(line.name, header));
    lines.find(|line| says_failure(line.value)).map(|line| line.value)
}

/// Whether a value of the header says that the request has failed: any but none, `0` and `false`.
pub fn says_failure(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0") && !value.eq_ignore_ascii_case(b"false")
}

/// Whether a line is not the client's, because it is the header, or announces it behind the body.
#[inline]
pub(super) fn withholds(header: Option<&HeaderName>, line: &FieldLine<'_>) -> bool {
    // Mostly there is no such header.
    header.is_some_and(|header| is_named(line.name, header) || announces(line, header))
}

/// Appends what the withheld lines announce besides the header. It allocates: few responses announce anything.
pub(super) fn write_other_announcements(out: &mut Vec<u8>, response: HeadView<'_>, header: &HeaderName) {
    for line in response.walk().filter(|line| announces(line, header)) {
        let others = names(line.value).filter(|name| !is_named(name, header));
        let others = others.collect::<Vec<_>>().join(&b", "[..]);
        if !others.is_empty() {
            encode::field(out, "Trailer", &others);
        }
    }
}

fn is_named(name: &[u8], header: &HeaderName) -> bool {
    name.eq_ignore_ascii_case(header.as_str().as_bytes())
}

fn announces(line: &FieldLine<'_>, header: &HeaderName) -> bool {
    line.id == KnownField::Trailer && names(line.value).any(|name| is_named(name, header))
}

/// The names in a Trailer field (RFC 9110 6.6.2).
fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::response;

    #[test]
    fn any_value_but_none_zero_and_false_says_that_it_failed() {
        let header = HeaderName::from_static("x-release-failure");
        for (lines, said) in [
            (&["X-Release-Failure: declined"][..], Some(&b"declined"[..])),
            (&["x-release-failure: 1"], Some(b"1")),
            (&["x-release-failure: no"], Some(b"no")),
            (&["x-release-failure: 00"], Some(b"00")),
            (&["x-release-failure: 0"], None),
            (&["x-release-failure:   "], None),
            (&["x-release-failure: FALSE"], None),
            (&["x-release-failure: false", "X-RELEASE-FAILURE: card"], Some(b"card")),
            (&["x-release-failures: 1", "release-failure: 1"], None),
            (&[], None),
        ] {
            let sample = response(200, lines);
            assert_eq!(reported_failure(sample.view(), &header), said, "{lines:?}");
        }
    }
}
