//! The call, and every way in which an answer can be no answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::config::{ExtraArguments, ExtraHeaders};
use crate::failure::Kind;
use crate::http::Headers;
use crate::oauth::extra::{Places, Shown};

fn called(accept: UserinfoAccept, token: &str) -> Result<Call, Refusal> {
    let url = Url::parse("https://idp.example/me?t=1&schema=old#x").unwrap();
    let headers = Headers::from_pairs([("x-tenant", "t")]);
    let shown = Shown {
        headers: &headers,
        query: b"lang=de%20&access_token=evil",
        form: b"lang=form",
    };
    let extra = Extra::of(
        &ExtraHeaders {
            fixed: vec![("x-key".to_owned(), Secret::new("k"))],
            from_client: vec!["x-tenant".to_owned()],
        },
        &ExtraArguments {
            fixed: vec![("schema".to_owned(), Secret::new("openid"))],
            from_client: vec!["lang".to_owned()],
            from_headers: Vec::new(),
        },
        Places::Query,
        &shown,
    );
    let endpoint = UserinfoEndpoint {
        url: &url,
        cluster: "idp".to_owned(),
        timeout_ms: 1000,
        extra,
    };
    call(&endpoint, accept, token)
}

#[test]
fn t22_the_token_is_the_only_credential() {
    for accept in [UserinfoAccept::Json, UserinfoAccept::Jwt] {
        let call = called(accept, "a.b-c").unwrap();
        assert_eq!(
            (call.method, call.timeout, call.cluster.as_str()),
            ("GET", 1000, "idp")
        );
        assert_eq!(
            call.url.as_str(),
            "https://idp.example/me?t=1&schema=openid&lang=de+"
        );
        assert!(call.body.is_empty());
        let mut headers = call.headers;
        headers.retain(|(name, _)| name != "user-agent");
        let expected = [
            ("accept", accept.name()),
            ("x-key", "k"),
            ("x-tenant", "t"),
            ("authorization", "Bearer a.b-c"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers, expected);
    }
}

#[test]
fn a_token_that_breaks_a_header_is_none() {
    for token in ["", "a b", "a\r\nx: y", "a\0", "\u{e9}", "a\t"] {
        let refusal = called(UserinfoAccept::Json, token).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.kind),
            ("token_malformed", Kind::BadCredential),
            "{token:?}"
        );
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Answer {
    Answer {
        status,
        headers: Headers::from_pairs([("content-type", kind)]),
        body: body.into(),
    }
}

fn read(status: u16, body: &str) -> Result<Userinfo, Refusal> {
    let answer = answer(status, "application/json", body);
    match read_answer(&answer, UserinfoAccept::Json)? {
        UserinfoAnswer::Claims(claims) => userinfo(claims),
        UserinfoAnswer::Jwt(_) => Err(Refusal::unexpected("jwt", "")),
    }
}

fn code<T: std::fmt::Debug>(read: Result<T, Refusal>) -> (&'static str, Kind) {
    let refusal = read.unwrap_err();
    (refusal.code, refusal.kind)
}

#[test]
fn claims_are_read() {
    let info = read(200, r#"{"sub":"alex","email":null,"exp":9}"#).unwrap();
    assert_eq!(info.claims, json!({"sub": "alex", "exp": 9}));
    assert_eq!(info.exp, Some(Time::of_seconds(9)));
    assert_eq!(read(200, r#"{"login":"alex"}"#).unwrap().exp, None);
    assert!(!format!("{info:?}").contains("alex"));
}

#[test]
fn the_status_says_whose_fault_it_is() {
    let good = r#"{"sub":"alex"}"#;
    for status in [400, 401, 403] {
        assert_eq!(
            code(read(status, good)),
            ("userinfo_refused", Kind::BadCredential),
            "{status}"
        );
    }
    for status in [0, 201, 204, 301, 302, 404, 429, 500, 503] {
        assert_eq!(
            code(read(status, good)),
            ("userinfo_failed", Kind::Unexpected),
            "{status}"
        );
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"sub":null}"#,
        "<html>",
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"error":"invalid_token"}"#,
        r#"{"sub":"alex","error":"x"}"#,
    ] {
        assert_eq!(
            code(read(200, body)),
            ("userinfo_unreadable", Kind::Unexpected),
            "{body}"
        );
    }
    assert_eq!(
        code(read(200, r#"{"sub":"alex","exp":"x"}"#)).0,
        "claim_malformed"
    );
    let html = read_answer(&answer(200, "text/html", "{}"), UserinfoAccept::Json);
    assert_eq!(code(html).0, "userinfo_unreadable");
    let plain = read_answer(
        &answer(200, "application/json", r#"{"sub":"alex"}"#),
        UserinfoAccept::Jwt,
    );
    assert_eq!(
        code(plain).0,
        "userinfo_unreadable",
        "the signature was taken off"
    );
}

#[test]
fn a_jwt_is_handed_over_unverified() {
    for asked in [UserinfoAccept::Json, UserinfoAccept::Jwt] {
        let read = read_answer(&answer(200, "application/jwt", "a.b.c"), asked).unwrap();
        assert_eq!(read, UserinfoAnswer::Jwt(Secret::new("a.b.c")));
        assert!(!format!("{read:?}").contains("a.b.c"));
    }
}

fn in_jwt(typ: Option<&str>, claims: Value) -> Result<Userinfo, Refusal> {
    let header = match typ {
        Some(typ) => json!({"alg": "RS256", "typ": typ}),
        None => json!({"alg": "RS256"}),
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}.AA", part(&header), part(&claims));
    let jws = Jws::parse(&text).unwrap();
    let issuers = Issuers {
        allowed: &[],
        expected: "https://idp.example",
        compare: true,
    };
    userinfo_in_jwt(&jws, claims, &issuers, Some("me"))
}

#[test]
fn a_signed_answer_is_of_its_type_from_its_issuer_and_for_us() {
    let good = json!({"iss": "https://idp.example", "aud": ["me"], "sub": "alex", "x": null});
    for typ in [None, Some("JWT"), Some("jwt"), Some("application/jwt")] {
        let info = in_jwt(typ, good.clone()).unwrap();
        assert_eq!(info.claims["sub"], "alex");
        assert_eq!(info.claims.get("x"), None);
    }
    assert!(
        in_jwt(None, json!({"sub": "alex"})).is_ok(),
        "both may be left out"
    );
    for typ in ["at+jwt", "logout+jwt", "token-introspection+jwt", ""] {
        assert_eq!(
            code(in_jwt(Some(typ), good.clone())),
            ("userinfo_unreadable", Kind::Unexpected)
        );
    }
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(1)),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("error", json!("x")),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        assert_eq!(
            code(in_jwt(None, claims)),
            ("userinfo_unreadable", Kind::Unexpected),
            "{name}"
        );
    }
    for claims in [json!([]), json!("alex"), json!(null), json!({})] {
        assert_eq!(code(in_jwt(None, claims)).0, "userinfo_unreadable");
    }
}

#[test]
fn the_person_is_the_one_of_the_token() {
    assert!(check_subject(&json!({"sub": "alex"}), "alex").is_ok());
    for other in ["ale", "alexa", "Alex", ""] {
        let read = check_subject(&json!({"sub": other}), "alex");
        assert_eq!(
            code(read),
            ("userinfo_subject", Kind::BadCredential),
            "{other}"
        );
    }
    assert_eq!(
        code(check_subject(&json!({"sub": ""}), "")).0,
        "userinfo_subject"
    );
    for missing in [
        json!({}),
        json!({"sub": 1}),
        json!({"sub": ["alex"]}),
        json!([]),
    ] {
        assert_eq!(
            code(check_subject(&missing, "alex")),
            ("userinfo_unreadable", Kind::Unexpected)
        );
    }
}
