//! The corpus of the codec through real sockets: what it would do (`crates/http1/tests`) is what a running proxy does.
//!
//! Every input is sent as a request, with a harmless one behind it, and every answer to it is read; and it is sent as the
//! answer of an origin, with another answer behind it. A second reader, which shares nothing with the codec, reads what
//! arrives on either side.

#[path = "codec/answering_origin.rs"]
mod answering_origin;
#[path = "../crates/http1/tests/support/forward.rs"]
mod forward;
#[path = "codec/reading_origin.rs"]
mod reading_origin;
#[path = "../crates/http1/tests/support/strict.rs"]
mod strict;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cutover::serve::{self, Running};
use http1::{Framing, Head, HeadLimits, Parsed, RequestKind, parse_response};

use crate::support::house::{settings, shop};
use crate::support::{SOON, wait_until};
use answering_origin::AnsweringOrigin;
use forward::Ending;
use reading_origin::ReadingOrigin;
use strict::{CUT, StrictMessage};

/// Clients at once.
const CLIENTS: usize = 8;
/// What Cutover says of the client's connection, and what it passes on of the body.
const TO_CLIENTS: [&str; 2] = ["connection", "trailer"];

struct Case {
    name: String,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Case> {
    let packed = include_bytes!("../crates/http1/tests/corpus/http1-requests.jsonl.xz");
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut text).unwrap();
    let lines = std::str::from_utf8(&text).unwrap().lines();
    let cases = lines.map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str().unwrap();
        Case {
            name: format!("{} {}", text("source"), text("name")),
            bytes: BASE64_STANDARD.decode(text("bytes")).unwrap(),
        }
    });
    let cases: Vec<Case> = cases.collect();
    assert_eq!(cases.len(), 6_645);
    cases
}

/// A house before one origin. A client that has sent everything still reads: so nobody waits for the end of a time limit.
fn house(origin: SocketAddr) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{origin}");
    std::fs::write(dir.path().join("routing.toml"), shop(&url, &url, "weight = 0", "")).unwrap();
    let mut settings = settings(dir.path());
    settings.limits.half_close = true;
    (serve::start(&settings).unwrap(), dir)
}

/// Does `check` with every case, by several clients at once, and gives its complaints.
fn complaints(cases: &[Case], check: impl Fn(usize, &Case) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some((number, case)) =
                    Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    if let Err(why) = check(number, case) {
                        let shown = case.bytes[..case.bytes.len().min(600)].escape_ascii().to_string();
                        complaints.lock().unwrap().push(format!("{}: {why}\n    {shown}", case.name));
                    }
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}

/// All that is answered to these bytes, behind which the client sends no more. They are cut somewhere.
fn said(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut tcp = TcpStream::connect(address).expect("the proxy listens");
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    let (beginning, rest) = bytes.split_at(sum % bytes.len());
    // Who has refused the beginning need not read the rest.
    if tcp.write_all(beginning).and_then(|()| tcp.write_all(rest)).is_ok() {
        let _ = tcp.shutdown(Shutdown::Write);
    }
    let (mut said, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match tcp.read(&mut buffer) {
            Ok(0) => return Ok(said),
            Ok(got) => said.extend_from_slice(&buffer[..got]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(said),
            Err(error) => return Err(format!("{error} after {}", said.escape_ascii())),
        }
    }
}

/// The answers in `bytes`. The last one may be cut.
fn answers(mut bytes: &[u8]) -> Result<(Vec<StrictMessage>, bool), String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes, |end| &bytes[..end + 4]);
        let says = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
        // The origin says what it was asked. Cutover has no body of its own for HEAD.
        let to_head = says(b"\r\nX-Method: HEAD\r\n") || (says(b"\r\nConnection: close\r\n") && bytes == head);
        match strict::response(bytes, &TO_CLIENTS, to_head) {
            Ok(answer) => {
                bytes = &bytes[answer.length..];
                all.push(answer);
            }
            Err(why) if why.starts_with(CUT) => return Ok((all, true)),
            Err(why) => return Err(format!("{why}: {}", bytes.escape_ascii())),
        }
    }
    Ok((all, false))
}

fn status(answer: &StrictMessage) -> u16 {
    answer.start[1].parse().unwrap()
}

#[test]
fn no_request_of_the_corpus_is_forwarded_in_two_ways() {
    let origin = ReadingOrigin::start();
    let (running, _dir) = house(origin.address);
    let (claimed, refused_later) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cases = corpus();
    let mut complaints = complaints(&cases, |number, case| {
        let after = format!("GET /after/{number} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        let bytes = [&case.bytes, after.as_bytes()].concat();
        let (expected, ending) = forward::connection(&bytes, &[]);
        let (answers, cut) = answers(&said(running.addresses[0], &bytes)?)?;
        if cut {
            return Err(format!("an answer is cut behind {answers:?}"));
        }
        let mut expected = expected.iter();
        let mut refusal = None;
        for answer in &answers {
            if let Some(refused) = refusal {
                return Err(format!("{} comes behind the refusal {refused}", status(answer)));
            }
            match answer.field("x-number") {
                Some(at) => {
                    let got = origin.request(std::str::from_utf8(at).unwrap().parse().unwrap());
                    claimed.fetch_add(1, Relaxed);
                    let wanted = expected.next().ok_or_else(|| format!("one request too many: {got:?}"))?;
                    if got.start[..2] != [wanted.method.clone(), wanted.target.clone()] || got.body != wanted.body {
                        return Err(format!("{got:?} arrived for {wanted:?}"));
                    }
                }
                // An OPTIONS that may not be forwarded.
                None if status(answer) == 200 && answer.field("allow").is_some() => drop(expected.next()),
                None => refusal = Some(status(answer)),
            }
        }
        match (refusal, expected.next(), ending) {
            (None, None, Ending::Clean | Ending::Cut | Ending::Closed) => Ok(()),
            (Some(status), None, Ending::Refused(refused)) if status == refused.status() => Ok(()),
            // A body that does not end, although the client sends no more, is as bad.
            (Some(400), None, Ending::RefusedBody(_) | Ending::Cut) => Ok(()),
            // Its host or its path is none, which is not the codec's to say.
            (Some(400), Some(_), _) => {
                refused_later.fetch_add(1, Relaxed);
                Ok(())
            }
            (refusal, missing, ending) => {
                Err(format!("{} answers and {refusal:?}, {ending:?}, missing {missing:?}", answers.len()))
            }
        }
    });
    wait_until("no piece of a request is left at the origin", SOON, || origin.is_settled());
    complaints.extend(origin.dirty());
    let (arrived, claimed) = (origin.requests(), claimed.into_inner());
    if arrived != claimed {
        complaints.push(format!("{arrived} requests arrived, of which {claimed} were answered to a client"));
    }
    eprintln!("{arrived} requests, {} cut in their body, {refused_later:?} refused later", origin.cut());
    assert!(complaints.is_empty(), "{} times:\n{}", complaints.len(), complaints.join("\n"));
    assert!(arrived > 1_000, "{arrived} requests arrived, so something was looked at");
}

/// The corpora know only requests: each is sent as an answer as well, its first line made a status line.
fn as_answer(request: &[u8]) -> Vec<u8> {
    let rest = request.iter().position(|byte| *byte == b'\n').map_or(&[][..], |at| &request[at + 1..]);
    [b"HTTP/1.1 200 OK\r\n", rest].concat()
}

/// What an origin sends without being asked for it.
const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison";

/// What the codec has to say of an answer.
enum Verdict {
    /// Passed on with this body. `lasts`: it does not end with its connection.
    Whole { body: Vec<u8>, lasts: bool },
    /// A 502.
    BadHead,
    /// Cut off in the middle.
    BadBody,
}

fn verdict(bytes: &[u8], kind: RequestKind) -> Verdict {
    let mut head = Head::default();
    let Ok(Parsed::Complete { .. }) = parse_response(bytes, &mut head, &HeadLimits::default()) else {
        return Verdict::BadHead;
    };
    if kind == RequestKind::Head {
        return Verdict::Whole { body: Vec::new(), lasts: true };
    }
    let lasts = head.response_framing(kind) != Framing::UntilClose;
    match forward::answer(bytes, &[]) {
        Ok(Some(answer)) => Verdict::Whole { body: answer.body, lasts },
        Ok(None) | Err(_) => Verdict::BadBody,
    }
}

fn answers_are_read_in_one_way(method: &str, behind: &[u8]) {
    let kind = if method == "HEAD" { RequestKind::Head } else { RequestKind::Other };
    let cases = corpus();
    let sent: Vec<Vec<u8>> = cases.iter().map(|case| [&as_answer(&case.bytes), behind].concat()).collect();
    let lasting = sent.iter().map(|bytes| matches!(verdict(bytes, kind), Verdict::Whole { lasts: true, .. }));
    let origin = AnsweringOrigin::start(sent.iter().cloned().zip(lasting).collect());
    let (running, _dir) = house(origin.address);
    let passed_on = AtomicUsize::new(0);
    let complaints = complaints(&cases, |number, _| {
        let both = format!(
            "{method} /{number} HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /after/{number} HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        );
        let said = said(running.addresses[0], both.as_bytes())?;
        let shown = said.escape_ascii().to_string();
        let (to_first, rest) = match kind {
            // It does not know what it was asked.
            RequestKind::Head => {
                let first = strict::response(&said, &TO_CLIENTS, true).map_err(|why| format!("{why}: {shown}"))?;
                let rest = said[first.length..].to_vec();
                (Some(first), rest)
            }
            RequestKind::Other => (None, said),
        };
        let (mut answers, cut) = answers(&rest)?;
        answers.splice(0..0, to_first);
        let first = answers.first();
        match (verdict(&sent[number], kind), &answers[..]) {
            (Verdict::Whole { body, .. }, [first, second]) if status(first) == 200 && !cut && first.body == body => {
                passed_on.fetch_add(1, Relaxed);
                let after = second.field("x-after") == Some(number.to_string().as_bytes()) && second.body == b"after";
                after.then_some(()).ok_or_else(|| format!("the second answer is another's: {shown}"))
            }
            (Verdict::BadHead, [refused]) if status(refused) == 502 && !cut => Ok(()),
            (Verdict::BadBody, []) if cut => Ok(()),
            // Found before anything was passed on.
            (Verdict::BadBody, [refused]) if status(refused) == 502 && !cut => Ok(()),
            _ => Err(format!("{} answers, the first {:?}: {shown}", answers.len(), first.map(status))),
        }
    });
    eprintln!("{passed_on:?} passed on");
    assert!(complaints.is_empty(), "{} times:\n{}", complaints.len(), complaints.join("\n"));
    assert!(passed_on.into_inner() > 500, "so something was looked at");
}

#[test]
fn no_answer_of_the_corpus_is_passed_on_in_two_ways() {
    answers_are_read_in_one_way("GET", b"");
}

#[test]
fn what_an_origin_sends_unasked_reaches_nobody() {
    answers_are_read_in_one_way("GET", POISON);
}

#[test]
fn what_an_origin_sends_behind_an_answer_to_head_reaches_nobody() {
    answers_are_read_in_one_way("HEAD", POISON);
}
