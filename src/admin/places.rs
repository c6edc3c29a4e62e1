//! The places at the admin listener. If all are taken, who has shown no valid token gives way, the oldest first: so clients
//! that only hold a connection open lock nobody out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::admin::rate_limits::network;
use memory::counters::{Counters, count};

/// The most connections in total, and from one address: people, pipelines, a dashboard in every tab.
const CONNECTIONS: usize = 256;
const PER_ADDRESS: usize = 64;

/// All places.
#[derive(Clone, Debug)]
pub struct AdminPlaces {
    taken: Arc<Mutex<TakenPlaces>>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct TakenPlaces {
    /// In the order in which they were taken.
    by_number: BTreeMap<u64, TakenPlace>,
    next: u64,
}

#[derive(Debug)]
struct TakenPlace {
    address: IpAddr,
    /// A request with a valid token has come.
    known: bool,
    /// Ends the connection.
    end: Option<AbortHandle>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct AdminPlace {
    number: u64,
    places: AdminPlaces,
}

impl AdminPlaces {
    pub fn new(counters: Arc<Counters>) -> AdminPlaces {
        AdminPlaces { taken: Arc::default(), counters }
    }

    /// A place for somebody from this address; `None` if all are taken by those who are known.
    pub fn take(&self, peer: IpAddr) -> Option<AdminPlace> {
        let address = network(peer);
        let mut taken = self.taken.lock();
        let here = taken.by_number.values().filter(|place| place.address == address).count();
        let is_full = taken.by_number.len() >= CONNECTIONS;
        if here >= PER_ADDRESS || is_full {
            let gives_way = |place: &TakenPlace| !place.known && (place.address == address || here < PER_ADDRESS);
            let found = taken.by_number.iter().find(|(_, place)| gives_way(place)).map(|(number, _)| *number);
            let Some(oldest) = found else {
                count(&self.counters.process.admin_refused);
                return None;
            };
            count(&self.counters.process.admin_ended);
            if let Some(end) = taken.by_number.remove(&oldest).and_then(|place| place.end) {
                end.abort();
            }
        }
        let number = taken.next;
        taken.next += 1;
        taken.by_number.insert(number, TakenPlace { address, known: false, end: None });
        Some(AdminPlace { number, places: self.clone() })
    }
}

impl AdminPlace {
    /// A request with a valid token has come.
    pub fn is_known(&self) {
        if let Some(place) = self.places.taken.lock().by_number.get_mut(&self.number) {
            place.known = true;
        }
    }

    /// What ends the connection if it is to give way.
    pub fn ends_by(places: &AdminPlaces, number: u64, end: AbortHandle) {
        match places.taken.lock().by_number.get_mut(&number) {
            Some(place) => place.end = Some(end),
            // It has given way already, or has ended.
            None => end.abort(),
        }
    }

    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for AdminPlace {
    fn drop(&mut self) {
        self.places.taken.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_gives_way_and_who_is_keeps_its_place() {
        let places = AdminPlaces::new(Arc::new(Counters::new(1)));
        let [stranger, ann]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let known = places.take(ann).unwrap();
        known.is_known();
        let idle: Vec<AdminPlace> = (0..PER_ADDRESS).map(|_| places.take(stranger).unwrap()).collect();
        let has = |place: &AdminPlace| places.taken.lock().by_number.contains_key(&place.number);
        let newcomer = places.take(stranger).unwrap();
        assert!(!has(&idle[0]) && has(&idle[1]) && has(&newcomer) && has(&known));
        // A stranger's place is freed once.
        drop(idle);
        assert_eq!(places.taken.lock().by_number.len(), 2);
        let all: Vec<AdminPlace> = (0..PER_ADDRESS).map(|_| places.take(stranger).unwrap()).collect();
        all.iter().for_each(AdminPlace::is_known);
        assert!(places.take(stranger).is_none());
        assert!(places.take(ann).is_some());
    }

    #[test]
    fn many_addresses_lock_nobody_out() {
        let places = AdminPlaces::new(Arc::new(Counters::new(1)));
        let address = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        let idle: Vec<AdminPlace> = (0..300).map(|number| places.take(address(number)).unwrap()).collect();
        assert_eq!(places.taken.lock().by_number.len(), CONNECTIONS);
        idle.iter().for_each(AdminPlace::is_known);
        assert!(places.take(address(999)).is_none());
    }
}
