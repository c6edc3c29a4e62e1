//! Cutover's own access log in JSON, one line per request. It has no bodies and only two of the headers.

use serde::Deserialize;

use super::{NO_BODY, RecordedRequest, RecordingBuilder};
use crate::text::CUT;
use config::suite::Body;

const NO_REQUEST: &str = "a line that is not a request";
const CUT_PATH: &str = "a path that the log truncated";
const REFUSED: &str = "a request that the proxy refused";

#[derive(Deserialize)]
struct AccessLogLine {
    method: String,
    path: String,
    #[serde(default)]
    bytes_in: Option<u64>,
    #[serde(default)]
    referer: Option<String>,
    #[serde(default)]
    user_agent: Option<String>,
    #[serde(default)]
    refused: Option<String>,
}

/// Whether the first line is an access log line.
pub fn is_log(bytes: &[u8]) -> bool {
    lines(bytes).next().is_some_and(|line| serde_json::from_slice::<AccessLogLine>(line).is_ok())
}

/// Whether any line was an access log line.
pub fn read(bytes: &[u8], builder: &mut RecordingBuilder) -> bool {
    let mut any = false;
    for line in lines(bytes) {
        let line = serde_json::from_slice::<AccessLogLine>(line);
        any |= line.is_ok();
        builder.take(line.map_err(|_| NO_REQUEST).and_then(entry));
    }
    any
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn entry(line: AccessLogLine) -> Result<RecordedRequest, &'static str> {
    if line.path.ends_with(CUT) {
        return Err(CUT_PATH);
    }
    if line.refused.is_some() {
        return Err(REFUSED);
    }
    if line.bytes_in.is_some_and(|bytes| bytes > 0) {
        return Err(NO_BODY);
    }
    let named = [("referer", line.referer), ("user-agent", line.user_agent)];
    let headers = named.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.ends_with(CUT))?;
        Some((name.to_owned(), value))
    });
    Ok(RecordedRequest { method: line.method, target: line.path, headers: headers.collect(), body: Body::None })
}
