//! Stub until the part is there.
use crate::config::suite::Parity;
use crate::validate::cases::Known;
use crate::validate::numbers::Numbers;
use crate::validate::target::Target;
use crate::validate::told::Told;
use crate::wire::{Latencies, Outcome, ParityResult};
pub fn units(_: &Parity) -> u64 {
    1
}
pub async fn run(parity: &Parity, _: (&Target, &Target), _: &Known, _: &Numbers, _: &Told) -> ParityResult {
    skipped(parity, "not there".into())
}
pub fn skipped(parity: &Parity, why: String) -> ParityResult {
    ParityResult {
        name: parity.name.clone(),
        outcome: Outcome::Skipped,
        why: Some(why),
        took_ms: 0.0,
        compared: 0,
        differing: 0,
        left_out: Default::default(),
        noise: vec![],
        differences: vec![],
        blue: Latencies::default(),
        green: Latencies::default(),
    }
}
