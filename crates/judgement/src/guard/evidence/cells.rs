//! Requests counted by cell, and how fast the counts fade.

use crate::time::Millis;

/// Requests are counted in cells: good and bad ones, or by how slow they were.
pub const CELLS: usize = 7;
pub type Cells = [u32; CELLS];

/// The share of active's responses beyond each cut.
pub const SURVIVAL: [f64; CELLS - 1] = [0.5, 0.25, 0.1, 0.05, 0.01, 0.002];

/// How far back active's rate is remembered. The memory is exponential, so that it follows the time of day.
pub const MEMORY: Millis = Millis::seconds(60);

/// The part of a memory that is left after this time.
pub fn fading(passed: Millis) -> f64 {
    (-(passed.0 as f64) / MEMORY.0 as f64).exp()
}

/// The cells of a rate.
pub fn rates(all: u64, bad: u64) -> Cells {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    [narrow(all.saturating_sub(bad)), narrow(bad), 0, 0, 0, 0, 0]
}

pub fn add(sums: &mut Cells, parts: &Cells) {
    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum = sum.saturating_add(*part));
}

/// Cells in JSON without trailing zeros: most have only one or two values.
pub(super) mod trimmed {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{CELLS, Cells};

    pub fn serialize<S: Serializer>(cells: &Cells, serializer: S) -> Result<S::Ok, S::Error> {
        let used = cells.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1);
        serializer.collect_seq(cells.iter().take(used))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cells, D::Error> {
        let numbers = Vec::<u32>::deserialize(deserializer)?;
        let mut cells = [0; CELLS];
        cells.iter_mut().zip(numbers).for_each(|(cell, number)| *cell = number);
        Ok(cells)
    }
}
