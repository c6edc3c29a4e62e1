//! Who is let in: so many connections in all, and so many from one address.
//!
//! The lock is taken when a connection comes and when it goes, never by a request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use config::ClientLimits;
use memory::counters::{Counters, RefusalReason, count, read};

/// Descriptors that are kept back for origins' names, the state, the admin and logs.
const KEPT_BACK: u64 = 128;
/// Each connection may need another one to an origin.
const PER_CONNECTION: u64 = 2;

/// One for all listeners.
#[derive(Debug)]
pub struct ConnectionLimits {
    most: u64,
    most_per_address: usize,
    /// Only addresses with a connection are in it.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    counters: Arc<Counters>,
}

/// A connection that was let in, until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    address: Option<IpAddr>,
    door: Arc<ConnectionLimits>,
}

impl ConnectionLimits {
    pub fn new(limits: &ClientLimits, counters: Arc<Counters>) -> ConnectionLimits {
        let most = match limits.connections {
            0 => descriptors().saturating_sub(KEPT_BACK) / PER_CONNECTION,
            some => some as u64,
        };
        ConnectionLimits {
            most,
            most_per_address: limits.connections_per_address,
            by_address: Mutex::default(),
            counters,
        }
    }

    /// Lets a connection in, unless there are too many.
    pub fn let_in(self: &Arc<ConnectionLimits>, peer: IpAddr) -> Option<ConnectionPermit> {
        let process = &self.counters.process;
        if read(&process.connections_opened).saturating_sub(read(&process.connections_closed)) >= self.most {
            process.refuse(RefusalReason::Connections);
            return None;
        }
        let address = (self.most_per_address > 0).then(|| counted_as(peer));
        if let Some(address) = address {
            let mut by_address = self.by_address.lock();
            let here = by_address.entry(address).or_default();
            if *here >= self.most_per_address {
                process.refuse(RefusalReason::Connections);
                return None;
            }
            *here += 1;
        }
        count(&process.connections_opened);
        Some(ConnectionPermit { address, door: self.clone() })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        count(&self.door.counters.process.connections_closed);
        let Some(address) = self.address else { return };
        let mut by_address = self.door.by_address.lock();
        if let Some(here) = by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// How many descriptors the process may open: as many as it is allowed to ask for.
fn descriptors() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(connections: usize, connections_per_address: usize) -> Arc<ConnectionLimits> {
        let limits = ClientLimits { connections, connections_per_address, ..ClientLimits::default() };
        Arc::new(ConnectionLimits::new(&limits, Arc::new(Counters::new(1))))
    }

    #[test]
    fn one_address_does_not_take_the_room_of_the_others() {
        let door = door(4, 2);
        let (greedy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = door.let_in(greedy).unwrap();
        let _second = door.let_in(greedy).unwrap();
        assert!(door.let_in(greedy).is_none());
        let _third = door.let_in(other).unwrap();
        drop(first);
        let _fourth = door.let_in(greedy).unwrap();
        let _last = door.let_in("192.0.2.3".parse().unwrap()).unwrap();
        assert!(door.let_in("192.0.2.4".parse().unwrap()).is_none(), "four in all");
        assert_eq!(door.counters.process.refusals().find(|(name, _)| *name == "too_many_connections").unwrap().1, 2);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_mapped_addresses_are_ipv4() {
        let door = door(0, 1);
        let _one = door.let_in("2001:db8::1".parse().unwrap()).unwrap();
        assert!(door.let_in("2001:db8::ffff:2".parse().unwrap()).is_none());
        let _two = door.let_in("2001:db8:0:1::1".parse().unwrap()).unwrap();
        let _three = door.let_in("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(door.let_in("192.0.2.1".parse().unwrap()).is_none());
        drop(_three);
        assert_eq!(door.by_address.lock().len(), 2, "nobody is remembered who has left");
    }
}
