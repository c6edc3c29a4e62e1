//! Tests of heads between the two protocols.

use http1::{ChunkEvent, ChunkReader, Head, HeadLimits, Refused, parse_request, parse_response};

use super::*;
use crate::head::refusal;

/// A request as text, or why it is refused.
fn text_of(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<String, RefusalReason> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let mut out = Vec::new();
    from_http2_request(&mut out, &request.body(()).unwrap().into_parts().0)?;
    parse_request(&out, &mut Head::default(), &HeadLimits::default()).map_err(refusal)?;
    Ok(out.escape_ascii().to_string().replace("\\r\\n", "|"))
}

#[test]
fn a_request_is_written_as_text() {
    let sent = [("accept", "*/*"), ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("content-length", "5")];
    assert_eq!(
        text_of("POST", "https://shop.test:8443/a?b=c", &sent).unwrap(),
        "POST /a?b=c HTTP/1.1|host: shop.test:8443|accept: */*|te: trailers|content-length: 5|cookie: a=1; b=2||"
    );
    assert_eq!(text_of("GET", "/a", &[("host", "shop.test")]).unwrap(), "GET /a HTTP/1.1|host: shop.test||");
    assert_eq!(text_of("GET", "https://shop.test", &[]).unwrap(), "GET / HTTP/1.1|host: shop.test||");
    assert_eq!(text_of("OPTIONS", "*", &[("host", "a")]).unwrap(), "OPTIONS * HTTP/1.1|host: a||");
}

#[test]
fn a_request_names_one_host() {
    let bad = Err(RefusalReason::BadHost);
    let both = [("host", "shop.test")];
    assert_eq!(text_of("GET", "https://shop.test/", &both).unwrap(), "GET / HTTP/1.1|host: shop.test||");
    assert_eq!(text_of("GET", "https://shop.test:443/", &both), bad);
    assert_eq!(text_of("GET", "https://other.test/", &both), bad);
    assert_eq!(text_of("GET", "https://a@shop.test/", &[]), bad, "userinfo");
    assert_eq!(text_of("GET", "/", &[("host", "a"), ("host", "a")]), bad);
    assert_eq!(text_of("GET", "/", &[("host", "")]), bad);
    assert_eq!(text_of("GET", "/", &[]), bad);
}

#[test]
fn http_2_has_no_lines_but_the_same_fields() {
    use RefusalReason as R;
    let judge = |path: &str, fields: &[(&str, &str)]| text_of("GET", &format!("https://a{path}"), fields).map(drop);
    assert_eq!(judge("/a", &[("te", "trailers"), ("content-length", "5"), ("cookie", "a=b")]), Ok(()));
    for (fields, refused) in [
        (&[("connection", "close")][..], R::Connection),
        (&[("keep-alive", "timeout=5")], R::Connection),
        (&[("proxy-connection", "close")], R::Connection),
        (&[("upgrade", "websocket")], R::Connection),
        (&[("transfer-encoding", "chunked")], R::Connection),
        (&[("te", "gzip")], R::Connection),
        (&[("x_a", "b")], R::Underscore),
        (&[("content-length", "5"), ("content-length", "5")], R::Length),
        (&[("content-length", "+5")], R::Length),
        (&[("expect", "more")], R::Expectation),
    ] {
        assert_eq!(judge("/", fields), Err(refused), "{fields:?}");
    }
    assert_eq!(judge("/\u{e4}", &[]), Err(R::BadTarget));
    assert_eq!(text_of("GET", "*", &[("host", "a")]).map(drop), Err(R::BadTarget));
    assert_eq!(text_of("CONNECT", "a.test:443", &[]).map(drop), Err(R::Method));
    assert_eq!(text_of("PRI", "/", &[("host", "a")]).map(drop), Err(R::RequestLine));
}

#[test]
fn limits_are_those_of_the_parser() {
    let judge = |fields: &[(&str, &str)], limits: HeadLimits| {
        let mut request = Request::get("https://a/aaaaaaa");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut out = Vec::new();
        from_http2_request(&mut out, &request.body(()).unwrap().into_parts().0).unwrap();
        parse_request(&out, &mut Head::default(), &limits).map(drop)
    };
    let limits = HeadLimits { fields: 2, ..HeadLimits::default() };
    assert_eq!(judge(&[("a", "b")], limits), Ok(()));
    assert_eq!(judge(&[("a", "b"), ("c", "d")], limits), Err(Refused::ManyFields));
    assert_eq!(judge(&[], HeadLimits { target_bytes: 16, ..limits }), Err(Refused::LongLine));
    assert_eq!(judge(&[("a", "bbbbbbbb")], HeadLimits { head_bytes: 40, ..limits }), Err(Refused::LargeHead));
}

#[test]
fn a_written_request_is_one_of_http_2() {
    let text = b"GET /base/a?b=|c HTTP/1.1\r\nHost: origin.test:81\r\nX-Mine:  1 \r\nx-mine: 2\r\nContent-Length: 5\r\n\
        TE: trailers\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\nKeep-Alive: x\r\n\r\n";
    let request = to_http2_request(text, true).unwrap();
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_2));
    assert_eq!(request.uri().to_string(), "https://origin.test:81/base/a?b=|c");
    let fields: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(fields, [("x-mine", &b"1"[..]), ("x-mine", b"2"), ("content-length", b"5"), ("te", b"trailers")]);
    assert_eq!(to_http2_request(text, false).unwrap().uri().scheme(), Some(&Scheme::HTTP));
    let odd = to_http2_request(b"GET /<a>?`\"{|}\\^ HTTP/1.1\r\nHost: a\r\n\r\n", true).unwrap();
    assert_eq!(odd.uri().path_and_query().unwrap(), "/%3Ca%3E?%60%22%7B%7C%7D%5C%5E", "what no URI has is escaped");
    let asterisk = to_http2_request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true).unwrap();
    assert_eq!(asterisk.uri().path(), "*");
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost: a", b""] {
        assert!(to_http2_request(wrong, true).is_none(), "{}", wrong.escape_ascii());
    }
}

#[test]
fn a_response_goes_both_ways() {
    let response =
        Response::builder().status(404).header("server", "x").header("set-cookie", "a").header("set-cookie", "b");
    let response = response.header("connection", "close").header("te", "x").header("x_y", "z").body(()).unwrap();
    let mut out = Vec::new();
    from_http2_response(&mut out, &response.into_parts().0);
    assert_eq!(
        out.escape_ascii().to_string().replace("\\r\\n", "|"),
        "HTTP/1.1 404 Not Found|server: x|set-cookie: a|set-cookie: b|x_y: z||"
    );
    assert!(parse_response(&out, &mut Head::default(), &HeadLimits::default()).is_ok());
    let text = b"HTTP/1.1 200 \r\nServer: y\r\nHost: z\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let response = to_http2_response(text).unwrap();
    assert_eq!((response.status(), response.version(), response.headers().len()), (StatusCode::OK, Version::HTTP_2, 2));
    assert_eq!(
        (&response.headers()["server"], &response.headers()["host"]),
        (&"y".parse().unwrap(), &"z".parse().unwrap())
    );
    assert!(to_http2_response(b"HTTP/1.1 abc\r\n\r\n").is_none());
    let mut out = Vec::new();
    let odd = Response::builder().status(799).body(()).unwrap();
    from_http2_response(&mut out, &odd.into_parts().0);
    assert_eq!(parse_response(&out, &mut Head::default(), &HeadLimits::default()), Err(Refused::StatusLine));
}

#[test]
fn trailers_are_passed_on_if_they_may_be_any() {
    let body = b"0\r\nX-Sum: 1\r\nAuthorization: x\r\nX-Forwarded-Any: x\r\ngrpc-status: 0\r\n\r\n";
    let mut chunks = ChunkReader::default();
    assert_eq!(chunks.next(body, &mut 0), Ok(ChunkEvent::End));
    let trailers = chunks.trailers().unwrap();
    let map = trailers_to_http2(trailers, None);
    assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum", "grpc-status"]);
    let mut out = Vec::new();
    write_trailers(&mut out, trailers, None);
    assert_eq!(out, b"X-Sum: 1\r\ngrpc-status: 0\r\n");
    let mut map = map;
    for name in ["content-length", "authorization", "x-forwarded-any", "x_sum", "\"x", "transfer-encoding", "host"] {
        map.append(HeaderName::from_lowercase(name.as_bytes()).unwrap(), "1".parse().unwrap());
    }
    out.clear();
    write_http2_trailers(&mut out, &map, None);
    assert_eq!(out, b"x-sum: 1\r\ngrpc-status: 0\r\n");
    assert_eq!(http2_trailers(&map, None).keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum", "grpc-status"]);
    let sum = HeaderName::from_static("x-sum");
    let mut out = Vec::new();
    write_trailers(&mut out, trailers, Some(&sum));
    write_http2_trailers(&mut out, &map, Some(&sum));
    assert!(!out.is_empty() && !out.to_ascii_lowercase().windows(5).any(|name| name == b"x-sum"));
    for left in [trailers_to_http2(trailers, Some(&sum)), http2_trailers(&map, Some(&sum))] {
        assert_eq!(left.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"], "one is held back");
    }
}
