//! Messages between the two processes: a length, JSON, and at most one open socket.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A longer message is not one of ours.
const LONGEST: usize = 256 << 20;

/// One end of the pair.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    pub const fn new(stream: UnixStream) -> Line {
        Line(stream)
    }

    /// # Errors
    /// The other process is gone.
    pub fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.send_with(message, None)
    }

    /// Sends a message together with an open socket, which is then open in both processes.
    ///
    /// # Errors
    /// The other process is gone.
    pub fn send_with(&mut self, message: &impl Serialize, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let sockets: Vec<BorrowedFd<'_>> = socket.into_iter().collect();
        if !sockets.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(&sockets));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(&length)], &mut beside, SendFlags::NOSIGNAL)?;
        self.0.write_all(length.get(sent..).unwrap_or_default())?;
        self.0.write_all(&body)
    }

    /// # Errors
    /// The other process is gone, has said nothing for `patience`, or has said something that is not understood here.
    pub fn receive<T: DeserializeOwned>(&mut self, patience: Option<Duration>) -> io::Result<(T, Option<OwnedFd>)> {
        self.0.set_read_timeout(patience)?;
        let mut length = [0_u8; 4];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut length)];
        let come = recvmsg(&self.0, parts, &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let socket = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        if come == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read_exact(length.get_mut(come..).unwrap_or_default())?;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::Error::other("this is not a message of Cutover"));
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((serde_json::from_slice(&body)?, socket))
    }
}

impl Line {
    /// Whether a message has come, or the other process is gone.
    pub fn has_something(&self) -> bool {
        Line::wait_for_any(std::slice::from_ref(self), Duration::ZERO)
    }

    /// Waits until any of them [has something](Line::has_something); returns whether one has.
    pub fn wait_for_any(lines: &[Line], patience: Duration) -> bool {
        let mut polled: Vec<PollFd<'_>> = lines.iter().map(|line| PollFd::new(line, PollFlags::IN)).collect();
        let patience = Timespec::try_from(patience).ok();
        poll(&mut polled, patience.as_ref()).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_listening_socket_goes_over_with_the_connections_in_its_queue() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Line::new(ours), Line::new(theirs));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        ours.send_with(&"a socket", Some(listener.as_fd())).unwrap();
        ours.send(&"none").unwrap();
        drop(listener);
        let (said, socket): (String, _) = theirs.receive(None).unwrap();
        assert_eq!((said.as_str(), socket.is_some()), ("a socket", true));
        let (mut accepted, _) = TcpListener::from(socket.unwrap()).accept().unwrap();
        accepted.write_all(b"x").unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        let (said, socket): (String, _) = theirs.receive(None).unwrap();
        assert_eq!((said.as_str(), socket.is_none()), ("none", true));
        let silent = theirs.receive::<String>(Some(Duration::from_millis(20))).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        assert_eq!(theirs.receive::<String>(None).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut theirs = Line::new(theirs);
        ours.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(theirs.receive::<String>(None).unwrap_err().to_string().contains("not a message"));
    }
}
