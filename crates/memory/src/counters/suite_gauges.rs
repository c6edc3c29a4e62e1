//! The results of validation suites: written when a run ends, shown by the metrics.

/// The figures of one suite and one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuiteGauges {
    pub passed: u64,
    pub failed: u64,
    /// Cancelled, or interrupted.
    pub unfinished: u64,
    /// Whether its last run on a schedule or after a rollback failed; `None` if there was none.
    pub failing: Option<bool>,
}
