//! When each request of a load is due: the inverse of the cumulative rate, so that the spacing is even and the
//! same every time. Nothing is stored per request, however many there are.

use config::suite::{LoadTest, Profile};

/// The steps of a stress load.
pub const STRESS_STEPS: u64 = 10;

/// A segment in which the rate changes linearly. Times in seconds, rates in requests per second.
#[derive(Clone, Copy, Debug)]
struct RateSegment {
    begins: f64,
    length: f64,
    first: f64,
    last: f64,
    /// Requests of the segments before it.
    before: f64,
}

/// When requests are due. They are numbered from 0; those of the warm-up come first.
#[derive(Clone, Debug)]
pub struct LoadSchedule {
    warm_up: RateCurve,
    load: RateCurve,
    /// The length of the warm-up, in microseconds.
    warm_micros: u64,
    /// Of both.
    micros: u64,
}

#[derive(Clone, Debug)]
struct RateCurve {
    stretches: Vec<RateSegment>,
    total: u64,
}

impl LoadSchedule {
    pub fn new(load: &LoadTest) -> LoadSchedule {
        let (warm, length) = (seconds(load.warm_up.0), seconds(load.length.0));
        let (rate, from) = (load.rate, load.from);
        let (first, shape) = match load.profile {
            Profile::Steady | Profile::Soak => (rate, vec![(1.0, rate, rate)]),
            Profile::Ramp => (from, vec![(1.0, from, rate)]),
            Profile::Spike => {
                let third = 1.0 / 3.0;
                (from, vec![(third, from, from), (third, rate, rate), (third, from, from)])
            }
            Profile::Stress => {
                (from, (0..STRESS_STEPS).map(|at| (0.1, stress_rate(load, at), stress_rate(load, at))).collect())
            }
        };
        let shape = shape.into_iter().map(|(share, first, last)| (share * length, first, last));
        let (warm_micros, micros) = (load.warm_up.0 * 1000, (load.warm_up.0 + load.length.0) * 1000);
        LoadSchedule {
            warm_up: RateCurve::new([(warm, first, first)]),
            load: RateCurve::new(shape),
            warm_micros,
            micros,
        }
    }

    /// All requests, including those of the warm-up.
    pub fn total(&self) -> u64 {
        self.warm_up.total + self.load.total
    }

    /// The number of the first request after the warm-up.
    pub fn first(&self) -> u64 {
        self.warm_up.total
    }

    /// When a request is due, in microseconds since the beginning of the warm-up.
    pub fn at(&self, number: u64) -> u64 {
        match number.checked_sub(self.warm_up.total) {
            None => self.warm_up.at(number).min(self.warm_micros),
            Some(number) => self.warm_micros + self.load.at(number),
        }
    }

    /// When the warm-up ends.
    pub fn warm_micros(&self) -> u64 {
        self.warm_micros
    }

    /// When the load ends.
    pub fn micros(&self) -> u64 {
        self.micros
    }
}

/// The rate of one step of a stress load.
pub fn stress_rate(load: &LoadTest, at: u64) -> f64 {
    load.from + (load.rate - load.from) * at.min(STRESS_STEPS - 1) as f64 / (STRESS_STEPS - 1) as f64
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

impl RateCurve {
    fn new(shape: impl IntoIterator<Item = (f64, f64, f64)>) -> RateCurve {
        let (mut begins, mut before, mut stretches) = (0.0, 0.0, Vec::new());
        for (length, first, last) in shape {
            stretches.push(RateSegment { begins, length, first, last, before });
            begins += length;
            before += length * (first + last) / 2.0;
        }
        RateCurve { stretches, total: before.round() as u64 }
    }

    fn at(&self, number: u64) -> u64 {
        // In the middle of its share of the sum, so that a second at a steady rate has exactly that many requests.
        let sum = number as f64 + 0.5;
        let after = self.stretches.partition_point(|stretch| stretch.before <= sum);
        let Some(stretch) = self.stretches.get(after.saturating_sub(1)) else { return 0 };
        let (wanted, slope) = (sum - stretch.before, (stretch.last - stretch.first) / stretch.length);
        // sum = first * t + slope * t^2 / 2, solved in the form that does not divide by the slope, which may be zero.
        let root = (stretch.first * stretch.first + 2.0 * slope * wanted).max(0.0).sqrt();
        let within = 2.0 * wanted / (stretch.first + root);
        // Rounding may put the last one after the end, or make it NaN.
        let within = if within.is_finite() { within.clamp(0.0, stretch.length) } else { stretch.length };
        ((stretch.begins + within) * 1e6).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::suite::LoadLimits;
    use judgement::time::Millis;

    fn per_second(profile: Profile, from: f64, rate: f64, seconds: u64) -> Vec<u64> {
        let load = LoadTest {
            name: "l".to_owned(),
            profile,
            rate,
            from,
            length: Millis::seconds(seconds),
            warm_up: Millis::seconds(2),
            users: 1,
            requests: Vec::new(),
            resources: None,
            limits: LoadLimits::default(),
        };
        let schedule = LoadSchedule::new(&load);
        let mut counts = vec![0; seconds as usize + 2];
        let mut last = 0;
        for at in (0..schedule.total()).map(|number| schedule.at(number)) {
            assert!(at >= last && at < schedule.micros(), "in order, and before the end");
            last = at;
            counts[(at / 1_000_000) as usize] += 1;
        }
        counts
    }

    #[test]
    fn every_profile_has_its_shape() {
        assert_eq!(per_second(Profile::Steady, 0.0, 100.0, 4), [100; 6]);
        assert_eq!(per_second(Profile::Soak, 0.0, 7.0, 3), [7; 5]);
        assert_eq!(per_second(Profile::Ramp, 10.0, 50.0, 4), [10, 10, 15, 25, 35, 45]);
        assert_eq!(per_second(Profile::Ramp, 0.0, 40.0, 4), [0, 0, 5, 15, 25, 35]);
        assert_eq!(per_second(Profile::Ramp, 40.0, 0.0, 4), [40, 40, 35, 25, 15, 5]);
        assert_eq!(per_second(Profile::Spike, 10.0, 90.0, 6), [10, 10, 10, 10, 90, 90, 10, 10]);
        assert_eq!(per_second(Profile::Spike, 0.0, 90.0, 3), [0, 0, 0, 90, 0]);
        let stairs = [10, 10, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
        assert_eq!(per_second(Profile::Stress, 10.0, 100.0, 10), stairs);
    }

    #[test]
    fn a_slow_rate_is_even_too() {
        assert_eq!(per_second(Profile::Steady, 0.0, 0.5, 8), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(per_second(Profile::Steady, 0.0, 2.5, 4).iter().skip(2).sum::<u64>(), 10);
    }
}
