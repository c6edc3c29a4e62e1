//! What a version must pass: the preflight, and the suites of a step.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

use crate::runs::Runs;
use health::{HealthBoard, preflight, probe};
use judgement::rollout::view::ServiceView;
use judgement::rollout::{PreflightRequest, ProbeRequest, SuiteRun, SuiteRunError};
use memory::snapshot::SnapshotReader;
use sidecar::SidecarHandle;

/// What is needed to try a candidate.
#[derive(Clone, Debug)]
pub struct PreflightContext {
    pub published: SnapshotReader,
    pub health: HealthBoard,
    pub runs: Runs,
}

/// Starts what tries candidates, and on the runtime for suites what runs the suites of steps.
pub fn start(
    (runtime, validation): (&Runtime, &Runtime),
    (preflights, suite_runs): (Receiver<PreflightRequest>, Receiver<SuiteRun>),
    tries: PreflightContext,
    sidecar: &SidecarHandle,
) {
    validation.spawn(keep(suite_runs, tries.runs.clone(), sidecar.clone()));
    runtime.spawn(try_all(preflights, tries, sidecar.clone()));
}

/// Tries candidates as the sidecar orders it, in parallel: first whether they are reachable, then their suites.
async fn try_all(mut orders: Receiver<PreflightRequest>, tries: PreflightContext, sidecar: SidecarHandle) {
    while let Some(order) = orders.recv().await {
        let (tries, sidecar) = (tries.clone(), sidecar.clone());
        tokio::spawn(async move {
            let (service, rollout) = (order.service.clone(), order.rollout);
            let (of, still) = (sidecar.clone(), service.clone());
            tokio::select! {
                result = tried(tries, order) => sidecar.preflighted(service, rollout, result),
                () = unwanted(&of, |view| view.service == still && view.tries(rollout)) => {}
            }
        });
    }
}

async fn tried(tries: PreflightContext, order: PreflightRequest) -> Result<String, String> {
    let PreflightContext { published, health, runs } = tries;
    let (service, side, suites) = (order.service.clone(), order.environment.into(), order.suites.clone());
    let PreflightRequest { environment, ref warm_up, at_once, .. } = order;
    let asked = ProbeRequest { service: service.clone(), environment, path: warm_up.path.clone(), number: 0 };
    let warm = preflight::run(published, health.clone(), order).await?;
    if at_once {
        let answered = probe::answer(&health, &asked).await;
        answered.map_err(|why| format!("{environment} {why}"))?;
    }
    if suites.is_empty() {
        return Ok(warm);
    }
    let passed = runs.gate(&service, side, &suites).await;
    let passed = passed.map_err(|why| match why {
        SuiteRunError::Failed(why) | SuiteRunError::NotRun(why) => why,
    })?;
    Ok(format!("{warm}; {passed}"))
}

/// How often to check whether the answer is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the suites that steps wait for, as the sidecar orders it, each order in parallel with the others.
async fn keep(mut orders: Receiver<SuiteRun>, runs: Runs, sidecar: SidecarHandle) {
    while let Some(order) = orders.recv().await {
        let (runs, sidecar) = (runs.clone(), sidecar.clone());
        tokio::spawn(async move {
            let asked = order.clone();
            let gate = runs.gate(&asked.service, asked.environment.into(), &asked.suites);
            tokio::select! {
                result = gate => sidecar.validated(order, result),
                // Cancel the run: it would only get in the way of whatever has taken over.
                () = unwanted(&sidecar, |view| view.awaits(&order)) => {}
            }
        });
    }
}

/// Returns once the rollout has moved on without an answer, so that no service is waiting for it.
async fn unwanted(sidecar: &SidecarHandle, awaits: impl Fn(&ServiceView) -> bool) {
    loop {
        tokio::time::sleep(LOOK).await;
        let asked = sidecar.clone();
        let shown = tokio::task::spawn_blocking(move || asked.status()).await;
        // A shutdown ends this anyway.
        let Ok(Ok(shown)) = shown else { continue };
        if !shown.services.iter().any(&awaits) {
            return;
        }
    }
}
