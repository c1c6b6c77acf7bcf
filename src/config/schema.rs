//! The configuration as JSON Schema, draft 4: the one that Kong reads.
//!
//! It knows every field and its type, from the same table as the parser. It is wider than the parser
//! on purpose: which values work is said by the filter, whose errors explain themselves. Null and an
//! empty object for an empty list are accepted wherever the parser accepts them.

use serde_json::{Map, Value, json};

use super::fields::{Field, Kind, State};
use super::reference;
use super::routes;
use super::table::FIELDS;

/// The schema of the whole configuration.
pub fn draft4() -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "Configuration of oidc-filter",
        "definitions": {
            "reference": {
                "type": "string",
                "pattern": "^\\{vault://env/[A-Za-z0-9_-]+\\}$",
                "description": "Read from the environment of the filter's VM.",
            },
            "empty_list": {
                "type": "object",
                "maxProperties": 0,
                "additionalProperties": false,
                "description": "An empty list, as Kong writes it.",
            },
            "overlay": overlay(),
        },
    });
    if let (Value::Object(schema), Value::Object(top)) = (&mut schema, object("")) {
        schema.extend(top);
    }
    schema
}

/// Every field of the top level at its default, null where there is none; the issuer, which has to be
/// named, is `https://idp.example`. The names of the past are left out.
pub fn defaults() -> Value {
    let current = FIELDS
        .iter()
        .filter(|field| !field.path.contains(['.', '[']));
    let members = current.map(|field| match field.path {
        "issuer" => (field.path.to_owned(), json!("https://idp.example")),
        path => (path.to_owned(), field.default_value()),
    });
    Value::Object(members.collect())
}

/// What a route may have of its own: none of it is required.
fn overlay() -> Value {
    let mut overlay = object("");
    if let Value::Object(overlay) = &mut overlay {
        overlay.remove("required");
        if let Some(Value::Object(properties)) = overlay.get_mut("properties") {
            properties.retain(|name, _| !routes::is_fixed(name));
        }
    }
    overlay
}

/// The object whose members' paths begin with `prefix`.
fn object(prefix: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in FIELDS {
        let Some(name) = field
            .path
            .strip_prefix(prefix)
            .filter(|name| !name.contains(['.', '[']))
        else {
            continue;
        };
        if is_required(field) {
            required.push(name);
        }
        properties.insert(name.to_owned(), property(field));
    }
    let mut object =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    // Draft 4 knows no empty `required`.
    if let (false, Value::Object(object)) = (required.is_empty(), &mut object) {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn is_required(field: &Field) -> bool {
    matches!(
        field.path,
        "issuer" | "kong_admin.url" | "upstream_headers[].header" | "upstream_headers[].path"
    )
}

fn property(field: &Field) -> Value {
    let mut schema = match (is_required(field), &field.kind) {
        (true, Kind::Texts) => {
            json!({ "type": "array", "minItems": 1, "items": { "type": "string" } })
        }
        (true, _) => json!({ "type": "string", "minLength": 1 }),
        (false, kind) => optional(field, kind),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), Value::String(description(field)));
    }
    schema
}

fn optional(field: &Field, kind: &Kind) -> Value {
    let text = json!({ "type": "string" });
    match kind {
        Kind::Text => json!({ "type": ["string", "null"] }),
        Kind::Flag => json!({ "type": ["boolean", "null"] }),
        Kind::Number => json!({ "type": ["number", "null"], "minimum": 0 }),
        // Not "integer": 3600.0 is none in draft 4.
        Kind::Integer(least, most) => {
            json!({ "type": ["number", "null"], "multipleOf": 1, "minimum": least, "maximum": most })
        }
        Kind::Choice(options) => json!({ "anyOf": [one_of(options), { "type": "null" }] }),
        Kind::Texts => list(text),
        Kind::Choices(options) => list(one_of(options)),
        Kind::Paths => list(list(text)),
        Kind::Object => {
            let block = object(&format!("{}.", field.path));
            json!({ "anyOf": [block, { "type": "null" }] })
        }
        Kind::Objects => list(object(&format!("{}[].", field.path))),
        Kind::Map => json!({ "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "null"] } },
            { "type": "array", "maxItems": 0 },
            { "type": "null" },
        ]}),
        Kind::Overlay => {
            json!({ "anyOf": [{ "$ref": "#/definitions/overlay" }, { "type": "null" }] })
        }
        Kind::Anything => json!({}),
    }
}

fn list(items: Value) -> Value {
    json!({ "anyOf": [
        { "type": "array", "items": items },
        { "$ref": "#/definitions/empty_list" },
        { "type": "null" },
    ]})
}

fn one_of(options: &[&str]) -> Value {
    json!({ "anyOf": [{ "type": "string", "enum": options }, { "$ref": "#/definitions/reference" }] })
}

fn description(field: &Field) -> String {
    let old;
    let default = match field.default {
        "null" => String::new(),
        default => format!("Default: `{default}`."),
    };
    let state = match &field.state {
        State::Honoured => "",
        State::Renamed(now) => {
            old = format!("An old name: read as `{now}`, with a warning.");
            &old
        }
        State::Later => "Not built yet in this version: leave it out, or at its default.",
        State::Instead(why) | State::Never(why) => why,
    };
    let parts = [reference::meaning(field.path), &default, state];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}
