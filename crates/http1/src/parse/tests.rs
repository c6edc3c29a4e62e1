//! Tables of heads.

use super::*;

fn judge(fields: &str) -> Result<(), Refused> {
    request(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(), &HeadLimits::default())
}

fn request(bytes: &[u8], limits: &HeadLimits) -> Result<(), Refused> {
    let mut head = Head::default();
    parse_request(bytes, &mut head, limits).map(|parsed| assert_eq!(parsed, Parsed::Complete { head_len: bytes.len() }))
}

fn response(bytes: &[u8]) -> Result<u16, Refused> {
    let mut head = Head::default();
    let parsed = parse_response(bytes, &mut head, &HeadLimits::default())?;
    assert_eq!(parsed, Parsed::Complete { head_len: bytes.len() });
    Ok(head.status())
}

#[test]
fn an_honest_head_passes() {
    for fields in [
        "",
        "Content-Length: 0\r\n",
        "content-length:\t12 \r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Connection: keep-alive, Upgrade, TE, x-mine\r\nConnection: close\r\n",
        "Expect: 100-Continue\r\n",
        "X-Empty:\r\nX.Odd!#$%&'*+-^`|~9: \u{e4}\u{f6} ,;:\t\"<>\r\n",
        "Content-Length-Not: x\r\nTransfer---Encoding: chunked\r\n",
    ] {
        assert_eq!(judge(fields), Ok(()), "{fields:?}");
    }
    assert_eq!(request(b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", &HeadLimits::default()), Ok(()));
}

#[test]
fn fields_that_can_be_read_in_two_ways_are_refused() {
    use Refused as R;
    for (fields, refused) in [
        ("X-A : b\r\n", R::Field),
        ("X-A\t: b\r\n", R::Field),
        (" X-A: b\r\n", R::Field),
        ("X-A: b\r\n folded\r\n", R::Field),
        ("X-A: b\r\n\tfolded: too\r\n", R::Field),
        (": b\r\n", R::Field),
        ("no colon\r\n", R::Field),
        ("nocolon\r\n", R::Field),
        ("X-A: b\rc\r\n", R::Field),
        ("X-A: b\0c\r\n", R::Field),
        ("X-A: \x7f\r\n", R::Field),
        ("X-\u{e4}: b\r\n", R::Field),
        ("X-A: b\r\r\n", R::Field),
        ("\rX-A: b\r\n", R::Field),
        ("X-A: b\nX-B: c\r\n", R::LineEnd),
        ("X-A\nX-B: c\r\n", R::LineEnd),
        ("\nX-B: c\r\n", R::LineEnd),
        ("X_A: b\r\n", R::Underscore),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", R::Length),
        ("Content-Length: 5, 5\r\n", R::Length),
        ("Content-Length: +5\r\n", R::Length),
        ("Content-Length: -5\r\n", R::Length),
        ("Content-Length: 0x5\r\n", R::Length),
        ("Content-Length: 5 5\r\n", R::Length),
        ("Content-Length:\r\n", R::Length),
        ("Content-Length: 0000000000000000005\r\n", R::Length),
        ("Content-Length: 9999999999999999999\r\n", R::Length),
        ("Transfer-Encoding: gzip, chunked\r\n", R::Encoding),
        ("Transfer-Encoding: chunked;a\r\n", R::Encoding),
        ("Transfer-Encoding: identity\r\n", R::Encoding),
        ("Transfer-Encoding: \"chunked\"\r\n", R::Encoding),
        ("Transfer-Encoding: chunked,\r\n", R::Encoding),
        ("Transfer-Encoding:\r\n", R::Encoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", R::Encoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", R::LengthAndEncoding),
        ("Content-Length: 5\r\ntransfer-encoding: chunked\r\n", R::LengthAndEncoding),
        ("Connection: close, Host\r\n", R::Connection),
        ("Connection: X-Forwarded-Anything\r\n", R::Connection),
        ("Connection: Cookie\r\n", R::Connection),
        ("Connection: \"close\"\r\n", R::Connection),
        ("Connection: :authority\r\n", R::Connection),
        ("Connection: a,b,c,d,e\r\nConnection: f,g,h,i,j\r\n", R::Connection),
        ("Expect: 200-ok\r\n", R::Expectation),
        ("Expect: 100-continue\r\nExpect: 100-continue\r\n", R::Expectation),
        ("host: a\r\n", R::BadHost),
    ] {
        assert_eq!(judge(fields), Err(refused), "{fields:?}");
    }
}

#[test]
fn a_request_line_is_three_words_and_a_target_that_can_be_forwarded() {
    use Refused as R;
    for (line, said) in [
        ("GET / HTTP/1.1", Ok(())),
        ("get /a?b=|[{}]^`\\%zz HTTP/1.0", Ok(())),
        ("OPTIONS * HTTP/1.1", Ok(())),
        ("GET http://shop.test/a HTTP/1.1", Ok(())),
        ("CONNECT shop.test:443 HTTP/1.1", Err(R::Method)),
        ("GET * HTTP/1.1", Err(R::BadTarget)),
        ("GET ftp://shop.test/ HTTP/1.1", Err(R::BadTarget)),
        ("GET shop.test HTTP/1.1", Err(R::BadTarget)),
        ("GET /a#b HTTP/1.1", Err(R::BadTarget)),
        ("GET /\u{e4} HTTP/1.1", Err(R::BadTarget)),
        ("GET /a\tb HTTP/1.1", Err(R::BadTarget)),
        ("GET /a\rb HTTP/1.1", Err(R::BadTarget)),
        ("GET /\x01 HTTP/1.1", Err(R::BadTarget)),
        ("GET /a b HTTP/1.1", Err(R::RequestLine)),
        ("GET  / HTTP/1.1", Err(R::RequestLine)),
        (" GET / HTTP/1.1", Err(R::RequestLine)),
        ("GET / HTTP/1.1 ", Err(R::RequestLine)),
        ("GET\t/ HTTP/1.1", Err(R::RequestLine)),
        ("GET\r/ HTTP/1.1", Err(R::RequestLine)),
        ("GET", Err(R::RequestLine)),
        ("GET /", Err(R::RequestLine)),
        ("GET / HTTP/1.2", Err(R::RequestLine)),
        ("GET / HTTP/1.10", Err(R::RequestLine)),
        ("GET / HTTP/2.0", Err(R::RequestLine)),
        ("GET / http/1.1", Err(R::RequestLine)),
        ("G(T / HTTP/1.1", Err(R::RequestLine)),
        ("PRI * HTTP/2.0", Err(R::RequestLine)),
        ("PRI / HTTP/1.1", Err(R::RequestLine)),
        ("\rGET / HTTP/1.1", Err(R::RequestLine)),
        ("\nGET / HTTP/1.1", Err(R::LineEnd)),
        ("GET\n/ HTTP/1.1", Err(R::LineEnd)),
        ("GET /\nHost: a", Err(R::LineEnd)),
        ("GET / HTTP/1.1\n", Err(R::LineEnd)),
        ("GET / HTTP/1.1\nHost: a", Err(R::LineEnd)),
    ] {
        let bytes = format!("{line}\r\nHost: shop.test\r\n\r\n");
        assert_eq!(request(bytes.as_bytes(), &HeadLimits::default()), said, "{line:?}");
        let bytes = format!("\r\n\r\n{line}\r\nHost: shop.test\r\n\r\n");
        assert_eq!(request(bytes.as_bytes(), &HeadLimits::default()), said, "{line:?} behind blank lines");
    }
}

#[test]
fn a_request_names_one_host() {
    let bad = Err(Refused::BadHost);
    for (text, said) in [
        ("GET / HTTP/1.1\r\n\r\n", bad),
        ("GET / HTTP/1.0\r\n\r\n", Ok(())),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", bad),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", bad),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Ok(())),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Ok(())),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", bad),
        ("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", bad),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Refused::Encoding)),
    ] {
        assert_eq!(request(text.as_bytes(), &HeadLimits::default()), said, "{text:?}");
    }
}

#[test]
fn an_answer_is_judged_where_it_could_be_read_in_two_ways() {
    use Refused as R;
    for (text, said) in [
        ("HTTP/1.1 200 OK\r\n", Ok(200)),
        ("HTTP/1.0 404 \r\n", Ok(404)),
        ("HTTP/1.1 503\r\n", Ok(503)),
        ("HTTP/1.1 200 Gr\u{fc}n  gut\t\r\nX_A: b\r\nHost: a\r\nHost: b\r\nExpect: what\r\n", Ok(200)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n", Ok(200)),
        ("HTTP/1.1 200 OK\r\nConnection: Content-Length, \"x\"\r\nContent-Length: 3\r\n", Ok(200)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n", Err(R::Length)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n", Err(R::Length)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3,\r\n", Err(R::Length)),
        ("HTTP/1.1 200 OK\r\nContent-Length: \r\n", Err(R::Length)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", Err(R::Encoding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n", Err(R::Encoding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(R::Encoding)),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", Err(R::Encoding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", Err(R::LengthAndEncoding)),
        ("HTTP/1.1 200 OK\r\nContent-Length : 3\r\n", Err(R::Field)),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n", Err(R::Field)),
        ("HTTP/1.1 200 OK\r\nX: a\rb\r\n", Err(R::Field)),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n", Err(R::Field)),
        ("HTTP/1.1 200 OK\nX: a\r\n", Err(R::LineEnd)),
        ("HTTP/1.1 200\nX: a\r\n", Err(R::LineEnd)),
        ("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n", Err(R::LineEnd)),
        ("\r\nHTTP/1.1 200 OK\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 200 O\0K\r\n", Err(R::StatusLine)),
        ("HTTP/1.1  200 OK\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 20 OK\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 2000 OK\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 099 X\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 600 X\r\n", Err(R::StatusLine)),
        ("HTTP/1.1 +20 X\r\n", Err(R::StatusLine)),
        ("HTTP/2 200 OK\r\n", Err(R::StatusLine)),
        ("HTTP/1.2 200 OK\r\n", Err(R::StatusLine)),
        ("ICY 200 OK\r\n", Err(R::StatusLine)),
        ("http/1.1 200 OK\r\n", Err(R::StatusLine)),
    ] {
        assert_eq!(response(format!("{text}\r\n").as_bytes()), said, "{text:?}");
    }
}

#[test]
fn limits_are_met_to_the_byte() {
    let limits = HeadLimits { head_bytes: 60, fields: 2, target_bytes: 20 };
    let sized = |line: &str, fields: &str| request(format!("{line}\r\n{fields}\r\n").as_bytes(), &limits);
    assert_eq!(sized("GET /aaaaaa HTTP/1.0", "a: b\r\nc: d\r\n"), Ok(()));
    assert_eq!(sized("GET /aaaaaaa HTTP/1.0", ""), Err(Refused::LongLine));
    assert_eq!(sized("GET / HTTP/1.0", "a: b\r\nc: d\r\ne: f\r\n"), Err(Refused::ManyFields));
    let exactly = format!("a: {}\r\n", "b".repeat(60 - 16 - 5 - 2));
    assert_eq!(sized("GET / HTTP/1.0", &exactly), Ok(()));
    assert_eq!(sized("GET / HTTP/1.0", &exactly.replace("a:", "aa:")), Err(Refused::LargeHead));
    assert_eq!(request(&b"\r\n".repeat(40), &limits), Err(Refused::LargeHead));
}

#[test]
fn reading_goes_on_where_it_has_stopped() {
    let text = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
    let (mut head, whole) = (Head::default(), text.len() - 4);
    for _ in 0..2 {
        for end in 0..whole {
            assert_eq!(parse_request(&text[..end], &mut head, &HeadLimits::default()), Ok(Parsed::Partial), "{end}");
        }
        let parsed = parse_request(text, &mut head, &HeadLimits::default());
        assert_eq!((parsed, head.len()), (Ok(Parsed::Complete { head_len: whole }), 2));
    }
    // Less than before is another head.
    assert_eq!(parse_request(&text[..30], &mut head, &HeadLimits::default()), Ok(Parsed::Partial));
    assert_eq!(parse_request(b"GET /b", &mut head, &HeadLimits::default()), Ok(Parsed::Partial));
    assert!(head.is_empty());
}
