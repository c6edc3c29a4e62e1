//! Starts what runs validation suites, or what reports that there is none.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::runs::Runs;
use config::MainConfig;
use memory::counters::Counters;
use memory::snapshot::SnapshotReader;
use sidecar::SidecarHandle;

/// The threads for validation suites; loads have their own.
const THREADS: usize = 2;

/// Suites have their own threads: what they wait for and compare must not keep anyone from rolling back.
pub fn start(
    settings: &MainConfig,
    published: &SnapshotReader,
    proxy: &[SocketAddr],
    (sidecar, counters): (&SidecarHandle, &Arc<Counters>),
) -> std::io::Result<(Runtime, Runs)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("validation")
        .enable_all()
        .build()?;
    let runs = runs(settings, published, proxy.first().copied(), (sidecar, counters), &runtime);
    Ok((runtime, runs))
}

#[cfg(feature = "validation")]
fn runs(
    settings: &MainConfig,
    published: &SnapshotReader,
    proxy: Option<SocketAddr>,
    (sidecar, counters): (&SidecarHandle, &Arc<Counters>),
    runtime: &Runtime,
) -> Runs {
    let runs = Runs::open(validation::runs::RunsParts {
        folder: settings.suites.clone(),
        records: sidecar::journal::beside(&settings.state, ".runs"),
        keep: settings.validation,
        targets: validation::target_resolver::TargetResolver::new(published.clone(), proxy),
        runtime: runtime.handle().clone(),
        counters: counters.clone(),
        sidecar: sidecar.clone(),
    });
    runtime.spawn(validation::runs::run_scheduled(runs.clone(), sidecar.listen()));
    runs
}

#[cfg(not(feature = "validation"))]
fn runs(
    _: &MainConfig,
    _: &SnapshotReader,
    _: Option<SocketAddr>,
    _: (&SidecarHandle, &Arc<Counters>),
    _: &Runtime,
) -> Runs {
    Runs::default()
}
