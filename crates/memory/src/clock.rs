//! The only place that reads a clock.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use judgement::time::Millis;

static START: OnceLock<Instant> = OnceLock::new();

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn start() -> Instant {
    *START.get_or_init(Instant::now)
}

/// Goes on from what another process's clock shows now: moments that it has noted mean the same here. Does nothing once
/// this clock has been asked.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn go_on_from(shown: Millis) {
    if let Some(start) = Instant::now().checked_sub(shown.as_duration()) {
        let _ = START.set(start);
    }
}

thread_local! {
    /// What the clock shows on this thread while it is held; 0 while it is not.
    static HELD: Cell<u64> = const { Cell::new(0) };
}

/// Microseconds on the monotonic clock since the process first asked, or since then until it was [held](hold).
#[inline]
pub fn micros() -> u64 {
    match HELD.get() {
        0 => look(),
        held => held,
    }
}

fn look() -> u64 {
    start().elapsed().as_micros() as u64
}

/// Stops the monotonic clock of this thread while `work` is done. A request asks for the time in ten places, and a look at
/// the clock is dear: so a task looks once each time that it is woken.
pub fn hold<T>(work: impl FnOnce() -> T) -> T {
    struct GoOn;
    impl Drop for GoOn {
        fn drop(&mut self) {
            HELD.set(0);
        }
    }
    HELD.set(look().max(1));
    let _go_on = GoOn;
    work()
}

/// Milliseconds on the monotonic clock since the process first asked. Windows and bakes run on this.
pub fn now() -> Millis {
    Millis(micros() / 1000)
}

/// A moment that a library reports, on the clock of [`now`].
pub fn at(moment: Instant) -> Millis {
    Millis(moment.saturating_duration_since(start()).as_millis() as u64)
}

/// Milliseconds since 1970, for people: journal entries and logs. Compared with no other times than the end of a
/// certificate.
pub fn wall_millis() -> u64 {
    wall_micros() / 1000
}

/// Microseconds since 1970, for people.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
