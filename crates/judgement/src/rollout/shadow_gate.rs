//! Before the first client: copies of clients' requests go to the candidate, and how it answers them is compared.
//!
//! Who sends and compares them is outside. What that has shown comes in as a value, about once a second, and is kept only in
//! this process: after a restart the comparison begins again, and so does the time that a step wants of it.

use crate::guard::evidence::grouped;
use crate::rollout::journal_entries::{ChangeNote, Component};
use crate::rollout::plan::{MirrorGate, OnFailure, PlanStep};
use crate::rollout::premises::share_a_url;
use crate::rollout::release::{Release, RolloutPhase};
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::shadow::ShadowNews;
use crate::rollout::{ChangeKind, Effect};
use crate::time::Millis;

impl ServiceState {
    /// The number of the comparison for which copies are sent now, if any are.
    pub(super) fn comparison(&self) -> Option<u32> {
        let durable = &self.durable;
        if durable.stopped || !durable.weight.is_zero() || self.returning.is_some() {
            return None;
        }
        match durable.release.as_ref().filter(|release| release.phase.is_under_way()) {
            Some(release) => release.mirrors().then_some(release.comparison),
            // Without a rollout the file steers. What was rolled back is not looked at any more.
            None => (self.mirrors && durable.latch.is_none() && self.has_new_candidate()).then_some(0),
        }
    }

    /// Whether the candidate is none that is known from the last rollout: neither the version that it replaced, nor one that
    /// it has given up.
    fn has_new_candidate(&self) -> bool {
        let candidate = self.durable.active.other();
        let Some(release) = &self.durable.release else { return true };
        let before = if release.environment == candidate { &release.url } else { &release.replaced };
        before.as_ref().is_some_and(|before| !share_a_url(before, self.url(candidate)))
    }

    /// What was heard of the comparison that is under way.
    fn shadow_here(&self) -> Option<&ShadowNews> {
        let comparison = self.comparison()?;
        let is_here = |news: &&ShadowNews| news.rollout == self.durable.rollout && news.comparison == comparison;
        self.shadow.as_ref().filter(is_here)
    }

    /// What the copies must still show before a step is left.
    pub(super) fn shadow_wanting(&self, release: &Release, step: &PlanStep, gate: MirrorGate) -> Vec<WaitReason> {
        let Some(heard) = self.shadow_here() else { return self.nothing_copied(release, step) };
        let mut all = Vec::new();
        let left = time_left(release, step, Some(heard));
        if left > Millis::ZERO {
            all.push(WaitReason::Bake { left });
        }
        if heard.compared < step.requests {
            let (compared, wanted) = (grouped(heard.compared), grouped(step.requests));
            let but = |many: u64, what: &str| match many {
                0 => String::new(),
                _ => format!(", and {} {what}", grouped(many)),
            };
            let unread = but(heard.unread, "with bodies that are compressed or too long");
            let unanswered = but(heard.unanswered, "that active did not answer");
            all.push(WaitReason::Mirror {
                because: format!("{compared} of {wanted} copied requests compared{unread}{unanswered}"),
            });
        }
        if heard.differences > gate.differences {
            all.push(WaitReason::Mirror { because: heard.too_many(gate) });
        }
        all
    }

    /// What a step wants that has seen no copy yet. Without one it is never left, whatever its time.
    fn nothing_copied(&self, release: &Release, step: &PlanStep) -> Vec<WaitReason> {
        let candidate = self.durable.active.other();
        let of = match step.requests {
            0 => String::new(),
            wanted => format!("0 of {} copied requests compared: ", grouped(wanted)),
        };
        let why = match (*candidate.of(&self.up), release.functions.as_slice()) {
            (false, _) => format!("none is copied while {candidate} is down by its health checks"),
            (true, []) => "none was copied yet, and only GET and HEAD requests are".to_owned(),
            (true, only) => format!("none was copied yet, and only GET and HEAD requests of {} are", only.join(", ")),
        };
        // Its time runs from the first copy on.
        let bake = WaitReason::Bake { left: time_left(release, step, None) };
        vec![bake, WaitReason::Mirror { because: format!("{of}{why}") }]
    }

    /// Why no copies are sent now, in words; `None` if they are.
    pub(super) fn no_copies_because(&self) -> Option<String> {
        if self.comparison().is_some() {
            return None;
        }
        let durable = &self.durable;
        let candidate = durable.active.other();
        let release = durable.release.as_ref();
        Some(match release.filter(|release| release.phase.is_under_way()) {
            _ if durable.stopped => "in an emergency stop".to_owned(),
            _ if self.returning.is_some() => "while a rollback is under way".to_owned(),
            _ if !durable.weight.is_zero() => format!("{candidate} has clients: its weight is {}", durable.weight),
            Some(release) if release.phase == RolloutPhase::Preflight => {
                format!("{} is in its preflight", release.title())
            }
            Some(release) => format!("{} is at a step that is no mirror", release.title()),
            None if !self.mirrors => {
                "the routing file has no `mirror`, and no rollout is at a step that is one".to_owned()
            }
            None if durable.latch.is_some() => "the last rollout was rolled back".to_owned(),
            None => format!("{candidate} is what the last rollout replaced, or gave up"),
        })
    }

    /// What the copies have shown, of a step that is left.
    pub(super) fn shadow_in_words(&self) -> String {
        let Some(news) = self.shadow_here() else { return "no copies of requests were compared".to_owned() };
        let (compared, lasted) = (grouped(news.compared), news.lasted);
        let differences = match news.differences {
            0 => "no differences".to_owned(),
            _ => news.found(),
        };
        format!("{compared} copied requests compared in {lasted}: {differences}")
    }
}

/// How long copies must still be compared. What was seen before a restart is not known any more.
fn time_left(release: &Release, step: &PlanStep, heard: Option<&ShadowNews>) -> Millis {
    let lasted = heard.map_or(Millis::ZERO, |news| news.lasted);
    step.bake.since(release.spent.min(lasted))
}

impl ServiceUpdate<'_> {
    /// What the copies have shown. A step whose time is over, and which has seen enough of them, ends here if they differ by
    /// more than they may; the plan goes on by itself if they do not.
    pub(super) fn shadowed(&mut self, news: ShadowNews) -> Vec<Effect> {
        self.state.shadow = Some(news);
        let Some(release) = self.state.durable.release.as_ref() else { return Vec::new() };
        let moves = matches!(release.phase, RolloutPhase::Shifting | RolloutPhase::Baking);
        let step = release.current().filter(|_| moves);
        let (Some(step), Some(news)) = (step, self.state.shadow_here()) else { return Vec::new() };
        let Some(gate) = step.mirror.filter(|gate| news.differences > gate.differences) else { return Vec::new() };
        if time_left(release, step, Some(news)) > Millis::ZERO || news.compared < step.requests {
            return Vec::new();
        }
        let compared = grouped(news.compared);
        let why = format!("{}: of {compared} copied requests: {}", release.title(), news.too_many(gate));
        match step.on_fail {
            OnFailure::Rollback if self.state.durable.unwatched => {
                self.hold(format!("{why}; it stays at its step because the guard is off"))
            }
            OnFailure::Rollback => self.roll_back(ChangeNote::by(Component::Plan, ChangeKind::Rollback, why)),
            OnFailure::Hold => self.hold(why),
        }
    }
}
