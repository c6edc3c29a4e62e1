//! Both sides of the ledger are compared: nothing is lost, doubled or swapped, and every failure has its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chaos::{Course, Span};
use super::ledger::{Id, Outcome, Protocol, Request, Side, Visits};

/// How a request ended, and whether that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Answered,
    /// Green failed, blue answered.
    Rescued,
    /// Green failed, and that is what the client was told: it may not be repeated, or the budget was spent.
    ToldOfFailure,
    /// A `kill -9` fell into it.
    Killed,
}

#[derive(Debug, Default)]
pub struct Findings {
    pub endings: BTreeMap<(&'static str, Ending), u64>,
    /// In milliseconds, of those that no kill has cut, by protocol.
    pub times: BTreeMap<&'static str, Vec<f64>>,
    /// The requests, green's part of them, the weight in percent.
    pub weights: Vec<(u64, u64, u64)>,
    /// Why a client had no answer, whoever is to blame.
    pub causes: BTreeMap<String, u64>,
    pub wrong: Vec<String>,
}

pub fn audit(requests: &[(Id, Request, Visits)], course: &Course) -> Findings {
    let mut found = Findings::default();
    for (id, request, visits) in requests {
        let protocol = request.protocol.name();
        match ending(*id, request, *visits, course) {
            Ok(ending) => {
                *found.endings.entry((protocol, ending)).or_default() += 1;
                if let Some((ended, _)) = &request.ended
                    && ending != Ending::Killed
                {
                    let time = ended.saturating_sub(request.began);
                    found.times.entry(protocol).or_default().push(time.as_secs_f64() * 1000.0);
                }
            }
            Err(why) => found.wrong.push(format!("{id:?} at {:?} over {protocol}: {why}", request.began)),
        }
        if let Some((_, Outcome::Failed(why))) = &request.ended {
            // What follows differs.
            let cause = why.split(['(', '{', '"']).next().and_then(|why| why.split(": http").next());
            let cause = cause.unwrap_or_default().trim_end_matches([' ', ':']).to_owned();
            *found.causes.entry(cause).or_default() += 1;
        }
    }
    found.times.values_mut().for_each(|times| times.sort_by(f64::total_cmp));
    for (span, weight) in &course.steady {
        compare_weight(requests, *span, *weight, &mut found);
    }
    for protocol in Protocol::ALL {
        let answered = found.endings.get(&(protocol.name(), Ending::Answered)).copied().unwrap_or_default();
        if answered < 100 {
            found.wrong.push(format!("{}: only {answered} were answered", protocol.name()));
        }
    }
    found
}

fn ending(id: Id, request: &Request, visits: Visits, course: &Course) -> Result<Ending, String> {
    let Some((ended, outcome)) = &request.ended else { return Err("its client still waits".to_owned()) };
    let overlaps = |spans: &[Span]| spans.iter().any(|span| span.overlaps(request.began, *ended));
    if visits.is_damaged {
        return Err(format!("another body reached a site: {visits:?}"));
    }
    // Once on each side, if green failed and it may be repeated.
    let is_rescue = visits.green == 1 && visits.failed == 1 && visits.blue == 1 && id.is_rescuable();
    if visits.all() > 1 && !is_rescue {
        return Err(format!("seen more than once: {visits:?}, {outcome:?}"));
    }
    match outcome {
        Outcome::Failed(_) if overlaps(&course.kills) => Ok(Ending::Killed),
        Outcome::Failed(why) => Err(format!("failed: {why} ({visits:?})")),
        Outcome::Told(_, _) if visits.all() == 0 => Err("answered, and no site has seen it".to_owned()),
        Outcome::Told(Side::Blue, 200) if is_rescue => Ok(Ending::Rescued),
        Outcome::Told(Side::Blue, 200) if visits.blue == 1 => Ok(Ending::Answered),
        Outcome::Told(Side::Green, 200) if visits.green == 1 && visits.failed == 0 => Ok(Ending::Answered),
        // Green's own word: not repeated, because it may not be, or because everything fails and the budget is spent.
        Outcome::Told(Side::Green, 503) if visits.failed == 1 && visits.blue == 0 => {
            match id.is_rescuable() && !overlaps(&course.broken) {
                true => Err("green failed, and it was not rescued".to_owned()),
                false => Ok(Ending::ToldOfFailure),
            }
        }
        outcome => Err(format!("{outcome:?}, but the sites have seen {visits:?}")),
    }
}

/// Whether green had its share of what was asked while the weight stood.
fn compare_weight(requests: &[(Id, Request, Visits)], span: Span, weight: u64, found: &mut Findings) {
    let is_within =
        |request: &Request| request.ended.as_ref().is_some_and(|(ended, _)| span.holds(request.began, *ended));
    let within = requests.iter().filter(|(_, request, visits)| is_within(request) && visits.all() > 0);
    let (mut all, mut green) = (0_u64, 0_u64);
    for (_, _, visits) in within {
        all += 1;
        green += u64::from(visits.green > 0);
    }
    let (count, share) = (all as f64, weight as f64 / 100.0);
    // Five standard deviations: one in a million is beyond, and what is dealt deviates less than what is drawn.
    let off = (green as f64 - count * share).abs();
    if off > 5.0 * (count * share * (1.0 - share)).sqrt() {
        found.wrong.push(format!("at {weight} % green had {green} of {all}, from {:?} to {:?}", span.from, span.to));
    }
    found.weights.push((all, green, weight));
}

/// What the process that serves at the end says it has counted, if it cannot be: everything since the last kill, by
/// whichever process.
pub fn miscounted(requests: &[(Id, Request, Visits)], course: &Course, counted: u64) -> Option<String> {
    let killed = course.kills.last().copied().unwrap_or(Span { from: Duration::ZERO, to: Duration::ZERO });
    let attempts = |of: &dyn Fn(&Request) -> bool| {
        let those = requests.iter().filter(|(_, request, _)| of(request));
        those.map(|(_, _, visits)| u64::from(visits.all())).sum::<u64>()
    };
    let least = attempts(&|request| request.began > killed.to);
    let most = attempts(&|request| request.ended.as_ref().is_none_or(|(ended, _)| *ended > killed.from));
    (!(least..=most).contains(&counted)).then(|| format!("{counted} attempts are counted, not {least} to {most}"))
}

/// A percentile of times that are sorted.
pub fn percentile(times: &[f64], percent: f64) -> f64 {
    let at = (times.len() as f64 * percent / 100.0) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// How long nobody was served, at the longest.
pub fn longest(spans: &[Span]) -> Duration {
    spans.iter().map(|span| span.to - span.from).max().unwrap_or_default()
}
