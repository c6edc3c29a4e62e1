//! Finds the process of an origin on this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use super::proc_text::{self, ProcessStat};
use config::suite::OriginProcess;
use memory::snapshot::Endpoint;

/// A file with a process id is short.
const MOST_PID_FILE: u64 = 4096;

/// A process that is measured with its descendants. Another one that gets the same id later began at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootProcess {
    pub pid: u32,
    /// In clock ticks since the machine started.
    pub started: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The origin is on another machine: its address.
    Elsewhere(String),
    /// In words that follow a colon.
    Unreadable(String),
}

/// The processes of an origin: several if some share its port, or if it has several addresses.
///
/// # Errors
/// There is none that can be read.
pub fn find(process: &OriginProcess, origin: &[Endpoint]) -> Result<Vec<RootProcess>, NotFound> {
    let pids = match process {
        OriginProcess::Port => listening(origin)?,
        OriginProcess::Pid(pid) => BTreeSet::from([*pid]),
        OriginProcess::PidFile(path) => BTreeSet::from([pid_of(path).map_err(NotFound::Unreadable)?]),
    };
    let root = |pid: u32| {
        let stat = read_stat(pid).filter(|stat| !stat.has_ended);
        let stat = stat.ok_or_else(|| NotFound::Unreadable(format!("there is no process {pid}")))?;
        Ok(RootProcess { pid, started: stat.started })
    };
    pids.into_iter().map(root).collect()
}

fn pid_of(path: &Path) -> Result<u32, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("cannot read {shown}: {error}");
    // Opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() || kind.len() > MOST_PID_FILE {
        return Err(format!("{shown} is not a file with a process id"));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    proc_text::pid(&text).ok_or_else(|| format!("{shown} does not contain a process id"))
}

fn listening(origin: &[Endpoint]) -> Result<BTreeSet<u32>, NotFound> {
    let addresses: BTreeSet<SocketAddr> = origin.iter().map(|endpoint| endpoint.address).collect();
    if addresses.is_empty() {
        return Err(NotFound::Unreadable("the origin has no address".to_owned()));
    }
    if let Some(elsewhere) = addresses.iter().find(|address| !is_here(address.ip())) {
        return Err(NotFound::Elsewhere(elsewhere.to_string()));
    }
    let read = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let listeners: Vec<_> = ["tcp", "tcp6"].iter().flat_map(|name| proc_text::listeners(&read(name))).collect();
    let mut owners = BTreeSet::new();
    let all = all_stats();
    for address in addresses {
        let sockets = proc_text::sockets_of(&listeners, address);
        if sockets.is_empty() {
            return Err(NotFound::Unreadable(format!("no process listens on {address}")));
        }
        let found: BTreeSet<u32> = all.iter().map(|stat| stat.pid).filter(|pid| has_socket(*pid, &sockets)).collect();
        if found.is_empty() {
            let why = format!("the process that listens on {address} cannot be read: run Cutover as its user");
            return Err(NotFound::Unreadable(why));
        }
        owners.extend(found);
    }
    Ok(proc_text::topmost(&owners, &all))
}

/// Only an address of this machine can be bound.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn has_socket(pid: u32, sockets: &BTreeSet<u64>) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut links = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    links.any(|link| proc_text::socket(&link.to_string_lossy()).is_some_and(|inode| sockets.contains(&inode)))
}

/// Of every process that can be seen.
pub fn all_stats() -> Vec<ProcessStat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read_stat).collect()
}

fn read_stat(pid: u32) -> Option<ProcessStat> {
    // A process may have any bytes in its name.
    let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    proc_text::stat(&String::from_utf8_lossy(&bytes))
}
