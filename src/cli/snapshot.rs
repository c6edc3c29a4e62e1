//! `cutover snapshot`: how a service and its data stand, kept under a name.

use comfy_table::{Table, presets};

use crate::cli::admin::{AdminArg, ROLLBACK};
use crate::cli::orders::failed;
use crate::cli::out::say;
use crate::cli::{Exit, Output};
use crate::time::Millis;
use crate::wire::{CompareSnapshots, Comparison, CreateSnapshot, RollbackPost, SnapshotMade, Snapshots};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep how the service stands: its routing state, its counters, and its data as far as suites look at them.
    Create {
        name: String,
        /// The suite whose [[data]] are taken too.
        #[arg(long)]
        suite: Option<String>,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Those that are kept, latest first.
    List {
        #[command(flatten)]
        admin: AdminArg,
    },
    /// What differs between two of them, by their ids.
    Compare {
        from: String,
        to: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Take one away, by its id.
    Delete {
        id: String,
        #[command(flatten)]
        admin: AdminArg,
    },
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Create { name, suite, admin } => {
            let asked = CreateSnapshot { service: admin.service.clone(), name: name.clone(), suite: suite.clone() };
            made(admin, admin.client()?.post(ROLLBACK, &RollbackPost::CreateSnapshot(asked)), "kept")
        }
        What::List { admin } => list(admin),
        What::Compare { from, to, admin } => compare(from, to, admin),
        What::Delete { id, admin } => made(admin, admin.client()?.delete(ROLLBACK, &[("snapshot", id)]), "deleted"),
    }
}

type Called<T> = Result<T, crate::cli::admin::CallError>;

fn made(admin: &AdminArg, called: Called<SnapshotMade>, done: &str) -> anyhow::Result<Exit> {
    match called {
        Ok(made) if admin.output == Output::Json => say!("{}", serde_json::to_string_pretty(&made)?),
        Ok(made) => say!("snapshot {} ({}) is {done}", made.snapshot.id, made.snapshot.name),
        Err(error) => return failed(&error),
    }
    Ok(Exit::Ok)
}

fn list(admin: &AdminArg) -> anyhow::Result<Exit> {
    let service: Vec<(&str, &str)> = admin.service.iter().map(|name| ("service", name.as_str())).collect();
    let query = [&[("action", "snapshots")], service.as_slice()].concat();
    let all: Snapshots = match admin.client()?.get(ROLLBACK, &query) {
        Ok(all) => all,
        Err(error) => return failed(&error),
    };
    if admin.output == Output::Json {
        say!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["SNAPSHOT", "NAME", "SERVICE", "AT", "BY"]);
    for one in all.snapshots {
        table.add_row([one.id, one.name, one.service, one.at, one.who]);
    }
    say!("{}", table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"));
    Ok(Exit::Ok)
}

fn compare(from: &str, to: &str, admin: &AdminArg) -> anyhow::Result<Exit> {
    let asked = CompareSnapshots { from: from.to_owned(), to: to.to_owned() };
    let found: Comparison = match admin.client()?.post(ROLLBACK, &RollbackPost::CompareSnapshots(asked)) {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    if admin.output == Output::Json {
        say!("{}", serde_json::to_string_pretty(&found)?);
        return Ok(Exit::Ok);
    }
    say!("{} → {}, {} apart", found.from.name, found.to.name, Millis(found.apart_ms));
    for difference in &found.differences {
        say!("  {}: {} → {}", difference.field, difference.from, difference.to);
    }
    if found.differences.is_empty() {
        say!("  nothing differs");
    }
    Ok(Exit::Ok)
}
