//! A meter: blocks of requests come in, evidence comes out.
//!
//! Block boundaries never depend on outcomes: ticks of a fixed grid are merged until both sides have answered, and a
//! block that has waited too long for one side is dropped.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::bet::{AT_START, Bet, NATS_PER_SECOND};
use crate::guard::evidence::cells::{CELLS, Cells, add, fading, trimmed};
use crate::guard::evidence::latency_odds;
use crate::guard::evidence::rate_odds::{self, RateTolerance};
use crate::time::Millis;

/// A block whose other side has not answered within this time compares nothing.
const LONGEST_BLOCK: Millis = Millis::seconds(5);

/// Against what active did before, a block is at least this long, so that what is gained slowly is not lost quickly …
const BLOCK_ALONE: Millis = Millis::seconds(1);
/// … and this much may be gained a second: where what both sides share cannot be seen, trouble of a few seconds takes
/// nothing back …
const NATS_PER_SECOND_ALONE: f64 = 4.0;
/// … and slowness or refusals must last for about half a minute. What active does now is known of a few requests only.
const NATS_PER_SECOND_ALONE_AND_SLOW: f64 = 0.4;
const NATS_PER_SECOND_MATCHED: f64 = 20.0;

/// What a meter sees of one tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterInput {
    /// The time since the previous input.
    #[serde(rename = "ms")]
    pub passed: Millis,
    #[serde(rename = "g", with = "trimmed")]
    pub candidate: Cells,
    #[serde(rename = "b", with = "trimmed")]
    pub active: Cells,
    /// Staked in addition to what time stakes, because the weight was raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extra: f64,
    /// The forgiven share of cold starts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cold: f64,
    /// The candidate's responses a second, for a meter of slowness. Older journals do not have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pace: f64,
    /// Active gets no traffic to compare with: the rate that stands for it. Its cells are [`MeterInput::cut`]'s then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<f64>,
    /// That rate is what active does now, by what it serves again for the candidate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub matched: bool,
    /// Active's cells from this tick on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Box<[f64; CELLS]>>,
}

impl MeterInput {
    pub fn new(passed: Millis, candidate: Cells, active: Cells) -> MeterInput {
        MeterInput {
            passed,
            candidate,
            active,
            extra: 0.0,
            cold: 0.0,
            pace: 0.0,
            remembered: None,
            matched: false,
            cut: None,
        }
    }
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// What the odds are computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Odds {
    /// Active's recent responses and failures, fading.
    Rate {
        all: f64,
        bad: f64,
        #[serde(default)]
        tolerance: RateTolerance,
    },
    /// `None` until active has been observed long enough to be divided into cells.
    Slow(Option<Box<latency_odds::LatencyReference>>),
}

/// Evidence of one kind on one route, or on the whole service. It takes O(1) memory and has no window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceMeter {
    odds: Odds,
    bet: Bet,
    /// Its part of the total evidence, which may be a weighted sum because each term is an e-value.
    share: f64,
    planned: Millis,
    /// The open block. Older journals name the roles by the colours that they usually had.
    #[serde(alias = "green", with = "trimmed")]
    candidate: Cells,
    #[serde(alias = "blue", with = "trimmed")]
    active: Cells,
    /// The age of the open block.
    age: Millis,
    /// What was forgiven at any tick of a block is forgiven for all of it, because the wider tolerance includes the
    /// narrower.
    cold: f64,
    #[serde(default)]
    pace: f64,
    evidence: f64,
    /// Bad responses of the candidate since the evidence was last below 1.
    bad: u64,
}

impl EvidenceMeter {
    /// A meter of failures.
    pub fn of_rates(share: f64, planned: Millis) -> EvidenceMeter {
        EvidenceMeter::with(RateTolerance::Failures, share, planned)
    }

    /// A meter of responses that are nobody's failure, and yet not what a client wants.
    pub fn of_answers(share: f64, planned: Millis) -> EvidenceMeter {
        EvidenceMeter::with(RateTolerance::Answers, share, planned)
    }

    fn with(tolerance: RateTolerance, share: f64, planned: Millis) -> EvidenceMeter {
        EvidenceMeter::new(Odds::Rate { all: 0.0, bad: 0.0, tolerance }, share, planned)
    }

    /// A meter of slowness. It is silent until an input brings active's cells.
    pub fn of_slowness(share: f64, planned: Millis) -> EvidenceMeter {
        EvidenceMeter::new(Odds::Slow(None), share, planned)
    }

    fn new(odds: Odds, share: f64, planned: Millis) -> EvidenceMeter {
        EvidenceMeter {
            odds,
            bet: Bet::default(),
            share,
            planned,
            candidate: [0; CELLS],
            active: [0; CELLS],
            age: Millis::ZERO,
            cold: 0.0,
            pace: 0.0,
            // The initial stake, not yet placed.
            evidence: share * AT_START,
            bad: 0,
        }
    }

    /// Whether another one stakes the same part of the evidence over the same time.
    pub fn stakes_as(&self, other: &EvidenceMeter) -> bool {
        self.share == other.share && self.planned == other.planned
    }

    /// Takes in one tick. Ticks in which nothing happened may be left out; `passed` then says how many there were.
    pub fn take(&mut self, input: &MeterInput) {
        self.bet.wait(input.passed, self.planned, input.extra, self.nats_per_second(input));
        self.fade(input.passed);
        let open = self.candidate != [0; CELLS] || self.active != [0; CELLS];
        let age = if open { self.age.plus(input.passed) } else { Millis::ZERO };
        let alone = input.remembered.is_some();
        if age > LONGEST_BLOCK && !alone {
            self.open_block();
        } else {
            self.age = age;
        }
        self.cold = self.cold.max(input.cold);
        self.pace = input.pace;
        if let (Odds::Slow(reference), Some(cut)) = (&mut self.odds, &input.cut) {
            *reference = Some(Box::new(latency_odds::LatencyReference::new(**cut)));
        }
        add(&mut self.candidate, &input.candidate);
        add(&mut self.active, &input.active);
        let is_whole = if alone { input.matched || age >= BLOCK_ALONE } else { self.active != [0; CELLS] };
        if self.candidate != [0; CELLS] && is_whole {
            self.judge(input.remembered);
            self.open_block();
        }
        if let Odds::Rate { all, bad, .. } = &mut self.odds {
            let [good, failed, ..] = input.active;
            *all += f64::from(good) + f64::from(failed);
            *bad += f64::from(failed);
        }
    }

    fn nats_per_second(&self, input: &MeterInput) -> f64 {
        let is_slow = matches!(self.odds, Odds::Slow(_) | Odds::Rate { tolerance: RateTolerance::Answers, .. });
        match input.remembered {
            None => NATS_PER_SECOND,
            Some(_) if input.matched => NATS_PER_SECOND_MATCHED,
            Some(_) if is_slow => NATS_PER_SECOND_ALONE_AND_SLOW,
            Some(_) => NATS_PER_SECOND_ALONE,
        }
    }

    fn fade(&mut self, passed: Millis) {
        if let Odds::Rate { all, bad, .. } = &mut self.odds {
            let kept = fading(passed);
            *all *= kept;
            *bad *= kept;
        }
    }

    fn open_block(&mut self) {
        (self.candidate, self.active, self.age, self.cold) = ([0; CELLS], [0; CELLS], Millis::ZERO, 0.0);
    }

    fn judge(&mut self, remembered: Option<f64>) {
        let (gains, prior, bad) = match &mut self.odds {
            Odds::Rate { all, bad, tolerance } => {
                let tb = remembered.unwrap_or_else(|| rate_odds::reference(*all, *bad));
                let [_, failed, ..] = self.candidate;
                let Some(gains) = rate_odds::gains(*tolerance, tb, [&self.candidate, &self.active], self.cold) else {
                    return;
                };
                (gains, &rate_odds::PRIOR, failed)
            }
            Odds::Slow(None) => return,
            Odds::Slow(Some(reference)) => {
                let answers = self.candidate.iter().fold(0_u32, |sum, n| sum.saturating_add(*n));
                if self.pace > 0.0 {
                    self.bet.hear(answers, self.pace);
                }
                (reference.gains(&self.candidate, &self.active, self.cold), &latency_odds::PRIOR, answers)
            }
        };
        self.bet.settle(&gains, prior);
        self.evidence = self.bet.wealth() * self.share;
        // The block that lifts the evidence above 1 belongs to the run.
        self.bad = if self.evidence < 1.0 { 0 } else { self.bad + u64::from(bad) };
    }

    /// Whether a rise can begin at a tick: for rates, it must contain something bad.
    pub fn minds(&self, input: &MeterInput) -> bool {
        let [_, failed, ..] = input.candidate;
        matches!(self.odds, Odds::Slow(_)) || failed > 0
    }

    /// The odds against "no worse than tolerated", times the meter's share: `x : 1`.
    pub fn evidence(&self) -> f64 {
        self.evidence
    }

    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Active's recent failure rate.
    pub fn reference_rate(&self) -> Option<f64> {
        match self.odds {
            Odds::Rate { all, bad, .. } => Some(rate_odds::reference(all, bad)),
            Odds::Slow(_) => None,
        }
    }
}
