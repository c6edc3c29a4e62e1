//! A short text on the stack, so that what is written for every request needs no allocation.

use std::fmt;
use std::net::IpAddr;

/// At most `N` bytes.
#[derive(Clone, Copy, Debug)]
pub struct StackText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> StackText<N> {
    pub const fn new() -> StackText<N> {
        StackText { bytes: [0; N], len: 0 }
    }

    /// Appends these bytes; returns false and appends nothing if there is no room.
    pub fn push(&mut self, more: &[u8]) -> bool {
        let end = self.len.saturating_add(more.len());
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(more);
                self.len = end;
                true
            }
            None => false,
        }
    }

    /// Appends an address in its usual form.
    pub fn push_address(&mut self, address: IpAddr) {
        match address {
            // By hand rather than with `write!`, because this happens for every request.
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.push(b".");
                    }
                    let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
                    let skip = usize::from(octet < 100) + usize::from(octet < 10);
                    self.push(digits.get(skip..).unwrap_or(&digits));
                }
            }
            IpAddr::V6(address) => {
                // Nothing is cut off here: the longest address has 45 bytes.
                let _ = fmt::Write::write_fmt(self, format_args!("{address}"));
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for StackText<N> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.push(more.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for address in
            ["0.0.0.0", "1.20.100.255", "192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1"]
        {
            let address: IpAddr = address.parse().unwrap();
            let mut text: StackText<64> = StackText::new();
            text.push_address(address);
            assert_eq!(text.as_bytes(), address.to_string().as_bytes());
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let mut text: StackText<4> = StackText::new();
        assert!(text.push(b"abc") && !text.push(b"de") && text.push(b"f"));
        assert_eq!(text.as_bytes(), b"abcf");
    }
}
