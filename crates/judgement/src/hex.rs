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

/// The bytes of a text; `None` if it is not pairs of digits.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
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

    #[test]
    fn a_text_becomes_the_bytes_that_it_came_from() {
        assert_eq!(bytes("000fA9"), Some(vec![0, 0x0f, 0xa9]));
        for wrong in ["0", "0g", "é", "00 1"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
