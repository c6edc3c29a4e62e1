//! `cutover explain ID`: what the judge saw, and the same judge over it once more.

use crate::cli::history::JournalArg;
use crate::cli::out::say;
use crate::cli::{Exit, Output, time_of_day};
use crate::guard::trigger::Level;
use crate::guard::window::Sample;
use crate::guard::{Verdict, judge};
use crate::rollout::Evidence;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entry's number, as `cutover history` shows it.
    id: u64,
    #[command(flatten)]
    journal: JournalArg,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let journal = args.journal.open()?;
    let Some(entry) = journal.entry(args.id)? else {
        anyhow::bail!("there is no entry {}: `cutover history` lists them", args.id);
    };
    if args.output == Output::Json {
        say!("{}", serde_json::to_string_pretty(&entry)?);
        return Ok(Exit::Ok);
    }
    let change = &entry.change;
    say!("entry {} of {}, generation {}", change.id, time_of_day(entry.at), change.generation);
    say!("{} on {} by {}: {}", change.kind.name(), change.service, change.who, change.why);
    if let Some(before) = &change.before {
        say!(
            "weight {} -> {}, active {} -> {}",
            before.weight,
            change.after.weight,
            before.active,
            change.after.active
        );
    }
    let Some(evidence) = &change.evidence else {
        say!("nobody judged: this was asked for");
        return Ok(Exit::Ok);
    };
    show(evidence)
}

fn show(evidence: &Evidence) -> anyhow::Result<Exit> {
    let Evidence { policy, sight, judgement, .. } = evidence;
    say!("\nwhat the judge saw{}:", sight.route.as_ref().map_or(String::new(), |route| format!(" on route {route}")));
    for (trigger, reading) in policy.triggers.iter().zip(&sight.readings) {
        let beyond = if trigger.metric.is_bad_below() { "below" } else { "above" };
        let (level, value) = match trigger.level(reading) {
            Level::TooFew => ("too few answers", None),
            Level::Within => ("within", None),
            Level::Beyond(value) => ("beyond, not yet for long enough", Some(value)),
            Level::Shared(value) => ("beyond on both sides", Some(value)),
            Level::Fired(value) => ("FIRED", Some(value)),
        };
        let value = value.map_or(String::new(), |value| format!(" at {}", trigger.metric.show(value)));
        say!(
            "  {:<26} {} {beyond} {} for {}: {level}{value}",
            trigger.name,
            trigger.metric.name(),
            trigger.metric.show(trigger.limit),
            trigger.hold
        );
        if matches!(trigger.level(reading), Level::Fired(_) | Level::Shared(_) | Level::Beyond(_)) {
            say!("  {:<26}   candidate {}, active {}", "", sample(&reading.candidate), sample(&reading.active));
        }
    }
    let again = judge(policy, sight);
    let verdict = match &again.verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Unhealthy(reason) => format!("unhealthy: {}", reason.name),
        Verdict::Insufficient { missing } => format!("insufficient: {missing:?}"),
    };
    say!("\njudged again: {verdict}");
    if again == *judgement {
        say!("the same verdict as then");
        return Ok(Exit::Ok);
    }
    say!("NOT the verdict of then: the entry was altered, or made by another version");
    Ok(Exit::Failed)
}

fn sample(sample: &Sample) -> String {
    let p95 = sample.p95_us.map_or(String::new(), |micros| format!(", p95 {:.1} ms", micros as f64 / 1000.0));
    format!("{} of {} failed in {}{p95}", sample.failed, sample.answers, sample.span)
}
