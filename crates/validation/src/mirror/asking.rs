//! One copy, and three answers: the candidate's and two of active's.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, EXPECT, HOST, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use tokio::time::timeout;

use judgement::traffic::split::mix;
use memory::clock;
use memory::snapshot::Endpoint;
use relay::origin::Connector;
use relay::origin::exchange::{ConnectionReuse, OriginRequest, OriginResponse, exchange};
use relay::proxy::mirror::{COPY_MARK, CopiedRequest};

/// How long a side may take for the whole of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a body is read and compared, in bytes. Of a longer one only the head is compared.
pub const MOST_BODY: usize = 256 << 10;
/// Connections that are kept, to all sides of all services.
const CONNECTIONS: usize = 64;
/// The orders in which the candidate (`0`) and active are asked.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]];
/// What a copy does not take along: whoever asks for a part, or only for what is new, would have nothing to compare, and
/// what is compressed would have to be unpacked.
const LEFT_OUT: [HeaderName; 9] =
    [HOST, EXPECT, ACCEPT_ENCODING, RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// An answer, or why there is none: a predicate such as `refused the connection`.
pub type Heard = Result<Answer, String>;

/// An answer, and the time until it was whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub response: OriginResponse,
    pub micros: u64,
}

/// The candidate's answer, and two of active's.
#[derive(Debug)]
pub struct Answers {
    pub candidate: Heard,
    pub active: [Heard; 2],
}

/// Sends copies, over connections of its own.
#[derive(Debug)]
pub struct Asker(Connector);

impl Default for Asker {
    fn default() -> Asker {
        Asker(Connector::new(CONNECTIONS))
    }
}

impl Asker {
    /// Asks active, the candidate and active again, in an order that is drawn from the turn. `endpoints`: active's and the
    /// candidate's. `None` if a side has as many requests as it may have: clients come first.
    pub async fn ask(&self, request: &CopiedRequest, endpoints: &[Option<Endpoint>; 2], turn: u64) -> Option<Answers> {
        let [active, candidate] = endpoints;
        let sent = sent(request);
        let order = ORDERS.get((mix(turn) % 6) as usize)?;
        let mut heard: [Option<Heard>; 3] = [None, None, None];
        for who in order {
            let endpoint = if *who == 0 { candidate } else { active };
            *heard.get_mut(*who)? = Some(self.once(endpoint.as_ref(), &sent).await?);
        }
        let [own, first, second] = heard;
        Some(Answers { candidate: own?, active: [first?, second?] })
    }

    async fn once(&self, endpoint: Option<&Endpoint>, request: &OriginRequest) -> Option<Heard> {
        let Some(endpoint) = endpoint else {
            return Some(Err("has no address: its name does not resolve".to_owned()));
        };
        let _slot = match &endpoint.limit {
            Some(limit) => Some(limit.try_take()?),
            None => None,
        };
        let began = clock::micros();
        let asked = exchange(&self.0, endpoint, request, ConnectionReuse::Bounded, MOST_BODY);
        Some(match timeout(PATIENCE, asked).await {
            Ok(Ok(response)) => Ok(Answer { response, micros: clock::micros().saturating_sub(began) }),
            Ok(Err(error)) => Err(error.as_predicate()),
            Err(_) => Err(crate::target::late(PATIENCE)),
        })
    }
}

/// The request as both sides get it.
fn sent(request: &CopiedRequest) -> OriginRequest {
    let marked = HeaderName::from_static(COPY_MARK);
    let kept = request.headers.iter().filter(|(name, _)| !LEFT_OUT.contains(name) && *name != marked);
    let mut headers: Vec<(HeaderName, HeaderValue)> = kept.cloned().collect();
    headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    headers.push((marked, HeaderValue::from_static("1")));
    OriginRequest { method: request.method.clone(), target: request.target.clone(), headers, body: Bytes::new() }
}
