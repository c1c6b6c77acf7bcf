//! Walking through a tree with the path in hand.

use serde_json::Value;

/// The member of this name. Envoy's files are protobuf as JSON, where a name may also stand in
/// lowerCamelCase.
pub fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.get(name).or_else(|| value.get(camel(name)));
    found.filter(|value| !value.is_null())
}

/// The value at the end of this way of members.
pub fn at<'a>(value: &'a Value, way: &[&str]) -> Option<&'a Value> {
    way.iter()
        .try_fold(value, |value, name| member(value, name))
}

/// The text at the end of this way.
pub fn text<'a>(value: &'a Value, way: &[&str]) -> Option<&'a str> {
    at(value, way)?.as_str().filter(|text| !text.is_empty())
}

/// Whether there is `true` at the end of this way.
pub fn is_true(value: &Value, way: &[&str]) -> bool {
    at(value, way) == Some(&Value::Bool(true))
}

/// The elements of the list at the end of this way.
pub fn list<'a>(value: &'a Value, way: &[&str]) -> &'a [Value] {
    at(value, way)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The members of an object and the elements of a list, each with its path.
pub fn children<'a>(value: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (join(path, name), member))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, element)| (format!("{path}[{index}]"), element))
            .collect(),
        _ => Vec::new(),
    }
}

/// `path` with one member more.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if name.contains('.') {
        format!("{path}[\"{name}\"]")
    } else {
        format!("{path}.{name}")
    }
}

/// Whether this message has a type whose name ends so.
pub fn is_a(value: &Value, message: &str) -> bool {
    value
        .get("@type")
        .and_then(Value::as_str)
        .is_some_and(|name| name.ends_with(message))
}

/// `vm_config` as `vmConfig`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_may_stand_in_either_spelling() {
        let tree = json!({ "vmConfig": { "vm_id": "oidc" } });
        assert_eq!(text(&tree, &["vm_config", "vm_id"]), Some("oidc"));
        assert_eq!(camel("code"), "code");
        assert!(member(&json!({ "code": null }), "code").is_none());
    }

    #[test]
    fn a_path_reads_like_the_file() {
        let tree = json!({ "a": [{ "b.c": 1 }] });
        let (path, element) = &children(&tree["a"], "a")[0];
        assert_eq!(path, "a[0]");
        assert_eq!(children(element, path)[0].0, "a[0][\"b.c\"]");
    }
}
