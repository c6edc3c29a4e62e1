//! JSON in which each key of an object is there once. Of two, serde_json takes the last without a word, and whoever reads the
//! body aloud may have meant the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A document without a key that is there twice in one object.
#[derive(Debug)]
pub struct UniqueKeys(pub Value);

struct UniqueVisitor;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<UniqueKeys, D::Error> {
        from.deserialize_any(UniqueVisitor).map(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(UniqueKeys(value)) = list.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format_args!("`{key}` is there twice")));
            }
            let UniqueKeys(value) = object.next_value()?;
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str::<UniqueKeys>(text).map(|read| read.0).map_err(|why| why.to_string())
    }

    #[test]
    fn it_reads_what_serde_json_reads() {
        for text in
            ["null", "[]", "{}", r#"{"a":[1,-2,0.5,"x\n",true,null,{"a":{"b":18446744073709551615}}],"b":1e300}"#]
        {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        for text in ["", "{", "[1,]", "{\"a\":1e999}", "nul"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_with_its_place() {
        for (text, said) in [
            (r#"{"a":1,"a":1}"#, "`a` is there twice at line 1 column 10"),
            ("{\"b\":[{\"a\":1,\n\"\\u0061\":2}]}", "`a` is there twice at line 2 column 8"),
        ] {
            assert_eq!(read(text).unwrap_err(), said);
        }
        assert!(read(r#"{"a":{"a":1},"A":[{"a":1},{"a":1}]}"#).is_ok(), "each in its own object");
    }
}
