//! What a plan can see and how long it takes, at a rate of requests: said before anybody is shifted.
//!
//! A step ends once it has baked, has its requests and a verdict, so its least time follows from the rate. What it sees
//! follows from the same information as the guard's resolution, but with a margin: the resolution is what a fault brings
//! on average, and here 95 of 100 rollouts are to find it.
//!
//! The evidence on each alternative is a random walk. `n` requests of the candidate bring `n·m` nats on average, with a
//! variance of `n·s` where they come at random (`m`, `s`: [`rate_odds::expected_gains`]). It is past the threshold `h` by
//! then with a probability of 95 % if `n·m − 1.645·√(n·s) ≥ h`: the normal approximation of a first passage (Siegmund,
//! "Sequential Analysis", 1985, chapter III). Steps add up, each with its own share. `h` is that of a fault which is there
//! from the candidate's first request on, for the part of the stake that is on this alternative.

use crate::guard::evidence::bet::ALTERNATIVES;
use crate::guard::evidence::rate_odds::{self, RequestGain};
use crate::guard::evidence::threshold_of_errors;
use crate::guard::{EvidenceBudget, GuardPolicy};
use crate::rollout::plan::{PlanStep, RolloutPlan};
use crate::time::Millis;
use crate::traffic::split::Weight;

/// The quantile of the normal distribution for 95 %.
const SURE: f64 = 1.645;
/// A random number (Poisson) with this mean is at least [`LEAST_BAD`](crate::guard::evidence::LEAST_BAD), the failures
/// that a verdict needs, in 95 % of all cases.
const LEAST_FAILURES: f64 = 6.3;
/// While in doubt, caution turns away the requests that could not be served again. They are taken for 30 % of all, so what
/// is missing from even odds on needs `1 / 0.7` times the requests.
const CAUTIOUS: f64 = 1.0 / 0.7 - 1.0;
/// If there are several routes, half of the stake is on them: `ln 2` nats.
const ROUTES: f64 = std::f64::consts::LN_2;
/// For how long the guard remembers active, in seconds.
const MEMORY: f64 = 60.0;
/// How long a request is kept for one of the other side to be compared with, in seconds.
const WAITS: f64 = 5.0;
/// A step that takes this many times its bake time is long …
const LONG: u64 = 2;
/// … if that is this much longer, too.
const LONGER: Millis = Millis::seconds(5);

/// The requests to expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastTraffic {
    /// Requests a second that the guard will judge, of both sides together, on the routes that the rollout is about.
    pub rate: f64,
    /// The share of them that fails at active, 0..1.
    pub active_fails: f64,
    /// Whether the guard compares several routes.
    pub routes: bool,
}

/// What a plan comes to at a rate of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutForecast {
    pub steps: Vec<StepForecast>,
    /// The least time to the promotion; `None` if it never comes.
    pub least: Option<Millis>,
    /// How long the guard keeps watching after it.
    pub watch: Millis,
}

/// What a step comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct StepForecast {
    pub plan: PlanStep,
    /// The least time at this step; `None` if it never ends at this rate.
    pub least: Option<Millis>,
    /// What takes that long.
    pub limit: StepLimit,
    /// The candidate's requests to expect in that time.
    pub requests: f64,
    pub sight: StepSight,
    /// The failure rate that must be seen for a verdict, unless the plan wants few requests; 0..1.
    pub enough: f64,
}

/// What takes longest at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepLimit {
    Bake,
    /// The requests that the plan wants.
    Requests,
    /// The requests that a verdict needs, because those that the plan wants would show no fault at all.
    Verdict,
}

/// What the evidence can see of a candidate by the end of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSight {
    /// The smallest failure rate, 0..1, that 95 % of all rollouts would have found, if it is there from the candidate's
    /// first request on.
    Shows(f64),
    /// Not even a candidate that fails every request.
    Nothing,
    /// Active gets no requests to compare with, so only triggers and health checks judge.
    Alone,
    /// The guard weighs no evidence: only triggers and health checks judge.
    NoEvidence,
    /// No client is sent there: copies of their requests are compared.
    Copies,
}

impl StepForecast {
    /// Whether it takes much longer than it bakes, or never ends.
    fn is_long(&self) -> bool {
        let bake = self.plan.bake;
        self.least.is_none_or(|least| least.0 >= bake.0.saturating_mul(LONG) && least.since(bake) >= LONGER)
    }

    /// Whether what shows by its end is more than should be seen.
    fn is_coarse(&self) -> bool {
        matches!(self.sight, StepSight::Shows(rate) if rate > self.enough)
    }
}

impl RolloutForecast {
    /// What somebody should know before the rollout begins: which steps take much longer than they bake, never end, or
    /// see nothing. As sentences.
    pub fn warnings(&self) -> Vec<String> {
        let endless = self.weights(|step| step.least.is_none().then(String::new));
        let late = |limit| move |step: &StepForecast| step.least.filter(|_| step.limit == limit && step.is_long());
        let after = |limit| self.weights(|step| late(limit)(step).map(|least| format!(" ({least})")));
        let said = [
            (endless, "no requests come, so these steps do not end"),
            (after(StepLimit::Requests), "the requests that the plan wants take longer than the bake time"),
            (after(StepLimit::Verdict), "the requests that a verdict needs take longer than the bake time"),
            (
                self.weights(|step| (step.sight == StepSight::Nothing).then(String::new)),
                "too short to see anything, even a candidate that fails every request",
            ),
        ];
        said.into_iter().filter_map(|(weights, what)| Some(format!("{what}: {}", weights?))).collect()
    }

    /// What the figures leave out. As sentences.
    pub fn notes(&self) -> Vec<String> {
        let said = [
            (
                self.weights(|step| match step.sight {
                    StepSight::Shows(_) if step.is_coarse() => Some(format!(" ({})", percent(step.enough))),
                    _ => None,
                }),
                "these steps end before failures of the share that should show do",
            ),
            (
                self.weights(|step| (step.sight == StepSight::Alone).then(String::new)),
                "active gets no requests to compare with, so only triggers and health checks judge",
            ),
            (
                self.weights(|step| (step.sight == StepSight::NoEvidence).then(String::new)),
                "the guard weighs no evidence, so only triggers and health checks judge",
            ),
            (
                self.weights(|step| (step.plan.approve || !step.plan.suites.is_empty()).then(String::new)),
                "not counted is how long approvals and suites take",
            ),
            (
                self.weights(|step| step.plan.mirror.map(|_| format!(" ({} copies)", step.plan.requests))),
                "no client is sent there, and copies of requests are compared: not counted is how long they take to come",
            ),
        ];
        said.into_iter().filter_map(|(weights, what)| Some(format!("{what}: {}", weights?))).collect()
    }

    /// The weights of the steps that something is said of, such as `10 % (2m), 25 % (1m)`; `None` if there are none.
    fn weights(&self, said: impl Fn(&StepForecast) -> Option<String>) -> Option<String> {
        let weights: Vec<String> =
            self.steps.iter().filter_map(|step| said(step).map(|said| format!("{}{said}", step.plan.weight))).collect();
        (!weights.is_empty()).then(|| weights.join(", "))
    }
}

/// A rate between 0 and 1 for people: `4.9 %`, `0.58 %`, `62 %`.
pub fn percent(rate: f64) -> String {
    let percent = 100.0 * rate;
    let digits = if percent < 1.0 { 2 } else { usize::from(percent < 10.0) };
    let text = format!("{percent:.digits$}");
    let short = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short} %")
}

/// What a plan comes to. It is total: whatever the rate is, there is a forecast.
pub fn forecast(plan: &RolloutPlan, policy: &GuardPolicy, traffic: ForecastTraffic) -> RolloutForecast {
    let mut walk = Walk { traffic, budget: policy.evidence, judged: 0.0, compared: Vec::new() };
    let steps: Vec<StepForecast> = plan.steps.iter().map(|step| walk.step(step)).collect();
    let least = steps.iter().try_fold(Millis::ZERO, |sum, step| Some(sum.plus(step.least?)));
    RolloutForecast { steps, least, watch: plan.watch }
}

/// The least time in which so many requests come at so many a second; `None` if they never do.
pub fn time_of(requests: f64, rate: f64) -> Option<Millis> {
    let ms = (1000.0 * requests / rate).ceil();
    // 0 / 0 is nothing to wait for, and what takes ten thousand years never comes.
    if requests <= 0.0 { Some(Millis::ZERO) } else { (ms < 3e14).then_some(Millis(ms as u64)) }
}

/// A walk through the steps of a plan.
struct Walk {
    traffic: ForecastTraffic,
    budget: Option<EvidenceBudget>,
    /// The candidate's requests so far.
    judged: f64,
    /// By step.
    compared: Vec<Compared>,
}

impl Walk {
    fn step(&mut self, step: &PlanStep) -> StepForecast {
        if step.mirror.is_some() {
            return StepForecast {
                plan: step.clone(),
                least: Some(step.bake),
                limit: StepLimit::Bake,
                requests: 0.0,
                sight: StepSight::Copies,
                enough: 0.0,
            };
        }
        let share = step.weight.ratio();
        let (own, active) = (self.traffic.rate * share, self.traffic.rate * (1.0 - share));
        // What the guard takes active's rate for.
        let pb = rate_odds::reference(active * MEMORY, active * MEMORY * self.traffic.active_fails);
        let wanted = step.requests as f64;
        let least_requests = wanted.max(self.verdict(step, pb));
        let least = time_of(least_requests, own).map(|time| time.max(step.bake));
        let limit = match least {
            Some(least) if least <= step.bake => StepLimit::Bake,
            _ if least_requests > wanted => StepLimit::Verdict,
            _ => StepLimit::Requests,
        };
        let requests = least.map_or(least_requests, |least| own * least.0 as f64 / 1000.0);
        self.judged += requests;
        let sight = match self.budget {
            None => StepSight::NoEvidence,
            Some(_) if step.weight == Weight::FULL => StepSight::Alone,
            Some(budget) => {
                self.compared.push(Compared::of(requests, own, active, pb));
                self.smallest(budget).map_or(StepSight::Nothing, StepSight::Shows)
            }
        };
        StepForecast { plan: step.clone(), least, limit, requests, sight, enough: rate_odds::must_show(pb) }
    }

    /// The requests of the candidate that this step must bring for a verdict.
    fn verdict(&self, step: &PlanStep, pb: f64) -> f64 {
        let Some(budget) = self.budget.filter(|_| step.weight != Weight::FULL) else { return 0.0 };
        let share = step.weight.ratio().clamp(1e-4, 0.9999);
        let threshold = threshold_of_errors(budget.alpha);
        // Whoever asks for few requests is content with what they show, if they show anything.
        if step.requests as f64 * rate_odds::information(share, 1.0, pb) >= threshold {
            return 0.0;
        }
        threshold / rate_odds::information(share, rate_odds::must_show(pb), pb) - self.judged
    }

    fn smallest(&self, budget: EvidenceBudget) -> Option<f64> {
        let routes = if self.traffic.routes { ROUTES } else { 0.0 };
        let caution = if budget.caution { CAUTIOUS * (1.0 / budget.alpha).ln() } else { 0.0 };
        let threshold = threshold_of_errors(budget.alpha) + routes + caution;
        let failures: f64 = self.compared.iter().map(|compared| compared.requests).sum();
        let pb = self.traffic.active_fails;
        let shows = |rate: f64| {
            let mut sums = [RequestGain::default(); ALTERNATIVES];
            for Compared { requests, share, reference } in &self.compared {
                let gains = rate_odds::expected_gains(*reference, *share, rate, pb);
                for (sum, gain) in sums.iter_mut().zip(gains) {
                    (sum.mean, sum.square) = (sum.mean + requests * gain.mean, sum.square + requests * gain.square);
                }
            }
            let surely = |(sum, prior): (&RequestGain, f64)| sum.mean - SURE * sum.square.sqrt() + prior.ln();
            let most = sums.iter().zip(rate_odds::PRIOR).map(surely).fold(f64::NEG_INFINITY, f64::max);
            most >= threshold && failures * rate >= LEAST_FAILURES
        };
        rate_odds::smallest(pb, shows)
    }
}

/// The candidate's requests at a step that are compared with active's.
struct Compared {
    requests: f64,
    /// The candidate's share of the comparison.
    share: f64,
    /// What the guard takes active's failure rate for.
    reference: f64,
}

impl Compared {
    /// Of so many requests of the candidate, at these rates of both sides. What waits for the other side for too long is
    /// dropped, so where requests are rare only a part is compared, with less of active's.
    fn of(requests: f64, own: f64, active: f64, reference: f64) -> Compared {
        let met = 1.0 - (-WAITS * active).exp();
        let each = (active / own).min(1.0 + 0.5 * WAITS * active);
        Compared { requests: requests * met, share: (1.0 / (1.0 + each)).clamp(1e-4, 0.9999), reference }
    }
}

#[cfg(test)]
mod tests;
