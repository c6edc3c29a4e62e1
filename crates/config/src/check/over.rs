//! Rules, triggers and origins that were changed at run time. What the file names takes precedence: an addition whose
//! name is in the file, or that no longer fits the file, is set aside and reported.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::IgnoredOverlay;
use crate::check::{guard, origin, rule};
use crate::file::{At, GuardFile, RuleFile, TriggerFile};
use crate::read::SourceFile;
use judgement::guard::trigger::Trigger;
use judgement::rollout::{DeployedOrigin, RuntimeOverrides};
use judgement::traffic::Environment;
use judgement::traffic::route::Routes;
use judgement::traffic::rule::RoutingRule;
use memory::snapshot::OriginSettings;

/// The added rules, after those of the file.
pub fn rules(
    over: &RuntimeOverrides,
    file: &[At<RuleFile>],
    routes: &Routes,
    aside: &mut Vec<IgnoredOverlay>,
) -> Vec<RoutingRule> {
    let named: Vec<&str> = file.iter().filter_map(|at| Some(at.value.name.as_ref()?.value.as_str())).collect();
    let mut rules = Vec::new();
    for (place, (name, text)) in over.overlay.rules.iter().enumerate() {
        let place = file.len() + place;
        let checked = |source: &mut SourceFile, typed: &At<RuleFile>| rule::check(source, typed, routes, place);
        match fragment(name, text, &named, checked) {
            Ok(rule) => rules.push(RoutingRule { name: name.clone(), ..rule }),
            Err(why) => aside.push(IgnoredOverlay { what: "rule", name: name.clone(), why }),
        }
    }
    rules
}

/// The added triggers. One with the name of a default trigger replaces it.
pub fn triggers(
    over: &RuntimeOverrides,
    file: Option<&At<GuardFile>>,
    aside: &mut Vec<IgnoredOverlay>,
) -> Vec<Trigger> {
    let named: Vec<&str> = file.iter().flat_map(|at| at.value.names()).collect();
    let mut triggers = Vec::new();
    for (name, text) in &over.overlay.triggers {
        match fragment::<TriggerFile, Trigger>(name, text, &named, guard::trigger) {
            Ok(trigger) => triggers.push(trigger),
            Err(why) => aside.push(IgnoredOverlay { what: "trigger", name: name.clone(), why }),
        }
    }
    triggers
}

fn fragment<F: DeserializeOwned + Default + JsonSchema, T>(
    name: &str,
    text: &str,
    named: &[&str],
    check: impl FnOnce(&mut SourceFile, &At<F>) -> Option<T>,
) -> Result<T, String> {
    if named.contains(&name) {
        return Err("the routing file has one of this name: change it there".to_owned());
    }
    let mut source = SourceFile::new(name, text);
    let value: F = source.read();
    let checked = check(&mut source, &At { value, span: 0..0 });
    let problems = source.problems.iter().map(|problem| match &problem.hint {
        Some(hint) => format!("{} ({hint})", problem.message),
        None => problem.message.clone(),
    });
    let problems: Vec<String> = problems.collect();
    match checked {
        Some(checked) if problems.is_empty() => Ok(checked),
        _ => Err(problems.join("; ")),
    }
}

/// Where a deploy has sent an environment, for as long as the file still says what it said then.
pub fn origin(
    over: &RuntimeOverrides,
    side: Environment,
    file: OriginSettings,
    aside: &mut Vec<IgnoredOverlay>,
) -> OriginSettings {
    let Some(DeployedOrigin { url, instead_of }) = side.of(&over.origins) else { return file };
    if file.urls() != *instead_of {
        return file;
    }
    match origin::permalink(url) {
        Ok(target) => OriginSettings { targets: vec![target], ..file },
        Err(why) => {
            aside.push(IgnoredOverlay { what: "origin", name: side.name().to_owned(), why });
            file
        }
    }
}

/// The same for a pair.
pub fn origins(
    over: &RuntimeOverrides,
    pair: [Arc<OriginSettings>; 2],
    aside: &mut Vec<IgnoredOverlay>,
) -> [Arc<OriginSettings>; 2] {
    let [blue, green] = pair;
    let mut laid = |side: Environment, file: Arc<OriginSettings>| match side.of(&over.origins) {
        Some(_) => Arc::new(origin(over, side, OriginSettings::clone(&file), aside)),
        None => file,
    };
    [laid(Environment::Blue, blue), laid(Environment::Green, green)]
}
