//! `forward_auth` of a service and its routes, as it is typed.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::file::values::{AuthUrl, CopiedHeader, Duration, HeaderField};
use crate::file::{At, OneOrMany};

/// "none", or who is asked.
#[derive(Clone, Debug, Default)]
pub struct ForwardAuthFile {
    pub none: bool,
    pub table: ForwardAuthTable,
}

/// Another service that is asked whether a request may go on: any 2xx lets it, and any other answer is the client's.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub struct ForwardAuthTable {
    /// What is asked for, by a GET without a body: `"http://127.0.0.1:9091/verify"`.
    pub url: Option<At<AuthUrl>>,
    /// The client's headers that the auth service is sent, besides X-Forwarded-*; [] for none. Default: all but those of the
    /// connection and the body, conditions, Range, and those of `response_headers`.
    pub request_headers: Option<OneOrMany<HeaderField, true>>,
    /// The headers of its answer that origins are sent: names, or their beginning such as "x-auth-*". A client's own headers
    /// of these names go no further.
    #[schemars(extend("default" = []))]
    pub response_headers: Option<OneOrMany<CopiedHeader, true>>,
    /// Time for its whole answer, up to "1m". After that, the client gets 503.
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<At<Duration<1, 60_000>>>,
    /// A PEM file of CA certificates to trust for it, instead of the system's. Relative to this file.
    pub ca_file: Option<At<String>>,
}

impl<'de> Deserialize<'de> for ForwardAuthFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ForwardAuthFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ForwardAuthFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{ url = \"http://…\" } or \"none\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ForwardAuthFile, E> {
                if text == "none" {
                    return Ok(ForwardAuthFile { none: true, ..ForwardAuthFile::default() });
                }
                Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ForwardAuthFile, A::Error> {
                let table = ForwardAuthTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(ForwardAuthFile { none: false, table })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ForwardAuthFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ForwardAuth".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<ForwardAuthTable>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "enum": ["none"] }, table] })
    }
}
