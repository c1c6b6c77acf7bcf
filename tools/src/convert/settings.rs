//! The plugin's `config`, divided: what the filter reads, and what the host has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use url::Url;

use super::Notes;
use super::source::Plugin;
use crate::check::filter::{CALLED, variable};
use crate::check::tree::{self, children, join};

/// What becomes of a plugin's `config`.
#[derive(Debug)]
pub struct Settings {
    /// The filter's configuration.
    pub filter: Map<String, Value>,
    /// The origins that the filter calls.
    pub origins: BTreeSet<String>,
    /// Variables of the environment that it refers to.
    pub variables: BTreeSet<String>,
    /// False: a connection for each call.
    pub keepalive: bool,
    /// An https proxy by its address.
    pub proxy: Option<(IpAddr, u16)>,
}

/// Members about the host, each with what to do where it is not at its default.
const HOST: [(&str, &str); 8] = [
    (
        "ssl_verify",
        "is not carried over: the host verifies the provider. Name your own CA there: on Envoy in the cluster's `trusted_ca`, on Kong in `lua_ssl_trusted_certificate`",
    ),
    (
        "http_version",
        "is not carried over: the host speaks HTTP/1.1",
    ),
    ("keepalive", ""),
    (
        "http_proxy",
        "is not carried over: let the host route calls over http through the proxy",
    ),
    (
        "http_proxy_authorization",
        "is not carried over: the host has no credential for a proxy",
    ),
    ("https_proxy", ""),
    (
        "https_proxy_authorization",
        "is not carried over: the host has no credential for a proxy",
    ),
    (
        "no_proxy",
        "is not carried over: name a cluster of its own for what is called without the proxy",
    ),
];

impl Settings {
    /// Divides. `on_kong`: the host has no clusters.
    pub fn of(plugin: &Plugin, on_kong: bool, notes: &mut Notes) -> Settings {
        let mut settings = Settings {
            filter: plugin.config.clone(),
            origins: BTreeSet::new(),
            variables: BTreeSet::new(),
            keepalive: true,
            proxy: None,
        };
        let at = join(&plugin.place, "config");
        for (name, text) in HOST {
            let value = settings.filter.remove(name).unwrap_or(Value::Null);
            let default = match name {
                "ssl_verify" | "keepalive" => value == json!(true),
                "http_version" => value.as_f64() == Some(1.1),
                _ => false,
            };
            if default || value.is_null() {
                continue;
            }
            let place = join(&at, name);
            match name {
                "keepalive" if on_kong => {
                    notes.add(&place, "is the rule on Kong: a connection for each call")
                }
                "keepalive" => settings.keepalive = false,
                "https_proxy" if !on_kong => settings.proxy = proxy(&value, &place, notes),
                "https_proxy" => {
                    notes.add(&place, "is not carried over: filters on Kong have no proxy")
                }
                _ => notes.add(&place, text),
            }
        }
        // Null is not absence everywhere: it switches the default of `login_tokens` off, for one.
        let tree = Value::Object(settings.filter.clone());
        settings.origins = origins(&tree, &at, notes);
        settings.variables = variables(&tree);
        settings
    }

    /// The filter's configuration with a cluster for each origin.
    pub fn with_clusters(&self) -> Value {
        let mut filter = self.filter.clone();
        let clusters: BTreeMap<&String, String> = self
            .origins
            .iter()
            .map(|origin| (origin, cluster_name(origin)))
            .collect();
        filter.insert("clusters".to_owned(), json!(clusters));
        Value::Object(filter)
    }
}

/// `https://idp.example:8443` is `idp.example:8443`.
pub fn cluster_name(origin: &str) -> String {
    origin
        .split_once("://")
        .map_or(origin, |(_, rest)| rest)
        .to_owned()
}

/// Envoy wants the proxy's address.
fn proxy(value: &Value, place: &str, notes: &mut Notes) -> Option<(IpAddr, u16)> {
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    let found = url.and_then(|url| {
        let host = url.host_str()?.trim_matches(['[', ']']);
        Some((host.parse().ok()?, url.port_or_known_default()?))
    });
    if found.is_none() {
        let text = "is not carried over: Envoy wants the proxy's IP address; write it in the place of its name, and \
                    convert again";
        notes.add(place, text);
    }
    found
}

/// The origins of all addresses that the filter calls.
fn origins(filter: &Value, at: &str, notes: &mut Notes) -> BTreeSet<String> {
    let mut origins = BTreeSet::new();
    let issuer: &[&str] = &["issuer"];
    for way in [issuer].into_iter().chain(CALLED) {
        let Some(value) = tree::at(filter, way) else {
            continue;
        };
        let place = format!("{at}.{}", way.join("."));
        let elements = match value {
            Value::Array(_) => children(value, &place),
            value => vec![(place, value)],
        };
        for (place, value) in elements {
            if variable(value).is_some() {
                notes.add(
                    &place,
                    "is a reference: add the cluster that leads there, and name it in `clusters`",
                );
            } else if let Some(url) = value.as_str().and_then(|text| Url::parse(text).ok()) {
                origins.insert(url.origin().ascii_serialization());
            }
        }
    }
    origins
}

fn variables(filter: &Value) -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    let mut open = vec![filter];
    while let Some(value) = open.pop() {
        variables.extend(variable(value));
        open.extend(children(value, "").into_iter().map(|(_, child)| child));
    }
    variables
}
