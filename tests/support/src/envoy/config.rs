//! What is in an Envoy: typed options, and the JSON that Envoy reads.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::ports;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// The configuration that users start from; the harness takes the list of capabilities from it.
const BEARER: &str = include_str!("../../../../envoy/bearer.yaml");

/// The same for a website behind a login.
const AUTHORIZATION_CODE: &str = include_str!("../../../../envoy/authorization-code.yaml");

/// `envoy/bearer.yaml` as JSON.
///
/// # Panics
/// When the file is no YAML.
#[must_use]
pub fn bearer_config() -> Value {
    serde_yaml_ng::from_str(BEARER).expect("envoy/bearer.yaml is YAML")
}

/// `envoy/authorization-code.yaml` as JSON.
///
/// # Panics
/// When the file is no YAML.
#[must_use]
pub fn login_config() -> Value {
    serde_yaml_ng::from_str(AUTHORIZATION_CODE).expect("envoy/authorization-code.yaml is YAML")
}

/// What `envoy/bearer.yaml` allows the module to import and export.
#[must_use]
pub fn capabilities() -> &'static Value {
    static CAPABILITIES: OnceLock<Value> = OnceLock::new();
    CAPABILITIES.get_or_init(|| listed(&bearer_config()))
}

/// The same of `envoy/authorization-code.yaml`.
#[must_use]
pub fn login_capabilities() -> &'static Value {
    static CAPABILITIES: OnceLock<Value> = OnceLock::new();
    CAPABILITIES.get_or_init(|| listed(&login_config()))
}

fn listed(bootstrap: &Value) -> Value {
    find(bootstrap, "allowed_capabilities")
        .expect("the shipped configuration lists capabilities")
        .clone()
}

/// What the shipped configuration for these methods allows: bearer alone needs the least.
fn capabilities_for(config: &Value) -> &'static Value {
    if config["auth_methods"] == json!(["bearer"]) {
        capabilities()
    } else {
        login_capabilities()
    }
}

/// The first value under this key, at any depth.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members
            .get(key)
            .or_else(|| members.values().find_map(|member| find(member, key))),
        Value::Array(items) => items.iter().find_map(|item| find(item, key)),
        _ => None,
    }
}

/// One instance of the filter in a chain of HTTP filters.
#[derive(Clone, Debug)]
pub struct WasmFilter {
    /// Name in statistics and logs, and key of `typed_per_filter_config` in routes.
    pub name: String,
    /// Root id.
    pub root_id: String,
    /// Id of the VM: filters with the same one (and the same module and environment) share it and its shared data.
    pub vm_id: String,
    /// The module.
    pub module: PathBuf,
    /// Configuration; a string is passed as it is, anything else as JSON.
    pub config: Value,
    /// Variables of the module's environment.
    pub env: Vec<(String, String)>,
    /// Variables that the module sees with the value they have in Envoy's environment.
    pub host_env: Vec<String>,
    /// `allow_on_headers_stop_iteration`.
    pub stop_iteration: bool,
    /// `failure_policy`.
    pub failure_policy: String,
    /// Names that the module may import and export; `None` for no restriction.
    pub capabilities: Option<Value>,
    /// Disabled, unless a route gives it an empty configuration of its own.
    pub disabled: bool,
}

impl WasmFilter {
    /// The filter as shipped, with this configuration.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self {
            name: "oidc".into(),
            root_id: String::new(),
            vm_id: "oidc".into(),
            module: crate::module(),
            capabilities: Some(capabilities_for(&config).clone()),
            config,
            env: Vec::new(),
            host_env: Vec::new(),
            stop_iteration: true,
            failure_policy: "FAIL_RELOAD".into(),
            disabled: false,
        }
    }

    /// The entry in `http_filters`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let configuration = match &self.config {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut vm = json!({
            "vm_id": self.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": self.module}},
            "environment_variables": {
                "host_env_keys": self.host_env,
                "key_values": self.env.iter().cloned().map(|(name, value)| (name, value.into()))
                    .collect::<Map<String, Value>>(),
            },
        });
        if let Some(names) = &self.capabilities {
            vm["capability_restriction_config"] = json!({"allowed_capabilities": names});
        }
        let mut config = json!({
            "name": self.name,
            "root_id": self.root_id,
            "allow_on_headers_stop_iteration": self.stop_iteration,
            "failure_policy": self.failure_policy,
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration,
            },
            "vm_config": vm,
        });
        if self.failure_policy == "FAIL_RELOAD" {
            config["reload_config"] = json!({"backoff": {"base_interval": "0.01s"}});
        }
        json!({
            "name": self.name,
            "disabled": self.disabled,
            "typed_config": {"@type": format!("{TYPES}.filters.http.wasm.v3.Wasm"), "config": config},
        })
    }
}

/// An entry of `http_filters` before the router.
#[derive(Clone, Debug)]
pub enum HttpFilter {
    /// A Wasm filter.
    Wasm(Box<WasmFilter>),
    /// Any other, as Envoy's JSON.
    Raw(Value),
}

/// One port with its chain of filters and its routes.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Name, and `stat_prefix`.
    pub name: String,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// HTTP filters before the router.
    pub filters: Vec<HttpFilter>,
    /// Entries of `routes`; the default sends all to the cluster `upstream`.
    pub routes: Vec<Value>,
    /// `use_remote_address`.
    pub use_remote_address: bool,
    /// `stream_idle_timeout`.
    pub stream_idle_timeout: Duration,
    /// Buffer limit in bytes; Envoy's default is 1 MiB.
    pub buffer_limit: Option<u32>,
    /// Merged into the HTTP connection manager (objects member by member, all else replaced).
    pub manager: Value,
    /// `transport_socket`, for TLS.
    pub transport_socket: Option<Value>,
}

impl Listener {
    /// A listener on a free port, with these filters.
    #[must_use]
    pub fn new(name: &str, filters: Vec<HttpFilter>) -> Self {
        Self {
            name: name.to_owned(),
            port: ports::free(),
            filters,
            routes: vec![json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}})],
            use_remote_address: true,
            stream_idle_timeout: Duration::from_secs(60),
            buffer_limit: None,
            manager: json!({}),
            transport_socket: None,
        }
    }

    fn to_json(&self, access_log: &Path) -> Value {
        let mut filters: Vec<Value> = self
            .filters
            .iter()
            .map(|filter| match filter {
                HttpFilter::Wasm(wasm) => wasm.to_json(),
                HttpFilter::Raw(value) => value.clone(),
            })
            .collect();
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")},
        }));
        let mut manager = json!({
            "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": self.name,
            "use_remote_address": self.use_remote_address,
            "stream_idle_timeout": seconds(self.stream_idle_timeout),
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": self.routes}],
            },
            "http_filters": filters,
            "access_log": [{
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": format!("{TYPES}.access_loggers.file.v3.FileAccessLog"),
                    "path": access_log,
                    "log_format": {"json_format": {
                        "method": "%REQ(:METHOD)%",
                        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
                        "status": "%RESPONSE_CODE%",
                        "details": "%RESPONSE_CODE_DETAILS%",
                        "flags": "%RESPONSE_FLAGS%",
                        "duration_ms": "%DURATION%",
                        "oidc_code": "%FILTER_STATE(wasm.oidc_code:PLAIN)%",
                        "oidc_method": "%FILTER_STATE(wasm.oidc_method:PLAIN)%",
                        "oidc_subject": "%FILTER_STATE(wasm.oidc_subject:PLAIN)%",
                        "oidc_client": "%FILTER_STATE(wasm.oidc_client:PLAIN)%",
                    }},
                },
            }],
        });
        merge(&mut manager, &self.manager);
        let mut chain = json!({
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }],
        });
        if let Some(socket) = &self.transport_socket {
            chain["transport_socket"] = socket.clone();
        }
        let mut listener = json!({
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": self.name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}},
            "filter_chains": [chain],
        });
        if let Some(limit) = self.buffer_limit {
            listener["per_connection_buffer_limit_bytes"] = limit.into();
        }
        listener
    }
}

/// A place that Envoy sends requests to.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Name.
    pub name: String,
    /// Where it is; none for a cluster without an endpoint.
    pub address: Option<SocketAddr>,
    /// HTTP/2 with prior knowledge.
    pub http2: bool,
    /// Merged into the cluster (objects member by member, all else replaced).
    pub extra: Value,
}

impl Cluster {
    /// A cluster of one endpoint that speaks HTTP/1.1.
    #[must_use]
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address: Some(address),
            http2: false,
            extra: json!({}),
        }
    }

    fn to_json(&self) -> Value {
        let endpoints: Vec<Value> = self
            .address
            .iter()
            .map(|address| {
                json!({"endpoint": {"address": {"socket_address": {
                    "address": address.ip().to_string(), "port_value": address.port(),
                }}}})
            })
            .collect();
        let mut cluster = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": self.name,
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": self.name,
                "endpoints": [{"lb_endpoints": endpoints}],
            },
        });
        if self.http2 {
            cluster["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            });
        }
        merge(&mut cluster, &self.extra);
        cluster
    }
}

/// What is in an Envoy.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    /// Listeners; the first is the one of [`Envoy::url`].
    pub listeners: Vec<Listener>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Worker threads.
    pub concurrency: u32,
    /// `--log-level`.
    pub log_level: String,
    /// Variables of Envoy's own environment (a filter sees those of its `host_env`).
    pub env: Vec<(String, String)>,
    /// Put all into the bootstrap file: Envoy then ends when it is wrong, and [`Envoy::update`] cannot be used.
    pub fixed: bool,
}

impl EnvoyOptions {
    /// One listener, the filter with this configuration, and the upstream behind it; two workers.
    #[must_use]
    pub fn new(config: Value, upstream: SocketAddr) -> Self {
        let filter = HttpFilter::Wasm(Box::new(WasmFilter::new(config)));
        Self {
            listeners: vec![Listener::new("gateway", vec![filter])],
            clusters: vec![Cluster::new("upstream", upstream)],
            concurrency: 2,
            log_level: "info".into(),
            env: Vec::new(),
            fixed: false,
        }
    }

    /// Adds a cluster (an identity provider, say).
    #[must_use]
    pub fn cluster(mut self, name: &str, address: SocketAddr) -> Self {
        self.clusters.push(Cluster::new(name, address));
        self
    }

    /// Adds a variable to the environment of the first filter.
    #[must_use]
    pub fn filter_env(mut self, name: &str, value: &str) -> Self {
        self.filter().env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first listener.
    ///
    /// # Panics
    /// When there is none.
    pub fn listener(&mut self) -> &mut Listener {
        self.listeners.first_mut().expect("a listener")
    }

    /// The first Wasm filter.
    ///
    /// # Panics
    /// When there is none.
    pub fn filter(&mut self) -> &mut WasmFilter {
        self.listeners
            .iter_mut()
            .flat_map(|listener| &mut listener.filters)
            .find_map(|filter| match filter {
                HttpFilter::Wasm(wasm) => Some(&mut **wasm),
                HttpFilter::Raw(_) => None,
            })
            .expect("a Wasm filter")
    }

    pub(super) fn listeners_json(&self, access_log: &Path) -> Vec<Value> {
        self.listeners
            .iter()
            .map(|listener| listener.to_json(access_log))
            .collect()
    }

    pub(super) fn clusters_json(&self) -> Vec<Value> {
        self.clusters.iter().map(Cluster::to_json).collect()
    }
}

/// JSON merge without removal: null is a value like any other.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
