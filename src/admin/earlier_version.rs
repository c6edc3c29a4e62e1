//! `rollback` to a named version: by the rollback that there is if the version stands on the other side, and otherwise by
//! bringing it back to where the journal says that it was, past the steps of the plan.

use axum::response::Response;

use crate::admin::api::{Api, Call};
use crate::admin::changes::Change;
use crate::admin::commands::ServiceCommand;
use crate::admin::error::ApiError;
use crate::admin::input::why;
use crate::admin::overlay;
use crate::admin::traffic::name_versions;
use judgement::rollout::release::{Release, RolloutPhase};
use judgement::rollout::view::ServiceView;
use judgement::rollout::{ChangeKind, DeployRequest, OperatorAction, share_a_url};
use sidecar::journal::{JournalEntry, JournalQuery};
use wire::{ActionBody, Rollback};

/// How many promotions back a version is looked for.
const PROMOTIONS: usize = 200;

/// Rolls back: to the side that was replaced, or to the version that is named.
///
/// # Errors
/// There is no such service or version, the version is active already or its place taken, or the state does not allow it.
pub async fn roll_back(api: &Api, call: Call, rollback: Rollback) -> Result<Response, ApiError> {
    let Rollback { service, to, reason, initiator } = rollback;
    let Some(version) = to else {
        let body = ActionBody { service, reason, initiator };
        return ServiceCommand::new(call, body, OperatorAction::Rollback)?.carry_out(api).await;
    };
    let service = api.service(service.as_deref())?;
    let (_, views) = api.views(Some(&service)).await?;
    let Some(mut view) = views.into_iter().next() else {
        return Err(judgement::rollout::RolloutError::NoSuchService(service).into());
    };
    let snapshot = api.published.load();
    snapshot.services.iter().filter(|serving| serving.name == service).for_each(|it| name_versions(it, &mut view));
    if let Some(refused) = stands_already(&view, &version) {
        return Err(refused);
    }
    if stands_on_the_other_side(&view, &version) {
        let body = ActionBody { service: Some(service), reason, initiator };
        return ServiceCommand::new(call, body, OperatorAction::Rollback)?.carry_out(api).await;
    }
    let query = |kind| JournalQuery {
        service: Some(service.clone()),
        kind: Some(kind),
        limit: PROMOTIONS,
        ..JournalQuery::default()
    };
    let (promoted, deployed) = (query(ChangeKind::Promote), query(ChangeKind::Deploy));
    let pages = api.journal(move |reader| Ok((reader.page(&promoted)?, reader.page(&deployed)?))).await?;
    let [promoted, deployed] = [&pages.0, &pages.1].map(|page| page.entries.iter().filter_map(release_of));
    let url = place_of(&version, promoted, deployed)?;
    let call = call.because(why(reason, initiator)?);
    let deploy = DeployRequest {
        version,
        functions: Vec::new(),
        origin: None,
        force: false,
        replace: true,
        rescue: true,
        // Rollbacks happen in a freeze too.
        pass_freeze: true,
    };
    overlay::apply(api, call, Some(&service), Change::Deploy { deploy, origin: Some(url), checked: true }).await
}

/// Why it need not or must not be brought back: it is active, or on its way.
fn stands_already(view: &ServiceView, version: &str) -> Option<ApiError> {
    let service = &view.service;
    if view.active.of(&view.versions).as_deref() == Some(version) {
        let hint = "`cutover rollback` without a version ends a rollout that is under way";
        return Some(ApiError::conflict("already_active", format!("{version} is active in {service}"), hint));
    }
    let rollout = view.rollout.as_ref().filter(|rollout| rollout.phase.is_under_way())?;
    (rollout.version.as_deref() == Some(version)).then(|| {
        let message = format!("{version} is being rolled out in {service}");
        ApiError::conflict(
            "under_way",
            message,
            "`cutover promote` ends its rollout at once, `cutover abort` takes it back",
        )
    })
}

/// Whether a plain rollback leads there: it was replaced by the version that is active now.
fn stands_on_the_other_side(view: &ServiceView, version: &str) -> bool {
    let is_promoted = view
        .rollout
        .as_ref()
        .is_some_and(|rollout| rollout.phase == RolloutPhase::Promoted && rollout.environment == view.active);
    is_promoted && view.candidate.of(&view.versions).as_deref() == Some(version)
}

fn release_of(entry: &JournalEntry) -> Option<(u64, &Release)> {
    Some((entry.change.id, entry.change.after.as_ref()?.release.as_ref()?))
}

/// Where a version was when it was promoted, if nothing else has been deployed there since. Entries of the journal, the newest
/// first. One that never had all of the traffic is no way back.
fn place_of<'a>(
    version: &str,
    mut promoted: impl Iterator<Item = (u64, &'a Release)>,
    deployed: impl Iterator<Item = (u64, &'a Release)>,
) -> Result<String, ApiError> {
    let found = promoted.find(|(_, release)| release.version.as_deref() == Some(version));
    let Some((at, Some(url))) = found.map(|(at, release)| (at, release.url.as_ref())) else {
        let message = format!("`{version}` is not among the last {PROMOTIONS} versions that were promoted");
        return Err(ApiError::missing("no_such_version", message, "`cutover history --kind promote` lists them"));
    };
    let is_other = |release: &Release| release.version.as_deref() != Some(version);
    let is_there = |release: &Release| release.url.as_ref().is_some_and(|other| share_a_url(url, other));
    let mut later = deployed.take_while(|(id, _)| *id > at).map(|(_, release)| release);
    match later.find(|release| is_other(release) && is_there(release)) {
        None => Ok(url.clone()),
        Some(other) => {
            let other = other.version.as_deref().unwrap_or("another version");
            let message = format!("{version} was at {url}, where {other} has been deployed since");
            let hint = format!("start it elsewhere: `cutover deploy {version} --rescue --origin URL`");
            Err(ApiError::conflict("place_taken", message, hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::rollout::plan::RolloutPlan;
    use judgement::traffic::Environment;

    fn release(version: &str, url: &str) -> Release {
        let begun = Release::begin(RolloutPlan::standard(), Environment::Green, "admin".into(), 0);
        Release { version: Some(version.to_owned()), url: Some(url.to_owned()), ..begun }
    }

    #[test]
    fn a_version_is_where_it_was_deployed_last_unless_another_one_is_there_now() {
        let all = [
            release("1.2.0", "http://b.example/"),
            release("1.1.0", "http://c.example/"),
            release("1.0.0", "http://b.example/"),
            release("1.1.0", "http://b.example/"),
            release("0.9.0", "http://d.example/"),
        ];
        // The last one was never promoted.
        let entries =
            |many: usize, first: u64| all.iter().take(many).zip(0..).map(move |(one, at)| (first - 10 * at, one));
        let place = |version: &str| place_of(version, entries(4, 105), entries(5, 100)).map_err(|error| error.message);
        assert_eq!(place("1.1.0").unwrap(), "http://c.example/");
        assert!(place("1.0.0").unwrap_err().contains("was at http://b.example/, where 1.2.0 has been deployed since"));
        assert!(place("0.9.0").unwrap_err().contains("is not among the last 200 versions that were promoted"));
    }
}
