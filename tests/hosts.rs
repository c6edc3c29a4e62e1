//! By which host an origin is asked, and that its clients stay at the front, whatever the origin calls itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::{Request, Response};

use crate::support::front::{Front, NOBODY, block_on, routing};
use crate::support::h2::H2Origin;
use crate::support::house::House;
use crate::support::origin::{Do, Origin};
use crate::support::tls::H2Answer;
use crate::support::{SOON, wait_until};

/// Over TLS and HTTP/2.
fn ask(front: &Front, mut request: Request<()>, body: &str) -> H2Answer {
    // As a browser does: a server of WSGI knows no chunks.
    request.headers_mut().insert("content-length", body.len().into());
    let body: Vec<Bytes> =
        Some(body).filter(|body| !body.is_empty()).map(|body| body.to_owned().into()).into_iter().collect();
    block_on(async { front.client().await.request(request, &body).await.unwrap() })
}

fn get(front: &Front, path: &str) -> H2Answer {
    ask(front, Request::get(format!("https://shop.test{path}")).body(()).unwrap(), "")
}

fn header<'a>(answer: &'a H2Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn a_redirect_and_its_cookie_lead_to_the_front_over_both_versions_of_http() {
    let heads = |host: &str| {
        let domain = host.split(':').next().unwrap();
        [
            ("x-asked", host.to_owned()),
            ("location", format!("http://{host}/base/a?b")),
            ("refresh", format!("5; url='http://{host}/base/'")),
            ("set-cookie", format!("a=1; Domain={domain}; Path=/base; HttpOnly")),
        ]
    };
    let (first, second) = (Origin::start("first"), H2Origin::clear());
    first.does(move |request| {
        let lines = heads(request.header("host").unwrap()).map(|(name, value)| format!("{name}: {value}\r\n"));
        Do::Raw(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{}\r\n", lines.concat()))
    });
    second.does(move |mut exchange| async move {
        let asked = exchange.request.uri().authority().unwrap().to_string();
        let head = heads(&asked)
            .into_iter()
            .fold(Response::builder().status(302), |head, (name, value)| head.header(name, value));
        exchange.answer.send_response(head.body(()).unwrap(), true).unwrap();
    });
    for (url, more) in [(first.url(), ""), (second.url(), "h2 = \"only\"")] {
        let own = url.strip_prefix("http://").unwrap();
        for (host, asked, cookie) in [
            ("origin", own, "a=1; Path=/; HttpOnly"),
            ("www.origin.test:81", "www.origin.test:81", "a=1; Path=/; HttpOnly"),
            ("preserve", "shop.test", "a=1; Domain=shop.test; Path=/; HttpOnly"),
        ] {
            let front =
                Front::start(&routing(&format!("url = \"{url}/base\"\nhost = \"{host}\"\n{more}"), NOBODY, ""), &[]);
            let plain = front.house.client().get("/x", &[]);
            let said =
                ["x-asked", "location", "refresh", "set-cookie"].map(|name| plain.header(name).unwrap_or_default());
            assert_eq!(said, [asked, "http://shop.test/a?b", "5; url='http://shop.test/'", cookie], "{host} {more}");
            let secure = get(&front, "/x");
            let said = ["x-asked", "location", "refresh", "set-cookie"].map(|name| header(&secure, name));
            assert_eq!(said, [asked, "https://shop.test/a?b", "5; url='https://shop.test/'", cookie], "{host} {more}");
        }
    }
    assert!(first.last().line().starts_with("GET /base/x "));
    assert_eq!(first.last().header("x-forwarded-host"), Some("shop.test"));
}

#[test]
fn the_scheme_of_the_front_is_what_a_trusted_proxy_says() {
    let house = House::with("", "", |settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let text = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://shop.test/a\r\n\r\n";
    house.blue.always(Do::Raw(text.to_owned()));
    let answer = house.client().get("/", &["X-Forwarded-Proto: https"]);
    assert_eq!(answer.header("location"), Some("https://shop.test/a"));
}

#[test]
fn a_request_without_a_host_names_the_origins_own() {
    let house = House::start("", "");
    let mut client = house.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(house.blue.last().header("host"), house.blue.url().strip_prefix("http://"));
    client = house.client();
    client.get("/", &["Host: Shop.Test:8080"]);
    assert_eq!(house.blue.last().header("host"), Some("Shop.Test:8080"), "as it was sent");
}

#[test]
fn another_host_needs_no_other_connection() {
    let house = House::start("", "");
    let mut client = house.client();
    client.get("/", &[]);
    for (line, host) in [("host = \"www.a.test\"", "www.a.test"), ("hosts = \"shop.test\"", "www.a.test")] {
        house.set(line);
        client.get("/", &[]);
        assert_eq!(house.blue.last().header("host"), Some(host));
    }
    assert_eq!(house.blue.connections(), 1);
}

#[test]
fn a_health_check_asks_by_the_services_first_host_where_clients_hosts_are_preserved() {
    let house = House::start("", "[[service.shop.health]]\nhttp = {}\ninterval = \"100ms\"\n");
    let is_asked = |host: &str| house.blue.all().iter().any(|request| request.header("host") == Some(host));
    wait_until("a check names the origin", SOON, || is_asked(house.blue.url().strip_prefix("http://").unwrap()));
    house.set("hosts = [\"*.shop.test\", \"shop.test\"]");
    wait_until("a check names the service", SOON, || is_asked("shop.test"));
    house.set("host = \"www.a.test\"");
    wait_until("a check names what the file says", SOON, || is_asked("www.a.test"));
}

/// A server on one port. Ended when dropped.
struct Server {
    child: Child,
    port: u16,
    _dir: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// nginx with a folder `base/app` and a file `base/a.txt`, which can be moved.
fn nginx() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::create_dir_all(dir.path().join("www/base/app")).unwrap();
    std::fs::write(dir.path().join("www/base/a.txt"), "a").unwrap();
    let conf = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{ }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen 127.0.0.1:{port}; root {0}/www; \
         location / {{ dav_methods MOVE; }} }} }}",
        dir.path().display()
    );
    std::fs::write(dir.path().join("nginx.conf"), conf).unwrap();
    let child = Command::new("nginx").arg("-c").arg(dir.path().join("nginx.conf")).stderr(Stdio::null()).spawn();
    let child = child.expect("nginx is installed: .ci/setup does it");
    wait_until("nginx listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Server { child, port, _dir: Some(dir) }
}

#[test]
#[ignore = "needs nginx: .ci/setup installs it"]
fn a_folder_of_nginx_is_redirected_to_and_a_file_of_it_moved_at_the_front() {
    for host in ["origin", "preserve", "www.example.test"] {
        let nginx = nginx();
        let url = format!("url = \"http://127.0.0.1:{}/base\"\nhost = \"{host}\"", nginx.port);
        let front = Front::start(&routing(&url, NOBODY, ""), &[]);
        let plain = front.house.client().get("/app", &["Host: shop.test:8080"]);
        assert_eq!((plain.status, plain.header("location")), (301, Some("http://shop.test:8080/app/")), "{host}");
        let secure = get(&front, "/app");
        assert_eq!((secure.status, header(&secure, "location")), (301, "https://shop.test/app/"), "{host}");
        let mut moved = front.house.client();
        assert_eq!(moved.request("MOVE", "/a.txt", &["Destination: http://shop.test/b.txt"], "").status, 204, "{host}");
        let request = Request::builder().method("MOVE").uri("https://shop.test/b.txt");
        let request = request.header("destination", "https://shop.test/c.txt").body(()).unwrap();
        assert_eq!(ask(&front, request, "").status, 204, "{host}");
        assert_eq!(get(&front, "/c.txt").body, b"a", "{host}");
    }
}

/// Where `.ci/setup` puts Python with Django.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-venv/bin/python");

fn django(host_from: &str) -> Server {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/django_site.py");
    let child = Command::new(PYTHON).args([script, host_from]).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("Django is installed: .ci/setup does it");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().expect("it says its port");
    Server { child, port, _dir: None }
}

#[test]
#[ignore = "needs Django: .ci/setup installs it"]
fn forms_and_password_resets_of_django_work_behind_a_front_that_ends_tls() {
    for (host, host_from) in [("preserve", "host"), ("origin", "x-forwarded-host"), ("preserve", "x-forwarded-host")] {
        let site = django(host_from);
        let url = format!("url = \"http://127.0.0.1:{}\"\nhost = \"{host}\"", site.port);
        let front = Front::start(&routing(&url, NOBODY, ""), &[]);
        let moved = get(&front, "/form");
        assert_eq!((moved.status, header(&moved, "location")), (301, "/form/"), "{host} {host_from}");
        let form = get(&front, "/form/");
        let token = String::from_utf8(form.body.clone()).unwrap();
        let cookie = header(&form, "set-cookie").split(';').next().unwrap().to_owned();
        let post = |path: &str, named: (&str, &str), body: &str| {
            let request = Request::post(format!("https://shop.test{path}")).header("cookie", &cookie);
            let request = request.header(named.0, named.1).header("content-type", "application/x-www-form-urlencoded");
            ask(&front, request.body(()).unwrap(), &format!("csrfmiddlewaretoken={token}&{body}"))
        };
        let referer = ("referer", "https://shop.test/form/");
        for (named, status) in [
            (("origin", "https://shop.test"), 200),
            (referer, 200),
            (("origin", "https://evil.test"), 403),
            (("referer", "https://evil.test/form/"), 403),
            (("x-other", ""), 403),
        ] {
            assert_eq!(post("/form/", named, "a=1").status, status, "{host} {host_from} {named:?}");
        }
        let reset = post("/reset", referer, "email=ann@shop.test");
        assert_eq!((reset.status, header(&reset, "location")), (302, "/mail"), "{host} {host_from}");
        let mail = String::from_utf8(get(&front, "/mail").body).unwrap();
        assert!(mail.starts_with("https://shop.test/confirm/"), "{host} {host_from}: {mail}");
    }
}
