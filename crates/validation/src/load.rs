//! Load tests: requests to an environment at the times that a profile sets, and how it copes with them.
//!
//! ```text
//! schedule: when each request is due     ─┐
//! requests: what is sent, by weight      ─┼─> driver: the users send them ──> tally: the results ──> verdict
//! ```

mod driver;
mod latency;
mod origin_process;
mod process;
mod requests;
mod schedule;
mod tally;
mod verdict;

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::load::origin_process::{MeasuredOrigins, OriginMeter};
use crate::load::process::ProcessMeter;
use crate::load::requests::RequestMix;
use crate::load::schedule::LoadSchedule;
use crate::load::tally::LoadTally;
use crate::progress::ProgressTracker;
use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::LoadTest;
use memory::clock;
use wire::{ActiveLoad, Latencies, LoadResult, Outcome, ProcessUse, Side};

/// Memory samples, by which a soak is judged: one per second for an hour, and fewer in a longer load.
const MOST_SAMPLES: u64 = 3600;

/// The units of progress of a load: its seconds.
pub fn units(load: &LoadTest) -> u64 {
    load.warm_up.plus(load.length).0.div_ceil(1000)
}

/// Puts an environment under load and reports the result. It takes the load's length and warm-up, and then as long as
/// the step with the longest timeout. When dropped it ends within milliseconds.
///
/// A user opens its connection with its first request: with few requests per second by many users, the first ones are
/// those that connect, unless the warm-up is long enough for all users to take a turn.
///
/// `active`: the active side, if limits are compared with it. It gets the same load in the same seconds, from a thread of its
/// own: what slows this machine down then slows both.
pub async fn run(
    load: &LoadTest,
    target: &TestTarget,
    active: Option<&TestTarget>,
    variables: &Variables,
    progress: &ProgressTracker,
) -> LoadResult {
    let (began, mut meter, mut seconds_done) = (clock::micros(), ProcessMeter::new(), 0);
    let origins = OriginMeter::start(load, target, active).await;
    let started = origins.and_then(|origins| Ok((origins, start_all(load, target, active, variables)?)));
    let mut origins_meter = None;
    let result = match started {
        Ok((origins, (own, reference))) => {
            origins_meter = origins;
            let of_active = async {
                match reference {
                    Some(reference) => reference.tally().await,
                    None => Ok(None),
                }
            };
            let both = async { tokio::join!(own.tally(), of_active) };
            let mut working = pin!(both);
            let mut second = interval(Duration::from_secs(1));
            second.set_missed_tick_behavior(MissedTickBehavior::Skip);
            second.tick().await;
            let sampled_every = load.length.0.div_ceil(1000).div_ceil(MOST_SAMPLES).max(1);
            loop {
                tokio::select! {
                    (own, reference) = &mut working => break own.and_then(|own| Ok((own, reference?))),
                    _ = second.tick() => {}
                }
                meter.sample(seconds_done % sampled_every == 0);
                if seconds_done < units(load) {
                    seconds_done += 1;
                    progress.done(1);
                }
            }
        }
        Err(why) => Err(why),
    };
    progress.done(units(load) - seconds_done);
    meter.sample(false);
    let took = clock::micros() - began;
    match result {
        Ok((Some(tally), reference)) => {
            let measured = match origins_meter {
                Some(origins) => origins.results().await,
                None => MeasuredOrigins::default(),
            };
            let reference = active.zip(reference);
            tallied(load, (target, tally), reference, (&meter, measured), took)
        }
        Ok((None, _)) => refused(load, target.side, "stopped".to_owned(), took),
        Err(why) => refused(load, target.side, why, took),
    }
}

/// A load on one side that has been started. It ends when this is dropped.
struct RunningLoad {
    working: JoinHandle<Result<Option<LoadTally>, String>>,
    _alive: oneshot::Sender<Infallible>,
}

impl RunningLoad {
    /// # Errors
    /// It cannot be run.
    fn start(load: &LoadTest, target: &TestTarget, variables: &Variables) -> Result<RunningLoad, String> {
        let (schedule, mix) = (LoadSchedule::new(load), RequestMix::new(load, target, variables)?);
        let (alive, stop) = oneshot::channel();
        let (load, target) = (load.clone(), target.clone());
        let working = spawn_blocking(move || driver::work(&load, &target, schedule, mix, stop));
        Ok(RunningLoad { working, _alive: alive })
    }

    /// `None`: it was stopped.
    async fn tally(self) -> Result<Option<LoadTally>, String> {
        let RunningLoad { working, _alive } = self;
        working.await.unwrap_or_else(|error| Err(format!("the load generator failed: {error}")))
    }
}

/// # Errors
/// The load cannot be run.
fn start_all(
    load: &LoadTest,
    target: &TestTarget,
    active: Option<&TestTarget>,
    variables: &Variables,
) -> Result<(RunningLoad, Option<RunningLoad>), String> {
    process::make_room(u64::from(load.users) * (1 + u64::from(active.is_some())))?;
    let own = RunningLoad::start(load, target, variables)?;
    let reference = active.map(|active| RunningLoad::start(load, active, variables)).transpose()?;
    Ok((own, reference))
}

fn tallied(
    load: &LoadTest,
    (target, mut tally): (&TestTarget, LoadTally),
    reference: Option<(&TestTarget, LoadTally)>,
    (meter, measured): (&ProcessMeter, MeasuredOrigins),
    took: u64,
) -> LoadResult {
    let of_active = reference.as_ref().map(|(_, tally)| tally);
    let verdict = verdict::judge(load, &tally, of_active, (&meter.memory, &measured));
    LoadResult {
        active: reference.map(|(active, tally)| {
            Box::new(ActiveLoad {
                environment: active.side,
                requests: tally.requests,
                failed: tally.failed,
                latency: latency::latencies(&tally.latency),
                resources: measured.active,
            })
        }),
        resources: measured.own.map(Box::new),
        outcome: if verdict.why.is_none() { Outcome::Passed } else { Outcome::Failed },
        why: verdict.why,
        limits: verdict.limits,
        unjudged: verdict.unjudged,
        rate_sent: tally.rate_sent(),
        throughput: tally.throughput(),
        requests: tally.requests,
        failed: tally.failed,
        error_rate: tally.error_rate(),
        latency: latency::latencies(&tally.latency),
        service_time: latency::latencies(&tally.service_time),
        answers: tally.answers(),
        seconds: tally.seconds(),
        histogram: latency::bars(&tally.latency),
        process: meter.used(took),
        late: tally.late,
        examples: std::mem::take(&mut tally.examples),
        ..refused(load, target.side, String::new(), took)
    }
}

/// A load that was not started: `Skipped`, or `Failed` if its side cannot be reached.
pub fn untried(load: &LoadTest, side: Side, outcome: Outcome, why: String) -> LoadResult {
    LoadResult { outcome, ..refused(load, side, why, 0) }
}

/// A load that cannot be run has failed: nothing is proved.
fn refused(load: &LoadTest, side: Side, why: String, took: u64) -> LoadResult {
    LoadResult {
        name: load.name.clone(),
        environment: side,
        profile: load.profile.name().to_owned(),
        outcome: Outcome::Failed,
        why: Some(why),
        took_ms: took as f64 / 1000.0,
        users: load.users,
        rate_intended: load.rate,
        rate_sent: 0.0,
        throughput: 0.0,
        requests: 0,
        failed: 0,
        error_rate: 0.0,
        latency: Latencies::default(),
        service_time: Latencies::default(),
        answers: Default::default(),
        examples: Vec::new(),
        seconds: Vec::new(),
        histogram: Vec::new(),
        limits: Vec::new(),
        unjudged: Vec::new(),
        process: ProcessUse::default(),
        late: 0,
        active: None,
        resources: None,
    }
}

#[cfg(test)]
mod tests;
