//! Whether the split holds: that the candidate gets the share that its weight promises. If it does not, the two sides
//! did not get the same clients, and every comparison of them is suspect ("sample-ratio mismatch").
//!
//! A sequential test: under the promised shares its evidence reaches `x : 1` with a chance of at most `1 / x`, however
//! often one looks (Ville, 1939). It is a mixture over alternatives, as in Lindon, Malek, "Anytime-valid inference for
//! multinomial count data", 2022. Theirs are Dirichlet distributed around one share; here they are odds that are so many
//! times those of the weight, so that evidence from one step is carried on into the next, at another weight.
//!
//! What is tested is what the split decides independently: a client by its key, once, and each request without a key. The
//! requests of a client follow from the first one, so they are no evidence. Where a few clients send most requests, that
//! is said instead.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::{grouped, odds};
use crate::traffic::split::Weight;
use crate::traffic::sticky::StickyBy;

/// What is done about a split that does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleRatioAction {
    /// It is told, and the rollout stays on its step while it lasts.
    Hold,
    /// It is told.
    #[default]
    Warn,
    Off,
}

impl SampleRatioAction {
    pub fn is_default(&self) -> bool {
        *self == SampleRatioAction::default()
    }
}

/// The odds, to one, from which on it is told that the split does not hold.
pub const SURE: f64 = 1000.0;
/// A difference of less than this part of the smaller promised share is not told, however sure.
const SLIGHT: f64 = 0.01;
/// The share of requests is off if it differs by this part of the smaller promised one.
const OFF: f64 = 0.25;
/// Fewer requests say nothing of how they are spread over clients.
const LEAST_REQUESTS: u64 = 1000;
/// So many clients at most are few, if they send more than half of the requests.
pub const FEW: usize = 8;
/// Evidence is not shown beyond this.
const MOST: f64 = 1e12;
/// The logarithms of the odds ratios that are bet on, each up and down: from 2 % more to 150 times.
const RATIOS: [f64; 16] = [0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0, 1.4, 2.0, 3.0, 5.0];

/// What was sent to a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentCounts {
    pub sent: u64,
    /// Of these, those that ended without an answer that counts: the client hung up first.
    pub left: u64,
}

impl SentCounts {
    const fn arrived(self) -> u64 {
        self.sent.saturating_sub(self.left)
    }

    fn left_share(self) -> f64 {
        self.left as f64 / (self.sent as f64).max(1.0)
    }
}

/// What the split has sent while the weight was the same. Only what it decided by the weight alone: no rules, no page
/// versions, nothing that caution, a standstill or health checks sent elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightArrivals {
    pub weight: Weight,
    /// Independent decisions, active's and the candidate's: clients by their key, and requests without one.
    pub decisions: [SentCounts; 2],
    /// All requests, active's and the candidate's.
    pub requests: [SentCounts; 2],
    /// Of the requests, those without a key.
    pub keyless: u64,
}

/// Everything that the split of a rollout has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitArrivals {
    pub weights: Vec<WeightArrivals>,
    /// The requests of the [`FEW`] clients that send the most, or a little more.
    pub heaviest: u64,
    pub sticky: StickyBy,
}

/// A promised share, and the one that was got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareReading {
    /// Of how many.
    pub of: u64,
    /// The share that the weights promised the candidate, 0..1.
    pub promised: f64,
    pub got: f64,
}

/// Whether the split holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitReading {
    pub decisions: ShareReading,
    pub requests: ShareReading,
    /// The odds, to one, that the decisions do not follow the weight.
    pub evidence: f64,
    /// That it does not hold, in words.
    pub mismatch: Option<String>,
}

impl ShareReading {
    fn of(counts: impl Iterator<Item = (Weight, [u64; 2])>) -> ShareReading {
        let (mut of, mut promised, mut got) = (0, 0.0, 0);
        for (weight, [active, candidate]) in counts {
            of += active + candidate;
            promised += weight.ratio() * (active + candidate) as f64;
            got += candidate;
        }
        let all = (of as f64).max(1.0);
        ShareReading { of, promised: promised / all, got: got as f64 / all }
    }

    fn is_off_by(&self, part: f64) -> bool {
        (self.got - self.promised).abs() >= part * self.promised.min(1.0 - self.promised)
    }
}

/// How surely these counts of active and the candidate do not come from the weights.
fn evidence(counts: impl Iterator<Item = (Weight, [u64; 2])> + Clone) -> f64 {
    let logs = RATIOS.iter().flat_map(|ratio| [*ratio, -ratio]).map(|ratio| {
        counts.clone().fold(0.0, |sum, (weight, [active, candidate])| {
            let all = (active + candidate) as f64;
            sum + candidate as f64 * ratio - all * (weight.ratio() * ratio.exp_m1()).ln_1p()
        })
    });
    let sum: f64 = logs.map(|log: f64| log.min(600.0).exp()).sum();
    (sum / (2 * RATIOS.len()) as f64).min(MOST)
}

impl SplitArrivals {
    fn decided(&self, of: fn(SentCounts) -> u64) -> impl Iterator<Item = (Weight, [u64; 2])> + Clone {
        self.weights.iter().map(move |at| (at.weight, at.decisions.map(of)))
    }

    fn requested(&self) -> impl Iterator<Item = (Weight, [u64; 2])> + Clone {
        self.weights.iter().map(|at| (at.weight, at.requests.map(SentCounts::arrived)))
    }

    /// Active's and the candidate's decisions at all weights.
    fn sides(&self) -> [SentCounts; 2] {
        let add =
            |sum: SentCounts, more: SentCounts| SentCounts { sent: sum.sent + more.sent, left: sum.left + more.left };
        self.weights.iter().fold([SentCounts::default(); 2], |[active, candidate], at| {
            [add(active, at.decisions[0]), add(candidate, at.decisions[1])]
        })
    }

    fn keyless(&self) -> u64 {
        self.weights.iter().map(|at| at.keyless).sum()
    }

    /// Requests with a key.
    fn keyed(&self) -> u64 {
        let all: u64 = self.weights.iter().flat_map(|at| at.requests).map(|side| side.sent).sum();
        all.saturating_sub(self.keyless())
    }

    /// Clients by their key.
    fn clients(&self) -> u64 {
        let all: u64 = self.sides().iter().map(|side| side.sent).sum();
        all.saturating_sub(self.keyless())
    }

    /// Whether a few clients send most of what has a key.
    fn has_heavy_clients(&self) -> bool {
        2 * self.heaviest > self.keyed()
    }

    /// What has arrived, against what was promised. `names`: active's and the candidate's.
    pub fn reading(&self, names: [&str; 2]) -> SplitReading {
        let decisions = ShareReading::of(self.decided(SentCounts::arrived));
        let requests = ShareReading::of(self.requested());
        let evidence_of_decisions = evidence(self.decided(SentCounts::arrived));
        let mismatch = if evidence_of_decisions >= SURE && decisions.is_off_by(SLIGHT) {
            let of = self.unit();
            let said = said(names[1], &decisions, of);
            Some(format!("{said} (odds {}): {}", odds(evidence_of_decisions), self.cause(names)))
        } else {
            let is_off = requests.of >= LEAST_REQUESTS && requests.is_off_by(OFF) && self.has_heavy_clients();
            let is_sure = is_off && evidence(self.requested()) >= SURE;
            is_sure.then(|| format!("{}: {}", said(names[1], &requests, "requests"), self.few_clients()))
        };
        SplitReading { decisions, requests, evidence: evidence_of_decisions, mismatch }
    }

    fn unit(&self) -> &'static str {
        match (self.clients(), self.keyless()) {
            (_, 0) => "clients",
            (0, _) => "requests",
            _ => "clients and requests without a key",
        }
    }

    /// What explains the difference, or what stands out.
    fn cause(&self, [active_name, candidate_name]: [&str; 2]) -> String {
        let [active, candidate] = self.sides();
        if evidence(self.decided(|side| side.sent)) < SURE {
            let [mine, theirs] = [candidate, active].map(|side| percent(side.left_share()));
            return format!(
                "likely cause: {mine} of what {candidate_name} was sent ended before there was an answer, and {theirs} of \
                 {active_name}'s (the client hung up, or there was no place for it)"
            );
        }
        let found = self.conspicuous();
        match found.as_slice() {
            [] => "no cause shows in what is counted".to_owned(),
            found => format!("what stands out: {}", found.join("; ")),
        }
    }

    fn conspicuous(&self) -> Vec<String> {
        let (clients, keyed, keyless) = (self.clients(), self.keyed(), self.keyless());
        let mut found = Vec::new();
        if let StickyBy::Header(name) = &self.sticky
            && 10 * keyless > keyed + keyless
        {
            let share = percent(keyless as f64 / (keyed + keyless) as f64);
            found.push(format!("{share} of the requests have no header `{}`", name.as_str()));
        }
        if let StickyBy::Cookie(name) = &self.sticky
            && 10 * clients > 9 * keyed
            && clients >= 100
        {
            let (clients, keyed) = (grouped(clients), grouped(keyed));
            found.push(format!("clients do not keep the cookie `{name}`: {clients} keys in {keyed} requests"));
        }
        if keyed > 0 && self.has_heavy_clients() {
            found.push(self.heavy_clients());
        }
        found
    }

    fn few_clients(&self) -> String {
        format!("likely cause: {}; a key that tells more clients apart splits them better", self.heavy_clients())
    }

    fn heavy_clients(&self) -> String {
        let key = match &self.sticky {
            StickyBy::Cookie(name) => format!("the cookie `{name}`"),
            StickyBy::Header(name) => format!("the header `{}`", name.as_str()),
            StickyBy::ClientAddress | StickyBy::None => "the client's address".to_owned(),
        };
        let (clients, keyed) = (self.clients(), grouped(self.keyed()));
        match clients {
            1 => format!("one client, by {key}, sends all {keyed} requests with a key"),
            few if few <= FEW as u64 => format!("{few} clients, by {key}, send all {keyed} requests with a key"),
            many => {
                let share = percent(self.heaviest as f64 / (self.keyed() as f64).max(1.0));
                format!("{FEW} of {} clients, by {key}, send {share} of {keyed} requests", grouped(many))
            }
        }
    }
}

fn said(candidate: &str, share: &ShareReading, of: &str) -> String {
    let ShareReading { of: number, promised, got } = share;
    format!("{candidate} got {} of {} {of} where {} are promised", percent(*got), grouped(*number), percent(*promised))
}

fn percent(share: f64) -> String {
    let text = format!("{:.1} %", 100.0 * share);
    text.replace(".0 %", " %")
}

#[cfg(test)]
mod tests;
