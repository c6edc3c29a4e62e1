//! Suites to run for a step of a plan, and why they have not passed.

use crate::traffic::Environment;

/// Suites to run for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteRun {
    pub service: String,
    pub rollout: u32,
    /// The index of the step in the plan.
    pub step: usize,
    /// The number of this run within its service.
    pub run: u64,
    /// The side to run against.
    pub environment: Environment,
    /// All must pass.
    pub suites: Vec<String>,
}

/// Why suites have not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuiteRunError {
    /// Which one failed, where and on what: `suite parity failed on green: 3 of 40 responses differ`.
    Failed(String),
    /// They could not be completed, which says nothing about the candidate: the rollout is held, whatever `on_fail`
    /// says.
    NotRun(String),
}

/// `suite smoke`, `suites smoke and parity`.
pub(super) fn suites(names: &[String]) -> String {
    match names {
        [one] => format!("suite {one}"),
        [rest @ .., last] => format!("suites {} and {last}", rest.join(", ")),
        [] => "no suites".to_owned(),
    }
}
