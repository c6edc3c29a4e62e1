//! What stands between a version and its clients: the preflight, and the suites of a step.

use tokio::sync::mpsc::Receiver;

use crate::health::{Board, preflight};
use crate::rollout::{Preflight, Validate};
use crate::sidecar::Handle;
use crate::snapshot::Published;
use crate::validate::runs::Runs;

/// What a candidate is tried by.
#[derive(Clone, Debug)]
pub struct Tries {
    pub published: Published,
    pub health: Board,
    pub runs: Runs,
}

/// Tries candidates as the sidecar orders it, each beside the others: first whether they are there, then their suites.
pub async fn try_all(mut orders: Receiver<Preflight>, tries: Tries, sidecar: Handle) {
    while let Some(order) = orders.recv().await {
        let (tries, sidecar) = (tries.clone(), sidecar.clone());
        tokio::spawn(async move {
            let (service, rollout) = (order.service.clone(), order.rollout);
            let result = tried(tries, order).await;
            sidecar.preflighted(service, rollout, result);
        });
    }
}

async fn tried(tries: Tries, order: Preflight) -> Result<String, String> {
    let Tries { published, health, runs } = tries;
    let (service, side, suites) = (order.service.clone(), order.environment.into(), order.suites.clone());
    let warm = preflight::run(published, health, order).await?;
    if suites.is_empty() {
        return Ok(warm);
    }
    let passed = runs.gate(&service, side, &suites).await?;
    Ok(format!("{warm}; {passed}"))
}

/// Runs the suites that steps wait for, as the sidecar orders it, each order beside the others.
pub async fn keep(mut orders: Receiver<Validate>, runs: Runs, sidecar: Handle) {
    while let Some(Validate { service, place, environment, suites }) = orders.recv().await {
        let (runs, sidecar) = (runs.clone(), sidecar.clone());
        tokio::spawn(async move {
            let result = runs.gate(&service, environment.into(), &suites).await;
            sidecar.validated(service, place, result);
        });
    }
}
