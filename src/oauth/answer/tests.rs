#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn answer(kind: Option<&str>, body: &[u8]) -> Answer {
    Answer {
        status: 200,
        headers: Headers::from_pairs(kind.map(|kind| ("content-type", kind))),
        body: body.to_vec(),
    }
}

fn read(kind: Option<&str>, body: &[u8], signed: bool) -> Result<Value, &'static str> {
    content(&answer(kind, body), signed).map(|content| match content {
        Content::Claims(map) => Value::Object(map),
        Content::Jwt(text) => Value::String(text),
    })
}

#[test]
fn the_media_type_decides() {
    for kind in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
        Some("text/json"),
        Some("application/token-introspection+json"),
    ] {
        assert_eq!(
            read(kind, br#"{"a":1}"#, false),
            Ok(json!({"a": 1})),
            "{kind:?}"
        );
        assert!(
            read(kind, br#"{"a":1}"#, true)
                .unwrap_err()
                .contains("signed")
        );
    }
    for kind in [
        "application/jwt",
        "application/token-introspection+jwt; x=1",
        "APPLICATION/JWT",
    ] {
        for signed in [true, false] {
            assert_eq!(
                read(Some(kind), b"a.b.c\n", signed),
                Ok(json!("a.b.c")),
                "{kind}"
            );
            assert!(read(Some(kind), b"", signed).is_err());
            assert!(read(Some(kind), b"a b", signed).is_err());
            assert!(read(Some(kind), b"a\xff", signed).is_err());
            assert!(read(Some(kind), br#"{"a": 1}"#, signed).is_err());
        }
    }
    for kind in ["text/html", "application/javascript", "", "json"] {
        assert!(read(Some(kind), br#"{"a":1}"#, false).is_err(), "{kind}");
    }
}

#[test]
fn an_object_has_one_meaning() {
    assert_eq!(
        object(br#"{"a":null,"b":{"c":null}}"#),
        json!({"b": {"c": null}}).as_object().cloned()
    );
    for bad in [
        &br#"{"a":1,"a":2}"#[..],
        br#"{"a":null,"a":true}"#,
        br#"{"a":true,"\u0061":null}"#,
        b"[]",
        b"null",
        b"",
        b"{} x",
        b"\"a\"",
        b"\xff",
    ] {
        assert_eq!(object(bad), None, "{}", bad.escape_ascii());
    }
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    assert_eq!(object(deep.as_bytes()), None);
}

#[test]
fn long_answers_are_not_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ANSWER));
    assert!(
        read(None, long.as_bytes(), false)
            .unwrap_err()
            .contains("256 KiB")
    );
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ANSWER - 8));
    assert_eq!(fits.len(), MAX_ANSWER);
    assert!(read(None, fits.as_bytes(), false).is_ok());
}

proptest! {
    #[test]
    fn any_answer_can_be_read(kind in "application/(json|jwt)|.{0,20}", body: Vec<u8>, signed: bool) {
        let _ = content(&answer(Some(&kind), &body), signed);
    }
}
