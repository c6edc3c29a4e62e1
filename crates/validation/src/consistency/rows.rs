//! Rows as texts, the same for every engine.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::consistency::values::ColumnType;

/// The values of a row; `None` is NULL.
pub type RowValues = Vec<Option<String>>;

/// The columns of a result.
#[derive(Debug, Default)]
pub struct ResultColumns {
    pub names: Vec<String>,
    pub classes: Vec<ColumnType>,
}

/// A row of a stream, with the columns that all its rows share.
#[derive(Debug)]
pub struct ResultRow {
    pub heads: Arc<ResultColumns>,
    pub cells: RowValues,
}

pub type RowStream<'s> = BoxStream<'s, Result<ResultRow, String>>;

/// Text, or bytes that are not UTF-8 as `x'…'`.
pub fn text_or_hex(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| hex_literal(error.as_bytes()))
}

/// Bytes as SQL writes them.
pub fn hex_literal(bytes: &[u8]) -> String {
    format!("x'{}'", judgement::hex::text(bytes))
}
