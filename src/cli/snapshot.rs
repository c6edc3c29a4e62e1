//! `cutover snapshot`: the state of a service and its data, stored under a name.

use crate::cli::Exit;
use crate::cli::client::{AdminArg, CallError};
use crate::cli::commands::answered;
use crate::cli::table::Table;
use crate::cli::terminal::Terminal;
use judgement::time::Millis;
use wire::{
    CompareSnapshots, CreateSnapshot, ROLLBACK, RollbackPost, SnapshotComparison, SnapshotDifference, SnapshotMade,
    Snapshots,
};

#[derive(Debug, clap::Args)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Create a snapshot of a service: its status, its counters, and the data that a suite checks.
    Create {
        /// A name for the snapshot.
        name: String,
        /// Also include the data that this suite's [[data]] sections check.
        #[arg(long)]
        suite: Option<String>,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// List snapshots, latest first.
    List {
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Compare two snapshots, by id or name.
    Compare {
        /// The earlier snapshot.
        from: String,
        /// The later snapshot.
        to: String,
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Delete a snapshot, by id or name.
    Delete {
        /// The snapshot's id or name.
        id: String,
        #[command(flatten)]
        admin: AdminArg,
    },
}

pub fn run(args: &SnapshotArgs) -> anyhow::Result<Exit> {
    match &args.what {
        What::Create { name, suite, admin } => {
            let asked = CreateSnapshot { service: admin.service.clone(), name: name.clone(), suite: suite.clone() };
            made(admin, admin.client()?.patient().post(&RollbackPost::CreateSnapshot(asked)), "kept")
        }
        What::List { admin } => list(admin),
        What::Compare { from, to, admin } => compare(from, to, admin),
        What::Delete { id, admin } => made(admin, admin.client()?.delete(ROLLBACK, &[("snapshot", id)]), "deleted"),
    }
}

fn made(admin: &AdminArg, called: Result<SnapshotMade, CallError>, done: &str) -> anyhow::Result<Exit> {
    answered(called, admin.output, |made| format!("snapshot {} ({}) is {done}", made.snapshot.id, made.snapshot.name))
}

fn list(admin: &AdminArg) -> anyhow::Result<Exit> {
    let service: Vec<(&str, &str)> = admin.service.iter().map(|name| ("service", name.as_str())).collect();
    let query = [&[("action", "snapshots")], service.as_slice()].concat();
    answered(admin.client()?.get(ROLLBACK, &query), admin.output, |all: &Snapshots| {
        let mut table = Table::new(&[("SNAPSHOT", 0), ("NAME", 0), ("SERVICE", 1), ("AT", 2), ("BY", 3)]);
        for one in &all.snapshots {
            table.plain([&one.id, &one.name, &one.service, &one.at, &one.who]);
        }
        table.render(Terminal::stdout())
    })
}

fn compare(from: &str, to: &str, admin: &AdminArg) -> anyhow::Result<Exit> {
    let asked = CompareSnapshots { from: from.to_owned(), to: to.to_owned() };
    let called = admin.client()?.post(&RollbackPost::CompareSnapshots(asked));
    answered(called, admin.output, |found: &SnapshotComparison| {
        let mut lines = vec![format!("{} → {}, {} apart", found.from.name, found.to.name, Millis(found.apart_ms))];
        if found.differences.is_empty() {
            lines.push("  no differences".to_owned());
        }
        for SnapshotDifference { field, from, to } in &found.differences {
            lines.push(format!("  {field}: {from} → {to}"));
        }
        lines.join("\n")
    })
}
