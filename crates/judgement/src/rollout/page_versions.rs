//! Which pages are served by the side that they came from: those of both sides while both have clients, and after a
//! promotion those of the side that was replaced, for as long as the file says and it is still what it was.

use std::sync::Arc;

use crate::rollout::Effect;
use crate::rollout::premises::share_a_url;
use crate::rollout::replaced_side::{OpenPages, ReplacedSide};
use crate::rollout::service_state::ServiceState;
use crate::rollout::service_update::ServiceUpdate;
use crate::traffic::Environment;

impl ServiceState {
    /// The version on a side: the one deployed there, or else the one that the file names.
    pub(super) fn version(&self, side: Environment) -> Option<&str> {
        side.of(&self.durable.versions).as_deref().or_else(|| side.of(&self.premises.versions).as_deref())
    }

    /// The active side as one that is replaced at `wall`, in milliseconds since 1970; `None` if nobody can ask for it.
    pub(super) fn as_replaced(&self, wall: u64) -> Option<ReplacedSide> {
        let environment = self.durable.active;
        self.premises.skew?;
        let version = self.version(environment)?.to_owned();
        Some(ReplacedSide { environment, version, url: self.url(environment).to_owned(), at: wall })
    }

    /// The side that was replaced, while it is still what it was.
    fn replaced(&self) -> Option<&ReplacedSide> {
        let is_there = |old: &&ReplacedSide| {
            old.environment != self.durable.active
                && self.version(old.environment) == Some(&old.version)
                && share_a_url(&old.url, self.url(old.environment))
        };
        self.durable.replaced.as_ref().filter(is_there)
    }

    /// See [`TrafficSplit::pages`](crate::traffic::split::TrafficSplit::pages).
    pub(super) fn pages(&self) -> [Option<Arc<str>>; 2] {
        let mut pages = [None, None];
        let (active, other) = (self.durable.active, self.durable.active.other());
        if self.premises.skew.is_none() || self.durable.stopped {
            return pages;
        }
        // Without a name for the pages of active, those of the other side would be taken for the only ones there are.
        let Some(version) = self.version(active) else { return pages };
        *active.of_mut(&mut pages) = Some(version.into());
        let is_live = self.durable.release.as_ref().is_some_and(|release| release.is_live());
        let has_clients = is_live || !self.durable.weight.is_zero();
        let other_version = self.version(other).filter(|other| *other != version && !self.is_quarantined(other));
        if let Some(version) = other_version.filter(|_| has_clients || self.replaced().is_some()) {
            *other.of_mut(&mut pages) = Some(version.into());
        }
        pages
    }

    fn is_quarantined(&self, version: &str) -> bool {
        self.durable.quarantine.iter().any(|before| before.version == version)
    }

    /// The replaced side that still serves its pages.
    pub(super) fn open_pages(&self) -> Option<OpenPages> {
        let (old, keep) = (self.replaced()?, self.premises.skew?);
        old.environment.of(&self.pages()).as_ref()?;
        let ReplacedSide { environment, version, at, .. } = old.clone();
        Some(OpenPages { environment, version, until: at.saturating_add(keep.0) })
    }

    /// Forgets a side that was replaced so long ago that its pages no longer count. Returns whether it did.
    pub(super) fn age_pages(&mut self, wall: u64) -> bool {
        let Some(keep) = self.premises.skew else { return false };
        self.durable.replaced.take_if(|old| wall >= old.at.saturating_add(keep.0)).is_some()
    }
}

impl ServiceUpdate<'_> {
    /// At any look at the clock: what ends by age does. Nothing else has changed, so it has no entry.
    pub(super) fn age(&mut self) -> Vec<Effect> {
        if !self.state.age_pages(self.wall()) {
            return Vec::new();
        }
        self.sequence.generation += 1;
        vec![Effect::Publish, Effect::Keep(self.name.to_owned())]
    }
}
