//! The limits of what an origin's process uses.

use crate::load::origin_process::MeasuredOrigins;
use crate::report::numbers;
use config::suite::{LoadLimits, ResourceLimit};
use wire::{LimitResult, OriginResources, OriginUse, RelativeLimit};

/// How a figure is read, and said.
#[derive(Clone, Copy)]
struct ResourceFigure {
    what: &'static str,
    /// In a sentence.
    noun: &'static str,
    of: fn(&OriginUse) -> f64,
    say: fn(f64) -> String,
    /// The least that a multiple of active's figure comes to.
    floor: f64,
}

pub const CPU: &str = "origin_cpu";
pub const MEMORY: &str = "origin_memory";

const OF_CPU: ResourceFigure = ResourceFigure {
    what: CPU,
    noun: "CPU use",
    of: |used| used.cores,
    say: numbers::cores,
    floor: ResourceLimit::CPU_FLOOR,
};
const OF_MEMORY: ResourceFigure = ResourceFigure {
    what: MEMORY,
    noun: "memory",
    of: |used| used.memory_peak_bytes as f64,
    say: |bytes| numbers::bytes(bytes as u64),
    floor: 0.0,
};

/// The limits that are compared with active's figures.
pub fn of_active(limits: &LoadLimits) -> Vec<String> {
    let is_relative = |limit: Option<ResourceLimit>| matches!(limit, Some(ResourceLimit::OfActive(_)));
    let all = [(CPU, is_relative(limits.cpu)), (MEMORY, is_relative(limits.memory))];
    all.into_iter().filter(|(_, relative)| *relative).map(|(what, _)| what.to_owned()).collect()
}

/// Each limit, with a sentence if it did not hold. Without an active side limits that are compared with it do not count.
pub fn judge(limits: &LoadLimits, measured: &MeasuredOrigins, has_active: bool) -> Vec<(LimitResult, Option<String>)> {
    let all = [(OF_CPU, limits.cpu), (OF_MEMORY, limits.memory)];
    let judged = all.into_iter().filter_map(|(figure, limit)| match limit? {
        ResourceLimit::Fixed(most) => Some(fixed(figure, most, measured.own.as_ref())),
        ResourceLimit::OfActive(times) if has_active => Some(relative(figure, times, measured)),
        // Nothing is compared with itself.
        ResourceLimit::OfActive(_) => None,
    });
    judged.collect()
}

/// # Errors
/// Why it is not known.
fn read(figure: ResourceFigure, of: Option<&OriginResources>) -> Result<f64, String> {
    match of {
        Some(OriginResources { used: Some(used), .. }) => Ok((figure.of)(used)),
        Some(OriginResources { why: Some(why), .. }) => Err(why.clone()),
        _ => Err("it was not measured".to_owned()),
    }
}

fn result(figure: ResourceFigure, limit: f64, found: f64, relative: Option<RelativeLimit>) -> LimitResult {
    LimitResult { what: figure.what.to_owned(), limit, found, held: found <= limit, relative }
}

fn unknown(figure: ResourceFigure, limit: f64, relative: Option<RelativeLimit>) -> LimitResult {
    LimitResult { held: false, ..result(figure, limit, 0.0, relative) }
}

fn fixed(figure: ResourceFigure, most: f64, own: Option<&OriginResources>) -> (LimitResult, Option<String>) {
    let ResourceFigure { noun, say, .. } = figure;
    match read(figure, own) {
        Ok(found) => {
            let broken = (found > most)
                .then(|| format!("the origin's {noun} is {}, over the limit of {}", say(found), say(most)));
            (result(figure, most, found, None), broken)
        }
        Err(why) => (unknown(figure, most, None), Some(format!("the origin's {noun} is unknown: {why}"))),
    }
}

fn relative(figure: ResourceFigure, times: f64, measured: &MeasuredOrigins) -> (LimitResult, Option<String>) {
    let ResourceFigure { noun, say, .. } = figure;
    let not_known = Some(RelativeLimit { times, active: 0.0 });
    let found = match read(figure, measured.own.as_ref()) {
        Ok(found) => found,
        Err(why) => {
            return (unknown(figure, 0.0, not_known), Some(format!("the origin's {noun} is unknown: {why}")));
        }
    };
    match read(figure, measured.active.as_ref()) {
        Ok(active) => {
            let most = (times * active).max(figure.floor);
            let of = match most > times * active {
                true => format!("the least that a multiple of active's {} comes to", say(active)),
                false => format!("which is {times} times active's {}", say(active)),
            };
            let broken =
                (found > most).then(|| format!("the origin's {noun} is {}, over {}, {of}", say(found), say(most)));
            (result(figure, most, found, Some(RelativeLimit { times, active })), broken)
        }
        Err(why) => {
            let why = format!("the origin's {noun} has nothing to be compared with: active's is unknown: {why}");
            (LimitResult { held: false, ..result(figure, 0.0, found, not_known) }, Some(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(cores: f64, mib: u64) -> Option<OriginResources> {
        let used = OriginUse {
            cpu_seconds: 1.0,
            cores,
            memory_peak_bytes: mib << 20,
            open_files_peak: Some(9),
            threads_peak: 3,
        };
        Some(OriginResources { pids: vec![7], used: Some(used), why: None })
    }

    fn gone() -> Option<OriginResources> {
        Some(OriginResources { pids: vec![7], used: None, why: Some("process 7 ended while the load ran".to_owned()) })
    }

    fn sentences(limits: &LoadLimits, own: Option<OriginResources>, active: Option<OriginResources>) -> Vec<String> {
        let all = judge(limits, &MeasuredOrigins { own, active }, true);
        assert!(all.iter().all(|(limit, why)| limit.held == why.is_none()), "{all:?}");
        all.into_iter().filter_map(|(_, why)| why).collect()
    }

    #[test]
    fn a_fixed_limit_is_held_against_what_was_used() {
        let limits = LoadLimits {
            cpu: Some(ResourceLimit::Fixed(1.5)),
            memory: Some(ResourceLimit::Fixed(512.0 * 1_048_576.0)),
            ..LoadLimits::default()
        };
        assert!(sentences(&limits, measured(1.5, 512), None).is_empty());
        let broken = [
            "the origin's CPU use is 1.62 cores, over the limit of 1.5 cores",
            "the origin's memory is 600 MiB, over the limit of 512 MiB",
        ];
        assert_eq!(sentences(&limits, measured(1.62, 600), None), broken);
        let unknown = ["CPU use", "memory"]
            .map(|what| format!("the origin's {what} is unknown: process 7 ended while the load ran"));
        assert_eq!(sentences(&limits, gone(), None), unknown);
    }

    #[test]
    fn a_relative_limit_needs_both_figures_and_a_little_cpu_is_never_too_much() {
        let limits = LoadLimits { cpu: Some(ResourceLimit::OfActive(1.2)), ..LoadLimits::default() };
        assert!(sentences(&limits, measured(0.04, 1), measured(0.001, 1)).is_empty());
        assert!(sentences(&limits, measured(0.6, 1), measured(0.5, 1)).is_empty());
        assert_eq!(
            sentences(&limits, measured(0.9, 1), measured(0.5, 1)),
            ["the origin's CPU use is 0.9 cores, over 0.6 cores, which is 1.2 times active's 0.5 cores"]
        );
        assert_eq!(
            sentences(&limits, measured(0.9, 1), measured(0.0, 1)),
            [
                "the origin's CPU use is 0.9 cores, over 0.05 cores, the least that a multiple of active's 0 cores comes to"
            ]
        );
        assert_eq!(
            sentences(&limits, measured(0.9, 1), gone()),
            [
                "the origin's CPU use has nothing to be compared with: active's is unknown: process 7 ended while the load ran"
            ]
        );
        assert!(
            judge(&limits, &MeasuredOrigins::default(), false).is_empty(),
            "active itself is compared with nothing"
        );
        assert_eq!(of_active(&limits), [CPU]);
    }
}
