//! What the upstream gets to see: a model of how each host carries out the filter's edits.
//!
//! The rules are those of `apply_on_envoy` and `apply_on_kong` in `src/proxy/stream.rs`, and of the
//! hosts behind them: Envoy removes every copy of a header; Kong only gives its first copy another
//! value.

use std::fmt;

use oidc_filter::http::{Downstream, same_name};
use oidc_filter::upstream::{Edits, QueryEdit};
use serde_json::Value;

use crate::world::Dialect;

/// A document in Base64 (RFC 4648 section 4). Written out: the product must not test itself.
///
/// # Panics
/// When it is none.
#[must_use]
#[track_caller]
pub fn document(text: &str) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(text.len() % 4, 0, "padded: {text}");
    let bits = text.trim_end_matches('=').bytes().map(|byte| {
        let place = LETTERS.iter().position(|letter| *letter == byte);
        place.unwrap_or_else(|| panic!("no Base64: {text}"))
    });
    let (mut bytes, mut word, mut size) = (Vec::new(), 0_usize, 0);
    for six in bits {
        (word, size) = (word << 6 | six, size + 6);
        if size >= 8 {
            size -= 8;
            bytes.push(u8::try_from(word >> size & 0xff).expect("a byte"));
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// A request as the upstream gets it.
#[derive(Clone)]
pub struct Forwarded {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    /// What the client gets: the upstream's response as the filter leaves it.
    response: Vec<(String, Vec<u8>)>,
}

/// What the upstream answers everything with, beside 200.
const RESPONSE: [(&str, &[u8]); 4] = [
    ("cache-control", b"public, max-age=60"),
    ("set-cookie", b"theirs=1"),
    ("x-who", b"theirs"),
    ("session-id", b"theirs"),
];

impl Forwarded {
    /// The client's request as it came.
    #[must_use]
    pub fn unchanged(headers: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        let response = RESPONSE.map(|(name, value)| (name.to_owned(), value.to_vec()));
        Self {
            headers,
            body: body.to_vec(),
            response: response.into(),
        }
    }

    /// The client's request after the filter's edits.
    pub(crate) fn edited(
        headers: &[(Vec<u8>, Vec<u8>)],
        body: &[u8],
        edits: &Edits,
        dialect: Dialect,
    ) -> Forwarded {
        let mut request = Self::unchanged(headers, body);
        match dialect {
            Dialect::Envoy => {
                for name in &edits.strip {
                    request.headers.retain(|(own, _)| own != name);
                }
                for (name, value) in edits.set() {
                    request.headers.push((name.clone(), value.clone()));
                }
            }
            Dialect::Kong => {
                for name in &edits.strip {
                    if !edits.set().any(|(set, _)| set == name) {
                        request.replace(name, b"");
                    }
                }
                for (name, value) in edits.set() {
                    request.replace(name, value);
                }
            }
        }
        if let QueryEdit::Replace { target, query } = &edits.query {
            match dialect {
                Dialect::Envoy => request.replace(b":path", target),
                // Kong's edit is made in the URI it sends, which begins as the client's path.
                Dialect::Kong => {
                    let before = request.bytes(":path").unwrap_or_default();
                    let mut uri = before
                        .split(|byte| *byte == b'?')
                        .next()
                        .unwrap_or_default()
                        .to_vec();
                    if let Some(query) = query {
                        uri.push(b'?');
                        uri.extend_from_slice(query);
                    }
                    request.replace(b":path", &uri);
                }
            }
        }
        if edits.as_get {
            let of_body = ["content-type", "content-length", "transfer-encoding"];
            if dialect == Dialect::Envoy {
                request
                    .headers
                    .retain(|(own, _)| !of_body.iter().any(|name| name.as_bytes() == own));
            }
            request.replace(b":method", b"GET");
            request.body.clear();
        }
        if let Some(body) = &edits.body {
            request.body.clone_from(body);
            request.replace(b"content-length", body.len().to_string().as_bytes());
        }
        for name in edits.downstream.stripped() {
            request.response.retain(|(own, _)| own != name);
        }
        if !edits.downstream.is_empty() {
            request.response.retain(|(name, _)| name != "cache-control");
            let private = Downstream::CACHE_CONTROL.to_vec();
            request.response.push(("cache-control".to_owned(), private));
            let added = edits.downstream.added();
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let added = added.map(|(name, value)| (text(name), value.to_vec()));
            request.response.extend(added);
        }
        request
    }

    fn replace(&mut self, name: &[u8], value: &[u8]) {
        match self.headers.iter_mut().find(|(own, _)| own == name) {
            Some((_, first)) => *first = value.to_vec(),
            None => self.headers.push((name.to_vec(), value.to_vec())),
        }
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> String {
        self.header(":path").unwrap_or_default()
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> String {
        self.header(":method").unwrap_or_default()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// All values of a header of the response that the client gets.
    #[must_use]
    pub fn response(&self, name: &str) -> Vec<String> {
        self.response
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The first header of this name, unless it is empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.bytes(name)
            .filter(|value| !value.is_empty())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(own, _)| own == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// All values that an upstream could take for this header, in any spelling: CGI makes one name of
    /// `X-User`, `x_user` and `x.user`. Empty values are how Kong removes.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(own, value)| same_name(own, name.as_bytes()) && !value.is_empty())
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Whether this text stands anywhere in the request.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.headers
            .iter()
            .any(|(_, value)| value.windows(text.len()).any(|part| part == text))
    }

    /// Whether a header that the client sent went on with its value.
    #[must_use]
    pub fn kept(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|seen| seen == value)
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.headers {
            writeln!(f, "{}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}
