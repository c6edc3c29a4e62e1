//! `cutover mirror`: how the candidate answers copies of clients' requests, before its first client.

use crate::cli::Exit;
use crate::cli::client::AdminArg;
use crate::cli::commands::answered;
use crate::cli::terminal::{Terminal, Tone};
use judgement::guard::evidence::grouped;
use judgement::time::Millis;
use wire::{DEPLOYMENT, MirrorDifference, MirrorReport};

#[derive(Debug, clap::Args)]
pub struct MirrorArgs {
    /// Also show differences that do not count: what active shows against itself, and other bodies that are not JSON.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    admin: AdminArg,
}

pub fn run(args: &MirrorArgs) -> anyhow::Result<Exit> {
    let MirrorArgs { all, admin } = args;
    let service = admin.service.iter().map(|name| ("service", name.as_str()));
    let query: Vec<(&str, &str)> = std::iter::once(("action", "mirror")).chain(service).collect();
    let report = admin.client()?.get(DEPLOYMENT, &query);
    answered(report, admin.output, |report| show(report, *all, Terminal::stdout()))
}

fn show(report: &MirrorReport, all: bool, terminal: Terminal) -> String {
    let MirrorReport { service, candidate, sending, share, compared, unanswered, dropped, .. } = report;
    let candidate = candidate.name();
    let mut lines = vec![match sending {
        true => format!("{service}: copies of {share} % of the GET and HEAD requests go to {candidate}"),
        false => {
            let why = report.why.as_deref().unwrap_or("they do at weight 0");
            format!("{service}: no copies of requests are sent: {why}")
        }
    }];
    if !*sending && *compared + *unanswered + report.unread > 0 {
        let version = report.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
        lines.push(format!("the last comparison was of rollout {}, with {candidate}{version}:", report.rollout));
    }
    let lasted = Millis(report.lasted_ms).whole_seconds();
    if *compared > 0 || *sending {
        lines.push(format!("{} compared in {lasted}: {}", grouped(*compared), counted(report.differences)));
    }
    if *unanswered > 0 {
        let why = report.unanswered_why.as_ref().map_or(String::new(), |why| format!(": the last time it {why}"));
        lines.push(format!("{} not compared, because active gave no answer{why}", grouped(*unanswered)));
    }
    if report.unread > 0 {
        let many = grouped(report.unread);
        lines.push(format!("{many} not compared, because their bodies are compressed or longer than 256 KiB"));
    }
    if *dropped > 0 {
        lines.push(format!("{} not sent since the start, because there were enough at the time", grouped(*dropped)));
    }
    let mut lines: Vec<String> = lines.iter().map(|line| terminal.tell(Tone::Plain, line, 2)).collect();
    let (counting, others): (Vec<_>, Vec<_>) = report.groups.iter().partition(|group| group.counts);
    lines.extend(counting.iter().flat_map(|group| told(group, Tone::Bad, terminal)));
    if all {
        lines.extend(others.iter().flat_map(|group| told(group, Tone::Plain, terminal)));
    } else if !others.is_empty() {
        let (many, are) = (others.len(), if others.len() == 1 { "does" } else { "do" });
        lines.push(terminal.tell(Tone::Plain, &format!("and {many} that {are} not count (--all shows them)"), 2));
    }
    if report.left_out > 0 {
        let many = grouped(report.left_out);
        lines.push(terminal.tell(Tone::Warning, &format!("{many} more differences had no place in the list"), 2));
    }
    lines.join("\n")
}

/// `2 differences`.
fn counted(differences: u32) -> String {
    match differences {
        0 => "no differences".to_owned(),
        1 => "1 difference".to_owned(),
        many => format!("{many} differences"),
    }
}

fn told(group: &MirrorDifference, tone: Tone, terminal: Terminal) -> Vec<String> {
    let noise = match group.noise {
        0 => String::new(),
        noise => format!("; active differs from itself there in {}", grouped(noise)),
    };
    let mut lines = vec![terminal.tell(tone, &format!("  {}{noise}", group.text), 4)];
    lines.extend(group.example.as_ref().map(|example| {
        let (request, active, candidate) = (&example.request, &example.active, &example.candidate);
        terminal.tell(Tone::Plain, &format!("    {request}: active {active}, candidate {candidate}"), 6)
    }));
    lines
}
