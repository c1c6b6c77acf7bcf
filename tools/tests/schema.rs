//! The schema agrees with the parser, and draft 4 agrees with the schema.

use std::fs;
use std::path::{Path, PathBuf};

use oidc_filter::config::Config;
use oidc_filter::config::schema::{defaults, draft4};
use serde_json::{Value, json};

fn samples(kind: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder).expect("the samples") {
        let path = entry.expect("a sample").path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(kind))
        {
            let text = fs::read(&path).expect("readable");
            samples.push((path, serde_json::from_slice(&text).expect("JSON")));
        }
    }
    assert!(!samples.is_empty());
    samples
}

fn fits(sample: &Value) -> bool {
    jsonschema::draft4::new(&draft4())
        .expect("a schema")
        .is_valid(sample)
}

fn parses(sample: &Value) -> Result<(), String> {
    let parsed = Config::parse(sample.to_string().as_bytes(), &|_| None);
    parsed.map(|_| ()).map_err(|errors| format!("{errors:?}"))
}

#[test]
fn the_schema_is_a_draft_4_schema() {
    assert!(jsonschema::draft4::meta::is_valid(&draft4()));
}

#[test]
fn accepted_samples_fit_and_parse() {
    for (path, sample) in samples("accepted") {
        assert!(fits(&sample), "{path:?}");
        assert_eq!(parses(&sample), Ok(()), "{path:?}");
    }
}

#[test]
fn refused_samples_neither_fit_nor_parse() {
    for (path, sample) in samples("refused") {
        assert!(!fits(&sample), "{path:?}");
        assert!(parses(&sample).is_err(), "{path:?}");
    }
}

#[test]
fn every_default_fits_and_parses() {
    assert!(fits(&defaults()));
    assert_eq!(parses(&defaults()), Ok(()));
}

#[test]
fn an_unbuilt_field_fits_with_the_right_type_and_is_refused_by_the_parser() {
    let set = |name: &str, value: Value| {
        let mut sample = json!({ "issuer": "https://idp.example" });
        sample[name] = value;
        sample
    };
    let known = set("session_remember_rolling_timeout", json!(60));
    assert!(fits(&known));
    assert!(parses(&known).is_err());
    assert!(!fits(&set("session_remember_rolling_timeout", json!("60"))));
    assert!(fits(&set("redis", json!({ "host": "redis.example" }))));
    assert!(!fits(&set("redis", json!({ "hosts": "redis.example" }))));
}

#[test]
fn references_fit_where_choices_are() {
    assert!(fits(
        &json!({ "issuer": "https://idp.example", "shared_data": "{vault://env/SHARED}" })
    ));
    assert!(!fits(
        &json!({ "issuer": "https://idp.example", "shared_data": "{vault://aws/SHARED}" })
    ));
}

/// Only what is not settled may have open members; a map's values are typed.
#[test]
fn no_object_is_open() {
    fn walk(schema: &Value, at: &str) {
        if let Some(object) = schema.as_object() {
            let names_object = object.get("type").is_some_and(|kind| kind == "object");
            assert!(
                !names_object || object.contains_key("additionalProperties"),
                "{at}"
            );
            for (name, inner) in object {
                walk(inner, &format!("{at}/{name}"));
            }
        }
        for inner in schema.as_array().into_iter().flatten() {
            walk(inner, at);
        }
    }
    walk(&draft4(), "");
}
