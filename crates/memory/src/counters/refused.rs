//! Why a request was answered without asking an origin.

use judgement::traffic::Refusal;

/// The reason of a refusal; its place in [`Refused::ALL`] is its counter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    UnknownHost,
    BadHost,
    BadPath,
    BadTarget,
    RequestLine,
    LongLine,
    LargeHead,
    ManyFields,
    LineEnd,
    Field,
    Underscore,
    Length,
    Encoding,
    LengthAndEncoding,
    Connection,
    Expectation,
    TooSlow,
    Malformed,
    Method,
    ResetFlood,
    Connections,
    Handshake,
    BodyTooLarge,
    BadBody,
}

impl Refused {
    /// Every reason with its name in metrics, in the order of the enum.
    pub const ALL: [(Refused, &str); 24] = [
        (Refused::UnknownHost, "unknown_host"),
        (Refused::BadHost, "bad_host"),
        (Refused::BadPath, "bad_path"),
        (Refused::BadTarget, "bad_target"),
        (Refused::RequestLine, "request_line"),
        (Refused::LongLine, "long_line"),
        (Refused::LargeHead, "large_head"),
        (Refused::ManyFields, "many_fields"),
        (Refused::LineEnd, "line_end"),
        (Refused::Field, "field"),
        (Refused::Underscore, "underscore"),
        (Refused::Length, "length"),
        (Refused::Encoding, "encoding"),
        (Refused::LengthAndEncoding, "length_and_encoding"),
        (Refused::Connection, "connection"),
        (Refused::Expectation, "expectation"),
        (Refused::TooSlow, "too_slow"),
        (Refused::Malformed, "malformed"),
        (Refused::Method, "method"),
        (Refused::ResetFlood, "reset_flood"),
        (Refused::Connections, "too_many_connections"),
        (Refused::Handshake, "tls_handshake"),
        (Refused::BodyTooLarge, "body_too_large"),
        (Refused::BadBody, "bad_body"),
    ];

    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        Refused::ALL.get(self as usize).map_or("", |(_, name)| *name)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::UnknownHost => Refused::UnknownHost,
            Refusal::BadHost => Refused::BadHost,
            Refusal::BadPath => Refused::BadPath,
            Refusal::BadTarget => Refused::BadTarget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (place, (reason, name)) in Refused::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place, "{name}");
        }
    }
}
