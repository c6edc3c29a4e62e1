//! Limits on requests at once, in total and from one client.
//!
//! A request may need a connection to an origin, and with it a file descriptor, whichever protocol it came by: one HTTP/2
//! connection brings a hundred.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::proxy::connection_limits::counted_as;
use memory::counters::{Counters, RefusalReason};

/// Shared by all workers.
#[derive(Debug)]
pub struct RequestLimits {
    max: u64,
    max_per_address: usize,
    /// Requests in flight by client, of those that are counted so; clients without one are not in it.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    counters: Arc<Counters>,
}

/// Permission for one request, which is in flight until this is dropped.
#[derive(Debug)]
pub struct RequestPermit {
    address: Option<IpAddr>,
    limits: Arc<RequestLimits>,
}

impl RequestLimits {
    /// 0 means no limit.
    pub fn new(max: u64, max_per_address: usize, counters: Arc<Counters>) -> RequestLimits {
        RequestLimits { max, max_per_address, by_address: Mutex::default(), counters }
    }

    /// Admits a request. `is_alone`: its connection is its client's own, and has no other request. The number of these
    /// connections is limited already, so nothing else is counted for them, and no lock taken.
    ///
    /// # Errors
    /// There are too many.
    #[inline]
    pub fn admit(self: &Arc<RequestLimits>, client: IpAddr, is_alone: bool) -> Result<RequestPermit, RefusalReason> {
        // One number for all workers: two additions a request, and no limit on descriptors could be kept without.
        let before = self.counters.process.begin_request();
        // Taken back by its drop, if it is refused.
        let mut permit = RequestPermit { address: None, limits: self.clone() };
        if self.max > 0 && before >= self.max {
            return Err(RefusalReason::Requests);
        }
        if !is_alone && self.max_per_address > 0 {
            let address = counted_as(client);
            let mut by_address = self.by_address.lock();
            let here = by_address.entry(address).or_default();
            if *here >= self.max_per_address {
                drop(by_address);
                return Err(RefusalReason::Requests);
            }
            *here += 1;
            drop(by_address);
            permit.address = Some(address);
        }
        Ok(permit)
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.limits.counters.process.end_request();
        let Some(address) = self.address else { return };
        let mut by_address = self.limits.by_address.lock();
        if let Some(here) = by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::counters::read;

    #[test]
    fn there_are_so_many_at_once_in_all_and_of_one_client() {
        let counters = Arc::new(Counters::new(1));
        let limits = Arc::new(RequestLimits::new(4, 2, counters.clone()));
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let first = limits.admit(one, false).unwrap();
        let second = limits.admit(one, false).unwrap();
        assert_eq!(limits.admit(one, false).unwrap_err(), RefusalReason::Requests, "two of one client");
        let third = limits.admit(one, true).unwrap();
        let fourth = limits.admit(two, false).unwrap();
        assert_eq!(limits.admit(two, false).unwrap_err(), RefusalReason::Requests, "four in all");
        drop(first);
        assert!(limits.admit(one, false).is_ok(), "and the room is free again at once");
        drop((second, third, fourth));
        assert_eq!(read(&counters.process.requests_in_flight), 0);
        assert!(limits.by_address.lock().is_empty());
    }
}
