//! Sizes: "64KiB", "10MiB", "1GiB", "6MB", or plain bytes.

use crate::file::{At, Size};
use crate::read::SourceFile;

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

/// Bytes, or the default; `"unlimited"` is `u64::MAX`. Problems are noted.
pub fn size(source: &mut SourceFile, typed: Option<&At<Size>>, default: u64) -> u64 {
    let Some(At { value, span }) = typed else { return default };
    let parsed = match value {
        Size::Text(text) if text == "unlimited" => Ok(u64::MAX),
        Size::Text(text) => parse(text),
        Size::Bytes(bytes) => u64::try_from(*bytes).map_err(|_| format!("{bytes} is not a size")),
    };
    parsed.unwrap_or_else(|why| {
        let hint = "write \"10MiB\", \"64KiB\", \"6MB\", a number of bytes, or \"unlimited\"".to_owned();
        source.problem(span.clone(), why, Some(hint));
        default
    })
}

/// A whole number and a unit, with or without a space between them.
fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let unit = unit.trim_start();
    if digits.is_empty() {
        return Err(format!("`{text}` is not a size: it does not begin with a whole number"));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let close = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| *name);
        let meant = close.map_or(String::new(), |name| format!("; did you mean `{digits}{name}`?"));
        return Err(format!("`{unit}` is not a unit of size{meant}"));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    // The largest number means "unlimited".
    bytes.filter(|bytes| *bytes < u64::MAX).ok_or_else(|| format!("`{text}` is too large"))
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
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "10mib", "10Mb", "10 M iB", "99999999999GiB", "18446744073709551615"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("10mib").unwrap_err().ends_with("did you mean `10MiB`?"));
    }
}
