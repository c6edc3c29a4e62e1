//! A failure in full: the request, the response, and what is wrong with it.

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
    /// Empty: both.
    pub side: &'static str,
    pub why: String,
    /// `34.1 ms`, `3 attempts`, tags.
    pub facts: Vec<String>,
    pub steps: Vec<StepRow>,
    pub pairs: Vec<AnswersRow>,
    pub data: Option<DataTables>,
    pub findings: Vec<FindingRow>,
    /// How many more there are than are shown.
    pub more: String,
    /// The headings of a finding's two values.
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
    /// `blue` and `green`; `None` if it gave no complete response.
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

/// The card of a failed part. `figures`: where the charts of a load are.
pub fn card(part: &Part, id: String, figures: Option<String>, budget: &mut PageBudget) -> FailureCard {
    let mut card = FailureCard {
        id,
        name: budget.take(part.name(), NAME).text,
        kind: words::kind(part),
        side: part.environment().map_or("", Side::name),
        why: part.why().map_or_else(String::new, |why| budget.take(why, SENTENCE).text),
        facts: vec![numbers::ms(part.took_ms())],
        columns: words::values(part),
        ..FailureCard::default()
    };
    match part {
        Part::Case(case) => of_case(&mut card, case, budget),
        Part::Load(load) => of_load(&mut card, load, figures, budget),
        Part::Parity(parity) => of_parity(&mut card, parity, budget),
        Part::Data(data) => of_data(&mut card, data, budget),
    }
    card
}

fn of_case(card: &mut FailureCard, case: &CaseResult, budget: &mut PageBudget) {
    if case.attempts > 1 {
        card.facts.push(numbers::of(case.attempts.into(), "attempt", "attempts"));
    }
    card.facts.extend(case.tags.iter().take(MOST_NOTES).map(|tag| budget.take(tag, NAME).text));
    // The last steps first: the one that failed must fit.
    let steps = case.steps.iter().rev().take(MOST_STEPS);
    let steps = steps.map_while(|step| budget.fits(MARKUP * 5).then(|| self::step(step, case.outcome, budget)));
    card.steps = steps.collect();
    card.steps.reverse();
    card.more = more(case.steps.len() as u64, card.steps.len() as u64);
}

fn step(step: &StepResult, outcome: Outcome, budget: &mut PageBudget) -> StepRow {
    let is_good = step.failures.is_empty() && step.error.is_none();
    let most = if is_good { SIDE_BODY } else { BODY };
    let (findings, more) = exchange::rows(&step.failures, MOST_FINDINGS, budget);
    let mut messages = vec![("Request", exchange::shown_message(&step.request, most, budget))];
    if let Some(response) = &step.response {
        messages.push(("Response", exchange::shown_message(response, most, budget)));
    }
    let answer = match (&step.error, &step.response) {
        (Some(error), _) => budget.take(error, SENTENCE).text,
        (None, Some(response)) => budget.take(&response.line, NAME).text,
        (None, None) if outcome == Outcome::Skipped => "skipped".to_owned(),
        (None, None) => "no response".to_owned(),
    };
    StepRow {
        name: budget.take(&step.name, NAME).text,
        is_good,
        request: budget.take(&step.request.line, SENTENCE).text,
        answer,
        took: numbers::ms(step.took_ms),
        findings,
        more,
        exchange: messages,
    }
}

fn of_load(card: &mut FailureCard, load: &LoadResult, figures: Option<String>, budget: &mut PageBudget) {
    let broken: Vec<_> = load.limits.iter().filter(|limit| !limit.held).map(words::limit).collect();
    (card.findings, card.more) = exchange::rows(&broken, MOST_FINDINGS, budget);
    card.facts.push(numbers::of(load.requests, "request", "requests"));
    card.figures = figures;
    card.note("First failures", load.examples.iter(), MOST_EXAMPLES, budget);
}

fn of_parity(card: &mut FailureCard, parity: &ParityResult, budget: &mut PageBudget) {
    card.facts.push(format!("{} compared", numbers::of(parity.compared, "request", "requests")));
    card.facts.push(numbers::of(parity.differing, "differs", "differ"));
    let pairs = parity.differences.iter().take(MOST_PAIRS).enumerate().map_while(|(at, pair)| {
        if !budget.fits(MARKUP * 5) {
            return None;
        }
        let (findings, more) = exchange::rows(&pair.findings, MOST_FINDINGS, budget);
        let mut answer =
            |message: &Option<_>| message.as_ref().map(|message| exchange::shown_message(message, BODY / 2, budget));
        let answers = vec![("blue", answer(&pair.blue)), ("green", answer(&pair.green))];
        let asked = exchange::shown_message(&pair.request, SIDE_BODY, budget);
        let request = budget.take(&pair.request.line, SENTENCE).text;
        Some(AnswersRow { request, is_open: at < OPEN_PAIRS, findings, more, asked, answers })
    });
    card.pairs = pairs.collect();
    card.more = more(parity.differing, card.pairs.len() as u64);
    card.note("Noise: places where blue also differs from itself", parity.noise.iter(), MOST_NOTES, budget);
    let left_out: Vec<String> =
        parity.left_out.iter().map(|(why, count)| format!("{}: {}", why, numbers::count(*count))).collect();
    card.note("Omitted from the recording", left_out.iter(), MOST_NOTES, budget);
}

fn of_data(card: &mut FailureCard, data: &DataResult, budget: &mut PageBudget) {
    card.facts.push(budget.take(&data.check, NAME).text);
    if data.chunks > 0 {
        let chunks = numbers::of(data.chunks, "chunk", "chunks");
        card.facts.push(format!("{chunks}, {} differing", numbers::count(data.chunks_differing)));
    }
    if data.rows_settled > 0 {
        let rows = numbers::of(data.rows_settled, "row", "rows");
        card.facts.push(format!("{rows} agreed when read again"));
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
        budget.fits(MARKUP).then(|| DataRow {
            key: budget.take(&row.key, NAME).text,
            how: words::row(row.how),
            columns: exchange::rows(&row.columns, MOST_FINDINGS, budget).0,
        })
    });
    let rows: Vec<DataRow> = rows.collect();
    let more = more(data.rows.len() as u64, rows.len() as u64);
    card.data = Some(DataTables { sides: sides.into_iter().flatten().collect(), rows, more });
    (card.findings, card.more) = exchange::rows(&data.findings, MOST_FINDINGS, budget);
}

impl FailureCard {
    fn note<'t>(
        &mut self,
        title: &'static str,
        lines: impl ExactSizeIterator<Item = &'t String>,
        most: usize,
        budget: &mut PageBudget,
    ) {
        let left = more(lines.len() as u64, most as u64);
        let mut lines: Vec<String> = lines.take(most).map(|line| budget.take(line, SENTENCE).text).collect();
        lines.extend(Some(left).filter(|left| !left.is_empty()));
        if !lines.is_empty() {
            self.notes.push(CardNote { title, lines });
        }
    }
}
