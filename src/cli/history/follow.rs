//! `cutover history --follow`: the last entries, then new ones as they happen. After a lost connection it reconnects
//! and fetches the entries it missed by their numbers.

use std::time::Duration;

use crate::cli::client::{AdminClient, CallError};
use crate::cli::commands::failed;
use crate::cli::history::HistoryArgs;
use crate::cli::history::layout::Layout;
use crate::cli::output::say;
use crate::cli::terminal::Terminal;
use crate::cli::{Exit, Output};
use wire::{DEPLOYMENT, History, HistoryEntry};

/// The pause between attempts to reconnect to the admin API.
const AGAIN: Duration = Duration::from_secs(1);
/// How often, and how many times, an announced entry is looked for.
const WRITTEN: Duration = Duration::from_millis(100);
const TRIES: u32 = 50;
/// The largest page that the API returns.
const PAGE: usize = 200;

pub fn run(args: &HistoryArgs) -> anyhow::Result<Exit> {
    let client = args.connection.client(&args.journal.config.config)?;
    let entries = match page(&client, args, None, usize::from(args.limit).min(PAGE)) {
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
    print(args, &layout, &entries)?;
    let mut lost = false;
    loop {
        let Some(broken) = follow(&client, args, (&mut last, &mut layout), &mut lost)? else { return Ok(Exit::Ok) };
        if !matches!(broken, CallError::Unreachable { .. }) {
            return failed(&broken);
        }
        if !std::mem::replace(&mut lost, true) {
            crate::cli::output::complain!("cutover: {broken}; trying again");
        }
        if !client.wait(AGAIN) {
            return Ok(Exit::Ok);
        }
    }
}

/// Prints new entries until the stream is cut off, and returns the reason; `None` after Ctrl-C.
fn follow(
    client: &AdminClient,
    args: &HistoryArgs,
    (last, layout): (&mut u64, &mut Layout),
    lost: &mut bool,
) -> anyhow::Result<Option<CallError>> {
    let mut events = match client.events(*last) {
        Ok(events) => events,
        Err(error) => return Ok(Some(error)),
    };
    if std::mem::take(lost) {
        crate::cli::output::complain!("cutover: connected again");
    }
    loop {
        let id = match events.next_entry() {
            Ok(Some(id)) => id,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        if id <= *last {
            continue;
        }
        let entries = match written(client, id).and_then(|()| page(client, args, Some(*last), PAGE)) {
            Ok(entries) => entries,
            Err(error) => return Ok(Some(error)),
        };
        if !entries.is_empty() {
            let next = Layout::of(&entries, Terminal::stdout()).at_least(layout);
            *layout = next;
        }
        print(args, layout, &entries)?;
        *last = entries.last().map_or(id, |entry| entry.id.max(id));
    }
}

fn print(args: &HistoryArgs, layout: &Layout, entries: &[HistoryEntry]) -> anyhow::Result<()> {
    for entry in entries {
        match args.output {
            Output::Text => say!("{}", layout.entry(entry)),
            Output::Json => crate::cli::output::json_line(entry)?,
        }
    }
    Ok(())
}

/// Waits until an entry can be read: it is announced before it is on disk.
fn written(client: &AdminClient, id: u64) -> Result<(), CallError> {
    for _ in 0..TRIES {
        if latest(client)? >= id || !client.wait(WRITTEN) {
            break;
        }
    }
    Ok(())
}

/// The number of the very last entry.
fn latest(client: &AdminClient) -> Result<u64, CallError> {
    let history: History = client.get(DEPLOYMENT, &[("action", "history"), ("limit", "1")])?;
    Ok(history.entries.first().map_or(0, |entry| entry.id))
}

/// Entries that pass the filters, oldest first.
fn page(
    client: &AdminClient,
    args: &HistoryArgs,
    after: Option<u64>,
    limit: usize,
) -> Result<Vec<HistoryEntry>, CallError> {
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
