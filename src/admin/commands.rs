//! Commands that the API gives to the sidecar, for one service or for all.

use axum::response::Response;

use crate::admin::api::{Api, Call, blocking, once, other_request, reply};
use crate::admin::error::ApiError;
use crate::admin::idempotency::{KEPT, StoredReply};
use crate::admin::input;
use crate::admin::verb::Scope;
use judgement::rollout::{OperatorAction, OperatorCommand, Requester, RolloutError};
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::clock;
use sidecar::journal::{JournalEntry, JournalQuery};
use sidecar::{CommandReceipt, SidecarHandle};
use wire::{ActionBody, ActionResult, ActionResults, ServiceResult, TrafficShift};

/// Stands for every service.
const EVERY: &str = "*";
/// The roles may swap while a share is being converted to them. This is how often the conversion is attempted.
const TRIES: usize = 3;

/// A command to the sidecar, for one service or for all.
#[derive(Clone, Debug)]
pub struct ServiceCommand {
    service: Option<String>,
    wanted: Wanted,
    call: Call,
}

#[derive(Clone, Debug)]
enum Wanted {
    Act(OperatorAction),
    /// Give an environment this share, whatever its role.
    Share {
        to: Environment,
        share: Weight,
        gradual: bool,
        force: bool,
    },
}

impl ServiceCommand {
    /// # Errors
    /// The reason or the initiator is not a single line of text.
    pub fn new(call: Call, body: ActionBody, act: OperatorAction) -> Result<ServiceCommand, ApiError> {
        let call = call.because(input::why(body.reason, body.initiator)?);
        Ok(ServiceCommand { service: body.service, wanted: Wanted::Act(act), call })
    }

    /// # Errors
    /// The percentage is not a weight, or the reason is not a single line of text.
    pub fn shift(call: Call, shift: TrafficShift) -> Result<ServiceCommand, ApiError> {
        let TrafficShift { service, from_environment, to_environment, percentage, gradual, force, reason, initiator } =
            shift;
        let to = Environment::from(to_environment);
        if from_environment == Some(to_environment) {
            let message = format!("`from_environment` and `to_environment` are both {to}");
            return Err(ApiError::bad("same_environment", message, format!("shift from {} to {to}", to.other())));
        }
        // Exactly as sent: a weight that is only close to it is a different weight.
        let weight = Weight::from_percent(percentage).and_then(|weight| match weight.percent() == percentage {
            true => Ok(weight),
            false => Err("a weight has at most two decimals (steps of 0.01 percent)"),
        });
        let share =
            weight.map_err(|why| ApiError::bad("bad_field", format!("`percentage` is {percentage}: {why}"), ""))?;
        let call = call.because(input::why(reason, initiator)?);
        Ok(ServiceCommand { service, wanted: Wanted::Share { to, share, gradual, force }, call })
    }

    /// Carries it out, once per Idempotency-Key.
    ///
    /// # Errors
    /// There is no such service, or the state does not allow it.
    pub async fn carry_out(self, api: &Api) -> Result<Response, ApiError> {
        let every = self.service.as_deref() == Some(EVERY) && self.call.verb.info().scope == Scope::EveryService;
        let services = match every {
            true => api.services(),
            false => vec![api.service(self.service.as_deref())?],
        };
        let earlier = earlier(api, &self.call, services.clone(), every);
        let (sidecar, command, wanted) = (api.sidecar.clone(), self.clone(), services.clone());
        let work = async move { blocking(move || command.give(&sidecar, wanted, every)).await? };
        once(api, &self.call, earlier, work).await
    }

    fn give(&self, sidecar: &SidecarHandle, services: Vec<String>, every: bool) -> Result<StoredReply, ApiError> {
        if every {
            return self.give_each(sidecar, services);
        }
        let service = services.into_iter().next().unwrap_or_default();
        let done = self.give_one(sidecar, service)?;
        reply(&done, Some(done.generation))
    }

    /// To each service, whatever the others answer: in an emergency no service waits for another.
    fn give_each(&self, sidecar: &SidecarHandle, services: Vec<String>) -> Result<StoredReply, ApiError> {
        let shown = sidecar.status()?;
        if let Some(asked) = self.call.by.generation.filter(|asked| *asked != shown.generation) {
            return Err(RolloutError::Stale { asked, now: shown.generation }.into());
        }
        let Wanted::Act(act) = &self.wanted else { return Err(ApiError::internal("a share of every service")) };
        let command = |service: &String| self.command(service.clone(), None, act.clone());
        let answers = sidecar.commands(services.iter().map(command).collect())?;
        let mut all = ActionResults { action: self.call.action(), generation: shown.generation, results: Vec::new() };
        let mut first = None;
        for (service, answer) in services.into_iter().zip(answers) {
            let result = match answer {
                Ok(done) => {
                    all.generation = all.generation.max(done.generation);
                    let done = Some(self.done(service.clone(), done));
                    ServiceResult { service, done, error: None }
                }
                Err(refused) => {
                    let refused = ApiError::from(refused);
                    let error = Some(refused.body());
                    first.get_or_insert(refused);
                    ServiceResult { service, done: None, error }
                }
            };
            all.results.push(result);
        }
        match first {
            Some(refused) if all.results.iter().all(|result| result.done.is_none()) => Err(refused),
            _ => reply(&all, Some(all.generation)),
        }
    }

    fn command(&self, service: String, generation: Option<u64>, act: OperatorAction) -> OperatorCommand {
        OperatorCommand { service, by: Requester { generation, ..self.call.by.clone() }, act }
    }

    fn done(&self, service: String, done: CommandReceipt) -> ActionResult {
        let CommandReceipt { entry, generation, written: durable, weights } = done;
        let action = self.call.action();
        ActionResult { service, action, entry, generation, durable, ..ActionResult::default() }.weighed(weights)
    }

    fn give_one(&self, sidecar: &SidecarHandle, service: String) -> Result<ActionResult, ApiError> {
        let generation = self.call.by.generation;
        for last in (1..=TRIES).map(|try_| try_ == TRIES) {
            let (act, seen) = self.act(sidecar, &service)?;
            match sidecar.command(self.command(service.clone(), generation.or(seen), act))? {
                Ok(done) => return Ok(self.done(service, done)),
                Err(RolloutError::Stale { .. }) if generation.is_none() && !last => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(ApiError::conflict("busy", "the state keeps changing", "try again"))
    }

    /// The action, and the generation whose roles it is expressed in.
    fn act(&self, sidecar: &SidecarHandle, service: &str) -> Result<(OperatorAction, Option<u64>), ApiError> {
        let (to, share, gradual, force) = match &self.wanted {
            Wanted::Act(act) => return Ok((act.clone(), None)),
            Wanted::Share { to, share, gradual, force } => (*to, *share, *gradual, *force),
        };
        let shown = sidecar.status()?;
        let view = shown.services.iter().find(|view| view.service == service);
        let view = view.ok_or_else(|| RolloutError::NoSuchService(service.to_owned()))?;
        let weight = if view.active == to { share.rest() } else { share };
        Ok((OperatorAction::Shift { weight, gradual, force }, Some(shown.generation)))
    }
}

/// What the journal says was done under the key before this process started.
async fn earlier(api: &Api, call: &Call, services: Vec<String>, every: bool) -> Result<Option<StoredReply>, ApiError> {
    let Some(key) = call.by.key.clone() else { return Ok(None) };
    let since = Some(clock::wall_millis().saturating_sub(KEPT.0));
    let limit = services.len().max(1);
    let query =
        JournalQuery { key: Some(key), who: Some(call.by.who.clone()), since, limit, ..JournalQuery::default() };
    let mut entries: Vec<JournalEntry> = api.journal(move |reader| reader.page(&query)).await?.entries;
    entries.reverse();
    let Some(first) = entries.first() else { return Ok(None) };
    let kinds = call.verb.info().kinds;
    let meant = |entry: &JournalEntry| kinds.contains(&entry.change.kind) && services.contains(&entry.change.service);
    if !entries.iter().all(meant) {
        return Err(other_request());
    }
    let done = |entry: &JournalEntry| {
        let JournalEntry { change, .. } = entry;
        let (service, generation) = (change.service.clone(), change.generation);
        let (action, entry) = (call.action(), Some(change.id));
        ActionResult { service, action, entry, generation, durable: true, ..ActionResult::default() }
            .weighed(change.weights())
    };
    if !every {
        let done = done(first);
        return reply(&done, Some(done.generation)).map(Some);
    }
    let generation = entries.last().map_or(0, |entry| entry.change.generation);
    let result = |entry: &JournalEntry| {
        let done = done(entry);
        ServiceResult { service: done.service.clone(), done: Some(done), error: None }
    };
    let results = entries.iter().map(result).collect();
    reply(&ActionResults { action: call.action(), generation, results }, Some(generation)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::caller::Caller;
    use crate::admin::verb::{Role, Verb};
    use axum::http::HeaderMap;
    use serde_json::Value;
    use wire::Side;

    #[test]
    fn a_share_has_two_decimals_and_two_sides() {
        let ann = Caller { name: "ann".into(), role: Role::Operator, from: "127.0.0.1".into() };
        let shift = |percentage, from_environment| {
            let call = Call::new(&ann, Verb::TrafficShift, (&HeaderMap::new(), 1), &Value::Null).unwrap();
            let to_environment = Side::Green;
            let (service, gradual, reason, initiator) = (None, false, None, None);
            let shift = TrafficShift {
                service,
                from_environment,
                to_environment,
                percentage,
                gradual,
                force: false,
                reason,
                initiator,
            };
            ServiceCommand::shift(call, shift)
        };
        assert!(shift(0.07, Some(Side::Blue)).is_ok() && shift(100.0, None).is_ok());
        for wrong in [100.01, -0.01, 1.001, 1e-9, f64::NAN] {
            assert_eq!(shift(wrong, None).unwrap_err().code, "bad_field", "{wrong}");
        }
        assert_eq!(shift(1.0, Some(Side::Green)).unwrap_err().code, "same_environment");
    }
}
