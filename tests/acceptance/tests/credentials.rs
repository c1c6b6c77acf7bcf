//! Where a credential is looked for, and what is none, by the ids of the scenarios.

use acceptance::{Gateway, bearer, tampered};
use serde_json::json;
use support::issuer::{claims, encrypted};
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM};
use support::provider::{self, Access, Habits, INTROSPECT, PASSWORD, Provider};

#[test]
fn ex_19_the_example_jwt_access_token() {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [CLIENT],
        "client_secret": [CLIENT_SECRET],
        "auth_methods": ["bearer"],
        "bearer_token_param_type": ["query"],
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    let gateway = Gateway::of(config, keycloak.address(), |_| {});
    let token = keycloak.password_token("alex", "doe");
    let show = |token: &str| gateway.get(&format!("/anything?access_token={token}"), &[]);
    let seen = gateway.forwarded(&show(&token));
    assert_eq!(seen.target, "/anything");
    assert_eq!(seen.header("authorization"), Some(bearer(&token)));
    gateway.answered(&show(&tampered(&token)), 401);
    gateway.refuses(&token);
    gateway.answered(&gateway.get("/anything", &[]), 401);
}

#[test]
fn dx_06_a_preflight_needs_a_credential_unless_it_may_pass() {
    let provider = Provider::start();
    let preflight: [(&str, &[u8]); 3] = [
        ("origin", b"https://app.test"),
        ("access-control-request-method", b"GET"),
        ("x-user", b"root"),
    ];
    let on = Gateway::before(&provider, json!({}));
    on.answered(&on.send("OPTIONS", &preflight), 401);
    let token = bearer(&provider.token());
    let with_token = [
        preflight[0],
        preflight[1],
        ("authorization", token.as_bytes()),
    ];
    assert_eq!(
        on.forwarded(&on.send("OPTIONS", &with_token)).method,
        "OPTIONS"
    );

    let off = Gateway::before(&provider, json!({"run_on_preflight": false}));
    let answer = off.send("OPTIONS", &preflight);
    assert_eq!(answer.status, 200);
    let seen = off.upstream.take_one();
    assert_eq!(seen.method, "OPTIONS");
    assert_eq!(seen.header("x-user"), None, "nobody vouches for that");
    // Only a preflight passes: neither another OPTIONS, nor another method that looks like one.
    off.answered(&off.send("OPTIONS", &[]), 401);
    off.answered(&off.send("OPTIONS", &preflight[..1]), 401);
    off.answered(&off.send("GET", &preflight), 401);
}

#[test]
fn dx_07_a_header_of_a_bearer_tokens_own_is_the_only_one() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"bearer_token_header_name": "X-Tok"}));
    let token = provider.token();
    for value in [token.clone(), bearer(&token)] {
        gateway.forwarded(&gateway.get("/hello", &[("x-tok", &value)]));
        for name in ["authorization", "access-token", "x-access-token"] {
            gateway.answered(&gateway.get("/hello", &[(name, &value)]), 401);
        }
    }
    let twin = tampered(&token);
    gateway.answered(&gateway.get("/hello", &[("x-tok", &twin)]), 401);
}

#[test]
fn dx_08_a_body_with_a_token_that_is_no_text_has_none() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"bearer_token_param_type": ["body"]}));
    let post = |body: &str| gateway.post("/hello", "application/json", &[], body);
    for body in [
        r#"{"access_token": null}"#,
        r#"{"access_token": 1}"#,
        r#"{"access_token": true}"#,
        r#"{"access_token": ["a"]}"#,
        r#"{"access_token": {"a": null}}"#,
        r#"{"access_token": ""}"#,
        "null",
        "[null]",
        "{",
        "",
    ] {
        gateway.answered(&post(body), 401);
    }
    let token = json!({"access_token": provider.token()}).to_string();
    gateway.forwarded(&post(&token));
}

#[test]
fn dx_15b_an_encrypted_token_is_introspected() {
    let provider = Provider::start_with(Habits {
        access: Access::Encrypted,
        ..Habits::default()
    });
    let given = provider.ask_for_tokens(&[
        ("grant_type", "password"),
        ("client_id", provider::CLIENT.0),
        ("client_secret", provider::CLIENT.1),
        ("username", PASSWORD.0),
        ("password", PASSWORD.1),
    ]);
    let token = given["access_token"].as_str().expect("a token");
    assert_eq!(token.matches('.').count(), 4, "{token}");
    let members = |methods: &[&str]| {
        json!({
            "client_id": [provider::CLIENT.0],
            "client_secret": [provider::CLIENT.1],
            "auth_methods": methods,
        })
    };
    let gateway = Gateway::before(&provider, members(&["bearer", "introspection"]));
    assert_eq!(
        gateway.admits(token).header("authorization"),
        Some(bearer(token))
    );
    assert_eq!(provider.calls(INTROSPECT), 1);
    // One that the provider has not given.
    gateway.refuses(&encrypted(&claims(&provider.issuer())));
    assert_eq!(provider.calls(INTROSPECT), 2);
    // Who cannot ask refuses it.
    let bearer_only = Gateway::before(&provider, members(&["bearer"]));
    bearer_only.refuses(token);
    assert_eq!(provider.calls(INTROSPECT), 2);
}
