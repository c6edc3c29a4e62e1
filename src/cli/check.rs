//! `cutover check`: everything that is wrong with both files and the suites, without touching anything that runs.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::out::say;
use crate::cli::{Exit, Output, log};
use crate::config::file::RoutingFile;
use crate::config::read::Problem;
use crate::config::{self, Refused};
use crate::proxy::tls;
use crate::validate::suite_files;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigArg,
    /// Check this routing file or folder alone.
    #[arg(long)]
    routing: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Output,
    /// Print the JSON Schema of the routing file, for editors.
    #[arg(long)]
    schema: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    services: usize,
    suites: usize,
    problems: Vec<&'a Problem>,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.schema {
        say!("{}", serde_json::to_string_pretty(&RoutingFile::schema())?);
        return Ok(Exit::Ok);
    }
    let mut refused: Vec<Refused> = Vec::new();
    let mut suites = 0;
    let main = &args.config.config;
    let routing = match &args.routing {
        Some(path) => Some(path.clone()),
        None => config::settings(main).map_err(|bad| refused.push(bad)).ok().map(|settings| {
            for listener in settings.tls.iter().chain(&settings.admin_access.tls) {
                if let Err(why) = tls::check(listener) {
                    refused.push(Refused::at_large(main, format!("no TLS on {}: {why}", listener.listen)));
                }
            }
            for file in suite_files(&settings.suites) {
                match config::suite(&file) {
                    Ok(_) => suites += 1,
                    Err(bad) => refused.push(bad),
                }
            }
            settings.routing
        }),
    };
    let services = routing
        .and_then(|path| config::routing(&path).map_err(|bad| refused.push(bad)).ok())
        .map_or(0, |routing| routing.services.len());
    let problems: Vec<&Problem> = refused.iter().flat_map(Refused::problems).collect();
    let ok = problems.is_empty();
    match args.format {
        Output::Json => say!("{}", serde_json::to_string_pretty(&Report { ok, services, suites, problems })?),
        Output::Text if ok => {
            let many = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
            let suites = if suites == 0 { String::new() } else { format!(", {}", many(suites, "suite")) };
            say!("ok: {}{suites}", many(services, "service"));
        }
        Output::Text => {
            for bad in &refused {
                say!("{}\n", bad.render(log::colour_on_stdout()));
            }
            say!("{} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
        }
    }
    Ok(if ok { Exit::Ok } else { Exit::BadConfig })
}
