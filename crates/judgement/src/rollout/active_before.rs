//! What active did before the candidate got all of the traffic, as it is stored: a restart goes on judging by it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::guard::evidence::remembered::{RememberedActive, RememberedRecord, STANDS};
use crate::time::Millis;

/// The form of [`ActiveBefore`] that this version writes.
const FORM: u32 = 1;
/// Of so many routes at most it is stored: it is written with every change of the service.
const MOST_ROUTES: usize = 32;

/// By what a candidate is judged that has all of the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveBefore {
    form: u32,
    /// The rollout that it is for.
    rollout: u32,
    /// What counted as a failure then: see [`LoadedService`](crate::rollout::LoadedService).
    failure_rules: u64,
    /// When the candidate got all of it, in milliseconds since 1970.
    at: u64,
    /// Of the whole service, if enough was known.
    whole: Option<RememberedRecord>,
    /// Of the routes of which enough was known, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    routes: BTreeMap<String, RememberedRecord>,
}

/// Reads it; `None` for the form of another version, which is no reason to refuse the state.
///
/// # Errors
/// It is not JSON.
pub fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ActiveBefore>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Known(ActiveBefore),
        Other(IgnoredAny),
    }
    Ok(match Stored::deserialize(from)? {
        Stored::Known(before) if before.form == FORM => Some(before),
        Stored::Known(_) | Stored::Other(_) => None,
    })
}

impl ActiveBefore {
    /// What is known at `at`, in milliseconds since 1970: by the names of the routes, or of the whole service. `None` if
    /// nothing is.
    pub fn new<'a>(
        (rollout, failure_rules): (u32, u64),
        at: u64,
        known: impl Iterator<Item = (Option<&'a String>, &'a RememberedActive)>,
    ) -> Option<ActiveBefore> {
        let mut whole = None;
        let mut routes = BTreeMap::new();
        for (route, before) in known {
            match route {
                None => whole = Some(before.record()),
                Some(name) if routes.len() < MOST_ROUTES => drop(routes.insert(name.clone(), before.record())),
                Some(_) => {}
            }
        }
        let is_any = whole.is_some() || !routes.is_empty();
        is_any.then_some(ActiveBefore { form: FORM, rollout, failure_rules, at, whole, routes })
    }

    /// How long it still stands at `wall`, in milliseconds since 1970; zero if it is about another rollout, or if something
    /// else counted as a failure then.
    pub fn stands(&self, (rollout, failure_rules): (u32, u64), wall: u64) -> Millis {
        let fits = (self.rollout, self.failure_rules) == (rollout, failure_rules);
        if fits { STANDS.since(Millis(wall.saturating_sub(self.at))) } else { Millis::ZERO }
    }

    /// The rollout that it is for.
    pub const fn rollout(&self) -> u32 {
        self.rollout
    }

    /// What is known of the whole service, or of a route.
    pub fn of(&self, route: Option<&str>) -> Option<RememberedActive> {
        let record = match route {
            None => self.whole.as_ref(),
            Some(name) => self.routes.get(name),
        };
        record.map(RememberedActive::of_record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{DurableState, RequestedSplit};
    use crate::traffic::Environment;
    use crate::traffic::split::Weight;

    #[test]
    fn a_state_without_it_or_with_one_of_another_version_still_loads() {
        let asked = RequestedSplit { active: Environment::Blue, weight: Weight::ZERO };
        let state = DurableState::new(asked);
        let text = serde_json::to_string(&state).unwrap();
        assert!(!text.contains("before"), "{text}");
        let with = |before: &str| {
            let text = format!("{},\"before\":{before}}}", text.strip_suffix('}').unwrap());
            serde_json::from_str::<DurableState>(&text).unwrap().before
        };
        let own = r#"{"form":1,"rollout":3,"failure_rules":18446744073709551615,"at":7,"whole":null}"#;
        assert_eq!(with(own).as_ref().map(ActiveBefore::rollout), Some(3));
        for other in ["null", "7", "{}", r#"{"form":2,"more":[1.5,{"a":null}]}"#, &own.replace("1,", "9,")] {
            assert_eq!(with(other), None, "{other}");
        }
    }
}
