//! The latest results of health checks: written by their rounds, shown by the metrics.

/// The figures of one check and one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckGauges {
    pub up: bool,
    /// It goes down and up so often that its turns are not told.
    pub flapping: bool,
    /// Failed rounds since the check began.
    pub failures: u64,
    /// Of these, rounds in which every address failed.
    pub lost: u64,
    /// How long the last round took.
    pub last_micros: u64,
}
