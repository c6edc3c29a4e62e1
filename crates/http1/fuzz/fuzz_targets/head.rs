//! Requests: what would be forwarded is read in one way by a second reader, and the pieces do not matter.
//! The first byte says how long the pieces are.

#![no_main]

#[path = "../../tests/support/forward.rs"]
mod forward;
#[path = "../../tests/support/strict.rs"]
mod strict;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let (whole, ending) = forward::connection(bytes, &[]);
    for one in &whole {
        let read = strict::request(&one.bytes, &[]).expect("a request that is read in one way");
        assert_eq!((&read.start[0], &read.start[1]), (&one.method, &one.target));
        assert_eq!((&read.body, read.length), (&one.body, one.bytes.len()));
    }
    let cuts: Vec<usize> = (1..bytes.len()).step_by(usize::from(*piece).max(1)).collect();
    let (pieces, same_ending) = forward::connection(bytes, &cuts);
    assert_eq!(ending, same_ending);
    assert_eq!(whole.len(), pieces.len());
    for (one, other) in whole.iter().zip(&pieces) {
        assert_eq!((&one.body, one.end), (&other.body, other.end));
    }
});
