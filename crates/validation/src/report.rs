//! Reports of a run: a page for people, JUnit XML for CI, a table for the
//! terminal, and the schema of the JSON report, which is the
//! [`Execution`](wire::Execution) itself.
//!
//! Bodies, headers and rows come from origins, and an origin may be broken or hostile: every text passes through
//! `visible.rs`, and the page loads nothing and runs no script.

mod chart;
mod exchange;
mod failure_card;
mod json_layout;
mod junit;
mod load_card;
pub mod numbers;
mod page;
mod part_list;
mod schema;
mod summary;
mod terminal;
pub mod visible;
mod words;

pub use junit::junit;
pub use page::html;
pub use schema::schema;
pub use terminal::text;
