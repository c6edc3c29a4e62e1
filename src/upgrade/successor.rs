//! The running process's part: it starts the new one, gives it everything, and ends; or goes on.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use memory::clock;
use memory::counters::{CountedSoFar, Counters};
use relay::origin::KnownAddresses;
use sidecar::{SidecarHandle, Suspension};

use crate::upgrade::earlier::EarlierProcesses;
use crate::upgrade::line::Line;
use crate::upgrade::messages::{FromNew, FromOld, HandedKnowledge, RunningProcess};
use crate::upgrade::{OpenSockets, SocketPurpose};

/// The new process reads its files and resolves the names of origins in this time.
const PREPARE: Duration = Duration::from_secs(30);
/// It opens the state and starts in this time, while nothing is decided.
const SERVE: Duration = Duration::from_secs(30);
/// One that ends says so at once, and its exit status is there a moment later.
const EXIT: Duration = Duration::from_secs(2);
/// The flag by which a process knows that it replaces another.
pub const TAKE_OVER: &str = "--take-over";

/// A listening socket of this process, kept open so that it can be handed on.
#[derive(Debug)]
pub struct HeldSocket {
    purpose: SocketPurpose,
    asked: SocketAddr,
    socket: OwnedFd,
}

impl HeldSocket {
    /// Opens it once more for what else is to listen here.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn lend(&self, open: &mut OpenSockets) -> std::io::Result<()> {
        open.add(self.purpose, self.asked, TcpListener::from(self.socket.try_clone()?))
    }

    /// # Errors
    /// Too many files are open.
    pub fn of(purpose: SocketPurpose, asked: SocketAddr, socket: &TcpListener) -> std::io::Result<HeldSocket> {
        Ok(HeldSocket { purpose, asked, socket: socket.as_fd().try_clone_to_owned()? })
    }
}

/// Why there was no upgrade. This process goes on as before.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("this process is number 1 of its container, which would end with it: replace the container instead")]
    FirstProcess,
    #[error("cannot start {}: {error}", binary.display())]
    CannotStart { binary: PathBuf, error: std::io::Error },
    #[error("the new process refuses: {0}")]
    Refused(String),
    #[error("the new process has ended ({0}) before it served; its log says why")]
    Ended(String),
    #[error("the new process {0}, and was ended")]
    Hangs(&'static str),
    #[error("the journal cannot be written, so the state is not given away")]
    Unwritten,
    #[error("{0} is held, and its requests wait in this process: release it first (`cutover hold --release`), or wait")]
    Held(String),
    #[error("the sidecar has stopped: restart instead")]
    NoSidecar,
}

/// The process that has taken over.
#[derive(Debug)]
pub struct Successor {
    line: Line,
    pub process: u32,
    pub version: String,
    /// What it was told that was counted.
    counted: CountedSoFar,
}

/// What is to be started, and who wants it.
#[derive(Clone, Debug)]
pub struct UpgradeOrder {
    pub binary: PathBuf,
    pub asked_by: String,
    /// The state that goes over.
    pub state: PathBuf,
    /// Of the origins in force.
    pub addresses: KnownAddresses,
    pub giving_up: UpgradeGivingUp,
}

/// The way to give an upgrade up that is under way, from another thread.
#[derive(Clone, Debug, Default)]
pub struct UpgradeGivingUp(Arc<Mutex<Option<StartedProcess>>>);

#[derive(Debug)]
struct StartedProcess {
    process: u32,
    line: UnixStream,
}

impl UpgradeGivingUp {
    fn started(&self, process: u32, line: UnixStream) {
        *self.0.lock() = Some(StartedProcess { process, line });
    }

    /// The new process hears nothing more, and ends if it does not serve yet.
    pub fn say_no_more(&self) {
        if let Some(started) = &*self.0.lock() {
            // If it is gone, that is what is wanted.
            let _ = started.line.shutdown(Shutdown::Write);
        }
    }

    /// Ends the new process at once.
    pub fn end(&self) {
        if let Some(started) = &*self.0.lock() {
            signal_to(started.process, Signal::KILL);
        }
    }
}

fn signal_to(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    // If it has ended already, that is what is wanted.
    let _ = process.map(|process| kill_process(process, signal));
}

/// Starts another process with this process's own arguments, and gives it everything.
///
/// # Errors
/// It did not come up. Nothing has changed.
pub fn start_successor(
    order: &UpgradeOrder,
    sockets: &[HeldSocket],
    sidecar: &SidecarHandle,
    counters: &Arc<Counters>,
) -> Result<Successor, UpgradeError> {
    if std::process::id() == 1 {
        return Err(UpgradeError::FirstProcess);
    }
    let UpgradeOrder { binary, giving_up, .. } = order;
    let cannot_start = |error| UpgradeError::CannotStart { binary: binary.clone(), error };
    let (ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != TAKE_OVER);
    let started = Command::new(binary)
        .args(arguments)
        .arg(TAKE_OVER)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        // The watchdog looks after the new process too.
        .env_remove("WATCHDOG_PID")
        .spawn();
    let child = started.map_err(cannot_start)?;
    giving_up.started(child.id(), ours.try_clone().map_err(cannot_start)?);
    let mut applicant = Applicant { line: Line::new(ours), child };
    let done = applicant.install(order, sockets, sidecar, counters);
    match done {
        Ok((version, counted)) => {
            let Applicant { line, child } = applicant;
            Ok(Successor { line, process: child.id(), version, counted })
        }
        Err(failed) => {
            // The state is free again before the sidecar goes on.
            let ended = applicant.end();
            let (suspension, error) = failed;
            drop(suspension);
            Err(match (error, ended) {
                (UpgradeError::Ended(_), Some(status)) => UpgradeError::Ended(status),
                (error, _) => error,
            })
        }
    }
}

/// A new process that has not taken over yet.
struct Applicant {
    line: Line,
    child: Child,
}

/// What is still held when it fails, and why it fails.
type Failure = (Option<Suspension>, UpgradeError);

impl Applicant {
    fn install(
        &mut self,
        order: &UpgradeOrder,
        sockets: &[HeldSocket],
        sidecar: &SidecarHandle,
        counters: &Arc<Counters>,
    ) -> Result<(String, CountedSoFar), Failure> {
        let gone = |_| (None, UpgradeError::Ended(String::new()));
        for HeldSocket { purpose, asked, socket } in sockets {
            let message = FromOld::Socket { purpose: *purpose, asked: *asked };
            self.line.send_with(&message, Some(socket.as_fd())).map_err(gone)?;
        }
        let running = RunningProcess {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: clock::now(),
            asked_by: order.asked_by.clone(),
            state: std::path::absolute(&order.state).unwrap_or_default(),
            addresses: order.addresses.clone(),
        };
        self.line.send(&FromOld::Sockets(running)).map_err(gone)?;
        match self.answer(PREPARE, "was not prepared within 30s") {
            Ok(FromNew::Prepared) => {}
            Ok(other) => return Err((None, unexpected(other))),
            Err(error) => return Err((None, error)),
        }
        let suspension = match sidecar.suspend() {
            Ok(Some(suspension)) => suspension,
            Ok(None) => return Err((None, UpgradeError::Unwritten)),
            Err(_) => return Err((None, UpgradeError::NoSidecar)),
        };
        let counted = counters.counted_so_far();
        let known = HandedKnowledge::new(counted.clone(), &suspension.watches);
        if self.line.send(&FromOld::Yours(known)).is_err() {
            return Err((Some(suspension), UpgradeError::Ended(String::new())));
        }
        match self.answer(SERVE, "did not serve within 30s") {
            Ok(FromNew::Serves { version }) => {
                suspension.hand_over();
                Ok((version, counted))
            }
            Ok(other) => Err((Some(suspension), unexpected(other))),
            Err(error) => Err((Some(suspension), error)),
        }
    }

    fn answer(&mut self, patience: Duration, hangs: &'static str) -> Result<FromNew, UpgradeError> {
        self.line.receive(Some(patience)).map(|(message, _)| message).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => UpgradeError::Hangs(hangs),
            _ => UpgradeError::Ended(String::new()),
        })
    }

    /// Waits for the end of one that has failed, or ends it; returns its exit status if it ended by itself.
    fn end(mut self) -> Option<String> {
        // It sees that nobody is there any more.
        drop(self.line);
        let ended = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).and_then(|process| {
            let patience = Timespec::try_from(EXIT).map_err(|_| rustix::io::Errno::INVAL)?;
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))
        });
        if ended.is_ok_and(|ready| ready > 0) {
            return self.child.wait().ok().map(|status| status.to_string());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

/// What it says instead of what it should.
fn unexpected(said: FromNew) -> UpgradeError {
    match said {
        FromNew::Refused { why } => UpgradeError::Refused(why),
        FromNew::Prepared | FromNew::Serves { .. } => UpgradeError::Refused("it says things out of order".to_owned()),
    }
}

impl Successor {
    /// Tells it to end as this process was told to.
    pub fn end(&self, signal: Signal) {
        signal_to(self.process, signal);
    }

    /// Tells it what was counted here since it took over, and who still has something to tell.
    pub fn tell_rest(mut self, counters: &Counters, earlier: EarlierProcesses) {
        let earlier = earlier.pass_on();
        let rest = counters.counted_so_far().since(&self.counted);
        // If it is gone, nobody wants to know.
        let _ = self.line.send(&FromOld::Rest(rest));
        for line in earlier {
            let _ = self.line.send_with(&FromOld::Earlier, Some(line.as_fd()));
        }
    }
}
