//! The default triggers alone, without the evidence: how often one fires where its limit is passed by half, and where a
//! quarter is missing to it.

use judgement::guard::latency::bucket_of;
use judgement::guard::trigger::{Metric, Trigger, TriggerAction};
use judgement::guard::window::JudgedTotals;
use judgement::guard::{GuardPolicy, Verdict};
use judgement::rollout::{ChangeKind, Effect, Event, LoadedService, SplitRequest, State};
use judgement::time::Millis;
use judgement::traffic::Environment;

use crate::dice::Dice;
use crate::judge::weight;
use crate::statistics::wilson;

/// The state looks so often, in milliseconds.
const TICK: u64 = 500;
/// The candidate's part of the traffic.
const SHARE: f64 = 0.5;
/// Responses a second of the candidate.
pub const RATES: [f64; 10] = [1.0, 2.0, 5.0, 9.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// A trigger must fire within this many times its `for`.
const SOON: f64 = 1.5;
/// Where it must not fire, it is watched for this many times its `for`.
const LONG: f64 = 10.0;

/// The default triggers that roll back over a `for`.
pub fn triggers() -> Vec<Trigger> {
    let rolls = |trigger: &Trigger| trigger.action == TriggerAction::Rollback && trigger.is_long();
    Trigger::defaults().into_iter().filter(rolls).collect()
}

/// Two sides, of which the candidate is at so many times the limit of a trigger.
struct LimitedTraffic<'a> {
    trigger: &'a Trigger,
    rate: f64,
    times: f64,
    dice: Dice,
    totals: [JudgedTotals; 2],
}

impl LimitedTraffic<'_> {
    /// A tick of it.
    fn flow(&mut self) {
        let seconds = TICK as f64 / 1000.0;
        let active = self.dice.poisson(self.rate * seconds * (1.0 - SHARE) / SHARE);
        let answer = |totals: &mut JudgedTotals, all: u32, failed: u32| {
            totals.counts.answers += u64::from(all);
            totals.counts.failed += u64::from(failed);
        };
        answer(&mut self.totals[0], active, 0);
        self.totals[0].latency[bucket_of(50_000)] += u64::from(active);
        let bad = self.times * self.trigger.limit / 100.0;
        match self.trigger.metric {
            Metric::ErrorRate => {
                let [failed, good] = [bad, 1.0 - bad].map(|part| self.dice.poisson(self.rate * seconds * part));
                answer(&mut self.totals[1], failed + good, failed);
                self.totals[1].latency[bucket_of(50_000)] += u64::from(good);
            }
            Metric::ThroughputDrop => {
                let all = self.dice.poisson(self.rate * seconds * (1.0 - bad).max(0.0));
                answer(&mut self.totals[1], all, 0);
            }
            // Log-normal, with a 95th percentile of so many times the limit.
            _ => {
                let all = self.dice.poisson(self.rate * seconds);
                answer(&mut self.totals[1], all, 0);
                for _ in 0..all {
                    let millis = self.times * self.trigger.limit * (self.dice.normal() - 1.645).exp();
                    self.totals[1].latency[bucket_of((1000.0 * millis) as u64)] += 1;
                }
            }
        }
    }
}

/// Whether the trigger rolls back within so many times its `for`.
pub fn fires(trigger: &Trigger, rate: f64, times: f64, dice: Dice) -> bool {
    let policy = GuardPolicy { triggers: vec![trigger.clone()], ..GuardPolicy::default() };
    let mut state = State::default();
    let loaded = LoadedService {
        ask: SplitRequest { active: Some(Environment::Blue), weight: Some(weight(SHARE)) },
        policy,
        ..LoadedService::standard("shop")
    };
    state.apply(Event::Loaded(vec![loaded]), Millis(0)).expect("a file");
    let mut traffic = LimitedTraffic { trigger, rate, times, dice, totals: Default::default() };
    let until = trigger.hold.0 as f64 * if times > 1.0 { SOON } else { LONG };
    for now in (1..=(until as u64) / TICK).map(|tick| tick * TICK) {
        traffic.flow();
        let counted =
            Event::Counted { service: "shop".into(), routes: vec![Some(traffic.totals.clone())], on_grid: true };
        let effects = state.apply(counted, Millis(now)).expect("counts");
        if effects.iter().any(is_rollback) {
            return true;
        }
        // Held until its target has answered, which it does.
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Probe(asked) => Some(asked.number),
            _ => None,
        });
        if asked.is_some() {
            return true;
        }
    }
    false
}

fn is_rollback(effect: &Effect) -> bool {
    let Effect::Journal(change) = effect else { return false };
    let verdict = change.evidence.as_ref().map(|evidence| &evidence.judgement.verdict);
    change.kind == ChangeKind::Rollback && matches!(verdict, Some(Verdict::Unhealthy(_)))
}

/// One trigger at one rate.
#[derive(Clone, Debug)]
pub struct TriggerResult {
    pub trigger: String,
    pub rate: f64,
    /// Responses that come in its `for`.
    pub answers: f64,
    /// Runs at 1.5 times the limit, and those that it fires in.
    pub beyond: [usize; 2],
    /// The same at 0.75 times the limit.
    pub within: [usize; 2],
    /// How often any rule fires at the most within that time that is wrong once in a thousand; of a rate of failures.
    pub possible: Option<f64>,
}

/// The power of the best test of 1.5 against 0.75 times a failure rate, over the responses of 1.5 times `for`, that is wrong
/// at most once in a thousand (Neyman and Pearson, 1933). Counts of failures are taken as Poisson.
pub fn possible(trigger: &Trigger, rate: f64) -> Option<f64> {
    let answers = rate * SOON * trigger.hold.0 as f64 / 1000.0;
    let limit = answers * trigger.limit / 100.0;
    (trigger.metric == Metric::ErrorRate).then(|| {
        let (mut under_within, mut under_beyond) = (0.0, 0.0);
        for count in 0.. {
            if 1.0 - under_within <= 1e-3 || count > 100_000 {
                break;
            }
            let point = |mean: f64| (f64::from(count) * mean.ln() - mean - log_factorial(count)).exp();
            under_within += point(0.75 * limit);
            under_beyond += point(1.5 * limit);
        }
        1.0 - under_beyond
    })
}

fn log_factorial(n: u32) -> f64 {
    (2..=n).map(|k| f64::from(k).ln()).sum()
}

/// A table of triggers, with a line for each rate.
pub fn table(results: &[TriggerResult]) -> String {
    let mut out = format!(
        "### Triggers\n\n\
         The default triggers alone, the evidence off, half of the traffic on the candidate. A candidate steadily at 1.5 times the limit, for\n\
         {SOON} times `for`, and one at 0.75 times the limit, for {LONG} times `for`. For slow responses, the 95th percentile of log-normal\n\
         latencies is at so many times the limit; for traffic, that part of half of it is missing. Possible: how often the best of all rules fires\n\
         in that time that is wrong at most once in a thousand.\n"
    );
    let mut last = "";
    for result in results {
        let TriggerResult { trigger, rate, answers, beyond, within, possible } = result;
        if trigger != last {
            out += &format!(
                "\n{trigger}\n\n| responses a second | in `for` | fires at 1.5 × the limit | possible | fires at 0.75 × the limit |\n|---|---|---|---|---|"
            );
            last = trigger;
        }
        let share = |[runs, fired]: [usize; 2]| {
            let (low, high) = wilson(fired, runs);
            format!("{:.2} % ({:.2}–{:.2})", 100.0 * fired as f64 / runs as f64, 100.0 * low, 100.0 * high)
        };
        let possible = possible.map_or(String::new(), |possible| format!("{:.1} %", 100.0 * possible));
        out += &format!("\n| {rate} | {answers:.0} | {} | {possible} | {} |", share(*beyond), share(*within));
    }
    out
}
