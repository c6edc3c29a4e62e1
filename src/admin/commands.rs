//! Orders: what a body asks of the sidecar, given to it for one service or for every one.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::admin::api::{Api, Asking, blocking, once, other_request, reply};
use crate::admin::caller::Caller;
use crate::admin::error::ApiError;
use crate::admin::idempotency::{KEPT, StoredReply};
use crate::admin::role::Verb;
use judgement::rollout::{ChangeKind, OperatorAction, OperatorCommand, RolloutError};
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::clock;
use sidecar::journal::{JournalEntry, JournalQuery};
use sidecar::{CommandReceipt, SidecarHandle};
use wire;

/// The word for every service.
const EVERY: &str = "*";
/// The roles may swap while a share is being put in terms of them: so often it is put anew.
const TRIES: usize = 3;

/// What is asked of the sidecar.
#[derive(Clone, Debug)]
pub struct Order {
    pub action: &'static str,
    pub service: Option<String>,
    pub wanted: Wanted,
    pub why: String,
    pub needs: Verb,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    Act(OperatorAction),
    /// This share to an environment, whatever its role.
    Share {
        to: Environment,
        share: Weight,
        gradual: bool,
    },
}

impl Order {
    pub fn new(
        action: &'static str,
        needs: Verb,
        plain: wire::ActionBody,
        act: OperatorAction,
    ) -> Result<Order, ApiError> {
        let why = super::input::why(plain.reason, plain.initiator)?;
        Ok(Order { action, service: plain.service, wanted: Wanted::Act(act), why, needs })
    }

    /// Whether it may be given to every service at once.
    fn takes_every(&self) -> bool {
        matches!(self.action, "emergency_stop" | "emergency_clear" | "freeze" | "unfreeze")
    }

    /// The kinds of entries that it makes.
    fn kinds(&self) -> &'static [ChangeKind] {
        match &self.wanted {
            Wanted::Share { .. } | Wanted::Act(OperatorAction::Shift { .. }) => &[ChangeKind::Shift, ChangeKind::Abort],
            Wanted::Act(act) => match act {
                OperatorAction::Deploy(_) => &[ChangeKind::Deploy],
                OperatorAction::Shift { .. } => &[ChangeKind::Shift],
                OperatorAction::Pause => &[ChangeKind::Pause],
                OperatorAction::Resume => &[ChangeKind::Resume],
                OperatorAction::Approve => &[ChangeKind::Approve],
                OperatorAction::Promote => &[ChangeKind::Promote],
                OperatorAction::Abort => &[ChangeKind::Abort],
                OperatorAction::Rollback => &[ChangeKind::Rollback],
                OperatorAction::Stop => &[ChangeKind::Stop],
                OperatorAction::Clear => &[ChangeKind::Clear],
                OperatorAction::Freeze { .. } => &[ChangeKind::Freeze],
                OperatorAction::Unfreeze => &[ChangeKind::Unfreeze],
                OperatorAction::Monitoring(_) => &[ChangeKind::Monitoring],
                OperatorAction::Alerting(_) => &[ChangeKind::Alerting],
                OperatorAction::Overlay(_) => &[ChangeKind::Overlay],
            },
        }
    }

    /// Carries it out, once for an Idempotency-Key.
    ///
    /// # Errors
    /// The caller may not, or the state does not take it.
    pub async fn carry_out(
        self,
        api: &Api,
        caller: &Caller,
        headers: &HeaderMap,
        what: (&str, &Value),
    ) -> Result<Response, ApiError> {
        let asking = Asking::new(caller, self.needs, headers)?;
        let every = self.service.as_deref() == Some(EVERY) && self.takes_every();
        let services = match every {
            true => api.services(),
            false => vec![api.service(self.service.as_deref())?],
        };
        let earlier = earlier(api, &asking, &self, services.clone(), every);
        let (sidecar, given) = (api.sidecar.clone(), asking.clone());
        let (order, wanted) = (self.clone(), services.clone());
        let work = async move { blocking(move || order.give(&sidecar, &given, wanted, every)).await? };
        once(api, &asking, what, earlier, work).await
    }

    fn give(
        &self,
        sidecar: &SidecarHandle,
        asking: &Asking,
        services: Vec<String>,
        every: bool,
    ) -> Result<StoredReply, ApiError> {
        if every {
            return self.give_each(sidecar, asking, services);
        }
        let service = services.into_iter().next().unwrap_or_default();
        let done = self.give_one(sidecar, asking, service, asking.generation)?;
        reply(&done, Some(done.generation))
    }

    /// To each service, whatever the others say: in an emergency no service waits for another.
    fn give_each(
        &self,
        sidecar: &SidecarHandle,
        asking: &Asking,
        services: Vec<String>,
    ) -> Result<StoredReply, ApiError> {
        let shown = sidecar.status()?;
        if let Some(asked) = asking.generation.filter(|asked| *asked != shown.generation) {
            return Err(RolloutError::Stale { asked, now: shown.generation }.into());
        }
        let Wanted::Act(act) = &self.wanted else { return Err(ApiError::internal("a share of every service")) };
        let command = |service: &String| self.command(asking, service.clone(), None, act.clone());
        let answers = sidecar.commands(services.iter().map(command).collect())?;
        let action = self.action.to_owned();
        let mut all = wire::ActionResults { action, generation: shown.generation, results: Vec::new() };
        let mut first = None;
        for (service, answer) in services.into_iter().zip(answers) {
            let result = match answer {
                Ok(done) => {
                    all.generation = all.generation.max(done.generation);
                    let done = Some(self.done(service.clone(), done));
                    wire::ServiceResult { service, done, error: None }
                }
                Err(refused) => {
                    let failure = ApiError::from(refused);
                    let error = Some(failure.problem());
                    first.get_or_insert(failure);
                    wire::ServiceResult { service, done: None, error }
                }
            };
            all.results.push(result);
        }
        match first {
            Some(failure) if all.results.iter().all(|result| result.done.is_none()) => Err(failure),
            _ => reply(&all, Some(all.generation)),
        }
    }

    fn command(
        &self,
        asking: &Asking,
        service: String,
        generation: Option<u64>,
        act: OperatorAction,
    ) -> OperatorCommand {
        let Asking { who, from, key, .. } = asking.clone();
        OperatorCommand { service, who, from, key, why: self.why.clone(), generation, act }
    }

    fn done(&self, service: String, done: CommandReceipt) -> wire::ActionResult {
        let CommandReceipt { entry, generation, written } = done;
        wire::ActionResult { service, action: self.action.to_owned(), entry, generation, durable: written }
    }

    fn give_one(
        &self,
        sidecar: &SidecarHandle,
        asking: &Asking,
        service: String,
        generation: Option<u64>,
    ) -> Result<wire::ActionResult, ApiError> {
        for last in (1..=TRIES).map(|try_| try_ == TRIES) {
            let (act, seen) = self.act(sidecar, &service)?;
            match sidecar.command(self.command(asking, service.clone(), generation.or(seen), act))? {
                Ok(done) => return Ok(self.done(service, done)),
                Err(RolloutError::Stale { .. }) if generation.is_none() && !last => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(ApiError::of(StatusCode::CONFLICT, "busy", "the state changes too fast", "ask again"))
    }

    /// The act, and the generation whose roles it is in terms of.
    fn act(&self, sidecar: &SidecarHandle, service: &str) -> Result<(OperatorAction, Option<u64>), ApiError> {
        let (to, share, gradual) = match &self.wanted {
            Wanted::Act(act) => return Ok((act.clone(), None)),
            Wanted::Share { to, share, gradual } => (*to, *share, *gradual),
        };
        let shown = sidecar.status()?;
        let view = shown.services.iter().find(|view| view.service == service);
        let view = view.ok_or_else(|| RolloutError::NoSuchService(service.to_owned()))?;
        let weight = if view.active == to { share.rest() } else { share };
        Ok((OperatorAction::Shift { weight, gradual }, Some(shown.generation)))
    }
}

/// What the journal says was done under the key, before this process was.
async fn earlier(
    api: &Api,
    asking: &Asking,
    order: &Order,
    services: Vec<String>,
    every: bool,
) -> Result<Option<StoredReply>, ApiError> {
    let Some(key) = asking.key.clone() else { return Ok(None) };
    let since = Some(clock::wall_millis().saturating_sub(KEPT.0));
    let limit = services.len().max(1);
    let query = JournalQuery { key: Some(key), who: Some(asking.who.clone()), since, limit, ..JournalQuery::default() };
    let mut entries: Vec<JournalEntry> = api.journal(move |reader| reader.page(&query)).await?.entries;
    entries.reverse();
    let Some(first) = entries.first() else { return Ok(None) };
    let meant =
        |entry: &JournalEntry| order.kinds().contains(&entry.change.kind) && services.contains(&entry.change.service);
    if !entries.iter().all(meant) {
        return Err(other_request());
    }
    let done = |entry: &JournalEntry| wire::ActionResult {
        service: entry.change.service.clone(),
        action: order.action.to_owned(),
        entry: Some(entry.change.id),
        generation: entry.change.generation,
        durable: true,
    };
    if !every {
        let done = done(first);
        return reply(&done, Some(done.generation)).map(Some);
    }
    let generation = entries.last().map_or(0, |entry| entry.change.generation);
    let result = |entry: &JournalEntry| {
        let done = done(entry);
        wire::ServiceResult { service: done.service.clone(), done: Some(done), error: None }
    };
    let results = entries.iter().map(result).collect();
    reply(&wire::ActionResults { action: order.action.to_owned(), generation, results }, Some(generation)).map(Some)
}
