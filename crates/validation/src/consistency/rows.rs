//! Rows as texts, as every engine gives them.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::consistency::canon::Class;

/// The values of a row; `None` is NULL.
pub type Cells = Vec<Option<String>>;

/// What the columns of a result are.
#[derive(Debug, Default)]
pub struct Heads {
    pub names: Vec<String>,
    pub classes: Vec<Class>,
}

/// A row of a stream, with what all of its rows have in common.
#[derive(Debug)]
pub struct Line {
    pub heads: Arc<Heads>,
    pub cells: Cells,
}

pub type Lines<'s> = BoxStream<'s, Result<Line, String>>;

/// Bytes that are no UTF-8 as `x'…'`.
pub fn text_or_hex(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| hex(error.as_bytes()))
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() * 2 + 3);
    out.push_str("x'");
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.push('\'');
    out
}
