//! The latency distribution on a logarithmic axis, one side over the other.

use super::super::numbers;
use super::scale::AxisScale;
use super::{
    Chart, ChartLine, LegendEntry, MOST_X, MOST_Y, PercentileMark, across, down, filled, round_ms, through, ticks,
};
use wire::{LoadResult, Side};

/// Points a factor of ten: as many as make this many over the whole range, so that a narrow range has a shape too.
const FINENESS: [u32; 4] = [6, 12, 24, 48];
const FEWEST_POINTS: f64 = 24.0;
/// Labels of marks that are nearer than this to each other, as shares of the plot, lie over each other on a phone.
const NEAR: f64 = 0.1;
/// From label to label above the plot, in pixels.
const ROW: i32 = 14;

/// `None`: no load has answers.
pub fn distribution(id: &str, loads: &[&LoadResult]) -> Option<Chart> {
    let loads: Vec<&&LoadResult> = loads.iter().filter(|load| load.histogram.iter().any(|bar| bar.1 > 0)).collect();
    let least = loads.iter().filter_map(|load| bars(load).map(|(low, ..)| low).next()).min_by(f64::total_cmp)?;
    let most = loads.iter().filter_map(|load| bars(load).map(|(_, high, _)| high).last()).max_by(f64::total_cmp)?;
    let scale = AxisScale::log(least, most)?;
    let decades = (most / least).log10();
    let fineness = FINENESS.into_iter().find(|fineness| decades * f64::from(*fineness) >= FEWEST_POINTS).unwrap_or(48);
    let shares: Vec<Vec<(f64, f64)>> = loads.iter().map(|load| shares(load, least, most, fineness)).collect();
    let highest = shares.iter().flatten().map(|(_, share)| *share).fold(0.0, f64::max);
    let height = AxisScale::linear(highest * 100.0);
    let lines = loads.iter().zip(&shares).map(|(load, shares)| line(load.environment, shares, &scale, &height));
    let marks = loads.iter().enumerate().flat_map(|(row, load)| marks(load, row, loads.len(), &scale));
    let words: Vec<String> = loads.iter().map(|load| words(load)).collect();
    Some(Chart {
        id: id.to_owned(),
        side: "",
        title: "Latency distribution".to_owned(),
        words: words.join(" "),
        legend: loads.iter().map(|load| key(load)).collect(),
        x: ticks(&scale, MOST_X, across, round_ms),
        y: ticks(&height, MOST_Y, down, numbers::percent),
        lines: lines.collect(),
        marks: marks.collect(),
        limits: Vec::new(),
    })
}

/// Bars that hold something, with both their bounds.
fn bars(load: &LoadResult) -> impl Iterator<Item = (f64, f64, u64)> {
    let bounds: Vec<f64> = load.histogram.iter().map(|(bound, _)| *bound).collect();
    let ratio = match bounds.as_slice() {
        [first, second, ..] if *first > 0.0 && second > first => second / first,
        _ => 1.1,
    };
    let lows = bounds.first().map(|first| first / ratio).into_iter().chain(bounds.clone());
    let bars: Vec<(f64, f64, u64)> =
        lows.zip(&load.histogram).map(|(low, (high, count))| (low, *high, *count)).collect();
    bars.into_iter().filter(|(low, high, count)| *count > 0 && *low > 0.0 && high > low && high.is_finite())
}

/// The middles of equally wide parts of the axis, with the share of all answers that lies in each.
fn shares(load: &LoadResult, least: f64, most: f64, fineness: u32) -> Vec<(f64, f64)> {
    let all: u64 = load.histogram.iter().map(|(_, count)| count).sum();
    let place = |ms: f64| (ms / least).log10() * f64::from(fineness);
    let mut parts = vec![0.0; (place(most).ceil() as usize).max(1)];
    for (low, high, count) in bars(load) {
        // A bar is spread evenly over the parts that it covers.
        let (from, to) = (place(low).max(0.0), place(high));
        let share = count as f64 / all.max(1) as f64;
        for (at, part) in parts.iter_mut().enumerate().skip(from as usize).take_while(|(at, _)| (*at as f64) < to) {
            let covered = to.min(at as f64 + 1.0) - from.max(at as f64);
            *part += if to > from { share * covered.max(0.0) / (to - from) } else { share };
        }
    }
    let middle = |at: usize| least * 10f64.powf((at as f64 + 0.5) / f64::from(fineness));
    parts.into_iter().enumerate().map(|(at, share)| (middle(at), share)).collect()
}

fn line(side: Side, shares: &[(f64, f64)], scale: &AxisScale, height: &AxisScale) -> ChartLine {
    let first = shares.iter().position(|(_, share)| *share > 0.0).unwrap_or(0);
    let last = shares.iter().rposition(|(_, share)| *share > 0.0).unwrap_or(0);
    let seen = shares.iter().skip(first.saturating_sub(1)).take(last + 3 - first.min(last));
    let points: Vec<(f64, f64)> = seen.map(|(ms, share)| (scale.at(*ms), height.at(share * 100.0))).collect();
    let path = through(&points.iter().copied().map(Some).collect::<Vec<_>>());
    let ends = (points.first().map_or(0.0, |point| point.0), points.last().map_or(1.0, |point| point.0));
    ChartLine { class: side.name(), area: filled(&path, ends.0, ends.1), path }
}

fn marks(load: &LoadResult, row: usize, rows: usize, scale: &AxisScale) -> Vec<PercentileMark> {
    let mut before = f64::NEG_INFINITY;
    let row = (row as i32 - rows as i32) * ROW + 8;
    let marks = [("p50", load.latency.p50), ("p95", load.latency.p95), ("p99", load.latency.p99)];
    let marks = marks.into_iter().map(|(label, ms)| {
        let at = scale.at(ms);
        let label = if at - before < NEAR { "" } else { label };
        before = if label.is_empty() || label == "p50" { before } else { at };
        // On the left of its line it does not collide with the others.
        PercentileMark { class: load.environment.name(), at: across(at), label, row, is_left: label == "p50" }
    });
    marks.collect()
}

fn key(load: &LoadResult) -> LegendEntry {
    let of = |ms: f64| numbers::ms(ms);
    let figures = format!("p50 {}, p95 {}, p99 {}", of(load.latency.p50), of(load.latency.p95), of(load.latency.p99));
    LegendEntry { class: load.environment.name(), label: load.environment.name().to_owned(), figures }
}

fn words(load: &LoadResult) -> String {
    let latency = &load.latency;
    format!(
        "On {}, half of the responses came within {}, 95 % within {}, 99 % within {}, and the slowest took {}.",
        load.environment.name(),
        numbers::ms(latency.p50),
        numbers::ms(latency.p95),
        numbers::ms(latency.p99),
        numbers::ms(latency.max)
    )
}
