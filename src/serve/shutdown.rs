//! How Cutover stops: by draining, as soon as its validation runs are torn down, or at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::serve::Running;
use crate::upgrade::Successor;
use judgement::time::Millis;
use memory::counters::raise;
use relay::proxy::listen::{DrainSettings, ShutdownSignal};

/// What validation runs have set up is torn down in this time when another process has taken over.
const TEARDOWN: Millis = Millis::seconds(30);

impl Running {
    /// Stops being ready, finishes requests in flight, and exits. Validation runs are cancelled and torn down.
    pub fn drain(mut self, drain: DrainSettings) {
        // Otherwise connections would go on to wait in queues that nobody looks at.
        self.held = Arc::default();
        drop(self.acme.take());
        raise(&self.counters.process.draining, true);
        if self.runs.close() {
            // The listeners stay open for teardowns that go through them, and clients keep half of the time.
            let delay = drain.delay.max(Millis(drain.patience.0 / 2));
            self.end.send_replace(ShutdownSignal::Drain(DrainSettings { delay, ..drain }));
            self.taken_down(drain);
            // A second signal takes precedence.
            self.end.send_if_modified(|end| {
                matches!(end, ShutdownSignal::Drain(_)).then(|| *end = ShutdownSignal::Drain(drain)).is_some()
            });
        } else {
            self.end.send_replace(ShutdownSignal::Drain(drain));
        }
        for worker in self.workers.drain(..) {
            worker.join();
        }
    }

    /// Leaves everything new to the process that has taken over, and finishes what this one has begun: each response asks
    /// its client to connect again, and tunnels go on until `patience` is over. Validation runs are cancelled and torn down.
    pub fn leave(mut self, successor: Successor, patience: Millis) {
        self.held = Arc::default();
        drop(self.acme.take());
        self.admin_listener.leave();
        raise(&self.counters.process.draining, true);
        self.end.send_replace(ShutdownSignal::HandedOver { patience });
        if self.runs.close() {
            self.taken_down(DrainSettings { patience: TEARDOWN, delay: Millis::ZERO });
        }
        for worker in self.workers.drain(..) {
            worker.join();
        }
        successor.tell_rest(&self.counters, std::mem::take(&mut self.earlier));
    }

    /// A way to end the drain early from another thread.
    pub fn ender(&self) -> watch::Sender<ShutdownSignal> {
        self.end.clone()
    }

    /// Exits at once, except for validation runs: what they set up is torn down first, within `patience`.
    pub fn interrupt(self, patience: Millis) {
        raise(&self.counters.process.draining, true);
        if self.runs.close() {
            self.taken_down(DrainSettings { patience, delay: Millis::ZERO });
        }
        self.stop();
    }

    /// Exits at once.
    pub fn stop(self) {
        drop(self);
    }

    /// Waits until no run is left and the delay is over, within the patience. A second signal ends the wait.
    fn taken_down(&self, DrainSettings { patience, delay }: DrainSettings) {
        let Some(runtime) = self.runtimes.last() else { return };
        tracing::info!(%patience, "cancelling validation runs and waiting for their teardown");
        let (runs, mut end) = (self.runs.clone(), self.end.subscribe());
        let (done, over) = std::sync::mpsc::channel();
        let (patience, delay): (Duration, Duration) = (patience.as_duration(), delay.as_duration());
        runtime.spawn(async move {
            let all = async { tokio::join!(runs.closed(), sleep(delay)) };
            tokio::select! {
                _ = timeout(patience, all) => {}
                _ = end.wait_for(|end| *end == ShutdownSignal::Now) => {}
            }
            runs.cut_short();
            // It is awaited elsewhere.
            let _ = done.send(());
        });
        let _ = over.recv();
    }
}
