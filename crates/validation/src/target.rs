//! How a run reaches an environment: straight at its origin, or through the proxy with headers that select it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::task::JoinSet;
use tokio::time::timeout;

use judgement::time::Millis;
use memory::clock;
use memory::snapshot::Endpoints;
use relay::origin::Connector;
use relay::origin::exchange::{ConnectionReuse, OriginRequest, OriginResponse, exchange};
use wire::Side;

/// How much of a body is kept, to be checked, compared and shown.
pub const MOST_BODY: usize = 4 << 20;

/// One side, as a run reaches it. Cheap to clone.
#[derive(Clone)]
pub struct TestTarget {
    pub side: Side,
    /// For people, without secrets.
    pub url: String,
    pub endpoints: Endpoints,
    /// Of the origin itself, also where requests go through the proxy. Empty while its names do not resolve.
    pub origin: Endpoints,
    /// Sent with every request so that an override rule matches. Empty straight at the origin.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub connector: Arc<Connector>,
}

impl std::fmt::Debug for TestTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestTarget").field("side", &self.side).field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// `connect`, `tls`, `timeout`, `reset` or `protocol`.
    pub kind: &'static str,
    /// The words follow the name of a side: `refused the connection`.
    pub why: String,
}

impl TestTarget {
    /// Sends a request over a kept-alive connection, within `patience`. `turn` selects one of several addresses.
    ///
    /// # Errors
    /// There was no complete response in time.
    pub async fn ask(
        &self,
        request: &OriginRequest,
        patience: Duration,
        turn: usize,
    ) -> Result<OriginResponse, Unanswered> {
        let at = turn.checked_rem(self.endpoints.len()).unwrap_or(0);
        let Some(endpoint) = self.endpoints.get(at) else {
            return Err(Unanswered { kind: "connect", why: "has no address: its name does not resolve".to_owned() });
        };
        let asked = exchange(&self.connector, endpoint, request, ConnectionReuse::Kept, MOST_BODY);
        match timeout(patience, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unanswered { kind: error.kind(), why: error.as_predicate() }),
            Err(_) => Err(Unanswered { kind: "timeout", why: late(patience) }),
        }
    }
}

impl TestTarget {
    /// The same with the time that it took, on its own task, so that the handling of other answers does not count.
    pub async fn timed(
        &self,
        request: &OriginRequest,
        patience: Duration,
        turn: usize,
    ) -> (Result<OriginResponse, Unanswered>, Duration) {
        let (target, request) = (self.clone(), request.clone());
        // Aborted when this future is dropped.
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            let began = clock::micros();
            let asked = target.ask(&request, patience, turn).await;
            (asked, Duration::from_micros(clock::micros().saturating_sub(began)))
        });
        let broken = || Unanswered { kind: "protocol", why: "sent a response that could not be read".to_owned() };
        asking.join_next().await.and_then(Result::ok).unwrap_or_else(|| (Err(broken()), Duration::ZERO))
    }
}

/// The words follow the name of a side.
pub fn late(patience: Duration) -> String {
    let patience = Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
    format!("gave no complete response within {patience}")
}
