//! Placeholder while parts come together.
use crate::config::suite::Suite;
use crate::validate::reach::Reach;
use crate::validate::told::Told;
use crate::wire::{Part, RunTarget};
use std::collections::BTreeMap;
use tokio::sync::mpsc::UnboundedSender;
pub struct Stage<'s> {
    suite: &'s Suite,
}
impl<'s> Stage<'s> {
    pub fn new(_: &'s Reach, suite: &'s Suite, _: &'s str, _: RunTarget, _: &'s str, _: Told) -> Stage<'s> {
        Stage { suite }
    }
    pub fn origins(&self) -> BTreeMap<String, String> {
        let _ = self.suite;
        BTreeMap::new()
    }
}
pub async fn play(_: &Stage<'_>, _: UnboundedSender<Part>) {}
pub async fn take_down(_: &Reach, _: &Suite, _: &str, _: RunTarget, _: &str) {}
