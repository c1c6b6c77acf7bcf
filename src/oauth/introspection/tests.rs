//! The call, and every way in which an answer can be no answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;
use crate::config::{ClientAuth, ExtraArguments, ExtraHeaders};
use crate::failure::Kind;
use crate::http::Headers;
use crate::oauth::client_auth::Proof;
use crate::oauth::extra::Extra;
use crate::oauth::extra::{Places, Shown};

fn settings() -> IntrospectionSettings {
    IntrospectionSettings {
        endpoint: None,
        auth: Some(ClientAuth::ClientSecretPost),
        token_param: "tok".to_owned(),
        hint: "access_token".to_owned(),
        accept: IntrospectionAccept::Json,
        check_active: true,
        jwt_tokens: false,
        headers: ExtraHeaders {
            fixed: vec![("x-key".to_owned(), Secret::new("k"))],
            from_client: vec!["x-tenant".to_owned()],
        },
        arguments: ExtraArguments {
            fixed: vec![("realm".to_owned(), Secret::new("one"))],
            from_client: vec!["device".to_owned()],
            from_headers: vec![("X-Method".to_owned(), "x-method".to_owned())],
        },
    }
}

fn called(proof: Proof<'_>, settings: &IntrospectionSettings) -> (Call, String) {
    let url = Url::parse("https://idp.example/introspect?t=1").unwrap();
    let headers = Headers::from_pairs([("x-tenant", "t"), ("x-method", "GET")]);
    let shown = Shown {
        headers: &headers,
        query: b"device=d&tok=evil&client_id=evil",
        form: b"",
    };
    let extra = Extra::of(
        &settings.headers,
        &settings.arguments,
        Places::QueryAndForm,
        &shown,
    );
    let endpoint = FormEndpoint {
        url: &url,
        cluster: "idp".to_owned(),
        timeout_ms: 1000,
        proof,
        extra,
    };
    let call = call(&endpoint, settings, "t+1/=");
    let body = String::from_utf8(call.body.clone()).unwrap();
    (call, body)
}

fn header<'a>(call: &'a Call, name: &str) -> Vec<&'a str> {
    let found = call.headers.iter().filter(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_call_carries_the_token_the_hint_the_proof_and_what_is_added() {
    let secret = Secret::new("s&");
    let (call, body) = called(Proof::Post("me", &secret), &settings());
    assert_eq!(
        body,
        "tok=t%2B1%2F%3D&token_type_hint=access_token&realm=one&device=d&X-Method=GET&client_id=me&client_secret=s%26"
    );
    assert_eq!(
        (call.method, call.timeout, call.cluster.as_str()),
        ("POST", 1000, "idp")
    );
    assert_eq!(call.url.as_str(), "https://idp.example/introspect?t=1");
    assert_eq!(
        header(&call, "content-type"),
        ["application/x-www-form-urlencoded"]
    );
    assert_eq!(header(&call, "accept"), ["application/json"]);
    assert_eq!(
        (header(&call, "x-key"), header(&call, "x-tenant")),
        (vec!["k"], vec!["t"])
    );
    assert!(header(&call, "authorization").is_empty());
    let (call, body) = called(Proof::Basic("me", &secret), &settings());
    assert!(
        header(&call, "authorization")
            .concat()
            .starts_with("Basic ")
    );
    assert!(!body.contains("client_id"));
}

#[test]
fn the_answer_that_is_asked_for_is_named() {
    for accept in [
        IntrospectionAccept::Jwt,
        IntrospectionAccept::IntrospectionJwt,
    ] {
        let settings = IntrospectionSettings {
            accept,
            ..settings()
        };
        let (call, _) = called(Proof::Public("me"), &settings);
        assert_eq!(header(&call, "accept"), [accept.name()]);
    }
}

#[test]
fn with_none_a_fixed_token_authorizes_the_call() {
    let mut settings = settings();
    settings.headers.fixed = vec![("authorization".to_owned(), Secret::new("Bearer b"))];
    let (call, body) = called(Proof::Public("me"), &settings);
    assert_eq!(header(&call, "authorization"), ["Bearer b"]);
    assert!(body.ends_with("&client_id=me"));
}

fn answer(status: u16, kind: &str, body: &str) -> Answer {
    Answer {
        status,
        headers: Headers::from_pairs([("content-type", kind)]),
        body: body.into(),
    }
}

fn json_of(body: &str) -> Result<Introspected, Refusal> {
    judged(body, true)
}

fn judged(body: &str, check_active: bool) -> Result<Introspected, Refusal> {
    let answer = answer(200, "application/json", body);
    match read_answer(&answer, IntrospectionAccept::Json)? {
        IntrospectionAnswer::Claims(claims) => introspected(claims, check_active),
        IntrospectionAnswer::Jwt(_) => Err(Refusal::unexpected("jwt", "")),
    }
}

fn code<T: std::fmt::Debug>(read: Result<T, Refusal>) -> (&'static str, Kind) {
    let refusal = read.unwrap_err();
    (refusal.code, refusal.kind)
}

#[test]
fn a_token_that_is_active_has_claims_and_an_end() {
    let read = json_of(r#"{"active":true,"sub":"alex","exp":1700000000,"nbf":null}"#).unwrap();
    assert_eq!(
        read.claims,
        json!({"active": true, "sub": "alex", "exp": 1_700_000_000})
    );
    assert_eq!(read.exp, Some(Time::of_seconds(1_700_000_000)));
    let read = json_of(r#"{"active":true,"exp":"1700000000.5"}"#).unwrap();
    assert_eq!(read.exp, Some(Time(1_700_000_000_500)), "trap B8");
    assert_eq!(
        json_of(r#"{"active":true,"exp":null}"#).unwrap().exp,
        None,
        "trap B16"
    );
    for bad in [r#""soon""#, "-1", "[1]", "1e300", "true"] {
        let read = json_of(&format!(r#"{{"active":true,"exp":{bad}}}"#));
        assert_eq!(
            code(read),
            ("claim_malformed", Kind::BadCredential),
            "{bad}"
        );
    }
}

#[test]
fn t21_active_is_the_boolean_true_and_nothing_else() {
    let inactive = ("token_inactive", Kind::BadCredential);
    let unreadable = ("introspection_unreadable", Kind::Unexpected);
    for check in [true, false] {
        assert_eq!(
            code(judged(r#"{"active":false,"sub":"alex"}"#, check)),
            inactive
        );
        for bad in [r#""true""#, "1", "[]", "{}", r#""""#, "0"] {
            let read = judged(&format!(r#"{{"active":{bad}}}"#), check);
            assert_eq!(code(read), unreadable, "{bad}");
        }
        for twice in [
            r#"{"active":false,"active":true}"#,
            r#"{"active":true,"active":false}"#,
        ] {
            assert_eq!(code(judged(twice, check)), unreadable);
        }
    }
    for missing in [
        r#"{"sub":"alex"}"#,
        r#"{"active":null}"#,
        "{}",
        r#"{"Active":true}"#,
    ] {
        assert_eq!(code(judged(missing, true)), unreadable, "{missing}");
        assert!(judged(missing, false).is_ok(), "{missing}");
    }
}

#[test]
fn t21_the_status_comes_first() {
    let good = r#"{"active":true}"#;
    for status in [0, 100, 201, 204, 301, 302, 400, 404, 429, 500, 503] {
        let read = read_answer(
            &answer(status, "application/json", good),
            IntrospectionAccept::Json,
        );
        assert_eq!(
            code(read),
            ("introspection_failed", Kind::Unexpected),
            "{status}"
        );
    }
    for status in [401, 403] {
        let body = r#"{"error":"invalid_client\r\n\"x"}"#;
        let read = read_answer(
            &answer(status, "application/json", body),
            IntrospectionAccept::Json,
        );
        let refusal = read.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.kind),
            ("introspection_refused", Kind::Unexpected)
        );
        assert!(refusal.reason.contains("invalid_client") && !refusal.reason.contains('\n'));
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in [
        "",
        "true",
        "[]",
        "<html>",
        r#"{"active":true"#,
        r#"{"active":true} x"#,
    ] {
        assert_eq!(
            code(json_of(body)),
            ("introspection_unreadable", Kind::Unexpected),
            "{body}"
        );
    }
    let html = answer(200, "text/html", r#"{"active":true}"#);
    let read = read_answer(&html, IntrospectionAccept::Json);
    assert_eq!(code(read).0, "introspection_unreadable");
    for asked in [
        IntrospectionAccept::Jwt,
        IntrospectionAccept::IntrospectionJwt,
    ] {
        let plain = answer(200, "application/json", r#"{"active":true}"#);
        assert_eq!(
            code(read_answer(&plain, asked)).0,
            "introspection_unreadable",
            "the signature was taken off"
        );
    }
}

#[test]
fn a_jwt_is_handed_over_unverified() {
    for (kind, asked) in [
        (
            "application/token-introspection+jwt",
            IntrospectionAccept::IntrospectionJwt,
        ),
        ("application/jwt", IntrospectionAccept::Jwt),
        ("application/jwt", IntrospectionAccept::Json),
    ] {
        let read = read_answer(&answer(200, kind, "a.b.c"), asked).unwrap();
        assert_eq!(read, IntrospectionAnswer::Jwt(Secret::new("a.b.c")));
        assert!(!format!("{read:?}").contains("a.b.c"));
    }
}

fn in_jwt(typ: Option<&str>, claims: &Value) -> Result<Introspected, Refusal> {
    let header = match typ {
        Some(typ) => json!({"alg": "RS256", "typ": typ}),
        None => json!({"alg": "RS256"}),
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}.AA", part(&header), part(claims));
    let jws = Jws::parse(&text).unwrap();
    let rules = IntrospectionRules {
        issuers: Issuers {
            allowed: &[],
            expected: "https://idp.example",
            compare: true,
        },
        client_id: "me",
        check_active: true,
    };
    introspected_in_jwt(&jws, claims, &rules)
}

#[test]
fn a_signed_answer_is_of_its_type_from_its_issuer_and_for_us() {
    const TYP: Option<&str> = Some("token-introspection+jwt");
    let good = json!({
        "iss": "https://idp.example", "aud": "me", "iat": 1,
        "token_introspection": {"active": true, "sub": "alex", "exp": 9, "x": null},
    });
    let read = in_jwt(TYP, &good).unwrap();
    assert_eq!(
        read.claims,
        json!({"active": true, "sub": "alex", "exp": 9})
    );
    assert_eq!(read.exp, Some(Time::of_seconds(9)));
    assert!(in_jwt(Some("application/Token-Introspection+JWT"), &good).is_ok());
    for typ in [
        None,
        Some("JWT"),
        Some("at+jwt"),
        Some("logout+jwt"),
        Some(""),
    ] {
        assert_eq!(
            code(in_jwt(typ, &good)),
            ("introspection_unreadable", Kind::Unexpected),
            "{typ:?}"
        );
    }
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        in_jwt(TYP, &claims)
    };
    assert!(with("aud", json!(["other", "me"])).is_ok());
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(null)),
        ("iss", json!(["https://idp.example"])),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("iat", json!(null)),
        ("iat", json!("now")),
        ("token_introspection", json!(null)),
        ("token_introspection", json!([true])),
        ("token_introspection", json!({"sub": "alex"})),
        ("token_introspection", json!({"active": "true"})),
    ] {
        assert_eq!(
            code(with(name, value.clone())),
            ("introspection_unreadable", Kind::Unexpected),
            "{name} {value}"
        );
    }
    let inactive = with("token_introspection", json!({"active": false}));
    assert_eq!(code(inactive), ("token_inactive", Kind::BadCredential));
    // The claims of the token stand in the inner object alone.
    let mut outside = good.clone();
    outside["active"] = json!(true);
    outside["token_introspection"] = json!({});
    assert!(in_jwt(TYP, &outside).is_err());
}

#[test]
fn no_claim_and_no_token_is_printed() {
    let read = json_of(r#"{"active":true,"sub":"hunter2"}"#).unwrap();
    assert!(!format!("{read:?}").contains("hunter2"));
    let (call, _) = called(Proof::Post("me", &Secret::new("hunter2")), &settings());
    let url = Url::parse("https://idp.example/").unwrap();
    let endpoint = FormEndpoint {
        url: &url,
        cluster: String::new(),
        timeout_ms: 1,
        proof: Proof::Post("me", &Secret::new("hunter2")),
        extra: Extra::default(),
    };
    assert!(!format!("{endpoint:?}").contains("hunter2"));
    assert!(
        !call.url.as_str().contains("t%2B1"),
        "the token is in the body alone"
    );
}

proptest! {
    #[test]
    fn only_a_true_that_is_said_lets_anybody_in(status: u16, body in ".{0,40}|\\{\"active\":(true|false|1|null)\\}") {
        let read = read_answer(&answer(status, "application/json", &body), IntrospectionAccept::Json);
        let good = match read {
            Ok(IntrospectionAnswer::Claims(claims)) => introspected(claims, true).is_ok(),
            _ => false,
        };
        prop_assert_eq!(good, status == 200 && body == "{\"active\":true}");
    }
}
