//! `cutover demo`: two toy origins, the proxy, the sidecar and a steady load in one process. Green is deployed, breaks,
//! and is rolled back. Nothing is staged: the origins are real servers, the weight is changed by editing the file, and
//! the clients themselves count what they see. `--validate` runs the suites against the same two origins instead, and
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
pub struct DemoArgs {
    /// Show the live view, or print one JSON object at the end. Default: text on a terminal, otherwise json.
    #[arg(long, value_enum)]
    output: Option<Output>,
    /// Requests per second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=5000))]
    rate: u32,
    #[cfg(feature = "validation")]
    /// Run the built-in validation suites against both origins instead.
    #[arg(long, conflicts_with = "serve")]
    validate: bool,
    /// Keep everything running until Ctrl-C instead, with its files in `--folder`.
    #[arg(long)]
    serve: bool,
    /// With --validate or --serve: a fault in green. May be repeated.
    #[arg(long, value_enum, value_name = "FAULT")]
    broken: Vec<shop::Fault>,
    #[cfg(feature = "validation")]
    /// With --validate: run only this suite. May be repeated.
    #[arg(long = "suite", value_name = "SUITE", requires = "validate")]
    suites: Vec<String>,
    #[cfg(feature = "validation")]
    /// With --validate: write SUITE.html, SUITE.xml and SUITE.json to this folder.
    #[arg(long, value_name = "FOLDER", requires = "validate")]
    report: Option<PathBuf>,
    /// With --serve: the folder for its files.
    #[arg(long, default_value = "cutover-demo")]
    folder: PathBuf,
    /// With --serve: the proxy's listen address.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// With --serve: the admin API's listen address.
    #[arg(long, default_value = "127.0.0.1:9700")]
    admin: SocketAddr,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    #[cfg(feature = "validation")]
    if args.validate {
        let output = args.output.unwrap_or(Output::Text);
        return modes::validate(&args.broken, &args.suites, args.report.clone(), output);
    }
    if args.serve {
        return modes::serve(&args.broken, &args.folder, args.listen, args.admin);
    }
    anyhow::ensure!(args.broken.is_empty(), "--broken needs --validate or --serve");
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = std::io::stdout().is_terminal() && !dumb;
    let json = args.output.unwrap_or(if terminal { Output::Text } else { Output::Json }) == Output::Json;
    let mut view = if json { view::DemoView::none() } else { view::DemoView::live(terminal, log::colour_on_stdout()) };
    let told = scenario::play(args.rate, &mut view)?;
    if json {
        crate::cli::output::json(&told)?;
    } else {
        view.summary(&told);
    }
    Ok(if told.held() { Exit::Ok } else { Exit::Failed })
}
