//! From text to a tree: bounded, references resolved, nulls gone.

use serde_json::{Map, Value};

use super::error::{ConfigError, MOST_ERRORS, Warning};
use super::fields;

/// The longest configuration: Kong's own limit.
const LONGEST: usize = 1 << 20;
/// The longest text of one member.
const LONGEST_TEXT: usize = 1 << 16;

/// The members of the top level.
pub(super) struct Document {
    pub(super) members: Map<String, Value>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads the text. Fails at once only if there is no object to speak of.
pub(super) fn read(
    json: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Document, Vec<ConfigError>> {
    let whole = |message: String| {
        vec![ConfigError {
            path: "config".to_owned(),
            message,
        }]
    };
    if json.len() > LONGEST {
        return Err(whole("is longer than 1 MiB".to_owned()));
    }
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(whole(
            "is empty; write a JSON object with at least `issuer`".to_owned(),
        ));
    }
    let tree: Value = serde_json::from_slice(json).map_err(|why| {
        // The error's own text may repeat a value.
        whole(format!(
            "is not JSON: a mistake at line {}, column {}",
            why.line(),
            why.column()
        ))
    })?;
    let Value::Object(mut members) = tree else {
        return Err(whole(
            "is not a JSON object; write one with at least `issuer`".to_owned(),
        ));
    };
    let mut errors = Vec::new();
    for (name, value) in &mut members {
        resolve(
            value,
            &format!("config.{}", fields::shown(name)),
            env,
            &mut errors,
        );
    }
    let warnings = rename(&mut members, &mut errors);
    fields::judge("", "config.", &members, &mut errors);
    Ok(Document {
        members,
        errors,
        warnings,
    })
}

/// Reads old names as the new ones, and says so once (specification section 22, deprecated names).
fn rename(members: &mut Map<String, Value>, errors: &mut Vec<ConfigError>) -> Vec<Warning> {
    let mut moved = Vec::new();
    for (old, now) in fields::renamed() {
        let Some(value) = members.remove(old).filter(|value| !value.is_null()) else {
            continue;
        };
        if members.get(now).is_some_and(|value| !value.is_null()) {
            errors.push(ConfigError {
                path: format!("config.{old}"),
                message: format!("is the old name of `{now}`, which is set as well; remove it"),
            });
            continue;
        }
        members.insert(now.to_owned(), value);
        moved.push(format!("`{old}` as `{now}`"));
    }
    if moved.is_empty() {
        return Vec::new();
    }
    vec![Warning {
        path: "config".to_owned(),
        message: format!(
            "has old names, which are read as new ones: {}; write the new ones",
            moved.join(", ")
        ),
    }]
}

/// Replaces references in all texts below `value` and drops the null members of objects.
fn resolve(
    value: &mut Value,
    path: &str,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) {
    if errors.len() >= MOST_ERRORS {
        return;
    }
    match value {
        Value::String(text) => {
            if text.starts_with("{vault://") {
                match dereference(text, env) {
                    Ok(found) => *text = found,
                    Err(message) => errors.push(ConfigError {
                        path: path.to_owned(),
                        message,
                    }),
                }
            }
            if text.len() > LONGEST_TEXT {
                let message = "is longer than 64 KiB".to_owned();
                errors.push(ConfigError {
                    path: path.to_owned(),
                    message,
                });
            }
        }
        Value::Array(list) => {
            for (at, element) in list.iter_mut().enumerate() {
                resolve(element, &format!("{path}[{at}]"), env, errors);
            }
        }
        Value::Object(map) => {
            map.retain(|_, member| !member.is_null());
            for (name, member) in map {
                resolve(
                    member,
                    &format!("{path}.{}", fields::shown(name)),
                    env,
                    errors,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a reference stands for. Kong's syntax: `{vault://env/my-secret}` is the variable `MY_SECRET`.
fn dereference(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let inside = text
        .strip_prefix("{vault://")
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default();
    let Some((kind, name)) = inside.split_once('/') else {
        return Err("is not a reference; write `{vault://env/NAME}`".to_owned());
    };
    if kind != "env" {
        return Err(
            "names a vault that a filter cannot reach; write `{vault://env/NAME}`".to_owned(),
        );
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(fits) {
        return Err("is not a name of the environment; write `{vault://env/NAME}`".to_owned());
    }
    let name = name.replace('-', "_").to_ascii_uppercase();
    env(&name).ok_or_else(|| {
        format!("the environment has no `{name}`; give it to the filter's VM (on Kong with `nginx_main_env`)")
    })
}
