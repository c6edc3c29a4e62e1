//! The results of a load, counted as requests end: per second and in total.
//!
//! A latency counts from when the request was due. It is recorded for every complete answer, whatever its
//! status, and for every request that was given up, with the time it had waited: leaving those out would flatter
//! an origin that hangs. A refused or broken connection is quick but no answer: it only counts as a failure.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::load::latency;
use crate::load::schedule::STRESS_STEPS;
use config::suite::{LoadTest, Profile};
use wire::LoadSecond;

/// Rows of a result: one per second up to an hour; in a longer load each stands for several seconds.
const MOST_ROWS: u64 = 3600;
/// Failures that are listed; the others are only counted.
const MOST_EXAMPLES: usize = 5;
/// A request that starts later than this after it was due is late.
const LATE_MICROS: u64 = 10_000;
/// What is answered this soon after the end still counts for the load's rate, or the last requests would never be
/// answered in time. At most a twentieth of the length, so that a load that falls behind cannot hide it.
const TAIL_MICROS: u64 = 1_000_000;
const TAIL_SHARE: u64 = 20;
/// Latencies are kept to three significant figures.
const FIGURES: u8 = 3;
/// The smallest range of a histogram: a minute.
const REACH_MICROS: u64 = 60_000_000;

/// How a request ended. Times in microseconds since the end of the warm-up.
#[derive(Debug)]
pub struct SettledRequest<'a> {
    pub intended: u64,
    /// `None`: it was never sent.
    pub began: Option<u64>,
    pub ended: u64,
    /// A user was free all the time, and still it was started late.
    pub neglected: bool,
    pub outcome: &'a RequestOutcome,
}

#[derive(Debug)]
pub enum RequestOutcome {
    Well(u16),
    /// A status other than expected, with a message.
    Wrong(u16, String),
    /// `connect`, `tls`, `timeout`, `reset`, `protocol` or `unsent`, with a message.
    Nothing(&'static str, String),
    /// The load was over before it was answered: how long an answer takes is not known.
    CutOff,
}

/// A section of a load that is judged separately: a half of a soak, a step of a stress load.
#[derive(Debug)]
pub struct LoadSection {
    pub latency: Histogram<u64>,
    pub requests: u64,
    pub failed: u64,
}

#[derive(Debug)]
struct TimelineRow {
    second: LoadSecond,
    /// While its requests are in flight.
    latency: Option<Box<Histogram<u32>>>,
}

#[derive(Debug)]
pub struct LoadTally {
    length: u64,
    row_micros: u64,
    /// The latest row with a request that is due.
    newest: usize,
    rows: Vec<TimelineRow>,
    pub parts: Vec<LoadSection>,
    pub latency: Histogram<u64>,
    pub service_time: Histogram<u64>,
    pub requests: u64,
    pub failed: u64,
    pub unsent: u64,
    pub late: u64,
    /// Of the late ones, those that had a free user: this machine was busy.
    pub neglected: u64,
    sent_in_time: u64,
    well_in_time: u64,
    statuses: BTreeMap<u16, u64>,
    kinds: BTreeMap<&'static str, u64>,
    pub examples: Vec<String>,
}

impl LoadTally {
    /// `reach_ms`: the longest possible latency.
    ///
    /// # Errors
    /// The load is longer than a histogram can reach.
    pub fn new(load: &LoadTest, reach_ms: u64) -> Result<LoadTally, String> {
        let reach = reach_ms.saturating_mul(1000).max(REACH_MICROS);
        let latency: Histogram<u64> =
            Histogram::new_with_bounds(1, reach, FIGURES).map_err(|error| format!("the load is too long: {error}"))?;
        let parts = match load.profile {
            Profile::Soak => 2,
            Profile::Stress => STRESS_STEPS,
            Profile::Steady | Profile::Ramp | Profile::Spike => 0,
        };
        let part = |_| LoadSection { latency: Histogram::new_from(&latency), requests: 0, failed: 0 };
        let parts = (0..parts).map(part).collect();
        let seconds = load.length.0.div_ceil(1000).max(1);
        let row = seconds.div_ceil(MOST_ROWS);
        let second = |at| LoadSecond { at: u32::try_from(at * row).unwrap_or(u32::MAX), ..LoadSecond::default() };
        let rows = (0..seconds.div_ceil(row)).map(|at| TimelineRow { second: second(at), latency: None }).collect();
        Ok(LoadTally {
            length: load.length.0.max(1) * 1000,
            row_micros: row * 1_000_000,
            newest: 0,
            rows,
            parts,
            service_time: Histogram::new_from(&latency),
            latency,
            requests: 0,
            failed: 0,
            unsent: 0,
            late: 0,
            neglected: 0,
            sent_in_time: 0,
            well_in_time: 0,
            statuses: BTreeMap::new(),
            kinds: BTreeMap::new(),
            examples: Vec::new(),
        })
    }

    /// The length of a row of the result.
    pub fn row_micros(&self) -> u64 {
        self.row_micros
    }

    fn row_at(&self, intended: u64) -> usize {
        (intended / self.row_micros) as usize
    }

    /// A request is due. Requests come in order.
    pub fn due(&mut self, intended: u64) {
        self.requests += 1;
        let at = self.row_at(intended);
        if at > self.newest {
            let last = std::mem::replace(&mut self.newest, at);
            self.close_if_over(last);
        }
        if let Some(row) = self.rows.get_mut(at) {
            row.second.intended += 1;
        }
        if let Some(part) = self.part_of(intended) {
            part.requests += 1;
        }
    }

    fn part_of(&mut self, intended: u64) -> Option<&mut LoadSection> {
        let at = intended.saturating_mul(self.parts.len() as u64) / self.length;
        self.parts.get_mut(at as usize)
    }

    pub fn settle(&mut self, one: &SettledRequest<'_>) {
        let in_time = self.length + TAIL_MICROS.min(self.length / TAIL_SHARE);
        match one.began {
            Some(began) => {
                self.sent_in_time += u64::from(began <= in_time);
                let late = began.saturating_sub(one.intended) > LATE_MICROS;
                self.late += u64::from(late);
                self.neglected += u64::from(late && one.neglected);
            }
            None => self.unsent += 1,
        }
        let (well, timed) = match one.outcome {
            RequestOutcome::Well(status) => {
                *self.statuses.entry(*status).or_default() += 1;
                self.well_in_time += u64::from(one.ended <= in_time);
                (true, true)
            }
            RequestOutcome::Wrong(status, why) => {
                *self.statuses.entry(*status).or_default() += 1;
                self.example(why);
                (false, true)
            }
            RequestOutcome::Nothing(kind, why) => {
                *self.kinds.entry(kind).or_default() += 1;
                self.example(why);
                (false, matches!(*kind, "timeout" | "unsent"))
            }
            RequestOutcome::CutOff => {
                *self.kinds.entry("timeout").or_default() += 1;
                self.example("no response by the end of the load");
                (false, true)
            }
        };
        self.failed += u64::from(!well);
        let latency = one.ended.saturating_sub(one.intended).max(1);
        if timed {
            self.latency.saturating_record(latency);
            if let (Some(began), false) = (one.began, matches!(one.outcome, RequestOutcome::CutOff)) {
                self.service_time.saturating_record(one.ended.saturating_sub(began).max(1));
            }
        }
        if let Some(part) = self.part_of(one.intended) {
            part.failed += u64::from(!well);
            if timed {
                part.latency.saturating_record(latency);
            }
        }
        self.settle_in_row(one.intended, well, timed.then_some(latency));
    }

    fn settle_in_row(&mut self, intended: u64, well: bool, latency: Option<u64>) {
        let at = self.row_at(intended);
        let Some(row) = self.rows.get_mut(at) else { return };
        row.second.answered += u64::from(well);
        row.second.failed += u64::from(!well);
        if let Some(latency) = latency {
            let open = row.latency.get_or_insert_with(|| Box::new(Histogram::new_from(&self.latency)));
            open.saturating_record(latency);
        }
        if at < self.newest {
            self.close_if_over(at);
        }
    }

    /// A row's distribution is large: it is dropped with the last of its requests.
    fn close_if_over(&mut self, at: usize) {
        if let Some(row) = self.rows.get_mut(at)
            && row.second.answered + row.second.failed >= row.second.intended
            && let Some(latency) = row.latency.take()
        {
            row.second.p50 = latency::quantile_ms(&latency, 0.5);
            row.second.p95 = latency::quantile_ms(&latency, 0.95);
            row.second.p99 = latency::quantile_ms(&latency, 0.99);
        }
    }

    /// A row has ended with this many requests in flight.
    pub fn in_flight(&mut self, row: usize, requests: usize) {
        if let Some(row) = self.rows.get_mut(row) {
            row.second.in_flight = u32::try_from(requests).unwrap_or(u32::MAX);
        }
    }

    fn example(&mut self, why: &str) {
        if self.examples.len() < MOST_EXAMPLES && self.examples.iter().all(|other| other != why) {
            self.examples.push(why.to_owned());
        }
    }

    /// Second by second; every request has been settled.
    pub fn seconds(&mut self) -> Vec<LoadSecond> {
        (0..self.rows.len()).for_each(|at| self.close_if_over(at));
        self.rows.iter().map(|row| row.second).collect()
    }

    /// By status, and by what went wrong.
    pub fn answers(&self) -> BTreeMap<String, u64> {
        let statuses = self.statuses.iter().map(|(status, count)| (status.to_string(), *count));
        statuses.chain(self.kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count))).collect()
    }

    fn a_second(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.length as f64
    }

    pub fn rate_sent(&self) -> f64 {
        self.a_second(self.sent_in_time)
    }

    /// Successful responses per second.
    pub fn throughput(&self) -> f64 {
        self.a_second(self.well_in_time)
    }

    /// In percent.
    pub fn error_rate(&self) -> f64 {
        percent(self.failed, self.requests)
    }
}

pub fn percent(some: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { some as f64 * 100.0 / all as f64 }
}
