//! What may be done with which field: the tables that depend on nothing but its name.

use crate::known_field::KnownField;

impl KnownField {
    /// Whether it belongs to one connection and is never forwarded (RFC 9110 7.6.1), whether Connection names it or not.
    /// Credentials for a proxy are for the next proxy, which is us (RFC 9110 11.7.2).
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            KnownField::Connection
                | KnownField::Http2Settings
                | KnownField::KeepAlive
                | KnownField::ProxyAuthenticate
                | KnownField::ProxyAuthorization
                | KnownField::ProxyConnection
                | KnownField::Te
                | KnownField::Trailer
                | KnownField::TransferEncoding
                | KnownField::Upgrade
        )
    }

    /// Whether Connection must not name it: who has it removed changes what the origin makes of the request.
    pub const fn is_protected(self) -> bool {
        matches!(
            self,
            KnownField::Authorization
                | KnownField::CacheControl
                | KnownField::ContentEncoding
                | KnownField::ContentLength
                | KnownField::ContentType
                | KnownField::Cookie
                | KnownField::Expect
                | KnownField::Forwarded
                | KnownField::Host
                | KnownField::IdempotencyKey
                | KnownField::Origin
                | KnownField::Range
                | KnownField::Traceparent
                | KnownField::Tracestate
                | KnownField::TransferEncoding
                | KnownField::Via
                | KnownField::XForwardedFor
                | KnownField::XForwardedHost
                | KnownField::XForwardedPort
                | KnownField::XForwardedProto
                | KnownField::XForwardedScheme
                | KnownField::XForwardedServer
                | KnownField::XForwardedSsl
                | KnownField::XHttpMethodOverride
                | KnownField::XOriginalUrl
                | KnownField::XRealIp
                | KnownField::XRequestId
        )
    }

    /// Whether it says where a message ends or to whom it goes: in a trailer section (RFC 9110 6.5.1) it is nobody's
    /// mistake.
    pub(crate) const fn frames(self) -> bool {
        matches!(
            self,
            KnownField::Connection
                | KnownField::ContentLength
                | KnownField::Expect
                | KnownField::Host
                | KnownField::Http2Settings
                | KnownField::KeepAlive
                | KnownField::ProxyConnection
                | KnownField::Te
                | KnownField::Trailer
                | KnownField::TransferEncoding
                | KnownField::Upgrade
        )
    }

    /// Whether it may come behind a body (RFC 9110 6.5.1): not what routes, authenticates or modifies a request, controls
    /// a response, or says how to read the content. Whoever merges trailers into the head would be told it too late.
    pub const fn may_be_trailer(self) -> bool {
        matches!(
            self,
            KnownField::Age
                | KnownField::Date
                | KnownField::Etag
                | KnownField::GrpcMessage
                | KnownField::GrpcStatus
                | KnownField::LastModified
                | KnownField::Server
                | KnownField::Via
                | KnownField::Other
        )
    }
}
