//! Which PagerDuty incidents are open, by service. The next good news of a service resolves them.

use std::collections::{BTreeMap, BTreeSet};

use judgement::rollout::{Announcement, ChangeKind};

/// What an earlier process may have left open. Resolving an incident that is not open does nothing.
const LEFT_OPEN: [ChangeKind; 4] = [ChangeKind::Rollback, ChangeKind::SharedFate, ChangeKind::Pause, ChangeKind::Stop];

#[derive(Debug, Default)]
pub struct OpenIncidents {
    open: BTreeMap<String, BTreeSet<&'static str>>,
}

impl OpenIncidents {
    fn of(&mut self, service: &str) -> &mut BTreeSet<&'static str> {
        let open = || LEFT_OPEN.into_iter().map(ChangeKind::name).collect();
        self.open.entry(service.to_owned()).or_insert_with(open)
    }

    /// Whether an announcement can begin an incident: nothing ends one that is of no service.
    pub const fn takes(news: &Announcement) -> bool {
        !news.service.is_empty()
    }

    pub fn begin(&mut self, news: &Announcement) {
        self.of(&news.service).insert(news.kind.name());
    }

    /// The kinds of incidents that this announcement resolves; `None` if it is not good news, and may begin one.
    pub fn ended_by(&mut self, news: &Announcement) -> Option<BTreeSet<&'static str>> {
        let only = |kind: ChangeKind| Some(BTreeSet::from([kind.name()]));
        let of_kind = match news.kind {
            ChangeKind::Promote | ChangeKind::Watched | ChangeKind::Clear => None,
            ChangeKind::Resume => only(ChangeKind::Pause),
            ChangeKind::CautionOver => only(ChangeKind::Caution),
            ChangeKind::SharedFateOver => only(ChangeKind::SharedFate),
            ChangeKind::ActiveBrokenOver => only(ChangeKind::ActiveBroken),
            ChangeKind::SampleRatioOver => only(ChangeKind::SampleRatio),
            ChangeKind::RollbackDropped => only(ChangeKind::RollbackHeld),
            // The step that was waited for.
            ChangeKind::Step => only(ChangeKind::Waiting),
            ChangeKind::FlappingOver => only(ChangeKind::Flapping),
            ChangeKind::ValidationPassed => only(ChangeKind::ValidationFailed),
            _ => return None,
        };
        let open = self.of(&news.service);
        let ended = of_kind.map_or_else(|| open.clone(), |kinds| open.intersection(&kinds).copied().collect());
        open.retain(|kind| !ended.contains(kind));
        Some(ended)
    }
}

/// The dedup key of a service and a kind, by which an incident is begun and resolved.
pub fn key(service: &str, kind: &str) -> String {
    /// PagerDuty's limit.
    const LONGEST: usize = 255;
    let mut key = format!("cutover/{service}");
    key.truncate(key.floor_char_boundary(LONGEST - 1 - kind.len()));
    format!("{key}/{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use judgement::rollout::AnnouncementLevel;

    fn news(kind: ChangeKind) -> Announcement {
        Announcement { level: AnnouncementLevel::Info, service: "shop".into(), kind, text: String::new(), entry: 1 }
    }

    #[test]
    fn good_news_end_what_is_open_and_nothing_twice() {
        let mut incidents = OpenIncidents::default();
        assert_eq!(incidents.ended_by(&news(ChangeKind::Rollback)), None);
        incidents.begin(&news(ChangeKind::Warning));
        let all = incidents.ended_by(&news(ChangeKind::Promote)).unwrap();
        assert_eq!(all, BTreeSet::from(["pause", "rollback", "shared_fate", "stop", "warning"]));
        incidents.begin(&news(ChangeKind::Rollback));
        incidents.begin(&news(ChangeKind::Pause));
        assert_eq!(incidents.ended_by(&news(ChangeKind::Resume)).unwrap(), BTreeSet::from(["pause"]));
        assert_eq!(incidents.ended_by(&news(ChangeKind::Clear)).unwrap(), BTreeSet::from(["rollback"]));
        assert_eq!(incidents.ended_by(&news(ChangeKind::Watched)).unwrap(), BTreeSet::new());
    }

    #[test]
    fn keys_are_never_too_long() {
        assert_eq!(key("shop", "rollback"), "cutover/shop/rollback");
        let long = key(&"é".repeat(300), "shared_fate");
        assert!(long.len() <= 255 && long.ends_with("/shared_fate"));
    }
}
