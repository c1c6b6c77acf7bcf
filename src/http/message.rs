//! Messages that we write: a reply to the client, a call to a provider and its answer.
//!
//! Their `Debug` prints no value: cookies, tokens and secrets are among them.

use std::fmt;
use std::rc::Rc;

use url::Url;

use super::{Headers, strip_controls};
use crate::account::Account;

/// A header's name and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Our own reply to the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values, already free of control bytes.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// What a client of gRPC gets in the place of status and body.
    pub grpc: Option<GrpcStatus>,
    /// What the operator learns of it.
    pub account: Account,
}

/// A status of gRPC (its "Status codes and their use in gRPC"), and the words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// The number.
    pub code: u8,
    /// The message.
    pub message: String,
}

impl GrpcStatus {
    /// The message as a header has it (gRPC over HTTP2, "Status-Message").
    pub fn encoded(&self) -> String {
        let mut out = String::new();
        for byte in self.message.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    }
}

impl Response {
    /// An empty reply that no cache keeps (design: own replies are `no-store`).
    pub fn new(status: u16) -> Response {
        Response {
            status,
            headers: vec![("cache-control", b"no-store".to_vec())],
            body: Vec::new(),
            grpc: None,
            account: Account::default(),
        }
    }

    /// An empty reply that caches may keep: it holds nobody's secret.
    pub fn cacheable(status: u16, cache_control: &'static [u8]) -> Response {
        Response {
            headers: vec![("cache-control", cache_control.to_vec())],
            ..Response::new(status)
        }
    }

    /// This reply with one more header. Control bytes are dropped: Envoy does not check own replies.
    pub fn with(mut self, name: &'static str, value: &[u8]) -> Response {
        self.headers.push((name, strip_controls(value)));
        self
    }

    /// This reply with these `Set-Cookie` values, hence for this client alone.
    pub fn with_cookies(mut self, cookies: &[String]) -> Response {
        if cookies.is_empty() {
            return self;
        }
        for (name, value) in &mut self.headers {
            if *name == "cache-control" {
                *value = Downstream::CACHE_CONTROL.to_vec();
            }
        }
        let reply = self.with("vary", VARY);
        cookies.iter().fold(reply, |reply, cookie| {
            reply.with("set-cookie", cookie.as_bytes())
        })
    }

    /// This reply with a JSON body.
    pub fn with_json(self, body: &serde_json::Value) -> Response {
        let mut reply = self.with("content-type", b"application/json; charset=utf-8");
        reply.body = body.to_string().into_bytes();
        reply
    }
}

/// What a response to the client gets in addition, our own or the upstream's.
///
/// Whoever keeps a copy of a response that carries a credential could hand it to somebody else: with
/// the first cookie or token it becomes `private, no-store`, and varies with what it depends on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Downstream {
    /// `Set-Cookie` values.
    pub cookies: Vec<String>,
    /// The mark of the refresh token in these cookies ([`crate::flow::refresh::mark`]): once it was used,
    /// they are older than what the client has, and do not go.
    pub refresh_mark: Option<[u8; 32]>,
    /// Other headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The same, shared with the verdict.
    pub told: Option<Rc<[Pair]>>,
    /// Names that only we set: the upstream's own headers of these names go, whether we have a value or not.
    pub owned: Option<Rc<[String]>>,
}

impl Downstream {
    /// Adds headers of which nothing is told yet.
    pub fn add(&mut self, headers: Vec<Pair>) {
        for (name, value) in headers {
            let told = self.added().any(|(own, _)| own == name);
            if !told && let Ok(name) = String::from_utf8(name) {
                self.headers.push((name, value));
            }
        }
    }

    /// Nothing to add.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty() && self.headers.is_empty() && self.told.is_none()
    }

    /// The names whose headers go from the upstream's response, before anything is added.
    pub fn stripped(&self) -> impl Iterator<Item = &str> {
        self.owned
            .iter()
            .flat_map(|names| names.iter())
            .map(String::as_str)
    }

    /// The headers to add to an upstream's response, once [`Downstream::CACHE_CONTROL`] stands there.
    pub fn added(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let cookies = self.cookies.iter();
        let cookies = cookies.map(|cookie| (&b"set-cookie"[..], cookie.as_bytes()));
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let told = self.told.iter().flat_map(|told| told.iter());
        let told = told.map(|(name, value)| (name.as_slice(), value.as_slice()));
        std::iter::once((&b"vary"[..], VARY))
            .chain(cookies)
            .chain(headers)
            .chain(told)
    }

    /// Headers by which a cache between would keep such a response all the same (RFC 9213, and Akamai's
    /// older one).
    pub const CACHE_ORDERS: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

    /// What `Cache-Control` of such a response becomes.
    pub const CACHE_CONTROL: &[u8] = b"private, no-store";
}

/// What such a response depends on.
const VARY: &[u8] = b"Cookie, Authorization";

/// A request to a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where to. The glue turns it into a cluster (Envoy) or into host and port (Kong).
    pub url: Url,
    /// The Envoy cluster that reaches this URL; Kong ignores it.
    pub cluster: String,
    /// Headers beside the pseudo-headers.
    pub headers: Vec<(String, String)>,
    /// The body; empty for GET.
    pub body: Vec<u8>,
    /// How long to wait, in milliseconds; never 0, which would be for ever on Envoy.
    pub timeout: u32,
}

/// A provider's answer, complete.
#[derive(Clone, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &names)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downstream")
            .field("cookies", &self.cookies.len())
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = (self.url.host_str(), self.url.path());
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("place", &place)
            .field("cluster", &self.cluster)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
