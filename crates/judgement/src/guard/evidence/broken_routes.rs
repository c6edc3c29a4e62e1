//! Which routes are broken, and not only that something is.
//!
//! The evidence of the routes is an average, so one route that is broken convicts the whole, and says nothing of the others.
//! To name several takes closed testing: a route is named if every set of routes that contains it is convicted by its own
//! average (Vovk, Wang, "E-values: calibration, combination and applications", 2021, section 4). The chance that any route is
//! named which is not broken is then at most one in the odds that are asked for. The set that convicts least consists of the
//! route and those with the least evidence.

/// The indices of the routes that are broken by these odds, for the evidence of each, `x : 1`, without its share of the
/// stake.
pub fn broken(evidence: &[f64], odds: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..evidence.len()).collect();
    let of = |at: usize| evidence.get(at).copied().unwrap_or_default();
    order.sort_by(|a, b| of(*a).total_cmp(&of(*b)));
    let is_broken = |route: usize| {
        let (mut sum, mut many, mut least) = (of(route), 1.0, of(route));
        for other in order.iter().filter(|other| **other != route) {
            (sum, many) = (sum + of(*other), many + 1.0);
            least = least.min(sum / many);
        }
        least >= odds
    };
    (0..evidence.len()).filter(|route| is_broken(*route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    #[test]
    fn a_route_is_named_if_every_set_with_it_is_convicted() {
        assert_eq!(broken(&[0.1, 20_000.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 1000.0), [1]);
        assert_eq!(broken(&[9500.0, 0.1, 12_000.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 1000.0), [0, 2]);
        assert_eq!(broken(&[2000.0, 0.1, 50_000.0, 0.1, 0.1], 1000.0), [2], "the others weigh against the first");
        assert_eq!(broken(&[], 1000.0), [0_usize; 0]);
    }

    #[test]
    fn it_is_the_same_as_to_try_all_sets() {
        let run = TestRunner::default().run(&proptest::collection::vec(0.0_f64..5000.0, 1..8), |evidence| {
            let all_sets = |route: usize| {
                (1_u32..1 << evidence.len()).filter(|set| set & 1 << route != 0).all(|set| {
                    let members = evidence.iter().enumerate().filter(|(at, _)| set & 1 << at != 0);
                    members.map(|(_, evidence)| evidence).sum::<f64>() >= 1000.0 * f64::from(set.count_ones())
                })
            };
            let expected: Vec<usize> = (0..evidence.len()).filter(|route| all_sets(*route)).collect();
            prop_assert_eq!(broken(&evidence, 1000.0), expected);
            Ok(())
        });
        run.unwrap();
    }
}
