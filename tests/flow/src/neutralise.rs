//! A field put back to its default behind a test's back: `make parity` asks whether the test notices.
//!
//! With the environment variable `OIDC_FILTER_NEUTRALISE` every configuration loses the field of this path
//! before the filter reads it. Where the filter would refuse what is left, the field gets another value that says
//! nothing, or loses its twin as well.

use std::env;

use serde_json::{Value, json};

/// Stands in the output of a test whose configuration had the field.
const DROPPED: &str = "neutralised:";
/// Stands in the output where the rest was refused: such a failure shows no effect.
const REFUSED: &str = "neutralised configuration refused:";

/// The path of the field to neutralise.
pub(crate) fn field() -> Option<String> {
    env::var("OIDC_FILTER_NEUTRALISE").ok()
}

/// `config` without the field, where one is to be neutralised.
pub(crate) fn neutralised(config: &Value) -> Value {
    let mut config = config.clone();
    let Some(field) = field() else {
        return config;
    };
    const KEY: [&str; 7] = ["kty", "crv", "x", "y", "d", "n", "e"];
    let of_key = field
        .strip_prefix("client_jwk[].")
        .is_some_and(|member| KEY.contains(&member));
    let dropped = if of_key { "client_jwk" } else { &field };
    if drop_at(&mut config, dropped, &|old| substitute(dropped, old)) {
        println!("{DROPPED} {field}");
        if let Some(twin) = twin(&field) {
            drop_at(&mut config, &twin, &|_| None);
        }
    }
    config
}

/// Says that the rest of a configuration was refused.
pub(crate) fn refused() {
    if let Some(field) = field() {
        println!("{REFUSED} {field}");
    }
}

/// Drops the member at this path, or puts another value there; tells whether it was there.
fn drop_at(value: &mut Value, path: &str, other: &dyn Fn(&Value) -> Option<Value>) -> bool {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = name.strip_suffix("[]").unwrap_or(name);
    let Some(members) = value.as_object_mut() else {
        return false;
    };
    if !rest.is_empty() {
        return match members.get_mut(name) {
            // Each of the elements, not only the first that has it.
            Some(Value::Array(elements)) => {
                let found = elements
                    .iter_mut()
                    .map(|element| drop_at(element, rest, other));
                found.filter(|found| *found).count() > 0
            }
            Some(member) => drop_at(member, rest, other),
            None => false,
        };
    }
    let Some(old) = members.remove(name) else {
        return false;
    };
    if let Some(other) = other(&old) {
        members.insert(name.to_owned(), other);
    }
    true
}

/// A value that says nothing, for a field without which there is no configuration.
fn substitute(field: &str, old: &Value) -> Option<Value> {
    Some(match field {
        // The members of a key belong together: without one of them it is another key.
        "client_jwk" => json!([other_key()]),
        "issuer" => json!("https://neutralised.test"),
        "client_id" | "client_secret" | "upstream_headers[].path" | "downstream_headers[].path" => {
            json!(["neutralised"])
        }
        // No two headers may have one name.
        "upstream_headers[].header" | "downstream_headers[].header" => {
            json!(format!("{}-neutralised", old.as_str()?))
        }
        "bearer_token_cookie_name" => json!("neutralised"),
        "session_secret" => json!("neutralised, and long enough for a secret"),
        _ => return None,
    })
}

/// A key that nobody registered: that of RFC 7517 appendix A.2.
fn other_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "mine",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    })
}

/// The field that goes in pairs with this one.
fn twin(field: &str) -> Option<String> {
    // What claims are told as has `claims` in the place of `values`.
    let mapped = ["upstream_headers", "downstream_headers"];
    let (name, end) = field.rsplit_once('_')?;
    let other = match (end, mapped.contains(&name)) {
        ("names", true) => "claims",
        ("names", false) => "values",
        ("claims", true) | ("values", false) => "names",
        _ => return None,
    };
    Some(format!("{name}_{other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_wherever_it_stands() {
        let mut config =
            json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 4 }, {}, { "f": 5 }] });
        let nothing = |_: &Value| None;
        assert!(drop_at(&mut config, "b.c", &nothing));
        assert!(drop_at(&mut config, "e[].f", &nothing));
        assert!(!drop_at(&mut config, "x.y", &nothing));
        assert!(!drop_at(&mut config, "z", &|_| Some(json!(1))));
        assert!(drop_at(&mut config, "a", &|_| Some(json!(6))));
        assert_eq!(
            config,
            json!({ "a": 6, "b": { "d": 3 }, "e": [{}, {}, {}] })
        );
    }
}
