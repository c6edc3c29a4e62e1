//! Why a message is not accepted.

use std::fmt;

/// The reason of a refusal, from the first byte of the message that is wrong. A request that is refused is answered with
/// [`Refused::status`]; a response that is refused is the origin's failure, whatever the reason. Either way the connection
/// must not be used any further: where the next message begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refused {
    /// Not `method SP target SP HTTP/1.1 CR LF` (or 1.0), or HTTP/2's `PRI`.
    RequestLine,
    /// The request line is longer than [`HeadLimits::target_bytes`](crate::HeadLimits::target_bytes).
    LongLine,
    /// Neither origin-form, absolute-form of http and https nor `OPTIONS *`, or a byte that no target has.
    BadTarget,
    /// CONNECT.
    Method,
    /// Not `HTTP/1.1 SP three digits [SP reason] CR LF` (or 1.0), or a status outside 100 to 599.
    StatusLine,
    /// The head is longer than [`HeadLimits::head_bytes`](crate::HeadLimits::head_bytes).
    LargeHead,
    /// More than [`HeadLimits::fields`](crate::HeadLimits::fields).
    ManyFields,
    /// A line that ends with LF alone.
    LineEnd,
    /// A field line that is not `token ":" value CR LF`: a folded line, a space before the colon, a control byte.
    Field,
    /// A name with `_`, which programs that put fields into variables take for `-`.
    Underscore,
    /// No Host in HTTP/1.1, two, one with userinfo, or another one than the target names.
    BadHost,
    /// A Content-Length that is not 1 to 18 digits, or several.
    Length,
    /// A Transfer-Encoding that is not exactly `chunked`, several, or one in HTTP/1.0.
    Encoding,
    /// Both of the above, each of them sound.
    LengthAndEncoding,
    /// Connection names what is not the connection's, too many names, or something that is no name.
    Connection,
    /// An Expect other than `100-continue`.
    Expectation,
    /// A chunk's size that is not 1 to 16 hexadecimal digits, or over 2^63 - 1.
    ChunkSize,
    /// A chunk extension that is malformed or too long.
    ChunkExtension,
    /// More bytes of framing than a body of this size explains.
    ChunkOverhead,
    /// A chunk's data are not followed by CR LF, or its size is followed by LF alone.
    ChunkEnd,
    /// A trailer section that is malformed, too long, or frames a message.
    Trailer,
}

impl Refused {
    pub const ALL: [Refused; 21] = [
        Refused::RequestLine,
        Refused::LongLine,
        Refused::BadTarget,
        Refused::Method,
        Refused::StatusLine,
        Refused::LargeHead,
        Refused::ManyFields,
        Refused::LineEnd,
        Refused::Field,
        Refused::Underscore,
        Refused::BadHost,
        Refused::Length,
        Refused::Encoding,
        Refused::LengthAndEncoding,
        Refused::Connection,
        Refused::Expectation,
        Refused::ChunkSize,
        Refused::ChunkExtension,
        Refused::ChunkOverhead,
        Refused::ChunkEnd,
        Refused::Trailer,
    ];

    /// The reason as metrics and logs have it: the name of one of `memory`'s `RefusalReason`s.
    pub const fn reason(self) -> &'static str {
        match self {
            // A status line is an origin's, and is not counted by its reason.
            Refused::RequestLine | Refused::StatusLine => "request_line",
            Refused::LongLine => "long_line",
            Refused::BadTarget => "bad_target",
            Refused::Method => "method",
            Refused::LargeHead => "large_head",
            Refused::ManyFields => "many_fields",
            Refused::LineEnd => "line_end",
            Refused::Field => "field",
            Refused::Underscore => "underscore",
            Refused::BadHost => "bad_host",
            Refused::Length => "length",
            Refused::Encoding => "encoding",
            Refused::LengthAndEncoding => "length_and_encoding",
            Refused::Connection => "connection",
            Refused::Expectation => "expectation",
            Refused::ChunkSize
            | Refused::ChunkExtension
            | Refused::ChunkOverhead
            | Refused::ChunkEnd
            | Refused::Trailer => "bad_body",
        }
    }

    /// The status that a client is answered whose request is refused.
    pub const fn status(self) -> u16 {
        match self {
            Refused::Method => 405,
            Refused::LongLine => 414,
            Refused::Expectation => 417,
            Refused::LargeHead | Refused::ManyFields => 431,
            _ => 400,
        }
    }

    /// What is wrong, in words.
    pub const fn text(self) -> &'static str {
        match self {
            Refused::RequestLine => "malformed request line",
            Refused::LongLine => "request line too long",
            Refused::BadTarget => "invalid request target",
            Refused::Method => "CONNECT is not supported",
            Refused::StatusLine => "malformed status line",
            Refused::LargeHead => "header too large",
            Refused::ManyFields => "too many header fields",
            Refused::LineEnd => "header line does not end with CR LF",
            Refused::Field => "malformed header line",
            Refused::Underscore => "header names must not contain underscores",
            Refused::BadHost => "request must have exactly one valid Host header",
            Refused::Length => "invalid Content-Length",
            Refused::Encoding => "unsupported Transfer-Encoding",
            Refused::LengthAndEncoding => "both Content-Length and Transfer-Encoding present",
            Refused::Connection => "Connection names an end-to-end header",
            Refused::Expectation => "unsupported Expect header",
            Refused::ChunkSize => "invalid chunk size",
            Refused::ChunkExtension => "invalid chunk extension",
            Refused::ChunkOverhead => "too much chunk framing for so little data",
            Refused::ChunkEnd => "chunk does not end with CR LF",
            Refused::Trailer => "invalid trailer section",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_that_is_counted() {
        let counted = include_str!("../../memory/src/counters/refusal_reasons.rs");
        for refused in Refused::ALL {
            let words = refused.reason().split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            assert!(counted.contains(&format!("    {},\n", words.collect::<String>())), "{refused:?}");
            assert!(!refused.text().is_empty() && (400..=431).contains(&refused.status()));
        }
    }
}
