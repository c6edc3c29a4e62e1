//! Runs a suite from setup to teardown. One thing at a time, so that cases do not disturb what a load measures.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use crate::cases::SideRunner;
use crate::consistency;
use crate::parity::ParitySide;
use crate::progress::ProgressTracker;
use crate::redact::Redactor;
use crate::request::prepare;
use crate::request_numbers::RequestNumbers;
use crate::target::TestTarget;
use crate::target_resolver::TargetResolver;
use crate::{load, parity};
use config::suite::{DataCheck, DataCheckKind, LoadTest, Suite};
use memory::clock;
use wire::{CaseResult, DataResult, Outcome, ParityResult, Part, RunTarget, Side};

/// A side, or why it cannot be reached.
type Reached = Result<Arc<SideRunner>, String>;

/// The sides of a run, for the teardown of a cancelled run.
pub type PendingTeardowns = Arc<Mutex<Vec<Arc<SideRunner>>>>;

/// Runs a suite on its sides.
pub struct SuiteExecutor {
    suite: Arc<Suite>,
    sides: Vec<(Side, Reached)>,
    origins: BTreeMap<String, String>,
    /// The active side, for limits that are compared with it; `None` if none are.
    active: Option<(Side, Result<TestTarget, String>)>,
    progress: ProgressTracker,
    numbers: RequestNumbers,
    found: UnboundedSender<Part>,
}

impl SuiteExecutor {
    /// Every part is sent to `found` as soon as it is known.
    pub fn new(
        (targets, suite): (&TargetResolver, Arc<Suite>),
        service: &str,
        target: RunTarget,
        id: &str,
        progress: ProgressTracker,
        found: UnboundedSender<Part>,
    ) -> SuiteExecutor {
        let numbers = RequestNumbers::default();
        let (mut sides, mut origins) = (Vec::new(), BTreeMap::new());
        for side in target.sides() {
            let reached = targets.target(service, *side, suite.via);
            let url = reached.as_ref().map_or_else(Clone::clone, |target| target.url.clone());
            origins.insert(side.name().to_owned(), url);
            let runner = |target| {
                let (progress, numbers, found) = (progress.clone(), numbers.clone(), found.clone());
                Arc::new(SideRunner::new(suite.clone(), target, id, progress, numbers, found))
            };
            sides.push((*side, reached.map(runner)));
        }
        let needs_active = suite.loads.iter().any(|load| load.limits.need_active());
        let active = targets.active(service).filter(|_| needs_active);
        let active = active.map(|side| (side, targets.target(service, side, suite.via)));
        SuiteExecutor { suite, sides, origins, active, progress, numbers, found }
    }

    /// The URLs of the sides, by name.
    pub fn origins(&self) -> BTreeMap<String, String> {
        self.origins.clone()
    }

    /// The sides that need a teardown if this is cut short.
    pub fn pending_teardowns(&self) -> Vec<Arc<SideRunner>> {
        self.sides.iter().filter_map(|(_, reached)| reached.clone().ok()).collect()
    }

    /// Runs everything.
    pub async fn run(&self) {
        self.progress.expect(self.length());
        let mut unready: Option<String> = None;
        for (side, reached) in &self.sides {
            match reached {
                Ok(runner) => {
                    let why = runner.setup().await.err();
                    unready = unready.or(why.map(|why| format!("{why} (on {})", side.name())));
                }
                Err(why) => self.unreached(*side, why),
            }
        }
        for (side, reached) in &self.sides {
            if let Ok(runner) = reached {
                self.on_side(runner, *side).await;
            }
        }
        self.beside(unready.as_deref()).await;
        for runner in self.pending_teardowns() {
            runner.teardown().await;
        }
    }

    /// Runs the cases and loads of one side.
    async fn on_side(&self, runner: &SideRunner, side: Side) {
        runner.cases().await;
        for one in &self.suite.loads {
            self.progress.doing(format!("{} on {}", one.name, side.name()));
            let mut result = match (runner.stuck(), self.active_for(one, side)) {
                (None, Ok(active)) => {
                    runner.begin();
                    load::run(one, runner.target(), active, &runner.context().variables, &self.progress).await
                }
                (None, Err(why)) => load::untried(one, side, Outcome::Failed, why),
                (Some(why), _) => load::untried(one, side, Outcome::Skipped, why),
            };
            // A step without a name is named by its path, which may contain a secret.
            let redactor = runner.context().redactor;
            result.why = result.why.map(|why| redactor.text(&why));
            result.examples.iter_mut().for_each(|example| *example = redactor.text(example));
            self.tell(Part::Load(result));
        }
    }

    /// The side that a load's limits are compared with; `None` if none are, or this is the side itself.
    ///
    /// # Errors
    /// It cannot be reached, so nothing can be compared.
    fn active_for(&self, load: &LoadTest, side: Side) -> Result<Option<&TestTarget>, String> {
        let active = self.active.as_ref().filter(|(active, _)| *active != side && load.limits.need_active());
        match active {
            Some((_, Ok(target))) => Ok(Some(target)),
            Some((active, Err(why))) => {
                Err(format!("its limits cannot be compared with {}, which is active: {why}", active.name()))
            }
            None => Ok(None),
        }
    }

    /// Runs what compares both sides. `unready`: why it cannot, since a side's setup has failed.
    async fn beside(&self, unready: Option<&str>) {
        for parity in &self.suite.parities {
            self.progress.doing(format!("{}: blue against green", parity.name));
            let result = match (self.both(), unready) {
                (Ok(_), Some(why)) => parity::skipped(parity, why.to_owned()),
                (Ok((blue, green)), None) => {
                    blue.begin();
                    green.begin();
                    let (of_blue, of_green) = (blue.context(), green.context());
                    let blue = ParitySide { target: blue.target(), context: &of_blue };
                    let green = ParitySide { target: green.target(), context: &of_green };
                    parity::run(parity, blue, green, &self.numbers, &self.progress).await
                }
                (Err(why), _) if self.sides.len() == 2 => {
                    ParityResult { outcome: Outcome::Failed, ..parity::skipped(parity, why) }
                }
                (Err(why), _) => parity::skipped(parity, why),
            };
            self.tell(Part::Parity(result));
        }
        for data in &self.suite.data {
            self.progress.doing(format!("{}: blue against green", data.name));
            let result = match (self.sides.len(), &data.check, unready) {
                (2, DataCheckKind::Http { .. }, Some(why)) => consistency::skipped(data, why.to_owned()),
                (2, DataCheckKind::Http { .. }, None) => self.answers(data).await,
                (2, ..) => self.checked(data).await,
                _ => consistency::skipped(data, ONE_SIDE.to_owned()),
            };
            self.progress.done(1);
            let context = self.pending_teardowns().into_iter().map(|runner| runner.context().redactor);
            let redactor = context.fold(Redactor::new(self.suite.secrets.clone()), |all, more| all.and(&more));
            self.tell(Part::Data(redactor.data(result)));
        }
    }

    /// Requests that were sent so far, without those of loads.
    pub fn sent(&self) -> u64 {
        self.numbers.sent()
    }

    fn unreached(&self, side: Side, why: &str) {
        for case in &self.suite.cases {
            self.tell(Part::Case(CaseResult {
                name: case.name.clone(),
                environment: side,
                tags: case.tags.clone(),
                outcome: Outcome::Failed,
                why: Some(why.to_owned()),
                took_ms: 0.0,
                attempts: 0,
                steps: Vec::new(),
            }));
        }
        for one in &self.suite.loads {
            self.tell(Part::Load(load::untried(one, side, Outcome::Failed, why.to_owned())));
        }
    }

    async fn checked(&self, data: &DataCheck) -> DataResult {
        let doing = |done: u64, all: u64| self.progress.doing(format!("{}: {done} of about {all} chunks", data.name));
        consistency::check(data, &doing).await
    }

    /// Compares both origins' responses to the same GET.
    async fn answers(&self, data: &DataCheck) -> DataResult {
        let DataCheckKind::Http { request, ignore, tolerance, settle } = &data.check else {
            return consistency::skipped(data, "it is not an HTTP check".to_owned());
        };
        let (blue, green) = match self.both() {
            Ok(both) => both,
            Err(why) => return DataResult { outcome: Outcome::Failed, ..consistency::skipped(data, why) },
        };
        let ask = async |runner: &SideRunner| {
            let prepared = prepare(request, runner.target(), &runner.context().variables)?;
            self.numbers.send();
            let asked = runner.target().ask(&prepared, request.timeout.as_duration(), 0).await;
            asked.map_err(|gone| gone.why)
        };
        let compare = async || {
            let began = clock::micros();
            let (blue, green) = tokio::join!(ask(blue), ask(green));
            let took_ms = (clock::micros() - began) as f64 / 1000.0;
            let (blue, green) = (blue.as_ref().map_err(Clone::clone), green.as_ref().map_err(Clone::clone));
            consistency::http(&data.name, blue, green, ignore, *tolerance, took_ms)
        };
        let mut result = compare().await;
        for pause in consistency::looks(settle.as_duration()) {
            // Without findings there was no answer, which no replica will bring.
            if result.findings.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            result = compare().await;
        }
        result
    }

    fn both(&self) -> Result<(&SideRunner, &SideRunner), String> {
        match self.sides.as_slice() {
            [(_, Ok(blue)), (_, Ok(green))] => Ok((blue, green)),
            [_, _] => {
                let why = self.sides.iter().find_map(|(_, reached)| reached.as_ref().err());
                Err(why.cloned().unwrap_or_default())
            }
            _ => Err(ONE_SIDE.to_owned()),
        }
    }

    /// The units of progress.
    fn length(&self) -> u64 {
        let Suite { cases, loads, parities, data, .. } = &*self.suite;
        let of_side = cases.len() as u64 + loads.iter().map(load::units).sum::<u64>();
        let of_both = parities.iter().map(|parity| parity.requests.len() as u64).sum::<u64>() + data.len() as u64;
        of_side * self.sides.len() as u64 + if self.sides.len() == 2 { of_both } else { 0 }
    }

    fn tell(&self, part: Part) {
        // The run is over if nobody receives it.
        let _ = self.found.send(part);
    }
}

const ONE_SIDE: &str = "it compares blue with green: run the suite against both";

/// Runs the teardown of a run that was cut short. Nobody waits for the result.
pub async fn take_down(pending_teardowns: &PendingTeardowns) {
    let left = std::mem::take(&mut *pending_teardowns.lock());
    for runner in left {
        runner.teardown().await;
    }
}

/// Sorts the parts into the order of the file, blue first: cases arrive in the order in which they end.
pub fn sort(parts: &mut [Part], suite: &Suite) {
    let Suite { cases, loads, parities, data, .. } = suite;
    let cases = cases.iter().map(|case| (PartKind::Case, case.name.as_str()));
    let loads = loads.iter().map(|load| (PartKind::Load, load.name.as_str()));
    let parities = parities.iter().map(|parity| (PartKind::Parity, parity.name.as_str()));
    let data = data.iter().map(|data| (PartKind::Data, data.name.as_str()));
    let named = cases.chain(loads).chain(parities).chain(data);
    let places: HashMap<(PartKind, &str), usize> = named.zip(1..).collect();
    parts.sort_by_key(|part| {
        let kind = match part {
            Part::Case(_) => PartKind::Case,
            Part::Load(_) => PartKind::Load,
            Part::Parity(_) => PartKind::Parity,
            Part::Data(_) => PartKind::Data,
        };
        // A case of the file cannot be named `setup` or `teardown`.
        let last = if part.name() == "setup" { 0 } else { usize::MAX };
        (places.get(&(kind, part.name())).copied().unwrap_or(last), part.environment() == Some(Side::Green))
    });
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum PartKind {
    Case,
    Load,
    Parity,
    Data,
}
