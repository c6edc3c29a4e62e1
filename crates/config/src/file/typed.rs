//! The kinds of values that TOML does not have by itself: placed ones, one or many, numbers of either kind, limits.

use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// A value, and where it stands in the file.
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

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMany<T>(pub Vec<At<T>>);

// No `Default` in the derive: an absent key is `None` around it, an empty list is the check's business.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<T>, D::Error> {
        // Every value comes through Spanned, which hands a TOML array and anything else on as they are.
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Vec<At<T>>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value or a list of values")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<At<T>>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element::<At<T>>()? {
                    all.push(item);
                }
                if all.is_empty() {
                    return Err(serde::de::Error::custom("the list is empty: leave the key out, or name something"));
                }
                Ok(all)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<At<T>>, E> {
                let value = T::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(vec![At { value, span: 0..0 }])
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Vec<At<T>>, A::Error> {
                let value = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(vec![At { value, span: 0..0 }])
            }
        }
        struct Inner<T>(Vec<At<T>>);
        impl<'de, T: Deserialize<'de>> Deserialize<'de> for Inner<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inner<T>, D::Error> {
                deserializer.deserialize_any(Either(std::marker::PhantomData)).map(Inner)
            }
        }
        let whole = toml::Spanned::<Inner<T>>::deserialize(deserializer)?;
        let span = whole.span();
        let mut items = whole.into_inner().0;
        items.iter_mut().filter(|item| item.span.is_empty()).for_each(|item| item.span = span.clone());
        Ok(OneOrMany(items))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMore_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// A number: TOML's integers and floats alike.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A limit: a percentage, or a duration for a latency.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum TriggerLimit {
    /// Percent.
    Percent(f64),
    /// A duration, such as "2s".
    Duration(String),
}

impl<'de> Deserialize<'de> for TriggerLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TriggerLimit, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = TriggerLimit;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a percentage, or a duration such as \"2s\" for a latency")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<TriggerLimit, E> {
                Ok(TriggerLimit::Percent(value as f64))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<TriggerLimit, E> {
                Ok(TriggerLimit::Percent(value))
            }
            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<TriggerLimit, E> {
                Ok(TriggerLimit::Duration(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A size: bytes, or a text such as "10MiB".
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Size {
    /// Bytes.
    Bytes(i64),
    /// "64KiB", "10MiB", "6MB", "unlimited".
    Text(String),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Size;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a size such as \"10MiB\", or a whole number of bytes")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Size, E> {
                Ok(Size::Bytes(value))
            }
            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Size, E> {
                Ok(Size::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
