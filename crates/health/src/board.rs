//! Every check with its history. The lock is held for moments, and never by a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::history::{CheckHistory, CheckLatency};
use crate::round::{self, CheckRound, LONGEST_ERROR};
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::{CheckGauges, Counters};
use memory::shares::Shares;
use memory::snapshot::health_check::HealthCheck;
use memory::snapshot::{Endpoints, OriginSettings, ServedService, SnapshotReader};
use relay::origin::Connector;

/// The most probes at once of one check: where every address hangs, the other checks go on.
const AT_ONCE_EACH: usize = 32;
/// The most probes at once of all checks. Two services with as many checks as there may be, all of them hanging, leave
/// something for others.
const AT_ONCE: usize = 4096;

/// The current state of every check. Cheap to clone.
#[derive(Clone)]
pub struct HealthBoard(Arc<Inner>);

struct Inner {
    published: SnapshotReader,
    counters: Arc<Counters>,
    connector: Arc<Connector>,
    permits: Arc<Shares>,
    lines: Mutex<BTreeMap<CheckKey, CheckState>>,
    changed: Notify,
}

impl std::fmt::Debug for HealthBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HealthBoard")
    }
}

/// A check of an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckKey {
    pub service: String,
    pub environment: Environment,
    pub check: String,
}

#[derive(Debug)]
pub(super) struct CheckState {
    pub check: Arc<HealthCheck>,
    /// The origin that is checked; a new origin starts a new history.
    pub origin: Arc<OriginSettings>,
    pub history: CheckHistory,
    /// One round at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The task that runs its rounds; `None` where the check is switched off.
    pub runs: Option<AbortHandle>,
}

impl CheckState {
    pub fn new(check: Arc<HealthCheck>, origin: Arc<OriginSettings>) -> CheckState {
        let history = CheckHistory::new(clock::now());
        CheckState { check, origin, history, turn: Arc::default(), runs: None }
    }
}

impl Drop for CheckState {
    fn drop(&mut self) {
        if let Some(runs) = &self.runs {
            runs.abort();
        }
    }
}

/// The status of a check, for people.
#[derive(Clone, Debug, Serialize)]
pub struct CheckStatus {
    pub service: String,
    pub environment: Environment,
    pub check: String,
    pub kind: &'static str,
    /// The check is not switched off.
    pub on: bool,
    pub up: bool,
    /// It goes down and up so often that its turns are not told.
    pub flapping: bool,
    /// How long it has been up or down.
    pub since_ms: Millis,
    pub rounds: u64,
    pub failures: u64,
    pub last_error: Option<String>,
    pub latency_ms: CheckLatency,
}

impl HealthBoard {
    pub fn new(published: SnapshotReader, counters: Arc<Counters>) -> HealthBoard {
        HealthBoard(Arc::new(Inner {
            published,
            counters,
            connector: Arc::default(),
            permits: Arc::new(Shares::new(AT_ONCE_EACH, AT_ONCE)),
            lines: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Every check of every service, in the order of their names.
    pub fn show(&self) -> Vec<CheckStatus> {
        self.shown(None)
    }

    /// Runs a round of every check of a service now, and returns their status.
    pub async fn check_now(&self, service: &str) -> Vec<CheckStatus> {
        let keys: Vec<CheckKey> = self.lines().keys().filter(|key| key.service == service).cloned().collect();
        let mut tasks = JoinSet::new();
        for key in keys {
            let board = self.clone();
            tasks.spawn(async move { board.round(&key).await });
        }
        while tasks.join_next().await.is_some() {}
        self.shown(Some(service))
    }

    fn shown(&self, service: Option<&str>) -> Vec<CheckStatus> {
        let now = clock::now();
        let lines = self.lines();
        let wanted = lines.iter().filter(|(key, _)| service.is_none_or(|service| key.service == service));
        let shown = wanted.map(|(key, CheckState { check, history, .. })| CheckStatus {
            service: key.service.clone(),
            environment: key.environment,
            check: key.check.clone(),
            kind: check.probe.kind(),
            on: check.on,
            up: history.up,
            flapping: check.on && history.turns.is_flapping,
            since_ms: Millis(now.since(history.since).0),
            rounds: history.rounds,
            failures: history.failures,
            last_error: history.last_error.as_ref().map(|why| why.chars().take(LONGEST_ERROR).collect()),
            latency_ms: history.latency(),
        });
        shown.collect()
    }

    /// Runs a round of every check of an environment without recording it: their names, or what failed.
    pub(super) async fn try_all(&self, service: &str, side: Environment) -> Result<Vec<String>, String> {
        let Some((serving, pair)) = self.place(service) else { return Ok(Vec::new()) };
        let checks = serving.checks.iter().filter(|check| check.on && check.is_of(side));
        let names = checks.clone().map(|check| check.name.clone()).collect();
        let mut tasks = JoinSet::new();
        for check in checks.cloned() {
            let (board, endpoints) = (self.clone(), side.of(&pair).clone());
            // A share of its own: the rounds of a check whose addresses hang do not hold up a preflight.
            let share = format!("preflight of {service}: {}", check.name);
            tasks.spawn(async move { (board.tried(&check, &endpoints, &share).await, check) });
        }
        while let Some(tried) = tasks.join_next().await {
            let (round, check) = tried.map_err(|error| error.to_string())?;
            for (address, result) in round.results {
                let whose = address.map_or(side.to_string(), |address| format!("{side} ({address})"));
                result.map_err(|why| format!("check {}: {whose} {why}", check.name))?;
            }
        }
        Ok(names)
    }

    /// Runs a round and records its result.
    pub(super) async fn round(&self, key: &CheckKey) {
        let found = self.lines().get(key).map(|line| (line.check.clone(), line.origin.clone(), line.turn.clone()));
        let Some((check, origin, turn)) = found.filter(|(check, ..)| check.on) else { return };
        let _turn = turn.lock().await;
        let Some((_, pair)) = self.place(&key.service) else { return };
        let share = format!("{} of {}: {}", key.environment, key.service, key.check);
        let round = self.tried(&check, key.environment.of(&pair), &share).await;
        {
            let mut lines = self.lines();
            let line = lines.get_mut(key).filter(|line| Arc::ptr_eq(&line.check, &check) && line.origin == origin);
            let Some(line) = line else { return };
            line.history.note(&check, &round, clock::now());
            let CheckHistory { up, failures, lost, ref turns, .. } = line.history;
            let flapping = turns.is_flapping;
            let health = CheckGauges { up, flapping, failures, lost, last_micros: round.took_micros };
            self.0.counters.set_health(&key.service, key.environment, &key.check, Some(health));
        }
        self.0.changed.notify_one();
    }

    async fn tried(&self, check: &Arc<HealthCheck>, endpoints: &Endpoints, share: &str) -> CheckRound {
        round::run(&self.0.connector, (&self.0.permits, share), check, endpoints).await
    }

    /// A service and its endpoints in the published snapshot.
    pub(super) fn place(&self, service: &str) -> Option<(Arc<ServedService>, [Endpoints; 2])> {
        let snapshot = self.0.published.load();
        let mut named = snapshot.services.iter().zip(snapshot.endpoints.iter());
        let (serving, pair) = named.find(|(serving, _)| serving.name == service)?;
        Some((serving.clone(), pair.clone()))
    }

    pub fn connector(&self) -> &Arc<Connector> {
        &self.0.connector
    }

    pub fn published(&self) -> &SnapshotReader {
        &self.0.published
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, BTreeMap<CheckKey, CheckState>> {
        self.0.lines.lock()
    }
}
