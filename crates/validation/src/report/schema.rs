//! The schema of the JSON report, for programs that read it. A copy of it is checked in as
//! `docs/src/execution.schema.json`.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use wire::Execution;

/// JSON Schema, draft 2020-12, of an execution as it is written.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<Execution>().to_value()
}
