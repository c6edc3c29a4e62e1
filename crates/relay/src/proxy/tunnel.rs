//! A WebSocket's tunnel: what both sides send goes on, until both have ended, until neither has said anything for long, or
//! until its environment gets no traffic any more. Then its client is told to come again (RFC 6455 7.4.2, 1012).

use std::task::{Context, Poll};

use crate::proxy::side::{BodyTerms, ExchangeSide, HeldUpBy, poll_forward};
use crate::proxy::timer::LazyTimer;
use judgement::time::Millis;
use memory::clock;

/// A tunnel looks this often whether its environment still gets traffic. It is on the path of no request.
const LOOK: Millis = Millis::seconds(1);
/// How long a frame that is on its way is waited for, before the connection is closed in the middle of it.
const LAST_FRAME: Millis = Millis::seconds(2);
/// A close frame of a server: final, opcode 8, two bytes, which say 1012: Service Restart.
const COME_AGAIN: [u8; 4] = [0x88, 0x02, 0x03, 0xF4];

#[derive(Debug)]
pub struct Tunnel<'a> {
    pub client: &'a mut ExchangeSide,
    pub origin: &'a mut ExchangeSide,
    pub timer: &'a mut LazyTimer,
    /// How long both may be silent.
    pub idle: Millis,
    /// How long it may stay where no traffic goes; `None`: as long as it likes.
    pub stay: Option<Millis>,
    moved: u64,
    moved_at: Millis,
    looked: Millis,
    /// Since when its environment gets no traffic.
    left_alone: Option<Millis>,
    frames: FrameReader,
    /// How much of the close frame has been sent, once it is its turn.
    closing: Option<usize>,
}

impl<'a> Tunnel<'a> {
    pub fn new(
        client: &'a mut ExchangeSide,
        origin: &'a mut ExchangeSide,
        timer: &'a mut LazyTimer,
        (idle, stay): (Millis, Option<Millis>),
    ) -> Tunnel<'a> {
        let now = clock::now();
        Tunnel {
            client,
            origin,
            timer,
            idle,
            stay,
            moved: 0,
            moved_at: now,
            looked: now,
            left_alone: None,
            frames: FrameReader::default(),
            closing: None,
        }
    }

    /// Ready once it has ended. `gets_traffic`: whether its environment does.
    pub fn poll(&mut self, cx: &mut Context<'_>, gets_traffic: impl Fn() -> bool) -> Poll<()> {
        let now = clock::now();
        if self.stay.is_some() && now.since(self.looked) >= LOOK {
            self.looked = now;
            self.left_alone = if gets_traffic() { None } else { self.left_alone.or(Some(now)) };
        }
        let ends = self.left_alone.zip(self.stay).map(|(since, stay)| since.plus(stay));
        if ends.is_some_and(|ends| now >= ends) && (self.frames.is_between() || self.closing.is_some()) {
            return self.poll_close(cx);
        }
        if self.poll_both(cx).is_ready() || ends.is_some_and(|ends| now >= ends.plus(LAST_FRAME)) {
            return Poll::Ready(());
        }
        let moved = self.client.received + self.origin.received + self.client.sent + self.origin.sent;
        if moved != self.moved {
            (self.moved, self.moved_at) = (moved, now);
        }
        let silent = self.moved_at.plus(self.idle);
        if now >= silent {
            return Poll::Ready(());
        }
        let next = if self.stay.is_some() { silent.min(now.plus(LOOK)) } else { silent };
        // It looks again when it rings.
        if self.timer.poll(now, next, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Ready once both sides have ended, or one of them has failed.
    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut held_up = HeldUpBy::Reading;
        let Tunnel { client, origin, frames, .. } = self;
        let up = poll_forward(client, origin, cx, &mut held_up, BodyTerms::NONE, |_| {});
        let down = poll_forward(origin, client, cx, &mut held_up, BodyTerms::NONE, |piece| frames.read(piece));
        match (up, down) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                Poll::Ready(())
            }
            (up, down) => {
                // Either side's end is told to the other, which may still send.
                if up.is_ready() {
                    let _ = self.origin.poll_shutdown(cx);
                }
                if down.is_ready() {
                    let _ = self.client.poll_shutdown(cx);
                }
                Poll::Pending
            }
        }
    }

    /// Tells the client to come again, and nothing more.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sent = self.closing.get_or_insert(0);
        while let Some(rest) = COME_AGAIN.get(*sent..).filter(|rest| !rest.is_empty()) {
            match self.client.poll_body(cx, rest, false) {
                Poll::Ready(Ok(taken)) => *sent += taken,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let is_flushed = self.client.poll_flush(cx).is_ready() && *sent >= COME_AGAIN.len();
        let now = clock::now();
        let ends = self.left_alone.zip(self.stay).map_or(now, |(since, stay)| since.plus(stay).plus(LAST_FRAME));
        if is_flushed || self.timer.poll(now, ends, cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Where the frames of one direction begin and end (RFC 6455 5.2).
#[derive(Clone, Copy, Debug, Default)]
struct FrameReader {
    /// The bytes of the frame's head that have come.
    head: [u8; 14],
    came: usize,
    /// What is still to come of its payload.
    payload: u64,
}

impl FrameReader {
    /// Whether no frame is on its way.
    fn is_between(&self) -> bool {
        self.came == 0 && self.payload == 0
    }

    fn read(&mut self, mut piece: &[u8]) {
        while let Some((first, rest)) = piece.split_first() {
            if self.payload > 0 {
                let part = usize::try_from(self.payload).unwrap_or(usize::MAX).min(piece.len());
                self.payload -= part as u64;
                piece = piece.get(part..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.head.get_mut(self.came) {
                *place = *first;
            }
            self.came += 1;
            piece = rest;
            if let Some(length) = self.payload_length() {
                (self.payload, self.came) = (length, 0);
            }
        }
    }

    /// The length of the payload, once the whole head has come.
    fn payload_length(&self) -> Option<u64> {
        let [_, second, rest @ ..] = self.head;
        if self.came < 2 {
            return None;
        }
        let (digits, short) = match second & 0x7F {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.came < 2 + digits + mask {
            return None;
        }
        let long = rest.iter().take(digits).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        Some(if digits == 0 { short } else { long })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match payload {
            0..126 => frame.push(mask | payload as u8),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0; payload + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn a_frame_ends_where_its_length_says_whatever_pieces_it_comes_in() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000];
        let all: Vec<u8> = lengths.iter().flat_map(|length| frame(*length, false)).collect();
        let ends: Vec<usize> = lengths
            .iter()
            .scan(0, |sum, length| {
                *sum += frame(*length, false).len();
                Some(*sum)
            })
            .collect();
        for size in [1, 2, 3, 7, 1000, all.len()] {
            let (mut reader, mut at) = (FrameReader::default(), 0);
            for piece in all.chunks(size) {
                reader.read(piece);
                at += piece.len();
                assert_eq!(reader.is_between(), ends.contains(&at), "{at} bytes in pieces of {size}");
            }
        }
        let mut reader = FrameReader::default();
        reader.read(&frame(5, true)[..6]);
        assert!(!reader.is_between(), "a masked frame has four bytes more");
    }
}
