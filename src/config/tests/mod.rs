//! The configuration as a whole: what goes in, what comes out, and which path an error names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde_json::{Value, json};

use super::document::Document;
use super::*;

mod accepted;
mod browser;
mod clients;
mod endpoints;
mod kong_admin;
mod properties;
mod refused;
mod routes;

fn with(members: Value) -> Value {
    let mut whole = json!({ "issuer": "https://idp.example/realm" });
    for (name, value) in members.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    whole
}

fn env(name: &str) -> Option<String> {
    (name == "MY_SECRET").then(|| "a secret of the environment, long enough".to_owned())
}

fn read(members: Value) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    Config::parse(with(members).to_string().as_bytes(), &env)
}

fn good(members: Value) -> Config {
    read(members).expect("a good configuration").0
}

fn warned(members: Value) -> Vec<String> {
    let (_, warnings) = read(members).expect("a good configuration");
    warnings.iter().map(ToString::to_string).collect()
}

fn errors(members: Value) -> Vec<String> {
    let errors = read(members).expect_err("a bad configuration");
    errors.iter().map(ToString::to_string).collect()
}

/// Exactly one error, at `path`, that says `text`.
fn refused(members: Value, path: &str, text: &str) {
    let shown = members.to_string();
    let errors = read(members).expect_err(&shown);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].path, path, "{errors:?}");
    assert!(errors[0].message.contains(text), "{errors:?}");
}

/// Reads some members directly: whether the table lets them through yet is not asked.
fn reader(members: Value) -> Reader {
    let Value::Object(members) = members else {
        panic!("an object");
    };
    Reader::new(Document {
        members,
        routes: serde_json::Value::Null,
        errors: Vec::new(),
        warnings: Vec::new(),
    })
}

type Read<T> = Result<(T, Vec<String>), Vec<String>>;

fn ended<T>(reader: Reader, read: T) -> Read<T> {
    match reader.finish(Some(read)) {
        Ok((read, warnings)) => Ok((read, warnings.iter().map(ToString::to_string).collect())),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}
