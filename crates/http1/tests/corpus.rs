//! Every request of the public corpora, through the codec and a second reader of what would be forwarded.
//!
//! `corpus/http1-requests.jsonl.xz`: smuggling lists, the tests of other parsers, mutants. `corpus/verdicts.txt` says how
//! many of each source are accepted, and why the others are not: `UPDATE_VERDICTS=1 cargo test -p cutover-http1` writes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/forward.rs"]
mod forward;
#[path = "support/strict.rs"]
mod strict;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use forward::Ending;

struct Case {
    source: String,
    name: String,
    bytes: Vec<u8>,
}

fn corpus() -> Vec<Case> {
    let packed = include_bytes!("corpus/http1-requests.jsonl.xz");
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut text).unwrap();
    let lines = std::str::from_utf8(&text).unwrap().lines();
    lines
        .map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            Case { source: text("source"), name: text("name"), bytes: BASE64_STANDARD.decode(text("bytes")).unwrap() }
        })
        .collect()
}

#[test]
fn what_would_be_forwarded_is_read_in_one_way() {
    let cases = corpus();
    assert_eq!(cases.len(), 6_645);
    let (mut ambiguous, mut requests) = (Vec::new(), 0);
    for case in &cases {
        let whole = forward::connection(&case.bytes, &[]);
        for one in &whole.0 {
            requests += 1;
            let read = strict::request(&one.bytes, &[]);
            let agrees = read.as_ref().is_ok_and(|read| {
                read.start[..2] == [one.method.clone(), one.target.clone()]
                    && read.body == one.body
                    && read.length == one.bytes.len()
            });
            if !agrees {
                let sent = one.bytes.escape_ascii();
                ambiguous.push(format!("{} {}: {read:?} of {sent}", case.source, case.name));
            }
        }
        for piece in [1, 7] {
            let cuts: Vec<usize> = (1..case.bytes.len()).step_by(piece).collect();
            let (pieces, ending) = forward::connection(&case.bytes, &cuts);
            let same = pieces.iter().map(essence).eq(whole.0.iter().map(essence)) && ending == whole.1;
            if !same {
                ambiguous.push(format!("{} {}: {ending:?} in pieces, {:?}", case.source, case.name, whole.1));
            }
        }
    }
    assert!(ambiguous.is_empty(), "{} times:\n{}", ambiguous.len(), ambiguous.join("\n"));
    assert!(requests > 700, "{requests} requests were accepted, so something was looked at");
}

/// What must not depend on the pieces that the bytes came in. Chunks do: they are not put together again.
fn essence(one: &forward::Forwarded) -> (&str, &str, &[u8], usize, bool) {
    (&one.method, &one.target, &one.body, one.end, one.keep_alive)
}

/// The corpora know only requests. What is wrong in a field or a chunk of one is as wrong in an answer, so each is sent as
/// an answer as well: its first line is made a status line.
fn as_answer(request: &[u8]) -> Vec<u8> {
    let rest = request.iter().position(|byte| *byte == b'\n').map_or(&[][..], |at| &request[at + 1..]);
    [b"HTTP/1.1 200 OK\r\n", rest].concat()
}

#[test]
fn what_an_origin_sends_is_read_in_one_way() {
    let (mut ambiguous, mut answers) = (Vec::new(), 0);
    for case in corpus() {
        let bytes = as_answer(&case.bytes);
        let whole = forward::answer(&bytes, &[]);
        if let Ok(Some(answer)) = &whole {
            answers += 1;
            let read = strict::response(&answer.bytes, &[], false);
            let agrees = |read: &strict::StrictMessage| read.body == answer.body && read.length == answer.bytes.len();
            if !read.as_ref().is_ok_and(agrees) {
                ambiguous.push(format!("{} {}: {read:?} of {}", case.source, case.name, answer.bytes.escape_ascii()));
            }
        }
        let cuts: Vec<usize> = (1..bytes.len()).collect();
        let pieces = forward::answer(&bytes, &cuts);
        let essence = |answer: Option<forward::Answered>| answer.map(|answer| (answer.body, answer.end));
        if pieces.map(essence) != whole.map(essence) {
            ambiguous.push(format!("{} {}: differs in pieces", case.source, case.name));
        }
    }
    assert!(ambiguous.is_empty(), "{} times:\n{}", ambiguous.len(), ambiguous.join("\n"));
    assert!(answers > 500, "{answers} answers were accepted, so something was looked at");
}

/// What is written down of a verdict.
fn verdict_of_request(bytes: &[u8]) -> String {
    let (requests, ending) = forward::connection(bytes, &[]);
    let requests = requests.len();
    match ending {
        Ending::Clean => format!("{requests} forwarded"),
        Ending::Cut => format!("{requests} forwarded, then a piece of one"),
        Ending::Closed => format!("{requests} forwarded, then closed as asked"),
        Ending::Refused(refused) => format!("{requests} forwarded, then {} {refused:?}", refused.status()),
        Ending::RefusedBody(refused) => {
            format!("{requests} forwarded, then {} {refused:?} in a body", refused.status())
        }
    }
}

fn verdict_of_answer(bytes: &[u8]) -> String {
    match forward::answer(&as_answer(bytes), &[]) {
        Ok(Some(_)) => "an answer, passed on".to_owned(),
        Ok(None) => "an answer, cut".to_owned(),
        Err(refused) => format!("an answer, 502 {refused:?}"),
    }
}

#[test]
fn verdicts_change_only_on_purpose() {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for case in corpus() {
        for verdict in [verdict_of_request(&case.bytes), verdict_of_answer(&case.bytes)] {
            let sum = sums.entry(case.source.clone()).or_insert(0xcbf2_9ce4_8422_2325);
            *sum = verdict.bytes().fold(*sum, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
            *counts.entry((case.source.clone(), verdict)).or_default() += 1;
        }
    }
    // Two verdicts that change places leave the counts as they are, and not the sum.
    let mut text = sums.iter().map(|(source, sum)| format!("{source}: sum {sum:016x}\n")).collect::<String>();
    for ((source, verdict), count) in counts {
        text.push_str(&format!("{source}: {verdict}: {count}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/verdicts.txt");
    if std::env::var_os("UPDATE_VERDICTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "UPDATE_VERDICTS=1 writes it anew");
}
