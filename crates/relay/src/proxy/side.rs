//! One side of an exchange, the client's or the origin's: an HTTP/1 connection or an HTTP/2 stream, from which a message
//! comes and to which another one goes.
//!
//! Heads are text in both protocols (see `head`), so everything above this reads and writes one form. Nothing here knows
//! which side it is: a request goes from one to the other, and its response back, by the same code.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use http1::{ChunkEvent, ChunkReader, Framing, Head, HeadLimits, HeadView, Parsed, encode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head;
use crate::proxy::buffers::{MessageBuffers, READ};
use crate::proxy::pool::StreamLease;
use crate::transport::Transport;

/// A piece of a body up to this size is copied behind what waits to be written, instead of being written beside it.
const SMALL: usize = 4 << 10;
/// What may wait to be written before it is.
const WAITING: usize = 8 << 10;

/// What carries a side's messages.
#[derive(Debug)]
pub enum Channel {
    Http1(Transport),
    /// A stream that a client has opened.
    Http2Client(Http2ClientStream),
    /// A stream that Cutover has opened to an origin.
    Http2Origin(Http2OriginStream),
}

/// A stream that a client has opened.
#[derive(Debug)]
pub struct Http2ClientStream {
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    /// Once the response's head has been sent.
    pub send: Option<SendStream<Bytes>>,
}

/// A stream that Cutover has opened.
#[derive(Debug)]
pub struct Http2OriginStream {
    pub response: ResponseFuture,
    /// Once the response's head has come.
    pub body: Option<RecvStream>,
    pub send: SendStream<Bytes>,
    /// Counts the stream on its connection for as long as it lives.
    pub lease: StreamLease,
}

/// Why a side can neither read nor write.
#[derive(Debug)]
pub enum SideError {
    /// It ended before its message did.
    Ended,
    Io,
    /// Its message is not what it must be.
    Malformed(http1::Refused),
    Http2(h2::Error),
}

impl From<io::Error> for SideError {
    fn from(error: io::Error) -> SideError {
        tracing::trace!(%error, "a connection has failed");
        SideError::Io
    }
}

impl From<h2::Error> for SideError {
    fn from(error: h2::Error) -> SideError {
        SideError::Http2(error)
    }
}

/// How the body that comes is delimited, and what is left of it.
#[derive(Debug)]
enum IncomingBody {
    Done,
    Length(u64),
    Chunked(ChunkReader),
    UntilClose,
    Frames,
}

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStep {
    /// There is a [`ExchangeSide::piece`].
    Piece,
    NeedMore,
    End,
}

/// One side of an exchange.
#[derive(Debug)]
pub struct ExchangeSide {
    pub channel: Channel,
    pub buffers: Box<MessageBuffers>,
    /// The head is the beginning of the input, up to here.
    head_len: usize,
    /// What was read and not yet looked at.
    start: usize,
    end: usize,
    /// The piece of the body that is being passed on: of the input, or a frame of HTTP/2.
    piece: Range<usize>,
    frame: Bytes,
    incoming: IncomingBody,
    /// Boxed, because most messages have none, and a side is moved.
    trailers: Option<Box<HeaderMap>>,
    /// How much of the output has been written.
    written: usize,
    /// How the body that goes is delimited, and whether trailers may follow it.
    outgoing: Framing,
    takes_trailers: bool,
    /// What is to be written of the chunk that was begun.
    chunk_left: usize,
    /// The end of the outgoing message has been written.
    closed: bool,
    /// The other end of an HTTP/1 connection has said that it sends nothing more.
    ended: bool,
    /// All bytes that came and went, to see whether anything moves.
    pub received: u64,
    pub sent: u64,
    /// Those of bodies alone.
    pub body_received: u64,
    pub body_sent: u64,
}

impl ExchangeSide {
    pub fn new(channel: Channel, buffers: Box<MessageBuffers>) -> ExchangeSide {
        ExchangeSide {
            channel,
            buffers,
            head_len: 0,
            start: 0,
            end: 0,
            piece: 0..0,
            frame: Bytes::new(),
            incoming: IncomingBody::Done,
            trailers: None,
            written: 0,
            outgoing: Framing::None,
            takes_trailers: true,
            chunk_left: 0,
            closed: false,
            ended: false,
            received: 0,
            sent: 0,
            body_received: 0,
            body_sent: 0,
        }
    }

    /// A connection from which so many bytes have been read into the buffers.
    pub fn with_input(channel: Channel, buffers: Box<MessageBuffers>, came: usize) -> ExchangeSide {
        ExchangeSide { end: came, received: came as u64, ..ExchangeSide::new(channel, buffers) }
    }

    pub fn is_http2(&self) -> bool {
        !matches!(self.channel, Channel::Http1(_))
    }

    pub fn head(&self) -> &Head {
        &self.buffers.head
    }

    /// The head that came last, with its text.
    pub fn view(&self) -> HeadView<'_> {
        self.buffers.head.view(self.buffers.input.get(..self.head_len).unwrap_or_default())
    }

    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.buffers.output
    }

    /// Whether the other end of an HTTP/1 connection sends nothing more. It may still read; most have hung up.
    pub fn has_closed(&self) -> bool {
        self.ended
    }

    /// Whether bytes of a later message have come.
    pub fn has_more(&self) -> bool {
        self.start < self.end
    }

    /// Forgets the message that came, and turns to the next one, of which a part may be here already.
    pub fn next_message(&mut self) {
        self.buffers.input.copy_within(self.start..self.end, 0);
        (self.end, self.start, self.head_len) = (self.end - self.start, 0, 0);
        self.buffers.head.clear();
        (self.incoming, self.trailers, self.piece, self.frame) = (IncomingBody::Done, None, 0..0, Bytes::new());
        (self.outgoing, self.chunk_left, self.closed) = (Framing::None, 0, false);
        (self.body_received, self.body_sent) = (0, 0);
    }

    /// Places a head's text, which came in another form than HTTP/1's, and reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_head(
        &mut self,
        text: &[u8],
        parse: impl FnOnce(&[u8], &mut Head) -> Result<Parsed, http1::Refused>,
    ) -> Result<(), http1::Refused> {
        if self.buffers.input.len() < text.len() {
            self.buffers.input.resize(text.len(), 0);
        }
        if let Some(room) = self.buffers.input.get_mut(..text.len()) {
            room.copy_from_slice(text);
        }
        (self.head_len, self.start, self.end) = (text.len(), text.len(), text.len());
        self.buffers.head.clear();
        match parse(text, &mut self.buffers.head)? {
            Parsed::Complete { .. } => Ok(()),
            Parsed::Partial => Err(http1::Refused::Field),
        }
    }

    /// Reads the head of an HTTP/1 message from what is here; false if it is not whole yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        &mut self,
        parse: impl FnOnce(&[u8], &mut Head) -> Result<Parsed, http1::Refused>,
    ) -> Result<bool, http1::Refused> {
        let MessageBuffers { input, head, .. } = &mut *self.buffers;
        match parse(input.get(..self.end).unwrap_or_default(), head)? {
            Parsed::Partial => Ok(false),
            Parsed::Complete { head_len } => {
                (self.head_len, self.start) = (head_len, head_len);
                Ok(true)
            }
        }
    }

    /// What has come of a head that is not whole.
    pub fn partial_head(&self) -> &[u8] {
        self.buffers.input.get(..self.end).unwrap_or_default()
    }

    /// Sets how the body that comes is delimited.
    pub fn expect_body(&mut self, framing: Framing, limits: HeadLimits) {
        self.incoming = match (&self.channel, framing) {
            (Channel::Http1(_), Framing::None | Framing::Length(0)) => IncomingBody::Done,
            (Channel::Http1(_), Framing::Length(length)) => IncomingBody::Length(length),
            (Channel::Http1(_), Framing::Chunked) => IncomingBody::Chunked(ChunkReader::new(limits)),
            (Channel::Http1(_), Framing::UntilClose) => IncomingBody::UntilClose,
            (Channel::Http2Client(stream), _) if stream.body.is_end_stream() => IncomingBody::Done,
            (Channel::Http2Origin(stream), _) if stream.body.as_ref().is_none_or(RecvStream::is_end_stream) => {
                IncomingBody::Done
            }
            (Channel::Http2Client(_) | Channel::Http2Origin(_), _) => IncomingBody::Frames,
        };
    }

    /// Whether the whole body has come, and been passed on.
    pub fn has_come(&self) -> bool {
        let is_over = match &self.incoming {
            IncomingBody::Done => true,
            // It stays for its trailers.
            IncomingBody::Chunked(chunks) => chunks.is_done(),
            _ => false,
        };
        is_over && self.piece().is_empty()
    }

    /// The trailers that came behind a body, as text or as a map.
    fn trailers(&self) -> (Option<HeadView<'_>>, Option<&HeaderMap>) {
        match &self.incoming {
            IncomingBody::Chunked(chunks) => (chunks.trailers(), None),
            _ => (None, self.trailers.as_deref()),
        }
    }

    /// A trailer's value; of a response without a body, a field's.
    pub fn trailer(&self, name: &str) -> Option<&[u8]> {
        match self.trailers() {
            (Some(text), _) => text.find(name),
            (_, Some(map)) => map.get(name).map(|value| value.as_bytes()),
            _ => None,
        }
    }

    /// What the trailers say of a failure, in those of this name.
    pub fn failure_behind_body(&self, header: &HeaderName) -> Option<&[u8]> {
        match self.trailers() {
            (Some(text), _) => head::reported_failure(text, header),
            (_, Some(map)) => {
                map.get_all(header).into_iter().map(HeaderValue::as_bytes).find(|said| head::says_failure(said))
            }
            _ => None,
        }
    }

    /// The piece of the body that is to be passed on.
    pub fn piece(&self) -> &[u8] {
        if self.frame.is_empty() { self.buffers.input.get(self.piece.clone()).unwrap_or_default() } else { &self.frame }
    }

    /// What comes next of the body.
    ///
    /// # Errors
    /// Its chunks are not what they must be.
    pub fn next_step(&mut self) -> Result<BodyStep, SideError> {
        if !self.piece().is_empty() {
            return Ok(BodyStep::Piece);
        }
        let there = self.end - self.start;
        let taken = match &mut self.incoming {
            IncomingBody::Done => return Ok(BodyStep::End),
            IncomingBody::Length(0) => {
                self.incoming = IncomingBody::Done;
                return Ok(BodyStep::End);
            }
            IncomingBody::Length(left) => {
                let taken = there.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                taken
            }
            IncomingBody::UntilClose => there,
            IncomingBody::Frames => 0,
            IncomingBody::Chunked(chunks) => {
                let input = self.buffers.input.get(..self.end).unwrap_or_default();
                match chunks.next(input, &mut self.start).map_err(SideError::Malformed)? {
                    ChunkEvent::Data(range) => {
                        self.body_received += range.len() as u64;
                        self.piece = range;
                        return Ok(BodyStep::Piece);
                    }
                    ChunkEvent::NeedMore => return Ok(BodyStep::NeedMore),
                    ChunkEvent::End => return Ok(BodyStep::End),
                }
            }
        };
        self.piece = self.start..self.start + taken;
        self.start += taken;
        self.body_received += taken as u64;
        Ok(if taken > 0 { BodyStep::Piece } else { BodyStep::NeedMore })
    }

    /// Whether the body is known to end with its current piece.
    fn ends_with_piece(&self) -> bool {
        match (&self.incoming, &self.channel) {
            (IncomingBody::Done | IncomingBody::Length(0), _) => true,
            (IncomingBody::Frames, Channel::Http2Client(stream)) => stream.body.is_end_stream(),
            (IncomingBody::Frames, Channel::Http2Origin(stream)) => {
                stream.body.as_ref().is_none_or(RecvStream::is_end_stream)
            }
            _ => false,
        }
    }

    /// So many bytes of the piece have been passed on.
    pub fn consume(&mut self, bytes: usize) {
        if self.frame.is_empty() {
            self.piece.start = (self.piece.start + bytes).min(self.piece.end);
            return;
        }
        drop(self.frame.split_to(bytes.min(self.frame.len())));
        let body = match &mut self.channel {
            Channel::Http2Client(stream) => Some(&mut stream.body),
            Channel::Http2Origin(stream) => stream.body.as_mut(),
            Channel::Http1(_) => None,
        };
        if let Some(body) = body {
            // No more than was received, so it cannot fail.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }

    /// Reads more of the body. Ready with an error if it ends too early.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        if matches!(self.channel, Channel::Http1(_)) {
            let came = ready!(self.poll_fill(cx))?;
            if came == 0 {
                if !matches!(self.incoming, IncomingBody::UntilClose) {
                    return Poll::Ready(Err(SideError::Ended));
                }
                self.incoming = IncomingBody::Done;
            }
            return Poll::Ready(Ok(()));
        }
        let body = match &mut self.channel {
            Channel::Http2Client(stream) => Some(&mut stream.body),
            Channel::Http2Origin(stream) => stream.body.as_mut(),
            Channel::Http1(_) => None,
        };
        let Some(body) = body else { return Poll::Ready(Err(SideError::Ended)) };
        match ready!(body.poll_data(cx)) {
            Some(frame) => {
                self.frame = frame?;
                self.received += self.frame.len() as u64;
                self.body_received += self.frame.len() as u64;
            }
            None => {
                self.trailers = ready!(body.poll_trailers(cx))?.map(Box::new);
                self.incoming = IncomingBody::Done;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the input of an HTTP/1 connection; 0 at its end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, SideError>> {
        let Channel::Http1(transport) = &mut self.channel else { return Poll::Ready(Ok(0)) };
        let input = &mut self.buffers.input;
        if self.start == self.end && self.piece.is_empty() && self.head_len > 0 {
            (self.start, self.end) = (self.head_len, self.head_len);
        }
        if self.end == input.len() {
            // A head that is longer than the buffer, up to the limit on heads, or one with little room behind it.
            let longer = input.len() * 2;
            input.resize(longer, 0);
        }
        let mut room = ReadBuf::new(input.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(transport).poll_read(cx, &mut room))?;
        let came = room.filled().len();
        self.end += came;
        self.ended |= came == 0;
        if self.end == input.len() && input.len() < READ {
            // More than a head: an upload is read in larger pieces.
            input.resize(READ, 0);
        }
        self.received += came as u64;
        Poll::Ready(Ok(came))
    }

    /// Reads the head of a response, interim or final.
    pub fn poll_response(&mut self, cx: &mut Context<'_>, limits: &HeadLimits) -> Poll<Result<(), SideError>> {
        let parse = |bytes: &[u8], head: &mut Head| http1::parse_response(bytes, head, limits);
        if let Channel::Http1(_) = &self.channel {
            loop {
                if self.end > 0 && self.parse(parse).map_err(SideError::Malformed)? {
                    return Poll::Ready(Ok(()));
                }
                if ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(SideError::Ended));
                }
            }
        }
        let Channel::Http2Origin(stream) = &mut self.channel else { return Poll::Pending };
        let mut text = Vec::new();
        if let Poll::Ready(Some(interim)) = stream.response.poll_informational(cx) {
            head::from_http2_response(&mut text, &interim?.into_parts().0);
        } else {
            let (parts, body) = ready!(Pin::new(&mut stream.response).poll(cx))?.into_parts();
            head::from_http2_response(&mut text, &parts);
            stream.body = Some(body);
        }
        Poll::Ready(self.take_head(&text, parse).map_err(SideError::Malformed))
    }

    /// Turns to the head that follows an interim response.
    pub fn next_response(&mut self) {
        self.buffers.input.copy_within(self.start..self.end, 0);
        (self.end, self.start, self.head_len) = (self.end - self.start, 0, 0);
        self.buffers.head.clear();
    }

    /// Sends a response's head, which is in the output. `end`: nothing follows. An HTTP/1 head leaves with the next flush.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_head(&mut self, framing: Framing, end: bool) -> Result<(), SideError> {
        self.outgoing = framing;
        // HTTP/1 clients say so (RFC 9110 6.5.1); those of HTTP/2 can all read them.
        self.takes_trailers = self.is_http2() || self.view().accepts_trailers();
        let Channel::Http2Client(stream) = &mut self.channel else { return Ok(()) };
        let response = head::to_http2_response(&self.buffers.output).ok_or(SideError::Ended)?;
        self.buffers.output.clear();
        stream.send = Some(stream.respond.send_response(response, end)?);
        self.closed = end;
        Ok(())
    }

    /// Sends an interim response, which is in the output.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_interim(&mut self) -> Result<(), SideError> {
        let Channel::Http2Client(stream) = &mut self.channel else { return Ok(()) };
        let response = head::to_http2_response(&self.buffers.output).ok_or(SideError::Ended)?;
        self.buffers.output.clear();
        Ok(stream.respond.send_informational(response)?)
    }

    /// Sets how the body that goes is delimited, for a request.
    pub fn begin_body(&mut self, framing: Framing, closed: bool) {
        (self.outgoing, self.closed) = (framing, closed);
    }

    /// Ends the body that goes without trailers, whatever comes.
    pub fn leave_out_trailers(&mut self) {
        self.takes_trailers = false;
    }

    /// Takes bytes of a body on their way, as many as there is room for. `last`: the body ends with them.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, piece: &[u8], last: bool) -> Poll<Result<usize, SideError>> {
        let taken = match &mut self.channel {
            Channel::Http1(_) => ready!(self.poll_http1_body(cx, piece))?,
            Channel::Http2Client(stream) => {
                let Some(send) = &mut stream.send else { return Poll::Ready(Err(SideError::Ended)) };
                let taken = ready!(poll_frame(cx, send, piece, last))?;
                (self.closed, self.sent) = (last && taken == piece.len(), self.sent + taken as u64);
                taken
            }
            Channel::Http2Origin(stream) => {
                let taken = ready!(poll_frame(cx, &mut stream.send, piece, last))?;
                (self.closed, self.sent) = (last && taken == piece.len(), self.sent + taken as u64);
                taken
            }
        };
        self.body_sent += taken as u64;
        Poll::Ready(Ok(taken))
    }

    fn poll_http1_body(&mut self, cx: &mut Context<'_>, piece: &[u8]) -> Poll<Result<usize, SideError>> {
        if self.waiting() > WAITING {
            ready!(self.poll_write(cx, &[]))?;
        }
        let chunked = self.outgoing == Framing::Chunked;
        if chunked && self.chunk_left == 0 {
            encode::chunk_head(&mut self.buffers.output, piece.len() as u64);
            self.chunk_left = piece.len();
        }
        let piece = if chunked { piece.get(..self.chunk_left).unwrap_or(piece) } else { piece };
        let taken = if piece.len() <= SMALL {
            self.buffers.output.extend_from_slice(piece);
            piece.len()
        } else {
            ready!(self.poll_write(cx, piece))?
        };
        if chunked {
            self.chunk_left -= taken;
            if self.chunk_left == 0 {
                encode::chunk_end(&mut self.buffers.output);
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Ends the message: what is left of it is written, and everything has left when this is ready. `withheld`: the trailer
    /// that ends here.
    pub fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        from: &ExchangeSide,
        withheld: Option<&HeaderName>,
    ) -> Poll<Result<(), SideError>> {
        if !self.closed {
            let (text, map) = if self.takes_trailers { from.trailers() } else { (None, None) };
            self.closed = true;
            match &mut self.channel {
                Channel::Http1(_) if self.outgoing == Framing::Chunked => {
                    encode::last_chunk(&mut self.buffers.output);
                    if let Some(text) = text {
                        head::write_trailers(&mut self.buffers.output, text, withheld);
                    } else if let Some(map) = map {
                        head::write_http2_trailers(&mut self.buffers.output, map, withheld);
                    }
                    encode::end_of_fields(&mut self.buffers.output);
                }
                Channel::Http1(_) => {}
                Channel::Http2Client(Http2ClientStream { send: Some(send), .. })
                | Channel::Http2Origin(Http2OriginStream { send, .. }) => {
                    let of_text = text.map(|text| head::trailers_to_http2(text, withheld));
                    let trailers = of_text.or_else(|| map.map(|map| head::http2_trailers(map, withheld)));
                    match trailers.filter(|trailers| !trailers.is_empty()) {
                        Some(trailers) => send.send_trailers(trailers)?,
                        None => send.send_data(Bytes::new(), true)?,
                    }
                }
                Channel::Http2Client(_) => {}
            }
        }
        self.poll_flush(cx)
    }

    /// Bytes that wait to be written.
    fn waiting(&self) -> usize {
        self.buffers.output.len() - self.written
    }

    /// Writes what waits, and what TLS has kept. HTTP/2 is written by its connection.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        ready!(self.poll_write(cx, &[]))?;
        match &mut self.channel {
            Channel::Http1(transport @ Transport::Tls(_)) => {
                Pin::new(transport).poll_flush(cx).map_err(SideError::from)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Writes what waits, and then of `more`. Ready with how much of `more` was written: at least a byte, if there is any.
    fn poll_write(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<Result<usize, SideError>> {
        let Channel::Http1(transport) = &mut self.channel else { return Poll::Ready(Ok(0)) };
        loop {
            let waiting = self.buffers.output.get(self.written..).unwrap_or_default();
            let wrote = match (waiting.is_empty(), more.is_empty()) {
                (true, true) => return Poll::Ready(Ok(0)),
                (true, false) => ready!(Pin::new(&mut *transport).poll_write(cx, more))?,
                (false, true) => ready!(Pin::new(&mut *transport).poll_write(cx, waiting))?,
                (false, false) => {
                    let parts = [IoSlice::new(waiting), IoSlice::new(more)];
                    ready!(Pin::new(&mut *transport).poll_write_vectored(cx, &parts))?
                }
            };
            if wrote == 0 {
                return Poll::Ready(Err(SideError::Io));
            }
            self.sent += wrote as u64;
            let Some(of_more) = wrote.checked_sub(waiting.len()) else {
                self.written += wrote;
                continue;
            };
            self.buffers.output.clear();
            self.written = 0;
            if more.is_empty() || of_more > 0 {
                return Poll::Ready(Ok(of_more));
            }
        }
    }

    /// Whether the client has gone: ready when it has closed its connection or reset the stream. Bytes of a later request are
    /// read and kept, as far as there is room.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, half_close: bool) -> Poll<()> {
        match &mut self.channel {
            Channel::Http1(transport) => {
                // One that sends on and on is not listened to until it is its turn.
                if self.end == self.buffers.input.len() && transport.has_hung_up(cx, half_close) {
                    return Poll::Ready(());
                }
                while !self.ended && self.end < self.buffers.input.len() {
                    match self.poll_fill(cx) {
                        Poll::Ready(Ok(0)) if half_close => return Poll::Pending,
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Poll::Pending
            }
            Channel::Http2Client(stream) => match &mut stream.send {
                Some(send) => send.poll_reset(cx).map(|_| ()),
                None => stream.respond.poll_reset(cx).map(|_| ()),
            },
            Channel::Http2Origin(_) => Poll::Pending,
        }
    }

    /// Whether an HTTP/1 client has sent so much ahead that nothing tells when it leaves: it has to be looked at.
    pub fn is_full(&self) -> bool {
        !self.is_http2() && self.end == self.buffers.input.len()
    }

    /// Says that nothing more will be sent on an HTTP/1 connection.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.channel {
            // The other side may be gone, which its reader finds out.
            Channel::Http1(transport) => Pin::new(transport).poll_shutdown(cx).map(drop),
            Channel::Http2Client(_) | Channel::Http2Origin(_) => Poll::Ready(()),
        }
    }

    /// Ends the message where it is, so that nobody takes the part for the whole.
    pub fn cut_off(&mut self) {
        match &mut self.channel {
            Channel::Http1(transport) => {
                // A body that ends with its connection would look whole: a reset does not.
                if self.outgoing == Framing::UntilClose {
                    let _ = socket2::SockRef::from(transport.tcp()).set_linger(Some(std::time::Duration::ZERO));
                }
            }
            Channel::Http2Client(Http2ClientStream { send: Some(send), .. })
            | Channel::Http2Origin(Http2OriginStream { send, .. }) => send.send_reset(Reason::INTERNAL_ERROR),
            Channel::Http2Client(stream) => stream.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Sends as much of a piece as the windows allow.
fn poll_frame(
    cx: &mut Context<'_>,
    send: &mut SendStream<Bytes>,
    piece: &[u8],
    last: bool,
) -> Poll<Result<usize, SideError>> {
    send.reserve_capacity(piece.len());
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(capacity) => drop(capacity?),
            None => return Poll::Ready(Err(SideError::Ended)),
        }
    }
    let taken = send.capacity().min(piece.len());
    // HTTP/2 keeps a frame until its connection writes it, so it owns the bytes.
    let frame = Bytes::copy_from_slice(piece.get(..taken).unwrap_or_default());
    send.send_data(frame, last && taken == piece.len())?;
    Poll::Ready(Ok(taken))
}

/// What a side waits for that holds up a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldUpBy {
    /// For the sender to send.
    Reading,
    /// For the receiver to take what is written.
    Writing,
}

/// Whose fault ends a body.
#[derive(Debug)]
pub enum BodyError {
    Sender(SideError),
    Receiver,
    /// It is longer than allowed; nothing of what is too much was passed on.
    TooLong,
}

/// What limits a body on its way.
#[derive(Clone, Copy, Debug)]
pub struct BodyTerms<'a> {
    /// The longest, in bytes.
    pub most: u64,
    /// The trailer that ends here.
    pub withheld: Option<&'a HeaderName>,
}

impl BodyTerms<'_> {
    /// Everything goes on.
    pub const NONE: BodyTerms<'static> = BodyTerms { most: u64::MAX, withheld: None };
}

/// Passes on what there is of a body, and its end. Nothing is read that cannot be written. `note` sees every piece that has
/// been passed on.
///
/// Pending: `held_up` says for what.
pub fn poll_forward(
    from: &mut ExchangeSide,
    to: &mut ExchangeSide,
    cx: &mut Context<'_>,
    held_up: &mut HeldUpBy,
    terms: BodyTerms<'_>,
    mut note: impl FnMut(&[u8]),
) -> Poll<Result<(), BodyError>> {
    loop {
        *held_up = HeldUpBy::Writing;
        match from.next_step().map_err(BodyError::Sender)? {
            BodyStep::Piece if from.body_received > terms.most => return Poll::Ready(Err(BodyError::TooLong)),
            BodyStep::Piece => {
                let (piece, last) = (from.piece(), from.ends_with_piece());
                let taken = ready!(to.poll_body(cx, piece, last)).map_err(|_| BodyError::Receiver)?;
                note(piece.get(..taken).unwrap_or_default());
                from.consume(taken);
            }
            BodyStep::End => return to.poll_end(cx, from, terms.withheld).map_err(|_| BodyError::Receiver),
            BodyStep::NeedMore => {
                // What is there leaves before anything is waited for.
                ready!(to.poll_flush(cx)).map_err(|_| BodyError::Receiver)?;
                *held_up = HeldUpBy::Reading;
                ready!(from.poll_more(cx)).map_err(BodyError::Sender)?;
            }
        }
    }
}
