//! The rules of others, the bound and the dice: what they must come to by hand.

use ::simulation::bound;
use ::simulation::dice::Dice;
use ::simulation::mann_whitney;
use ::simulation::peer_rules::{PeerRule, SecondCounts};

/// Ten answers a second of the candidate and ninety of active; the candidate fails this share from a second on.
fn failing(seconds: usize, from: usize, tenths: u32) -> SecondCounts {
    let mut counts = SecondCounts::new(seconds, false);
    for second in 0..seconds {
        counts.count(second as u64 * 1000, 0, 90, u32::from(second % 7 == 0));
        counts.count(second as u64 * 1000, 1, 10, if second >= from { tenths } else { 0 });
    }
    counts
}

#[test]
fn flagger_rolls_back_at_the_check_after_the_last_one_that_may_fail() {
    let dead = failing(900, 0, 10);
    assert_eq!(PeerRule::Flagger { interval: 10, threshold: 1 }.decide(&dead, 0.0), Some(20));
    assert_eq!(PeerRule::Flagger { interval: 60, threshold: 5 }.decide(&dead, 0.0), Some(360));
    let late = failing(900, 100, 10);
    assert_eq!(
        PeerRule::Flagger { interval: 10, threshold: 1 }.decide(&late, 0.5),
        Some(115),
        "checks at 95, 105, 115"
    );
    assert_eq!(PeerRule::Flagger { interval: 10, threshold: 1 }.decide(&failing(900, 900, 0), 0.0), None);
}

#[test]
fn argo_aborts_at_the_measurement_that_is_one_too_many() {
    let dead = failing(2000, 0, 10);
    assert_eq!(PeerRule::Argo { interval: 60, limit: 0 }.decide(&dead, 0.5), Some(30));
    assert_eq!(PeerRule::Argo { interval: 300, limit: 3 }.decide(&dead, 0.0), Some(1200), "nothing is measured at 0");
}

#[test]
fn kayenta_calls_high_what_is_shifted_by_more_than_a_quarter_of_its_estimate() {
    let rule = PeerRule::Kayenta { point: 10, every: 60, lookback: Some(60) };
    assert_eq!(rule.decide(&failing(900, 0, 1), 0.0), Some(60));
    assert_eq!(rule.decide(&failing(900, 900, 0), 0.0), None);
}

#[test]
fn the_limits_of_the_mann_whitney_test_are_differences_of_pairs() {
    // Six against six, no ties: of 36 differences the third is the lower limit at 98 %, the middle the estimate.
    let (x, y) = ([10.0, 11.3, 12.7, 14.1, 15.9, 17.2], [1.0, 2.01, 3.03, 4.06, 5.1, 6.15]);
    let mut differences: Vec<f64> = x.iter().flat_map(|x| y.iter().map(move |y| x - y)).collect();
    differences.sort_by(f64::total_cmp);
    let (lower, estimate) = mann_whitney::shift(&x, &y);
    assert_eq!(lower, differences[2]);
    assert!((differences[17]..=differences[18]).contains(&estimate), "{estimate}");
    // Two samples of the same kind: the lower limit is below zero.
    let (lower, _) = mann_whitney::shift(&y, &y.map(|y| y + 0.001));
    assert!(lower < 0.0);
}

#[test]
fn the_bound_is_what_the_literature_gives() {
    // ln(1/α) / KL, with KL from a table made beforehand: share, rate of the candidate, failures; active fails 0.1 %.
    for (share, rate, failures) in
        [(0.1, 1.0, 2.5), (0.1, 0.5, 3.3), (0.1, 0.1, 4.2), (0.1, 0.02, 7.3), (0.1, 0.01, 13.0), (0.5, 0.1, 15.0)]
    {
        let bound = bound::failures(share, rate, 0.001, 1e-3).unwrap();
        assert!((bound / failures - 1.0).abs() < 0.03, "{share}, {rate}: {bound}");
    }
    assert_eq!(bound::failures(0.1, 0.0025, 0.001, 1e-3), None, "tolerated");
    // 84 requests of 180,000: 1,071 chances of a false rollback share α, so e^6.98 times as sure.
    let known = bound::failures(0.1, 0.1, 0.001, 1e-3).unwrap();
    let unknown = bound::failures_at_any_time(0.1, 0.1, 0.001, 1e-3, 180_000.0).unwrap();
    assert!((unknown / known - (6.908 + 6.98) / 6.908).abs() < 0.01, "{unknown}, {known}");
}

#[test]
fn the_dice_have_the_moments_of_what_they_draw() {
    let mut dice = Dice::new(7);
    for mean in [0.02, 0.7, 5.0, 11.9, 12.1, 40.0, 900.0] {
        let draws: Vec<f64> = (0..40_000).map(|_| f64::from(dice.poisson(mean))).collect();
        let average = draws.iter().sum::<f64>() / 4e4;
        let variance = draws.iter().map(|n| (n - average).powi(2)).sum::<f64>() / 4e4;
        assert!((average - mean).abs() < 5.0 * (mean / 4e4).sqrt(), "mean {mean}: {average}");
        assert!((variance / mean - 1.0).abs() < 5.0 * ((2.0 + 1.0 / mean) / 4e4).sqrt(), "mean {mean}: {variance}");
    }
    let normal: Vec<f64> = (0..40_000).map(|_| dice.normal()).collect();
    let beyond = normal.iter().filter(|z| z.abs() > 1.959_964).count();
    assert!((1800..2200).contains(&beyond), "{beyond} of 40,000 beyond two deviations");
}
