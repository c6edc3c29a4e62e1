//! A head: where its parts lie in the buffer that it was read from.
//!
//! Nothing is copied and, once the lists have grown to what a connection needs, nothing allocated. The bytes stay in the
//! caller's buffer; a [`HeadView`](crate::HeadView) puts the two together.

use std::ops::Range;

use judgement::traffic::head::HttpVersion;

use crate::known_field::KnownField;

/// A range of the buffer, in bytes from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Heads are at most [`crate::HeadLimits::LARGEST`] long, so nothing is cut off here.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A field line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) id: KnownField,
    /// Belongs to the connection: by its own nature, or because Connection names it; of trailers: may not be one.
    pub(crate) stays: bool,
    pub(crate) name: Span,
    /// Without white space around it.
    pub(crate) value: Span,
    /// Where the next line begins.
    pub(crate) line_end: u32,
}

/// What has been read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing.
    #[default]
    New,
    /// Blank lines before a request, up to this offset.
    Blank(u32),
    /// The lines up to this offset.
    Lines(u32),
    /// All of it: the next bytes are another message's.
    Whole,
}

/// The first line. Which one it is depends on what was parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartLine {
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// Of a target in absolute form.
    pub(crate) authority: Option<Span>,
    /// Path and query, without the `?`; empty where an absolute-form target has no path.
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    pub(crate) status: u16,
    pub(crate) reason: Span,
}

/// What Expect, Connection, Content-Length and Transfer-Encoding say, each already judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) names_upgrade: bool,
    pub(crate) nominations: usize,
}

/// The head of a request or of a response, or a trailer section: made once for a connection, filled by
/// [`parse_request`](crate::parse_request) and its siblings again and again.
#[derive(Clone, Debug)]
pub struct Head {
    pub(crate) progress: Progress,
    pub(crate) start: StartLine,
    pub(crate) version: HttpVersion,
    pub(crate) fields: Vec<Field>,
    /// Names in Connection that are not well known.
    pub(crate) nominated: Vec<Span>,
    /// Bits of the well-known names that are there, and of those that Connection names.
    pub(crate) present: u128,
    pub(crate) nominated_known: u128,
    pub(crate) facts: Facts,
    /// Of the whole head, in bytes, blank lines before it and the one behind it included.
    pub(crate) length: u32,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            progress: Progress::New,
            start: StartLine::default(),
            version: HttpVersion::Http11,
            fields: Vec::new(),
            nominated: Vec::new(),
            present: 0,
            nominated_known: 0,
            facts: Facts::default(),
            length: 0,
        }
    }
}

impl Head {
    /// Forgets what was read and keeps the room for it. Needed only where a partial head is given up: a whole one is
    /// forgotten when the next one begins.
    pub fn clear(&mut self) {
        // Field by field, because to make a new one and move the lists into it takes longer than a whole start line.
        let Head { progress, start, version, fields, nominated, present, nominated_known, facts, length } = self;
        fields.clear();
        nominated.clear();
        (*progress, *start, *version, *facts) =
            (Progress::New, StartLine::default(), HttpVersion::Http11, Facts::default());
        (*present, *nominated_known, *length) = (0, 0, 0);
    }

    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// For a head that was HTTP/2's, and was written as HTTP/1 to be read by one set of rules. What is asked of the version
    /// from now on is asked of this one.
    pub fn set_version(&mut self, version: HttpVersion) {
        self.version = version;
    }

    /// Of a response: 100 to 599.
    pub fn status(&self) -> u16 {
        self.start.status
    }

    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether a field of this name is there. Always false for [`KnownField::Other`].
    #[inline]
    pub fn has(&self, field: KnownField) -> bool {
        field != KnownField::Other && self.present & field.bit() != 0
    }
}
