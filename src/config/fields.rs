//! What is known of every field, and the judgement of those that this version does not honour.

use serde_json::{Map, Value};

use super::error::{ConfigError, MOST_ERRORS};
use super::table::FIELDS;

/// One row of the table.
#[derive(Debug)]
pub(super) struct Field {
    /// As in `redis.host` and `upstream_headers[].path`.
    pub(super) path: &'static str,
    /// The type.
    pub(super) kind: Kind,
    /// The default, as JSON; `null` where there is none.
    pub(super) default: &'static str,
    /// What this version does with it.
    pub(super) state: State,
}

/// A field's type.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "schema"),
    allow(dead_code, reason = "the schema reads it")
)]
pub(super) enum Kind {
    Text,
    Flag,
    /// Not negative.
    Number,
    /// A whole number, from the first to the second.
    Integer(u32, u32),
    Choice(&'static [&'static str]),
    Texts,
    Choices(&'static [&'static str]),
    /// A list of lists of text.
    Paths,
    /// Its members have rows of their own.
    Object,
    /// A list of objects, whose members have rows of their own.
    Objects,
    /// An object with free names and texts as values.
    Map,
    /// Members of the top level that take the place of the outer ones.
    Overlay,
    /// Not settled before it is built.
    Anything,
}

/// What this version does with a field.
#[derive(Debug)]
pub(super) enum State {
    /// Read by one of the subjects.
    Honoured,
    /// An old name: read as this field, with a warning.
    Renamed(&'static str),
    /// Not built yet: only the default is accepted.
    Later,
    /// As `Later`, with a better advice.
    Instead(&'static str),
    /// Never to be built: only the default is accepted. Why, and what to do instead.
    Never(&'static str),
}

impl Field {
    /// The default as a value; `Null` where there is none.
    pub(super) fn default_value(&self) -> Value {
        serde_json::from_str(self.default).unwrap_or(Value::Null)
    }

    fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Object)
    }
}

/// Old names, and those that took their place.
pub(super) fn renamed() -> impl Iterator<Item = (&'static str, &'static str)> {
    FIELDS.iter().filter_map(|field| match field.state {
        State::Renamed(now) => Some((field.path, now)),
        _ => None,
    })
}

/// The row of a path.
pub(super) fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Judges the members of an object: unknown ones, and those that must be left at their default.
/// `prefix` is empty at the top, and `redis.` or `upstream_headers[].` below it; `shown_prefix` is
/// the same as the reader of an error knows it.
pub(super) fn judge(
    prefix: &str,
    shown_prefix: &str,
    members: &Map<String, Value>,
    errors: &mut Vec<ConfigError>,
) {
    for (name, value) in members {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        let path = format!("{shown_prefix}{}", shown(name));
        // A path of the table is no member's name: `redis.host` is not a field of the top level.
        let field = if name.contains(['.', '[']) {
            None
        } else {
            find(&format!("{prefix}{name}"))
        };
        let Some(field) = field else {
            errors.push(ConfigError {
                path,
                message: unknown(prefix, name),
            });
            continue;
        };
        match (&field.state, value) {
            (_, Value::Object(block)) if field.is_block() => {
                judge(
                    &format!("{}.", field.path),
                    &format!("{path}."),
                    block,
                    errors,
                );
            }
            (State::Honoured | State::Renamed(_), _) | (_, Value::Null) => {}
            (_, value) if is_default(field, value) => {}
            (state, _) => errors.push(ConfigError {
                path,
                message: refusal(field, state),
            }),
        }
    }
}

fn refusal(field: &Field, state: &State) -> String {
    let rest = match (state, field.default) {
        (State::Never(why), "null") => return format!("not supported: {why}"),
        (State::Never(why), default) => {
            return format!(
                "not supported at any value but its default `{}`: {why}",
                plain(default)
            );
        }
        (State::Instead(advice), _) => return (*advice).to_owned(),
        (_, "null") => "remove it".to_owned(),
        (_, default) => format!("remove it or leave it at its default `{}`", plain(default)),
    };
    format!("not built yet in this version; {rest}")
}

/// A default without the quotes of a text.
fn plain(default: &str) -> &str {
    default
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(default)
}

/// Whether `value` says what the field's absence says. The order of a list does not matter, and an
/// empty list is an absent one where there is no default.
pub(super) fn is_default(field: &Field, value: &Value) -> bool {
    let default = field.default_value();
    match (&default, value) {
        (Value::Null, Value::Array(list)) => list.is_empty(),
        (Value::Null, Value::Object(map)) => map.is_empty(),
        (Value::Array(default), Value::Array(list)) => {
            default.iter().all(|one| list.contains(one))
                && list.iter().all(|one| default.contains(one))
        }
        (Value::Array(default), Value::Object(map)) => default.is_empty() && map.is_empty(),
        (Value::Number(default), Value::Number(number)) => default.as_f64() == number.as_f64(),
        (default, value) => default == value,
    }
}

/// Longer names get no suggestion: the work for one name is bounded.
const LONGEST_SUGGESTED_FOR: usize = 64;

fn unknown(prefix: &str, name: &str) -> String {
    if prefix.is_empty() && name == "config" {
        return "unknown field; give the plugin's `config` object itself, not what contains it"
            .to_owned();
    }
    let siblings = FIELDS.iter().filter_map(|field| {
        let rest = field.path.strip_prefix(prefix)?;
        (!rest.contains(['.', '['])).then_some(rest)
    });
    let nearest = if name.len() > LONGEST_SUGGESTED_FOR {
        None
    } else {
        siblings
            .map(|sibling| (distance(name, sibling), sibling))
            .min()
    };
    match nearest {
        Some((distance, sibling)) if distance <= 2 || distance.saturating_mul(3) <= name.len() => {
            format!("unknown field; did you mean `{sibling}`?")
        }
        _ => "unknown field; remove it".to_owned(),
    }
}

/// Levenshtein's edit distance, in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (done, from) in left.bytes().enumerate() {
        let mut diagonal = done;
        let mut before = done.saturating_add(1);
        let mut next = Vec::with_capacity(row.len());
        next.push(before);
        for (to, above) in right.bytes().zip(row.iter().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(from != to));
            before = changed
                .min(above.saturating_add(1))
                .min(before.saturating_add(1));
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// A member's name as an error shows it: short, and without control characters.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 64;
    let mut text: String = name
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}
