//! A head together with the bytes that it was read from.

use std::net::IpAddr;
use std::ops::{ControlFlow, Range};

use judgement::traffic::head::{HeaderSource, NameMask, RequestHead};

use crate::head::{Field, Head, Span};
use crate::known_field::KnownField;
use crate::rules::is_forwarding;

/// A head as text. `bytes` must be those that it was parsed from; with others, its parts are wrong or empty.
#[derive(Clone, Copy, Debug)]
pub struct HeadView<'a> {
    head: &'a Head,
    bytes: &'a [u8],
}

/// A field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLine<'a> {
    pub id: KnownField,
    /// As it was sent.
    pub name: &'a [u8],
    /// Without white space around it.
    pub value: &'a [u8],
    /// Whether it must not be forwarded: it belongs to the connection (RFC 9110 7.6.1), by its own nature or because
    /// Connection names it. Of trailers: it may not be one.
    pub stays: bool,
    span: Span,
}

impl FieldLine<'_> {
    /// Where the line stands in the buffer, line end included.
    pub fn line(&self) -> Range<usize> {
        self.span.range()
    }

    /// Whether its name begins with `X-Forwarded-`, known or not.
    #[inline]
    pub fn is_forwarding(&self) -> bool {
        is_forwarding(self.name)
    }
}

impl Head {
    #[inline]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> HeadView<'a> {
        HeadView { head: self, bytes }
    }
}

impl<'a> HeadView<'a> {
    #[inline]
    fn text(self, span: Span) -> &'a [u8] {
        span.of(self.bytes)
    }

    /// For parts that the parser has found to be ASCII.
    #[inline]
    fn ascii(self, span: Span) -> &'a str {
        std::str::from_utf8(self.text(span)).unwrap_or_default()
    }

    pub fn head(self) -> &'a Head {
        self.head
    }

    /// As sent: methods are case-sensitive.
    #[inline]
    pub fn method(self) -> &'a str {
        // It is asked for several times a request, and most are one of these.
        match self.text(self.head.start.method) {
            b"GET" => "GET",
            b"POST" => "POST",
            b"HEAD" => "HEAD",
            _ => self.ascii(self.head.start.method),
        }
    }

    /// The whole target, in the client's form.
    pub fn target(self) -> &'a str {
        self.ascii(self.head.start.target)
    }

    /// Host and port of a target in absolute form.
    pub fn authority(self) -> Option<&'a str> {
        self.head.start.authority.map(|span| self.ascii(span))
    }

    /// The target's path as sent; `/` where an absolute-form target has none (RFC 9110 4.2.3), `*` of `OPTIONS *`.
    #[inline]
    pub fn path(self) -> &'a str {
        match self.ascii(self.head.start.path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the `?` of the target.
    #[inline]
    pub fn query(self) -> Option<&'a str> {
        self.head.start.query.map(|span| self.ascii(span))
    }

    /// Of a response: what follows the status. Any bytes but control bytes.
    pub fn reason(self) -> &'a [u8] {
        self.text(self.head.start.reason)
    }

    #[inline]
    fn line(self, field: &Field) -> FieldLine<'a> {
        let span = Span { start: field.name.start, end: field.line_end };
        FieldLine { id: field.id, name: self.text(field.name), value: self.text(field.value), stays: field.stays, span }
    }

    /// The field lines, in their order.
    #[inline]
    pub fn walk(self) -> impl Iterator<Item = FieldLine<'a>> {
        self.head.fields.iter().map(move |field| self.line(field))
    }

    /// The values of all fields of this name.
    #[inline]
    pub fn all(self, id: KnownField) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let lines = if self.head.has(id) { self.head.fields.as_slice() } else { &[] };
        lines.iter().filter(move |field| field.id == id).map(move |field| self.text(field.value))
    }

    /// The value of the first field of this name.
    #[inline]
    pub fn first(self, id: KnownField) -> Option<&'a [u8]> {
        self.all(id).next()
    }

    /// The value of the first field of this name, in any case.
    pub fn find(self, name: &str) -> Option<&'a [u8]> {
        let name = name.as_bytes();
        let id = KnownField::of(name);
        let is_it = |field: &&Field| field.id == id && (id != KnownField::Other || self.is_named(field, name));
        self.head.fields.iter().find(is_it).map(|field| self.text(field.value))
    }

    #[inline]
    fn is_named(self, field: &Field, name: &[u8]) -> bool {
        self.text(field.name).eq_ignore_ascii_case(name)
    }

    /// The lines that are wanted, as few ranges of the buffer: neighbours are one range, so that a head which changes in one
    /// place is copied in two pieces. `wanted` is asked of every line once, in order.
    #[inline]
    pub fn runs<F: FnMut(&FieldLine<'a>) -> bool>(self, mut wanted: F) -> impl Iterator<Item = Range<usize>> {
        let mut lines = self.walk();
        std::iter::from_fn(move || {
            let first = lines.by_ref().find(&mut wanted)?;
            let mut run = first.line();
            for line in lines.by_ref() {
                if !wanted(&line) {
                    break;
                }
                run.end = line.line().end;
            }
            Some(run)
        })
    }

    /// Appends the lines that are wanted, as they were sent.
    #[inline]
    pub fn copy_lines<F: FnMut(&FieldLine<'a>) -> bool>(self, out: &mut Vec<u8>, wanted: F) {
        self.runs(wanted).for_each(|run| out.extend_from_slice(self.bytes.get(run).unwrap_or_default()));
    }

    /// Appends one line of this head, as it was sent.
    #[inline]
    pub fn copy_line(self, out: &mut Vec<u8>, line: &FieldLine<'_>) {
        out.extend_from_slice(self.bytes.get(line.line()).unwrap_or_default());
    }

    /// The request as the judgement reads it. `client`: the peer, or the first untrusted hop in front of trusted proxies.
    #[inline]
    pub fn request_head(&self, client: IpAddr) -> RequestHead<'_> {
        let mut hosts = self.all(KnownField::Host);
        RequestHead {
            method: self.method(),
            version: self.head.version,
            authority: self.authority(),
            host_lines: [hosts.next(), hosts.next()],
            path: self.path(),
            query: self.query(),
            fields: self,
            client,
        }
    }
}

impl HeaderSource for HeadView<'_> {
    #[inline]
    fn names(&self) -> NameMask {
        let mut names = NameMask::default();
        self.head.fields.iter().for_each(|field| names.add(NameMask::of_field(self.text(field.name))));
        names
    }

    #[inline]
    fn visit<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>) {
        let id = KnownField::of(name.as_bytes());
        // Whether it was enough is the visitor's own business.
        let _ = match id {
            KnownField::Other => {
                let fields = self.head.fields.iter();
                let mut named = fields.filter(|field| field.id == id && self.is_named(field, name.as_bytes()));
                named.try_for_each(|field| each(self.text(field.value)))
            }
            id => self.all(id).try_for_each(each),
        };
    }
}

#[cfg(test)]
mod tests;
