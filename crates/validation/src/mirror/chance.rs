//! Whether one of two things happens more often than the other than chance allows.

/// How probable it is that, of `more + fewer` fair coins, `more` or more fall on the same side: the sign test, one-sided. The
/// order in which the sides are asked is drawn, so if they are alike, each request that shows a difference once shows it as
/// probably of the one as of the other.
pub fn at_least(more: u64, fewer: u64) -> f64 {
    let all = more + fewer;
    if more == 0 {
        return 1.0;
    }
    if all > EXACT {
        // The normal approximation, with half a step for what is counted in whole ones.
        let (half, deviation) = (all as f64 / 2.0, (all as f64).sqrt() / 2.0);
        return upper_tail((more as f64 - 0.5 - half) / deviation);
    }
    // The last term first, and each from the one before: C(n, k−1) = C(n, k) · k / (n − k + 1).
    let mut term = 0.5_f64.powi(i32::try_from(all).unwrap_or(i32::MAX));
    let mut sum = 0.0;
    for at in (more..=all).rev() {
        sum += term;
        term *= at as f64 / (all - at + 1) as f64;
    }
    sum.min(1.0)
}

/// Up to so many coins every case is added up.
const EXACT: u64 = 400;

/// The probability that a standard normal variable is above `z`: Abramowitz and Stegun 26.2.17, to seven digits.
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_test_is_that_of_the_tables() {
        let near = |(more, fewer): (u64, u64), wanted: f64| {
            let found = at_least(more, fewer);
            assert!((found / wanted - 1.0).abs() < 0.02, "{more} to {fewer}: {found}");
        };
        near((0, 0), 1.0);
        near((0, 9), 1.0);
        near((1, 0), 0.5);
        near((7, 0), 1.0 / 128.0);
        near((8, 2), 56.0 / 1024.0);
        near((5, 5), 0.623);
        near((60, 40), 0.0284);
        near((10, 90), 1.0);
        // Where the approximation begins, both agree.
        near((230, 170), 0.001_565);
        near((231, 170), 0.001_344);
    }
}
