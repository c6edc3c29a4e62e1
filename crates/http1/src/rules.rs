//! The one table of what is accepted: for requests, responses and trailers.
//!
//! Two programs that read one message differently can be played against each other: a request hidden in what the first took
//! for a body, or a field that only the second sees. The only cure is to accept nothing that can be read in two ways. So
//! where RFC 9112 allows both repairing and refusing, this refuses; how lines look is the same for all and in `parse`.
//!
//! | | request | response | trailers |
//! |---|---|---|---|
//! | LF without CR, folded lines, space before the colon, control bytes, no token | refused | refused | refused |
//! | blank lines before it | skipped | refused | – |
//! | `_` in a name | refused | accepted | refused |
//! | Content-Length | one, 1 to 18 digits | the same: several are one if they agree | refused |
//! | Transfer-Encoding | one, `chunked`, HTTP/1.1 | the same | refused |
//! | both | refused | refused | – |
//! | Host | one; HTTP/1.1 must have it, or an authority in its target, and the two agree | any other field | refused |
//! | Expect | one, `100-continue` | any other field | refused |
//! | Connection | 9 names at most, none of them protected | 32 names; protected ones are not removed | refused |

use judgement::traffic::head::HttpVersion;

use crate::characters::is_token;
use crate::head::{Head, Span};
use crate::known_field::KnownField;
use crate::refused::Refused;

/// Digits of a Content-Length: more than fit a signed 64-bit number, somebody counts wrong.
const LENGTH_DIGITS: usize = 18;

/// A column of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) message: MessageKind,
    pub(crate) refuses_underscores: bool,
    /// The most names in all Connection lines.
    nominations: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Request,
    Response,
    Trailers,
}

pub(crate) const REQUEST: Rules = Rules { message: MessageKind::Request, refuses_underscores: true, nominations: 9 };
pub(crate) const RESPONSE: Rules =
    Rules { message: MessageKind::Response, refuses_underscores: false, nominations: 32 };
pub(crate) const TRAILERS: Rules = Rules { message: MessageKind::Trailers, refuses_underscores: true, nominations: 0 };

impl Rules {
    /// Judges a field whose line is sound, and notes what it says. `value` is where in `bytes` it stands.
    #[inline]
    pub(crate) fn field(self, head: &mut Head, id: KnownField, bytes: &[u8], value: Span) -> Result<(), Refused> {
        if id == KnownField::Other {
            return Ok(());
        }
        let is_again = head.present & id.bit() != 0;
        head.present |= id.bit();
        if self.message == MessageKind::Trailers {
            return if id.frames() { Err(Refused::Trailer) } else { Ok(()) };
        }
        match id {
            KnownField::ContentLength => self.length(head, value.of(bytes)),
            KnownField::TransferEncoding => encoding(head, value.of(bytes), is_again),
            KnownField::Connection => self.connection(head, bytes, value),
            KnownField::Host if self.message == MessageKind::Request => {
                // RFC 9110 4.2.4: userinfo is nothing that an honest client sends.
                let is_bad = is_again || memchr::memchr(b'@', value.of(bytes)).is_some();
                if is_bad { Err(Refused::BadHost) } else { Ok(()) }
            }
            KnownField::Expect if self.message == MessageKind::Request => {
                let known = value.of(bytes).eq_ignore_ascii_case(b"100-continue");
                if known && !is_again { Ok(()) } else { Err(Refused::Expectation) }
            }
            _ => Ok(()),
        }
    }

    fn length(self, head: &mut Head, value: &[u8]) -> Result<(), Refused> {
        // RFC 9110 8.6: a list of one and the same length is that length. Origins behind sloppy gateways send such lists;
        // clients do not.
        let one = match self.message {
            MessageKind::Response => same_in_list(value),
            MessageKind::Request | MessageKind::Trailers => Some(value),
        };
        let length = one.and_then(digits).ok_or(Refused::Length)?;
        let agrees = self.message == MessageKind::Response && head.facts.length == Some(length);
        if head.facts.length.is_some() && !agrees {
            return Err(Refused::Length);
        }
        head.facts.length = Some(length);
        if head.facts.chunked { Err(Refused::LengthAndEncoding) } else { Ok(()) }
    }

    fn connection(self, head: &mut Head, bytes: &[u8], value: Span) -> Result<(), Refused> {
        let mut at = value.start as usize;
        for part in value.of(bytes).split(|byte| *byte == b',') {
            let start = at + part.len() - part.trim_ascii_start().len();
            let name = part.trim_ascii();
            at += part.len() + 1;
            if name.is_empty() {
                continue;
            }
            head.facts.nominations += 1;
            let known = KnownField::of(name);
            let is_bad = !is_token(name) || is_protected(known, name);
            if head.facts.nominations > self.nominations || is_bad && self.message == MessageKind::Request {
                return Err(Refused::Connection);
            }
            match (known, name) {
                _ if is_bad => {}
                (KnownField::Other, name) if name.eq_ignore_ascii_case(b"close") => head.facts.close = true,
                (KnownField::Other, _) => head.nominated.push(Span::new(start, start + name.len())),
                (known, _) => {
                    if !known.is_hop_by_hop() {
                        head.nominated_known |= known.bit();
                    }
                    head.facts.keep_alive |= known == KnownField::KeepAlive;
                    head.facts.names_upgrade |= known == KnownField::Upgrade;
                }
            }
        }
        Ok(())
    }

    /// Judges what only the whole head can show.
    pub(crate) fn whole(self, head: &mut Head, bytes: &[u8]) -> Result<(), Refused> {
        // RFC 9112 6.1: its sender does not know what it says.
        if head.facts.chunked && head.version == HttpVersion::Http10 {
            return Err(Refused::Encoding);
        }
        if self.message == MessageKind::Request {
            host(head, bytes)?;
        }
        if !head.nominated.is_empty() || head.nominated_known != 0 {
            nominate(head, bytes);
        }
        Ok(())
    }

    /// Whether a field of this name stays behind, whatever Connection says.
    #[inline]
    pub(crate) fn stays(self, id: KnownField, name: &[u8]) -> bool {
        match self.message {
            MessageKind::Request | MessageKind::Response => id.is_hop_by_hop(),
            MessageKind::Trailers => !id.may_be_trailer() || is_forwarding(name),
        }
    }
}

/// Marks the fields that Connection names.
fn nominate(head: &mut Head, bytes: &[u8]) {
    let Head { fields, nominated, nominated_known, .. } = head;
    for field in fields {
        field.stays |= match field.id {
            KnownField::Other => {
                let name = field.name.of(bytes);
                nominated.iter().any(|one| one.of(bytes).eq_ignore_ascii_case(name))
            }
            known => *nominated_known & known.bit() != 0,
        };
    }
}

/// RFC 9112 6.1 knows more codings. No browser and no library sends another one than `chunked`, and few origins read one.
fn encoding(head: &mut Head, value: &[u8], is_again: bool) -> Result<(), Refused> {
    if is_again || !value.eq_ignore_ascii_case(b"chunked") {
        return Err(Refused::Encoding);
    }
    head.facts.chunked = true;
    if head.facts.length.is_some() { Err(Refused::LengthAndEncoding) } else { Ok(()) }
}

/// RFC 9112 3.2: HTTP/1.1 names its host. Where the target does too, RFC 9112 3.2.2 has the target win; a request that says
/// two things is read in two ways, so it is refused.
fn host(head: &Head, bytes: &[u8]) -> Result<(), Refused> {
    let line = head.fields.iter().find(|field| field.id == KnownField::Host).map(|field| field.value.of(bytes));
    let is_good = match (head.start.authority, line) {
        (Some(authority), Some(line)) => authority.of(bytes) == line,
        (Some(_), None) => true,
        (None, Some(line)) => !line.is_empty(),
        (None, None) => head.version == HttpVersion::Http10,
    };
    if is_good { Ok(()) } else { Err(Refused::BadHost) }
}

fn is_protected(known: KnownField, name: &[u8]) -> bool {
    known.is_protected() || is_forwarding(name)
}

#[inline]
pub(crate) fn is_forwarding(name: &[u8]) -> bool {
    name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// The member of a list whose members are all the same.
fn same_in_list(value: &[u8]) -> Option<&[u8]> {
    let mut members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let first = members.next()?;
    members.all(|other| other == first).then_some(first)
}

/// 1 to 18 digits: no sign, no blank.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > LENGTH_DIGITS {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
