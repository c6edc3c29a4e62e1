//! The trailer section of a chunked body, kept until it is whole.

use crate::head::Head;
use crate::parse::{HeadLimits, Parsed, parse_trailers};
use crate::refused::Refused;
use crate::view::HeadView;

/// Room that is kept from one trailer section to the next.
const KEPT_BYTES: usize = 1024;

/// Made only where trailers come.
#[derive(Clone, Debug, Default)]
pub(super) struct TrailerBuffer {
    bytes: Vec<u8>,
    head: Head,
}

impl TrailerBuffer {
    pub(super) fn clear(&mut self) {
        // An idle connection keeps no more room than trailers usually need.
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.head.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    pub(super) fn view(&self) -> HeadView<'_> {
        self.head.view(&self.bytes)
    }

    /// Takes what is the section's from the beginning of `rest`: how many bytes, and whether the section is whole.
    pub(super) fn take(&mut self, rest: &[u8], limits: &HeadLimits) -> Result<(usize, bool), Refused> {
        let before = self.bytes.len();
        // One byte above the limit, for the parser to find it exceeded.
        let room = limits.head_bytes.saturating_add(1).saturating_sub(before);
        let taken = rest.get(..room).unwrap_or(rest);
        self.bytes.extend_from_slice(taken);
        match parse_trailers(&self.bytes, &mut self.head, limits) {
            Ok(Parsed::Complete { head_len }) => {
                self.bytes.truncate(head_len);
                Ok((head_len.saturating_sub(before), true))
            }
            Ok(Parsed::Partial) => Ok((taken.len(), false)),
            // Whatever it is, it is the body that is malformed.
            Err(_) => Err(Refused::Trailer),
        }
    }
}
