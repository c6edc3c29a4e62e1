//! A notice: everything that a receiver of any kind is told. Its JSON is the `data` of the webhook, which
//! docs/src/notifications.md promises: keys are added, never renamed or removed.

use serde::Serialize;

use crate::evidence::{self, NoticeEvidence};
use judgement::hex;
use judgement::printable::visible;
use judgement::rollout::{Announcement, AnnouncementLevel, ChangeKind, ledger};
use judgement::time::rfc3339;
use judgement::traffic::Environment;
use judgement::traffic::split::Weight;
use memory::clock;
use sidecar::RecordedAnnouncement;
use sidecar::journal::JournalEntry;

/// The kind of a test message.
pub const TEST: &str = "test";

#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// Unique to the notice, and the same for every attempt and sink.
    #[serde(skip)]
    pub id: String,
    /// Milliseconds since 1970.
    #[serde(skip)]
    pub at: u64,
    pub level: AnnouncementLevel,
    pub service: String,
    pub kind: &'static str,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The number of its journal entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<Environment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<NoticeEvidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<NoticeLedger>,
    /// The command that explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
    /// The newest entry that was on the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestRecorded>,
}

/// An entry of the journal with its hash, which `cutover history --verify --holds HASH` finds, or not any more.
#[derive(Clone, Debug, Serialize)]
pub struct NewestRecorded {
    pub entry: u64,
    /// SHA-256 in hex.
    pub hash: String,
}

/// The change of the candidate's weight, in percent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WeightChange {
    pub before: f64,
    pub after: f64,
}

/// What the rollout has cost so far.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NoticeLedger {
    pub rollout: u32,
    pub requests: u64,
    pub left_by_clients: u64,
    pub waiting: u64,
    pub failed: u64,
    /// Those that active served instead, of those that it was asked to.
    pub rescued: u64,
    pub rescues_tried: u64,
    pub seen_by_clients: u64,
    pub turned_away: u64,
    /// All requests of the rollout have ended.
    pub closed: bool,
}

impl From<&ledger::RolloutLedger> for NoticeLedger {
    fn from(ledger: &ledger::RolloutLedger) -> NoticeLedger {
        let ledger::RolloutLedger { rollout, requests, left, waiting, failed, hurt, turned_away, closed, .. } = *ledger;
        let (rescued, rescues_tried) = (ledger.served_again(), ledger.rescued);
        let (left_by_clients, seen_by_clients) = (left, hurt);
        NoticeLedger {
            rollout,
            requests,
            left_by_clients,
            waiting,
            failed,
            rescued,
            rescues_tried,
            seen_by_clients,
            turned_away,
            closed,
        }
    }
}

/// The text of an announcement, as others may have it.
pub fn plain_text(announcement: &Announcement) -> String {
    // The lines of the file that a reload changed are what `cutover explain` is for.
    let is_reload = announcement.kind == ChangeKind::Reload;
    let text = announcement.text.lines().next().filter(|_| is_reload).unwrap_or(&announcement.text);
    visible(text).into_owned()
}

impl Notice {
    pub fn of(news: &RecordedAnnouncement) -> Notice {
        let announcement = &news.announcement;
        let entry = news.entry.as_deref();
        let at = entry.map_or_else(clock::wall_millis, |entry| entry.at);
        Notice {
            id: format!("msg_{at}_{}", announcement.entry),
            at,
            level: announcement.level,
            service: announcement.service.clone(),
            kind: announcement.kind.name(),
            text: plain_text(announcement),
            who: entry.map(|entry| visible(&entry.change.who).into_owned()),
            entry: Some(announcement.entry),
            generation: entry.map(|entry| entry.change.generation),
            active: entry.and_then(|entry| Some(entry.change.after.as_ref()?.active)),
            weight: entry.and_then(weight_change),
            evidence: entry.and_then(|entry| evidence::evidence(&entry.change)),
            ledger: entry.and_then(|entry| entry.change.ledger.as_ref()).map(NoticeLedger::from),
            explain: Some(format!("cutover explain {}", announcement.entry)),
            newest: news
                .newest
                .as_ref()
                .map(|newest| NewestRecorded { entry: newest.id, hash: hex::text(&newest.hash) }),
        }
    }

    /// What `cutover notify test` sends.
    pub fn test() -> Notice {
        let at = clock::wall_millis();
        Notice {
            id: format!("msg_{at}_{TEST}"),
            at,
            level: AnnouncementLevel::Info,
            service: TEST.to_owned(),
            kind: TEST,
            text: "This is a test notice from Cutover. Nothing has happened.".to_owned(),
            who: None,
            entry: None,
            generation: None,
            active: None,
            weight: None,
            evidence: None,
            ledger: None,
            explain: None,
            newest: None,
        }
    }

    pub fn level_name(&self) -> &'static str {
        match self.level {
            AnnouncementLevel::Info => "info",
            AnnouncementLevel::Warning => "warning",
            AnnouncementLevel::Critical => "critical",
        }
    }

    /// `critical: shop: rollback`
    pub fn title(&self) -> String {
        let (level, kind) = (self.level_name(), self.kind.replace('_', " "));
        // A reload is of no service.
        if self.service.is_empty() { format!("{level}: {kind}") } else { format!("{level}: {}: {kind}", self.service) }
    }

    /// The facts of the notice as names and values, for people.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(WeightChange { before, after }) = self.weight {
            let weight = if before == after { format!("{after} %") } else { format!("{before} % → {after} %") };
            facts.push(("weight", weight));
        }
        facts.extend(self.active.map(|active| ("active", active.name().to_owned())));
        facts.extend(self.who.clone().map(|who| ("by", who)));
        facts.extend(self.entry.map(|entry| ("entry", entry.to_string())));
        facts.extend(self.generation.map(|generation| ("generation", generation.to_string())));
        facts.push(("time", rfc3339(self.at)));
        facts
    }

    /// The evidence and the cost, a line each.
    pub fn account(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(NoticeEvidence { verdict, meters, triggers }) = &self.evidence {
            lines.push(format!("verdict: {verdict}"));
            lines.extend(meters.iter().chain(triggers).cloned());
        }
        if let Some(NoticeLedger { rollout, requests, failed, rescued, rescues_tried, seen_by_clients, .. }) =
            self.ledger
        {
            let rescues = ledger::rescues_in_words(rescued, rescues_tried);
            lines.push(format!(
                "rollout {rollout}: {requests} requests, {failed} failed, {rescues}, {seen_by_clients} seen by clients"
            ));
        }
        lines
    }
}

fn weight_change(entry: &JournalEntry) -> Option<WeightChange> {
    let after = entry.change.after.as_ref()?.weight;
    let before = entry.change.before.as_ref().map_or(after, |before| before.weight);
    let [before, after] = [before, after].map(Weight::percent);
    Some(WeightChange { before, after })
}

/// Shortens a text to at most `most` bytes, the ellipsis included.
pub fn truncated(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!((truncated("éé", 4), truncated("ééé", 5)), ("éé".to_owned(), "é…".to_owned()));
    }
}
