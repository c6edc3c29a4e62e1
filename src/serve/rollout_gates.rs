//! Asks the gates of rollouts, as the sidecar orders it: signed, and again where there is no answer. Nothing waits for
//! them but the way forward of a rollout.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, StatusCode};
use reqwest::Url;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use judgement::rollout::Announcement;
use judgement::rollout::gates::{GateAnswer, GateRequest, RolloutGate};
use judgement::time::rfc3339;
use memory::clock;
use memory::shares::Shares;
use memory::snapshot::gate_call::GateCall;
use memory::snapshot::{ServedService, SnapshotReader};
use notify::{NoticeClient, is_temporary, plain_text, signed};
use sidecar::SidecarHandle;

/// What a gate is told comes one after the other, in its order.
const AT_ONCE_EACH: usize = 1;
/// The most gates at once of all services.
const AT_ONCE: usize = 256;

/// What a gate is sent. The version, the phase and the next weight are `null` where there is none.
#[derive(Debug, Serialize)]
struct GateBody<'g> {
    r#type: &'static str,
    timestamp: String,
    name: &'g str,
    hook: &'static str,
    service: &'g str,
    version: Option<String>,
    environment: &'static str,
    /// Empty for all routes.
    functions: &'g [String],
    rollout: u32,
    phase: Option<&'static str>,
    /// In percent.
    weight: f64,
    next_weight: Option<f64>,
    step: usize,
    steps: usize,
    metadata: &'g BTreeMap<String, String>,
    /// Only for `event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Announcement>,
}

/// Asks the sidecar's questions, each gate apart from the others.
pub async fn ask_all(mut orders: Receiver<GateRequest>, published: SnapshotReader, sidecar: SidecarHandle) {
    let client = Arc::new(NoticeClient::default());
    let permits = Arc::new(Shares::new(AT_ONCE_EACH, AT_ONCE));
    while let Some(order) = orders.recv().await {
        let (client, permits) = (client.clone(), permits.clone());
        let (published, sidecar) = (published.clone(), sidecar.clone());
        tokio::spawn(async move {
            // Of the others the state orders one at a time, which does not wait for one that nobody awaits any more.
            let turn = if order.hook.is_told() { 0 } else { order.number };
            // A slash is in no name.
            let permit = permits.acquire(&format!("{}/{}/{turn}", order.service, order.gate)).await;
            let answer = asked(&client, &published, &order).await;
            drop(permit);
            if let Err(why) = &answer {
                tracing::debug!(service = order.service, gate = order.gate, why, "a gate has not passed");
            }
            sidecar.gated(order, answer);
        });
    }
}

/// Asks one question until it is answered, or was asked often enough.
async fn asked(client: &NoticeClient, published: &SnapshotReader, order: &GateRequest) -> GateAnswer {
    let snapshot = published.load();
    let serving = snapshot.services.iter().find(|serving| serving.name == order.service);
    let found = serving.and_then(|serving| {
        let call = serving.gates.iter().find(|call| call.gate == order.gate)?;
        Some((serving, call))
    });
    let (serving, call) = found.ok_or("the routing file no longer has it")?;
    let url = Url::parse(call.url.reveal()).map_err(|_| "its URL is not valid".to_owned())?;
    let at = clock::wall_millis();
    let body = body(serving, call, order, at);
    // Of all attempts, so that a receiver takes them for one question.
    let id = format!("gate_{at}_{}", order.number);
    let mut failed = 0;
    loop {
        let (why, is_temporary) = match once(client, &url, call, (&id, &body)).await {
            Ok(status) if status.is_success() => return Ok(status.to_string()),
            Ok(status) if status.is_redirection() => (format!("{status} (redirects are not followed)"), false),
            Ok(status) => (status.to_string(), is_temporary(status)),
            Err(why) => (why, true),
        };
        if !is_temporary || failed >= call.retries {
            return Err(why);
        }
        failed += 1;
        tokio::time::sleep(RolloutGate::pause(failed).as_duration()).await;
    }
}

/// Makes one attempt.
async fn once(
    client: &NoticeClient,
    url: &Url,
    call: &GateCall,
    (id, body): (&str, &str),
) -> Result<StatusCode, String> {
    let mut headers: HeaderMap = call.headers.iter().cloned().collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(signed(&call.keys, id, body).map_err(|_| "it cannot be signed".to_owned())?);
    let answer = client.status(url, headers, body.to_owned(), call.timeout.as_duration()).await;
    answer.map_err(|why| match why.as_str() {
        "timed out" => format!("no answer within {}", call.timeout),
        _ => format!("no answer ({why})"),
    })
}

fn body(serving: &ServedService, call: &GateCall, order: &GateRequest, at: u64) -> String {
    let in_file = || Some(serving.terms.version(order.environment)?.to_str().ok()?.to_owned());
    let body = GateBody {
        r#type: "cutover.gate",
        timestamp: rfc3339(at),
        name: &order.gate,
        hook: order.hook.name(),
        service: &order.service,
        version: order.version.clone().or_else(in_file),
        environment: order.environment.name(),
        functions: &order.functions,
        rollout: order.rollout,
        phase: order.phase.map(|phase| phase.name()),
        weight: order.weight.percent(),
        next_weight: order.next_weight.map(|weight| weight.percent()),
        step: order.step,
        steps: order.steps,
        metadata: &call.metadata,
        event: order.event.clone().map(|event| Announcement { text: plain_text(&event), ..event }),
    };
    // Texts and finite numbers only, so this cannot fail.
    serde_json::to_string(&body).unwrap_or_default()
}
