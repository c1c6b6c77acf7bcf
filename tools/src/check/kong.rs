//! A declarative file of Kong: every instance of the filter in it.

use oidc_filter::config::AuthMethod;
use serde_json::Value;

use super::Report;
use super::filter::{Embedded, Variable, embedded};
use super::tree::{children, join, member, text};

/// The name that Kong gives to `oidc-filter.wasm`.
const NAME: &str = "oidc-filter";

/// Checks all instances of the filter in a declarative file.
pub fn check(file: &Value, report: &mut Report) {
    let mut found = 0;
    walk(file, "", &mut found, report);
    if found == 0 {
        let text = "there is no filter `oidc-filter` in this file; write it under a service or a route: \
                    `filter_chains: [{ filters: [{ name: oidc-filter, config: {...} }] }]`";
        report.error("", text);
    }
}

fn walk(value: &Value, path: &str, found: &mut usize, report: &mut Report) {
    for (name, child) in value.as_object().into_iter().flatten() {
        let path = join(path, name);
        for (path, element) in children(child, &path) {
            match name.as_str() {
                "filters" | "plugins" => entry(element, &path, found, report),
                "filter_chains" if is_off(element) => {
                    let text = "is false: nothing behind this chain is protected";
                    report.warn(join(&path, "enabled"), text);
                }
                _ => {}
            }
            walk(element, &path, found, report);
        }
    }
}

fn is_off(entity: &Value) -> bool {
    member(entity, "enabled") == Some(&Value::Bool(false))
}

/// An entry of `filters`, or of `plugins`, where Kong takes filters as well.
fn entry(entry: &Value, path: &str, found: &mut usize, report: &mut Report) {
    match text(entry, &["name"]) {
        Some(NAME) => {
            *found += 1;
            filter(entry, path, report);
        }
        Some("openid-connect") => {
            let text = "is Kong's own plugin, which is not checked";
            report.warn(path, text);
        }
        _ => {}
    }
}

fn filter(entry: &Value, path: &str, report: &mut Report) {
    if is_off(entry) {
        let text = "is false: the filter does nothing here";
        report.warn(join(path, "enabled"), text);
    }
    let json = match member(entry, "config") {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => {
            let text = "is missing; write the filter's configuration, with at least `issuer`";
            return report.error(join(path, "config"), text);
        }
    };
    // Which variables nginx keeps stands in kong.conf.
    let environment = |name: &str| std::env::var(name).map_or(Variable::Unknown, Variable::Known);
    let filter = Embedded {
        place: path,
        json: &json,
        environment: &environment,
    };
    let Ok(checked) = embedded(&filter, report) else {
        return;
    };
    let methods = &checked.config.methods;
    let sessions = methods.has(AuthMethod::Session) || methods.has(AuthMethod::AuthorizationCode);
    if sessions && checked.config.session.secret.is_none() {
        let text = "is required on Kong, whose workers could not agree on one; write \
                    `\"session_secret\": \"{vault://env/SESSION_SECRET}\"`, and in kong.conf \
                    `nginx_main_env = SESSION_SECRET`";
        report.error(format!("{path}: config.session_secret"), text);
    }
}
