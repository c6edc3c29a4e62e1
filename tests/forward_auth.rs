//! Requests that go on only if another service says so.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use judgement::traffic::Environment;
use memory::counters::ForwardAuthOutcome;

use crate::support::h2::H2Origin;
use crate::support::h2_client::H2Client;
use crate::support::house::{House, shop};
use crate::support::origin::{Do, Origin, RUNTIME};
use crate::support::tls::{Certificate, serving};
use crate::support::{SOON, wait_until};

/// Which of an auth service's headers origins are sent.
const COPIED: &str = "response_headers = [\"remote-user\", \"x-auth-*\"]";
const SPOOFED: [&str; 4] = ["Remote-User: root", "remote-user: root", "X-AUTH-Role: admin", "Cookie: session=1"];

fn asks(url: &str, more: &str) -> String {
    format!("forward_auth = {{ url = \"{url}/verify?x=1\", {more} }}")
}

/// An auth service that lets Ann in.
fn lets_ann_in() -> Origin {
    let auth = Origin::start("auth");
    auth.always(answer("200 OK", "Remote-User: ann\r\nX-Auth-Groups: a\r\nX-Auth-Groups: b\r\nX-Other: no\r\n", "yes"));
    auth
}

fn answer(status: &str, lines: &str, body: &str) -> Do {
    Do::Raw(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// A house whose service asks this auth service.
fn house(auth: &Origin, more: &str, rest: &str) -> House {
    let house = House::start("", rest);
    house.set(&asks(&auth.url(), more));
    house
}

fn counted(house: &House, outcome: ForwardAuthOutcome) -> u64 {
    house.running.counters.auth_answers("shop").counted(outcome)
}

fn own_answer(house: &House, answer: &str) -> u64 {
    let line = format!("cutover_own_answers_total{{service=\"shop\",route=\"default\",answer=\"{answer}\"}} ");
    let metrics = house.metrics();
    metrics.lines().find_map(|own| own.strip_prefix(&line)).unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// Of both environments: what was answered, and what has failed.
fn judged(house: &House) -> (u64, u64) {
    let route = house.running.counters.route("shop", "default");
    let [blue, green] = Environment::BOTH.map(|side| route.totals(side).counts);
    (blue.answers + green.answers, blue.failed + green.failed)
}

/// Every header of this name that the origin's last request had.
fn all(origin: &Origin, name: &str) -> Vec<String> {
    let head = origin.last().head;
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn what_the_auth_service_says_goes_on_and_what_a_client_says_in_its_place_does_not() {
    let auth = lets_ann_in();
    let house = house(&auth, COPIED, "");
    let second = H2Client::to(house.address());
    let mut first = house.client();
    for protocol in ["1.1", "2"] {
        let status = match protocol {
            "2" => second.get("/cart?a=%20b", &SPOOFED).status,
            _ => first.get("/cart?a=%20b", &SPOOFED).status,
        };
        assert_eq!(status, 200, "HTTP/{protocol}");
        assert_eq!(all(&house.blue, "remote-user"), ["ann"]);
        assert_eq!(all(&house.blue, "x-auth-groups"), ["a", "b"]);
        assert!(all(&house.blue, "x-auth-role").is_empty() && all(&house.blue, "x-other").is_empty());
        let asked = auth.last();
        assert_eq!(asked.line(), "GET /verify?x=1 HTTP/1.1");
        for (name, value) in [
            ("host", auth.address.to_string().as_str()),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop.test"),
            ("x-forwarded-uri", "/cart?a=%20b"),
            ("x-forwarded-for", "127.0.0.1"),
            ("cookie", "session=1"),
        ] {
            assert_eq!(asked.header(name), Some(value), "{name} over HTTP/{protocol}");
        }
        assert_eq!(asked.header("remote-user"), None, "the auth service is not to believe it either");
    }
    // An answer that says nothing of it removes it all the same.
    auth.always(answer("204 No Content", "", ""));
    assert_eq!(first.get("/", &SPOOFED).status, 200);
    assert!(all(&house.blue, "remote-user").is_empty() && all(&house.blue, "x-auth-role").is_empty());
    assert_eq!(counted(&house, ForwardAuthOutcome::Allowed), 3);
    let metrics = house.metrics();
    assert!(metrics.contains("cutover_forward_auth_total{service=\"shop\",outcome=\"allowed\"} 3"), "{metrics}");
    assert!(metrics.contains("cutover_forward_auth_duration_seconds_count{service=\"shop\"} 3"), "{metrics}");
}

#[test]
fn connections_to_the_auth_service_are_kept() {
    let auth = lets_ann_in();
    let house = House::with("", "", |settings| settings.threads = 1);
    house.set(&asks(&auth.url(), ""));
    let mut client = house.client();
    (0..20).for_each(|_| assert_eq!(client.get("/", &[]).status, 200));
    assert_eq!((auth.requests(), auth.connections()), (20, 1));
    // One that it closes at the same time is no failure.
    auth.does(|_| Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()));
    (0..20).for_each(|_| assert_eq!(client.get("/", &[]).status, 200));
}

#[test]
fn any_other_answer_is_the_clients_and_no_environment_has_a_part_in_it() {
    let auth = Origin::start("auth");
    let house = house(&auth, COPIED, "");
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    auth.always(answer(
        "401 Unauthorized",
        "WWW-Authenticate: Basic realm=\"shop\"\r\nContent-Type: text/html\r\nX-Inner: secret\r\nServer: inner\r\n",
        "<h1>who?</h1>",
    ));
    let denied = first.get("/a", &[]);
    assert_eq!((denied.status, denied.body.as_str()), (401, "<h1>who?</h1>"));
    assert_eq!(denied.header("www-authenticate"), Some("Basic realm=\"shop\""));
    assert_eq!(denied.header("content-type"), Some("text/html"));
    assert_eq!(denied.header("cache-control"), Some("no-store"));
    assert_eq!((denied.header("x-inner"), denied.header("server")), (None, None));
    let denied = second.get("/a", &[]);
    assert_eq!((denied.status, denied.body.as_str()), (401, "<h1>who?</h1>"));
    assert_eq!(denied.header("www-authenticate"), Some("Basic realm=\"shop\""));
    auth.always(answer(
        "302 Found",
        "Location: https://login.test/?rd=%2Fa\r\nSet-Cookie: a=1; HttpOnly\r\nSet-Cookie: b=2\r\nCache-Control: private\r\n",
        "",
    ));
    let sent = first.get("/a", &[]);
    assert_eq!((sent.status, sent.header("location")), (302, Some("https://login.test/?rd=%2Fa")));
    assert_eq!(sent.head.matches("Set-Cookie").count() + sent.head.matches("set-cookie").count(), 2, "{}", sent.head);
    assert_eq!(sent.header("cache-control"), Some("private"));
    let sent = second.get("/a", &[]);
    assert_eq!((sent.status, sent.headers.get_all("set-cookie").iter().count()), (302, 2));
    auth.always(answer("403 Forbidden", "", "no"));
    assert_eq!(first.request("HEAD", "/a", &[], "").status, 403);
    assert_eq!(auth.last().header("x-forwarded-method"), Some("HEAD"));
    assert_eq!(
        first.request("OPTIONS", "/a", &["Origin: https://a.test"], "").status,
        403,
        "a preflight is asked for too"
    );
    assert_eq!(house.blue.requests() + house.green.requests(), 0);
    assert_eq!(judged(&house), (0, 0));
    assert_eq!(counted(&house, ForwardAuthOutcome::Denied), 6);
    assert_eq!((own_answer(&house, "forward_auth_denied"), own_answer(&house, "forward_auth_failed")), (6, 0));
    assert_eq!(house.refused("forward_auth_denied"), 6);
}

/// An address where nobody listens.
fn nobody() -> (socket2::Socket, String) {
    let gone = Origin::start("gone");
    let url = gone.url();
    (gone.end(), url)
}

#[test]
fn no_answer_lets_nobody_in() {
    let auth = Origin::start("auth");
    let house = house(&auth, "timeout = \"300ms\"", "");
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    let closed = |status: u16, body: &str| {
        assert_eq!((status, body), (503, "503 cannot check whether this request is allowed\n"));
    };
    auth.always(Do::Hang);
    let began = Instant::now();
    let failed = first.get("/", &[]);
    closed(failed.status, &failed.body);
    let took = began.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&took), "{took:?}");
    let failed = second.get("/", &[]);
    closed(failed.status, &failed.body);
    assert_eq!(counted(&house, ForwardAuthOutcome::Timeout), 2);
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "x".repeat(10));
    let invalid = [
        Do::Raw("what is this?\r\n\r\n".to_owned()),
        Do::Raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned()),
        Do::RawAndClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned()),
        Do::Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned()),
        Do::Close,
        Do::Reset,
        answer("401 Unauthorized", "", &"x".repeat((64 << 10) + 1)),
        answer("304 Not Modified", "", ""),
        answer("999 Nonsense", "", ""),
    ];
    for (place, what) in invalid.iter().enumerate() {
        auth.always(what.clone());
        let failed = first.get("/", &[]);
        assert_eq!(failed.status, 503, "{what:?}");
        closed(failed.status, &failed.body);
        assert_eq!(counted(&house, ForwardAuthOutcome::Invalid), place as u64 + 1, "{what:?}");
    }
    // A slow body is no whole answer; a long one of a 2xx does not matter.
    auth.always(Do::Dribble(whole, 5, Duration::from_secs(2)));
    assert_eq!(first.get("/", &[]).status, 503);
    assert_eq!((house.blue.requests(), judged(&house)), (0, (0, 0)));
    auth.always(answer("200 OK", "", &"x".repeat(1 << 20)));
    assert_eq!(first.get("/", &[]).status, 200);
    let (_port, url) = nobody();
    let before = house.running.published.load().generation;
    let text = shop(&house.blue.url(), &house.green.url(), "", "");
    std::fs::write(house.dir.path().join("sorry.html"), "<h1>sorry</h1>").unwrap();
    let keys = format!("[service.shop]\nerror_pages = {{ 503 = \"sorry.html\" }}\n{}\n", asks(&url, ""));
    std::fs::write(house.routing_path(), text.replacen("[service.shop]\n", &keys, 1)).unwrap();
    wait_until("another auth service is in force", SOON, || house.running.published.load().generation > before);
    let failed = first.get("/", &[]);
    assert_eq!((failed.status, failed.body.as_str()), (503, "<h1>sorry</h1>"));
    assert_eq!(counted(&house, ForwardAuthOutcome::Unreachable), 1);
    assert_eq!(own_answer(&house, "forward_auth_failed"), 13);
    assert_eq!(house.blue.requests(), 1);
}

#[test]
fn a_body_waits_and_is_whole_and_a_rescue_says_the_same_again() {
    let auth = lets_ann_in();
    auth.does(|_| Do::Slow(Duration::from_millis(50)));
    let house = House::start("weight = 100", "");
    house.set(&asks(&auth.url(), COPIED));
    let (mut first, second) = (house.client(), H2Client::to(house.address()));
    let body = "x".repeat(300_000);
    assert_eq!(first.request("POST", "/", &[], &body).status, 200);
    assert_eq!(house.green.last().body.len(), body.len());
    assert_eq!((auth.last().body.len(), auth.last().header("content-length")), (0, None));
    assert_eq!(second.request("POST", "/", &[], "a body").status, 200);
    assert_eq!((auth.last().header("x-forwarded-method"), auth.last().header("content-length")), (Some("POST"), None));
    first.send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    first.send("hello");
    assert_eq!(first.answer().status, 200);
    assert_eq!(house.green.last().body, b"hello");
    auth.always(answer("200 OK", "Remote-User: ann\r\n", ""));
    house.green.always(Do::Close);
    let answered = first.request("POST", "/", &["Idempotency-Key: 1", "Remote-User: root"], "again");
    assert_eq!((answered.status, answered.body.as_str()), (200, "blue"));
    assert_eq!(
        (all(&house.green, "remote-user"), all(&house.blue, "remote-user")),
        (vec!["ann".to_owned()], vec!["ann".to_owned()])
    );
    assert_eq!(house.blue.last().body, b"again");
    // Who is not let in need not send the body.
    auth.always(answer("401 Unauthorized", "", "no"));
    first.send("POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let denied = first.answer();
    assert_eq!((denied.status, denied.header("connection")), (401, Some("close")));
    assert_eq!(second.request("POST", "/", &[], &body).status, 401);
}

#[test]
fn what_comes_behind_a_body_cannot_say_who_the_client_is() {
    let auth = lets_ann_in();
    let house = house(&auth, COPIED, "");
    let mut client = house.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRemote-User: root\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let body = String::from_utf8(house.blue.last().body).unwrap();
    assert!(body.contains("ok") && !body.to_lowercase().contains("remote-user"), "{body}");
}

#[test]
fn a_websocket_is_asked_for_too() {
    let auth = lets_ann_in();
    let house = house(&auth, &format!("{COPIED}, request_headers = [\"cookie\"]"), "");
    house.set("websocket = true");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    house.blue.always(Do::Raw(switch.to_owned()));
    let ask =
        "GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nRemote-User: root\r\n\r\n";
    let mut client = house.client();
    client.send(ask);
    client.wait_for("hello");
    assert_eq!(
        (all(&house.blue, "remote-user"), all(&house.blue, "upgrade")),
        (vec!["ann".to_owned()], vec!["websocket".to_owned()])
    );
    assert_eq!((auth.last().header("upgrade"), auth.last().header("x-forwarded-uri")), (None, Some("/ws")));
    auth.always(answer("401 Unauthorized", "", "no"));
    let mut client = house.client();
    client.send(ask);
    assert_eq!(client.answer().status, 401);
    assert_eq!(house.blue.requests(), 1);
}

#[test]
fn a_route_asks_another_one_or_nobody_and_a_reload_changes_whom() {
    let (auth, other, new) = (lets_ann_in(), Origin::start("other"), Origin::start("new"));
    let public = "[[service.shop.route]]\nname = \"public\"\npath = \"/public/*\"\nforward_auth = \"none\"\n";
    let own = format!("[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\n{}\n", asks(&other.url(), ""));
    let house = house(&auth, "", &format!("{public}{own}"));
    let mut client = house.client();
    let mut get = |path: &str| client.get(path, &["Remote-User: me"]).status;
    assert_eq!([get("/"), get("/public/a"), get("/api/a"), get("/public/../x")], [200; 4]);
    assert_eq!((auth.requests(), other.requests()), (2, 1));
    assert_eq!(house.blue.last().header("remote-user"), Some("me"), "no header is the auth service's to say");
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let before = house.running.published.load().generation;
    new.always(answer("403 Forbidden", "", "no"));
    std::fs::write(house.routing_path(), text.replace(&auth.url(), &new.url())).unwrap();
    wait_until("the new one is in force", SOON, || house.running.published.load().generation > before);
    assert_eq!([get("/"), get("/public/a"), get("/api/a")], [403, 200, 200]);
    assert_eq!((auth.requests(), other.requests(), new.requests()), (2, 2, 1));
}

#[test]
fn a_request_that_was_let_in_by_an_old_file_is_asked_for_again() {
    let (auth, new) = (lets_ann_in(), Origin::start("new"));
    let (open, opened) = tokio::sync::watch::channel(false);
    auth.always(Do::When(opened));
    new.always(answer("403 Forbidden", "", "no"));
    let house = house(&auth, "timeout = \"20s\"", "");
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("it is asked for", SOON, || auth.requests() == 1);
    let text = std::fs::read_to_string(house.routing_path()).unwrap();
    let before = house.running.published.load().generation;
    std::fs::write(house.routing_path(), text.replace(&auth.url(), &new.url())).unwrap();
    wait_until("the new one is in force", SOON, || house.running.published.load().generation > before);
    open.send(true).unwrap();
    assert_eq!(client.answer().status, 403);
    assert_eq!((new.requests(), house.blue.requests()), (1, 0));
}

#[test]
fn what_a_route_answers_itself_is_not_asked_for_and_is_counted_once() {
    let auth = lets_ann_in();
    let limit = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\nrate_limit = { requests = 2, per = \"1h\" }\n\
                 [[service.shop.route]]\nname = \"old\"\npath = \"/old\"\nredirect = { to = \"/new\" }\n";
    let house = house(&auth, "", limit);
    let mut client = house.client();
    let mut get = |path: &str| client.get(path, &[]).status;
    assert_eq!([get("/api/"), get("/api/"), get("/api/"), get("/old")], [200, 200, 429, 302]);
    assert_eq!(auth.requests(), 2);
}

#[test]
fn a_client_that_leaves_ends_the_question() {
    let auth = Origin::start("auth");
    auth.always(Do::Hang);
    let house = house(&auth, "timeout = \"1m\"", "");
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    wait_until("it is asked for", SOON, || auth.requests() == 1);
    client.reset();
    wait_until("it is over", SOON, || counted(&house, ForwardAuthOutcome::Aborted) == 1);
    let second = H2Client::to(house.address());
    let asked = RUNTIME.spawn(async move { second.ask("GET", "/", &[], "").await.map(|answer| answer.status) });
    wait_until("it is asked for", SOON, || auth.requests() == 2);
    asked.abort();
    wait_until("it is over", SOON, || counted(&house, ForwardAuthOutcome::Aborted) == 2);
    assert_eq!((own_answer(&house, "forward_auth_failed"), judged(&house)), (0, (0, 0)));
}

#[test]
fn what_the_auth_service_takes_is_no_environments_time() {
    let auth = Origin::start("auth");
    auth.always(Do::Slow(Duration::from_millis(700)));
    let house = house(&auth, "", "");
    assert_eq!(house.client().get("/", &[]).status, 200);
    wait_until("it is judged", SOON, || judged(&house) == (1, 0));
    let route = house.running.counters.route("shop", "default").seen(Environment::Blue).unwrap();
    assert!(route.request.sum_micros < 400_000 && route.upstream.sum_micros < 400_000, "{:?}", route.request);
    assert!(house.running.counters.auth_answers("shop").latency().sum_micros >= 700_000);
}

#[test]
fn an_auth_service_may_speak_tls_and_http_2() {
    let certificate = Certificate::of(&["127.0.0.1"]);
    let auth = H2Origin::tls(serving(&certificate, &["h2", "http/1.1"], None));
    auth.does(|mut exchange| async move { exchange.say(401, "who?") });
    let house = House::start("", "");
    std::fs::write(house.dir.path().join("auth-ca.pem"), &certificate.pem).unwrap();
    house.set(&asks(&auth.url(), "ca_file = \"auth-ca.pem\""));
    let mut client = house.client();
    let denied = client.get("/", &[]);
    assert_eq!((denied.status, denied.body.as_str()), (401, "who?"));
    auth.does(|mut exchange| async move { exchange.say(200, "") });
    assert_eq!(client.get("/", &[]).status, 200);
    let trusted = std::fs::read_to_string(house.routing_path()).unwrap();
    let before = house.running.published.load().generation;
    std::fs::write(house.routing_path(), trusted.replace("ca_file = \"auth-ca.pem\"", "")).unwrap();
    wait_until("it is not trusted any more", SOON, || house.running.published.load().generation > before);
    assert_eq!(client.get("/", &[]).status, 503);
    assert_eq!(counted(&house, ForwardAuthOutcome::Unreachable), 1);
}

#[test]
fn copies_for_the_candidate_say_the_same() {
    let auth = lets_ann_in();
    let house = House::start("weight = 0", "[service.shop.mirror]\nshare = 100");
    house.set(&asks(&auth.url(), COPIED));
    let mut client = house.client();
    wait_until("a copy has come", SOON, || {
        assert_eq!(client.get("/", &SPOOFED).status, 200);
        house.green.requests() > 0
    });
    assert_eq!(all(&house.green, "remote-user"), ["ann"]);
    assert!(all(&house.green, "x-auth-role").is_empty());
}

#[test]
fn where_clouds_keep_secrets_nobody_is_asked() {
    let house = House::start("", "");
    house.set("forward_auth = { url = \"http://169.254.169.254/latest\" }");
    let began = Instant::now();
    assert_eq!(house.client().get("/", &[]).status, 503);
    assert!(began.elapsed() < Duration::from_secs(1), "nothing was tried");
    assert_eq!(counted(&house, ForwardAuthOutcome::Unreachable), 1);
}

/// Ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx that asks for a password, and says who has given it.
fn nginx(dir: &std::path::Path) -> (Nginx, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen {address}; location = /verify {{ \
         auth_basic shop; auth_basic_user_file {0}/users; add_header Remote-User $remote_user; \
         try_files /none @yes; }} location @yes {{ add_header Remote-User $remote_user; return 204; }} }} }}",
        dir.display(),
    );
    std::fs::write(dir.join("users"), "ann:{PLAIN}secret\n").unwrap();
    std::fs::write(dir.join("nginx.conf"), text).unwrap();
    let child = Command::new("nginx").arg("-c").arg(dir.join("nginx.conf")).stderr(Stdio::null()).spawn();
    let running = Nginx(child.expect("nginx is installed: .ci/setup does it"));
    wait_until("nginx listens", SOON, || TcpStream::connect(address).is_ok());
    (running, address)
}

#[test]
#[ignore = "needs nginx: .ci/setup installs it"]
fn nginx_asks_for_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let (_nginx, address) = nginx(dir.path());
    let house = House::start("", "");
    house.set(&asks(&format!("http://{address}"), COPIED));
    let mut client = house.client();
    for _ in 0..3 {
        let denied = client.get("/a", &["Remote-User: root"]);
        assert_eq!((denied.status, denied.header("www-authenticate")), (401, Some("Basic realm=\"shop\"")));
        assert!(denied.body.contains("401 Authorization Required"), "{}", denied.body);
        let answered =
            client.get("/a", &["Authorization: Basic YW5uOnNlY3JldA==", "Remote-User: root", "If-None-Match: *"]);
        assert_eq!(answered.status, 200, "{}", answered.body);
        assert_eq!(all(&house.blue, "remote-user"), ["ann"]);
    }
    let second = H2Client::to(house.address());
    assert_eq!(second.request("POST", "/a", &["authorization: Basic YW5uOnNlY3JldA=="], "body").status, 200);
    assert!(String::from_utf8(house.blue.last().body).unwrap().contains("body"));
    assert_eq!(second.request("POST", "/a", &["authorization: Basic YW5uOm5v"], "body").status, 401);
}
