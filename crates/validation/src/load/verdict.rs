//! Whether the limits of a load held, and a sentence about those that did not.

mod resources;

use crate::load::latency::quantile_ms;
use crate::load::origin_process::MeasuredOrigins;
use crate::load::schedule::{STRESS_STEPS, stress_rate};
use crate::load::tally::{LoadSection, LoadTally, percent};
use config::suite::{ErrorLimit, LatencyLimit, LoadLimits, LoadTest, Profile};
use hdrhistogram::Histogram;
use judgement::time::Millis;
use wire::{LimitResult, RelativeLimit};

/// The second half of a soak is worse if its p95 exceeds the first's by both.
const WORSE: f64 = 1.5;
const WORSE_BY_MS: f64 = 5.0;
/// With fewer requests in a half nothing is concluded.
const FEWEST_IN_HALF: u64 = 20;
/// Memory grows steadily if each quarter of a soak uses more than the one before, by this much (in percent) and in
/// total by this many bytes.
const GROWTH: f64 = 5.0;
const GROWTH_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub struct LoadVerdict {
    pub limits: Vec<LimitResult>,
    /// Limits that were not judged, because they compare active with itself.
    pub unjudged: Vec<String>,
    /// `None`: all of them held.
    pub why: Option<String>,
}

/// What the active side made of the same load, or of a part of it.
#[derive(Clone, Copy)]
struct ActiveFigures<'a> {
    latency: &'a Histogram<u64>,
    requests: u64,
    failed: u64,
}

impl ActiveFigures<'_> {
    /// Whether it answered any request as it should.
    const fn is_something(&self) -> bool {
        self.failed < self.requests
    }
}

/// `active`: the active side's results, for limits that are compared with it; without them those do not count. `memory`: this
/// process's, a sample a second. `measured`: what the origins' processes used.
pub fn judge(
    load: &LoadTest,
    tally: &LoadTally,
    active: Option<&LoadTally>,
    (memory, measured): (&[u64], &MeasuredOrigins),
) -> LoadVerdict {
    if tally.requests == 0 {
        let why = "no request was due: the rate is too low or the load too short".to_owned();
        return LoadVerdict { limits: Vec::new(), unjudged: Vec::new(), why: Some(why) };
    }
    let reference = active.map(|active| {
        let LoadTally { latency, requests, failed, .. } = active;
        ActiveFigures { latency, requests: *requests, failed: *failed }
    });
    let own = |quantile| quantile_ms(&tally.latency, quantile);
    let mut limits = limits_of(&load.limits, (tally.failed, tally.requests), own, reference);
    let unjudged = if active.is_none() { of_active(&load.limits) } else { Vec::new() };
    if let Some(limit) = load.limits.throughput {
        let found = tally.throughput();
        limits.push(LimitResult { what: "throughput".to_owned(), limit, found, held: found >= limit, relative: None });
    }
    let mut why = Vec::new();
    match load.profile {
        Profile::Soak => limits.extend(wearing(tally, memory)),
        Profile::Stress => {
            let reference = active.map_or(&[][..], |active| &active.parts);
            if let Some((broken, sentence)) = breaks(load, &tally.parts, reference) {
                limits.push(broken);
                why.push(sentence);
            }
        }
        Profile::Steady | Profile::Ramp | Profile::Spike => {}
    }
    if why.is_empty() {
        why.extend(limits.iter().filter(|limit| !limit.held).map(sentence));
    }
    for (limit, sentence) in resources::judge(&load.limits, measured, active.is_some()) {
        limits.push(limit);
        why.extend(sentence);
    }
    let why = (!why.is_empty()).then(|| format!("{}{}", why.join("; "), beside(tally)));
    LoadVerdict { limits, unjudged, why }
}

/// The limits that are compared with active's figures.
fn of_active(limits: &LoadLimits) -> Vec<String> {
    let is_relative = |limit: Option<LatencyLimit>| matches!(limit, Some(LatencyLimit::OfActive(_)));
    let all = [
        ("error_rate", matches!(limits.error_rate, Some(ErrorLimit::OfActive(_)))),
        ("p50", is_relative(limits.p50)),
        ("p95", is_relative(limits.p95)),
        ("p99", is_relative(limits.p99)),
    ];
    let all = all.into_iter().filter(|(_, relative)| *relative).map(|(what, _)| what.to_owned());
    all.chain(resources::of_active(limits)).collect()
}

/// `None`: nothing is compared with itself.
fn error_limit(
    limits: &LoadLimits,
    failed: u64,
    requests: u64,
    active: Option<ActiveFigures<'_>>,
) -> Option<LimitResult> {
    let found = percent(failed, requests);
    let result = |limit: f64, relative| LimitResult {
        what: "error_rate".to_owned(),
        limit,
        found,
        held: found <= limit,
        relative,
    };
    match (limits.error_rate, active) {
        (None, _) => Some(result(0.0, None)),
        (Some(ErrorLimit::Fixed(most)), _) => Some(result(most, None)),
        (Some(ErrorLimit::OfActive(times)), Some(of)) => {
            let active = percent(of.failed, of.requests);
            let most = times * active + by_chance(times, active, [requests, of.requests]);
            // One request that fails by chance proves nothing where active has failed none.
            let most = most.max(ErrorLimit::FLOOR).max(percent(1, requests));
            let result = result(most, Some(RelativeLimit { times, active }));
            Some(LimitResult { held: result.held && of.is_something(), ..result })
        }
        (Some(ErrorLimit::OfActive(_)), None) => None,
    }
}

/// How far over so many times active's error rate a side comes by chance in one of a hundred runs, in percentage points: the
/// normal approximation for the difference of two shares. `requests`: the side's and active's.
fn by_chance(times: f64, active: f64, requests: [u64; 2]) -> f64 {
    const ONE_IN_A_HUNDRED: f64 = 2.326;
    let (rate, [own, others]) = (active / 100.0, requests.map(|n| n.max(1) as f64));
    let most = (times * rate).min(1.0);
    let variance = most * (1.0 - most) / own + times * times * rate * (1.0 - rate) / others;
    100.0 * ONE_IN_A_HUNDRED * variance.sqrt()
}

/// Errors first: if requests fail, the latencies of the others matter less.
fn limits_of(
    limits: &LoadLimits,
    (failed, requests): (u64, u64),
    quantile: impl Fn(f64) -> f64,
    active: Option<ActiveFigures<'_>>,
) -> Vec<LimitResult> {
    let mut all: Vec<LimitResult> = error_limit(limits, failed, requests, active).into_iter().collect();
    for (what, limit, at) in [("p50", limits.p50, 0.5), ("p95", limits.p95, 0.95), ("p99", limits.p99, 0.99)] {
        let (limit, relative) = match (limit, active) {
            (Some(LatencyLimit::Fixed(Millis(limit))), _) => (limit as f64, None),
            (Some(LatencyLimit::OfActive(times)), Some(active)) => {
                // Of failures, how soon they come means nothing.
                let active = if active.is_something() { quantile_ms(active.latency, at) } else { 0.0 };
                (times * active, Some(RelativeLimit { times, active }))
            }
            // Nothing is compared with itself.
            (Some(LatencyLimit::OfActive(_)), None) | (None, _) => continue,
        };
        let found = quantile(at);
        // Without answers no latency limit holds.
        let held = found <= limit && found > 0.0;
        all.push(LimitResult { what: what.to_owned(), limit, found, held, relative });
    }
    all
}

fn sentence(limit: &LimitResult) -> String {
    let (mut found, mut wanted) = (shown(limit.found), shown(limit.limit));
    if found == wanted {
        (found, wanted) = (limit.found.to_string(), limit.limit.to_string());
    }
    match limit.what.as_str() {
        "error_rate" if limit.relative.is_some_and(|relative| relative.active >= 100.0) => {
            "error_rate has nothing to be compared with: active failed all of its requests".to_owned()
        }
        "error_rate" if let Some(RelativeLimit { times, active }) = limit.relative => {
            format!(
                "{found} % of the requests failed, over {wanted} %, the most that {times} times active's {} % and chance explain",
                shown(active)
            )
        }
        "error_rate" if limit.limit == 0.0 => format!("{found} % of the requests failed, and none may"),
        "error_rate" => format!("{found} % of the requests failed, over the limit of {wanted} %"),
        "throughput" => format!("{found} requests per second succeeded, fewer than {wanted}"),
        "memory" => format!("the memory of this process grew steadily, by {found} %"),
        what if limit.found == 0.0 => format!("{what} is unknown: no request was answered"),
        what if limit.relative.is_some_and(|relative| relative.active == 0.0) => {
            format!("{what} has nothing to be compared with: active answered no request well")
        }
        what => match limit.relative {
            Some(RelativeLimit { times, active }) => {
                format!("{what} is {found}ms, over {wanted}ms, which is {times} times active's {}ms", shown(active))
            }
            None => format!("{what} is {found}ms, over the limit of {wanted}ms"),
        },
    }
}

/// Three significant figures are enough for people.
fn shown(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.01 => format!("{figure:.2}"),
        _ => "under 0.01".to_owned(),
    }
}

/// Circumstances that explain a failed load.
fn beside(tally: &LoadTally) -> String {
    let mut also = String::new();
    if tally.unsent > 0 {
        also += &format!("; {} of {} requests were never sent because no user was free", tally.unsent, tally.requests);
    }
    if tally.neglected > 0 {
        also += &format!("; this machine was busy and started {} requests late", tally.neglected);
    }
    also
}

/// Limits of a soak: the second half must not be worse than the first.
fn wearing(tally: &LoadTally, memory: &[u64]) -> Vec<LimitResult> {
    let mut found = Vec::new();
    if let [first, second] = tally.parts.as_slice()
        && first.latency.len().min(second.latency.len()) >= FEWEST_IN_HALF
    {
        let [first, second] = [first, second].map(|half| quantile_ms(&half.latency, 0.95));
        let limit = (first * WORSE).max(first + WORSE_BY_MS);
        let what = "p95 of the second half".to_owned();
        found.push(LimitResult { what, limit, found: second, held: second <= limit, relative: None });
    }
    if let Some(growth) = growth(memory) {
        found.push(LimitResult {
            what: "memory".to_owned(),
            limit: GROWTH,
            found: growth,
            held: false,
            relative: None,
        });
    }
    found
}

/// In percent, if the memory grew from quarter to quarter.
fn growth(memory: &[u64]) -> Option<f64> {
    let median = |samples: &[u64]| {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    };
    let quarters: Vec<u64> = memory.chunks((memory.len() / 4).max(1)).take(4).filter_map(median).collect();
    let [first, second, third, last] = *quarters.as_slice() else { return None };
    let grows = |from: u64, to: u64| to as f64 > from as f64 * (1.0 + GROWTH / 100.0);
    let steadily = grows(first, second) && grows(second, third) && grows(third, last);
    (steadily && first > 0 && last - first >= GROWTH_BYTES).then(|| percent(last - first, first))
}

/// The first step of a stress load on which a limit broke. `active`: the same steps of the active side.
fn breaks(load: &LoadTest, stairs: &[LoadSection], active: &[LoadSection]) -> Option<(LimitResult, String)> {
    stairs.iter().zip(0_u64..).find_map(|(part, at)| {
        let reference = active.get(at as usize).map(|part| {
            let LoadSection { latency, requests, failed } = part;
            ActiveFigures { latency, requests: *requests, failed: *failed }
        });
        let own = |q| quantile_ms(&part.latency, q);
        let limits = limits_of(&load.limits, (part.failed, part.requests), own, reference);
        let broken = limits.into_iter().find(|limit| !limit.held)?;
        let rate = shown(stress_rate(load, at));
        let why = format!(
            "it breaks at {rate} requests per second (step {} of {STRESS_STEPS}): {}",
            at + 1,
            sentence(&broken)
        );
        Some((LimitResult { what: format!("{} at {rate}/s", broken.what), ..broken }, why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// An active side whose answers took this long.
    fn latency(ms: u64) -> Histogram<u64> {
        let mut latency = Histogram::new(3).unwrap();
        latency.record(ms * 1000).unwrap();
        latency
    }

    #[test]
    fn memory_that_only_grows_is_seen_and_a_warm_cache_is_not() {
        let leaks: Vec<u64> = (0..100).map(|second| (200 + second * 3) * MIB).collect();
        assert!((growth(&leaks).unwrap() - 95.0).abs() < 25.0, "{:?}", growth(&leaks));
        let warms: Vec<u64> = (0..100).map(|second| (200 + second.min(30) * 3) * MIB).collect();
        assert_eq!(growth(&warms), None, "it stays where it is");
        let waves: Vec<u64> = (0..100).map(|second| (200 + second % 20 * 3) * MIB).collect();
        assert_eq!(growth(&waves), None);
        let small: Vec<u64> = (0..100).map(|second| 20 * MIB + second * MIB / 4).collect();
        assert_eq!(growth(&small), None, "under 64 MiB it is nothing");
        assert_eq!((growth(&[]), growth(&[MIB, MIB])), (None, None));
    }

    #[test]
    fn a_limit_that_is_compared_with_active_says_both_figures() {
        let limits = LoadLimits { p95: Some(LatencyLimit::OfActive(1.2)), ..LoadLimits::default() };
        let hundred = latency(100);
        let of = |p95: f64, failed: Option<u64>| {
            let active = failed.map(|failed| ActiveFigures { latency: &hundred, requests: 50, failed });
            limits_of(&limits, (0, 50), move |_| p95, active)
        };
        assert!(of(119.0, Some(0)).iter().all(|limit| limit.held));
        let broken = of(150.0, Some(0));
        assert_eq!(sentence(&broken[1]), "p95 is 150ms, over 120ms, which is 1.2 times active's 100ms");
        assert_eq!(of(150.0, None).len(), 1, "active itself is compared with nothing");
        assert_eq!(of_active(&limits), ["p95"]);
        let nothing = "p95 has nothing to be compared with: active answered no request well";
        assert_eq!(sentence(&of(1.0, Some(50))[1]), nothing);
        assert_eq!(sentence(&of(0.0, Some(0))[1]), "p95 is unknown: no request was answered");
    }

    #[test]
    fn errors_are_compared_with_actives_and_a_single_one_is_never_too_many() {
        let limits = LoadLimits { error_rate: Some(ErrorLimit::OfActive(1.5)), ..LoadLimits::default() };
        let quick = latency(1);
        let of = |failed: u64, requests: u64, active: u64| {
            let active = ActiveFigures { latency: &quick, requests, failed: active };
            limits_of(&limits, (failed, requests), |_| 1.0, Some(active)).remove(0)
        };
        for (failed, requests, active, held) in [
            (15, 1000, 10, true),
            // Chance alone explains 29 in one of a hundred runs, and hardly 30.
            (29, 1000, 10, true),
            (30, 1000, 10, false),
            (7800, 100_000, 5000, true),
            (7830, 100_000, 5000, false),
            (0, 1000, 0, true),
            (1, 100, 0, true),
            (2, 100, 0, false),
            (10, 10_000, 0, true),
            (11, 10_000, 0, false),
            (0, 100, 100, false),
        ] {
            assert_eq!(of(failed, requests, active).held, held, "{failed} of {requests}, active {active}");
        }
        assert_eq!(
            sentence(&of(30, 1000, 10)),
            "3.00 % of the requests failed, over 2.92 %, the most that 1.5 times active's 1.00 % and chance explain"
        );
        assert_eq!(
            sentence(&of(20, 1000, 0)),
            "2.00 % of the requests failed, over 0.10 %, the most that 1.5 times active's 0 % and chance explain"
        );
        assert_eq!(
            sentence(&of(0, 9, 9)),
            "error_rate has nothing to be compared with: active failed all of its requests"
        );
        assert!(limits_of(&limits, (9, 9), |_| 1.0, None).is_empty(), "active itself is compared with nothing");
        assert_eq!((of_active(&limits), limits.need_active()), (vec!["error_rate".to_owned()], true));
    }

    #[test]
    fn a_broken_limit_is_one_plain_sentence() {
        let limits = LoadLimits {
            p95: Some(LatencyLimit::Fixed(Millis(250))),
            error_rate: Some(ErrorLimit::Fixed(0.5)),
            ..LoadLimits::default()
        };
        let broken = |error_rate: f64, p95| {
            let limits = limits_of(&limits, ((error_rate * 1000.0) as u64, 100_000), |_| p95, None);
            limits.iter().filter(|limit| !limit.held).map(sentence).collect::<Vec<_>>()
        };
        assert!(broken(0.5, 250.0).is_empty());
        assert_eq!(broken(0.0, 812.4), ["p95 is 812ms, over the limit of 250ms"]);
        assert_eq!(broken(1.25, 9.0), ["1.25 % of the requests failed, over the limit of 0.50 %"]);
        let strict = limits_of(&LoadLimits::default(), (1, 100_000), |_| 0.0, None);
        assert_eq!(sentence(&strict[0]), "under 0.01 % of the requests failed, and none may");
    }
}
