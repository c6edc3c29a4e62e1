//! Tries the candidate before its first client: it accepts connections, is warmed up, and passes its checks. One that
//! is still starting is waited for.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http::NoAnswer;
use crate::{HealthBoard, http};
use judgement::rollout::PreflightRequest;
use judgement::time::Millis;
use memory::clock;
use memory::snapshot::health_check::HttpProbe;
use memory::snapshot::{Endpoint, Endpoints, SnapshotReader};

/// What the warm-up and the checks may take, beyond the time that a candidate has for its start. A rollout that cannot
/// begin should say so.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for the name of a fresh deployment to resolve, at least.
const RESOLVE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The timeout of one warm-up request: a cold start may be slow.
const REQUEST: Duration = Duration::from_secs(15);
/// How often the last warm-up request may fail: sites fail one now and then.
const BACKGROUND: u32 = 2;
/// The pause after a failed request, so that the next one may find something else.
const BREATH: Duration = Duration::from_millis(200);
/// The longest pause between two attempts to find a candidate ready. The first is [`BREATH`], and each doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What says that there is nothing behind a gateway, or that it is not ready yet.
const STARTING: [u16; 3] = [502, 503, 504];

/// Tries the environment of a request.
///
/// # Errors
/// Why the candidate must not get clients.
pub async fn run(published: SnapshotReader, board: HealthBoard, order: PreflightRequest) -> Result<String, String> {
    let side = order.environment;
    let patience = PATIENCE + order.ready_within.as_duration();
    let preflight = Preflight { published, board, start: StartTime::of(order.ready_within), order };
    let tried = timeout(patience, preflight.run()).await;
    tried.unwrap_or_else(|_| Err(format!("{side} was not ready within {}", crate::millis(patience))))
}

/// Until when a candidate may be starting.
#[derive(Clone, Copy)]
struct StartTime {
    within: Millis,
    until: Millis,
}

impl StartTime {
    fn of(within: Millis) -> StartTime {
        StartTime { within, until: clock::now().plus(within) }
    }

    fn is_over(self) -> bool {
        clock::now() >= self.until
    }

    /// Why a candidate that was waited for is given up.
    fn ran_out(self, why: String) -> String {
        if self.within == Millis::ZERO { why } else { format!("{why}, and was not ready within {}", self.within) }
    }
}

/// What is wrong with a candidate.
enum NotReady {
    /// It may still be starting.
    Starting(String),
    /// Waiting does not help.
    Wrong(String),
}

/// One preflight.
struct Preflight {
    published: SnapshotReader,
    board: HealthBoard,
    order: PreflightRequest,
    start: StartTime,
}

impl Preflight {
    async fn run(&self) -> Result<String, String> {
        let mut pause = BREATH;
        let warm = loop {
            let warm = match self.endpoints().await {
                Ok(endpoints) => self.warm_up(&endpoints).await,
                Err(not_ready) => Err(not_ready),
            };
            if let Some(warm) = self.or_wait(warm, &mut pause).await? {
                break warm;
            }
        };
        pause = BREATH;
        let passed = loop {
            let passed = self.board.try_all(&self.order.service, self.order.environment).await;
            if let Some(passed) = self.or_wait(passed.map_err(NotReady::Starting), &mut pause).await? {
                break passed;
            }
        };
        Ok(match passed.as_slice() {
            [] => warm,
            [check] => format!("{warm}; check {check} passed"),
            checks => format!("{warm}; checks {} passed", checks.join(", ")),
        })
    }

    /// What an attempt has found. `None`: the candidate may be starting, and it is time for the next attempt; the
    /// intervals grow.
    async fn or_wait<T>(&self, tried: Result<T, NotReady>, pause: &mut Duration) -> Result<Option<T>, String> {
        match tried {
            Ok(ready) => return Ok(Some(ready)),
            Err(NotReady::Wrong(why)) => return Err(why),
            Err(NotReady::Starting(why)) if self.start.is_over() => return Err(self.start.ran_out(why)),
            Err(NotReady::Starting(_)) => {}
        }
        // Not beyond the time that it has: the last attempt is made when that is over.
        let left = self.start.until.since(clock::now()).as_duration();
        sleep((*pause).min(left)).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(None)
    }

    /// The addresses, as soon as there are any. They are looked up for each attempt: those of a container that is
    /// started again are others.
    async fn endpoints(&self) -> Result<Endpoints, NotReady> {
        let side = self.order.environment;
        let look = async {
            loop {
                let snapshot = self.published.load();
                let named = snapshot.services.iter().zip(snapshot.endpoints.iter());
                let mut found = named.filter(|(serving, _)| serving.name == self.order.service);
                if let Some((_, pair)) = found.next()
                    && !side.of(pair).is_empty()
                {
                    return side.of(pair).clone();
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        let left = self.start.until.since(clock::now()).as_duration();
        let found = timeout(RESOLVE.max(left), look).await;
        found.map_err(|_| NotReady::Wrong(format!("{side} has no addresses: its host name does not resolve")))
    }

    async fn warm_up(&self, endpoints: &Endpoints) -> Result<String, NotReady> {
        let PreflightRequest { environment: side, warm_up, .. } = &self.order;
        let mut tasks = JoinSet::new();
        for endpoint in endpoints.iter() {
            let (board, endpoint, start) = (self.board.clone(), endpoint.clone(), self.start);
            let (probe, requests) = (HttpProbe::get(&warm_up.path), warm_up.requests.max(1));
            tasks.spawn(async move { WarmUpTarget { board, endpoint, probe, start }.warm(requests).await });
        }
        let (mut first, mut last) = (0, 0);
        while let Some(warm) = tasks.join_next().await {
            let warm = warm.unwrap_or_else(|error| Err(NotReady::Wrong(error.to_string())));
            let (began, ended) = warm.map_err(|not_ready| match not_ready {
                NotReady::Starting(why) => NotReady::Starting(format!("{side} {why}")),
                NotReady::Wrong(why) => NotReady::Wrong(format!("{side} {why}")),
            })?;
            (first, last) = (first.max(began), last.max(ended));
        }
        let many = if warm_up.requests == 1 { "warm-up request" } else { "warm-up requests" };
        let to = match endpoints.len() {
            1 => "to its address".to_owned(),
            addresses => format!("to each of {addresses} addresses"),
        };
        Ok(format!("{} {many} {to}, first {first}ms, last {last}ms", warm_up.requests))
    }
}

/// One address that is warmed up.
struct WarmUpTarget {
    board: HealthBoard,
    endpoint: Endpoint,
    probe: HttpProbe,
    start: StartTime,
}

impl WarmUpTarget {
    /// How long the first and the last request took, in milliseconds. Only the last one must succeed: the earlier ones
    /// absorb cold starts. While it may be starting, one that finds nothing there is no warm-up.
    async fn warm(&self, requests: u32) -> Result<(u64, u64), NotReady> {
        let address = self.endpoint.address;
        let (mut first, mut is_started) = (None, false);
        let (mut left, mut again) = (requests, BACKGROUND);
        loop {
            left -= 1;
            let began = clock::now();
            let failed = self.ask().await.err();
            let took = clock::now().since(began).0;
            let first = *first.get_or_insert(took);
            let Some(NoAnswer { why, may_pass }) = failed else {
                is_started = true;
                if left == 0 {
                    return Ok((first, took));
                }
                continue;
            };
            let why = format!("({address}) {why}");
            is_started |= !may_pass;
            let was_waited_for = self.start.within > Millis::ZERO && !is_started;
            if may_pass && (was_waited_for || !self.start.is_over()) {
                return Err(NotReady::Starting(why));
            }
            if left == 0 && again == 0 {
                return Err(NotReady::Wrong(why));
            }
            if left == 0 {
                (left, again) = (1, again - 1);
            }
            sleep(BREATH).await;
        }
    }

    async fn ask(&self) -> Result<(), NoAnswer> {
        let answer = http::ask(self.board.connector(), &self.endpoint, &self.probe, REQUEST).await?;
        match answer.status {
            ..500 => Ok(()),
            status => Err(NoAnswer {
                why: format!("returned {status} for GET {}", self.probe.path),
                may_pass: STARTING.contains(&status),
            }),
        }
    }
}
