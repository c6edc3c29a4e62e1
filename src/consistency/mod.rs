//! Whether the data of both environments agree: tables, queries, integrity and JSON, without writing anything.

pub mod json;
