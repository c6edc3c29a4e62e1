//! How many copies are under way at once, and how many are begun in a second: for each service, and for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use judgement::time::Millis;

/// Copies at once of one service: a candidate that hangs keeps this many waiting, and no more.
pub const AT_ONCE: usize = 4;
/// Copies at once of all services, each of which is asked three times.
const AT_ONCE_IN_ALL: usize = 32;
/// The time between two copies of a service, on average: twenty a second are enough to see a few dozen paths often, and put
/// no origin under load.
const SPACING: Millis = Millis(50);
/// After a pause ten copies may follow at once, because clients come in groups.
const AHEAD: Millis = Millis(450);

#[derive(Debug)]
pub struct Budgets {
    services: HashMap<String, Budget>,
    all: Arc<Semaphore>,
}

#[derive(Debug)]
struct Budget {
    at_once: Arc<Semaphore>,
    /// When the next one would begin if all were evenly spaced.
    next: Millis,
}

/// A copy that is under way, until this is dropped.
#[derive(Debug)]
pub struct CopyPlace(#[expect(dead_code, reason = "held, and given back when dropped")] [OwnedSemaphorePermit; 2]);

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets { services: HashMap::new(), all: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)) }
    }
}

impl Budgets {
    /// A place for a copy of this service, if there is one now.
    pub fn take(&mut self, service: &str, now: Millis) -> Option<CopyPlace> {
        if !self.services.contains_key(service) {
            let budget = Budget { at_once: Arc::new(Semaphore::new(AT_ONCE)), next: Millis::ZERO };
            self.services.insert(service.to_owned(), budget);
        }
        let budget = self.services.get_mut(service).filter(|budget| now.plus(AHEAD) >= budget.next)?;
        let own = budget.at_once.clone().try_acquire_owned().ok()?;
        let shared = self.all.clone().try_acquire_owned().ok()?;
        budget.next = budget.next.max(now).plus(SPACING);
        Some(CopyPlace([own, shared]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_so_many_at_once_and_a_second_and_takes_nothing_from_others() {
        let mut budgets = Budgets::default();
        let mut places = Vec::new();
        for at in (0..1000).step_by(10) {
            places.extend(budgets.take("shop", Millis(at)));
        }
        assert_eq!(places.len(), AT_ONCE, "whoever hangs");
        assert!(budgets.take("blog", Millis(990)).is_some());
        places.clear();
        let begun = |budgets: &mut Budgets, from: u64| {
            (from..from + 1000).filter(|at| budgets.take("shop", Millis(*at)).is_some()).count()
        };
        assert_eq!(begun(&mut budgets, 2000), 20 + 9, "after a pause");
        assert_eq!(begun(&mut budgets, 3000), 20);
    }
}
