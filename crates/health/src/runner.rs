//! The task that follows the published routing: it starts and stops checks, ejects endpoints that are down, and reports
//! to the sidecar.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::board::{CheckKey, CheckState, HealthBoard};
use crate::history::CheckHistory;
use crate::webhook::{WebhookCall, WebhookCaller};
use judgement::rollout::{AnnouncementLevel, AuditRemark, ChangeKind, Component, Event};
use judgement::time::Millis;
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
    down: BTreeMap<Place, String>,
    /// Those of them whose fall people were told, so that they are told of the rise.
    told: BTreeSet<Place>,
    flapping: BTreeSet<CheckKey>,
    /// Checks that have asked for a rollback, until they are up again.
    rolled_back: BTreeSet<CheckKey>,
    /// Checks whose webhook was told, until they are up again and do not flap.
    called: BTreeSet<CheckKey>,
    ejected: Vec<Arc<EndpointRest>>,
}

/// An environment of a service.
type Place = (String, Environment);

/// An environment that checks report as down: why, and whether people hear of it. They do not where only flapping
/// checks say so.
struct Fall {
    why: String,
    is_loud: bool,
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
        reported.tell_flapping(&board, &sidecar);
        for found in reported.news(&board, !same, &sidecar) {
            sidecar.health(found);
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
            let flapping = line.history.turns.is_flapping;
            let Some(to) = line.check.webhook.as_ref().filter(|_| line.check.on && !line.history.up) else {
                // While it flaps, its falls are one.
                if !(flapping && line.check.on) {
                    self.called.remove(key);
                }
                continue;
            };
            if self.called.insert(key.clone()) {
                let CheckKey { service, environment, check } = key.clone();
                let why = line.history.last_error.clone().unwrap_or_else(|| "failed".to_owned());
                let at = clock::wall_millis();
                calls.push((
                    to.clone(),
                    WebhookCall { event: "health", service, environment, check, up: false, flapping, why, at },
                ));
            }
        }
        self.called.retain(|key| lines.contains_key(key));
        calls
    }

    /// Says once that a check begins to flap, and once that it no longer does.
    fn tell_flapping(&mut self, board: &HealthBoard, sidecar: &SidecarHandle) {
        let now = clock::now();
        let lines = board.lines();
        self.flapping.retain(|key| lines.get(key).is_some_and(|line| line.check.on));
        for (key, line) in lines.iter().filter(|(_, line)| line.check.on) {
            let is_flapping = line.history.turns.is_flapping;
            if is_flapping == self.flapping.contains(key) {
                continue;
            }
            // Without room it is said the next time.
            if !sidecar.remark(of_flapping(key, &line.history, now)) {
                continue;
            }
            if is_flapping {
                self.flapping.insert(key.clone());
            } else {
                self.flapping.remove(key);
                if line.check.eject && !line.history.up {
                    self.told.insert((key.service.clone(), key.environment));
                }
            }
        }
    }

    /// The environments that checks report as down.
    fn falls(&self, lines: &BTreeMap<CheckKey, CheckState>) -> BTreeMap<Place, Fall> {
        let mut down: BTreeMap<Place, Fall> = BTreeMap::new();
        for (key, line) in lines.iter().filter(|(_, line)| line.check.on && line.check.eject && !line.history.up) {
            let why = line.history.last_error.as_deref().unwrap_or("failed");
            let fall = Fall { why: format!("check {}: {why}", key.check), is_loud: !line.history.turns.is_flapping };
            let place = (key.service.clone(), key.environment);
            match down.get_mut(&place) {
                Some(before) if before.is_loud || !fall.is_loud => {}
                _ => drop(down.insert(place, fall)),
            }
        }
        down
    }

    /// What has changed since the last report to the sidecar. `again`: the routing is new, and the state may have
    /// forgotten who is down.
    fn news(&mut self, board: &HealthBoard, again: bool, sidecar: &SidecarHandle) -> Vec<Event> {
        let mut news = Vec::new();
        let lines = board.lines();
        let down = self.falls(&lines);
        let found = |(service, environment): &Place, up: bool, why: String, quiet: bool| {
            let (service, environment) = (service.clone(), *environment);
            Event::Health { service, environment, up, why, rollback: false, quiet }
        };
        for (place, fall) in &down {
            let is_new = !self.down.contains_key(place);
            if again || is_new {
                news.push(found(place, false, fall.why.clone(), !fall.is_loud));
            }
            if !fall.is_loud || self.told.contains(place) {
                continue;
            }
            // It was down already, by a check that flaps; this one does not.
            let late = || format!("{} is down: {}", place.1, fall.why);
            if is_new || sidecar.remark(remark(ChangeKind::Health, AnnouncementLevel::Warning, &place.0, late())) {
                self.told.insert(place.clone());
            }
        }
        for place in self.down.keys().filter(|place| !down.contains_key(place)) {
            let is_told = self.told.remove(place);
            news.push(found(place, true, "all health checks pass".to_owned(), !is_told));
        }
        // After the reports of what is down: if both environments are, a rollback does not help.
        for (key, line) in lines.iter().filter(|(_, line)| line.check.on && line.check.rollback) {
            if line.history.up {
                if self.rolled_back.remove(key) {
                    let place = (key.service.clone(), key.environment);
                    let up = !down.contains_key(&place);
                    news.push(found(&place, up, format!("check {} passes", key.check), true));
                }
            } else if self.rolled_back.insert(key.clone()) {
                let CheckKey { service, environment, check } = key.clone();
                let why = line.history.last_error.as_deref().unwrap_or("failed");
                let why = format!("check {check}: {why}");
                let up = !down.contains_key(&(service.clone(), environment));
                let quiet = line.history.turns.is_flapping;
                news.push(Event::Health { service, environment, up, why, rollback: true, quiet });
            }
        }
        self.rolled_back.retain(|key| lines.contains_key(key));
        self.down = down.into_iter().map(|(place, fall)| (place, fall.why)).collect();
        self.told.retain(|place| self.down.contains_key(place));
        news
    }
}

/// That a check begins to flap, or no longer does.
fn of_flapping(key: &CheckKey, history: &CheckHistory, now: Millis) -> AuditRemark {
    let CheckKey { service, environment, check } = key;
    let up = if history.up { "up" } else { "down" };
    if !history.turns.is_flapping {
        let why = format!("check {check} of {environment} no longer flaps: it is {up}");
        let level = if history.up { AnnouncementLevel::Info } else { AnnouncementLevel::Warning };
        return remark(ChangeKind::FlappingOver, level, service, why);
    }
    let (turns, within) = history.turns.seen(now);
    let why = format!(
        "{environment} flaps: check {check} went down and up {turns} times within {within}; what follows is not told \
         until it is steady: {}",
        history.last_error.as_deref().unwrap_or("failed")
    );
    remark(ChangeKind::Flapping, AnnouncementLevel::Warning, service, why)
}

/// An entry of the journal that is announced.
fn remark(kind: ChangeKind, level: AnnouncementLevel, service: &str, why: String) -> AuditRemark {
    let (service, who) = (service.to_owned(), Component::Health.name().to_owned());
    AuditRemark { kind, service, who, from: None, why, announced: Some(level) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_check_flaps_is_a_warning_and_its_end_says_how_it_is() {
        let key = CheckKey { service: "shop".to_owned(), environment: Environment::Green, check: "home".to_owned() };
        let mut history = CheckHistory::new(Millis::ZERO);
        history.last_error = Some("returned 503".to_owned());
        (1..=5).for_each(|at| history.turns.note(true, Millis::seconds(1), Millis::seconds(at)));
        let begins = of_flapping(&key, &history, Millis::seconds(5));
        let said = "green flaps: check home went down and up 5 times within 4s; what follows is not told until it is \
                    steady: returned 503";
        assert_eq!((begins.kind, begins.announced), (ChangeKind::Flapping, Some(AnnouncementLevel::Warning)));
        assert_eq!((begins.why.as_str(), begins.service.as_str(), begins.who.as_str()), (said, "shop", "health"));
        history.turns.note(false, Millis::seconds(1), Millis::seconds(305));
        for (up, level) in [(true, AnnouncementLevel::Info), (false, AnnouncementLevel::Warning)] {
            history.up = up;
            let ends = of_flapping(&key, &history, Millis::seconds(305));
            assert_eq!((ends.kind, ends.announced), (ChangeKind::FlappingOver, Some(level)));
            let state = if up { "up" } else { "down" };
            assert_eq!(ends.why, format!("check home of green no longer flaps: it is {state}"));
        }
    }
}
