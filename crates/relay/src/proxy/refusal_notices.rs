//! Which refused connections are logged: an attacker must not fill the disk.

use std::cell::Cell;

use judgement::time::Millis;

/// The shortest time between two lines.
const BETWEEN: Millis = Millis::seconds(10);

/// When a worker has last logged a refused connection, and how many it has not logged since.
#[derive(Debug, Default)]
pub struct RefusalNotices {
    next: Cell<Millis>,
    unsaid: Cell<u64>,
}

impl RefusalNotices {
    /// How many were not logged since the last one that was; `None` if this one is not to be logged either.
    pub fn take(&self, now: Millis) -> Option<u64> {
        if now < self.next.get() {
            self.unsaid.set(self.unsaid.get() + 1);
            return None;
        }
        self.next.set(now.plus(BETWEEN));
        Some(self.unsaid.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_ten_seconds_is_logged_with_the_number_of_the_others() {
        let notices = RefusalNotices::default();
        let taken = [0, 1, 9_999, 10_000, 10_001, 30_000, 50_000].map(|at| notices.take(Millis(at)));
        assert_eq!(taken, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
