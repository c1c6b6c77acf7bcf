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
    /// Our `routes`, which hold members of the top level themselves.
    pub(super) routes: Value,
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
    let mut routes = members.remove("routes").unwrap_or_default();
    resolve_members(&mut members, "config.", env, &mut errors);
    let warnings = rename(&mut members, &mut errors);
    resolve_routes(&mut routes, env, &mut errors);
    fields::judge("", "config.", &members, &mut errors);
    Ok(Document {
        members,
        routes,
        errors,
        warnings,
    })
}

/// The members of a top level: a null says something there.
fn resolve_members(
    members: &mut Map<String, Value>,
    prefix: &str,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) {
    for (name, value) in members {
        let path = format!("{prefix}{}", fields::shown(name));
        resolve(value, &path, env, errors);
    }
}

/// The routes: what stands in a `config` there is a top level of its own.
fn resolve_routes(
    routes: &mut Value,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) {
    let Value::Array(list) = routes else { return };
    for (at, route) in list.iter_mut().enumerate() {
        let path = format!("config.routes[{at}]");
        let overlay = route
            .as_object_mut()
            .and_then(|route| route.remove("config"));
        resolve(route, &path, env, errors);
        if let (Some(mut overlay), Value::Object(route)) = (overlay, route) {
            match &mut overlay {
                Value::Object(members) => {
                    resolve_members(members, &format!("{path}.config."), env, errors);
                }
                other => resolve(other, &format!("{path}.config"), env, errors),
            }
            route.insert("config".to_owned(), overlay);
        }
    }
}

/// Reads old names as the new ones, and says so once (specification section 22, deprecated names).
pub(super) fn rename(
    members: &mut Map<String, Value>,
    errors: &mut Vec<ConfigError>,
) -> Vec<Warning> {
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
