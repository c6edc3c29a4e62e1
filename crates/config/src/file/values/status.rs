//! Statuses of responses, as people write them.

use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::{InvalidValue, shown};

/// The statuses of final responses.
const ALL: RangeInclusive<u16> = 200..=599;
const HINT: &str =
    "write a status such as \"429\", a class such as \"5xx\", or a range such as \"500-504\", from 200 to 599";

/// One status or several: a class (`"5xx"`), a status (`"429"` or 429), or a range (`"500-504"`).
#[derive(Clone, Debug)]
pub struct StatusRange(pub RangeInclusive<u16>);

impl StatusRange {
    pub fn parse(text: &str) -> Option<StatusRange> {
        let status = |text: &str| {
            let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|status| is_number && ALL.contains(status))
        };
        let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
        if let Some(first) = class.and_then(|digit| status(&format!("{digit}00"))) {
            return Some(StatusRange(first..=first + 99));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (status(first.trim())?, status(last.trim())?);
        (first <= last).then_some(StatusRange(first..=last))
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = StatusRange;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("statuses such as \"5xx\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StatusRange, E> {
        StatusRange::parse(text)
            .ok_or_else(|| InvalidValue::new(format!("invalid statuses `{text}`"), HINT).into_error())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<StatusRange, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<StatusRange, E> {
        self.visit_str(&shown(number))
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StatusRange, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusRange".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": r"^([2-5](xx|XX)|[2-5][0-9]{2}( *- *[2-5][0-9]{2})?)$|\$\{",
            "minimum": ALL.start(),
            "maximum": ALL.end(),
            "x-unit": "statuses",
        })
    }
    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_written_as_a_class_a_status_or_a_range() {
        for (text, statuses) in [
            ("5xx", Some(500..=599)),
            ("2XX", Some(200..=299)),
            ("429", Some(429..=429)),
            ("500-504", Some(500..=504)),
            ("500 - 504", Some(500..=504)),
            ("404-404", Some(404..=404)),
            ("504-500", None),
            ("1xx", None),
            ("6xx", None),
            ("5xX", None),
            ("50x", None),
            ("xx", None),
            ("5", None),
            ("+429", None),
            ("0429", None),
            ("199", None),
            ("600", None),
            ("4xx-5xx", None),
            ("500-", None),
            ("-500", None),
            ("500-502-504", None),
            ("", None),
        ] {
            assert_eq!(StatusRange::parse(text).map(|range| range.0), statuses, "{text:?}");
        }
    }
}
