//! Freezes that come again every week or every day, by the clock on people's wall.

use std::sync::OnceLock;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, Zoned};

/// A window such as `Fri 16:00–Mon 08:00 Europe/Berlin`, or `22:00–06:00` for every day. Without a zone it is UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct FreezeWindow {
    text: String,
    from: WindowEdge,
    until: WindowEdge,
    zone: TimeZone,
}

/// A time of day, of one day of the week or of every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowEdge {
    day: Option<Weekday>,
    time: Time,
}

/// How a window is written.
pub const EXAMPLE: &str = "write \"Fri 16:00–Mon 08:00 Europe/Berlin\", or \"22:00–06:00 UTC\" for every day";

impl FreezeWindow {
    /// Reads a window as people write it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<FreezeWindow, String> {
        let (from, rest) = text.split_once(['–', '-']).ok_or_else(|| "it has no end".to_owned())?;
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        let zone = match words.last() {
            Some(last) if last.starts_with(char::is_alphabetic) && words.len() > 1 => {
                let name = words.pop().unwrap_or_default();
                zones().get(name).map_err(|_| format!("there is no time zone `{name}`"))?
            }
            _ => TimeZone::UTC,
        };
        let (from, until) = (edge(from)?, edge(&words.join(" "))?);
        if from.day.is_some() != until.day.is_some() {
            return Err("name a day at both ends, or at neither".to_owned());
        }
        if from == until {
            return Err("it ends when it begins".to_owned());
        }
        Ok(FreezeWindow { text: text.trim().to_owned(), from, until, zone })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When the window ends that is open at a time of day, both in milliseconds since 1970; `None` if none is open.
    pub fn open_until(&self, wall: u64) -> Option<u64> {
        let now = Timestamp::from_millisecond(i64::try_from(wall).ok()?).ok()?.to_zoned(self.zone.clone());
        let (began, ends) = (self.from.last_before(&now)?, self.until.next_after(&now)?);
        // It is open if it has not ended since it began.
        let ended = self.until.last_before(&now)?;
        (ended < began).then(|| u64::try_from(ends.timestamp().as_millisecond()).unwrap_or(wall))
    }
}

impl WindowEdge {
    /// The last time at or before `now`.
    fn last_before(self, now: &Zoned) -> Option<Zoned> {
        (0..=7).find_map(|days| self.on(&now.checked_sub(days.days()).ok()?).filter(|at| at <= now))
    }

    /// The first time after `now`.
    fn next_after(self, now: &Zoned) -> Option<Zoned> {
        (0..=7).find_map(|days| self.on(&now.checked_add(days.days()).ok()?).filter(|at| at > now))
    }

    /// On the day of `at`, if it is that day's.
    fn on(self, at: &Zoned) -> Option<Zoned> {
        let is_day = self.day.is_none_or(|day| day == at.weekday());
        is_day.then(|| at.date().to_datetime(self.time).to_zoned(at.time_zone().clone()).ok()).flatten()
    }
}

fn edge(text: &str) -> Result<WindowEdge, String> {
    let wrong = || format!("`{}` is no time of a day", text.trim());
    let mut words = text.split_whitespace().rev();
    let (time, day) = (words.next().ok_or_else(wrong)?, words.next());
    if words.next().is_some() {
        return Err(wrong());
    }
    let (hour, minute) = time.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| digits.parse::<i8>().ok().filter(|_| digits.len() == 2);
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    let time = Time::new(hour, minute, 0, 0).map_err(|_| wrong())?;
    let day = day.map(|name| weekday(name).ok_or_else(|| format!("`{name}` is no day of the week")));
    Ok(WindowEdge { day: day.transpose()?, time })
}

fn weekday(name: &str) -> Option<Weekday> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let name = name.to_ascii_lowercase();
    let at = days.iter().position(|day| name.len() >= 3 && day.starts_with(&name))?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

/// The zones that are compiled in: what a window means does not depend on the host.
fn zones() -> &'static TimeZoneDatabase {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339;

    fn until(text: &str, at: &str) -> Option<u64> {
        FreezeWindow::parse(text).unwrap().open_until(parse_rfc3339(at).unwrap())
    }

    #[test]
    fn a_weekend_is_frozen_by_the_clock_of_its_place() {
        let weekend = "Fri 16:00–Mon 08:00 Europe/Berlin";
        // In November Berlin is an hour ahead.
        assert_eq!(until(weekend, "2026-11-27T14:59:00Z"), None);
        assert_eq!(until(weekend, "2026-11-27T15:00:00Z"), parse_rfc3339("2026-11-30T07:00:00Z"));
        assert_eq!(until(weekend, "2026-11-30T06:59:00Z"), parse_rfc3339("2026-11-30T07:00:00Z"));
        assert_eq!(until(weekend, "2026-11-30T07:00:00Z"), None);
        assert_eq!(until(weekend, "2026-12-02T12:00:00Z"), None);
        // In July two hours, and the clocks change in the night to Sunday.
        assert!(until(weekend, "2026-07-03T14:00:00Z").is_some() && until(weekend, "2026-07-03T13:59:00Z").is_none());
        assert_eq!(until(weekend, "2026-10-23T14:00:00Z"), parse_rfc3339("2026-10-26T07:00:00Z"));
    }

    #[test]
    fn nights_and_short_windows_are_frozen_every_day_or_week() {
        assert_eq!(until("22:00-06:00", "2026-11-27T23:00:00Z"), parse_rfc3339("2026-11-28T06:00:00Z"));
        assert_eq!(until("22:00 - 06:00 UTC", "2026-11-28T05:59:00Z"), parse_rfc3339("2026-11-28T06:00:00Z"));
        assert_eq!(until("22:00-06:00", "2026-11-28T12:00:00Z"), None);
        assert_eq!(until("Tuesday 12:00-tue 13:00", "2026-12-01T12:30:00Z"), parse_rfc3339("2026-12-01T13:00:00Z"));
        assert_eq!(until("Tue 12:00-Tue 13:00", "2026-12-02T12:30:00Z"), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("Fri 16:00", "no end"),
            ("Fri 16:00-Mon 08:00 Europe/Paris2", "no time zone `Europe/Paris2`"),
            ("Fry 16:00-Mon 08:00", "`Fry` is no day"),
            ("Fri 16:00-08:00", "both ends"),
            ("Fri 25:00-Mon 08:00", "`Fri 25:00` is no time"),
            ("Fri 16:00-Fri 16:00", "ends when it begins"),
            ("Fri 4pm-Mon 8am", "is no time"),
        ] {
            let why = FreezeWindow::parse(text).unwrap_err();
            assert!(why.contains(named), "{text}: {why}");
        }
    }
}
