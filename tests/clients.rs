//! Clients and origins that others wrote. Ignored where they are not installed; `.ci/setup` installs them, `.ci/run` runs
//! these. `docs/src/compatibility.md` has the table.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;
use relay::proxy::listen::DrainSettings;

use crate::support::front::{Front, NOBODY, routing};
use crate::support::origin::Do;
use crate::support::{SOON, wait_until};

/// Where `.ci/setup` puts Python with gRPC and WebSockets.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-venv/bin/python");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A command that knows of no other proxy than this one.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// A program that runs until it is dropped.
struct Running {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it is installed: .ci/setup does it");
        let said = BufReader::new(child.stdout.take().unwrap());
        Running { child, said }
    }

    fn script(name: &str, arguments: &[&str]) -> Running {
        Running::start(command(PYTHON).arg(Path::new(SCRIPTS).join(name)).args(arguments))
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a script says, which must end well.
#[track_caller]
fn script(name: &str, arguments: &[&str]) -> String {
    let output = command(PYTHON).arg(Path::new(SCRIPTS).join(name)).args(arguments).output();
    said(&output.expect("Python is installed: .ci/setup does it"))
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A house in front of one URL.
fn front(url: &str, rest: &str) -> Front {
    Front::start(&routing(&format!("url = \"{url}\""), NOBODY, rest), &[])
}

/// A house in front of its own scripted origin.
fn scripted() -> Front {
    let front = front("http://127.0.0.1:1", "");
    front.route(&routing(&format!("url = \"{}\"", front.house.blue.url()), NOBODY, ""));
    front
}

impl Front {
    /// curl, which finds shop.test here, with and without TLS.
    fn curl(&self, arguments: &[&str]) -> Output {
        let at = |port: u16, to: u16| format!("shop.test:{port}:127.0.0.1:{to}");
        let curl = command("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(self.ca_file())
            .args(["--connect-to", &at(80, self.house.address().port()), "--connect-to", &at(443, self.tls_port())])
            .args(arguments)
            .output();
        curl.expect("curl is installed: .ci/setup does it")
    }
}

const WRITE_OUT: &str = "\n%{http_version} %{http_code} %{num_connects} %{ssl_verify_result}";

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn curl_is_answered_over_both_versions_of_http() {
    let front = scripted();
    for (arguments, told) in [
        (["--http1.1", "http://shop.test/"], "1.1 200 1 0"),
        (["--http1.1", "https://shop.test/"], "1.1 200 1 0"),
        (["--http2", "https://shop.test/"], "2 200 1 0"),
        (["--http2", "http://shop.test/"], "1.1 200 1 0"),
    ] {
        let got = said(&front.curl(&[&["--write-out", WRITE_OUT], arguments.as_slice()].concat()));
        assert_eq!(got, format!("blue\n{told}"), "{arguments:?}");
    }
    assert_eq!(front.house.blue.last().header("upgrade"), None, "an upgrade to h2c goes no further");
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn curl_uploads_five_mebibytes() {
    let front = scripted();
    let body: Vec<u8> = (0..5 << 20).map(|at: u32| (at ^ at >> 8) as u8).collect();
    let file = front.house.dir.path().join("upload");
    std::fs::write(&file, &body).unwrap();
    for (version, url) in [
        ("--http1.1", "http://shop.test/up"),
        ("--http1.1", "https://shop.test/up"),
        ("--http2", "https://shop.test/up"),
    ] {
        let got = said(&front.curl(&[version, "--upload-file", file.to_str().unwrap(), url]));
        let seen = front.house.blue.last();
        assert_eq!((got.as_str(), seen.line()), ("blue", "PUT /up HTTP/1.1"), "{version} {url}");
        assert!(seen.body == body, "{version} {url}: {} bytes came", seen.body.len());
    }
    // Without a length, in chunks.
    let path = file.to_str().unwrap();
    said(&front.curl(&["--header", "Transfer-Encoding: chunked", "--http1.1", "-T", path, "http://shop.test/up"]));
    assert!(front.house.blue.last().body.len() > body.len(), "with the sizes of the chunks");
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn curl_waits_for_the_origins_word_before_it_sends_a_body() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let front = front(&format!("http://{}", origin.local_addr().unwrap()), "");
    let served = std::thread::spawn(move || {
        let (mut tcp, _) = origin.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 4];
        tcp.read_exact(&mut body).unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").unwrap();
        tcp.write_all(&body).unwrap();
    });
    let expect = ["--expect100-timeout", "15", "--header", "Expect: 100-continue", "--data", "body"];
    let began = Instant::now();
    let output = front.curl(&[&["--verbose", "--http1.1", "http://shop.test/"], expect.as_slice()].concat());
    assert_eq!(said(&output), "body");
    assert!(String::from_utf8_lossy(&output.stderr).contains("< HTTP/1.1 100 "), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "it did not wait in vain");
    served.join().unwrap();
}

#[test]
#[ignore = "needs curl: .ci/setup installs it"]
fn curl_asks_for_heads_twice_on_one_connection_and_follows_to_https() {
    let front = scripted();
    for version in ["--http1.1", "--http2"] {
        let head = said(&front.curl(&["--head", version, "https://shop.test/"])).to_lowercase();
        assert!(head.contains(" 200") && head.contains("content-length: 4"), "{head}");
        let twice = front.curl(&["-w", "%{num_connects} ", version, "https://shop.test/1", "https://shop.test/2"]);
        assert_eq!(said(&twice), "blue1 blue0", "{version}");
    }
    assert_eq!(
        said(&front.curl(&["-w", "%{num_connects} ", "http://shop.test/1", "http://shop.test/2"])),
        "blue1 blue0"
    );
    let text = std::fs::read_to_string(front.house.routing_path()).unwrap();
    let to_https = Front::with(&text, &[], |settings| settings.redirect_to_https = Some(443));
    let followed = to_https.curl(&["--location", "-w", " %{url_effective} %{num_redirects}", "http://shop.test/a?b=c"]);
    assert_eq!(said(&followed), "blue https://shop.test/a?b=c 1");
    let posted = to_https.curl(&["--location", "--data", "kept", "http://shop.test/"]);
    assert_eq!(said(&posted), "blue");
    assert_eq!(front.house.blue.last().body, b"kept", "308 keeps method and body");
}

/// A folder with a file of 20 MiB and a text, and its bytes.
fn folder() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    // Readable for a server that does not run as who we are.
    std::process::Command::new("chmod").arg("755").arg(dir.path()).status().unwrap();
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(20 << 20)
    .collect();
    std::fs::write(dir.path().join("large.bin"), &bytes).unwrap();
    std::fs::write(dir.path().join("text.txt"), "what compresses well\n".repeat(1000)).unwrap();
    (dir, bytes)
}

/// Debian's nginx, in front of a folder.
fn nginx(folder: &Path, conf: &Path) -> (Running, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; types {{ text/plain txt; }} gzip on; gzip_types text/plain; \
         gzip_proxied any; server {{ listen 127.0.0.1:{port}; root {1}; }} }}",
        conf.display(),
        folder.display(),
    );
    let path = conf.join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    let running = Running::start(command("nginx").arg("-c").arg(&path).stderr(Stdio::null()));
    wait_until("nginx listens", SOON, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (running, format!("http://127.0.0.1:{port}"))
}

/// Python's own server, in front of a folder.
fn http_server(folder: &Path) -> (Running, String) {
    let mut running = Running::start(
        command(PYTHON)
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .stderr(Stdio::null()),
    );
    // "Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ..."
    let line = running.line();
    let port = line.split(' ').nth(5).unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (running, format!("http://127.0.0.1:{port}"))
}

fn fetch(front: &Front, arguments: &[&str], into: &Path) -> Vec<u8> {
    said(&front.curl(&[&["--output", into.to_str().unwrap()], arguments].concat()));
    std::fs::read(into).unwrap()
}

#[test]
#[ignore = "needs curl and nginx: .ci/setup installs them"]
fn a_large_file_of_nginx_comes_byte_for_byte_in_whole_in_ranges_and_compressed() {
    let (folder, bytes) = folder();
    let conf = tempfile::tempdir().unwrap();
    let (_nginx, url) = nginx(folder.path(), conf.path());
    let front = front(&url, "");
    let file = conf.path().join("fetched");
    for arguments in [["--http1.1", "http://shop.test/large.bin"], ["--http2", "https://shop.test/large.bin"]] {
        assert!(fetch(&front, &arguments, &file) == bytes, "{arguments:?}");
        for (range, part) in
            [("0-0", &bytes[..1]), ("1000-70000", &bytes[1000..=70000]), ("-5", &bytes[bytes.len() - 5..])]
        {
            let got = fetch(&front, &[&["--range", range], arguments.as_slice()].concat(), &file);
            assert!(got == part, "{range} {arguments:?}: {} bytes", got.len());
        }
        let several = fetch(&front, &[&["--range", "0-9,100-109"], arguments.as_slice()].concat(), &file);
        assert_eq!(several.windows(10).filter(|w| *w == &bytes[..10] || *w == &bytes[100..110]).count(), 2);
    }
    for version in ["--http1.1", "--http2"] {
        let output = front.curl(&["--compressed", "--verbose", version, "https://shop.test/text.txt"]);
        assert_eq!(said(&output), "what compresses well\n".repeat(1000).trim_end());
        assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("< content-encoding: gzip"));
        let plain = front.curl(&["--verbose", version, "https://shop.test/text.txt"]);
        assert!(!String::from_utf8_lossy(&plain.stderr).to_lowercase().contains("content-encoding"));
    }
}

#[test]
#[ignore = "needs curl and Python: .ci/setup installs them"]
fn a_large_file_of_pythons_server_comes_byte_for_byte() {
    let (folder, bytes) = folder();
    let (_server, url) = http_server(folder.path());
    let front = front(&url, "");
    let file = front.house.dir.path().join("fetched");
    // It speaks HTTP/1.0 and knows no ranges: the whole comes, and curl is told so by the status.
    for arguments in [["--http1.1", "http://shop.test/large.bin"], ["--http2", "https://shop.test/large.bin"]] {
        assert!(fetch(&front, &arguments, &file) == bytes, "{arguments:?}");
        let ranged =
            front.curl(&[&["--range", "0-9", "-o", "/dev/null", "-w", "%{http_code}"], arguments.as_slice()].concat());
        assert_eq!(said(&ranged), "200");
    }
    assert_eq!(said(&front.curl(&["-w", "%{http_code}", "-o", "/dev/null", "http://shop.test/none"])), "404");
}

#[test]
#[ignore = "needs Python's grpcio: .ci/setup installs it"]
fn grpc_calls_of_every_kind_reach_a_grpc_server_and_come_back() {
    let mut origin = Running::script("grpc_origin.py", &[]);
    let url = format!("http://127.0.0.1:{}", origin.line());
    let front = Front::start(&routing(&format!("url = \"{url}\"\nh2 = \"only\""), NOBODY, ""), &[]);
    let (port, ca_file) = (front.tls_port().to_string(), front.ca_file());
    script("grpc_client.py", &["calls", &port, ca_file.to_str().unwrap()]);
    // A method that it does not have is its failure. So is a deadline where it says so itself before its client leaves.
    for (failure, &times) in AttemptFailure::ALL.iter().zip(&front.house.seen(Environment::Blue).failures) {
        match failure {
            AttemptFailure::Error => assert_eq!(times, 1),
            AttemptFailure::Timeout => assert!(times <= 1, "{times}"),
            _ => assert_eq!(times, 0, "{failure:?}"),
        }
    }
    drop(origin);
    script("grpc_client.py", &["dead", &port, ca_file.to_str().unwrap()]);
}

/// A WebSocket server, and a house in front of it.
fn websocket(rest: &str) -> (Running, Front) {
    let mut origin = Running::script("websocket_origin.py", &[]);
    let front = front(&format!("http://127.0.0.1:{}", origin.line()), rest);
    (origin, front)
}

/// What the client says, over ws and over wss.
fn both_ways(front: &Front, what: &str) -> [String; 2] {
    let (plain, tls) = (front.house.address().port().to_string(), front.tls_port().to_string());
    [
        script("websocket_client.py", &[what, &plain]),
        script("websocket_client.py", &[what, &tls, front.ca_file().to_str().unwrap()]),
    ]
}

#[test]
#[ignore = "needs Python's websockets: .ci/setup installs it"]
fn websockets_carry_text_bytes_a_mebibyte_pings_and_a_clean_end() {
    let (_origin, front) = websocket("websocket = true");
    assert_eq!(both_ways(&front, "talk"), ["4001 enough", "4001 enough"]);
    assert_eq!(front.house.seen(Environment::Blue).failures, [0; AttemptFailure::ALL.len()]);
}

#[test]
#[ignore = "needs Python's websockets: .ci/setup installs it"]
fn websockets_are_refused_where_the_service_does_not_allow_them() {
    let (_origin, front) = websocket("");
    // The origin is asked for a page, and says that it has only a WebSocket.
    assert_eq!(both_ways(&front, "refused"), ["426", "426"]);
}

#[test]
#[ignore = "needs Python's websockets: .ci/setup installs it"]
fn a_silent_websocket_outlasts_the_time_that_an_answer_may_take() {
    let (_origin, front) = websocket("websocket = true\n[service.shop.timeouts]\nfirst_byte = \"300ms\"");
    assert_eq!(both_ways(&front, "idle"), ["open", "open"]);
}

#[test]
#[ignore = "needs Python's websockets: .ci/setup installs it"]
fn a_websocket_is_told_to_come_again_when_its_side_gets_no_traffic_any_more() {
    let mut origin = Running::script("websocket_origin.py", &[]);
    let blue = format!("url = \"http://127.0.0.1:{}\"", origin.line());
    let split = |active: &str| format!("websocket = true\n[service.shop.split]\nactive = \"{active}\"");
    for (tunnels, said) in [("", "1012"), ("\ntunnels = { after_rollback = \"keep\" }", "")] {
        let of = |active: &str| routing(&blue, NOBODY, &split(active).replace("true\n", &format!("true{tunnels}\n")));
        let front = Front::start(&of("blue"), &[]);
        let port = front.house.address().port().to_string();
        let mut client = Running::script("websocket_client.py", &["moved", &port]);
        assert_eq!(client.line(), "open");
        assert!(
            front
                .house
                .metrics()
                .contains("cutover_tunnels{service=\"shop\",route=\"default\",environment=\"blue\"} 1")
        );
        front.route(&of("green"));
        if said.is_empty() {
            std::thread::sleep(Duration::from_secs(3));
            let metrics = front.house.metrics();
            assert!(metrics.contains("cutover_tunnels{service=\"shop\",route=\"default\",environment=\"blue\"} 1"));
        } else {
            assert_eq!(client.line(), said);
        }
    }
}

#[test]
#[ignore = "needs Python's websockets: .ci/setup installs it"]
fn a_drain_ends_with_a_websocket_open_and_the_client_gets_the_end() {
    for tls in [false, true] {
        let (_origin, front) = websocket("websocket = true");
        let ca_file = front.ca_file().to_str().unwrap().to_owned();
        let port = if tls { front.tls_port() } else { front.house.address().port() }.to_string();
        let arguments = ["end", port.as_str(), ca_file.as_str()];
        let mut client = Running::script("websocket_client.py", if tls { &arguments } else { &arguments[..2] });
        assert_eq!(client.line(), "open");
        let began = Instant::now();
        front.house.running.drain(DrainSettings { patience: Millis(500), delay: Millis::ZERO });
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(3), "{took:?}");
        assert_eq!(client.line(), "ended");
    }
}

/// The page writes into itself what a script, an image, a POST and a WebSocket came to, and says when it is done.
const PAGE: &str = r#"<!doctype html><title>shop</title><link rel="icon" href="data:,">
<p id="said">nothing</p><img id="image" src="/image.svg"><script src="/script.js"></script><img src="/held.svg">"#;
const SCRIPT: &str = r#"
async function say() {
  const image = document.getElementById("image");
  await image.decode();
  const posted = await fetch("/post", { method: "POST", body: "from the page" });
  const text = await posted.text();
  const echo = await new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://live.shop.test:${location.port}/chat`);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = (event) => { socket.close(1000); resolve(event.data); };
    socket.onerror = () => reject("no WebSocket");
  });
  const version = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  return `image ${image.naturalWidth}, post ${posted.status} ${text}, socket ${echo}, over ${version}`;
}
say().catch((why) => `failed: ${why}`).then((said) => {
  document.getElementById("said").textContent = said;
  return fetch("/done", { method: "POST", body: said });
});
"#;

fn typed(kind: &str, body: &str) -> Do {
    Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// Debian's chromium loads the page; what is in it when it is loaded.
fn browse(front: &Front, profile: &Path) -> String {
    let output = command("timeout")
        .args(["40", "chromium"])
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
        .args("--disable-background-networking --disable-component-update --disable-sync".split(' '))
        .args("--disable-dev-shm-usage --ignore-certificate-errors --no-proxy-server --dump-dom".split(' '))
        .arg("--host-resolver-rules=MAP * 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("https://shop.test:{}/", front.tls_port()))
        .stderr(Stdio::null())
        .output();
    said(&output.expect("chromium is installed: .ci/setup does it"))
}

#[test]
#[ignore = "needs chromium and Python's websockets: .ci/setup installs them"]
fn a_browser_loads_a_page_posts_speaks_over_a_websocket_and_keeps_its_cookie() {
    let mut sockets = Running::script("websocket_origin.py", &[]);
    let live = format!("url = \"http://127.0.0.1:{}\"", sockets.line());
    let front = front("http://127.0.0.1:1", "");
    let shop = |front: &Front| {
        let blue = format!("url = \"{}\"", front.house.blue.url());
        let green = format!("url = \"{}\"", front.house.green.url());
        let split = "hosts = [\"shop.test\"]\n[service.shop.split]\nweight = 50\nsticky = { cookie = \"side\" }";
        let live = routing(&live, NOBODY, "hosts = [\"live.shop.test\"]\nwebsocket = true");
        format!("{}{}", routing(&blue, &green, split), live.replace("service.shop", "service.live"))
    };
    front.route(&shop(&front));
    let profile = tempfile::tempdir().unwrap();
    let (done, held) = tokio::sync::watch::channel(false);
    let done = Arc::new(done);
    let sides = [&front.house.blue, &front.house.green];
    // What came with each load of the page itself.
    let cookies: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    for origin in sides {
        let (done, held, cookies) = (done.clone(), held.clone(), cookies.clone());
        origin.does(move |request| match request.line().split(' ').nth(1).unwrap() {
            "/" => {
                cookies.lock().unwrap().push(request.header("cookie").map(str::to_owned));
                typed("text/html", PAGE)
            }
            "/script.js" => typed("text/javascript", SCRIPT),
            "/image.svg" => {
                typed("image/svg+xml", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"7\" height=\"5\"/>")
            }
            "/post" => typed("text/plain", &String::from_utf8_lossy(&request.body)),
            "/done" => {
                done.send_replace(true);
                Do::Status(204)
            }
            // Without it the page is not loaded, and what it says not written.
            "/held.svg" => Do::When(held.clone()),
            _ => Do::Status(404),
        });
    }
    let loads: Vec<[u64; 2]> = (0..2)
        .map(|_| {
            done.send_replace(false);
            let page = browse(&front, profile.path());
            assert!(page.contains("image 7, post 200 from the page, socket hello, over h2"), "{page}");
            sides.map(|origin| origin.requests())
        })
        .collect();
    let first = usize::from(loads[0][0] == 0);
    assert_eq!(loads[0][1 - first], 0, "one side served the whole page: {loads:?}");
    assert_eq!(loads[1][1 - first], 0, "and all of it again: {loads:?}");
    assert!(loads[1][first] > loads[0][first], "{loads:?}");
    let cookies = cookies.lock().unwrap();
    assert!(cookies[0].is_none() && cookies[1].as_ref().is_some_and(|kept| kept.starts_with("side=")), "{cookies:?}");
}
