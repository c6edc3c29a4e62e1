//! Latency distributions in microseconds with three significant figures, and what the report shows of them in
//! milliseconds.

use hdrhistogram::Histogram;

use wire::Latencies;

/// Bars of the shown histogram: a chart has no room for more.
const MOST_BARS: usize = 100;
/// Bars per factor of ten, the finest first. The bounds of a coarser histogram are also bounds of every finer one, so
/// that the histograms of two loads can be overlaid.
const FINENESS: [u32; 4] = [48, 24, 12, 6];
/// The smallest bound, in microseconds.
const SMALLEST: f64 = 1.0;

pub fn latencies(histogram: &Histogram<u64>) -> Latencies {
    if histogram.is_empty() {
        return Latencies::default();
    }
    let at = |quantile| quantile_ms(histogram, quantile);
    Latencies {
        min: ms(histogram.min()),
        mean: ms_of(histogram.mean()),
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: ms(histogram.max()),
    }
}

/// 0 of an empty one.
pub fn quantile_ms<C: hdrhistogram::Counter>(histogram: &Histogram<C>, quantile: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { ms(histogram.value_at_quantile(quantile).min(histogram.max())) }
}

fn ms(micros: u64) -> f64 {
    ms_of(micros as f64)
}

/// Whole microseconds: more precision was not measured.
fn ms_of(micros: f64) -> f64 {
    micros.round() / 1000.0
}

/// Upper bounds in milliseconds with the number of values between the bound before and it; bars are contiguous.
pub fn bars(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let bar_of =
        |micros: u64, fineness: u32| ((micros as f64 / SMALLEST).log10() * f64::from(fineness)).ceil().max(0.0);
    let (min, max) = (histogram.min().max(1), histogram.max().max(1));
    let span = |fineness: u32| (bar_of(max, fineness) - bar_of(min, fineness)) as usize + 1;
    let fineness = FINENESS.into_iter().find(|fineness| span(*fineness) <= MOST_BARS).unwrap_or(1);
    let first = bar_of(min, fineness);
    let bound = |at: usize| ms_of(SMALLEST * 10f64.powf((first + at as f64) / f64::from(fineness)));
    let mut bars: Vec<(f64, u64)> = (0..span(fineness)).map(|at| (bound(at), 0)).collect();
    for step in histogram.iter_recorded() {
        let at = (bar_of(step.value_iterated_to().clamp(min, max), fineness) - first).max(0.0) as usize;
        if let Some((_, count)) = bars.get_mut(at) {
            *count += step.count_at_value();
        }
    }
    // Far below a millisecond two bounds may round to the same microsecond.
    bars.dedup_by(|later, earlier| {
        let same = later.0 <= earlier.0;
        earlier.1 += if same { later.1 } else { 0 };
        same
    });
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        values.into_iter().for_each(|value| histogram.saturating_record(value));
        histogram
    }

    #[test]
    fn quantiles_are_right_to_three_figures() {
        let found = latencies(&of((1..=100_000).map(|n| n * 10)));
        for (found, wanted) in [
            (found.min, 0.01),
            (found.mean, 500.0),
            (found.p50, 500.0),
            (found.p90, 900.0),
            (found.p95, 950.0),
            (found.p99, 990.0),
            (found.p999, 999.0),
            (found.max, 1000.0),
        ] {
            assert!((found / wanted - 1.0).abs() < 0.002, "{found} for {wanted}");
        }
        assert_eq!(latencies(&of([])), Latencies::default());
    }

    #[test]
    fn bars_hold_everything_once_in_rising_order() {
        for values in
            [vec![5000], vec![1, 60_000_000], (1..5000).collect(), (20_000..21_000).collect(), vec![1, 2, 3, 900]]
        {
            let bars = bars(&of(values.iter().copied()));
            assert!(bars.len() <= MOST_BARS, "{}", bars.len());
            assert!(bars.is_sorted_by(|a, b| a.0 < b.0), "{bars:?}");
            assert_eq!(bars.iter().map(|bar| bar.1).sum::<u64>(), values.len() as u64);
            let (last, largest) = (bars.last().unwrap().0, *values.iter().max().unwrap() as f64 / 1000.0);
            assert!(last >= largest * 0.999, "{last} for {largest}");
            for (bound, _) in &bars {
                let below = values.iter().filter(|value| **value as f64 / 1000.0 <= *bound).count() as f64;
                let counted = bars.iter().filter(|bar| bar.0 <= *bound).map(|bar| bar.1).sum::<u64>() as f64;
                assert!((below - counted).abs() <= 0.01 * values.len() as f64 + 1.0, "{below} {counted} to {bound}");
            }
        }
        assert!(bars(&of([])).is_empty());
    }
}
