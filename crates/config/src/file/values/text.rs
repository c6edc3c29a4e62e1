//! Values that are written as strings with their own syntax: durations, sizes, addresses, names.

mod auth;
mod paths;

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Unexpected, Visitor};

use super::{InvalidValue, shown};
use crate::allowed::AllowedOrigin;
use crate::is_suite_name;
use crate::network_sets;
use crate::suggest::close;
use crate::suite::{ErrorLimit, LatencyLimit, ResourceLimit};
use judgement::rollout::freeze_window::{self, FreezeWindow};
use judgement::time::Millis;
use judgement::traffic::host::HostPattern;
use judgement::traffic::names::{FieldName, MethodName, is_token};
use judgement::traffic::path::NormalizedPath;
use judgement::traffic::rule::whole_regex;
use memory::snapshot::{OriginTarget, SentHost};

pub use auth::{AuthUrl, CopiedHeader};
pub use paths::{PathPrefix, RedirectUrl};

/// The longest duration, in milliseconds: about ten years.
const FOREVER: u64 = 3660 * 86_400_000;
/// How many times as slow as active a limit may allow.
const MOST_TIMES: f64 = 100.0;
/// The most cores and bytes that a limit of an origin's process may name.
const MOST_CORES: f64 = 4096.0;
const MOST_MEMORY: u64 = 1 << 50;
/// As in a release's tag.
const LONGEST_VERSION: usize = 128;

/// A value that is written as a string.
trait TextValue: Sized {
    fn wanted() -> String;
    fn parse(text: &str) -> Result<Self, InvalidValue>;
    fn schema() -> Schema;
    /// The error if the value is a number instead.
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let message = format!("{{key}} must be {}, not the number {}", Self::wanted(), shown(number));
        Err(InvalidValue::new(message, format!("write \"{number}\"")))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<'de, T: TextValue> Visitor<'de> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&T::wanted())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(InvalidValue::into_error)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        T::number(number).map_err(InvalidValue::into_error)
    }

    /// TOML has dates, which arrive as a table with a special key.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        match map.next_entry::<String, String>() {
            Ok(Some((key, text))) if key.starts_with("$__toml_private") => self.visit_str(&text),
            _ => Err(serde::de::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

macro_rules! text_values {
    ($(impl [$($generics:tt)*] $name:ty;)+) => {$(
        impl<'de, $($generics)*> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor(PhantomData))
            }
        }
        impl<$($generics)*> JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                <Self as TextValue>::schema()
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )+};
}

text_values! {
    impl [const MIN: u64, const MAX: u64] Duration<MIN, MAX>;
    impl [const MIN: u64, const MAX: u64] Size<MIN, MAX>;
    impl [] TriggerLimit;
    impl [] ListenAddress;
    impl [] OriginUrl;
    impl [] AllowedOrigin;
    impl [] AuthUrl;
    impl [] CopiedHeader;
    impl [] HostName;
    impl [] HostChoice;
    impl [] Network;
    impl [] TrustedProxies;
    impl [] RuleMethod;
    impl [] HeaderField;
    impl [] CookieName;
    impl [] CookieDomain;
    impl [] CookiePath;
    impl [] PathPattern;
    impl [] PathPrefix;
    impl [] RedirectUrl;
    impl [] RuleRegex;
    impl [] SuiteName;
    impl [] TokenExpiry;
    impl [] Version;
    impl [] Window;
    impl [] TunnelStay;
    impl [] QueryName;
    impl [] ErrorBound;
    impl [] LatencyBound;
    impl [] CpuBound;
    impl [] MemoryBound;
}

/// A duration, as people write it: `"1m 30s"`. The bounds are in milliseconds; most may be anything above zero.
#[derive(Clone, Copy, Debug)]
pub struct Duration<const MIN: u64 = 1, const MAX: u64 = FOREVER>(pub Millis);

const DURATIONS: &str = "write \"30s\", \"250ms\", \"2m\" or \"1h 30m\"";

/// A duration with its days, where it has no part of one.
fn in_words(length: Millis) -> String {
    const DAY: u64 = 86_400_000;
    if length.0 > 0 && length.0.is_multiple_of(DAY) { format!("{}d", length.0 / DAY) } else { length.to_string() }
}

impl<const MIN: u64, const MAX: u64> Duration<MIN, MAX> {
    /// A bare number with the units that it may be meant in.
    fn with_units(number: f64) -> String {
        let units = [
            ("s", "seconds", 1000.0),
            ("m", "minutes", 6e4),
            ("ms", "milliseconds", 1.0),
            ("h", "hours", 3.6e6),
            ("d", "days", 8.64e7),
        ];
        // Few durations have hundreds of minutes.
        let fits = |(unit, _, factor): &(&str, &str, f64)| {
            let usual = number < 100.0 || *unit != "m";
            usual && (MIN as f64..=MAX as f64).contains(&(number * factor))
        };
        if number.fract() != 0.0 && (MIN as f64..=MAX as f64).contains(&(number * 1000.0)) {
            return format!("write \"{}ms\"", (number * 1000.0).round());
        }
        let ways = units.iter().filter(|way| number.fract() == 0.0 && number > 0.0 && fits(way));
        let ways: Vec<String> = ways.map(|(unit, name, _)| format!("\"{number}{unit}\" for {name}")).take(2).collect();
        if ways.is_empty() { DURATIONS.to_owned() } else { format!("write {}", ways.join(", or ")) }
    }
}

impl<const MIN: u64, const MAX: u64> TextValue for Duration<MIN, MAX> {
    fn wanted() -> String {
        "a duration such as \"30s\" or \"2m\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let within = |length: &Millis| (MIN..=MAX).contains(&length.0);
        let length = Millis::parse(text).map_err(|why| {
            let guess = Millis::guess(text).filter(|guess| Millis::parse(guess).is_ok_and(|length| within(&length)));
            let hint = match (guess, text.trim().parse::<f64>()) {
                (Some(guess), _) => format!("did you mean \"{guess}\"?"),
                (None, Ok(number)) => Self::with_units(number),
                (None, Err(_)) => DURATIONS.to_owned(),
            };
            InvalidValue::new(why, hint)
        })?;
        if within(&length) {
            return Ok(Duration(length));
        }
        let (least, most) = (Millis(MIN), Millis(MAX));
        let hint = match length < least {
            true if MIN <= 1 => DURATIONS.to_owned(),
            true => format!("write \"{}\" or more", in_words(least)),
            false => format!("write \"{}\" or less", in_words(most)),
        };
        let (least, most, length) = (in_words(least), in_words(most), in_words(length));
        let message = match (MIN, MAX) {
            (1, _) if length == "0s" => "{key} must be longer than 0s".to_owned(),
            (_, FOREVER) => format!("{{key}} must be at least {least}, not {length}"),
            (0 | 1, _) => format!("{{key}} must be at most {most}, not {length}"),
            _ => format!("{{key}} must be between {least} and {most}, not {length}"),
        };
        Err(InvalidValue::new(message, hint))
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let message = format!("{{key}} must be a duration with its unit, not the number {}", shown(number));
        Err(InvalidValue::new(message, Self::with_units(number)))
    }
    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            // An editor does not know the value of an environment variable.
            "pattern": r"^(\s*[0-9]+(ms|s|m|min|h|d))+\s*$|\$\{",
            "x-unit": "duration",
            "x-taplo": { "docs": { "main": "A duration: \"250ms\", \"30s\", \"2m\", \"1h 30m\", \"7d\"." } },
        })
    }
}

/// So many times active's figure, as in `"1.2 x active"`; `None` if the text is something else.
fn times_active(text: &str, figure: &str) -> Result<Option<f64>, InvalidValue> {
    const TIMES: [char; 3] = ['x', '×', '*'];
    if !text.contains(TIMES) && !text.contains("active") {
        return Ok(None);
    }
    let times = text
        .trim()
        .strip_suffix("active")
        .unwrap_or_default()
        .trim()
        .strip_suffix(TIMES)
        .and_then(|times| times.trim().parse::<f64>().ok());
    let times = times.filter(|times| *times > 0.0 && *times <= MOST_TIMES);
    times.map(Some).ok_or_else(|| {
        let hint = format!("write how many times, up to {MOST_TIMES}: \"1.2 x active\"");
        InvalidValue::new(format!("invalid multiple of active's {figure} {text:?}"), hint)
    })
}

/// A limit of the requests that fail: a percentage, or so many times active's, as in `"1.2 x active"`.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBound(pub ErrorLimit);

impl TextValue for ErrorBound {
    fn wanted() -> String {
        "a percentage from 0 to 100, or a multiple of active's such as \"1.2 x active\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(times) = times_active(text, "error rate")? {
            return Ok(ErrorBound(ErrorLimit::OfActive(times)));
        }
        let bare = text.trim().trim_end_matches('%').trim_end();
        let hint = match bare.parse::<f64>() {
            Ok(_) => format!("write {bare}, without quotes or sign"),
            Err(_) => "write 0.5 for half a percent, or \"1.2 x active\"".to_owned(),
        };
        Err(InvalidValue::new(format!("{{key}} must be {}, not the string {text:?}", Self::wanted()), hint))
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let good = (0.0..=100.0).contains(&number);
        good.then_some(ErrorBound(ErrorLimit::Fixed(number))).ok_or_else(|| {
            InvalidValue::new(
                format!("{{key}} must be {}, not {}", Self::wanted(), shown(number)),
                "write 5 for 5 percent",
            )
        })
    }
    fn schema() -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": 100,
            "pattern": r"^\s*[0-9.]+\s*[x×*]\s*active\s*$|\$\{",
            "x-unit": "percent",
        })
    }
}

/// A limit of a latency: a duration, or so many times active's, as in `"1.2 x active"`.
#[derive(Clone, Copy, Debug)]
pub struct LatencyBound(pub LatencyLimit);

impl TextValue for LatencyBound {
    fn wanted() -> String {
        "a duration such as \"300ms\", or a multiple of active's such as \"1.2 x active\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match times_active(text, "latency")? {
            Some(times) => Ok(LatencyBound(LatencyLimit::OfActive(times))),
            None => Duration::<1>::parse(text).map(|length| LatencyBound(LatencyLimit::Fixed(length.0))),
        }
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        Duration::<1>::number(number).map(|length| LatencyBound(LatencyLimit::Fixed(length.0)))
    }
    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(\s*[0-9]+(ms|s|m|min|h|d))+\s*$|^\s*[0-9.]+\s*[x×*]\s*active\s*$|\$\{",
            "x-unit": "duration",
        })
    }
}

/// A limit of the CPU of an origin's process: cores on average, or so many times active's, as in `"1.2 x active"`.
#[derive(Clone, Copy, Debug)]
pub struct CpuBound(pub ResourceLimit);

impl TextValue for CpuBound {
    fn wanted() -> String {
        "a number of cores such as 1.5, or a multiple of active's such as \"1.2 x active\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(times) = times_active(text, "cpu")? {
            return Ok(CpuBound(ResourceLimit::OfActive(times)));
        }
        let hint = match text.trim().parse::<f64>() {
            Ok(_) => format!("write {}, without quotes", text.trim()),
            Err(_) => "write 1.5 for one and a half cores on average, or \"1.2 x active\"".to_owned(),
        };
        Err(InvalidValue::new(format!("{{key}} must be {}, not the string {text:?}", Self::wanted()), hint))
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let good = number > 0.0 && number <= MOST_CORES;
        good.then_some(CpuBound(ResourceLimit::Fixed(number))).ok_or_else(|| {
            InvalidValue::new(
                format!("{{key}} must be {}, not {}", Self::wanted(), shown(number)),
                "write 1.5 for one and a half cores on average",
            )
        })
    }
    fn schema() -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "maximum": MOST_CORES,
            "pattern": r"^\s*[0-9.]+\s*[x×*]\s*active\s*$|\$\{",
            "x-unit": "cores",
        })
    }
}

/// A limit of the memory of an origin's process: a size, or so many times active's, as in `"1.2 x active"`.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBound(pub ResourceLimit);

impl TextValue for MemoryBound {
    fn wanted() -> String {
        "a size such as \"512MiB\", or a multiple of active's such as \"1.2 x active\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match times_active(text, "memory")? {
            Some(times) => Ok(MemoryBound(ResourceLimit::OfActive(times))),
            None => Size::<1, MOST_MEMORY>::parse(text).map(|size| MemoryBound(ResourceLimit::Fixed(size.0 as f64))),
        }
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        Size::<1, MOST_MEMORY>::number(number).map(|size| MemoryBound(ResourceLimit::Fixed(size.0 as f64)))
    }
    fn schema() -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": r"^[0-9]+ *(B|KiB|MiB|GiB|KB|MB|GB)?$|^\s*[0-9.]+\s*[x×*]\s*active\s*$|\$\{",
            "x-unit": "size",
        })
    }
}

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A size in bytes: `"10MiB"`, a number of bytes, or `"unlimited"`, which is `u64::MAX` and accepted only if `MAX` is
/// that.
#[derive(Clone, Copy, Debug)]
pub struct Size<const MIN: u64 = 0, const MAX: u64 = { u64::MAX }>(pub u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    fn within(bytes: u64) -> Result<Self, InvalidValue> {
        if (MIN..=MAX).contains(&bytes) {
            return Ok(Size(bytes));
        }
        let (least, most) = (bytes_in_words(MIN), bytes_in_words(MAX));
        let message = match MAX {
            u64::MAX => format!("{{key}} must be at least {least}"),
            _ => format!("{{key}} must be between {least} and {most}"),
        };
        let (bound, which) = if bytes < MIN { (least, "more") } else { (most, "less") };
        let bound = match bound.strip_suffix(" bytes") {
            Some(number) => number.to_owned(),
            None => format!("\"{}\"", bound.replace(' ', "")),
        };
        Err(InvalidValue::new(message, format!("write {bound} or {which}")))
    }
}

impl<const MIN: u64, const MAX: u64> TextValue for Size<MIN, MAX> {
    fn wanted() -> String {
        "a size such as \"10MiB\", or a number of bytes".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text == "unlimited" && MAX == u64::MAX {
            return Ok(Size(u64::MAX));
        }
        Self::within(size(text)?)
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        if number.fract() != 0.0 || number < 0.0 || number >= u64::MAX as f64 {
            let message = format!("{{key}} must be a whole number of bytes, not {}", shown(number));
            return Err(InvalidValue::new(message, "write a size with a unit: \"512KiB\", \"10MiB\""));
        }
        Self::within(number as u64)
    }
    fn schema() -> Schema {
        let unlimited = if MAX == u64::MAX { "|^unlimited$" } else { "" };
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": format!(r"^[0-9]+ *(B|KiB|MiB|GiB|KB|MB|GB)?${unlimited}|\$\{{") },
                { "type": "integer", "minimum": MIN },
            ],
            "x-unit": "size",
        })
    }
}

fn bytes_in_words(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => (" MiB", 1 << 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => (" KiB", 1 << 10),
        _ => (" bytes", 1),
    };
    format!("{}{unit}", bytes / factor)
}

/// A whole number and a unit, with or without a space between them.
fn size(text: &str) -> Result<u64, InvalidValue> {
    let hint = "write \"10MiB\", \"64KiB\", \"6MB\", or a number of bytes";
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let unit = unit.trim();
    if digits.is_empty() {
        return Err(InvalidValue::new(format!("invalid size `{text}`: it does not begin with a whole number"), hint));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let close = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| *name);
        let hint = close.map_or(hint.to_owned(), |name| format!("did you mean `{digits}{name}`?"));
        return Err(InvalidValue::new(format!("invalid size `{text}`: unknown unit `{unit}`"), hint));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    // The largest number means "unlimited".
    bytes.filter(|bytes| *bytes < u64::MAX).ok_or_else(|| InvalidValue::new(format!("`{text}` is too large"), hint))
}

/// The limit of a trigger: a number (a percentage or a count), or a duration for a latency.
#[derive(Clone, Copy, Debug)]
pub enum TriggerLimit {
    Number(f64),
    Duration(Millis),
}

impl TextValue for TriggerLimit {
    fn wanted() -> String {
        "a percentage, or a duration such as \"2s\" for a latency".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let bare = text.trim().trim_end_matches('%').trim_end();
        if bare.parse::<f64>().is_ok() {
            let message = format!("invalid limit `{text}`: percentages and counts are plain numbers");
            return Err(InvalidValue::new(message, format!("write {bare}, without quotes or sign")));
        }
        let wrong = |why| InvalidValue::new(why, "write a percentage such as 5, or \"800ms\" for a latency");
        Millis::parse(text).map(TriggerLimit::Duration).map_err(wrong)
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        Ok(TriggerLimit::Number(number))
    }
    fn schema() -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "number", "minimum": 0, "x-unit": "percent" },
                <Duration as TextValue>::schema(),
            ],
        })
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug)]
pub struct ListenAddress(pub SocketAddr);

impl TextValue for ListenAddress {
    fn wanted() -> String {
        "an IP address with a port".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Ok(address) = text.parse() {
            return Ok(ListenAddress(address));
        }
        let refuse =
            |why: &str, hint: String| Err(InvalidValue::new(format!("cannot listen on `{text}`: {why}"), hint));
        let either = |port: u16| {
            format!("write \"0.0.0.0:{port}\" for every interface, or \"127.0.0.1:{port}\" for this machine alone")
        };
        if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
            return refuse("the IP address is missing", either(port));
        }
        if let Ok(port) = text.trim_start_matches("*:").parse::<u16>() {
            return refuse("`*` is not an IP address", either(port));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return refuse("the port is missing", format!("write \"{}\"", SocketAddr::new(address, 8080)));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return refuse("names are not looked up", format!("write \"127.0.0.1:{port}\""));
        }
        if let Some((_, rest)) = text.split_once("://") {
            return refuse("it is an address, not a URL", format!("write \"{}\"", rest.trim_end_matches('/')));
        }
        refuse("it is not an IP address with a port", "write \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned())
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let message = format!("{{key}} must be {}, not the number {number}", Self::wanted());
        let hint =
            format!("write \"0.0.0.0:{number}\" for every interface, or \"127.0.0.1:{number}\" for this machine alone");
        Err(InvalidValue::new(message, hint))
    }
    fn schema() -> Schema {
        let pattern = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$|\$\{";
        json_schema!({ "type": "string", "pattern": pattern, "x-unit": "address" })
    }
}

/// Where an environment's requests go.
#[derive(Clone, Debug)]
pub struct OriginUrl {
    pub text: String,
    pub target: OriginTarget,
}

impl TextValue for OriginUrl {
    fn wanted() -> String {
        "the URL of an origin".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        origin(text).map(|target| OriginUrl { text: text.to_owned(), target })
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let message = format!("{{key}} must be {}, not the number {number}", Self::wanted());
        Err(InvalidValue::new(message, format!("write \"http://127.0.0.1:{number}\"")))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^https?://[^/?#@]|\$\{", "x-unit": "url" })
    }
}

/// A URL of an origin: a scheme, a host, perhaps a port and a base path.
///
/// # Errors
/// What is wrong with it.
pub fn origin(text: &str) -> Result<OriginTarget, InvalidValue> {
    const USUAL: &str = "write \"https://next--shop.netlify.app\", with a base path if needed";
    let refuse = |why: &str, hint: String| Err(InvalidValue::new(format!("invalid origin URL `{text}`: {why}"), hint));
    if text.is_empty() {
        return Err(InvalidValue::new("the origin URL is empty", USUAL));
    }
    if text.contains(char::is_whitespace) {
        let trimmed = text.trim();
        let hint = match trimmed.contains(char::is_whitespace) {
            true => "remove it; in a path, a space is written %20".to_owned(),
            false => format!("remove it: write \"{trimmed}\""),
        };
        return refuse("it has a space in it", hint);
    }
    let Some((scheme, rest)) = text.split_once("://") else { return without_scheme(text) };
    let tls = match scheme {
        "https" => true,
        "http" => false,
        _ => {
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
            let hint = format!("write \"https://{rest}\" or \"http://{rest}\"");
            return refuse("its scheme is not http or https", hint);
        }
    };
    for (mark, what) in [('?', "a query"), ('#', "a fragment")] {
        if text.contains(mark) {
            let bare = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
            return refuse(&format!("it has {what}"), format!("remove it: write \"{bare}\""));
        }
    }
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some((_, host)) = authority.rsplit_once('@') {
        let path = rest.get(authority.len()..).unwrap_or_default();
        return refuse("it has a user name or password", format!("remove them: write \"{scheme}://{host}{path}\""));
    }
    let default_port = if tls { 443 } else { 80 };
    let port_hint = || format!("write a port from 1 to 65535, or none for {default_port}");
    if authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']') && !matches!(port.parse::<u16>(), Ok(1..)))
    {
        return refuse("its port is not a number from 1 to 65535", port_hint());
    }
    if authority.contains(['{', '<']) {
        let hint = format!(
            "write the URL of one version, such as \"{scheme}://{}\"; `cutover deploy VERSION --origin URL` names the next one's",
            placeholders(rest, "next")
        );
        return refuse("it has a placeholder", hint);
    }
    let Ok(uri) = text.parse::<Uri>() else { return refuse("it is not a URL", USUAL.to_owned()) };
    let host = uri.authority().map_or("", Authority::host).trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.contains('*') {
        return refuse("it has no host", USUAL.to_owned());
    }
    let port = uri.authority().and_then(Authority::port_u16).unwrap_or(default_port);
    let base_path = uri.path().trim_end_matches('/').to_owned();
    let named = uri.authority().map_or("", Authority::host);
    let authority = if port == default_port { named.to_owned() } else { format!("{named}:{port}") };
    Ok(OriginTarget { tls, host: host.to_ascii_lowercase(), port, authority, base_path })
}

fn without_scheme(text: &str) -> Result<OriginTarget, InvalidValue> {
    let authority = text.split('/').next().and_then(|authority| authority.parse::<Authority>().ok());
    let message = format!("invalid origin URL `{text}`: it has no scheme");
    let hint = match authority {
        None => "write \"https://next--shop.netlify.app\", with a base path if needed".to_owned(),
        // A port, an address or a name of this machine is seldom behind TLS.
        Some(at) if at.port().is_some() || is_plain_host(at.host()) => format!("write \"http://{text}\""),
        Some(_) => format!("write \"https://{text}\""),
    };
    Err(InvalidValue::new(message, hint))
}

fn is_plain_host(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The pattern that is probably meant, if it is one.
fn pattern_hint(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some((_, rest)) => ("https", rest),
        None => ("https", text),
    };
    // What stands for a version is a star here.
    let authority = placeholders(rest.split(['/', '?', '#']).next().unwrap_or_default().trim(), "*");
    let meant = format!("{scheme}://{authority}");
    match AllowedOrigin::parse(&meant) {
        Ok(_) => format!("write \"{meant}\""),
        Err(_) => "write \"https://*--shop.netlify.app\"".to_owned(),
    }
}

/// The text with `stand_in` for each `{…}`, also for `{{…}}`, `${…}` and `<…>`.
fn placeholders(text: &str, stand_in: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(['{', '<']) {
        let (before, after) = rest.split_at(begin);
        let close = if after.starts_with('{') { '}' } else { '>' };
        let Some(end) = after.find(close) else { break };
        out.push_str(before.strip_suffix('$').unwrap_or(before));
        out.push_str(stand_in);
        rest = after.get(end..).unwrap_or_default().trim_start_matches(close);
    }
    out + rest
}

impl TextValue for AllowedOrigin {
    fn wanted() -> String {
        "a pattern for origins".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        AllowedOrigin::parse(text).map_err(|why| {
            let message = format!("invalid pattern `{text}` for origins: {why}");
            InvalidValue::new(message, pattern_hint(text))
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^https?://[^/]|\$\{", "x-unit": "pattern" })
    }
}

/// A host of a service or a rule.
#[derive(Clone, Debug)]
pub struct HostName {
    /// In lower case without a trailing dot, as it is compared.
    pub text: String,
    pub pattern: HostPattern,
}

impl TextValue for HostName {
    fn wanted() -> String {
        "a host name such as \"shop.example.com\" or \"*.example.com\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
            Ok(_) if !name.is_empty() => name,
            _ => host,
        });
        let extra = match (scheme, path) {
            (Some(_), _) => Some("a scheme"),
            (_, Some(_)) => Some("a path"),
            _ if name.len() < host.len() => Some("a port"),
            _ => None,
        };
        if let (Some(extra), Ok(_)) = (extra, HostPattern::parse(name)) {
            let message = format!("invalid host `{text}`: a host is a name alone, without {extra}");
            return Err(InvalidValue::new(message, format!("write \"{name}\"")));
        }
        let hint = "write \"shop.example.com\" or \"*.example.com\"; every host is served without `hosts`";
        let pattern = HostPattern::parse(text).map_err(|why| InvalidValue::new(why, hint))?;
        let text = text.to_ascii_lowercase();
        Ok(HostName { text: text.strip_suffix('.').unwrap_or(&text).to_owned(), pattern })
    }
    fn number(number: f64) -> Result<Self, InvalidValue> {
        let message = format!("{{key}} must be {}, not the number {}", Self::wanted(), shown(number));
        Err(InvalidValue::new(message, "write \"shop.example.com\", without a port"))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[^/:]+$|^\[[^/]+\]$|\$\{", "x-unit": "host" })
    }
}

/// The Host that an origin is sent: one of the words, or a name.
#[derive(Clone, Debug)]
pub struct HostChoice(pub SentHost);

impl TextValue for HostChoice {
    fn wanted() -> String {
        "\"origin\", \"preserve\" or a host name".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "origin" => return Ok(HostChoice(SentHost::Origin)),
            "preserve" => return Ok(HostChoice(SentHost::Preserve)),
            _ => {}
        }
        if let Some(word) = close(text, &["origin", "preserve"]).filter(|_| !text.contains(['.', ':'])) {
            let hint = format!("did you mean `{word}`? Write a host of this name with its port: \"{text}:80\"");
            return Err(InvalidValue::new(format!("unknown value `{text}` for {{key}}"), hint));
        }
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or(bare);
        let (name, port) = match bare.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((name, port)) => (name, Some(port)),
            None => (bare, None),
        };
        let is_port = |port: &str| matches!(port.parse::<u16>(), Ok(1..)) && !port.starts_with('+');
        if !matches!(HostPattern::parse(name), Ok(HostPattern::Exact(_))) || !port.is_none_or(is_port) {
            let hint = "write \"origin\", \"preserve\", or a name such as \"www.example.com\", with a port if needed";
            return Err(InvalidValue::new(format!("invalid host `{text}` for {{key}}"), hint));
        }
        if bare.len() < text.len() {
            let extra = if text.contains("://") { "scheme" } else { "path" };
            let message = format!("invalid host `{text}` for {{key}}: a host has no {extra}");
            return Err(InvalidValue::new(message, format!("write \"{bare}\"")));
        }
        Ok(HostChoice(SentHost::Name(text.to_owned())))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[^/*\s]+$|\$\{", "x-unit": "host" })
    }
}

/// A CIDR, or one address.
#[derive(Clone, Copy, Debug)]
pub struct Network(pub IpNet);

impl TextValue for Network {
    fn wanted() -> String {
        "a network such as \"10.0.0.0/8\", or one address".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) if net.trunc() != net => Err(InvalidValue::new(
                format!("invalid network `{text}`: host bits are set"),
                format!("did you mean `{}`?", net.trunc()),
            )),
            (Ok(net), _) => Ok(Network(net)),
            (_, Ok(address)) => Ok(Network(IpNet::from(address.to_canonical()))),
            _ => Err(InvalidValue::new(
                format!("invalid network `{text}`"),
                "write \"10.0.0.0/8\", \"2001:db8::/32\" or one address",
            )),
        }
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "x-unit": "network" })
    }
}

/// The networks of proxies: a CIDR, one address, or the name of a set.
#[derive(Clone, Debug)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TextValue for TrustedProxies {
    fn wanted() -> String {
        "a network such as \"10.0.0.0/8\", one address, or a set such as \"cloudflare\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(networks) = network_sets::named(text) {
            return Ok(TrustedProxies(networks));
        }
        let is_word = !text.contains(['.', ':', '/']) && text.contains(|c: char| c.is_ascii_alphabetic());
        match Network::parse(text) {
            Ok(network) => Ok(TrustedProxies(vec![network.0])),
            Err(refused) if !is_word => Err(refused),
            Err(_) => Err(InvalidValue::new(format!("unknown set of networks `{text}`"), set_hint(text))),
        }
    }
    fn schema() -> Schema {
        let network = json_schema!({ "type": "string", "x-unit": "network" });
        json_schema!({ "anyOf": [network, { "type": "string", "enum": network_sets::NAMES }] })
    }
}

fn set_hint(text: &str) -> String {
    if text.eq_ignore_ascii_case("cloudfront") {
        // It is close to Cloudflare in name alone.
        return "list its networks: CLOUDFRONT_ORIGIN_FACING in https://ip-ranges.amazonaws.com/ip-ranges.json"
            .to_owned();
    }
    match close(text, &network_sets::NAMES) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("write a network such as \"10.0.0.0/8\", or one of: {}", network_sets::NAMES.join(", ")),
    }
}

/// A method, in upper case as in HTTP.
#[derive(Clone, Debug)]
pub struct RuleMethod(pub MethodName);

impl TextValue for RuleMethod {
    fn wanted() -> String {
        "a method such as \"GET\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match MethodName::parse(text) {
            Ok(method) if text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => Ok(RuleMethod(method)),
            _ => Err(InvalidValue::new(
                format!("invalid method `{text}`: methods are written in upper case"),
                format!("did you mean `{}`?", text.to_ascii_uppercase()),
            )),
        }
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[A-Z-]+$|\$\{" })
    }
}

/// The name of a header that clients send.
#[derive(Clone, Debug)]
pub struct HeaderField(pub FieldName);

impl TextValue for HeaderField {
    fn wanted() -> String {
        "the name of a header".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        header(text).map(HeaderField)
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[!#$%&'*+.^`|~0-9A-Za-z-]+$|\$\{" })
    }
}

/// The name of a header. Many servers treat `x_a` and `x-a` as the same, so one with `_` could be smuggled past a rule.
///
/// # Errors
/// It is not a header name, or contains `_`.
pub fn header(text: &str) -> Result<FieldName, InvalidValue> {
    if text.contains('_') {
        let message = format!("invalid header name `{text}`: names with `_` are not forwarded safely");
        return Err(InvalidValue::new(message, format!("did you mean `{}`?", text.replace('_', "-"))));
    }
    let hint = "letters, digits and `-`, without spaces: \"x-canary\"";
    FieldName::parse(text).map_err(|_| InvalidValue::new(format!("invalid header name `{text}`"), hint))
}

/// The name of a cookie.
#[derive(Clone, Debug)]
pub struct CookieName(pub String);

impl TextValue for CookieName {
    fn wanted() -> String {
        "the name of a cookie".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let good = is_token(text);
        good.then(|| CookieName(text.to_owned())).ok_or_else(|| {
            InvalidValue::new(format!("invalid cookie name `{text}`"), "letters, digits, `-` and `_`, without spaces")
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The name of a parameter of the query.
#[derive(Clone, Debug)]
pub struct QueryName(pub String);

impl TextValue for QueryName {
    fn wanted() -> String {
        "the name of a parameter of the query".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=#?".contains(&byte));
        good.then(|| QueryName(text.to_owned())).ok_or_else(|| {
            let hint = "as it stands in the URL, without `?`, `&` and `=`: \"dpl\"";
            InvalidValue::new(format!("invalid name of a parameter {text:?}"), hint)
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The domain of a cookie, in lower case without the dot that may precede it.
#[derive(Clone, Debug)]
pub struct CookieDomain(pub String);

impl TextValue for CookieDomain {
    fn wanted() -> String {
        "a domain such as \"example.com\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let name = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            plain && !label.starts_with('-') && !label.ends_with('-') && (1..=63).contains(&label.len())
        };
        if name.parse::<std::net::IpAddr>().is_ok() {
            let message = format!("invalid cookie domain `{text}`: browsers take no address");
            return Err(InvalidValue::new(message, "remove it: the cookie then belongs to the host that sets it"));
        }
        if !name.split('.').all(is_label) || name.len() > 253 {
            let message = format!("invalid cookie domain `{text}`");
            return Err(InvalidValue::new(message, "write \"example.com\", without a scheme, a port or `*`"));
        }
        if !name.contains('.') {
            let message = format!("invalid cookie domain `{text}`: browsers take none of a single word");
            return Err(InvalidValue::new(message, "write \"example.com\", or remove it"));
        }
        Ok(CookieDomain(name))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\.?[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)+$|\$\{", "x-unit": "host" })
    }
}

/// The path of a cookie.
#[derive(Clone, Debug)]
pub struct CookiePath(pub String);

impl TextValue for CookiePath {
    fn wanted() -> String {
        "a path such as \"/\" or \"/shop\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if !text.starts_with('/') {
            let message = format!("invalid cookie path `{text}`: paths begin with `/`");
            return Err(InvalidValue::new(message, format!("write \"/{text}\"")));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b';') || text.contains('*') {
            let message = format!("invalid cookie path `{text}`");
            return Err(InvalidValue::new(message, "write \"/shop\": everything below it belongs to it"));
        }
        Ok(CookiePath(text.to_owned()))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^/|\$\{" })
    }
}

/// A path, or a glob, that a normalised path can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(pub String);

impl TextValue for PathPattern {
    fn wanted() -> String {
        "a path such as \"/api/*\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
            return Err(InvalidValue::new(
                format!("invalid path `{text}`: this is a URL"),
                format!("write \"{path}\""),
            ));
        }
        if !text.starts_with('/') && !text.starts_with('*') {
            let message = format!("invalid path `{text}`: it does not begin with `/`");
            return Err(InvalidValue::new(message, format!("did you mean `/{text}`?")));
        }
        if text.contains(['?', '#']) {
            let message = format!("invalid path `{text}`: it has a query or a fragment");
            let hint = "a condition on the query is written query = { name = \"q\", equals = \"x\" }";
            return Err(InvalidValue::new(message, hint));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("`{text}` matches no request: paths are ASCII without spaces");
            return Err(InvalidValue::new(message, "write it as clients send it: a space is %20, é is %C3%A9"));
        }
        let normal = NormalizedPath::normalised(text).ok().map(|path| path.as_str().to_owned());
        if normal.as_deref() != Some(text) {
            let message = format!("`{text}` matches no request: paths are normalized before they are compared");
            return Err(match normal {
                Some(normal) => InvalidValue::new(message, format!("did you mean `{normal}`?")),
                None => InvalidValue::new(message, "write it as clients send it: a `%` begins two hexadecimal digits"),
            });
        }
        Ok(PathPattern(text.to_owned()))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[/*]|\$\{" })
    }
}

/// A regular expression that a whole value must match.
#[derive(Clone, Debug)]
pub struct RuleRegex(pub regex::bytes::Regex);

impl TextValue for RuleRegex {
    fn wanted() -> String {
        "a regular expression".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        whole_regex(text).map(RuleRegex).map_err(|why| InvalidValue::new(regex_in_words(&why), REGEX))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "x-unit": "regular expression" })
    }
}

/// The way out of a wrong regular expression.
pub const REGEX: &str =
    "write one such as '^v[0-9]+$', in single quotes; look-around and backreferences are not supported";

/// The crate draws the pattern over several lines; its last line gives the reason.
pub fn regex_in_words(error: &regex::Error) -> String {
    let text = error.to_string();
    format!("invalid regular expression: {}", text.lines().last().unwrap_or("").trim_start_matches("error: "))
}

/// The name of a validation suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteName(pub String);

impl TextValue for SuiteName {
    fn wanted() -> String {
        "the name of a suite".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(name) = text.strip_suffix(".toml").filter(|name| is_suite_name(name)) {
            let message = format!("invalid suite name `{text}`: a suite is named without `.toml`");
            return Err(InvalidValue::new(message, format!("write \"{name}\"")));
        }
        if !is_suite_name(text) {
            let hint = "the name of its file without `.toml`: 1 to 64 letters, digits, `-`, `_` and `.`";
            return Err(InvalidValue::new(format!("invalid suite name {text:?}"), hint));
        }
        Ok(SuiteName(text.to_owned()))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$|\$\{", "x-unit": "suite" })
    }
}

/// A freeze that comes again.
#[derive(Clone, Debug)]
pub struct Window(pub FreezeWindow);

impl TextValue for Window {
    fn wanted() -> String {
        "a window such as \"Fri 16:00–Mon 08:00 Europe/Berlin\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let read = FreezeWindow::parse(text).map(Window);
        read.map_err(|why| {
            InvalidValue::new(format!("`{text}` is no window for a freeze: {why}"), freeze_window::EXAMPLE)
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "x-unit": "window" })
    }
}

/// How long a tunnel may stay on a side that gets no traffic any more; `None`: as long as it likes.
#[derive(Clone, Copy, Debug)]
pub struct TunnelStay(pub Option<Millis>);

impl TextValue for TunnelStay {
    fn wanted() -> String {
        "\"close\", \"keep\" or a duration such as \"30s\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "close" => Ok(TunnelStay(Some(Millis::ZERO))),
            "keep" => Ok(TunnelStay(None)),
            text => Millis::parse(text).map(|stay| TunnelStay(Some(stay))).map_err(|_| {
                let hint = "write \"close\", \"keep\" or a duration such as \"30s\"";
                InvalidValue::new(format!("`{text}` does not say how long a tunnel may stay"), hint)
            }),
        }
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "x-unit": "close, keep or a duration" })
    }
}

/// The day from which a token is refused, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct TokenExpiry(pub u64);

impl TextValue for TokenExpiry {
    fn wanted() -> String {
        "a date such as \"2027-01-01\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let hint = "write the first day on which the token is refused: \"2027-01-01\"";
        let date = judgement::time::parse_date(text).map(TokenExpiry);
        date.map_err(|_| InvalidValue::new(format!("`{text}` is not a date"), hint))
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}|\$\{", "x-unit": "date" })
    }
}

/// A deployed version, in a form that a header can carry.
#[derive(Clone, Debug)]
pub struct Version(pub HeaderValue);

impl TextValue for Version {
    fn wanted() -> String {
        "a version such as \"2.0.0\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let good = !text.is_empty() && text.len() <= LONGEST_VERSION && plain;
        good.then(|| HeaderValue::from_str(text).ok()).flatten().map(Version).ok_or_else(|| {
            let hint = format!("up to {LONGEST_VERSION} visible ASCII characters, no spaces: \"2.0.0\"");
            InvalidValue::new(format!("invalid version {text:?}"), hint)
        })
    }
    fn schema() -> Schema {
        json_schema!({ "type": "string", "maxLength": LONGEST_VERSION })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64KiB", 65_536),
            ("10MiB", 10_485_760),
            ("10 MiB", 10_485_760),
            ("1GiB", 1_073_741_824),
            ("6MB", 6_000_000),
            ("1KB", 1_000),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "10mib", "10Mb", "10 M iB", "99999999999GiB", "18446744073709551615"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("10mib").unwrap_err().hint.as_deref(), Some("did you mean `10MiB`?"));
    }

    #[test]
    fn a_pattern_that_is_nearly_one_is_told_the_one_that_is_meant() {
        for (text, meant) in [
            ("https://{version}--shop.netlify.app", "https://*--shop.netlify.app"),
            ("https://{{version}}--shop.netlify.app/", "https://*--shop.netlify.app"),
            ("https://<version>.pages.example.com", "https://*.pages.example.com"),
            ("http://{version}.shop.test:8080/base", "http://*.shop.test:8080"),
            ("*--shop.netlify.app", "https://*--shop.netlify.app"),
            ("https://*.app", "https://*--shop.netlify.app"),
            ("https://{", "https://*--shop.netlify.app"),
        ] {
            let refused = <AllowedOrigin as TextValue>::parse(text).unwrap_err();
            assert_eq!(refused.hint, Some(format!("write \"{meant}\"")), "{text}");
            assert!(<AllowedOrigin as TextValue>::parse(meant).is_ok(), "{meant}");
        }
    }

    #[test]
    fn an_origin_with_a_placeholder_is_told_how_versions_get_theirs() {
        let refused = origin("https://{version}--shop.netlify.app/base").unwrap_err();
        assert!(refused.message.contains("it has a placeholder"), "{}", refused.message);
        let hint = refused.hint.unwrap();
        assert!(hint.contains("\"https://next--shop.netlify.app/base\"") && hint.contains("--origin URL"), "{hint}");
    }

    #[test]
    fn an_origin_without_a_scheme_is_told_the_likely_one() {
        for (text, hint) in [
            ("localhost:9001", "write \"http://localhost:9001\""),
            ("localhost", "write \"http://localhost\""),
            ("127.0.0.1:9001/base", "write \"http://127.0.0.1:9001/base\""),
            ("next--shop.netlify.app", "write \"https://next--shop.netlify.app\""),
            ("htps://shop.test", "write \"https://shop.test\" or \"http://shop.test\""),
        ] {
            assert_eq!(origin(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }
}
