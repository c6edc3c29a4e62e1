//! A rollback that has been decided and is not done, or not done yet: held, because its target does not answer, or gradual.

use crate::guard::window::JudgedTotals;
use crate::rollout::journal_entries::ChangeNote;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

/// A side that has served a client well this recently need not be asked.
const FRESH: Millis = Millis::seconds(5);

/// How the reason begins while a rollback waits for the side that it would go to.
pub(super) const HELD: &str = "a rollback is held";

/// A rollback that has been decided, and waits until its target answers.
#[derive(Clone, Debug)]
pub(super) struct HeldRollback {
    pub note: ChangeNote,
    pub ground: RollbackGround,
    /// When the ground was last seen to stand.
    pub stood: Millis,
    /// The number of the question whose answer is awaited, or when to ask again.
    pub asked: Result<u32, Millis>,
    pub wait: Millis,
    /// Why it is held, in words, once that is known.
    pub why: Option<String>,
    /// People have been told.
    pub told: bool,
}

/// What a rollback is founded on, and so when it is no longer called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RollbackGround {
    /// The guard's verdict.
    Verdict,
    /// A figure from elsewhere.
    Figure,
    /// A gate: it asks for it, or has failed too often.
    Gate,
    /// Health checks: the side is down.
    Down,
    /// The plan: its time is over.
    Plan,
}

/// When each environment last served a client well, by [`Environment::index`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastServed([(u64, Option<Millis>); 2]);

impl LastServed {
    /// Takes in the judged totals of all routes.
    pub fn look(&mut self, now: Millis, totals: &[Option<[JudgedTotals; 2]>]) {
        for side in Environment::BOTH {
            let counts = totals.iter().flatten().map(|pair| side.of(pair).counts);
            let good = counts.map(|counts| counts.answers.saturating_sub(counts.failed)).sum();
            let (before, at) = side.of_mut(&mut self.0);
            // What was counted before the first look is of unknown age.
            if good > *before && *before > 0 {
                *at = Some(now);
            }
            *before = good;
        }
    }

    pub fn is_fresh(&self, side: Environment, now: Millis) -> bool {
        side.of(&self.0).1.is_some_and(|at| now.since(at) <= FRESH)
    }
}

/// A rollback that moves the clients bit by bit, because the side that takes them is cold.
#[derive(Clone, Copy, Debug)]
pub(super) struct GradualReturn {
    began: Millis,
    over: Millis,
    /// The share that was taken back, and what is left of it now.
    share: Weight,
    pub left: Weight,
    /// Its target went down on the way.
    pub turned_back: bool,
}

impl GradualReturn {
    pub fn begin(now: Millis, over: Millis, share: Weight) -> Option<GradualReturn> {
        let moves = over > Millis::ZERO && !share.is_zero();
        moves.then_some(GradualReturn { began: now, over, share, left: share, turned_back: false })
    }

    /// With all of the share left.
    pub fn begin_again(&mut self, now: Millis) {
        (self.began, self.left) = (now, self.share);
    }

    pub fn left_at(&self, now: Millis) -> Weight {
        let part = 1.0 - now.since(self.began).0 as f64 / self.over.0 as f64;
        let points = (f64::from(self.share.basis_points()) * part.max(0.0)).round() as u16;
        Weight::from_basis_points(points).unwrap_or(Weight::ZERO)
    }
}
