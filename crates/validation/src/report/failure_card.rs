//! A failure in full: what was asked, what came back, and where the two differ.

use super::exchange::{self, BODY, FindingRow, MARKUP, NAME, SENTENCE, SIDE_BODY, ShownMessage, more};
use super::numbers;
use super::visible::PageBudget;
use super::words;
use wire::{CaseResult, DataResult, DataSide, LoadResult, Outcome, ParityResult, Part, Side, StepResult};

const MOST_FINDINGS: usize = 30;
const MOST_PAIRS: usize = 10;
/// Of those, unfolded.
const OPEN_PAIRS: usize = 3;
const MOST_DATA_ROWS: usize = 50;
const MOST_STEPS: usize = 50;
const MOST_EXAMPLES: usize = 10;
const MOST_NOTES: usize = 20;

#[derive(Clone, Debug, Default)]
pub struct FailureCard {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    /// Empty: it is about both.
    pub side: &'static str,
    pub why: String,
    /// `34.1 ms`, `3 attempts`, tags.
    pub facts: Vec<String>,
    pub steps: Vec<StepRow>,
    pub pairs: Vec<AnswersRow>,
    pub data: Option<DataTables>,
    pub findings: Vec<FindingRow>,
    /// What there is more of than is shown.
    pub more: String,
    /// What the two values of a finding are.
    pub columns: [&'static str; 2],
    pub notes: Vec<CardNote>,
    /// Where the figures and charts of a load are.
    pub figures: Option<String>,
}

/// A list below a heading.
#[derive(Clone, Debug)]
pub struct CardNote {
    pub title: &'static str,
    pub lines: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct StepRow {
    pub name: String,
    pub is_good: bool,
    /// `GET https://…`, and what came of it.
    pub request: String,
    pub answer: String,
    pub took: String,
    pub findings: Vec<FindingRow>,
    pub more: String,
    pub exchange: Vec<(&'static str, ShownMessage)>,
}

/// The answers of both sides to one request.
#[derive(Clone, Debug)]
pub struct AnswersRow {
    pub request: String,
    pub is_open: bool,
    pub findings: Vec<FindingRow>,
    pub more: String,
    pub asked: ShownMessage,
    /// `blue` and `green`; nothing: it gave no whole answer.
    pub answers: Vec<(&'static str, Option<ShownMessage>)>,
}

/// Tables of a check of data.
#[derive(Clone, Debug)]
pub struct DataTables {
    /// What both sides are, with blue's and green's.
    pub sides: Vec<(&'static str, String, String)>,
    pub rows: Vec<DataRow>,
    pub more: String,
}

#[derive(Clone, Debug)]
pub struct DataRow {
    pub key: String,
    pub how: &'static str,
    pub columns: Vec<FindingRow>,
}

/// The card of a part that failed. `figures`: where the charts of a load are.
pub fn card(part: &Part, id: String, figures: Option<String>, room: &mut PageBudget) -> FailureCard {
    let mut card = FailureCard {
        id,
        name: room.take(part.name(), NAME).text,
        kind: words::kind(part),
        side: part.environment().map_or("", Side::name),
        why: part.why().map_or_else(String::new, |why| room.take(why, SENTENCE).text),
        facts: vec![numbers::ms(part.took_ms())],
        columns: words::values(part),
        ..FailureCard::default()
    };
    match part {
        Part::Case(case) => of_case(&mut card, case, room),
        Part::Load(load) => of_load(&mut card, load, figures, room),
        Part::Parity(parity) => of_parity(&mut card, parity, room),
        Part::Data(data) => of_data(&mut card, data, room),
    }
    card
}

fn of_case(card: &mut FailureCard, case: &CaseResult, room: &mut PageBudget) {
    if case.attempts > 1 {
        card.facts.push(numbers::of(case.attempts.into(), "attempt", "attempts"));
    }
    card.facts.extend(case.tags.iter().take(MOST_NOTES).map(|tag| room.take(tag, NAME).text));
    // What failed has the first claim on the room.
    let steps = case.steps.iter().rev().take(MOST_STEPS);
    let steps = steps.map_while(|step| room.fits(MARKUP * 5).then(|| self::step(step, case.outcome, room)));
    card.steps = steps.collect();
    card.steps.reverse();
    card.more = more(case.steps.len() as u64, card.steps.len() as u64);
}

fn step(step: &StepResult, outcome: Outcome, room: &mut PageBudget) -> StepRow {
    let is_good = step.failures.is_empty() && step.error.is_none();
    let most = if is_good { SIDE_BODY } else { BODY };
    let (findings, more) = exchange::rows(&step.failures, MOST_FINDINGS, room);
    let mut messages = vec![("Request", exchange::told(&step.request, most, room))];
    if let Some(response) = &step.response {
        messages.push(("Response", exchange::told(response, most, room)));
    }
    let answer = match (&step.error, &step.response) {
        (Some(error), _) => room.take(error, SENTENCE).text,
        (None, Some(response)) => room.take(&response.line, NAME).text,
        (None, None) if outcome == Outcome::Skipped => "not tried".to_owned(),
        (None, None) => "no answer".to_owned(),
    };
    StepRow {
        name: room.take(&step.name, NAME).text,
        is_good,
        request: room.take(&step.request.line, SENTENCE).text,
        answer,
        took: numbers::ms(step.took_ms),
        findings,
        more,
        exchange: messages,
    }
}

fn of_load(card: &mut FailureCard, load: &LoadResult, figures: Option<String>, room: &mut PageBudget) {
    let broken: Vec<_> = load.limits.iter().filter(|limit| !limit.held).map(words::limit).collect();
    (card.findings, card.more) = exchange::rows(&broken, MOST_FINDINGS, room);
    card.facts.push(numbers::of(load.requests, "request", "requests"));
    card.figures = figures;
    card.note("The first failures", load.examples.iter(), MOST_EXAMPLES, room);
}

fn of_parity(card: &mut FailureCard, parity: &ParityResult, room: &mut PageBudget) {
    card.facts.push(format!("{} compared", numbers::of(parity.compared, "request", "requests")));
    card.facts.push(numbers::of(parity.differing, "differs", "differ"));
    let pairs = parity.differences.iter().take(MOST_PAIRS).enumerate().map_while(|(at, pair)| {
        if !room.fits(MARKUP * 5) {
            return None;
        }
        let (findings, more) = exchange::rows(&pair.findings, MOST_FINDINGS, room);
        let mut answer = |message: &Option<_>| message.as_ref().map(|message| exchange::told(message, BODY / 2, room));
        let answers = vec![("blue", answer(&pair.blue)), ("green", answer(&pair.green))];
        let asked = exchange::told(&pair.request, SIDE_BODY, room);
        let request = room.take(&pair.request.line, SENTENCE).text;
        Some(AnswersRow { request, is_open: at < OPEN_PAIRS, findings, more, asked, answers })
    });
    card.pairs = pairs.collect();
    card.more = more(parity.differing, card.pairs.len() as u64);
    card.note("Noise: blue differs from itself here too", parity.noise.iter(), MOST_NOTES, room);
    let left_out: Vec<String> =
        parity.left_out.iter().map(|(why, count)| format!("{}: {}", why, numbers::count(*count))).collect();
    card.note("Left out of the recording", left_out.iter(), MOST_NOTES, room);
}

fn of_data(card: &mut FailureCard, data: &DataResult, room: &mut PageBudget) {
    card.facts.push(room.take(&data.check, NAME).text);
    if data.chunks > 0 {
        let chunks = numbers::of(data.chunks, "chunk", "chunks");
        card.facts.push(format!("{chunks}, {} differing", numbers::count(data.chunks_differing)));
    }
    let both = |title, of: &dyn Fn(&DataSide) -> Option<String>| {
        let values = [of(&data.blue), of(&data.green)];
        let has_any = values.iter().any(Option::is_some);
        let [blue, green] = values.map(|value| value.unwrap_or_else(|| "–".to_owned()));
        has_any.then_some((title, blue, green))
    };
    let sides = [
        both("Kind", &|side| (!side.engine.is_empty()).then(|| super::visible::start(&side.engine, NAME).to_owned())),
        both("Rows", &|side| side.rows.map(numbers::count)),
        both("Checksum", &|side| side.checksum.as_ref().map(|sum| super::visible::start(sum, NAME).to_owned())),
        both("Violations", &|side| side.violations.map(numbers::count)),
    ];
    let rows = data.rows.iter().take(MOST_DATA_ROWS).map_while(|row| {
        room.fits(MARKUP).then(|| DataRow {
            key: room.take(&row.key, NAME).text,
            how: words::row(row.how),
            columns: exchange::rows(&row.columns, MOST_FINDINGS, room).0,
        })
    });
    let rows: Vec<DataRow> = rows.collect();
    let more = more(data.rows.len() as u64, rows.len() as u64);
    card.data = Some(DataTables { sides: sides.into_iter().flatten().collect(), rows, more });
    (card.findings, card.more) = exchange::rows(&data.findings, MOST_FINDINGS, room);
}

impl FailureCard {
    fn note<'t>(
        &mut self,
        title: &'static str,
        lines: impl ExactSizeIterator<Item = &'t String>,
        most: usize,
        room: &mut PageBudget,
    ) {
        let left = more(lines.len() as u64, most as u64);
        let mut lines: Vec<String> = lines.take(most).map(|line| room.take(line, SENTENCE).text).collect();
        lines.extend(Some(left).filter(|left| !left.is_empty()));
        if !lines.is_empty() {
            self.notes.push(CardNote { title, lines });
        }
    }
}
