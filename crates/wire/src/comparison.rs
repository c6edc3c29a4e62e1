//! How the two sides differ at the present weight, as bands that hold however often one looks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use judgement::guard::comparison::{Band, SideBands, SidesCompared};

/// The value lies between these, with 95 % confidence, however often one looks; `null`: nothing is known of that end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Band)]
pub struct ConfidenceBand {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// One side at the present weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedSide {
    pub answers: u64,
    pub failed: u64,
    /// In percent of the requests.
    pub failure_percent: ConfidenceBand,
    /// Of responses that did not fail, until their head.
    pub p50_ms: ConfidenceBand,
    pub p95_ms: ConfidenceBand,
    pub p99_ms: ConfidenceBand,
}

/// How the two sides differ at the present weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedSides {
    pub span_ms: u64,
    pub active: ComparedSide,
    pub candidate: ComparedSide,
    /// By how many percentage points the candidate fails more than active.
    pub more_failures_points: ConfidenceBand,
}

fn scaled(band: Band, factor: f64) -> ConfidenceBand {
    // Three decimals: what lies beyond is noise to a reader.
    let shown = |value: f64| (value * factor * 1000.0).round() / 1000.0;
    ConfidenceBand { low: band.low.map(shown), high: band.high.map(shown) }
}

impl From<SideBands> for ComparedSide {
    fn from(side: SideBands) -> ComparedSide {
        let [p50, p95, p99] = side.latency.map(|band| scaled(band, 0.001));
        let failure_percent = scaled(side.failures, 100.0);
        let SideBands { answers, failed, .. } = side;
        ComparedSide { answers, failed, failure_percent, p50_ms: p50, p95_ms: p95, p99_ms: p99 }
    }
}

impl From<SidesCompared> for ComparedSides {
    fn from(seen: SidesCompared) -> ComparedSides {
        ComparedSides {
            span_ms: seen.span.0,
            active: seen.active.into(),
            candidate: seen.candidate.into(),
            more_failures_points: scaled(seen.more_failures, 100.0),
        }
    }
}

impl ComparedSides {
    /// The difference in failures in words; `None` while one side has answered nobody.
    pub fn sentence(&self, active: &str, candidate: &str) -> Option<String> {
        let share = |points: f64| points / 100.0;
        let ConfidenceBand { low, high } = self.more_failures_points;
        let more_failures = Band { low: low.map(share), high: high.map(share) };
        SidesCompared { more_failures, ..SidesCompared::default() }.sentence(active, candidate)
    }
}
