//! `cutover plan`: what a deploy would come to, before it begins.

use crate::cli::Exit;
use crate::cli::client::{AdminArg, AdminClient, CallError};
use crate::cli::commands::answered;
use crate::cli::table::{Table, TableColumn};
use crate::cli::terminal::{Terminal, Tone};
use judgement::guard::evidence::grouped;
use judgement::rollout::forecast::percent;
use judgement::time::Millis;
use wire::{DEPLOYMENT, DeployPlan, DeployPlanStep, PlanTraffic};

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The version that would be deployed.
    version: Option<String>,
    /// As if only this route were deployed. May be repeated.
    #[arg(long = "function", value_name = "ROUTE")]
    functions: Vec<String>,
    /// As if so many requests came a second, instead of those of the last hour.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    #[command(flatten)]
    admin: AdminArg,
}

const COLUMNS: [TableColumn; 7] =
    [("STEP", 1), ("WEIGHT", 0), ("MINIMUM", 0), ("BAKE", 3), ("REQUESTS", 2), ("WANTED", 4), ("SHOWS", 0)];

pub fn run(args: &PlanArgs) -> anyhow::Result<Exit> {
    let PlanArgs { version, functions, rate, admin } = args;
    let plan = fetch(&admin.client()?, admin.service.as_deref(), version.as_deref(), functions, *rate);
    answered(plan, admin.output, |plan| show(plan, Terminal::stdout()))
}

/// The plan of a deploy.
///
/// # Errors
/// There is no such service or route, or the API cannot be reached.
pub fn fetch(
    client: &AdminClient,
    service: Option<&str>,
    version: Option<&str>,
    functions: &[String],
    rate: Option<f64>,
) -> Result<DeployPlan, CallError> {
    let functions = (!functions.is_empty()).then(|| functions.join(","));
    let rate = rate.map(|rate| rate.to_string());
    let named =
        [("service", service), ("version", version), ("functions", functions.as_deref()), ("rate", rate.as_deref())];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query: Vec<(&str, &str)> = std::iter::once(("action", "plan")).chain(named).collect();
    client.get(DEPLOYMENT, &query)
}

/// What a deploy should warn of, in one line.
pub fn warning(plan: &DeployPlan) -> Option<String> {
    // A process that has just started knows nothing of the traffic.
    let is_known = plan.traffic.requests > 0 || Millis(plan.traffic.over_ms) >= Millis::seconds(60);
    let said = (is_known && !plan.warnings.is_empty()).then(|| plan.warnings.join("; "))?;
    Some(format!("at {}: {said}; see `cutover plan`", rate_of(&plan.traffic)))
}

fn rate_of(traffic: &PlanTraffic) -> String {
    let PlanTraffic { rate, named, over_ms, .. } = traffic;
    let digits = if *rate < 10.0 { 2 } else { 0 };
    let rate = match *rate {
        0.0 => "no requests".to_owned(),
        rate if rate < 0.01 => "under 0.01 requests/s".to_owned(),
        rate if rate < 1000.0 => format!("{rate:.digits$} requests/s"),
        rate => format!("{} requests/s", grouped(rate.round() as u64)),
    };
    if *named { rate } else { format!("{rate} in the last {}", Millis(*over_ms)) }
}

fn show(plan: &DeployPlan, terminal: Terminal) -> String {
    let version = plan.version.as_deref().unwrap_or("the next version");
    let routes = if plan.functions.is_empty() { String::new() } else { format!(" ({})", plan.functions.join(", ")) };
    let fails = match plan.traffic.error_rate {
        0.0 => "none of active's fail".to_owned(),
        rate => format!("{} of active's fail", percent(rate / 100.0)),
    };
    let (service, side) = (&plan.service, plan.environment.name());
    let head = format!("{service}: {version} on {side}{routes}, at {}; {fails}", rate_of(&plan.traffic));
    let mut table = Table::new(&COLUMNS);
    for (at, step) in plan.steps.iter().enumerate() {
        table.add(row(at + 1, step));
    }
    let watch = Millis(plan.watch_ms);
    let total = plan.least_ms.map_or("it never ends at this rate".to_owned(), |least| {
        format!("{} at least to the promotion, then watched for {watch}", Millis(least))
    });
    let shows = "SHOWS: failures from the first request on that 95 of 100 rollouts find by the end of the step";
    let told = |tone: Tone| move |text: &String| terminal.tell(tone, text, 2);
    let mut lines = vec![terminal.tell(Tone::Plain, &head, 2), table.render(terminal)];
    lines.extend([&total, &shows.to_owned()].map(told(Tone::Plain)));
    lines.extend(plan.warnings.iter().map(told(Tone::Warning)));
    lines.extend(plan.notes.iter().map(told(Tone::Plain)));
    lines.join("\n")
}

fn row(number: usize, step: &DeployPlanStep) -> Vec<(Tone, String)> {
    let DeployPlanStep { weight, bake_ms, wanted, least_ms, limit, requests, shows, sight, .. } = step;
    let minimum = match least_ms {
        None => (Tone::Warning, "never".to_owned()),
        Some(least) if limit == "bake" => (Tone::Plain, Millis(*least).to_string()),
        Some(least) => (Tone::Warning, Millis(*least).to_string()),
    };
    let shows = match (shows, sight.as_str()) {
        (Some(rate), _) => (Tone::Plain, percent(rate / 100.0)),
        (None, "nothing") => (Tone::Warning, "nothing".to_owned()),
        (None, "copies") => (Tone::Plain, "differences".to_owned()),
        (None, _) => (Tone::Plain, "triggers only".to_owned()),
    };
    let plain = |text: String| (Tone::Plain, text);
    vec![
        plain(number.to_string()),
        plain(format!("{weight} %")),
        minimum,
        plain(Millis(*bake_ms).to_string()),
        plain(grouped(requests.round() as u64)),
        plain(grouped(*wanted)),
        shows,
    ]
}
