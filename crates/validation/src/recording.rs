//! Recorded requests to repeat: from a HAR file, or from Cutover's own access log in JSON.
//!
//! A recording may come from anyone. Nothing in it decides where a request goes: its hosts only tell what was asked of
//! third parties, which is left out, and so is what identifies its clients (cookies, authorization).

mod access_log;
mod har;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, header};

use crate::text::truncated;
use config::suite::text::literal;
use config::suite::{Body, Expect, SuiteRequest};
use judgement::time::Millis;
use judgement::traffic::retry::is_safe;

/// In bytes; it is read into memory.
const MOST_BYTES: u64 = 64 << 20;
/// In bytes, of one request.
const MOST_BODY: usize = 1 << 20;
/// In bytes, of a path with its query. Servers accept no longer ones.
const LONGEST_PATH: usize = 8 << 10;
/// In bytes.
const LONGEST_HEADER: usize = 8 << 10;
/// Of one request.
const MOST_HEADERS: usize = 100;
/// In characters.
const LONGEST_NAME: usize = 100;
/// The default time limit of a request.
const PATIENCE: Millis = Millis::seconds(10);

const UNSAFE: &str = "an unsafe method (`unsafe_methods = true` sends them)";
const REPEATED: &str = "a repeat of an earlier request";
const NO_PATH: &str = "an invalid path";
const NO_METHOD: &str = "an invalid method";
const NO_BODY: &str = "a body that was not recorded";
const LONG_BODY: &str = "a body over 1 MiB";
/// Only part of the request is left out.
const BARE: &str = "(cookies and authorization, which are not sent)";

/// The requests of a recording.
#[derive(Debug, Default)]
pub struct Recording {
    /// Distinct ones, in the order in which they first appear.
    pub requests: Vec<SuiteRequest>,
    /// How many requests were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
}

/// Reads at most `most` requests, of any method if `unsafe_methods`. It blocks.
///
/// # Errors
/// The file cannot be read, or has neither format.
pub fn read(path: &Path, most: usize, unsafe_methods: bool) -> Result<Recording, String> {
    let bytes = bytes(path).map_err(|why| format!("the recording {} {why}", path.display()))?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let builder = || RecordingBuilder { most, unsafe_methods, seen: HashSet::new(), recording: Recording::default() };
    let mut lines = builder();
    if access_log::is_log(bytes) {
        access_log::read(bytes, &mut lines);
        return Ok(lines.recording);
    }
    let mut entries = builder();
    match har::read(bytes, &mut entries) {
        Ok(()) => return Ok(entries.recording),
        Err(har::HarError::Broken(why)) => {
            return Err(format!("the recording {} is a broken HAR file: {why}", path.display()));
        }
        Err(har::HarError::NoHar) => {}
    }
    // An access log may begin in the middle of a line.
    if access_log::read(bytes, &mut lines) {
        return Ok(lines.recording);
    }
    let hint = "it is neither a HAR file nor an access log with `format = \"json\"`";
    Err(format!("the recording {} has no requests: {hint}", path.display()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("is larger than {} MiB: use part of it", MOST_BYTES >> 20));
    }
    Ok(bytes)
}

/// A request as it was recorded.
#[derive(Debug, Default)]
struct RecordedRequest {
    method: String,
    /// The path with its query.
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

/// Collects requests that can be sent, and counts those that cannot.
#[derive(Debug)]
struct RecordingBuilder {
    most: usize,
    unsafe_methods: bool,
    /// By method, target and body.
    seen: HashSet<(Method, String, Vec<u8>)>,
    recording: Recording,
}

impl RecordingBuilder {
    fn take(&mut self, entry: Result<RecordedRequest, &'static str>) {
        if let Err(reason) = entry.and_then(|entry| self.add(entry)) {
            self.count(reason.to_owned());
        }
    }

    fn count(&mut self, reason: String) {
        *self.recording.left_out.entry(reason).or_default() += 1;
    }

    fn add(&mut self, entry: RecordedRequest) -> Result<(), &'static str> {
        let method = Method::from_bytes(entry.method.as_bytes()).map_err(|_| NO_METHOD)?;
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(NO_METHOD);
        }
        if !is_path(&entry.target) {
            return Err(NO_PATH);
        }
        if !self.unsafe_methods && !is_safe(method.as_str()) {
            return Err(UNSAFE);
        }
        let body = match &entry.body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Form(fields) => fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).fold(
                Vec::new(),
                |mut all, part| {
                    all.extend_from_slice(part);
                    all.push(0);
                    all
                },
            ),
            Body::None | Body::Text(_) | Body::Json(_) => Vec::new(),
        };
        if body.len() > MOST_BODY {
            return Err(LONG_BODY);
        }
        let key = (method, entry.target, body);
        if self.seen.contains(&key) {
            return Err(REPEATED);
        }
        if self.seen.len() >= self.most {
            self.count(format!("beyond the first {}", self.most));
            return Ok(());
        }
        let (method, target, _) = &key;
        let (headers, bare) = headers(entry.headers);
        if bare {
            self.count(BARE.to_owned());
        }
        self.recording.requests.push(SuiteRequest {
            query: Vec::new(),
            name: name(method, target),
            method: method.clone(),
            path: literal(target),
            headers,
            body: entry.body,
            timeout: PATIENCE,
            expect: Expect::default(),
            capture: Vec::new(),
        });
        self.seen.insert(key);
        Ok(())
    }
}

/// The access log writes bytes that it cannot show with `\`.
fn is_path(target: &str) -> bool {
    target.starts_with('/')
        && target.len() <= LONGEST_PATH
        && target.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'))
        && PathAndQuery::try_from(target).is_ok()
}

fn name(method: &Method, target: &str) -> String {
    truncated(&format!("{method} {target}"), LONGEST_NAME)
}

/// The headers that are sent again, and whether cookies or authorization were left out.
fn headers(recorded: Vec<(String, String)>) -> (Vec<(HeaderName, String)>, bool) {
    let mut bare = false;
    let mut all = Vec::new();
    for (name, value) in recorded {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if matches!(name, header::COOKIE | header::AUTHORIZATION | header::PROXY_AUTHORIZATION) {
            bare = true;
        } else if !is_of_the_connection(&name)
            && value.len() <= LONGEST_HEADER
            && HeaderValue::from_str(&value).is_ok()
            && all.len() < MOST_HEADERS
        {
            all.push((name, literal(&value)));
        }
    }
    (all, bare)
}

/// Headers of the recorded connection or of its client's cache, which Cutover sets itself.
fn is_of_the_connection(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::CONTENT_LENGTH
            | header::CONNECTION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::EXPECT
            // Bodies that are compared must be readable.
            | header::ACCEPT_ENCODING
            // A 304 has no body to compare.
            | header::IF_NONE_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_RANGE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

#[cfg(test)]
mod tests;
