//! Whatever pieces the bytes come in, the events are the same; and no bytes make the codec panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/forward.rs"]
mod forward;
#[path = "support/strict.rs"]
mod strict;

use cutover_http1::{ChunkEvent, ChunkReader, Head, HeadLimits, Parsed, Refused, parse_request, parse_response};
use proptest::prelude::*;
use proptest::sample::Index;

/// Bits of messages: put together at random they are good, nearly good, or nonsense.
const BITS: [&str; 44] = [
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.0\r\n",
    "GET http://a/b HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 304\r\n",
    "Host: a\r\n",
    "host:b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 12\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\n",
    "Connection: close, x-a\r\n",
    "Expect: 100-continue\r\n",
    "X-A: b\r\n",
    "X_A: b\r\n",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    ";",
    "\0",
    "0",
    "5",
    "a",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "3;x=y\r\nabc\r\n",
    "0\r\nX-T: u\r\n\r\n",
    "hello",
    "#",
    "?",
    "\u{e4}",
    "PRI",
    "ffffffffffffffff",
    "0000000000000001",
    "0\r\nHost: c\r\n\r\n",
    "HTTP/1.",
    ",",
];

fn message() -> impl Strategy<Value = Vec<u8>> {
    let bit = prop_oneof![8 => prop::sample::select(&BITS[..]).prop_map(|bit| bit.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4)];
    let head = prop::sample::select(
        &["", "POST /a HTTP/1.1\r\nHost: a\r\n", "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"][..],
    );
    (head, prop::collection::vec(bit, 0..14)).prop_map(|(head, bits)| [head.as_bytes(), &bits.concat()].concat())
}

/// Where the pieces end, the last of them at the end of all bytes.
fn ends(bytes: &[u8], cuts: &[Index]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    ends
}

type Parse = fn(&[u8], &mut Head, &HeadLimits) -> Result<Parsed, Refused>;

/// What a head's parse comes to, and all that it says.
fn outcome(parse: Parse, bytes: &[u8], ends: &[usize], limits: &HeadLimits) -> (Result<Parsed, Refused>, String) {
    let mut head = Head::default();
    let mut last = Ok(Parsed::Partial);
    for end in ends {
        last = parse(&bytes[..*end], &mut head, limits);
        if last != Ok(Parsed::Partial) {
            break;
        }
    }
    let said = match last {
        Ok(Parsed::Complete { .. }) => {
            format!("{:?} {:?}", head.view(&[]), head.view(bytes).walk().collect::<Vec<_>>())
        }
        _ => String::new(),
    };
    (last, said)
}

/// Data and the end of a body.
fn body(bytes: &[u8], ends: &[usize]) -> (Vec<u8>, usize, Result<ChunkEvent, Refused>) {
    let mut reader = ChunkReader::default();
    let (mut data, mut start) = (Vec::new(), 0);
    for end in ends {
        let (piece, mut at) = (&bytes[start..*end], 0);
        loop {
            match reader.next(piece, &mut at) {
                Ok(ChunkEvent::Data(range)) => data.extend_from_slice(&piece[range]),
                Ok(ChunkEvent::NeedMore) => break,
                Ok(ChunkEvent::End) => return (data, start + at, Ok(ChunkEvent::End)),
                Err(refused) => return (data, 0, Err(refused)),
            }
        }
        start = *end;
    }
    (data, start, Ok(ChunkEvent::NeedMore))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_the_same_in_any_pieces(bytes in message(), cuts in prop::collection::vec(any::<Index>(), 0..6), small in any::<bool>()) {
        let limits = if small { HeadLimits { head_bytes: 90, fields: 3, target_bytes: 18 } } else { HeadLimits::default() };
        for parse in [parse_request as Parse, parse_response] {
            let whole = outcome(parse, &bytes, &[bytes.len()], &limits);
            let every: Vec<usize> = (0..=bytes.len()).collect();
            prop_assert_eq!(&outcome(parse, &bytes, &ends(&bytes, &cuts), &limits), &whole);
            prop_assert_eq!(&outcome(parse, &bytes, &every, &limits), &whole);
        }
    }

    #[test]
    fn chunks_are_the_same_in_any_pieces(bytes in message(), cuts in prop::collection::vec(any::<Index>(), 0..6)) {
        let whole = body(&bytes, &[bytes.len()]);
        let every: Vec<usize> = (0..=bytes.len()).collect();
        prop_assert_eq!(&body(&bytes, &ends(&bytes, &cuts)), &whole);
        prop_assert_eq!(&body(&bytes, &every), &whole);
    }

    #[test]
    fn what_is_forwarded_is_read_in_one_way(bytes in message(), cuts in prop::collection::vec(any::<Index>(), 0..6)) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        for one in forward::connection(&bytes, &cuts).0 {
            let read = strict::request(&one.bytes, &[]);
            prop_assert!(read.is_ok(), "{:?} of {}", read, one.bytes.escape_ascii());
            let read = read.unwrap();
            prop_assert_eq!((&read.start[0], &read.start[1]), (&one.method, &one.target));
            prop_assert_eq!((&read.body, read.length), (&one.body, one.bytes.len()));
        }
    }
}
