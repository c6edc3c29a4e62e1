//! What passed and what was skipped: one line each.

use super::exchange::{MARKUP, NAME, SENTENCE, more};
use super::numbers;
use super::visible::PageBudget;
use super::words;
use wire::{Outcome, Part, Side};

/// Lines of one list.
const MOST: usize = 1_000;
const MOST_STEPS: usize = 20;

#[derive(Clone, Debug)]
pub struct PartLine {
    pub name: String,
    pub kind: &'static str,
    pub side: &'static str,
    pub figures: String,
    pub why: String,
    /// Request, answer, and duration.
    pub steps: Vec<(String, String, String)>,
}

/// The parts with an outcome, and a note about those that are left out.
pub fn lines(parts: &[Part], outcome: Outcome, budget: &mut PageBudget) -> (Vec<PartLine>, String, u64) {
    let all = || parts.iter().filter(|part| part.outcome() == outcome);
    let count = all().count() as u64;
    let lines: Vec<PartLine> = all().take(MOST).map_while(|part| line(part, budget)).collect();
    let more = more(count, lines.len() as u64);
    (lines, more, count)
}

/// `None`: there is no space for another one.
pub fn line(part: &Part, budget: &mut PageBudget) -> Option<PartLine> {
    if !budget.fits(MARKUP) {
        return None;
    }
    let steps = match part {
        Part::Case(case) if case.outcome == Outcome::Passed => case.steps.as_slice(),
        _ => &[],
    };
    let steps = steps.iter().take(MOST_STEPS).map_while(|step| {
        let answer = step.response.as_ref().map_or("", |response| response.line.as_str());
        let has_room = budget.fits(MARKUP / 4);
        let mut short = |text: &str| budget.take(text, NAME).text;
        has_room.then(|| (short(&step.request.line), short(answer), numbers::ms(step.took_ms)))
    });
    let steps = steps.collect();
    Some(PartLine {
        name: budget.take(part.name(), NAME).text,
        kind: words::kind(part),
        side: part.environment().map_or("", Side::name),
        figures: words::figures(part),
        why: part.why().map_or_else(String::new, |why| budget.take(why, SENTENCE).text),
        steps,
    })
}
