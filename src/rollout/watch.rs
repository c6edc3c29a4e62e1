//! The eyes on one live service: windows of both sides, on the whole service and on every route, and the judge's times.

use crate::guard::trigger::{Metric, Reading};
use crate::guard::window::{Totals, Window};
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
    last: Millis,
}

#[derive(Clone, Debug)]
struct Scope {
    route: Option<usize>,
    /// By [`Environment::index`]; opened by the first totals.
    windows: Option<[Window; 2]>,
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
    pub fn new(now: Millis, routes: usize, policy: &Policy) -> Watch {
        let scope = |route| Scope {
            route,
            windows: None,
            held: vec![Millis::ZERO; policy.triggers.len()],
            out: vec![false; policy.triggers.len()],
            shared: false,
        };
        let each = if routes > 1 { 0..routes } else { 0..0 };
        Watch { scopes: std::iter::once(scope(None)).chain(each.map(|at| scope(Some(at)))).collect(), last: now }
    }

    /// Takes the totals of every route at `now`, and judges.
    pub fn look(&mut self, now: Millis, seen: &Seen<'_>, totals: &[[Totals; 2]]) -> Found {
        let step = now.since(self.last).min(LONGEST_STEP);
        self.last = now;
        let mut found = Found::default();
        let mut whole = <[Totals; 2]>::default();
        for pair in totals {
            whole.iter_mut().zip(pair).for_each(|(sum, part)| sum.add(part));
        }
        for scope in &mut self.scopes {
            let pair = match scope.route {
                None => Some(&whole),
                Some(at) => totals.get(at),
            };
            if let Some(pair) = pair {
                scope.look(now, step, seen, pair, &mut found);
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
    fn look(&mut self, now: Millis, step: Millis, seen: &Seen<'_>, totals: &[Totals; 2], found: &mut Found) {
        let [blue, green] = totals;
        let sides = if seen.active == Environment::Blue { [blue, green] } else { [green, blue] };
        let windows = self.windows.get_or_insert_with(|| sides.map(|side| Window::opened(now, side)));
        let [active, candidate] = &*windows;
        let share = seen.weight.ratio();
        let readings = seen.policy.triggers.iter().zip(&mut self.held).map(|(trigger, held)| {
            // A route's share is not the service's where rules and stickiness choose: only the whole service is held to it.
            if trigger.metric == Metric::ThroughputDrop && self.route.is_some() {
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
