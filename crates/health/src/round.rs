//! One round of a check: every address is probed, with retries, to find which of them pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{http, redis, sql};
use memory::clock;
use memory::shares::Shares;
use memory::snapshot::health_check::{HealthCheck, HealthProbe};
use memory::snapshot::{Endpoint, Endpoints};
use relay::origin::Connector;

/// The pause between two attempts of a round.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest description of a failure, in characters.
pub const LONGEST_ERROR: usize = 300;

/// The result of a round.
#[derive(Clone, Debug)]
pub struct CheckRound {
    /// By address; `None` for a store, which has none here.
    pub results: Vec<(Option<SocketAddr>, Result<(), String>)>,
    pub took_micros: u64,
}

/// Runs one round. `permits` limits the probes that run at once, by a share for each check.
pub async fn run(
    connector: &Arc<Connector>,
    (permits, share): (&Arc<Shares>, &str),
    check: &Arc<HealthCheck>,
    endpoints: &Endpoints,
) -> CheckRound {
    let began = clock::micros();
    let results = match &check.probe {
        HealthProbe::Http(_) if endpoints.is_empty() => vec![(None, Err("the host name does not resolve".to_owned()))],
        HealthProbe::Http(_) => {
            let mut tasks = JoinSet::new();
            for (at, endpoint) in endpoints.iter().cloned().enumerate() {
                let (connector, permits, check) = (connector.clone(), permits.clone(), check.clone());
                let share = share.to_owned();
                tasks.spawn(async move { (at, passes(&connector, (&permits, &share), &check, Some(&endpoint)).await) });
            }
            let mut results: Vec<_> =
                endpoints.iter().map(|endpoint| (Some(endpoint.address), Err("was not checked".to_owned()))).collect();
            while let Some(tried) = tasks.join_next().await {
                if let Ok((at, result)) = tried
                    && let Some(place) = results.get_mut(at)
                {
                    place.1 = result;
                }
            }
            results
        }
        // A store is a single place, and not one of the environment's addresses.
        HealthProbe::Sql(_) | HealthProbe::Redis(_) => {
            vec![(None, passes(connector, (permits, share), check, None).await)]
        }
    };
    CheckRound { results, took_micros: clock::micros() - began }
}

async fn passes(
    connector: &Connector,
    (permits, share): (&Shares, &str),
    check: &HealthCheck,
    endpoint: Option<&Endpoint>,
) -> Result<(), String> {
    let mut left = check.retries;
    loop {
        let result = {
            let _permit = permits.acquire(share).await;
            let patience = check.timeout.as_duration();
            match (&check.probe, endpoint) {
                (HealthProbe::Http(probe), Some(endpoint)) => http::probe(connector, endpoint, probe, patience).await,
                (HealthProbe::Http(_), None) => Err("the host name does not resolve".to_owned()),
                (HealthProbe::Sql(database), _) => sql::probe(database, patience).await,
                (HealthProbe::Redis(url), _) => redis::probe(url, patience).await,
            }
        };
        match result {
            Err(_) if left > 0 => left -= 1,
            result => return result.map_err(|why| why.chars().take(LONGEST_ERROR).collect()),
        }
        sleep(AGAIN).await;
    }
}
