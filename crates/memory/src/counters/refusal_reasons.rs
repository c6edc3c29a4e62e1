//! Why a request was answered without asking an origin.

use judgement::traffic::RoutingError;
use strum::{IntoStaticStr, VariantArray};

/// The reason for a refusal. Its index among all of them is its counter's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
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
    Method,
    ResetFlood,
    #[strum(serialize = "too_many_connections")]
    Connections,
    #[strum(serialize = "too_many_requests")]
    Requests,
    #[strum(serialize = "tls_handshake")]
    Handshake,
    ProxyHeader,
    UntrustedProxy,
    BodyTooLarge,
    BadBody,
    RateLimited,
    Maintenance,
    Held,
    ForwardAuthDenied,
    ForwardAuthFailed,
    /// In a TLS handshake: there is no certificate for the name.
    UnrecognizedName,
}

impl RefusalReason {
    pub const ALL: &'static [RefusalReason] = RefusalReason::VARIANTS;

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        self.into_str()
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
