//! The journal, a page at a time.

use axum::response::Response;

use crate::admin::api::{Api, json};
use crate::admin::error::ApiError;
use crate::admin::input::{Query, brief};
use config::read::did_you_mean;
use judgement::hex;
use judgement::rollout::ChangeKind;
use sidecar::journal;
use wire;

/// Entries per page: the default, and the maximum. With evidence, an entry may take ten kilobytes.
pub const USUAL: u64 = 50;
pub const MOST: u64 = 200;

pub const PARAMETERS: [&str; 9] = ["service", "kind", "who", "since", "until", "before", "after", "limit", "evidence"];

/// A query of the journal, with or without evidence.
#[derive(Debug)]
pub struct HistoryQuery {
    query: journal::JournalQuery,
    evidence: bool,
}

/// Reads the parameters; `kind` is given if only one kind is wanted. They are checked whatever is shown.
///
/// # Errors
/// A parameter is invalid.
pub fn wanted(query: &Query, kind: Option<ChangeKind>) -> Result<HistoryQuery, ApiError> {
    let text = |name: &str| query.text(name).map(str::to_owned);
    let kind = query.text("kind").map(known).transpose()?.or(kind);
    let limit = query.number("limit")?.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let hint = "get the next page with `before`";
        return Err(ApiError::bad("bad_parameter", format!("`limit` must be 1 to {MOST}"), hint));
    }
    let journal = journal::JournalQuery {
        service: text("service"),
        kind,
        who: text("who"),
        since: moment(query, "since")?,
        until: moment(query, "until")?,
        before: query.number("before")?,
        after: query.number("after")?,
        limit: limit as usize,
        ..journal::JournalQuery::default()
    };
    Ok(HistoryQuery { query: journal, evidence: query.flag("evidence")? })
}

/// Returns one page.
///
/// # Errors
/// The journal cannot be read.
pub async fn page(api: &Api, HistoryQuery { query, evidence }: HistoryQuery) -> Result<Response, ApiError> {
    let (page, newest) = api.journal(move |reader| Ok((reader.page(&query)?, reader.newest()?))).await?;
    let newest = wire::NewestEntry { id: newest.id, hash: hex::text(&newest.hash) };
    let entries = page.entries.iter().map(|entry| wire::HistoryEntry::of(entry, evidence)).collect();
    Ok(json(&wire::History { entries, next: page.next, newest: Some(newest) }, None))
}

/// A point in time: RFC 3339, or milliseconds since 1970.
fn moment(query: &Query, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.text(name) else { return Ok(None) };
    if let Some(at) = judgement::time::parse_rfc3339(text) {
        return Ok(Some(at));
    }
    query.number(name).map_err(|_| {
        let hint = "use RFC 3339 such as \"2026-12-24T18:00:00Z\", or milliseconds since 1970";
        ApiError::bad("bad_parameter", format!("`{name}`: `{}` is not a time", brief(text)), hint)
    })
}

/// # Errors
/// There is no such kind.
pub fn known(name: &str) -> Result<ChangeKind, ApiError> {
    let wrong = || {
        ApiError::bad("bad_parameter", format!("unknown kind `{}`", brief(name)), did_you_mean(name, ChangeKind::NAMES))
    };
    name.parse().map_err(|_| wrong())
}
