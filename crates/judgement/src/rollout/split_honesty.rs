//! Whether the two sides get the shares that the weight promises: told once, and waited for if the file asks for that.

use crate::guard::sample_ratio::{SampleRatioAction, SplitArrivals};
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect};

impl ServiceUpdate<'_> {
    /// What the split has sent so far; `None` while it divides nobody.
    pub(super) fn arrived(&mut self, arrivals: Option<&SplitArrivals>) -> Vec<Effect> {
        let ServiceState { durable, policy, news, split, .. } = &mut *self.state;
        let is_judged = durable.is_judged() && !durable.is_watching() && policy.sample_ratio != SampleRatioAction::Off;
        let side = durable.active;
        let arrivals = arrivals.filter(|arrivals| is_judged && !arrivals.weights.is_empty());
        let reading = arrivals.map(|arrivals| arrivals.reading([side.name(), side.other().name()]));
        let mismatch = reading.as_ref().and_then(|reading| reading.mismatch.clone());
        *split = reading;
        let Some(mismatch) = mismatch else {
            news.sample_ratio.pauses(self.now);
            return Vec::new();
        };
        if !news.sample_ratio.begins() {
            return Vec::new();
        }
        let before = self.state.durable.clone();
        let note = ChangeNote::by(Component::Guard, ChangeKind::SampleRatio, mismatch);
        told(AnnouncementLevel::Warning, self.change(note, Some(before))).into()
    }
}

impl ServiceState {
    /// That the step is not left while the split does not hold.
    pub(super) fn split_wanting(&self) -> Option<WaitReason> {
        let reading = self.split.as_ref().filter(|_| self.policy.sample_ratio == SampleRatioAction::Hold)?;
        Some(WaitReason::SampleRatio { because: reading.mismatch.clone()? })
    }
}
