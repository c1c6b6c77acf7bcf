//! What answers of all endpoints have in common: their size, their media type, and JSON without second
//! meanings.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::http::{Answer, Headers};

/// The longest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// Some providers' firewalls refuse calls without one; Envoy sends none.
pub(crate) const USER_AGENT: &str = concat!("oidc-filter/", env!("CARGO_PKG_VERSION"));

/// What an answer holds by its `content-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON, or a type built on it (RFC 6839 section 3.1); also where nothing is said.
    Json,
    /// A JWT, or a type built on it (RFC 7519 section 10.3.1, RFC 9701 section 10.1).
    Jwt,
    /// Anything else, such as a page of HTML.
    Other,
}

impl Media {
    pub(super) fn of(headers: &Headers) -> Media {
        let Some(kind) = headers.first("content-type") else {
            return Media::Json;
        };
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        match kind.trim_ascii().to_ascii_lowercase().as_slice() {
            b"application/json" | b"text/json" => Media::Json,
            b"application/jwt" => Media::Jwt,
            kind if kind.ends_with(b"+json") => Media::Json,
            kind if kind.ends_with(b"+jwt") => Media::Jwt,
            _ => Media::Other,
        }
    }
}

/// The claims of an answer, or the JWT that holds them.
pub(super) enum Content {
    /// A JSON object.
    Claims(Map<String, Value>),
    /// Something that looks like a JWT.
    Jwt(String),
}

/// Reads the content of a successful answer. `signed`: a JWT was asked for, and nothing else will do: JSON
/// would be an answer whose signature was taken off.
pub(super) fn content(answer: &Answer, signed: bool) -> Result<Content, &'static str> {
    if answer.body.len() > MAX_ANSWER {
        return Err("is longer than 256 KiB");
    }
    match Media::of(&answer.headers) {
        Media::Json if signed => Err("is JSON, and a signed JWT was asked for"),
        Media::Json => object(&answer.body)
            .map(Content::Claims)
            .ok_or("is no JSON object with unique members"),
        Media::Jwt => {
            let text = std::str::from_utf8(answer.body.trim_ascii()).unwrap_or_default();
            match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
                true => Ok(Content::Jwt(text.to_owned())),
                false => Err("is no JWT, and says it is"),
            }
        }
        Media::Other => Err("is neither JSON nor a JWT by its content-type"),
    }
}

/// A JSON object. A member that occurs twice is refused, since two readers could each believe another one.
/// A null says nothing, so it goes (trap B16).
pub(super) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok().map(|Unique(map)| map)
}

struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_map(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        members.retain(|_, value| !value.is_null());
        Ok(Unique(members))
    }
}

#[cfg(test)]
mod tests;
