//! The Mann-Whitney test as Kayenta computes it.
//!
//! A port of the rule, not of the code: kayenta-mannwhitney's `MannWhitney`, itself after R's `wilcox.test` with
//! `conf.int = TRUE, exact = FALSE, correct = TRUE`. The confidence limits are where the standardised rank sum, with
//! continuity correction and ties, crosses the quantile as one sample is shifted; it is a step function, so the
//! crossings are found among the pairwise differences instead of by Brent's method.

/// The lower confidence limit of the shift of `x` against `y`, and its estimate (Hodges, Lehmann), at 98 %.
pub fn shift(x: &[f64], y: &[f64]) -> (f64, f64) {
    // The normal quantile of 99 %.
    const QUANTILE: f64 = 2.326_347_874_040_841;
    let mut differences: Vec<f64> = x.iter().flat_map(|x| y.iter().map(move |y| x - y)).collect();
    differences.sort_by(f64::total_cmp);
    differences.dedup();
    (crossing(x, y, &differences, QUANTILE), crossing(x, y, &differences, 0.0))
}

/// Where the standardised rank sum of `x` shifted down falls to the quantile.
fn crossing(x: &[f64], y: &[f64], differences: &[f64], quantile: f64) -> f64 {
    let (Some(first), Some(last)) = (differences.first(), differences.last()) else { return 0.0 };
    if standardised(x, y, *first) <= quantile {
        return *first;
    }
    if standardised(x, y, *last) >= quantile {
        return *last;
    }
    // It falls with the shift: the last gap between differences in which it is still above.
    let middle = |gap: usize| f64::midpoint(differences[gap], differences[gap + 1]);
    let (mut above, mut below) = (0, differences.len() - 1);
    while below - above > 1 {
        let gap = above.midpoint(below);
        if standardised(x, y, middle(gap)) > quantile { above = gap } else { below = gap }
    }
    if standardised(x, y, middle(above)) <= quantile {
        return differences[above];
    }
    let next = above + 1;
    // A gap where it is the quantile itself: any point of it will do, and its middle is the estimate's.
    if next + 1 < differences.len() && standardised(x, y, middle(next)) == quantile {
        return middle(next);
    }
    differences[next]
}

/// The rank sum of `x − shift` among both samples, less its mean, in standard deviations.
fn standardised(x: &[f64], y: &[f64], shift: f64) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    // Of all pairs, those in which x is larger, a tie for a half: the rank sum but for a constant.
    let mut larger = 0.0;
    for x in x.iter().map(|x| x - shift) {
        larger += y
            .iter()
            .map(|y| {
                if x > *y {
                    1.0
                } else if x == *y {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>();
    }
    let excess = larger - n * m / 2.0;
    let mut all: Vec<f64> = x.iter().map(|x| x - shift).chain(y.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all.chunk_by(|a, b| a == b).map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64).sum();
    let variance = n * m / 12.0 * (n + m + 1.0 - ties / ((n + m) * (n + m - 1.0)));
    if variance <= 0.0 {
        return 0.0;
    }
    let correction = if excess == 0.0 { 0.0 } else { 0.5 * excess.signum() };
    (excess - correction) / variance.sqrt()
}
