//! By how much the values of a column may differ and still agree.

use crate::consistency::values::{ColumnType, moment};
use config::suite::{ColumnTolerance, DataTolerance};

/// What is allowed in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AllowedDifference {
    #[default]
    None,
    /// Of numbers, relative to the larger one.
    Relative(f64),
    /// Between two numbers.
    Number(f64),
    /// Between two times.
    Seconds(f64),
}

/// The rounding of the difference of two doubles: 1.01 and 1 differ by 0.01.
const ROUNDING: f64 = 1e-9;

impl AllowedDifference {
    /// What a suite allows in a column of these types.
    ///
    /// # Errors
    /// Words for people: it allows a difference that such values do not have.
    pub fn of(
        tolerance: &DataTolerance,
        name: &str,
        blue: &ColumnType,
        green: &ColumnType,
    ) -> Result<AllowedDifference, String> {
        let all = |is: fn(&ColumnType) -> bool| is(blue) && is(green);
        let numbers = all(|class| class.is_number() || *class == ColumnType::Any);
        let times = all(|class| class.is_time() || *class == ColumnType::Any);
        let Some(wanted) = tolerance.of_column(name) else {
            let relative = numbers && tolerance.relative > 0.0;
            return Ok(if relative {
                AllowedDifference::Relative(tolerance.relative)
            } else {
                AllowedDifference::None
            });
        };
        match wanted {
            ColumnTolerance::Number(number) if numbers => Ok(AllowedDifference::Number(number)),
            ColumnTolerance::Number(seconds) if times => Ok(AllowedDifference::Seconds(seconds)),
            ColumnTolerance::Time(length) if times => Ok(AllowedDifference::Seconds(length.0 as f64 / 1000.0)),
            ColumnTolerance::Time(_) if numbers => {
                Err(format!("`tolerance` of `{name}` is a duration, and the column holds numbers: write a number"))
            }
            _ => Err(format!(
                "`{name}` has a tolerance, and holds neither numbers nor times: remove it from `tolerance`"
            )),
        }
    }

    /// Whether two canonical values agree.
    pub fn agree(self, blue: Option<&str>, green: Option<&str>) -> bool {
        if blue == green {
            return true;
        }
        let (Some(blue), Some(green)) = (blue, green) else { return false };
        let numbers = || {
            let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
            Some((number(blue)?, number(green)?))
        };
        match self {
            AllowedDifference::None => false,
            AllowedDifference::Relative(part) => {
                numbers().is_some_and(|(a, b)| part > 0.0 && (a - b).abs() <= part * a.abs().max(b.abs()))
            }
            AllowedDifference::Number(most) => {
                let rounding = |a: f64, b: f64| ROUNDING * most + f64::EPSILON * a.abs().max(b.abs());
                numbers().is_some_and(|(a, b)| (a - b).abs() <= most + rounding(a, b))
            }
            AllowedDifference::Seconds(most) => match (moment(blue), moment(green)) {
                (Some(a), Some(b)) => (a - b).unsigned_abs() as f64 <= most * 1e9 + 0.5,
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::time::Millis;

    #[test]
    fn values_agree_within_what_is_allowed() {
        use AllowedDifference as A;
        for (allowed, blue, green, agree) in [
            (A::None, "1", "1", true),
            (A::None, "1", "2", false),
            (A::Relative(0.01), "100", "101", true),
            (A::Relative(0.01), "100", "102", false),
            (A::Number(0.01), "1", "1.01", true),
            (A::Number(0.01), "10000000.00", "10000000.01", true),
            (A::Number(0.01), "1", "1.0101", false),
            (A::Number(0.01), "a", "b", false),
            (A::Seconds(2.0), "2026-11-22 10:00:00", "2026-11-22 10:00:02", true),
            (A::Seconds(2.0), "2026-11-22 10:00:00", "2026-11-22 10:00:02.001", false),
            (A::Seconds(2.0), "2026-11-22 09:59:59+00", "2026-11-22 11:00:00+01", true),
            (A::Seconds(86_400.0), "2026-11-22", "2026-11-23", true),
            (A::Seconds(2.0), "10:00:00", "10:00:01.5", true),
            (A::Seconds(2.0), "infinity", "10:00:01.5", false),
        ] {
            assert_eq!(allowed.agree(Some(blue), Some(green)), agree, "{allowed:?} {blue} {green}");
            assert_eq!(allowed.agree(Some(green), Some(blue)), agree, "{allowed:?} {green} {blue}");
        }
        assert!(A::Number(1.0).agree(None, None) && !A::Number(1.0).agree(None, Some("0")));
    }

    #[test]
    fn a_tolerance_fits_its_column() {
        let columns = vec![
            ("price".to_owned(), ColumnTolerance::Number(0.01)),
            ("at".to_owned(), ColumnTolerance::Time(Millis(2_000))),
            ("seen".to_owned(), ColumnTolerance::Number(1.5)),
        ];
        let tolerance = DataTolerance { relative: 0.0, columns };
        let of = |name: &str, class: ColumnType| AllowedDifference::of(&tolerance, name, &class, &class);
        let stamp = ColumnType::Stamp { zone: true, digits: None };
        assert_eq!(of("price", ColumnType::Double), Ok(AllowedDifference::Number(0.01)));
        assert_eq!(of("PRICE", ColumnType::Integer), Ok(AllowedDifference::Number(0.01)));
        assert_eq!(of("at", stamp.clone()), Ok(AllowedDifference::Seconds(2.0)));
        assert_eq!(of("seen", stamp), Ok(AllowedDifference::Seconds(1.5)));
        assert_eq!(of("other", ColumnType::Text), Ok(AllowedDifference::None));
        let why = "`tolerance` of `at` is a duration, and the column holds numbers: write a number";
        assert_eq!(of("at", ColumnType::Integer).unwrap_err(), why);
        let why = "`price` has a tolerance, and holds neither numbers nor times: remove it from `tolerance`";
        assert_eq!(of("price", ColumnType::Text).unwrap_err(), why);
    }
}
