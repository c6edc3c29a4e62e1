//! `[service.NAME.rollout]` as it is typed.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, IntoDeserializer, Visitor};

use crate::file::values::{Duration, PathPattern, Share, SuiteName, Whole, Window, Word, one_of};
use crate::file::{At, GateFile, OneOrMany};
use judgement::rollout::plan::OnFailure;

/// How a version goes from no traffic to all of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutFile {
    /// The candidate's share at each step: ascending percentages up to 100, or tables with more conditions. The first may
    /// be { mirror = "5m" }: copies of requests before the first client.
    #[schemars(extend("default" = [10, 25, 50, 75, 100], "minItems" = 1))]
    pub steps: Option<At<Vec<At<StepFile>>>>,
    /// The minimum time at each step.
    #[schemars(extend("default" = "2m"))]
    pub bake: Option<At<Duration<0>>>,
    /// The minimum number of the candidate's requests at each step.
    #[schemars(extend("default" = 20, "x-unit" = "requests"))]
    pub requests: Option<At<Whole<0, 1_000_000_000>>>,
    /// How long the guard keeps watching after the promotion.
    #[schemars(extend("default" = "10m"))]
    pub watch: Option<At<Duration<0>>>,
    /// The percentage that stays on the old side while the guard keeps watching, up to 20.
    #[schemars(extend("default" = 0, "maximum" = 20))]
    pub holdback: Option<At<Share>>,
    /// Warm-up requests to each origin of the new side before its first client, to absorb cold starts.
    #[schemars(extend("default" = 3, "x-unit" = "requests"))]
    pub warm_up: Option<At<Whole<1, 1000>>>,
    /// The path of the warm-up requests.
    #[schemars(extend("default" = "/"))]
    pub warm_up_path: Option<At<PathPattern>>,
    /// How long a new side that is still starting may take until it answers and passes its checks, up to "1h".
    #[schemars(extend("default" = "30s"))]
    pub ready_within: Option<At<Duration<0, 3_600_000>>>,
    /// Validation suites that must pass before the first client.
    pub suites: Option<At<Vec<At<SuiteName>>>>,
    /// What happens when a suite of a step fails, or copies of requests are answered differently: "rollback", or "hold"
    /// until a person decides. A suite that fails in the preflight always ends the rollout.
    #[schemars(extend("default" = "rollback"))]
    pub on_fail: Option<At<Word<OnFailure>>>,
    /// How long a rollout may take, without the time for which it is paused. Default: as long as it takes.
    pub deadline: Option<At<Duration<1>>>,
    /// What happens then: "rollback", or "hold" until a person decides.
    #[schemars(extend("default" = "rollback"))]
    pub on_deadline: Option<At<Word<OnFailure>>>,
    /// When deploys and steps are frozen, again and again: a list of windows such as
    /// "Fri 16:00–Mon 08:00 Europe/Berlin", or "22:00–06:00" for every day. Without a zone it is UTC.
    pub freeze: Option<OneOrMany<Window>>,
    /// How a rollback moves the clients: "at once", or { over = "30s" }, bit by bit, so that a side that has served nobody
    /// can warm up.
    #[serde(rename = "return")]
    #[schemars(extend("default" = "at once"))]
    pub return_to: Option<At<ReturnFile>>,
    /// Other systems that a rollout asks before it goes on, or tells what it has done.
    pub gate: Vec<At<GateFile>>,
}

/// How a rollback moves the clients.
#[derive(Clone, Debug, Default)]
pub struct ReturnFile {
    /// `None`: at once.
    pub over: Option<At<Duration<1>>>,
}

/// A gradual return.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GradualReturnTable {
    /// From all that the new side had to nothing, in a straight line.
    over: At<Duration<1>>,
}

const AT_ONCE: &str = "at once";

impl<'de> Deserialize<'de> for ReturnFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReturnFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ReturnFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"at once\", or { over = \"30s\" }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ReturnFile, E> {
                let known = (text == AT_ONCE).then(ReturnFile::default);
                known.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ReturnFile, A::Error> {
                let table = GradualReturnTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(ReturnFile { over: Some(table.over) })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ReturnFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Return".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<GradualReturnTable>();
        schemars::json_schema!({ "anyOf": [{ "const": AT_ONCE }, table] })
    }
}

/// A percentage, or a table.
#[derive(Clone, Debug, Default)]
pub struct StepFile {
    pub weight: Option<At<Share>>,
    pub bake: Option<At<Duration<0>>>,
    pub requests: Option<At<Whole<0, 1_000_000_000>>>,
    pub approve: Option<bool>,
    pub suites: Option<At<Vec<At<SuiteName>>>>,
    pub on_fail: Option<At<Word<OnFailure>>>,
    pub mirror: Option<At<Duration<1>>>,
    pub differences: Option<At<Whole<0, 1000>>>,
}

/// A step with conditions of its own. A bare percentage is a step with those of the rollout.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = one_of(&["weight", "mirror"])))]
struct StepTable {
    /// The candidate's share in percent.
    weight: Option<At<Share>>,
    /// The minimum time at this step. Default: the rollout's.
    bake: Option<At<Duration<0>>>,
    /// The minimum number of the candidate's requests at this step. Default: the rollout's.
    #[schemars(extend("x-unit" = "requests"))]
    requests: Option<At<Whole<0, 1_000_000_000>>>,
    /// Wait at this step until a person approves.
    #[schemars(extend("default" = false))]
    approve: Option<bool>,
    /// Validation suites that run during this step, and must pass before the next one.
    suites: Option<At<Vec<At<SuiteName>>>>,
    /// What happens when one of them fails, or copies differ. Default: the rollout's.
    on_fail: Option<At<Word<OnFailure>>>,
    /// Only for the first step, instead of `weight` and `bake`: how long copies of clients' requests go to the candidate,
    /// and how it answers them is compared, before its first client. `requests` is how many must be compared.
    mirror: Option<At<Duration<1>>>,
    /// The most kinds of differences with which that step is passed.
    #[schemars(extend("default" = 0, "x-unit" = "differences"))]
    differences: Option<At<Whole<0, 1000>>>,
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
                let value = Share::deserialize(value.into_deserializer())?;
                // The step's own place is its weight's.
                Ok(StepFile { weight: Some(At { value, span: 0..0 }), ..StepFile::default() })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StepFile, E> {
                let value = Share::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(StepFile { weight: Some(At { value, span: 0..0 }), ..StepFile::default() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StepFile, A::Error> {
                let table = StepTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let StepTable { weight, bake, requests, approve, suites, on_fail, mirror, differences } = table;
                Ok(StepFile { weight, bake, requests, approve, suites, on_fail, mirror, differences })
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
        let (weight, table) = (generator.subschema_for::<Share>(), generator.subschema_for::<StepTable>());
        schemars::json_schema!({ "anyOf": [weight, table] })
    }
}
