//! Time as a value: [`Millis`], and durations the way people write them.
//!
//! Nothing here reads a clock. The pure rooms get `now` as an argument, so a month of rollouts runs in a second of test
//! time and a journal entry replays to the same verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds, as a point on the monotonic clock (since the process started) or as a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    pub const ZERO: Millis = Millis(0);

    pub const fn seconds(seconds: u64) -> Millis {
        Millis(seconds.saturating_mul(1000))
    }

    /// The length from `earlier` to here; zero where `earlier` is later.
    pub const fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    pub const fn plus(self, length: Millis) -> Millis {
        Millis(self.0.saturating_add(length.0))
    }

    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Reads `"250ms"`, `"30s"`, `"2m"`, `"1h30m"`, `"7d"`: whole numbers with a unit, largest unit first or not.
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
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| wrong("a whole number comes before the unit"))?;
            let factor = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "" => return Err(wrong("the unit is missing (ms, s, m, h or d)")),
                _ => return Err(wrong("the unit is one of ms, s, m, h, d")),
            };
            total = number
                .checked_mul(factor)
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= 3660 * 86_400_000)
                .ok_or_else(|| wrong("it is longer than ten years"))?;
            rest = tail.trim_start();
        }
        Ok(Millis(total))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        match ms {
            0 => f.write_str("0s"),
            _ if ms < 1000 => write!(f, "{ms}ms"),
            _ if ms < 10_000 && !ms.is_multiple_of(1000) => write!(f, "{}.{}s", ms / 1000, ms % 1000 / 100),
            _ if ms < 60_000 => write!(f, "{}s", ms / 1000),
            _ if ms < 3_600_000 => {
                write!(f, "{}m", ms / 60_000)?;
                if ms % 60_000 >= 1000 { write!(f, "{}s", ms % 60_000 / 1000) } else { Ok(()) }
            }
            _ => {
                write!(f, "{}h", ms / 3_600_000)?;
                if ms % 3_600_000 >= 60_000 { write!(f, "{}m", ms % 3_600_000 / 60_000) } else { Ok(()) }
            }
        }
    }
}

/// A moment as the calendar of UTC has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: u64,
    /// From 1.
    pub month: u64,
    /// From 1.
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
}

impl Civil {
    /// The moment so many seconds after 1970 began.
    ///
    /// Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    pub const fn of_unix(seconds: u64) -> Civil {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let z = days + 719_468;
        let (era, of_era) = (z / 146_097, z % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Civil {
            year: year_of_era + era * 400 + (month <= 2) as u64,
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// Seconds since 1970 of `"2026-11-20"` or `"2026-11-20T14:30"`, in UTC, with seconds and a `Z` or without.
    ///
    /// # Errors
    /// What is wrong with the text, as a sentence for the user.
    pub fn parse(text: &str) -> Result<u64, String> {
        let wrong = || format!("`{text}` is not a date: it is written 2026-11-20, or 2026-11-20T14:30 in UTC");
        let trimmed = text.trim();
        let (date, time) = trimmed.split_once(['T', ' ']).unwrap_or((trimmed, "00:00"));
        let numbers = |text: &str, split: char| -> Option<Vec<u64>> {
            let read = |part: &str| {
                let plain = part.len() <= 4 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| part.parse().ok()).flatten()
            };
            text.split(split).map(read).collect()
        };
        let date = numbers(date, '-').ok_or_else(wrong)?;
        let time = numbers(time.strip_suffix('Z').unwrap_or(time), ':').ok_or_else(wrong)?;
        let &[year, month, day] = date.as_slice() else { return Err(wrong()) };
        let (hour, minute, second) = match *time.as_slice() {
            [hour, minute] => (hour, minute, 0),
            [hour, minute, second] => (hour, minute, second),
            _ => return Err(wrong()),
        };
        let civil = Civil { year, month, day, hour, minute, second };
        // Hinnant's days_from_civil; what it makes of the 31st of April is another day.
        let shifted = (month + 9) % 12;
        let y = year.checked_sub(u64::from(month <= 2)).ok_or_else(wrong)?;
        let days = (y / 400 * 146_097 + y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + (153 * shifted + 2) / 5 + day)
            .checked_sub(719_469)
            .ok_or_else(wrong)?;
        let unix = days * 86_400 + hour * 3600 + minute * 60 + second;
        if Civil::of_unix(unix) == civil { Ok(unix) } else { Err(wrong()) }
    }
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
    fn dates_read_as_they_are_written_and_come_back() {
        for (text, unix) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-22T11:59:59Z", 1_795_348_799),
            ("2026-11-22 11:59", 1_795_348_740),
        ] {
            assert_eq!(Civil::parse(text), Ok(unix), "{text}");
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
            assert!(Civil::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_in_their_own_unit() {
        for (ms, text) in
            [(0, "0s"), (250, "250ms"), (1500, "1.5s"), (30_000, "30s"), (125_000, "2m5s"), (5_400_000, "1h30m")]
        {
            assert_eq!(Millis(ms).to_string(), text);
        }
    }
}
