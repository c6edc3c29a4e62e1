//! Why a request was answered without asking an origin.

use judgement::traffic::RoutingError;

/// The reason of a refusal; its place in [`RefusalReason::ALL`] is its counter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
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

impl RefusalReason {
    /// Every reason with its name in metrics, in the order of the enum.
    pub const ALL: [(RefusalReason, &str); 24] = [
        (RefusalReason::UnknownHost, "unknown_host"),
        (RefusalReason::BadHost, "bad_host"),
        (RefusalReason::BadPath, "bad_path"),
        (RefusalReason::BadTarget, "bad_target"),
        (RefusalReason::RequestLine, "request_line"),
        (RefusalReason::LongLine, "long_line"),
        (RefusalReason::LargeHead, "large_head"),
        (RefusalReason::ManyFields, "many_fields"),
        (RefusalReason::LineEnd, "line_end"),
        (RefusalReason::Field, "field"),
        (RefusalReason::Underscore, "underscore"),
        (RefusalReason::Length, "length"),
        (RefusalReason::Encoding, "encoding"),
        (RefusalReason::LengthAndEncoding, "length_and_encoding"),
        (RefusalReason::Connection, "connection"),
        (RefusalReason::Expectation, "expectation"),
        (RefusalReason::TooSlow, "too_slow"),
        (RefusalReason::Malformed, "malformed"),
        (RefusalReason::Method, "method"),
        (RefusalReason::ResetFlood, "reset_flood"),
        (RefusalReason::Connections, "too_many_connections"),
        (RefusalReason::Handshake, "tls_handshake"),
        (RefusalReason::BodyTooLarge, "body_too_large"),
        (RefusalReason::BadBody, "bad_body"),
    ];

    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        RefusalReason::ALL.get(self as usize).map_or("", |(_, name)| *name)
    }
}

impl From<RoutingError> for RefusalReason {
    fn from(refusal: RoutingError) -> RefusalReason {
        match refusal {
            RoutingError::UnknownHost => RefusalReason::UnknownHost,
            RoutingError::BadHost => RefusalReason::BadHost,
            RoutingError::BadPath => RefusalReason::BadPath,
            RoutingError::BadTarget => RefusalReason::BadTarget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (place, (reason, name)) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place, "{name}");
        }
    }
}
