//! The card of a load: the figures of both sides beside each other, its limits, and its charts.

use super::chart::{self, Chart};
use super::exchange::NAME;
use super::numbers;
use super::summary::class;
use super::visible::PageBudget;
use super::words;
use wire::{LoadResult, OriginUse, Outcome, Part};

/// Loads that get a card.
const MOST: usize = 60;
/// Approximate bytes of a card without its charts.
const TABLES: usize = 6_000;
const MOST_ANSWERS: usize = 12;
/// The figures that most readers want.
const KEY: [&str; 7] = ["Intended rate", "Throughput", "Error rate", "p50", "p95", "p99", "Slowest"];

#[derive(Clone, Debug)]
pub struct LoadCard {
    pub id: String,
    pub name: String,
    pub profile: String,
    pub sides: Vec<LoadSideColumn>,
    pub figures: Vec<FigureRow>,
    pub limits: Vec<LimitRow>,
    pub distribution: Option<Chart>,
    /// Of each side, its latencies and its rates.
    pub times: Vec<Chart>,
    /// A note about the charts.
    pub note: String,
}

#[derive(Clone, Debug)]
pub struct LoadSideColumn {
    pub name: &'static str,
    pub class: &'static str,
    pub word: &'static str,
    pub why: String,
    pub answers: Vec<(String, String)>,
}

/// A row of the table: each side's value, and green's against blue's.
#[derive(Clone, Debug)]
pub struct FigureRow {
    pub what: &'static str,
    pub values: Vec<String>,
    pub change: String,
    /// Opens a group of rows.
    pub opens: bool,
    /// Among the few above the charts.
    pub is_key: bool,
}

#[derive(Clone, Debug)]
pub struct LimitRow {
    pub what: String,
    pub limit: String,
    /// Of each side, what was found, and whether it held.
    pub found: Vec<Option<(String, bool)>>,
}

/// A card for each load, its sides together; and for each load in `parts`, the card that it is on.
pub fn cards(parts: &[Part], budget: &mut PageBudget) -> (Vec<LoadCard>, Vec<(usize, String)>) {
    let mut groups: Vec<Vec<&LoadResult>> = Vec::new();
    let mut links = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let Part::Load(load) = part else { continue };
        // A load that was not started has no figures.
        if load.outcome == Outcome::Skipped && load.requests == 0 {
            continue;
        }
        let of_same = |group: &Vec<&LoadResult>| {
            group.iter().all(|other| other.name == load.name && other.environment != load.environment)
        };
        let group = match groups.iter().rposition(of_same) {
            Some(group) => group,
            None if groups.len() == MOST || !budget.fits(TABLES) => continue,
            None => {
                groups.push(Vec::new());
                groups.len() - 1
            }
        };
        links.push((at, format!("load-{}", group + 1)));
        if let Some(group) = groups.get_mut(group) {
            group.push(load);
        }
    }
    let cards = groups.iter().enumerate().map(|(at, loads)| card(format!("load-{}", at + 1), loads, budget));
    (cards.collect(), links)
}

fn card(id: String, loads: &[&LoadResult], budget: &mut PageBudget) -> LoadCard {
    let first = loads.first();
    let seconds = chart::seconds(loads);
    let mut is_full = false;
    let mut draw = |chart: Chart| {
        let fits = budget.fits(chart.weight());
        is_full |= !fits;
        fits.then_some(chart)
    };
    let distribution = chart::distribution(&format!("{id}-distribution"), loads).and_then(&mut draw);
    let (latency, rate) = (chart::latency_scale(loads), chart::rate_scale(loads, seconds));
    let mut times = Vec::new();
    for load in loads.iter().filter(|load| !load.seconds.is_empty()) {
        let id = |what| format!("{id}-{what}-{}", load.environment.name());
        let latencies = latency.as_ref().map(|scale| chart::latencies(&id("latency"), load, seconds, scale));
        let rates = chart::rates(&id("rate"), load, seconds, &rate);
        times.extend(latencies.into_iter().chain([rates]).filter_map(&mut draw));
    }
    let each = chart::seconds_a_point(seconds);
    let note = match (is_full, each) {
        (true, _) => "Some charts are omitted to keep the page short. The JSON report has their numbers.".to_owned(),
        (false, 1) => String::new(),
        (false, each) => {
            format!("Each point covers {each} seconds: their mean rate, and the worst second's latencies.")
        }
    };
    let unjudged = loads.iter().filter(|load| !load.unjudged.is_empty()).map(|load| words::unjudged(load));
    let not_measured = loads.iter().flat_map(|load| {
        let side = load.environment.name();
        words::resources(load)
            .into_iter()
            .filter(|said| !said.starts_with("origin ") || said.contains("not measured"))
            .map(move |said| format!("{side}: {said}"))
    });
    let unjudged = unjudged.chain(not_measured);
    let note =
        unjudged.map(|said| budget.take(&format!("{said}."), NAME).text).chain([note]).collect::<Vec<_>>().join(" ");
    let note = note.trim().to_owned();
    LoadCard {
        id,
        name: first.map_or_else(String::new, |load| budget.take(&load.name, NAME).text),
        profile: first.map_or_else(String::new, |load| budget.take(&load.profile, NAME).text),
        sides: loads.iter().map(|load| side(load, budget)).collect(),
        figures: figures(loads),
        limits: limits(loads, budget),
        distribution,
        times,
        note,
    }
}

fn side(load: &LoadResult, budget: &mut PageBudget) -> LoadSideColumn {
    let answers = load.answers.iter().take(MOST_ANSWERS);
    LoadSideColumn {
        name: load.environment.name(),
        class: class(load.outcome),
        word: words::outcome(load.outcome),
        why: load.why.as_deref().map_or_else(String::new, |why| budget.take(why, NAME).text),
        answers: answers.map(|(what, count)| (budget.take(what, NAME).text, numbers::count(*count))).collect(),
    }
}

/// How a number of a load is read and formatted.
type Of = fn(&LoadResult) -> f64;
type Say = fn(f64) -> String;

/// How green's figure is compared with blue's.
#[derive(Clone, Copy)]
enum FigureChange {
    /// `+12 %`, `2.3 times`.
    Ratio,
    /// Of percentages: `+2.25 pt`.
    Points,
    /// Nothing.
    None,
}

fn figures(loads: &[&LoadResult]) -> Vec<FigureRow> {
    let count: Say = |number| numbers::count(number as u64);
    let length: Say = |ms| numbers::length(ms as u64);
    let bytes: Say = |bytes| numbers::bytes(bytes as u64);
    let plain = |what, of: Of, say: Say| figure(loads, what, of, say, FigureChange::None);
    let row = |what, of: Of, say: Say| figure(loads, what, of, say, FigureChange::Ratio);
    let opens = |figure: FigureRow| FigureRow { opens: true, ..figure };
    let mut all = vec![
        opens(row("Throughput", |load| load.throughput, numbers::rate)),
        row("Sent rate", |load| load.rate_sent, numbers::rate),
        plain("Intended rate", |load| load.rate_intended, numbers::rate),
        figure(loads, "Error rate", |load| load.error_rate, numbers::percent, FigureChange::Points),
        row("Requests", |load| load.requests as f64, count),
        plain("Failed", |load| load.failed as f64, count),
        opens(row("p50", |load| load.latency.p50, numbers::ms)),
        row("p90", |load| load.latency.p90, numbers::ms),
        row("p95", |load| load.latency.p95, numbers::ms),
        row("p99", |load| load.latency.p99, numbers::ms),
        row("p99.9", |load| load.latency.p999, numbers::ms),
        row("Slowest", |load| load.latency.max, numbers::ms),
        row("Mean", |load| load.latency.mean, numbers::ms),
        opens(row("p50, service time", |load| load.service_time.p50, numbers::ms)),
        row("p99, service time", |load| load.service_time.p99, numbers::ms),
        opens(plain("Started late", |load| load.late as f64, count)),
        plain("Users", |load| f64::from(load.users), count),
        plain("Duration", |load| load.took_ms, length),
        plain("Cutover's CPU, of one core", |load| load.process.cpu, numbers::percent),
        plain("Cutover's peak memory", |load| load.process.memory_peak_bytes as f64, bytes),
    ];
    if loads.iter().any(|load| load.resources.is_some()) {
        all.extend([
            opens(row("Origin's CPU, on average", |load| origin(load, |used| used.cores), numbers::cores)),
            row("Origin's CPU seconds", |load| origin(load, |used| used.cpu_seconds), numbers::figure),
            row("Origin's peak memory", |load| origin(load, |used| used.memory_peak_bytes as f64), known_bytes),
            row("Origin's open files, at most", |load| origin(load, files), numbers::figure),
            row("Origin's threads, at most", |load| origin(load, |used| used.threads_peak as f64), numbers::figure),
        ]);
    }
    all
}

/// Not a number if it is not known.
fn origin(load: &LoadResult, of: fn(&OriginUse) -> f64) -> f64 {
    load.resources.as_ref().and_then(|resources| resources.used.as_ref()).map_or(f64::NAN, of)
}

fn files(used: &OriginUse) -> f64 {
    used.open_files_peak.map_or(f64::NAN, |files| files as f64)
}

fn known_bytes(bytes: f64) -> String {
    if bytes.is_nan() { numbers::figure(bytes) } else { numbers::bytes(bytes as u64) }
}

fn figure(loads: &[&LoadResult], what: &'static str, of: Of, say: Say, change: FigureChange) -> FigureRow {
    FigureRow {
        what,
        values: loads.iter().map(|load| say(of(load))).collect(),
        change: match loads {
            [blue, green] => changed(of(blue), of(green), change),
            _ => String::new(),
        },
        opens: false,
        is_key: KEY.contains(&what),
    }
}

/// Green's figure against blue's. Empty: no comparison.
fn changed(blue: f64, green: f64, change: FigureChange) -> String {
    let signed = |number: f64, unit: &str| {
        let text = numbers::figure(number.abs());
        if text == "0" { "same".to_owned() } else { format!("{}{text}{unit}", if number < 0.0 { "−" } else { "+" }) }
    };
    match change {
        FigureChange::None => String::new(),
        FigureChange::Points => signed(((green - blue) * 100.0).round() / 100.0, " pt"),
        FigureChange::Ratio if blue.is_nan() || blue <= 0.0 || !green.is_finite() => String::new(),
        FigureChange::Ratio if green / blue >= 2.0 => {
            format!("{} times", numbers::figure((green / blue * 10.0).round() / 10.0))
        }
        FigureChange::Ratio => signed((green / blue * 100.0 - 100.0).round(), " %"),
    }
}

fn limits(loads: &[&LoadResult], budget: &mut PageBudget) -> Vec<LimitRow> {
    let mut rows: Vec<LimitRow> = Vec::new();
    for (column, load) in loads.iter().enumerate() {
        for limit in &load.limits {
            let said = words::limit(limit);
            let row = match rows.iter().position(|row| row.what == said.what) {
                Some(row) => row,
                None => {
                    let what = budget.take(&said.what, NAME).text;
                    rows.push(LimitRow { what, limit: said.expected, found: vec![None; loads.len()] });
                    rows.len() - 1
                }
            };
            if let Some(cell) = rows.get_mut(row).and_then(|row| row.found.get_mut(column)) {
                *cell = Some((said.found, limit.held));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_is_told_by_what_changed() {
        assert_eq!(changed(10.0, 11.2, FigureChange::Ratio), "+12 %");
        assert_eq!(changed(10.0, 8.0, FigureChange::Ratio), "−20 %");
        assert_eq!(changed(10.0, 10.01, FigureChange::Ratio), "same");
        assert_eq!(changed(10.0, 43.21, FigureChange::Ratio), "4.3 times");
        assert_eq!(changed(0.1, 2.35, FigureChange::Points), "+2.25 pt");
        assert_eq!(changed(0.0, 5.0, FigureChange::Ratio), "");
        assert_eq!(changed(60_000.0, 70_000.0, FigureChange::None), "");
    }
}
