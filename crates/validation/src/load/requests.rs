//! The requests of a load: its steps in turn, by weight.

use std::sync::Arc;
use std::time::Duration;

use crate::expect::instead_of;
use crate::request::prepare;
use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::{Body, LoadTest, SuiteRequest};
use memory::clock;
use relay::origin::exchange::OriginRequest;

/// The variable that differs in every request.
const UNIQUE: &str = "unique";

#[derive(Debug)]
pub struct RequestMix {
    kinds: Vec<MixEntry>,
    target: TestTarget,
    variables: Variables,
    /// The next request's own number.
    unique: u64,
}

#[derive(Debug)]
struct MixEntry {
    weight: i64,
    /// Its credit; the entry with the most credit is next.
    owed: i64,
    step: Arc<SuiteRequest>,
    /// `None`: it contains `${unique}`, so every request differs.
    prepared: Option<Arc<OriginRequest>>,
}

impl RequestMix {
    /// # Errors
    /// There are no requests, or a step does not make a valid one.
    pub fn new(load: &LoadTest, target: &TestTarget, variables: &Variables) -> Result<RequestMix, String> {
        // Larger than any number of an earlier run, so that keys that must be unique are new each time.
        let mut mix = RequestMix {
            kinds: Vec::new(),
            target: target.clone(),
            variables: variables.clone(),
            unique: clock::wall_micros(),
        };
        for (weight, step) in load.requests.iter().filter(|(weight, _)| *weight > 0) {
            let request = Arc::new(mix.fresh(step)?);
            let prepared = (!names_unique(step)).then_some(request);
            mix.kinds.push(MixEntry { weight: i64::from(*weight), owed: 0, step: Arc::new(step.clone()), prepared });
        }
        if mix.kinds.is_empty() {
            return Err("it has no requests to send".to_owned());
        }
        Ok(mix)
    }

    /// The next request, and the index of its step.
    ///
    /// # Errors
    /// The value of a variable makes it invalid.
    pub fn next(&mut self) -> (usize, Result<Arc<OriginRequest>, String>) {
        let all: i64 = self.kinds.iter().map(|kind| kind.weight).sum();
        self.kinds.iter_mut().for_each(|kind| kind.owed += kind.weight);
        // Of several with the same credit, the first.
        let chosen = self.kinds.iter().enumerate().rev().max_by_key(|(_, kind)| kind.owed).map_or(0, |(at, _)| at);
        let Some(kind) = self.kinds.get_mut(chosen) else { return (0, Err("it has no requests to send".to_owned())) };
        kind.owed -= all;
        let request = match &kind.prepared {
            Some(request) => Ok(request.clone()),
            None => {
                let step = kind.step.clone();
                self.fresh(&step).map(Arc::new)
            }
        };
        (chosen, request)
    }

    fn fresh(&mut self, step: &SuiteRequest) -> Result<OriginRequest, String> {
        self.variables.set(UNIQUE, self.unique.to_string());
        self.unique += 1;
        prepare(step, &self.target, &self.variables).map_err(|why| format!("{}: {why}", step.name))
    }

    pub fn patience(&self, kind: usize) -> Duration {
        self.kinds.get(kind).map_or(Duration::ZERO, |kind| kind.step.timeout.as_duration())
    }

    /// The longest timeout of any step.
    pub fn longest_patience(&self) -> Duration {
        self.kinds.iter().map(|kind| kind.step.timeout.as_duration()).max().unwrap_or_default()
    }

    pub fn name(&self, kind: usize) -> &str {
        self.kinds.get(kind).map_or("", |kind| &kind.step.name)
    }

    /// Whether a status is what the step expects.
    ///
    /// # Errors
    /// What it expects instead.
    pub fn accepts(&self, kind: usize, status: u16) -> Result<(), String> {
        let instead = self.kinds.get(kind).and_then(|kind| instead_of(&kind.step.expect, status));
        instead.map_or(Ok(()), |wanted| Err(format!("answered {status}, not {wanted}")))
    }
}

fn names_unique(step: &SuiteRequest) -> bool {
    let names = |text: &str| text.contains("${unique}");
    let in_body = match &step.body {
        Body::None | Body::Bytes(_) => false,
        Body::Text(text) => names(text),
        Body::Json(value) => names(&value.to_string()),
        Body::Form(fields) => fields.iter().any(|(_, text)| names(text)),
    };
    in_body
        || names(&step.path)
        || step.query.iter().any(|(_, text)| names(text))
        || step.headers.iter().any(|(_, text)| names(text))
}
