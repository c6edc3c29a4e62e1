//! Who serves a request, through real sockets.

use judgement::traffic::Environment;

use crate::support::client::{Client, get};
use crate::support::house::{House, shop};
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, wait_until};

#[test]
fn ten_thousand_requests_without_a_key_split_exactly() {
    let house = House::start("weight = 10", "");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let mut client = house.client();
            std::thread::spawn(move || (0..1250).filter(|_| client.get("/", &[]).body == "green").count())
        })
        .collect();
    let green: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!((996..=1004).contains(&green), "{green} of 10,000");
    assert_eq!(house.green.requests(), green as u64);
}

#[test]
fn a_sticky_cookie_pins_a_client_until_the_rollback() {
    let house = House::start("weight = 50\nsticky = { cookie = \"cutover\" }", "");
    let mut client = house.client();
    let mut pinned = Vec::new();
    for _ in 0..40 {
        let answer = client.get("/", &[]);
        let cookie = answer.header("set-cookie").expect("a new client gets a cookie").to_owned();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
        pinned.push((format!("Cookie: {}", cookie.split(';').next().unwrap()), answer.body));
    }
    for (cookie, side) in &pinned {
        let answer = client.get("/", &[cookie]);
        assert_eq!(&answer.body, side, "{cookie}");
        assert_eq!(answer.header("set-cookie"), None, "who has a cookie keeps it");
    }
    assert!(pinned.iter().any(|(_, side)| side == "green") && pinned.iter().any(|(_, side)| side == "blue"));

    house.green.always(Do::Status(500));
    wait_until("it is rolled back", SOON, || {
        client.get("/", &[]);
        house.weight() == 0
    });
    house.green.always(Do::Status(200));
    for (cookie, _) in &pinned {
        assert_eq!(client.get("/", &[cookie]).body, "blue", "not one pinned client stays");
    }
}

#[test]
fn a_sticky_cookie_has_the_attributes_that_the_file_gives_it() {
    for (attributes, set) in [
        ("", "; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"),
        (", secure = true", "; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure"),
        (
            ", domain = \".Shop.test\", path = \"/app\", max_age = \"90s\", same_site = \"strict\"",
            "; Path=/app; Domain=shop.test; Max-Age=90; HttpOnly; SameSite=Strict",
        ),
        (
            ", same_site = \"none\", partitioned = true",
            "; Path=/; Max-Age=31536000; HttpOnly; SameSite=None; Partitioned; Secure",
        ),
    ] {
        let house = House::start(&format!("weight = 50\nsticky = {{ cookie = \"side\"{attributes} }}"), "");
        let answer = house.client().get("/", &[]);
        let cookie = answer.header("set-cookie").expect("a new client gets a cookie");
        let (value, rest) = cookie.split_at(cookie.find(';').unwrap());
        assert!(value.starts_with("side=") && rest == set, "{cookie}");
    }
}

#[test]
fn a_cookie_for_one_client_is_not_set_on_an_answer_for_all() {
    let house = House::start("weight = 50\nsticky = { cookie = \"cutover\" }", "");
    let mut client = house.client();
    let mut ask = |lines: &str| {
        let answer = Do::Raw(format!("HTTP/1.1 200 OK\r\n{lines}Set-Cookie: own=1\r\nContent-Length: 2\r\n\r\nok"));
        house.blue.always(answer.clone());
        house.green.always(answer);
        let answer = client.get("/", &[]);
        let cache = answer.header("cache-control").map(str::to_owned);
        assert!(answer.head.contains("own=1"), "the origin's own cookie is its own business");
        (answer.head.contains("cutover="), cache)
    };
    for kept in [
        "Cache-Control: public, max-age=60\r\n",
        "cache-control: Public\r\n",
        "Cache-Control: max-age=31536000, immutable\r\n",
        "Cache-Control: max-age=60\r\n",
        "Cache-Control: max-age=0\r\nCache-Control: s-maxage=60\r\n",
        "Cache-Control: no-store\r\nNetlify-CDN-Cache-Control: max-age=60\r\n",
        "Date: Sat, 28 Nov 2026 00:00:00 GMT\r\nExpires: Sat, 28 Nov 2026 01:00:00 GMT\r\n",
    ] {
        let (pinned, cache) = ask(kept);
        assert!(!pinned && !cache.is_some_and(|cache| cache.contains("private")), "{kept}");
    }
    for (own, says) in [
        ("", "private"),
        ("Cache-Control: private, max-age=60\r\n", "private, max-age=60"),
        ("Cache-Control: no-store\r\n", "no-store"),
        ("Cache-Control: public, max-age=0, must-revalidate\r\n", "private, max-age=0, must-revalidate"),
        ("Cache-Control: no-cache\r\n", "private, no-cache"),
        ("Expires: 0\r\n", "private"),
    ] {
        assert_eq!(ask(own), (true, Some(says.to_owned())), "{own}");
    }
    // An answer that pins nobody goes on as it came.
    house
        .blue
        .always(Do::Raw("HTTP/1.1 200 OK\r\nCache-Control: public, max-age=0\r\nContent-Length: 0\r\n\r\n".to_owned()));
    house.write("weight = 0\nsticky = { cookie = \"cutover\" }", "");
    house.wait_for_weight(0);
    assert_eq!(client.get("/", &[]).header("cache-control"), Some("public, max-age=0"));
}

#[test]
fn the_origin_gets_its_own_host_its_base_path_and_the_clients_bytes() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let house = House::start("", "");
    let text = shop(&format!("{}/base/", blue.url()), &green.url(), "weight = 0", "");
    let text = text.replacen("[service.shop]\n", "[service.shop]\nhost = \"origin\"\n", 1);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the new origin is in force", SOON, || {
        house.client().get("/", &[]);
        blue.requests() > 0
    });
    let lines = [
        "Host: shop.test:8080",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Host: forged",
        "Connection: x-secret",
        "X-Secret: 1",
    ];
    let answer = house.client().get("/a%2fb/../c?x=%7E", &lines);
    assert_eq!(answer.body, "blue");
    let request = blue.last();
    assert_eq!(request.line(), "GET /base/a%2fb/../c?x=%7E HTTP/1.1");
    assert_eq!(request.header("host"), Some(blue.address.to_string().as_str()));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.test:8080"));
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"), "nobody is trusted by default");
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-secret"), None, "hop-by-hop");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let rule = "[[service.shop.rule]]\nclient_address = \"203.0.113.0/24\"\nto = \"green\"\noverride = true\n";
    let house = House::with("", rule, |settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let lines =
        ["X-Forwarded-For: 198.51.100.7, 203.0.113.9", "X-Forwarded-Host: www.shop.test", "X-Forwarded-Proto: https"];
    assert_eq!(house.client().get("/", &lines).body, "green");
    let request = house.green.last();
    assert_eq!(request.header("x-forwarded-for"), Some("198.51.100.7, 203.0.113.9, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-host"), Some("www.shop.test"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(house.client().get("/", &[]).body, "blue");
}

#[test]
fn an_override_reaches_green_at_weight_0_and_its_header_is_stripped() {
    let rule = "[[service.shop.rule]]\nheader = { name = \"x-canary\", equals = \"always\" }\nto = \"candidate\"\noverride = true\nstrip = true\n";
    let house = House::start("weight = 0", rule);
    assert_eq!(house.client().get("/", &["X-Canary: always"]).body, "green");
    assert_eq!(house.green.last().header("x-canary"), None);
    assert_eq!(house.client().get("/", &["X-Canary: no"]).body, "blue");
    assert_eq!(house.blue.last().header("x-canary"), Some("no"));
    let judged = house.running.counters.route("shop", "default").totals(Environment::Green);
    assert_eq!(judged.counts.answers, 0, "an override is not judged");
}

#[test]
fn what_no_service_can_read_is_refused_and_counted() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let house = House::start("", "");
    let text =
        shop(&blue.url(), &green.url(), "", "").replace("[service.shop]", "[service.shop]\nhosts = [\"shop.test\"]");
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the hosts are in force", SOON, || get(house.address(), "/", &["Host: other.test"]).status == 404);
    assert_eq!(get(house.address(), "/", &["Host: SHOP.test.:80"]).status, 200);
    assert_eq!(get(house.address(), "/%zz", &[]).status, 400);
    let mut bare = house.client();
    bare.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(bare.answer().status, 400, "no Host");
    let lines = [
        ("GET http://shop.test/x HTTP/1.1\r\nHost: shop.test", "GET /x HTTP/1.1"),
        ("GET http://shop.test/y HTTP/1.0", "GET /y HTTP/1.1"),
    ];
    for (head, line) in lines {
        let mut client = house.client();
        client.send(format!("{head}\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{head}");
        assert_eq!(blue.last().line(), line, "absolute form becomes origin-form");
    }
    for target in ["-admin/x", "?x=1", "shop.test", "ftp://shop.test/x"] {
        let mut client = house.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
        assert_eq!(client.answer().status, 400, "{target}");
    }
    let metrics = house.metrics();
    assert!(metrics.contains("cutover_refused_total{reason=\"bad_path\"} 1"), "{metrics}");
}

#[test]
fn bodies_stream_both_ways_and_connections_are_kept() {
    let house = House::start("weight = 0", "");
    house.blue.does(|request| {
        Do::Raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            request.body.len(),
            "y".repeat(request.body.len())
        ))
    });
    let mut client = house.client();
    for size in [0, 1, 1000, 100_000, 3_000_000] {
        let answer = client.request("POST", "/", &[], &"x".repeat(size));
        assert_eq!((answer.status, answer.body.len()), (200, size));
        assert!(house.blue.last().body.iter().all(|b| *b == b'x'));
    }
    assert_eq!(house.blue.connections(), 1, "one connection for five requests");
    house.blue.always(Do::Raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned(),
    ));
    assert_eq!(client.get("/", &[]).body, "abcde");
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer().body, "abcde");
    assert_eq!(client.request("HEAD", "/", &[], "").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let house = House::start("weight = 0", "");
    let mut client = house.client();
    let one = "GET /one HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    client.send(one.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(house.blue.requests(), 3);
}

#[test]
fn several_endpoints_are_taken_in_turn_and_a_dead_one_is_passed_over() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let dead = Origin::start("dead");
    let house = House::with("", "", |settings| settings.threads = 1);
    let urls = format!("urls = [\"{}\", \"{}\", \"{}\"]", one.url(), dead.url(), two.url());
    let _dead = dead.end();
    let text = shop("BLUE", &house.green.url(), "", "").replace("url = \"BLUE\"", &urls);
    std::fs::write(house.routing_path(), text).unwrap();
    wait_until("the endpoints are in force", SOON, || get(house.address(), "/", &[]).body != "blue");
    let mut client = house.client();
    let answers: Vec<String> = (0..60).map(|_| client.get("/", &[]).body).collect();
    assert!(answers.iter().all(|body| body == "one" || body == "two"), "{answers:?}");
    assert!(one.requests() >= 15 && two.requests() >= 15, "{} and {}", one.requests(), two.requests());
    let failures: u64 = house.seen(Environment::Blue).failures.iter().sum();
    assert_eq!(failures, 0, "a request that another endpoint took has not failed");
}

#[test]
fn names_are_resolved_and_a_name_that_does_not_is_a_502() {
    let origin = Origin::start("blue");
    let house = House::start("", "");
    let text = |blue: &str| shop(blue, &house.green.url(), "weight = 0", "");
    std::fs::write(house.routing_path(), text(&format!("http://localhost:{}", origin.address.port()))).unwrap();
    wait_until("localhost is in force", SOON, || {
        let answer = get(house.address(), "/", &[]);
        assert_eq!(answer.status, 200, "every address of the name is tried");
        origin.requests() > 0
    });
    std::fs::write(house.routing_path(), text("http://no-such-name.invalid")).unwrap();
    wait_until("the name that does not resolve is in force", SOON, || get(house.address(), "/", &[]).status == 502);
    assert!(house.metrics().contains("cutover_resolve_errors_total"), "counted");
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answer() {
    let house = House::with("weight = 0", "", |settings| settings.limits.half_close = true);
    house.blue.always(Do::Slow(std::time::Duration::from_millis(100)));
    let mut client: Client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.finish_sending();
    assert_eq!(client.answer().body, "blue");
}

#[test]
fn an_answer_that_comes_in_pieces_goes_on_in_pieces() {
    let house = House::start("weight = 0", "");
    // The origin says a first piece and then nothing: who waits for the rest waits for ever.
    house.blue.always(Do::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_owned()));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("first");
    house.blue.always(Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst".to_owned()));
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("first");
}

#[test]
fn a_request_without_host_is_refused_even_by_a_catch_all() {
    let house = House::start("weight = 0", "");
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    let mut old = house.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer().status, 200, "HTTP/1.0 does without");
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let house = House::start("weight = 0", "");
    house
        .blue
        .always(Do::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned()));
    let mut client = house.client();
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.header("transfer-encoding"), answer.body.as_str()), (None, "hello"));
}

#[test]
fn an_endpoint_that_rests_is_still_asked_when_the_others_fail() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let house = House::with("", "", |settings| settings.threads = 1);
    let first = one.address;
    let urls = format!("urls = [\"{}\", \"{}\"]", one.url(), two.url());
    std::fs::write(house.routing_path(), shop("BLUE", &house.green.url(), "", "").replace("url = \"BLUE\"", &urls))
        .unwrap();
    let gone = one.end();
    wait_until("the first one rests", SOON, || get(house.address(), "/", &[]).body == "two");
    (0..4).for_each(|_| assert_eq!(get(house.address(), "/", &[]).body, "two"));
    drop(gone);
    let _one = Origin::start_on("one", first);
    let _two = two.end();
    assert!(
        (0..4).all(|_| get(house.address(), "/", &[]).body == "one"),
        "resting or not, it is the one that is there"
    );
}

#[test]
fn two_rules_with_a_share_each_split_exactly() {
    let rules = "[[service.shop.rule]]\npath = \"/x*\"\ncandidate = 50\n[[service.shop.rule]]\npath = \"/y*\"\ncandidate = 25\n";
    let house = House::with("weight = 1", rules, |settings| settings.threads = 1);
    let mut client = house.client();
    let green: Vec<bool> = (0..400).map(|n| client.get(["/x", "/y"][n % 2], &[]).body == "green").collect();
    let of = |rule: usize| green.iter().skip(rule).step_by(2).filter(|green| **green).count();
    assert!((99..=101).contains(&of(0)) && (49..=51).contains(&of(1)), "{} and {}", of(0), of(1));
}
