//! Where Envoy and Kong differ, in one place. Facts: docs/architecture.md, "Two dialects".

use std::net::SocketAddr;

use super::abi;
use crate::host::{CallError, Connection};
use crate::http::{Answer, Call, Headers, Request};

/// The host we run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Envoy, Istio, Envoy Gateway.
    Envoy,
    /// Kong (ngx_wasm_module).
    Kong,
}

/// The longest answer of a provider that is read, in bytes: a JWKS of 64 keys with certificates has about 200 KB.
const MAX_ANSWER: usize = 1 << 20;

impl Dialect {
    /// The host's name for the log.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Envoy => "Envoy",
            Dialect::Kong => "Kong",
        }
    }

    /// Sends a call to its cluster (Envoy) or to host and port (Kong).
    pub fn dispatch(self, call: &Call) -> Result<u32, CallError> {
        let host = call.url.host_str().unwrap_or_default();
        let authority = match call.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let target = match self {
            Dialect::Envoy => call.cluster.clone(),
            Dialect::Kong => {
                let port = call.url.port_or_known_default().unwrap_or(80);
                format!("{host}:{port}")
            }
        };
        let path = match call.url.query() {
            Some(query) => format!("{}?{query}", call.url.path()),
            None => call.url.path().to_owned(),
        };
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b":method", call.method.as_bytes()),
            (b":path", path.as_bytes()),
            (b":authority", authority.as_bytes()),
            // Kong speaks TLS only when told so here; on Envoy the cluster decides.
            (b":scheme", call.url.scheme().as_bytes()),
        ];
        for (name, value) in &call.headers {
            headers.push((name.as_bytes(), value.as_bytes()));
        }
        abi::http_call(&target, &headers, &call.body, call.timeout.max(1)).map_err(|status| {
            CallError::NotSent(match self {
                Dialect::Envoy => format!(
                    "Envoy refused the call to cluster `{target}` (status {}): is the cluster \
                     defined, and named in `clusters`?",
                    status.0
                ),
                Dialect::Kong => {
                    format!("Kong refused the call to `{target}` (status {})", status.0)
                }
            })
        })
    }
}

/// The request as its client sent it.
///
/// Kong's `:path` is decoded: a `%3F` in it would look like the beginning of the query. The raw target
/// stands in a variable, without which nothing can be decided there.
pub fn request(dialect: Dialect, mut headers: Headers) -> Option<Request> {
    let mut host_path = None;
    if dialect == Dialect::Kong {
        let target = abi::property(b"ngx.request_uri").ok()?;
        let normalised = headers.first(":path").unwrap_or_default();
        let path = normalised.split(|byte| *byte == b'?').next();
        host_path = path.filter(|path| !path.is_empty()).map(<[u8]>::to_vec);
        headers.replace_first(":path", &target);
    }
    Some(Request {
        host_path,
        ..Request::new(headers)
    })
}

/// How the client reached us: on Envoy by its headers and the peer's address, on Kong by its variables,
/// which honour its own `trusted_ips`. Kong's `:authority` is the server's name, not the client's word.
pub fn connection(dialect: Dialect, request: &Request) -> Connection {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty())
    };
    let property = |path: &[u8]| abi::property(path).ok().and_then(text);
    let header = |name: &str| {
        request
            .headers
            .only(name)
            .map(<[u8]>::to_vec)
            .and_then(text)
    };
    match dialect {
        Dialect::Envoy => {
            let source = property(b"source\0address");
            let source = source.and_then(|address| address.parse::<SocketAddr>().ok());
            Connection {
                scheme: header(":scheme").unwrap_or_else(|| "http".to_owned()),
                authority: header(":authority"),
                // Port 0 marks an address out of X-Forwarded-For.
                peer: source.filter(|it| it.port() != 0).map(|it| it.ip()),
            }
        }
        Dialect::Kong => {
            let scheme =
                property(b"kong.request.forwarded_scheme").unwrap_or_else(|| "http".to_owned());
            let host = property(b"kong.request.forwarded_host");
            let port = property(b"kong.request.forwarded_port");
            let usual = if scheme == "https" { "443" } else { "80" };
            let authority = host.map(|host| match port {
                Some(port) if port != usual => format!("{host}:{port}"),
                _ => host,
            });
            Connection {
                scheme,
                authority,
                peer: property(b"ngx.remote_addr").and_then(|address| address.parse().ok()),
            }
        }
    }
}

/// Reads the answer of the call response callback under way.
///
/// The header count is looked at first: with none, every other read fails on both hosts.
pub fn read_answer(
    dialect: Dialect,
    header_count: u32,
    body_size: usize,
) -> Result<Answer, CallError> {
    let broken = || CallError::NoAnswer("the connection broke before an answer".to_owned());
    if dialect == Dialect::Envoy && header_count == 0 {
        return Err(broken());
    }
    // On Kong the reason stands in a pseudo-header that may be the only one.
    let headers = abi::headers(abi::Map::CallAnswer)
        .ok()
        .and_then(Headers::from_serialized)
        .unwrap_or_default();
    let pseudo = |name: &str| {
        let listed = headers.first(name).map(<[u8]>::to_vec);
        listed.or_else(|| match dialect {
            Dialect::Envoy => None,
            Dialect::Kong => abi::header(abi::Map::CallAnswer, name.as_bytes()).ok(),
        })
    };
    match pseudo(":dispatch_status").as_deref() {
        None | Some(b"ok" | b"") => {}
        Some(b"timeout") => return Err(CallError::TimedOut),
        Some(other) => return Err(CallError::NoAnswer(other.escape_ascii().to_string())),
    }
    if header_count == 0 || headers.is_empty() {
        return Err(broken());
    }
    let status = pseudo(":status")
        .and_then(|status| String::from_utf8(status).ok())
        .and_then(|status| status.parse::<u16>().ok())
        .ok_or_else(|| CallError::NoAnswer("an answer without a status".to_owned()))?;
    if dialect == Dialect::Envoy && headers.first("x-envoy-upstream-service-time").is_none() {
        // Envoy's own words for a provider that was not reached, or was too slow.
        match status {
            503 => {
                return Err(CallError::NoAnswer(
                    "Envoy could not reach the provider".to_owned(),
                ));
            }
            504 => return Err(CallError::TimedOut),
            _ => {}
        }
    }
    let body = read_body(body_size)?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn read_body(size: usize) -> Result<Vec<u8>, CallError> {
    if size == 0 {
        return Ok(Vec::new());
    }
    if size > MAX_ANSWER {
        return Err(CallError::NoAnswer(format!(
            "an answer of {size} bytes is longer than the {MAX_ANSWER} that are read"
        )));
    }
    // Kong announces the whole size of a body that was cut off, and then cannot deliver it.
    abi::buffer(abi::Buffer::CallAnswer, size)
        .ok()
        .filter(|body| body.len() == size)
        .ok_or_else(|| CallError::NoAnswer("the answer was cut off".to_owned()))
}

/// What Kong must not find when it goes on by itself: see [`Poison::set`].
pub struct Poison {
    property: &'static [u8],
    kept: Vec<u8>,
}

impl Poison {
    /// Makes sure that the request in force cannot reach its upstream until [`Poison::lift`].
    ///
    /// Kong resumes a paused request by itself when its last call ends, whatever we did (also after
    /// a trap). So what the upstream call needs is spoilt first: the URI on HTTP routes (a clean
    /// 502), the scheme on gRPC ones, where the URI has no effect. `None`: it could not be spoilt,
    /// and who asked must answer now instead of pausing.
    pub fn set() -> Option<Poison> {
        let mode = abi::property(b"ngx.kong_proxy_mode").ok()?;
        let grpc = mode == b"grpc";
        let property = if grpc { UPSTREAM_SCHEME } else { UPSTREAM_URI };
        let kept = abi::property(property).ok()?;
        let poisoned = if grpc {
            b"denied".to_vec()
        } else {
            [b".invalid:1", kept.as_slice()].concat()
        };
        abi::set_property(property, &poisoned).ok()?;
        Some(Poison { property, kept })
    }

    /// Gives the upstream call back what it needs, with another query where one is given.
    pub fn lift(&self, query: Option<Option<&[u8]>>) -> Result<(), abi::Status> {
        match query {
            None => abi::set_property(self.property, &self.kept),
            Some(query) if self.property == UPSTREAM_URI => {
                abi::set_property(UPSTREAM_URI, &with_query(&self.kept, query))
            }
            Some(query) => {
                replace_upstream_query(query)?;
                abi::set_property(self.property, &self.kept)
            }
        }
    }
}

/// Gives the request another query on its way to Kong's upstream.
pub fn replace_upstream_query(query: Option<&[u8]>) -> Result<(), abi::Status> {
    let uri = abi::property(UPSTREAM_URI)?;
    abi::set_property(UPSTREAM_URI, &with_query(&uri, query))
}

/// What Kong sends: setting `:path` has no effect there.
const UPSTREAM_URI: &[u8] = b"ngx.upstream_uri";
const UPSTREAM_SCHEME: &[u8] = b"ngx.upstream_scheme";

fn with_query(uri: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let path = uri.split(|byte| *byte == b'?').next().unwrap_or_default();
    match query {
        Some(query) => [path, b"?", query].concat(),
        None => path.to_vec(),
    }
}
