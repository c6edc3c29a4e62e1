//! A suite, played from its setup to its teardown. One thing at a time: what is measured is not disturbed by what is tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use crate::clock;
use crate::config::suite::{Check, Data, Suite};
use crate::consistency;
use crate::validate::reach::Reach;
use crate::validate::request::prepare;
use crate::validate::scrub::Scrub;
use crate::validate::target::Target;
use crate::validate::text::Variables;
use crate::validate::told::Told;
use crate::validate::{cases, load, parity};
use crate::wire::{CaseResult, Outcome, Part, RunTarget, Side};

/// What was set up and not yet taken down: where, and what the set-up captured. Shared with whoever cancels.
pub type Standing = Arc<Mutex<Vec<(Target, Variables)>>>;

/// A side: where it is, or in words why it cannot be reached.
type Reached = Result<Target, String>;

/// Everything that a run stands on.
pub struct Stage<'s> {
    suite: &'s Suite,
    id: &'s str,
    sides: Vec<(Side, Reached)>,
    scrub: Scrub,
    told: Told,
    standing: Standing,
}

impl<'s> Stage<'s> {
    pub fn new(reach: &Reach, suite: &'s Suite, service: &str, target: RunTarget, id: &'s str) -> Stage<'s> {
        let reached = |side: &Side| (*side, reach.target(service, *side, suite.via));
        let sides = target.sides().iter().map(reached).collect();
        let scrub = Scrub::new(suite.secrets.clone());
        Stage { suite, id, sides, scrub, told: Told::default(), standing: Standing::default() }
    }

    /// Says there how far it is.
    pub fn telling(self, told: Told) -> Stage<'s> {
        Stage { told, ..self }
    }

    /// Notes there what would have to be taken down if this were cut short.
    pub fn leaving(self, standing: Standing) -> Stage<'s> {
        Stage { standing, ..self }
    }

    /// Where the sides are, by name.
    pub fn origins(&self) -> BTreeMap<String, String> {
        let shown = |reached: &Reached| reached.as_ref().map_or_else(Clone::clone, |target| target.url.clone());
        self.sides.iter().map(|(side, reached)| (name(*side).to_owned(), shown(reached))).collect()
    }

    fn both(&self) -> Option<(&Target, &Target)> {
        match self.sides.as_slice() {
            [(_, Ok(blue)), (_, Ok(green))] => Some((blue, green)),
            _ => None,
        }
    }

    /// In units of progress.
    fn length(&self) -> u64 {
        let Suite { setup, cases, teardown, loads, parities, data, .. } = self.suite;
        let of_side = cases.len() as u64 + u64::from(!setup.is_empty()) + u64::from(!teardown.is_empty());
        let of_side = of_side + loads.iter().map(load::units).sum::<u64>();
        let of_both = parities.iter().map(parity::units).sum::<u64>() + data.len() as u64;
        of_side * self.sides.len() as u64 + if self.sides.len() == 2 { of_both } else { 0 }
    }
}

fn name(side: Side) -> &'static str {
    RunTarget::from(side).name()
}

/// Plays the suite, and hands over every part as soon as it is known.
pub async fn play(stage: &Stage<'_>, found: UnboundedSender<Part>) {
    stage.told.expect(stage.length());
    for (side, reached) in &stage.sides {
        match reached {
            Ok(target) => on_side(stage, target, &found).await,
            Err(why) => unreached(stage.suite, *side, why, &found),
        }
    }
    for parity in &stage.suite.parities {
        stage.told.doing(format!("{}, blue beside green", parity.name));
        let variables = variables(stage, Side::Blue);
        let result = match stage.both() {
            Some((blue, green)) => parity::run(parity, blue, green, &variables, &stage.scrub, &stage.told).await,
            None => parity::skipped(parity, why_not_both(stage)),
        };
        tell(&found, Part::Parity(result));
    }
    for data in &stage.suite.data {
        stage.told.doing(format!("{}, blue beside green", data.name));
        let result = match (&data.check, stage.sides.len()) {
            (Check::Http { .. }, _) => answers(stage, data).await,
            (_, 2) => checked(stage, data).await,
            _ => consistency::skipped(data, why_not_both(stage)),
        };
        stage.told.done(1);
        tell(&found, Part::Data(result));
    }
}

/// What this side alone is asked.
async fn on_side(stage: &Stage<'_>, target: &Target, found: &UnboundedSender<Part>) {
    let suite = stage.suite;
    let play = cases::Play { suite, target, run: stage.id, scrub: &stage.scrub, told: &stage.told };
    stand(&stage.standing, |standing| standing.push((target.clone(), variables(stage, target.side))));
    let (variables, ready) = cases::set_up(&play, found).await;
    stand(&stage.standing, |standing| *standing = vec![(target.clone(), variables.clone())]);
    match &ready {
        Ok(()) => cases::run(&play, &variables, found).await,
        Err(why) => cases::skip(&play, why, found),
    }
    for one in &suite.loads {
        stage.told.doing(format!("{} on {}", one.name, name(target.side)));
        let result = match &ready {
            Ok(()) => load::run(one, target, &variables, &stage.told).await,
            Err(why) => load::untried(one, target.side, Outcome::Skipped, why.clone()),
        };
        tell(found, Part::Load(result));
    }
    cases::tear_down(&play, &variables, found).await;
    stand(&stage.standing, Vec::clear);
}

fn stand(standing: &Standing, act: impl FnOnce(&mut Vec<(Target, Variables)>)) {
    act(&mut standing.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Takes down what a run that was cancelled has set up. Nobody waits for what it comes to.
pub async fn take_down(suite: &Suite, id: &str, standing: &Standing) {
    let mut left = Vec::new();
    stand(standing, |standing| left.append(standing));
    let (found, _) = tokio::sync::mpsc::unbounded_channel();
    let (scrub, told) = (Scrub::new(suite.secrets.clone()), Told::default());
    for (target, variables) in &left {
        let play = cases::Play { suite, target, run: id, scrub: &scrub, told: &told };
        cases::tear_down(&play, variables, &found).await;
    }
}

fn variables(stage: &Stage<'_>, side: Side) -> Variables {
    cases::variables(stage.suite, side, stage.id)
}

fn unreached(suite: &Suite, side: Side, why: &str, found: &UnboundedSender<Part>) {
    for case in &suite.cases {
        let result = CaseResult {
            name: case.name.clone(),
            environment: side,
            tags: case.tags.clone(),
            outcome: Outcome::Failed,
            why: Some(why.to_owned()),
            took_ms: 0.0,
            attempts: 0,
            steps: Vec::new(),
        };
        tell(found, Part::Case(result));
    }
    for one in &suite.loads {
        tell(found, Part::Load(load::untried(one, side, Outcome::Failed, why.to_owned())));
    }
}

fn why_not_both(stage: &Stage<'_>) -> String {
    match stage.sides.iter().find_map(|(_, reached)| reached.as_ref().err()) {
        Some(why) => why.clone(),
        None => "it compares blue with green: run the suite against both".to_owned(),
    }
}

async fn checked(stage: &Stage<'_>, data: &Data) -> crate::wire::DataResult {
    let doing = |done: u64, all: u64| {
        stage.told.doing(format!("{}: {done} of about {all} chunks", data.name));
    };
    consistency::check(data, &doing).await
}

/// What both origins answer to the same GET.
async fn answers(stage: &Stage<'_>, data: &Data) -> crate::wire::DataResult {
    let Check::Http { request, ignore, tolerance } = &data.check else {
        return consistency::skipped(data, "it is no endpoint".to_owned());
    };
    let Some((blue, green)) = stage.both() else { return consistency::skipped(data, why_not_both(stage)) };
    let began = clock::micros();
    let ask = async |target: &Target| {
        let prepared = prepare(request, target, &variables(stage, target.side))?;
        let asked = target.ask(&prepared, request.timeout.as_duration(), 0).await;
        asked.map_err(|gone| format!("{} {}", name(target.side), gone.why))
    };
    let (blue, green) = tokio::join!(ask(blue), ask(green));
    let took_ms = (clock::micros() - began) as f64 / 1000.0;
    consistency::http(
        &data.name,
        blue.as_ref().map_err(Clone::clone),
        green.as_ref().map_err(Clone::clone),
        ignore,
        *tolerance,
        took_ms,
    )
}

fn tell(found: &UnboundedSender<Part>, part: Part) {
    // The run is over where nobody takes it.
    let _ = found.send(part);
}
