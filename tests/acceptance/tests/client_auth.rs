//! How a client proves itself at a real Keycloak, by the ids of the scenarios.

use acceptance::Gateway;
use acceptance::clients::{private_key, register, with_key};
use serde_json::{Value, json};
use support::browser::Browser;
use support::keycloak::{Keycloak, REALM};

/// The configuration of the older guide's base (`client_auth: private_key_jwt`), with this client.
fn gateway(id: &str, members: Value) -> Gateway {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [id],
        "auth_methods": ["authorization_code", "session"],
        "response_mode": "form_post",
        "preserve_query_args": true,
        "login_action": "redirect",
        "login_tokens": null,
        "session_secret": "a secret of these tests, 32 byte",
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    let config = acceptance::merged(config, members);
    Gateway::of(config, keycloak.address(), |_| {})
}

/// Another key, under the same name: that of RFC 6979 appendix A.2.5.
fn other_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "mine",
        "d": "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE",
        "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
        "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk",
    })
}

#[test]
fn oh_01_a_client_proves_itself_with_its_key() {
    register("with-key", "client-jwt", &json!({"attributes": with_key()}));
    let auth = json!(["private_key_jwt"]);
    let good = gateway(
        "with-key",
        json!({"client_auth": auth, "client_jwk": [private_key()]}),
    );
    let mut browser = Browser::new();
    let seen = good.enter(&mut browser, "/anything?hello=world");
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/anything?hello=world")
    );
    let authorization = seen.header("authorization").expect("a token");
    assert!(authorization.starts_with("Bearer ey"), "{authorization}");
    let stranger = Browser::new().get(&good.url("/anything?hello=world"));
    good.asks_to_log_in(&stranger);

    // The nearest twin: another key under the same name.
    let bad = gateway(
        "with-key",
        json!({"client_auth": auth, "client_jwk": [other_key()]}),
    );
    ends_badly(&bad);
}

#[test]
fn a_client_proves_itself_with_an_assertion_under_its_secret() {
    let secret = "a secret of more than thirty-two bytes";
    register(
        "with-secret",
        "client-secret-jwt",
        &json!({"secret": secret}),
    );
    let auth = json!(["client_secret_jwt"]);
    let good = gateway(
        "with-secret",
        json!({"client_auth": auth, "client_secret": [secret]}),
    );
    good.enter(&mut Browser::new(), "/anything?hello=world");
    let other = "another secret of more than thirty-two bytes";
    let bad = gateway(
        "with-secret",
        json!({"client_auth": auth, "client_secret": [other]}),
    );
    ends_badly(&bad);
}

/// Alex logs in at Keycloak, but the code is not redeemed.
#[track_caller]
fn ends_badly(gateway: &Gateway) {
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/anything"));
    let place = page.location().expect("a redirect to the provider");
    let form = browser.get(place.as_str());
    let posting = browser.answer_form(&form);
    let done = browser.submit(&posting, &[]);
    gateway.answered(&done.answer, 500);
    assert!(acceptance::session_cookies(&done.answer).is_empty());
    assert!(
        gateway.filter_log().contains("token_endpoint_refused"),
        "{}",
        gateway.filter_log()
    );
}
