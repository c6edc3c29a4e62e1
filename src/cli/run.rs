//! `cutover run`: the proxy, until a signal ends it.
//!
//! SIGTERM drains, SIGINT ends at once (so does a second SIGTERM), SIGHUP reads the routing file again and opens
//! the access log anew.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Exit;
use crate::config;
use crate::proxy::listen::{Drain, End};
use crate::serve;

pub fn run(path: &Path) -> anyhow::Result<Exit> {
    // Signals first: one that comes while starting must not kill a half-started process without a word.
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
    let settings = config::settings(path)?;
    let running = serve::start(&settings)?;
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
                // As nginx has it; without a hand on it, the process would end.
                _ = usr1.recv() => running.reopen_access_log(),
            }
        }
    });
    if !drain {
        tracing::info!("SIGINT: ending at once");
        running.stop();
        return Ok(Exit::Ok);
    }
    tracing::info!(patience = %settings.drain, "SIGTERM: finishing the requests in flight");
    let ender = running.ender();
    // Dropped with the process; a second signal ends the drain.
    let impatient = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.block_on(async {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                () = ender.closed() => {}
            }
            ender.send_replace(End::Now);
        });
    });
    running.drain(Drain { patience: settings.drain, delay: settings.drain_delay });
    drop(impatient);
    tracing::info!("ended");
    Ok(Exit::Ok)
}
