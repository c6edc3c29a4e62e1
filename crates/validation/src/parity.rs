//! Parity: the same requests to both sides, and what differs in the responses.
//!
//! Answers vary by themselves: times, ids, the order of lists. So blue is asked more than once, and where it differs
//! from itself, nothing is concluded about green. What still differs is asked again after a second, since a clock that
//! shows whole seconds agrees with itself within one.

pub mod compare;
pub mod noise;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;

use crate::cases::context::RunContext;
use crate::message;
use crate::parity::compare::AnswerPair;
use crate::parity::noise::{Noise, NoiseSummary};
use crate::progress::ProgressTracker;
use crate::recording;
use crate::redact::Redactor;
use crate::request::prepare;
use crate::request_numbers::RequestNumbers;
use crate::target::{TestTarget, Unanswered};
use config::suite::{Parity, SuiteRequest};
use judgement::traffic::retry::is_safe;
use memory::clock;
use relay::origin::exchange::{OriginRequest, OriginResponse};
use wire::{Finding, Latencies, Message, Outcome, ParityDifference, ParityResult};

/// Pairs at once: enough for a thousand requests in a minute, and few enough not to put an origin under load.
const AT_ONCE: usize = 8;
/// Differing requests that are shown in full.
const MOST_SHOWN: usize = 20;
/// Differing requests that are asked again; if more differ, it is not a clock.
const MOST_AGAIN: u32 = 50;
/// After this a clock of whole seconds shows another time.
const A_SECOND_LATER: Duration = Duration::from_millis(1100);

/// One side of a comparison: its target, and what its own setup has captured.
#[derive(Clone, Copy, Debug)]
pub struct ParitySide<'p> {
    pub target: &'p TestTarget,
    pub context: &'p RunContext,
}

/// A result without a comparison.
pub fn skipped(parity: &Parity, why: String) -> ParityResult {
    ParityResult {
        name: parity.name.clone(),
        outcome: Outcome::Skipped,
        why: Some(why),
        took_ms: 0.0,
        compared: 0,
        differing: 0,
        left_out: BTreeMap::new(),
        noise: Vec::new(),
        differences: Vec::new(),
        blue: Latencies::default(),
        green: Latencies::default(),
    }
}

/// Compares both sides. Every pair is a unit of progress; those of a recording are not known before, and are added
/// here.
pub async fn run(
    parity: &Parity,
    blue: ParitySide<'_>,
    green: ParitySide<'_>,
    numbers: &RequestNumbers,
    told: &ProgressTracker,
) -> ParityResult {
    let began = clock::micros();
    told.doing(format!("parity of {}", parity.name));
    let redactor = blue.context.redactor.and(&green.context.redactor);
    let mut tally = ParityTally::default();
    let mut steps = parity.requests.clone();
    let mut broken = None;
    match recorded(parity).await {
        Ok((recorded, left_out)) => {
            told.expect_more(recorded.len() as u64);
            steps.extend(recorded);
            tally.left_out = left_out;
        }
        Err(why) => broken = Some(why),
    }
    if broken.is_none() {
        let asker =
            ParityRunner { parity, sides: [blue, green], redactor: &redactor, numbers, again: Mutex::new(MOST_AGAIN) };
        let mut running = FuturesOrdered::new();
        for step in &steps {
            if running.len() >= AT_ONCE
                && let Some(seen) = running.next().await
            {
                tally.add(seen, told);
            }
            running.push_back(asker.pair(step));
        }
        while let Some(seen) = running.next().await {
            tally.add(seen, told);
        }
    }
    let why = broken.or_else(|| tally.why(parity)).map(|why| redactor.text(&why));
    ParityResult {
        name: parity.name.clone(),
        outcome: if why.is_none() { Outcome::Passed } else { Outcome::Failed },
        why,
        took_ms: clock::micros().saturating_sub(began) as f64 / 1000.0,
        compared: tally.compared,
        differing: tally.differing,
        left_out: tally.left_out,
        noise: tally.places.in_words(tally.compared).into_iter().map(|words| redactor.text(&words)).collect(),
        differences: tally.differences,
        blue: latencies(tally.blue),
        green: latencies(tally.green),
    }
}

async fn recorded(parity: &Parity) -> Result<(Vec<SuiteRequest>, BTreeMap<String, u64>), String> {
    let Some(path) = parity.recording.clone() else { return Ok(Default::default()) };
    let (most, unsafe_methods) = (parity.most, parity.unsafe_methods);
    let reading = tokio::task::spawn_blocking(move || recording::read(&path, most, unsafe_methods));
    let mut recording = reading.await.map_err(|error| error.to_string())??;
    for step in &mut recording.requests {
        step.timeout = parity.timeout;
        step.headers.retain(|(name, _)| parity.sent.iter().all(|(own, _)| own != name));
        step.headers.extend(parity.sent.iter().cloned());
    }
    Ok((recording.requests, recording.left_out))
}

/// The results of the pairs, in order.
#[derive(Default)]
struct ParityTally {
    compared: u64,
    differing: u64,
    left_out: BTreeMap<String, u64>,
    places: NoiseSummary,
    differences: Vec<ParityDifference>,
    /// Why the first of them differs.
    first: Option<String>,
    blue: Vec<f64>,
    green: Vec<f64>,
}

impl ParityTally {
    fn add(&mut self, seen: ComparedRequest, told: &ProgressTracker) {
        told.done(1);
        self.compared += 1;
        let [blue, green] = seen.took;
        self.blue.extend(blue);
        self.green.extend(green);
        self.places.note(&seen.name, &seen.noise);
        let Some(difference) = seen.difference else { return };
        self.differing += 1;
        if let (None, Some(Finding { what, expected, found, .. })) = (&self.first, difference.findings.first()) {
            self.first = Some(format!("{}: {what}: blue {expected}, green {found}", seen.name));
        }
        if self.differences.len() < MOST_SHOWN {
            self.differences.push(difference);
        }
    }

    /// Why it fails, in one sentence; `None`: it passes.
    fn why(&self, parity: &Parity) -> Option<String> {
        let ParityTally { compared, differing, .. } = self;
        if *compared == 0 {
            return Some("nothing was compared: there is no request that can be sent".to_owned());
        }
        let percent = *differing as f64 * 100.0 / *compared as f64;
        if percent <= parity.differing {
            return None;
        }
        let most = match parity.differing {
            0.0 => String::new(),
            most => format!(" ({percent:.1} %, over the limit of {most} %)"),
        };
        let verb = if *differing == 1 { "differs" } else { "differ" };
        let first = self.first.as_deref().unwrap_or_default();
        Some(format!("{differing} of {compared} requests {verb}{most}: {first}"))
    }
}

/// The result of one request.
struct ComparedRequest {
    name: String,
    noise: Noise,
    difference: Option<ParityDifference>,
    /// In milliseconds, blue's and green's; `None` if there was no complete response.
    took: [Option<f64>; 2],
}

type AskResult = Result<OriginResponse, Unanswered>;

struct ParityRunner<'a> {
    parity: &'a Parity,
    sides: [ParitySide<'a>; 2],
    redactor: &'a Redactor,
    numbers: &'a RequestNumbers,
    /// How many may still be asked again.
    again: Mutex<u32>,
}

impl ParityRunner<'_> {
    async fn pair(&self, step: &SuiteRequest) -> ComparedRequest {
        let unique = self.numbers.unique();
        let mut seen =
            ComparedRequest { name: step.name.clone(), noise: Noise::default(), difference: None, took: [None, None] };
        let prepared = self.sides.map(|side| {
            let mut variables = side.context.variables.clone();
            variables.set("unique", unique.to_string());
            prepare(step, side.target, &variables)
        });
        let [blue, green] = match prepared {
            [Ok(blue), Ok(green)] => [blue, green],
            [Err(why), _] | [_, Err(why)] => {
                seen.difference = Some(self.unsent(step, &why));
                return seen;
            }
        };
        let turn = usize::try_from(unique).unwrap_or(0);
        let [blue_side, green_side] = self.sides;
        // Unsafe requests are sent only once.
        let noise = if is_safe(step.method.as_str()) { self.parity.noise } else { 0 };
        let mut first: Option<OriginResponse> = None;
        for _ in 0..noise {
            if let (Ok(answer), _) = self.ask(blue_side, &blue, step, turn).await {
                match &first {
                    Some(first) => self.compared(first, &answer, [blue_side, blue_side]).teach(&mut seen.noise),
                    None => first = Some(answer),
                }
            }
        }
        let ((of_blue, blue_took), (of_green, green_took)) =
            tokio::join!(self.ask(blue_side, &blue, step, turn), self.ask(green_side, &green, step, turn));
        seen.took = [of_blue.as_ref().ok().map(|_| blue_took), of_green.as_ref().ok().map(|_| green_took)];
        if let (Some(first), Ok(of_blue)) = (&first, &of_blue) {
            self.compared(first, of_blue, [blue_side, blue_side]).teach(&mut seen.noise);
        }
        let mut findings = self.findings(&of_blue, &of_green, &seen.noise);
        if let Ok(of_blue) = &of_blue
            && of_green.is_ok()
            && !findings.is_empty()
            && noise > 0
            && self.may_look_again()
        {
            tokio::time::sleep(A_SECOND_LATER).await;
            if let (Ok(later), _) = self.ask(blue_side, &blue, step, turn).await {
                self.compared(of_blue, &later, [blue_side, blue_side]).teach(&mut seen.noise);
            }
            findings = self.findings(&Ok(of_blue.clone()), &of_green, &seen.noise);
        }
        seen.difference = (!findings.is_empty()).then(|| self.difference(&blue, &of_blue, &of_green, findings));
        seen
    }

    /// With how long it took, in milliseconds.
    async fn ask(
        &self,
        side: ParitySide<'_>,
        request: &OriginRequest,
        step: &SuiteRequest,
        turn: usize,
    ) -> (AskResult, f64) {
        self.numbers.send();
        let (asked, took) = side.target.timed(request, step.timeout.as_duration(), turn).await;
        (asked, took.as_secs_f64() * 1000.0)
    }

    fn compared<'p>(
        &'p self,
        left: &'p OriginResponse,
        right: &'p OriginResponse,
        sides: [ParitySide<'p>; 2],
    ) -> AnswerPair<'p> {
        let authorities =
            sides.map(|side| side.target.endpoints.first().map_or(&b""[..], |at| at.authority.as_bytes()));
        AnswerPair { answers: [left, right], authorities, parity: self.parity }
    }

    fn findings(&self, blue: &AskResult, green: &AskResult, noise: &Noise) -> Vec<Finding> {
        if let (Ok(blue), Ok(green)) = (blue, green) {
            let pair = self.compared(blue, green, self.sides);
            let all = pair.findings(noise, true);
            return if all.is_empty() { pair.too_long().into_iter().collect() } else { all };
        }
        let told = |asked: &AskResult| match asked {
            Ok(answer) => message::status(answer.status),
            Err(unanswered) => format!("none: it {}", unanswered.why),
        };
        vec![Finding { what: "answer".to_owned(), expected: told(blue), found: told(green), diff: None }]
    }

    fn difference(
        &self,
        request: &OriginRequest,
        blue: &AskResult,
        green: &AskResult,
        findings: Vec<Finding>,
    ) -> ParityDifference {
        let shown = |asked: &AskResult| asked.as_ref().ok().map(|answer| message::answer(self.redactor, answer));
        let [blue_side, _] = self.sides;
        ParityDifference {
            request: message::request(self.redactor, blue_side.target, request),
            findings: findings.into_iter().map(|finding| self.redactor.finding(finding)).collect(),
            blue: shown(blue),
            green: shown(green),
        }
    }

    fn unsent(&self, step: &SuiteRequest, why: &str) -> ParityDifference {
        let line = self.redactor.text(&format!("{} {}", step.method, step.path));
        let sides = self.sides.map(|side| side.target.side.name()).join(" and ");
        let finding = Finding {
            what: "request".to_owned(),
            expected: format!("one for {sides}"),
            found: format!("none: {why}"),
            diff: None,
        };
        ParityDifference {
            request: Message { line, ..Message::default() },
            findings: vec![self.redactor.finding(finding)],
            blue: None,
            green: None,
        }
    }

    fn may_look_again(&self) -> bool {
        let mut left = self.again.lock();
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

/// All zero if there was no answer.
fn latencies(mut took: Vec<f64>) -> Latencies {
    took.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let rank = (part * took.len() as f64).ceil() as usize;
        took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    };
    Latencies {
        min: at(0.0),
        mean: took.iter().sum::<f64>() / (took.len().max(1)) as f64,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
    }
}

#[cfg(test)]
mod tests;
