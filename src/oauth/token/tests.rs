//! The calls and the answers.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;
use crate::config::{ExtraArguments, ExtraHeaders};
use crate::oauth::client_auth::Proof;
use crate::oauth::extra::{Extra, Places, Shown};
use proptest::prelude::*;
use serde_json::json;
use url::Url;

fn answer(status: u16, kind: Option<&str>, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: Headers::from_pairs(kind.map(|kind| ("content-type", kind))),
        body: body.into(),
    }
}

fn read(body: &Value) -> Result<TokenAnswer, TokenError> {
    read_answer(&answer(200, Some("application/json"), body.to_string()))
}

fn call_of(
    proof: fn(&Secret) -> Proof<'_>,
    make: impl Fn(&FormEndpoint<'_>) -> Call,
) -> (Call, String) {
    let (url, secret) = (
        Url::parse("https://idp.example/token?t=1").unwrap(),
        Secret::new("s&"),
    );
    let call = make(&FormEndpoint {
        url: &url,
        cluster: "idp".to_owned(),
        timeout_ms: 1000,
        proof: proof(&secret),
        extra: Extra::default(),
    });
    let body = String::from_utf8(call.body.clone()).unwrap();
    (call, body)
}

#[test]
fn a_code_is_redeemed_with_all_that_binds_it() {
    let scopes = ["openid".to_owned()];
    let (call, body) = call_of(
        |secret| Proof::Basic("me", secret),
        |endpoint| {
            let grant = CodeGrant {
                code: "c/d",
                redirect_uri: "https://app.example/cb",
                verifier: Some("v"),
                scopes: &scopes,
                audience: &[],
            };
            code_grant(endpoint, &grant)
        },
    );
    assert_eq!(
        body,
        "grant_type=authorization_code&code=c%2Fd\
         &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_verifier=v&scope=openid"
    );
    assert_eq!((call.method, call.timeout), ("POST", 1000));
    assert_eq!(
        (call.url.as_str(), call.cluster.as_str()),
        ("https://idp.example/token?t=1", "idp")
    );
    let header = |name: &str| {
        let found = call.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(
        header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header("accept"), Some("application/json"));
    assert!(header("authorization").unwrap().starts_with("Basic "));
}

#[test]
fn a_refresh_sends_no_redirect_uri() {
    let (_, body) = call_of(
        |secret| Proof::Post("me", secret),
        |endpoint| refresh_grant(endpoint, "r t", &[], &[]),
    );
    assert_eq!(
        body, "grant_type=refresh_token&refresh_token=r+t&client_id=me&client_secret=s%26",
        "trap B5"
    );
}

#[test]
fn a_password_is_exchanged_by_our_client() {
    let password = Secret::new("p&w\u{e9}");
    let (scopes, audience) = (["openid".to_owned()], ["api".to_owned()]);
    let (call, body) = call_of(
        |secret| Proof::Post("me", secret),
        |endpoint| {
            let grant = PasswordGrant {
                username: "alex doe",
                password: &password,
                scopes: &scopes,
                audience: &audience,
            };
            password_grant(endpoint, &grant)
        },
    );
    assert_eq!(
        body,
        "grant_type=password&username=alex+doe&password=p%26w%C3%A9&scope=openid&audience=api\
         &client_id=me&client_secret=s%26"
    );
    assert_eq!(call.method, "POST");
    assert!(!call.url.as_str().contains("alex"));
}

#[test]
fn client_credentials_are_the_callers() {
    for (proof, expected) in [
        (
            (|secret| Proof::Post("them", secret)) as fn(&Secret) -> Proof<'_>,
            "grant_type=client_credentials&scope=a&client_id=them&client_secret=s%26",
        ),
        (
            |secret| Proof::Basic("them", secret),
            "grant_type=client_credentials&scope=a",
        ),
        (
            |_| Proof::Assertion(Secret::new("x.y.z")),
            "grant_type=client_credentials&scope=a\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=x.y.z",
        ),
    ] {
        let scopes = ["a".to_owned()];
        let (_, body) = call_of(proof, |endpoint| {
            client_credentials_grant(endpoint, &scopes, &[])
        });
        assert_eq!(body, expected);
    }
}

#[test]
fn an_assertion_of_the_caller_is_a_grant() {
    let assertion = Secret::new("x.y.z");
    let audience = ["api".to_owned()];
    let (call, body) = call_of(
        |_| Proof::Nobody,
        |endpoint| assertion_grant(endpoint, &assertion, &[], &audience),
    );
    assert_eq!(
        body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=x.y.z&audience=api"
    );
    assert!(!call.headers.iter().any(|(name, _)| name == "authorization"));
}

#[test]
fn what_the_configuration_adds_is_in_every_grant() {
    let fixed = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
    let arguments = ExtraArguments {
        fixed: fixed("scope", "other"),
        from_client: vec!["otp".to_owned()],
        from_headers: Vec::new(),
    };
    let headers = ExtraHeaders {
        fixed: fixed("user-agent", "mine"),
        from_client: Vec::new(),
    };
    let nothing = Headers::default();
    let shown = Shown {
        headers: &nothing,
        query: b"otp=1&client_secret=evil",
        form: b"",
    };
    let extra = Extra::of(&headers, &arguments, Places::All, &shown);
    let scopes = ["openid".to_owned()];
    let (url, secret) = (
        Url::parse("https://idp.example/token").unwrap(),
        Secret::new("s"),
    );
    let endpoint = FormEndpoint {
        url: &url,
        cluster: String::new(),
        timeout_ms: 1,
        proof: Proof::Post("me", &secret),
        extra,
    };
    let call = client_credentials_grant(&endpoint, &scopes, &[]);
    assert_eq!(
        String::from_utf8(call.body).unwrap(),
        "grant_type=client_credentials&scope=other&otp=1&client_id=me&client_secret=s",
        "each name once"
    );
    let agents: Vec<&str> = call
        .headers
        .iter()
        .filter(|(name, _)| name == "user-agent")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(agents, ["mine"]);
}

#[test]
fn what_is_wrong_with_the_callers_credentials_is_a_401() {
    use crate::failure::Kind;
    let refused = |status: u16, body: Value| {
        let error =
            read_answer(&answer(status, Some("application/json"), body.to_string())).unwrap_err();
        (error.of_caller(), Refusal::from(&error))
    };
    for (status, error) in [
        (401, "invalid_client"),
        (400, "invalid_client"),
        (400, "unauthorized_client"),
    ] {
        let (caller, ours) = refused(status, json!({"error": error}));
        assert_eq!(
            (caller.code, caller.kind),
            ("client_refused", Kind::BadCredential)
        );
        assert_eq!(
            (ours.code, ours.kind),
            ("token_endpoint_refused", Kind::Unexpected)
        );
    }
    let (caller, ours) = refused(401, json!({}));
    assert_eq!(
        (caller.code, caller.kind),
        ("client_refused", Kind::BadCredential)
    );
    assert_eq!(ours.kind, Kind::Unexpected);
    let (caller, ours) = refused(400, json!({"error": "invalid_grant"}));
    assert_eq!((&caller, caller.code), (&ours, "grant_refused"));
    for (status, body) in [
        (400, json!({"error": "invalid_scope"})),
        (500, json!({})),
        (200, json!({})),
    ] {
        let (caller, ours) = refused(status, body);
        assert_eq!((&caller, caller.kind), (&ours, Kind::Unexpected));
    }
}

#[test]
fn headers_are_replayed_for_their_grants() {
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let replay = Replay {
        headers: vec![pair("x-limit", "idp-x-limit"), pair("date", "idp-date")],
        grants: vec![Grant::Password],
    };
    let long = "x".repeat(5000);
    let headers = Headers::from_pairs([
        ("x-limit", "1"),
        ("X-Limit", "2\r\nset-cookie: a"),
        ("x-limit", long.as_str()),
        ("set-cookie", "b"),
    ]);
    let sent = replayed(&replay, Grant::Password, &headers);
    let expected = [("idp-x-limit", "1"), ("idp-x-limit", "2set-cookie: a")];
    assert_eq!(
        sent,
        expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    );
    assert!(replayed(&replay, Grant::RefreshToken, &headers).is_empty());
    let many = Headers::from_pairs([("date", "1"); 100]);
    assert_eq!(replayed(&replay, Grant::Password, &many).len(), 32);
}

#[test]
fn reads_all_members() {
    let read = read(&json!({
        "access_token": "a", "token_type": "bEARER", "expires_in": 300, "refresh_token": "r",
        "id_token": "i", "scope": "openid email", "more": [1],
    }))
    .unwrap();
    assert_eq!(read.access_token.expose(), "a");
    assert_eq!(read.refresh_token.unwrap().expose(), "r");
    assert_eq!(read.id_token.unwrap().expose(), "i");
    assert_eq!(
        (read.expires_in, read.scope.as_deref()),
        (Some(300), Some("openid email"))
    );
    assert_eq!(read.token_type, "bEARER");
    assert_eq!(read.whole.get("more"), Some(&json!([1])));
}

#[test]
fn reads_the_least() {
    let read = read(&json!({
        "access_token": "a", "refresh_token": null, "id_token": "", "scope": ["a", "b"],
    }))
    .unwrap();
    assert_eq!(
        (read.expires_in, read.refresh_token, read.id_token),
        (None, None, None)
    );
    assert_eq!(
        (read.token_type.as_str(), read.scope.as_deref()),
        ("Bearer", Some("a b"))
    );
}

#[test]
fn lifetimes_come_in_many_shapes() {
    let lifetime = |value: Value| {
        read(&json!({ "access_token": "a", "expires_in": value })).map(|answer| answer.expires_in)
    };
    for (value, seconds) in [
        (json!("300"), 300),
        (json!(3600.0), 3600),
        (json!("59.9"), 59),
        (json!(0), 0),
        (json!(-5), 0),
        (json!(1e300), MAX_EXPIRES_IN),
    ] {
        assert_eq!(lifetime(value), Ok(Some(seconds)));
    }
    assert_eq!(lifetime(json!(null)), Ok(None));
    for bad in [
        json!("soon"),
        json!("NaN"),
        json!("inf"),
        json!([]),
        json!(true),
    ] {
        assert!(matches!(lifetime(bad), Err(TokenError::Unreadable(_))));
    }
}

#[test]
fn errors_are_told_apart() {
    let says = |status, body: Value| {
        read_answer(&answer(
            status,
            Some("application/json;charset=UTF-8"),
            body.to_string(),
        ))
        .unwrap_err()
    };
    let invalid = json!({ "error": "invalid_grant", "error_description": "Code\r\n\"used\"" });
    for status in [200, 400, 401] {
        assert_eq!(
            says(status, invalid.clone()),
            TokenError::InvalidGrant("Code???used?".to_owned())
        );
    }
    assert_eq!(
        says(401, json!({ "error": "invalid_client" })),
        TokenError::Refused("invalid_client".to_owned(), "(no description)".to_owned())
    );
    assert_eq!(says(503, invalid), TokenError::Status(503));
    assert_eq!(says(400, json!({ "error": 5 })), TokenError::Status(400));
    let kind = |error: &TokenError| Refusal::from(error).code;
    assert_eq!(
        kind(&TokenError::InvalidGrant(String::new())),
        "grant_refused"
    );
    assert_eq!(kind(&TokenError::Status(500)), "token_endpoint_failed");
}

#[test]
fn the_status_is_looked_at_first() {
    let tokens = json!({ "access_token": "a", "token_type": "Bearer" }).to_string();
    for status in [201, 204, 302, 400, 500] {
        let read = read_answer(&answer(status, None, tokens.clone()));
        assert_eq!(read, Err(TokenError::Status(status)));
    }
    assert!(read_answer(&answer(200, None, tokens.clone())).is_ok());
    assert!(read_answer(&answer(200, Some("application/x+json"), tokens.clone())).is_ok());
    let page = read_answer(&answer(200, Some("text/html"), tokens));
    assert!(matches!(page, Err(TokenError::Unreadable(_))));
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in [
        json!([]),
        json!({}),
        json!({ "access_token": "" }),
        json!({ "access_token": 5 }),
        json!({ "access_token": "a b" }),
        json!({ "access_token": "a\r\nx: y" }),
        json!({ "access_token": "a", "token_type": "DPoP" }),
        json!({ "access_token": "a", "token_type": 1 }),
        json!({ "access_token": "a", "id_token": {} }),
    ] {
        assert!(
            matches!(read(&body), Err(TokenError::Unreadable(_))),
            "{body}"
        );
    }
    for text in [
        "",
        "access_token=a",
        r#"{"access_token":"a","access_token":"b"}"#,
    ] {
        let read = read_answer(&answer(200, None, text));
        assert!(matches!(read, Err(TokenError::Unreadable(_))), "{text}");
    }
}

#[test]
fn a_megabyte_is_not_read() {
    let body = json!({ "access_token": "a".repeat(1 << 20), "token_type": "Bearer" });
    assert_eq!(
        read(&body),
        Err(TokenError::Unreadable("is longer than 256 KiB"))
    );
}

#[test]
fn no_token_is_printed() {
    let read = read(&json!({
        "access_token": "hunter2", "refresh_token": "hunter2", "id_token": "hunter2", "x": "hunter2",
    }));
    assert!(!format!("{read:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn any_answer_can_be_read(status in 0_u16..600, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_answer(&answer(status, None, bytes));
    }
}
