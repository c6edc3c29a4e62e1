//! The wealth of a bettor who stakes on "the candidate is worse": what it owns is the evidence.
//!
//! Before every block of requests the bettor chooses odds that are fair if the candidate is no worse than tolerated, so
//! nobody who owes it nothing can make it rich: the chance that the wealth ever reaches `1/α` is at most `α`, however
//! long and however often one looks (Ville's inequality; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and
//! safe anytime-valid inference", 2023). A fault may come at any time, so part of the stake is held back and placed bit
//! by bit (Shin, Ramdas, Rinaldo, "E-detectors", 2022): no window, no reset, seven numbers.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// What the bettor bets on: so many ways of being worse, each with wealth of its own.
pub const ALTERNATIVES: usize = 7;

/// Of a stake of 1 in all: on "broken from the first request on".
pub const AT_START: f64 = 0.25;
/// On "breaks as the weight is raised", over all raises.
pub const AT_RAISES: f64 = 0.25;
/// On "breaks at some time", spread over the planned length; it goes on at that pace for as long as somebody looks.
const AT_ANY_TIME: f64 = 0.50;

/// The limiter: so many nats may be gained at once …
const BURST: f64 = 4.0;
/// … and so many more a second. Trouble of one side that is shorter than some 0.15 s cannot roll back by itself, which
/// makes a shared outage harmless that reaches one side a little earlier than the other.
const NATS_PER_SECOND: f64 = 50.0;

/// Nobody needs more digits than this, and no float overflows below it.
const RICHEST: f64 = 1e200;

/// Wealth by alternative. Plain numbers, not their logarithms: the limiter bounds what a block can add, the cap bounds
/// the rest, and a wealth that underflows to nothing is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bet {
    wealth: [f64; ALTERNATIVES],
    /// To be placed with the next block.
    stake: f64,
    /// What may still be gained now, in nats.
    tokens: f64,
}

impl Default for Bet {
    fn default() -> Bet {
        Bet { wealth: [0.0; ALTERNATIVES], stake: AT_START, tokens: BURST }
    }
}

impl Bet {
    /// Time passes: `planned` is the length that the stakes are spread over, `extra` is staked beside.
    pub fn wait(&mut self, passed: Millis, planned: Millis, extra: f64) {
        self.stake += AT_ANY_TIME * passed.0 as f64 / planned.0.max(1) as f64 + extra;
        self.tokens = (self.tokens + NATS_PER_SECOND * passed.0 as f64 / 1000.0).min(BURST);
    }

    /// A block has come out: `gains` are the logarithms of the odds, by alternative, `prior` how the stake is divided.
    pub fn settle(&mut self, gains: &[f64; ALTERNATIVES], prior: &[f64; ALTERNATIVES]) {
        let mut most = 0.0_f64;
        for ((wealth, gain), part) in self.wealth.iter_mut().zip(gains).zip(prior) {
            // Capping a gain keeps the odds fair, or worse than fair, for the bettor. A loss is never capped.
            let gain = gain.min(self.tokens);
            most = most.max(gain);
            *wealth = ((*wealth + self.stake * part) * gain.exp()).min(RICHEST);
        }
        self.tokens -= most;
        self.stake = 0.0;
    }

    /// All that the bettor owns.
    pub fn wealth(&self) -> f64 {
        self.wealth.iter().sum()
    }
}
