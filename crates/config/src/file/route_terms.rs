//! What a route does besides forwarding, as it is typed.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::file::At;
use crate::file::values::{CookieName, Duration, HeaderField, RedirectUrl, Whole};

/// Another address for the requests of a route. No environment is asked, and nothing is judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["to"]))]
pub struct RedirectFile {
    /// The new address: a URL such as `"https://www.example.com{path}"`, or a path. {path} is the request's path, less
    /// `strip_prefix` and behind `add_prefix`, {host} the request's host without its port, {scheme} its http or https.
    pub to: Option<At<RedirectUrl>>,
    /// 301 and 308 are for ever, 302 and 307 for now; 307 and 308 keep method and body; 303 turns into a GET.
    #[schemars(extend("default" = 302, "enum" = [301, 302, 303, 307, 308]))]
    pub status: Option<At<Whole<300, 399>>>,
    /// Whether the request's query goes along. Default: unless `to` has a query.
    pub keep_query: Option<bool>,
}

/// How many requests of one client, or of one key, a route takes. Others are answered with 429.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["requests", "per"]))]
pub struct RateLimitFile {
    /// How many requests are taken in the time `per`.
    #[schemars(extend("x-unit" = "requests"))]
    pub requests: Option<At<Whole<1, 1_000_000>>>,
    /// The time, from "1s" to "1d".
    pub per: Option<At<Duration<1000, 86_400_000>>>,
    /// How many of them are taken at once, after a time without any. Default: all of `requests`.
    #[schemars(extend("x-unit" = "requests"))]
    pub burst: Option<At<Whole<1, 1_000_000>>>,
    /// Whose requests are counted together: "client_address", { header = "x-api-key" } or { cookie = "session" }. Requests
    /// without the header or the cookie count for their client's address.
    #[schemars(extend("default" = "client_address"))]
    pub by: Option<At<RateLimitKeyFile>>,
}

/// "client_address", or one of the keys.
#[derive(Clone, Debug, Default)]
pub struct RateLimitKeyFile {
    pub client_address: bool,
    pub table: RateLimitKeyTable,
}

/// Whose requests are counted together. Exactly one of `header` and `cookie` is needed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct RateLimitKeyTable {
    /// A header that clients send.
    pub header: Option<At<HeaderField>>,
    /// A cookie that clients send.
    pub cookie: Option<At<CookieName>>,
}

impl<'de> Deserialize<'de> for RateLimitKeyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RateLimitKeyFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RateLimitKeyFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"client_address\", { header = \"name\" } or { cookie = \"name\" }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RateLimitKeyFile, E> {
                if text == "client_address" {
                    return Ok(RateLimitKeyFile { client_address: true, ..RateLimitKeyFile::default() });
                }
                Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<RateLimitKeyFile, A::Error> {
                let table = RateLimitKeyTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(RateLimitKeyFile { client_address: false, table })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for RateLimitKeyFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimitKey".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<RateLimitKeyTable>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "enum": ["client_address"] }, table] })
    }
}
