//! Places that are shared out by name: each name has a share of its own, so that one whose work hangs does not hold up
//! the work of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places for each name, and so many for all of them.
#[derive(Debug)]
pub struct Shares {
    each: usize,
    total: Arc<Semaphore>,
    /// Only of names whose places are used or waited for.
    own: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct SharePermit {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Shares {
    pub fn new(each: usize, total: usize) -> Shares {
        Shares { each, total: Arc::new(Semaphore::new(total)), own: Mutex::default() }
    }

    /// Waits for a place in the share of a name.
    pub async fn acquire(&self, name: &str) -> Option<SharePermit> {
        let own = self.share(name).acquire_owned().await.ok()?;
        let of_all = self.total.clone().acquire_owned().await.ok()?;
        Some(SharePermit { _own: own, _of_all: of_all })
    }

    /// A place in the share of a name, if one is free.
    pub fn try_acquire(&self, name: &str) -> Option<SharePermit> {
        let own = self.share(name).try_acquire_owned().ok()?;
        let of_all = self.total.clone().try_acquire_owned().ok()?;
        Some(SharePermit { _own: own, _of_all: of_all })
    }

    fn share(&self, name: &str) -> Arc<Semaphore> {
        let mut own = self.own.lock();
        if let Some(share) = own.get(name) {
            return share.clone();
        }
        // Who waits for a place or has one keeps its share.
        own.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Semaphore::new(self.each));
        own.insert(name.to_owned(), share.clone());
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_used_its_share_leaves_the_others_theirs() {
        let shares = Shares::new(2, 5);
        let held: Vec<SharePermit> = (0..2).flat_map(|_| shares.try_acquire("big")).collect();
        assert!(shares.try_acquire("big").is_none());
        assert!(shares.try_acquire("small").is_some());
        drop(held);
        assert!(shares.try_acquire("big").is_some());
        let all: Vec<SharePermit> =
            ["a", "a", "b", "b", "c", "c"].into_iter().flat_map(|name| shares.try_acquire(name)).collect();
        assert_eq!(all.len(), 5, "and all together have their limit");
    }

    #[test]
    fn shares_that_nobody_uses_are_forgotten() {
        let shares = Shares::new(1, 9);
        let held = shares.try_acquire("held");
        (0..50).for_each(|at| drop(shares.try_acquire(&at.to_string())));
        assert_eq!(shares.own.lock().len(), 2, "the one that is held, and the last");
        assert!(shares.try_acquire("held").is_none());
        drop(held);
    }
}
