//! Figures from elsewhere: what another system says of the candidate, such as a query to Prometheus, and when that is bad.
//!
//! Other systems lag, restart and lose data. So a figure that is not there is never bad and never good.

use serde::{Deserialize, Serialize};

use crate::guard::trigger::TriggerAction;
use crate::time::Millis;

/// A figure that is asked for on an interval, and what it must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideMetric {
    pub name: String,
    pub test: FigureTest,
    /// Time from one question to the next.
    pub every: Millis,
    /// How long the answer may take.
    pub timeout: Millis,
    /// How long it must be bad, without a good answer between; zero for one answer.
    pub hold: Millis,
    pub action: TriggerAction,
}

/// When a figure is bad.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureTest {
    /// The answer itself is pass or fail.
    Pass,
    Above(f64),
    Below(f64),
    /// Beyond active's figure times `ratio`, plus `difference`.
    Compared {
        ratio: f64,
        difference: f64,
        is_bad_below: bool,
    },
}

/// What another system says of one environment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsideFigure {
    /// Finite.
    Number(f64),
    Pass(bool),
}

/// The answer to one question. `active` is asked for only if the metric compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredFigures {
    pub candidate: OutsideFigure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<OutsideFigure>,
}

/// What a figure means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FigureLevel {
    Good,
    /// With the limit that it is past; `None` for a fail.
    Bad(Option<f64>),
}

/// A metric and the answer that an entry is founded on: enough to judge again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureRecord {
    pub metric: OutsideMetric,
    pub seen: MeasuredFigures,
}

impl OutsideFigure {
    /// As a number: 1 for pass and 0 for fail.
    pub fn number(self) -> f64 {
        match self {
            OutsideFigure::Number(number) => number,
            OutsideFigure::Pass(passes) => f64::from(u8::from(passes)),
        }
    }
}

impl OutsideMetric {
    /// Whether active is asked for too.
    pub const fn compares(&self) -> bool {
        matches!(self.test, FigureTest::Compared { .. })
    }

    /// Whether the answer is bad.
    ///
    /// # Errors
    /// In words: the answer does not fit the test, which is no better than no answer.
    pub fn judge(&self, seen: &MeasuredFigures) -> Result<FigureLevel, &'static str> {
        use OutsideFigure::{Number, Pass};
        let past = |is_past: bool, limit: f64| if is_past { FigureLevel::Bad(Some(limit)) } else { FigureLevel::Good };
        match (self.test, seen.candidate, seen.active) {
            (FigureTest::Compared { ratio, difference, is_bad_below }, Number(own), Some(Number(active))) => {
                if ratio != 1.0 && active < 0.0 {
                    return Err("active's is below 0, and a ratio to that says nothing");
                }
                let limit = active * ratio + difference;
                Ok(past(if is_bad_below { own < limit } else { own > limit }, limit))
            }
            (FigureTest::Compared { .. }, ..) => Err("only numbers of both environments can be compared"),
            (_, Pass(passes), _) => Ok(if passes { FigureLevel::Good } else { FigureLevel::Bad(None) }),
            (FigureTest::Above(limit), Number(own), _) => Ok(past(own > limit, limit)),
            (FigureTest::Below(limit), Number(own), _) => Ok(past(own < limit, limit)),
            (FigureTest::Pass, Number(_), _) => {
                Err("it is a number, and the metric has no limit: write `above`, `below` or `compare`")
            }
        }
    }

    /// What was seen, and why it is good or bad, in words. `active` and `candidate`: the names of the environments.
    pub fn sentence(&self, seen: &MeasuredFigures, active: &str, candidate: &str) -> String {
        let name = &self.name;
        let limit = match self.judge(seen) {
            Ok(FigureLevel::Bad(limit)) => limit,
            Ok(FigureLevel::Good) => return format!("{name}: {candidate} {}", is(seen.candidate)),
            Err(why) => return format!("{name}: {candidate} {}: {why}", is(seen.candidate)),
        };
        let (Some(limit), OutsideFigure::Number(own)) = (limit, seen.candidate) else {
            return format!("{name}: {candidate} fails");
        };
        let own = format!("{name}: {candidate} is {}", figure(own));
        match (self.test, seen.active) {
            (FigureTest::Compared { ratio, difference, is_bad_below }, Some(OutsideFigure::Number(other))) => {
                let word = if is_bad_below { "below" } else { "above" };
                let times = if ratio == 1.0 { String::new() } else { format!("{} times ", figure(ratio)) };
                let sign = if difference < 0.0 { "minus" } else { "plus" };
                let more = match difference {
                    0.0 => String::new(),
                    difference => format!(" {sign} {}", figure(difference.abs())),
                };
                format!("{own}, {word} {}: {times}{active}'s {}{more}", figure(limit), figure(other))
            }
            (FigureTest::Below(_), _) => format!("{own}, below the limit of {}", figure(limit)),
            _ => format!("{own}, above the limit of {}", figure(limit)),
        }
    }
}

fn is(figure_of: OutsideFigure) -> String {
    match figure_of {
        OutsideFigure::Number(number) => format!("is {}", figure(number)),
        OutsideFigure::Pass(true) => "passes".to_owned(),
        OutsideFigure::Pass(false) => "fails".to_owned(),
    }
}

/// A number with six digits that mean something.
pub fn figure(number: f64) -> String {
    let size = number.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-6) {
        return format!("{number:.3e}");
    }
    let whole = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    let shown = format!("{number:.*}", 6_usize.saturating_sub(whole));
    match shown.split_once('.') {
        Some(_) => shown.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::OutsideFigure::{Number, Pass};
    use super::*;

    fn metric(test: FigureTest) -> OutsideMetric {
        OutsideMetric {
            name: "conversion".to_owned(),
            test,
            every: Millis::seconds(30),
            timeout: Millis::seconds(5),
            hold: Millis::ZERO,
            action: TriggerAction::Rollback,
        }
    }

    const fn compared(ratio: f64, difference: f64, is_bad_below: bool) -> FigureTest {
        FigureTest::Compared { ratio, difference, is_bad_below }
    }

    #[test]
    fn a_figure_is_bad_past_its_limit_and_the_sentence_has_the_numbers() {
        for (test, candidate, active, said) in [
            (FigureTest::Above(0.5), Number(0.5), None, "green is 0.5"),
            (FigureTest::Above(0.5), Number(0.51), None, "green is 0.51, above the limit of 0.5"),
            (FigureTest::Below(2.0), Number(1.25), None, "green is 1.25, below the limit of 2"),
            (FigureTest::Below(2.0), Number(2.0), None, "green is 2"),
            (FigureTest::Pass, Pass(true), None, "green passes"),
            (FigureTest::Pass, Pass(false), None, "green fails"),
            (FigureTest::Above(0.5), Pass(false), None, "green fails"),
            (compared(1.5, 0.0, false), Number(3.0), Some(Number(2.0)), "green is 3"),
            (compared(1.5, 0.0, false), Number(3.5), Some(Number(2.0)), "green is 3.5, above 3: 1.5 times blue's 2"),
            (
                compared(1.5, 0.01, false),
                Number(0.02),
                Some(Number(0.0)),
                "green is 0.02, above 0.01: 1.5 times blue's 0 plus 0.01",
            ),
            (
                compared(1.0, -0.01, true),
                Number(0.02),
                Some(Number(0.04)),
                "green is 0.02, below 0.03: blue's 0.04 minus 0.01",
            ),
            (compared(0.9, 0.0, true), Number(0.8), Some(Number(1.0)), "green is 0.8, below 0.9: 0.9 times blue's 1"),
        ] {
            let (metric, seen) = (metric(test), MeasuredFigures { candidate, active });
            assert_eq!(metric.sentence(&seen, "blue", "green"), format!("conversion: {said}"));
            let is_bad = said.contains(", ") || said.contains("fails");
            assert_eq!(metric.judge(&seen) != Ok(FigureLevel::Good), is_bad, "{said}");
        }
    }

    #[test]
    fn what_does_not_fit_the_test_is_neither_good_nor_bad() {
        for (test, candidate, active, why) in [
            (FigureTest::Pass, Number(1.0), None, "no limit"),
            (compared(1.5, 0.0, false), Pass(false), Some(Pass(true)), "only numbers"),
            (compared(1.5, 0.0, false), Number(1.0), None, "only numbers"),
            (compared(1.5, 0.0, false), Number(1.0), Some(Number(-1.0)), "below 0"),
        ] {
            let judged = metric(test).judge(&MeasuredFigures { candidate, active });
            assert!(judged.unwrap_err().contains(why), "{judged:?}");
        }
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        for (number, shown) in [
            (0.0, "0"),
            (-0.25, "-0.25"),
            (1.0 / 3.0, "0.333333"),
            (1234.5678, "1234.57"),
            (1_234_567.8, "1234568"),
            (1e-9, "1.000e-9"),
            (1e300, "1.000e300"),
            (100.0, "100"),
        ] {
            assert_eq!(figure(number), shown);
        }
    }
}
