//! The fields that the proxy cares about, found by name without reading a table from end to end.

mod roles;

use crate::characters::is_token;

/// Declares the names once: the enum, the list of all, and their text.
macro_rules! known_fields {
    ($($variant:ident $text:literal)*) => {
        /// A well-known field, or any other. Found without regard to case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum KnownField {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other name.
            Other,
        }

        impl KnownField {
            /// All but `Other`, in the order of their numbers.
            pub const ALL: &'static [KnownField] = &[$(KnownField::$variant),*];

            /// The name in lower case, empty for `Other`.
            #[inline(always)]
            pub const fn text(self) -> &'static str {
                match self {
                    $(KnownField::$variant => $text,)*
                    KnownField::Other => "",
                }
            }
        }
    };
}

known_fields! {
    Accept "accept"
    AcceptEncoding "accept-encoding"
    AcceptLanguage "accept-language"
    Age "age"
    AltSvc "alt-svc"
    Authorization "authorization"
    CacheControl "cache-control"
    CfVisitor "cf-visitor"
    CloudfrontForwardedProto "cloudfront-forwarded-proto"
    Connection "connection"
    ContentEncoding "content-encoding"
    ContentLanguage "content-language"
    ContentLength "content-length"
    ContentLocation "content-location"
    ContentRange "content-range"
    ContentType "content-type"
    Cookie "cookie"
    Date "date"
    Destination "destination"
    Etag "etag"
    Expect "expect"
    Expires "expires"
    Forwarded "forwarded"
    FrontEndHttps "front-end-https"
    GrpcMessage "grpc-message"
    GrpcStatus "grpc-status"
    Host "host"
    Http2Settings "http2-settings"
    IdempotencyKey "idempotency-key"
    IfMatch "if-match"
    IfModifiedSince "if-modified-since"
    IfNoneMatch "if-none-match"
    IfRange "if-range"
    IfUnmodifiedSince "if-unmodified-since"
    KeepAlive "keep-alive"
    LastModified "last-modified"
    Location "location"
    MaxForwards "max-forwards"
    Origin "origin"
    Pragma "pragma"
    Priority "priority"
    ProxyAuthenticate "proxy-authenticate"
    ProxyAuthorization "proxy-authorization"
    ProxyConnection "proxy-connection"
    Range "range"
    Referer "referer"
    Refresh "refresh"
    RetryAfter "retry-after"
    SecWebsocketAccept "sec-websocket-accept"
    SecWebsocketKey "sec-websocket-key"
    Server "server"
    SetCookie "set-cookie"
    Te "te"
    Traceparent "traceparent"
    Tracestate "tracestate"
    Trailer "trailer"
    TransferEncoding "transfer-encoding"
    Upgrade "upgrade"
    UserAgent "user-agent"
    Vary "vary"
    Via "via"
    WwwAuthenticate "www-authenticate"
    XCutoverEnvironment "x-cutover-environment"
    XCutoverVersion "x-cutover-version"
    XForwardedFor "x-forwarded-for"
    XForwardedHost "x-forwarded-host"
    XForwardedPort "x-forwarded-port"
    XForwardedProto "x-forwarded-proto"
    XForwardedScheme "x-forwarded-scheme"
    XForwardedServer "x-forwarded-server"
    XForwardedSsl "x-forwarded-ssl"
    XHttpMethodOverride "x-http-method-override"
    XOriginalUrl "x-original-url"
    XRealIp "x-real-ip"
    XRequestId "x-request-id"
}

/// Found by trial: with it, no two names share a slot.
const MULTIPLIER: u64 = 0xd4e1_dfe9_4d77_7981;

/// Which name may have this hash; `Other` for none. Building it fails if two names share a slot.
static SLOTS: [KnownField; 256] = {
    let mut slots = [KnownField::Other; 256];
    let mut rest = KnownField::ALL;
    while let [field, others @ ..] = rest {
        #[expect(clippy::indexing_slicing, reason = "at compile time, where a wrong index is an error")]
        {
            let slot = slot(field.text().as_bytes());
            assert!(matches!(slots[slot], KnownField::Other), "two names in one slot: find another multiplier");
            slots[slot] = *field;
        }
        rest = others;
    }
    slots
};

/// The length, and the first, the middle and the last two bytes: no two of the names agree in all of them.
#[inline]
const fn slot(name: &[u8]) -> usize {
    let (Some((first, _)), Some((last, before))) = (name.split_first(), name.split_last()) else { return 0 };
    let (Some((_, [middle, ..])), Some(last_but_one)) = (name.split_at_checked(name.len() / 2), before.last()) else {
        return 0;
    };
    let key = name.len() as u64
        | (lower(*first) << 8)
        | (lower(*middle) << 16)
        | (lower(*last) << 24)
        | (lower(*last_but_one) << 32);
    (key.wrapping_mul(MULTIPLIER) >> 56) as usize
}

/// Lower case for letters; `-` stays, and what becomes of other bytes does not matter: the whole name is compared.
const fn lower(byte: u8) -> u64 {
    (byte | 0x20) as u64
}

/// Whether a token is this name in any case, by words instead of bytes. Only letters, digits and `-` occur in `text`, and
/// among the bytes of tokens only the same letter in the other case differs from them in the bit that is ignored.
#[inline]
fn is_same(token: &[u8], text: &[u8]) -> bool {
    let half = |bytes: &[u8]| {
        let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
        Some([*first, *last].map(|word| u32::from_le_bytes(word) | 0x2020_2020))
    };
    let word = |bytes: &[u8]| {
        let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
        Some([*first, *last].map(|word| u64::from_le_bytes(word) | 0x2020_2020_2020_2020))
    };
    if token.len() != text.len() {
        return false;
    }
    match token.len() {
        0..4 => token.iter().zip(text).all(|(byte, known)| lower(*byte) == lower(*known)),
        4..8 => half(token) == half(text),
        8..=16 => word(token) == word(text),
        _ => {
            word(token) == word(text)
                && token.iter().zip(text).skip(8).all(|(byte, known)| lower(*byte) == lower(*known))
        }
    }
}

impl KnownField {
    /// The field of this name, in any case.
    #[inline]
    pub fn of(name: &[u8]) -> KnownField {
        if is_token(name) { KnownField::of_token(name) } else { KnownField::Other }
    }

    /// The field of a name that is a token.
    #[inline]
    pub(crate) fn of_token(name: &[u8]) -> KnownField {
        let field = SLOTS.get(slot(name)).copied().unwrap_or(KnownField::Other);
        if is_same(name, field.text().as_bytes()) { field } else { KnownField::Other }
    }

    /// A bit of its own.
    #[inline]
    pub(crate) const fn bit(self) -> u128 {
        1 << (self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other() {
        for field in KnownField::ALL {
            assert_eq!(KnownField::of(field.text().as_bytes()), *field);
            assert_eq!(KnownField::of(field.text().to_uppercase().as_bytes()), *field);
            for near in
                [format!("{}s", field.text()), field.text().replace('e', "\u{45}\0"), field.text()[1..].to_owned()]
            {
                assert!(
                    KnownField::ALL.iter().any(|one| one.text() == near.to_lowercase())
                        || KnownField::of(near.as_bytes()) == KnownField::Other,
                    "{near}"
                );
            }
        }
        for name in [&b""[..], b"x", b"X-Mine", b"te\x0d", b"hos\x74\x20"] {
            assert_eq!(KnownField::of(name), KnownField::Other);
        }
        assert!(KnownField::ALL.len() < 128, "each has a bit");
    }
}
