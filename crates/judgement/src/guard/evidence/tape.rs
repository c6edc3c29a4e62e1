//! What a meter has seen since its evidence began to rise: enough to run it again.
//!
//! The tape begins when the evidence jumps, and is discarded when the evidence has fallen back to where it was. Of a
//! long rise the last inputs are kept: halfway through, the meter's state is saved and the first half dropped.

use serde::{Deserialize, Serialize};

use crate::guard::evidence::cells::{CELLS, Cells, add};
use crate::guard::evidence::meter::{EvidenceMeter, MeterInput};
use crate::time::Millis;

/// A bad tick that multiplies the evidence by this much is a jump.
const JUMP: f64 = 1.1;
/// The number of inputs kept, at most twice as many: ten seconds of ticks.
const HALF: usize = 256;

/// The meter as it was, and everything that it has taken in since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceTape {
    /// When the first input began.
    pub from: Millis,
    pub start: EvidenceMeter,
    pub inputs: Vec<MeterInput>,
    /// The meter as it was after this many inputs, and when.
    #[serde(skip)]
    middle: Option<(Millis, EvidenceMeter)>,
}

/// The evidence at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidencePoint {
    pub at: Millis,
    pub evidence: f64,
}

impl EvidenceTape {
    /// Runs the meter again, and returns the evidence after every input and the meter at the end.
    pub fn replay(&self) -> (Vec<EvidencePoint>, EvidenceMeter) {
        let mut meter = self.start.clone();
        let mut at = self.from;
        let points = self.inputs.iter().map(|input| {
            meter.take(input);
            at = at.plus(input.passed);
            EvidencePoint { at, evidence: meter.evidence() }
        });
        (points.collect(), meter)
    }

    /// Everything that the tape has counted: the candidate's and active's.
    pub fn sums(&self) -> (Cells, Cells) {
        let mut sums = ([0; CELLS], [0; CELLS]);
        for input in &self.inputs {
            add(&mut sums.0, &input.candidate);
            add(&mut sums.1, &input.active);
        }
        sums
    }

    pub fn span(&self) -> Millis {
        self.inputs.iter().fold(Millis::ZERO, |sum, input| sum.plus(input.passed))
    }

    /// A half is full again: drop the half before it, and start from where that one ended.
    fn turn(&mut self, now: Millis, meter: &EvidenceMeter) {
        if let Some((from, start)) = self.middle.replace((now, meter.clone())) {
            self.inputs.drain(..HALF.min(self.inputs.len()));
            (self.from, self.start) = (from, start);
        }
    }
}

/// A meter with its tape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TapedMeter {
    pub meter: EvidenceMeter,
    pub tape: Option<EvidenceTape>,
}

impl TapedMeter {
    pub fn new(meter: EvidenceMeter) -> TapedMeter {
        TapedMeter { meter, tape: None }
    }

    /// Takes in one tick, which ends at `now`.
    pub fn take(&mut self, now: Millis, input: MeterInput) {
        let before = self.meter.evidence();
        match &mut self.tape {
            None => {
                let start = self.meter.clone();
                self.meter.take(&input);
                if self.meter.evidence() > before * JUMP && self.meter.minds(&input) {
                    let from = Millis(now.0.saturating_sub(input.passed.0));
                    self.tape = Some(EvidenceTape { from, start, inputs: vec![input], middle: None });
                }
            }
            Some(tape) => {
                self.meter.take(&input);
                tape.inputs.push(input);
                if self.meter.evidence() <= tape.start.evidence() {
                    self.tape = None;
                } else if tape.inputs.len().is_multiple_of(HALF) {
                    tape.turn(now, &self.meter);
                }
            }
        }
    }
}
