//! Which bytes may stand where (RFC 9110 5.5 and 5.6.2, RFC 9112 3), and how far a run of them goes.

/// A byte of a token, and whether it is the underscore, which some names may not have.
pub(crate) const TOKEN: u8 = 1;
pub(crate) const UNDERSCORE: u8 = 2;

/// 0 for what no token has.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let class = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => TOKEN,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'`' | b'|' | b'~' => TOKEN,
            b'_' => TOKEN | UNDERSCORE,
            _ => 0,
        };
        #[expect(clippy::indexing_slicing, reason = "at compile time, where a wrong index is an error")]
        {
            table[byte] = class;
        }
        byte += 1;
    }
    table
};

#[inline]
pub(crate) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// RFC 9110 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| class(*byte) != 0)
}

/// Where a token that begins at `at` ends, and the classes of its bytes, put together.
#[inline]
pub(crate) fn token_end(bytes: &[u8], at: usize) -> (usize, u8) {
    let mut seen = 0;
    for (gone, byte) in bytes.get(at..).unwrap_or_default().iter().enumerate() {
        match class(*byte) {
            0 => return (at + gone, seen),
            class => seen |= class,
        }
    }
    (bytes.len().max(at), seen)
}

/// Where the run of bytes of a field value that begins at `at` ends: anything but control bytes, of which only the tab is
/// allowed. Bytes from 0x80 on are obs-text.
#[inline]
pub(crate) fn value_end(bytes: &[u8], at: usize) -> usize {
    run_end(
        bytes,
        at,
        |word| below(word, b' ') | equal(word, 0x7f),
        |byte| byte >= b' ' && byte != 0x7f || byte == b'\t',
    )
}

/// Where the run of bytes of a target that begins at `at` ends. A fragment is part of no target, so `#` ends it. RFC 3986
/// forbids some more bytes that browsers send all the same (`|`, brackets, braces): they are printable, and frame nothing.
#[inline]
pub(crate) fn target_end(bytes: &[u8], at: usize) -> usize {
    let odd = |word| below(word, b'!') | equal(word, 0x7f) | equal(word, b'#') | word & HIGH;
    run_end(bytes, at, odd, |byte| byte.is_ascii_graphic() && byte != b'#')
}

/// A word of ones, and one of the highest bits of its bytes.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes below `least`, which is at most 0x80, by their highest bit. A byte above a marked one may be marked too.
#[inline(always)]
fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(least)) & !word & HIGH
}

/// Marks the bytes that are `byte`, as [`below`] does.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Eight bytes at a time. `odd` marks bytes that may end the run, the first of them without fail; `good` has the last word.
#[inline(always)]
fn run_end(bytes: &[u8], mut at: usize, odd: impl Fn(u64) -> u64, good: impl Fn(u8) -> bool) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let marks = odd(u64::from_le_bytes(*block));
        if marks == 0 {
            at += block.len();
            continue;
        }
        at += (marks.trailing_zeros() / 8) as usize;
        if bytes.get(at).is_some_and(|byte| !good(*byte)) {
            return at;
        }
        at += 1;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().position(|byte| !good(*byte)).unwrap_or(tail.len())
}

/// Optional white space (RFC 9110 5.6.3) at the beginning: where it ends.
#[inline]
pub(crate) fn space_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_a_byte_by_byte_look_says_so() {
        let plain = [b'a'; 70];
        for length in 0..70 {
            for byte in 0..=255 {
                let mut bytes = plain[..length].to_vec();
                bytes.push(byte);
                bytes.extend_from_slice(b"more");
                let good = byte >= b' ' && byte != 0x7f || byte == b'\t';
                assert_eq!(value_end(&bytes, 0), if good { length + 5 } else { length }, "{length} {byte}");
                let good = byte.is_ascii_graphic() && byte != b'#';
                assert_eq!(target_end(&bytes, 0), if good { length + 5 } else { length }, "{length} {byte}");
            }
        }
        assert_eq!((value_end(b"ab", 2), value_end(b"ab", 5)), (2, 5));
        assert_eq!((token_end(b"ab: c", 0), token_end(b"a_b", 0)), ((2, 1), (3, 3)));
    }
}
