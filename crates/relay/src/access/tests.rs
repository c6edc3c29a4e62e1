//! The formats byte by byte, the sample, and what becomes of a half-written line.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::sync_channel;

use serde_json::Value;

use super::format::{LONGEST, combined, json};
use super::*;
use memory::counters::read;

fn line() -> AccessLine<'static> {
    AccessLine {
        time_micros: 1_795_348_799_000_056,
        client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        peer: IpAddr::V6(Ipv6Addr::LOCALHOST),
        method: b"GET",
        host: Some(b"shop.test:8080"),
        path: b"/cart?item=1",
        protocol: "HTTP/1.1",
        status: Some(200),
        bytes_in: 0,
        bytes_out: 1234,
        took_micros: 12_005,
        referer: None,
        user_agent: Some(b"curl/8"),
        service: Some("shop"),
        route: Some("default"),
        environment: Some("blue"),
        rule: None,
        generation: Some(7),
        rescued: false,
        turned_away: false,
        skewed: false,
        attempts: 1,
        upstream_address: Some(SocketAddr::from(([10, 0, 0, 1], 443))),
        upstream_micros: Some(999),
        upstream_status: Some(200),
        failure: None,
        failure_reason: None,
        refused: None,
        aborted: false,
        tls: None,
        request_id: None,
        trace_id: None,
        origin_request_id: None,
    }
}

fn written(format: impl Fn(&mut Vec<u8>, &AccessLine<'_>), line: &AccessLine<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    format(&mut out, line);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line: {:?}", String::from_utf8_lossy(&out));
    assert!(out.ends_with(b"\n") && out.len() <= LONGEST, "{}", out.len());
    out
}

fn parsed(line: &AccessLine<'_>) -> Value {
    let bytes = written(json, line);
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes)))
}

/// What a reader should get from bytes: UTF-8 unchanged, every other byte as `\xNN`.
fn as_read(bytes: &[u8]) -> String {
    let parts = bytes.utf8_chunks().map(|chunk| {
        let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("{}{invalid}", chunk.valid())
    });
    parts.collect()
}

#[test]
fn a_json_line_is_this() {
    let text = String::from_utf8(written(json, &line())).unwrap();
    let expected = r#"{"time":"2026-11-22T11:59:59.000056Z","client":"203.0.113.9","peer":"::1","method":"GET","host":"shop.test:8080","path":"/cart?item=1","protocol":"HTTP/1.1","status":200,"bytes_in":0,"bytes_out":1234,"duration_ms":12.005,"referer":null,"user_agent":"curl/8","service":"shop","route":"default","environment":"blue","rule":null,"generation":7,"rescued":false,"turned_away":false,"skewed":false,"attempts":1,"upstream_address":"10.0.0.1:443","upstream_ms":0.999,"upstream_status":200,"failure":null,"failure_reason":null,"refused":null,"aborted":false,"tls":null,"request_id":null,"trace_id":null,"origin_request_id":null}"#;
    assert_eq!(text.trim_end(), expected);
}

#[test]
fn a_combined_line_is_apaches() {
    let text = String::from_utf8(written(combined, &line())).unwrap();
    let expected = r#"203.0.113.9 - - [22/Nov/2026:11:59:59 +0000] "GET /cart?item=1 HTTP/1.1" 200 1234 "-" "curl/8""#;
    assert_eq!(text.trim_end(), expected);
    let strange = AccessLine {
        status: None,
        bytes_out: 0,
        referer: Some(b"a\"b\\c\td\xc3\xa9\x7f\x01"),
        client: IpAddr::V6(Ipv6Addr::LOCALHOST),
        ..line()
    };
    let text = String::from_utf8(written(combined, &strange)).unwrap();
    let expected =
        r#"::1 - - [22/Nov/2026:11:59:59 +0000] "GET /cart?item=1 HTTP/1.1" - - "a\"b\\c\td\xc3\xa9\x7f\x01" "curl/8""#;
    assert_eq!(text.trim_end(), expected);
}

#[test]
fn every_byte_comes_back_from_a_json_line() {
    for byte in 0..=255_u8 {
        for value in [vec![byte], vec![b'a', byte, b'z'], vec![0xc3, byte], vec![byte; 40]] {
            let read = parsed(&AccessLine { path: &value, user_agent: Some(&value), ..line() });
            assert_eq!(read["path"].as_str(), Some(as_read(&value).as_str()), "{value:?}");
            assert_eq!(read["user_agent"], read["path"], "{value:?}");
        }
    }
    // Nothing that a terminal would obey is ever written as is.
    let raw = written(json, &AccessLine { path: "\u{1b}[2J\u{9b}2J\u{7f}".as_bytes(), ..line() });
    assert!(String::from_utf8(raw).unwrap().trim_end().chars().all(|c| !c.is_control()));
}

#[test]
fn what_is_too_long_is_cut_between_characters_and_marked() {
    for unit in ["a", "é", "€", "𝄞", "\"", "\u{1}"] {
        let long = unit.repeat(10_000);
        let read = parsed(&AccessLine { path: long.as_bytes(), ..line() });
        let path = read["path"].as_str().unwrap();
        let kept = path.strip_suffix('…').unwrap_or_else(|| panic!("no mark after {unit:?}"));
        assert!(long.starts_with(kept) && kept.len() >= 300, "{unit:?}: {}", kept.len());
    }
    let exactly = "a".repeat(2048);
    assert_eq!(parsed(&AccessLine { path: exactly.as_bytes(), ..line() })["path"].as_str(), Some(exactly.as_str()));
    let text =
        String::from_utf8(written(combined, &AccessLine { path: "é".repeat(9000).as_bytes(), ..line() })).unwrap();
    assert!(text.contains(r"\xc3\xa9... HTTP/1.1"), "{text}");
}

proptest::proptest! {
    /// Whatever a client sends, the output is one line, bounded and valid, and says what was sent as far as it goes.
    #[test]
    fn any_bytes_make_a_line(
        path in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..3000),
        agent in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..1500),
        host in "\\PC{0,400}",
        method in "[ -~]{0,60}",
        service in "\\PC{0,300}",
    ) {
        let line = AccessLine {
            path: &path,
            user_agent: Some(&agent),
            referer: Some(&agent),
            request_id: Some(&agent),
            trace_id: Some(&path),
            origin_request_id: Some(&path),
            host: Some(host.as_bytes()),
            method: method.as_bytes(),
            service: Some(&service),
            route: Some(&service),
            rule: Some(&service),
            tls: Some(&service),
            ..line()
        };
        let read = parsed(&line);
        for (key, sent) in [
            ("path", &path[..]), ("user_agent", &agent), ("referer", &agent), ("request_id", &agent), ("trace_id", &path),
            ("host", host.as_bytes()), ("method", method.as_bytes()), ("service", service.as_bytes()), ("rule", service.as_bytes()),
        ] {
            let (got, whole) = (read[key].as_str().unwrap(), as_read(sent));
            let cut = got.strip_suffix('…').is_some_and(|kept| whole.starts_with(kept));
            proptest::prop_assert!(got == whole || cut, "{key}: {got:?} of {whole:?}");
        }
        let combined = written(combined, &line);
        proptest::prop_assert!(combined.trim_ascii_end().iter().all(|byte| (b' '..=b'~').contains(byte)));
    }
}

#[test]
fn what_an_origin_says_of_a_failure_is_a_hundred_characters() {
    let said = |reason: &[u8]| {
        let line = AccessLine { failure: Some("reported"), failure_reason: Some(reason), ..line() };
        parsed(&line)["failure_reason"].as_str().map(str::to_owned).unwrap()
    };
    assert_eq!(said(b"card declined"), "card declined");
    assert_eq!(said(&[b'x'; 100]), "x".repeat(100));
    assert_eq!(said(&[b'x'; 101]), "x".repeat(100) + "…");
    assert_eq!(said(b"a\x1b[2J\xff"), "a\u{1b}[2J\\xff");
}

#[test]
fn a_failure_is_whatever_a_client_or_an_origin_could_complain_of() {
    assert!(!line().is_failure() && !AccessLine { status: Some(404), ..line() }.is_failure());
    for failure in [
        AccessLine { status: Some(500), ..line() },
        AccessLine { status: None, ..line() },
        AccessLine { failure: Some("truncated"), ..line() },
        AccessLine { refused: Some("unknown_host"), status: Some(404), ..line() },
        AccessLine { aborted: true, ..line() },
        AccessLine { rescued: true, ..line() },
    ] {
        assert!(failure.is_failure(), "{failure:?}");
    }
}

fn log(sample: f64, queue: usize) -> (AccessLogger, std::sync::mpsc::Receiver<Note>) {
    let (queue, notes) = sync_channel(queue);
    let sample = SampleRate::from_percent(sample).unwrap();
    (AccessLogger { queue, format: LogFormat::Json, sample, counters: Arc::new(Counters::new(1)) }, notes)
}

#[test]
fn a_sample_is_a_share_of_the_good_and_all_of_the_failed() {
    for (percent, least, most) in [(0.0, 0, 0), (0.25, 150, 350), (25.0, 24_000, 26_000), (100.0, 100_000, 100_000)] {
        let (log, _notes) = log(percent, 1);
        let wanted = (0..100_000).filter(|_| log.wants(false)).count();
        assert!((least..=most).contains(&wanted), "{wanted} of 100,000 at {percent} %");
        assert!((0..1000).all(|_| log.wants(true)));
    }
    for wrong in [-1.0, 100.01, 0.125, f64::NAN] {
        assert!(SampleRate::from_percent(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (log, notes) = log(100.0, 10);
    (0..25).for_each(|_| log.write(&line()));
    assert_eq!(read(&log.counters.process.access_log_dropped), 15);
    assert_eq!(notes.try_iter().filter(|note| matches!(note, Note::Line(line) if line.ends_with(b"}\n"))).count(), 10);
    drop(notes);
    log.write(&line());
    assert_eq!(read(&log.counters.process.access_log_dropped), 16, "a writer that is gone takes nothing");
}

#[test]
fn what_was_handed_over_is_in_the_file_when_the_writer_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    std::fs::write(&path, "what was there\n").unwrap();
    let settings =
        AccessLog { target: LogTarget::File(path.clone()), format: LogFormat::Combined, sample: SampleRate::ALL };
    let (log, writer) = start(&settings, Arc::new(Counters::new(1))).unwrap();
    (0..3000).for_each(|_| log.write(&line()));
    drop(log);
    drop(writer);
    let mut text = String::new();
    std::fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("what was there\n203.0.113.9 - - ["));
    assert_eq!(text.lines().count(), 3001);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("no/such/folder"), "/dev/null/x".into()] {
        let settings = AccessLog { target: LogTarget::File(path), format: LogFormat::Json, sample: SampleRate::ALL };
        assert!(start(&settings, Arc::new(Counters::new(1))).is_err(), "{settings:?}");
    }
}
