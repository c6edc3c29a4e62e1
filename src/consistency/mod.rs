//! Whether the data of both environments agree: tables, queries, integrity and JSON, without writing anything.

pub mod json;

/// Placeholder while parts come together.
pub async fn digest(_: &crate::config::suite::Data) -> [crate::wire::DataSide; 2] {
    Default::default()
}
