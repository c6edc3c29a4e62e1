//! What is counted for one environment on one route: classes, failures by cause, rescues, latencies, cohorts.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::counters::Shard;
use crate::counters::cohort_ring::CohortRing;
use crate::counters::worker_count::{SmallWorkerCount, WorkerCount};
use judgement::guard::latency::{BUCKETS, bucket_of};
use judgement::guard::shape::{BodyShape, MEDIA_KINDS, ODDITIES, Oddity, POWERS, ShapeCounts, UsualShape};
use judgement::guard::window::{AnswerCounts, CLIENTS, JudgedTotals};
use judgement::traffic::Environment;
use strum::{IntoStaticStr, VariantArray};

/// How an attempt at an environment ended, as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ResponseClass {
    #[strum(serialize = "1xx")]
    Informational,
    #[strum(serialize = "2xx")]
    Success,
    #[strum(serialize = "3xx")]
    Redirect,
    #[strum(serialize = "4xx")]
    ClientError,
    #[strum(serialize = "5xx")]
    ServerError,
    /// No response arrived: see the cause of the failure.
    None,
    /// The client hung up first, so it counts for neither side.
    Aborted,
}

impl ResponseClass {
    pub const ALL: &'static [ResponseClass] = ResponseClass::VARIANTS;

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    pub const fn of_status(status: u16) -> ResponseClass {
        match status {
            0..=199 => ResponseClass::Informational,
            200..=299 => ResponseClass::Success,
            300..=399 => ResponseClass::Redirect,
            400..=499 => ResponseClass::ClientError,
            _ => ResponseClass::ServerError,
        }
    }
}

/// Why an attempt counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AttemptFailure {
    /// No connection, or no address to connect to.
    Connect,
    Tls,
    Timeout,
    /// Too many requests at once: it waited too long for one of them to end, or had no room to wait.
    Busy,
    /// The same, while clients that did not read their responses or send their requests held most of its places. Not
    /// judged: anybody could do that to any environment.
    Held,
    /// This process could not open a connection, for want of descriptors, ports or memory. Not judged: no environment is
    /// to blame.
    Exhausted,
    /// Closed or broken before the response head was complete, or not HTTP.
    Reset,
    /// A kept connection was closed under a request that may not be sent twice. Not judged: the origin had done nothing
    /// wrong, and may not have seen it.
    Stale,
    /// Closed or broken in mid-body: the client has seen a status that said otherwise.
    Truncated,
    /// 502, 503 or 504.
    Unavailable,
    /// Any other status that counts as a failure on the route: by default, any other 5xx.
    Error,
    /// The origin said so itself, by the route's `failure_header`, whatever the status.
    Reported,
}

impl AttemptFailure {
    pub const ALL: &'static [AttemptFailure] = AttemptFailure::VARIANTS;

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Whether it says anything of the environment.
    pub const fn is_judged(self) -> bool {
        !matches!(self, AttemptFailure::Held | AttemptFailure::Exhausted | AttemptFailure::Stale)
    }

    /// The failure that a status stands for where it counts as one.
    pub const fn of_status(status: u16) -> AttemptFailure {
        match status {
            502..=504 => AttemptFailure::Unavailable,
            _ => AttemptFailure::Error,
        }
    }

    /// The failure that a gRPC status stands for.
    pub const fn of_grpc(status: u8) -> AttemptFailure {
        match status {
            4 => AttemptFailure::Timeout,
            14 => AttemptFailure::Unavailable,
            _ => AttemptFailure::Error,
        }
    }

    const fn is_unavailable(self) -> bool {
        !matches!(self, AttemptFailure::Truncated | AttemptFailure::Error | AttemptFailure::Reported)
    }
}

/// One attempt at an environment.
#[derive(Clone, Copy, Debug)]
pub struct AttemptOutcome {
    pub class: ResponseClass,
    pub failure: Option<AttemptFailure>,
    /// The status refuses the client or sends it elsewhere, by the route's rules: 4xx, and 3xx but for 304, unless it is
    /// a failure or ignored.
    pub is_refusal: bool,
    /// What can be compared of a response with success; of a client that left, how long its body had taken by then.
    pub body: Option<BodyShape>,
    /// A redirect to the address that was asked for.
    pub is_loop: bool,
    /// The group that the client falls into by its address, see [`client_group`].
    pub client: u8,
    /// From dispatch to the response head, in microseconds; counted for responses that did not fail.
    pub upstream_micros: u64,
    /// From the request's head to the end of the response, in microseconds; zero if the other environment answered the
    /// client.
    pub request_micros: u64,
}

/// Latencies by bucket, and their sum in microseconds.
#[derive(Debug)]
struct Histogram {
    buckets: [WorkerCount; BUCKETS],
    sum: WorkerCount,
}

impl Histogram {
    const fn new() -> Histogram {
        Histogram { buckets: [const { WorkerCount::zero() }; BUCKETS], sum: WorkerCount::zero() }
    }

    #[inline]
    fn record(&self, micros: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.add(1);
        }
        self.sum.add(micros);
    }

    fn add_to(&self, seen: &mut LatencyTotals) {
        seen.sum_micros += self.sum.read();
        seen.buckets.iter_mut().zip(&self.buckets).for_each(|(sum, part)| *sum += part.read());
    }
}

/// One shard's counts for one environment on one route. Padded to two cache lines, because neighbours are fetched in
/// pairs.
#[derive(Debug)]
#[repr(align(128))]
struct RouteCell {
    classes: [WorkerCount; ResponseClass::ALL.len()],
    failures: [WorkerCount; AttemptFailure::ALL.len()],
    refusals: [SmallWorkerCount; CLIENTS],
    clients: WorkerCount,
    shapes: ShapeCell,
    rescued: WorkerCount,
    saved: WorkerCount,
    hurt: WorkerCount,
    turned_away: WorkerCount,
    skewed: WorkerCount,
    /// Those that are open.
    tunnels: WorkerCount,
    cohorts: CohortRing,
    upstream: Histogram,
    request: Histogram,
}

impl RouteCell {
    fn new() -> Box<RouteCell> {
        Box::new(RouteCell {
            classes: [const { WorkerCount::zero() }; ResponseClass::ALL.len()],
            failures: [const { WorkerCount::zero() }; AttemptFailure::ALL.len()],
            refusals: [const { SmallWorkerCount::zero() }; CLIENTS],
            clients: WorkerCount::zero(),
            shapes: ShapeCell::new(),
            rescued: WorkerCount::zero(),
            saved: WorkerCount::zero(),
            hurt: WorkerCount::zero(),
            turned_away: WorkerCount::zero(),
            skewed: WorkerCount::zero(),
            tunnels: WorkerCount::zero(),
            cohorts: CohortRing::new(),
            upstream: Histogram::new(),
            request: Histogram::new(),
        })
    }
}

/// One shard's responses by shape, and those that were odd.
#[derive(Debug)]
struct ShapeCell {
    media: [SmallWorkerCount; MEDIA_KINDS],
    lengths: [SmallWorkerCount; POWERS],
    coded: [SmallWorkerCount; POWERS],
    times: [SmallWorkerCount; POWERS],
    odd: [SmallWorkerCount; CLIENTS],
    oddities: [SmallWorkerCount; ODDITIES],
}

impl ShapeCell {
    const fn new() -> ShapeCell {
        ShapeCell {
            media: [const { SmallWorkerCount::zero() }; MEDIA_KINDS],
            lengths: [const { SmallWorkerCount::zero() }; POWERS],
            coded: [const { SmallWorkerCount::zero() }; POWERS],
            times: [const { SmallWorkerCount::zero() }; POWERS],
            odd: [const { SmallWorkerCount::zero() }; CLIENTS],
            oddities: [const { SmallWorkerCount::zero() }; ODDITIES],
        }
    }

    #[inline]
    fn record(&self, body: &BodyShape) {
        // How much of it would have come, nobody knows.
        let Some(length) = body.length else { return };
        let lengths = if body.is_coded && length > 0 { &self.coded } else { &self.lengths };
        let counts = [
            self.media.get(body.media as usize),
            body.length_power().and_then(|power| lengths.get(power)),
            body.time_power().and_then(|power| self.times.get(power)),
        ];
        counts.into_iter().flatten().for_each(SmallWorkerCount::count);
    }

    #[cold]
    fn record_odd(&self, client: u8, oddity: Oddity) {
        let counts = [self.odd.get(usize::from(client)), self.oddities.get(oddity as usize)];
        counts.into_iter().flatten().for_each(SmallWorkerCount::count);
    }

    fn add_to(&self, totals: &mut JudgedTotals) {
        let JudgedTotals { shapes: ShapeCounts { media, lengths, coded, times }, odd, oddities, .. } = totals;
        let sums = media.iter_mut().chain(lengths).chain(coded).chain(times).chain(odd).chain(oddities);
        let parts = self
            .media
            .iter()
            .chain(&self.lengths)
            .chain(&self.coded)
            .chain(&self.times)
            .chain(&self.odd)
            .chain(&self.oddities);
        sums.zip(parts).for_each(|(sum, part)| *sum = sum.wrapping_add(part.read()));
    }
}

/// The group that a client falls into by its address.
#[inline]
pub fn client_group(address: IpAddr) -> u8 {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        // Whoever has one address of a network has all of it.
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    };
    // Fibonacci hashing (Knuth, *The Art of Computer Programming* 3, 6.4): the highest bits of the product.
    (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - CLIENTS.ilog2())) as u8
}

impl RouteCell {
    /// A client of this group was answered.
    #[inline]
    fn saw(&self, client: u8, refused: bool) {
        let bit = 1 << (u64::from(client) % CLIENTS as u64);
        self.clients.note(bit);
        if let Some(count) = self.refusals.get(usize::from(client)).filter(|_| refused) {
            count.count();
        }
    }

    /// The counts that another process goes on from, each with what it counts and which of those.
    fn visit(&self, each: &mut impl FnMut(&'static str, &str, &WorkerCount)) {
        let RouteCell { classes, failures, rescued, saved, hurt, turned_away, skewed, upstream, request, .. } = self;
        ResponseClass::ALL.iter().zip(classes).for_each(|(class, count)| each("class", class.name(), count));
        AttemptFailure::ALL.iter().zip(failures).for_each(|(failure, count)| each("failure", failure.name(), count));
        let alone = [("rescued", rescued), ("saved", saved), ("hurt", hurt), ("turned_away", turned_away)];
        alone.into_iter().chain([("skewed", skewed)]).for_each(|(what, count)| each(what, "", count));
        for (what, histogram) in [("upstream", upstream), ("request", request)] {
            each(what, "sum", &histogram.sum);
            let buckets = histogram.buckets.iter().enumerate();
            buckets.for_each(|(place, count)| each(what, &place.to_string(), count));
        }
    }

    /// What was answered or failed, and what was aborted.
    fn requests(&self) -> (u64, u64) {
        ResponseClass::ALL.iter().zip(&self.classes).fold((0, 0), |(answers, aborted), (class, count)| match class {
            ResponseClass::Aborted => (answers, aborted + count.read()),
            _ => (answers + count.read(), aborted),
        })
    }

    fn activity(&self) -> u64 {
        let RouteCell { classes, failures, rescued, saved, hurt, turned_away, cohorts, .. } = self;
        let few = [rescued, saved, hurt, turned_away].into_iter().chain(classes).chain(failures);
        few.fold(cohorts.activity(), |sum, number| sum.wrapping_add(number.read()))
    }
}

/// Everything counted for one environment on one route, over all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTotals {
    pub classes: [u64; ResponseClass::ALL.len()],
    pub failures: [u64; AttemptFailure::ALL.len()],
    pub rescued: u64,
    /// Requests that went here first and whose clients saw a failure.
    pub hurt: u64,
    pub turned_away: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
    pub upstream: LatencyTotals,
    pub request: LatencyTotals,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyTotals {
    pub buckets: [u64; BUCKETS],
    pub sum_micros: u64,
}

impl Default for LatencyTotals {
    fn default() -> LatencyTotals {
        LatencyTotals { buckets: [0; BUCKETS], sum_micros: 0 }
    }
}

impl Default for RouteTotals {
    fn default() -> RouteTotals {
        RouteTotals {
            classes: [0; ResponseClass::ALL.len()],
            failures: [0; AttemptFailure::ALL.len()],
            rescued: 0,
            hurt: 0,
            turned_away: 0,
            tunnels: 0,
            upstream: LatencyTotals::default(),
            request: LatencyTotals::default(),
        }
    }
}

/// The counters of one route of one service.
#[derive(Debug)]
pub struct RouteCounters {
    /// By shard, then by environment and whether the guard judges: requests of override rules are kept apart.
    shards: Box<[[OnceLock<Box<RouteCell>>; 4]]>,
    /// [`UsualShape`]: seldom written, so that it stays in every core's cache.
    usual: AtomicU64,
}

impl RouteCounters {
    pub(super) fn new(shards: usize) -> RouteCounters {
        let usual = AtomicU64::new(UsualShape::UNKNOWN.bits());
        // One more, for what another process has counted.
        RouteCounters { shards: (0..=shards).map(|_| Default::default()).collect(), usual }
    }

    /// What active's responses look like, by which others are odd from now on.
    pub fn set_usual(&self, usual: UsualShape) {
        if self.usual() != usual {
            self.usual.store(usual.bits(), Relaxed);
        }
    }

    pub fn usual(&self) -> UsualShape {
        UsualShape::from_bits(self.usual.load(Relaxed))
    }

    #[inline]
    fn cell(&self, shard: Shard, environment: Environment, judged: bool) -> Option<&RouteCell> {
        let place = environment.index() * 2 + usize::from(judged);
        self.shards.get(shard.0)?.get(place).map(|cell| &**cell.get_or_init(RouteCell::new))
    }

    /// Counts an attempt: a handful of increments on lines that only this worker writes.
    #[inline]
    pub fn record(&self, shard: Shard, environment: Environment, judged: bool, outcome: AttemptOutcome) {
        let Some(cell) = self.cell(shard, environment, judged) else { return };
        // These before the class, so that whoever sees the class finds them there too.
        if let Some(body) = &outcome.body {
            cell.shapes.record(body);
        }
        let odd = if outcome.is_loop { Some(Oddity::Loop) } else { None };
        if let Some(oddity) = odd.or_else(|| self.usual().oddity(outcome.body.as_ref()?)) {
            cell.shapes.record_odd(outcome.client, oddity);
        }
        if outcome.failure.is_none() && outcome.class != ResponseClass::Aborted {
            cell.upstream.record(outcome.upstream_micros);
        }
        if let Some(class) = cell.classes.get(outcome.class as usize) {
            class.add(1);
        }
        if let Some(count) = outcome.failure.and_then(|failure| cell.failures.get(failure as usize)) {
            count.add(1);
        }
        if outcome.class != ResponseClass::Aborted {
            cell.saw(outcome.client, outcome.is_refusal);
        }
        if outcome.request_micros > 0 {
            cell.request.record(outcome.request_micros);
        }
    }

    /// Counts a failed attempt whose request was served again by the other environment.
    pub fn record_rescue(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.rescued.add(1);
        }
    }

    /// Counts a request that this environment failed and the other one did not.
    pub fn record_saved(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.saved.add(1);
        }
    }

    /// Counts a request that went to this environment first and whose client saw a failure.
    pub fn record_hurt(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.hurt.add(1);
        }
    }

    /// Counts a request that caution kept away from this environment.
    pub fn record_turned_away(&self, shard: Shard, environment: Environment) {
        if let Some(cell) = self.cell(shard, environment, true) {
            cell.turned_away.add(1);
        }
    }

    /// Counts a request that goes to this environment because its page came from there.
    pub fn record_skew(&self, shard: Shard, environment: Environment) {
        if let Some(cell) = self.cell(shard, environment, false) {
            cell.skewed.add(1);
        }
    }

    /// Requests that went to an environment because their page came from there, ever.
    pub fn skewed(&self, environment: Environment) -> u64 {
        self.cells(environment).map(|(cell, _)| cell.skewed.read()).sum()
    }

    /// A tunnel is opened.
    pub fn open_tunnel(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.tunnels.add(1);
        }
    }

    /// A tunnel that was opened has ended.
    pub fn close_tunnel(&self, shard: Shard, environment: Environment, judged: bool) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.tunnels.take_one();
        }
    }

    /// A judged request is sent. `at`: microseconds on the monotonic clock.
    #[inline]
    pub fn send(&self, shard: Shard, environment: Environment, at: u64) {
        if let Some(cell) = self.cell(shard, environment, true) {
            cell.cohorts.send(at);
        }
    }

    /// A judged request that was sent at `sent_at` is answered or given up at `at`.
    #[inline]
    pub fn end(&self, shard: Shard, environment: Environment, sent_at: u64, at: u64) {
        if let Some(cell) = self.cell(shard, environment, true) {
            cell.cohorts.end(sent_at, at);
        }
    }

    /// Every count of an environment that another process goes on from, with whether it is judged.
    pub(super) fn visit(&self, environment: Environment, each: &mut impl FnMut(bool, &'static str, &str, u64)) {
        for (cell, judged) in self.cells(environment) {
            cell.visit(&mut |what, which, count| each(judged, what, which, count.read()));
        }
    }

    /// Adds what another process has counted.
    pub(super) fn add(
        &self,
        shard: Shard,
        environment: Environment,
        judged: bool,
        counted: &impl Fn(&str, &str) -> u64,
    ) {
        if let Some(cell) = self.cell(shard, environment, judged) {
            cell.visit(&mut |what, which, count| _ = count.add(counted(what, which)));
        }
    }

    fn cells(&self, environment: Environment) -> impl Iterator<Item = (&RouteCell, bool)> {
        self.shards.iter().flat_map(move |shard| {
            [false, true].into_iter().filter_map(move |judged| {
                let cell = shard.get(environment.index() * 2 + usize::from(judged))?.get()?;
                Some((&**cell, judged))
            })
        })
    }

    /// All counts, judged or not; `None` if there are none.
    pub fn seen(&self, environment: Environment) -> Option<RouteTotals> {
        let mut all = None;
        for (cell, _) in self.cells(environment) {
            let seen = all.get_or_insert_with(RouteTotals::default);
            seen.classes.iter_mut().zip(&cell.classes).for_each(|(sum, part)| *sum += part.read());
            seen.failures.iter_mut().zip(&cell.failures).for_each(|(sum, part)| *sum += part.read());
            seen.rescued += cell.rescued.read();
            seen.hurt += cell.hurt.read();
            seen.turned_away += cell.turned_away.read();
            seen.tunnels += cell.tunnels.read();
            cell.upstream.add_to(&mut seen.upstream);
            cell.request.add_to(&mut seen.request);
        }
        all
    }

    /// A number that changes whenever [`judged`](RouteCounters::judged) may change: the sum of everything judged,
    /// except latencies, which come with the classes. Cheaper to read.
    pub fn activity(&self) -> u64 {
        let judged = Environment::BOTH.into_iter().flat_map(|side| self.cells(side)).filter(|(_, judged)| *judged);
        judged.fold(0, |sum, (cell, _)| sum.wrapping_add(cell.activity()))
    }

    /// Judged responses of an environment, ever.
    pub fn answers(&self, environment: Environment) -> u64 {
        let judged = self.cells(environment).filter(|(_, judged)| *judged);
        judged.map(|(cell, _)| cell.requests().0).sum()
    }

    /// What the guard judges by, for both environments; `None` if it has never had anything to judge.
    pub fn judged(&self) -> Option<[JudgedTotals; 2]> {
        let any = Environment::BOTH.into_iter().any(|side| self.cells(side).any(|(_, judged)| judged));
        any.then(|| Environment::BOTH.map(|side| self.totals(side)))
    }

    /// What the guard judges by, for one environment.
    pub fn totals(&self, environment: Environment) -> JudgedTotals {
        let mut totals = JudgedTotals::default();
        for (cell, _) in self.cells(environment).filter(|(_, judged)| *judged) {
            // Before the requests that they are part of.
            totals.tally.rescued += cell.rescued.read();
            totals.tally.saved += cell.saved.read();
            totals.tally.hurt += cell.hurt.read();
            totals.tally.turned_away += cell.turned_away.read();
            totals.clients |= cell.clients.read();
            let refusals = totals.refusals.iter_mut().zip(&cell.refusals);
            refusals.for_each(|(sum, part)| *sum = sum.wrapping_add(part.read()));
            cell.shapes.add_to(&mut totals);
            // Failures first: a response counted in between is then a good one, never a failure without a response.
            let mut counts = AnswerCounts::default();
            let failures = AttemptFailure::ALL.iter().zip(&cell.failures);
            for (failure, count) in failures.filter(|(failure, _)| failure.is_judged()) {
                let count = count.read();
                counts.failed += count;
                counts.unavailable += if failure.is_unavailable() { count } else { 0 };
            }
            let (answers, aborted) = cell.requests();
            totals.counts.answers += answers;
            totals.tally.requests += answers + aborted;
            totals.tally.left += aborted;
            totals.counts.failed += counts.failed;
            totals.counts.unavailable += counts.unavailable;
            let latency = totals.latency.iter_mut().zip(&cell.upstream.buckets);
            latency.for_each(|(sum, part)| *sum += part.read());
            cell.cohorts.add_to(&mut totals.cohorts);
        }
        totals
    }
}
