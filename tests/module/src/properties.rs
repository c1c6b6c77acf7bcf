//! `proxy_get_property` and `proxy_set_property` of either host.

use wasmtime::Result;

use crate::abi::trap;
use crate::options::KongSwitches;
use crate::state::{State, Stream};
use crate::status::{INTERNAL_FAILURE, NOT_FOUND, OK, Status};

/// The value of a property; the outer error is a trap.
pub fn get(state: &mut State, path: &[u8]) -> Result<Result<Vec<u8>, Status>> {
    let name = dotted(path);
    if let Some(kong) = state.kong().cloned() {
        // The worker crashed in a loop at the version that Kong 3.9 pins.
        if name == "plugin_name" && state.is_root(state.effective) {
            return trap("plugin_name in the root context");
        }
        let inside = name.starts_with("ngx.") || name.starts_with("kong.");
        let further = state.options.properties.get(&name).cloned();
        let upstream = state.options.upstream.to_string();
        let Some(stream) = state.stream() else {
            return Ok(Err(if inside { INTERNAL_FAILURE } else { NOT_FOUND }));
        };
        let value = stream.variables.get(&name).cloned().or(further);
        return Ok(value
            .or_else(|| of_kong(&kong, stream, &name, &upstream))
            .ok_or(NOT_FOUND));
    }
    if let Some(value) = state.options.properties.get(&name) {
        return Ok(Ok(value.clone()));
    }
    let remote = state
        .options
        .envoy()
        .is_some_and(|envoy| envoy.use_remote_address);
    let value = match name.as_str() {
        "plugin_name" | "plugin_root_id" | "plugin_vm_id" => Some(b"oidc".to_vec()),
        _ => state.stream().and_then(|stream| {
            let kept = stream.variables.get(&name).cloned();
            kept.or_else(|| of_envoy(stream, &name, remote))
        }),
    };
    Ok(value.ok_or(NOT_FOUND))
}

/// Sets a property; the error is a trap.
pub fn set(state: &mut State, path: &[u8], value: Vec<u8>) -> Result<Status> {
    let name = dotted(path);
    let kong = state.kong().is_some();
    let Some(stream) = state.stream() else {
        return Ok(if kong { INTERNAL_FAILURE } else { NOT_FOUND });
    };
    if kong {
        let known = KONG_WRITABLE.contains(&name.as_str())
            || name.starts_with("kong.ctx.shared.")
            || name.starts_with("ngx.kx_")
            || name.starts_with("ngx.upstream_");
        if !known {
            if name.starts_with("kong.") {
                return trap(&format!("the property `{name}` cannot be written"));
            }
            return Ok(NOT_FOUND);
        }
    }
    stream.variables.insert(name, value);
    Ok(OK)
}

const KONG_WRITABLE: [&str; 4] = [
    "kong.response.status",
    "kong.service.target",
    "kong.service.upstream",
    "kong.service.request.scheme",
];

/// Segments come divided by NUL, or dotted in one piece.
fn dotted(path: &[u8]) -> String {
    String::from_utf8_lossy(path)
        .trim_end_matches('\0')
        .replace('\0', ".")
}

fn of_envoy(stream: &Stream, name: &str, remote: bool) -> Option<Vec<u8>> {
    if let Some(header) = name.strip_prefix("request.headers.") {
        return stream.request.get(header).map(<[u8]>::to_vec);
    }
    let path = stream.request.get(":path").unwrap_or_default();
    let (url_path, query) = match path.iter().position(|byte| *byte == b'?') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, &b""[..]),
    };
    let value = match name {
        "source.address" => source(stream, remote).into_bytes(),
        "source.port" => u64::from(stream.peer.port()).to_le_bytes().to_vec(),
        "request.path" => path.to_vec(),
        "request.url_path" => url_path.to_vec(),
        "request.query" => query.to_vec(),
        "request.method" => stream.request.get(":method")?.to_vec(),
        "request.scheme" => stream.request.get(":scheme")?.to_vec(),
        "request.host" => stream.request.get(":authority")?.to_vec(),
        "request.id" => stream.request.get("x-request-id")?.to_vec(),
        "request.protocol" => b"HTTP/1.1".to_vec(),
        "connection.mtls" => vec![0],
        _ => return None,
    };
    Some(value)
}

/// The direct peer; without `use_remote_address` a stranger chooses it.
fn source(stream: &Stream, remote: bool) -> String {
    let forwarded = stream.request.get("x-forwarded-for").filter(|_| !remote);
    let last = forwarded.and_then(|list| {
        let list = String::from_utf8_lossy(list).into_owned();
        list.rsplit(',')
            .next()
            .map(|last| format!("{}:0", last.trim()))
    });
    last.unwrap_or_else(|| stream.peer.to_string())
}

fn of_kong(kong: &KongSwitches, stream: &Stream, name: &str, upstream: &str) -> Option<Vec<u8>> {
    if let Some(header) = name.strip_prefix("ngx.http_") {
        return stream
            .request
            .get(&header.replace('_', "-"))
            .map(<[u8]>::to_vec);
    }
    if let Some(header) = name.strip_prefix("request.headers.") {
        return stream.request.get(header).map(<[u8]>::to_vec);
    }
    let path = stream.request.get(":path").unwrap_or_default();
    let uri = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let query = stream.raw_target.split_once('?').map(|(_, query)| query);
    let text = match name {
        "ngx.pid" => std::process::id().to_string(),
        "ngx.uri" => return Some(uri.to_vec()),
        "ngx.request_uri" | "request.path" => stream.raw_target.clone(),
        "ngx.args" => query.unwrap_or_default().to_owned(),
        "request.query" => query.filter(|query| !query.is_empty())?.to_owned(),
        "ngx.remote_addr" => stream.peer.ip().to_string(),
        "ngx.remote_port" => stream.peer.port().to_string(),
        "source.address" => stream.peer.to_string(),
        "ngx.kong_proxy_mode" => kong.proxy_mode.to_owned(),
        "ngx.scheme"
        | "request.scheme"
        | "kong.request.forwarded_scheme"
        | "kong.client.protocol" => "http".to_owned(),
        "ngx.request_method" | "request.method" => {
            return stream.request.get(":method").map(<[u8]>::to_vec);
        }
        "ngx.host" | "kong.request.forwarded_host" => {
            let host = stream.request.get("host").unwrap_or_default();
            let host = String::from_utf8_lossy(host).into_owned();
            host.rsplit_once(':')
                .map_or(host.clone(), |(name, _)| name.to_owned())
        }
        // The machine's name, not the client's word.
        "request.host" => "kong".to_owned(),
        "kong.version" => "3.9.3".to_owned(),
        "kong.nginx.subsystem" => "http".to_owned(),
        "kong.route_id" => "00000000-0000-0000-0000-000000000001".to_owned(),
        "kong.service_id" => "00000000-0000-0000-0000-000000000002".to_owned(),
        "kong.route_name" => "route".to_owned(),
        "kong.service_name" => "service".to_owned(),
        "kong.service.target" => upstream.to_owned(),
        _ => return None,
    };
    Some(text.into_bytes())
}
