//! Whether the client came by http or https, as the proxies in front of Cutover say. There is a standard for it, and
//! there are the headers that are in use.

use http1::{HeadView, KnownField};

use crate::head::{StrippedHead, visible};

/// How a client reached the first proxy of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientScheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl ClientScheme {
    /// Of a connection to Cutover itself.
    pub const fn of_connection(tls: bool) -> ClientScheme {
        if tls { ClientScheme::Https } else { ClientScheme::Http }
    }

    /// What trusted proxies say; `None` if that is nothing, or nothing known. X-Forwarded-Proto decides if it is there,
    /// then Forwarded, then the others: a client must not overrule a proxy by a header that the proxy passes on.
    pub(super) fn as_told(head: &StrippedHead<'_>) -> Option<ClientScheme> {
        scheme(head, KnownField::XForwardedProto)
            .or_else(|| forwarded(head))
            .or_else(|| switch(head, KnownField::XForwardedSsl))
            .or_else(|| switch(head, KnownField::FrontEndHttps))
            .or_else(|| scheme(head, KnownField::XForwardedScheme))
            .or_else(|| scheme(head, KnownField::CloudfrontForwardedProto))
            .or_else(|| cf_visitor(head))
    }

    /// As X-Forwarded-Proto says it.
    pub const fn name(self) -> &'static str {
        match self {
            ClientScheme::Http => "http",
            ClientScheme::Https => "https",
        }
    }

    fn parse(word: &str) -> Option<ClientScheme> {
        let is = |names: [&str; 2]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        // Some proxies name a WebSocket's scheme.
        if is(["https", "wss"]) {
            Some(ClientScheme::Https)
        } else if is(["http", "ws"]) {
            Some(ClientScheme::Http)
        } else {
            None
        }
    }
}

/// Whether the request came by HTTPS: to Cutover, or to a trusted proxy that says so. `trusted`: the peer is one.
pub fn came_by_https(tls: bool, trusted: bool, head: HeadView<'_>) -> bool {
    tls || trusted && ClientScheme::as_told(&StrippedHead::whole(head)) == Some(ClientScheme::Https)
}

fn lines<'h>(head: &StrippedHead<'h>, field: KnownField) -> impl Iterator<Item = &'h str> + use<'h> {
    head.all(field).filter_map(visible)
}

/// The first of a list, because each proxy adds its own at the end. All lines are one list (RFC 9110 5.3).
fn scheme(head: &StrippedHead<'_>, field: KnownField) -> Option<ClientScheme> {
    let mut words = lines(head, field).flat_map(|line| line.split(',')).map(str::trim);
    words.find(|word| !word.is_empty()).and_then(ClientScheme::parse)
}

/// `on` or `off`.
fn switch(head: &StrippedHead<'_>, field: KnownField) -> Option<ClientScheme> {
    match lines(head, field).next()?.trim() {
        word if word.eq_ignore_ascii_case("on") => Some(ClientScheme::Https),
        word if word.eq_ignore_ascii_case("off") => Some(ClientScheme::Http),
        _ => None,
    }
}

/// The first `proto` of Forwarded (RFC 7239 5.4).
fn forwarded(head: &StrippedHead<'_>) -> Option<ClientScheme> {
    let mut parameters = lines(head, KnownField::Forwarded).flat_map(parameters);
    let (_, proto) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("proto"))?;
    ClientScheme::parse(proto)
}

/// The parameters of a line of Forwarded, whichever hop they belong to. Within quotes, separators are text.
fn parameters(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = move |character: char| {
        let literal = escaped;
        escaped = quoted && character == '\\' && !literal;
        if character == '"' && !literal {
            quoted = !quoted;
        }
        !quoted && matches!(character, ',' | ';')
    };
    let pairs = line.split(separates).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
}

fn cf_visitor(head: &StrippedHead<'_>) -> Option<ClientScheme> {
    let mut parts = lines(head, KnownField::CfVisitor).next()?.split('"');
    parts.find(|part| *part == "scheme")?;
    let colon = parts.next()?;
    parts.next().filter(|_| colon.trim() == ":").and_then(ClientScheme::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::request;

    #[test]
    fn a_scheme_is_read_in_every_way_that_proxies_write_it() {
        let (http, https) = (Some(ClientScheme::Http), Some(ClientScheme::Https));
        for (sent, told) in [
            ("X-Forwarded-Proto: https", https),
            ("X-Forwarded-Proto: HTTPS", https),
            ("X-Forwarded-Proto: wss", https),
            ("X-Forwarded-Proto: WSS", https),
            ("X-Forwarded-Proto: http", http),
            ("X-Forwarded-Proto: ws", http),
            ("X-Forwarded-Proto: https, http", https),
            ("X-Forwarded-Proto: https,https", https),
            ("X-Forwarded-Proto: , https", https),
            ("X-Forwarded-Proto: http, https", http),
            ("X-Forwarded-Proto: https\nX-Forwarded-Proto: http", https),
            ("X-Forwarded-Proto: http\nX-Forwarded-Proto: https", http),
            ("X-Forwarded-Proto: ftp", None),
            ("X-Forwarded-Proto: httpss", None),
            ("X-Forwarded-Proto: ", None),
            ("Forwarded: for=1.2.3.4;proto=https", https),
            ("Forwarded: for=1.2.3.4; Proto=\"HTTPS\" ; by=x", https),
            ("Forwarded: proto=https, for=10.0.0.1;proto=http", https),
            ("Forwarded: for=1.2.3.4, proto=http", http),
            ("Forwarded: for=1.2.3.4\nForwarded: proto=https", https),
            ("Forwarded: host=\"a;proto=https\";proto=http", http),
            ("Forwarded: host=\"a\\\";proto=https\";proto=http", http),
            ("Forwarded: host=\"a,b\";proto=https", https),
            ("Forwarded: for=1.2.3.4", None),
            ("Forwarded: proto", None),
            ("X-Forwarded-Ssl: on", https),
            ("X-Forwarded-Ssl: On", https),
            ("X-Forwarded-Ssl: off", http),
            ("X-Forwarded-Ssl: maybe", None),
            ("Front-End-Https: on", https),
            ("X-Forwarded-Scheme: https", https),
            ("CloudFront-Forwarded-Proto: https", https),
            ("Cf-Visitor: {\"scheme\":\"https\"}", https),
            ("Cf-Visitor: { \"scheme\" : \"https\" }", https),
            ("Cf-Visitor: {\"scheme\":\"http\"}", http),
            ("Cf-Visitor: {\"scheme\":\"https", https),
            ("Cf-Visitor: {\"scheme\"}", None),
            ("Cf-Visitor: {\"other\":\"https\"}", None),
            ("X-Forwarded-Port: 443", None),
            ("", None),
            ("X-Forwarded-Proto: http\nX-Forwarded-Ssl: on\nForwarded: proto=https", http),
            ("X-Forwarded-Proto: https\nForwarded: proto=http", https),
            ("Forwarded: proto=http\nFront-End-Https: on", http),
            ("X-Forwarded-Proto: ftp\nForwarded: proto=https", https),
        ] {
            let sample = request("GET /", &sent.lines().collect::<Vec<_>>());
            assert_eq!(ClientScheme::as_told(&StrippedHead::whole(sample.view())), told, "{sent}");
            for (tls, trusted) in [(false, false), (false, true), (true, false), (true, true)] {
                let by_https = tls || trusted && told == https;
                assert_eq!(came_by_https(tls, trusted, sample.view()), by_https, "{sent}");
            }
        }
    }
}
