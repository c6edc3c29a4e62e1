//! What makes no sense in combination, in a file whose values can be read: everything at once, each problem with its
//! place and a hint.

mod access;
pub mod acme;
mod admin;
mod edits;
mod failures;
pub mod files;
mod forward_auth;
mod gate;
mod guard;
mod health;
mod main;
mod metric;
mod mirror;
mod notify;
mod origin;
mod over;
mod pages;
mod preset;
mod rollout;
mod route_terms;
mod rule;
mod service;
mod skew;
mod sticky;
mod store;
mod suite;
mod terms;
mod tls;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json_path::JsonPath;

use crate::file::values::{Duration, Share, Size, Whole, Word};
use crate::file::{At, RoutingFile, ServiceFile};
use crate::read::{SourceFile, written};
use crate::{RoutingConfig, RoutingContext};
use judgement::rollout::RuntimeOverrides;
use judgement::time::Millis;

pub use admin::token_name;
pub use main::main;
pub use origin::permalink;
pub use suite::suite;
pub use tls::{check_files as tls_files, in_words};

/// Checks routing files together: each on its own, then that no two services claim the same host.
pub fn routing(sources: &mut [SourceFile], files: &[RoutingFile], context: &RoutingContext<'_>) -> RoutingConfig {
    let nothing = RuntimeOverrides::default();
    let (mut services, mut unchecked) = (Vec::new(), Vec::new());
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut hosts: BTreeMap<String, String> = BTreeMap::new();
    for (source, file) in sources.iter_mut().zip(files) {
        if file.service.is_empty() {
            let hint = "begin with [service.NAME], and give it a blue and a green url";
            source.nothing_in_it("the file has no service", hint);
        }
        let mut checked = Vec::new();
        for (name, typed) in &file.service {
            if let Some(other) = names.insert(name, source.name.clone()) {
                let hint = "give each service its own name, or remove one of the two".to_owned();
                let message = format!("service `{name}` is also defined in {other}");
                source.problem(typed.span.clone(), message, Some(hint));
                continue;
            }
            if !is_plain_name(name) {
                let span = source.part_of(&typed.span, &written(name));
                source.problem(span, format!("invalid service name `{name}`"), Some(PLAIN_NAME.to_owned()));
                continue;
            }
            let over = context.overlays.and_then(|all| all.get(name)).unwrap_or(&nothing);
            match service::check(source, name, typed, over, context) {
                Some(service) => services.push(service),
                None => unchecked.push(name.clone()),
            }
            checked.push((name, typed));
        }
        // The second one is the one that is too many.
        checked.sort_by_key(|(_, typed)| typed.span.start);
        for (name, typed) in checked {
            claim_hosts(source, name, typed, &mut hosts);
        }
    }
    let warnings = sources.iter_mut().flat_map(|source| std::mem::take(&mut source.warnings)).collect();
    RoutingConfig { services, unchecked, warnings }
}

/// Notes every host of a service that another one has already. `hosts`: with the service that has it.
fn claim_hosts(source: &mut SourceFile, name: &str, typed: &At<ServiceFile>, hosts: &mut BTreeMap<String, String>) {
    let patterns: Vec<(String, std::ops::Range<usize>)> = match &typed.value.hosts {
        None if source.lacks_part_of(&typed.span) => return,
        None => vec![("every other host".to_owned(), typed.span.clone())],
        Some(list) => list.0.iter().map(|at| (at.value.text.clone(), at.span.clone())).collect(),
    };
    for (pattern, span) in patterns {
        if let Some(other) = hosts.insert(pattern.clone(), name.to_owned()) {
            let message = match other == *name {
                true => format!("{pattern} is listed twice"),
                false => format!("{pattern} is already served by `{other}`"),
            };
            let hint = "a host belongs to one service, and at most one service may leave out `hosts`".to_owned();
            source.problem(span, message, Some(hint));
        }
    }
}

/// The given length, or the default.
fn length<const MIN: u64, const MAX: u64>(typed: &Option<At<Duration<MIN, MAX>>>, default: Millis) -> Millis {
    typed.as_ref().map_or(default, |at| at.value.0)
}

/// The given number, or the default.
fn whole<const MIN: u64, const MAX: u64>(typed: &Option<At<Whole<MIN, MAX>>>, default: u64) -> u64 {
    typed.as_ref().map_or(default, |at| at.value.0)
}

/// The given size, or the default.
fn size<const MIN: u64, const MAX: u64>(typed: &Option<At<Size<MIN, MAX>>>, default: u64) -> u64 {
    typed.as_ref().map_or(default, |at| at.value.0)
}

/// The given word.
fn word<T: Copy>(typed: &Option<At<Word<T>>>) -> Option<T> {
    typed.as_ref().map(|at| at.value.0)
}

/// Reads a JSONPath, or says where it cannot be read.
fn json_path(source: &mut SourceFile, text: &str, span: &Range<usize>) -> Option<JsonPath> {
    match JsonPath::parse(text) {
        Ok(path) => Some(path),
        Err(why) => {
            let hint = Some("write a JSONPath as in RFC 9535: \"$.items[0].id\" or \"$..updated_at\"".to_owned());
            let rest: String = text.chars().skip(why.position().saturating_sub(1)).collect();
            let why = if rest.is_empty() {
                "it ends too early".to_owned()
            } else {
                format!("it cannot be read from `{rest}` on")
            };
            source.problem(span.clone(), format!("invalid JSONPath `{text}`: {why}"), hint);
            None
        }
    }
}

/// Warns of a share that looks like a fraction: weights are percentages.
fn warn_of_fraction(source: &mut SourceFile, key: &str, typed: &At<Share>) {
    let (percent, points) = (typed.value.0.percent(), typed.value.0.basis_points());
    if (1..100).contains(&points) {
        let of = if points == 25 { "a quarter of a percent".to_owned() } else { format!("{percent} percent") };
        let message = format!("`{key}` is a percentage: {percent} is {of} of the requests");
        let meant = f64::from(points);
        source.warning(typed.span.clone(), message, &format!("write {meant} for {meant} percent of the requests"));
    }
}

/// A path that is relative to the file that names it.
fn beside(source: &SourceFile, path: &str) -> PathBuf {
    Path::new(&source.name).parent().unwrap_or(Path::new("")).join(path)
}

/// Whether a name can be used in URLs, metric labels and on command lines.
fn is_plain_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain && !name.is_empty() && name.len() <= 64
}

/// The characters of a plain name.
const PLAIN_NAME: &str = "use up to 64 letters, digits, `-`, `_` and `.`";
