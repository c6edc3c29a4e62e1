//! What a client's connection and its requests tell each other: which part of a request the connection is at, so that
//! the right time limit applies, and how many streams were given up.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use strum::FromRepr;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub enum ConnectionPhase {
    /// For the first byte of a request.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the rest of a request's body.
    Body,
    /// For nothing: the request is complete, and its response is not.
    Answer,
    /// For an origin to agree to an upgrade.
    Upgrading,
    /// For either side to send: the connection was upgraded.
    Tunnel,
    /// For the first bytes of HTTP/2.
    Preface,
    /// For HTTP/2 frames, which have time limits of their own.
    Streams,
    /// For its close, although the client may still be sending.
    Leaving,
}

/// Streams given up before their response, after which a connection is examined.
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

    /// Like `enter`, for requests: on HTTP/2 they share the connection, so its phase stays as it is.
    #[inline]
    pub fn enter_alone(&self, phase: ConnectionPhase) {
        if self.phase() != ConnectionPhase::Streams {
            self.enter(phase);
        }
    }

    /// The client was too slow, and its connection has reported it.
    pub fn time_out(&self) {
        self.timed_out.store(true, Relaxed);
    }

    pub fn has_timed_out(&self) -> bool {
        self.timed_out.load(Relaxed)
    }

    /// An HTTP/2 request has ended. `reset`: the client gave it up before it was answered.
    pub fn count_stream(&self, reset: bool) {
        self.streams.fetch_add(1, Relaxed);
        self.resets.fetch_add(u32::from(reset), Relaxed);
    }

    /// Over 500 streams were given up, and they are over half of all: not a client, but a flood.
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
