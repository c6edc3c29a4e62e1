//! The commands that are one call: shift, pause, resume, approve, promote, abort, rollback, stop, clear, freeze, unfreeze.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::client::{AdminArg, AdminClient, CallError, DEPLOYMENT, ROLLBACK};
use crate::cli::output::say;
use crate::cli::{Exit, Output};

/// A command that takes only a reason.
#[derive(Debug, clap::Args)]
pub struct ActionArgs {
    /// The reason, kept in the journal.
    #[arg(long, short)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminArg,
}

#[derive(Debug, clap::Args)]
pub struct ActionEverywhereArgs {
    /// Apply to every service.
    #[arg(long, conflicts_with = "service")]
    all: bool,
    #[command(flatten)]
    plain: ActionArgs,
}

#[derive(Debug, clap::Args)]
pub struct ShiftArgs {
    /// The candidate's share in percent, with up to two decimals.
    percent: f64,
    /// Go there by the steps of the plan, instead of at once.
    #[arg(long)]
    gradual: bool,
    #[command(flatten)]
    plain: ActionArgs,
}

#[derive(Debug, clap::Args)]
pub struct FreezeArgs {
    /// The reason, shown to everybody whom the freeze stops.
    #[arg(long, short)]
    reason: String,
    /// When the freeze ends: a duration ("2h") or a time ("2026-12-01T08:00:00Z"). Default: when somebody unfreezes.
    #[arg(long)]
    until: Option<String>,
    /// Apply to every service.
    #[arg(long, conflicts_with = "service")]
    all: bool,
    #[command(flatten)]
    admin: AdminArg,
}

pub fn shift(args: &ShiftArgs) -> anyhow::Result<Exit> {
    let ShiftArgs { percent, gradual, plain } = args;
    let client = plain.admin.client()?;
    let service = match client.service(plain.admin.service.as_deref()) {
        Ok((_, service)) => service,
        Err(error) => return failed(&error),
    };
    let body = json!({
        "action": "traffic_shift",
        "from_environment": service.active,
        "to_environment": service.candidate,
        "percentage": percent,
        "gradual": gradual,
        "service": service.service,
    });
    send(&client, DEPLOYMENT, body, plain.reason.as_deref(), plain.admin.output)
}

/// One of the actions that take nothing but a reason.
pub fn plain(action: &str, args: &ActionArgs) -> anyhow::Result<Exit> {
    let body = body(action, args.admin.service.as_deref());
    let path = if action == "manual_rollback" || action.ends_with("_monitoring") { ROLLBACK } else { DEPLOYMENT };
    send(&args.admin.client()?, path, body, args.reason.as_deref(), args.admin.output)
}

pub fn everywhere(action: &str, args: &ActionEverywhereArgs) -> anyhow::Result<Exit> {
    let ActionEverywhereArgs { all, plain } = args;
    let service = if *all { Some("*") } else { plain.admin.service.as_deref() };
    send(&plain.admin.client()?, DEPLOYMENT, body(action, service), plain.reason.as_deref(), plain.admin.output)
}

pub fn freeze(args: &FreezeArgs) -> anyhow::Result<Exit> {
    let service = if args.all { Some("*") } else { args.admin.service.as_deref() };
    let mut body = body("freeze", service);
    if let (Some(until), Some(fields)) = (&args.until, body.as_object_mut()) {
        fields.insert("until".to_owned(), json!(until));
    }
    send(&args.admin.client()?, DEPLOYMENT, body, Some(&args.reason), args.admin.output)
}

fn body(action: &str, service: Option<&str>) -> Value {
    let mut body = Map::from_iter([("action".to_owned(), json!(action))]);
    body.extend(service.map(|service| ("service".to_owned(), json!(service))));
    Value::Object(body)
}

/// Sends an action, and prints the result.
fn send(
    client: &AdminClient,
    path: &str,
    mut body: Value,
    reason: Option<&str>,
    output: Output,
) -> anyhow::Result<Exit> {
    if let (Some(reason), Some(fields)) = (reason, body.as_object_mut()) {
        fields.insert("reason".to_owned(), json!(reason));
    }
    match client.post::<Value>(path, &body) {
        Ok(done) => report(&done, output),
        Err(error) => failed(&error),
    }
}

/// Prints the response of a call, as JSON or in words.
pub fn answered<T: Serialize>(
    called: Result<T, CallError>,
    output: Output,
    words: impl FnOnce(&T) -> String,
) -> anyhow::Result<Exit> {
    match (called, output) {
        (Ok(answer), Output::Json) => say!("{}", serde_json::to_string_pretty(&answer)?),
        (Ok(answer), Output::Text) => say!("{}", words(&answer)),
        (Err(error), _) => return failed(&error),
    }
    Ok(Exit::Ok)
}

/// Prints what was done: the whole response, or a line for each service.
pub fn report(done: &Value, output: Output) -> anyhow::Result<Exit> {
    if output == Output::Json {
        say!("{}", serde_json::to_string_pretty(done)?);
    }
    let mut exit = Exit::Ok;
    let each = done.get("results").and_then(Value::as_array);
    let all: Vec<&Value> = each.map_or_else(|| vec![done], |results| results.iter().collect());
    for one in all {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or("");
        if let Some(error) = one.get("error").filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("refused");
            eprintln!("cutover: {}: {message}", text("service"));
            exit = Exit::Failed;
            continue;
        }
        let made = one.get("done").unwrap_or(one);
        if made.get("durable") == Some(&Value::Bool(false)) {
            eprintln!("cutover: the change is in force, but not on disk: a crash would lose it");
        }
        if output == Output::Text {
            let entry =
                made.get("entry").and_then(Value::as_u64).map_or(String::new(), |entry| format!(" (entry {entry})"));
            let field = |key: &str| made.get(key).and_then(Value::as_str).unwrap_or("");
            say!("{}: {}{entry}", field("service"), field("action").replace('_', " "));
        }
    }
    Ok(exit)
}

/// Prints on stderr why a call failed.
pub fn failed(error: &CallError) -> anyhow::Result<Exit> {
    eprintln!("cutover: {error}");
    Ok(error.exit())
}
