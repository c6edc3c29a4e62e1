//! Drives a load: whichever user is free sends the next request that is due.
//!
//! An open loop: the schedule says when requests are due, whatever the answers do. If no user is free a request waits,
//! and its latency still counts from when it was due. Users take turns, so that all of them are used; each opens its
//! connection with its first request and keeps it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::load::requests::RequestMix;
use crate::load::schedule::LoadSchedule;
use crate::load::tally::{LoadTally, RequestOutcome, SettledRequest};
use crate::target::{TestTarget, late};
use config::suite::LoadTest;
use memory::clock;
use memory::snapshot::Endpoint;
use relay::origin::Connector;
use relay::origin::exchange::{ConnectionReuse, exchange};

/// How often the clock is checked when nothing happens: for the end, and for the requests in flight at the end of a
/// second.
const LOOK: Duration = Duration::from_millis(20);

pub struct LoadDriver {
    schedule: LoadSchedule,
    mix: RequestMix,
    tally: LoadTally,
    connector: Arc<Connector>,
    /// By user: each has its own connection.
    endpoints: Vec<Arc<Endpoint>>,
    /// The users that have been idle longest come first.
    free: VecDeque<usize>,
    /// By user: its request in flight.
    busy: Vec<Option<InFlight>>,
    asking: JoinSet<CompletedRequest>,
    /// The next request.
    next: u64,
    /// When a request last found no free user, in schedule time.
    short: Option<u64>,
    /// When the load ends whatever is unanswered, in schedule time.
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// When it was due, in schedule time.
    at: u64,
    counts: bool,
    /// When a user picked it up.
    taken: u64,
    kind: usize,
    neglected: bool,
}

/// The result of a request. Times are those of the clock.
struct CompletedRequest {
    user: usize,
    began: u64,
    ended: u64,
    answer: Result<u16, (&'static str, String)>,
}

/// Runs a load on its own thread and runtime: its measurements would suffer if others made it
/// wait, and they would wait for it. It takes one core at most. `None`: `stop` ended it.
///
/// # Errors
/// It cannot start.
pub fn work(
    load: &LoadTest,
    target: &TestTarget,
    schedule: LoadSchedule,
    mix: RequestMix,
    mut stop: oneshot::Receiver<Infallible>,
) -> Result<Option<LoadTally>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the load generator: {error}"))?;
    let done = runtime.block_on(async {
        let driver = LoadDriver::new(load, target, schedule, mix)?;
        Ok(tokio::select! {
            biased;
            _ = &mut stop => None,
            tally = driver.run() => Some(tally),
        })
    });
    // Kept-alive connections have tasks that need not be waited for.
    runtime.shutdown_background();
    done
}

/// Wakes the driver whenever a request is due: the runtime's own timers have a resolution of milliseconds. Ends with
/// the schedule, or when the sender of `stopped` is dropped.
fn beat(schedule: &LoadSchedule, origin: u64, wake: &Notify, stopped: &mpsc::Receiver<Infallible>) {
    let mut next = 0;
    while next < schedule.total() {
        let wait = (origin + schedule.at(next)).saturating_sub(clock::micros());
        match stopped.recv_timeout(Duration::from_micros(wait)) {
            Err(mpsc::RecvTimeoutError::Timeout) => wake.notify_one(),
            Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let now = clock::micros();
        while next < schedule.total() && origin + schedule.at(next) <= now {
            next += 1;
        }
    }
}

impl LoadDriver {
    fn new(
        load: &LoadTest,
        target: &TestTarget,
        schedule: LoadSchedule,
        mix: RequestMix,
    ) -> Result<LoadDriver, String> {
        let patience = u64::try_from(mix.longest_patience().as_millis()).unwrap_or(u64::MAX);
        let users = load.users as usize;
        let addresses = target.endpoints.iter().cycle().take(users).cloned();
        let own = addresses.zip(0..).map(|(mut endpoint, user): (Endpoint, u64)| {
            // The key by which kept-alive connections are found.
            endpoint.connection_key = endpoint.connection_key.wrapping_add(user);
            Arc::new(endpoint)
        });
        let endpoints: Vec<_> = own.collect();
        if endpoints.is_empty() {
            return Err("the environment has no address: its name does not resolve".to_owned());
        }
        Ok(LoadDriver {
            end: schedule.micros() + patience * 1000,
            tally: LoadTally::new(load, load.length.0 + patience)?,
            connector: Arc::new(Connector::new(users)),
            free: (0..endpoints.len()).collect(),
            busy: vec![None; endpoints.len()],
            endpoints,
            schedule,
            mix,
            asking: JoinSet::new(),
            next: 0,
            short: None,
        })
    }

    async fn run(mut self) -> LoadTally {
        let (wake, origin) = (Arc::new(Notify::new()), clock::micros());
        // Dropped with this future.
        let (_beating, stopped) = mpsc::channel::<Infallible>();
        let (schedule, woken) = (self.schedule.clone(), wake.clone());
        tokio::task::spawn_blocking(move || beat(&schedule, origin, &woken, &stopped));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut row = 0;
        loop {
            let now = clock::micros() - origin;
            while now >= self.schedule.warm_micros() + (row as u64 + 1) * self.tally.row_micros() {
                self.tally.in_flight(row, self.asking.len());
                row += 1;
            }
            self.send(now);
            let all_sent = self.next >= self.schedule.total();
            if now >= self.end || (all_sent && self.asking.is_empty() && now >= self.schedule.micros()) {
                break;
            }
            tokio::select! {
                Some(ended) = self.asking.join_next() => {
                    self.outcome(ended.ok(), origin);
                    while let Some(ended) = self.asking.try_join_next() {
                        self.outcome(ended.ok(), origin);
                    }
                }
                () = wake.notified() => {}
                _ = look.tick() => {}
            }
        }
        self.give_up(clock::micros() - origin);
        self.tally
    }

    /// Counts the next request as due, and says whether it is after the warm-up.
    fn due(&mut self, at: u64) -> bool {
        let counts = self.next >= self.schedule.first();
        self.next += 1;
        if counts {
            self.tally.due(at.saturating_sub(self.schedule.warm_micros()));
        }
        counts
    }

    /// Sends every request that is due, as far as users are free.
    fn send(&mut self, now: u64) {
        // Requests of the warm-up that no user was free to send are dropped: they would delay the requests that count,
        // and be answered in their time.
        if now >= self.schedule.warm_micros() {
            self.next = self.next.max(self.schedule.first());
        }
        while self.next < self.schedule.total() {
            let at = self.schedule.at(self.next);
            if at > now {
                return;
            }
            let Some(user) = self.free.pop_front() else {
                self.short = Some(now);
                return;
            };
            let counts = self.due(at);
            let neglected = self.short.is_none_or(|short| short < at);
            let (kind, request) = self.mix.next();
            let asked = InFlight { at, counts, taken: now, kind, neglected };
            let (Ok(request), Some(endpoint)) = (&request, self.endpoints.get(user)) else {
                self.free.push_front(user);
                let why = request.err().unwrap_or_default();
                self.settle(asked, None, now, Err(("request", why)));
                continue;
            };
            if let Some(busy) = self.busy.get_mut(user) {
                *busy = Some(asked);
            }
            let (connector, endpoint, request) = (self.connector.clone(), endpoint.clone(), request.clone());
            let patience = self.mix.patience(kind);
            self.asking.spawn(async move {
                let began = clock::micros();
                // Bodies are read and discarded: those of a thousand users would take much memory.
                let asking = exchange(&connector, &endpoint, &request, ConnectionReuse::Measured, 0);
                let answer = match timeout(patience, asking).await {
                    Ok(Ok(answer)) => Ok(answer.status),
                    Ok(Err(error)) => Err((error.kind(), error.as_predicate())),
                    Err(_) => Err(("timeout", late(patience))),
                };
                CompletedRequest { user, began, ended: clock::micros(), answer }
            });
        }
    }

    /// `None`: its task failed; it is given up with those that are never answered.
    fn outcome(&mut self, ended: Option<CompletedRequest>, origin: u64) {
        let Some(CompletedRequest { user, began, ended, answer }) = ended else { return };
        if let Some(asked) = self.busy.get_mut(user).and_then(Option::take) {
            self.settle(asked, Some(began - origin), ended - origin, answer);
        }
        self.free.push_back(user);
    }

    fn settle(&mut self, asked: InFlight, began: Option<u64>, ended: u64, answer: Result<u16, (&'static str, String)>) {
        if !asked.counts {
            return;
        }
        let name = self.mix.name(asked.kind);
        let outcome = match answer {
            Ok(status) => match self.mix.accepts(asked.kind, status) {
                Ok(()) => RequestOutcome::Well(status),
                Err(why) => RequestOutcome::Wrong(status, format!("{name}: {why}")),
            },
            Err((kind, why)) => RequestOutcome::Nothing(kind, format!("{name}: {why}")),
        };
        self.tally.settle(&self.settled(&asked, began, ended, &outcome));
    }

    fn settled<'a>(
        &self,
        asked: &InFlight,
        began: Option<u64>,
        ended: u64,
        outcome: &'a RequestOutcome,
    ) -> SettledRequest<'a> {
        let warm = self.schedule.warm_micros();
        SettledRequest {
            intended: asked.at.saturating_sub(warm),
            began: began.map(|began| began.saturating_sub(warm)),
            ended: ended.saturating_sub(warm),
            neglected: asked.neglected,
            outcome,
        }
    }

    /// At the end, unanswered requests have timed out, and those not yet sent never are.
    fn give_up(&mut self, now: u64) {
        let busy: Vec<InFlight> = self.busy.iter_mut().filter_map(Option::take).collect();
        for asked in busy {
            if asked.counts {
                self.tally.settle(&self.settled(&asked, Some(asked.taken), now, &RequestOutcome::CutOff));
            }
        }
        while self.next < self.schedule.total() {
            let at = self.schedule.at(self.next);
            let counts = self.due(at);
            let asked = InFlight { at, counts, taken: now, kind: 0, neglected: false };
            self.settle(asked, None, now, Err(("unsent", "never sent: no user was free in time".to_owned())));
        }
    }
}
