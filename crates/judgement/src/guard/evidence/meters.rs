//! The meters of one route, or of the whole service, fed from totals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::guard::EvidenceBudget;
use crate::guard::evidence::cells::{CELLS, Cells, rates};
use crate::guard::evidence::clients::{ClientCounts, NotedClients};
use crate::guard::evidence::latency_cuts::{LatencyCuts, RecentLatencies, WidestGap, cold, warming};
use crate::guard::evidence::meter::{EvidenceMeter, MeterInput};
use crate::guard::evidence::rate_odds;
use crate::guard::evidence::remembered::{ActivePast, RememberedActive, SLOWER, STANDS, drift};
use crate::guard::evidence::rescues::RescueOutcomes;
use crate::guard::evidence::stalls::{StallDetector, patience};
use crate::guard::evidence::standstill::{LONGEST, SideProgress, forgiven};
use crate::guard::evidence::tape::{EvidenceTape, TapedMeter};
use crate::guard::evidence::{METERS, MeterEvidence, MeterKind, SideCounts};
use crate::guard::latency::BUCKETS;
use crate::guard::shape::{ODDITIES, Oddity};
use crate::guard::window::{CLIENTS, JudgedTotals};
use crate::time::Millis;

/// Active's latencies are cut again this often.
const RECUT: Millis = Millis::seconds(1);

/// The candidate's pace is that of about so many seconds.
const PACE_SECONDS: f64 = 10.0;

/// What is counted by groups of clients is noted this often.
const NOTED: Millis = Millis(500);

/// Of what was odd, so much is remembered until the next note: about ten seconds of it.
const ODD_KEPT: f64 = 0.95;

/// A cold start that ends now began at most this long ago: what is forgiven depends on when a request was sent.
const LONGEST_START: Millis = Millis::seconds(4);

/// What is known about the candidate's age when its meters are fed.
#[derive(Clone, Copy, Debug)]
pub struct MeterContext {
    /// Time since the candidate's first request.
    pub age: Millis,
    /// Time since its weight was last raised, and how much of its share was new then.
    pub raised: (Millis, f64),
    /// Staked in addition to what time stakes.
    pub extra: f64,
    /// The weight was lowered a moment ago, so late responses belong to requests sent at the old weight.
    pub settling: bool,
    /// The candidate stands still or is catching up: see [`Standstill`](crate::guard::evidence::standstill::Standstill).
    pub standstill: bool,
    /// When the candidate last answered, on any route.
    pub answered: Millis,
    /// The candidate has all of the traffic, so it is judged against what active did before.
    pub alone: bool,
}

/// What the meters have found out, for another process that goes on with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedMeters {
    meters: BTreeMap<MeterKind, TapedMeter>,
    latencies: RecentLatencies,
}

#[derive(Clone, Debug)]
pub struct EvidenceMeters {
    /// By [`MeterKind`].
    fed: [Fed; METERS],
    /// What [`NOTES`] say of the candidate and of active.
    noted: Box<[[NotedClients; 2]; NOTES.len()]>,
    /// The candidate's odd responses when they were last noted, and those of about the last ten seconds.
    odd: OddResponses,
    /// The candidate's and active's totals at the last look.
    last: Box<[JudgedTotals; 2]>,
    cohorts: StallDetector,
    memory: RecentLatencies,
    cut: Option<LatencyCuts>,
    cut_at: Millis,
    /// Active's responses since the memory was last updated.
    fresh: Box<[u64; BUCKETS]>,
    patience: Millis,
    /// The candidate's recent responses a second, and all of them by then.
    pace: f64,
    paced: u64,
    past: ActivePast,
    /// What the candidate is judged against while it has all of the traffic.
    before: Option<RememberedActive>,
    /// Since when it has all of it, and how long what active did before stands.
    alone: Option<(Millis, Millis)>,
    /// What an earlier watch knew of active, and how long that stands.
    recalled: Option<(RememberedActive, Millis)>,
    rescues: RescueOutcomes,
    /// When those were last looked at.
    heard: Millis,
}

/// A meter, and the input it has not been given yet.
#[derive(Clone, Debug)]
struct Fed {
    taped: TapedMeter,
    at: Millis,
    extra: f64,
}

impl Fed {
    fn new(meter: EvidenceMeter, now: Millis) -> Fed {
        Fed { taped: TapedMeter::new(meter), at: now, extra: 0.0 }
    }

    /// The time that has passed and the stake are not the input's.
    fn feed(&mut self, now: Millis, input: MeterInput) {
        let input = MeterInput { passed: now.since(self.at), extra: self.extra, ..input };
        (self.at, self.extra) = (now, 0.0);
        self.taped.take(now, input);
    }
}

impl EvidenceMeters {
    /// `share`: its part of the service's evidence. `sides`: the candidate's and active's totals before the first
    /// request counts.
    pub fn new(now: Millis, budget: &EvidenceBudget, share: f64, sides: [&JudgedTotals; 2]) -> EvidenceMeters {
        let planned = budget.planned;
        let meter = |kind: MeterKind| match kind {
            MeterKind::Errors | MeterKind::Stalls => EvidenceMeter::of_rates(share * kind.share(), planned),
            MeterKind::Refusals | MeterKind::Shape => EvidenceMeter::of_answers(share * kind.share(), planned),
            MeterKind::Latency => EvidenceMeter::of_slowness(share * kind.share(), planned),
        };
        let memory = RecentLatencies::new(&sides[1].latency);
        EvidenceMeters {
            fed: MeterKind::ALL.map(|kind| Fed::new(meter(kind), now)),
            noted: Box::new(NOTES.map(|note| sides.map(|side| NotedClients::of(now, &note.of(side))))),
            odd: OddResponses::new(sides[0]),
            cohorts: StallDetector::new(now, sides.map(|side| &side.cohorts)),
            last: Box::new(sides.map(Clone::clone)),
            patience: patience(memory.p99()),
            memory,
            cut: None,
            cut_at: now,
            fresh: Box::new([0; BUCKETS]),
            pace: 0.0,
            paced: sides[0].counts.answers,
            past: ActivePast::new(now, sides[1]),
            before: None,
            alone: None,
            recalled: None,
            rescues: RescueOutcomes::default(),
            heard: now,
        }
    }

    /// What they have found out.
    pub fn hand_over(&self) -> HandedMeters {
        let meters = MeterKind::ALL.into_iter().zip(&self.fed).map(|(kind, fed)| (kind, fed.taped.clone()));
        HandedMeters { meters: meters.collect(), latencies: self.memory.clone() }
    }

    /// Goes on from what others have found out. Where the stake is another one now, the meter begins anew.
    pub fn go_on_from(&mut self, mut handed: HandedMeters) {
        for (kind, fed) in MeterKind::ALL.into_iter().zip(&mut self.fed) {
            let fits = |taped: &TapedMeter| taped.meter.stakes_as(&fed.taped.meter);
            if let Some(taped) = handed.meters.remove(&kind).filter(fits) {
                fed.taped = taped;
            }
        }
        self.patience = patience(handed.latencies.p99());
        self.memory = handed.latencies;
    }

    /// Takes in one tick of the grid.
    pub fn look(&mut self, now: Millis, sides: [&JudgedTotals; 2], moment: &MeterContext) {
        self.fed.iter_mut().for_each(|fed| fed.extra += moment.extra);
        self.remember(now, moment.alone);
        self.answers(now, sides, moment);
        self.note(now, sides);
        let patience = if moment.standstill { self.patience.max(LONGEST) } else { self.patience };
        let (candidate, active) = self.cohorts.look(now, sides.map(|side| &side.cohorts), patience, moment.answered);
        if candidate != Cells::default() || active != Cells::default() {
            // What is due now was sent this long ago.
            let (raised, new) = moment.raised;
            let sent = Millis(raised.0.saturating_sub(self.patience.0));
            self.compare(MeterKind::Stalls, now, [candidate, active], cold(sent, new));
        }
    }

    /// Feeds a meter of rates.
    fn compare(&mut self, kind: MeterKind, now: Millis, [candidate, active]: [Cells; 2], cold: f64) {
        let input = match &self.before {
            Some(before) => {
                let now = self.rescues.rate().filter(|_| kind == MeterKind::Errors);
                let remembered = Some(now.map_or(before.rate(kind), |now| now.max(before.rate(kind))));
                let (cold, matched) = (cold + drift(kind), now.is_some());
                let input = MeterInput::new(Millis::ZERO, candidate, Cells::default());
                MeterInput { remembered, cold, matched, ..input }
            }
            None => {
                self.past.add(kind, &active);
                MeterInput { cold, ..MeterInput::new(Millis::ZERO, candidate, active) }
            }
        };
        self.feed(kind, now, input);
    }

    fn feed(&mut self, kind: MeterKind, now: Millis, input: MeterInput) {
        if let Some(fed) = self.fed.get_mut(kind as usize) {
            fed.feed(now, input);
        }
    }

    /// Takes out what active did before when the candidate gets all of the traffic, and puts it away again.
    fn remember(&mut self, now: Millis, alone: bool) {
        if !alone {
            (self.before, self.alone, self.recalled) = (None, None, None);
            self.past.turn(now);
            return;
        }
        match self.alone {
            None => {
                let own = || self.past.worst().map(|worst| (worst, now.plus(STANDS)));
                let (before, until) = self.recalled.take().or_else(own).unzip();
                (self.before, self.alone) = (before, Some((now, until.unwrap_or(now))));
            }
            Some((_, until)) if now >= until => self.before = None,
            Some(_) => {}
        }
    }

    /// Takes what an earlier watch knew of active, for a candidate that has all of the traffic; it stands until then.
    pub fn recall(&mut self, before: RememberedActive, until: Millis) {
        self.recalled = Some((before, until));
    }

    /// What the candidate is judged against while it has all of the traffic.
    pub fn before(&self) -> Option<&RememberedActive> {
        self.before.as_ref()
    }

    /// The candidate has all of the traffic, and nothing is known of what active did before.
    pub fn is_blind(&self) -> bool {
        self.alone.is_some() && self.before.is_none()
    }

    fn answers(&mut self, now: Millis, sides: [&JudgedTotals; 2], moment: &MeterContext) {
        let [before_g, before_b] = &*self.last;
        if sides[0].counts == before_g.counts && sides[1].counts == before_b.counts {
            return;
        }
        let since = |now: &JudgedTotals, before: &JudgedTotals| {
            let all = now.counts.answers.saturating_sub(before.counts.answers);
            rates(all, now.counts.failed.saturating_sub(before.counts.failed))
        };
        let both = [since(sides[0], before_g), since(sides[1], before_b)];
        self.compare(MeterKind::Errors, now, both, 0.0);
        let [before_g, _] = &*self.last;
        self.rescues.look(now.since(self.heard), sides[0], before_g);
        self.heard = now;
        // For the second that has passed: what is new belongs to the next one.
        let recut = if now.since(self.cut_at) >= RECUT || self.cut.is_none() {
            self.keep_pace(now, sides[0].counts.answers);
            self.recut(now, moment)
        } else {
            None
        };
        let (mut candidate, mut active) = (Cells::default(), Cells::default());
        let cut = self.cut.as_ref().filter(|_| !moment.settling && !moment.standstill);
        let [before_g, before_b] = &*self.last;
        each_new(&sides[0].latency, &before_g.latency, |bucket, n| put(cut, true, bucket, n, &mut candidate));
        each_new(&sides[1].latency, &before_b.latency, |bucket, n| {
            if self.before.is_none() {
                put(cut, false, bucket, n, &mut active);
                self.past.add_latency(bucket, n);
            }
            if let Some(sum) = self.fresh.get_mut(bucket) {
                *sum += n;
            }
        });
        if self.cut.is_some() {
            let (raised, new) = moment.raised;
            let sent = Millis(raised.0.saturating_sub(LONGEST_START.0));
            let cold = cold(sent, new).max(forgiven(self.pace));
            let remembered = self.before.as_ref().map(|_| 0.0);
            let input = MeterInput::new(Millis::ZERO, candidate, active);
            let input = MeterInput { cold, pace: self.pace, cut: recut, remembered, ..input };
            self.feed(MeterKind::Latency, now, input);
        }
        for (last, side) in self.last.iter_mut().zip(sides) {
            (last.counts, last.tally, last.latency) = (side.counts, side.tally, side.latency);
        }
    }

    /// Feeds the meters of what is counted by groups of clients, a few times a second: nobody has to be quick about it.
    fn note(&mut self, now: Millis, sides: [&JudgedTotals; 2]) {
        for (at, note) in NOTES.iter().enumerate() {
            let [one, other] = sides.map(|side| note.of(side));
            let Some([candidate, active]) = self.noted.get_mut(at) else { continue };
            let is_due = self.fed.get(note.kind as usize).is_some_and(|fed| now.since(fed.at) >= NOTED);
            if is_due && candidate.all + active.all < one.all + other.all {
                let both = [candidate.take(now, &one), active.take(now, &other)];
                if note.kind == MeterKind::Shape {
                    self.odd.look(sides[0]);
                }
                self.compare(note.kind, now, both, 0.0);
            }
        }
    }

    fn keep_pace(&mut self, now: Millis, answers: u64) {
        let passed = now.since(self.cut_at).0 as f64 / 1000.0;
        if passed > 0.0 {
            let new = 1.0 - (-passed / PACE_SECONDS).exp();
            self.pace += new * (answers.saturating_sub(self.paced) as f64 / passed - self.pace);
            self.paced = answers;
        }
    }

    fn recut(&mut self, now: Millis, moment: &MeterContext) -> Option<Box<[f64; CELLS]>> {
        // Without any traffic of active, its last minute would fade away.
        if self.before.is_none() {
            self.memory.add(now.since(self.cut_at), &self.fresh);
        }
        *self.fresh = [0; BUCKETS];
        self.cut_at = now;
        let (memory, slower) = match &self.before {
            Some(before) => (&before.latencies, SLOWER),
            None => (&self.memory, 1.0),
        };
        self.patience = patience(memory.p99());
        let (cut, q) = memory.cut(slower * warming(moment.age))?;
        self.cut = Some(cut);
        Some(Box::new(q))
    }

    /// The latency that 99 % of active's responses stay under.
    pub fn p99(&self) -> Option<Millis> {
        self.memory.p99()
    }

    /// What the candidate has done so far.
    pub fn progress(&self, candidate: &JudgedTotals) -> SideProgress {
        let JudgedTotals { counts, cohorts, .. } = candidate;
        let open = self.cohorts.waiting(cohorts);
        SideProgress { answers: counts.answers, sent: cohorts.total_sent(), open, pace: self.pace }
    }

    pub fn evidence(&self) -> f64 {
        MeterKind::ALL.iter().map(|kind| self.evidence_of(*kind)).sum()
    }

    pub fn evidence_of(&self, kind: MeterKind) -> f64 {
        self.meter(kind).map_or(0.0, EvidenceMeter::evidence)
    }

    fn meter(&self, kind: MeterKind) -> Option<&EvidenceMeter> {
        self.fed.get(kind as usize).map(|fed| &fed.taped.meter)
    }

    pub fn tape(&self, kind: MeterKind) -> Option<&EvidenceTape> {
        self.fed.get(kind as usize).and_then(|fed| fed.taped.tape.as_ref())
    }

    /// What each meter contributes.
    pub fn parts(&self, route: Option<&str>) -> [MeterEvidence; METERS] {
        MeterKind::ALL.map(|kind| {
            let (meter, tape) = (self.meter(kind), self.tape(kind));
            let (candidate, active) = tape.map(EvidenceTape::sums).unwrap_or_default();
            let all = |cells: &Cells| cells.iter().map(|n| u64::from(*n)).sum();
            let seen = |cells: &Cells| {
                let [_, bad, ..] = *cells;
                SideCounts { all: all(cells), bad: if kind == MeterKind::Latency { 0 } else { u64::from(bad) } }
            };
            let alone = self.before.is_some();
            let edge = |cut: &LatencyCuts| -> Option<WidestGap> { cut.widest(&candidate, &active, alone) };
            MeterEvidence {
                meter: kind,
                route: route.map(str::to_owned),
                evidence: self.evidence_of(kind),
                bad: meter.map_or(0, EvidenceMeter::bad),
                span: tape.map_or(Millis::ZERO, EvidenceTape::span),
                candidate: seen(&candidate),
                active: seen(&active),
                edge: self.cut.as_ref().filter(|_| kind == MeterKind::Latency).and_then(edge),
                patience: (kind == MeterKind::Stalls).then_some(self.patience),
                oddity: self.odd.most().filter(|_| kind == MeterKind::Shape),
                before: self.before.as_ref().map(|before| before.rate(kind)),
            }
        })
    }

    /// Active's failure rate in the last minute.
    pub fn active_rate(&self) -> Option<f64> {
        self.meter(MeterKind::Errors)?.reference_rate()
    }

    /// The smallest failure rate that `requests` of the candidate would have revealed, at its `share` of the traffic
    /// and this threshold in nats.
    pub fn resolution(&self, requests: u64, share: f64, threshold: f64) -> Option<f64> {
        rate_odds::resolution(requests, share, self.active_rate()?, threshold)
    }
}

/// What is counted by groups of clients, and the meter that judges it.
struct ClientNote {
    kind: MeterKind,
    all: fn(&JudgedTotals) -> u64,
    bad: fn(&JudgedTotals) -> &[u32; CLIENTS],
}

const NOTES: [ClientNote; 2] = [
    ClientNote { kind: MeterKind::Refusals, all: |side| side.counts.answers, bad: |side| &side.refusals },
    // A client that has left in the middle of a slow body counts too.
    ClientNote { kind: MeterKind::Shape, all: |side| side.tally.requests, bad: |side| &side.odd },
];

impl ClientNote {
    fn of<'t>(&self, side: &'t JudgedTotals) -> ClientCounts<'t> {
        ClientCounts { all: (self.all)(side), bad: (self.bad)(side), clients: side.clients }
    }
}

/// What is odd about the candidate's responses of late.
#[derive(Clone, Debug)]
struct OddResponses {
    last: [u32; ODDITIES],
    recent: [f64; ODDITIES],
}

impl OddResponses {
    const fn new(candidate: &JudgedTotals) -> OddResponses {
        OddResponses { last: candidate.oddities, recent: [0.0; ODDITIES] }
    }

    fn look(&mut self, candidate: &JudgedTotals) {
        for ((recent, now), last) in self.recent.iter_mut().zip(candidate.oddities).zip(self.last) {
            *recent = ODD_KEPT * *recent + f64::from(now.wrapping_sub(last));
        }
        self.last = candidate.oddities;
    }

    /// What is odd about most of them.
    fn most(&self) -> Option<Oddity> {
        let (oddity, many) = Oddity::ALL.into_iter().zip(self.recent).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (many > 0.0).then_some(oddity)
    }
}

/// Every bucket with its new responses.
fn each_new(now: &[u64; BUCKETS], before: &[u64; BUCKETS], mut each: impl FnMut(usize, u64)) {
    for (bucket, (now, before)) in now.iter().zip(before).enumerate() {
        if now > before {
            each(bucket, now - before);
        }
    }
}

fn put(cut: Option<&LatencyCuts>, candidate: bool, bucket: usize, n: u64, cells: &mut Cells) {
    if let Some(cell) = cut.and_then(|cut| cells.get_mut(cut.cell(candidate, bucket))) {
        *cell = cell.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }
}
