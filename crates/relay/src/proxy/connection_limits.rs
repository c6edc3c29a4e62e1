//! Limits on connections, in total and from one address.
//!
//! A trusted proxy brings many clients from one address, and which of them a connection is for is known only by its
//! requests. So its connections count in total alone; how many of them one client gets is the proxy's to limit. Where it names
//! the client of each connection by the PROXY protocol, they count for that client.
//!
//! The lock is taken when a connection opens and closes, never by a request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::head::is_trusted;
use config::ClientLimits;
use memory::counters::{Counters, RefusalReason, count, read};

/// Shared by all listeners.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: u64,
    max_per_address: usize,
    /// Proxies, whose connections are counted in total alone.
    trusted: Vec<IpNet>,
    /// Open connections by address; addresses without one are not in it.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    counters: Arc<Counters>,
}

/// Permission for one connection, which counts as open until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    address: Option<IpAddr>,
    limits: Arc<ConnectionLimits>,
}

impl ConnectionLimits {
    /// `max`: in total.
    pub fn new(max: u64, limits: &ClientLimits, trusted: &[IpNet], counters: Arc<Counters>) -> ConnectionLimits {
        ConnectionLimits {
            max,
            max_per_address: limits.connections_per_address,
            trusted: trusted.to_vec(),
            by_address: Mutex::default(),
            counters,
        }
    }

    /// Admits a connection, unless there are too many.
    pub fn admit(self: &Arc<ConnectionLimits>, peer: IpAddr) -> Option<ConnectionPermit> {
        let process = &self.counters.process;
        if read(&process.connections_opened).saturating_sub(read(&process.connections_closed)) >= self.max {
            process.refuse(RefusalReason::Connections);
            return None;
        }
        let address = self.take_place(peer)?;
        count(&process.connections_opened);
        Some(ConnectionPermit { address, limits: self.clone() })
    }

    /// A place for a connection of this address, and what it is counted as, if it is counted; `None` if all are taken.
    fn take_place(&self, client: IpAddr) -> Option<Option<IpAddr>> {
        if self.max_per_address == 0 || is_trusted(&self.trusted, client) {
            return Some(None);
        }
        let address = counted_as(client);
        let mut by_address = self.by_address.lock();
        let here = by_address.entry(address).or_default();
        if *here >= self.max_per_address {
            drop(by_address);
            self.counters.process.refuse(RefusalReason::Connections);
            return None;
        }
        *here += 1;
        Some(Some(address))
    }
}

impl ConnectionPermit {
    /// Whether a trusted proxy's connection may go on as one of this client, for whom it counts from now on.
    pub fn count_for(&mut self, client: IpAddr) -> bool {
        if self.address.is_some() {
            return true;
        }
        let place = self.limits.take_place(client);
        self.address = place.flatten();
        place.is_some()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        count(&self.limits.counters.process.connections_closed);
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

/// The address that a client's connections and requests count for. For IPv6 it is the /64 network, because one client has all of its
/// addresses.
pub fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, connections_per_address: usize) -> Arc<ConnectionLimits> {
        let settings = ClientLimits { connections, connections_per_address, ..ClientLimits::default() };
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        Arc::new(ConnectionLimits::new(connections as u64, &settings, &trusted, Arc::new(Counters::new(1))))
    }

    #[test]
    fn a_trusted_proxys_connections_count_in_total_alone() {
        let limits = limits(4, 1);
        let (proxy, mapped) = ("10.0.0.1".parse().unwrap(), "::ffff:10.0.0.1".parse().unwrap());
        let _three = [proxy, proxy, mapped].map(|peer| limits.admit(peer).unwrap());
        let client = "192.0.2.1".parse().unwrap();
        let first = limits.admit(client).unwrap();
        assert!(limits.admit(proxy).is_none(), "four in all");
        drop(first);
        let _again = limits.admit(client).unwrap();
        assert_eq!(limits.by_address.lock().len(), 1, "proxies are not remembered");
    }

    #[test]
    fn a_connection_of_a_proxy_that_names_its_client_counts_for_the_client() {
        let limits = limits(9, 2);
        let [proxy, client, other] = ["10.0.0.1", "192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let mut all = [0; 4].map(|_| limits.admit(proxy).unwrap());
        assert!(all[0].count_for(client) && all[1].count_for(client));
        assert!(!all[2].count_for(client), "two of one client");
        assert!(all[2].count_for(other) && all[3].count_for(proxy), "another one's, and the proxy's own");
        assert!(limits.admit(client).is_none(), "it has its two");
        let [first, _second, _third, _fourth] = all;
        drop(first);
        assert!(limits.admit(client).is_some());
    }

    #[test]
    fn one_address_does_not_take_the_room_of_the_others() {
        let limits = limits(4, 2);
        let (greedy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = limits.admit(greedy).unwrap();
        let _second = limits.admit(greedy).unwrap();
        assert!(limits.admit(greedy).is_none());
        let _third = limits.admit(other).unwrap();
        drop(first);
        let _fourth = limits.admit(greedy).unwrap();
        let _last = limits.admit("192.0.2.3".parse().unwrap()).unwrap();
        assert!(limits.admit("192.0.2.4".parse().unwrap()).is_none(), "four in all");
        assert_eq!(limits.counters.process.refusals().find(|(name, _)| *name == "too_many_connections").unwrap().1, 2);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_mapped_addresses_are_ipv4() {
        let limits = limits(9, 1);
        let _one = limits.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(limits.admit("2001:db8::ffff:2".parse().unwrap()).is_none());
        let _two = limits.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        let _three = limits.admit("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(limits.admit("192.0.2.1".parse().unwrap()).is_none());
        drop(_three);
        assert_eq!(limits.by_address.lock().len(), 2, "nobody is remembered who has left");
    }
}
