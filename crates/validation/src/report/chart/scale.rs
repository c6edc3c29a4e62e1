//! Scales with round ends and round ticks.

use super::super::numbers;

/// From a number to its share of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisScale {
    low: f64,
    high: f64,
    log: bool,
}

/// A linear axis is cut into this many steps, about.
const STEPS: f64 = 4.0;
/// Steps of a time axis, in seconds.
const SECONDS: [u32; 19] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800];
/// Ticks of a time axis on a phone.
const MOST_TICKS: u32 = 6;

impl AxisScale {
    /// From 0 to a round number that is not below `most`.
    pub fn linear(most: f64) -> AxisScale {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let step = step(most);
        AxisScale { low: 0.0, high: (most / step - 1e-9).ceil() * step, log: false }
    }

    /// From a power of ten, or twice or five times one, to another. `None`: there is nothing above 0.
    pub fn log(least: f64, most: f64) -> Option<AxisScale> {
        if !(least > 0.0 && most >= least && most.is_finite()) {
            return None;
        }
        let low = round_numbers(least).filter(|round| *round <= least * (1.0 + 1e-9)).last()?;
        let mut above = round_numbers(most).filter(|round| *round >= most * (1.0 - 1e-9) && *round > low * 1.5);
        Some(AxisScale { low, high: above.next()?, log: true })
    }

    /// Exactly so, for seconds.
    pub fn seconds(most: u32) -> AxisScale {
        AxisScale { low: 0.0, high: f64::from(most.max(1)), log: false }
    }

    /// 0 at the low end, 1 at the high one, and never outside.
    pub fn at(&self, number: f64) -> f64 {
        let share = if self.log {
            (number.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (number - self.low) / (self.high - self.low)
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Round numbers with their places, and whether each is to be named: at most `most` are, if that leaves two.
    pub fn ticks(&self, most: usize) -> Vec<(f64, f64, bool)> {
        if !self.log {
            let step = step(self.high);
            let numbers = (0..=(self.high / step).round() as u32).map(|at| f64::from(at) * step);
            return numbers.map(|number| (number, self.at(number), true)).collect();
        }
        let (all, tens) = (self.round_within(|_| true), self.round_within(|of_ten| of_ten == 1));
        let only_tens = all.len() > most && tens.len() >= 2;
        let is_named = |number: &f64| !only_tens || tens.contains(number);
        all.into_iter().map(|number| (number, self.at(number), is_named(&number))).collect()
    }

    fn round_within(&self, wanted: impl Fn(u32) -> bool) -> Vec<f64> {
        let from = self.low.log10().floor() as i32;
        let to = self.high.log10().ceil() as i32;
        let all = (from..=to).flat_map(|power| [1, 2, 5].map(|of_ten| (of_ten, f64::from(of_ten) * 10f64.powi(power))));
        let inside = |number: f64| number >= self.low * (1.0 - 1e-9) && number <= self.high * (1.0 + 1e-9);
        all.filter(|(of_ten, number)| wanted(*of_ten) && inside(*number)).map(|(_, number)| number).collect()
    }

    /// Round moments with their places and names.
    pub fn moments(&self) -> Vec<(String, f64)> {
        let most = self.high as u32;
        let step = SECONDS.into_iter().find(|step| most / step < MOST_TICKS).unwrap_or(most.max(1));
        let moments = (0..=most / step).map(|at| at * step);
        let name = |second: u32| match second {
            0 => "0".to_owned(),
            second if step < 60 => format!("{}s", numbers::count(u64::from(second))),
            second => numbers::length(u64::from(second) * 1000),
        };
        moments.map(|second| (name(second), self.at(f64::from(second)))).collect()
    }
}

/// The round number from which an axis makes about four steps.
fn step(most: f64) -> f64 {
    let rough = most / STEPS;
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| rough <= round * power * (1.0 + 1e-9));
    round.unwrap_or(10.0) * power
}

/// 1, 2 and 5 times the powers of ten around a number.
fn round_numbers(near: f64) -> impl Iterator<Item = f64> {
    let power = near.log10().floor() as i32;
    (power - 1..=power + 2).flat_map(|power| [1.0, 2.0, 5.0].map(|of_ten| of_ten * 10f64.powi(power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(scale: AxisScale) -> Vec<f64> {
        let named = scale.ticks(7).into_iter().filter(|(.., is_named)| *is_named);
        named.map(|(number, ..)| (number * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_reach_over_everything() {
        assert_eq!(numbers(AxisScale::linear(100.0)), [0.0, 50.0, 100.0]);
        assert_eq!(numbers(AxisScale::linear(187.0)), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(numbers(AxisScale::linear(7.3)), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(numbers(AxisScale::linear(0.0)), [0.0, 0.5, 1.0]);
        for most in [1e-9, 0.3, 1.0, 99.0, 1e12, f64::NAN, f64::INFINITY] {
            let scale = AxisScale::linear(most);
            assert!((3..=6).contains(&scale.ticks(7).len()), "{most}: {:?}", scale.ticks(7));
            assert!(!most.is_finite() || scale.high >= most);
        }
    }

    #[test]
    fn logarithmic_ticks_are_one_two_and_five_or_powers_of_ten() {
        assert_eq!(numbers(AxisScale::log(8.0, 47.0).unwrap()), [5.0, 10.0, 20.0, 50.0]);
        assert_eq!(numbers(AxisScale::log(0.4, 3_000.0).unwrap()), [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(numbers(AxisScale::log(10.0, 10.0).unwrap()), [10.0, 20.0]);
        for wrong in [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(AxisScale::log(wrong.0, wrong.1), None);
        }
        let scale = AxisScale::log(1.0, 100.0).unwrap();
        assert_eq!([0.1, 1.0, 10.0, 100.0, 1e9, f64::NAN].map(|n| scale.at(n)), [0.0, 0.0, 0.5, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn moments_are_those_of_a_clock() {
        let names = |most| AxisScale::seconds(most).moments().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(30), ["0", "10s", "20s", "30s"]);
        assert_eq!(names(90), ["0", "30s", "60s", "90s"]);
        assert_eq!(names(1), ["0", "1s"]);
        assert_eq!(names(0), ["0", "1s"]);
        assert_eq!(names(36_000), ["0", "2h", "4h", "6h", "8h", "10h"]);
        assert!(names(u32::MAX).len() < 10_000);
    }
}
