//! The watch over one live service: the whole of it and every route, and what they have found together.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::guard::comparison::{SidesCompared, SidesComparison};
use crate::guard::evidence::bet::AT_RAISES;
use crate::guard::evidence::broken_routes::broken;
use crate::guard::evidence::meters::{EvidenceMeters, HandedMeters, MeterContext};
use crate::guard::evidence::rate_odds;
use crate::guard::evidence::remembered::RememberedActive;
use crate::guard::evidence::standstill::Standstill;
use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::evidence::{
    CombinedEvidence, LEAST_BAD, METERS, MeterEvidence, MeterKind, SERIOUS, grouped, odds, threshold_of_errors,
};
use crate::guard::window::{JudgedTotals, LONGEST, WindowSample};
use crate::guard::{EvidenceBudget, GuardPolicy, InsufficientReason, Judgement, Observation, Verdict, judge};
use crate::rollout::active_baseline::ExchangedMeter;
use crate::rollout::active_before::ActiveBefore;
use crate::rollout::caution::{Caution, CautionChange};
use crate::rollout::judged_scope::{Findings, JudgedScope, ScopeContext, WatchedService};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

/// The stake is divided over this many raises; a plan has about as many.
const RAISES: u32 = 5;
/// After the weight was lowered, responses sent at the old weight arrive for this long, or for active's p99.
const SETTLING: Millis = Millis::seconds(1);
/// How far back is looked for what active did a moment ago.
const RECENT: Millis = Millis::seconds(10);
/// The resolution, and how the two sides differ, are computed this often.
const RESOLVE: Millis = Millis::seconds(1);

/// Created when a service becomes live, and dropped when it no longer is.
#[derive(Clone, Debug)]
pub struct ServiceWatch {
    /// The whole service first, then its routes if there are several.
    scopes: Vec<JudgedScope>,
    /// The previous look; none before the first.
    last: Option<Millis>,
    share: WeightHistory,
    /// The candidate's responses before the watch began.
    answers_before: u64,
    first: FirstRequest,
    /// It began in another process.
    began_earlier: bool,
    caution: Caution,
    /// None before the first response.
    standstill: Option<Standstill>,
    spared: bool,
    /// Whether the candidate is better.
    exchanged: ExchangedMeter,
    resolved: Resolution,
    /// None before the first response.
    comparison: Option<SidesComparison>,
    /// When it was last shown.
    compared_at: Millis,
    /// When it was last noted what a candidate does that is compared with nothing.
    alone_at: Millis,
    shown: GuardReading,
}

/// What would have shown by now, as last computed.
#[derive(Clone, Copy, Debug, Default)]
struct Resolution {
    at: Millis,
    /// The smallest failure rate that would have been detected.
    rate: Option<f64>,
    /// The one that is enough.
    enough: Option<f64>,
}

/// The weight as last seen, and what follows from its past.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct WeightHistory {
    weight: Weight,
    since: Millis,
    raised: Millis,
    /// How much of the share was new with the last raise.
    new: f64,
    raises: u32,
    /// Staked on the raises and not yet placed: the meters get it with the next tick.
    stake: f64,
    settled: Millis,
}

/// What the watch over a service has found out, for another process that goes on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HandedScopes {
    share: WeightHistory,
    answers_before: u64,
    /// When the candidate got its first request.
    first: Option<Millis>,
    /// Of the whole service first, then of its routes; `None` before the first response.
    scopes: Vec<Option<HandedMeters>>,
}

/// When the candidate got its first request. Answered or not: otherwise one that hangs would stay cold forever.
#[derive(Clone, Copy, Debug)]
enum FirstRequest {
    /// Not yet; this many were sent to it before.
    NotBefore(u32),
    At(Millis),
}

/// What is shown of the judge between its verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardReading {
    pub verdict: Option<Verdict>,
    /// By [`MeterKind`], `x : 1`.
    pub evidence: [f64; METERS],
    pub resolution: Option<f64>,
    /// The resolution that is enough here.
    pub enough: Option<f64>,
    pub cautious: bool,
    /// How the two sides differ, as of a second ago at the most.
    pub compared: SidesCompared,
    /// The candidate has all of the traffic, and nothing is known of what active did before: what it did itself of late.
    pub alone: Option<WindowSample>,
}

impl GuardReading {
    pub fn is_healthy(&self) -> bool {
        self.verdict == Some(Verdict::Healthy)
    }

    /// The verdict's name; `None` if nothing has been judged. Only triggers judge a candidate that is compared with nothing,
    /// and that is not called healthy.
    pub fn name(&self) -> Option<&'static str> {
        Some(match (self.verdict.as_ref()?, self.alone) {
            (Verdict::Healthy, Some(_)) => "not_compared",
            (Verdict::Healthy, None) => "healthy",
            (Verdict::Unhealthy(_), _) => "unhealthy",
            (Verdict::Insufficient { .. }, _) => "insufficient",
        })
    }

    /// All names of verdicts.
    pub const NAMES: [&str; 4] = ["healthy", "unhealthy", "insufficient", "not_compared"];

    /// That the candidate is compared with nothing, and what it did, in words.
    pub fn uncompared(&self, active: Environment) -> Option<String> {
        let WindowSample { answers, failed, span, .. } = self.alone?;
        let candidate = active.other();
        let did = match answers {
            0 => format!("{candidate} had no requests in {}", span.whole_seconds()),
            _ => {
                let percent = format!("{:.1} %", 100.0 * failed as f64 / answers as f64).replace(".0 %", " %");
                let [failed, answers] = [failed, answers].map(grouped);
                format!("{candidate} failed {failed} of {answers} ({percent}) in {}", span.whole_seconds())
            }
        };
        Some(format!("not compared: nothing is known of what {active} did before; {did}, and only triggers judge it"))
    }

    /// Why there is no healthy verdict, in words.
    pub fn wanting(&self) -> String {
        let percent = |rate: f64| format!("{:.1} %", 100.0 * rate).replace(".0 %", " %");
        match (&self.verdict, self.resolution, self.enough) {
            (Some(Verdict::Unhealthy(reason)), ..) => format!("the candidate is unhealthy: {}", reason.name),
            (Some(Verdict::Insufficient { missing: InsufficientReason::HealthyActive }), ..) => {
                "both sides fail".to_owned()
            }
            (Some(Verdict::Insufficient { missing: InsufficientReason::Doubt }), ..) => {
                format!("evidence {} that it is worse: no verdict yet", odds(self.evidence.iter().sum()))
            }
            (Some(Verdict::Insufficient { .. }), Some(rate), Some(enough)) => format!(
                "too few requests for a verdict: failures of up to {} could still hide, {} is enough",
                percent(rate),
                percent(enough)
            ),
            _ => "too few requests for a verdict".to_owned(),
        }
    }
}

impl ServiceWatch {
    pub fn new(routes: usize, policy: &GuardPolicy) -> ServiceWatch {
        // Half of the stake is on the whole, and the routes share the other half; a lone route is the whole.
        let (whole, each) = if routes > 1 { (0.5, 0.5 / routes as f64) } else { (1.0, 0.0) };
        let of_routes = if routes > 1 { 0..routes } else { 0..0 };
        let scopes = std::iter::once(JudgedScope::new(None, whole, policy))
            .chain(of_routes.map(|at| JudgedScope::new(Some(at), each, policy)))
            .collect();
        let share = WeightHistory {
            weight: Weight::ZERO,
            since: Millis::ZERO,
            raised: Millis::ZERO,
            new: 1.0,
            raises: 0,
            stake: 0.0,
            settled: Millis::ZERO,
        };
        ServiceWatch {
            scopes,
            last: None,
            share,
            answers_before: 0,
            first: FirstRequest::NotBefore(0),
            began_earlier: false,
            caution: Caution::default(),
            standstill: None,
            spared: false,
            exchanged: ExchangedMeter::new(policy),
            resolved: Resolution::default(),
            comparison: None,
            compared_at: Millis::ZERO,
            alone_at: Millis::ZERO,
            shown: GuardReading::default(),
        }
    }

    /// What it has found out.
    pub(super) fn hand_over(&self) -> HandedScopes {
        let first = match self.first {
            FirstRequest::At(first) => Some(first),
            FirstRequest::NotBefore(_) => None,
        };
        let scopes = self.scopes.iter().map(|scope| scope.meters().map(EvidenceMeters::hand_over)).collect();
        HandedScopes { share: self.share, answers_before: self.answers_before, first, scopes }
    }

    /// Goes on from what another process has found out about the same routes.
    pub(super) fn go_on_from(&mut self, handed: HandedScopes) {
        let HandedScopes { share, answers_before, first, scopes } = handed;
        (self.share, self.answers_before, self.began_earlier) = (share, answers_before, true);
        self.first = first.map_or(FirstRequest::NotBefore(0), FirstRequest::At);
        for (scope, meters) in self.scopes.iter_mut().zip(scopes) {
            meters.into_iter().for_each(|meters| scope.go_on_from(meters));
        }
    }

    pub fn is_cautious(&self) -> bool {
        self.caution.is_on()
    }

    /// The candidate answers nobody at the moment, and is spared.
    pub const fn is_standing(&self) -> bool {
        self.spared
    }

    pub fn shown(&self) -> &GuardReading {
        &self.shown
    }

    /// Takes in the totals of the routes that were ever requested, at `now`, and judges. Blocks of evidence end only
    /// `on_grid`.
    pub fn look(
        &mut self,
        now: Millis,
        on_grid: bool,
        seen: &WatchedService<'_>,
        totals: &[Option<[JudgedTotals; 2]>],
    ) -> Findings {
        let since = self.last;
        if on_grid || since.is_none() {
            self.last = Some(now);
        }
        // A lone route is the whole service.
        let whole = match totals {
            [only] => only.as_ref().map(Cow::Borrowed),
            _ => sum(totals).map(Cow::Owned),
        };
        let Some(whole) = whole else { return Findings::default() };
        let sides = roles(&whole, seen.active);
        let moment = self.moment(now, since, seen.weight, sides[1]);
        let extra = if on_grid { std::mem::take(&mut self.share.stake) } else { 0.0 };
        let moment = MeterContext { extra, ..moment };
        let steady = now.since(self.share.since);
        let look = ScopeContext { now, since, on_grid, seen, moment, steady };
        // Before the windows move on: a rush is what has happened since.
        let budget = seen.policy.evidence;
        let careful = budget.is_some_and(|budget| budget.caution);
        if on_grid || since.is_none() {
            self.compare(now, seen.weight, sides);
        }
        let rush = self.scopes.first().filter(|_| careful).and_then(|scope| scope.rush(now, sides));

        let mut sights = Vec::new();
        for (place, scope) in self.scopes.iter_mut().enumerate() {
            let pair = match scope.route {
                None => Some(&*whole),
                Some(at) => totals.get(at).and_then(Option::as_ref),
            };
            let sight = pair.and_then(|pair| scope.look(&look, roles(pair, seen.active)));
            // The whole service is judged at every look, because the evidence of all scopes comes together there.
            let whole = place == 0 && budget.is_some();
            let sight =
                sight.or_else(|| whole.then(|| Observation { route: None, readings: Vec::new(), evidence: None }));
            sights.extend(sight.map(|sight| (place, sight)));
        }
        let mut found = Findings { broken_active: self.broken_active(now, budget, sides), ..Findings::default() };
        found.turned = on_grid && self.note_progress(now, careful, sides[1]);
        if let (Some(budget), Some((0, sight))) = (budget, sights.first_mut()) {
            let answers = sides[1].counts.answers;
            let (weighed, turn) = self.weigh(now, &budget, seen, answers, rush);
            sight.evidence = Some(weighed);
            found.caution = turn.map(|turn| (turn, sight.clone(), judge(seen.policy, sight)));
        }
        self.note_alone(now, on_grid, sides);
        for (place, sight) in sights {
            let judgement = judge(seen.policy, &sight);
            // The evidence doubts it between two looks of the triggers too.
            let doubts = judgement.verdict == Verdict::Insufficient { missing: InsufficientReason::Doubt };
            if place == 0 && (doubts || !sight.readings.is_empty()) {
                self.shown.verdict = Some(judgement.verdict.clone());
            }
            let silent = sight.readings.is_empty() && !matches!(judgement.verdict, Verdict::Unhealthy(_));
            if let Some(scope) = self.scopes.get_mut(place).filter(|_| !silent) {
                scope.tell(sight, judgement, &mut found);
            }
        }
        found.shared = self.scopes.iter().any(JudgedScope::is_shared);
        found.tape = found.unhealthy.as_ref().and_then(|unhealthy| self.tape_of(seen, unhealthy));
        found
    }

    /// Whether the candidate is better, and how the two sides differ.
    fn compare(&mut self, now: Millis, weight: Weight, sides: [&JudgedTotals; 2]) {
        self.exchanged.look(now, sides.map(|side| side.counts));
        let compared = self.comparison.get_or_insert_with(|| SidesComparison::new(now, weight, sides));
        compared.take(now, weight, sides);
        if now.since(self.compared_at) >= RESOLVE {
            (self.compared_at, self.shown.compared) = (now, compared.bands());
        }
    }

    /// What a candidate does that is compared with nothing.
    fn note_alone(&mut self, now: Millis, on_grid: bool, sides: [&JudgedTotals; 2]) {
        let whole = self.scopes.first();
        if !whole.and_then(JudgedScope::meters).is_some_and(EvidenceMeters::is_blind) {
            self.shown.alone = None;
        } else if self.shown.alone.is_none() || on_grid && now.since(self.alone_at) >= RESOLVE {
            self.alone_at = now;
            self.shown.alone =
                whole.and_then(|scope| scope.recent(now, LONGEST, sides)).map(|[_, candidate]| candidate);
        }
    }

    /// Takes what an earlier watch knew of active; it stands until then.
    pub fn recall(&mut self, before: &ActiveBefore, until: Millis, routes: &[String]) {
        for scope in &mut self.scopes {
            let route = scope.route.map(|at| routes.get(at).map_or("", String::as_str));
            if let Some(before) = before.of(route) {
                scope.recall(before, until);
            }
        }
    }

    /// What is known of active by the indices of the routes, of the whole service first, while the candidate has all of
    /// the traffic.
    pub fn active_before(&self) -> Vec<(Option<usize>, &RememberedActive)> {
        self.scopes.iter().filter_map(|scope| Some((scope.route, scope.meters()?.before()?))).collect()
    }

    /// Whether the candidate has come to a standstill, or goes on. `careful`: clients are kept from it then.
    fn note_progress(&mut self, now: Millis, careful: bool, candidate: &JudgedTotals) -> bool {
        let before = self.spared;
        let meters = self.scopes.first().and_then(JudgedScope::meters);
        if let Some(side) = meters.map(|meters| meters.progress(candidate)) {
            let standstill = self.standstill.get_or_insert_with(|| Standstill::new(now, side.answers));
            standstill.look(now, side);
            self.spared = careful && standstill.spares();
        }
        before != self.spared
    }

    /// If the candidate is better than active as surely as a rollback wants it the other way: what both did a moment ago.
    fn broken_active(
        &self,
        now: Millis,
        budget: Option<EvidenceBudget>,
        sides: [&JudgedTotals; 2],
    ) -> Option<[WindowSample; 2]> {
        let sure = 1.0 / budget?.alpha;
        let recent = self.scopes.first().filter(|_| self.exchanged.evidence() >= sure)?.recent(now, RECENT, sides)?;
        let [active, candidate] = &recent;
        // More than a verdict needs, and the candidate does not fail so.
        (active.failed >= LEAST_BAD && 2 * active.failed > active.answers && 4 * candidate.failed < candidate.answers)
            .then_some(recent)
    }

    /// The leading meter's tape, where the evidence decided.
    fn tape_of(
        &self,
        seen: &WatchedService<'_>,
        (sight, judgement): &(Observation, Judgement),
    ) -> Option<EvidenceTape> {
        let Verdict::Unhealthy(reason) = &judgement.verdict else { return None };
        let weighed = sight.evidence.as_ref().filter(|_| reason.trigger.is_none())?;
        self.tape(seen, weighed)
    }

    /// What the triggers see at `now`, the whole service first; this changes nothing.
    pub fn sights(
        &self,
        now: Millis,
        seen: &WatchedService<'_>,
        totals: &[Option<[JudgedTotals; 2]>],
    ) -> Vec<Observation> {
        let Some(whole) = sum(totals) else { return Vec::new() };
        let steady = now.since(self.share.since);
        let sights = self.scopes.iter().filter_map(|scope| {
            let pair = match scope.route {
                None => Some(&whole),
                Some(at) => totals.get(at).and_then(Option::as_ref),
            };
            scope.sight(now, seen, steady, roles(pair?, seen.active))
        });
        sights.collect()
    }

    fn moment(&mut self, now: Millis, since: Option<Millis>, weight: Weight, candidate: &JudgedTotals) -> MeterContext {
        let sent = candidate.cohorts.total_sent();
        if since.is_none() && !self.began_earlier {
            (self.answers_before, self.first) = (candidate.counts.answers, FirstRequest::NotBefore(sent));
        }
        let first = match self.first {
            FirstRequest::NotBefore(before) if before == sent => now,
            FirstRequest::NotBefore(_) => {
                self.first = FirstRequest::At(now);
                now
            }
            FirstRequest::At(first) => first,
        };
        let share = &mut self.share;
        if share.weight != weight {
            if weight > share.weight {
                let new = 1.0 - share.weight.ratio() / weight.ratio();
                (share.raised, share.new) = (now, new);
                // The first weight is not a raise: the initial stake is on it.
                if !share.weight.is_zero() && share.raises < RAISES {
                    share.raises += 1;
                    share.stake += AT_RAISES / f64::from(RAISES);
                }
            } else {
                let p99 = self.scopes.first().and_then(JudgedScope::meters).and_then(|meters| meters.p99());
                share.settled = now.plus(p99.unwrap_or(SETTLING).max(SETTLING));
            }
            (share.weight, share.since) = (weight, now);
        }
        MeterContext {
            age: now.since(first),
            raised: (now.since(share.raised.max(first)), share.new),
            extra: 0.0,
            settling: now < share.settled,
            standstill: self.standstill.as_ref().is_some_and(Standstill::is_on),
            answered: self.standstill.as_ref().map_or(now, Standstill::answered),
            alone: weight == Weight::FULL,
        }
    }

    /// What all meters say together, and what caution makes of it.
    fn weigh(
        &mut self,
        now: Millis,
        budget: &EvidenceBudget,
        seen: &WatchedService<'_>,
        answers: u64,
        rush: Option<[WindowSample; 2]>,
    ) -> (CombinedEvidence, Option<CautionChange>) {
        let meters = || self.scopes.iter().filter_map(JudgedScope::meters);
        let evidence = MeterKind::ALL.map(|kind| meters().map(|meters| meters.evidence_of(kind)).sum::<f64>());
        let total = evidence.iter().sum();
        let requests = answers.saturating_sub(self.answers_before);
        if now.since(self.resolved.at) >= RESOLVE {
            let whole = self.scopes.first().and_then(JudgedScope::meters);
            self.resolved = whole.map_or(Resolution::default(), |whole| resolve(whole, budget, seen, requests));
            self.resolved.at = now;
        }
        let Resolution { rate: resolution, enough, .. } = self.resolved;
        let turn = if budget.caution { self.caution.look(now, total, answers, rush) } else { None };
        let cautious = self.caution.is_on();
        let GuardReading { verdict, compared, alone, .. } = std::mem::take(&mut self.shown);
        self.shown = GuardReading { verdict, evidence, resolution, enough, cautious, compared, alone };
        // Assembled only if it will be read.
        let tell = total >= 1.0 / budget.alpha || turn.is_some();
        let parts = if tell { self.parts(seen.routes, total) } else { Vec::new() };
        let broken = if tell { self.broken(seen.routes) } else { Vec::new() };
        let combined = CombinedEvidence {
            total,
            parts,
            broken,
            resolution,
            enough,
            better: self.exchanged.evidence(),
            alone: seen.weight == Weight::FULL,
            asked_for: requests >= seen.wanted,
        };
        (combined, turn)
    }

    /// The names of the routes that are broken, each by itself.
    fn broken(&self, routes: &[String]) -> Vec<String> {
        let of_routes: Vec<(usize, f64)> =
            self.scopes.iter().filter_map(|scope| Some((scope.route?, scope.own_evidence()))).collect();
        let evidence: Vec<f64> = of_routes.iter().map(|(_, evidence)| *evidence).collect();
        let places = broken(&evidence, SERIOUS).into_iter().filter_map(|place| of_routes.get(place));
        places.filter_map(|(route, _)| routes.get(*route).cloned()).collect()
    }

    /// The parts that make a hundredth or more of the evidence, the largest first.
    fn parts(&self, routes: &[String], total: f64) -> Vec<MeterEvidence> {
        let meters = self.scopes.iter().filter_map(|scope| Some((scope.route, scope.meters()?)));
        let mut parts: Vec<_> = meters
            .flat_map(|(route, meters)| meters.parts(route.and_then(|at| routes.get(at)).map(String::as_str)))
            .filter(|part| part.evidence >= total / 100.0)
            .collect();
        parts.sort_by(|a, b| b.evidence.total_cmp(&a.evidence));
        parts.truncate(5);
        parts
    }

    fn tape(&self, seen: &WatchedService<'_>, weighed: &CombinedEvidence) -> Option<EvidenceTape> {
        let leading = weighed.parts.first()?;
        let name = |route: Option<usize>| route.and_then(|at| seen.routes.get(at));
        let scope = self.scopes.iter().find(|scope| name(scope.route) == leading.route.as_ref())?;
        scope.meters()?.tape(leading.meter).cloned()
    }
}

/// What `requests` of the candidate would have shown by now, and what is enough.
fn resolve(whole: &EvidenceMeters, budget: &EvidenceBudget, seen: &WatchedService<'_>, requests: u64) -> Resolution {
    let share = seen.weight.ratio().clamp(1e-4, 0.9999);
    let shows = |requests| whole.resolution(requests, share, threshold_of_errors(budget.alpha));
    let rate = shows(requests);
    // Whoever asks for few requests does not ask to see more than they can show.
    let planned = shows(seen.wanted).filter(|_| requests >= seen.wanted);
    let enough = whole.active_rate().map(rate_odds::must_show).into_iter().chain(planned).reduce(f64::max);
    Resolution { rate, enough, ..Resolution::default() }
}

/// All routes together.
fn sum(totals: &[Option<[JudgedTotals; 2]>]) -> Option<[JudgedTotals; 2]> {
    let mut whole: Option<[JudgedTotals; 2]> = None;
    for pair in totals.iter().flatten() {
        let whole = whole.get_or_insert_default();
        whole.iter_mut().zip(pair).for_each(|(sum, part)| sum.add(part));
    }
    whole
}

/// Active's and the candidate's part of a pair by environment.
fn roles(pair: &[JudgedTotals; 2], active: Environment) -> [&JudgedTotals; 2] {
    [active.of(pair), active.other().of(pair)]
}
