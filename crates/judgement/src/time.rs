//! Time as a value: [`Millis`], durations the way people write them, and the calendar.
//!
//! Nothing here reads a clock. Pure code gets `now` as an argument, so a month of rollouts runs in a second of test
//! time and a journal entry replays to the same verdict.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

pub use time::UtcDateTime;

/// Milliseconds, either a point on the monotonic clock (since the process started) or a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    pub const ZERO: Millis = Millis(0);

    pub const fn seconds(seconds: u64) -> Millis {
        Millis(seconds.saturating_mul(1000))
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    pub const fn plus(self, length: Millis) -> Millis {
        Millis(self.0.saturating_add(length.0))
    }

    /// Without the part of a second.
    pub const fn whole_seconds(self) -> Millis {
        Millis(self.0 / 1000 * 1000)
    }

    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Reads `"250ms"`, `"30s"`, `"2m"`, `"1h30m"`, `"7d"`: whole numbers with a unit, in any order.
    ///
    /// # Errors
    /// What is wrong with the text, as a sentence for the user.
    pub fn parse(text: &str) -> Result<Millis, String> {
        let wrong = |why: &str| format!("`{text}` is not a duration: {why}");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err("the duration is empty".to_owned());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            match rest.bytes().next() {
                Some(b'-') => return Err(wrong("it is negative")),
                _ if number.is_empty() => return Err(wrong("a whole number must come before the unit")),
                _ if tail.starts_with(['.', ',']) => return Err(wrong("its numbers must be whole ones")),
                _ => {}
            }
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let too_long = || wrong("it is longer than ten years");
            let number: u64 = number.parse().map_err(|_| too_long())?;
            let factor = factor(unit).ok_or_else(|| wrong(&why_no_unit(unit, tail)))?;
            total = number
                .checked_mul(factor)
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= 3660 * DAY)
                .ok_or_else(too_long)?;
            rest = tail.trim_start();
        }
        Ok(Millis(total))
    }

    /// What somebody who wrote a duration otherwise probably meant, as [`Millis::parse`] reads it: `"2m"` for
    /// `"2 minutes"`, `"90m"` for `"1.5 hours"`.
    pub fn guess(text: &str) -> Option<String> {
        let text = text.trim().to_ascii_lowercase();
        let mut rest = text.as_str();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let (number, tail) = rest.split_at(digits);
            let tail = tail.trim_start();
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (word, tail) = tail.split_at(letters);
            parts.push(part_of_guess(number, word)?);
            rest = tail.trim_start_matches([' ', ',']);
            rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
        }
        let guess = parts.join(" ");
        Millis::parse(&guess).is_ok().then_some(guess)
    }
}

const DAY: u64 = 86_400_000;

/// The units, with their lengths in milliseconds.
fn factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY,
        _ => return None,
    })
}

/// Why `unit` is none. `behind`: what follows it.
fn why_no_unit(unit: &str, behind: &str) -> String {
    let far = behind.trim_start();
    let letters = far.bytes().take_while(u8::is_ascii_alphabetic).count();
    let word = if unit.is_empty() { far.get(..letters).unwrap_or_default() } else { unit };
    match word {
        "" => "the unit is missing (ms, s, m, h or d)".to_owned(),
        known if unit.is_empty() && factor(known).is_some() => format!("there is a space before the unit `{known}`"),
        word => format!("`{word}` is not a unit (ms, s, m, h or d)"),
    }
}

/// A number with a unit in words.
fn part_of_guess(number: &str, word: &str) -> Option<String> {
    let (unit, factor) = match word {
        "ms" | "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" => ("ms", 1),
        "s" | "sec" | "secs" | "second" | "seconds" => ("s", 1000),
        "m" | "min" | "mins" | "minute" | "minutes" => ("m", 60_000),
        "h" | "hr" | "hrs" | "hour" | "hours" => ("h", 3_600_000),
        "d" | "day" | "days" => ("d", DAY),
        "w" | "week" | "weeks" => ("w", 7 * DAY),
        _ => return None,
    };
    if unit != "w" && number.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("{number}{unit}"));
    }
    let ms = number.parse::<f64>().ok()? * factor as f64;
    let ms = (ms.fract() == 0.0 && ms > 0.0 && ms < 1e15).then_some(ms as u64)?;
    let units = [("d", DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (unit, factor) = units.into_iter().find(|(_, factor)| ms.is_multiple_of(*factor))?;
    Some(format!("{}{unit}", ms / factor))
}

/// The two largest units: `250ms`, `2.5s`, `30s`, `2m 5s`, `1h 30m`. [`Millis::parse`] reads it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let tenths = (ms + 50) / 100;
        let (whole, part, units) = match ms {
            0 => return f.write_str("0s"),
            _ if ms < 1000 => return write!(f, "{ms}ms"),
            _ if tenths < 100 && !tenths.is_multiple_of(10) => return write!(f, "{}.{}s", tenths / 10, tenths % 10),
            _ if tenths < 100 => return write!(f, "{}s", tenths / 10),
            _ if ms < 60_000 => return write!(f, "{}s", ms / 1000),
            _ if ms < 3_600_000 => (ms / 60_000, ms % 60_000 / 1000, ("m", "s")),
            _ => (ms / 3_600_000, ms % 3_600_000 / 60_000, ("h", "m")),
        };
        write!(f, "{whole}{}", units.0)?;
        if part > 0 { write!(f, " {part}{}", units.1) } else { Ok(()) }
    }
}

/// A point in time as calendar fields, for other formats; 9999 is the last year.
pub fn utc(at_ms: u64) -> UtcDateTime {
    UtcDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000).unwrap_or(UtcDateTime::MAX)
}

/// Milliseconds since 1970 as `2026-11-22T14:03:59.123Z`; empty for a time beyond the year 9999.
pub fn rfc3339(at_ms: u64) -> String {
    let at = UtcDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A time in any zone as milliseconds since 1970; `None` if it is not RFC 3339. Times before 1970 become 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

/// Reads `"2026-11-20"` or `"2026-11-20T14:30"`, in UTC, with or without seconds and a `Z`, as seconds since 1970.
///
/// # Errors
/// What is wrong with the text, as a sentence for the user.
pub fn parse_date(text: &str) -> Result<u64, String> {
    let at = calendar_date(text.trim()).and_then(|at| u64::try_from(at.unix_timestamp()).ok());
    at.ok_or_else(|| format!("`{text}` is not a date: write 2026-11-20, or 2026-11-20T14:30 in UTC"))
}

fn calendar_date(text: &str) -> Option<UtcDateTime> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let &[year, month, day] = numbers(date, '-')?.as_slice() else { return None };
    let (hour, minute, second) = match *numbers(time.strip_suffix('Z').unwrap_or(time), ':')?.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|part| u8::try_from(part).ok());
    let date = Date::from_calendar_date(i32::from(year), Month::try_from(month?).ok()?, day?).ok()?;
    Some(UtcDateTime::new(date, Time::from_hms(hour?, minute?, second?).ok()?))
}

/// Up to four digits each.
fn numbers(text: &str, split: char) -> Option<Vec<u16>> {
    let read = |part: &str| {
        let plain = part.len() <= 4 && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    text.split(split).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1m 5s", 65_000),
        ] {
            assert_eq!(Millis::parse(text), Ok(Millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-3s", "3 parsecs", "99999999999999999999s", "4000d"] {
            assert!(Millis::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_none_says_why() {
        for (text, why) in [
            ("30", "the unit is missing"),
            ("2 minutes", "`minutes` is not a unit"),
            ("2minutes", "`minutes` is not a unit"),
            ("2 m", "there is a space before the unit `m`"),
            ("1h 30", "the unit is missing"),
            ("-2m", "it is negative"),
            ("1.5h", "its numbers must be whole ones"),
            ("1,5h", "its numbers must be whole ones"),
            ("99999999999999999999d", "it is longer than ten years"),
            ("4000d", "it is longer than ten years"),
            ("s", "a whole number must come before the unit"),
            ("soon", "a whole number must come before the unit"),
        ] {
            let said = Millis::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_duration_in_other_words_is_guessed() {
        for (text, guess) in [
            ("2 minutes", Some("2m")),
            ("2 m", Some("2m")),
            ("1 hour and 30 minutes", Some("1h 30m")),
            ("1 Hour, 30 Min", Some("1h 30m")),
            ("1.5h", Some("90m")),
            ("0.25 s", Some("250ms")),
            ("2w", Some("14d")),
            ("-2m", None),
            ("soon", None),
            ("1.2.3s", None),
            ("30", None),
            ("999 weeks", None),
        ] {
            assert_eq!(Millis::guess(text).as_deref(), guess, "{text}");
        }
    }

    #[test]
    fn dates_read_as_they_are_written_and_come_back() {
        for (text, unix) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-22T11:59:59Z", 1_795_348_799),
            ("2026-11-22 11:59", 1_795_348_740),
        ] {
            assert_eq!(parse_date(text), Ok(unix), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-1-32",
            "1969-12-31",
            "2026-11-22T24:00",
            "22.11.2026",
            "-1-1-1",
        ] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_790_000_000_123), "2026-09-21T14:13:20.123Z");
        assert_eq!(parse_rfc3339("2026-09-21T16:13:20.123+02:00"), Some(1_790_000_000_123));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(parse_rfc3339("tomorrow"), None);
        assert_eq!(rfc3339(u64::MAX), "");
        assert_eq!(utc(u64::MAX).year(), 9999);
    }

    #[test]
    fn durations_print_in_their_own_unit() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (2050, "2.1s"),
            (2040, "2s"),
            (125_000, "2m 5s"),
            (5_400_000, "1h 30m"),
        ] {
            assert_eq!(Millis(ms).to_string(), text);
        }
    }
}
