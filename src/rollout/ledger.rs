//! The blast radius: what a rollout has cost clients, from its first request to its last.

use serde::{Deserialize, Serialize};

use crate::guard::window::{Tally, Totals};
use crate::time::Millis;

/// What a rollout came to. Times are on the monotonic clock, like an entry's `uptime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The rollout's number within its service.
    pub rollout: u32,
    pub began: Millis,
    /// Requests that were tried at the candidate, to their end.
    pub requests: u64,
    /// Distinct sticky keys among them, estimated to within some 3 %; requests without a key have none.
    #[serde(default)]
    pub keys: u64,
    /// Failures of the candidate.
    pub failed: u64,
    /// Of these, served again by active.
    pub rescued: u64,
    /// Requests whose client saw a failure.
    pub hurt: u64,
    /// Requests that caution sent to active.
    pub turned_away: u64,
    pub cautions: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<Millis>,
    /// Nothing is under way any more.
    #[serde(default)]
    pub closed: bool,
}

/// How long requests that are under way are waited for; what is out longer is left out.
const LATEST: Millis = Millis::seconds(60);

/// A ledger that is being kept.
#[derive(Clone, Debug)]
pub struct Book {
    ledger: Ledger,
    /// Before the rollout.
    tally: Tally,
    failed: u64,
    sent: u32,
    /// Requests of the rollout that are under way.
    out: u32,
    sent_before: u32,
    /// Since the candidate gets no more requests.
    closing: Option<Millis>,
}

/// Requests ever sent; wraps.
fn sent(totals: &Totals) -> u32 {
    totals.cohorts.sent.iter().fold(0, |sum, n| sum.wrapping_add(*n))
}

impl Book {
    /// Opens with the candidate's totals as the rollout begins.
    pub fn open(rollout: u32, now: Millis, candidate: &Totals) -> Book {
        let ledger = Ledger { rollout, began: now, ..Ledger::default() };
        let sent = sent(candidate);
        let (tally, failed) = (candidate.tally, candidate.counts.failed);
        Book { ledger, tally, failed, sent, out: 0, sent_before: sent, closing: None }
    }

    /// Takes the candidate's totals at `now`.
    pub fn look(&mut self, now: Millis, candidate: &Totals) {
        let Book { ledger, tally: before, .. } = self;
        let tally = &candidate.tally;
        ledger.requests = tally.requests.saturating_sub(before.requests);
        ledger.rescued = tally.rescued.saturating_sub(before.rescued);
        ledger.hurt = tally.hurt.saturating_sub(before.hurt);
        ledger.turned_away = tally.turned_away.saturating_sub(before.turned_away);
        ledger.failed = candidate.counts.failed.saturating_sub(self.failed);
        if ledger.failed > 0 {
            ledger.first_failure.get_or_insert(now);
        }
        let sent = sent(candidate);
        if sent != self.sent_before {
            (self.sent_before, ledger.last_request) = (sent, Some(now));
        }
        self.out = sent.wrapping_sub(self.sent).saturating_sub(ledger.requests as u32);
    }

    pub fn caution(&mut self) {
        self.ledger.cautions += 1;
    }

    /// The candidate gets no more requests. `verdict`: because the guard said so.
    pub fn close(&mut self, now: Millis, verdict: bool) {
        self.closing.get_or_insert(now);
        if verdict {
            self.ledger.verdict.get_or_insert(now);
        }
    }

    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The final ledger, once the last request has ended or has been waited for.
    pub fn closed(&self, now: Millis) -> Option<Ledger> {
        let since = self.closing?;
        // A tick at least: what was sent before the snapshot changed may not be counted yet.
        let waited = now.since(since);
        let done = self.out == 0 && waited >= Millis(100) || waited >= LATEST;
        done.then_some(Ledger { closed: true, ..self.ledger })
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger
    }
}
