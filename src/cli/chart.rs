//! A small chart for the terminal: evidence over time, on a scale of powers of ten.

use judgement::guard::evidence::odds;
use judgement::guard::evidence::tape::EvidencePoint;
use judgement::time::Millis;

const WIDTH: usize = 60;
const HEIGHT: usize = 10;

/// The lines of a chart of `points`, which marks the height of `sure`; empty if they span no time.
pub fn lines(points: &[EvidencePoint], sure: f64) -> Vec<String> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let span = last.at.since(first.at).0;
    if span == 0 {
        return Vec::new();
    }
    let height_of = |evidence: f64| evidence.max(1e-9).log10();
    let most = points.iter().map(|point| height_of(point.evidence)).fold(height_of(sure), f64::max).ceil();
    // Everything far below even odds looks the same.
    let least = points.iter().map(|point| height_of(point.evidence)).fold(0.0, f64::min).floor().max(-4.0);
    let row_of = |evidence: f64| {
        let part = (height_of(evidence) - least).max(0.0) / (most - least);
        ((part * (HEIGHT - 1) as f64).round() as usize).min(HEIGHT - 1)
    };
    // A column shows the last point before its end, or what the previous column shows.
    let column = |column: usize| {
        let end = span * (column as u64 + 1) / WIDTH as u64;
        points.iter().take_while(|point| point.at.since(first.at).0 <= end).last().unwrap_or(first)
    };
    let rows: Vec<usize> = (0..WIDTH).map(|at| row_of(column(at).evidence)).collect();
    let mut lines = Vec::new();
    for row in (0..HEIGHT).rev() {
        let label = match row {
            _ if row == row_of(sure) => odds(sure),
            _ if row == row_of(1.0) => "1 : 1".to_owned(),
            _ if row == HEIGHT - 1 => format!("10^{most:.0} : 1"),
            // Only below even odds: above them, the row of even odds is the lowest.
            0 => format!("1 : 10^{:.0}", -least),
            _ => String::new(),
        };
        let mark = if row == row_of(sure) { '-' } else { ' ' };
        let bars: String = rows.iter().map(|top| if *top >= row { '#' } else { mark }).collect();
        lines.push(format!("{label:>12} |{}", bars.trim_end()));
    }
    lines.push(format!("{:>12} +{}", "", "-".repeat(WIDTH)));
    lines.push(format!("{:>12}  {:<width$}{}", "", "0s", Millis(span), width = WIDTH - 6));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_drawn_from_even_odds_over_the_line_that_decides() {
        let points: Vec<EvidencePoint> =
            (0..=100).map(|n| EvidencePoint { at: Millis(n * 10), evidence: 10_f64.powf(n as f64 / 25.0) }).collect();
        let lines = lines(&points, 1000.0);
        assert_eq!(lines.len(), HEIGHT + 2);
        assert!(lines[0].contains("10^4 : 1") && lines[0].ends_with('#'), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("1,000 : 1 |---")), "{lines:#?}");
        assert!(lines[HEIGHT - 1].contains("1 : 1 |####"), "{lines:#?}");
        assert!(lines[HEIGHT + 1].ends_with("1s"), "{lines:#?}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(lines(&[], 1000.0).is_empty());
        assert!(lines(&[EvidencePoint { at: Millis(5), evidence: 3.0 }], 1000.0).is_empty());
        let flat =
            [EvidencePoint { at: Millis(5), evidence: 0.0 }, EvidencePoint { at: Millis(9), evidence: f64::MAX }];
        assert_eq!(lines(&flat, 1000.0).len(), HEIGHT + 2);
    }
}
