//! Sides that do not answer: found when Cutover starts, and before a rollback goes there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use health::{HealthBoard, probe};
use judgement::rollout::{ProbeRequest, SilentActive};
use judgement::traffic::Environment;
use memory::snapshot::Endpoints;
use relay::origin::Connector;
use sidecar::{ResolvedRouting, SidecarHandle};

/// The most services that are asked at once when Cutover starts.
const AT_ONCE: usize = 64;
/// A start without the state of before does not wait longer for answers.
const PATIENCE: Duration = Duration::from_secs(4);

/// Answers the sidecar's questions, each apart from the others.
pub async fn answer_all(mut asked: Receiver<ProbeRequest>, board: HealthBoard, sidecar: SidecarHandle) {
    while let Some(order) = asked.recv().await {
        let (board, sidecar) = (board.clone(), sidecar.clone());
        tokio::spawn(async move {
            let result = probe::answer(&board, &order).await;
            sidecar.probed(order.service, order.number, result);
        });
    }
}

/// The active sides of a file's services, to be asked whether they answer.
pub struct ActiveSides {
    sides: Vec<ActiveSide>,
}

struct ActiveSide {
    service: String,
    side: Environment,
    endpoints: [Endpoints; 2],
    path: String,
}

impl ActiveSides {
    /// `active_of`: the active side of a service that was seen before; otherwise the file's word counts.
    pub fn of(load: &ResolvedRouting, active_of: impl Fn(&str) -> Option<Environment>) -> ActiveSides {
        let sides = load.routing.services.iter().map(|config| {
            let service = config.traffic.name.clone();
            let side = active_of(&service).or(config.ask.active).unwrap_or(Environment::Blue);
            let endpoints =
                config.origins.each_ref().map(|origin| load.endpoints.get(origin).cloned().unwrap_or_default());
            ActiveSide { service, side, endpoints, path: config.plan.warm_up.path.clone() }
        });
        ActiveSides { sides: sides.collect() }
    }

    /// Those that do not answer, answer with a failure, or lack what the other side has.
    pub async fn silent(self) -> HashMap<String, SilentActive> {
        let (permits, connector) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::<Connector>::default());
        let mut tasks = JoinSet::new();
        for ActiveSide { service, side, endpoints, path } in self.sides {
            let (permits, connector) = (permits.clone(), connector.clone());
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                Some((service, silent(&connector, side, &endpoints, &path).await?))
            });
        }
        let mut found = HashMap::new();
        let all = async {
            while let Some(asked) = tasks.join_next().await {
                found.extend(asked.ok().flatten());
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
        found
    }

    /// Tells the sidecar of them.
    pub async fn report(self, sidecar: SidecarHandle) {
        for (service, silent) in self.silent().await {
            sidecar.silent(service, silent);
        }
    }
}

async fn silent(
    connector: &Arc<Connector>,
    side: Environment,
    pair: &[Endpoints; 2],
    path: &str,
) -> Option<SilentActive> {
    let why = probe::can_serve(connector, pair, side, path).await.err()?;
    let other = probe::can_serve(connector, pair, side.other(), path).await;
    Some(SilentActive { side, why, other })
}
