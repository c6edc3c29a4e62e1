//! Tables of chunked bodies.

use super::*;
use crate::known_field::KnownField;

/// The data, how many bytes were read, and what the reader said last.
fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, usize, Result<ChunkEvent, Refused>) {
    let mut reader = ChunkReader::default();
    let (mut data, mut read) = (Vec::new(), 0);
    for input in bytes.chunks(piece) {
        let mut at = 0;
        loop {
            match reader.next(input, &mut at) {
                Ok(ChunkEvent::Data(range)) => data.extend_from_slice(&input[range]),
                Ok(ChunkEvent::NeedMore) => {
                    assert_eq!(at, input.len());
                    break;
                }
                end => return (data, read + at, end),
            }
        }
        read += at;
    }
    (data, read, Ok(ChunkEvent::NeedMore))
}

#[test]
fn a_body_is_read_to_its_last_byte_and_no_further() {
    for (body, data) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5;a\r\nhello\r\n0;b=c;d=\"e f\"\r\n\r\n", "hello"),
        ("5; a = b\r\nhello\r\n0\r\nX-Sum: 5\r\nServer-Timing: a\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        let bytes = format!("{body}GET / HTTP/1.1\r\n");
        for piece in [1, 2, 3, bytes.len()] {
            assert_eq!(
                read(bytes.as_bytes(), piece),
                (data.into(), body.len(), Ok(ChunkEvent::End)),
                "{body:?} {piece}"
            );
        }
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    use Refused as R;
    for (body, refused) in [
        ("\r\n0\r\n\r\n", R::ChunkSize),
        ("\n", R::ChunkSize),
        ("g\r\n", R::ChunkSize),
        ("+5\r\n", R::ChunkSize),
        ("-1\r\n", R::ChunkSize),
        ("0x5\r\n", R::ChunkSize),
        (" 5\r\n", R::ChunkSize),
        ("5 \r\n", R::ChunkSize),
        ("5\t;a\r\n", R::ChunkSize),
        ("5\0\r\n", R::ChunkSize),
        ("5\nhello", R::ChunkSize),
        ("5_0\r\n", R::ChunkSize),
        ("00000000000000005\r\n", R::ChunkSize),
        ("8000000000000000\r\n", R::ChunkSize),
        ("ffffffffffffffff\r\n", R::ChunkSize),
        (";a\r\n", R::ChunkSize),
        ("5;\r\n", R::ChunkExtension),
        ("5;;a\r\n", R::ChunkExtension),
        ("5;a\nhello", R::ChunkExtension),
        ("5;a\0\r\n", R::ChunkExtension),
        ("5;a=\u{e4}\r\n", R::ChunkExtension),
        ("5;\ra\r\n", R::ChunkExtension),
        ("5;a\rb\r\n", R::ChunkEnd),
        ("5\rhello", R::ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", R::ChunkEnd),
        ("5\r\nhello!\r\n", R::ChunkEnd),
        ("5\r\nhello0\r\n", R::ChunkEnd),
        ("5\r\nhello\r0\r\n", R::ChunkEnd),
        ("0\r\n\r0", R::Trailer),
        ("0\r\n\n", R::Trailer),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", R::Trailer),
        ("0\r\nX-A : b\r\n\r\n", R::Trailer),
        ("0\r\nX-A: b\n\r\n", R::Trailer),
        ("0\r\nX_A: b\r\n\r\n", R::Trailer),
        ("0\r\n X-A: b\r\n\r\n", R::Trailer),
        ("0\r\nContent-Length: 5\r\n\r\n", R::Trailer),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", R::Trailer),
        ("0\r\nHost: a\r\n\r\n", R::Trailer),
        ("0\r\nConnection: close\r\n\r\n", R::Trailer),
        ("0\r\n:method: GET\r\n\r\n", R::Trailer),
    ] {
        for piece in [1, 2, body.len()] {
            assert_eq!(read(body.as_bytes(), piece).2, Err(refused), "{body:?} in pieces of {piece}");
        }
    }
}

#[test]
fn framing_is_in_proportion_to_the_data() {
    let body = |size: usize, extension: usize, count: usize| {
        let chunk = format!("{size:x};{}\r\n{}\r\n", "a".repeat(extension), "d".repeat(size));
        format!("{}0\r\n\r\n", chunk.repeat(count))
    };
    assert_eq!(read(body(1, 4_000, 1).as_bytes(), 7).2, Err(Refused::ChunkExtension));
    assert_eq!(read(body(1, 1_000, 10).as_bytes(), 7).2, Ok(ChunkEvent::End));
    assert_eq!(read(body(1, 1_000, 20).as_bytes(), 7).2, Err(Refused::ChunkOverhead));
    // A signature on every chunk, and small chunks without extensions, are as good at the end as at the beginning.
    assert_eq!(read(body(8_192, 80, 500).as_bytes(), 4_096).2, Ok(ChunkEvent::End));
    assert_eq!(read(format!("{}0\r\n\r\n", "1\r\nd\r\n".repeat(50_000)).as_bytes(), 4_096).2, Ok(ChunkEvent::End));
}

#[test]
fn trailers_are_kept_and_those_that_are_none_marked() {
    let mut reader = ChunkReader::new(HeadLimits { head_bytes: 80, ..HeadLimits::default() });
    let body = b"0\r\ngrpc-status: 0\r\nAuthorization: x\r\nX-Forwarded-Foo: y\r\n\r\nrest";
    for _ in 0..2 {
        let mut at = 0;
        assert_eq!(reader.next(body, &mut at), Ok(ChunkEvent::End));
        assert_eq!((at, reader.next(body, &mut at)), (body.len() - 4, Ok(ChunkEvent::End)));
        let trailers = reader.trailers().unwrap();
        let marked: Vec<_> = trailers.walk().map(|line| (line.id, line.stays)).collect();
        let expected = [(KnownField::GrpcStatus, false), (KnownField::Authorization, true), (KnownField::Other, true)];
        assert_eq!(marked, expected);
        reader.reset();
        assert!(reader.trailers().is_none());
    }
    let mut at = 0;
    let long = format!("0\r\nX: {}\r\n\r\n", "a".repeat(80));
    assert_eq!(reader.next(long.as_bytes(), &mut at), Err(Refused::Trailer));
}
