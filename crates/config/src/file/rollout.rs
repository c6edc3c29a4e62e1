//! `[service.NAME.rollout]` as it is typed.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::file::{At, Number};

/// How a version gets from nothing to everything.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutFile {
    /// Percentages in rising order, or tables with more to say. Default [10, 25, 50, 75, 100].
    pub steps: Option<At<Vec<At<StepFile>>>>,
    /// How long a step lasts at the least. Default "2m".
    pub bake: Option<At<String>>,
    /// How many of the candidate's requests a step wants at the least. Default 20.
    pub requests: Option<At<Number>>,
    /// How long the guard goes on watching after the promotion. Default "10m".
    pub watch: Option<At<String>>,
    /// Percent that stay on the old side until then, for a baseline that is alive. Default 0.
    pub holdback: Option<At<Number>>,
    /// Requests to each address of the new side before its first client: against cold starts. Default 3.
    pub warm_up: Option<At<Number>>,
    /// Where they go. Default "/".
    pub warm_up_path: Option<At<String>>,
    /// Validation suites that must pass before its first client. Default none.
    pub suites: Option<At<Vec<At<String>>>>,
    /// What a suite of a step that fails does: "rollback" (default), or "hold" until a person looks. Before the first
    /// client nothing is left to choose: the version does not set out.
    pub on_fail: Option<At<String>>,
}

/// A percentage, or a table.
#[derive(Clone, Debug, Default)]
pub struct StepFile {
    pub weight: Option<At<Number>>,
    pub bake: Option<At<String>>,
    pub requests: Option<At<Number>>,
    pub approve: Option<bool>,
    pub suites: Option<At<Vec<At<String>>>>,
    pub on_fail: Option<At<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StepTable {
    /// Percent.
    weight: Option<At<Number>>,
    /// Overrides the rollout's.
    bake: Option<At<String>>,
    /// Overrides the rollout's.
    requests: Option<At<Number>>,
    /// Left only when a person says so.
    approve: Option<bool>,
    /// Validation suites that run while it bakes: it is left only when they have passed.
    suites: Option<At<Vec<At<String>>>>,
    /// Overrides the rollout's.
    on_fail: Option<At<String>>,
}

impl<'de> Deserialize<'de> for StepFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StepFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StepFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a percentage, or a table such as { weight = 10, bake = \"5m\" }")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<StepFile, E> {
                self.visit_f64(value as f64)
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<StepFile, E> {
                // The step's own place is its weight's.
                Ok(StepFile { weight: Some(At { value: Number(value), span: 0..0 }), ..StepFile::default() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StepFile, A::Error> {
                let table = StepTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let StepTable { weight, bake, requests, approve, suites, on_fail } = table;
                Ok(StepFile { weight, bake, requests, approve, suites, on_fail })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StepFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Step".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<StepTable>();
        schemars::json_schema!({ "oneOf": [{ "type": "number" }, table] })
    }
}
