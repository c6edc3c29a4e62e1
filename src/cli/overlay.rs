//! `cutover overlay`: shows and removes what was set at run time on top of the routing file.

use crate::cli::client::AdminArg;
use crate::cli::commands::{failed, report};
use crate::cli::output::say;
use crate::cli::{Exit, Output};
use wire::{ActionAnswer, DEPLOYMENT};

#[derive(Debug, clap::Args)]
pub struct OverlayArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what was set at run time.
    Show {
        #[command(flatten)]
        admin: AdminArg,
    },
    /// Remove everything that was set at run time.
    Clear {
        #[command(flatten)]
        admin: AdminArg,
    },
}

pub fn run(args: &OverlayArgs) -> anyhow::Result<Exit> {
    match &args.what {
        What::Show { admin } => {
            let (_, service) = match admin.client()?.service(admin.service.as_deref()) {
                Ok(shown) => shown,
                Err(error) => return failed(&error),
            };
            if admin.output == Output::Json {
                crate::cli::output::json(&service.overlay)?;
                return Ok(Exit::Ok);
            }
            let laid = &service.overlay;
            let all = [("rule", &laid.rules), ("trigger", &laid.triggers), ("health check off", &laid.health_off)];
            let lines: Vec<String> =
                all.iter().flat_map(|(what, names)| names.iter().map(move |name| format!("{what} {name}"))).collect();
            if lines.is_empty() {
                say!("{}: nothing was set at run time", service.service);
            } else {
                say!("{}", lines.join("\n"));
            }
            Ok(Exit::Ok)
        }
        What::Clear { admin } => {
            let service = admin.service.iter().map(|name| ("service", name.as_str()));
            let query: Vec<(&str, &str)> = std::iter::once(("overlay", "true")).chain(service).collect();
            match admin.client()?.delete::<ActionAnswer>(DEPLOYMENT, &query) {
                Ok(done) => report(&done, admin.output),
                Err(error) => failed(&error),
            }
        }
    }
}
