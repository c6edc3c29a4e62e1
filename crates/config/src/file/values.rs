//! Values that TOML itself does not have. They are parsed where they are read, so that a wrong one is reported at its
//! place and no later code has to parse text again.
//!
//! An error of serde is one text. Here it is a message and, after a line break, the hint; `{key}` stands for the key
//! that the value belongs to.

mod number;
mod origin_process;
mod status;
mod text;
mod tolerance;
mod word;

use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, IntoDeserializer, SeqAccess, Visitor};

pub use number::{FiniteNumber, Percent, Rate, Share, Tolerance, Whole, shown};
pub use origin_process::{OriginProcessFile, ResourcesFile};
pub use status::StatusRange;
pub use text::{
    AuthUrl, CookieDomain, CookieName, CookiePath, CopiedHeader, CpuBound, Duration, ErrorBound, HeaderField,
    HostChoice, HostName, LatencyBound, ListenAddress, MemoryBound, Network, OriginUrl, PathPattern, PathPrefix,
    QueryName, REGEX, RedirectUrl, RuleMethod, RuleRegex, Size, SuiteName, TokenExpiry, TriggerLimit, TrustedProxies,
    TunnelStay, Version, Window, header, origin, regex_in_words,
};
pub use tolerance::{ColumnToleranceFile, DataToleranceFile};
pub use word::Word;

/// A value, and its position in the file.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(At { value: spanned.into_inner(), span })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// Why a value is not accepted, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    pub message: String,
    pub hint: Option<String>,
}

impl InvalidValue {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> InvalidValue {
        InvalidValue { message: message.into(), hint: Some(hint.into()) }
    }

    pub fn bare(message: impl Into<String>) -> InvalidValue {
        InvalidValue { message: message.into(), hint: None }
    }

    fn into_error<E: serde::de::Error>(self) -> E {
        match self.hint {
            Some(hint) => E::custom(format!("{}\n{hint}", self.message)),
            None => E::custom(self.message),
        }
    }
}

/// In a schema: one of these keys is needed.
pub fn one_of(keys: &[&str]) -> Vec<serde_json::Value> {
    keys.iter().map(|key| serde_json::json!({ "required": [key] })).collect()
}

/// One value, or a list of them. An empty list is refused, unless `EMPTY`.
#[derive(Clone, Debug)]
pub struct OneOrMany<T, const EMPTY: bool = false>(pub Vec<At<T>>);

struct OneOrManyVisitor<T, const EMPTY: bool>(std::marker::PhantomData<T>);

/// A single value; its position is that of the whole.
fn single<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<At<T>>, D::Error> {
    Ok(vec![At { value: T::deserialize(deserializer)?, span: 0..0 }])
}

impl<'de, T: Deserialize<'de>, const EMPTY: bool> Visitor<'de> for OneOrManyVisitor<T, EMPTY> {
    type Value = Vec<At<T>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<At<T>>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element::<At<T>>()? {
            all.push(item);
        }
        if all.is_empty() && !EMPTY {
            return Err(
                InvalidValue::new("{key} is an empty list", "remove the key, or list at least one value").into_error()
            );
        }
        Ok(all)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<At<T>>, E> {
        single(StrDeserializer::new(text))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Vec<At<T>>, E> {
        single(number.into_deserializer())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Vec<At<T>>, E> {
        single(number.into_deserializer())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Vec<At<T>>, E> {
        single(value.into_deserializer())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Vec<At<T>>, A::Error> {
        single(serde::de::value::MapAccessDeserializer::new(map))
    }
}

impl<'de, T: Deserialize<'de>, const EMPTY: bool> Deserialize<'de> for OneOrMany<T, EMPTY> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<T, EMPTY>, D::Error> {
        // `Spanned` passes arrays and everything else on unchanged.
        struct Inner<T, const EMPTY: bool>(Vec<At<T>>);
        impl<'de, T: Deserialize<'de>, const EMPTY: bool> Deserialize<'de> for Inner<T, EMPTY> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(OneOrManyVisitor::<T, EMPTY>(std::marker::PhantomData)).map(Inner)
            }
        }
        let whole = toml::Spanned::<Inner<T, EMPTY>>::deserialize(deserializer)?;
        let span = whole.span();
        let mut items = whole.into_inner().0;
        items.iter_mut().filter(|item| item.span.is_empty()).for_each(|item| item.span = span.clone());
        Ok(OneOrMany(items))
    }
}

impl<T: JsonSchema, const EMPTY: bool> JsonSchema for OneOrMany<T, EMPTY> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        let least = usize::from(!EMPTY);
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": least }] })
    }
    fn inline_schema() -> bool {
        true
    }
}
