//! YAML as a tree of JSON: the one file that knows the YAML library.

use serde_json::Value;

/// Reads one document. JSON is YAML, too.
///
/// # Errors
/// Where the mistake is; never a value, which might be a secret.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    serde_yaml_ng::from_slice(text).map_err(|why| match why.location() {
        Some(place) => format!(
            "is not YAML: a mistake at line {}, column {}",
            place.line(),
            place.column()
        ),
        None => "is not YAML that can be read: one document, with texts as names".to_owned(),
    })
}

/// Writes a tree.
///
/// # Errors
/// Where the library cannot; a tree of JSON it can.
pub fn write(tree: &Value) -> Result<String, String> {
    serde_yaml_ng::to_string(tree).map_err(|why| why.to_string())
}
