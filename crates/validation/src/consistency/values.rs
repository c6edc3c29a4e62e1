//! Canonical values: engines write the same value as different texts. And the order in which keys are sorted.

use std::cmp::Ordering;

use serde_json::Value;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// A number with a larger exponent stays as it is written.
const MOST_EXPONENT: i64 = 400;

/// What kind of values a column holds. Two columns of one class and one engine write the same value as the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Integer,
    /// With a fixed number of digits after the point; `None`: as many as each value has.
    Decimal(Option<i64>),
    Single,
    Double,
    Bool,
    Text,
    Bytes,
    Date,
    /// Both with the digits of a fraction of a second, where the type says so.
    Time(Option<i64>),
    Stamp {
        zone: bool,
        digits: Option<i64>,
    },
    Json {
        binary: bool,
    },
    Uuid,
    /// Whatever a value happens to be: a column of SQLite without a type, or a result.
    Any,
    /// A type that no other engine has, by its name.
    Other(String),
}

impl ColumnType {
    /// By the name of the type in the catalog. `modifier` is PostgreSQL's `atttypmod`.
    pub fn of_postgres(name: &str, modifier: i64) -> ColumnType {
        let digits = (modifier >= 0).then_some(modifier);
        match name {
            "int2" | "int4" | "int8" | "oid" => ColumnType::Integer,
            // The modifier is 4 more than precision and scale, of 16 and 11 bits.
            "numeric" => ColumnType::Decimal((modifier >= 4).then(|| (modifier - 4) & 0x7ff)),
            "float4" => ColumnType::Single,
            "float8" => ColumnType::Double,
            "bool" => ColumnType::Bool,
            "text" | "varchar" | "bpchar" | "char" | "name" | "citext" => ColumnType::Text,
            "bytea" => ColumnType::Bytes,
            "date" => ColumnType::Date,
            "time" => ColumnType::Time(digits),
            "timestamp" => ColumnType::Stamp { zone: false, digits },
            "timestamptz" => ColumnType::Stamp { zone: true, digits },
            "json" => ColumnType::Json { binary: false },
            "jsonb" => ColumnType::Json { binary: true },
            "uuid" => ColumnType::Uuid,
            other => ColumnType::Other(other.to_owned()),
        }
    }

    /// By `DATA_TYPE`, with `NUMERIC_SCALE` or `DATETIME_PRECISION`.
    pub fn of_mysql(name: &str, digits: Option<i64>) -> ColumnType {
        match name {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" | "boolean" => ColumnType::Integer,
            "decimal" => ColumnType::Decimal(digits),
            "float" => ColumnType::Single,
            "double" => ColumnType::Double,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => ColumnType::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection" => ColumnType::Bytes,
            "date" => ColumnType::Date,
            "time" => ColumnType::Time(digits),
            "datetime" => ColumnType::Stamp { zone: false, digits },
            "timestamp" => ColumnType::Stamp { zone: true, digits },
            "json" => ColumnType::Json { binary: true },
            "uuid" => ColumnType::Uuid,
            other => ColumnType::Other(other.to_owned()),
        }
    }

    /// By the declared type: the names that people give first, and then SQLite's own rules for affinities.
    pub fn of_sqlite(declared: &str) -> ColumnType {
        let name = declared.to_ascii_uppercase();
        let word = name.split('(').next().unwrap_or_default().trim();
        match word {
            "" => return ColumnType::Any,
            "BOOL" | "BOOLEAN" => return ColumnType::Bool,
            "DATE" => return ColumnType::Date,
            "DATETIME" | "TIMESTAMP" => return ColumnType::Stamp { zone: false, digits: None },
            "TIMESTAMPTZ" => return ColumnType::Stamp { zone: true, digits: None },
            "JSON" | "JSONB" => return ColumnType::Json { binary: false },
            "UUID" => return ColumnType::Uuid,
            _ => {}
        }
        let has = |part: &str| name.contains(part);
        if has("INT") {
            ColumnType::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            ColumnType::Text
        } else if has("BLOB") || has("BINARY") || has("BYTEA") {
            ColumnType::Bytes
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            ColumnType::Double
        } else {
            ColumnType::Decimal(None)
        }
    }

    pub fn is_number(&self) -> bool {
        matches!(self, ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Single | ColumnType::Double)
    }
}

/// How the values of a pair of columns are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The text itself.
    Text,
    Number,
    /// As 32 or 64 bits of floating point: the side with fewer digits decides.
    Single,
    Double,
    Bool,
    Stamp,
    Json,
    Uuid,
}

/// How two columns are compared. Within one engine, columns of the same type are compared as they are written.
pub fn meaning(blue: &ColumnType, green: &ColumnType, one_engine: bool) -> Comparison {
    use ColumnType as C;
    if one_engine && blue == green {
        return Comparison::Text;
    }
    let any = |wanted: fn(&ColumnType) -> bool| wanted(blue) || wanted(green);
    if any(|class| matches!(class, C::Bool)) {
        Comparison::Bool
    } else if any(|class| matches!(class, C::Single)) {
        Comparison::Single
    } else if any(|class| matches!(class, C::Double)) {
        Comparison::Double
    } else if any(C::is_number) {
        Comparison::Number
    } else if any(|class| matches!(class, C::Stamp { .. } | C::Time(_))) {
        Comparison::Stamp
    } else if any(|class| matches!(class, C::Json { .. })) {
        Comparison::Json
    } else if any(|class| matches!(class, C::Uuid)) {
        Comparison::Uuid
    } else {
        Comparison::Text
    }
}

/// The same text for all values that mean the same. What cannot be parsed stays as it is.
pub fn canonical(meaning: Comparison, text: String) -> String {
    let known = match meaning {
        Comparison::Text => None,
        Comparison::Number => decimal(&text),
        Comparison::Single => text.parse::<f32>().ok().map(|number| plain(f64::from(number))),
        Comparison::Double => text.parse::<f64>().ok().map(plain),
        Comparison::Bool => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" => Some("true".to_owned()),
            "f" | "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        Comparison::Stamp => stamp(&text).or_else(|| time_of_day(&text)),
        // serde_json keeps objects in a sorted map.
        Comparison::Json => serde_json::from_str::<Value>(&text).ok().map(|value| value.to_string()),
        Comparison::Uuid => Some(text.replace('-', "").to_ascii_lowercase()),
    };
    known.unwrap_or(text)
}

/// The shortest text of a number; -0 is 0, and a whole number has no point.
fn plain(number: f64) -> String {
    let number = if number == 0.0 { 0.0 } else { number };
    let text = format!("{number:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A decimal number without an exponent and without redundant zeros.
pub fn decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    if exponent.abs() > MOST_EXPONENT {
        return None;
    }
    let negative = mantissa.starts_with('-');
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let point = whole.len() as i64 + exponent;
    let (before, after) = if point <= 0 {
        ("0".to_owned(), format!("{}{all}", "0".repeat(usize::try_from(-point).ok()?)))
    } else {
        let point = usize::try_from(point).ok()?;
        match (all.get(..point), all.get(point..)) {
            (Some(before), Some(after)) => (before.to_owned(), after.to_owned()),
            _ => (format!("{all:0<point$}"), String::new()),
        }
    };
    let before = before.trim_start_matches('0');
    let after = after.trim_end_matches('0');
    let sign = if negative && !(before.is_empty() && after.is_empty()) { "-" } else { "" };
    let before = if before.is_empty() { "0" } else { before };
    let point = if after.is_empty() { "" } else { "." };
    Some(format!("{sign}{before}{point}{after}"))
}

/// A date and time in UTC: `2026-11-22 10:00:00.5`. Without a zone, it is UTC already.
fn stamp(text: &str) -> Option<String> {
    let (day, rest) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = day.splitn(3, '-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, parts.next()?.parse().ok()?).ok()?;
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest.get(..at)?, offset(rest.get(at..)?)?),
        None => (rest, UtcOffset::UTC),
    };
    let moment = PrimitiveDateTime::new(date, clock_time(clock.trim_end())?).assume_offset(offset);
    let utc: OffsetDateTime = moment.checked_to_offset(UtcOffset::UTC)?;
    Some(format!("{} {}", utc.date(), shown_time(utc.time())))
}

fn time_of_day(text: &str) -> Option<String> {
    clock_time(text).map(shown_time)
}

fn clock_time(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (second, fraction) = parts.next().map_or(("0", ""), |rest| rest.split_once('.').unwrap_or((rest, "")));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    Time::from_hms_nano(hour, minute, second.parse().ok()?, nanos).ok()
}

fn shown_time(time: Time) -> String {
    let (hour, minute, second, nano) = time.as_hms_nano();
    let fraction = if nano == 0 { String::new() } else { format!(".{nano:09}") };
    format!("{hour:02}:{minute:02}:{second:02}{}", fraction.trim_end_matches('0'))
}

/// `Z`, `+00`, `+02:00` or `-0330`.
fn offset(text: &str) -> Option<UtcOffset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(UtcOffset::UTC);
    }
    let negative = text.starts_with('-');
    let digits: String = text.get(1..)?.chars().filter(|digit| *digit != ':').collect();
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = digits.get(2..4).map_or(Some(0), |minutes| minutes.parse().ok())?;
    let sign = if negative { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

/// How a column of a key is sorted, on every engine and here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// As numbers; what is not a number comes last.
    Number,
    /// Byte by byte.
    Bytes,
}

impl KeyOrder {
    pub fn of(class: &ColumnType) -> KeyOrder {
        if class.is_number() { KeyOrder::Number } else { KeyOrder::Bytes }
    }

    pub fn compare(self, left: &str, right: &str) -> Ordering {
        match self {
            KeyOrder::Bytes => left.cmp(right),
            KeyOrder::Number => match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                _ => match (decimal(left), decimal(right)) {
                    (Some(a), Some(b)) => by_value(&a, &b),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => left.cmp(right),
                },
            },
        }
    }
}

/// Two canonical decimals.
fn by_value(left: &str, right: &str) -> Ordering {
    let size = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.len(), whole.to_owned(), fraction.to_owned())
    };
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => size(left).cmp(&size(right)),
        (Some(left), Some(right)) => size(right).cmp(&size(left)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_text() {
        for (text, canonical) in [
            ("1.50", "1.5"),
            ("-0.0", "0"),
            ("007", "7"),
            ("1e3", "1000"),
            ("1.25E-2", "0.0125"),
            ("-12.5e1", "-125"),
            (".5", "0.5"),
            ("+3", "3"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ] {
            assert_eq!(decimal(text).as_deref(), Some(canonical), "{text}");
        }
        for text in ["", "-", ".", "NaN", "1e", "1e9999", "0x1", "1.2.3", "١"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(canonical(Comparison::Double, "1e2".to_owned()), "100");
        assert_eq!(
            canonical(Comparison::Single, "0.10000000149011612".to_owned()),
            canonical(Comparison::Single, "0.1".into())
        );
    }

    #[test]
    fn moments_have_one_text() {
        for (text, canonical_text) in [
            ("2026-11-22T10:00:00Z", "2026-11-22 10:00:00"),
            ("2026-11-22 12:00:00.500+02", "2026-11-22 10:00:00.5"),
            ("2026-11-22 06:30:00-0330", "2026-11-22 10:00:00"),
            ("2026-11-22 10:00", "2026-11-22 10:00:00"),
            ("2026-11-22", "2026-11-22 00:00:00"),
            ("10:00:00.000000", "10:00:00"),
            ("infinity", "infinity"),
            ("1795348799", "1795348799"),
        ] {
            assert_eq!(canonical(Comparison::Stamp, text.to_owned()), canonical_text, "{text}");
        }
    }

    #[test]
    fn keys_have_an_order() {
        let sorted = ["-10.5", "-10", "-2", "0", "0.5", "9", "10", "10.25", "99999999999999999999", "abc"];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(KeyOrder::Number.compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
        assert_eq!(KeyOrder::Bytes.compare("10", "9"), Ordering::Less);
        assert_eq!(KeyOrder::Number.compare("5", "5.0"), Ordering::Equal);
    }

    #[test]
    fn columns_of_two_engines_meet_in_what_they_mean() {
        use ColumnType as C;
        let stamp = C::Stamp { zone: true, digits: None };
        for (blue, green, one_engine, expected) in [
            (C::Integer, C::Integer, true, Comparison::Text),
            (C::Integer, C::Integer, false, Comparison::Number),
            (C::Bool, C::Integer, false, Comparison::Bool),
            (C::Decimal(Some(2)), C::Double, false, Comparison::Double),
            (C::Decimal(Some(2)), C::Decimal(Some(4)), true, Comparison::Number),
            (C::Single, C::Double, true, Comparison::Single),
            (stamp, C::Text, false, Comparison::Stamp),
            (C::Json { binary: true }, C::Text, false, Comparison::Json),
            (C::Uuid, C::Text, false, Comparison::Uuid),
            (C::Text, C::Any, false, Comparison::Text),
        ] {
            assert_eq!(meaning(&blue, &green, one_engine), expected, "{blue:?} {green:?}");
        }
    }
}
