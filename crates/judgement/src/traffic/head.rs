//! A request's head as [`decide`](crate::traffic::decide) reads it: borrowed text, whatever library has parsed it.
//!
//! The caller lists the header fields in a slice of its own, which needs no allocation. A mask of their names is made once:
//! it answers most of the questions that rules ask without comparing a single name.

use std::net::IpAddr;

/// The version of HTTP that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
    Http3,
}

/// What `decide` reads of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// As sent: methods are case-sensitive.
    pub method: &'a str,
    pub version: HttpVersion,
    /// Host and port of a target in absolute form, or HTTP/2's `:authority`.
    pub authority: Option<&'a str>,
    /// The target's path, as sent.
    pub path: &'a str,
    /// What follows the `?` of the target.
    pub query: Option<&'a str>,
    pub fields: HeaderFields<'a>,
    /// The client: the peer, or the first untrusted hop in front of trusted proxies.
    pub client: IpAddr,
}

/// A header field: its name in lower case, and its value.
pub type HeaderField<'a> = (&'a str, &'a [u8]);

/// The header fields of a request, in their order.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields<'a> {
    fields: &'a [HeaderField<'a>],
    mask: NameMask,
}

impl<'a> HeaderFields<'a> {
    #[inline]
    pub fn new(fields: &'a [HeaderField<'a>]) -> HeaderFields<'a> {
        let mut mask = NameMask::default();
        fields.iter().for_each(|(name, _)| mask.add(NameMask::of(name)));
        HeaderFields { fields, mask }
    }

    /// The values of every field of this name, in lower case.
    #[inline]
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let fields = if self.may_have(NameMask::of(name)) { self.fields } else { &[] };
        fields.iter().filter(move |(own, _)| *own == name).map(|(_, value)| *value)
    }

    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether all names of the mask may be there. `false` is certain.
    #[inline]
    pub fn may_have(&self, names: NameMask) -> bool {
        names.0 & !self.mask.0 == 0
    }
}

/// One bit for each name, by hash: a bit that is not set proves that the name is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameMask(u64);

impl NameMask {
    /// Names differ in length and in their ends; that is hash enough for 64 bits.
    #[inline]
    pub fn of(name: &str) -> NameMask {
        let bytes = name.as_bytes();
        let first = bytes.first().copied().unwrap_or(0);
        let last = bytes.last().copied().unwrap_or(0);
        NameMask(1 << ((bytes.len() as u32 * 7 + u32::from(first) * 3 + u32::from(last) * 5) & 63))
    }

    #[inline]
    pub fn add(&mut self, other: NameMask) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_name_come_in_their_order_and_others_do_not() {
        let fields = HeaderFields::new(&[("cookie", b"a=1"), ("host", b"x"), ("cookie", b"b=2")]);
        assert_eq!(fields.all("cookie").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        assert!(fields.contains("host") && !fields.contains("accept"));
        assert!(!fields.may_have(NameMask::of("transfer-encoding")));
    }
}
