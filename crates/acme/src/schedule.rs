//! When which certificate is ordered: a pure function of what is there, what has failed, and the time.
//!
//! The wall clock decides what is due, because certificates end by it. How often orders go out is counted on the monotonic
//! one: however the wall clock jumps, a name is ordered again only after its pause, and all names together so many times an
//! hour. The [`OrderRecord`] carries both over a restart.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use judgement::time::Millis;

const HOUR: Millis = Millis::seconds(3600);
/// The longest pause after failures.
const LONGEST_PAUSE: Millis = Millis::seconds(6 * 3600);
/// The longest that a CA can ask to be left alone.
const LONGEST_REST: Millis = Millis::seconds(24 * 3600);
/// Orders within an hour: Let's Encrypt takes 300 in three.
const ORDERS_AN_HOUR: usize = 100;
/// Of them, those that strangers may cause.
const ON_DEMAND_AN_HOUR: usize = 50;
/// Names that strangers may cause to be known.
pub const ON_DEMAND_NAMES: usize = 1000;

/// How long a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateOutlook {
    pub begin: i64,
    pub end: i64,
    /// When it is to be renewed.
    pub renew: i64,
}

impl CertificateOutlook {
    /// Renewed at two thirds of its time, or up to a thirtieth earlier: by `draw`, from 0 to 1, so that names which were
    /// ordered together are not renewed together.
    pub fn new(begin: i64, end: i64, draw: f64) -> CertificateOutlook {
        let life = end.saturating_sub(begin).max(0) as f64;
        let renew = begin.saturating_add((life * (2.0 / 3.0 - draw / 30.0)) as i64);
        CertificateOutlook { begin, end, renew }
    }
}

/// What is known about a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameStanding {
    pub certificate: Option<CertificateOutlook>,
    /// Orders that have failed since the last that did not.
    pub failures: u32,
    /// Why the last one did.
    pub error: Option<String>,
    /// Not ordered before this, on the monotonic clock in milliseconds.
    rests_until: i64,
    by_demand: bool,
    /// A client has asked for it since it was last ordered.
    is_asked: bool,
}

/// What outlives a restart, in seconds since 1970.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderRecord {
    orders: Vec<i64>,
    failing: BTreeMap<String, FailureRecord>,
    rests_until: i64,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct FailureRecord {
    failures: u32,
    retry: i64,
}

/// The names, and when they are ordered.
#[derive(Debug, Default)]
pub struct OrderSchedule {
    names: BTreeMap<String, NameStanding>,
    /// When the last orders went out, and whether a client had caused them; on the monotonic clock in milliseconds.
    orders: VecDeque<(i64, bool)>,
    rests_until: i64,
    first_retry: Millis,
    record: OrderRecord,
}

fn on(clock: Millis) -> i64 {
    clock.0 as i64
}

impl OrderSchedule {
    /// `now` on the monotonic clock, `wall` in seconds since 1970. Whatever the wall clock did since the record was written,
    /// no pause is longer than it was.
    pub fn new(first_retry: Millis, record: OrderRecord, now: Millis, wall: i64) -> OrderSchedule {
        let since = |then: i64| (wall - then).clamp(0, 3600) * 1000;
        let mut orders: VecDeque<(i64, bool)> =
            record.orders.iter().map(|then| (on(now) - since(*then), false)).collect();
        orders.make_contiguous().sort_unstable();
        let rests_until = on(now) + until(record.rests_until, wall, LONGEST_REST);
        OrderSchedule { names: BTreeMap::new(), orders, rests_until, first_retry, record }
    }

    /// Takes on a name, with the certificate that it has.
    pub fn add(
        &mut self,
        name: &str,
        certificate: Option<CertificateOutlook>,
        by_demand: bool,
        now: Millis,
        wall: i64,
    ) {
        let failing = self.record.failing.remove(name).unwrap_or_default();
        let rests_until = on(now) + until(failing.retry, wall, LONGEST_PAUSE);
        let standing =
            NameStanding { certificate, failures: failing.failures, rests_until, by_demand, ..NameStanding::default() };
        self.names.entry(name.to_owned()).or_insert(standing);
    }

    /// A client asks for a name without a certificate. False if there is no room for another.
    pub fn ask_for(&mut self, name: &str, now: Millis, wall: i64) -> bool {
        if !self.names.contains_key(name) {
            let by_demand = self.names.values().filter(|standing| standing.by_demand).count();
            if by_demand >= ON_DEMAND_NAMES {
                return false;
            }
            self.add(name, None, true, now, wall);
        }
        if let Some(standing) = self.names.get_mut(name) {
            standing.is_asked = true;
        }
        true
    }

    /// Forgets the names that are no longer wanted: those of the files that are not in `wanted`, and those that clients have
    /// asked for once neither a certificate nor a pause keeps them.
    pub fn retain(&mut self, wanted: &[String], now: Millis, wall: i64) {
        self.names.retain(|name, standing| {
            let is_wanted = wanted.iter().any(|other| other == name);
            standing.by_demand &= !is_wanted;
            let has_certificate = standing.certificate.is_some_and(|certificate| certificate.end > wall);
            let rests = standing.rests_until > on(now);
            is_wanted || standing.by_demand && (has_certificate || rests || standing.is_asked)
        });
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub fn names(&self) -> &BTreeMap<String, NameStanding> {
        &self.names
    }

    /// The name to be ordered now, if one may be: the one whose certificate ends first, or that has none.
    pub fn due(&mut self, now: Millis, wall: i64) -> Option<String> {
        while self.orders.front().is_some_and(|(then, _)| *then <= on(now) - on(HOUR)) {
            self.orders.pop_front();
        }
        if self.rests_until > on(now) || self.orders.len() >= ORDERS_AN_HOUR {
            return None;
        }
        let by_strangers = self.orders.iter().filter(|(_, by_stranger)| *by_stranger).count();
        let is_due = |standing: &NameStanding| match standing.certificate {
            Some(certificate) => wall >= certificate.renew,
            None => !standing.by_demand || standing.is_asked && by_strangers < ON_DEMAND_AN_HOUR,
        };
        let due = self.names.iter().filter(|(_, standing)| standing.rests_until <= on(now) && is_due(standing));
        let first =
            due.min_by_key(|(_, standing)| standing.certificate.map_or(i64::MIN, |certificate| certificate.end));
        first.map(|(name, _)| name.clone())
    }

    /// An order goes out.
    pub fn begin(&mut self, name: &str, now: Millis) {
        let Some(standing) = self.names.get_mut(name) else { return };
        let by_stranger = standing.by_demand && standing.certificate.is_none();
        standing.is_asked = false;
        self.orders.push_back((on(now), by_stranger));
    }

    /// An order has failed. `rest`: how long the CA wants to see no order at all.
    pub fn fail(
        &mut self,
        name: &str,
        error: String,
        rest: Option<Millis>,
        draw: f64,
        now: Millis,
    ) -> Option<(u32, Millis)> {
        if let Some(rest) = rest {
            self.rests_until = self.rests_until.max(on(now) + on(rest.min(LONGEST_REST)));
        }
        let standing = self.names.get_mut(name)?;
        standing.failures = standing.failures.saturating_add(1);
        standing.error = Some(error);
        let doubled = self.first_retry.0.saturating_mul(1 << (standing.failures - 1).min(20)).min(LONGEST_PAUSE.0);
        // Up to a tenth more, so that names which failed together are not ordered together.
        let pause = Millis(doubled + (doubled as f64 * draw / 10.0) as u64);
        standing.rests_until = on(now) + on(pause);
        Some((standing.failures, pause.max(rest.unwrap_or(Millis::ZERO))))
    }

    /// A certificate has come.
    pub fn succeed(&mut self, name: &str, certificate: CertificateOutlook) {
        if let Some(standing) = self.names.get_mut(name) {
            (standing.certificate, standing.failures, standing.error) = (Some(certificate), 0, None);
        }
    }

    /// The CA has said when it wants to see a certificate renewed: no later than it would be anyway.
    pub fn suggest(&mut self, name: &str, renew: i64) {
        if let Some(certificate) = self.names.get_mut(name).and_then(|standing| standing.certificate.as_mut()) {
            certificate.renew = certificate.renew.min(renew);
        }
    }

    /// What a next process is to know.
    pub fn record(&self, now: Millis, wall: i64) -> OrderRecord {
        let seconds = |then: i64| wall + (then - on(now)) / 1000;
        let failing = self.names.iter().filter(|(_, standing)| standing.failures > 0);
        let failing = failing.map(|(name, standing)| {
            (name.clone(), FailureRecord { failures: standing.failures, retry: seconds(standing.rests_until) })
        });
        let orders = self.orders.iter().map(|(then, _)| seconds(*then)).collect();
        // A rest that is over is none, wherever the wall clock goes.
        let rests_until = if self.rests_until > on(now) { seconds(self.rests_until) } else { 0 };
        OrderRecord { orders, failing: failing.collect(), rests_until }
    }
}

/// Milliseconds until a time of day, and no more than a pause can be.
fn until(then: i64, wall: i64, longest: Millis) -> i64 {
    then.saturating_sub(wall).saturating_mul(1000).clamp(0, on(longest))
}

#[cfg(test)]
mod tests;
