//! Loads on real Python origins that burn CPU, hold memory or die when they are asked to.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::*;
use crate::load;
use crate::load::tests::{steady, step, target};
use crate::progress::ProgressTracker;
use crate::variables::Variables;
use config::suite::{OriginProcess, ResourceLimit};
use judgement::time::Millis;
use memory::snapshot::Endpoint;
use wire::{LoadResult, OriginUse, Outcome};

const ORIGIN: &str = include_str!("origin.py");

struct PythonOrigin {
    child: Child,
    port: u16,
}

impl PythonOrigin {
    fn start() -> PythonOrigin {
        let mut python = Command::new("python3");
        let mut child = python.args(["-c", ORIGIN]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        PythonOrigin { child, port: line.trim().parse().unwrap() }
    }

    fn target(&self, side: Side) -> TestTarget {
        TestTarget { side, ..target(self.port) }
    }

    /// The CPU seconds that the origin itself has counted.
    async fn cpu_seconds(&self) -> f64 {
        let request = crate::request::prepare(&step("/cpu"), &self.target(Side::Green), &Variables::default()).unwrap();
        let answer = self.target(Side::Green).ask(&request, std::time::Duration::from_secs(10), 0).await.unwrap();
        String::from_utf8_lossy(&answer.body).trim().parse().unwrap()
    }
}

impl Drop for PythonOrigin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(path: &str, rate: f64) -> LoadTest {
    let by_port = Some([OriginProcess::Port, OriginProcess::Port]);
    LoadTest { requests: vec![(1, step(path))], resources: by_port, ..steady(rate, 3000, 8) }
}

async fn run_on(load: &LoadTest, own: &TestTarget, active: Option<&TestTarget>) -> LoadResult {
    load::run(load, own, active, &Variables::default(), &ProgressTracker::default()).await
}

#[track_caller]
fn used(result: &LoadResult) -> OriginUse {
    result.resources.as_ref().unwrap().used.unwrap_or_else(|| panic!("{:?}", result.resources))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_an_origin_uses_is_what_it_says_itself() {
    let origin = PythonOrigin::start();
    let before = origin.cpu_seconds().await;
    let mut load = asked("/burn?ms=50", 6.0);
    load.limits.cpu = Some(ResourceLimit::Fixed(4.0));
    let result = run_on(&load, &origin.target(Side::Green), None).await;
    let own = origin.cpu_seconds().await - before;
    let burnt = used(&result);
    assert!(result.limits.iter().any(|limit| limit.what == "origin_cpu" && limit.held), "{result:?}");
    assert!(own >= 0.8 && burnt.cpu_seconds > own / 2.0 && burnt.cpu_seconds < own * 2.0, "{burnt:?}, itself {own}");
    assert!((burnt.cores - burnt.cpu_seconds / 3.0).abs() < burnt.cores / 2.0, "{burnt:?}");
    assert!(burnt.threads_peak >= 1 && burnt.open_files_peak.unwrap() >= 4, "{burnt:?}");
    assert_eq!(result.resources.unwrap().pids, [origin.child.id()]);

    // A child of the origin burns: what it used counts, also when it has ended.
    let before = origin.cpu_seconds().await;
    let in_children = used(&run_on(&asked("/fork?ms=200", 2.0), &origin.target(Side::Green), None).await);
    let own = origin.cpu_seconds().await - before;
    assert!(own >= 0.8, "{own}");
    assert!(
        in_children.cpu_seconds > own / 2.0 && in_children.cpu_seconds < own * 2.0,
        "{in_children:?}, itself {own}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn memory_over_its_limit_fails_with_both_figures() {
    let origin = PythonOrigin::start();
    let mut load = asked("/hold?mib=80", 1.0);
    load.limits.memory = Some(ResourceLimit::Fixed(64.0 * 1_048_576.0));
    let result = run_on(&load, &origin.target(Side::Green), None).await;
    let peak = used(&result).memory_peak_bytes >> 20;
    assert!((80..=240).contains(&peak), "{peak} MiB");
    let why = result.why.unwrap();
    assert!(why.starts_with("the origin's memory is ") && why.contains(", over the limit of 64 MiB"), "{why}");
    let broken = result.limits.iter().find(|limit| limit.what == "origin_memory").unwrap();
    assert!(!broken.held && broken.found >= 80.0 * 1_048_576.0, "{broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_both_sides_use_in_the_same_seconds_is_compared() {
    let (green, blue) = (PythonOrigin::start(), PythonOrigin::start());
    let (own, active) = (green.target(Side::Green), blue.target(Side::Blue));
    let mut load = asked("/side?ms=40", 6.0);
    load.limits.cpu = Some(ResourceLimit::OfActive(3.0));
    load.limits.memory = Some(ResourceLimit::OfActive(3.0));
    assert!(load.limits.need_active());
    let same = run_on(&load, &own, Some(&active)).await;
    assert_eq!((same.outcome, same.why.as_deref()), (Outcome::Passed, None));
    assert!(same.active.unwrap().resources.unwrap().used.unwrap().cores > 0.05);

    // Green holds memory that blue does not have.
    run_on(&asked("/hold?mib=150", 1.0), &own, None).await;
    let worse = run_on(&load, &own, Some(&active)).await;
    let why = worse.why.unwrap();
    assert!(why.starts_with("the origin's memory is ") && why.contains("which is 3 times active's "), "{why}");

    let itself = run_on(&load, &own, None).await;
    assert_eq!((itself.outcome, itself.unjudged), (Outcome::Passed, vec!["origin_cpu".into(), "origin_memory".into()]));
    let one = run_on(&load, &own, Some(&green.target(Side::Blue))).await.why.unwrap();
    assert!(one.contains("is unknown: process ") && one.contains(" serves both sides"), "{one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_ends_in_mid_run_is_said_and_fails_its_limits() {
    let origin = PythonOrigin::start();
    let mut load = asked("/die?after=4", 4.0);
    load.limits.cpu = Some(ResourceLimit::Fixed(4.0));
    let result = run_on(&load, &origin.target(Side::Green), None).await;
    let ended = format!("process {} ended while the load ran", origin.child.id());
    let resources = result.resources.unwrap();
    assert_eq!((resources.used, resources.why.as_deref()), (None, Some(&*ended)));
    let why = result.why.unwrap();
    assert!(why.contains(&format!("the origin's CPU use is unknown: {ended}")), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_is_found_by_its_id_and_by_a_file_and_what_cannot_be_read_is_said() {
    let origin = PythonOrigin::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("green.pid");
    std::fs::write(&file, format!("{}\n", origin.child.id())).unwrap();
    let own = origin.target(Side::Green);
    let load = LoadTest { length: Millis(1000), ..asked("/", 4.0) };
    let by = |process: OriginProcess| LoadTest { resources: Some([OriginProcess::Port, process]), ..load.clone() };
    for process in [OriginProcess::Pid(origin.child.id()), OriginProcess::PidFile(file.clone())] {
        let result = run_on(&by(process), &own, None).await;
        assert_eq!(result.resources.as_ref().unwrap().pids, [origin.child.id()]);
        assert!(used(&result).memory_peak_bytes > 1 << 20);
    }
    std::fs::write(&file, "none\n").unwrap();
    let (content, missing) = (OriginProcess::PidFile(file), OriginProcess::PidFile(dir.path().join("other")));
    for (process, wanted) in [
        (content, "green.pid does not contain a process id"),
        (missing, "other: No such file or directory"),
        (OriginProcess::Pid(4_194_304), "there is no process 4194304"),
    ] {
        let result = run_on(&by(process), &own, None).await;
        assert_eq!(result.outcome, Outcome::Passed, "no limit needs it: {:?}", result.why);
        let why = result.resources.unwrap().why.unwrap();
        assert!(why.contains(wanted), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_origin_on_another_machine_is_refused_before_the_load() {
    let origin = PythonOrigin::start();
    let elsewhere: Arc<[Endpoint]> = Arc::new([Endpoint::plain(([192, 0, 2, 1], 80).into(), "elsewhere.test")]);
    let own = TestTarget { origin: elsewhere.clone(), ..origin.target(Side::Green) };
    let load = asked("/", 4.0);
    let refused = run_on(&load, &own, None).await;
    assert_eq!((refused.outcome, refused.requests), (Outcome::Failed, 0));
    let why = refused.why.unwrap();
    assert!(
        why.starts_with("resources = \"port\" needs an origin on this machine, and green's is at 192.0.2.1:80: "),
        "{why}"
    );

    // Active's figures are needed only by a limit that is compared with them.
    let active = TestTarget { origin: elsewhere, ..origin.target(Side::Blue) };
    let here = run_on(&load, &origin.target(Side::Green), Some(&active)).await;
    let why = here.active.unwrap().resources.unwrap().why;
    assert_eq!((here.outcome, why.as_deref()), (Outcome::Passed, Some("192.0.2.1:80 is not on this machine")));
    let mut compared = load;
    compared.limits.cpu = Some(ResourceLimit::OfActive(2.0));
    let why = run_on(&compared, &origin.target(Side::Green), Some(&active)).await.why.unwrap();
    assert!(why.contains("and blue's is at 192.0.2.1:80"), "{why}");
}
