//! `cutover history`: what was changed, by whom, and why. Reads the journal's file, beside a running proxy or after it.

use std::path::PathBuf;

use anyhow::Context;

use crate::cli::out::say;
use crate::cli::{ConfigArg, Exit, Output, time_of_day};
use crate::config;
use crate::journal::{Chain, Entry, Reader};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    journal: JournalArg,
    /// Only this service.
    #[arg(long)]
    service: Option<String>,
    /// So many entries, newest first.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
    /// Follow the hash chain instead, and say whether an entry was altered.
    #[arg(long)]
    verify: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Where the journal is.
#[derive(Clone, Debug, clap::Args)]
pub struct JournalArg {
    #[command(flatten)]
    config: ConfigArg,
    /// The state file itself, instead of the one that the main file names.
    #[arg(long)]
    state: Option<PathBuf>,
}

impl JournalArg {
    pub fn open(&self) -> anyhow::Result<Reader> {
        let path = match &self.state {
            Some(path) => path.clone(),
            None => config::settings(&self.config.config)?.state,
        };
        Reader::open(&path).context("cannot read the journal")
    }
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let journal = args.journal.open()?;
    if args.verify {
        return Ok(match journal.verify()? {
            Chain::Whole(entries) => {
                say!("whole: {entries} entries, each chained to the one before");
                Exit::Ok
            }
            Chain::Broken { at } => {
                say!("broken: entry {at} does not follow from the one before it: something was altered or removed");
                Exit::Failed
            }
        });
    }
    let entries = journal.latest(args.service.as_deref(), args.limit)?;
    match args.output {
        Output::Json => say!("{}", serde_json::to_string_pretty(&entries)?),
        Output::Text if entries.is_empty() => match &args.service {
            Some(service) => say!("nothing has happened to {service}"),
            None => say!("nothing has happened yet"),
        },
        Output::Text => {
            for entry in &entries {
                say!("{}", line(entry));
            }
        }
    }
    Ok(Exit::Ok)
}

fn line(Entry { at, change }: &Entry) -> String {
    let weight = match (&change.before, &change.after) {
        (Some(before), Some(after)) if before.weight != after.weight => {
            format!("{} -> {}", before.weight, after.weight)
        }
        (_, Some(after)) => after.weight.to_string(),
        (_, None) => String::new(),
    };
    format!(
        "{:>5}  {}  {}  {:<11}  {:<14}  {}: {}",
        change.id,
        time_of_day(*at),
        change.service,
        change.kind.name(),
        weight,
        change.who,
        change.why
    )
}
