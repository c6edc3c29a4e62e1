//! `cutover history --follow`: the last entries, then new ones as they happen. A lost connection is made again, and nothing
//! is missed: what was written meanwhile is asked for by its number.

use std::time::Duration;

use crate::cli::client::{AdminClient, CallError};
use crate::cli::commands::failed;
use crate::cli::history::Args;
use crate::cli::history::layout::Layout;
use crate::cli::output::say;
use crate::cli::terminal::Terminal;
use crate::cli::{Exit, Output};
use wire::{DEPLOYMENT, History, HistoryEntry};

/// Between attempts to reach the admin API again.
const AGAIN: Duration = Duration::from_secs(1);
/// The largest page that the API gives.
const PAGE: usize = 200;

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let client = args.connection.client(&args.journal.config.config)?;
    let mut entries = match page(&client, args, None, args.limit.min(PAGE)) {
        Ok(entries) => entries,
        Err(error) => return failed(&error),
    };
    let mut layout = Layout::of(&entries, Terminal::stdout());
    if args.output == Output::Text {
        say!("{}", layout.heading());
    }
    let mut last = match entries.last() {
        Some(entry) => entry.id,
        None => latest(&client).unwrap_or(0),
    };
    let mut lost = false;
    loop {
        if args.output == Output::Text {
            layout = Layout::of(&entries, Terminal::stdout()).at_least(&layout);
        }
        for entry in &entries {
            match args.output {
                Output::Text => say!("{}", layout.entry(entry)),
                Output::Json => say!("{}", serde_json::to_string(entry)?),
            }
            last = last.max(entry.id);
        }
        let new = client.wait_for_event(last).and_then(|()| {
            // Also past entries that the filters leave out.
            let latest = latest(&client)?;
            Ok((page(&client, args, Some(last), PAGE)?, latest))
        });
        entries = match new {
            Ok((new, latest)) => {
                if std::mem::take(&mut lost) {
                    eprintln!("cutover: connected again");
                }
                if new.is_empty() {
                    last = last.max(latest);
                }
                new
            }
            Err(error @ CallError::Unreachable { .. }) => {
                if !std::mem::replace(&mut lost, true) {
                    eprintln!("cutover: {error}; trying again");
                }
                if !client.wait(AGAIN) {
                    return Ok(Exit::Ok);
                }
                Vec::new()
            }
            Err(error) => return failed(&error),
        };
    }
}

/// The number of the last entry of all.
fn latest(client: &AdminClient) -> Result<u64, CallError> {
    let history: History = client.get(DEPLOYMENT, &[("action", "history"), ("limit", "1")])?;
    Ok(history.entries.first().map_or(0, |entry| entry.id))
}

/// Entries that the filters let through, the oldest first.
fn page(client: &AdminClient, args: &Args, after: Option<u64>, limit: usize) -> Result<Vec<HistoryEntry>, CallError> {
    let (limit, after) = (limit.max(1).to_string(), after.map(|after| after.to_string()));
    let mut query = vec![("action", "history"), ("limit", limit.as_str())];
    query.extend(args.service.as_deref().map(|service| ("service", service)));
    query.extend(args.kind.map(|kind| ("kind", kind.name())));
    query.extend(args.who.as_deref().map(|who| ("who", who)));
    query.extend(after.as_deref().map(|after| ("after", after)));
    let mut history: History = client.get(DEPLOYMENT, &query)?;
    history.entries.reverse();
    Ok(history.entries)
}
