//! Reading a head: once from the first byte to the last, a line at a time.
//!
//! Every byte is judged when it is reached, so a verdict depends on the bytes up to it alone: the same for whatever pieces
//! they came in, and no byte behind the first wrong one is looked at. A call with more of the same head goes on with the
//! line that was not whole.
//!
//! httparse was the alternative: to split a head with it and then look for what it is lenient about (LF alone, folded lines
//! in responses) costs 1.5 times as much as to read it here once (`benches/http1.rs`), and is two sets of rules.

mod start_line;

use crate::characters::{UNDERSCORE, is_space, space_end, token_end, value_end};
use crate::head::{Field, Head, Progress, Span};
use crate::known_field::KnownField;
use crate::refused::Refused;
use crate::rules::{self, MessageKind, Rules};

/// How long a head may be. A limit of 0 lets nothing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Of the whole head, in bytes, from the first byte to the blank line behind it.
    pub head_bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// Of the first line, in bytes, without its end.
    pub target_bytes: usize,
}

impl HeadLimits {
    /// Above this, `head_bytes` has no effect: offsets have 32 bits.
    pub const LARGEST: usize = 1 << 30;
}

impl Default for HeadLimits {
    /// 64 KiB, 100 fields, and 16 KiB for the first line.
    fn default() -> HeadLimits {
        HeadLimits { head_bytes: 64 << 10, fields: 100, target_bytes: 16 << 10 }
    }
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is whole, and this many bytes long: what follows is its body, or the next message.
    Complete { head_len: usize },
    /// Sound so far. Call again with the same bytes and more.
    Partial,
}

/// Reads the head of a request (RFC 9112 3 and 5) from the beginning of `bytes`.
///
/// After `Partial`, the next call must bring the same bytes from the beginning, and more; call [`Head::clear`] before bytes
/// of another message.
///
/// # Errors
/// The first thing that is wrong, from the first byte on.
#[inline]
pub fn parse_request(bytes: &[u8], head: &mut Head, limits: &HeadLimits) -> Result<Parsed, Refused> {
    parse(bytes, head, limits, rules::REQUEST)
}

/// Reads the head of a response (RFC 9112 4 and 5), as [`parse_request`] reads a request's. Interim responses (1xx) are
/// heads of their own.
///
/// # Errors
/// The first thing that is wrong.
#[inline]
pub fn parse_response(bytes: &[u8], head: &mut Head, limits: &HeadLimits) -> Result<Parsed, Refused> {
    parse(bytes, head, limits, rules::RESPONSE)
}

/// Reads a trailer section (RFC 9112 7.1.2), the blank line behind it included. [`ChunkReader`](crate::ChunkReader) does it
/// for whoever reads chunks.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn parse_trailers(bytes: &[u8], head: &mut Head, limits: &HeadLimits) -> Result<Parsed, Refused> {
    parse(bytes, head, limits, rules::TRAILERS)
}

/// What a step of the parser found: `None` if it needs more bytes.
type Step<T> = Result<Option<T>, Refused>;

#[inline]
fn parse(bytes: &[u8], head: &mut Head, limits: &HeadLimits, rules: Rules) -> Result<Parsed, Refused> {
    let limit = limits.head_bytes.min(HeadLimits::LARGEST);
    let window = bytes.get(..limit).unwrap_or(bytes);
    let refused = match lines(window, head, limits, rules) {
        Ok(Some(head_len)) => {
            head.progress = Progress::Whole;
            head.length = head_len as u32;
            match rules.whole(head, window) {
                Ok(()) => return Ok(Parsed::Complete { head_len }),
                Err(refused) => refused,
            }
        }
        Ok(None) if bytes.len() <= limit => return Ok(Parsed::Partial),
        Ok(None) => Refused::LargeHead,
        Err(refused) => refused,
    };
    head.clear();
    Err(refused)
}

/// Reads on where the last call has stopped. The length of the head, if it is whole.
#[inline]
fn lines(window: &[u8], head: &mut Head, limits: &HeadLimits, rules: Rules) -> Step<usize> {
    let mut at = match head.progress {
        Progress::Lines(at) if at as usize <= window.len() => at as usize,
        Progress::Blank(at) if at as usize <= window.len() => {
            start_line(window, at as usize, head, limits, rules)?.unwrap_or(0)
        }
        _ => {
            head.clear();
            start_line(window, 0, head, limits, rules)?.unwrap_or(0)
        }
    };
    if !matches!(head.progress, Progress::Lines(_)) {
        return Ok(None);
    }
    loop {
        match window.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => return Ok(Some(at + 2)),
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(Refused::Field),
            [b'\n', ..] => return Err(Refused::LineEnd),
            _ if head.fields.len() >= limits.fields => return Err(Refused::ManyFields),
            _ => {}
        }
        let Some(next) = field_line(window, at, head, rules)? else { return Ok(None) };
        at = next;
        head.progress = Progress::Lines(at as u32);
    }
}

/// The first line, if there is one; where the next line begins.
#[inline]
fn start_line(window: &[u8], mut at: usize, head: &mut Head, limits: &HeadLimits, rules: Rules) -> Step<usize> {
    // RFC 9112 2.2 has a server skip an empty line before a request: old clients send one after a body.
    while rules.message == MessageKind::Request && window.get(at..at + 2) == Some(b"\r\n") {
        at += 2;
    }
    head.progress = Progress::Blank(at as u32);
    let end = at.saturating_add(limits.target_bytes).saturating_add(2);
    let line = window.get(..end).unwrap_or(window);
    let next = match rules.message {
        MessageKind::Request => start_line::request(line, at, head)?,
        MessageKind::Response => start_line::response(line, at, head)?,
        MessageKind::Trailers => Some(at),
    };
    match next {
        Some(next) => head.progress = Progress::Lines(next as u32),
        None if line.len() == end => return Err(Refused::LongLine),
        None => {}
    }
    Ok(next)
}

/// A field line that begins at `at` with something else than a line end; where the next line begins.
#[inline]
fn field_line(window: &[u8], at: usize, head: &mut Head, rules: Rules) -> Step<usize> {
    // A name with a space before it is a folded line, one with a space behind it is a trick; a token is neither.
    let (name_end, classes) = token_end(window, at);
    match window.get(name_end) {
        Some(b':') if name_end > at => {}
        Some(b'\n') => return Err(Refused::LineEnd),
        Some(_) => return Err(Refused::Field),
        None => return Ok(None),
    }
    // Programs that put fields into variables write `-` as `_`: X_Forwarded_For is X-Forwarded-For to them.
    if classes & UNDERSCORE != 0 && rules.refuses_underscores {
        return Err(Refused::Underscore);
    }
    let value_start = space_end(window, name_end + 1);
    let line_end = value_end(window, value_start);
    match window.get(line_end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Ok(None),
        [b'\n', ..] => return Err(Refused::LineEnd),
        _ => return Err(Refused::Field),
    }
    let name = Span::new(at, name_end);
    let id = KnownField::of_token(name.of(window));
    let value = Span::new(value_start, trimmed(window, value_start, line_end));
    rules.field(head, id, window, value)?;
    let stays = rules.stays(id, name.of(window));
    head.fields.push(Field { id, stays, name, value, line_end: line_end as u32 + 2 });
    Ok(Some(line_end + 2))
}

/// Where a value ends, white space behind it left out.
#[inline]
fn trimmed(window: &[u8], start: usize, end: usize) -> usize {
    let value = window.get(start..end).unwrap_or_default();
    start + value.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
