use schemars::generate::SchemaSettings;

use super::Manifest;

/// The JSON Schema of `extension.json` (draft 2020-12); `plugin-api/extension.schema.json` is its published copy.
pub fn schema() -> serde_json::Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Manifest>();
    schema.insert("title".to_owned(), "Manifest of a powernode extension".into());
    schema.to_value()
}
