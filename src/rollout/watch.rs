//! The eyes on one live service: windows of both sides, on the whole service and on every route, and the judge's times.

use crate::guard::trigger::{Metric, Reading};
use crate::guard::window::{Counts, Totals, Window};
use crate::guard::{Judgement, Missing, Policy, Sight, Verdict, judge};
use crate::time::Millis;
use crate::traffic::Environment;
use crate::traffic::split::Weight;

/// A look that comes later than this proves no more than this: what happened in between was not looked at.
const LONGEST_STEP: Millis = Millis::seconds(1);

/// Made when a service becomes live, dropped when it is no more.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The whole service first, then its routes, where there is more than one.
    scopes: Vec<Scope>,
    /// The last look; none before the first.
    last: Option<Millis>,
    /// The share as last seen, and since when.
    share: (Weight, Millis),
}

#[derive(Clone, Debug)]
struct Scope {
    route: Option<usize>,
    /// Active and candidate; opened by the first answer, so a route that nobody asks for costs nothing.
    windows: Option<[Window; 2]>,
    /// What was counted at the last look: where nothing has happened since, there is nothing to judge.
    counts: [Counts; 2],
    /// By the trigger's place in the policy.
    held: Vec<Millis>,
    /// The warnings that are already out, by the trigger's place; and whether shared fate is.
    out: Vec<bool>,
    shared: bool,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Found {
    /// The first scope that is unhealthy.
    pub unhealthy: Option<(Sight, Judgement)>,
    /// Warnings and holds that are new since the last look.
    pub news: Vec<(News, Sight, Judgement)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The trigger at this place fired, which does not roll back.
    Fired(usize),
    SharedFate,
}

impl Watch {
    pub fn new(routes: usize, policy: &Policy) -> Watch {
        let scope = |route| Scope {
            route,
            windows: None,
            counts: Default::default(),
            held: vec![Millis::ZERO; policy.triggers.len()],
            out: vec![false; policy.triggers.len()],
            shared: false,
        };
        let each = if routes > 1 { 0..routes } else { 0..0 };
        Watch {
            scopes: std::iter::once(scope(None)).chain(each.map(|at| scope(Some(at)))).collect(),
            last: None,
            share: (Weight::ZERO, Millis::ZERO),
        }
    }

    /// Takes the totals of the routes that were ever asked for, at `now`, and judges.
    pub fn look(&mut self, now: Millis, seen: &Seen<'_>, totals: &[Option<[Totals; 2]>]) -> Found {
        let since = self.last.replace(now);
        if self.share.0 != seen.weight {
            self.share = (seen.weight, now);
        }
        let (_, steady_since) = self.share;
        let mut found = Found::default();
        let mut whole: Option<[Totals; 2]> = None;
        for pair in totals.iter().flatten() {
            let whole = whole.get_or_insert_default();
            whole.iter_mut().zip(pair).for_each(|(sum, part)| sum.add(part));
        }
        for scope in &mut self.scopes {
            let pair = match scope.route {
                None => whole.as_ref(),
                Some(at) => totals.get(at).and_then(Option::as_ref),
            };
            if let Some(pair) = pair {
                scope.look(now, since, seen, pair, now.since(steady_since), &mut found);
            }
        }
        found
    }
}

/// What of the service the judge must know.
pub struct Seen<'a> {
    pub policy: &'a Policy,
    pub routes: &'a [String],
    pub active: Environment,
    pub weight: Weight,
}

impl Scope {
    fn look(
        &mut self,
        now: Millis,
        since: Option<Millis>,
        seen: &Seen<'_>,
        totals: &[Totals; 2],
        steady: Millis,
        found: &mut Found,
    ) {
        let [blue, green] = totals;
        let sides = if seen.active == Environment::Blue { [blue, green] } else { [green, blue] };
        let counts = sides.map(|side| side.counts);
        if self.windows.is_some() && counts == self.counts {
            return;
        }
        self.counts = counts;
        let step = now.since(since.unwrap_or(now)).min(LONGEST_STEP);
        let windows = self.windows.get_or_insert_with(|| match since {
            // The service has just become live: what was counted before is not the candidate's.
            None => sides.map(|side| Window::opened(now, side)),
            // The route's first answers came since the last look, and all of them count.
            Some(since) => sides.map(|_| Window::opened(since, &Totals::default())),
        });
        let [active, candidate] = &*windows;
        let share = seen.weight.ratio();
        let readings = seen.policy.triggers.iter().zip(&mut self.held).map(|(trigger, held)| {
            // A route's share is not the service's where rules and stickiness choose: only the whole service is held to it.
            // And what was answered at another weight says nothing of this one.
            if trigger.metric == Metric::ThroughputDrop && (self.route.is_some() || steady < trigger.window) {
                return Reading {
                    active: Default::default(),
                    candidate: Default::default(),
                    share: 0.0,
                    held: Millis::ZERO,
                };
            }
            let [active, candidate] = trigger.sample([active, candidate], sides, now);
            let mut reading = Reading { active, candidate, share, held: *held };
            *held = trigger.held(&reading, step);
            reading.held = *held;
            reading
        });
        let route = self.route.and_then(|at| seen.routes.get(at)).cloned();
        let sight = Sight { route, readings: readings.collect() };
        windows.iter_mut().zip(sides).for_each(|(window, side)| window.observe(now, side));
        let judgement = judge(seen.policy, &sight);
        self.tell(sight, judgement, found);
    }

    /// Every warning once, until it is over.
    fn tell(&mut self, sight: Sight, judgement: Judgement, found: &mut Found) {
        let shared = judgement.verdict == Verdict::Insufficient { missing: Missing::HealthyActive };
        if shared && !self.shared {
            found.news.push((News::SharedFate, sight.clone(), judgement.clone()));
        }
        self.shared = shared;
        for (place, out) in self.out.iter_mut().enumerate() {
            let fired = judgement.fired.iter().any(|(at, _)| *at == place);
            if fired && !*out {
                found.news.push((News::Fired(place), sight.clone(), judgement.clone()));
            }
            *out = fired;
        }
        if found.unhealthy.is_none() && matches!(judgement.verdict, Verdict::Unhealthy(_)) {
            found.unhealthy = Some((sight, judgement));
        }
    }
}
