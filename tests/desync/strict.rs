//! A parser of requests that knows no mercy: RFC 9112 to the letter, and of RFC 9110 what an intermediary must not send.
//!
//! One thing is let through: bytes of a target that RFC 3986 forbids and clients send all the same (`"<>\^{|}`, brackets,
//! a backtick, a lone `%` in the query). They are the client's own, printable, and frame nothing.

#[derive(Debug)]
pub struct Request {
    pub head_only: bool,
    pub target: String,
    /// Of head and body, in bytes.
    pub length: usize,
}

#[derive(Debug)]
pub enum Found {
    Whole(Request),
    /// A whole head, and a part of a body that is good so far.
    CutBody,
    /// Less than a head.
    CutHead,
}

pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The first request of `bytes`.
///
/// # Errors
/// What is wrong with it.
pub fn request(bytes: &[u8]) -> Result<Found, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(Found::CutHead) };
    let mut lines = Vec::new();
    let mut rest = &bytes[..end + 2];
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        if !rest[at..].starts_with(b"\r\n") {
            return Err("a line ends with something else than CRLF".to_owned());
        }
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    let (line, fields) = lines.split_first().ok_or("no line at all")?;
    let parts: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let [method, target, b"HTTP/1.1"] = parts[..] else { return Err("no request line".to_owned()) };
    if !is_token(method) || method == b"PRI" {
        return Err("the method is no token".to_owned());
    }
    check_target(method, target)?;
    let body = &bytes[end + 4..];
    let length = match framing(method, fields)? {
        Framing::Length(length) if body.len() < length => return Ok(Found::CutBody),
        Framing::Length(length) => length,
        Framing::Chunks => match chunks(body)? {
            Some(length) => length,
            None => return Ok(Found::CutBody),
        },
    };
    let target = String::from_utf8(target.to_vec()).map_err(|e| e.to_string())?;
    Ok(Found::Whole(Request { head_only: method == b"HEAD", target, length: end + 4 + length }))
}

fn check_target(method: &[u8], target: &[u8]) -> Result<(), String> {
    if target == b"*" && method == b"OPTIONS" {
        return Ok(());
    }
    if !target.starts_with(b"/") || !target.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err("the target is no origin-form".to_owned());
    }
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    for (at, _) in path.iter().enumerate().filter(|(_, b)| **b == b'%') {
        if !path.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err("the path has a malformed escape".to_owned());
        }
    }
    Ok(())
}

enum Framing {
    Length(usize),
    Chunks,
}

fn framing(method: &[u8], fields: &[&[u8]]) -> Result<Framing, String> {
    let (mut hosts, mut length, mut chunked, mut upgrade, mut expects) = (0, None, false, false, false);
    let mut connection: Vec<u8> = Vec::new();
    for field in fields {
        let at = field.iter().position(|b| *b == b':').ok_or("a field without a colon")?;
        let (name, value) = (&field[..at], field[at + 1..].trim_ascii());
        if !is_token(name) {
            return Err(format!("the field name `{}` is no token", name.escape_ascii()));
        }
        if field[at..].iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(format!("the value of `{}` has a control byte", name.escape_ascii()));
        }
        match name.to_ascii_lowercase().as_slice() {
            b"host" => {
                hosts += 1;
                if value.is_empty() || !value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(b)) {
                    return Err("the Host is no host".to_owned());
                }
            }
            b"content-length" => {
                let text = std::str::from_utf8(value).map_err(|e| e.to_string())?;
                if length.is_some() || text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err("Content-Length is not one plain number".to_owned());
                }
                length = Some(text.parse::<usize>().map_err(|e| e.to_string())?);
            }
            b"transfer-encoding" => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("Transfer-Encoding is not exactly chunked".to_owned());
                }
                chunked = true;
            }
            b"connection" => connection.extend_from_slice(&value.to_ascii_lowercase()),
            b"upgrade" => upgrade = true,
            b"expect" => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err("an Expect that nobody knows".to_owned());
                }
                expects = true;
            }
            hop @ (b"keep-alive" | b"proxy-connection" | b"te" | b"http2-settings" | b"proxy-authorization") => {
                return Err(format!("the hop-by-hop field `{}` went on", hop.escape_ascii()));
            }
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(format!("{hosts} Host fields"));
    }
    if upgrade != (connection == b"upgrade") || !matches!(&connection[..], b"" | b"upgrade" | b"close") {
        return Err("Connection and Upgrade do not agree".to_owned());
    }
    if expects && !chunked && length.unwrap_or(0) == 0 {
        return Err(format!("{} expects 100 for a body that is not there", method.escape_ascii()));
    }
    match (length, chunked) {
        (Some(_), true) => Err("both Content-Length and Transfer-Encoding".to_owned()),
        (_, true) => Ok(Framing::Chunks),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// The length of a whole chunked body, `None` for a good part of one.
fn chunks(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = &body[at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits > 15 {
            return Err("a chunk size of over 15 digits".to_owned());
        }
        match &rest[digits..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if digits > 0 => {}
            _ => return Err("a chunk size is not hex digits and CRLF".to_owned()),
        }
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..digits]).unwrap(), 16).unwrap();
        let data_end = at + digits + 2 + size;
        match body.get(data_end..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => at = data_end + 2,
            _ => return Err("a chunk does not end with CRLF, or trailers went on".to_owned()),
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
