//! What makes no sense in a file that can be read: everything at once, each with its place and the way out.

mod access;
mod admin;
mod edits;
mod guard;
mod health;
mod main;
mod notify;
mod origin;
mod over;
mod preset;
mod rollout;
mod rule;
mod service;
mod size;
mod store;
mod suite;
mod terms;

use std::collections::BTreeMap;

use crate::file::{At, Number, RoutingFile};
use crate::read::{SourceFile, did_you_mean};
use crate::{Overlays, RoutingConfig};
use judgement::rollout::RuntimeOverrides;
use judgement::time::Millis;

pub use admin::token_name;
pub use main::main;
pub use origin::{in_words, permalink};
pub use suite::suite;

/// Checks routing files together: each by itself, then that no two services claim one host.
pub fn routing(sources: &mut [SourceFile], files: &[RoutingFile], overs: &Overlays) -> RoutingConfig {
    let nothing = RuntimeOverrides::default();
    let mut services = Vec::new();
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut hosts: BTreeMap<String, String> = BTreeMap::new();
    for (source, file) in sources.iter_mut().zip(files) {
        if file.service.is_empty() && source.problems.is_empty() {
            let hint = "begin with [service.NAME], and give it a blue and a green url".to_owned();
            source.problem(0..0, "the file names no service", Some(hint));
        }
        for (name, typed) in &file.service {
            if let Some(other) = names.insert(name, source.name.clone()) {
                source.problem(typed.span.clone(), format!("service `{name}` is in {other} too"), None);
                continue;
            }
            let config = service::check(source, name, typed, overs.get(name).unwrap_or(&nothing));
            let patterns: Vec<(String, std::ops::Range<usize>)> = match &typed.value.hosts {
                None => vec![("every other host".to_owned(), typed.span.clone())],
                Some(list) => list.0.iter().map(|at| (at.value.to_ascii_lowercase(), at.span.clone())).collect(),
            };
            for (pattern, span) in patterns {
                let pattern = pattern.strip_suffix('.').unwrap_or(&pattern).to_owned();
                if let Some(other) = hosts.insert(pattern.clone(), name.clone()) {
                    let twice =
                        if other == *name { "named twice".to_owned() } else { format!("served by `{other}` too") };
                    let hint = "a host belongs to one service; name the hosts of all but one".to_owned();
                    source.problem(span, format!("{pattern} is {twice}"), Some(hint));
                }
            }
            services.extend(config);
        }
    }
    RoutingConfig { services }
}

/// A duration, or the default; problems are noted.
fn duration(source: &mut SourceFile, typed: Option<&At<String>>, default: Millis) -> Millis {
    let Some(At { value, span }) = typed else { return default };
    match Millis::parse(value) {
        Ok(length) => length,
        Err(why) => {
            source.problem(span.clone(), why, Some("write \"30s\", \"250ms\", \"2m\" or \"1h30m\"".to_owned()));
            default
        }
    }
}

/// A duration that must not be nothing.
fn positive(source: &mut SourceFile, typed: Option<&At<String>>, default: Millis) -> Millis {
    let length = duration(source, typed, default);
    if let (Millis::ZERO, Some(At { span, .. })) = (length, typed) {
        source.problem(span.clone(), "this duration must be over zero", None);
    }
    length
}

/// One of a few words; problems are noted.
fn one_of<T: Copy>(source: &mut SourceFile, typed: &At<String>, words: &[(&str, T)]) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == typed.value).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = did_you_mean(&typed.value, &known);
        source.problem(typed.span.clone(), format!("`{}` is not one of {}", typed.value, known.join(", ")), Some(hint));
    }
    found
}

/// A whole number within bounds; problems are noted.
fn whole(
    source: &mut SourceFile,
    typed: Option<&At<Number>>,
    bounds: std::ops::RangeInclusive<u64>,
    default: u64,
) -> u64 {
    let Some(At { value: Number(number), span }) = typed else { return default };
    if number.fract() != 0.0 || *number < *bounds.start() as f64 || *number > *bounds.end() as f64 {
        let message = format!("{number} is not a whole number from {} to {}", bounds.start(), bounds.end());
        source.problem(span.clone(), message, None);
        return default;
    }
    *number as u64
}
