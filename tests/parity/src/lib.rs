//! Each field of the configuration with its state.
//!
//! - `tests/fields.tsv`: the fields, from the plugin's own schema
//! - `tests/parity.tsv`: what is said of those that the filter reads: the test that shows the effect, or why there
//!   is none
//! - the filter's table: what the filter refuses, and why
//! - [`prove`]: whether the named tests notice when the field is taken away

pub mod prove;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use oidc_filter::config::Config;
use oidc_filter::config::reference::{Entry, Standing};
use serde_json::{Value, json};

/// A row of the specification's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As in `redis.host`.
    pub path: String,
    /// The part of the work that brings its effect.
    pub part: String,
}

/// What is said of a field that the filter reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The field.
    pub path: String,
    /// `done`, `inert` or `refused`.
    pub state: String,
    /// `target::test` in `tests/flow`, or the reason.
    pub detail: String,
}

/// What a field comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// This test sees its effect.
    Done(Test),
    /// Accepted, and there is nothing that it could do here.
    Inert(String),
    /// Any value but the default is an error: why.
    Refused(String),
    /// To be done: by which part of the work, and what lacks.
    Open(String),
}

/// A test of `tests/flow`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// The file in `tests/flow/tests/`.
    pub target: String,
    /// Its path in there.
    pub name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.target, self.name)
    }
}

/// The folder of the project.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The columns of a table in `tests/`.
///
/// # Panics
/// When the file cannot be read.
fn table(name: &str) -> Vec<Vec<String>> {
    let file = workspace().join("tests").join(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// The fields of the specification, in its order.
///
/// # Panics
/// When a line does not have four columns.
#[must_use]
pub fn fields() -> Vec<Field> {
    let read = |columns: Vec<String>| {
        let [path, _row, _verdict, part] = <[String; 4]>::try_from(columns).expect("four columns");
        Field { path, part }
    };
    table("fields.tsv").into_iter().map(read).collect()
}

/// What is said of the fields that the filter reads.
///
/// # Panics
/// When a line does not have three columns.
#[must_use]
pub fn claims() -> Vec<Claim> {
    let read = |columns: Vec<String>| {
        let [path, state, detail] = <[String; 3]>::try_from(columns).expect("three columns");
        Claim {
            path,
            state,
            detail,
        }
    };
    table("parity.tsv").into_iter().map(read).collect()
}

/// What a field comes to, before its test has run.
///
/// # Panics
/// When a claim has another state than it may have.
#[must_use]
pub fn state(field: &Field, entry: &Entry, claims: &[Claim]) -> State {
    let claim = claims.iter().find(|claim| claim.path == field.path);
    match (entry.standing, claim) {
        (Standing::Never(why), _) => State::Refused(why.to_owned()),
        (Standing::Later | Standing::Instead(_) | Standing::Renamed(_), _) => {
            State::Open(format!("{}: not built yet", field.part))
        }
        (Standing::Honoured, None) => {
            State::Open(format!("{}: no test shows its effect", field.part))
        }
        (Standing::Honoured, Some(claim)) => {
            let detail = claim.detail.clone();
            match (claim.state.as_str(), detail.split_once("::")) {
                ("done", Some((target, name))) => State::Done(Test {
                    target: target.to_owned(),
                    name: name.to_owned(),
                }),
                ("inert", _) => State::Inert(detail),
                ("refused", _) => State::Refused(detail),
                _ => panic!("{}: {} {}", claim.path, claim.state, claim.detail),
            }
        }
    }
}

/// What the filter says to this field at a value that is not its default.
#[must_use]
pub fn errors_at_another_value(entry: &Entry) -> Vec<String> {
    let mut config = json!({ "issuer": "https://idp.example" });
    put(&mut config, entry.path, entry.other.clone());
    match Config::parse(config.to_string().as_bytes(), &|_| None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// Puts a value at a path; a list on the way gets one element.
fn put(object: &mut Value, path: &str, value: Value) {
    let Some((name, rest)) = path.split_once('.') else {
        object[path] = value;
        return;
    };
    match name.strip_suffix("[]") {
        Some(name) => {
            object[name] = json!([{}]);
            put(&mut object[name][0], rest, value);
        }
        None => {
            if !object[name].is_object() {
                object[name] = json!({});
            }
            put(&mut object[name], rest, value);
        }
    }
}
