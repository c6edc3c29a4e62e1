//! Rows as texts, as every engine gives them.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::consistency::values::ColumnType;

/// The values of a row; `None` is NULL.
pub type RowValues = Vec<Option<String>>;

/// What the columns of a result are.
#[derive(Debug, Default)]
pub struct ResultColumns {
    pub names: Vec<String>,
    pub classes: Vec<ColumnType>,
}

/// A row of a stream, with what all of its rows have in common.
#[derive(Debug)]
pub struct ResultRow {
    pub heads: Arc<ResultColumns>,
    pub cells: RowValues,
}

pub type RowStream<'s> = BoxStream<'s, Result<ResultRow, String>>;

/// Bytes that are no UTF-8 as `x'…'`.
pub fn text_or_hex(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| hex(error.as_bytes()))
}

pub fn hex(bytes: &[u8]) -> String {
    format!("x'{}'", judgement::hex::text(bytes))
}
