//! Listening sockets that somebody else has opened: the process before this one, or a service manager.

use std::io;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, bail};
use listenfd::ListenFd;

use crate::upgrade::SocketPurpose;

/// Those that nobody has taken yet.
#[derive(Debug, Default)]
pub struct OpenSockets(Vec<OpenSocket>);

#[derive(Debug)]
struct OpenSocket {
    /// `None`: whatever listens on this address.
    purpose: Option<SocketPurpose>,
    /// As the file has it: with port 0 for any.
    asked: SocketAddr,
    socket: TcpListener,
}

impl OpenSockets {
    /// Those of a service manager, by sd_listen_fds(3). To be called once, before there are other threads.
    ///
    /// # Errors
    /// One of them is no listening TCP socket.
    pub fn of_service_manager() -> anyhow::Result<OpenSockets> {
        let mut passed = ListenFd::from_env();
        let mut sockets = OpenSockets::default();
        for at in 0..passed.len() {
            let what = "the service manager passes something that is no TCP socket (LISTEN_FDS)";
            let Some(socket) = passed.take_tcp_listener(at).context(what)? else { continue };
            let asked = socket.local_addr().context(what)?;
            sockets.0.push(OpenSocket::new(None, asked, socket)?);
        }
        Ok(sockets)
    }

    /// # Errors
    /// The socket is broken.
    pub fn add(&mut self, purpose: SocketPurpose, asked: SocketAddr, socket: TcpListener) -> io::Result<()> {
        self.0.push(OpenSocket::new(Some(purpose), asked, socket)?);
        Ok(())
    }

    /// Takes those that listen on this address, of which a process before has one for each worker. A port that the system
    /// chose is found by the purpose.
    pub fn take(&mut self, purpose: SocketPurpose, asked: SocketAddr) -> Vec<TcpListener> {
        let fits = |open: &OpenSocket| {
            open.asked == asked && (asked.port() != 0 || open.purpose.is_none_or(|its| its == purpose))
        };
        let (found, others): (Vec<OpenSocket>, Vec<OpenSocket>) = self.0.drain(..).partition(fits);
        self.0 = others;
        found.into_iter().map(|open| open.socket).collect()
    }

    /// Nothing may be left of what a service manager has opened: clients would connect to it, and wait in vain.
    ///
    /// # Errors
    /// The file names no listener for one of them.
    pub fn all_taken(&self) -> anyhow::Result<()> {
        let Some(OpenSocket { asked, .. }) = self.0.iter().find(|open| open.purpose.is_none()) else { return Ok(()) };
        bail!(
            "the service manager has opened {asked}, and no listener is there: name it in `proxy.listen`, `[[proxy.tls]]` or \
             `admin.listen`, or take it from the socket unit"
        )
    }
}

impl OpenSocket {
    fn new(purpose: Option<SocketPurpose>, asked: SocketAddr, socket: TcpListener) -> io::Result<OpenSocket> {
        socket.set_nonblocking(true)?;
        Ok(OpenSocket { purpose, asked, socket })
    }
}
