//! A request's head as [`decide`](crate::traffic::decide) reads it: borrowed text, whichever library parsed it.
//!
//! Header fields are looked up where the parser has put them, so a decision copies and allocates nothing. A mask of
//! their names answers most of the rules' questions without any lookup.

use std::net::IpAddr;
use std::ops::ControlFlow;

/// The HTTP version of a request.
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
    /// The first two Host lines: every decision reads the first, and a second one is an error.
    pub host_lines: [Option<&'a [u8]>; 2],
    /// The target's path, as sent.
    pub path: &'a str,
    /// What follows the `?` of the target.
    pub query: Option<&'a str>,
    pub fields: &'a dyn HeaderSource,
    /// The client: the peer, or the first untrusted hop in front of trusted proxies.
    pub client: IpAddr,
}

/// Where the header fields of a request are looked up: a [`FieldList`], or the map of whichever library parsed the
/// request.
pub trait HeaderSource: std::fmt::Debug {
    /// A bit for every name that is present.
    fn names(&self) -> NameMask;

    /// Visits the values of every field of this name in order, until one is enough. The name is in lower case.
    fn visit<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>);
}

impl<'a> dyn HeaderSource + 'a {
    /// The first value of this name that passes.
    pub fn find(&self, name: &str, mut wanted: impl FnMut(&[u8]) -> bool) -> Option<&[u8]> {
        let mut found = None;
        self.visit(name, &mut |value| {
            if !wanted(value) {
                return ControlFlow::Continue(());
            }
            found = Some(value);
            ControlFlow::Break(())
        });
        found
    }

    /// The first value of this name.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.find(name, |_| true)
    }
}

/// A list of header fields: names in lower case, and values.
#[derive(Clone, Copy, Debug)]
pub struct FieldList<'a>(pub &'a [(&'a str, &'a [u8])]);

impl HeaderSource for FieldList<'_> {
    fn names(&self) -> NameMask {
        let mut names = NameMask::default();
        self.0.iter().for_each(|(name, _)| names.add(NameMask::of(name)));
        names
    }

    fn visit<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>) {
        let mut values = self.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
        // Whether it was enough is the visitor's business.
        let _ = values.try_for_each(each);
    }
}

/// One bit for each name, by hash: a bit that is not set proves that the name is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameMask(u64);

impl NameMask {
    /// The bit of a name in lower case.
    #[inline]
    pub fn of(name: &str) -> NameMask {
        let bytes = name.as_bytes();
        let (first, last) = (bytes.first().copied().unwrap_or(0), bytes.last().copied().unwrap_or(0));
        NameMask::bit(bytes.len(), first, last)
    }

    /// The bit of a field's name as it was sent, in any case.
    #[inline]
    pub fn of_field(name: &[u8]) -> NameMask {
        let first = name.first().copied().unwrap_or(0).to_ascii_lowercase();
        let last = name.last().copied().unwrap_or(0).to_ascii_lowercase();
        NameMask::bit(name.len(), first, last)
    }

    /// Names differ in length and at their ends, which is hash enough for 64 bits.
    #[inline]
    fn bit(length: usize, first: u8, last: u8) -> NameMask {
        NameMask(1 << ((length as u32 * 7 + u32::from(first) * 3 + u32::from(last) * 5) & 63))
    }

    #[inline]
    pub fn add(&mut self, other: NameMask) {
        self.0 |= other.0;
    }

    /// Whether all of these names may be among those of this mask. `false` is certain.
    #[inline]
    pub fn may_have(self, names: NameMask) -> bool {
        names.0 & !self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_name_come_in_their_order_and_others_do_not() {
        let list: [(&str, &[u8]); 3] = [("cookie", b"a=1"), ("host", b"x"), ("cookie", b"b=2")];
        let fields: &dyn HeaderSource = &FieldList(&list);
        let mut cookies = Vec::new();
        fields.visit("cookie", &mut |value| {
            cookies.push(value);
            ControlFlow::Continue(())
        });
        assert_eq!(cookies, [b"a=1", b"b=2"]);
        assert_eq!(fields.find("cookie", |value| value.starts_with(b"b")), Some(&b"b=2"[..]));
        assert_eq!((fields.first("host"), fields.first("accept")), (Some(&b"x"[..]), None));
        assert!(!fields.names().may_have(NameMask::of("transfer-encoding")));
        assert_eq!(NameMask::of_field(b"X-Name"), NameMask::of("x-name"));
    }
}
