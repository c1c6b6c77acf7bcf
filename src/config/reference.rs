//! Every field in words, for the native tools: the reference, the schema's descriptions, the parity list.
//!
//! What a field is called, its type, its default and its state stand in the table that the parser reads. What it
//! means stands in `reference.tsv`, a line for each row of the table; the module does not carry it.

use serde_json::{Map, Value, json};

use super::fields::{Field, Kind, State};
use super::table::FIELDS;

/// Path, section, unit, meaning.
const MEANINGS: &str = include_str!("reference.tsv");

/// A field, told to people.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As in `redis.host` and `upstream_headers[].path`.
    pub path: &'static str,
    /// The letter of its section; empty for what is not told anywhere.
    pub section: &'static str,
    /// The type in words.
    pub kind: String,
    /// What a number counts; empty where it counts nothing.
    pub unit: &'static str,
    /// The default, as JSON; `null` where there is none.
    pub default: &'static str,
    /// What it does; empty where nobody wrote it down.
    pub meaning: &'static str,
    /// What this version does with it.
    pub standing: Standing,
    /// A value of its type that is not the default.
    pub other: Value,
}

/// What this version does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is read and has its effect.
    Honoured,
    /// An old name: read as this field.
    Renamed(&'static str),
    /// Not built yet: refused at any value but the default.
    Later,
    /// Refused, with this advice.
    Instead(&'static str),
    /// Refused for this reason, for good.
    Never(&'static str),
}

/// All fields, in the order of the reference.
pub fn entries() -> Vec<Entry> {
    FIELDS.iter().map(entry).collect()
}

/// The lines of the meanings whose field is in no row, or in another line as well.
pub fn left_over() -> Vec<&'static str> {
    let lines: Vec<&str> = lines().map(|(path, _)| path).collect();
    let fits = |path: &str| {
        FIELDS.iter().any(|field| field.path == path)
            && lines.iter().filter(|other| **other == path).count() == 1
    };
    let lines = lines.iter().copied();
    lines.filter(|path| !fits(path)).collect()
}

/// What a field means.
pub(super) fn meaning(path: &str) -> &'static str {
    told(path).2
}

fn entry(field: &'static Field) -> Entry {
    let (section, unit, meaning) = told(field.path);
    Entry {
        path: field.path,
        section,
        kind: kind(&field.kind),
        unit,
        default: field.default,
        meaning,
        standing: match field.state {
            State::Honoured => Standing::Honoured,
            State::Renamed(now) => Standing::Renamed(now),
            State::Later => Standing::Later,
            State::Instead(advice) => Standing::Instead(advice),
            State::Never(why) => Standing::Never(why),
        },
        other: other(field),
    }
}

fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = MEANINGS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('\t'))
}

/// Section, unit and meaning of a path.
fn told(path: &str) -> (&'static str, &'static str, &'static str) {
    let line = lines().find(|(own, _)| *own == path);
    let mut columns = line.map_or("", |(_, rest)| rest).split('\t');
    let mut next = || columns.next().unwrap_or_default();
    (next(), next(), next())
}

fn kind(kind: &Kind) -> String {
    let named = |options: &[&str]| {
        let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
        options.join(", ")
    };
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Integer(least, most) => format!("whole number, {least} to {most}"),
        Kind::Choice(options) => format!("one of {}", named(options)),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Choices(options) => format!("list of {}", named(options)),
        Kind::Paths => "list of lists of texts".to_owned(),
        Kind::Object => "object".to_owned(),
        Kind::Objects => "list of objects".to_owned(),
        Kind::Map => "object of texts".to_owned(),
        Kind::Overlay => "object of fields of this page".to_owned(),
        Kind::Anything => "not settled yet".to_owned(),
    }
}

fn other(field: &Field) -> Value {
    let default = field.default_value();
    let first = |options: &[&str], taken: &Value| {
        let mut options = options.iter().map(|option| json!(option));
        options
            .find(|option| option != taken)
            .unwrap_or(Value::Null)
    };
    match &field.kind {
        Kind::Text => json!("other"),
        Kind::Flag => json!(default != json!(true)),
        Kind::Number => json!(default.as_f64().unwrap_or(0.0) + 1.0),
        Kind::Integer(least, _) => {
            let default = default.as_u64().unwrap_or(u64::from(*least));
            json!(default.saturating_add(1))
        }
        Kind::Choice(options) => first(options, &default),
        Kind::Texts | Kind::Anything => json!(["other"]),
        Kind::Choices(options) => {
            let only = default.as_array().filter(|list| list.len() == 1);
            let taken = only.and_then(|list| list.first()).unwrap_or(&Value::Null);
            json!([first(options, taken)])
        }
        Kind::Paths => json!([["other"]]),
        Kind::Object => first_member(&format!("{}.", field.path)),
        Kind::Objects => json!([first_member(&format!("{}[].", field.path))]),
        Kind::Map => json!({ "other": "other" }),
        Kind::Overlay => json!({ "leeway": 1 }),
    }
}

/// An object with its first member at another value than the default.
fn first_member(prefix: &str) -> Value {
    let member = FIELDS.iter().find_map(|field| {
        let name = field.path.strip_prefix(prefix)?;
        Some((name.to_owned(), other(field)))
    });
    Value::Object(Map::from_iter(member))
}
