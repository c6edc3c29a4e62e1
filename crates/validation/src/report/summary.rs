//! The summary table: one row per part, one column per side.

use super::exchange::{MARKUP, NAME};
use super::visible::PageBudget;
use super::words;
use wire::{Outcome, Part, Side};

/// Rows of the table. If there are more parts, those that passed are only in the list below.
const MOST_ROWS: usize = 200;
/// The most rows in any case.
const MOST_BAD_ROWS: usize = 1_000;

#[derive(Clone, Debug)]
pub struct SummaryGroup {
    pub title: &'static str,
    pub rows: Vec<SummaryRow>,
}

#[derive(Clone, Debug)]
pub struct SummaryRow {
    pub name: String,
    /// One for each side, or one for both.
    pub cells: Vec<Option<SummaryCell>>,
    pub is_of_both: bool,
}

#[derive(Clone, Debug)]
pub struct SummaryCell {
    /// `passed`, `failed` or `skipped`: the class of its sign.
    pub class: &'static str,
    pub word: &'static str,
    pub figures: Vec<String>,
    /// A link to the details; may be empty.
    pub link: String,
}

pub const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

/// The groups with their rows, and how many rows are left out. `link`: where a part has a card.
pub fn groups(
    parts: &[Part],
    sides: &[Side],
    link: impl Fn(usize) -> String,
    budget: &mut PageBudget,
) -> (Vec<SummaryGroup>, u64) {
    let mut rows = paired(parts, sides);
    let is_bad = |row: &(usize, Vec<Option<usize>>)| {
        let mut outcomes = row.1.iter().flatten().filter_map(|at| parts.get(*at)).map(Part::outcome);
        outcomes.any(|outcome| outcome != Outcome::Passed)
    };
    let all = rows.len();
    if all > MOST_ROWS {
        rows.retain(is_bad);
        rows.truncate(MOST_BAD_ROWS);
    }
    let mut groups: Vec<SummaryGroup> = Vec::new();
    let mut shown = 0;
    for (first, places) in rows {
        let Some(part) = parts.get(first).filter(|_| budget.fits(MARKUP * 2)) else { continue };
        shown += 1;
        let cells = places.into_iter().map(|place| {
            let at = place?;
            parts.get(at).map(|part| cell(part, link(at)))
        });
        let cells = cells.collect();
        let row = SummaryRow { name: budget.take(part.name(), NAME).text, cells, is_of_both: words::is_of_both(part) };
        let title = title(part);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.rows.push(row),
            None => groups.push(SummaryGroup { title, rows: vec![row] }),
        }
    }
    (groups, all as u64 - shown)
}

/// Each row's first part, and the part of each side: a case of one name is one row.
fn paired(parts: &[Part], sides: &[Side]) -> Vec<(usize, Vec<Option<usize>>)> {
    let mut rows: Vec<(usize, Vec<Option<usize>>)> = Vec::new();
    let mut places = std::collections::HashMap::<(&str, &str), usize>::new();
    for (at, part) in parts.iter().enumerate() {
        let column = part.environment().and_then(|side| sides.iter().position(|other| *other == side));
        let Some(column) = column else {
            rows.push((at, vec![Some(at)]));
            continue;
        };
        let key = (words::kind(part), part.name());
        let free = places.get(&key).copied().filter(|row| {
            let cells = rows.get(*row).map(|(_, cells)| cells);
            cells.is_some_and(|cells| cells.get(column).is_some_and(Option::is_none))
        });
        let row = free.unwrap_or_else(|| {
            rows.push((at, vec![None; sides.len()]));
            rows.len() - 1
        });
        places.insert(key, row);
        if let Some(cell) = rows.get_mut(row).and_then(|(_, cells)| cells.get_mut(column)) {
            *cell = Some(at);
        }
    }
    rows
}

fn cell(part: &Part, link: String) -> SummaryCell {
    let outcome = part.outcome();
    let figures = words::figures(part).split(", ").filter(|figure| !figure.is_empty()).map(str::to_owned).collect();
    SummaryCell { class: class(outcome), word: words::outcome(outcome), figures, link }
}

const fn title(part: &Part) -> &'static str {
    match part {
        Part::Case(_) => "Cases",
        Part::Load(_) => "Loads",
        Part::Parity(_) => "Parity",
        Part::Data(_) => "Data",
    }
}
