//! One of a few words: an enum as serde knows it.

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::InvalidValue;
use crate::suggest::did_you_mean;

/// A variant of an enum, by the name that serde gives it.
#[derive(Clone, Copy, Debug)]
pub struct Word<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word<T>, D::Error> {
        deserializer.deserialize_any(WordVisitor(PhantomData))
    }
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: DeserializeOwned> Visitor<'_> for WordVisitor<T> {
    type Value = Word<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&quoted(words::<T>()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word<T>, E> {
        T::deserialize(StrDeserializer::<Error>::new(text)).map(Word).map_err(|_| {
            InvalidValue::new(format!("unknown value `{text}` for {{key}}"), did_you_mean(text, words::<T>()))
                .into_error()
        })
    }
}

impl<T: DeserializeOwned> JsonSchema for Word<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Word_{}", words::<T>().join("_")).into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": words::<T>() })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// `"a", "b" or "c"`.
fn quoted(words: &[&str]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => {
            let before: Vec<String> = before.iter().map(|word| format!("{word:?}")).collect();
            format!("{} or {last:?}", before.join(", "))
        }
        words => words.iter().map(|word| format!("{word:?}")).collect(),
    }
}

/// The names of an enum's variants, which serde passes to its deserializer.
pub fn words<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Names<'n>(&'n mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(serde::de::Error::custom("not an enum"))
        }
        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = variants;
            Err(serde::de::Error::custom("only its names are wanted"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Names(&mut names));
    names
}
