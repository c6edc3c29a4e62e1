//! `cutover run`: the proxy, until a signal ends it.
//!
//! SIGTERM drains, SIGINT exits at once except for the teardown of validation runs (a second signal ends that too), and
//! SIGHUP reloads the routing file and reopens the access log.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::admin::tokens::LocalToken;
use crate::cli::Exit;
use crate::serve;
use config;
use judgement::time::Millis;
use relay::proxy::listen::{DrainSettings, ShutdownSignal};

/// Whoever sends SIGINT is watching, so running validation runs get no longer than this to be torn down.
const TEARDOWN: Millis = Millis::seconds(5);

/// `log_json`: a machine reads stderr.
pub fn run(path: &Path, log_json: bool) -> anyhow::Result<Exit> {
    // Signals first: one that arrives during startup must not kill a half-started process silently.
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut term, mut int, mut hup, mut usr1) = {
        let _in_runtime = signals.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::user_defined1())?,
        )
    };
    let settings = config::load_main_with_certificates(path)?;
    let running = serve::start(&settings)?;
    if let Some(local) = running.local_token.as_ref().filter(|local| local.made) {
        show_token(local, log_json);
    }
    for address in &running.addresses {
        tracing::info!(%address, "listening");
    }
    for address in &running.tls_addresses {
        tracing::info!(%address, "listening with TLS");
    }
    tracing::info!(admin = %running.admin, routing = %settings.routing.display(), state = %settings.state.display(), "ready");

    let drain = signals.block_on(async {
        loop {
            tokio::select! {
                _ = term.recv() => return true,
                _ = int.recv() => return false,
                _ = hup.recv() => {
                    running.reopen_access_log();
                    running.reload();
                }
                // As in nginx. Without a handler, the process would end.
                _ = usr1.recv() => running.reopen_access_log(),
            }
        }
    });
    match drain {
        true => tracing::info!(drain = %settings.drain, "SIGTERM: finishing requests in flight"),
        false => tracing::info!("SIGINT: exiting at once"),
    }
    let ender = running.ender();
    // Dropped with the process; a second signal ends the drain.
    let impatient = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.block_on(async {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                () = ender.closed() => {}
            }
            ender.send_replace(ShutdownSignal::Now);
        });
    });
    match drain {
        true => running.drain(DrainSettings { patience: settings.drain, delay: settings.drain_delay }),
        false => running.interrupt(settings.drain.min(TEARDOWN)),
    }
    drop(impatient);
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// Shows a new token once.
fn show_token(local: &LocalToken, log_json: bool) {
    // JSON logs are stored, and secrets must not be stored with them.
    if log_json {
        tracing::info!(path = %local.path.display(), "created a token for the admin API");
    } else {
        let place = match local.stored {
            true => format!("kept in {}", local.path.display()),
            false => "which is valid until this process exits".to_owned(),
        };
        crate::cli::output::complain!("cutover: created a token for the admin API, {place}:");
        crate::cli::output::complain!("{}", local.secret.text());
    }
}
