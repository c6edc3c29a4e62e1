//! The mirror: copies of clients' requests go to both sides, before the candidate has its first client.
//!
//! Active has answered the client by then, and its answer is not looked at. For each copy both sides are asked, and active
//! twice, one after the other in an order that is drawn, so that whoever warms a cache for the others is no side in
//! particular. The candidate's answer is compared with one of active's, and active's two with each other: what differs there
//! too is noise (as in Twitter's Diffy). A kind of difference counts if the candidate shows it more often than active shows
//! it against itself than chance allows.
//!
//! Everything here is on a thread of its own, with connections of its own, and takes what the proxy leaves in a bounded
//! queue: no client waits for it, no response of it reaches one, and no counter that a judge reads knows of it.
//!
//! - `asking`: one copy, three answers. `budget`: how many at once, and how many a second.
//! - `comparing`: three answers, what differs in them and what is noise.
//! - `tally` with `paths`, `words` and `chance`: differences by path and kind, and which of them count.
//! - `board`: what is known of each service, for the API, the metrics and the steps of a rollout.

mod asking;
mod board;
mod budget;
mod chance;
mod comparing;
mod paths;
mod tally;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{MissedTickBehavior, interval};

use crate::mirror::asking::Asker;
use crate::mirror::board::ComparisonKey;
use crate::mirror::budget::Budgets;
use judgement::traffic::{Environment, ServiceId};
use memory::clock;
use memory::snapshot::SnapshotReader;
use relay::proxy::mirror::{CopyQueue, QUEUE, RequestCopy};
use sidecar::SidecarHandle;

pub use board::MirrorBoard;

/// How often the sidecar is told what was seen.
const TELL: Duration = Duration::from_secs(1);

/// Starts the thread that takes copies. It ends when nobody can leave any more of them. Returns where they go, which is
/// `None` only in a Cutover that was built without this.
///
/// # Errors
/// The thread or its runtime cannot be started.
pub fn start(published: SnapshotReader, sidecar: SidecarHandle) -> std::io::Result<(Option<CopyQueue>, MirrorBoard)> {
    let (queue, copies) = mpsc::channel(QUEUE);
    let board = MirrorBoard::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mirror =
        Mirror { published, board: board.clone(), budgets: Budgets::default(), asker: Arc::default(), turn: 0 };
    let thread = std::thread::Builder::new().name("mirror".to_owned());
    thread.spawn(move || runtime.block_on(mirror.run(copies, sidecar)))?;
    Ok((Some(queue), board))
}

struct Mirror {
    published: SnapshotReader,
    board: MirrorBoard,
    budgets: Budgets,
    asker: Arc<Asker>,
    turn: u64,
}

impl Mirror {
    async fn run(mut self, mut copies: Receiver<RequestCopy>, sidecar: SidecarHandle) {
        let mut tells = interval(TELL);
        tells.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                copy = copies.recv() => match copy {
                    // It never waits for a side, so one that hangs does not fill the queue for other services.
                    Some(copy) => self.take(copy),
                    None => return,
                },
                _ = tells.tick() => self.board.tell(&self.published.load(), &sidecar),
            }
        }
    }

    /// Asks both sides, if that is still wanted and there is room for it.
    fn take(&mut self, copy: RequestCopy) {
        let snapshot = self.published.load();
        let name = &copy.service.name;
        let Some(at) = snapshot.services.iter().position(|serving| serving.name == *name) else { return };
        let id = ServiceId(at as u32);
        let Some(serving) = snapshot.services.get(at).cloned() else { return };
        let split = snapshot.table.service(id).1;
        let candidate = split.active.other();
        // A side that is down is known to be: nothing is learned from it.
        let Some(key) = ComparisonKey::of(split, &serving).filter(|_| *candidate.of(&split.up)) else { return };
        let Some(place) = self.budgets.take(name, clock::now()) else { return serving.mirrored.drop_copy() };
        let Some(request) = copy.read() else { return serving.mirrored.drop_copy() };
        self.turn += 1;
        let endpoint = |side: Environment| {
            let all = snapshot.endpoints(id, side);
            let at = usize::try_from(self.turn).unwrap_or(0).checked_rem(all.len())?;
            all.get(at).map(|endpoint| request.endpoint(endpoint))
        };
        // A side whose name does not resolve answers nobody, and that is what is said of it.
        let endpoints = [split.active, candidate].map(endpoint);
        serving.mirrored.copy();
        let (asker, board, turn) = (self.asker.clone(), self.board.clone(), self.turn);
        tokio::spawn(async move {
            let _place = place;
            let began = clock::now();
            let heard = asker.ask(&request, &endpoints, turn).await;
            board.add(key, &serving, began, &request, &endpoints, heard);
        });
    }
}
