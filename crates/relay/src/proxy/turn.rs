//! A request's turn at an environment whose endpoints take only so many requests at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::origin::OriginError;
use crate::proxy::passage::{AttemptError, ClientFault};
use crate::proxy::side::ExchangeSide;
use crate::proxy::timer::LazyTimer;
use judgement::time::Millis;
use memory::clock;
use memory::counters::{EndpointLimit, EndpointSlot};

/// A place in the line of an endpoint, with the endpoint's own.
type Line = (usize, Pin<Box<dyn Future<Output = EndpointSlot>>>);

/// Takes a slot of one of the endpoints: of the first one that has any, otherwise of the one that is first to have one for
/// whoever waits longest. Who leaves, or has waited for so long, waits no more.
///
/// # Errors
/// None has a slot, or the client has gone.
pub async fn wait(
    limits: Vec<(usize, Arc<EndpointLimit>)>,
    patience: Millis,
    half_close: bool,
    client: &mut ExchangeSide,
    timer: &mut LazyTimer,
) -> Result<(usize, EndpointSlot), AttemptError> {
    let at_once = limits.iter().find_map(|(place, limit)| Some((*place, limit.try_take()?)));
    if let Some(taken) = at_once {
        return Ok(taken);
    }
    // What clients do to an endpoint is not its failure.
    let busy = || match limits.iter().all(|(_, limit)| limit.is_held_by_clients()) {
        true => AttemptError::Origin(OriginError::Held),
        false => AttemptError::Origin(OriginError::Busy),
    };
    let _place = limits.first().and_then(|(_, limit)| limit.queue()).ok_or_else(busy)?;
    let deadline = clock::now().plus(patience);
    // One place in the line of each: what is not needed goes to the next in line.
    let mut lines: Vec<Line> = Vec::with_capacity(limits.len());
    lines.extend(limits.iter().map(|(place, limit)| (*place, Box::pin(limit.clone().take()) as _)));
    poll_fn(|cx| {
        if client.poll_gone(cx, half_close).is_ready() {
            return Poll::Ready(Err(AttemptError::Client(ClientFault::Gone)));
        }
        for (place, slot) in &mut lines {
            if let Poll::Ready(slot) = slot.as_mut().poll(cx) {
                return Poll::Ready(Ok((*place, slot)));
            }
        }
        timer.poll(clock::now(), deadline, cx).map(|()| Err(busy()))
    })
    .await
}
