//! What the processes of the origins on this machine use while a load runs: CPU, memory, descriptors and threads, of a
//! process and its descendants.
//!
//! ```text
//! find: which process it is ──> sampler: four times a second ──> proc_text: what /proc says ──> usage: sums and peaks
//! ```

mod find;
mod proc_text;
mod sampler;
mod usage;

use std::convert::Infallible;
use std::sync::mpsc;

use tokio::task::{JoinHandle, spawn_blocking};

use self::find::{NotFound, RootProcess, find};
use crate::target::TestTarget;
use config::suite::LoadTest;
use wire::{OriginResources, Side};

/// What was measured of the side under load, and of active if it had the same load.
#[derive(Clone, Debug, Default)]
pub struct MeasuredOrigins {
    pub own: Option<OriginResources>,
    pub active: Option<OriginResources>,
}

/// A measurement that is under way on a thread of its own. It ends with the load, or when this is dropped.
pub struct OriginMeter {
    working: JoinHandle<Vec<OriginResources>>,
    _alive: mpsc::Sender<Infallible>,
}

type Found = Result<Vec<RootProcess>, NotFound>;

impl OriginMeter {
    /// `None`: nothing is to be measured. `active`: the active side, if it gets the same load.
    ///
    /// # Errors
    /// An origin that must be measured is on another machine.
    pub async fn start(
        load: &LoadTest,
        target: &TestTarget,
        active: Option<&TestTarget>,
    ) -> Result<Option<OriginMeter>, String> {
        let Some(resources) = &load.resources else { return Ok(None) };
        let sides: Vec<TestTarget> = [target].into_iter().chain(active).cloned().collect();
        let [blue, green] = resources.clone();
        let looking = spawn_blocking(move || {
            let found = sides.iter().map(|target| match target.side {
                Side::Blue => find(&blue, &target.origin),
                Side::Green => find(&green, &target.origin),
            });
            found.collect::<Vec<Found>>()
        });
        let mut found =
            looking.await.map_err(|error| format!("the search for the origin's process failed: {error}"))?;
        let must_be_here = if load.limits.need_resources_of_active() { found.len() } else { 1 };
        let sides = [Some(target), active].into_iter().flatten();
        for (target, found) in sides.zip(&found).take(must_be_here) {
            if let Err(NotFound::Elsewhere(address)) = found {
                return Err(elsewhere(target, address));
            }
        }
        same_process(&mut found);
        let (alive, stopped) = mpsc::channel();
        let (warm_up, length) = (load.warm_up, load.length);
        let working = spawn_blocking(move || sampler::measure(found, warm_up, length, &stopped));
        Ok(Some(OriginMeter { working, _alive: alive }))
    }

    /// When the load is over.
    pub async fn results(self) -> MeasuredOrigins {
        let OriginMeter { working, _alive } = self;
        let mut all = working.await.unwrap_or_default().into_iter();
        MeasuredOrigins { own: all.next(), active: all.next() }
    }
}

fn elsewhere(target: &TestTarget, address: &str) -> String {
    let side = target.side.name();
    format!(
        "resources = \"port\" needs an origin on this machine, and {side}'s is at {address}: name its process with \
         `pid` or `pid_file` if it is here under another address, or remove `resources`"
    )
}

/// Figures of one process say nothing about the difference of two sides.
fn same_process(found: &mut [Found]) {
    let [Ok(own), Ok(active)] = found else { return };
    if let Some(shared) = own.iter().find(|process| active.contains(process)) {
        let why = format!("process {} serves both sides", shared.pid);
        found.fill_with(|| Err(NotFound::Unreadable(why.clone())));
    }
}

#[cfg(test)]
mod tests;
