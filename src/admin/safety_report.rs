//! The safety report: how far each metric is from its limits, in words, and what to do about it.

use judgement::guard::levels::{MetricLevel, Severity, levels};
use judgement::guard::trigger::Metric;
use judgement::rollout::view::{GuardView, ServiceView};
use judgement::rollout::{GuardInsight, WaitReason};
use judgement::time::rfc3339;
use memory::clock;
use wire::{
    self, ComparedSides, Recommendation, ReportEvidence, ReportLevel, ReportMetric, ReportPlace, SafetyReport, Trend,
};

/// A difference of less than a tenth, half a percentage point or five milliseconds does not count.
const SAME: f64 = 0.1;
const SAME_PERCENT: f64 = 0.5;
const SAME_MILLIS: f64 = 5.0;
/// From here on the evidence is worth a look: a tenth of what causes a rollback.
const SERIOUS: f64 = 0.1;

pub fn report(insight: &GuardInsight, view: ServiceView, validations: Vec<wire::ExecutionSummary>) -> SafetyReport {
    let at_ms = clock::wall_millis();
    let places: Vec<ReportPlace> = insight
        .sights
        .iter()
        .map(|sight| ReportPlace {
            route: sight.route.clone(),
            metrics: levels(&insight.policy, sight).into_iter().map(metric).collect(),
        })
        .collect();
    let evidence = evidence(&view);
    let metrics = places.iter().flat_map(|place| place.metrics.iter());
    let level = metrics.map(|metric| metric.now.max(metric.lasting)).fold(evidence.level, ReportLevel::max);
    let subject = wire::Side::from(insight.subject);
    let recommendations = recommendations(&view, insight, level, &places);
    SafetyReport {
        service: view.service,
        at_ms,
        at: rfc3339(at_ms),
        level,
        active: view.active.into(),
        subject,
        judged: insight.judged,
        places,
        evidence,
        recommendations,
        validations,
    }
}

fn level(severity: Severity) -> ReportLevel {
    match severity {
        Severity::Unknown => ReportLevel::Unknown,
        Severity::Ok => ReportLevel::Ok,
        Severity::Warn => ReportLevel::Warn,
        Severity::Critical => ReportLevel::Critical,
    }
}

fn metric(seen: MetricLevel) -> ReportMetric {
    let MetricLevel { metric, value, baseline, now, lasting, window, requests, warn_at, critical_at } = seen;
    let says = match (value, baseline) {
        (None, _) => format!("{}: too few responses in the last {window}", metric.name()),
        (Some(value), None) => format!("{} is {} over the last {window}", metric.name(), metric.show(value)),
        (Some(value), Some(baseline)) => {
            let (value, baseline) = (metric.show(value), metric.show(baseline));
            format!("{} is {value} over the last {window}, {baseline} on the other side", metric.name())
        }
    };
    ReportMetric {
        metric: metric.name().to_owned(),
        value,
        baseline,
        trend: trend(metric, value, baseline),
        now: level(now),
        lasting: level(lasting),
        says,
        window_ms: window.0,
        requests,
        warn_at,
        critical_at,
    }
}

fn trend(metric: Metric, value: Option<f64>, baseline: Option<f64>) -> Trend {
    let (Some(value), Some(baseline)) = (value, baseline) else { return Trend::Unknown };
    // For a percentage, the smaller part is compared: 90 % availability is much worse than 99.9 %.
    let (least, of) = match metric.is_latency() {
        true => (SAME_MILLIS, baseline),
        false => (SAME_PERCENT, baseline.min(100.0 - baseline)),
    };
    let difference = value - baseline;
    if difference.abs() <= least.max(SAME * of) {
        return Trend::Same;
    }
    if (difference > 0.0) == metric.is_bad_below() { Trend::Better } else { Trend::Worse }
}

fn evidence(view: &ServiceView) -> ReportEvidence {
    let (odds, threshold) = (view.guard.evidence, view.guard.threshold);
    let level = match (view.guard.verdict, threshold) {
        (None | Some("not_compared"), _) | (_, None) => ReportLevel::Unknown,
        (_, Some(threshold)) if odds >= threshold => ReportLevel::Critical,
        (_, Some(threshold)) if odds >= SERIOUS * threshold || view.guard.caution => ReportLevel::Warn,
        _ => ReportLevel::Ok,
    };
    let resolution = view.guard.resolution.map(|rate| 100.0 * rate);
    let compared = view.guard.compared.map(ComparedSides::from);
    ReportEvidence { odds, threshold, level, resolution, caution: view.guard.caution, compared }
}

/// What to do, the most urgent first.
fn recommendations(
    view: &ServiceView,
    insight: &GuardInsight,
    level: ReportLevel,
    places: &[ReportPlace],
) -> Vec<Recommendation> {
    let mut all = Vec::new();
    let service = &view.service;
    let mut add = |text: String, command: Option<String>| all.push(Recommendation { text, command });
    if view.stopped {
        let text = "the emergency stop keeps all traffic on active; clear it when the emergency is over";
        add(text.to_owned(), Some(format!("cutover clear --service {service}")));
    }
    // Whoever rolls back by hand sends everybody to a side that does not serve them.
    let held = view.guard.why.as_ref().filter(|why| why.starts_with(GuardView::HELD));
    if let Some(why) = held {
        add(format!("{why}: mend that, and the rollback follows by itself, or deploy a version that works"), None);
    }
    if level == ReportLevel::Critical && held.is_none() {
        let worst = places.iter().flat_map(|place| place.metrics.iter()).find(|metric| metric.now == level);
        let why = worst.map_or("the evidence is against it", |metric| metric.says.as_str());
        let command = format!("cutover rollback --service {service} --reason \"{why}\"");
        add(format!("roll {} back now: {why}", insight.subject), Some(command));
    }
    let under_way = view.rollout.as_ref().is_some_and(|rollout| rollout.phase.is_under_way());
    if level == ReportLevel::Warn && under_way {
        let text = "pause the rollout and investigate: a metric is past its warning level";
        add(text.to_owned(), Some(format!("cutover pause --service {service}")));
    }
    if !view.guard.monitoring {
        let text = "the guard is off, so there are no automatic rollbacks; switch it on again";
        let body = format!("{{\"action\":\"start_monitoring\",\"service\":\"{service}\"}}");
        add(
            text.to_owned(),
            Some(format!("curl -d '{body}' -H 'Content-Type: application/json' …/api/admin/rollback")),
        );
    }
    if let Some(latch) = &view.latch {
        let text = format!("it was rolled back ({}); find out why before the next deploy", latch.reason);
        add(text, (latch.entry > 0).then(|| format!("cutover explain {}", latch.entry)));
    }
    let waits_for_approval =
        view.rollout.as_ref().is_some_and(|rollout| rollout.waiting.contains(&WaitReason::Approval));
    if under_way && waits_for_approval {
        add("the step is waiting for approval".to_owned(), Some(format!("cutover approve --service {service}")));
    }
    if view.guard.verdict == Some("not_compared") {
        view.guard.why.iter().for_each(|why| add(why.clone(), None));
    } else if insight.judged && level == ReportLevel::Unknown {
        add("too few requests for a verdict; wait, or raise the weight".to_owned(), None);
    }
    if all.is_empty() {
        let text = if insight.judged {
            "nothing to do: everything is within its limits"
        } else {
            "nothing to do: no rollout is being judged"
        };
        all.push(Recommendation { text: text.to_owned(), command: None });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_a_difference_that_matters() {
        for (metric, value, baseline, wanted) in [
            (Metric::ErrorRate, 5.0, 1.0, Trend::Worse),
            (Metric::ErrorRate, 1.0, 5.0, Trend::Better),
            (Metric::ErrorRate, 0.4, 0.0, Trend::Same),
            (Metric::Availability, 90.0, 99.9, Trend::Worse),
            (Metric::LatencyP95, 104.0, 100.0, Trend::Same),
            (Metric::LatencyP95, 300.0, 100.0, Trend::Worse),
        ] {
            assert_eq!(trend(metric, Some(value), Some(baseline)), wanted, "{metric:?} {value} {baseline}");
        }
        assert_eq!(trend(Metric::ErrorRate, Some(1.0), None), Trend::Unknown);
    }
}
