//! What is usual for active, and whether the candidate is better: so that a site that always fails a few requests can be
//! released, and a broken one can be mended.

use crate::guard::evidence::cells::{Cells, rates};
use crate::guard::evidence::meter::{EvidenceMeter, MeterInput};
use crate::guard::evidence::rate_odds;
use crate::guard::window::{AnswerCounts, WindowSample};
use crate::guard::{EvidenceBudget, GuardPolicy};
use crate::time::Millis;

/// How long what active did is remembered, as the time in which two thirds of it are forgotten.
const MEMORY: Millis = Millis::seconds(600);
/// What active did before the watch began counts as this many responses at the most.
const BEFORE: f64 = 2000.0;
/// With fewer, nothing is usual yet.
const LEAST: f64 = 50.0;

/// Active's failure rate as it usually is: its responses and failures, fading while there are new ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsualRate {
    all: f64,
    bad: f64,
    last: Option<(Millis, AnswerCounts)>,
}

impl UsualRate {
    /// Takes in active's counts, at the first look and at every tick of the grid.
    pub fn look(&mut self, now: Millis, counts: AnswerCounts) {
        let Some((at, before)) = self.last.filter(|(_, before)| before.answers <= counts.answers) else {
            let (all, bad) = (counts.answers as f64, counts.failed as f64);
            let kept = (BEFORE / all.max(1.0)).min(1.0);
            *self = UsualRate { all: all * kept, bad: bad * kept, last: Some((now, counts)) };
            return;
        };
        // What it did while it still served is remembered for as long as it does not.
        if counts == before {
            self.last = Some((now, counts));
            return;
        }
        let kept = (-(now.since(at).0 as f64) / MEMORY.0 as f64).exp();
        self.all = self.all * kept + counts.answers.saturating_sub(before.answers) as f64;
        self.bad = self.bad * kept + counts.failed.saturating_sub(before.failed) as f64;
        self.last = Some((now, counts));
    }

    /// The rate, if anything is usual yet.
    pub fn rate(&self) -> Option<f64> {
        (self.all >= LEAST).then(|| self.bad / self.all)
    }

    /// Whether so many failures of the candidate are more than chance.
    pub fn is_beyond_chance(&self, candidate: &WindowSample) -> bool {
        let usual = rate_odds::reference(self.all, self.bad);
        rate_odds::is_beyond_chance(candidate.answers as f64, candidate.failed as f64, usual)
    }
}

/// Evidence that the candidate is better than active: the meter of errors with the sides exchanged.
#[derive(Clone, Debug)]
pub struct ExchangedMeter {
    meter: EvidenceMeter,
    /// Active's and the candidate's counts at the last look.
    last: Option<(Millis, [AnswerCounts; 2])>,
}

impl ExchangedMeter {
    pub fn new(policy: &GuardPolicy) -> ExchangedMeter {
        let planned = policy.evidence.unwrap_or(EvidenceBudget::STANDARD).planned;
        ExchangedMeter { meter: EvidenceMeter::of_rates(1.0, planned), last: None }
    }

    /// Takes in active's and the candidate's counts, at the first look and at every tick of the grid.
    pub fn look(&mut self, now: Millis, counts: [AnswerCounts; 2]) {
        let Some((at, before)) = self.last.replace((now, counts)) else { return };
        let [active, candidate] = [0, 1].map(|side| since(counts.get(side), before.get(side)));
        self.meter.take(&MeterInput::new(now.since(at), active, candidate));
    }

    /// The odds, `x : 1`.
    pub fn evidence(&self) -> f64 {
        self.meter.evidence()
    }
}

fn since(now: Option<&AnswerCounts>, before: Option<&AnswerCounts>) -> Cells {
    let (Some(now), Some(before)) = (now, before) else { return Cells::default() };
    rates(now.answers.saturating_sub(before.answers), now.failed.saturating_sub(before.failed))
}
