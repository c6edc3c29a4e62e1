//! Figures from elsewhere: which of them to ask for, and what their answers mean for the rollout. Not durable: after a
//! restart they are asked for again.
//!
//! No answer is no reason to go back and none to go on: it holds the step, and nothing else.

use serde::Serialize;

use crate::guard::outside_metric::{FigureLevel, FigureRecord, MeasuredFigures};
use crate::guard::trigger::TriggerAction;
use crate::rollout::figure_history::{BadFigure, WantedFigure, judged};
use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component};
use crate::rollout::metric_request::MetricRequest;
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, Effect};
use crate::time::Millis;

impl ServiceUpdate<'_> {
    /// At a tick: the questions whose time has come, while there is something to judge.
    pub(super) fn order_figures(&mut self) -> Vec<Effect> {
        let ServiceState { durable, policy, figures, .. } = &mut *self.state;
        if !durable.is_judged() {
            return Vec::new();
        }
        let sequence = &mut *self.sequence;
        let number = || sequence.next_question();
        let due = figures.due(&policy.metrics, durable, self.now, number).into_iter().map(|(metric, number)| {
            Effect::Measure(MetricRequest {
                service: self.name.to_owned(),
                metric: metric.name.clone(),
                number,
                candidate: durable.subject(),
                compares: metric.compares(),
                versions: durable.versions.clone(),
            })
        });
        due.collect()
    }

    /// The answer to a question.
    pub(super) fn measured(&mut self, number: u64, answer: Result<MeasuredFigures, String>) -> Vec<Effect> {
        let ServiceState { durable, policy, figures, .. } = &mut *self.state;
        let fired = figures.answered(&policy.metrics, number, answer).filter(|_| durable.is_judged());
        let Some(BadFigure { metric, seen, is_news }) = fired else { return Vec::new() };
        let (side, action) = (durable.subject(), metric.action);
        let why = metric.sentence(&seen, side.other().name(), side.name());
        let note = |kind| ChangeNote {
            figure: Some(FigureRecord { metric, seen }),
            ..ChangeNote::by(Component::Guard, kind, why)
        };
        match action {
            // Again with every bad answer: the ground of one that is held still stands.
            TriggerAction::Rollback => self.roll_back_safely(note(ChangeKind::Rollback), RollbackGround::Figure),
            TriggerAction::Pause if is_news => self.pause_or_tell(AnnouncementLevel::Critical, note(ChangeKind::Pause)),
            TriggerAction::Warn if is_news => self.pause_or_tell(AnnouncementLevel::Warning, note(ChangeKind::Warning)),
            TriggerAction::Pause | TriggerAction::Warn => Vec::new(),
        }
    }
}

/// What is shown of a metric from elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct FigureView {
    pub name: String,
    /// The environment on trial's; 1 and 0 for pass and fail.
    pub value: Option<f64>,
    /// The other environment's, if the two are compared.
    pub active: Option<f64>,
    /// One of `good`, `bad` and `no_data`.
    pub verdict: &'static str,
    /// How long ago it was asked for.
    pub age_ms: Option<Millis>,
    /// What was seen, or why there is nothing, in words.
    pub why: String,
}

impl ServiceState {
    /// The metrics that have no good answer at this step.
    pub(super) fn figures_wanted(&self, now: Millis) -> Option<WaitReason> {
        let (metrics, side) = (&self.policy.metrics, self.durable.subject());
        let wanting = self.figures.wanting(metrics, &self.durable, now);
        let words = wanting.iter().map(|(metric, because)| match because {
            WantedFigure::Missing(why) => format!("no figure yet of `{}`: {why}", metric.name),
            WantedFigure::Bad(seen) => metric.sentence(seen, side.other().name(), side.name()),
        });
        let because = words.collect::<Vec<_>>().join("; ");
        let names: Vec<String> = wanting.iter().map(|(metric, _)| metric.name.clone()).collect();
        (!names.is_empty()).then_some(WaitReason::Metric { names, because })
    }

    /// What is shown of every metric.
    pub(super) fn figure_views(&self, now: Millis) -> Vec<FigureView> {
        let side = self.durable.subject();
        let views = self.figures.last(&self.policy.metrics, now).map(|(metric, last)| {
            let name = metric.name.clone();
            let Some((age, answer)) = last else {
                let why = "not asked yet".to_owned();
                return FigureView { name, value: None, active: None, verdict: "no_data", age_ms: None, why };
            };
            let figures = answer.as_ref().ok();
            let (verdict, why) = match judged(metric, answer) {
                Ok((FigureLevel::Good, seen)) => ("good", metric.sentence(&seen, side.other().name(), side.name())),
                Ok((FigureLevel::Bad(_), seen)) => ("bad", metric.sentence(&seen, side.other().name(), side.name())),
                Err(why) => ("no_data", why),
            };
            FigureView {
                name,
                value: figures.map(|seen| seen.candidate.number()),
                active: figures.and_then(|seen| seen.active).map(|active| active.number()),
                verdict,
                age_ms: Some(age),
                why,
            }
        });
        views.collect()
    }
}
