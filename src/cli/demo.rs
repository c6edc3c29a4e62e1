//! `cutover demo`: two toy origins, the proxy, the sidecar and a steady load in one process. Green is deployed, breaks,
//! and is taken back. Nothing is staged: the origins are real servers, the weight is changed by editing the file, and
//! what clients saw is counted by the clients. `--validate` runs the suites against the same two origins instead, and
//! `--serve` leaves everything running.

mod clients;
mod files;
mod modes;
mod origins;
mod outcome;
mod scenario;
mod shop;
mod view;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::{Exit, Output, log};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object at the end instead of the live view; so it is without a terminal.
    #[arg(long, value_enum)]
    output: Option<Output>,
    /// Requests a second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=5000))]
    rate: u32,
    /// No story: run the validation suites that come with the program against both origins, and end.
    #[arg(long, conflicts_with = "serve")]
    validate: bool,
    /// No story: keep everything running until Ctrl-C, with its files in `--folder`.
    #[arg(long)]
    serve: bool,
    /// With either: what is wrong with green. May be given several times.
    #[arg(long, value_enum, value_name = "FAULT")]
    broken: Vec<shop::Fault>,
    /// With --validate: only this suite; may be given several times.
    #[arg(long = "suite", value_name = "SUITE", requires = "validate")]
    suites: Vec<String>,
    /// With --validate: write reports into this folder: SUITE.html, SUITE.xml and SUITE.json.
    #[arg(long, value_name = "FOLDER", requires = "validate")]
    report: Option<PathBuf>,
    /// With --serve: where its files are.
    #[arg(long, default_value = "cutover-demo")]
    folder: PathBuf,
    /// With --serve: where the proxy listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// With --serve: where the admin listens.
    #[arg(long, default_value = "127.0.0.1:9700")]
    admin: SocketAddr,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.validate {
        let output = args.output.unwrap_or(Output::Text);
        return modes::validate(&args.broken, &args.suites, args.report.clone(), output);
    }
    if args.serve {
        return modes::serve(&args.broken, &args.folder, args.listen, args.admin);
    }
    anyhow::ensure!(args.broken.is_empty(), "--broken goes with --validate or --serve");
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = std::io::stdout().is_terminal() && !dumb;
    let json = args.output.unwrap_or(if terminal { Output::Text } else { Output::Json }) == Output::Json;
    let mut view = if json { view::DemoView::none() } else { view::DemoView::live(terminal, log::colour_on_stdout()) };
    let told = scenario::play(args.rate, &mut view)?;
    if json {
        crate::cli::output::line(serde_json::to_string_pretty(&told)?)?;
    } else {
        view.summary(&told);
    }
    Ok(if told.held() { Exit::Ok } else { Exit::Failed })
}
