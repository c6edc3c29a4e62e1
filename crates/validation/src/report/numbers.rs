//! Numbers as people read them: 1,234; 12.3ms; 99.95 %.

pub use judgement::guard::evidence::grouped as count;
use judgement::time::utc;

/// `1 part`, `2 parts`, `1 pass`, `2 passes`.
pub fn of(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// A number with about three figures, without redundant zeros: `0.42`, `3.5`, `12.3`, `1,234`.
pub fn figure(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    let places = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.01 => 2,
        size if size > 0.0 => 4,
        _ => 0,
    };
    let text = format!("{number:.places$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let whole = digits.parse().map_or_else(|_| digits.to_owned(), count);
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

/// `0.42ms`, `12.3ms`, `1,234ms`, and from ten seconds on `12.3s`, then minutes.
pub fn ms(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => "–".to_owned(),
        ms if ms >= 9_999.5 => length(ms as u64),
        ms => format!("{}ms", figure(ms)),
    }
}

/// `340ms`, `2.1s`, `2m 14s`, `1h 5m`.
pub fn length(ms: u64) -> String {
    let seconds = ms.saturating_add(500) / 1000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..59_950 => format!("{}s", figure((ms as f64 / 100.0).round() / 10.0)),
        _ if seconds < 3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        _ => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
    }
}

fn two(large: u64, unit: &str, small: u64, smaller: &str) -> String {
    if small == 0 { format!("{}{unit}", count(large)) } else { format!("{}{unit} {small}{smaller}", count(large)) }
}

/// `99.95 %`. What is not quite 0 or 100 never reads as 0 or 100.
pub fn percent(percent: f64) -> String {
    match percent {
        p if p > 0.0 && p < 0.01 => "< 0.01 %".to_owned(),
        p if p > 99.99 && p < 100.0 => "> 99.99 %".to_owned(),
        p => {
            let text = format!("{p:.2}");
            let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            format!("{text} %")
        }
    }
}

/// `1,234 /s`.
pub fn rate(rate: f64) -> String {
    format!("{} /s", figure(rate))
}

/// `1.5 cores`.
pub fn cores(cores: f64) -> String {
    match figure(cores) {
        text if cores.is_nan() => text,
        text if text == "1" => "1 core".to_owned(),
        text => format!("{text} cores"),
    }
}

/// `512 B`, `1.5 KiB`, `12.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    let size = bytes as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", figure(size / 1_024.0)),
        1_048_576..1_073_741_824 => format!("{} MiB", figure(size / 1_048_576.0)),
        _ => format!("{} GiB", figure(size / 1_073_741_824.0)),
    }
}

/// `6 July 2026, 14:03:12 UTC`.
pub fn date(at_ms: u64) -> String {
    let (at, (hour, minute, second)) = (utc(at_ms), utc(at_ms).as_hms());
    format!("{} {} {}, {hour:02}:{minute:02}:{second:02} UTC", at.day(), at.month(), at.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands() {
        let texts = [0, 12, 999, 1_000, 1_234_567].map(count);
        assert_eq!(texts, ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([of(1, "part", "parts"), of(0, "part", "parts")], ["1 part", "0 parts"]);
    }

    #[test]
    fn latencies_have_three_figures() {
        let texts = [0.0, 0.004, 0.42, 3.456, 9.999, 12.34, 99.96, 123.4, 1_234.5, 12_345.0, 83_000.0].map(ms);
        let wanted =
            ["0ms", "0.004ms", "0.42ms", "3.46ms", "10ms", "12.3ms", "100ms", "123ms", "1,234ms", "12.3s", "1m 23s"];
        assert_eq!(texts, wanted);
        assert_eq!([f64::NAN, f64::INFINITY].map(ms), ["–", "–"]);
    }

    #[test]
    fn lengths_are_said_in_two_units_at_the_most() {
        let texts = [0, 340, 1_000, 2_140, 59_949, 59_990, 134_000, 3_600_000, 3_900_000, 90_000_000].map(length);
        let wanted = ["0ms", "340ms", "1s", "2.1s", "59.9s", "1m", "2m 14s", "1h", "1h 5m", "25h"];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn nearly_all_is_not_all() {
        let texts = [0.0, 0.001, 0.1, 2.5, 33.333, 99.95, 99.9999, 100.0].map(percent);
        assert_eq!(texts, ["0 %", "< 0.01 %", "0.1 %", "2.5 %", "33.33 %", "99.95 %", "> 99.99 %", "100 %"]);
    }

    #[test]
    fn sizes_rates_and_dates() {
        assert_eq!([512, 1_536, 12_900_000].map(bytes), ["512 B", "1.5 KiB", "12.3 MiB"]);
        assert_eq!([0.0, 0.5, 1_234.4].map(rate), ["0 /s", "0.5 /s", "1,234 /s"]);
        assert_eq!(date(1_783_346_592_000), "6 July 2026, 14:03:12 UTC");
    }
}
