//! `cutover history`: shows what changed, who changed it and why. Reads the journal file, whether or not the proxy is
//! running; with `--follow` it uses the admin API.

mod follow;
mod layout;

use std::path::PathBuf;

use anyhow::Context;

use crate::cli::client::ConnectionArgs;
use crate::cli::history::layout::Layout;
use crate::cli::output::say;
use crate::cli::terminal::Terminal;
use crate::cli::{ConfigArg, Exit, Output};
use config;
use config::read::did_you_mean;
use judgement::hex;
use judgement::rollout::ChangeKind;
use judgement::time::{Millis, parse_date};
use memory::clock;
use sidecar::journal::{ChainCheck, JournalPage, JournalQuery, JournalReader};
use wire::HistoryEntry;

#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    journal: JournalArg,
    /// Show only this service.
    #[arg(long)]
    service: Option<String>,
    /// Show only this kind: shift, rollback, deploy, refused, token, ...
    #[arg(long, value_parser = kind)]
    kind: Option<ChangeKind>,
    /// Show only changes by this actor: a token's name, file, guard or plan.
    #[arg(long)]
    who: Option<String>,
    /// Show only entries from this time on: 2h or 7d ago, or a date or time in UTC (2026-11-20, 2026-11-20T14:30).
    #[arg(long, value_parser = moment)]
    since: Option<Moment>,
    /// Show only entries up to this time; a date means the start of that day.
    #[arg(long, value_parser = moment)]
    until: Option<Moment>,
    /// Show only entries older than this number, for the next page.
    #[arg(long)]
    before: Option<u64>,
    /// How many entries to show, newest first (at most 1000).
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print new entries as they happen, through the admin API, until Ctrl-C.
    #[arg(long, short, conflicts_with_all = ["verify", "before", "since", "until"])]
    follow: bool,
    /// Verify the hash chain instead, and report altered or missing entries.
    #[arg(long)]
    verify: bool,
    /// With --verify: whether an entry has this hash, as the log said it.
    #[arg(long, requires = "verify", value_name = "HASH")]
    holds: Option<String>,
    /// Print text or JSON.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Where the journal is.
#[derive(Clone, Debug, clap::Args)]
pub struct JournalArg {
    #[command(flatten)]
    config: ConfigArg,
    /// Read this state file instead of the one in the main file.
    #[arg(long)]
    state: Option<PathBuf>,
}

impl JournalArg {
    pub fn open(&self) -> anyhow::Result<JournalReader> {
        let path = match &self.state {
            Some(path) => path.clone(),
            None => config::load_main(&self.config.config)?.state,
        };
        JournalReader::open(&path).context("cannot read the journal")
    }
}

/// A point in time, or a duration before now.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Ago(Millis),
    At(u64),
}

impl Moment {
    fn unix_millis(self) -> u64 {
        match self {
            Moment::Ago(length) => clock::wall_millis().saturating_sub(length.0),
            Moment::At(millis) => millis,
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    match (Millis::parse(text), parse_date(text)) {
        (Ok(length), _) => Ok(Moment::Ago(length)),
        (_, Ok(seconds)) => Ok(Moment::At(seconds * 1000)),
        (Err(_), Err(_)) => Err("write 2h, 7d, 2026-11-20 or 2026-11-20T14:30".to_owned()),
    }
}

fn kind(text: &str) -> Result<ChangeKind, String> {
    text.parse().map_err(|_| did_you_mean(text, ChangeKind::NAMES))
}

pub fn run(args: &HistoryArgs) -> anyhow::Result<Exit> {
    if args.follow {
        return follow::run(args);
    }
    let journal = args.journal.open()?;
    if args.verify {
        return verify(&journal, args.holds.as_deref());
    }
    let query = JournalQuery {
        service: args.service.clone(),
        kind: args.kind,
        who: args.who.clone(),
        since: args.since.map(Moment::unix_millis),
        until: args.until.map(Moment::unix_millis),
        before: args.before,
        after: None,
        limit: usize::from(args.limit),
        key: None,
    };
    let JournalPage { entries, next } = journal.page(&query)?;
    let everything = JournalQuery { limit: usize::from(args.limit), ..JournalQuery::default() };
    match args.output {
        Output::Json => crate::cli::output::json(&entries)?,
        Output::Text if entries.is_empty() && query != everything => say!("no matching entries"),
        Output::Text if entries.is_empty() => say!("no entries yet"),
        Output::Text => {
            let entries: Vec<HistoryEntry> = entries.iter().map(|entry| HistoryEntry::of(entry, false)).collect();
            let layout = Layout::of(&entries, Terminal::stdout());
            say!("{}", layout.heading());
            for entry in &entries {
                say!("{}", layout.entry(entry));
            }
            let gone = journal.anchor()?.id;
            match next {
                Some(next) => say!("for older entries: --before {next}"),
                None if gone > 0 => say!("entries up to {gone} were removed ([state] keep and keep_size)"),
                None => {}
            }
        }
    }
    Ok(Exit::Ok)
}

fn verify(journal: &JournalReader, holds: Option<&str>) -> anyhow::Result<Exit> {
    if let Some(hash) = holds {
        let bytes = hex::bytes(hash.trim()).filter(|bytes| bytes.len() == 32);
        let bytes = bytes.ok_or_else(|| anyhow::anyhow!("--holds: `{hash}` is not a hash: 64 hexadecimal digits"))?;
        let Some(entry) = journal.entry_of(&bytes)? else {
            say!("gone: no entry has this hash: entries were altered or removed, or it is older than what is kept");
            return Ok(Exit::Failed);
        };
        say!("entry {entry} has this hash");
    }
    match journal.verify()? {
        ChainCheck::Whole(entries) => {
            say!("intact: {entries} entries, each chained to the one before it");
            let gone = journal.anchor()?.id;
            if gone > 0 {
                say!(
                    "entries up to {gone} were removed by age or size; the chain is verified from the hash of the last of them"
                );
            }
            let newest = journal.newest()?;
            say!("the newest is entry {}, with the hash {}", newest.id, hex::text(&newest.hash));
            Ok(Exit::Ok)
        }
        ChainCheck::Cut { newest } => {
            say!("cut: entry {newest} was written and is not there: the newest entries were removed");
            Ok(Exit::Failed)
        }
        ChainCheck::Unexplained { service, entry } => {
            say!(
                "altered: the state of {service} is not what entry {entry} says, the last one about it: another program has changed it. The next start goes by the entry"
            );
            Ok(Exit::Failed)
        }
        ChainCheck::Broken { at } => {
            say!("broken: entry {at} does not follow from the one before it: an entry was altered or removed");
            Ok(Exit::Failed)
        }
    }
}
