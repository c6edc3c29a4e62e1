//! The first line: of a request (RFC 9112 3) and of a response (RFC 9112 4).

use judgement::traffic::head::HttpVersion;

use super::Step;
use crate::characters::{target_end, token_end, value_end};
use crate::head::{Head, Span};
use crate::refused::Refused;
use crate::target;

/// Reads a request line that begins at `at`; where the next line begins. `line` may end before the line does, or behind it.
#[inline]
pub(super) fn request(line: &[u8], at: usize, head: &mut Head) -> Step<usize> {
    let (method_end, _) = token_end(line, at);
    match line.get(method_end..).unwrap_or_default() {
        [b' ', ..] if method_end > at => {}
        // Half of a blank line before the request, which is not to be told from a bare CR yet.
        [] | [b'\r'] if method_end == at || method_end == line.len() => return Ok(None),
        [b'\n', ..] => return Err(Refused::LineEnd),
        _ => return Err(Refused::RequestLine),
    }
    head.start.method = Span::new(at, method_end);
    match head.start.method.of(line) {
        // The first word of an HTTP/2 connection (RFC 9113 3.4), and no method.
        b"PRI" => return Err(Refused::RequestLine),
        // A tunnel to anywhere is not what this proxy is for.
        b"CONNECT" => return Err(Refused::Method),
        _ => {}
    }
    let start = method_end + 1;
    let end = target_end(line, start);
    match line.get(end..).unwrap_or_default() {
        [b' ', ..] if end > start => {}
        [] | [b'\r'] => return Ok(None),
        [b'\n', ..] => return Err(Refused::LineEnd),
        // The line ends without a version, as HTTP/0.9 has it, or has two spaces in a row.
        [b'\r', b'\n', ..] | [b' ', ..] => return Err(Refused::RequestLine),
        _ => return Err(Refused::BadTarget),
    }
    target::split(&mut head.start, line, Span::new(start, end)).ok_or(Refused::BadTarget)?;
    let Some(next) = version(line, end + 1, b"\r\n", head, Refused::RequestLine)? else { return Ok(None) };
    Ok(Some(next))
}

/// Reads a status line that begins at `at`; where the next line begins.
pub(super) fn response(line: &[u8], at: usize, head: &mut Head) -> Step<usize> {
    let Some(at) = version(line, at, b" ", head, Refused::StatusLine)? else { return Ok(None) };
    let mut status = 0;
    for place in 0..3 {
        match line.get(at + place) {
            Some(digit @ b'0'..=b'9') => status = status * 10 + u16::from(digit - b'0'),
            Some(b'\n') => return Err(Refused::LineEnd),
            Some(_) => return Err(Refused::StatusLine),
            None => return Ok(None),
        }
    }
    if !(100..=599).contains(&status) {
        return Err(Refused::StatusLine);
    }
    let at = at + 3;
    // Some origins leave out the space before a reason that is empty.
    let start = match line.get(at) {
        Some(b' ') => at + 1,
        _ => at,
    };
    let end = if start > at { value_end(line, start) } else { at };
    match line.get(end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Ok(None),
        [b'\n', ..] => return Err(Refused::LineEnd),
        _ => return Err(Refused::StatusLine),
    }
    head.start.status = status;
    head.start.reason = Span::new(start, end);
    Ok(Some(end + 2))
}

/// Reads `HTTP/1.1` or `HTTP/1.0` and what must follow; where that ends.
#[inline]
fn version(line: &[u8], at: usize, behind: &[u8], head: &mut Head, wrong: Refused) -> Step<usize> {
    const NAME: &[u8] = b"HTTP/1.";
    let rest = line.get(at..).unwrap_or_default();
    head.version = match rest.get(NAME.len()) {
        Some(b'0') => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    };
    let minor: &[u8] = if head.version == HttpVersion::Http10 { b"0" } else { b"1" };
    if rest.get(..NAME.len()) == Some(NAME)
        && rest.get(NAME.len()..NAME.len() + 1) == Some(minor)
        && rest.get(NAME.len() + 1..NAME.len() + 1 + behind.len()) == Some(behind)
    {
        return Ok(Some(at + NAME.len() + 1 + behind.len()));
    }
    // Rare: the line is not whole, or wrong. Which of the two is said by the first byte that differs.
    let expected = NAME.iter().chain(minor).chain(behind);
    match rest.iter().zip(expected).find(|(is, should)| is != should) {
        None => Ok(None),
        Some((b'\n', _)) => Err(Refused::LineEnd),
        Some(_) => Err(wrong),
    }
}
