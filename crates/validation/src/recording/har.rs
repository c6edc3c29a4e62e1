//! HAR 1.2: `log.entries[].request`, entry by entry, so that the answers in it, which are most of it, are never all in
//! memory.
//!
//! A browser records everything that a page asks for, also from others: analytics, fonts, payment. The recording is of
//! the site whose document is the first in it; requests to other sites are left out, as both environments would answer
//! them with a 404 that is equal and says nothing.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::Url;

use super::{NO_BODY, RecordedRequest, RecordingBuilder, literal};
use config::suite::Body;

const NO_REQUEST: &str = "an entry without a request";
const NO_URL: &str = "a URL that is not HTTP";
const WEB_SOCKET: &str = "a WebSocket";
const FILES: &str = "a form with file uploads";

/// Why a file is not read as HAR.
#[derive(Debug)]
pub enum HarError {
    NoHar,
    /// It is one, but broken.
    Broken(String),
}

/// Takes every entry.
///
/// # Errors
/// It is not a HAR file, or a broken one.
pub fn read(bytes: &[u8], builder: &mut RecordingBuilder) -> Result<(), HarError> {
    let mut found = None;
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let within = EntriesVisitor { keys: &["log", "entries"], found: &mut found };
    let read = within.deserialize(&mut document).and_then(|()| document.end());
    match (read, found) {
        (Ok(()), Some(entries)) => {
            take_own(entries, builder);
            Ok(())
        }
        (Err(error), Some(_)) => Err(HarError::Broken(error.to_string())),
        (_, None) => Err(HarError::NoHar),
    }
}

/// Takes what was asked of the site that was recorded, and counts the others.
fn take_own(entries: Vec<SiteRequest>, builder: &mut RecordingBuilder) {
    let with_site = |entry: &&SiteRequest| !entry.site.is_empty();
    let own = entries.iter().filter(with_site).find(|entry| entry.is_document);
    let own = own.or_else(|| entries.iter().find(with_site)).map(|entry| entry.site.clone()).unwrap_or_default();
    for entry in entries {
        if entry.site.is_empty() || entry.site == own {
            builder.take(entry.request);
        } else {
            builder.count(format!("a request to a third party (the recording is of {own})"));
        }
    }
}

/// A request with the site to which it went; empty: to none.
struct SiteRequest {
    site: String,
    is_document: bool,
    request: Result<RecordedRequest, &'static str>,
}

/// `shop.example` of `www.shop.example`, `shop.co.uk` of `api.shop.co.uk`, by the public suffix list.
fn site(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    let Some(host) = url.host() else { return String::new() };
    let url::Host::Domain(name) = host else { return host.to_string() };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // A suffix, such as `localhost`, is a site of its own.
    psl::domain_str(&name).unwrap_or(&name).to_owned()
}

/// Descends to the entries: these keys, and then a list.
struct EntriesVisitor<'g> {
    keys: &'static [&'static str],
    /// Set when the list is found.
    found: &'g mut Option<Vec<SiteRequest>>,
}

impl<'de> DeserializeSeed<'de> for EntriesVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntriesVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.keys.is_empty() { "a list of entries" } else { "an object" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.keys.split_first() else {
            return Err(serde::de::Error::custom("expected a list of entries, found an object"));
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *wanted {
                map.next_value_seed(EntriesVisitor { keys: rest, found: &mut *self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.keys.is_empty() {
            return Err(serde::de::Error::custom("expected an object, found a list"));
        }
        let entries = self.found.get_or_insert_default();
        while let Some(entry) = list.next_element::<HarEntry>()? {
            entries.push(match entry {
                HarEntry::Entry(recorded) => SiteRequest {
                    site: site(&recorded.request.url),
                    is_document: recorded.is_document(),
                    request: self::entry(recorded.request),
                },
                HarEntry::Other(_) => SiteRequest { site: String::new(), is_document: false, request: Err(NO_REQUEST) },
            });
        }
        Ok(())
    }
}

/// A malformed entry does not spoil the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum HarEntry {
    Entry(Box<HarEntryBody>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct HarEntryBody {
    request: HarRequest,
    #[serde(default)]
    response: Option<HarResponse>,
    /// Of Chromium.
    #[serde(default, rename = "_resourceType")]
    resource: Option<String>,
}

impl HarEntryBody {
    fn is_document(&self) -> bool {
        match &self.resource {
            Some(kind) => kind == "document",
            None => {
                let content = self.response.as_ref().and_then(|response| response.content.as_ref());
                let kind = content.and_then(|content| content.mime_type.as_deref()).unwrap_or_default();
                kind.trim_start().to_ascii_lowercase().starts_with("text/html")
            }
        }
    }
}

#[derive(Deserialize)]
struct HarResponse {
    #[serde(default)]
    content: Option<HarContent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarContent {
    #[serde(default)]
    mime_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<HarHeader>,
    #[serde(default)]
    post_data: Option<HarPostData>,
    #[serde(default)]
    body_size: Option<f64>,
}

#[derive(Deserialize)]
struct HarHeader {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarPostData {
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    params: Vec<HarParam>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarParam {
    name: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    file_name: Option<String>,
}

fn entry(request: HarRequest) -> Result<RecordedRequest, &'static str> {
    let url = Url::parse(&request.url).map_err(|_| NO_URL)?;
    let named = |name: &str| request.headers.iter().find(|pair| pair.name.eq_ignore_ascii_case(name));
    let upgrades = named("upgrade").is_some_and(|pair| pair.value.eq_ignore_ascii_case("websocket"));
    if upgrades || matches!(url.scheme(), "ws" | "wss") {
        return Err(WEB_SOCKET);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NO_URL);
    }
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target.push('?');
        target.push_str(query);
    }
    let kind = request.post_data.as_ref().and_then(|data| data.mime_type.clone()).filter(|kind| !kind.is_empty());
    let kind = kind.filter(|_| named("content-type").is_none()).map(|kind| ("content-type".to_owned(), kind));
    let body = body(request.post_data, request.body_size)?;
    let headers = request.headers.into_iter().map(|pair| (pair.name, pair.value));
    let kind = kind.filter(|_| !matches!(body, Body::None));
    Ok(RecordedRequest { method: request.method, target, headers: headers.chain(kind).collect(), body })
}

fn body(data: Option<HarPostData>, size: Option<f64>) -> Result<Body, &'static str> {
    // Recorders that do not keep bodies keep their sizes; -1 means unknown.
    let none = if size.is_some_and(|size| size > 0.0) { Err(NO_BODY) } else { Ok(Body::None) };
    let Some(data) = data else { return none };
    if let Some(text) = data.text.filter(|text| !text.is_empty()) {
        return Ok(Body::Bytes(text.into_bytes().into()));
    }
    if data.params.iter().any(|param| param.file_name.is_some()) {
        return Err(FILES);
    }
    if data.params.is_empty() {
        return none;
    }
    let fields = data.params.into_iter().map(|param| (param.name, param.value.unwrap_or_default()));
    Ok(Body::Form(fields.map(|(name, value)| (name, literal(&value))).collect()))
}
