//! Numbers with a meaning: whole ones between bounds, percentages, rates.

use std::marker::PhantomData;

use judgement::traffic::split::Weight;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::InvalidValue;

/// A value that is written as a number. TOML's integers and floats are treated alike: `10` and `10.0`.
trait NumberValue: Sized {
    fn wanted() -> String;
    /// The way out for a text that is not a number.
    fn example() -> String;
    fn read(number: f64) -> Result<Self, InvalidValue>;
    fn schema() -> Schema;
}

/// A number as a person writes it: of a very large one nobody counts the digits.
pub fn shown(number: f64) -> String {
    if number.abs() >= 1e15 { format!("{number:e}") } else { number.to_string() }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: NumberValue> Visitor<'_> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&T::wanted())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        T::read(number).map_err(InvalidValue::into_error)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        let message = format!("{{key}} must be {}, not the string {text:?}", T::wanted());
        let bare = text.trim().trim_end_matches('%').trim_end();
        let sign = if text.contains('%') { " and percent sign" } else { "" };
        let hint = match bare.parse::<f64>() {
            Ok(_) => format!("write {bare}, without quotes{sign}"),
            Err(_) => T::example(),
        };
        Err(InvalidValue::new(message, hint).into_error())
    }
}

macro_rules! number_values {
    ($($(#[$parameters:meta])? impl [$($generics:tt)*] $name:ty;)+) => {$(
        impl<'de, $($generics)*> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(NumberVisitor(PhantomData))
            }
        }
        impl<$($generics)*> JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                <Self as NumberValue>::schema()
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )+};
}

number_values! {
    impl [const MIN: u64, const MAX: u64] Whole<MIN, MAX>;
    impl [] Percent;
    impl [] Share;
    impl [] Rate;
    impl [] Tolerance;
    impl [] FiniteNumber;
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Whole<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> NumberValue for Whole<MIN, MAX> {
    fn wanted() -> String {
        match MAX {
            _ if MIN == MAX => MIN.to_string(),
            _ if MAX >= u64::from(u32::MAX) => format!("a whole number of at least {MIN}"),
            _ => format!("a whole number from {MIN} to {MAX}"),
        }
    }
    fn example() -> String {
        format!("write a number, such as {}", 3.clamp(MIN, MAX))
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        let hint = match number {
            _ if MIN == MAX && number != MIN as f64 => format!("write {MIN}, the only version of this format"),
            _ if number > MAX as f64 => format!("write {MAX} or less"),
            _ if number < MIN as f64 => format!("write {MIN} or more"),
            _ if number.fract() != 0.0 => format!("write {}", number.ceil()),
            _ => return Ok(Whole(number as u64)),
        };
        Err(InvalidValue::new(format!("{{key}} must be {}, not {}", Self::wanted(), shown(number)), hint))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A percentage from 0 to 100.
#[derive(Clone, Copy, Debug)]
pub struct Percent(pub f64);

impl NumberValue for Percent {
    fn wanted() -> String {
        "a percentage from 0 to 100".to_owned()
    }
    fn example() -> String {
        "write 5 for 5 percent".to_owned()
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        let good = (0.0..=100.0).contains(&number);
        good.then_some(Percent(number)).ok_or_else(|| {
            InvalidValue::new(format!("{{key}} must be {}, not {}", Self::wanted(), shown(number)), Self::example())
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 100, "x-unit": "percent" })
    }
}

/// A share of the requests: a percentage with up to two decimals.
#[derive(Clone, Copy, Debug)]
pub struct Share(pub Weight);

impl Share {
    /// # Errors
    /// It is not between 0 and 100, or has more than two decimals.
    pub fn read(percent: f64) -> Result<Share, InvalidValue> {
        match Weight::from_percent(percent) {
            Ok(weight) => Ok(Share(weight)),
            Err(_) if (0.0..=100.0).contains(&percent) => {
                // What is above zero stays so: many keys refuse 0.
                let near = (percent * 100.0).round().max(1.0) / 100.0;
                let message = format!("{{key}} is a percentage with at most two decimals, not {percent}");
                Err(InvalidValue::new(message, format!("write {near}")))
            }
            Err(_) => Err(InvalidValue::new(
                format!("{{key}} must be a percentage from 0 to 100, not {}", shown(percent)),
                <Share as NumberValue>::example(),
            )),
        }
    }
}

impl NumberValue for Share {
    fn wanted() -> String {
        "a percentage from 0 to 100".to_owned()
    }
    fn example() -> String {
        "write 25 for a quarter of the requests".to_owned()
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        Share::read(number)
    }
    fn schema() -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 100, "x-unit": "percent" })
    }
}

/// Requests per second. One core sends about 30,000.
#[derive(Clone, Copy, Debug)]
pub struct Rate(pub f64);

const RATES: std::ops::RangeInclusive<f64> = 0.1..=50_000.0;

impl NumberValue for Rate {
    fn wanted() -> String {
        format!("a number of requests a second, from {} to {}", RATES.start(), RATES.end())
    }
    fn example() -> String {
        "write 100 for 100 requests a second".to_owned()
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        let good = RATES.contains(&number);
        let hint = || match number > *RATES.end() {
            true => format!("write {} or less", RATES.end()),
            false => format!("write {} or more", RATES.start()),
        };
        good.then_some(Rate(number)).ok_or_else(|| {
            InvalidValue::new(format!("{{key}} must be {}, not {}", Self::wanted(), shown(number)), hint())
        })
    }
    fn schema() -> Schema {
        json_schema!({
            "type": "number", "minimum": RATES.start(), "maximum": RATES.end(), "x-unit": "requests per second"
        })
    }
}

/// Any number.
#[derive(Clone, Copy, Debug)]
pub struct FiniteNumber(pub f64);

impl NumberValue for FiniteNumber {
    fn wanted() -> String {
        "a number".to_owned()
    }
    fn example() -> String {
        "write a number, such as 0.5".to_owned()
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        let refused = || InvalidValue::new(format!("{{key}} must be a number, not {number}"), Self::example());
        number.is_finite().then_some(FiniteNumber(number)).ok_or_else(refused)
    }
    fn schema() -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// How much two numbers may differ, relative to the larger one.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance(pub f64);

impl NumberValue for Tolerance {
    fn wanted() -> String {
        "a number from 0 to below 1".to_owned()
    }
    fn example() -> String {
        "0.01 allows numbers to differ by 1 % of the larger one".to_owned()
    }
    fn read(number: f64) -> Result<Self, InvalidValue> {
        if !(0.0..1.0).contains(&number) {
            let message = format!("{{key}} must be {}, not {}", Self::wanted(), shown(number));
            return Err(InvalidValue::new(message, Self::example()));
        }
        Ok(Tolerance(number))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1, "x-unit": "ratio" })
    }
}
