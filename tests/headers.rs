//! Heads and bodies on their way: what origins are told, what is believed, edits, what is exposed, and how long a body
//! may be.

use config::{HopHeaders, routing_text};
use http1::{Head, HeadLimits, parse_response};
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::snapshot::SentHost;
use relay::head::origin_request_id;

use crate::support::client::Client;
use crate::support::house::House;
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A house whose clients are trusted proxies.
fn trusting(hop: HopHeaders) -> House {
    House::with("", "", |settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.hop = hop;
    })
}

fn is_id(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn what_an_untrusted_client_says_of_itself_is_replaced() {
    let house = House::start("", "");
    let forged = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: bank.test",
        "Forwarded: for=6.6.6.6",
        "Cf-Visitor: {\"scheme\":\"https\"}",
        "X-Request-Id: forged",
        &format!("traceparent: {PARENT}"),
        "tracestate: rojo=1",
    ];
    let answer = house.client().get("/", &forged);
    let request = house.blue.last();
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!(request.header("forwarded"), None);
    assert_eq!(request.header("cf-visitor"), None);
    assert_eq!(request.header("via"), None, "only where it is asked for");
    assert_eq!(request.header("tracestate"), None);
    assert!(is_id(request.header("x-request-id").unwrap()));
    let parent = request.header("traceparent").unwrap();
    assert!(parent.len() == PARENT.len() && !parent.contains("4bf92f3577b34da6"), "{parent}");
    assert!(!answer.head.contains("x-request-id"), "nothing is exposed that nobody asked for");

    house.client().get("/", &[]);
    let next = house.blue.last();
    assert_ne!(next.header("x-request-id"), request.header("x-request-id"));
    assert_ne!(next.header("traceparent"), Some(parent));
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let house = trusting(HopHeaders { forwarded: true, via: true, trace_context: true });
    let lines = [
        "X-Forwarded-For: 198.51.100.7",
        "X-Real-IP: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: www.test",
        "Forwarded: for=198.51.100.7;proto=https",
        "Via: 1.1 fred",
        "X-Request-Id: 7b7c-1",
        &format!("traceparent: {PARENT}"),
        "tracestate: rojo=1,congo=2",
    ];
    house.client().get("/", &lines);
    let request = house.blue.last();
    assert_eq!(request.header("x-forwarded-for"), Some("198.51.100.7, 127.0.0.1"));
    assert_eq!(request.header("x-real-ip"), Some("198.51.100.7"), "the client, as rules see it");
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-host"), Some("www.test"));
    assert!(request.head.contains("for=127.0.0.1;proto=http;host=shop.test\r\n"), "{}", request.head);
    assert!(request.head.contains("1.1 fred\r\n") && request.head.contains("1.1 cutover\r\n"), "{}", request.head);
    assert_eq!(request.header("x-request-id"), Some("7b7c-1"));
    assert_eq!(request.header("tracestate"), Some("rojo=1,congo=2"));
    let parent = request.header("traceparent").unwrap();
    assert_eq!((parent.get(..36), parent.get(52..)), (PARENT.get(..36), Some("-01")));
    assert_ne!(parent, PARENT, "with us as the parent");

    house.client().get("/", &["X-Request-Id: two words", "traceparent: 00-nonsense-01", "tracestate: rojo=1"]);
    let request = house.blue.last();
    assert!(is_id(request.header("x-request-id").unwrap()), "what is not sane is replaced");
    assert!(request.header("traceparent").is_some_and(|parent| parent.len() == PARENT.len()));
    assert_eq!(request.header("tracestate"), None, "a state without its trace");
}

#[test]
fn trace_context_that_is_off_is_left_alone() {
    let house = House::with("", "", |settings| settings.hop.trace_context = false);
    house.client().get("/", &["traceparent: anything", "tracestate: at all"]);
    let request = house.blue.last();
    assert_eq!((request.header("traceparent"), request.header("tracestate")), (Some("anything"), Some("at all")));
    house.client().get("/", &[]);
    assert_eq!(house.blue.last().header("traceparent"), None);
}

#[test]
fn a_rescued_request_keeps_its_id_and_its_trace() {
    let house = House::start("weight = 100", "");
    house.green.always(Do::Status(503));
    assert_eq!(house.client().get("/", &[]).status, 200);
    let (failed, rescued) = (house.green.last(), house.blue.last());
    for name in ["x-request-id", "traceparent"] {
        assert!(failed.header(name).is_some());
        assert_eq!(failed.header(name), rescued.header(name), "{name}");
    }
}

const EDITS: &str = r#"
[service.shop.request_headers]
set = { X-Forwarded-Proto = "https", x-side = "service" }
remove = ["x-secret"]
[service.shop.response_headers]
set = { x-frame-options = "DENY" }
remove = ["x-origin"]
[[service.shop.route]]
name = "api"
path = "/api/*"
request_headers = { set = { x-side = "route" }, add = { x-tag = ["b", "c"] } }
response_headers = { add = { set-cookie = "seen=1" }, remove = ["x-frame-options"] }
"#;

#[test]
fn heads_are_edited_by_the_service_and_then_by_the_route() {
    let house = House::start("", EDITS);
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Origin: a\r\nX-Origin: b\r\nSet-Cookie: c=d\r\n\r\nok";
    house.blue.always(Do::Raw(raw.to_owned()));
    let mut client = house.client();
    let answer = client.get("/", &["X-Side: client", "X-Secret: 1", "x-secret: 2", "X-Tag: a"]);
    let request = house.blue.last();
    assert_eq!(request.header("x-side"), Some("service"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"), "the file has the last word");
    assert_eq!(request.header("x-secret"), None, "every line of it is gone");
    assert_eq!(request.header("x-tag"), Some("a"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("x-origin"), None);

    let answer = client.get("/api/1", &["X-Side: client", "X-Tag: a"]);
    let request = house.blue.last();
    assert_eq!(request.header("x-side"), Some("route"), "the route's after the service's");
    let tags: Vec<&str> = request.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-tag")).collect();
    assert_eq!(tags.iter().map(|line| &line[7..]).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(answer.header("x-frame-options"), None);
    assert!(answer.head.contains("c=d") && answer.head.contains("seen=1"), "{}", answer.head);

    house.blue.always(Do::Close);
    let ours = client.get("/", &[]);
    assert_eq!((ours.status, ours.header("x-frame-options")), (502, None), "our own pages are not edited");
}

#[test]
fn an_answer_names_who_served_it_only_where_the_service_exposes_it() {
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Cutover-Environment: mars\r\nX-Cutover-Version: 9\r\n\
                  X-Request-Id: theirs\r\n\r\n";
    let house = House::start("", "");
    house.blue.always(Do::Raw(forged.to_owned()));
    let answer = house.client().get("/", &[]);
    assert_eq!(answer.header("x-cutover-environment"), Some("mars"), "a header like any other");
    assert_eq!(answer.header("x-request-id"), Some("theirs"));

    let text = format!(
        "[service.shop]\nexpose = true\nblue = {{ url = \"{}\" }}\ngreen = {{ url = \"{}\", version = \"2.0.0\" }}\n\
         [service.shop.split]\nweight = 50\n",
        house.blue.url(),
        house.green.url()
    );
    std::fs::write(house.routing_path(), text).unwrap();
    house.wait_for_weight(5000);
    let mut client = house.client();
    let mut seen = [false; 2];
    for _ in 0..4 {
        let answer = client.get("/", &[]);
        let side = answer.header("x-cutover-environment").unwrap();
        let (origin, version) = if side == "green" { (&house.green, Some("2.0.0")) } else { (&house.blue, None) };
        assert_eq!(answer.header("x-cutover-version"), version, "{side}");
        assert_eq!(answer.header("x-request-id"), origin.last().header("x-request-id"));
        assert_eq!(answer.head.to_ascii_lowercase().matches("x-cutover-environment").count(), 1);
        seen[usize::from(side == "green")] = true;
    }
    assert_eq!(seen, [true; 2]);

    house.green.always(Do::Status(503));
    for _ in 0..2 {
        let answer = client.get("/", &[]);
        assert_eq!((answer.status, answer.header("x-cutover-environment")), (200, Some("blue")), "who served it");
    }
}

#[test]
fn a_preset_fills_in_what_the_file_leaves_out() {
    let services = |preset: &str, more: &str| {
        let text = format!(
            "[service.shop]\n{preset}\n{more}\nblue = {{ url = \"https://a.test\" }}\ngreen = {{ url = \"https://b.test\" }}\n"
        );
        routing_text("routing.toml", &text).unwrap().services.remove(0)
    };
    for (preset, first_byte, max_body, id) in [
        ("", 30, 10 << 20, None),
        ("preset = \"https\"", 30, 10 << 20, Some("x-request-id")),
        ("preset = \"netlify\"", 65, 6 << 20, Some("x-nf-request-id")),
        ("preset = \"lambda-url\"", 905, 6 << 20, Some("x-amzn-requestid")),
    ] {
        let service = services(preset, "");
        let timeouts = service.origins[1].timeouts;
        assert_eq!(timeouts.first_byte, Millis::seconds(first_byte), "{preset}");
        assert_eq!((timeouts.connect, timeouts.deadline), (Millis::seconds(2), Millis::seconds(60)), "{preset}");
        assert_eq!(service.terms.max_body, max_body, "{preset}");
        assert_eq!(service.terms.origin_request_id.as_ref().map(|name| name.as_str()), id, "{preset}");
        let named = services(preset, "max_body = \"1MB\"\ntimeouts = { first_byte = \"3s\" }");
        assert_eq!(named.terms.max_body, 1_000_000, "what the file names wins: {preset}");
        assert_eq!(named.origins[0].timeouts.first_byte, Millis::seconds(3), "{preset}");
    }
}

#[test]
fn the_origins_own_request_id_is_taken_from_the_header_that_the_preset_names() {
    let house = House::start("", "");
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let text = text.replacen("[service.shop]", "[service.shop]\npreset = \"netlify\"", 1);
    std::fs::write(house.routing_path(), text).unwrap();
    let serving = || house.running.published.load().services[0].clone();
    wait_until("the preset is in force", SOON, || serving().terms.origin_request_id.is_some());
    let id_of = |name: &str, value: &str| {
        let (text, mut head) = (format!("HTTP/1.1 200 OK\r\n{name}: {value}\r\n\r\n"), Head::default());
        parse_response(text.as_bytes(), &mut head, &HeadLimits::default()).unwrap();
        let id = origin_request_id(head.view(text.as_bytes()), &serving());
        id.map(|id| String::from_utf8(id.to_vec()).unwrap())
    };
    assert_eq!(id_of("X-Nf-Request-Id", "01JABC").as_deref(), Some("01JABC"));
    assert_eq!(id_of("x-amzn-requestid", "01JABC"), None);
    assert!(id_of("x-nf-request-id", &"x".repeat(128)).is_some());
    assert_eq!(id_of("x-nf-request-id", &"x".repeat(129)), None, "too long for a line of a log");
}

#[test]
fn an_origin_is_sent_the_host_that_suits_its_url_unless_the_file_names_one() {
    let sent = |service: &str, url: &str, environment: &str| {
        let text = format!(
            "[service.shop]\nhosts = [\"*.shop.test\", \"shop.test\"]\n{service}\n[service.shop.blue]\nurl = \"{url}\"\n{environment}\n\
             [service.shop.green]\nurl = \"https://green.test\"\n"
        );
        let service = routing_text("routing.toml", &text).unwrap().services.remove(0);
        let blue = &service.origins[0];
        assert_eq!(blue.service_host.as_deref(), Some("shop.test"));
        blue.sent_host(&blue.targets[0])
    };
    let named = |name: &str| SentHost::Name(name.to_owned());
    for (service, url, environment, wanted) in [
        ("", "https://next.example.com", "", SentHost::Origin),
        ("", "http://10.0.0.5:3000", "", SentHost::Preserve),
        ("", "http://[fd00::1]:3000", "", SentHost::Preserve),
        ("", "http://localhost:3000", "", SentHost::Preserve),
        ("", "http://web:3000", "", SentHost::Preserve),
        ("preset = \"https\"", "https://10.0.0.5", "", SentHost::Preserve),
        ("preset = \"netlify\"", "https://10.0.0.5", "", SentHost::Origin),
        ("preset = \"lambda-url\"", "https://10.0.0.5", "", SentHost::Origin),
        ("preset = \"netlify\"\nhost = \"preserve\"", "https://a.test", "", SentHost::Preserve),
        ("host = \"preserve\"", "https://a.test", "", SentHost::Preserve),
        ("host = \"preserve\"", "https://a.test", "host = \"origin\"", SentHost::Origin),
        ("host = \"origin\"", "http://10.0.0.5", "", SentHost::Origin),
        ("host = \"www.shop.test\"", "http://10.0.0.5", "host = \"Blue.test:81\"", named("Blue.test:81")),
        ("host = \"[::1]:81\"", "http://10.0.0.5", "", named("[::1]:81")),
        ("host = \"origin:80\"", "http://10.0.0.5", "", named("origin:80")),
    ] {
        assert_eq!(sent(service, url, environment), wanted, "{service} {url} {environment}");
    }
}

/// A house whose service takes so much.
fn house_of(max_body: &str) -> House {
    let house = House::start("weight = 0", "");
    let text = format!(
        "[service.shop]\nmax_body = {max_body}\nblue = {{ url = \"{}\" }}\ngreen = {{ url = \"{}\" }}\n\
         [service.shop.split]\nweight = 1\n",
        house.blue.url(),
        house.green.url()
    );
    std::fs::write(house.routing_path(), text).unwrap();
    house.wait_for_weight(100);
    house
}

fn refused(house: &House) -> u64 {
    house.refused("body_too_large")
}

fn chunked(client: &mut Client, chunks: &[&str]) {
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        client.send(format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
}

#[test]
fn a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not() {
    let house = house_of("\"1KiB\"");
    let (just, more) = ("x".repeat(1024), "x".repeat(1025));
    let mut client = house.client();
    assert_eq!(client.request("POST", "/", &[], &just).status, 200);
    assert_eq!(house.blue.last().body.len(), 1024);
    chunked(&mut client, &[&just[..1000], &just[1000..]]);
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().status, 200, "no length beforehand");

    let requests = house.blue.requests();
    let answer = client.request("POST", "/", &[], &more);
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(refused(&house), 1);
    assert_eq!(house.blue.requests(), requests, "no origin was asked");
    assert!(house.metrics().contains("cutover_refused_total{reason=\"body_too_large\"} 1\n"));
    assert_eq!(house.client().request("POST", "/", &["Content-Length: 99999999999999999999"], "").status / 100, 4);
}

#[test]
fn a_chunked_body_is_cut_off_and_the_origin_never_sees_its_end() {
    let house = house_of("1024");
    let mut client = house.client();
    let before = house.blue.connections();
    chunked(&mut client, &[&"x".repeat(1000)]);
    wait_until("the origin is asked", SOON, || house.blue.connections() > before);
    client.send(format!("19\r\n{}\r\n0\r\n\r\n", "y".repeat(25)));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(refused(&house), 1);
    // An origin counts what it has read to its end.
    assert_eq!(house.client().get("/", &[]).status, 200);
    assert_eq!(house.blue.requests(), 1, "only the second request was whole");
    wait_until("it counts as the client's doing", SOON, || house.seen(Environment::Blue).classes[6] == 1);
    assert_eq!(house.seen(Environment::Blue).failures.iter().sum::<u64>(), 0);
}

#[test]
fn a_client_that_sends_on_still_reads_why_it_was_refused() {
    let house = house_of("1024");
    let body = "x".repeat(4 << 20);
    let answer = house.client().request("POST", "/", &[], &body);
    assert_eq!(answer.status, 413, "with a length");
    let mut client = house.client();
    let chunk = "x".repeat(64 << 10);
    chunked(&mut client, &[chunk.as_str(); 40]);
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().status, 413, "in chunks");
    assert_eq!(refused(&house), 2);
}

#[test]
fn a_rescued_body_is_counted_once() {
    let house = house_of("1024");
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    std::fs::write(house.routing_path(), text.replace("weight = 1\n", "weight = 100\n")).unwrap();
    house.wait_for_weight(10_000);
    house.green.always(Do::Status(503));
    let answer = house.client().request("POST", "/", &["Idempotency-Key: 1"], &"x".repeat(1000));
    assert_eq!((answer.status, answer.body.as_str()), (200, "blue"), "twice a thousand bytes, and no 413");
    assert_eq!(refused(&house), 0);
    assert_eq!(house.client().request("POST", "/", &["Idempotency-Key: 2"], &"x".repeat(1025)).status, 413);
}

#[test]
fn a_service_takes_ten_mebibytes_unless_it_says_otherwise() {
    let house = House::start("", "");
    let ask = |length: u64| {
        let mut client = house.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.answer().status
    };
    assert_eq!(ask((10 << 20) + 1), 413);
    assert_eq!(house.client().request("POST", "/", &[], &"x".repeat(10 << 20)).status, 200);
    let house = house_of("\"unlimited\"");
    assert_eq!(house.client().request("POST", "/", &[], &"x".repeat(11 << 20)).status, 200);
}
