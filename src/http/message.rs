//! Messages that we write: a reply to the client, a call to a provider and its answer.

use url::Url;

use super::{Headers, strip_controls};

/// Our own reply to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values, already free of control bytes.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An empty reply that no cache keeps (design: own replies are `no-store`).
    pub fn new(status: u16) -> Response {
        Response {
            status,
            headers: vec![("cache-control", b"no-store".to_vec())],
            body: Vec::new(),
        }
    }

    /// This reply with one more header. Control bytes are dropped: Envoy does not check own replies.
    pub fn with(mut self, name: &'static str, value: &[u8]) -> Response {
        self.headers.push((name, strip_controls(value)));
        self
    }

    /// This reply with a JSON body.
    pub fn with_json(self, body: &serde_json::Value) -> Response {
        let mut reply = self.with("content-type", b"application/json; charset=utf-8");
        reply.body = body.to_string().into_bytes();
        reply
    }
}

/// A request to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
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
