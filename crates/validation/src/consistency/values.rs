//! Canonical values: engines write the same value as different texts. And the order in which keys are sorted.

use std::cmp::Ordering;

use config::suite::Json;
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
    Interval,
    /// PostgreSQL's arrays, by the type of their values.
    Array(Box<ColumnType>),
    /// PostgreSQL's ranges of numbers, which have as many digits as each value.
    NumberRange,
    /// MySQL's `SET`, whose words the column sorts.
    Set,
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
            "interval" => ColumnType::Interval,
            "numrange" | "nummultirange" => ColumnType::NumberRange,
            other => match other.strip_prefix('_').or_else(|| other.strip_suffix("[]")) {
                Some(item) => ColumnType::Array(Box::new(ColumnType::of_postgres(item, -1))),
                None => ColumnType::Other(other.to_owned()),
            },
        }
    }

    /// By `DATA_TYPE`, with `NUMERIC_SCALE` or `DATETIME_PRECISION`.
    pub fn of_mysql(name: &str, digits: Option<i64>) -> ColumnType {
        match name {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" | "boolean" => ColumnType::Integer,
            "decimal" => ColumnType::Decimal(digits),
            "float" => ColumnType::Single,
            "double" => ColumnType::Double,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" => ColumnType::Text,
            "set" => ColumnType::Set,
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

    pub fn is_time(&self) -> bool {
        matches!(self, ColumnType::Date | ColumnType::Time(_) | ColumnType::Stamp { .. })
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
    Interval,
    NumberRange,
    Set,
    /// Value by value.
    Array(&'static Comparison),
}

impl Comparison {
    /// Of a type whose values an engine writes in several ways, though it takes them for equal.
    fn of_one_engine(class: &ColumnType) -> Comparison {
        use ColumnType as C;
        match class {
            C::Decimal(None) => Comparison::Number,
            C::Single => Comparison::Single,
            C::Double => Comparison::Double,
            C::Json { .. } => Comparison::Json,
            C::Interval => Comparison::Interval,
            C::NumberRange => Comparison::NumberRange,
            C::Set => Comparison::Set,
            C::Array(item) => Comparison::of_one_engine(item).of_arrays(),
            _ => Comparison::Text,
        }
    }

    fn of_arrays(self) -> Comparison {
        Comparison::Array(match self {
            Comparison::Text => return Comparison::Text,
            Comparison::Number => &Comparison::Number,
            Comparison::Single => &Comparison::Single,
            Comparison::Double => &Comparison::Double,
            Comparison::Bool => &Comparison::Bool,
            Comparison::Stamp => &Comparison::Stamp,
            Comparison::Json => &Comparison::Json,
            Comparison::Uuid => &Comparison::Uuid,
            Comparison::Interval => &Comparison::Interval,
            Comparison::NumberRange => &Comparison::NumberRange,
            Comparison::Set => &Comparison::Set,
            Comparison::Array(item) => item,
        })
    }
}

/// How two columns are compared. Within one engine, most columns of the same type are compared as they are written.
pub fn meaning(blue: &ColumnType, green: &ColumnType, one_engine: bool) -> Comparison {
    use ColumnType as C;
    if one_engine && blue == green {
        return Comparison::of_one_engine(blue);
    }
    if let (C::Array(blue), C::Array(green)) = (blue, green) {
        return meaning(blue, green, false).of_arrays();
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
    } else if any(|class| matches!(class, C::Interval)) {
        Comparison::Interval
    } else if any(|class| matches!(class, C::NumberRange)) {
        Comparison::NumberRange
    } else if any(|class| matches!(class, C::Set)) {
        Comparison::Set
    } else {
        Comparison::Text
    }
}

/// The same text for all values that mean the same. What cannot be parsed stays as it is.
pub fn canonical(meaning: Comparison, text: String) -> String {
    let known = match meaning {
        Comparison::Text => None,
        Comparison::Number => decimal(&text),
        // Not by way of 64 bits, in which 0.1 is 0.10000000149011612.
        Comparison::Single => {
            text.parse::<f32>().ok().filter(|number| number.is_finite()).map(|number| plain(format!("{number:?}")))
        }
        Comparison::Double => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| plain(format!("{number:?}")))
        }
        Comparison::Bool => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" => Some("true".to_owned()),
            "f" | "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        Comparison::Stamp => stamp(&text).or_else(|| time_of_day(&text)),
        Comparison::Json => Json::parse(text.as_bytes()).ok().map(|value| value.normal().to_string()),
        Comparison::Uuid => Some(text.replace('-', "").to_ascii_lowercase()),
        Comparison::Interval => interval(&text),
        Comparison::NumberRange => Some(each_item(&text, &['[', ']', '(', ')', '{', '}', ','], Comparison::Number)),
        Comparison::Set => {
            let mut words: Vec<&str> = text.split(',').collect();
            words.sort_unstable();
            Some(words.join(","))
        }
        Comparison::Array(item) => Some(each_item(&text, &['{', '}', ','], *item)),
    };
    known.unwrap_or(text)
}

/// The shortest text of a number; -0 is 0, and a whole number has no point.
fn plain(text: String) -> String {
    let text = text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
    if text == "-0" { "0".to_owned() } else { text }
}

/// The values between the marks of an array or a range, each in canonical form.
fn each_item(text: &str, marks: &[char], item: Comparison) -> String {
    let mut out = String::with_capacity(text.len());
    // An array that does not begin with its first item says where it begins: `[0:1]={1,2}`.
    let (bounds, values) = match text.split_once("={") {
        Some((bounds, _)) if marks.first() == Some(&'{') => {
            text.split_at_checked(bounds.len() + 1).unwrap_or((text, ""))
        }
        _ => ("", text),
    };
    out.push_str(bounds);
    let mut rest = values;
    while let Some(first) = rest.chars().next() {
        let behind = rest.get(first.len_utf8()..).unwrap_or_default();
        if marks.contains(&first) {
            out.push(first);
            rest = behind;
        } else if first == '"' {
            let (value, behind) = unquoted(behind);
            let value = canonical(item, value).replace('\\', "\\\\").replace('"', "\\\"");
            out.push_str(&format!("\"{value}\""));
            rest = behind;
        } else {
            let (word, behind) = rest.split_at_checked(rest.find(marks).unwrap_or(rest.len())).unwrap_or((rest, ""));
            out.push_str(&if word == "NULL" { word.to_owned() } else { canonical(item, word.to_owned()) });
            rest = behind;
        }
    }
    out
}

/// A quoted text, behind its first quote, and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// `P1M2DT3H4M5.5S`, as PostgreSQL compares it: a month has 30 days, and a day 24 hours.
fn interval(text: &str) -> Option<String> {
    const DAY: i128 = 86_400_000_000;
    let rest = text.strip_prefix('P')?;
    let (date, clock) = rest.split_once('T').unwrap_or((rest, ""));
    let mut micros = 0_i128;
    let units = |part: &str, units: &[(char, i128)], micros: &mut i128| {
        let mut rest = part.to_owned();
        while let Some(end) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let unit = rest.get(end..)?.chars().next()?;
            let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
            *micros += in_units(rest.get(..end)?, *size)?;
            rest = rest.get(end + 1..)?.to_owned();
        }
        rest.is_empty().then_some(())
    };
    units(date, &[('Y', 360 * DAY), ('M', 30 * DAY), ('W', 7 * DAY), ('D', DAY)], &mut micros)?;
    units(clock, &[('H', DAY / 24), ('M', DAY / 24 / 60), ('S', 1_000_000)], &mut micros)?;
    let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (day, second) = (DAY.unsigned_abs(), 1_000_000);
    let (days, clock) = (size / day, size % day);
    let (hours, minutes, seconds) = (clock / second / 3600, clock / second / 60 % 60, clock / second % 60);
    let fraction = format!(".{:06}", clock % second);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    Some(format!("{sign}{days} days {hours:02}:{minutes:02}:{seconds:02}{fraction}"))
}

/// A number with at most six digits after the point, times a unit.
fn in_units(number: &str, unit: i128) -> Option<i128> {
    let digits = number.strip_prefix('-');
    let (sign, digits) = (if digits.is_some() { -1 } else { 1 }, digits.unwrap_or(number));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let millionths: i128 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    Some(sign * (whole.checked_mul(unit)? + millionths * unit / 1_000_000))
}

/// A moment, or a time of day, in nanoseconds from an origin that all moments share.
pub fn moment(text: &str) -> Option<i128> {
    let of_day = || clock_time(text).map(|time| (time - Time::MIDNIGHT).whole_nanoseconds());
    utc(text).map(OffsetDateTime::unix_timestamp_nanos).or_else(of_day)
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
    let utc = utc(text)?;
    Some(format!("{} {}", utc.date(), shown_time(utc.time())))
}

fn utc(text: &str) -> Option<OffsetDateTime> {
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
    moment.checked_to_offset(UtcOffset::UTC)
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
    fn what_an_engine_takes_for_equal_has_one_text() {
        const NUMBERS: Comparison = Comparison::Array(&Comparison::Number);
        const DOCUMENTS: Comparison = Comparison::Array(&Comparison::Json);
        let equal = [
            (Comparison::Interval, "P1D", "PT24H", "1 days 00:00:00"),
            (Comparison::Interval, "P1M", "P30D", "30 days 00:00:00"),
            (Comparison::Interval, "P1Y2M3DT4H5M6.5S", "P423DT4H5M6.500000S", "423 days 04:05:06.5"),
            (Comparison::Interval, "P-1DT2H", "PT-22H", "-0 days 22:00:00"),
            (Comparison::Interval, "PT0S", "P0D", "0 days 00:00:00"),
            (NUMBERS, "{1.50,NULL,{2.0,-0}}", "{1.5,NULL,{2,0}}", "{1.5,NULL,{2,0}}"),
            (NUMBERS, "[0:1]={1.50,2}", "[0:1]={1.5,2.0}", "[0:1]={1.5,2}"),
            (Comparison::NumberRange, "[1.50,2.0)", "[1.5,2)", "[1.5,2)"),
            (Comparison::NumberRange, "{[1.50,),(,0.0]}", "{[1.5,),(,0]}", "{[1.5,),(,0]}"),
            (Comparison::Set, "a,c,b", "c,b,a", "a,b,c"),
            (Comparison::Double, "-0", "0", "0"),
            (Comparison::Json, r#"{"b":1.0,"a":2}"#, r#"{ "a" : 2.00, "b" : 1 }"#, r#"{"a":2,"b":1}"#),
            (DOCUMENTS, r#"{"{\"a\": 1.0}"}"#, r#"{"{\"a\": 1}"}"#, r#"{"{\"a\":1}"}"#),
        ];
        for (meaning, left, right, text) in equal {
            assert_eq!(canonical(meaning, left.to_owned()), text, "{left}");
            assert_eq!(canonical(meaning, right.to_owned()), text, "{right}");
        }
        for (meaning, left, right) in [
            (Comparison::Interval, "P1D", "PT25H"),
            (Comparison::Interval, "PT1.5S", "PT1.6S"),
            (NUMBERS, "{1.50}", "{1.51}"),
            (NUMBERS, "{NULL}", "{\"NULL\"}"),
            (NUMBERS, "[0:0]={1}", "{1}"),
            (Comparison::NumberRange, "[1.5,2)", "[1.5,2]"),
            (Comparison::Json, r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551616}"#),
        ] {
            assert_ne!(canonical(meaning, left.to_owned()), canonical(meaning, right.to_owned()), "{left} {right}");
        }
        assert_eq!(canonical(Comparison::Interval, "infinity".to_owned()), "infinity");
        assert_eq!(canonical(Comparison::Single, "0.1".to_owned()), "0.1");
        assert_eq!(canonical(Comparison::Double, "NaN".to_owned()), "NaN");
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
        const NUMBERS: Comparison = Comparison::Array(&Comparison::Number);
        let stamp = C::Stamp { zone: true, digits: None };
        for (blue, green, one_engine, expected) in [
            (C::Integer, C::Integer, true, Comparison::Text),
            (C::Integer, C::Integer, false, Comparison::Number),
            (C::Decimal(Some(2)), C::Decimal(Some(2)), true, Comparison::Text),
            (C::Decimal(None), C::Decimal(None), true, Comparison::Number),
            (C::Double, C::Double, true, Comparison::Double),
            (C::Json { binary: true }, C::Json { binary: true }, true, Comparison::Json),
            (C::of_postgres("_numeric", -1), C::of_postgres("_numeric", -1), true, NUMBERS),
            (C::of_postgres("_int4", -1), C::of_postgres("_int4", -1), true, Comparison::Text),
            (C::of_postgres("_int4", -1), C::of_postgres("_numeric", -1), true, NUMBERS),
            (C::of_mysql("set", None), C::of_mysql("set", None), true, Comparison::Set),
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
