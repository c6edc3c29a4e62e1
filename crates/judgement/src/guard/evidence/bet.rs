//! The wealth of a bettor who stakes on "the candidate is worse". Its wealth is the evidence.
//!
//! Before every block of requests the bettor chooses odds that are fair if the candidate is no worse than tolerated.
//! Such a candidate cannot make the bettor rich: the chance that the wealth ever reaches `1/α` is at most `α`, however
//! long and however often one looks (Ville's inequality; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and
//! safe anytime-valid inference", 2023). A fault may begin at any time, so part of the stake is held back and placed
//! bit by bit (Shin, Ramdas, Rinaldo, "E-detectors", 2022): no window, no reset, just seven numbers.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The number of alternatives that the bettor bets on: ways of being worse, each with its own wealth.
pub const ALTERNATIVES: usize = 7;

/// Of a total stake of 1, the part on "broken from the first request on".
pub const AT_START: f64 = 0.25;
/// The part on "breaks as the weight is raised", over all raises.
pub const AT_RAISES: f64 = 0.25;
/// The part on "breaks at some time", spread over the planned length. It continues at that pace for as long as anyone
/// looks.
const AT_ANY_TIME: f64 = 0.50;

/// The limiter: this many nats can be gained at once …
const BURST: f64 = 4.0;
/// … and this many more per second. Trouble on one side that lasts less than about 0.15 s cannot cause a rollback by
/// itself, so a shared outage that reaches one side slightly earlier than the other does no harm.
pub const NATS_PER_SECOND: f64 = 50.0;

/// Of slowness, no more than this for each response of the candidate …
const NATS_PER_ANSWER: f64 = 0.5;

/// … or than its pace over this many a second, whichever is more: a few that have waited for the same standstill are one
/// event, even if they come back one after the other. Where they are many, they come back so fast that time limits them.
const PACE_OF_ONE_NAT: f64 = 70.0;

/// More digits than this serve no purpose, and below it no float overflows.
const RICHEST: f64 = 1e200;

/// Wealth by alternative. These are plain numbers, not logarithms: the limiter bounds what a block can add, the cap
/// bounds the rest, and wealth that underflows to zero is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bet {
    wealth: [f64; ALTERNATIVES],
    /// To be placed with the next block.
    stake: f64,
    /// How much may still be gained now, in nats.
    tokens: f64,
    /// The same by the number of responses.
    #[serde(default = "burst")]
    by_answers: f64,
}

const fn burst() -> f64 {
    BURST
}

impl Default for Bet {
    fn default() -> Bet {
        Bet { wealth: [0.0; ALTERNATIVES], stake: AT_START, tokens: BURST, by_answers: BURST }
    }
}

impl Bet {
    /// Lets time pass: `planned` is the length over which the stakes are spread, `extra` is staked in addition, and so many
    /// nats may be gained a second.
    pub fn wait(&mut self, passed: Millis, planned: Millis, extra: f64, nats: f64) {
        self.stake += AT_ANY_TIME * passed.0 as f64 / planned.0.max(1) as f64 + extra;
        self.tokens = (self.tokens + nats * passed.0 as f64 / 1000.0).min(BURST);
    }

    /// Takes in that the candidate has answered so often, at this pace a second. Without this, the number of responses
    /// limits nothing.
    pub fn hear(&mut self, answers: u32, pace: f64) {
        let each = NATS_PER_ANSWER.max(pace / PACE_OF_ONE_NAT);
        self.by_answers = (self.by_answers + each * f64::from(answers)).min(BURST);
        self.tokens = self.tokens.min(self.by_answers);
    }

    /// Settles a block: `gains` are the logarithms of the odds by alternative, `prior` divides the stake.
    pub fn settle(&mut self, gains: &[f64; ALTERNATIVES], prior: &[f64; ALTERNATIVES]) {
        let mut most = 0.0_f64;
        for ((wealth, gain), part) in self.wealth.iter_mut().zip(gains).zip(prior) {
            // Capping a gain leaves the odds fair, or worse than fair for the bettor. A loss is never capped.
            let gain = gain.min(self.tokens);
            most = most.max(gain);
            *wealth = ((*wealth + self.stake * part) * gain.exp()).min(RICHEST);
        }
        self.tokens -= most;
        self.by_answers = (self.by_answers - most).max(0.0);
        self.stake = 0.0;
    }

    /// The bettor's total wealth.
    pub fn wealth(&self) -> f64 {
        self.wealth.iter().sum()
    }
}
