//! What a run found, for whoever reads it: a page for people, JUnit XML for whatever runs the pipeline, a table for the
//! terminal, and the schema of the JSON report, which is the
//! [`Execution`](wire::Execution) itself.
//!
//! Bodies, headers and rows come from origins, and an origin may be broken or hostile: every text passes through
//! `visible.rs`, and the page loads nothing and runs nothing, so that nothing in it can.

mod card;
mod chart;
mod exchange;
mod junit;
mod layout;
mod load;
pub mod numbers;
mod page;
mod passed;
mod schema;
mod summary;
mod text;
pub mod visible;
mod words;

pub use junit::junit;
pub use page::html;
pub use schema::schema;
pub use text::text;
