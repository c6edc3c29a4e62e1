//! A load second by second: its latencies, and its rates.

use super::super::numbers;
use super::scale::AxisScale;
use super::{
    AxisTick, Chart, ChartLine, LegendEntry, MOST_Y, across, bars, down, filled, round_ms, stairs, through, ticks,
};
use wire::{LoadResult, LoadSecond};

/// Points of a line: a plot has no pixels for more. In a longer load each stands for several seconds.
const MOST_POINTS: u32 = 300;

/// Several seconds of a load as one point.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct TimelinePoint {
    from: u32,
    to: u32,
    /// A second, on average.
    intended: f64,
    answered: f64,
    failed: f64,
    /// The worst second's; 0: nothing was answered.
    p50: f64,
    p95: f64,
    p99: f64,
}

/// The length of the longest, so that the sides of a load have one axis.
pub fn seconds(loads: &[&LoadResult]) -> u32 {
    let last = |load: &&LoadResult| load.seconds.iter().map(|second| second.at).max();
    loads.iter().filter_map(last).max().map_or(1, |last| last.saturating_add(1))
}

/// Over the latencies of every side and their limits.
pub fn latency_scale(loads: &[&LoadResult]) -> Option<AxisScale> {
    let measured = loads.iter().flat_map(|load| &load.seconds).flat_map(|second| [second.p50, second.p95, second.p99]);
    let limits = loads.iter().flat_map(|load| percentile_limits(load)).map(|(_, limit)| limit);
    let all: Vec<f64> = measured.filter(|ms| *ms > 0.0 && ms.is_finite()).collect();
    all.first()?;
    let all: Vec<f64> = all.into_iter().chain(limits).collect();
    let (least, most) = all.iter().fold((f64::INFINITY, 0.0f64), |(low, high), ms| (low.min(*ms), high.max(*ms)));
    AxisScale::log(least, most)
}

/// Over the rates of every side.
pub fn rate_scale(loads: &[&LoadResult], seconds: u32) -> AxisScale {
    let drawn = loads.iter().flat_map(|load| stretches(&load.seconds, seconds));
    AxisScale::linear(drawn.map(|s| s.intended.max(s.answered).max(s.failed)).fold(0.0, f64::max))
}

/// p50, p95 and p99 of each second, with their limits.
pub fn latencies(id: &str, load: &LoadResult, seconds: u32, scale: &AxisScale) -> Chart {
    let stretches = stretches(&load.seconds, seconds);
    let time = AxisScale::seconds(seconds);
    let of = [("p99", (|s| s.p99) as fn(&TimelinePoint) -> f64), ("p95", |s| s.p95), ("p50", |s| s.p50)];
    let lines = of.map(|(class, of)| {
        let point = |s: &TimelinePoint| (time.at(f64::from(s.from + s.to) / 2.0), scale.at(of(s)));
        let points: Vec<_> = stretches.iter().map(|s| (of(s) > 0.0).then(|| point(s))).collect();
        ChartLine { class, path: through(&points), area: String::new() }
    });
    let range = |of: fn(&TimelinePoint) -> f64| {
        let all = || stretches.iter().map(of).filter(|ms| *ms > 0.0);
        let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        if most > 0.0 { format!("{} to {}", numbers::ms(least), numbers::ms(most)) } else { "nothing".to_owned() }
    };
    let limits = percentile_limits(load).into_iter();
    Chart {
        id: id.to_owned(),
        side: load.environment.name(),
        title: format!("Latency over time, {}", load.environment.name()),
        words: format!(
            "Second by second, p50 is {}, p95 is {}, p99 is {}.",
            range(|s| s.p50),
            range(|s| s.p95),
            range(|s| s.p99)
        ),
        legend: of.into_iter().rev().map(|(class, of)| key(class, class, range(of))).collect(),
        x: moments(&time),
        y: ticks(scale, MOST_Y, down, round_ms),
        lines: lines.into(),
        marks: Vec::new(),
        limits: limits.map(|(what, ms)| AxisTick { at: down(scale.at(ms)), label: format!("{what} limit") }).collect(),
    }
}

/// Requests as intended, answered and failed, a second.
pub fn rates(id: &str, load: &LoadResult, seconds: u32, scale: &AxisScale) -> Chart {
    let stretches = stretches(&load.seconds, seconds);
    let time = AxisScale::seconds(seconds);
    let stairs_of = |of: fn(&TimelinePoint) -> f64| {
        let steps = stretches.iter().map(|s| (time.at(f64::from(s.from)), time.at(f64::from(s.to)), scale.at(of(s))));
        stairs(&steps.collect::<Vec<_>>())
    };
    let ends = stretches.first().zip(stretches.last());
    let ends = ends.map_or((0.0, 0.0), |(first, last)| (time.at(f64::from(first.from)), time.at(f64::from(last.to))));
    let area = |class, of| {
        let path = stairs_of(of);
        ChartLine { class, area: filled(&path, ends.0, ends.1), path }
    };
    let most = |of: fn(&TimelinePoint) -> f64| numbers::rate(stretches.iter().map(of).fold(0.0, f64::max));
    let failed = stretches.iter().filter(|s| s.failed > 0.0);
    let failed = failed.map(|s| (time.at(f64::from(s.from)), time.at(f64::from(s.to)), scale.at(s.failed)));
    let path = bars(&failed.collect::<Vec<_>>());
    let mut lines = vec![area("answered", |s| s.answered)];
    lines.extend((!path.is_empty()).then(|| ChartLine { class: "failed", area: path.clone(), path }));
    lines.push(ChartLine { class: "intended", path: stairs_of(|s| s.intended), area: String::new() });
    let up_to = [most(|s| s.intended), most(|s| s.answered), most(|s| s.failed)];
    let [intended, answered, failed] = &up_to;
    Chart {
        id: id.to_owned(),
        side: load.environment.name(),
        title: format!("Rate over time, {}", load.environment.name()),
        words: format!("Up to {intended} intended, {answered} succeeded and {failed} failed."),
        legend: ["intended", "answered", "failed"]
            .into_iter()
            .zip(&up_to)
            .map(|(class, most)| {
                key(class, class, if most == "0 /s" { "none".to_owned() } else { format!("up to {most}") })
            })
            .collect(),
        x: moments(&time),
        y: ticks(scale, MOST_Y, down, numbers::rate),
        lines,
        marks: Vec::new(),
        limits: Vec::new(),
    }
}

fn key(class: &'static str, label: &str, figures: String) -> LegendEntry {
    LegendEntry { class, label: label.to_owned(), figures }
}

fn moments(time: &AxisScale) -> Vec<AxisTick> {
    time.moments().into_iter().map(|(label, at)| AxisTick { at: across(at), label }).collect()
}

/// Limits of percentiles that the chart shows, in milliseconds.
fn percentile_limits(load: &LoadResult) -> Vec<(&str, f64)> {
    let limits = load.limits.iter().filter(|limit| ["p50", "p95", "p99"].contains(&limit.what.as_str()));
    limits.filter(|limit| limit.limit > 0.0 && limit.limit.is_finite()).map(|l| (l.what.as_str(), l.limit)).collect()
}

/// How many seconds a point of the charts stands for.
pub fn seconds_a_point(seconds: u32) -> u32 {
    seconds.div_ceil(MOST_POINTS).max(1)
}

fn stretches(all: &[LoadSecond], seconds: u32) -> Vec<TimelinePoint> {
    let each = seconds_a_point(seconds);
    let mut out: Vec<TimelinePoint> = Vec::new();
    for second in all {
        let from = second.at - second.at % each;
        if out.last().is_none_or(|last| last.from != from) {
            out.push(TimelinePoint { from, to: from.saturating_add(each).min(seconds), ..TimelinePoint::default() });
        }
        let Some(last) = out.last_mut() else { continue };
        let length = f64::from((last.to - last.from).max(1));
        last.intended += second.intended as f64 / length;
        last.answered += second.answered as f64 / length;
        last.failed += second.failed as f64 / length;
        last.p50 = last.p50.max(second.p50);
        last.p95 = last.p95.max(second.p95);
        last.p99 = last.p99.max(second.p99);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: u32) -> LoadSecond {
        LoadSecond {
            at,
            intended: 10,
            answered: 8,
            failed: 2,
            p50: 5.0,
            p95: 10.0,
            p99: f64::from(at + 1),
            in_flight: 1,
        }
    }

    #[test]
    fn a_long_load_is_drawn_with_its_worst_seconds() {
        let all: Vec<LoadSecond> = (0..3_601).map(second).collect();
        let drawn = stretches(&all, 3_601);
        assert_eq!(drawn.len(), 277);
        let wanted = TimelinePoint {
            from: 13,
            to: 26,
            intended: 10.0,
            answered: 8.0,
            failed: 2.0,
            p50: 5.0,
            p95: 10.0,
            p99: 26.0,
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let found = drawn[1];
        assert!(near(found.intended, 10.0) && near(found.answered, 8.0) && near(found.failed, 2.0));
        assert_eq!(TimelinePoint { intended: 10.0, answered: 8.0, failed: 2.0, ..found }, wanted);
        assert_eq!(drawn.last().unwrap().to, 3_601);
    }

    #[test]
    fn seconds_without_an_answer_leave_a_gap() {
        let silent = LoadSecond { at: 1, intended: 10, failed: 10, ..LoadSecond::default() };
        let all = [second(0), silent, second(2)];
        assert_eq!(stretches(&all, 3)[1].p50, 0.0);
    }
}
