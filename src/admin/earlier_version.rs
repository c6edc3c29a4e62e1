//! `rollback` to a named version: by the rollback that there is if the version stands on the other side, and otherwise by
//! bringing it back to where the journal says that it was, past the steps of the plan.

use axum::response::Response;

use crate::admin::api::{Api, Call};
use crate::admin::changes::Change;
use crate::admin::commands::ServiceCommand;
use crate::admin::error::ApiError;
use crate::admin::input::why;
use crate::admin::overlay;
use judgement::rollout::release::{Release, RolloutPhase};
use judgement::rollout::view::ServiceView;
use judgement::rollout::{ChangeKind, DeployRequest, OperatorAction, share_a_url};
use sidecar::journal::{JournalEntry, JournalQuery};
use wire::{ActionBody, Rollback};

/// How many deploys back a version is looked for.
const DEPLOYS: usize = 200;

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
    let Some(view) = views.into_iter().next() else {
        return Err(judgement::rollout::RolloutError::NoSuchService(service).into());
    };
    if view.active.of(&view.versions).as_deref() == Some(version.as_str()) {
        let hint = "`cutover rollback` without a version ends a rollout that is under way";
        return Err(ApiError::conflict("already_active", format!("{version} is active in {service}"), hint));
    }
    if stands_on_the_other_side(&view, &version) {
        let body = ActionBody { service: Some(service), reason, initiator };
        return ServiceCommand::new(call, body, OperatorAction::Rollback)?.carry_out(api).await;
    }
    let query = JournalQuery {
        service: Some(service.clone()),
        kind: Some(ChangeKind::Deploy),
        limit: DEPLOYS,
        ..JournalQuery::default()
    };
    let page = api.journal(move |reader| reader.page(&query)).await?;
    let url = place_of(&version, page.entries.iter().filter_map(release_of))?;
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
    overlay::apply(api, call, Some(&service), Change::Deploy { deploy, origin: Some(url) }).await
}

/// Whether a plain rollback leads there: it was replaced by the version that is active now.
fn stands_on_the_other_side(view: &ServiceView, version: &str) -> bool {
    let is_promoted = view
        .rollout
        .as_ref()
        .is_some_and(|rollout| rollout.phase == RolloutPhase::Promoted && rollout.environment == view.active);
    is_promoted && view.candidate.of(&view.versions).as_deref() == Some(version)
}

fn release_of(entry: &JournalEntry) -> Option<&Release> {
    entry.change.after.as_ref()?.release.as_ref()
}

/// Where a version was deployed to, if nothing else has been deployed there since. `releases`: the newest first.
fn place_of<'a>(version: &str, releases: impl Iterator<Item = &'a Release>) -> Result<String, ApiError> {
    let mut later: Vec<(&str, &str)> = Vec::new();
    for release in releases {
        let (Some(name), Some(url)) = (&release.version, &release.url) else { continue };
        if name != version {
            later.push((name, url));
            continue;
        }
        let taken = later.iter().find(|(_, other)| share_a_url(url, other));
        return match taken {
            None => Ok(url.clone()),
            Some((other, _)) => {
                let message = format!("{version} was at {url}, where {other} has been deployed since");
                let hint = format!("start it elsewhere: `cutover deploy {version} --rescue --origin URL`");
                Err(ApiError::conflict("place_taken", message, hint))
            }
        };
    }
    let message = format!("{version} is not among the last {DEPLOYS} versions that were deployed");
    Err(ApiError::missing("no_such_version", message, "`cutover history --kind deploy` lists them"))
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
        let deploys = [
            release("1.2.0", "http://b.example/"),
            release("1.1.0", "http://c.example/"),
            release("1.0.0", "http://b.example/"),
            release("1.1.0", "http://b.example/"),
        ];
        let place = |version: &str| place_of(version, deploys.iter()).map_err(|error| error.message);
        assert_eq!(place("1.1.0").unwrap(), "http://c.example/");
        assert!(place("1.0.0").unwrap_err().contains("was at http://b.example/, where 1.2.0 has been deployed since"));
        assert!(place("0.9.0").unwrap_err().contains("is not among the last 200 versions"));
    }
}
