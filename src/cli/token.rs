//! `cutover token new`: prints a token, once, and the lines for the main file. Nothing is stored.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::admin::tokens::{TokenText, hex};
use crate::cli::output::say;
use crate::cli::{Exit, Output};
use config::admin::Role;

#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a token. It is shown once and stored nowhere.
    New {
        /// The name under which the journal records its actions.
        #[arg(long, default_value = "operator", value_parser = name)]
        name: String,
        /// What the token may do.
        #[arg(long, value_enum, default_value = "operator")]
        role: RoleArg,
        /// Print text or JSON.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    /// Can read.
    Viewer,
    /// Can also deploy, shift, approve, roll back and stop.
    Operator,
    /// Can also edit, freeze, clear and delete.
    Admin,
}

fn name(text: &str) -> Result<String, String> {
    config::check::token_name(text).map(|()| text.to_owned())
}

pub fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    let Command::New { name, role, output } = &args.command;
    let role = match role {
        RoleArg::Viewer => Role::Viewer,
        RoleArg::Operator => Role::Operator,
        RoleArg::Admin => Role::Admin,
    };
    let secret = TokenText::make()?;
    let digest = hex(&secret.sha256());
    match output {
        Output::Json => say!("{}", json!({ "token": secret.text(), "name": name, "role": role, "sha256": digest })),
        Output::Text => {
            say!("{}", secret.text());
            say!("");
            say!(
                "Anyone with this token acts as {}. It is shown only once: store it with your secrets.",
                role.with_article()
            );
            say!("Add these lines to cutover.toml, which takes effect when it is saved:");
            say!("");
            say!("[[admin.token]]");
            say!("name = \"{name}\"");
            say!("role = \"{role}\"");
            say!("sha256 = \"{digest}\"");
        }
    }
    Ok(Exit::Ok)
}
