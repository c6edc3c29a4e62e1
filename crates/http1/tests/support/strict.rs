//! A second reader, written from RFC 9112 alone and sharing nothing with the crate: slow, whole messages only, no mercy.

// Not every test reads both requests and responses.
#![allow(dead_code)]

use std::collections::BTreeMap;

/// What begins the reason for refusing what more bytes may mend.
pub const CUT: &str = "cut: ";

/// A message as a program behind the proxy, or before it, would understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictMessage {
    /// The words of its first line.
    pub start: [String; 3],
    /// Names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Of head and body, in bytes.
    pub length: usize,
}

impl StrictMessage {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }
}

fn is_token(text: &[u8]) -> bool {
    let signs = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(byte))
}

/// Takes a line off, which must end with CR LF and have neither of them inside.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let at = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).ok_or("cut: a line")?;
    if &rest[at..] == b"\r" {
        return Err("cut: the end of a line".into());
    }
    if rest.get(at..at + 2) != Some(b"\r\n") {
        return Err("a line ends with something else than CR LF".into());
    }
    let found = &rest[..at];
    *rest = &rest[at + 2..];
    Ok(found)
}

fn fields(rest: &mut &[u8], underscores: bool) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut fields = Vec::new();
    loop {
        let line = line(rest)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a line without a colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || name.contains(&b'_') && !underscores {
            return Err(format!("the name {} is not safe", name.escape_ascii()));
        }
        if line[colon..].iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err("a value has a control byte".into());
        }
        fields.push((String::from_utf8(name.to_ascii_lowercase()).unwrap(), value.to_vec()));
    }
}

/// The first request of `bytes`, which must be whole. `hops`: the fields of a connection that may be there all the same.
///
/// # Errors
/// What two programs could read in two ways.
pub fn request(bytes: &[u8], hops: &[&str]) -> Result<StrictMessage, String> {
    let mut rest = bytes;
    let text = std::str::from_utf8(line(&mut rest)?).map_err(|error| error.to_string())?;
    let words: Vec<&str> = text.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return Err(format!("{text} is not three words")) };
    let is_target = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !is_token(method.as_bytes()) || !is_target || target.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')
    {
        return Err(format!("{text} is not safe"));
    }
    let fields = fields(&mut rest, false)?;
    let mut by_name: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &fields {
        by_name.entry(name).or_default().push(value);
    }
    for one in ["host", "content-length", "transfer-encoding", "expect", "connection", "upgrade"] {
        if by_name.get(one).is_some_and(|values| values.len() > 1) {
            return Err(format!("{one} is there more than once"));
        }
    }
    for hop in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings"] {
        if by_name.contains_key(hop) && !hops.contains(&hop) {
            return Err(format!("{hop} went on"));
        }
    }
    if !by_name.contains_key("host") {
        return Err("there is no Host".into());
    }
    let first = |name| by_name.get(name).map(|values: &Vec<&[u8]>| values[0]);
    let body = match (first("content-length"), first("transfer-encoding")) {
        (None, None) => Vec::new(),
        (Some(digits), None) => {
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err("the length is not digits".into());
            }
            let length: usize = std::str::from_utf8(digits).unwrap().parse().map_err(|_| "the length is too long")?;
            let body = rest.get(..length).ok_or("cut: the body")?.to_vec();
            rest = &rest[length..];
            body
        }
        (None, Some(b"chunked")) => chunks(&mut rest, false)?,
        _ => return Err("the body has two ends".into()),
    };
    if first("expect").is_some() && body.is_empty() {
        return Err("100 is expected for a body that is not there".into());
    }
    let start = [method, target, "HTTP/1.1"].map(str::to_owned);
    Ok(StrictMessage { start, fields, body, length: bytes.len() - rest.len() })
}

fn chunks(rest: &mut &[u8], underscores: bool) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let digits = line(rest)?;
        if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("{} is not a size", digits.escape_ascii()));
        }
        let size =
            usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).map_err(|error| error.to_string())?;
        if size == 0 {
            for (name, _) in fields(rest, underscores)? {
                if ["content-length", "transfer-encoding", "host", "connection", "trailer"].contains(&name.as_str()) {
                    return Err(format!("{name} is no trailer"));
                }
            }
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).ok_or("cut: a chunk")?);
        *rest = &rest[size..];
        if !line(rest)?.is_empty() {
            return Err("a chunk does not end where it says".into());
        }
    }
}

/// A response that we have written, which may have a body. `hops`: the fields of a connection that may be there. Nothing
/// follows one that ends with its connection.
///
/// # Errors
/// What two programs could read in two ways.
pub fn response(bytes: &[u8], hops: &[&str], to_head: bool) -> Result<StrictMessage, String> {
    let mut rest = bytes;
    let start = line(&mut rest)?;
    let (status, reason) = status(start).ok_or("the status line is not sound")?;
    let fields = fields(&mut rest, true)?;
    let all = |wanted: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_slice()).collect()
    };
    for hop in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"] {
        if !all(hop).is_empty() && !hops.contains(&hop) {
            return Err(format!("{hop} went on"));
        }
    }
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let body = match (&lengths[..], &codings[..]) {
        ([_, _, ..], _) | (_, [_, _, ..]) | ([_], [_]) => return Err("the body has two ends".into()),
        ([digits], _) if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) => {
            return Err("the length is not digits".into());
        }
        (_, [coding]) if coding != b"chunked" => return Err("the coding is not chunked".into()),
        _ if to_head || status.starts_with('1') || status == "204" || status == "304" => Vec::new(),
        ([], []) => std::mem::take(&mut rest).to_vec(),
        (_, [_]) => chunks(&mut rest, true)?,
        ([digits], []) => {
            let length: usize = std::str::from_utf8(digits).unwrap().parse().map_err(|_| "the length is too long")?;
            let body = rest.get(..length).ok_or("cut: the body")?.to_vec();
            rest = &rest[length..];
            body
        }
    };
    let start = ["HTTP/1.1".to_owned(), status, reason];
    Ok(StrictMessage { start, fields, body, length: bytes.len() - rest.len() })
}

/// The status and the reason of a status line.
fn status(line: &[u8]) -> Option<(String, String)> {
    let (digits, reason) = line.strip_prefix(b"HTTP/1.1 ")?.split_at_checked(3)?;
    let reason = reason.strip_prefix(b" ")?;
    let is_status = digits.iter().all(u8::is_ascii_digit) && (b'1'..=b'5').contains(&digits[0]);
    let is_sound = is_status && !reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    is_sound.then(|| (String::from_utf8_lossy(digits).into_owned(), String::from_utf8_lossy(reason).into_owned()))
}
