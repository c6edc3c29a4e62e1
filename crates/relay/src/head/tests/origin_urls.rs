//! Tests of an origin's URLs on their way to a client.

use memory::snapshot::{Endpoint, EndpointTls};

use super::requests::endpoint;
use super::responses::{self, serving};
use super::*;

/// An origin at `url_authority` that is asked as `authority`.
fn origin(url_authority: &str, authority: &str, base_path: &str) -> Endpoint {
    let port = url_authority.rsplit_once(':').map_or(80, |(_, port)| port.parse().unwrap());
    let address = ([127, 0, 0, 1], port).into();
    Endpoint { address, url_authority: url_authority.into(), ..endpoint(authority, base_path) }
}

fn over_tls(endpoint: Endpoint) -> Endpoint {
    let roots = rustls::RootCertStore::empty();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = EndpointTls { name: "origin.test".try_into().unwrap(), config: std::sync::Arc::new(config) };
    let address = ([127, 0, 0, 1], 443).into();
    Endpoint { address, tls: Some(tls), ..endpoint }
}

#[test]
fn a_redirect_leads_back_if_its_client_would_ask_the_same_again() {
    let plain = origin("10.0.0.1:3000", "10.0.0.1:3000", "");
    let based = origin("10.0.0.1:3000", "10.0.0.1:3000", "/app");
    let asked = request("GET /cart?a=b", &[]);
    let root = request("GET /", &[]);
    for (endpoint, asked, front, location, back) in [
        (&plain, &asked, "http://shop.test", "/cart?a=b", true),
        (&plain, &asked, "http://shop.test", "/cart?a=b#top", true),
        (&plain, &asked, "http://shop.test", "http://shop.test/cart?a=b", true),
        (&plain, &asked, "http://shop.test", "http://SHOP.test:80/cart?a=b", true),
        (&plain, &asked, "http://shop.test", "//shop.test/cart?a=b", true),
        (&plain, &asked, "http://shop.test", "http://10.0.0.1:3000/cart?a=b", true),
        (&plain, &asked, "http://shop.test", "./cart?a=b", true),
        (&plain, &asked, "http://shop.test", "?a=b", true),
        (&plain, &asked, "http://shop.test", "cart/?a=b", false),
        (&plain, &asked, "http://shop.test", "/cart", false),
        (&plain, &asked, "http://shop.test", "/cart?a=bc", false),
        (&plain, &asked, "http://shop.test", "/carts?a=b", false),
        (&plain, &asked, "http://shop.test", "https://shop.test/cart?a=b", false),
        (&plain, &asked, "http://shop.test", "http://www.shop.test/cart?a=b", false),
        (&plain, &asked, "http://shop.test", "http://shop.test:8080/cart?a=b", false),
        (&plain, &asked, "", "http://shop.test/cart?a=b", false),
        (&plain, &root, "https://shop.test", "https://shop.test", true),
        (&based, &asked, "http://shop.test", "/app/cart?a=b", true),
    ] {
        let (scheme, host) = front.split_once("://").unwrap_or_default();
        let host = Some(host).filter(|host| !host.is_empty());
        let front = Front { endpoint, host, https: scheme == "https" };
        let line = format!("Location: {location}");
        assert_eq!(leads_back(&front, asked.view(), response(302, &[&line]).view()), back, "{location}");
    }
    let front = Front { endpoint: &plain, host: Some("shop.test"), https: false };
    assert!(!leads_back(&front, root.view(), response(302, &[]).view()));
}

/// What becomes of a line for a client that has called the origin `front`, such as "https://shop.test".
#[track_caller]
fn check(endpoint: &Endpoint, front: &str, line: &str, wanted: &str) {
    let (scheme, host) = front.split_once("://").unwrap();
    let host = Some(host).filter(|host| !host.is_empty());
    let front = Some(Front { endpoint, host, https: scheme == "https" });
    let (serving, ids) = (serving(""), CorrelationIds::default());
    let lines = ["X-A: 1", line, "Date: Sun, 06 Nov 1994 08:49:37 GMT"];
    let mut out = Vec::new();
    write_response(
        &mut out,
        response(302, &lines).view(),
        &ResponseChange { front, ..responses::change(&serving, &ids) },
    );
    let written = String::from_utf8(out).unwrap();
    let written = written.strip_prefix("HTTP/1.1 302 Said\r\nX-A: 1\r\n").unwrap();
    assert_eq!(
        written.strip_suffix("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n").unwrap(),
        wanted,
        "{front:?}: {line}"
    );
}

/// Cases of a URL, in each of the fields that have one.
#[track_caller]
fn check_url(endpoint: &Endpoint, front: &str, url: &str, wanted: &str) {
    for field in ["Location: ", "content-location: ", "Refresh: 5; url=", "Refresh: 0,", "Refresh: 5;URL = "] {
        check(endpoint, front, &format!("{field}{url}"), &format!("{field}{wanted}"));
    }
    check(endpoint, front, &format!("Refresh: 5; url=\"{url}\" x"), &format!("Refresh: 5; url=\"{wanted}\" x"));
}

#[test]
fn a_url_of_an_origin_asked_by_its_own_name_leads_to_the_front() {
    let plain = origin("origin.test:81", "origin.test:81", "");
    for (front, url, wanted) in [
        ("http://shop.test", "http://origin.test:81/a?b#c", "http://shop.test/a?b#c"),
        ("http://Shop.test:8080", "http://Origin.Test:81", "http://Shop.test:8080"),
        ("https://shop.test", "http://origin.test/a", "https://shop.test/a"),
        ("https://shop.test", "HTTPS://origin.test:443/a", "https://shop.test/a"),
        ("https://shop.test", "http://origin.test:80?a", "https://shop.test?a"),
        ("https://shop.test", "//origin.test:81/a", "//shop.test/a"),
        // Neither has asked by https: it is an upgrade, and on another port.
        ("http://shop.test:8080", "https://origin.test/a", "https://shop.test/a"),
        ("http://", "http://origin.test:81/a", "/a"),
        ("http://", "http://origin.test:81", "/"),
        ("http://", "http://origin.test//evil.test", "/.//evil.test"),
        // Not the origin's.
        ("http://shop.test", "http://origin.test:82/a", "http://origin.test:82/a"),
        ("http://shop.test", "http://origin.test:443/a", "http://origin.test:443/a"),
        ("http://shop.test", "http://www.origin.test/a", "http://www.origin.test/a"),
        ("http://shop.test", "http://origin.test@evil.test/a", "http://origin.test@evil.test/a"),
        ("http://shop.test", "ftp://origin.test/a", "ftp://origin.test/a"),
        ("http://shop.test", "/a", "/a"),
        ("http://shop.test", "a?u=http://origin.test", "a?u=http://origin.test"),
    ] {
        check_url(&plain, front, url, wanted);
    }
    let address = origin("[::1]:81", "[::1]:81", "");
    check_url(&address, "http://[::2]:8080", "http://[::1]:81/a", "http://[::2]:8080/a");
    let secure = over_tls(origin("origin.test", "origin.test", ""));
    for url in ["https://origin.test/a", "http://origin.test/a", "https://origin.test:443/a"] {
        check_url(&secure, "http://shop.test:8080", url, "http://shop.test:8080/a");
    }
}

#[test]
fn a_base_path_is_not_the_fronts() {
    let based = origin("origin.test", "origin.test", "/base");
    for (url, wanted) in [
        ("/base/a", "/a"),
        ("/base", "/"),
        ("/base?a", "/?a"),
        ("/base#a", "/#a"),
        ("http://origin.test/base/a/", "https://shop.test/a/"),
        ("http://origin.test/base", "https://shop.test/"),
        ("http://origin.test/base//a", "https://shop.test//a"),
        // Without its base, this would lead to another host.
        ("/base//evil.test/a", "/.//evil.test/a"),
        ("/basement", "/basement"),
        ("/a", "/a"),
        ("//evil.test/base/a", "//evil.test/base/a"),
        ("http://origin.test/a", "http://origin.test/a"),
        ("http://origin.test", "http://origin.test"),
    ] {
        check_url(&based, "https://shop.test", url, wanted);
    }
    check(&based, "https://shop.test", "Location: /base/\\evil.test", "Location: /./\\evil.test");
    check(&based, "https://shop.test", "Location: /base/\t/evil.test", "Location: /./\t/evil.test");
    check(&based, "https://shop.test", "Location:  /base/\u{e4} ", "Location: /\u{e4}");
}

#[test]
fn an_origin_with_a_name_of_its_own_may_use_that_too() {
    let named = origin("10.0.0.5:3000", "www.example.test", "");
    for host in ["www.example.test", "www.example.test:3000", "10.0.0.5:3000", "10.0.0.5"] {
        check_url(&named, "https://shop.test", &format!("http://{host}/a"), "https://shop.test/a");
    }
    check_url(&named, "https://shop.test", "http://example.test/a", "http://example.test/a");
}

#[test]
fn an_origin_that_is_asked_by_the_clients_name_uses_that() {
    let preserving = |base: &str| Endpoint { preserves_host: true, ..origin("127.0.0.1:3000", "127.0.0.1:3000", base) };
    for (front, url, wanted) in [
        ("https://shop.test", "https://shop.test/a", "https://shop.test/a"),
        // It does not know that the client came by https, or of the port.
        ("https://shop.test", "http://shop.test/a", "https://shop.test/a"),
        ("https://shop.test:8443", "http://shop.test:3000/a", "https://shop.test:8443/a"),
        ("https://shop.test:443", "https://shop.test/a", "https://shop.test:443/a"),
        ("http://shop.test", "https://shop.test/a", "https://shop.test/a"),
        ("http://shop.test", "http://shop.test:9000/a", "http://shop.test:9000/a"),
        ("http://shop.test", "http://www.test/a", "http://www.test/a"),
        ("http://shop.test", "http://127.0.0.1:3000/a", "http://127.0.0.1:3000/a"),
        ("http://", "http://127.0.0.1:3000/a", "http://127.0.0.1:3000/a"),
    ] {
        check_url(&preserving(""), front, url, wanted);
    }
    check_url(&preserving("/base"), "http://shop.test", "http://shop.test/base/a", "http://shop.test/a");
    check_url(&preserving("/base"), "http://shop.test", "/base/a", "/a");
    let secure = over_tls(preserving(""));
    check_url(&secure, "http://shop.test:80", "https://shop.test/a", "https://shop.test/a");
}

#[test]
fn a_cookie_is_the_fronts() {
    let own = origin("www.origin.test:81", "www.origin.test:81", "/base");
    for (cookie, wanted) in [
        ("a=1; Domain=www.origin.test; Path=/base/x; HttpOnly", "a=1; Path=/x; HttpOnly"),
        ("a=1;domain = .Origin.Test ;secure", "a=1;secure"),
        ("a=1; Path=/base", "a=1; Path=/"),
        ("a=1;  path = /base/  ;  Max-Age=1", "a=1;  path = /  ;  Max-Age=1"),
        ("a=1; Path=/basement; Domain=shop.test", "a=1; Path=/basement; Domain=shop.test"),
        ("a=1; Path=/; Domain=test", "a=1; Path=/; Domain=test"),
        ("a=1; Domain=gin.test", "a=1; Domain=gin.test"),
        ("a=1; Domain=; Domain; ;", "a=1; Domain=; Domain; ;"),
        ("path=/base; x=/base", "path=/base; x=/base"),
        ("", ""),
    ] {
        check(&own, "https://shop.test:8443", &format!("Set-Cookie: {cookie}"), &format!("Set-Cookie: {wanted}"));
    }
    let shared = "Set-Cookie: a=1; Domain=origin.test";
    check(&own, "https://shop.origin.test", shared, shared);
    check(&own, "https://", shared, "Set-Cookie: a=1");
    let preserving = Endpoint { preserves_host: true, ..own };
    check(
        &preserving,
        "http://shop.test",
        "Set-Cookie: a=1; Domain=shop.test; Path=/base",
        "Set-Cookie: a=1; Domain=shop.test; Path=/",
    );
}
