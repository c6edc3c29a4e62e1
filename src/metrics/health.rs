//! What health checks find, and where every rollout stands.

use prometheus::proto::{MetricFamily, MetricType};

use crate::metrics::{counter, family, gauge, label};
use judgement::rollout::release::Phase;
use memory::counters::Counters;

pub fn of_health(counters: &Counters) -> Vec<MetricFamily> {
    let mut up = family("health_up", "1 while a check finds the environment up.", MetricType::GAUGE);
    let mut failures =
        family("health_failures_total", "Rounds of a check in which an address failed.", MetricType::COUNTER);
    let mut took = family("health_check_seconds", "How long the last round of a check took.", MetricType::GAUGE);
    for ((service, side, check), health) in counters.health() {
        let labels = || vec![label("check", &check), label("environment", side.name()), label("service", &service)];
        up.mut_metric().push(gauge(labels(), f64::from(u8::from(health.up))));
        failures.mut_metric().push(counter(labels(), health.failures));
        took.mut_metric().push(gauge(labels(), health.last_micros as f64 / 1e6));
    }
    let mut phases = family("rollout_phase", "1 for the phase of the last version that set out.", MetricType::GAUGE);
    for (service, judged) in counters.judged() {
        let Some(now) = judged.phase else { continue };
        for phase in Phase::ALL {
            let labels = vec![label("phase", phase.name()), label("service", &service)];
            phases.mut_metric().push(gauge(labels, f64::from(u8::from(phase == now))));
        }
    }
    vec![up, failures, took, phases]
}
