//! By how much compared values may differ: one ratio for all numbers, or an amount for each column.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::{At, Duration, InvalidValue, Tolerance, shown};
use judgement::time::Millis;

/// `0.01`, or `{ price = 0.01, seen_at = "2s" }`.
#[derive(Clone, Debug)]
pub enum DataToleranceFile {
    Relative(Tolerance),
    Columns(BTreeMap<String, At<ColumnToleranceFile>>),
}

/// The difference of two numbers, of two times in seconds, or of two times as a duration.
#[derive(Clone, Copy, Debug)]
pub enum ColumnToleranceFile {
    Number(f64),
    Time(Millis),
}

struct DataToleranceVisitor;

impl<'de> Visitor<'de> for DataToleranceVisitor {
    type Value = DataToleranceFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to below 1, or a table of columns such as { price = 0.01 }")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<DataToleranceFile, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<DataToleranceFile, E> {
        Tolerance::deserialize(IntoDeserializer::<E>::into_deserializer(number)).map(DataToleranceFile::Relative)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DataToleranceFile, E> {
        Tolerance::deserialize(StrDeserializer::<E>::new(text)).map(DataToleranceFile::Relative)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataToleranceFile, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(DataToleranceFile::Columns)
    }
}

impl<'de> Deserialize<'de> for DataToleranceFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DataToleranceFile, D::Error> {
        deserializer.deserialize_any(DataToleranceVisitor)
    }
}

struct ColumnToleranceVisitor;

impl Visitor<'_> for ColumnToleranceVisitor {
    type Value = ColumnToleranceFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a duration such as \"2s\"")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<ColumnToleranceFile, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<ColumnToleranceFile, E> {
        if !number.is_finite() || number < 0.0 {
            let message = format!("{{key}} must be a number of at least 0, not {}", shown(number));
            let hint = "0.01 allows 1.00 and 1.01; \"2s\" allows times two seconds apart";
            return Err(InvalidValue::new(message, hint).into_error());
        }
        Ok(ColumnToleranceFile::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ColumnToleranceFile, E> {
        let length = <Duration>::deserialize(StrDeserializer::<E>::new(text))?;
        Ok(ColumnToleranceFile::Time(length.0))
    }
}

impl<'de> Deserialize<'de> for ColumnToleranceFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ColumnToleranceFile, D::Error> {
        deserializer.deserialize_any(ColumnToleranceVisitor)
    }
}

impl JsonSchema for DataToleranceFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DataTolerance".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (ratio, column) =
            (generator.subschema_for::<Tolerance>(), generator.subschema_for::<ColumnToleranceFile>());
        json_schema!({ "anyOf": [ratio, { "type": "object", "additionalProperties": column }] })
    }
    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for ColumnToleranceFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ColumnTolerance".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let length = generator.subschema_for::<Duration>();
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, length] })
    }
    fn inline_schema() -> bool {
        true
    }
}
