//! Asks a side whether it answers at all: before a rollback sends everybody there, and after a start.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::{HealthBoard, http};
use judgement::rollout::ProbeRequest;
use memory::snapshot::health_check::HttpProbe;
use memory::snapshot::{Endpoint, Endpoints};
use relay::origin::Connector;

/// A side that needs longer would not serve clients either.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers a question of the sidecar: a summary, or a predicate such as `does not answer: …`.
///
/// # Errors
/// Why the side cannot take the clients.
pub async fn answer(board: &HealthBoard, asked: &ProbeRequest) -> Result<String, String> {
    let (_, pair) = board.place(&asked.service).ok_or("is not in the routing file")?;
    answers(board.connector(), asked.environment.of(&pair), &asked.path).await
}

/// Whether one of the addresses answers a request for `path` with something other than a failure.
///
/// # Errors
/// Why none does, as a predicate.
pub async fn answers(connector: &Arc<Connector>, endpoints: &Endpoints, path: &str) -> Result<String, String> {
    let mut tasks = JoinSet::new();
    for endpoint in endpoints.iter() {
        let (connector, endpoint, probe) = (connector.clone(), endpoint.clone(), HttpProbe::get(path));
        tasks.spawn(async move { ask(&connector, &endpoint, &probe).await });
    }
    let mut why = "its host name does not resolve".to_owned();
    while let Some(asked) = tasks.join_next().await {
        match asked {
            Ok(Ok(said)) => return Ok(said),
            Ok(Err(failed)) => why = failed,
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("does not answer: {why}"))
}

async fn ask(connector: &Connector, endpoint: &Endpoint, probe: &HttpProbe) -> Result<String, String> {
    let answer = http::ask(connector, endpoint, probe, PATIENCE).await;
    let answer = answer.map_err(|none| format!("{} {}", endpoint.address, none.why))?;
    let said = format!("{} returned {} for GET {}", endpoint.address, answer.status, probe.path);
    if answer.status < 500 { Ok(said) } else { Err(said) }
}
