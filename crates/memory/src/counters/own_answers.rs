//! What a route has answered itself, before an environment was chosen.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use strum::{IntoStaticStr, VariantArray};

/// An answer of Cutover's own, which counts for no environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum OwnAnswer {
    /// The route's `redirect`.
    Redirect,
    /// 429, by its `rate_limit`.
    RateLimited,
    /// 503, by the service's `maintenance`.
    Maintenance,
    /// 503, while the service is held: too many requests wait, or this one for too long.
    Held,
    /// That of the route's auth service.
    ForwardAuthDenied,
    /// 503, because the route's auth service gave no answer.
    ForwardAuthFailed,
}

impl OwnAnswer {
    pub const ALL: &'static [OwnAnswer] = OwnAnswer::VARIANTS;

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// Written by all workers together: what is counted here costs an answer, and no origin.
#[derive(Debug, Default)]
pub struct OwnAnswerCounters([AtomicU64; OwnAnswer::ALL.len()]);

impl OwnAnswerCounters {
    pub fn count(&self, answer: OwnAnswer) {
        self.0.get(answer as usize).into_iter().for_each(|count| _ = count.fetch_add(1, Relaxed));
    }

    /// Every count by its name.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&'static str, &AtomicU64)> {
        OwnAnswer::ALL.iter().map(|answer| answer.name()).zip(&self.0)
    }

    pub fn counted(&self, answer: OwnAnswer) -> u64 {
        self.0.get(answer as usize).map_or(0, |count| count.load(Relaxed))
    }
}
