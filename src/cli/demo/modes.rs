//! The demo without its story: to run the suites against it, or anything else.

use std::net::SocketAddr;
use std::path::Path;
#[cfg(feature = "validation")]
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::Exit;
#[cfg(feature = "validation")]
use crate::cli::Output;
#[cfg(feature = "validation")]
use crate::cli::client::AdminClient;
use crate::cli::demo::files::DemoFolder;
use crate::cli::demo::shop::Fault;
use crate::cli::output::say;
#[cfg(feature = "validation")]
use crate::cli::validate::{RunOptions, SuiteFilter, run_all};
use crate::serve::{self, Running};
#[cfg(feature = "validation")]
use wire::RunTarget;

#[cfg(feature = "validation")]
/// Runs the built-in suites against both origins and exits. `suites`: only these; empty means all.
///
/// # Errors
/// Something could not be started, or a report could not be written.
pub fn validate(faults: &[Fault], suites: &[String], report: Option<PathBuf>, output: Output) -> anyhow::Result<Exit> {
    let folder = DemoFolder::make()?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let runtime = runtime()?;
    let running = runtime.block_on(start(&folder, faults, any, any))?;
    let token = running.local_token.as_ref().map(|local| local.secret.text().to_owned());
    let client = AdminClient::within(running.admin, token)?;
    let how = RunOptions { watch: true, detach: false, report };
    let which = SuiteFilter { service: None, suites, tags: &[] };
    let exit = run_all(&client, which, RunTarget::Both, &how, output);
    running.stop();
    exit
}

/// Serves until Ctrl-C.
///
/// # Errors
/// Something could not be started.
pub fn serve(faults: &[Fault], path: &Path, listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<Exit> {
    let folder = DemoFolder::at(path)?;
    let runtime = runtime()?;
    let running = runtime.block_on(start(&folder, faults, listen, admin))?;
    #[cfg(feature = "validation")]
    let config = folder.path().join("cutover.toml");
    let proxy = running.addresses.first().context("the proxy has no listener")?;
    say!("proxy    http://{proxy}   (curl http://{proxy}/api/catalog)");
    say!("admin    http://{}", running.admin);
    say!("files    {}   (routing.toml is reloaded when you save it)", folder.path().display());
    #[cfg(feature = "validation")]
    say!("try      cutover validate run-suite consolidated-functions both --watch --config {}", config.display());
    say!("Press Ctrl-C to stop.");
    runtime.block_on(tokio::signal::ctrl_c())?;
    running.stop();
    Ok(Exit::Ok)
}

/// The origins have their own runtime, so that the proxy is measured from outside.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn start(
    folder: &DemoFolder,
    faults: &[Fault],
    listen: SocketAddr,
    admin: SocketAddr,
) -> anyhow::Result<Running> {
    let origins = folder.origins(faults).await?;
    let settings = folder.lay_out(&origins, listen, admin)?;
    // On another thread, because starting waits for lookups, and a runtime must not wait within itself.
    tokio::task::spawn_blocking(move || serve::start(&settings)).await?
}
