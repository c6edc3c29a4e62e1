//! Tries the candidate before its first client: it accepts connections, is warmed up, and passes its checks.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{HealthBoard, http};
use judgement::rollout::{PreflightRequest, plan};
use memory::clock;
use memory::snapshot::health_check::HttpProbe;
use memory::snapshot::{Endpoint, Endpoints, SnapshotReader};

/// The timeout of the whole preflight. A rollout that cannot begin within a minute should say so.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for the name of a fresh deployment to resolve.
const RESOLVE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The timeout of one warm-up request: a cold start may be slow.
const REQUEST: Duration = Duration::from_secs(15);
/// The pause after a failed request, so that the next one may find something else.
const BREATH: Duration = Duration::from_millis(200);

/// Tries the environment of a request.
///
/// # Errors
/// Why the candidate must not get clients.
pub async fn run(published: SnapshotReader, board: HealthBoard, order: PreflightRequest) -> Result<String, String> {
    let side = order.environment;
    let tried = timeout(PATIENCE, tried(&published, &board, &order)).await;
    tried.unwrap_or_else(|_| Err(format!("{side} was not ready within {}", crate::millis(PATIENCE))))
}

async fn tried(published: &SnapshotReader, board: &HealthBoard, order: &PreflightRequest) -> Result<String, String> {
    let endpoints = endpoints(published, order).await?;
    let warm = warm_up(board, order, &endpoints).await?;
    let passed = board.try_all(&order.service, order.environment).await?;
    Ok(match passed.as_slice() {
        [] => warm,
        [check] => format!("{warm}; check {check} passed"),
        checks => format!("{warm}; checks {} passed", checks.join(", ")),
    })
}

/// The addresses, as soon as there are any.
async fn endpoints(published: &SnapshotReader, order: &PreflightRequest) -> Result<Endpoints, String> {
    let look = async {
        loop {
            let snapshot = published.load();
            let named = snapshot.services.iter().zip(snapshot.endpoints.iter());
            let mut found = named.filter(|(serving, _)| serving.name == order.service);
            if let Some((_, pair)) = found.next()
                && !order.environment.of(pair).is_empty()
            {
                return order.environment.of(pair).clone();
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    let found = timeout(RESOLVE, look).await;
    found.map_err(|_| format!("{} has no addresses: its host name does not resolve", order.environment))
}

async fn warm_up(board: &HealthBoard, order: &PreflightRequest, endpoints: &Endpoints) -> Result<String, String> {
    let mut tasks = JoinSet::new();
    for endpoint in endpoints.iter() {
        let (board, endpoint, warm_up) = (board.clone(), endpoint.clone(), order.warm_up.clone());
        tasks.spawn(async move { warm(&board, &endpoint, &warm_up).await });
    }
    let (mut first, mut last) = (0, 0);
    while let Some(warm) = tasks.join_next().await {
        let warm = warm.unwrap_or_else(|error| Err(error.to_string()));
        let (began, ended) = warm.map_err(|why| format!("{} {why}", order.environment))?;
        (first, last) = (first.max(began), last.max(ended));
    }
    let many = if order.warm_up.requests == 1 { "warm-up request" } else { "warm-up requests" };
    let to = match endpoints.len() {
        1 => "to its address".to_owned(),
        addresses => format!("to each of {addresses} addresses"),
    };
    Ok(format!("{} {many} {to}, first {first}ms, last {last}ms", order.warm_up.requests))
}

/// How long the first and the last request took, in milliseconds. Only the last one must succeed: the earlier ones
/// absorb cold starts.
async fn warm(board: &HealthBoard, endpoint: &Endpoint, warm_up: &plan::WarmUp) -> Result<(u64, u64), String> {
    let probe = HttpProbe::get(&warm_up.path);
    let mut first = None;
    let mut left = warm_up.requests.max(1);
    loop {
        left -= 1;
        let began = clock::now();
        let answer = http::ask(board.connector(), endpoint, &probe, REQUEST).await;
        let took = clock::now().since(began).0;
        let first = *first.get_or_insert(took);
        let bad = match answer {
            Ok(answer) if answer.status < 500 => None,
            Ok(answer) => Some(format!("returned {} for GET {}", answer.status, probe.path)),
            Err(why) => Some(why),
        };
        match bad {
            None if left == 0 => return Ok((first, took)),
            Some(why) if left == 0 => return Err(format!("({}) {why}", endpoint.address)),
            None => {}
            Some(_) => sleep(BREATH).await,
        }
    }
}
