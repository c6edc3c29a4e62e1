//! What a process has counted, for the one that takes its place: who looks at the increase of a counter sees no gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use judgement::traffic::Environment;
use serde::{Deserialize, Serialize};

use crate::counters::{Counters, ProcessCounters, RefusalReason, Shard};

/// Numbers by their names, those that are not zero. A name that another version does not know is passed over there.
///
/// Not among them: gauges, what follows from the state, and what only the judge compares with its own last look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedSoFar(BTreeMap<String, u64>);

/// Between the parts of a name: no service, route or version has it in its own.
const BETWEEN: char = '\u{1f}';

impl CountedSoFar {
    fn note(&mut self, name: &[&str], number: u64) {
        if number > 0 {
            self.0.insert(name.join(&BETWEEN.to_string()), number);
        }
    }

    fn number(&self, name: &[&str]) -> u64 {
        self.0.get(&name.join(&BETWEEN.to_string())).copied().unwrap_or(0)
    }

    fn names(&self) -> impl Iterator<Item = (Vec<&str>, u64)> {
        self.0.iter().map(|(name, number)| (name.split(BETWEEN).collect(), *number))
    }

    /// What was counted after `before`.
    #[must_use]
    pub fn since(self, before: &CountedSoFar) -> CountedSoFar {
        let more = self.0.into_iter().filter_map(|(name, number)| {
            let more = number.saturating_sub(before.0.get(&name).copied().unwrap_or(0));
            (more > 0).then_some((name, more))
        });
        CountedSoFar(more.collect())
    }
}

/// The counts of the process that go on, by name.
fn of_process(process: &ProcessCounters) -> [(&'static str, &AtomicU64); 13] {
    [
        ("connections_opened", &process.connections_opened),
        ("connections_closed", &process.connections_closed),
        ("reloads_taken", &process.reloads_taken),
        ("reloads_refused", &process.reloads_refused),
        ("journal_errors", &process.journal_errors),
        ("journal_dropped", &process.journal_dropped),
        ("resolve_errors", &process.resolve_errors),
        ("access_log_dropped", &process.access_log_dropped),
        ("access_log_errors", &process.access_log_errors),
        ("acme_issued", &process.acme_issued),
        ("acme_failed", &process.acme_failed),
        ("admin_refused", &process.admin_refused),
        ("admin_ended", &process.admin_ended),
    ]
}

const fn judged_name(judged: bool) -> &'static str {
    if judged { "judged" } else { "not judged" }
}

impl Counters {
    /// Everything that was counted until now.
    pub fn counted_so_far(&self) -> CountedSoFar {
        let mut counted = CountedSoFar::default();
        for ((service, route), counters) in self.routes() {
            for environment in Environment::BOTH {
                counters.visit(environment, &mut |judged, what, which, number| {
                    let name = ["route", &service, &route, environment.name(), judged_name(judged), what, which];
                    let before = counted.number(&name);
                    counted.note(&name, before + number);
                });
            }
        }
        for (name, number) in of_process(&self.process) {
            counted.note(&["process", name], number.load(Relaxed));
        }
        for (reason, number) in self.process.refusals() {
            counted.note(&["refused", reason], number);
        }
        for ((service, reason), number) in self.rollbacks() {
            counted.note(&["rollback", &service, &reason], number);
        }
        for (service, gauges) in self.judged() {
            counted.note(&["cautions", &service], gauges.cautions);
        }
        for (service, mirrored) in self.all_mirrored() {
            for (what, number) in mirrored.totals() {
                counted.note(&["mirror", &service, what], number.load(Relaxed));
            }
        }
        for ((service, route), answers) in self.all_own_answers() {
            for (what, number) in answers.totals() {
                counted.note(&["own answer", &service, &route, what], number.load(Relaxed));
            }
        }
        for (service, answers) in self.all_auth_answers() {
            for (what, place, number) in answers.totals() {
                counted.note(&["forward auth", &service, what, &place.to_string()], number.load(Relaxed));
            }
        }
        for (sink, notices) in self.sinks() {
            for (what, number) in notices.totals() {
                counted.note(&["notices", &sink, what], number.load(Relaxed));
            }
        }
        counted
    }

    /// Counts again what another process has counted. `judged`: as it did; otherwise nothing is judged, because the judge
    /// must not take what is over for what happens now.
    pub fn count_again(&self, counted: &CountedSoFar, judged: bool) {
        let mut cells = BTreeSet::new();
        for (name, number) in counted.names() {
            match name[..] {
                ["route", service, route, side, of, _, _] => _ = cells.insert((service, route, side, of)),
                ["process", name] => {
                    let known = of_process(&self.process).into_iter().find(|(known, _)| *known == name);
                    known.into_iter().for_each(|(_, count)| _ = count.fetch_add(number, Relaxed));
                }
                ["refused", reason] => {
                    let known = RefusalReason::ALL.iter().find(|known| known.name() == reason);
                    known.into_iter().for_each(|known| self.process.refuse_many(*known, number));
                }
                ["rollback", service, reason] => {
                    *self.rollbacks.lock().entry((service.to_owned(), reason.to_owned())).or_default() += number;
                }
                ["cautions", service] => self.judge(service, |gauges| gauges.cautions += number),
                ["mirror", service, what] => add(self.mirrored(service).totals(), what, number),
                ["own answer", service, route, what] => add(self.own_answers(service, route).totals(), what, number),
                ["forward auth", service, what, place] => {
                    let answers = self.auth_answers(service);
                    let of_name =
                        answers.totals().filter(|(known, at, _)| (*known, at.to_string().as_str()) == (what, place));
                    of_name.for_each(|(_, _, count)| _ = count.fetch_add(number, Relaxed));
                }
                ["notices", sink, what] => add(self.notices(sink).totals(), what, number),
                _ => {}
            }
        }
        for (service, route, side, of) in cells {
            let Some(environment) = Environment::BOTH.into_iter().find(|known| known.name() == side) else { continue };
            let found = |what: &str, which: &str| counted.number(&["route", service, route, side, of, what, which]);
            let judged = judged && of == judged_name(true);
            // Its own shard, because the workers' are theirs alone.
            self.route(service, route).add(Shard(self.shards), environment, judged, &found);
        }
    }
}

fn add<'c>(totals: impl IntoIterator<Item = (&'static str, &'c AtomicU64)>, what: &str, number: u64) {
    totals.into_iter().filter(|(known, _)| *known == what).for_each(|(_, count)| _ = count.fetch_add(number, Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{AttemptFailure, AttemptOutcome, ForwardAuthOutcome, OwnAnswer, ResponseClass, count};

    fn outcome(status: u16) -> AttemptOutcome {
        AttemptOutcome {
            class: ResponseClass::of_status(status),
            failure: (status >= 500).then(|| AttemptFailure::of_status(status)),
            is_refusal: false,
            body: None,
            is_loop: false,
            client: 3,
            upstream_micros: 1000,
            request_micros: 2000,
        }
    }

    fn counted() -> Counters {
        let counters = Counters::new(2);
        let route = counters.route("shop", "api");
        route.record(Shard(0), Environment::Green, true, outcome(200));
        route.record(Shard(1), Environment::Green, true, outcome(503));
        route.record(Shard(1), Environment::Blue, false, outcome(404));
        route.record_rescue(Shard(0), Environment::Green, true);
        route.open_tunnel(Shard(0), Environment::Green, true);
        count(&counters.process.connections_opened);
        counters.process.refuse(RefusalReason::Connections);
        counters.count_rollback("shop", "failures");
        counters.judge("shop", |gauges| gauges.cautions = 3);
        counters.mirrored("shop").copy();
        counters.own_answers("shop", "old").count(OwnAnswer::Redirect);
        counters.auth_answers("shop").count(ForwardAuthOutcome::Denied, 1500);
        count(&counters.notices("pager").sent);
        counters
    }

    #[test]
    fn another_process_goes_on_from_the_same_counts() {
        let before = counted();
        let told = serde_json::to_string(&before.counted_so_far()).unwrap();
        let after = Counters::new(1);
        after.count_again(&serde_json::from_str(&told).unwrap(), true);
        assert_eq!(after.counted_so_far(), before.counted_so_far());
        for side in Environment::BOTH {
            let seen = |counters: &Counters| counters.route("shop", "api").seen(side).map(|seen| seen.classes);
            assert_eq!(seen(&after), seen(&before));
        }
        let [old, new] = [&before, &after].map(|counters| counters.route("shop", "api").totals(Environment::Green));
        assert_eq!((new.counts, new.tally, new.latency), (old.counts, old.tally, old.latency));
        assert_eq!(after.route("shop", "api").seen(Environment::Green).unwrap().tunnels, 0, "it is not open here");
    }

    #[test]
    fn what_was_counted_in_the_meantime_is_added_and_not_judged() {
        let before = counted();
        let told = before.counted_so_far();
        let after = Counters::new(1);
        after.count_again(&told, true);
        before.route("shop", "api").record(Shard(0), Environment::Green, true, outcome(500));
        let rest = before.counted_so_far().since(&told);
        after.count_again(&rest, false);
        let route = after.route("shop", "api");
        assert_eq!(route.totals(Environment::Green).counts.answers, 2);
        assert_eq!(route.seen(Environment::Green).unwrap().classes[ResponseClass::ServerError as usize], 2);
    }

    #[test]
    fn names_of_another_version_are_passed_over() {
        let counters = Counters::new(1);
        let told = format!(
            "{{\"route{BETWEEN}shop{BETWEEN}api{BETWEEN}red{BETWEEN}judged{BETWEEN}class{BETWEEN}2xx\":3,\"new\":4}}"
        );
        counters.count_again(&serde_json::from_str(&told.replace('\u{1f}', "\\u001f")).unwrap(), true);
        assert_eq!(counters.counted_so_far(), CountedSoFar::default());
    }
}
