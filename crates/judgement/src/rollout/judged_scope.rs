//! One scope that is watched, the whole service or one route: its windows for the triggers and its meters for the
//! evidence.

use crate::guard::evidence::meters::{EvidenceMeters, HandedMeters, MeterContext};
use crate::guard::evidence::remembered::RememberedActive;
use crate::guard::evidence::tape::EvidenceTape;
use crate::guard::long_window::{LongWindow, PromisedTraffic, SidesNow};
use crate::guard::trigger::{Metric, Trigger, TriggerReading};
use crate::guard::window::{AnswerCounts, JudgedTotals, TotalsWindow, WindowSample};
use crate::guard::{GuardPolicy, InsufficientReason, Judgement, Observation, Verdict};
use crate::rollout::active_baseline::UsualRate;
use crate::rollout::caution::CautionChange;
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

/// Triggers are evaluated this often; their windows are seconds.
const TRIGGERS: Millis = Millis(100);

/// The result of one look.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first scope that is unhealthy.
    pub unhealthy: Option<(Observation, Judgement)>,
    /// The leading meter's tape, if the evidence decided.
    pub tape: Option<EvidenceTape>,
    /// Warnings and holds that are new since the last look.
    pub news: Vec<(WatchWarning, Observation, Judgement)>,
    /// Both sides fail, on the whole or on a route.
    pub shared: bool,
    /// If active is broken by evidence: what it and the candidate did a moment ago.
    pub broken_active: Option<[WindowSample; 2]>,
    /// Caution begins or ends, and what is known at that point.
    pub caution: Option<(CautionChange, Observation, Judgement)>,
    /// The candidate has come to a standstill, or goes on.
    pub turned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchWarning {
    /// The trigger at this index fired; it does not roll back.
    Fired(usize),
    SharedFate,
}

/// What the judge must know about the service.
pub struct WatchedService<'a> {
    pub policy: &'a GuardPolicy,
    pub routes: &'a [String],
    pub active: Environment,
    pub weight: Weight,
    /// The requests that the plan wants of the candidate at its step.
    pub wanted: u64,
}

/// A scope that is judged, with the state of its triggers.
#[derive(Clone, Debug)]
pub struct JudgedScope {
    pub route: Option<usize>,
    /// Its part of the service's evidence.
    share: f64,
    eyes: Option<ScopeMeters>,
    /// The warnings already announced, by the trigger's index, and whether shared fate has been.
    out: Vec<bool>,
    shared: bool,
    usual: UsualRate,
    /// What an earlier watch knew of active, and how long that stands.
    recalled: Option<(RememberedActive, Millis)>,
    /// What the process before this one has found out.
    handed: Option<HandedMeters>,
}

/// Opened by the first response, so that a route that nobody requests costs nothing.
#[derive(Clone, Debug)]
struct ScopeMeters {
    /// Active and candidate.
    windows: [TotalsWindow; 2],
    /// One for each `for` of the triggers.
    long: Vec<LongWindow>,
    /// Active's and the candidate's share of the traffic since it was opened.
    promised: [PromisedTraffic; 2],
    /// When and at how many responses of both that was last added to.
    counted: (Millis, u64),
    meters: Option<EvidenceMeters>,
    /// The counts when the triggers were last evaluated: if nothing has happened since, there is nothing to judge.
    counts: Option<[(AnswerCounts, u64); 2]>,
    looked: Option<Millis>,
}

/// What the scopes of a service share at a look.
pub struct ScopeContext<'a> {
    pub now: Millis,
    /// The previous look; none if the service has just become live.
    pub since: Option<Millis>,
    pub on_grid: bool,
    pub seen: &'a WatchedService<'a>,
    pub moment: MeterContext,
    /// How long the weight has been what it is.
    pub steady: Millis,
}

impl JudgedScope {
    pub fn new(route: Option<usize>, share: f64, policy: &GuardPolicy) -> JudgedScope {
        let triggers = policy.triggers.len();
        JudgedScope {
            route,
            share,
            eyes: None,
            out: vec![false; triggers],
            shared: false,
            usual: UsualRate::default(),
            recalled: None,
            handed: None,
        }
    }

    /// Goes on from what another process has found out.
    pub fn go_on_from(&mut self, handed: HandedMeters) {
        self.handed = Some(handed);
    }

    /// Takes what an earlier watch knew of active; it stands until then.
    pub fn recall(&mut self, before: RememberedActive, until: Millis) {
        self.recalled = Some((before, until));
    }

    /// Looks at the totals of active and candidate. Returns what the triggers see, if they are due and there is
    /// anything new.
    pub fn look(&mut self, look: &ScopeContext<'_>, sides: [&JudgedTotals; 2]) -> Option<Observation> {
        let ScopeContext { now, since, seen, .. } = *look;
        if look.on_grid || since.is_none() {
            self.usual.look(now, sides[0].counts);
        }
        let share = self.share;
        let eyes = self.eyes.get_or_insert_with(|| {
            let nothing = JudgedTotals::default();
            // Either the service has just become live, and the earlier counts are not the candidate's; or the route's
            // first responses came since the last look, and all of them count.
            let (from, [active, candidate]) = match since {
                None => (now, sides),
                Some(since) => (since, [&nothing; 2]),
            };
            let open = |side| TotalsWindow::opened(from, side);
            let meters = seen.policy.evidence.as_ref();
            let opened = SidesNow { now: from, totals: [active, candidate], promised: Default::default() };
            ScopeMeters {
                windows: [open(active), open(candidate)],
                long: long_windows(seen.policy, &opened),
                promised: opened.promised,
                counted: (from, active.counts.answers + candidate.counts.answers),
                meters: meters.map(|budget| EvidenceMeters::new(from, budget, share, [candidate, active])),
                counts: None,
                looked: None,
            }
        });
        let [active, candidate] = sides;
        if let (Some(meters), Some((before, until))) = (&mut eyes.meters, self.recalled.take()) {
            meters.recall(before, until);
        }
        if let (Some(meters), Some(handed)) = (&mut eyes.meters, self.handed.take()) {
            meters.go_on_from(handed);
        }
        if let (Some(meters), true) = (&mut eyes.meters, look.on_grid) {
            meters.look(now, [candidate, active], &look.moment);
        }
        let counts = sides.map(|side| (side.counts, side.health_failures));
        let due = eyes.looked.is_none_or(|at| now.since(at) >= TRIGGERS) && eyes.counts != Some(counts);
        eyes.promise(now, seen.weight, sides);
        let sight = due.then(|| {
            (eyes.counts, eyes.looked) = (Some(counts), Some(now));
            let route = self.route;
            let readings = eyes.readings(look, route, sides, self.usual.rate());
            let name = route.and_then(|at| seen.routes.get(at)).cloned();
            Observation { route: name, readings, evidence: None }
        });
        eyes.windows.iter_mut().zip(sides).for_each(|(window, side)| window.observe(now, side));
        let seen = SidesNow { now, totals: sides, promised: eyes.promised };
        eyes.long.iter_mut().for_each(|window| window.observe(&seen));
        sight
    }

    /// What active and the candidate did in this time.
    pub fn recent(&self, now: Millis, span: Millis, sides: [&JudgedTotals; 2]) -> Option<[WindowSample; 2]> {
        let ScopeMeters { windows: [active, candidate], .. } = self.eyes.as_ref()?;
        Some([active.last(span, now, sides[0], None), candidate.last(span, now, sides[1], None)])
    }

    /// If the candidate has just failed in a rush, by more than chance: what active and the candidate did in that time.
    pub fn rush(&self, now: Millis, sides: [&JudgedTotals; 2]) -> Option<[WindowSample; 2]> {
        let ScopeMeters { windows: [active, candidate], .. } = self.eyes.as_ref()?;
        let rush = candidate.rush(now, sides[1])?;
        let beyond_chance = self.usual.is_beyond_chance(&rush);
        beyond_chance.then(|| [active.last(Millis::seconds(1), now, sides[0], None), rush])
    }

    /// The evidence against the candidate here, `x : 1`, as if all of the stake were on this scope.
    pub fn own_evidence(&self) -> f64 {
        self.meters().map_or(0.0, |meters| meters.evidence() / self.share)
    }

    pub fn meters(&self) -> Option<&EvidenceMeters> {
        self.eyes.as_ref().and_then(|eyes| eyes.meters.as_ref())
    }

    /// What the triggers see at `now`, without taking a look: no time limit advances. `None` before the first response.
    pub fn sight(
        &self,
        now: Millis,
        seen: &WatchedService<'_>,
        steady: Millis,
        sides: [&JudgedTotals; 2],
    ) -> Option<Observation> {
        let eyes = self.eyes.as_ref()?;
        let moment = MeterContext {
            age: Millis::ZERO,
            raised: (Millis::ZERO, 0.0),
            extra: 0.0,
            settling: false,
            standstill: false,
            answered: now,
            alone: false,
        };
        let look = ScopeContext { now, since: None, on_grid: false, seen, moment, steady };
        let readings = eyes.readings(&look, self.route, sides, self.usual.rate());
        let route = self.route.and_then(|at| seen.routes.get(at)).cloned();
        Some(Observation { route, readings, evidence: None })
    }

    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// Announces every warning once, until it is over.
    pub fn tell(&mut self, sight: Observation, judgement: Judgement, found: &mut Findings) {
        let shared = judgement.verdict == Verdict::Insufficient { missing: InsufficientReason::HealthyActive };
        if shared && !self.shared {
            found.news.push((WatchWarning::SharedFate, sight.clone(), judgement.clone()));
        }
        self.shared = shared;
        for (place, out) in self.out.iter_mut().enumerate() {
            let fired = judgement.fired.iter().any(|(at, _)| *at == place);
            if fired && !*out {
                found.news.push((WatchWarning::Fired(place), sight.clone(), judgement.clone()));
            }
            *out = fired;
        }
        if found.unhealthy.is_none() && matches!(judgement.verdict, Verdict::Unhealthy(_)) {
            found.unhealthy = Some((sight, judgement));
        }
    }
}

impl ScopeMeters {
    /// Adds what has come since the last look to what the shares promise.
    fn promise(&mut self, now: Millis, weight: Weight, sides: [&JudgedTotals; 2]) {
        let all = sides.iter().map(|side| side.counts.answers).sum();
        let (at, before) = std::mem::replace(&mut self.counted, (now, all));
        let (new, length) = (all.saturating_sub(before) as f64, now.since(at).0 as f64);
        for (promised, share) in self.promised.iter_mut().zip([weight.rest().ratio(), weight.ratio()]) {
            promised.expected += share * new;
            promised.offered += share * length;
        }
    }

    fn readings(
        &self,
        look: &ScopeContext<'_>,
        route: Option<usize>,
        totals: [&JudgedTotals; 2],
        usual: Option<f64>,
    ) -> Vec<TriggerReading> {
        let ScopeContext { now, seen, steady, .. } = *look;
        let share = seen.weight.ratio();
        let sides = SidesNow { now, totals, promised: self.promised };
        let readings = seen.policy.triggers.iter().map(|trigger| {
            if is_unfit(trigger, route, steady) {
                let (active, candidate) = Default::default();
                return TriggerReading { active, candidate, share: 0.0, held: Millis::ZERO, usual: None };
            }
            let long = self.long.iter().find(|long| trigger.is_long() && long.hold == trigger.hold);
            if let Some(long) = long {
                return trigger.read_long(long, &sides, share, usual);
            }
            let [active, candidate] = &self.windows;
            let [active, candidate] = trigger.sample([active, candidate], totals, now);
            TriggerReading { active, candidate, share, held: Millis::ZERO, usual }
        });
        readings.collect()
    }
}

/// If rules and stickiness choose, a route's share differs from the service's, so only the whole service is held to it;
/// and over a short window responses at another weight say nothing about this one. Health checks concern the whole
/// service anyway.
fn is_unfit(trigger: &Trigger, route: Option<usize>, steady: Millis) -> bool {
    match trigger.metric {
        Metric::ThroughputDrop => route.is_some() || !trigger.is_long() && steady < trigger.window,
        metric => metric.is_count() && route.is_some(),
    }
}

/// A window for each `for` of the triggers.
fn long_windows(policy: &GuardPolicy, opened: &SidesNow<'_>) -> Vec<LongWindow> {
    let long = || policy.triggers.iter().filter(|trigger| trigger.is_long());
    let mut holds: Vec<Millis> = long().map(|trigger| trigger.hold).collect();
    holds.sort_unstable();
    holds.dedup();
    let of = |hold: Millis| {
        let metrics: Vec<Metric> = long().filter(|other| other.hold == hold).map(|other| other.metric).collect();
        LongWindow::opened(hold, &metrics, opened)
    };
    holds.into_iter().map(of).collect()
}
