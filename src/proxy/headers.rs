//! Headers on their way to the origin, and the client's address on its way in.

use std::fmt::Write;
use std::net::IpAddr;

use http::HeaderValue;
use http::header::{COOKIE, HOST, SET_COOKIE};
use ipnet::IpNet;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::snapshot::Endpoint;
use crate::traffic::rule::Rule;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The client: the peer, or the first hop from the right of X-Forwarded-For that no trusted proxy made.
pub fn client_of(peer: IpAddr, headers: &http::HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(client) {
        return client;
    }
    // All lines are one list (RFC 9110 5.3), read from the right.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    for hop in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',')) {
        match parse_hop(hop.trim()) {
            Some(address) => client = address,
            // What is no address was written by nobody we trust.
            None => return client,
        }
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    bare.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip())).map(|ip| ip.to_canonical())
}

/// What the request's own head says of how the client reached us.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub peer: IpAddr,
    pub trusted: bool,
    /// As the client sent it, port included.
    pub host: Option<&'a str>,
    pub tls: bool,
}

/// Turns the client's head into the origin's: its Host, its base path, and X-Forwarded-* from us, or from a proxy that
/// we trust with us added.
pub fn to_origin(
    request: &mut RequestHeader,
    endpoint: &Endpoint,
    arrival: Arrival<'_>,
    strip: Option<&Rule>,
) -> Result<()> {
    for name in strip.into_iter().flat_map(Rule::header_names) {
        request.remove_header(name);
    }
    if !endpoint.base_path.is_empty() && request.raw_path() != b"*" {
        let joined = [endpoint.base_path.as_bytes(), request.raw_path()].concat();
        request.set_raw_path(&joined)?;
    }
    request.insert_header(HOST, endpoint.authority.clone())?;
    forwarded(request, arrival)
}

fn forwarded(request: &mut RequestHeader, arrival: Arrival<'_>) -> Result<()> {
    let mut hops = String::new();
    if arrival.trusted {
        for line in request.headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()) {
            hops.push_str(line);
            hops.push_str(", ");
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(hops, "{}", arrival.peer.to_canonical());
    request.insert_header(FORWARDED_FOR, hops)?;
    if !arrival.trusted || !request.headers.contains_key(FORWARDED_HOST) {
        match arrival.host {
            Some(host) => request.insert_header(FORWARDED_HOST, host)?,
            None => drop(request.remove_header(FORWARDED_HOST)),
        }
    }
    if !arrival.trusted || !request.headers.contains_key(FORWARDED_PROTO) {
        request.insert_header(FORWARDED_PROTO, if arrival.tls { "https" } else { "http" })?;
    }
    if !arrival.trusted {
        request.remove_header("forwarded");
    }
    join_cookies(request)
}

/// Several Cookie lines become one (RFC 9113 8.2.3): HTTP/1 knows but one.
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let lines = request.headers.get_all(COOKIE);
    if lines.iter().nth(1).is_none() {
        return Ok(());
    }
    let joined = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        request.insert_header(COOKIE, value)?;
    }
    Ok(())
}

/// Pins a client: a cookie for a year, which a rollback makes void without touching it.
pub fn pin(response: &mut ResponseHeader, name: &str, key: &[u8; 16], tls: bool) -> Result<()> {
    let key = std::str::from_utf8(key).unwrap_or_default();
    let secure = if tls { "; Secure" } else { "" };
    let value = format!("{name}={key}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    response.append_header(SET_COOKIE, value).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = http::HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let nets: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_of(peer.parse().unwrap(), &headers, &nets).to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_hop_from_the_right() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client("192.0.2.1", &["198.51.100.1"], &trusted), "192.0.2.1", "an untrusted peer is the client");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1", "10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:4711"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["forged, junk"], &trusted), "10.0.0.1", "what is no address proves nothing");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[], &trusted), "10.0.0.1");
    }
}
