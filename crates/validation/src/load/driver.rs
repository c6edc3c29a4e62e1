//! The users of a load: whoever is free sends the next request whose moment has come.
//!
//! An open loop: the moments are the course's, whatever the answers do. If nobody is free a request waits, and its
//! latency counts all the same from the moment when it was to be sent. Users take turns, so that all of them are there;
//! each opens its connection with its first request, and keeps it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
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
use relay::origin::cause;
use relay::origin::exchange::{ConnectionReuse, exchange};

/// How often the crew looks at the clock when nothing happens: for the end, and for what is under way at a second's end.
const LOOK: Duration = Duration::from_millis(20);

/// Whoever waits for it learns that the load is to stop: nothing is ever sent.
#[derive(Debug)]
pub enum Infallible {}

pub struct LoadDriver {
    course: LoadSchedule,
    asks: RequestMix,
    tally: LoadTally,
    connector: Arc<Connector>,
    /// By user: each has a connection of its own.
    endpoints: Vec<Arc<Endpoint>>,
    /// Those who rest longest come first.
    free: VecDeque<usize>,
    /// By user: what it has asked and not heard.
    busy: Vec<Option<InFlight>>,
    asking: JoinSet<CompletedRequest>,
    /// The next request.
    next: u64,
    /// When a request last found nobody free, on the course's clock.
    short: Option<u64>,
    /// The load ends here whatever is unanswered, on the course's clock.
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// When it was to be sent, on the course's clock; the warm-up's do not count.
    at: u64,
    counts: bool,
    /// When a user took it.
    taken: u64,
    kind: usize,
    neglected: bool,
}

/// What a user comes back with. Times are the clock's.
struct CompletedRequest {
    user: usize,
    began: u64,
    ended: u64,
    answer: Result<u16, (&'static str, String)>,
}

/// A load from its beginning to its end, on a thread and a runtime of its own: it measures badly where others make it
/// wait, and they would wait for it. One core is the most that it takes. `None`: `stop` ended it.
///
/// # Errors
/// It cannot begin.
pub fn work(
    load: &LoadTest,
    target: &TestTarget,
    course: LoadSchedule,
    asks: RequestMix,
    mut stop: oneshot::Receiver<Infallible>,
) -> Result<Option<LoadTally>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("there is no thread for it: {error}"))?;
    let done = runtime.block_on(async {
        let crew = LoadDriver::new(load, target, course, asks)?;
        Ok(tokio::select! {
            biased;
            _ = &mut stop => None,
            tally = crew.run() => Some(tally),
        })
    });
    // Connections that are kept are watched by tasks that nobody needs to wait for.
    runtime.shutdown_background();
    done
}

/// Wakes the crew at every intended moment: the runtime's own timers know milliseconds only. Ends with the course, or
/// when the other end of `stopped` is gone.
fn beat(course: &LoadSchedule, origin: u64, wake: &Notify, stopped: &mpsc::Receiver<Infallible>) {
    let mut next = 0;
    while next < course.total() {
        let wait = (origin + course.at(next)).saturating_sub(clock::micros());
        match stopped.recv_timeout(Duration::from_micros(wait)) {
            Err(mpsc::RecvTimeoutError::Timeout) => wake.notify_one(),
            Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let now = clock::micros();
        while next < course.total() && origin + course.at(next) <= now {
            next += 1;
        }
    }
}

impl LoadDriver {
    fn new(load: &LoadTest, target: &TestTarget, course: LoadSchedule, asks: RequestMix) -> Result<LoadDriver, String> {
        let patience = u64::try_from(asks.longest_patience().as_millis()).unwrap_or(u64::MAX);
        let users = load.users as usize;
        let addresses = target.endpoints.iter().cycle().take(users).cloned();
        let own = addresses.zip(0..).map(|(mut endpoint, user): (Endpoint, u64)| {
            // Kept connections are found by this.
            endpoint.peer.group_key = endpoint.peer.group_key.wrapping_add(user);
            Arc::new(endpoint)
        });
        let endpoints: Vec<_> = own.collect();
        if endpoints.is_empty() {
            return Err("the environment has no address: its name does not resolve".to_owned());
        }
        Ok(LoadDriver {
            end: course.micros() + patience * 1000,
            tally: LoadTally::new(load, load.length.0 + patience)?,
            connector: Arc::new(Connector::new(Some(ConnectorOptions::new(users)))),
            free: (0..endpoints.len()).collect(),
            busy: vec![None; endpoints.len()],
            endpoints,
            course,
            asks,
            asking: JoinSet::new(),
            next: 0,
            short: None,
        })
    }

    async fn run(mut self) -> LoadTally {
        let (wake, origin) = (Arc::new(Notify::new()), clock::micros());
        // Dropped with this future.
        let (_beating, stopped) = mpsc::channel::<Infallible>();
        let (course, woken) = (self.course.clone(), wake.clone());
        tokio::task::spawn_blocking(move || beat(&course, origin, &woken, &stopped));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut row = 0;
        loop {
            let now = clock::micros() - origin;
            while now >= self.course.warm_micros() + (row as u64 + 1) * self.tally.row_micros() {
                self.tally.in_flight(row, self.asking.len());
                row += 1;
            }
            self.send(now);
            let all_sent = self.next >= self.course.total();
            if now >= self.end || (all_sent && self.asking.is_empty() && now >= self.course.micros()) {
                break;
            }
            tokio::select! {
                Some(ended) = self.asking.join_next() => {
                    self.heard(ended.ok(), origin);
                    while let Some(ended) = self.asking.try_join_next() {
                        self.heard(ended.ok(), origin);
                    }
                }
                () = wake.notified() => {}
                _ = look.tick() => {}
            }
        }
        self.give_up(clock::micros() - origin);
        self.tally
    }

    /// The next request's turn has come; whether it counts.
    fn due(&mut self, at: u64) -> bool {
        let counts = self.next >= self.course.first();
        self.next += 1;
        if counts {
            self.tally.due(at.saturating_sub(self.course.warm_micros()));
        }
        counts
    }

    /// Everything whose moment has come, as far as users are free.
    fn send(&mut self, now: u64) {
        // What nobody was free to send in the warm-up is left out: it would stand before the requests that count, and be
        // answered in their time.
        if now >= self.course.warm_micros() {
            self.next = self.next.max(self.course.first());
        }
        while self.next < self.course.total() {
            let at = self.course.at(self.next);
            if at > now {
                return;
            }
            let Some(user) = self.free.pop_front() else {
                self.short = Some(now);
                return;
            };
            let counts = self.due(at);
            let neglected = self.short.is_none_or(|short| short < at);
            let (kind, request) = self.asks.next();
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
            let patience = self.asks.patience(kind);
            self.asking.spawn(async move {
                let began = clock::micros();
                // Bodies are read and forgotten: a thousand users' would be much.
                let asking = exchange(&connector, &endpoint, &request, ConnectionReuse::Measured, 0);
                let answer = match timeout(patience, asking).await {
                    Ok(Ok(answer)) => Ok(answer.status),
                    Ok(Err(error)) => Err((cause::kind(&error), cause::as_predicate(&error))),
                    Err(_) => Err(("timeout", late(patience))),
                };
                CompletedRequest { user, began, ended: clock::micros(), answer }
            });
        }
    }

    /// `None`: it broke down, and is given up with those that never answer.
    fn heard(&mut self, ended: Option<CompletedRequest>, origin: u64) {
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
        let name = self.asks.name(asked.kind);
        let heard = match answer {
            Ok(status) => match self.asks.accepts(asked.kind, status) {
                Ok(()) => RequestOutcome::Well(status),
                Err(why) => RequestOutcome::Wrong(status, format!("{name}: {why}")),
            },
            Err((kind, why)) => RequestOutcome::Nothing(kind, format!("{name}: {why}")),
        };
        self.tally.settle(&self.settled(&asked, began, ended, &heard));
    }

    fn settled<'a>(
        &self,
        asked: &InFlight,
        began: Option<u64>,
        ended: u64,
        heard: &'a RequestOutcome,
    ) -> SettledRequest<'a> {
        let warm = self.course.warm_micros();
        SettledRequest {
            intended: asked.at.saturating_sub(warm),
            began: began.map(|began| began.saturating_sub(warm)),
            ended: ended.saturating_sub(warm),
            neglected: asked.neglected,
            heard,
        }
    }

    /// What is unanswered at the end has timed out, and what is still to be sent never is.
    fn give_up(&mut self, now: u64) {
        let busy: Vec<InFlight> = self.busy.iter_mut().filter_map(Option::take).collect();
        for asked in busy {
            if asked.counts {
                self.tally.settle(&self.settled(&asked, Some(asked.taken), now, &RequestOutcome::CutOff));
            }
        }
        while self.next < self.course.total() {
            let at = self.course.at(self.next);
            let counts = self.due(at);
            let asked = InFlight { at, counts, taken: now, kind: 0, neglected: false };
            self.settle(asked, None, now, Err(("unsent", "never sent: no user was free in time".to_owned())));
        }
    }
}
