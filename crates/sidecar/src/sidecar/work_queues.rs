//! Work that the sidecar hands to others and never waits for: preflights of candidates, suites, and questions to others.

use tokio::sync::mpsc;

use crate::Sidecar;
use judgement::rollout::gates::GateRequest;
use judgement::rollout::{Event, MetricRequest, PreflightRequest, ProbeRequest, SuiteRun, SuiteRunError};
use judgement::time::Millis;

/// Where the work goes; `None` if nothing in this process can do it.
#[derive(Debug, Default)]
pub(super) struct WorkQueues {
    preflights: Option<mpsc::Sender<PreflightRequest>>,
    validations: Option<mpsc::Sender<SuiteRun>>,
    probes: Option<mpsc::Sender<ProbeRequest>>,
    questions: Option<mpsc::Sender<MetricRequest>>,
    gates: Option<mpsc::Sender<GateRequest>>,
}

impl Sidecar {
    /// Sends preflights through this channel.
    pub fn with_preflights(mut self, preflights: mpsc::Sender<PreflightRequest>) -> Sidecar {
        self.work.preflights = Some(preflights);
        self
    }

    /// Sends the suites of steps through this channel.
    pub fn with_validations(mut self, validations: mpsc::Sender<SuiteRun>) -> Sidecar {
        self.work.validations = Some(validations);
        self
    }

    /// Asks sides whether they answer through this channel.
    pub fn with_probes(mut self, probes: mpsc::Sender<ProbeRequest>) -> Sidecar {
        self.work.probes = Some(probes);
        self
    }

    /// Asks other systems for figures through this channel.
    pub fn with_questions(mut self, questions: mpsc::Sender<MetricRequest>) -> Sidecar {
        self.work.questions = Some(questions);
        self
    }

    /// Asks gates through this channel.
    pub fn with_gates(mut self, gates: mpsc::Sender<GateRequest>) -> Sidecar {
        self.work.gates = Some(gates);
        self
    }

    pub(super) fn request_gate(&mut self, order: GateRequest, now: Millis) {
        if !queued(self.work.gates.as_ref(), order.clone()) {
            let why = "it could not be asked: too many questions are waiting".to_owned();
            self.gated(order, Err(why), now);
        }
    }

    pub(super) fn request_figure(&mut self, order: MetricRequest, now: Millis) {
        if !queued(self.work.questions.as_ref(), order.clone()) {
            let why = "it could not be asked: too many questions are waiting".to_owned();
            self.measured(order, Err(why), now);
        }
    }

    pub(super) fn request_probe(&mut self, order: ProbeRequest, now: Millis) {
        let (service, number) = (order.service.clone(), order.number);
        let result = match &self.work.probes {
            // Nothing in this process can ask: a rollback must not wait for that.
            None => Ok("not asked".to_owned()),
            probes if queued(probes.as_ref(), order) => return,
            _ => Err("could not be asked: too many questions are waiting".to_owned()),
        };
        self.apply(Event::Probed { service, number, result }, now);
    }

    pub(super) fn request_preflight(&mut self, order: PreflightRequest, now: Millis) {
        let (service, rollout) = (order.service.clone(), order.rollout);
        if !queued(self.work.preflights.as_ref(), order) {
            let result =
                Err("the preflight could not start: too many are running, or Cutover is shutting down".to_owned());
            self.apply(Event::Preflighted { service, rollout, result }, now);
        }
    }

    pub(super) fn request_suites(&mut self, order: SuiteRun, now: Millis) {
        if !queued(self.work.validations.as_ref(), order.clone()) {
            let why = "too many runs are waiting, or Cutover is shutting down".to_owned();
            self.apply(Event::Validated { order, result: Err(SuiteRunError::NotRun(why)) }, now);
        }
    }
}

/// Whether there was room in the queue.
fn queued<T>(queue: Option<&mpsc::Sender<T>>, work: T) -> bool {
    queue.is_some_and(|queue| queue.try_send(work).is_ok())
}
