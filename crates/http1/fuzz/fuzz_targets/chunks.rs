//! Chunked bodies: the pieces do not matter, and what is written anew has the same data.

#![no_main]

use cutover_http1::{ChunkEvent, ChunkReader, Refused, encode};
use libfuzzer_sys::fuzz_target;

/// The data, where the body ends, and what came last.
fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, usize, Result<ChunkEvent, Refused>) {
    let (mut reader, mut data, mut start) = (ChunkReader::default(), Vec::new(), 0);
    for input in bytes.chunks(piece.max(1)) {
        let mut at = 0;
        loop {
            match reader.next(input, &mut at) {
                Ok(ChunkEvent::Data(range)) => data.extend_from_slice(&input[range]),
                Ok(ChunkEvent::NeedMore) => break,
                Ok(ChunkEvent::End) => return (data, start + at, Ok(ChunkEvent::End)),
                Err(refused) => return (data, 0, Err(refused)),
            }
        }
        start += at;
    }
    (data, start, Ok(ChunkEvent::NeedMore))
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let whole = read(bytes, bytes.len());
    assert_eq!(whole, read(bytes, usize::from(*piece)));
    assert_eq!(whole, read(bytes, 1));
    if !whole.0.is_empty() {
        let mut out = Vec::new();
        encode::chunk_head(&mut out, whole.0.len() as u64);
        out.extend_from_slice(&whole.0);
        encode::chunk_end(&mut out);
        encode::last_chunk(&mut out);
        encode::end_of_fields(&mut out);
        assert_eq!(read(&out, 7), (whole.0, out.len(), Ok(ChunkEvent::End)));
    }
});
