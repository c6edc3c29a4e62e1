//! A service's new counts: the guard judges them, and the plan goes on.

use crate::guard::window::JudgedTotals;
use crate::guard::{EvidenceBudget, GuardPolicy};
use crate::rollout::Effect;
use crate::rollout::active_before::ActiveBefore;
use crate::rollout::caution::CautionChange;
use crate::rollout::handed_watch::HandedWatch;
use crate::rollout::judged_scope::{Findings, WatchedService};
use crate::rollout::ledger::{CandidateAccount, OpenLedger, RolloutLedger};
use crate::rollout::service_state::{ServiceState, WaitReason};
use crate::rollout::service_update::ServiceUpdate;
use crate::rollout::service_watch::ServiceWatch;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

impl ServiceUpdate<'_> {
    pub(super) fn count(&mut self, totals: &[Option<[JudgedTotals; 2]>], on_grid: bool) -> Vec<Effect> {
        self.state.served.look(self.now, totals);
        let mut effects = self.judge(totals, on_grid);
        if !on_grid {
            return effects;
        }
        let side = self.state.durable.subject();
        let answers = totals.iter().flatten().map(|pair| side.of(pair).counts.answers).sum();
        let wall = self.wall();
        self.state.clock(self.now, wall, answers);
        effects.extend(self.order_figures());
        effects.extend(self.pass_gates_before_first_step());
        let reasons = self.state.waiting(self.now, wall);
        self.state.waits.clear();
        self.state.waits.extend(reasons.iter().map(WaitReason::name));
        effects.extend(self.ask_gates(&reasons));
        effects.extend(self.advance(&reasons));
        effects.extend(self.mind_held());
        effects.extend(self.go_on_returning());
        effects.extend(self.pass_deadline(&reasons));
        effects.extend(self.tell_waiting(&reasons));
        effects.extend(self.tell_ends());
        // What is published comes first.
        effects.extend(self.keep_active_before());
        effects
    }

    fn judge(&mut self, totals: &[Option<[JudgedTotals; 2]>], on_grid: bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (now, side) = (self.now, self.state.durable.subject());
        let candidate = CandidateAccount::of(totals.iter().flatten().map(|pair| side.of(pair)));
        if let Some(book) = &mut self.state.book {
            // The next rollout may be about the other side already.
            let of = |side: Environment| CandidateAccount::of(totals.iter().flatten().map(|pair| side.of(pair)));
            book.look(now, of(book.side()));
            // A ledger that is closing gives way to the next rollout as it is.
            let is_over = book.is_closing() && self.state.durable.rollout != book.ledger().rollout;
            if let Some(ledger) = book.closed(now).or_else(|| is_over.then(|| book.ledger())) {
                self.state.book = None;
                // If there were no requests, there is nothing to account for.
                if ledger.requests + ledger.failed + ledger.turned_away > 0 {
                    effects.extend(self.close_book(ledger));
                }
            }
        }
        if !self.state.durable.is_judged() {
            return effects;
        }
        let ledger = self.begin_watch();
        let ServiceState { durable, routes, policy, watch, book, .. } = &mut *self.state;
        let book = book.get_or_insert_with(|| match ledger {
            Some(ledger) => OpenLedger::going_on(ledger, side, now, candidate),
            None => OpenLedger::open(durable.rollout, side, now, candidate),
        });
        let Some(watch) = watch else { return effects };
        // A promoted side is judged as it was before: against the side that it replaced.
        let watching = durable.is_watching();
        let calm =
            watching.then(|| GuardPolicy { evidence: policy.evidence.map(EvidenceBudget::calm), ..policy.clone() });
        let policy = calm.as_ref().unwrap_or(policy);
        let weight = if watching { durable.weight.rest() } else { durable.weight };
        let wanted = durable.wanted_requests();
        let seen = WatchedService { policy, routes, active: side.other(), weight, wanted };
        // Like is compared with like: a rollout of some routes is judged by those routes alone.
        let limits = durable.release.as_ref().filter(|release| !release.functions.is_empty() && !watching);
        let limited = limits.map(|release| only(totals, routes, &release.functions));
        let totals = limited.as_deref().unwrap_or(totals);
        let Findings { unhealthy, tape, news, shared, broken_active, caution, turned } =
            watch.look(now, on_grid, &seen, totals);
        if matches!(caution, Some((CautionChange::Begins(_), ..))) {
            book.caution();
        }
        if !shared {
            self.state.news.shared.pauses(now);
        }
        effects.extend(self.tell_broken_active(broken_active));
        let rolls_back = unhealthy.is_some();
        if let Some((sight, judgement)) = unhealthy {
            effects.extend(self.guard_rollback(sight, judgement, tape));
        }
        if turned && !rolls_back {
            effects.push(Effect::Publish);
        }
        // A rollback says it all.
        if let Some((turn, sight, judgement)) = caution.filter(|_| !rolls_back) {
            effects.extend(self.turn(turn, sight, judgement));
        }
        for (news, sight, judgement) in news {
            effects.extend(self.warn(news, sight, judgement));
        }
        effects
    }
}

impl ServiceUpdate<'_> {
    /// Begins to watch with what is known of active and of the candidate, unless it is watched already. Returns the ledger of
    /// another process.
    fn begin_watch(&mut self) -> Option<RolloutLedger> {
        if self.state.watch.is_some() {
            return None;
        }
        let handed = self.state.handed.take();
        let ServiceState { durable, routes, failure_rules, .. } = &*self.state;
        let fitting = |handed: HandedWatch| handed.fitting(durable.rollout, routes, *failure_rules);
        let (handed, ledger) = handed.map(fitting).unwrap_or_default();
        let recalled = self.recalled();
        let ServiceState { routes, policy, watch, .. } = &mut *self.state;
        let watch = watch.insert(ServiceWatch::new(routes.len(), policy));
        if let Some((before, until)) = recalled {
            watch.recall(&before, until, routes);
        }
        if let Some(handed) = handed {
            watch.go_on_from(handed);
        }
        ledger
    }

    /// What was stored of active, and until when it stands, if it is about this rollout.
    fn recalled(&self) -> Option<(ActiveBefore, Millis)> {
        let ServiceState { durable, failure_rules, .. } = &*self.state;
        let before = durable.before.as_ref()?;
        let left = before.stands((durable.rollout, *failure_rules), self.wall());
        (left > Millis::ZERO).then(|| (before.clone(), self.now.plus(left)))
    }

    /// Stores what active did, as soon as the candidate has all of the traffic.
    fn keep_active_before(&mut self) -> Option<Effect> {
        let wall = self.wall();
        let ServiceState { durable, failure_rules, routes, watch, .. } = &mut *self.state;
        let weight = if durable.is_watching() { durable.weight.rest() } else { durable.weight };
        if weight != Weight::FULL {
            durable.before = None;
            return None;
        }
        if durable.before.as_ref().is_some_and(|before| before.rollout() == durable.rollout) {
            return None;
        }
        let named = watch.as_ref()?.active_before().into_iter().filter_map(|(route, before)| match route {
            None => Some((None, before)),
            Some(at) => Some((Some(routes.get(at)?), before)),
        });
        durable.before = Some(ActiveBefore::new((durable.rollout, *failure_rules), wall, named)?);
        Some(Effect::Keep(self.name.to_owned()))
    }
}

/// The totals of some routes, and zero for the others.
fn only(
    totals: &[Option<[JudgedTotals; 2]>],
    routes: &[String],
    functions: &[String],
) -> Vec<Option<[JudgedTotals; 2]>> {
    let pairs = totals.iter().zip(routes);
    let part = |(pair, route): (&Option<[JudgedTotals; 2]>, &String)| match pair {
        // Health checks concern all routes.
        Some(pair) if !functions.contains(route) => {
            let checked = pair.each_ref().map(|side| side.health_failures);
            (checked != [0; 2])
                .then(|| checked.map(|health_failures| JudgedTotals { health_failures, ..JudgedTotals::default() }))
        }
        pair => pair.clone(),
    };
    pairs.map(part).collect()
}
