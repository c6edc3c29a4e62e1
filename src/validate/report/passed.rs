//! What passed, and what was not tried: a line each.

use super::exchange::{NAME, SENTENCE, more};
use super::numbers;
use super::visible::Room;
use super::words::{self, side_name};
use crate::wire::{Outcome, Part};

/// Lines of one list.
const MOST: usize = 1_000;
const MOST_STEPS: usize = 20;

#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub kind: &'static str,
    pub side: &'static str,
    pub figures: String,
    pub why: String,
    /// What was asked, what came, and how long it took.
    pub steps: Vec<(String, String, String)>,
}

/// The parts with an outcome, and a sentence for those that are left out.
pub fn lines(parts: &[Part], outcome: Outcome, room: &mut Room) -> (Vec<Line>, String, u64) {
    let all = || parts.iter().filter(|part| part.outcome() == outcome);
    let count = all().count() as u64;
    (all().take(MOST).map(|part| line(part, room)).collect(), more(count, MOST as u64), count)
}

pub fn line(part: &Part, room: &mut Room) -> Line {
    let steps = match part {
        Part::Case(case) if case.outcome == Outcome::Passed => case.steps.as_slice(),
        _ => &[],
    };
    let steps = steps.iter().take(MOST_STEPS).map(|step| {
        let answer = step.response.as_ref().map_or("", |response| response.line.as_str());
        (room.take(&step.request.line, NAME).text, room.take(answer, NAME).text, numbers::ms(step.took_ms))
    });
    let steps = steps.collect();
    Line {
        name: room.take(part.name(), NAME).text,
        kind: words::kind(part),
        side: part.environment().map_or("", side_name),
        figures: words::figures(part),
        why: part.why().map_or_else(String::new, |why| room.take(why, SENTENCE).text),
        steps,
    }
}
