//! Caution: while the evidence is serious but not yet a verdict, only requests that could be rescued go to the
//! candidate.
//!
//! So hardly any client is hurt while the judge makes up its mind. Caution is not a rollback: the weight stays,
//! evidence continues to come from requests whose clients notice nothing, and it ends by itself.

use crate::guard::evidence::{SERIOUS, odds};
use crate::guard::window::WindowSample;
use crate::time::Millis;

/// It ends when the evidence has stayed below 1 for this long …
const CALM: Millis = Millis::seconds(2);
/// … or when the candidate has not answered for this long: if nothing could be rescued, nothing would ever be learnt.
/// It begins again with the next responses, if they are bad.
const SILENT: Millis = Millis::seconds(3);
/// If it ends after this long without a response, it has learnt nothing.
const UNHEARD: Millis = Millis::seconds(1);

/// Off, or on since some time.
#[derive(Clone, Debug, Default)]
pub struct Caution {
    on: Option<ActiveCaution>,
    /// The candidate's responses when it ended because of silence.
    silent_at: Option<u64>,
}

#[derive(Clone, Debug)]
struct ActiveCaution {
    calm_since: Option<Millis>,
    answers: u64,
    answered: Millis,
}

/// A change; its beginning with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CautionChange {
    Begins(String),
    Ends,
}

impl Caution {
    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Takes in what is known at `now`: the total `evidence`, the candidate's `answers` so far, and if it failed in a
    /// rush, what active and the candidate did in that time.
    pub fn look(
        &mut self,
        now: Millis,
        evidence: f64,
        answers: u64,
        rush: Option<[WindowSample; 2]>,
    ) -> Option<CautionChange> {
        let Some(on) = &mut self.on else {
            if self.silent_at == Some(answers) {
                return None;
            }
            let why = match rush {
                _ if evidence >= SERIOUS => format!("evidence {}", odds(evidence)),
                // If nothing could be rescued, it has been on and off before; then only the evidence counts.
                Some([active, candidate]) if self.silent_at.is_none() && is_one_sided(&active, &candidate) => {
                    format!("{} of {} failed in {}", candidate.failed, candidate.answers, candidate.span)
                }
                _ => return None,
            };
            self.on = Some(ActiveCaution { calm_since: None, answers, answered: now });
            return Some(CautionChange::Begins(why));
        };
        if answers != on.answers {
            (on.answers, on.answered) = (answers, now);
        }
        on.calm_since = if evidence < 1.0 { on.calm_since.or(Some(now)) } else { None };
        let silent = now.since(on.answered) >= SILENT;
        let calm = on.calm_since.is_some_and(|since| now.since(since) >= CALM);
        if !calm && !silent {
            return None;
        }
        self.silent_at = (now.since(on.answered) >= UNHEARD).then_some(answers);
        self.on = None;
        Some(CautionChange::Ends)
    }
}

/// Over half of the candidate's responses failed, and under a tenth of active's.
fn is_one_sided(active: &WindowSample, candidate: &WindowSample) -> bool {
    2 * candidate.failed > candidate.answers && 10 * active.failed <= active.answers
}
