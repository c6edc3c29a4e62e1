//! A plain listener as it is typed: its address, or a table.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};

use crate::ProxyProtocol;
use crate::file::At;
use crate::file::values::{ListenAddress, Word};

/// An address with a port, and what comes before the requests there.
#[derive(Clone, Debug)]
pub struct PlainListenerFile {
    pub address: Option<ListenAddress>,
    pub proxy_protocol: Option<At<Word<ProxyProtocol>>>,
}

/// A listener behind a load balancer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["address"]))]
struct PlainListenerTable {
    /// An address with a port.
    address: Option<ListenAddress>,
    /// Whether connections from `trusted_proxies` begin with a header of the PROXY protocol, version 1 or 2, that names the
    /// client: "required", "optional" or "off".
    #[schemars(extend("default" = "off"))]
    proxy_protocol: Option<At<Word<ProxyProtocol>>>,
}

impl From<ListenAddress> for PlainListenerFile {
    fn from(address: ListenAddress) -> PlainListenerFile {
        PlainListenerFile { address: Some(address), proxy_protocol: None }
    }
}

impl<'de> Deserialize<'de> for PlainListenerFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlainListenerFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PlainListenerFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an IP address with a port, or a table with an `address`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PlainListenerFile, E> {
                ListenAddress::deserialize(StrDeserializer::new(text)).map(PlainListenerFile::from)
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<PlainListenerFile, E> {
                ListenAddress::deserialize(IntoDeserializer::<E>::into_deserializer(number))
                    .map(PlainListenerFile::from)
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<PlainListenerFile, E> {
                ListenAddress::deserialize(IntoDeserializer::<E>::into_deserializer(number))
                    .map(PlainListenerFile::from)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<PlainListenerFile, A::Error> {
                let PlainListenerTable { address, proxy_protocol } =
                    PlainListenerTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PlainListenerFile { address, proxy_protocol })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for PlainListenerFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PlainListener".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (address, table) =
            (generator.subschema_for::<ListenAddress>(), generator.subschema_for::<PlainListenerTable>());
        schemars::json_schema!({ "anyOf": [address, table] })
    }
}
