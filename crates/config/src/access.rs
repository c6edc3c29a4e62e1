//! The access log, as the file defines it.

use std::path::PathBuf;

use serde::Deserialize;

use judgement::traffic::split::Weight;

/// The settings of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub target: LogTarget,
    pub format: LogFormat,
    pub sample: SampleRate,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    Stdout,
    File(PathBuf),
}

/// The format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Json,
    /// Apache's format, for tools that know nothing else.
    Combined,
}

/// The share of requests that are logged, in hundredths of a percent, 0..=10000. Failures are always logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRate(u16);

impl SampleRate {
    pub const ALL: SampleRate = SampleRate(10_000);

    /// A share written as a percentage with up to two decimals.
    ///
    /// # Errors
    /// It is not between 0 and 100, or has more than two decimals.
    pub fn from_percent(percent: f64) -> Result<SampleRate, &'static str> {
        Weight::from_percent(percent).map(SampleRate::from)
    }

    /// In hundredths of a percent.
    pub fn basis_points(self) -> u16 {
        self.0
    }
}

impl From<Weight> for SampleRate {
    fn from(share: Weight) -> SampleRate {
        SampleRate(share.basis_points())
    }
}
