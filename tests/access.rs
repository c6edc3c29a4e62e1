//! The access log: what its lines say, that none is lost or torn, and that no request ever waits for it.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use relay::access::{AccessLog, LogFormat, LogTarget, SampleRate};
use serde_json::{Value, json};

use crate::lifecycle::{Process, folder};
use crate::support::client::{Client, admin, get};
use crate::support::house::{House, Load};
use crate::support::origin::{Do, Origin};
use crate::support::{SOON, SmallDisk, wait_until};

pub fn to(path: impl Into<PathBuf>) -> AccessLog {
    AccessLog { target: LogTarget::File(path.into()), format: LogFormat::Json, sample: SampleRate::ALL }
}

/// A house that writes an access log beside its state.
fn house(split: &str, rest: &str) -> House {
    House::with(split, rest, |settings| settings.access_log = Some(to(settings.state.with_file_name("access.log"))))
}

fn path(house: &House) -> PathBuf {
    house.dir.path().join("access.log")
}

/// The lines of a file, every one of them whole.
#[track_caller]
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
}

/// Line feeds, of whole lines and of one that is being written alike.
fn count(path: &Path) -> usize {
    std::fs::read(path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

/// A line is written when its request is over, which may be after its client has read the answer.
#[track_caller]
fn wait_for(house: &House, n: usize) -> Vec<Value> {
    wait_until(&format!("{n} lines are there"), SOON, || count(&path(house)) >= n);
    let lines = lines(&path(house));
    assert_eq!(lines.len(), n, "{lines:#?}");
    lines
}

#[track_caller]
fn has(line: &Value, expected: Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(line.get(key), Some(value), "{key} of {line:#}");
    }
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn a_line_says_where_a_request_went_and_what_came_of_it() {
    let rest = "[[service.shop.route]]\nname = \"api\"\npath = \"/api/*\"\n\
                [[service.shop.rule]]\nname = \"testers\"\nheader = { name = \"x-canary\", equals = \"always\" }\nto = \"green\"\noverride = true\n";
    let house = house("weight = 0", rest);
    let before = memory::clock::wall_millis();
    let mut client = house.client();
    let secrets = ["Authorization: Basic c2VjcmV0", "Cookie: session=secret", "X-Canary: always"];
    let known = ["Host: Shop.Test:8080", "Referer: http://a.test/\"b\"", "User-Agent: caf\u{e9} \\o/"];
    client.request("POST", "/api/cart?item=1&x=%20", &[&secrets[..], &known[..]].concat(), "12345");
    client.get("/", &[]);
    let lines = wait_for(&house, 2);
    for id in ["request_id", "trace_id"] {
        assert_eq!(lines[0][id].as_str().map(str::len), Some(32), "{id}");
    }
    assert_eq!(house.green.last().header("x-request-id"), lines[0]["request_id"].as_str());
    has(
        &lines[0],
        json!({
            "client": "127.0.0.1", "peer": "127.0.0.1", "method": "POST", "host": "Shop.Test:8080",
            "path": "/api/cart?item=1&x=%20", "protocol": "HTTP/1.1", "status": 200, "bytes_in": 5, "bytes_out": 5,
            "referer": "http://a.test/\"b\"", "user_agent": "caf\u{e9} \\o/", "service": "shop", "route": "api",
            "environment": "green", "rule": "testers", "rescued": false, "attempts": 1,
            "upstream_address": house.green.address.to_string(), "upstream_status": 200, "failure": null,
            "failure_reason": null, "refused": null,
            "aborted": false, "tls": null, "origin_request_id": null,
        }),
    );
    assert_eq!(lines[0]["generation"].as_u64(), Some(house.running.published.load().generation));
    let (upstream, all) = (lines[0]["upstream_ms"].as_f64().unwrap(), lines[0]["duration_ms"].as_f64().unwrap());
    assert!(0.0 < upstream && upstream <= all && all < 20_000.0, "{upstream} of {all}");
    has(
        &lines[1],
        json!({"environment": "blue", "route": "default", "rule": null, "bytes_in": 0, "bytes_out": 4, "referer": null}),
    );
    let text = std::fs::read_to_string(path(&house)).unwrap();
    assert!(!text.contains("c2VjcmV0") && !text.contains("secret"), "{text}");
    // The calendar is a test of its own; here it is the right day and hour.
    let hour = |millis: u64| judgement::time::rfc3339(millis)[.."2026-11-22T11:".len()].to_owned();
    let time = lines[0]["time"].as_str().unwrap();
    assert!(time.starts_with(&hour(before)) || time.starts_with(&hour(before + 20_000)), "{time}");
    assert!(time.ends_with('Z') && time.len() == "2026-11-22T11:59:59.000056Z".len(), "{time}");
}

#[test]
fn the_client_is_the_first_hop_that_is_not_trusted() {
    let house = House::with("weight = 0", "", |settings| {
        settings.access_log = Some(to(settings.state.with_file_name("access.log")));
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    house.client().get("/", &["X-Forwarded-For: 10.9.9.9, 203.0.113.7, 127.0.0.9"]);
    has(&wait_for(&house, 1)[0], json!({"client": "203.0.113.7", "peer": "127.0.0.1"}));
}

#[test]
fn a_refused_request_has_a_line_with_the_reason() {
    let house = house("weight = 0", "");
    assert_eq!(house.client().get("/%zz", &[]).status, 400);
    // Another connection may be another worker's, and workers keep no order among them.
    wait_for(&house, 1);
    let mut client = house.client();
    client.send("GET / HTTP/1.1\r\nHost: a b\r\nUser-Agent: x\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    let lines = wait_for(&house, 2);
    let nowhere = json!({"service": null, "route": null, "environment": null, "rule": null, "generation": null,
        "upstream_address": null, "upstream_ms": null, "upstream_status": null, "attempts": 0, "failure": null, "aborted": false});
    lines.iter().for_each(|line| has(line, nowhere.clone()));
    has(&lines[0], json!({"status": 400, "refused": "bad_path", "path": "/%zz", "host": "shop.test"}));
    has(&lines[1], json!({"status": 400, "refused": "bad_host", "host": "a b", "user_agent": "x"}));
}

#[test]
fn a_rescued_request_names_who_answered_and_why_the_other_did_not() {
    let house = house("weight = 100", "");
    house.green.always(Do::Status(503));
    assert_eq!(house.client().get("/", &[]).body, "blue");
    let blue = house.blue.address.to_string();
    let expected = json!({"status": 200, "rescued": true, "failure": "unavailable", "environment": "blue", "attempts": 2,
        "upstream_status": 200, "upstream_address": blue, "bytes_out": 4, "aborted": false});
    has(&wait_for(&house, 1)[0], expected);
}

#[test]
fn failures_have_their_cause() {
    let house = house("weight = 0", "[service.shop.timeouts]\nfirst_byte = \"200ms\"\n");
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
    let mut n = 0;
    for (what, status, upstream, failure) in [
        (Do::Close, 502, json!(null), "reset"),
        (Do::Hang, 504, json!(null), "timeout"),
        (Do::Status(500), 500, json!(500), "error"),
        (Do::RawAndClose(cut.to_owned()), 200, json!(200), "truncated"),
    ] {
        house.blue.always(what);
        let _ = house.client().try_request("GET", "/", &[], "");
        n += 1;
        let lines = wait_for(&house, n);
        let expected = json!({"status": status, "upstream_status": upstream, "failure": failure, "aborted": false,
            "environment": "blue", "upstream_address": house.blue.address.to_string()});
        has(&lines[n - 1], expected);
        assert_eq!(lines[n - 1]["upstream_ms"].is_null(), upstream.is_null());
    }
}

#[test]
fn a_client_that_hangs_up_is_named_so() {
    let house = house("weight = 0", "");
    let length = 64 << 20;
    house.blue.always(Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))));
    let mut client = house.client();
    client.send("GET /big HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    client.wait_for("xxxx");
    drop(client);
    let line = &wait_for(&house, 1)[0];
    has(line, json!({"path": "/big", "status": 200, "aborted": true, "failure": null, "upstream_status": 200}));
    assert!(line["bytes_out"].as_u64().unwrap() < length as u64, "{line}");
}

#[test]
fn a_sample_of_nothing_still_writes_every_failure() {
    let house = House::with("weight = 0", "", |settings| {
        let sample = SampleRate::from_percent(0.0).unwrap();
        settings.access_log = Some(AccessLog { sample, ..to(settings.state.with_file_name("access.log")) });
    });
    let mut client = house.client();
    assert!((0..50).all(|_| client.get("/good", &[]).status == 200));
    house.blue.always(Do::Status(404));
    assert!((0..50).all(|_| client.get("/lost", &[]).status == 404));
    house.blue.always(Do::Status(500));
    assert!((0..5).all(|_| client.get("/bad", &[]).status == 500));
    assert_eq!(client.get("/%zz", &[]).status, 400);
    let dir = house.dir;
    drop(house.running);
    let lines = lines(&dir.path().join("access.log"));
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines.iter().all(|line| line["status"] == 500 || line["refused"] == "bad_path"));
}

#[test]
fn combined_is_what_its_readers_know() {
    let house = House::with("weight = 0", "", |settings| {
        let json = to(settings.state.with_file_name("access.log"));
        settings.access_log = Some(AccessLog { format: LogFormat::Combined, ..json });
    });
    house.client().get("/a?b=1", &["User-Agent: \"quoted\"", "Referer: http://a.test/"]);
    wait_until("the line is there", SOON, || count(&path(&house)) == 1);
    let text = std::fs::read_to_string(path(&house)).unwrap();
    let line = regex::Regex::new(
        r#"^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a\?b=1 HTTP/1\.1" 200 4 "http://a\.test/" "\\"quoted\\""\n$"#,
    );
    assert!(line.unwrap().is_match(&text), "{text}");
}

#[test]
fn a_thousand_requests_at_once_are_a_thousand_lines() {
    let house = house("weight = 50", "");
    let slow = |_: &crate::support::origin::Request| Do::Slow(Duration::from_millis(300));
    house.blue.does(slow);
    house.green.does(slow);
    let mut clients: Vec<Client> = (0..1000).map(|_| house.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    }
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
    let lines = wait_for(&house, 1000);
    let paths: std::collections::BTreeSet<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 1000, "one line each");
    // Each worker splits its own half exactly.
    let green = lines.iter().filter(|line| line["environment"] == "green").count();
    assert!((498..=502).contains(&green), "{green} of 1,000 on green");
    assert_eq!(metric(&house.metrics(), "cutover_access_log_dropped_total"), 0);
}

/// Load while `during` does something to the file; gives how many requests there were.
fn under_load(house: &House, during: impl FnOnce(&Load)) -> usize {
    let load = Load::start(house.address(), 4, Duration::from_micros(200));
    wait_until("traffic flows", SOON, || load.requests() > 200);
    during(&load);
    let (requests, failed) = load.stop();
    assert_eq!(failed, 0);
    requests as usize
}

#[test]
fn a_file_that_is_moved_or_deleted_is_made_anew_within_a_second_and_no_line_is_lost_or_torn() {
    let house = house("weight = 0", "");
    let now = path(&house);
    let old = |n: usize| house.dir.path().join(format!("access.log.{n}"));
    let requests = under_load(&house, |load| {
        for n in 0..3 {
            let began = Instant::now();
            std::fs::rename(&now, old(n)).unwrap();
            wait_until("there is a new file", SOON, || now.exists());
            assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
            let so_far = load.requests();
            wait_until("traffic goes on", SOON, || load.requests() > so_far + 100 && count(&now) > 50);
        }
    });
    let files = [old(0), old(1), old(2), now.clone()];
    let all = || files.iter().map(|file| count(file)).sum::<usize>();
    wait_until("every line is there", SOON, || all() >= requests);
    assert_eq!(files.iter().map(|file| lines(file).len()).sum::<usize>(), requests);
    std::fs::remove_file(&now).unwrap();
    wait_until("a deleted file is made anew", SOON, || now.exists());
    get(house.address(), "/after", &[]);
    assert_eq!(wait_for(&house, 1)[0]["path"], "/after");
}

#[test]
fn a_file_that_is_emptied_in_place_goes_on_at_its_new_end() {
    let house = house("weight = 0", "");
    let (now, copy) = (path(&house), house.dir.path().join("access.log.1"));
    let mut client = house.client();
    assert!((0..300).all(|_| client.get("/before", &[]).status == 200));
    wait_for(&house, 300);
    // As logrotate's copytruncate does it. What comes between its two steps is its own to lose, so nothing comes.
    std::fs::copy(&now, &copy).unwrap();
    std::fs::File::options().write(true).open(&now).unwrap().set_len(0).unwrap();
    assert!((0..200).all(|_| client.get("/after", &[]).status == 200));
    assert!(wait_for(&house, 200).iter().all(|line| line["path"] == "/after"), "no hole, and nothing of before");
    assert_eq!(lines(&copy).len(), 300);
    // And under load, every line that is there is whole.
    under_load(&house, |load| {
        for _ in 0..20 {
            let so_far = load.requests();
            wait_until("lines come", SOON, || load.requests() > so_far + 50);
            std::fs::File::options().write(true).open(&now).unwrap().set_len(0).unwrap();
        }
    });
    assert_eq!(metric(&house.metrics(), "cutover_access_log_errors_total"), 0);
    drop(house.running);
    lines(&now);
}

fn with_access_log(dir: &Path, access: &str) {
    let main = std::fs::read_to_string(dir.join("cutover.toml")).unwrap();
    let main = main.replace("[admin]", &format!("access_log = {{ {access} }}\n[admin]"));
    std::fs::write(dir.join("cutover.toml"), main).unwrap();
}

#[test]
fn sighup_opens_the_file_anew_and_a_drain_writes_every_line() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    with_access_log(dir.path(), "path = \"access.log\"");
    let process = Process::start(dir.path());
    let (now, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let load = Load::start(process.address, 4, Duration::from_micros(200));
    wait_until("lines are there", SOON, || count(&now) > 200);
    std::fs::rename(&now, &old).unwrap();
    process.signal("HUP");
    wait_until("there is a new file", SOON, || now.exists());
    wait_until("lines are there", SOON, || count(&now) > 100);
    let (requests, failed) = load.stop();
    // Not waited for: what is queued is written before the process ends.
    process.signal("TERM");
    let (code, log) = process.ended();
    assert_eq!((failed, code), (0, Some(0)), "{log}");
    assert_eq!((lines(&now).len() + lines(&old).len()) as u64, requests, "{log}");
}

#[test]
fn stdout_gets_lines_and_nothing_else() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    with_access_log(dir.path(), "path = \"stdout\"");
    let mut process = Process::start_to(dir.path(), &[], Stdio::piped());
    let mut stdout = process.child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    for n in 0..100 {
        assert_eq!(get(process.address, &format!("/{n}"), &[]).status, 200);
    }
    process.signal("TERM");
    let (code, log) = process.ended();
    assert_eq!(code, Some(0), "{log}");
    let text = reader.join().unwrap().unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut got: Vec<String> = lines.map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<String> = (0..100).map(|n| format!("/{n}")).collect();
    // Two workers, and no order between them.
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

#[test]
fn a_stdout_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    with_access_log(dir.path(), "path = \"stdout\"");
    let mut process = Process::start_to(dir.path(), &[], Stdio::piped());
    let unread = process.child.stdout.take();
    ask_8000(process.address);
    let metrics = admin(process.admin, "/metrics").body;
    assert!(metric(&metrics, "cutover_access_log_dropped_total") > 0, "{metrics}");
    let began = Instant::now();
    process.signal("TERM");
    let (code, log) = process.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("access log writer did not finish in time") && began.elapsed() < SOON,
        "{:?}: {log}",
        began.elapsed()
    );
    drop(unread);
}

/// More than the queue and a pipe hold together. Nobody waits long for an answer.
fn ask_8000(address: std::net::SocketAddr) {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::to(address);
                (0..2000)
                    .map(|_| {
                        let began = Instant::now();
                        assert_eq!(client.get("/", &[]).status, 200);
                        began.elapsed()
                    })
                    .max()
                    .unwrap()
            })
        })
        .collect();
    let slowest = threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap();
    assert!(slowest < Duration::from_secs(2), "somebody waited {slowest:?}");
}

fn pipe(dir: &Path) -> PathBuf {
    let pipe = dir.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

fn reader(pipe: &Path) -> std::fs::File {
    std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody_and_what_it_did_not_take_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = pipe(dir.path());
    let mut reader = reader(&pipe);
    let House { running, blue: _blue, green: _green, dir: _dir, .. } =
        House::with("weight = 0", "", |settings| settings.access_log = Some(to(&pipe)));
    ask_8000(running.addresses[0]);
    let metrics = || admin(running.admin, "/metrics").body;
    wait_until("a pipe that takes nothing is an error", SOON, || {
        metric(&metrics(), "cutover_access_log_errors_total") > 0
    });
    // The last lines come after the last answers: asked anew each time.
    let dropped = || metric(&metrics(), "cutover_access_log_dropped_total") as usize;
    assert!(dropped() > 0);
    // Now it is read, and every line that was not counted as dropped is there, in one piece.
    let mut text = Vec::new();
    wait_until("what was kept has come", SOON, || {
        let _ = reader.read_to_end(&mut text);
        text.iter().filter(|byte| **byte == b'\n').count() == 8000 - dropped()
    });
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<Value>(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)));
    }
    // And the next end does not wait for a reader that has stopped again.
    ask_8000(running.addresses[0]);
    let began = Instant::now();
    drop(running);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_pipe_without_a_reader_is_waited_for_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = pipe(dir.path());
    let house = House::with("weight = 0", "", |settings| settings.access_log = Some(to(&pipe)));
    get(house.address(), "/early", &[]);
    wait_until("that is an error", SOON, || metric(&house.metrics(), "cutover_access_log_errors_total") > 0);
    let mut reader = reader(&pipe);
    let mut text = Vec::new();
    wait_until("the line has come", SOON, || {
        let _ = reader.read_to_end(&mut text);
        text.ends_with(b"\n")
    });
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap()["path"], "/early");
}

#[test]
fn a_disk_that_is_always_full_holds_up_nobody_and_is_said_once() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let dir = folder(&blue.url(), &green.url(), "weight = 0");
    with_access_log(dir.path(), "path = \"/dev/full\"");
    let process = Process::start(dir.path());
    ask_8000(process.address);
    let metrics = || admin(process.admin, "/metrics").body;
    wait_until("errors are counted", SOON, || metric(&metrics(), "cutover_access_log_errors_total") > 3);
    assert!(metric(&metrics(), "cutover_access_log_dropped_total") > 0);
    process.signal("TERM");
    let (code, log) = process.ended();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("cannot write the access log").count(), 1, "{log}");
    assert!(log.contains("stopped with access log lines still unwritten"), "{log}");
}

#[test]
#[ignore = "needs root, to mount a small disk: .ci/run is root"]
fn a_full_disk_holds_up_nobody_and_tears_no_line() {
    let mount = SmallDisk::of("8m");
    let (filler, log) = (mount.path().join("filler"), mount.path().join("access.log"));
    std::fs::write(&filler, vec![0_u8; (8 << 20) - (128 << 10)]).unwrap();
    let house = House::with("weight = 0", "", |settings| settings.access_log = Some(to(&log)));
    ask_8000(house.address());
    wait_until("the full disk is counted", SOON, || metric(&house.metrics(), "cutover_access_log_errors_total") > 0);
    let dropped = || metric(&house.metrics(), "cutover_access_log_dropped_total") as usize;
    assert!(dropped() > 0);
    // The line that was half on the disk when it was full is made whole, and the rest follows.
    std::fs::remove_file(&filler).unwrap();
    // The last lines come after the last answers, so what was dropped is asked anew each time.
    wait_until("what was kept has come", SOON, || count(&log) >= 8000 - dropped());
    assert_eq!(lines(&log).len(), 8000 - dropped());
}

#[test]
fn the_file_says_where_which_and_how() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("cutover.toml");
    let log = |table: &str| {
        std::fs::write(&main, format!("version = 1\n{table}\n")).unwrap();
        config::load_main(&main).unwrap_or_else(|refused| panic!("{refused}")).access_log
    };
    assert_eq!(log(""), None);
    assert_eq!(log("[proxy.access_log]\npath = \"access.log\""), Some(to(dir.path().join("access.log"))));
    let sample = SampleRate::from_percent(2.25).unwrap();
    let expected = AccessLog { target: LogTarget::Stdout, format: LogFormat::Combined, sample };
    assert_eq!(log("[proxy.access_log]\npath = \"stdout\"\nformat = \"combined\"\nsample = 2.25"), Some(expected));
}

#[test]
fn a_log_that_cannot_be_written_is_refused_at_the_start() {
    let house = House::start("weight = 0", "");
    let mut settings = crate::support::house::settings(house.dir.path());
    settings.state = house.dir.path().join("other.db");
    settings.access_log = Some(to(house.dir.path()));
    let error = cutover::serve::start(&settings).map(drop).unwrap_err();
    assert!(format!("{error:#}").starts_with("cannot write the access log /"), "{error:#}");
}

#[test]
fn a_failure_that_the_origin_reports_has_its_reason_in_the_line() {
    let house = house("weight = 100", "");
    house.set("failure_header = \"x-release-failure\"");
    let said =
        |reason: &str| Do::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Release-Failure: {reason}\r\n\r\n"));
    let long = "declined ".repeat(20);
    // On one connection, so that the lines are in its order.
    let mut client = house.client();
    for reason in ["card declined", &long, "0"] {
        house.green.always(said(reason));
        assert_eq!(client.get("/", &[]).status, 200);
    }
    let lines = wait_for(&house, 3);
    has(&lines[0], json!({"status": 200, "failure": "reported", "failure_reason": "card declined", "rescued": false}));
    has(&lines[1], json!({"failure": "reported", "failure_reason": format!("{}…", &long[..100])}));
    has(&lines[2], json!({"failure": null, "failure_reason": null}));
}
