//! Bytes as lower-case hexadecimal digits.

/// The digits on the stack; `N` is twice the number of bytes.
pub fn digits<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut digits = [b'0'; N];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
    digits
}

/// The digits as text.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(digit(nibble))).collect()
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_write_what_the_standard_library_does() {
        assert_eq!(digits::<6>(&[0, 0x0f, 0xa9]), *b"000fa9");
        assert_eq!(text(&[0, 0x0f, 0xa9]), "000fa9");
    }
}
