//! What an auth service is told of a request, and what of its answer goes on to the origin or to the client.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use http1::{FieldLine, FieldSet, HeadView, KnownField, encode};

use crate::head::forwarded::{Arrival, HopRecord};
use crate::head::{CorrelationIds, StrippedHead, written};
use config::HopHeaders;
use memory::snapshot::ForwardAuthTerms;

/// What a head takes, as a rule, in bytes.
const USUAL_HEAD: usize = 1024;
/// The most bytes of an answer's headers that go on to origins. Most servers take no longer head.
const MOST_COPIED: usize = 32 << 10;

/// What is of the body, asks for another answer than a whole one, or is written anew.
const NEVER: FieldSet = FieldSet::of(&[
    KnownField::ContentEncoding,
    KnownField::ContentLanguage,
    KnownField::ContentLength,
    KnownField::ContentLocation,
    KnownField::ContentRange,
    KnownField::ContentType,
    KnownField::Cookie,
    KnownField::Expect,
    KnownField::Host,
    KnownField::IfMatch,
    KnownField::IfModifiedSince,
    KnownField::IfNoneMatch,
    KnownField::IfRange,
    KnownField::IfUnmodifiedSince,
    KnownField::MaxForwards,
    KnownField::Range,
    KnownField::Te,
    KnownField::Trailer,
]);
/// By these, some servers learn from a proxy what the client asks for: a client's own are only passed on if the file names them.
const TOLD_BY_PROXIES: [&str; 8] = [
    "x-auth-request-redirect",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];
/// What a client is told of an answer that does not let its request go on.
const PASSED: [&str; 14] = [
    "cache-control",
    "content-encoding",
    "content-language",
    "content-security-policy",
    "content-type",
    "location",
    "referrer-policy",
    "refresh",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
];

/// What the auth service has said of a request that it lets go on.
#[derive(Clone, Debug)]
pub struct AuthGrant {
    terms: Arc<ForwardAuthTerms>,
    lines: Vec<(HeaderName, HeaderValue)>,
}

impl AuthGrant {
    /// `None` if the answer says more than can go on.
    pub fn new(terms: Arc<ForwardAuthTerms>, answer: &HeaderMap) -> Option<AuthGrant> {
        // Names that no head may have, HTTP/2 lets through.
        let may_go_on = |name: &str| !name.contains(['_', '"']);
        let said = answer.iter().filter(|(name, _)| terms.says(name.as_str().as_bytes()) && may_go_on(name.as_str()));
        let lines: Vec<_> = said.map(|(name, value)| (name.clone(), value.clone())).collect();
        let length: usize = lines.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        (length <= MOST_COPIED).then_some(AuthGrant { terms, lines })
    }

    /// Whether it is what these terms ask for.
    pub fn is_of(&self, terms: &Arc<ForwardAuthTerms>) -> bool {
        self.terms == *terms
    }

    /// Whether origins take its word for anything, so that nobody else may say it.
    pub fn says_anything(&self) -> bool {
        !self.terms.response_headers.is_empty()
    }

    /// Puts its lines in the place of the client's, from `start` on.
    pub(super) fn write(&self, out: &mut Vec<u8>, start: usize) {
        if self.says_anything() {
            written::remove_all(out, start, |name| self.terms.says(name));
        }
        for (name, value) in &self.lines {
            encode::field(out, name.as_str(), value.as_bytes());
        }
    }
}

/// The headers by which an auth service is asked: how the request came and what for, and what it says of its client.
pub fn auth_question(
    request: HeadView<'_>,
    terms: &ForwardAuthTerms,
    arrival: &Arrival<'_>,
    ids: &CorrelationIds,
) -> Vec<(HeaderName, HeaderValue)> {
    let head = StrippedHead::whole(request);
    let record = HopRecord::of(&head, arrival);
    let replaced = NEVER.and(record.replaces()).and(ids.replaces());
    let mut out = Vec::with_capacity(USUAL_HEAD);
    request.copy_lines(&mut out, |line| {
        let is_gone = line.stays || replaced.has(line.id) || record.replaces_other(line);
        !is_gone && (is_of_proxies(line) || is_told(terms, line.name))
    });
    // A trusted proxy may have been asked for something else.
    written::remove(&mut out, 0, "x-forwarded-method");
    written::remove(&mut out, 0, "x-forwarded-uri");
    if is_told(terms, b"cookie") && head.has(KnownField::Cookie) {
        head.write_cookies(&mut out);
    }
    record.write(&mut out, HopHeaders::default());
    encode::field(&mut out, "X-Forwarded-Method", request.method().as_bytes());
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    encode::field(&mut out, "X-Forwarded-Uri", format!("{}{query}", request.path()).as_bytes());
    ids.write(&mut out);
    let line = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?));
    written::lines(&out).filter_map(line).collect()
}

/// What a trusted proxy says, once anybody else's is gone.
fn is_of_proxies(line: &FieldLine<'_>) -> bool {
    line.id == KnownField::Forwarded || line.is_forwarding()
}

/// Whether the auth service is told what the client says under this name.
fn is_told(terms: &ForwardAuthTerms, name: &[u8]) -> bool {
    let is_it = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if let Some(named) = &terms.request_headers {
        return named.iter().any(|known| is_it(known.as_str()));
    }
    // What it says itself, it might believe; but a client's credentials can be exchanged for others.
    let is_credential = is_it("authorization") || is_it("cookie");
    !TOLD_BY_PROXIES.into_iter().any(is_it) && (is_credential || !terms.says(name))
}

/// What of an answer's head goes to the client, in the order in which it came.
pub fn denial_fields(answer: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    let passed = answer.iter().filter(|(name, _)| PASSED.contains(&name.as_str()));
    passed.map(|(name, value)| (name.as_str(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use memory::snapshot::{HeaderPattern, OriginHttp2, OriginSettings, OriginTimeouts};

    use super::*;
    use crate::head::IdGenerator;
    use crate::head::tests::{Sample, request};
    use judgement::time::Millis;

    fn terms(request_headers: Option<&[&'static str]>, response_headers: &[&'static str]) -> Arc<ForwardAuthTerms> {
        let origin = OriginSettings {
            targets: Vec::new(),
            timeouts: OriginTimeouts::DEFAULT,
            h2: OriginHttp2::Auto,
            host: None,
            service_host: None,
            authorities: Vec::new(),
            identity: None,
            limit: None,
        };
        let pattern = |text: &&'static str| match text.strip_suffix('*') {
            Some(prefix) => HeaderPattern::Prefix(prefix.into()),
            None => HeaderPattern::Name(HeaderName::from_static(text)),
        };
        Arc::new(ForwardAuthTerms {
            origin: Arc::new(origin),
            target: "/verify".into(),
            request_headers: request_headers.map(|all| all.iter().map(|name| HeaderName::from_static(name)).collect()),
            response_headers: response_headers.iter().map(pattern).collect(),
            timeout: Millis::seconds(5),
        })
    }

    fn asked(sample: &Sample, terms: &ForwardAuthTerms, trusted: bool) -> Vec<String> {
        let peer = "192.0.2.1".parse().unwrap();
        let arrival = Arrival { peer, client: peer, trusted, host: Some("shop.test"), tls: true };
        let hop = HopHeaders { trace_context: false, ..HopHeaders::default() };
        let ids = CorrelationIds::of(sample.view(), trusted, hop, &IdGenerator::new());
        let lines = auth_question(sample.view(), terms, &arrival, &ids);
        let told = lines.iter().filter(|(name, _)| name != "x-request-id");
        told.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    const OWN: [&str; 6] = [
        "x-forwarded-for: 192.0.2.1",
        "x-real-ip: 192.0.2.1",
        "x-forwarded-host: shop.test",
        "x-forwarded-proto: https",
        "x-forwarded-method: POST",
        "x-forwarded-uri: /a%20b?c=d",
    ];

    #[test]
    fn what_a_client_says_is_told_but_not_what_a_proxy_would_say() {
        let sample = request(
            "POST /a%20b?c=d",
            &[
                "Cookie: a=1",
                "cookie: b=2",
                "X-Api-Key: k",
                "Content-Type: text/plain",
                "Content-Length: 4",
                "If-None-Match: \"x\"",
                "Range: bytes=0-1",
                "X-Forwarded-For: 6.6.6.6",
                "X-Forwarded-Uri: /public",
                "X-Forwarded-User: root",
                "X-Original-URL: https://shop.test/public",
                "X-HTTP-Method-Override: HEAD",
                "Remote-User: root",
                "Authorization: Basic x",
                "Connection: X-Hop",
                "X-Hop: 1",
            ],
        );
        let all = asked(&sample, &terms(None, &["remote-user", "authorization"]), false);
        assert_eq!(all[..3], ["x-api-key: k", "authorization: Basic x", "cookie: a=1; b=2"]);
        assert_eq!(all[3..], OWN);
        let some = asked(&sample, &terms(Some(&["x-api-key", "x-original-url"]), &[]), false);
        assert_eq!(some[..2], ["x-api-key: k", "x-original-url: https://shop.test/public"]);
        assert_eq!(some[2..], OWN);
        assert_eq!(asked(&sample, &terms(Some(&[]), &[]), false), OWN);
    }

    #[test]
    fn a_trusted_proxys_word_is_passed_on_but_for_what_was_asked() {
        let sample = request(
            "GET /x",
            &[
                "X-Forwarded-Host: www.test",
                "X-Forwarded-Uri: /public",
                "X-Forwarded-Method: HEAD",
                "X-Forwarded-Port: 8443",
            ],
        );
        assert_eq!(
            asked(&sample, &terms(Some(&[]), &[]), true),
            [
                "x-forwarded-host: www.test",
                "x-forwarded-port: 8443",
                "x-forwarded-for: 192.0.2.1",
                "x-real-ip: 192.0.2.1",
                "x-forwarded-proto: https",
                "x-forwarded-method: GET",
                "x-forwarded-uri: /x",
            ]
        );
    }

    #[test]
    fn a_grant_replaces_what_the_client_has_said() {
        let mut answer = HeaderMap::new();
        for (name, value) in
            [("remote-user", "ann"), ("x-auth-role", "a"), ("x-auth-role", "b"), ("x-auth-a_b", "c"), ("server", "s")]
        {
            answer.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let terms = terms(None, &["remote-user", "remote-groups", "x-auth-*"]);
        let grant = AuthGrant::new(terms.clone(), &answer).unwrap();
        let mut out =
            b"GET / HTTP/1.1\r\nHost: a\r\nREMOTE-USER: root\r\nX-Auth-Any: 1\r\nRemote-Groups: x\r\nX-A: 1\r\n"
                .to_vec();
        grant.write(&mut out, 16);
        assert_eq!(
            out.escape_ascii().to_string().replace("\\r\\n", "|"),
            "GET / HTTP/1.1|Host: a|X-A: 1|remote-user: ann|x-auth-role: a|x-auth-role: b|"
        );
        answer.append("x-auth-long", HeaderValue::from_str(&"x".repeat(MOST_COPIED)).unwrap());
        assert!(AuthGrant::new(terms, &answer).is_none());
    }
}
