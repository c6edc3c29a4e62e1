//! What health checks change: which sides are up, and whether a new side is rolled back. Not durable: checks find out
//! again.

use crate::rollout::held_rollback::RollbackGround;
use crate::rollout::journal_entries::{ChangeNote, Component, told};
use crate::rollout::release::Release;
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::{AnnouncementLevel, ChangeKind, DurableState, Effect, JournalChange};
use crate::traffic::Environment;

impl ServiceUpdate<'_> {
    /// `quiet`: the change is in force, and told nobody.
    pub(super) fn checked(
        &mut self,
        side: Environment,
        up: bool,
        why: &str,
        (rollback, quiet): (bool, bool),
    ) -> Vec<Effect> {
        let service = &mut *self.state;
        let is_active = service.durable.active == side;
        let place = side.of_mut(&mut service.up);
        let changed = std::mem::replace(place, up) != up;
        *side.of_mut(&mut service.failing) = rollback || !up;
        let other_is_up = *side.other().of(&service.up);
        let mut effects = Vec::new();
        if changed {
            self.sequence.generation += 1;
            effects.push(Effect::Publish);
        }
        if changed && !quiet {
            let role = if is_active { "active" } else { "the candidate" };
            let said = match up {
                true => format!("{side}, {role}, is up again: {why}"),
                false => format!("{side}, {role}, is down: {why}"),
            };
            let level = match (up, is_active) {
                (true, _) => AnnouncementLevel::Info,
                (false, true) => AnnouncementLevel::Critical,
                (false, false) => AnnouncementLevel::Warning,
            };
            let change = self.change(ChangeNote::by(Component::Health, ChangeKind::Health, said), None);
            // This is not part of the durable state.
            effects.extend(told(level, JournalChange { after: None, ..change }));
        }
        // If both sides are down they share a fault, and rolling back gains nothing.
        if rollback && other_is_up && is_on_trial(&self.state.durable, side) {
            let note = ChangeNote::by(Component::Health, ChangeKind::Rollback, format!("{side} is down: {why}"));
            effects.extend(self.roll_back_safely(note, RollbackGround::Down));
        }
        effects
    }
}

/// Whether clients reach the new side, or it was promoted and is still being watched.
fn is_on_trial(durable: &DurableState, side: Environment) -> bool {
    let live = durable.release.as_ref().is_some_and(Release::is_live);
    durable.subject() == side && (live || !durable.weight.is_zero() || durable.is_watching())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::{Event, LoadedService, SplitRequest, State};
    use crate::time::Millis;
    use crate::traffic::split::Weight;

    fn started(percent: f64) -> State {
        let mut state = State::default();
        let loaded = LoadedService {
            ask: SplitRequest { active: None, weight: Weight::from_percent(percent).ok() },
            ..LoadedService::standard("shop")
        };
        state.apply(Event::Loaded(vec![loaded]), Millis(0)).unwrap();
        state
    }

    fn told(
        state: &mut State,
        environment: Environment,
        up: bool,
        rollback: bool,
    ) -> Vec<(ChangeKind, AnnouncementLevel)> {
        let (service, why) = ("shop".to_owned(), "check home: 10.0.0.1:80 answers 503".to_owned());
        let event = Event::Health { service: service.clone(), environment, up, why, rollback, quiet: false };
        let mut effects = state.apply(event, Millis(5)).unwrap();
        // The other side is asked, and answers.
        let asked = |effect: &Effect| if let Effect::Probe(asked) = effect { Some(asked.number) } else { None };
        if let Some(number) = effects.iter().find_map(asked) {
            effects
                .extend(state.apply(Event::Probed { service, number, result: Ok(String::new()) }, Millis(6)).unwrap());
        }
        let news = effects.into_iter().filter_map(|effect| match effect {
            Effect::Announce(news) => Some((news.kind, news.level)),
            _ => None,
        });
        news.collect()
    }

    #[test]
    fn who_is_up_is_in_the_split_and_said_once() {
        let mut state = started(10.0);
        assert_eq!(state.split("shop").unwrap().up, [true; 2]);
        assert_eq!(
            told(&mut state, Environment::Green, false, false),
            [(ChangeKind::Health, AnnouncementLevel::Warning)]
        );
        assert_eq!(state.split("shop").unwrap().up, [true, false]);
        assert_eq!(told(&mut state, Environment::Green, false, false), []);
        assert_eq!(
            told(&mut state, Environment::Blue, false, false),
            [(ChangeKind::Health, AnnouncementLevel::Critical)]
        );
        assert_eq!(told(&mut state, Environment::Green, true, false), [(ChangeKind::Health, AnnouncementLevel::Info)]);
        assert_eq!(state.split("shop").unwrap().up, [false, true]);
        assert_eq!(state.split("shop").unwrap().weight, Weight::from_percent(10.0).unwrap());
    }

    #[test]
    fn a_quiet_change_is_in_force_and_told_nobody() {
        let mut state = started(10.0);
        let quietly = |up: bool| Event::Health {
            service: "shop".to_owned(),
            environment: Environment::Green,
            up,
            why: String::new(),
            rollback: false,
            quiet: true,
        };
        for up in [false, true] {
            let effects = state.apply(quietly(up), Millis(5)).unwrap();
            assert!(matches!(effects.as_slice(), [Effect::Publish]), "{effects:?}");
            assert_eq!(state.split("shop").unwrap().up, [true, up]);
        }
    }

    #[test]
    fn only_a_side_on_trial_is_taken_back_and_only_where_the_other_is_up() {
        let health = (ChangeKind::Health, AnnouncementLevel::Warning);
        let rollback = (ChangeKind::Rollback, AnnouncementLevel::Critical);
        assert_eq!(told(&mut started(10.0), Environment::Green, false, true), [health, rollback]);
        assert_eq!(told(&mut started(10.0), Environment::Green, true, true), [rollback], "a check that ejects nobody");
        assert_eq!(told(&mut started(0.0), Environment::Green, false, true), [health], "nobody meets it");
        assert_eq!(
            told(&mut started(10.0), Environment::Blue, false, true),
            [(ChangeKind::Health, AnnouncementLevel::Critical)]
        );
        let mut both = started(10.0);
        told(&mut both, Environment::Blue, false, false);
        assert_eq!(told(&mut both, Environment::Green, false, true), [health], "they share a fault");
    }
}
