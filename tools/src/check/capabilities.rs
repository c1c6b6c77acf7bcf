//! What Envoy lets the module call, and what it calls in it.
//!
//! The list covers both directions. A module whose callback for request headers is left out is never asked, and
//! every request passes unseen.

use std::collections::BTreeSet;

use oidc_filter::config::{AuthMethod, Config};
use serde_json::Value;

use super::Report;
use super::tree::at;
use crate::yaml;

const LIST: &str = "allowed_capabilities";
const BEARER: &str = include_str!("../../../envoy/bearer.yaml");
const LOGIN: &str = include_str!("../../../envoy/authorization-code.yaml");

/// Compares a list, where there is one, with that of the shipped configuration for these ways in.
pub fn check(plugin: &Value, plugin_path: &str, config: &Config, report: &mut Report) {
    let bearer_only = config.methods.enabled == [AuthMethod::Bearer];
    let needed = names(if bearer_only { BEARER } else { LOGIN });
    // The second place is the older one.
    for place in [
        &["vm_config", "capability_restriction_config"][..],
        &["capability_restriction_config"],
    ] {
        let way = [place, &[LIST]].concat();
        let allowed = at(plugin, &way).and_then(Value::as_object);
        // An empty list restricts nothing.
        let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) else {
            continue;
        };
        let missing: Vec<String> = needed
            .iter()
            .filter(|name| !allowed.contains_key(*name))
            .map(|name| format!("`{name}: {{}}`"))
            .collect();
        if !missing.is_empty() {
            let text = format!(
                "leaves out what the filter needs, so that it would fail or never be asked; add {}",
                missing.join(", ")
            );
            report.error(format!("{plugin_path}.{}", way.join(".")), text);
        }
    }
}

/// The capabilities that a shipped configuration lists.
fn names(shipped: &str) -> BTreeSet<String> {
    let tree = yaml::parse(shipped.as_bytes()).unwrap_or_default();
    let mut open = vec![&tree];
    while let Some(value) = open.pop() {
        if let Some(Value::Object(names)) = value.get(LIST) {
            return names.keys().cloned().collect();
        }
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(elements) => open.extend(elements),
            _ => {}
        }
    }
    BTreeSet::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_lists_are_found() {
        let (bearer, login) = (names(BEARER), names(LOGIN));
        assert!(bearer.contains("proxy_on_request_headers") && bearer.is_subset(&login));
    }
}
