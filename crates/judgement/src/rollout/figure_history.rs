//! What is known of the metrics of one service, and when to ask again.

use crate::guard::outside_metric::{FigureLevel, MeasuredFigures, OutsideMetric};
use crate::guard::trigger::TriggerAction;
use crate::rollout::durable_state::DurableState;
use crate::time::Millis;

/// The most questions of a service at once.
const AT_ONCE: usize = 4;
/// An answer that is so much late will not come.
const LOST: Millis = Millis::seconds(30);
/// A figure counts for so many intervals.
const FRESH: u64 = 3;

/// The answers of all metrics of a policy, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct OutsideFigures {
    place: StepOfPlan,
    of: Vec<FigureHistory>,
}

/// An answer, and how long ago it was asked for.
pub(super) type AgedAnswer<'f> = (Millis, &'f Result<MeasuredFigures, String>);

/// A step of a rollout: the rollout's number, when its plan began, and the step.
type StepOfPlan = (u32, u64, usize);

/// What is known of one metric.
#[derive(Clone, Debug, Default)]
pub(super) struct FigureHistory {
    /// The question whose answer is awaited, and its number.
    asked: Option<(u64, FigureQuestion)>,
    /// When to ask next; `None` for at once.
    next: Option<Millis>,
    last: Option<(FigureQuestion, Result<MeasuredFigures, String>)>,
    /// When the first bad one was asked for, since the last good one.
    bad_since: Option<Millis>,
    /// What it does where it is bad has been done, and it has not been good since.
    told: bool,
}

#[derive(Clone, Copy, Debug)]
struct FigureQuestion {
    at: Millis,
    place: StepOfPlan,
}

/// An answer that calls for the metric's action.
#[derive(Clone, Debug)]
pub(super) struct BadFigure {
    pub metric: OutsideMetric,
    pub seen: MeasuredFigures,
    /// It did not when it was asked for before.
    pub is_news: bool,
}

impl OutsideFigures {
    /// The metrics to ask for now. Another rollout begins with nothing, and every step asks at once.
    pub fn due<'m>(
        &mut self,
        metrics: &'m [OutsideMetric],
        durable: &DurableState,
        now: Millis,
        mut number: impl FnMut() -> u64,
    ) -> Vec<(&'m OutsideMetric, u64)> {
        let place = place_of(durable);
        if (place.0, place.1) != (self.place.0, self.place.1) {
            self.of.clear();
        }
        self.of.resize_with(metrics.len(), FigureHistory::default);
        if place != self.place {
            self.of.iter_mut().for_each(|history| history.next = None);
        }
        self.place = place;
        for (metric, history) in metrics.iter().zip(&mut self.of) {
            history.asked.take_if(|(_, asked)| now.since(asked.at) > metric.timeout.plus(LOST));
        }
        let room = AT_ONCE.saturating_sub(self.of.iter().filter(|history| history.asked.is_some()).count());
        let due = metrics.iter().zip(&mut self.of).filter(|(_, history)| history.is_due(now));
        let asked = due.take(room).map(|(metric, history)| {
            let number = number();
            history.asked = Some((number, FigureQuestion { at: now, place }));
            history.next = Some(now.plus(metric.every));
            (metric, number)
        });
        asked.collect()
    }

    /// Takes in the answer to a question, unless it is not awaited any more; returns whether it calls for an action.
    pub fn answered(
        &mut self,
        metrics: &[OutsideMetric],
        number: u64,
        answer: Result<MeasuredFigures, String>,
    ) -> Option<BadFigure> {
        let is_awaited = |history: &FigureHistory| history.asked.is_some_and(|(own, _)| own == number);
        let (metric, history) = metrics.iter().zip(&mut self.of).find(|(_, history)| is_awaited(history))?;
        let (_, asked) = history.asked.take()?;
        let level = judged(metric, &answer);
        history.last = Some((asked, answer.clone()));
        match level {
            // It says nothing: what was bad is neither better nor worse.
            Err(_) => None,
            Ok((FigureLevel::Good, _)) => {
                (history.bad_since, history.told) = (None, false);
                None
            }
            Ok((FigureLevel::Bad(_), seen)) => {
                let since = *history.bad_since.get_or_insert(asked.at);
                let acts = asked.at.since(since) >= metric.hold;
                acts.then(|| BadFigure {
                    metric: metric.clone(),
                    seen,
                    is_news: !std::mem::replace(&mut history.told, true),
                })
            }
        }
    }

    /// The metrics that keep the rollout on its step, and why.
    pub fn wanting<'m>(
        &self,
        metrics: &'m [OutsideMetric],
        durable: &DurableState,
        now: Millis,
    ) -> Vec<(&'m OutsideMetric, WantedFigure)> {
        let place = place_of(durable);
        let none = FigureHistory::default();
        let all = metrics.iter().enumerate().map(|(at, metric)| (metric, self.of.get(at).unwrap_or(&none)));
        all.filter_map(|(metric, history)| Some((metric, history.wanting(metric, place, now)?))).collect()
    }

    /// Whether a metric is bad whose action is a rollback.
    pub fn call_for_rollback(&self, metrics: &[OutsideMetric]) -> bool {
        let mut pairs = metrics.iter().zip(&self.of);
        pairs.any(|(metric, history)| metric.action == TriggerAction::Rollback && history.bad_since.is_some())
    }

    /// The last answer of each metric, with its age.
    pub fn last<'f>(
        &'f self,
        metrics: &'f [OutsideMetric],
        now: Millis,
    ) -> impl Iterator<Item = (&'f OutsideMetric, Option<AgedAnswer<'f>>)> {
        let last = move |at: usize| {
            let (asked, answer) = self.of.get(at)?.last.as_ref()?;
            Some((now.since(asked.at), answer))
        };
        metrics.iter().enumerate().map(move |(at, metric)| (metric, last(at)))
    }
}

fn place_of(durable: &DurableState) -> StepOfPlan {
    let (began, step) = durable.release.as_ref().map_or((0, 0), |release| (release.at, release.step));
    (durable.rollout, began, step)
}

/// Why a metric keeps a rollout on its step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WantedFigure {
    /// There is none, for this reason.
    Missing(String),
    /// It is bad.
    Bad(MeasuredFigures),
}

/// What an answer means, with its figures.
///
/// # Errors
/// Why it is none.
pub(super) fn judged(
    metric: &OutsideMetric,
    answer: &Result<MeasuredFigures, String>,
) -> Result<(FigureLevel, MeasuredFigures), String> {
    let seen = answer.clone()?;
    Ok((metric.judge(&seen)?, seen))
}

impl FigureHistory {
    fn is_due(&self, now: Millis) -> bool {
        self.asked.is_none() && self.next.is_none_or(|next| now >= next)
    }

    fn wanting(&self, metric: &OutsideMetric, place: StepOfPlan, now: Millis) -> Option<WantedFigure> {
        let missing = |why: String| Some(WantedFigure::Missing(why));
        let Some((asked, answer)) = self.last.as_ref().filter(|(asked, _)| asked.place == place) else {
            return missing("it was not answered yet at this step".to_owned());
        };
        let age = now.since(asked.at);
        match judged(metric, answer) {
            Err(why) => missing(why),
            Ok(_) if age > Millis(FRESH * metric.every.0) => missing(format!("the last one is {age} old")),
            // People are told of it, and that is all that they wanted.
            Ok((FigureLevel::Bad(_), seen)) if metric.action != TriggerAction::Warn => Some(WantedFigure::Bad(seen)),
            Ok(_) => None,
        }
    }
}
