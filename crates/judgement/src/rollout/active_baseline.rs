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

#[derive(Clone, Debug)]
pub struct ActiveBaseline {
    /// Active's responses and failures, fading.
    all: f64,
    bad: f64,
    /// Evidence that active is worse than the candidate: the meter of errors with the sides exchanged.
    mirror: EvidenceMeter,
    /// Active's and the candidate's counts at the last look.
    last: Option<(Millis, [AnswerCounts; 2])>,
}

impl ActiveBaseline {
    pub fn new(policy: &GuardPolicy) -> ActiveBaseline {
        let planned = policy.evidence.unwrap_or(EvidenceBudget::STANDARD).planned;
        ActiveBaseline { all: 0.0, bad: 0.0, mirror: EvidenceMeter::of_rates(1.0, planned), last: None }
    }

    /// Takes in active's and the candidate's counts, at the watch's first look and at every tick of the grid.
    pub fn look(&mut self, now: Millis, counts: [AnswerCounts; 2]) {
        let [active, _] = counts;
        let Some((at, before)) = self.last.replace((now, counts)) else {
            let (all, bad) = (active.answers as f64, active.failed as f64);
            let kept = (BEFORE / all.max(1.0)).min(1.0);
            (self.all, self.bad) = (all * kept, bad * kept);
            return;
        };
        let [active, candidate] = [0, 1].map(|side| since(counts.get(side), before.get(side)));
        let kept = (-(now.since(at).0 as f64) / MEMORY.0 as f64).exp();
        let [good, failed, ..] = active.map(f64::from);
        (self.all, self.bad) = (self.all * kept + good + failed, self.bad * kept + failed);
        self.mirror.take(&MeterInput::new(now.since(at), active, candidate));
    }

    /// Active's usual failure rate, if there is anything usual yet.
    pub fn usual(&self) -> Option<f64> {
        (self.all >= LEAST).then(|| self.bad / self.all)
    }

    /// How certain it is that the candidate is better than active, `x : 1`.
    pub fn better(&self) -> f64 {
        self.mirror.evidence()
    }

    /// Whether so many failures of the candidate are more than chance.
    pub fn is_beyond_chance(&self, candidate: &WindowSample) -> bool {
        let usual = rate_odds::reference(self.all, self.bad);
        rate_odds::is_beyond_chance(candidate.answers as f64, candidate.failed as f64, usual)
    }
}

fn since(now: Option<&AnswerCounts>, before: Option<&AnswerCounts>) -> Cells {
    let (Some(now), Some(before)) = (now, before) else { return Cells::default() };
    rates(now.answers.saturating_sub(before.answers), now.failed.saturating_sub(before.failed))
}
