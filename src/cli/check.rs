//! `cutover check`: everything that is wrong with both files and the suites, without touching anything that runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::output::say;
use crate::cli::{Exit, Output, log};
use config::file::RoutingFile;
use config::read::{FileProblem, did_you_mean};
use config::{self, ConfigError, RoutingConfig};
use relay::proxy::tls;
use validation::all_suites;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigArg,
    /// Check only this routing file or folder.
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
    problems: Vec<&'a FileProblem>,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.schema {
        say!("{}", serde_json::to_string_pretty(&RoutingFile::schema())?);
        return Ok(Exit::Ok);
    }
    let mut refused: Vec<ConfigError> = Vec::new();
    // The suites that can be run, and the folder with the names of all that are there.
    let (mut suites, mut known) = (0, None);
    let main = &args.config.config;
    let routing = match &args.routing {
        Some(path) => Some(path.clone()),
        None => config::load_main(main).map_err(|bad| refused.push(bad)).ok().map(|settings| {
            for listener in settings.tls.iter().chain(&settings.admin_access.tls) {
                if let Err(why) = tls::check(listener) {
                    refused.push(ConfigError::at_large(main, format!("no TLS on {}: {why}", listener.listen)));
                }
            }
            let mut names = Vec::new();
            match all_suites(&settings.suites) {
                Ok(all) => {
                    for read in all {
                        names.push(read.name);
                        match read.suite {
                            Ok(_) => suites += 1,
                            Err(bad) => refused.push(bad),
                        }
                    }
                    known = Some((settings.suites, names));
                }
                Err(why) => refused.push(ConfigError::at_large(main, why)),
            }
            settings.routing
        }),
    };
    let mut services = 0;
    if let Some(path) = routing {
        match config::load_routing(&path) {
            Ok(routing) => {
                services = routing.services.len();
                let lacking = known.iter().flat_map(|(folder, names)| lacking(&routing, folder, names));
                refused.extend(lacking.map(|why| ConfigError::at_large(&path, why)));
            }
            Err(bad) => refused.push(bad),
        }
    }
    let problems: Vec<&FileProblem> = refused.iter().flat_map(ConfigError::problems).collect();
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

/// The suites that plans wait for, and that are not in the folder: a deploy would be refused.
fn lacking(routing: &RoutingConfig, folder: &Path, names: &[String]) -> Vec<String> {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    for service in &routing.services {
        let named = service.plan.steps.iter().flat_map(|step| &step.suites).chain(&service.plan.suites);
        let named: BTreeSet<&str> = named.map(String::as_str).filter(|name| !known.contains(name)).collect();
        all.extend(named.into_iter().map(|name| {
            let near = if known.is_empty() { "there are none".to_owned() } else { did_you_mean(name, &known) };
            format!(
                "the rollout of `{}` needs the suite `{name}`, which is not in {}: {near}",
                service.traffic.name,
                folder.display()
            )
        }));
    }
    all
}
