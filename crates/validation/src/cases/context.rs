//! What the steps of a run know on one side: variables, and what of them no report shows.

use crate::redact::Redactor;
use crate::request_numbers::RequestNumbers;
use crate::variables::{VariableValue, Variables};
use config::suite::{Json, Suite};
use wire::Side;

/// The variables of a run on one side, and the secrets that no report shows.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    pub variables: Variables,
    pub redactor: Redactor,
}

impl RunContext {
    /// The context of a suite's first step on a side: `run`, `environment`, `unique` and the suite's own variables; and
    /// why one of those has no value, if so.
    pub fn of(suite: &Suite, side: Side, run: &str, numbers: &RequestNumbers) -> (RunContext, Option<String>) {
        let mut redactor = Redactor::default();
        suite.secrets.iter().for_each(|secret| redactor.hide(secret));
        let mut context = RunContext { variables: Variables::default(), redactor };
        context.variables.set("run", run);
        context.variables.set("environment", side.name());
        context.variables.set("unique", numbers.unique().to_string());
        let mut stuck = None;
        for (variable, text) in &suite.variables {
            match context.variables.expand(text) {
                Ok(value) => context.learn(suite.secret_names.contains(variable), variable, value),
                Err(why) => stuck = stuck.or(Some(format!("variable `{variable}`: {why}"))),
            }
        }
        (context, stuck)
    }

    /// Sets a variable; a secret one is hidden from now on.
    pub fn learn(&mut self, is_secret: bool, name: &str, value: impl Into<VariableValue>) {
        let value = value.into();
        if is_secret {
            self.redactor.hide(&value.text);
            // A body is shown with other whitespace than it was captured with.
            if let Ok(parts @ (Json::Object(_) | Json::Array(_))) = Json::parse(value.text.as_bytes()) {
                hide_all(&mut self.redactor, &parts);
            }
        }
        self.variables.set(name, value);
    }
}

fn hide_all(redactor: &mut Redactor, value: &Json) {
    match value {
        Json::Text(text) => redactor.hide(text),
        Json::Array(items) | Json::Repeated(items) => items.iter().for_each(|item| hide_all(redactor, item)),
        Json::Object(fields) => fields.values().for_each(|value| hide_all(redactor, value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
