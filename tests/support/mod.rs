//! What the tests share: scripted origins, a plain client, a running house, and patience.

pub mod client;
pub mod front;
pub mod h2;
pub mod h2_client;
pub mod house;
pub mod modules;
pub mod origin;
pub mod pebble;
pub mod raw_origin;
pub mod rust;
pub mod servers;
pub mod smtp;
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

/// A small disk. Unmounted when dropped; needs root.
pub struct SmallDisk(pub tempfile::TempDir);

impl SmallDisk {
    pub fn of(size: &str) -> SmallDisk {
        let at = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at.path())
            .status();
        assert!(mounted.unwrap().success(), "cannot mount a tmpfs");
        SmallDisk(at)
    }

    pub fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

pub const SOON: Duration = Duration::from_secs(20);
