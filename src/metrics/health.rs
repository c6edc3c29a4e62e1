//! The results of health checks, and the phase of every rollout.

use crate::metrics::Family;
use judgement::rollout::release::RolloutPhase;
use memory::counters::Counters;

pub fn of_health(counters: &Counters) -> Vec<Family> {
    let checks = &["check", "environment", "service"];
    let mut up = Family::gauge("health_up", "1 while the check reports the environment as up.", checks);
    let mut flapping = Family::gauge(
        "health_flapping",
        "1 while the check goes down and up so often that its turns are not told.",
        checks,
    );
    let mut failures =
        Family::counter("health_failures_total", "Rounds of the check in which at least one address failed.", checks);
    let mut took = Family::gauge("health_check_seconds", "How long the last round of the check took.", checks);
    for ((service, side, check), health) in counters.health() {
        let labels = [check.as_str(), side.name(), &service];
        up.set(&labels, f64::from(u8::from(health.up)));
        flapping.set(&labels, f64::from(u8::from(health.flapping)));
        failures.count(&labels, health.failures);
        took.set(&labels, health.last_micros as f64 / 1e6);
    }
    let mut phases =
        Family::gauge("rollout_phase", "1 for the phase of the most recently deployed version.", &["phase", "service"]);
    for (service, judged) in counters.judged() {
        let Some(now) = judged.phase else { continue };
        for phase in RolloutPhase::ALL {
            phases.set(&[phase.name(), &service], f64::from(u8::from(*phase == now)));
        }
    }
    vec![up, flapping, failures, took, phases]
}
