//! Whether the two sides get the shares that the weight promises.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use judgement::guard::sample_ratio::{ShareReading, SplitReading};

/// What the candidate got of the traffic, against what the weights of the rollout promised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Split)]
pub struct SplitShares {
    /// Of what the split decides independently: clients by their key, once, and requests without a key.
    pub decisions: PromisedShare,
    /// Of all requests that the weight alone divides.
    pub requests: PromisedShare,
    /// The odds, to one, that the decisions do not follow the weight.
    pub evidence: f64,
    /// That the split does not hold, and the likely cause, in words.
    pub mismatch: Option<String>,
}

/// A promised share, and the one that was got.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromisedShare {
    /// Of how many.
    pub of: u64,
    /// In percent.
    pub promised: f64,
    /// In percent.
    pub got: f64,
}

impl From<ShareReading> for PromisedShare {
    fn from(seen: ShareReading) -> PromisedShare {
        // Three decimals: what lies beyond is noise to a reader.
        let shown = |share: f64| (share * 100_000.0).round() / 1000.0;
        PromisedShare { of: seen.of, promised: shown(seen.promised), got: shown(seen.got) }
    }
}

impl From<SplitReading> for SplitShares {
    fn from(seen: SplitReading) -> SplitShares {
        let SplitReading { decisions, requests, evidence, mismatch } = seen;
        SplitShares { decisions: decisions.into(), requests: requests.into(), evidence, mismatch }
    }
}
