//! What the tests share: scripted origins, a plain client, a running house, and patience.

pub mod client;
pub mod front;
pub mod h2;
pub mod house;
pub mod origin;
pub mod tls;

use std::time::{Duration, Instant};

/// Waits until it is so, or fails with what it waited for.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < patience, "waited {patience:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

pub const SOON: Duration = Duration::from_secs(20);
