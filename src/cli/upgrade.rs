//! `cutover upgrade`: a new process takes the place of the running one.

use std::path::PathBuf;

use crate::cli::output::{complain, say};
use crate::cli::{ConfigArg, Exit};
use crate::upgrade::door::{UpgradeAnswer, UpgradeRequest, ask};

#[derive(Debug, clap::Args)]
pub struct UpgradeArgs {
    /// The program to start. Default: the one that runs, as it is on the disk now.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &UpgradeArgs) -> anyhow::Result<Exit> {
    let settings = config::load_main(&args.config.config)?;
    // The running process may have another working folder.
    let binary = args.binary.as_ref().map(std::path::absolute).transpose()?;
    match ask(&settings.state, &UpgradeRequest { binary })? {
        UpgradeAnswer::Serves { process, version } => {
            say!("process {process} serves now, with version {version}; the old one finishes what it has begun");
            Ok(Exit::Ok)
        }
        UpgradeAnswer::Refused { why } => {
            complain!("cutover: no upgrade: {why}\n  the running process goes on as before");
            Ok(Exit::Failed)
        }
    }
}
