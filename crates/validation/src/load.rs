//! Load tests: requests to an environment at the times that a profile sets, and how it copes with them.
//!
//! ```text
//! schedule: when each request is due     ─┐
//! requests: what is sent, by weight      ─┼─> driver: the users send them ──> tally: the results ──> verdict
//! ```

mod driver;
mod latency;
mod process;
mod requests;
mod schedule;
mod tally;
mod verdict;

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::load::process::ProcessMeter;
use crate::load::requests::RequestMix;
use crate::load::schedule::LoadSchedule;
use crate::load::tally::LoadTally;
use crate::progress::ProgressTracker;
use crate::target::TestTarget;
use crate::variables::Variables;
use config::suite::LoadTest;
use memory::clock;
use wire::{Latencies, LoadResult, Outcome, ProcessUse, Side};

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
pub async fn run(
    load: &LoadTest,
    target: &TestTarget,
    variables: &Variables,
    progress: &ProgressTracker,
) -> LoadResult {
    let (began, mut meter, mut seconds_done) = (clock::micros(), ProcessMeter::new(), 0);
    let result = match start(load, target, variables) {
        Ok((schedule, mix)) => {
            // Dropped with this future.
            let (_alive, stop) = oneshot::channel();
            let (load_of, target_of) = (load.clone(), target.clone());
            let mut working = spawn_blocking(move || driver::work(&load_of, &target_of, schedule, mix, stop));
            let mut second = interval(Duration::from_secs(1));
            second.set_missed_tick_behavior(MissedTickBehavior::Skip);
            second.tick().await;
            let sampled_every = load.length.0.div_ceil(1000).div_ceil(MOST_SAMPLES).max(1);
            loop {
                tokio::select! {
                    done = &mut working => break done.unwrap_or_else(|error| Err(format!("the load generator failed: {error}"))),
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
        Ok(Some(tally)) => tallied(load, target, tally, &meter, took),
        Ok(None) => refused(load, target.side, "stopped".to_owned(), took),
        Err(why) => refused(load, target.side, why, took),
    }
}

/// # Errors
/// The load cannot be run.
fn start(load: &LoadTest, target: &TestTarget, variables: &Variables) -> Result<(LoadSchedule, RequestMix), String> {
    process::make_room(u64::from(load.users))?;
    Ok((LoadSchedule::new(load), RequestMix::new(load, target, variables)?))
}

fn tallied(load: &LoadTest, target: &TestTarget, mut tally: LoadTally, meter: &ProcessMeter, took: u64) -> LoadResult {
    let verdict = verdict::judge(load, &tally, &meter.memory);
    LoadResult {
        outcome: if verdict.why.is_none() { Outcome::Passed } else { Outcome::Failed },
        why: verdict.why,
        limits: verdict.limits,
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
        process: ProcessUse::default(),
        late: 0,
    }
}

#[cfg(test)]
mod tests;
