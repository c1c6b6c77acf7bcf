//! The filter's own configuration, alone or inside a host's.

use std::cell::RefCell;
use std::collections::BTreeSet;

use oidc_filter::config::Config;
use serde_json::Value;
use url::Url;

use super::Report;
use super::tree::{self, children};

/// Stands for a variable whose value only the host knows. Long enough for a secret.
const PLACEHOLDER: &str = "placeholder-of-a-value-that-only-the-host-knows";

/// Checks a file that holds nothing else. References are read from this command's environment.
pub fn alone(text: &[u8], report: &mut Report) {
    match Config::parse(text, &|name| std::env::var(name).ok()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                report.warn(warning.path, warning.message);
            }
            report.good(config.summary());
        }
        Err(errors) => {
            for error in errors {
                report.error(error.path, error.message);
            }
        }
    }
}

/// A configuration inside a host's file.
pub struct Embedded<'a> {
    /// Where the filter stands in the file.
    pub place: &'a str,
    /// The filter's JSON.
    pub json: &'a str,
    /// The value of a variable in the filter's environment.
    pub environment: &'a dyn Fn(&str) -> Variable,
}

/// A variable of the filter's environment.
pub enum Variable {
    /// Its value is known.
    Known(String),
    /// The host passes it on, and its value is not known here.
    Unknown,
    /// The host does not pass it on.
    Absent,
}

/// What is known of a good configuration inside a host's file.
pub struct Checked {
    /// The configuration; with placeholders where a value is not known.
    pub config: Config,
    /// The addresses that the filter itself calls, each with the field that names it.
    pub endpoints: Vec<(String, Url)>,
    /// Variables that the host would have to pass on and does not.
    pub absent: BTreeSet<String>,
}

/// Checks a configuration inside a host's file.
///
/// `Err` holds the variables that are absent, where the rest is not good either.
pub fn embedded(filter: &Embedded, report: &mut Report) -> Result<Checked, BTreeSet<String>> {
    let unknown = RefCell::new(BTreeSet::new());
    let absent = RefCell::new(BTreeSet::new());
    let environment = |name: &str| match (filter.environment)(name) {
        Variable::Known(value) => Some(value),
        Variable::Unknown => {
            unknown.borrow_mut().insert(name.to_owned());
            Some(PLACEHOLDER.to_owned())
        }
        Variable::Absent => {
            absent.borrow_mut().insert(name.to_owned());
            Some(PLACEHOLDER.to_owned())
        }
    };
    let parsed = Config::parse(filter.json.as_bytes(), &environment);
    let (unknown, absent) = (unknown.take(), absent.take());
    let tree: Value = serde_json::from_str(filter.json).unwrap_or(Value::Null);
    for name in &unknown {
        let text = format!("`{name}` is not set here, so its value was not checked");
        report.warn(filter.place, text);
    }
    let (config, warnings) = match parsed {
        Ok(parsed) => parsed,
        Err(errors) => {
            let placeholders = references(&tree, &|name| {
                unknown.contains(name) || absent.contains(name)
            });
            for error in errors {
                // What is wrong with a placeholder says nothing about the value.
                if !placeholders.iter().any(|path| is_below(&error.path, path)) {
                    report.error(format!("{}: {}", filter.place, error.path), error.message);
                }
            }
            return Err(absent);
        }
    };
    for warning in warnings {
        report.warn(
            format!("{}: {}", filter.place, warning.path),
            warning.message,
        );
    }
    report.good(format!("{}: {}", filter.place, config.summary()));
    let endpoints = endpoints(&config, &tree, filter.environment);
    Ok(Checked {
        config,
        endpoints,
        absent,
    })
}

/// The paths of texts that refer to a variable of which `is_meant` says so.
fn references(tree: &Value, is_meant: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![("config".to_owned(), tree)];
    while let Some((path, value)) = open.pop() {
        if variable(value).is_some_and(|name| is_meant(&name)) {
            found.push(path);
        } else {
            open.extend(children(value, &path));
        }
    }
    found
}

/// The variable that a text refers to: `{vault://env/my-secret}` is `MY_SECRET`.
pub fn variable(value: &Value) -> Option<String> {
    let name = value
        .as_str()?
        .strip_prefix("{vault://env/")?
        .strip_suffix('}')?;
    Some(name.replace('-', "_").to_ascii_uppercase())
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Members that hold addresses which the filter calls. The browser goes to `authorization_endpoint` and
/// `end_session_endpoint` by itself.
pub const CALLED: [&[&str]; 13] = [
    &["jwks_endpoint"],
    &["extra_jwks_uris"],
    &["token_endpoint"],
    &["introspection_endpoint"],
    &["userinfo_endpoint"],
    &["revocation_endpoint"],
    &["pushed_authorization_request_endpoint"],
    &["mtls_token_endpoint"],
    &["mtls_introspection_endpoint"],
    &["mtls_revocation_endpoint"],
    &["token_exchange_endpoint"],
    &["kong_admin", "url"],
    &["redis", "http_url"],
];

fn endpoints(
    config: &Config,
    tree: &Value,
    environment: &dyn Fn(&str) -> Variable,
) -> Vec<(String, Url)> {
    let mut found = Vec::new();
    if !config.provider.using_pseudo_issuer {
        let discovery = config.provider.issuer.discovery_url().clone();
        found.push(("config.issuer".to_owned(), discovery));
    }
    for way in CALLED {
        let Some(value) = tree::at(tree, way) else {
            continue;
        };
        let path = format!("config.{}", way.join("."));
        let elements = match value {
            Value::Array(_) => children(value, &path),
            value => vec![(path, value)],
        };
        for (path, value) in elements {
            let text = match variable(value).map(|name| environment(&name)) {
                Some(Variable::Known(text)) => text,
                Some(Variable::Unknown | Variable::Absent) => continue,
                None => value.as_str().unwrap_or_default().to_owned(),
            };
            found.extend(Url::parse(&text).ok().map(|url| (path, url)));
        }
    }
    for (index, route) in tree::list(tree, &["routes"]).iter().enumerate() {
        found.extend(endpoints_of_route(tree, route, index, environment));
    }
    found
}

/// The addresses that a route's configuration names in the place of the outer ones.
fn endpoints_of_route(
    outer: &Value,
    route: &Value,
    index: usize,
    environment: &dyn Fn(&str) -> Variable,
) -> Vec<(String, Url)> {
    let Some(own) = tree::at(route, &["config"]).and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut whole = outer.clone();
    if let Some(members) = whole.as_object_mut() {
        members.remove("routes");
        members.extend(own.clone());
    }
    let known = |name: &str| match environment(name) {
        Variable::Known(value) => Some(value),
        Variable::Unknown | Variable::Absent => Some(PLACEHOLDER.to_owned()),
    };
    // A mistake in it is told where the whole configuration is read.
    let Ok((config, _)) = Config::parse(whole.to_string().as_bytes(), &known) else {
        return Vec::new();
    };
    let all = endpoints(&config, &whole, environment).into_iter();
    let named = all.filter_map(|(path, url)| {
        let name = path.strip_prefix("config.")?;
        let member = name.split(['.', '[']).next()?;
        let path = format!("config.routes[{index}].config.{name}");
        own.contains_key(member).then_some((path, url))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_found_at_its_path() {
        let tree = json!({ "client_secret": ["x", "{vault://env/my-secret}"], "issuer": "https://idp.example" });
        assert_eq!(
            references(&tree, &|name| name == "MY_SECRET"),
            ["config.client_secret[1]"]
        );
        assert!(references(&tree, &|name| name == "OTHER").is_empty());
    }

    #[test]
    fn the_filter_calls_what_is_configured_and_the_browser_the_rest() {
        let tree = json!({
            "issuer": "https://idp.example/realm",
            "extra_jwks_uris": ["https://a.example/keys", "{vault://env/KEYS}"],
            "authorization_endpoint": "https://b.example/",
        });
        let environment = |name: &str| Variable::Known(format!("https://{name}.example/"));
        let text = tree.to_string();
        let filter = Embedded {
            place: "",
            json: &text,
            environment: &environment,
        };
        let checked = embedded(&filter, &mut Report::default()).ok().unwrap();
        let shown: Vec<String> = checked
            .endpoints
            .iter()
            .map(|(path, url)| format!("{path} {url}"))
            .collect();
        assert_eq!(
            shown,
            [
                "config.issuer https://idp.example/realm/.well-known/openid-configuration",
                "config.extra_jwks_uris[0] https://a.example/keys",
                "config.extra_jwks_uris[1] https://keys.example/",
            ]
        );
    }

    #[test]
    fn a_routes_own_addresses_are_called_too() {
        let outer =
            json!({ "issuer": "https://idp.example", "jwks_endpoint": "https://idp.example/keys" });
        let (config, _) = Config::parse(outer.to_string().as_bytes(), &|_| None).unwrap();
        let mut tree = outer;
        tree["routes"] = json!([
            { "match": { "paths": ["/a"] }, "disabled": true },
            { "match": { "paths": ["/b"] }, "config": { "issuer": "https://other.example", "jwks_endpoint": null } },
        ]);
        let found = endpoints(&config, &tree, &|_| Variable::Absent);
        let shown: Vec<String> = found
            .iter()
            .map(|(path, url)| format!("{path} {url}"))
            .collect();
        assert_eq!(
            shown,
            [
                "config.issuer https://idp.example/.well-known/openid-configuration",
                "config.jwks_endpoint https://idp.example/keys",
                "config.routes[1].config.issuer https://other.example/.well-known/openid-configuration",
            ]
        );
    }
}
