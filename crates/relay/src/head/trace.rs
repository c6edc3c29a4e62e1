//! `traceparent` and `tracestate` (W3C Trace Context, level 1, and the random flag of level 2).

use http1::{HeadView, KnownField};

use crate::head::ids::IdGenerator;
use crate::head::stack_text::StackText;
use judgement::hex;

/// Version, trace id, parent id and flags of version 00, with the dashes between them.
pub const LENGTH: usize = 55;
/// A longer list is not passed on: the specification requires no more.
const LONGEST_STATE: usize = 512;
const MOST_STATES: usize = 32;
/// The flags that have a meaning: sampled, and a random trace id.
const KNOWN_FLAGS: u8 = 0b11;
/// A new trace is sampled: with 00, an origin whose sampler follows its parent would no longer trace anything.
const NEW_FLAGS: [u8; 2] = *b"01";

/// The trace that a request belongs to, with Cutover as the parent of what the origin does.
#[derive(Clone, Copy, Debug)]
pub struct TraceContext {
    id: [u8; 32],
    span: [u8; 16],
    flags: [u8; 2],
    /// The trace came with the request, and its tracestate may be passed on too.
    pub state: bool,
}

impl TraceContext {
    /// The trace of a request from a trusted proxy, or a new one.
    pub fn of(head: HeadView<'_>, trusted: bool, ids: &IdGenerator) -> TraceContext {
        let span = hex::digits(&ids.fresh_short().to_be_bytes());
        let mut lines = head.all(KnownField::Traceparent).filter(|_| trusted);
        // Two of them cannot both be true.
        let sent = lines.next().filter(|_| lines.next().is_none()).and_then(parse);
        match sent {
            Some((id, flags)) => {
                let state = is_fit(head.all(KnownField::Tracestate));
                TraceContext { id, span, flags, state }
            }
            None => {
                let id = hex::digits(&ids.fresh().to_be_bytes());
                TraceContext { id, span, flags: NEW_FLAGS, state: false }
            }
        }
    }

    /// 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// In the form of the header.
    pub fn parent(&self) -> StackText<LENGTH> {
        let mut text = StackText::new();
        for part in [&b"00-"[..], &self.id, b"-", &self.span, b"-", &self.flags] {
            text.push(part);
        }
        text
    }
}

/// The id and flags of a valid traceparent of version 00, or of a later version, which is read only as far as 00 goes.
pub fn parse(value: &[u8]) -> Option<([u8; 32], [u8; 2])> {
    let (version, rest) = value.split_first_chunk::<2>()?;
    let rest = rest.strip_prefix(b"-")?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let rest = rest.strip_prefix(b"-")?;
    let (span, rest) = rest.split_first_chunk::<16>()?;
    let rest = rest.strip_prefix(b"-")?;
    let (flags, rest) = rest.split_first_chunk::<2>()?;
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let whole = rest.is_empty() || version != b"00" && rest.starts_with(b"-");
    let valid = whole && version != b"ff" && [&version[..], id, span, flags].into_iter().all(is_hex);
    if !valid || is_zero(id) || is_zero(span) {
        return None;
    }
    let bits = std::str::from_utf8(flags).ok().and_then(|flags| u8::from_str_radix(flags, 16).ok())?;
    // The other bits may have a meaning in later versions that is unknown here.
    Some((*id, hex::digits(&[bits & KNOWN_FLAGS])))
}

/// Whether the lines of a tracestate, joined into one list, are valid and not too long.
pub fn is_fit<'h>(lines: impl Iterator<Item = &'h [u8]>) -> bool {
    let (mut length, mut states) = (0, 0);
    for line in lines {
        // Count the comma that joins lines.
        length += line.len() + usize::from(length > 0);
        for member in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            states += 1;
            if !is_state(member) {
                return false;
            }
        }
    }
    length <= LONGEST_STATE && states <= MOST_STATES
}

/// `key=value`, as defined in 3.3.1.3.
fn is_state(member: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'=', member) else { return false };
    let Some((key, value)) = member.split_at_checked(at) else { return false };
    let value = value.strip_prefix(b"=").unwrap_or_default();
    let letter = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let begins = key.first().is_some_and(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'=');
    let sizes = key.len() <= 256 && (1..=256).contains(&value.len());
    begins && sizes && key.iter().all(letter) && value.iter().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::request;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// The examples of the specification, and its rules for invalid values.
    #[test]
    fn a_traceparent_is_valid_or_nothing() {
        let id = *b"4bf92f3577b34da6a3ce929d0e0e4736";
        for (value, flags) in [
            (GOOD.to_owned(), Some(*b"01")),
            (GOOD.replace("b7-01", "b7-00"), Some(*b"00")),
            (GOOD.replace("b7-01", "b7-03"), Some(*b"03")),
            (GOOD.replace("b7-01", "b7-ff"), Some(*b"03")),
            (GOOD.replacen("00", "cc", 1), Some(*b"01")),
            (format!("{}-what-will-be", GOOD.replacen("00", "cc", 1)), Some(*b"01")),
            (format!("{}.what", GOOD.replacen("00", "cc", 1)), None),
            (format!("{GOOD}-more"), None),
            (GOOD.replacen("00", "ff", 1), None),
            (GOOD.to_uppercase(), None),
            (GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), None),
            (GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)), None),
            (GOOD.replace('b', "g"), None),
            (GOOD.replace("-01", ""), None),
            (format!(" {GOOD}"), None),
            (String::new(), None),
        ] {
            assert_eq!(parse(value.as_bytes()), flags.map(|flags| (id, flags)), "{value}");
        }
    }

    #[test]
    fn a_tracestate_is_fit_or_not() {
        let long_key = format!("{}=1", "k".repeat(257));
        let full = format!("rojo={}", "1".repeat(251));
        let many = (0..33).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        for (lines, fit) in [
            (vec!["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], true),
            (vec!["rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE"], true),
            (vec!["fw529a3039@dt=FfAxM2Ew, ,tenant@system=a b"], true),
            (vec![""], true),
            (vec![], true),
            (vec!["rojo"], false),
            (vec!["=1"], false),
            (vec!["rojo="], false),
            (vec!["ROJO=1"], false),
            (vec!["rojo=a=b"], false),
            (vec!["@rojo=1"], false),
            (vec!["rojo=\u{e9}"], false),
            (vec![&long_key], false),
            (vec![&many], false),
            (vec![&full, &full[..255]], true),
            (vec![&full, &full], false),
        ] {
            assert_eq!(is_fit(lines.iter().map(|line| line.as_bytes())), fit, "{lines:?}");
        }
    }

    #[test]
    fn a_trusted_trace_goes_on_with_another_span_and_any_other_begins_anew() {
        let ids = IdGenerator::new();
        let parent = format!("traceparent: {GOOD}");
        let once = request("GET /", &[&parent, "tracestate: rojo=1"]);
        let kept = TraceContext::of(once.view(), true, &ids);
        assert_eq!(kept.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(kept.state);
        let ours = kept.parent();
        assert_eq!((ours.as_bytes().len(), ours.as_bytes().get(..36)), (LENGTH, GOOD.as_bytes().get(..36)));
        assert_ne!(ours.as_bytes(), GOOD.as_bytes(), "we are the parent now");
        let new = TraceContext::of(once.view(), false, &ids);
        assert_ne!(new.id(), kept.id());
        assert!(!new.state && parse(new.parent().as_bytes()).is_some());
        let twice = request("GET /", &[&parent, "tracestate: rojo=1", &parent]);
        assert_ne!(TraceContext::of(twice.view(), true, &ids).id(), kept.id(), "two of them are none");
    }
}
