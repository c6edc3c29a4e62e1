//! `cutover notify test`: checks that notices would reach their receivers.

use crate::cli::Exit;
use crate::cli::output::say;
use config;
use config::notify::Sink;
use notify;

#[derive(Debug, clap::Args)]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a test message to every [[notify]] and report the result.
    Test {
        /// Test only this receiver.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        config: super::ConfigArg,
    },
}

pub fn run(args: &NotifyArgs) -> anyhow::Result<Exit> {
    let Command::Test { name, config } = &args.command;
    let all = config::load_main(&config.config)?.notify;
    anyhow::ensure!(!all.is_empty(), "there is no [[notify]] in {}: no notices are sent", config.config.display());
    let names: Vec<&str> = all.iter().map(|sink| sink.name.as_str()).collect();
    let sinks: Vec<Sink> =
        all.iter().filter(|sink| name.as_ref().is_none_or(|name| *name == sink.name)).cloned().collect();
    if let (Some(name), true) = (name, sinks.is_empty()) {
        anyhow::bail!("there is no [[notify]] named {name}: {}", config::read::did_you_mean(name, &names));
    }
    crate::serve::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(notify::test(&sinks));
    // A lookup that hangs must not delay the exit.
    runtime.shutdown_background();
    let mut exit = Exit::Ok;
    for (name, done) in told {
        match done {
            Ok(()) => say!("{name}: sent"),
            Err(why) => {
                exit = Exit::Failed;
                say!("{name}: NOT sent: {why}");
            }
        }
    }
    Ok(exit)
}
