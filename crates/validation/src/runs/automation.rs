//! What is known of the suites that run by themselves, on a schedule or after a rollback: when each last ran, and
//! whether it fails. It is kept on disk, so that a restart neither begins an interval anew nor repeats what was said.
//!
//! Nobody watches such a run. That it begins to fail is said once, and once that it passes again, not at every run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::runs::Runs;
use judgement::rollout::{AnnouncementLevel, AuditRemark, ChangeKind};
use memory::clock;
use wire::{ExecutionState, ExecutionSummary};

/// All suites that run by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AutomationRecord(BTreeMap<String, SuiteAutomation>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SuiteAutomation {
    /// When it last began by schedule or, before that, was first seen, in milliseconds since 1970.
    #[serde(default)]
    last_ms: u64,
    /// The services for which it fails. Empty text: it cannot be run, and its service is not known.
    #[serde(default)]
    failing: BTreeSet<String>,
}

impl AutomationRecord {
    /// The suites that fail, with their services.
    pub fn failing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(suite, of)| of.failing.iter().map(|service| (suite.as_str(), service.as_str())))
    }
}

impl Runs {
    /// Whether a suite is due by schedule; if so, it counts as begun. The first time is one interval after it is first
    /// seen.
    pub(super) fn is_due(&self, suite: &str, every_ms: u64) -> bool {
        let now = clock::wall_millis();
        let mut record = self.0.automation.lock();
        let known = record.0.get(suite).map(|of| of.last_ms).filter(|last| *last > 0);
        // A clock that was set back begins the interval anew.
        let is_due = known.is_some_and(|last| now.saturating_sub(last) >= every_ms && last <= now);
        if is_due || known.is_none_or(|last| last > now) {
            record.0.entry(suite.to_owned()).or_default().last_ms = now;
            self.keep_automation(&record);
        }
        is_due
    }

    /// Forgets the suites that no longer run by themselves, and the figures of those that are gone.
    pub(super) fn forget_others(&self, automatic: &BTreeSet<&str>, is_there: impl Fn(&str) -> bool) {
        let mut record = self.0.automation.lock();
        let before = record.0.len();
        record.0.retain(|suite, _| automatic.contains(suite.as_str()));
        if record.0.len() != before {
            self.keep_automation(&record);
        }
        self.0.counters.retain_suites(|suite, gauges| {
            if !automatic.contains(suite) {
                gauges.failing = None;
            }
            is_there(suite)
        });
    }

    /// Whether anything is known of a suite that ran by itself.
    pub(super) fn has_run_by_itself(&self, suite: &str) -> bool {
        self.0.automation.lock().0.contains_key(suite)
    }

    /// The end of a run that began by itself.
    pub(super) fn ended_by_itself(&self, summary: &ExecutionSummary) {
        let ExecutionSummary { suite, service, id, verdict, .. } = summary;
        match summary.state {
            ExecutionState::Passed => self.passes(suite, service, id),
            ExecutionState::Failed | ExecutionState::Interrupted => {
                self.fails(suite, service, &format!("{verdict} (run {id})"));
            }
            // A person knows, and so does who ended the process.
            ExecutionState::Cancelled | ExecutionState::Queued | ExecutionState::Running => {}
        }
    }

    /// A suite that runs by itself failed or could not be started.
    pub(super) fn fails(&self, suite: &str, service: &str, why: &str) {
        let mut record = self.0.automation.lock();
        let failing = &mut record.0.entry(suite.to_owned()).or_default().failing;
        self.0.counters.suite(suite, service, |gauges| gauges.failing = Some(true));
        let said = format!("suite {suite}, which runs by itself, fails: {why}");
        if !failing.contains(service) && self.announce(ChangeKind::ValidationFailed, service, said) {
            failing.insert(service.to_owned());
            self.keep_automation(&record);
        }
    }

    fn passes(&self, suite: &str, service: &str, run: &str) {
        let mut record = self.0.automation.lock();
        self.0.counters.suite(suite, service, |gauges| gauges.failing = Some(false));
        let Some(failing) = record.0.get_mut(suite).map(|of| &mut of.failing) else { return };
        if !failing.contains(service) && !failing.contains("") {
            return;
        }
        if self.announce(ChangeKind::ValidationPassed, service, format!("suite {suite} passes again (run {run})")) {
            failing.remove(service);
            if failing.remove("") {
                self.0.counters.suite(suite, "", |gauges| gauges.failing = Some(false));
            }
            self.keep_automation(&record);
        }
    }

    /// Whether there was room for it; if not, it is said after the next run.
    fn announce(&self, kind: ChangeKind, service: &str, why: String) -> bool {
        let announced = match kind {
            ChangeKind::ValidationFailed => AnnouncementLevel::Warning,
            _ => AnnouncementLevel::Info,
        };
        let (service, who, announced) = (service.to_owned(), "schedule".to_owned(), Some(announced));
        self.0.sidecar.remark(AuditRemark { kind, service, who, from: None, why, announced })
    }

    fn keep_automation(&self, record: &AutomationRecord) {
        if let Err(why) = self.0.store.keep_automation(record) {
            tracing::warn!(why, "cannot save when suites last ran: after a restart, their intervals begin anew");
        }
    }
}
