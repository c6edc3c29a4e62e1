//! `cutover status`: the state of the services, once or as it changes.

use std::time::Duration;

use crate::cli::client::{AdminArg, AdminClient, CallError};
use crate::cli::commands::failed;
use crate::cli::output::say;
use crate::cli::table::{Table, TableColumn};
use crate::cli::terminal::{LiveBlock, Terminal, Tone};
use crate::cli::{Exit, Output};
use judgement::guard::evidence::{grouped, odds};
use judgement::printable::visible_json;
use judgement::rollout::release::RolloutPhase;
use judgement::rollout::view::GuardView;
use judgement::time::Millis;
use memory::clock;
use wire::{DEPLOYMENT, GateSummary, HealthReport, OrderedCertificate, Service, ServiceHealth, Status};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Refresh every second until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    admin: AdminArg,
}

const AGAIN: Duration = Duration::from_secs(1);

/// Of a thousand names, those with problems are worth reading.
const SHOWN_CERTIFICATES: usize = 10;

const COLUMNS: [TableColumn; 10] = [
    ("SERVICE", 0),
    ("ACTIVE", 0),
    ("CANDIDATE", 0),
    ("WEIGHT", 0),
    ("PHASE", 0),
    ("STEP", 1),
    ("GUARD", 0),
    ("EVIDENCE", 3),
    ("REQUESTS", 4),
    ("FAILED", 2),
];

pub fn run(args: &StatusArgs) -> anyhow::Result<Exit> {
    let client = args.admin.client()?;
    if !args.watch {
        return match (status(&client, &args.admin), args.admin.output) {
            (Ok(status), Output::Json) => {
                crate::cli::output::json(&status)?;
                Ok(Exit::Ok)
            }
            (Ok(status), Output::Text) => {
                say!("{}", show(&status, &health(&client, &args.admin), Terminal::stdout()));
                Ok(Exit::Ok)
            }
            (Err(error), _) => failed(&error),
        };
    }
    let mut block = LiveBlock::default();
    loop {
        let terminal = Terminal::stdout();
        let text = match status(&client, &args.admin) {
            Ok(status) if args.admin.output == Output::Json => {
                visible_json(&serde_json::to_string(&status)?).into_owned()
            }
            Ok(status) => show(&status, &health(&client, &args.admin), terminal),
            Err(error @ CallError::Unreachable { .. }) => terminal.wrap(&error.to_string(), 2),
            Err(error) => return failed(&error),
        };
        if terminal.is_live() && args.admin.output == Output::Text {
            block.draw(terminal, &text.lines().map(str::to_owned).collect::<Vec<_>>())?;
        } else {
            say!("{text}");
        }
        if !client.wait(AGAIN) {
            return Ok(Exit::Ok);
        }
    }
}

fn status(client: &AdminClient, admin: &AdminArg) -> Result<Status, CallError> {
    let query: Vec<(&str, &str)> = admin.service.iter().map(|name| ("service", name.as_str())).collect();
    client.get(DEPLOYMENT, &query)
}

/// The results of the health checks; empty if they are not available, because the status is worth showing without them.
fn health(client: &AdminClient, admin: &AdminArg) -> Vec<ServiceHealth> {
    let service = admin.service.iter().map(|name| ("service", name.as_str()));
    let query: Vec<(&str, &str)> = std::iter::once(("action", "health")).chain(service).collect();
    client.get(DEPLOYMENT, &query).map(|report: HealthReport| report.health).unwrap_or_default()
}

fn show(status: &Status, health: &[ServiceHealth], terminal: Terminal) -> String {
    let mut table = Table::new(&COLUMNS);
    let mut notes = Vec::new();
    for service in &status.services {
        table.add(row(service));
        let own = health.iter().filter(|health| health.service == service.service);
        notes.extend(remarks(service).into_iter().chain(own.flat_map(failing)));
    }
    notes.extend(certificates(&status.certificates, clock::wall_millis()));
    let notes = notes.into_iter().map(|(tone, note)| terminal.tell(tone, &note, 2));
    std::iter::once(table.render(terminal)).chain(notes).collect::<Vec<_>>().join("\n")
}

/// What is known about each name's certificate, problems first. `now`: in milliseconds since 1970.
fn certificates(all: &[OrderedCertificate], now: u64) -> Vec<(Tone, String)> {
    let mut notes: Vec<(Tone, String)> = all.iter().map(|certificate| in_words(certificate, now)).collect();
    notes.sort_by_key(|(tone, _)| !matches!(tone, Tone::Bad | Tone::Warning));
    let more = notes.len().saturating_sub(SHOWN_CERTIFICATES);
    notes.truncate(SHOWN_CERTIFICATES);
    notes.extend((more > 0).then(|| (Tone::Plain, format!("certificates: {more} more, see --output json"))));
    notes
}

fn in_words(certificate: &OrderedCertificate, now: u64) -> (Tone, String) {
    let OrderedCertificate { name, until_ms, until, failures, error, .. } = certificate;
    let is_valid = until_ms.is_some_and(|until| until > now);
    let state = match until {
        Some(until) if is_valid => format!("valid until {until}"),
        Some(until) => format!("expired on {until}"),
        None => "none yet".to_owned(),
    };
    match error {
        Some(error) => {
            let tone = if is_valid { Tone::Warning } else { Tone::Bad };
            (tone, format!("certificate of {name}: {state}; {failures} failed orders: {error}"))
        }
        None if until.is_some() && !is_valid => (Tone::Bad, format!("certificate of {name}: {state}")),
        None => (Tone::Plain, format!("certificate of {name}: {state}")),
    }
}

fn row(service: &Service) -> Vec<(Tone, String)> {
    let side = |side: wire::Side| {
        let version = match side {
            wire::Side::Blue => &service.versions.blue,
            wire::Side::Green => &service.versions.green,
        };
        version.as_ref().map_or(side.name().to_owned(), |version| format!("{} {version}", side.name()))
    };
    let (phase, step) = match &service.rollout {
        Some(rollout) => {
            let at_a_step = rollout.left_ms > 0 || rollout.phase == RolloutPhase::Paused;
            let step = at_a_step.then(|| format!("{} of {}", rollout.step, rollout.steps.len()));
            ((tone_of(rollout.phase), words_of(rollout.phase)), step.unwrap_or_default())
        }
        None => ((Tone::Plain, String::new()), String::new()),
    };
    let guard = match (service.guard.monitoring, service.guard.verdict.as_deref()) {
        (false, _) => (Tone::Warning, "off".to_owned()),
        (true, None) => (Tone::Plain, String::new()),
        (true, Some(verdict)) => {
            let tone = match verdict {
                "healthy" => Tone::Good,
                "unhealthy" => Tone::Bad,
                _ => Tone::Plain,
            };
            (tone, verdict.replace('_', " "))
        }
    };
    let cost = service.ledger.as_ref();
    let evidence = if service.guard.verdict.is_some() { odds(service.guard.evidence) } else { String::new() };
    let failed = cost.map_or(0, |cost| cost.failed);
    let plain = |text: String| (Tone::Plain, text);
    vec![
        plain(service.service.clone()),
        plain(side(service.active)),
        plain(side(service.candidate)),
        plain(format!("{} %", service.weight)),
        phase,
        plain(step),
        guard,
        plain(evidence),
        plain(cost.map_or(String::new(), |cost| grouped(cost.requests))),
        (if failed > 0 { Tone::Warning } else { Tone::Plain }, cost.map_or(String::new(), |cost| grouped(cost.failed))),
    ]
}

/// `rolled back`.
pub fn words_of(phase: RolloutPhase) -> String {
    phase.name().replace('_', " ")
}

pub fn tone_of(phase: RolloutPhase) -> Tone {
    match phase {
        RolloutPhase::Promoted => Tone::Good,
        RolloutPhase::Paused | RolloutPhase::Aborted => Tone::Warning,
        RolloutPhase::RolledBack => Tone::Bad,
        RolloutPhase::Preflight | RolloutPhase::Shifting | RolloutPhase::Baking => Tone::Plain,
    }
}

/// That new requests wait.
fn waiting(service: &Service) -> Option<(Tone, String)> {
    let hold = service.hold.as_ref()?;
    let (name, until, max) = (&service.service, &hold.until, hold.max);
    let text = format!("{name}: new requests wait until {until}, up to {max} of them (`cutover hold --release`)");
    Some((Tone::Warning, text))
}

/// What does not fit in a table: why something is held, and what to do about it.
fn remarks(service: &Service) -> Vec<(Tone, String)> {
    let name = &service.service;
    let mut notes = Vec::new();
    let compared = service.guard.compared.as_ref();
    let (subject, other) = (service.guard.subject, service.guard.subject.other());
    if let Some(said) = compared.and_then(|seen| seen.sentence(other.name(), subject.name())) {
        notes.push((Tone::Plain, format!("{name}: {said}, at this weight (95 % sure)")));
    }
    notes.extend(mismatch(service));
    if service.stopped {
        notes.push((Tone::Bad, format!("{name}: EMERGENCY STOP: all traffic goes to active; `cutover clear` ends it")));
    }
    if let Some(latch) = &service.latch {
        notes.push((Tone::Bad, format!("{name}: rolled back: {} (`cutover explain {}`)", latch.reason, latch.entry)));
    }
    notes.extend(waiting(service));
    if let Some(freeze) = &service.freeze {
        let until = freeze.until.as_ref().map_or(String::new(), |until| format!(" until {until}"));
        notes.push((Tone::Warning, format!("{name}: frozen by {}{until}: {}", freeze.who, freeze.why)));
    }
    if let Some(why) = service.guard.why.as_ref().filter(|why| why.starts_with(GuardView::HELD)) {
        notes.push((Tone::Bad, format!("{name}: {why}")));
    }
    if service.guard.verdict.as_deref() == Some("not_compared") {
        notes.extend(service.guard.why.iter().map(|why| (Tone::Warning, format!("{name}: {why}"))));
    }
    if let Some(rollout) = &service.rollout {
        let left = Millis(rollout.left_ms);
        match (rollout.phase, &rollout.why) {
            (RolloutPhase::Paused, Some(why)) => notes.push((Tone::Warning, format!("{name}: paused: {why}"))),
            (RolloutPhase::Aborted, Some(why)) if !why.is_empty() => {
                notes.push((Tone::Warning, format!("{name}: aborted: {why}")))
            }
            _ if !rollout.waiting_for.is_empty() => {
                let waiting = rollout.waiting_for.join(", ");
                notes.push((Tone::Plain, format!("{name}: waiting: {waiting}; at least {left} left")));
            }
            _ if rollout.watching => {
                notes.push((Tone::Plain, format!("{name}: promoted, watching for another {left}")))
            }
            _ => {}
        }
    }
    notes.extend(cost(service));
    notes.extend(copies(service));
    if let Some(pages) = &service.pages {
        let (side, requests) = (pages.environment.name(), grouped(pages.requests));
        let (version, until) = (&pages.version, &pages.until);
        let note = format!("{name}: {side} serves open pages of {version} until {until} ({requests} requests so far)");
        notes.push((Tone::Plain, note));
    }
    notes.extend(figures(service));
    notes.extend(failed_gates(service));
    let overlay = &service.overlay;
    let set: Vec<&str> =
        overlay.rules.iter().chain(&overlay.triggers).chain(&overlay.health_off).map(String::as_str).collect();
    if !set.is_empty() {
        let set = set.join(", ");
        notes.push((Tone::Plain, format!("{name}: set at run time: {set} (`cutover overlay clear` removes it)")));
    }
    if !service.alerting {
        notes.push((Tone::Warning, format!("{name}: notices are off")));
    }
    notes
}

/// What is wrong with the split, unless the rollout waits for that and says so itself.
fn mismatch(service: &Service) -> Option<(Tone, String)> {
    let mismatch = service.guard.split.as_ref()?.mismatch.as_ref()?;
    let mut reasons = service.rollout.iter().flat_map(|rollout| &rollout.waiting_for);
    let is_told = reasons.any(|reason| reason.contains(mismatch.as_str()));
    (!is_told).then(|| (Tone::Warning, format!("{}: the split does not hold: {mismatch}", service.service)))
}

/// What the rollout has cost its clients, where it has.
fn cost(service: &Service) -> Option<(Tone, String)> {
    let cost = service.ledger.as_ref().filter(|cost| cost.failed + cost.hurt + cost.left > 0)?;
    let tone = if cost.hurt > 0 { Tone::Warning } else { Tone::Plain };
    Some((tone, format!("{}: rollout {}: {}", service.service, cost.rollout, cost.sentence())))
}

/// What copies of requests have shown, while they are sent.
fn copies(service: &Service) -> Option<(Tone, String)> {
    let mirror = service.mirror.as_ref().filter(|mirror| mirror.sending)?;
    let (name, compared) = (&service.service, grouped(mirror.compared));
    let (tone, found) = match (mirror.differences, &mirror.worst) {
        (0, _) | (_, None) => (Tone::Plain, "no differences".to_owned()),
        (1, Some(worst)) => (Tone::Bad, worst.clone()),
        (many, Some(worst)) => (Tone::Bad, format!("{many} differences: {worst}")),
    };
    Some((tone, format!("{name}: {compared} copied requests compared: {found} (`cutover mirror`)")))
}

/// The figures of other systems, while they are judged.
fn figures(service: &Service) -> impl Iterator<Item = (Tone, String)> {
    let is_watching = service.rollout.as_ref().is_some_and(|rollout| rollout.watching);
    let judged = service.guard.metrics.iter().filter(move |_| service.weight > 0.0 || is_watching);
    judged.map(|metric| {
        let tone = match metric.verdict.as_str() {
            "good" => Tone::Plain,
            "bad" => Tone::Bad,
            _ => Tone::Warning,
        };
        let words = match metric.verdict.as_str() {
            "no_data" => format!("{}: no figure: {}", metric.name, metric.why),
            _ => metric.why.clone(),
        };
        let age = metric.age_ms.map_or(String::new(), |age| format!(" ({} ago)", Millis(age).whole_seconds()));
        (tone, format!("{}: metric {words}{age}", service.service))
    })
}

/// The gates that have failed, while they say something about this rollout. Those that it waits for are told of there, and
/// that a rollback is not asked for is no failure.
fn failed_gates(service: &Service) -> impl Iterator<Item = (Tone, String)> {
    let failed = |gate: &&GateSummary| gate.verdict == "failed" && gate.hook.is_told();
    service.gates.iter().filter(failed).map(|gate| {
        let age = gate.age_ms.map_or(String::new(), |age| format!(", told {} ago", Millis(age).whole_seconds()));
        let (name, hook) = (&gate.name, gate.hook.name());
        (Tone::Warning, format!("{}: gate `{name}` ({hook}): {}{age}", service.service, gate.why))
    })
}

/// The health checks that fail or flap.
fn failing(health: &ServiceHealth) -> Vec<(Tone, String)> {
    let mut notes = Vec::new();
    for environment in &health.environments {
        for check in environment.checks.iter().filter(|check| check.on && check.flapping) {
            let (service, side, up) = (&health.service, environment.environment.name(), check.up);
            let up = if up { "up" } else { "down" };
            let note = format!("{service}: health check {} flaps on {side}: it is {up} at the moment", check.check);
            notes.push((Tone::Warning, note));
        }
        for check in environment.checks.iter().filter(|check| check.on && !check.up) {
            let (service, side, since) = (&health.service, environment.environment.name(), Millis(check.since_ms));
            let why = check.last_error.as_deref().map_or(String::new(), |why| format!(": {why}"));
            let note = format!("{service}: health check {} has been failing on {side} for {since}{why}", check.check);
            notes.push((Tone::Bad, note));
        }
    }
    notes
}
