//! `cutover demo`: two toy origins, the proxy, the sidecar and a steady load in one process. Green is deployed, breaks,
//! and is taken back. Nothing is staged: the origins are real servers, the weight is changed by editing the file, and
//! what clients saw is counted by the clients.

mod load;
mod origins;
mod story;
mod told;
mod view;

use std::io::IsTerminal;

use crate::cli::{Exit, Output, log};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object at the end instead of the live view; so it is without a terminal.
    #[arg(long, value_enum)]
    output: Option<Output>,
    /// Requests a second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=5000))]
    rate: u32,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = std::io::stdout().is_terminal() && !dumb;
    let json = args.output.unwrap_or(if terminal { Output::Text } else { Output::Json }) == Output::Json;
    let mut view = if json { view::View::none() } else { view::View::live(terminal, log::colour_on_stdout()) };
    let told = story::play(args.rate, &mut view)?;
    if json {
        crate::cli::out::line(serde_json::to_string_pretty(&told)?)?;
    } else {
        view.summary(&told);
    }
    Ok(if told.held() { Exit::Ok } else { Exit::Failed })
}
