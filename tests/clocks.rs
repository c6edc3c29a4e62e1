//! The wall clock jumps: what lasts is measured by the monotonic one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::rollouts::{LONG, Site};
use crate::support::client::get;
use crate::support::house::Load;
use crate::support::{SOON, wait_until};

/// A program that shows another time than it is, to processes that are started with it.
pub fn faketime() -> PathBuf {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    assert!(Path::new(&library).exists(), "there is no {library}: .ci/setup installs it");
    library.into()
}

/// Removes what the library leaves behind of a process that was killed.
pub fn forget(process: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        let _ = std::fs::remove_file(format!("/dev/shm/{name}{process}"));
    }
}

/// The day of its Date.
fn day(site: &Site) -> String {
    let refused = get(site.process.address, "/%00", &[]);
    refused.header("date").unwrap().chars().take("Tue, 01 Dec 2026".len()).collect()
}

#[test]
#[ignore = "needs libfaketime: .ci/setup installs it"]
fn a_bake_lasts_as_long_as_it_is_to_whatever_the_wall_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let clock = dir.path().join("clock");
    let show = |offset: &str| {
        let new = clock.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &clock).unwrap();
    };
    show("+0\n");
    let library = faketime();
    let env = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
    ];
    let site = Site::with_env("steps = [50, 100]\nbake = \"4s\"\nrequests = 1\nwatch = \"0s\"\n", &env);
    let load = Load::start(site.process.address, 4, Duration::from_millis(5));
    for (turn, offset) in ["+1d\n", "-1d\n"].into_iter().enumerate() {
        site.must(&["deploy", &format!("v{turn}")]);
        site.wait_for_phase("shifting");
        let (began, today) = (Instant::now(), day(&site));
        show(offset);
        wait_until("the jump is seen", SOON, || day(&site) != today);
        // Two bakes of four seconds: neither skipped by a day that is gone, nor waited for till it comes again.
        wait_until("it is promoted", LONG, || site.phase() == "promoted");
        let took = began.elapsed();
        assert!(took > Duration::from_secs(6) && took < Duration::from_secs(60), "{offset:?}: {took:?}");
    }
    let (requests, failed) = load.stop();
    let process = site.process.child.id();
    drop(site);
    forget(process);
    assert!(requests > 100 && failed == 0, "{failed} of {requests}");
}
