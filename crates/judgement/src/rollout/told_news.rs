//! What people have been told of a service already, so that everything is told once, with its end.

use crate::rollout::release::RolloutPhase;
use crate::time::Millis;

/// Trouble that comes again within this time has not ended.
pub(super) const CALM: Millis = Millis::seconds(30);

/// What has been told of the current step, and of the current trouble.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingNews {
    pub step: Option<StepNews>,
    /// The rollout that is past its deadline.
    pub past_deadline: Option<u32>,
    pub caution: Episode,
    pub shared: Episode,
    pub broken_active: Episode,
    pub sample_ratio: Episode,
}

/// What has been told of one step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepNews {
    /// The rollout, its step and its phase.
    pub place: (u32, usize, RolloutPhase),
    /// Since when it has nothing left to bake.
    pub baked: Millis,
    pub told: bool,
    pub approval_told: bool,
}

impl StepNews {
    pub const fn at(place: (u32, usize, RolloutPhase), now: Millis, told: bool) -> StepNews {
        StepNews { place, baked: now, told, approval_told: told }
    }
}

/// Something that is on and off, and has one beginning and one end for people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Episode {
    /// It has been told, and is on, or has been off since then.
    open: Option<Option<Millis>>,
}

impl Episode {
    /// It is on; returns whether that is news.
    pub fn begins(&mut self) -> bool {
        self.open.replace(None).is_none()
    }

    /// It is off for now.
    pub fn pauses(&mut self, now: Millis) {
        if let Some(off) = &mut self.open {
            off.get_or_insert(now);
        }
    }

    /// Whether it has been off for long enough to be over; that is said once.
    pub fn is_over(&mut self, now: Millis) -> bool {
        let is_over = self.open.flatten().is_some_and(|off| now.since(off) >= CALM);
        if is_over {
            self.open = None;
        }
        is_over
    }
}

impl WaitingNews {
    /// What the watch saw has an end with it.
    pub fn end_watch(&mut self) {
        (self.caution, self.shared, self.broken_active, self.sample_ratio) = Default::default();
    }
}
