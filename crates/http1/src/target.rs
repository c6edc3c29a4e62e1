//! The request target and its forms (RFC 9112 3.2).

use crate::head::{Span, StartLine};

/// Takes a target apart whose bytes are sound; it stands at `span` of `bytes`. `None` if it is neither origin-form, absolute
/// form of http or https, nor the asterisk of OPTIONS.
#[inline]
pub(crate) fn split(line: &mut StartLine, bytes: &[u8], span: Span) -> Option<()> {
    line.target = span;
    let target = span.of(bytes);
    let path_at = match target {
        [b'/', ..] => 0,
        b"*" if line.method.of(bytes) == b"OPTIONS" => 0,
        _ => {
            let (start, end) = authority(target)?;
            line.authority = Some(Span::new(span.start as usize + start, span.start as usize + end));
            end
        }
    };
    let path = target.get(path_at..).unwrap_or_default();
    let path_at = span.start as usize + path_at;
    let end = span.end as usize;
    match memchr::memchr(b'?', path) {
        Some(at) => {
            line.path = Span::new(path_at, path_at + at);
            line.query = Some(Span::new(path_at + at + 1, end));
        }
        None => line.path = Span::new(path_at, end),
    }
    Some(())
}

/// Where the authority of an absolute-form target begins and ends.
fn authority(target: &[u8]) -> Option<(usize, usize)> {
    let scheme = memchr::memmem::find(target, b"://")?;
    let name = target.get(..scheme)?;
    if !name.eq_ignore_ascii_case(b"http") && !name.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let start = scheme + 3;
    let rest = target.get(start..)?;
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    // Userinfo hides the host (RFC 9110 4.2.4), and some programs take a backslash for a slash.
    let is_plain = rest.iter().take(length).all(|byte| !matches!(byte, b'@' | b'\\'));
    (length > 0 && is_plain).then_some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart() {
        for (target, parts) in [
            ("/", Some((None, "/", None))),
            ("/a?b=|[{}]^`\\%zz", Some((None, "/a", Some("b=|[{}]^`\\%zz")))),
            ("/?", Some((None, "/", Some("")))),
            ("http://shop.test/a?b=http://c/d", Some((Some("shop.test"), "/a", Some("b=http://c/d")))),
            ("HTTPS://shop.test:8443/", Some((Some("shop.test:8443"), "/", None))),
            ("http://shop.test", Some((Some("shop.test"), "", None))),
            ("http://shop.test?b", Some((Some("shop.test"), "", Some("b")))),
            ("http:///x", None),
            ("http://user@shop.test/x", None),
            ("http://shop.test\\x/y", None),
            ("ftp://shop.test/x", None),
            ("-admin/x", None),
            ("?x=1", None),
            ("shop.test:80", None),
            ("*", None),
        ] {
            let mut line = StartLine::default();
            let bytes = target.as_bytes();
            let text = |span: Span| std::str::from_utf8(span.of(bytes)).unwrap();
            let got = split(&mut line, bytes, Span::new(0, bytes.len()));
            let got = got.map(|()| (line.authority.map(text), text(line.path), line.query.map(text)));
            assert_eq!(got, parts, "{target}");
        }
    }
}
