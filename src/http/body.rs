//! What stands in a request's body, where it is a form or a JSON object: nothing else is looked into.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Request, arguments, without_arguments};

/// The longest body that a decision reads, in bytes.
pub const MAX_BODY: usize = 64 << 10;

/// A body that was read to its end.
pub enum Body {
    /// Nothing that can be looked into.
    Opaque,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<u8>),
    /// A JSON object.
    Json(Members),
}

/// The members of a JSON object, in their order and as they were written.
pub struct Members(Vec<(String, Box<RawValue>)>);

/// The kinds of bodies that are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Form,
    Json,
}

impl Body {
    /// Reads the body of a request.
    pub fn of(request: &Request, bytes: Vec<u8>) -> Body {
        match kind(request) {
            Some(Kind::Form) => Body::Form(bytes),
            Some(Kind::Json) => serde_json::from_slice(&bytes).map_or(Body::Opaque, Body::Json),
            None => Body::Opaque,
        }
    }

    /// Whether a request's body may hold a credential: a form or JSON, of a length that it declares and
    /// that is read.
    pub fn is_readable(request: &Request) -> bool {
        let length = request.headers.only("content-length");
        let length = length
            .filter(|length| length.iter().all(u8::is_ascii_digit))
            .and_then(|length| std::str::from_utf8(length).ok())
            .and_then(|length| length.parse::<usize>().ok());
        kind(request).is_some() && length.is_some_and(|length| (1..=MAX_BODY).contains(&length))
    }

    /// The values of an argument. In JSON only texts count, and a null is no argument.
    pub fn arguments(&self, name: &str) -> Vec<Vec<u8>> {
        match self {
            Body::Opaque => Vec::new(),
            Body::Form(form) => arguments(form, name).collect(),
            Body::Json(Members(members)) => members
                .iter()
                .filter(|(own, value)| own == name && value.get() != "null")
                .map(|(_, value)| {
                    // What is no text is an argument all the same: one that is no good.
                    serde_json::from_str::<String>(value.get())
                        .map_or_else(|_| value.get().as_bytes().to_vec(), String::into_bytes)
                })
                .collect(),
        }
    }

    /// The form, where it is one.
    pub fn form(&self) -> &[u8] {
        match self {
            Body::Form(form) => form,
            Body::Opaque | Body::Json(_) => &[],
        }
    }

    /// The body without these arguments, the others as they were. `None` where there is nothing to take
    /// out of.
    pub fn without(&self, names: &[impl AsRef<str>]) -> Option<Vec<u8>> {
        match self {
            Body::Opaque => None,
            Body::Form(form) => Some(without_arguments(form, names).unwrap_or_default()),
            Body::Json(Members(members)) => {
                let kept = members
                    .iter()
                    .filter(|(own, _)| !names.iter().any(|name| name.as_ref() == own))
                    .map(|(name, value)| {
                        format!("{}:{}", serde_json::Value::from(name.as_str()), value.get())
                    });
                let kept: Vec<String> = kept.collect();
                Some(format!("{{{}}}", kept.join(",")).into_bytes())
            }
        }
    }
}

fn kind(request: &Request) -> Option<Kind> {
    let value = request.headers.only("content-type")?;
    let value = value.split(|byte| *byte == b';').next()?.trim_ascii();
    let value = std::str::from_utf8(value).ok()?.to_ascii_lowercase();
    match value.as_str() {
        "application/x-www-form-urlencoded" => Some(Kind::Form),
        "application/json" => Some(Kind::Json),
        other if other.starts_with("application/") && other.ends_with("+json") => Some(Kind::Json),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(ReadMembers)
    }
}

struct ReadMembers;

impl<'de> Visitor<'de> for ReadMembers {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn body(kind: &str, text: &str) -> Body {
        let headers = Headers::from_pairs([("content-type", kind)]);
        Body::of(&Request::new(headers), text.as_bytes().to_vec())
    }

    #[test]
    fn a_json_object_keeps_its_order_and_its_numbers() {
        let text = r#"{"b": 1.10, "access_token":"t", "a":{"x":123456789012345678901234567890}}"#;
        let body = body("application/json; charset=utf-8", text);
        assert_eq!(body.arguments("access_token"), [b"t"]);
        let left = body.without(&["access_token"]).map(String::from_utf8);
        let expected = r#"{"b":1.10,"a":{"x":123456789012345678901234567890}}"#;
        assert_eq!(left, Some(Ok(expected.to_owned())));
    }

    #[test]
    fn a_null_is_no_argument_and_another_kind_of_value_is_a_bad_one() {
        let text = r#"{"access_token":null,"t":7,"d":"1","d":"2"}"#;
        let body = body("application/vnd.api+json", text);
        assert!(body.arguments("access_token").is_empty());
        assert_eq!(body.arguments("t"), [b"7"]);
        assert_eq!(body.arguments("d"), [b"1", b"2"]);
    }

    #[test]
    fn garbage_and_other_kinds_hold_nothing() {
        for (kind, text) in [
            ("application/json", "[1]"),
            ("application/json", "{\"access_token\":"),
            ("text/plain", "access_token=t"),
            ("multipart/form-data; boundary=x", "access_token=t"),
        ] {
            let body = body(kind, text);
            assert!(body.arguments("access_token").is_empty(), "{kind} {text}");
            assert_eq!(body.without(&["access_token"]), None);
        }
    }

    #[test]
    fn a_form_loses_every_copy() {
        let body = body(
            "Application/X-WWW-Form-Urlencoded",
            "a=1&access%5Ftoken=t&access_token=u",
        );
        assert_eq!(body.arguments("access_token"), [b"t", b"u"]);
        assert_eq!(body.without(&["access_token"]), Some(b"a=1".to_vec()));
    }

    #[test]
    fn only_a_declared_and_short_body_is_read() {
        let readable = |kind: &str, length: &str| {
            let headers = Headers::from_pairs([("content-type", kind), ("content-length", length)]);
            Body::is_readable(&Request::new(headers))
        };
        assert!(readable("application/json", "65536"));
        for (kind, length) in [
            ("application/json", "65537"),
            ("application/json", "0"),
            ("application/json", "+5"),
            ("application/octet-stream", "5"),
        ] {
            assert!(!readable(kind, length), "{kind} {length}");
        }
    }
}
