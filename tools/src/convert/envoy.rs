//! An Envoy bootstrap for the services, routes and plugins of a file of Kong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use url::Url;

use super::Notes;
use super::settings::{Settings, cluster_name};
use super::source::{Route, Service, Source};
use crate::check::tree::{list, member, text};
use crate::yaml;

const TYPES: &str = "type.googleapis.com/envoy.extensions";
/// Where the module may call and be called; and what it is told about it there.
const SHIPPED: &str = include_str!("../../../envoy/authorization-code.yaml");

/// The bootstrap.
pub fn bootstrap(source: &Source, notes: &mut Notes) -> Result<Value, Vec<String>> {
    let settings: Vec<Settings> = source
        .plugins
        .iter()
        .map(|plugin| Settings::of(plugin, false, notes))
        .collect();
    let routes: Vec<(&Service, &Route)> = source
        .services
        .iter()
        .flat_map(|service| service.routes.iter().map(move |route| (service, route)))
        .collect();
    // One instance that rules every route is simply on.
    let everywhere = routes.iter().all(|(_, route)| route.plugin == Some(0)) && settings.len() == 1;
    let capabilities = capabilities()?;
    let mut filters: Vec<Value> = settings
        .iter()
        .enumerate()
        .map(|(index, settings)| filter(index, settings, !everywhere, &capabilities))
        .collect();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": format!("{TYPES}.filters.http.router.v3.Router") },
    }));
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "gateway",
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "stream_idle_timeout": "60s",
        "route_config": { "virtual_hosts": virtual_hosts(&routes, everywhere, notes) },
        "http_filters": filters,
    });
    let mut clusters: Vec<Value> = source
        .services
        .iter()
        .map(|service| upstream(service, notes))
        .collect();
    if source.services.is_empty() {
        notes.add(
            "services",
            "there is none in this file: requests go to 127.0.0.1:8080",
        );
        clusters.push(cluster("upstream", "127.0.0.1", 8080, None));
    }
    clusters.extend(providers(&settings));
    notes.add(
        "clusters",
        "the provider's metadata may name further hosts; each of them needs a cluster like these",
    );
    notes.add(
        "listeners",
        "there is one, on port 8000 and without TLS; what Kong listens on stands in kong.conf",
    );
    Ok(json!({
        "static_resources": {
            "listeners": [{
                "name": "gateway",
                "address": { "socket_address": { "address": "0.0.0.0", "port_value": 8000 } },
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }]}],
            }],
            "clusters": clusters,
        },
        "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 9901 } } },
    }))
}

fn capabilities() -> Result<Value, Vec<String>> {
    fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
        match value {
            Value::Object(members) => members
                .get(name)
                .or_else(|| members.values().find_map(|member| find(member, name))),
            Value::Array(elements) => elements.iter().find_map(|element| find(element, name)),
            _ => None,
        }
    }
    let shipped = yaml::parse(SHIPPED.as_bytes()).map_err(|why| vec![why])?;
    Ok(find(&shipped, "capability_restriction_config")
        .cloned()
        .unwrap_or_default())
}

fn filter_name(index: usize) -> String {
    match index {
        0 => "oidc".to_owned(),
        index => format!("oidc-{}", index.saturating_add(1)),
    }
}

fn filter(index: usize, settings: &Settings, disabled: bool, capabilities: &Value) -> Value {
    let name = filter_name(index);
    let mut entry = json!({
        "name": name,
        "typed_config": {
            "@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"),
            "config": {
                "name": name,
                "allow_on_headers_stop_iteration": true,
                "failure_policy": "FAIL_RELOAD",
                "reload_config": { "backoff": { "base_interval": "0.01s" } },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": format!("{:#}\n", settings.with_clusters()),
                },
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": "dist/oidc-filter.wasm" } },
                    "environment_variables": { "host_env_keys": settings.variables },
                    "capability_restriction_config": capabilities,
                },
            },
        },
    });
    // A Wasm filter takes no configuration from a route, but a route may switch one on.
    if disabled {
        entry["disabled"] = json!(true);
    }
    entry
}

/// Kong's routes by their hosts; in each the longest paths first, as Kong prefers them.
fn virtual_hosts(routes: &[(&Service, &Route)], everywhere: bool, notes: &mut Notes) -> Vec<Value> {
    let mut by_domain: BTreeMap<String, Vec<(usize, Value)>> = BTreeMap::new();
    for (service, route) in routes {
        let hosts = list(&route.entity, &["hosts"]);
        let mut domains: Vec<String> = hosts
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if domains.is_empty() {
            domains.push("*".to_owned());
        }
        for domain in domains {
            let entries = entries(service, route, everywhere, notes);
            by_domain.entry(domain).or_default().extend(entries);
        }
    }
    if routes.is_empty() {
        let own = json!({ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } });
        by_domain.insert("*".to_owned(), vec![(0, own)]);
    }
    // A host's own routes come before those for all hosts, which count for it as well.
    let common = by_domain.get("*").cloned().unwrap_or_default();
    let hosts = by_domain.into_iter().map(|(domain, mut entries)| {
        entries.sort_by_key(|(length, _)| usize::MAX.saturating_sub(*length));
        if domain != "*" {
            let mut common = common.clone();
            common.sort_by_key(|(length, _)| usize::MAX.saturating_sub(*length));
            entries.extend(common);
        }
        let routes: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
        json!({ "name": domain, "domains": domains(&domain), "routes": routes })
    });
    hosts.collect()
}

/// Envoy compares the port as well, Kong does not.
fn domains(domain: &str) -> Vec<String> {
    match domain {
        "*" => vec!["*".to_owned()],
        domain if domain.ends_with('*') => vec![domain.to_owned()],
        domain => vec![domain.to_owned(), format!("{domain}:*")]
            .into_iter()
            .filter(|domain| !(domain.starts_with('*') && domain.ends_with('*')))
            .collect(),
    }
}

/// A route of Envoy for each path and method, with the length of its path.
fn entries(
    service: &Service,
    route: &Route,
    everywhere: bool,
    notes: &mut Notes,
) -> Vec<(usize, Value)> {
    let carried = [
        "name",
        "id",
        "tags",
        "service",
        "plugins",
        "hosts",
        "paths",
        "methods",
        "strip_path",
        "preserve_host",
        "protocols",
    ];
    for (name, value) in route.entity.as_object().into_iter().flatten() {
        if !carried.contains(&name.as_str()) && !value.is_null() {
            notes.add(
                &format!("{}.{name}", route.place),
                "is not carried over to Envoy",
            );
        }
    }
    let methods = texts(&route.entity, "methods");
    let mut paths = texts(&route.entity, "paths");
    if paths.is_empty() {
        paths.push("/");
    }
    let strips = member(&route.entity, "strip_path") != Some(&Value::Bool(false));
    let before = base(service).2;
    let mut entries = Vec::new();
    for path in paths {
        let mut matcher = match path.strip_prefix('~') {
            Some(pattern) => json!({ "safe_regex": { "regex": format!("{pattern}.*") } }),
            None => json!({ "prefix": path }),
        };
        if !methods.is_empty() {
            let pattern = methods.join("|");
            matcher["headers"] = json!([{ "name": ":method", "string_match": { "safe_regex": { "regex": pattern } } }]);
        }
        let mut action = json!({ "cluster": service_cluster(service) });
        if member(&route.entity, "preserve_host") != Some(&Value::Bool(true)) {
            action["auto_host_rewrite"] = json!(true);
        }
        rewrite(&mut action, path, strips, &before, &route.place, notes);
        let mut entry = json!({ "match": matcher, "route": action });
        match route.plugin {
            Some(index) if !everywhere => {
                entry["typed_per_filter_config"] = json!({ filter_name(index): {
                    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                    "config": {},
                }});
            }
            None => notes.add(
                &route.place,
                "has no plugin `openid-connect` and stays open",
            ),
            Some(_) => {}
        }
        entries.push((path.len(), entry));
    }
    entries
}

/// What the upstream gets as the path: the service's own, and the rest of the client's.
fn rewrite(
    action: &mut Value,
    path: &str,
    strips: bool,
    before: &str,
    place: &str,
    notes: &mut Notes,
) {
    let before = before.trim_end_matches('/');
    if path.starts_with('~') {
        if strips || !before.is_empty() {
            notes.add(
                place,
                "a path that is a pattern is neither stripped nor put behind the service's path",
            );
        }
        return;
    }
    let target = match (strips, path.ends_with('/')) {
        (true, true) => format!("{before}/"),
        (true, false) if before.is_empty() => "/".to_owned(),
        (true, false) => before.to_owned(),
        (false, _) => format!("{before}{path}"),
    };
    if target != path {
        action["prefix_rewrite"] = json!(target);
    }
}

fn texts<'a>(entity: &'a Value, name: &str) -> Vec<&'a str> {
    list(entity, &[name])
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn service_cluster(service: &Service) -> String {
    format!("service-{}", service.name)
}

/// Host, port, path and whether it is TLS.
fn base(service: &Service) -> (String, u16, String, bool) {
    let url = text(&service.entity, &["url"]).and_then(|url| Url::parse(url).ok());
    if let Some(url) = url {
        let port = url.port_or_known_default().unwrap_or(80);
        let host = url.host_str().unwrap_or_default().to_owned();
        return (host, port, url.path().to_owned(), url.scheme() == "https");
    }
    let is_tls = text(&service.entity, &["protocol"]) == Some("https");
    let port = member(&service.entity, "port").and_then(Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(80);
    let host = text(&service.entity, &["host"]).unwrap_or("127.0.0.1");
    let path = text(&service.entity, &["path"]).unwrap_or_default();
    (host.to_owned(), port, path.to_owned(), is_tls)
}

fn upstream(service: &Service, notes: &mut Notes) -> Value {
    let carried = [
        "name",
        "id",
        "tags",
        "url",
        "protocol",
        "host",
        "port",
        "path",
        "routes",
        "plugins",
        "connect_timeout",
    ];
    for (name, value) in service.entity.as_object().into_iter().flatten() {
        if !carried.contains(&name.as_str()) && !value.is_null() {
            notes.add(
                &format!("{}.{name}", service.place),
                "is not carried over to Envoy",
            );
        }
    }
    let (host, port, _, is_tls) = base(service);
    let mut cluster = cluster(
        &service_cluster(service),
        &host,
        port,
        is_tls.then_some(&host),
    );
    if let Some(milliseconds) = member(&service.entity, "connect_timeout").and_then(Value::as_u64) {
        let seconds = milliseconds / 1000;
        let rest = milliseconds % 1000;
        cluster["connect_timeout"] = json!(format!("{seconds}.{rest:03}s"));
    }
    cluster
}

/// A cluster for each origin that one of the filters calls.
fn providers(settings: &[Settings]) -> Vec<Value> {
    let origins: BTreeSet<&String> = settings
        .iter()
        .flat_map(|settings| &settings.origins)
        .collect();
    let clusters = origins.into_iter().filter_map(|origin| {
        let url = Url::parse(origin).ok()?;
        let host = url.host_str()?.to_owned();
        let is_tls = url.scheme() == "https";
        let mut cluster = cluster(
            &cluster_name(origin),
            &host,
            url.port_or_known_default()?,
            is_tls.then_some(&host),
        );
        let users = settings
            .iter()
            .filter(|settings| settings.origins.contains(origin));
        for settings in users {
            if !settings.keepalive {
                cluster["typed_extension_protocol_options"] = json!({
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                        "explicit_http_config": { "http_protocol_options": {} },
                        "common_http_protocol_options": { "max_requests_per_connection": 1 },
                    },
                });
            }
            if let (Some((address, port)), true) = (settings.proxy, is_tls) {
                through(&mut cluster, &address.to_string(), port);
            }
        }
        Some(cluster)
    });
    clusters.collect()
}

/// Leads a cluster's connections through a proxy (CONNECT).
fn through(cluster: &mut Value, address: &str, port: u16) {
    let tls = cluster["transport_socket"].take();
    cluster["transport_socket"] = json!({
        "name": "envoy.transport_sockets.http_11_proxy",
        "typed_config": {
            "@type": format!("{TYPES}.transport_sockets.http_11_proxy.v3.Http11ProxyUpstreamTransport"),
            "transport_socket": tls,
        },
    });
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"] = json!({
        "typed_filter_metadata": { "envoy.http11_proxy_transport_socket.proxy_address": {
            "@type": "type.googleapis.com/envoy.config.core.v3.Address",
            "socket_address": { "address": address, "port_value": port },
        }},
    });
}

fn cluster(name: &str, host: &str, port: u16, tls: Option<&String>) -> Value {
    let address = host.trim_matches(['[', ']']);
    let mut cluster = json!({
        "name": name,
        "connect_timeout": "5s",
        "type": "STRICT_DNS",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{
                "endpoint": { "address": { "socket_address": { "address": address, "port_value": port } } },
            }]}],
        },
    });
    if let Some(host) = tls {
        let kind = if host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok() {
            "IP_ADDRESS"
        } else {
            "DNS"
        };
        let mut context = json!({
            "@type": format!("{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext"),
            "common_tls_context": { "validation_context": {
                "trusted_ca": { "filename": "/etc/ssl/certs/ca-certificates.crt" },
                "match_typed_subject_alt_names": [{ "san_type": kind, "matcher": { "exact": address } }],
            }},
        });
        if kind == "DNS" {
            context["sni"] = json!(host);
        }
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": context,
        });
    }
    cluster
}
