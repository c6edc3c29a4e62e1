//! The request target, converted to origin-form first, so that nothing else needs to know another form.

use std::borrow::Cow;

use http::header::HOST;
use pingora_http::RequestHeader;

use judgement::traffic::RoutingError;

/// Absolute-form becomes origin-form, and its authority becomes the Host if there is none (RFC 9112 3.2.2; pingora
/// ensures that the two agree). The bytes of path and query remain the client's.
///
/// # Errors
/// [`RoutingError::BadTarget`] for anything that is not origin-form, absolute-form or `*`.
pub fn in_origin_form(request: &mut RequestHeader) -> Result<(), RoutingError> {
    let target = request.raw_path();
    if target.starts_with(b"/") || target == b"*" {
        return Ok(());
    }
    let (authority, path) = split(target).ok_or(RoutingError::BadTarget)?;
    let (authority, path) = (authority.to_vec(), path.into_owned());
    request.set_raw_path(&path).map_err(|_| RoutingError::BadTarget)?;
    if !request.headers.contains_key(HOST) {
        request.insert_header(HOST, authority).map_err(|_| RoutingError::BadTarget)?;
    }
    Ok(())
}

/// The authority, and the path with its query, of an absolute-form HTTP target.
pub(super) fn split(target: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>)> {
    let at = memchr::memmem::find(target, b"://")?;
    let scheme = target.get(..at)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = target.get(at + 3..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let path = match path.first() {
        Some(b'/') => Cow::Borrowed(path),
        // "http://host?query" has an empty path, which is "/".
        _ => Cow::Owned([b"/", path].concat()),
    };
    (!authority.is_empty()).then_some((authority, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_brought_into_origin_form() {
        for (target, parts) in [
            ("http://shop.test/a?b=http://c/d", Some(("shop.test", "/a?b=http://c/d"))),
            ("HTTPS://shop.test:8443/", Some(("shop.test:8443", "/"))),
            ("http://shop.test", Some(("shop.test", "/"))),
            ("http://shop.test?b", Some(("shop.test", "/?b"))),
            ("http:///x", None),
            ("ftp://shop.test/x", None),
            ("-admin/x", None),
            ("?x=1", None),
            ("shop.test:80", None),
        ] {
            let got = split(target.as_bytes()).map(|(authority, path)| (authority.to_vec(), path.into_owned()));
            assert_eq!(got, parts.map(|(a, p)| (a.as_bytes().to_vec(), p.as_bytes().to_vec())), "{target}");
        }
    }
}
