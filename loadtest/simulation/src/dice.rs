//! Chance from a seed: the same seed gives the same world, on any machine and any number of threads.

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), and draws made from it.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
    /// The second of a pair of normal draws.
    spare: Option<f64>,
}

/// From this mean on a Poisson draw costs the same, however large it is.
const SMALL: f64 = 12.0;

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed, spare: None }
    }

    /// Dice that have nothing to do with these, whatever these have rolled.
    pub fn of(seed: u64, cell: u64, replicate: u64) -> Dice {
        let mut dice = Dice::new(seed);
        for part in [cell, replicate] {
            dice.state = dice.roll() ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        }
        Dice::new(dice.roll())
    }

    /// Others, for what must not change what these will roll.
    pub fn fork(&self) -> Dice {
        Dice::of(self.state, 1, 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, never either.
    pub fn unit(&mut self) -> f64 {
        ((self.roll() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// How many failures come before the first success, of this mean: geometric.
    pub fn geometric(&mut self, mean: f64) -> u32 {
        (self.unit().ln() / (mean / (1.0 + mean)).ln()) as u32
    }

    /// Standard normal, by pairs (Box, Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// Exact: by inversion where the mean is small, else by rejection.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        if mean >= SMALL {
            return self.poisson_by_rejection(mean);
        }
        if mean <= 0.0 {
            return 0;
        }
        let (mut rest, mut part, mut k) = (self.unit(), (-mean).exp(), 0);
        while rest > part {
            rest -= part;
            k += 1;
            part *= mean / f64::from(k);
            // What rounding leaves over belongs to the far tail.
            if k > 200 {
                break;
            }
        }
        k
    }

    /// PTRS (Hörmann, "The transformed rejection method for generating Poisson random variables", 1993).
    fn poisson_by_rejection(&mut self, mean: f64) -> u32 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let quick = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= quick {
                return k as u32;
            }
            if k < 0.0 || us < 0.013 && v > us {
                continue;
            }
            let accepted = (v * inverse_alpha / (a / (us * us) + b)).ln();
            if accepted <= k * mean.ln() - mean - ln_factorial(k) {
                return k as u32;
            }
        }
    }
}

/// Stirling's series; exact to a billionth from 10 on, and below that multiplied out.
fn ln_factorial(k: f64) -> f64 {
    if k < 10.0 {
        return (2..=k as u32).map(|n| f64::from(n).ln()).sum();
    }
    let n = k + 1.0;
    (n - 0.5) * n.ln() - n + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n * n * n)
}
