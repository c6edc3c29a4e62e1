//! Tests of heads from end to end, and what they are made of.

mod allocations;
mod origin_urls;
mod properties;
mod requests;
mod responses;

use http1::{Head, HeadLimits, HeadView, Parsed, parse_request, parse_response};

use super::*;

/// A head and the text that it was read from.
pub struct Sample {
    text: String,
    head: Head,
}

impl Sample {
    pub fn view(&self) -> HeadView<'_> {
        self.head.view(self.text.as_bytes())
    }

    pub fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

/// A request of this line (without its version) with these field lines, and a Host unless there is one.
pub fn request(line: &str, fields: &[&str]) -> Sample {
    request_in("HTTP/1.1", line, fields)
}

pub fn request_in(version: &str, line: &str, fields: &[&str]) -> Sample {
    let names_host = fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) || line.contains("://");
    let host = if names_host { "" } else { "Host: shop.test\r\n" };
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let text = format!("{line} {version}\r\n{host}{fields}\r\n");
    let mut head = Head::default();
    let parsed = parse_request(text.as_bytes(), &mut head, &HeadLimits::default()).expect(&text);
    assert_eq!(parsed, Parsed::Complete { head_len: text.len() });
    Sample { text, head }
}

/// A response of this status with these field lines.
pub fn response(status: u16, fields: &[&str]) -> Sample {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let text = format!("HTTP/1.1 {status} Said\r\n{fields}\r\n");
    let mut head = Head::default();
    let parsed = parse_response(text.as_bytes(), &mut head, &HeadLimits::default()).expect(&text);
    assert_eq!(parsed, Parsed::Complete { head_len: text.len() });
    Sample { text, head }
}

fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
    let fields: Vec<String> = lines.iter().map(|line| format!("X-Forwarded-For: {line}")).collect();
    let sample = request("GET /", &fields.iter().map(String::as_str).collect::<Vec<_>>());
    let nets: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
    client_of(peer.parse().unwrap(), sample.view(), &nets).to_string()
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

#[test]
fn every_refusal_is_counted_under_the_parsers_own_name_for_it() {
    for refused in Refused::ALL {
        assert_eq!(refusal(refused).name(), refused.reason());
    }
}
