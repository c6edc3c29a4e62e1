//! The new process's part: the sockets and the state of the process that it replaces.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use judgement::rollout::{AnnouncementLevel, AuditRemark, ChangeKind, HandedWatch};
use memory::clock;
use memory::counters::Counters;
use relay::origin::KnownAddresses;

use crate::upgrade::OpenSockets;
use crate::upgrade::earlier::EarlierProcesses;
use crate::upgrade::line::Line;
use crate::upgrade::messages::{FromNew, FromOld, RunningProcess};

/// The running process answers within this time: it writes its journal in between.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running process, which this one replaces.
#[derive(Debug)]
pub struct Predecessor {
    line: Line,
    process: RunningProcess,
}

impl Predecessor {
    /// Receives the listening sockets of the process at the other end of standard input, for each worker its own.
    ///
    /// # Errors
    /// Nobody is there, or not a Cutover.
    pub fn meet() -> anyhow::Result<(Predecessor, OpenSockets)> {
        let nobody = "--take-over is for the process that `cutover upgrade` starts, and nobody else";
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let mut line = Line::new(UnixStream::from(stdin));
        let mut sockets = OpenSockets::default();
        loop {
            match line.receive(Some(PATIENCE)).context(nobody)? {
                (FromOld::Socket { purpose, asked }, Some(socket)) => {
                    sockets.add(purpose, asked, TcpListener::from(socket))?;
                }
                (FromOld::Sockets(process), _) => {
                    clock::go_on_from(process.clock);
                    return Ok((Predecessor { line, process }, sockets));
                }
                _ => bail!(nobody),
            }
        }
    }

    /// What the journal says of it, once this process serves.
    pub fn remark(&self) -> AuditRemark {
        let RunningProcess { process, version, asked_by, .. } = &self.process;
        let (own, own_version) = (std::process::id(), env!("CARGO_PKG_VERSION"));
        let why =
            format!("process {own} of version {own_version} took the place of process {process} of version {version}");
        upgrade_remark(asked_by.clone(), why, None)
    }

    /// The addresses that it uses.
    pub fn addresses(&self) -> KnownAddresses {
        self.process.addresses.clone()
    }

    /// That the file names the same state.
    ///
    /// # Errors
    /// It names another one: everything that is known would be forgotten.
    pub fn has_state(&self, state: &Path) -> anyhow::Result<()> {
        let before = &self.process.state;
        if std::path::absolute(state)? == *before {
            return Ok(());
        }
        bail!(
            "state.path is {} now, and {} before: an upgrade goes on with the same state. Change it back; or stop Cutover, move \
             the state with the files beside it, and start it",
            state.display(),
            before.display()
        )
    }

    /// Asks for the state, and waits until it is nobody's. What the running process has counted is counted here too. Returns
    /// what it knows of each candidate.
    ///
    /// # Errors
    /// The running process has changed its mind.
    pub fn take_state(&mut self, counters: &Counters) -> anyhow::Result<BTreeMap<String, HandedWatch>> {
        let gone = "the running process has given up";
        self.line.send(&FromNew::Prepared).context(gone)?;
        match self.line.receive(Some(PATIENCE)).context(gone)? {
            (FromOld::Yours(known), _) => {
                counters.count_again(&known.counted, true);
                Ok(known.watches())
            }
            _ => bail!(gone),
        }
    }

    /// Tells the running process that requests are answered here. What it and those before it count until they end is added.
    ///
    /// # Errors
    /// It has given up in the meantime, and goes on.
    pub fn replace(mut self, counters: &Arc<Counters>) -> anyhow::Result<EarlierProcesses> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.line.send(&FromNew::Serves { version }).context("the running process has given up")?;
        Ok(EarlierProcesses::hear(self.line, counters.clone())?)
    }

    /// Tells the running process why this one cannot take its place.
    pub fn refuse(mut self, why: &anyhow::Error) {
        let why = match why.downcast_ref::<config::ConfigError>() {
            Some(refused) => refused.render(false),
            None => format!("{why:#}"),
        };
        // If it does not hear it, it sees that this process ends.
        let _ = self.line.send(&FromNew::Refused { why });
    }
}

/// An entry of the journal about an upgrade.
pub fn upgrade_remark(who: String, why: String, announced: Option<AnnouncementLevel>) -> AuditRemark {
    AuditRemark { kind: ChangeKind::Upgrade, service: String::new(), who, from: None, why, announced }
}
