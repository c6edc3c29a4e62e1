//! A response's head on its way to the client.

use http::HeaderName;
use http1::{FieldLine, FieldSet, Framing, HeadView, KnownField, RequestKind, encode};

use crate::head::{CorrelationIds, Front, LONGEST_ID, caching, failure_header, origin_urls, written};
use judgement::traffic::{Environment, RouteId};
use memory::snapshot::{PinCookie, ServedService};

/// What is replaced if a service says who serves its requests.
const EXPOSED: FieldSet =
    FieldSet::of(&[KnownField::XCutoverEnvironment, KnownField::XCutoverVersion, KnownField::XRequestId]);

/// What the client is told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    /// HTTP/2, or what HTTP/1.1 takes for granted.
    Nothing,
    /// It ends behind this response.
    Close,
    /// It is kept, also for HTTP/1.0.
    KeepAlive,
    /// A 101: the origin's Upgrade goes with it.
    Upgrade,
}

/// A client that is pinned with a cookie, to the side that its key stands for.
#[derive(Clone, Copy, Debug)]
pub struct Pin<'a> {
    /// The cookie's name.
    pub cookie: &'a str,
    /// Visible ASCII.
    pub key: &'a [u8; 16],
    /// The client came by https.
    pub https: bool,
}

/// The version of a page, for the cookie that it sends with what it calls.
#[derive(Clone, Copy, Debug)]
pub struct PageVersion<'a> {
    /// The cookie's name.
    pub cookie: &'a str,
    /// What a cookie can hold (RFC 6265 4.1.1).
    pub version: &'a str,
    /// The client came by https.
    pub https: bool,
}

/// What becomes of a response's head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseChange<'a> {
    /// Its edits and terms hold.
    pub serving: &'a ServedService,
    /// The route that the request took.
    pub route: RouteId,
    /// Who has answered.
    pub side: Environment,
    /// The request's.
    pub ids: &'a CorrelationIds,
    /// Where the client is, for what names the origin; `None` to leave that as it is.
    pub front: Option<Front<'a>>,
    /// For a newly sticky client, unless shared caches keep the response.
    pub pin: Option<Pin<'a>>,
    /// For what opens a page, if it is HTML and no shared cache keeps it.
    pub page: Option<PageVersion<'a>>,
    /// What the request was.
    pub kind: RequestKind,
    /// Of the body as it will be sent. With `None`, nothing is said of one; where HTTP/1 would then read to the end of the
    /// connection, `Length(0)` is what is meant.
    pub framing: Framing,
    pub connection: ConnectionField,
    /// Now, for a response without Date (RFC 9110 6.6.1).
    pub date: &'a [u8],
}

/// Appends the head that the client is sent, blank line included: the origin's status in our version, its lines less what
/// belongs to its connection and with its own URLs as the client knows them, the file's edits, and what the service reveals about itself, which replaces the origin's own
/// fields of these names. If a service exposes nothing, they pass like any other. The route's `failure_header` is ours alone.
pub fn write_response(out: &mut Vec<u8>, response: HeadView<'_>, change: &ResponseChange<'_>) {
    encode::status_line(out, response.head().status(), response.reason());
    let start = out.len();
    let terms = &change.serving.terms;
    let replaced = if terms.expose { EXPOSED } else { FieldSet::EMPTY };
    let withheld = change.serving.failure_rules(change.route).header.as_ref();
    let is_passed = |line: &FieldLine<'_>| goes_on(line) && !replaced.has(line.id);
    // Asked once a head, and not once a line: mostly there is no such header.
    match withheld {
        None => origin_urls::copy_lines(out, response, change.front.as_ref(), is_passed),
        Some(_) => origin_urls::copy_lines(out, response, change.front.as_ref(), |line| {
            is_passed(line) && !failure_header::withholds(withheld, line)
        }),
    }
    if let Some(header) = withheld.filter(|_| response.head().has(KnownField::Trailer)) {
        failure_header::write_other_announcements(out, response, header);
    }
    if !response.head().has(KnownField::Date) {
        encode::field(out, "Date", change.date);
    }
    let edits = change.serving.edits(change.route).map_or(&[][..], |edits| &edits.response);
    written::edit(out, start, edits);
    if terms.expose {
        expose(out, start, change);
    }
    let page = change.page.filter(|_| is_html(response));
    if (change.pin.is_some() || page.is_some()) && !caching::is_shared(out.get(start..).unwrap_or_default()) {
        if let Some(pin) = &change.pin {
            write_pin(out, pin, &terms.pin);
        }
        if let Some(page) = &page {
            write_page_version(out, page);
        }
        caching::make_private(out, start);
    }
    write_connection(out, response, change.connection);
    write_framing(out, response, change);
    encode::end_of_fields(out);
}

/// Appends the head of an interim response (100, 103), blank line included. It has no body, so it says nothing of a length
/// (RFC 9110 8.6). `withheld`: the header that no client sees.
pub fn write_interim(out: &mut Vec<u8>, response: HeadView<'_>, withheld: Option<&HeaderName>) {
    encode::status_line(out, response.head().status(), response.reason());
    response.copy_lines(out, |line| goes_on(line) && !failure_header::withholds(withheld, line));
    encode::end_of_fields(out);
}

/// The origin's own id for the request, if its field has one of at most 128 bytes.
pub fn origin_request_id<'a>(response: HeadView<'a>, serving: &ServedService) -> Option<&'a [u8]> {
    let name = serving.terms.origin_request_id.as_ref()?;
    response.find(name.as_str()).filter(|id| id.len() <= LONGEST_ID)
}

/// Whether a line is the client's too. Trailer announces fields behind the body, which are passed on (RFC 9110 6.6.2); how
/// long the body is, we say ourselves.
#[inline]
fn goes_on(line: &FieldLine<'_>) -> bool {
    (!line.stays || line.id == KnownField::Trailer) && line.id != KnownField::ContentLength
}

fn expose(out: &mut Vec<u8>, start: usize, change: &ResponseChange<'_>) {
    let fields = [
        ("X-Cutover-Environment", Some(change.side.name().as_bytes())),
        ("X-Cutover-Version", change.serving.terms.version(change.side).map(|version| version.as_bytes())),
        ("X-Request-Id", change.ids.request_id()),
    ];
    let is_edited = change.serving.edits(change.route).is_some_and(|edits| !edits.response.is_empty());
    for (name, value) in fields {
        // The origin's have not been copied.
        if is_edited {
            written::remove(out, start, name);
        }
        if let Some(value) = value {
            encode::field(out, name, value);
        }
    }
}

/// Pins a client with a cookie, which a rollback voids without touching it.
fn write_pin(out: &mut Vec<u8>, pin: &Pin<'_>, cookie: &PinCookie) {
    let secure: &[u8] = if cookie.secure.unwrap_or(pin.https) { b"; Secure" } else { b"" };
    let attributes = cookie.attributes.as_bytes();
    for part in [b"Set-Cookie: ", pin.cookie.as_bytes(), b"=", pin.key, attributes, secure, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn is_html(response: HeadView<'_>) -> bool {
    const HTML: &[u8] = b"text/html";
    let kind = response.find("content-type");
    kind.and_then(|kind| kind.get(..HTML.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(HTML))
}

/// Until the browser is closed: a page that is open for longer than its side stands is told apart by its version.
fn write_page_version(out: &mut Vec<u8>, page: &PageVersion<'_>) {
    let name = page.cookie.as_bytes();
    let secure: &[u8] = if page.https || needs_secure(page.cookie) { b"; Secure" } else { b"" };
    let attributes = b"; Path=/; HttpOnly; SameSite=Lax";
    for part in [b"Set-Cookie: ", name, b"=", page.version.as_bytes(), attributes, secure, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// RFC 6265bis 4.1.3: browsers ignore such a cookie without `Secure`.
fn needs_secure(name: &str) -> bool {
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    begins("__host-") || begins("__secure-")
}

fn write_connection(out: &mut Vec<u8>, response: HeadView<'_>, connection: ConnectionField) {
    let value: &[u8] = match connection {
        ConnectionField::Nothing => return,
        ConnectionField::Close => b"close",
        ConnectionField::KeepAlive => b"keep-alive",
        ConnectionField::Upgrade => b"upgrade",
    };
    encode::field(out, "Connection", value);
    if connection == ConnectionField::Upgrade {
        for protocol in response.all(KnownField::Upgrade) {
            encode::field(out, "Upgrade", protocol);
        }
    }
}

/// RFC 9110 8.6: a 1xx and a 204 have no Content-Length, and what HEAD and a 304 are answered is the length that the
/// content would have.
fn write_framing(out: &mut Vec<u8>, response: HeadView<'_>, change: &ResponseChange<'_>) {
    let status = response.head().status();
    match change.framing {
        _ if matches!(status, 100..=199 | 204) => {}
        Framing::Length(length) => encode::content_length(out, length),
        Framing::Chunked => encode::chunked(out),
        Framing::UntilClose => {}
        Framing::None => {
            let says = change.kind == RequestKind::Head || status == 304;
            if let Some(length) = response.head().content_length().filter(|_| says) {
                encode::content_length(out, length);
            }
        }
    }
}
