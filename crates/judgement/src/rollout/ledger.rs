//! The blast radius: what a rollout has cost clients, from its first request to its last.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::grouped;
use crate::guard::window::{ClientImpact, JudgedTotals};
use crate::time::Millis;
use crate::traffic::Environment;

/// What a rollout has cost. Times are on the monotonic clock, like an entry's `uptime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RolloutLedger {
    /// The rollout's number within its service.
    pub rollout: u32,
    pub began: Millis,
    /// Requests that were sent to the candidate and have completed.
    pub requests: u64,
    /// Of these, those whose client left before it was answered.
    #[serde(default)]
    pub left: u64,
    /// Requests that were sent to the candidate, and have neither been answered nor given up.
    #[serde(default)]
    pub waiting: u64,
    /// Distinct sticky keys among them, estimated to within about 3 %; requests without a key have none.
    #[serde(default)]
    pub keys: u64,
    /// Failures of the candidate.
    pub failed: u64,
    /// Of these, those that active was asked to serve again.
    pub rescued: u64,
    /// Of these, those that active did not fail as well; `None` in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<u64>,
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
    /// The rollout and its requests are over.
    #[serde(default)]
    pub closed: bool,
}

impl RolloutLedger {
    /// Failures of the candidate that active served instead, as far as that is known.
    pub fn served_again(&self) -> u64 {
        self.saved.unwrap_or(self.rescued)
    }
}

/// `9 rescued (of 12 tried)`, or `12 rescued` if none of them failed on active too.
pub fn rescues_in_words(rescued: u64, tried: u64) -> String {
    let of = if tried > rescued { format!(" (of {} tried)", grouped(tried)) } else { String::new() };
    format!("{} rescued{of}", grouped(rescued))
}

/// The rollout is over and nothing has changed for this long: a failure is counted a moment before its consequences.
const QUIET: Millis = Millis::seconds(1);
/// How long requests in flight are waited for; those that take longer are left out.
const LATEST: Millis = Millis::seconds(60);

/// What the ledger is computed from: the candidate's totals over all routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CandidateAccount {
    tally: ClientImpact,
    failed: u64,
    /// Requests ever sent; wraps.
    sent: u32,
}

impl CandidateAccount {
    pub fn of<'a>(routes: impl Iterator<Item = &'a JudgedTotals>) -> CandidateAccount {
        let mut sum = CandidateAccount::default();
        for totals in routes {
            sum.tally.add(&totals.tally);
            sum.failed += totals.counts.failed;
            sum.sent = sum.sent.wrapping_add(totals.cohorts.total_sent());
        }
        sum
    }
}

/// A ledger in progress.
#[derive(Clone, Debug)]
pub struct OpenLedger {
    ledger: RolloutLedger,
    side: Environment,
    /// Before the rollout, and at the last look.
    before: CandidateAccount,
    last: CandidateAccount,
    changed: Millis,
    /// Requests of the rollout that are in flight.
    out: u32,
    /// Since when the candidate has had no more requests.
    closing: Option<Millis>,
}

impl OpenLedger {
    /// Opens with the candidate's totals as the rollout begins. `side`: where it is.
    pub fn open(rollout: u32, side: Environment, now: Millis, candidate: CandidateAccount) -> OpenLedger {
        let ledger = RolloutLedger { rollout, began: now, ..RolloutLedger::default() };
        OpenLedger { ledger, side, before: candidate, last: candidate, changed: now, out: 0, closing: None }
    }

    /// Goes on with the ledger of another process, whose counts the totals go on from. What that one has sent and not
    /// answered is not counted here.
    pub fn going_on(ledger: RolloutLedger, side: Environment, now: Millis, candidate: CandidateAccount) -> OpenLedger {
        let RolloutLedger { requests, left, rescued, saved, hurt, turned_away, failed, .. } = ledger;
        let before = |now: u64, so_far: u64| now.saturating_sub(so_far);
        let tally = ClientImpact {
            requests: before(candidate.tally.requests, requests),
            left: before(candidate.tally.left, left),
            rescued: before(candidate.tally.rescued, rescued),
            saved: before(candidate.tally.saved, saved.unwrap_or_default()),
            hurt: before(candidate.tally.hurt, hurt),
            turned_away: before(candidate.tally.turned_away, turned_away),
        };
        let failed = before(candidate.failed, failed);
        let sent = candidate.sent.wrapping_sub(requests as u32);
        let before = CandidateAccount { tally, failed, sent };
        OpenLedger { ledger, side, before, last: candidate, changed: now, out: 0, closing: None }
    }

    /// Takes in the candidate's totals at `now`.
    pub fn look(&mut self, now: Millis, candidate: CandidateAccount) {
        let OpenLedger { ledger, before, last, .. } = self;
        let (tally, earlier) = (&candidate.tally, &before.tally);
        ledger.requests = tally.requests.saturating_sub(earlier.requests);
        ledger.left = tally.left.saturating_sub(earlier.left);
        ledger.rescued = tally.rescued.saturating_sub(earlier.rescued);
        ledger.saved = Some(tally.saved.saturating_sub(earlier.saved));
        ledger.hurt = tally.hurt.saturating_sub(earlier.hurt);
        ledger.turned_away = tally.turned_away.saturating_sub(earlier.turned_away);
        ledger.failed = candidate.failed.saturating_sub(before.failed);
        if ledger.failed > 0 {
            ledger.first_failure.get_or_insert(now);
        }
        if candidate.sent != last.sent {
            ledger.last_request = Some(now);
        }
        self.out = candidate.sent.wrapping_sub(before.sent).saturating_sub(ledger.requests as u32);
        ledger.waiting = u64::from(self.out);
        if candidate != *last {
            (*last, self.changed) = (candidate, now);
        }
    }

    /// The side that the rollout is on.
    pub const fn side(&self) -> Environment {
        self.side
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
    pub fn closed(&self, now: Millis) -> Option<RolloutLedger> {
        let waited = now.since(self.closing?);
        let done = self.out == 0 && waited.min(now.since(self.changed)) >= QUIET || waited >= LATEST;
        done.then_some(RolloutLedger { closed: true, ..self.ledger })
    }

    pub fn ledger(&self) -> RolloutLedger {
        self.ledger
    }
}
