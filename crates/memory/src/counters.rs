//! Counters: what the proxy writes and everything else reads. The only atomics.
//!
//! They only grow, and they outlive a reload: the guard's windows are differences of the same numbers that Prometheus
//! shows. Each worker has its own shard, so an increment contends with no other core. A shard's cell is created by its
//! first request, so a thousand services without traffic cost nothing.

mod certificate_standing;
mod check_gauges;
mod cohort_ring;
mod counted;
mod distinct_keys;
mod endpoint_limit;
mod endpoint_rest;
mod forward_auth_counters;
mod guard_gauges;
mod held_requests;
mod mirror_counters;
mod notice_counters;
mod ordinals;
mod own_answers;
mod process_counters;
mod rate_limiter;
mod refusal_reasons;
mod rescue_budget;
mod route_counters;
mod sidecar_alarm;
mod split_counters;
mod suite_gauges;
mod worker_count;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use judgement::traffic::Environment;
use judgement::traffic::split::TrafficSplit;
use parking_lot::Mutex;

pub use certificate_standing::CertificateStanding;
pub use check_gauges::CheckGauges;
pub use counted::CountedSoFar;
pub use distinct_keys::DistinctKeys;
pub use endpoint_limit::{EndpointLimit, EndpointLimits, EndpointSlot, QueuePlace};
pub use endpoint_rest::EndpointRest;
pub use forward_auth_counters::{ForwardAuthCounters, ForwardAuthOutcome};
pub use guard_gauges::{FigureGauge, GuardGauges};
pub use held_requests::{HeldPlace, HeldRequests};
pub use mirror_counters::MirrorCounters;
pub use notice_counters::NoticeCounters;
pub use ordinals::OrdinalCounter;
pub use own_answers::{OwnAnswer, OwnAnswerCounters};
pub use process_counters::{ProcessCounters, count, is_raised, raise, read, set};
pub use rate_limiter::{RATE_LIMIT_KEYS, RateLimiter, RateLimiters, RequestRate};
pub use refusal_reasons::RefusalReason;
pub use rescue_budget::RescueBudget;
pub use route_counters::{
    AttemptFailure, AttemptOutcome, LatencyTotals, ResponseClass, RouteCounters, RouteTotals, client_group,
};
pub use sidecar_alarm::SidecarAlarm;
pub use split_counters::{SplitArrival, SplitCounters, SplitTally};
pub use suite_gauges::SuiteGauges;

/// A worker's index in every sharded counter: only that worker's thread counts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(pub usize);

/// Every counter by name, for as long as the process lives. Its locks are taken at a reload and at a scrape, never by a
/// request: a snapshot holds the counters that its routes need.
#[derive(Debug)]
pub struct Counters {
    shards: usize,
    routes: Mutex<BTreeMap<(String, String), Arc<RouteCounters>>>,
    turns: Mutex<BTreeMap<(String, String), Arc<OrdinalCounter>>>,
    budgets: Mutex<BTreeMap<String, Arc<RescueBudget>>>,
    keys: Mutex<BTreeMap<String, Arc<DistinctKeys>>>,
    splits: split_counters::SplitRegister,
    mirrored: Mutex<BTreeMap<String, Arc<MirrorCounters>>>,
    held: Mutex<BTreeMap<String, Arc<HeldRequests>>>,
    /// By service and route.
    own_answers: Mutex<BTreeMap<(String, String), Arc<OwnAnswerCounters>>>,
    auth_answers: Mutex<BTreeMap<String, Arc<ForwardAuthCounters>>>,
    rollbacks: Mutex<BTreeMap<(String, String), u64>>,
    judged: Mutex<BTreeMap<String, GuardGauges>>,
    certificates: Mutex<BTreeMap<PathBuf, i64>>,
    /// By name.
    certificate_standings: Mutex<BTreeMap<String, CertificateStanding>>,
    notices: Mutex<BTreeMap<String, Arc<NoticeCounters>>>,
    /// By service, environment and check.
    health: Mutex<BTreeMap<(String, Environment, String), CheckGauges>>,
    /// Failed rounds of all the checks that a service ever had, by [`Environment::index`].
    health_failures: Mutex<BTreeMap<String, [u64; 2]>>,
    /// By suite and service.
    suites: Mutex<BTreeMap<(String, String), SuiteGauges>>,
    pub limits: EndpointLimits,
    pub rate_limits: RateLimiters,
    pub process: ProcessCounters,
    pub alarm: SidecarAlarm,
}

impl Counters {
    pub fn new(shards: usize) -> Counters {
        Counters {
            shards,
            routes: Mutex::default(),
            turns: Mutex::default(),
            budgets: Mutex::default(),
            keys: Mutex::default(),
            splits: split_counters::SplitRegister::new(shards),
            mirrored: Mutex::default(),
            held: Mutex::default(),
            own_answers: Mutex::default(),
            auth_answers: Mutex::default(),
            rollbacks: Mutex::default(),
            judged: Mutex::default(),
            certificates: Mutex::default(),
            certificate_standings: Mutex::default(),
            notices: Mutex::default(),
            health: Mutex::default(),
            health_failures: Mutex::default(),
            suites: Mutex::default(),
            limits: EndpointLimits::default(),
            rate_limits: RateLimiters::default(),
            process: ProcessCounters::default(),
            alarm: SidecarAlarm::default(),
        }
    }

    pub fn route(&self, service: &str, route: &str) -> Arc<RouteCounters> {
        let key = (service.to_owned(), route.to_owned());
        self.routes.lock().entry(key).or_insert_with(|| Arc::new(RouteCounters::new(self.shards))).clone()
    }

    /// The sequence of this name within a service.
    pub fn turns(&self, service: &str, name: &str) -> Arc<OrdinalCounter> {
        let key = (service.to_owned(), name.to_owned());
        self.turns.lock().entry(key).or_insert_with(|| Arc::new(OrdinalCounter::new(self.shards))).clone()
    }

    pub fn budget(&self, service: &str) -> Arc<RescueBudget> {
        self.budgets.lock().entry(service.to_owned()).or_default().clone()
    }

    /// The sticky keys that a service's candidate has met.
    pub fn keys(&self, service: &str) -> Arc<DistinctKeys> {
        self.keys.lock().entry(service.to_owned()).or_default().clone()
    }

    /// Where the requests of this split are counted; `None` where the weight alone divides nobody.
    pub fn split_tally(&self, service: &str, split: &TrafficSplit) -> Option<SplitTally> {
        self.splits.tally(service, split)
    }

    /// What was counted for this split's rollout; `None` before its first weight.
    pub fn split(&self, service: &str, split: &TrafficSplit) -> Option<Arc<SplitCounters>> {
        self.splits.counted(service, split)
    }

    /// What has become of the copies of a service's requests.
    pub fn mirrored(&self, service: &str) -> Arc<MirrorCounters> {
        self.mirrored.lock().entry(service.to_owned()).or_default().clone()
    }

    /// The same for every service that was ever loaded.
    pub fn all_mirrored(&self) -> BTreeMap<String, Arc<MirrorCounters>> {
        self.mirrored.lock().clone()
    }

    /// The requests of a service that wait while it is held.
    pub fn held(&self, service: &str) -> Arc<HeldRequests> {
        self.held.lock().entry(service.to_owned()).or_default().clone()
    }

    /// What a route has answered itself.
    pub fn own_answers(&self, service: &str, route: &str) -> Arc<OwnAnswerCounters> {
        let key = (service.to_owned(), route.to_owned());
        self.own_answers.lock().entry(key).or_default().clone()
    }

    /// The same for every route that was ever loaded.
    pub fn all_own_answers(&self) -> BTreeMap<(String, String), Arc<OwnAnswerCounters>> {
        self.own_answers.lock().clone()
    }

    /// What the auth services of a service's routes have said.
    pub fn auth_answers(&self, service: &str) -> Arc<ForwardAuthCounters> {
        self.auth_answers.lock().entry(service.to_owned()).or_default().clone()
    }

    /// The same for every service that was ever loaded.
    pub fn all_auth_answers(&self) -> BTreeMap<String, Arc<ForwardAuthCounters>> {
        self.auth_answers.lock().clone()
    }

    /// Counts a rollback by the name of its reason.
    pub fn count_rollback(&self, service: &str, reason: &str) {
        *self.rollbacks.lock().entry((service.to_owned(), reason.to_owned())).or_default() += 1;
    }

    /// Begins to count rollbacks for a reason at 0: whoever looks at the increase of a counter misses the one with which it
    /// appears.
    pub fn expect_rollbacks(&self, service: &str, reason: &str) {
        self.rollbacks.lock().entry((service.to_owned(), reason.to_owned())).or_default();
    }

    pub fn rollbacks(&self) -> BTreeMap<(String, String), u64> {
        self.rollbacks.lock().clone()
    }

    /// Changes what is shown of the judge's view of a service. Called by the sidecar.
    pub fn judge(&self, service: &str, change: impl FnOnce(&mut GuardGauges)) {
        let mut judged = self.judged.lock();
        // This runs fifty times a second for every live service, so its name is copied only once.
        match judged.get_mut(service) {
            Some(judged) => change(judged),
            None => change(judged.entry(service.to_owned()).or_default()),
        }
    }

    pub fn judged(&self) -> BTreeMap<String, GuardGauges> {
        self.judged.lock().clone()
    }

    /// The result of a check; `None` if the check is gone.
    pub fn set_health(&self, service: &str, side: Environment, check: &str, health: Option<CheckGauges>) {
        let key = (service.to_owned(), side, check.to_owned());
        let mut all = self.health.lock();
        match health {
            Some(health) => {
                // A check that starts again counts from zero.
                let before = all.insert(key, health).map_or(0, |before| before.lost);
                let new = health.lost.checked_sub(before).unwrap_or(health.lost);
                if new > 0 {
                    let mut failures = self.health_failures.lock();
                    *side.of_mut(failures.entry(service.to_owned()).or_default()) += new;
                }
            }
            None => {
                all.remove(&key);
            }
        }
    }

    /// Rounds of a service's health checks in which every address failed, since the process started, by
    /// [`Environment::index`].
    pub fn health_failures(&self, service: &str) -> [u64; 2] {
        self.health_failures.lock().get(service).copied().unwrap_or_default()
    }

    pub fn health(&self) -> BTreeMap<(String, Environment, String), CheckGauges> {
        self.health.lock().clone()
    }

    /// Changes the figures of a suite and a service.
    pub fn suite(&self, suite: &str, service: &str, change: impl FnOnce(&mut SuiteGauges)) {
        change(self.suites.lock().entry((suite.to_owned(), service.to_owned())).or_default());
    }

    /// Keeps the figures of the suites for which this is so.
    pub fn retain_suites(&self, mut keep: impl FnMut(&str, &mut SuiteGauges) -> bool) {
        self.suites.lock().retain(|(suite, _), gauges| keep(suite, gauges));
    }

    pub fn suites(&self) -> BTreeMap<(String, String), SuiteGauges> {
        self.suites.lock().clone()
    }

    /// When the certificate of a file ends, in seconds since 1970.
    pub fn set_certificate_end(&self, file: &Path, end: i64) {
        self.certificates.lock().insert(file.to_owned(), end);
    }

    /// A certificate is no longer used.
    pub fn forget_certificate(&self, file: &Path) {
        self.certificates.lock().remove(file);
    }

    pub fn certificate_end(&self, file: &Path) -> Option<i64> {
        self.certificates.lock().get(file).copied()
    }

    pub fn certificates(&self) -> BTreeMap<PathBuf, i64> {
        self.certificates.lock().clone()
    }

    /// Every name that a CA is asked for.
    pub fn set_certificate_standings(&self, all: BTreeMap<String, CertificateStanding>) {
        *self.certificate_standings.lock() = all;
    }

    pub fn certificate_standings(&self) -> BTreeMap<String, CertificateStanding> {
        self.certificate_standings.lock().clone()
    }

    /// What became of the notices to a receiver.
    pub fn notices(&self, sink: &str) -> Arc<NoticeCounters> {
        self.notices.lock().entry(sink.to_owned()).or_default().clone()
    }

    /// The same for every receiver.
    pub fn sinks(&self) -> BTreeMap<String, Arc<NoticeCounters>> {
        self.notices.lock().clone()
    }

    /// Every route that was ever loaded: `(service, route)` and its counters.
    pub fn routes(&self) -> Vec<((String, String), Arc<RouteCounters>)> {
        self.routes.lock().iter().map(|(key, counters)| (key.clone(), counters.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::guard::shape::{BodyShape, MediaKind, Oddity, ShapeMemory};
    use judgement::guard::window::{AnswerCounts, CLIENTS, ClientImpact, JudgedTotals};
    use judgement::time::Millis;

    fn outcome(status: u16) -> AttemptOutcome {
        let failure = (status >= 500).then(|| AttemptFailure::of_status(status));
        let (class, is_refusal) = (ResponseClass::of_status(status), status == 404);
        let (body, is_loop) = (None, false);
        AttemptOutcome {
            class,
            failure,
            is_refusal,
            body,
            is_loop,
            client: 3,
            upstream_micros: 1000,
            request_micros: 2000,
        }
    }

    #[test]
    fn totals_leave_out_overrides_and_clients_that_hung_up() {
        let counters = Counters::new(2);
        let route = counters.route("shop", "api");
        for shard in [Shard(0), Shard(1)] {
            route.record(shard, Environment::Green, true, outcome(200));
            route.record(shard, Environment::Green, true, outcome(503));
            route.record(shard, Environment::Green, false, outcome(500));
        }
        let aborted = AttemptOutcome { class: ResponseClass::Aborted, failure: None, ..outcome(200) };
        route.record(Shard(0), Environment::Green, true, aborted);
        let totals = counters.route("shop", "api").totals(Environment::Green);
        assert_eq!(totals.counts, AnswerCounts { answers: 4, failed: 2, unavailable: 2 });
        assert_eq!(totals.latency.iter().sum::<u64>(), 2, "failures and aborts have no latency");
        assert_eq!(
            totals.tally,
            ClientImpact { requests: 5, left: 1, ..ClientImpact::default() },
            "who hung up was a request all the same"
        );
        assert_eq!(route.answers(Environment::Green), 4);
        let seen = route.seen(Environment::Green).unwrap();
        assert_eq!(seen.classes, [0, 2, 0, 0, 4, 0, 1]);
        assert_eq!(route.seen(Environment::Blue), None);
    }

    #[test]
    fn a_tally_sums_the_shards_and_leaves_out_overrides() {
        let route = RouteCounters::new(2);
        let side = Environment::Green;
        for shard in [Shard(0), Shard(1)] {
            route.record(shard, side, true, outcome(503));
            route.record_rescue(shard, side, true);
            route.record_saved(shard, side, true);
            route.record_hurt(shard, side, true);
            route.record_hurt(shard, side, false);
            route.record_turned_away(shard, side);
            route.send(shard, side, 150_000);
        }
        route.end(Shard(1), side, 150_000, 160_000);
        let totals = route.totals(side);
        assert_eq!(totals.tally, ClientImpact { requests: 2, left: 0, rescued: 2, saved: 2, hurt: 2, turned_away: 2 });
        assert_eq!((totals.cohorts.sent[1], totals.cohorts.ended[1]), (2, 1));
        let seen = route.seen(side).unwrap();
        assert_eq!((seen.rescued, seen.hurt, seen.turned_away), (2, 4, 2), "Prometheus sees them all");
    }

    #[test]
    fn a_response_is_odd_by_what_is_usual_on_its_route() {
        let route = RouteCounters::new(2);
        let answer = |side: Environment, media: MediaKind, is_loop: bool| {
            let body = Some(BodyShape { media, length: Some(1000), is_coded: false, waited: Millis::ZERO });
            let outcome = AttemptOutcome { body, is_loop, ..outcome(200) };
            route.record(Shard(1), side, true, outcome);
            route.totals(side)
        };
        assert_eq!(answer(Environment::Green, MediaKind::Html, false).odd, [0; CLIENTS], "nothing is known yet");
        for _ in 0..300 {
            answer(Environment::Blue, MediaKind::Json, false);
        }
        let memory = ShapeMemory::new(Millis::ZERO, &route.totals(Environment::Blue).shapes);
        route.set_usual(memory.usual());
        assert_eq!(answer(Environment::Green, MediaKind::Json, false).odd, [0; CLIENTS]);
        let totals = answer(Environment::Green, MediaKind::Html, false);
        assert_eq!((totals.odd[3], totals.oddities[Oddity::Media as usize]), (1, 1));
        let totals = answer(Environment::Green, MediaKind::Json, true);
        assert_eq!((totals.odd[3], totals.oddities[Oddity::Loop as usize]), (2, 1));
    }

    #[test]
    fn a_shard_that_does_not_exist_counts_nothing_and_breaks_nothing() {
        let route = RouteCounters::new(1);
        route.record(Shard(7), Environment::Blue, true, outcome(200));
        assert_eq!(route.totals(Environment::Blue), JudgedTotals::default());
    }

    #[test]
    fn the_rescue_budget_is_a_hundred_or_a_fifth_in_ten_seconds() {
        let budget = RescueBudget::default();
        let taken = |at: u64, answers: u64| (0..10_000).filter(|_| budget.take(Millis(at), || answers)).count();
        assert_eq!(taken(1_000, 0), 100);
        assert_eq!(taken(5_000, 0), 0, "spent");
        let next = RescueBudget::default();
        assert!(next.take(Millis(20_000), || 1_000));
        let left = (0..10_000).filter(|_| next.take(Millis(21_000), || 11_000)).count();
        let idle = RescueBudget::default();
        assert!(idle.take(Millis(100_000), || 10_000), "a hundred a second, long ago");
        let burst = (0..10_000).filter(|_| idle.take(Millis(100_001), || 10_000)).count();
        assert_eq!(burst, 199, "a fifth of a window's worth, not of everything since");
        assert_eq!(left, 1_999, "a fifth of the ten thousand answered since");
    }

    #[test]
    fn the_alarm_is_heard_once_until_it_is_quiet() {
        let alarm = SidecarAlarm::default();
        assert!(alarm.ring() && !alarm.ring());
        alarm.quiet();
        assert!(alarm.ring());
    }
}
