//! Charts as the page draws them: SVG whose lines stretch with the page while its letters keep their size, so that one
//! drawing works on a phone, on a wide screen and on paper. Each also describes itself in words.

mod distribution;
mod scale;
mod time;

pub use distribution::distribution;
pub use time::{latencies, latency_scale, rate_scale, rates, seconds, seconds_a_point};

use super::numbers;

/// Labels along an axis, horizontally and vertically, that fit on a phone.
const MOST_X: usize = 6;
const MOST_Y: usize = 10;
/// Paths are drawn in a square with sides of this many units.
const UNITS: f64 = 1000.0;

/// Everything that `chart.html` draws. Positions are in percent of the plot, from its left and its top.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Of its own on the page.
    pub id: String,
    pub title: String,
    /// Empty: both.
    pub side: &'static str,
    /// A description for those who cannot see it.
    pub words: String,
    pub legend: Vec<LegendEntry>,
    pub x: Vec<AxisTick>,
    pub y: Vec<AxisTick>,
    pub lines: Vec<ChartLine>,
    pub marks: Vec<PercentileMark>,
    pub limits: Vec<AxisTick>,
}

/// An entry of the legend: a line's name and its figures.
#[derive(Clone, Debug)]
pub struct LegendEntry {
    pub class: &'static str,
    pub label: String,
    pub figures: String,
}

#[derive(Clone, Debug)]
pub struct AxisTick {
    pub at: String,
    pub label: String,
}

#[derive(Clone, Debug)]
pub struct ChartLine {
    pub class: &'static str,
    /// Without its first point, which closes an area down to the axis.
    pub path: String,
    /// As `path`, closed; empty: nothing is filled.
    pub area: String,
}

/// A percentile on the axis of latencies.
#[derive(Clone, Debug)]
pub struct PercentileMark {
    pub class: &'static str,
    pub at: String,
    /// Empty where the one before it is too near.
    pub label: &'static str,
    /// Of the label, above the plot.
    pub row: i32,
    pub is_left: bool,
}

impl Chart {
    /// Approximate bytes in the page.
    pub fn weight(&self) -> usize {
        3_500 + self.lines.iter().map(|line| line.path.len() + line.area.len()).sum::<usize>()
    }
}

/// A share of the plot's width in percent.
fn across(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// A share of the plot's height, which is counted from the bottom, in percent from the top.
fn down(share: f64) -> String {
    format!("{:.2}", (1.0 - share) * 100.0)
}

fn units(share: f64) -> String {
    let text = format!("{:.1}", share * UNITS);
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A line through points, in shares of the plot from its lower left, with gaps where there is no point.
fn through(points: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    let mut pen_is_down = false;
    for (at, point) in points.iter().enumerate() {
        let Some((x, y)) = point else {
            pen_is_down = false;
            continue;
        };
        path.push_str(if pen_is_down { "L" } else { "M" });
        path.push_str(&format!("{} {}", units(*x), units(1.0 - *y)));
        let alone = !pen_is_down && points.get(at + 1).is_none_or(Option::is_none);
        path.push_str(if alone { "h4" } else { "" });
        pen_is_down = true;
    }
    path
}

/// A line of stairs: each stair from its first place to its second, at its height.
fn stairs(steps: &[(f64, f64, f64)]) -> String {
    let mut path = String::new();
    for (from, to, y) in steps {
        let pen = if path.is_empty() { "M" } else { "L" };
        path.push_str(&format!("{pen}{} {}H{}", units(*from), units(1.0 - *y), units(*to)));
    }
    path
}

/// Bars on the axis, each from its first position to its second; adjacent bars are joined.
fn bars(steps: &[(f64, f64, f64)]) -> String {
    let mut path = String::new();
    let mut end = None;
    for (from, to, y) in steps {
        if end != Some(units(*from)) {
            path.push_str(if end.is_some() { "V1000" } else { "" });
            path.push_str(&format!("M{} 1000", units(*from)));
        }
        path.push_str(&format!("V{}H{}", units(1.0 - *y), units(*to)));
        end = Some(units(*to));
    }
    path.push_str(if end.is_some() { "V1000" } else { "" });
    path
}

/// The ticks of a scale, `most` of them with a name; `place`: along which side.
fn ticks(scale: &scale::AxisScale, most: usize, place: fn(f64) -> String, name: fn(f64) -> String) -> Vec<AxisTick> {
    let ticks = scale.ticks(most).into_iter();
    ticks
        .map(|(number, at, is_named)| AxisTick {
            at: place(at),
            label: if is_named { name(number) } else { String::new() },
        })
        .collect()
}

/// `500ms`, `2s`.
fn round_ms(ms: f64) -> String {
    if ms < 1_000.0 { numbers::ms(ms) } else { numbers::length(ms as u64) }
}

/// What lies between a path and the axis below it.
fn filled(path: &str, first: f64, last: f64) -> String {
    if path.is_empty() { String::new() } else { format!("{path}L{} 1000L{} 1000Z", units(last), units(first)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_off_where_nothing_was_measured() {
        let points = [Some((0.0, 0.0)), Some((0.25, 1.0)), None, Some((0.75, 0.5)), None];
        assert_eq!(through(&points), "M0 1000L250 0M750 500h4");
        assert_eq!(stairs(&[(0.0, 0.5, 0.5), (0.5, 1.0, 1.0)]), "M0 500H500L500 0H1000");
        assert_eq!(
            bars(&[(0.1, 0.2, 0.5), (0.2, 0.3, 1.0), (0.5, 0.6, 0.5)]),
            "M100 1000V500H200V0H300V1000M500 1000V500H600V1000"
        );
        assert_eq!(filled("M0 500H1000", 0.0, 1.0), "M0 500H1000L1000 1000L0 1000Z");
    }
}
