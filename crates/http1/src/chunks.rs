//! Reading a chunked body (RFC 9112 7.1): bytes in, ranges of data out.
//!
//! Chunks are where smuggling lives, so a size is hexadecimal digits and nothing else, a line ends with CR LF, and
//! extensions, which no origin reads, are looked through and left behind. What goes on is written anew by
//! [`encode`](crate::encode). A body that is refused in the middle must be cut off, never ended: a part is not the whole.

mod trailers;

use std::ops::Range;

use crate::characters::{class, is_space};
use crate::parse::HeadLimits;
use crate::refused::Refused;
use crate::view::HeadView;
use trailers::TrailerBuffer;

/// Digits of a size, leading zeros included.
const SIZE_DIGITS: u8 = 16;
/// Bytes of one chunk's extensions: enough for a signature of any kind.
const EXTENSION_BYTES: u32 = 1024;
/// How many bytes of framing a body may have above what its data explain. Without it, a body of one-byte chunks costs its
/// reader a hundred times what it carries.
const SPARE_OVERHEAD: u64 = 16 * 1024;
/// What a chunk explains by being there, in bytes of framing, and by every byte of its data. Go's library counts alike.
const OVERHEAD_PER_CHUNK: u64 = 16;
const OVERHEAD_PER_BYTE: u64 = 2;

/// What comes next in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkEvent {
    /// Data: this range of the input.
    Data(Range<usize>),
    /// The input is used up, and the body is not at its end.
    NeedMore,
    /// The body is at its end, trailers included. What follows in the input is the next message's.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size, of which there were so many.
    Size(u8),
    /// Behind a semicolon, where a name must begin.
    ExtensionStart,
    Extension,
    /// Behind the CR of a size line.
    SizeEnd,
    Data,
    /// Behind the data.
    DataEnd,
    /// Behind the CR that follows the data.
    DataLineEnd,
    /// Behind the last chunk's size line.
    Last,
    /// Behind a CR there: there are no trailers.
    LastEnd,
    Trailers,
    End,
}

/// The reader of one chunked body after another. It owns no data; a trailer section, if there is one, is the only thing
/// that is copied.
#[derive(Clone, Debug)]
pub struct ChunkReader {
    state: State,
    /// Of the chunk that is being read: its size, then what is still to come of it.
    left: u64,
    /// Bytes of the size line that is being read, and of extensions in it.
    line_bytes: u32,
    extension_bytes: u32,
    /// Bytes of framing that nothing has explained yet.
    overhead: u64,
    limits: HeadLimits,
    trailers: Option<Box<TrailerBuffer>>,
}

impl ChunkReader {
    /// `limits` are those of the trailer section.
    pub fn new(limits: HeadLimits) -> ChunkReader {
        let state = State::Size(0);
        ChunkReader { state, left: 0, line_bytes: 0, extension_bytes: 0, overhead: 0, limits, trailers: None }
    }

    /// Makes it ready for another body. The room for trailers is kept.
    pub fn reset(&mut self) {
        if let Some(trailers) = &mut self.trailers {
            trailers.clear();
        }
        let trailers = self.trailers.take();
        *self = ChunkReader { trailers, ..ChunkReader::new(self.limits) };
    }

    /// Whether the whole body has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// The trailers, once the body is at its end. Fields that may not be trailers are marked as
    /// [`stays`](crate::FieldLine::stays).
    pub fn trailers(&self) -> Option<HeadView<'_>> {
        let trailers = self.trailers.as_deref().filter(|trailers| !trailers.is_empty() && self.is_done());
        trailers.map(TrailerBuffer::view)
    }

    /// Reads on in `input` from `at`, and moves `at` behind what was read.
    ///
    /// # Errors
    /// The first thing that is wrong. Nothing may be read after it.
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Result<ChunkEvent, Refused> {
        loop {
            if self.state == State::End {
                return Ok(ChunkEvent::End);
            }
            let rest = input.get(*at..).unwrap_or_default();
            let Some(byte) = rest.first() else { return Ok(ChunkEvent::NeedMore) };
            match self.state {
                State::Data => {
                    let taken = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= taken as u64;
                    if self.left == 0 {
                        self.state = State::DataEnd;
                    }
                    let start = *at;
                    *at += taken;
                    return Ok(ChunkEvent::Data(start..*at));
                }
                State::Trailers => *at += self.trailer_bytes(rest)?,
                State::Last if *byte != b'\r' => self.state = State::Trailers,
                _ => {
                    self.framing(*byte)?;
                    *at += 1;
                }
            }
        }
    }

    /// A byte of framing.
    fn framing(&mut self, byte: u8) -> Result<(), Refused> {
        self.state = match (self.state, byte) {
            (State::Size(digits), b'\r') if digits > 0 => State::SizeEnd,
            (State::Size(digits), b';') if digits > 0 => State::ExtensionStart,
            (State::Size(digits), byte) => self.digit(digits, byte)?,
            (State::ExtensionStart, byte) if is_space(byte) => State::ExtensionStart,
            (State::ExtensionStart, byte) if class(byte) != 0 => State::Extension,
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\t' | b' '..=b'~') => State::Extension,
            (State::ExtensionStart | State::Extension, _) => return Err(Refused::ChunkExtension),
            (State::SizeEnd, b'\n') => self.size_line_ends()?,
            (State::DataEnd, b'\r') => State::DataLineEnd,
            (State::DataLineEnd, b'\n') => State::Size(0),
            (State::Last, b'\r') => State::LastEnd,
            (State::LastEnd, b'\n') => State::End,
            (State::LastEnd, _) => return Err(Refused::Trailer),
            _ => return Err(Refused::ChunkEnd),
        };
        self.line_bytes += 1;
        if matches!(self.state, State::ExtensionStart | State::Extension) {
            self.extension_bytes += 1;
            if self.extension_bytes > EXTENSION_BYTES {
                return Err(Refused::ChunkExtension);
            }
        }
        Ok(())
    }

    /// No sign, no white space, no `0x`.
    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, Refused> {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Err(Refused::ChunkSize),
        };
        if digits == 0 {
            (self.left, self.line_bytes, self.extension_bytes) = (0, 0, 0);
        }
        // What other programs read with a sign would be negative to them.
        if digits == SIZE_DIGITS || self.left > (i64::MAX as u64) >> 4 {
            return Err(Refused::ChunkSize);
        }
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Size(digits + 1))
    }

    fn size_line_ends(&mut self) -> Result<State, Refused> {
        let explained = self.left.saturating_mul(OVERHEAD_PER_BYTE).saturating_add(OVERHEAD_PER_CHUNK);
        // With the line end that follows the data.
        let came = u64::from(self.line_bytes) + 3;
        self.overhead = (self.overhead + came).saturating_sub(explained);
        if self.overhead > SPARE_OVERHEAD {
            return Err(Refused::ChunkOverhead);
        }
        Ok(if self.left == 0 { State::Last } else { State::Data })
    }

    /// Bytes of the trailer section, and perhaps of what follows it; how many were the section's.
    fn trailer_bytes(&mut self, rest: &[u8]) -> Result<usize, Refused> {
        let trailers = self.trailers.get_or_insert_default();
        let (taken, is_whole) = trailers.take(rest, &self.limits)?;
        if is_whole {
            self.state = State::End;
        }
        Ok(taken)
    }
}

impl Default for ChunkReader {
    fn default() -> ChunkReader {
        ChunkReader::new(HeadLimits::default())
    }
}

#[cfg(test)]
mod tests;
