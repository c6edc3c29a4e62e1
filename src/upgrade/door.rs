//! Where `cutover upgrade` asks: a Unix socket beside the state, for whoever may write there, and nobody from the network.
//! Starting a program is more than any token of the admin API allows.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};
use sidecar::journal::beside;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// A request is one line, of a path.
const ASK_TIME: Duration = Duration::from_secs(5);
/// An upgrade takes two half minutes at the most.
const ANSWER_TIME: Duration = Duration::from_secs(90);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRequest {
    /// The program to start; the one that runs, as it is on the disk now, if there is none.
    pub binary: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeAnswer {
    Serves { process: u32, version: String },
    Refused { why: String },
}

/// What somebody asks for.
pub type AskedUpgrade = (UpgradeRequest, UpgradeCaller);

/// The socket of the running process.
#[derive(Debug)]
pub struct UpgradeDoor(UnixListener);

/// Somebody who waits for the answer.
#[derive(Debug)]
pub struct UpgradeCaller {
    stream: tokio::net::UnixStream,
    /// The user of the host.
    pub who: String,
}

fn path(state: &Path) -> PathBuf {
    beside(state, ".upgrade")
}

impl UpgradeDoor {
    /// Opens it. Only the process that has the state may: it takes the place of another's. Must be called in a runtime.
    ///
    /// # Errors
    /// The path is too long for a socket, or the folder cannot be written.
    pub fn open(state: &Path) -> std::io::Result<UpgradeDoor> {
        let path = path(state);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        // Nobody can connect before it listens.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(8)?;
        socket.set_nonblocking(true)?;
        UnixListener::from_std(socket.into()).map(UpgradeDoor)
    }

    /// Its requests, taken in by a task of their own: nothing that happens meanwhile cuts one off that is half read. Must be
    /// called in a runtime.
    pub fn watched(self) -> Receiver<AskedUpgrade> {
        let (asked, waiting) = channel(1);
        tokio::spawn(async move { while asked.send(self.next().await).await.is_ok() {} });
        waiting
    }

    /// The next request.
    async fn next(&self) -> AskedUpgrade {
        loop {
            let Ok((stream, _)) = self.0.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut stream = tokio::io::BufReader::new(stream);
            let mut line = String::new();
            let read = timeout(ASK_TIME, stream.read_line(&mut line)).await;
            if let (Ok(Ok(_)), Ok(request)) = (read, serde_json::from_str(&line)) {
                let stream = stream.into_inner();
                let who = user(&stream);
                return (request, UpgradeCaller { stream, who });
            }
        }
    }
}

/// Who is at the other end: by name, or by number if it has none.
fn user(stream: &tokio::net::UnixStream) -> String {
    let Ok(peer) = stream.peer_cred() else { return "unknown".to_owned() };
    let user = User::from_uid(Uid::from_raw(peer.uid())).ok().flatten();
    user.map_or_else(|| format!("user {}", peer.uid()), |user| user.name)
}

impl UpgradeCaller {
    pub async fn answer(mut self, answer: &UpgradeAnswer) {
        // Whoever has gone has gone.
        if let Ok(text) = serde_json::to_string(answer) {
            let _ = self.stream.write_all(text.as_bytes()).await;
        }
    }
}

/// Asks the running process to give its place to another, and waits for what comes of it.
///
/// # Errors
/// No process runs with this state, or it ended.
pub fn ask(state: &Path, request: &UpgradeRequest) -> anyhow::Result<UpgradeAnswer> {
    let path = path(state);
    let mut stream = UnixStream::connect(&path)
        .with_context(|| {
            let path = path.display();
            format!("no Cutover that runs here can be asked at {path}: is it this state, and this user's process? `kill -USR2 PID` asks too")
        })?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text)?;
    serde_json::from_str(&text).map_err(|_| anyhow::anyhow!("it gave no answer; see its log"))
}
