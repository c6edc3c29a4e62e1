//! A question to another system, as the state orders it.

use crate::traffic::Environment;

/// A figure that somebody must ask for, and report as [`Event::Measured`](crate::rollout::Event::Measured).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricRequest {
    pub service: String,
    /// The metric's name.
    pub metric: String,
    /// An answer with another number is not awaited any more.
    pub number: u64,
    /// The environment on trial, after its promotion too.
    pub candidate: Environment,
    /// Ask for the other environment as well.
    pub compares: bool,
    /// The versions deployed, by [`Environment::index`].
    pub versions: [Option<String>; 2],
}
