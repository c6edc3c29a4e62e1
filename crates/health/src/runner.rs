//! The task that follows the published routing: it starts and stops checks, ejects endpoints that are down, and reports
//! to the sidecar.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::board::{CheckKey, CheckState, HealthBoard};
use crate::webhook::{WebhookCall, WebhookCaller};
use judgement::traffic::Environment;
use memory::clock;
use memory::counters::EndpointRest;
use memory::snapshot::secret_url::SecretUrl;
use memory::snapshot::{RoutingSnapshot, ServedService};
use sidecar::SidecarHandle;

/// How often the published routing is looked at: a check that came with a reload starts within this time.
const LOOK: Duration = Duration::from_millis(250);

/// What the sidecar was told, and which endpoints are ejected.
#[derive(Default)]
struct Reported {
    services: Option<Arc<[Arc<ServedService>]>>,
    down: BTreeMap<(String, Environment), String>,
    /// Checks that have asked for a rollback, until they are up again.
    rolled_back: BTreeSet<CheckKey>,
    /// Checks whose webhook was told, until they are up again.
    called: BTreeSet<CheckKey>,
    ejected: Vec<Arc<EndpointRest>>,
}

/// A report to the sidecar.
struct HealthReport {
    service: String,
    environment: Environment,
    up: bool,
    why: String,
    rollback: bool,
}

/// Runs the checks until the runtime ends.
pub async fn run(board: HealthBoard, sidecar: SidecarHandle) {
    let mut reported = Reported::default();
    let caller = WebhookCaller::new();
    loop {
        let snapshot = board.published().load();
        let same = reported.services.as_ref().is_some_and(|services| Arc::ptr_eq(services, &snapshot.services));
        if !same {
            follow(&board, &snapshot);
            reported.services = Some(snapshot.services.clone());
        }
        reported.eject(&board, &snapshot);
        for HealthReport { service, environment, up, why, rollback } in reported.news(&board, !same) {
            sidecar.health(service, environment, up, why, rollback);
        }
        // After the reports, which must not wait for a receiver.
        for (to, call) in reported.calls(&board) {
            caller.call(to, call);
        }
        // The result of a round is reported at once.
        let _ = timeout(LOOK, board.changed()).await;
    }
}

/// Adopts the checks of a new routing. Those that stay the same keep their history.
fn follow(board: &HealthBoard, snapshot: &RoutingSnapshot) {
    let mut lines = board.lines();
    let mut before = std::mem::take(&mut *lines);
    for serving in snapshot.services.iter() {
        for check in serving.checks.iter() {
            for environment in Environment::BOTH.into_iter().filter(|side| check.is_of(*side)) {
                let key = CheckKey { service: serving.name.clone(), environment, check: check.name.clone() };
                let origin = environment.of(&serving.origins);
                let known = before.remove(&key).filter(|line| line.check == *check && line.origin == *origin);
                let mut line = known.unwrap_or_else(|| CheckState::new(check.clone(), origin.clone()));
                if check.on && line.runs.is_none() {
                    line.runs = Some(tokio::spawn(keep(board.clone(), key.clone())).abort_handle());
                }
                lines.insert(key, line);
            }
        }
    }
    for key in before.keys() {
        board.counters().set_health(&key.service, key.environment, &key.check, None);
    }
}

/// Runs the rounds of one check of one environment.
async fn keep(board: HealthBoard, key: CheckKey) {
    let mut turn = 0_u64;
    loop {
        let Some(interval) = board.lines().get(&key).map(|line| line.check.interval.as_duration()) else { return };
        // A tenth more or less, so that a thousand checks that began together do not stay together.
        let mut hash = DefaultHasher::new();
        (&key.service, &key.check, key.environment, turn).hash(&mut hash);
        let part = (hash.finish() % 1000) as f64 / 1000.0;
        let wait = if turn == 0 { interval.mul_f64(part / 10.0) } else { interval.mul_f64(0.9 + part / 5.0) };
        sleep(wait).await;
        board.round(&key).await;
        turn += 1;
    }
}

impl Reported {
    /// Ejects the endpoints that are down, and readmits those that are not.
    fn eject(&mut self, board: &HealthBoard, snapshot: &RoutingSnapshot) {
        let mut down: BTreeMap<(String, Environment), BTreeSet<SocketAddr>> = BTreeMap::new();
        for (key, line) in board.lines().iter().filter(|(_, line)| line.check.on && line.check.eject) {
            for address in line.history.down() {
                down.entry((key.service.clone(), key.environment)).or_default().insert(address);
            }
        }
        let mut ejected: Vec<Arc<EndpointRest>> = Vec::new();
        if !down.is_empty() {
            for (serving, pair) in snapshot.services.iter().zip(snapshot.endpoints.iter()) {
                for environment in Environment::BOTH {
                    let Some(down) = down.get(&(serving.name.clone(), environment)) else { continue };
                    let endpoints = environment.of(pair).iter();
                    let bad = endpoints.filter(|endpoint| down.contains(&endpoint.address));
                    ejected.extend(bad.map(|endpoint| endpoint.rest.clone()));
                }
            }
        }
        for rest in &self.ejected {
            if !ejected.iter().any(|other| Arc::ptr_eq(other, rest)) {
                rest.eject(false);
            }
        }
        ejected.iter().for_each(|rest| rest.eject(true));
        self.ejected = ejected;
    }

    /// Checks that have gone down and whose webhook must be called.
    fn calls(&mut self, board: &HealthBoard) -> Vec<(SecretUrl, WebhookCall)> {
        let lines = board.lines();
        let mut calls = Vec::new();
        for (key, line) in lines.iter() {
            let Some(to) = line.check.webhook.as_ref().filter(|_| line.check.on && !line.history.up) else {
                self.called.remove(key);
                continue;
            };
            if self.called.insert(key.clone()) {
                let CheckKey { service, environment, check } = key.clone();
                let why = line.history.last_error.clone().unwrap_or_else(|| "failed".to_owned());
                let at = clock::wall_millis();
                calls.push((
                    to.clone(),
                    WebhookCall { event: "health", service, environment, check, up: false, why, at },
                ));
            }
        }
        self.called.retain(|key| lines.contains_key(key));
        calls
    }

    /// What has changed since the last report to the sidecar. `again`: the routing is new, and the state may have
    /// forgotten who is down.
    fn news(&mut self, board: &HealthBoard, again: bool) -> Vec<HealthReport> {
        let mut down: BTreeMap<(String, Environment), String> = BTreeMap::new();
        let mut news = Vec::new();
        let lines = board.lines();
        for (key, line) in lines.iter().filter(|(_, line)| line.check.on && !line.history.up) {
            let why = line.history.last_error.as_deref().unwrap_or("failed");
            let why = format!("check {}: {why}", key.check);
            if line.check.eject {
                down.entry((key.service.clone(), key.environment)).or_insert(why);
            }
        }
        for ((service, environment), why) in &down {
            if again || !self.down.contains_key(&(service.clone(), *environment)) {
                let (service, why) = (service.clone(), why.clone());
                news.push(HealthReport { service, environment: *environment, up: false, why, rollback: false });
            }
        }
        for (service, environment) in self.down.keys().filter(|place| !down.contains_key(place)) {
            let why = "all health checks pass".to_owned();
            news.push(HealthReport {
                service: service.clone(),
                environment: *environment,
                up: true,
                why,
                rollback: false,
            });
        }
        // After the reports of what is down: if both environments are, a rollback does not help.
        for (key, line) in lines.iter().filter(|(_, line)| line.check.on && line.check.rollback) {
            if line.history.up {
                self.rolled_back.remove(key);
            } else if self.rolled_back.insert(key.clone()) {
                let CheckKey { service, environment, check } = key.clone();
                let why = line.history.last_error.as_deref().unwrap_or("failed");
                let why = format!("check {check}: {why}");
                let up = !down.contains_key(&(service.clone(), environment));
                news.push(HealthReport { service, environment, up, why, rollback: true });
            }
        }
        self.rolled_back.retain(|key| lines.contains_key(key));
        self.down = down;
        news
    }
}
