//! How the process of an origin is found: by its port, or as a table says.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{At, InvalidValue, Whole, one_of};

const PORT: &str = "port";
/// The largest process id that Linux gives.
const MOST_PID: u64 = 1 << 22;

/// `"port"`, or `{ blue = …, green = … }`.
#[derive(Clone, Debug)]
pub enum ResourcesFile {
    Port,
    Sides(ResourceSidesFile),
}

/// How the process of each side's origin is found. Default: by the origin's port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceSidesFile {
    /// The process of blue's origin.
    pub blue: Option<At<OriginProcessFile>>,
    /// The process of green's origin.
    pub green: Option<At<OriginProcessFile>>,
}

/// `"port"`, `{ pid = 1234 }` or `{ pid_file = "green.pid" }`.
#[derive(Clone, Debug)]
pub enum OriginProcessFile {
    Port,
    Named(NamedProcessFile),
}

/// A process by its id. Exactly one of the keys is needed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = one_of(&["pid", "pid_file"])))]
pub struct NamedProcessFile {
    /// The process id.
    #[schemars(extend("x-unit" = "process id"))]
    pub pid: Option<At<Whole<1, MOST_PID>>>,
    /// A file that contains the process id, which is read when the load begins. Relative to this file.
    pub pid_file: Option<At<String>>,
}

/// # Errors
/// The text is not the word.
fn port<E: serde::de::Error>(text: &str, hint: &str) -> Result<(), E> {
    let wrong = || InvalidValue::new(format!("{{key}} must be \"{PORT}\" or a table, not the string {text:?}"), hint);
    (text == PORT).then_some(()).ok_or_else(|| wrong().into_error())
}

struct ResourcesVisitor;

impl<'de> Visitor<'de> for ResourcesVisitor {
    type Value = ResourcesFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"port\", or a table such as { green = { pid_file = \"green.pid\" } }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ResourcesFile, E> {
        port(text, "write \"port\", or { green = { pid_file = \"green.pid\" } }").map(|()| ResourcesFile::Port)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ResourcesFile, A::Error> {
        ResourceSidesFile::deserialize(MapAccessDeserializer::new(map)).map(ResourcesFile::Sides)
    }
}

impl<'de> Deserialize<'de> for ResourcesFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResourcesFile, D::Error> {
        deserializer.deserialize_any(ResourcesVisitor)
    }
}

struct OriginProcessVisitor;

impl<'de> Visitor<'de> for OriginProcessVisitor {
    type Value = OriginProcessFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"port\", { pid = 1234 } or { pid_file = \"green.pid\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OriginProcessFile, E> {
        port(text, "write \"port\", { pid = 1234 } or { pid_file = \"green.pid\" }").map(|()| OriginProcessFile::Port)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OriginProcessFile, A::Error> {
        NamedProcessFile::deserialize(MapAccessDeserializer::new(map)).map(OriginProcessFile::Named)
    }
}

impl<'de> Deserialize<'de> for OriginProcessFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OriginProcessFile, D::Error> {
        deserializer.deserialize_any(OriginProcessVisitor)
    }
}

fn port_or(table: &Schema) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "enum": [PORT] }, table] })
}

impl JsonSchema for ResourcesFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Resources".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        port_or(&generator.subschema_for::<ResourceSidesFile>())
    }
    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for OriginProcessFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OriginProcess".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        port_or(&generator.subschema_for::<NamedProcessFile>())
    }
    fn inline_schema() -> bool {
        true
    }
}
