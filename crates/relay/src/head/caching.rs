//! Whether a response may carry a cookie that is meant for one client.
//!
//! A cache that many clients share keeps Set-Cookie with the rest of a response (RFC 9111 7.3), and would hand one
//! client's key to all that come after. So a response that such a cache may give to others, without asking the origin
//! again, gets no cookie: its client draws again, and is pinned by the next response that is its own. Any other response
//! gets the cookie, and says `private` from then on.
//!
//! HAProxy's `cookie insert nocache` makes every response private instead, and so takes what is public out of the cache.
//! Nor is the word `public` enough to leave the cookie out: Netlify and Vercel send `public, max-age=0, must-revalidate`
//! with every page, which a cache asks about each time, and no client would ever be pinned.
//!
//! All of this happens once for a client, so it is done to the lines that have been written already.

use http1::encode;

use crate::head::{visible, written};

const CACHE_CONTROL: &[u8] = b"cache-control";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Whether shared caches may answer other clients with this response, as far as its fields say so: a response that says
/// nothing of caching is taken for its client's own, although a cache might guess otherwise (RFC 9111 4.2.2).
pub(super) fn is_shared(fields: &[u8]) -> bool {
    let targeted = written::lines(fields).map(|(name, _)| name).filter(|name| is_for_shared_caches(name));
    let mut targeted = targeted.map(|name| Directives::of(fields, name).is_shared());
    targeted.any(|shared| shared == Some(true))
        || Directives::of(fields, CACHE_CONTROL).is_shared().unwrap_or_else(|| expires_later(fields))
}

/// Makes a response its client's own (RFC 9111 5.2.2.7), unless it is already. Its lines stand from `start` on.
pub(super) fn make_private(out: &mut Vec<u8>, start: usize) {
    let fields = out.get(start..).unwrap_or_default();
    if Directives::of(fields, CACHE_CONTROL).is_own() {
        return;
    }
    let kept = parts(fields, CACHE_CONTROL).filter(|part| !part.eq_ignore_ascii_case(b"public"));
    let value = std::iter::once(&b"private"[..]).chain(kept).collect::<Vec<_>>().join(&b", "[..]);
    written::remove(out, start, "cache-control");
    encode::field(out, "Cache-Control", &value);
}

/// CDN-Cache-Control (RFC 9213), the same with a vendor's name before it, and its forerunner: shared caches read these
/// instead of Cache-Control.
fn is_for_shared_caches(name: &[u8]) -> bool {
    let ends = |end: &[u8]| name.last_chunk::<17>().is_some_and(|last| last.eq_ignore_ascii_case(end));
    ends(b"cdn-cache-control") || name.eq_ignore_ascii_case(b"surrogate-control")
}

/// The directives of a field that decide here.
#[derive(Debug, Default)]
struct Directives {
    no_store: bool,
    private: bool,
    no_cache: bool,
    /// `public` or `immutable`, which allow it without a time.
    allowed: bool,
    /// How long it is fresh, in seconds.
    max_age: Option<u64>,
    /// The same for shared caches, for which it comes first.
    s_maxage: Option<u64>,
    /// It may be given out after that time too.
    stale: bool,
}

impl Directives {
    fn of(fields: &[u8], name: &[u8]) -> Directives {
        let mut all = Directives::default();
        for part in parts(fields, name) {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let directive = halves.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
            let value = halves.next();
            match directive.as_slice() {
                b"no-store" => all.no_store = true,
                // With names, it holds for the fields of these names alone (RFC 9111 5.2.2.4, 5.2.2.7).
                b"private" => all.private |= value.is_none(),
                b"no-cache" => all.no_cache |= value.is_none(),
                b"public" | b"immutable" => all.allowed = true,
                b"max-age" => all.max_age = Some(all.max_age.unwrap_or(0).max(seconds(value))),
                b"s-maxage" => all.s_maxage = Some(all.s_maxage.unwrap_or(0).max(seconds(value))),
                b"stale-while-revalidate" | b"stale-if-error" => all.stale |= seconds(value) > 0,
                _ => {}
            }
        }
        all
    }

    /// No shared cache keeps it.
    fn is_own(&self) -> bool {
        self.no_store || self.private
    }

    /// Whether a shared cache may answer others with it; `None` if that is not said.
    fn is_shared(&self) -> Option<bool> {
        if self.is_own() || self.no_cache {
            return Some(false);
        }
        match self.s_maxage.or(self.max_age) {
            Some(seconds) => Some(seconds > 0 || self.stale),
            None => (self.allowed || self.stale).then_some(true),
        }
    }
}

/// What stands between the commas of all lines of a field.
fn parts<'a>(fields: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let parts = written::values(fields, name).flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    parts.filter(|part| !part.is_empty())
}

/// What is no number is no time at all (RFC 9111 4.2.1), and one too large is very long.
fn seconds(value: Option<&[u8]>) -> u64 {
    let digits = value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or("").trim().trim_matches('"');
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if number { digits.parse().unwrap_or(u64::MAX) } else { 0 }
}

/// Whether Expires is after Date, or there is no Date to compare it with (RFC 9111 4.2.1).
fn expires_later(fields: &[u8]) -> bool {
    let first = |name| written::values(fields, name).next().and_then(moment);
    let Some(end) = first(b"expires") else { return false };
    first(b"date").is_none_or(|date| end > date)
}

/// A date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7), as year, month, day and time, which compare in order.
/// Anything else is in the past (RFC 9111 5.3).
fn moment(value: &[u8]) -> Option<(&str, usize, &str, &str)> {
    let (_, rest) = visible(value)?.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    ((day.len(), year.len(), time.len()) == (2, 4, 8)).then_some((year, month, day, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&str, &str)]) -> Vec<u8> {
        fields.iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect()
    }

    #[test]
    fn shared_caches_keep_what_is_fresh_for_all() {
        for (value, shared) in [
            ("public", true),
            ("immutable", true),
            ("Public, IMMUTABLE, max-age=31536000", true),
            ("public,max-age=60", true),
            ("max-age=60", true),
            ("max-age=\"60\"", true),
            ("s-maxage=60", true),
            ("max-age=0, s-maxage=60", true),
            ("max-age=99999999999999999999999", true),
            ("s-maxage=0, max-age=60", false),
            ("max-age=0, stale-while-revalidate=60", true),
            ("private=\"x-user\", max-age=60", true),
            ("no-cache=\"set-cookie\", max-age=60", true),
            ("", false),
            ("private", false),
            ("private, max-age=60", false),
            ("public, private, max-age=60", false),
            ("private, immutable, max-age=60", false),
            ("no-store, max-age=60", false),
            ("no-cache", false),
            ("public, no-cache", false),
            ("public, max-age=0, must-revalidate", false),
            ("max-age=sixty", false),
            ("max-age=-1", false),
            ("x-public, publicity, max-agent=60", false),
            ("must-revalidate", false),
        ] {
            assert_eq!(is_shared(&response(&[("cache-control", value)])), shared, "{value}");
        }
        assert!(!is_shared(&response(&[])));
        let lines = [("cache-control", "max-age=60"), ("cache-control", "private")];
        assert!(!is_shared(&response(&lines)), "all lines are one list");
    }

    #[test]
    fn shared_caches_have_fields_of_their_own() {
        for name in ["cdn-cache-control", "Netlify-CDN-Cache-Control", "Surrogate-Control"] {
            let both = |value| response(&[("cache-control", "private"), (name, value)]);
            assert!(is_shared(&both("max-age=60")), "{name}");
            assert!(!is_shared(&both("no-store")), "{name}");
        }
    }

    #[test]
    fn a_response_is_shared_until_it_expires() {
        let date = ("date", "Sat, 28 Nov 2026 23:00:00 GMT");
        for (expires, shared) in [
            ("Sat, 28 Nov 2026 23:00:01 GMT", true),
            ("Sun, 29 Nov 2026 00:00:00 GMT", true),
            ("Tue, 01 Dec 2026 00:00:00 GMT", true),
            ("Fri, 01 Jan 2027 00:00:00 GMT", true),
            ("Sat, 28 Nov 2026 23:00:00 GMT", false),
            ("Thu, 19 Nov 1981 08:52:00 GMT", false),
            ("0", false),
            ("-1", false),
        ] {
            assert_eq!(is_shared(&response(&[date, ("expires", expires)])), shared, "{expires}");
            let own = response(&[date, ("expires", expires), ("cache-control", "private")]);
            assert!(!is_shared(&own), "Cache-Control comes first");
        }
        assert!(is_shared(&response(&[("expires", "Fri, 01 Jan 2027 00:00:00 GMT")])));
    }

    #[test]
    fn a_response_with_a_clients_cookie_is_private() {
        for (value, made) in [
            (None, "private"),
            (Some("public, max-age=0, must-revalidate"), "private, max-age=0, must-revalidate"),
            (Some("no-cache"), "private, no-cache"),
            (Some("private, max-age=60"), "private, max-age=60"),
            (Some("no-store"), "no-store"),
        ] {
            let line = value.map(|value| ("cache-control", value));
            let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
            let start = out.len();
            out.extend(response(line.as_slice()));
            make_private(&mut out, start);
            let fields = &out[start..];
            assert_eq!(written::values(fields, CACHE_CONTROL).collect::<Vec<_>>(), [made.as_bytes()], "{value:?}");
            assert!(Directives::of(fields, CACHE_CONTROL).is_own() && out.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
    }
}
