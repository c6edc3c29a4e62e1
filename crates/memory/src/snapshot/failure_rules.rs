//! What counts as a failure of the environment, by route: prepared so that a request only has to look up its status.

use http::HeaderName;
use judgement::traffic::RouteId;

use crate::counters::AttemptFailure;
use crate::snapshot::ServedService;

/// A set of statuses up to 599.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusSet([u64; 10]);

impl StatusSet {
    /// None of them.
    pub const NONE: StatusSet = StatusSet([0; 10]);

    /// 5xx. Word by word: the last three begin with 448, 512 and 576.
    pub const SERVER_ERRORS: StatusSet =
        StatusSet([0, 0, 0, 0, 0, 0, 0, u64::MAX << (500 - 448), u64::MAX, (1 << (600 - 576)) - 1]);

    #[must_use]
    pub fn with(mut self, status: u16) -> StatusSet {
        if let Some(word) = self.0.get_mut(usize::from(status / 64)) {
            *word |= 1 << (status % 64);
        }
        self
    }

    #[inline]
    pub fn has(&self, status: u16) -> bool {
        self.0.get(usize::from(status / 64)).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }
}

/// What the status of a response says about the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// It has failed.
    Failure(AttemptFailure),
    /// It refuses the client, or sends it elsewhere.
    Refusal,
    /// Nothing against it.
    Neither,
}

/// What counts as a failure on a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FailureRules {
    pub failures: StatusSet,
    /// Neither failures nor refusals. None of them is in `failures`.
    pub ignored: StatusSet,
    /// The response header by which the origin says that the request has failed, whatever the status.
    pub header: Option<HeaderName>,
    /// Whether a response of another shape than active's is odd.
    pub compares_shape: bool,
}

impl FailureRules {
    /// What counts where the file says nothing.
    pub const STANDARD: FailureRules = FailureRules {
        failures: StatusSet::SERVER_ERRORS,
        ignored: StatusSet::NONE,
        header: None,
        compares_shape: true,
    };

    /// What a response's status means here. A refusal is a 4xx, or a 3xx but for 304.
    #[inline]
    pub fn meaning(&self, status: u16) -> StatusMeaning {
        if self.failures.has(status) {
            return StatusMeaning::Failure(AttemptFailure::of_status(status));
        }
        let refuses = matches!(status, 300..=303 | 305..=499) && !self.ignored.has(status);
        if refuses { StatusMeaning::Refusal } else { StatusMeaning::Neither }
    }
}

impl ServedService {
    /// What counts as a failure on a route; what is usual, on one that the service does not have.
    #[inline]
    pub fn failure_rules(&self, route: RouteId) -> &FailureRules {
        self.failures.get(self.place(route)).unwrap_or(&FailureRules::STANDARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_what_was_counted_before_there_were_rules() {
        for status in 0..=u16::MAX {
            let meaning = match status {
                502..=504 => StatusMeaning::Failure(AttemptFailure::Unavailable),
                500..=599 => StatusMeaning::Failure(AttemptFailure::Error),
                300..=303 | 305..=499 => StatusMeaning::Refusal,
                _ => StatusMeaning::Neither,
            };
            assert_eq!(FailureRules::STANDARD.meaning(status), meaning, "{status}");
        }
    }

    #[test]
    fn a_status_is_a_failure_a_refusal_or_neither() {
        let rules = FailureRules {
            failures: StatusSet::NONE.with(429).with(503).with(64),
            ignored: StatusSet::NONE.with(404).with(301),
            header: None,
            compares_shape: true,
        };
        for (status, meaning) in [
            (429, StatusMeaning::Failure(AttemptFailure::Error)),
            (503, StatusMeaning::Failure(AttemptFailure::Unavailable)),
            (64, StatusMeaning::Failure(AttemptFailure::Error)),
            (500, StatusMeaning::Neither),
            (404, StatusMeaning::Neither),
            (301, StatusMeaning::Neither),
            (403, StatusMeaning::Refusal),
            (302, StatusMeaning::Refusal),
            (304, StatusMeaning::Neither),
            (63, StatusMeaning::Neither),
            (65, StatusMeaning::Neither),
            (200, StatusMeaning::Neither),
        ] {
            assert_eq!(rules.meaning(status), meaning, "{status}");
        }
        assert!(!StatusSet::NONE.with(u16::MAX).has(u16::MAX), "there are none above 599");
    }
}
