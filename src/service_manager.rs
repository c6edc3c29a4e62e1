//! What a service manager such as systemd is told, by sd_notify(3). Without one, nobody is.

use std::convert::Infallible;
use std::time::Duration;

use judgement::time::Millis;
use memory::clock;
use memory::counters::{Counters, read};
use sd_notify::NotifyState;

/// A sidecar that has not been seen for so long does not judge any more.
const SILENT: Millis = Millis::seconds(30);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// Requests are answered, or answered with new files.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Files are read anew, or another process is started; [`tell_ready`] follows.
pub fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Requests under way are finished.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service now.
pub fn tell_successor(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

/// Tells the watchdog that all is well, for as long as it is: the sidecar looks at the traffic, and this task is woken.
pub async fn keep_watchdog(counters: &Counters) -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut times = tokio::time::interval((patience / 3).max(Duration::from_millis(1)));
    loop {
        times.tick().await;
        let seen = Millis(read(&counters.process.sidecar_seen));
        if clock::now().since(seen) < SILENT {
            tell(&[NotifyState::Watchdog]);
        }
    }
}
