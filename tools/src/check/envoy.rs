//! An Envoy bootstrap: every instance of the filter in it, and what stands around each.

use oidc_filter::config::{AuthMethod, Config, SharedData};
use serde_json::Value;

use super::Report;
use super::capabilities;
use super::cluster;
use super::filter::{Checked, Embedded, Variable, embedded};
use super::tree::{at, children, is_a, is_true, join, list, member, text};

const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const MANAGER: &str = ".HttpConnectionManager";
const ROUTE_FILTER: &str = "envoy.config.route.v3.FilterConfig";

/// An instance of a Wasm filter.
struct Site<'a> {
    /// Where its entry stands, as in `...http_filters[0]`.
    path: String,
    /// The entry.
    entry: &'a Value,
    /// Where `config` stands: what Envoy calls the plugin.
    plugin_path: String,
    plugin: &'a Value,
    /// The HTTP connection manager around it, with its path.
    manager: Option<(String, &'a Value)>,
    /// Whether it stands in a `typed_per_filter_config`.
    in_route: bool,
}

/// Checks all instances of the filter in a bootstrap.
pub fn check(bootstrap: &Value, report: &mut Report) {
    let mut sites = Vec::new();
    find(bootstrap, "", None, &mut sites);
    let ours: Vec<&Site> = sites.iter().filter(|site| is_ours(site)).collect();
    if ours.is_empty() {
        let text = "there is no filter `envoy.filters.http.wasm` with the module oidc-filter.wasm in this \
                    bootstrap; add it to `http_filters`, before the router";
        report.error("static_resources", text);
    }
    for site in &ours {
        if site.in_route {
            let text = "Envoy takes no configuration of a Wasm filter from a route; write it in \
                        `http_filters`";
            report.error(&site.path, text);
            continue;
        }
        around(site, &sites, report);
        inside(site, bootstrap, report);
    }
    for site in &ours {
        switched_off(bootstrap, "", site, report);
    }
}

/// All Wasm filters below `value`.
fn find<'a>(
    value: &'a Value,
    path: &str,
    manager: Option<(&str, &'a Value)>,
    sites: &mut Vec<Site<'a>>,
) {
    let manager = if is_a(value, MANAGER) {
        Some((path, value))
    } else {
        manager
    };
    for (path, member) in children(value, path) {
        let message = message(member);
        let Some((message_path, plugin)) =
            message.and_then(|(within, message)| Some((within, at(message, &["config"])?)))
        else {
            find(member, &path, manager, sites);
            continue;
        };
        let in_route =
            path.contains("typed_per_filter_config") || path.contains("typedPerFilterConfig");
        let (entry_path, entry) = if in_route {
            (path.as_str(), member)
        } else {
            let above = [".typed_config", ".typedConfig"];
            let entry = above.iter().find_map(|end| path.strip_suffix(end));
            (entry.unwrap_or(&path), value)
        };
        sites.push(Site {
            path: entry_path.to_owned(),
            entry,
            plugin_path: format!("{path}{message_path}.config"),
            plugin,
            manager: manager.map(|(path, manager)| (path.to_owned(), manager)),
            in_route,
        });
    }
}

/// The filter's message, also where a typed struct holds it, and where in `value` it stands.
fn message(value: &Value) -> Option<(&'static str, &Value)> {
    if is_a(value, WASM) {
        return Some(("", value));
    }
    let is_struct = is_a(value, ".TypedStruct");
    let names_us = text(value, &["type_url"]).is_some_and(|name| name.ends_with(WASM));
    (is_struct && names_us).then(|| Some((".value", member(value, "value")?)))?
}

/// By the module's name, or by a configuration that looks like ours.
fn is_ours(site: &Site) -> bool {
    let code = ["vm_config", "code"];
    let places: [&[&str]; 2] = [&["local", "filename"], &["remote", "http_uri", "uri"]];
    let named = places.iter().any(|place| {
        let way: Vec<&str> = code.iter().chain(*place).copied().collect();
        text(site.plugin, &way).is_some_and(|name| {
            let name = name
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .replace('_', "-");
            name.contains("oidc-filter")
        })
    });
    named
        || configuration(site.plugin).is_some_and(|json| {
            serde_json::from_str::<Value>(&json).is_ok_and(|tree| tree.get("issuer").is_some())
        })
}

/// The plugin's configuration as the filter gets it.
fn configuration(plugin: &Value) -> Option<String> {
    let configuration = member(plugin, "configuration")?;
    let value = member(configuration, "value")?;
    if is_a(configuration, "google.protobuf.StringValue") {
        return value.as_str().map(str::to_owned);
    }
    if is_a(configuration, "google.protobuf.Struct") {
        return Some(value.to_string());
    }
    None
}

/// What Envoy is told about the filter.
fn around(site: &Site, all: &[Site], report: &mut Report) {
    let place = |name: &str| join(&site.plugin_path, name);
    if !is_true(site.plugin, &["allow_on_headers_stop_iteration"]) {
        let text = "is not set, so that Envoy would not let the filter hold a request whose body decides; \
                    write `allow_on_headers_stop_iteration: true`";
        report.error(place("allow_on_headers_stop_iteration"), text);
    }
    failure_policy(site, report);
    vm_id(site, all, report);
    if is_true(site.entry, &["disabled"]) {
        let text = "is true: only routes that switch the filter on are protected";
        report.warn(join(&site.path, "disabled"), text);
    }
    if let Some((path, manager)) = &site.manager {
        let detected = !list(manager, &["original_ip_detection_extensions"]).is_empty();
        if !is_true(manager, &["use_remote_address"]) && !detected {
            let text = "is not set, so that a client could choose its address and the scheme with \
                        X-Forwarded-For and X-Forwarded-Proto; write `use_remote_address: true`";
            report.error(join(path, "use_remote_address"), text);
        }
    }
}

fn failure_policy(site: &Site, report: &mut Report) {
    let place = join(&site.plugin_path, "failure_policy");
    const INSTEAD: &str = "write `failure_policy: FAIL_RELOAD`, with `reload_config: { backoff: { base_interval: 0.01s } }`";
    if is_true(site.plugin, &["fail_open"]) {
        let text = format!(
            "is true: after a fault requests would pass without the filter; remove it and {INSTEAD}"
        );
        report.error(join(&site.plugin_path, "fail_open"), text);
        return;
    }
    match text(site.plugin, &["failure_policy"]) {
        Some("FAIL_RELOAD") => {}
        Some("FAIL_OPEN") => {
            let text = format!(
                "is FAIL_OPEN: after a fault requests would pass without the filter; {INSTEAD}"
            );
            report.error(place, text);
        }
        _ => {
            let text = format!(
                "is not FAIL_RELOAD: after one fault a worker would answer 503 for ever; {INSTEAD}"
            );
            report.error(place, text);
        }
    }
    let interval = ["reload_config", "backoff", "base_interval"];
    let too_short = text(site.plugin, &interval)
        .and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok())
        .is_some_and(|seconds| seconds < 0.01);
    if too_short {
        let text = "is below 10 ms, which can end Envoy itself; write `base_interval: 0.01s`";
        report.error(format!("{}.{}", site.plugin_path, interval.join(".")), text);
    }
}

fn vm_id(site: &Site, all: &[Site], report: &mut Report) {
    let place = format!("{}.vm_config.vm_id", site.plugin_path);
    let Some(id) = text(site.plugin, &["vm_config", "vm_id"]) else {
        let text = "is missing: all modules without one share their data; write one of its own, like `vm_id: oidc`";
        return report.error(place, text);
    };
    for other in all
        .iter()
        .filter(|other| other.plugin_path != site.plugin_path)
    {
        if text(other.plugin, &["vm_config", "vm_id"]) != Some(id) {
            continue;
        }
        if is_ours(other) {
            // The same filter on two listeners is one VM: that is legal, and a fault concerns both.
            let text = format!(
                "is also that of {}: a fault in one ends requests of the other",
                other.path
            );
            report.warn(&place, text);
        } else {
            let text = format!(
                "is also that of another module at {}, which could read and change the filter's shared data; \
                 write one of its own, like `vm_id: oidc`",
                other.path
            );
            report.error(&place, text);
        }
    }
}

/// The filter's own configuration, and the clusters that it needs.
fn inside(site: &Site, bootstrap: &Value, report: &mut Report) {
    let Some(json) = configuration(site.plugin) else {
        let text = "is missing, or of another type; write the filter's JSON as \
                    `{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: '{\"issuer\": ...}' }`";
        return report.error(join(&site.plugin_path, "configuration"), text);
    };
    let environment = |name: &str| variable(site.plugin, name);
    let filter = Embedded {
        place: &site.path,
        json: &json,
        environment: &environment,
    };
    let (checked, absent) = match embedded(&filter, report) {
        Ok(checked) => {
            let absent = checked.absent.clone();
            (Some(checked), absent)
        }
        Err(absent) => (None, absent),
    };
    for name in absent {
        let place = format!("{}.vm_config.environment_variables", site.plugin_path);
        let text = format!(
            "does not pass `{name}` on, to which the filter's configuration refers; write `host_env_keys: [{name}]`"
        );
        report.error(place, text);
    }
    let Some(Checked {
        config, endpoints, ..
    }) = checked
    else {
        return;
    };
    secret(site, &config, report);
    capabilities::check(site.plugin, &site.plugin_path, &config, report);
    for (field, url) in &endpoints {
        let name = config.cluster_for(url);
        cluster::check(bootstrap, &name, (field, url), &site.path, report);
    }
}

/// A variable of the VM (the names of Envoy's environment that it gets, and its own).
fn variable(plugin: &Value, name: &str) -> Variable {
    let own = at(
        plugin,
        &["vm_config", "environment_variables", "key_values"],
    );
    if let Some(value) = own.and_then(|own| own.get(name)).and_then(Value::as_str) {
        return Variable::Known(value.to_owned());
    }
    let passed = list(
        plugin,
        &["vm_config", "environment_variables", "host_env_keys"],
    );
    if !passed.iter().any(|passed| passed == name) {
        return Variable::Absent;
    }
    std::env::var(name).map_or(Variable::Unknown, Variable::Known)
}

/// Without a secret the filter makes one, and keeps it where all workers find it.
fn secret(site: &Site, config: &Config, report: &mut Report) {
    let sessions = config.methods.has(AuthMethod::Session)
        || config.methods.has(AuthMethod::AuthorizationCode);
    if sessions && config.session.secret.is_none() && config.host.shared_data == SharedData::Off {
        let text = "is missing, and with `shared_data: off` workers could not agree on one; write \
                    `\"session_secret\": \"{vault://env/SESSION_SECRET}\"`";
        report.error(format!("{}: config.session_secret", site.path), text);
    }
}

/// Routes on which the filter does nothing.
fn switched_off(value: &Value, path: &str, site: &Site, report: &mut Report) {
    let name = text(site.entry, &["name"]).unwrap_or_default();
    for (path, child) in children(value, path) {
        let on_route = member(child, "typed_per_filter_config").and_then(|all| all.get(name));
        if let Some(route) = on_route.filter(|route| is_a(route, ROUTE_FILTER))
            && is_true(route, &["disabled"])
        {
            let text =
                format!("switches the filter `{name}` off: requests on this route pass unseen");
            report.warn(format!("{path}.typed_per_filter_config"), text);
        }
        switched_off(child, &path, site, report);
    }
}
