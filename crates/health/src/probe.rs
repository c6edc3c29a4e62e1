//! Asks a side whether it answers at all: before a rollback sends everybody there, and after a start.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::{HealthBoard, http};
use judgement::rollout::ProbeRequest;
use judgement::traffic::Environment;
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
    can_serve(board.connector(), &pair, asked.environment, &asked.path).await
}

/// Whether a side answers a request for `path`. A status such as 404 is an answer too, unless the other side has what was
/// asked for: a platform goes on answering for a deploy that it has deleted.
///
/// # Errors
/// Why the side cannot take the clients, as a predicate.
pub async fn can_serve(
    connector: &Arc<Connector>,
    pair: &[Endpoints; 2],
    side: Environment,
    path: &str,
) -> Result<String, String> {
    let own = best_answer(connector, side.of(pair), path).await?;
    let other = side.other();
    if own.may_be_of_a_deleted_deploy()
        && let Ok(BestAnswer { status, .. }) = best_answer(connector, other.of(pair), path).await
        && status < 400
    {
        return Err(format!("answers {} to GET {path} where {other} answers {status}", own.status));
    }
    Ok(own.said)
}

/// What one of a side's addresses says.
struct BestAnswer {
    status: u16,
    /// In words.
    said: String,
}

impl BestAnswer {
    /// Whether a platform may say so for every path. 401 asks for what a client has, and 429 passes.
    const fn may_be_of_a_deleted_deploy(&self) -> bool {
        self.status >= 400 && !matches!(self.status, 401 | 429)
    }
}

/// The first answer below 400, or else one that is no failure.
async fn best_answer(connector: &Arc<Connector>, endpoints: &Endpoints, path: &str) -> Result<BestAnswer, String> {
    let mut tasks = JoinSet::new();
    for endpoint in endpoints.iter() {
        let (connector, endpoint, probe) = (connector.clone(), endpoint.clone(), HttpProbe::get(path));
        tasks.spawn(async move { ask(&connector, &endpoint, &probe).await });
    }
    let mut best = Err("does not answer: its host name does not resolve".to_owned());
    while let Some(asked) = tasks.join_next().await {
        match asked.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(answer) if answer.status < 400 => return Ok(answer),
            Ok(answer) => best = Ok(answer),
            Err(why) if best.is_err() => best = Err(format!("does not answer: {why}")),
            Err(_) => {}
        }
    }
    best
}

async fn ask(connector: &Connector, endpoint: &Endpoint, probe: &HttpProbe) -> Result<BestAnswer, String> {
    let answer = http::ask(connector, endpoint, probe, PATIENCE).await;
    let answer = answer.map_err(|none| format!("{} {}", endpoint.address, none.why))?;
    let (status, said) =
        (answer.status, format!("{} returned {} for GET {}", endpoint.address, answer.status, probe.path));
    if status < 500 { Ok(BestAnswer { status, said }) } else { Err(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// An origin that says the same to everybody.
    fn origin(status: u16) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap(), "shop.test");
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let _ = client.read(&mut [0; 4096]);
                let _ = write!(client, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            }
        });
        endpoint
    }

    fn side(statuses: &[u16]) -> Endpoints {
        statuses.iter().map(|status| origin(*status)).collect()
    }

    #[tokio::test]
    async fn a_side_that_lacks_what_the_other_one_has_cannot_take_its_clients() {
        let connector = Arc::default();
        for (blue, green, can) in [
            (&[200][..], &[500][..], true),
            (&[404], &[200], false),
            (&[403], &[302], false),
            (&[404], &[404], true),
            (&[404], &[503], true),
            (&[404], &[], true),
            (&[404, 200], &[200], true),
            (&[404, 503], &[200], false),
            // A login, and a limit that passes.
            (&[401], &[200], true),
            (&[429], &[200], true),
            (&[500], &[500], false),
            (&[], &[200], false),
        ] {
            let said = can_serve(&connector, &[side(blue), side(green)], Environment::Blue, "/up").await;
            assert_eq!(said.is_ok(), can, "{blue:?} {green:?}: {said:?}");
        }
        let said = can_serve(&connector, &[side(&[410]), side(&[204])], Environment::Blue, "/up").await;
        assert_eq!(said, Err("answers 410 to GET /up where green answers 204".to_owned()));
    }
}
