//! What a client's connection and the requests on it tell each other: which part of a request it is at, so that the right
//! time limit holds, and how many streams were given up.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use strum::FromRepr;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub enum ConnectionPhase {
    /// For the first byte of a request.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the rest of a request's body.
    Body,
    /// For nothing: the request is whole, its answer is not.
    Answer,
    /// For an origin to agree to an upgrade.
    Upgrading,
    /// For whoever speaks next: the connection was upgraded.
    Tunnel,
    /// For the first bytes of HTTP/2.
    Preface,
    /// For frames of HTTP/2, which has time limits of its own.
    Streams,
    /// To be closed, although the client may still be sending.
    Leaving,
}

/// Streams given up before their answer, after which a connection is looked at.
const MANY_RESETS: u32 = 500;

/// One client connection.
#[derive(Debug)]
pub struct ClientConnection {
    phase: AtomicU8,
    timed_out: AtomicBool,
    streams: AtomicU32,
    resets: AtomicU32,
}

impl ClientConnection {
    pub fn new(phase: ConnectionPhase) -> ClientConnection {
        ClientConnection {
            phase: AtomicU8::new(phase as u8),
            timed_out: AtomicBool::new(false),
            streams: AtomicU32::new(0),
            resets: AtomicU32::new(0),
        }
    }

    #[inline]
    pub fn phase(&self) -> ConnectionPhase {
        ConnectionPhase::from_repr(self.phase.load(Relaxed)).unwrap_or(ConnectionPhase::Idle)
    }

    #[inline]
    pub fn enter(&self, phase: ConnectionPhase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Like `enter`, for requests: on HTTP/2 they share the connection, which stays as it is.
    #[inline]
    pub fn enter_alone(&self, phase: ConnectionPhase) {
        if self.phase() != ConnectionPhase::Streams {
            self.enter(phase);
        }
    }

    /// The client was too slow, and its connection has said so.
    pub fn time_out(&self) {
        self.timed_out.store(true, Relaxed);
    }

    pub fn has_timed_out(&self) -> bool {
        self.timed_out.load(Relaxed)
    }

    /// A request of HTTP/2 has ended. `reset`: the client gave it up before it was answered.
    pub fn count_stream(&self, reset: bool) {
        self.streams.fetch_add(1, Relaxed);
        self.resets.fetch_add(u32::from(reset), Relaxed);
    }

    /// Over 500 streams were given up, and they are over half: no client, but a flood.
    pub fn is_a_flood(&self) -> bool {
        let resets = self.resets.load(Relaxed);
        resets > MANY_RESETS && resets > self.streams.load(Relaxed) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_over_500_resets_that_are_over_half() {
        let connection = ClientConnection::new(ConnectionPhase::Streams);
        let count = |times: u32, reset: bool| (0..times).for_each(|_| connection.count_stream(reset));
        count(500, true);
        assert!(!connection.is_a_flood(), "not over 500");
        count(1, true);
        assert!(connection.is_a_flood());
        count(501, false);
        assert!(!connection.is_a_flood(), "half of them were answered");
        count(2, true);
        assert!(connection.is_a_flood());
    }
}
