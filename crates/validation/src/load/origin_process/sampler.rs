//! Samples the processes of origins until the load is over, on its own thread.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use super::Found;
use super::find::{NotFound, RootProcess, all_stats};
use super::proc_text::{ProcessStat, with_descendants};
use super::usage::{ResourceSample, UsageTotal};
use crate::load::process::resident_bytes;
use judgement::time::Millis;
use memory::clock;
use wire::OriginResources;

/// Often enough for peaks, and seldom enough to cost the machine nothing that a load would notice.
const EVERY_MICROS: u64 = 250_000;

/// The processes of an origin; or why they cannot be measured any more.
struct MeasuredOrigin {
    roots: Vec<RootProcess>,
    total: UsageTotal,
    why: Option<String>,
}

/// Measures from the end of the warm-up to the end of the load. It ends early when the sender of `stopped` is dropped.
pub fn measure(
    found: Vec<Found>,
    warm_up: Millis,
    length: Millis,
    stopped: &mpsc::Receiver<Infallible>,
) -> Vec<OriginResources> {
    let mut origins: Vec<MeasuredOrigin> = found.into_iter().map(MeasuredOrigin::new).collect();
    let mut next = clock::micros() + warm_up.0 * 1000;
    let end = next + length.0 * 1000;
    loop {
        let wait = Duration::from_micros(next.saturating_sub(clock::micros()));
        if let Err(mpsc::RecvTimeoutError::Disconnected) = stopped.recv_timeout(wait) {
            break;
        }
        let all = all_stats();
        origins.iter_mut().for_each(|origin| origin.sample(&all));
        if next >= end {
            break;
        }
        next = (next + EVERY_MICROS).max(clock::micros()).min(end);
    }
    origins.into_iter().map(MeasuredOrigin::result).collect()
}

impl MeasuredOrigin {
    fn new(found: Found) -> MeasuredOrigin {
        let (roots, why) = match found {
            Ok(roots) => (roots, None),
            Err(NotFound::Elsewhere(address)) => (Vec::new(), Some(format!("{address} is not on this machine"))),
            Err(NotFound::Unreadable(why)) => (Vec::new(), Some(why)),
        };
        MeasuredOrigin { roots, total: UsageTotal::default(), why }
    }

    fn sample(&mut self, all: &[ProcessStat]) {
        if self.why.is_some() {
            return;
        }
        let lives = |root: &RootProcess| {
            all.iter().any(|stat| stat.pid == root.pid && stat.started == root.started && !stat.has_ended)
        };
        if let Some(gone) = self.roots.iter().find(|root| !lives(root)) {
            self.why = Some(format!("process {} ended while the load ran", gone.pid));
            return;
        }
        let roots: Vec<u32> = self.roots.iter().map(|root| root.pid).collect();
        self.total.add(sum(&with_descendants(&roots, all, std::process::id())));
    }

    fn result(self) -> OriginResources {
        let used = if self.why.is_none() { self.total.used() } else { None };
        let unmeasured = used.is_none().then(|| "the load was too short".to_owned());
        OriginResources { pids: self.roots.iter().map(|root| root.pid).collect(), used, why: self.why.or(unmeasured) }
    }
}

fn sum(processes: &[&ProcessStat]) -> ResourceSample {
    let mut sample = ResourceSample { at: clock::micros(), open_files: Some(0), ..ResourceSample::default() };
    for process in processes {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        sample.cpu_ticks += process.cpu_ticks;
        sample.threads += process.threads;
        sample.memory_bytes += resident_bytes(&status);
        sample.open_files = sample.open_files.zip(open_files(process.pid)).map(|(sum, more)| sum + more);
    }
    sample
}

/// `None`: it may not be read. A process that has just ended has none.
fn open_files(pid: u32) -> Option<u64> {
    match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(files) => Some(files.count() as u64),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        Err(_) => Some(0),
    }
}
