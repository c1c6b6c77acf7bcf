//! The older guides, by the ids of their scenarios: at a real Keycloak, with a client that proves itself with its key.
//! One worker, so that every call to the provider is counted: discovery and keys are two.

use std::sync::Once;

use acceptance::clients::{private_key, register, with_key};
use acceptance::{Gateway, basic, merged, session_cookies, tampered, token_of};
use serde_json::{Value, json};
use support::browser::Browser;
use support::keycloak::{Keycloak, REALM, ROBOT};
use support::raw::Answer;
use support::upstream::Seen;

const CLIENT: &str = "guide";

/// The base of the guides, which are about a client `kong` with `client_auth: private_key_jwt`.
fn guide(members: Value) -> Gateway {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // Keycloak says nothing of tokens to a client that is not in their audience.
        let audience = json!({
            "name": "own-audience", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {
                "included.client.audience": CLIENT, "access.token.claim": "true",
                "introspection.token.claim": "true",
            },
        });
        let members = json!({
            "attributes": with_key(), "directAccessGrantsEnabled": true, "protocolMappers": [audience],
        });
        register(CLIENT, "client-jwt", &members);
    });
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [CLIENT],
        "client_auth": ["private_key_jwt"],
        "client_jwk": [private_key()],
        "session_secret": "a secret of these tests, 32 byte",
        "clusters": {"*": "provider"},
        "upstream_headers": [
            {"header": "x-user", "path": ["preferred_username"]},
            {"header": "x-client", "path": ["azp"]},
        ],
    });
    Gateway::of(merged(config, members), keycloak.address(), |options| {
        options.concurrency = 1;
    })
}

/// Calls that Keycloak has got from this gateway.
fn calls(gateway: &Gateway) -> u64 {
    let stat = gateway.envoy.stat("cluster.provider.upstream_rq_total");
    stat.unwrap_or(0)
}

fn with_basic(gateway: &Gateway, name: &str, secret: &str) -> Answer {
    gateway.get("/", &[("authorization", &basic(name, secret))])
}

/// alex gets in by one grant, and with a wrong password not at all.
fn alex_gets_in(gateway: &Gateway) -> Seen {
    let seen = gateway.forwarded(&with_basic(gateway, "alex", "doe"));
    assert_eq!(seen.header("x-client").as_deref(), Some(CLIENT));
    assert_eq!(calls(gateway), 3, "discovery, keys, and one grant");
    gateway.answered(&with_basic(gateway, "alex", "wrong"), 401);
    assert_eq!(calls(gateway), 4);
    seen
}

#[test]
fn oh_02_a_password_becomes_a_bearer_token() {
    let members = json!({"auth_methods": ["password"], "password_param_type": ["header"]});
    let gateway = guide(members);
    let first = token_of(&alex_gets_in(&gateway));
    let seen = gateway.forwarded(&with_basic(&gateway, "alex", "doe"));
    assert_eq!(token_of(&seen), first);
    assert_eq!(calls(&gateway), 4, "what is known is not asked again");
}

#[test]
fn oh_03_a_service_gets_in_with_its_own_client() {
    let members = json!({
        "auth_methods": ["client_credentials"], "client_credentials_param_type": ["header"],
    });
    let gateway = guide(members);
    for _ in 0..3 {
        let answer = with_basic(&gateway, ROBOT.0, ROBOT.1);
        let seen = gateway.forwarded_as(&answer, "service-account-robot");
        assert_eq!(seen.header("x-client").as_deref(), Some(ROBOT.0));
        let _ = token_of(&seen);
    }
    assert_eq!(calls(&gateway), 3);
    gateway.answered(&with_basic(&gateway, ROBOT.0, "wrong"), 401);
    // A person is no client.
    gateway.answered(&with_basic(&gateway, "alex", "doe"), 401);
}

#[test]
fn oh_04_the_refresh_token_from_the_upstream_gets_in_again() {
    let members = json!({
        "auth_methods": ["refresh_token", "password"],
        "refresh_token_param_type": ["header"],
        "refresh_token_param_name": "refresh_token",
        "upstream_refresh_token_header": "refresh_token",
    });
    let gateway = guide(members);
    let seen = alex_gets_in(&gateway);
    let refresh_token = seen.header("refresh-token").expect("a refresh token");
    let show = |token: &str| gateway.get("/", &[("refresh-token", token)]);
    let second = gateway.forwarded(&show(&refresh_token));
    assert_ne!(token_of(&second), token_of(&seen));
    assert!(second.header("refresh-token").is_some());
    assert_eq!(calls(&gateway), 5);
    gateway.answered(&show(&tampered(&refresh_token)), 401);
}

#[test]
fn oh_05_the_token_of_a_password_gets_in_as_bearer() {
    let members = json!({
        "auth_methods": ["bearer", "password"], "bearer_token_param_type": ["header"],
    });
    let gateway = guide(members);
    let token = token_of(&alex_gets_in(&gateway));
    assert_eq!(token_of(&gateway.admits(&token)), token);
    gateway.refuses(&tampered(&token));
    assert_eq!(calls(&gateway), 4, "nobody is asked about a JWT");
}

#[test]
fn oh_06_the_token_of_a_password_is_asked_about() {
    for (method, counter) in [
        ("introspection", "introspection.asked"),
        ("userinfo", "userinfo.asked"),
    ] {
        let gateway = guide(json!({"auth_methods": [method, "password"]}));
        let token = token_of(&alex_gets_in(&gateway));
        for _ in 0..3 {
            gateway.admits(&token);
        }
        assert_eq!(calls(&gateway), 5, "{method}: once");
        gateway.refuses(&tampered(&token));
        assert_eq!(calls(&gateway), 6);
        assert_eq!(gateway.counter(counter), 2);
    }
}

#[test]
fn oh_08_a_password_opens_a_session() {
    let gateway = guide(json!({"auth_methods": ["session", "password"]}));
    let answer = with_basic(&gateway, "alex", "doe");
    let token = token_of(&gateway.forwarded(&answer));
    let lines = answer.all("set-cookie");
    let own: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("session="))
        .collect();
    assert_eq!(own.len(), 1, "{lines:?}");
    for part in ["; Path=/", "; SameSite=Lax", "; HttpOnly"] {
        assert!(own[0].contains(part), "{part}: {lines:?}");
    }
    let mut browser = Browser::new();
    let url = gateway.url("/").parse().expect("an address");
    browser.keep(&url, &answer);
    assert_eq!(token_of(&gateway.shows(&mut browser, "/")), token);
    assert_eq!(calls(&gateway), 3, "discovery, keys, and one grant");
    browser.cookies.clear();
    let page = browser.get(&gateway.url("/"));
    gateway.answered(&page.answer, 401);
}

/// An answer of the token endpoint, and of nobody else.
fn is_tokens(gateway: &Gateway, answer: &Answer) {
    gateway.answered(answer, 200);
    let tokens = answer.json();
    for name in ["access_token", "refresh_token", "id_token", "token_type"] {
        assert!(tokens[name].is_string(), "{name}: {tokens}");
    }
    assert!(tokens["expires_in"].is_u64(), "{tokens}");
    gateway.admits(tokens["access_token"].as_str().expect("a token"));
}

#[test]
fn oh_19_a_login_is_answered_with_its_tokens() {
    let members = json!({
        "auth_methods": ["authorization_code", "bearer", "client_credentials", "password", "session"],
        "login_action": "response",
        "login_tokens": ["tokens"],
        "login_methods": [
            "authorization_code", "bearer", "client_credentials", "introspection", "password",
            "refresh_token", "session", "userinfo",
        ],
    });
    let gateway = guide(members);
    is_tokens(&gateway, &with_basic(&gateway, "alex", "doe"));
    gateway.answered(&with_basic(&gateway, "alex", "wrong"), 401);
    let mut browser = Browser::new();
    is_tokens(&gateway, &browser.log_in(&gateway.url("/")).answer);
}

#[test]
fn oh_20_whoever_shows_nothing_is_sent_to_keycloak() {
    let gateway = guide(json!({}));
    let page = Browser::new().get(&gateway.url("/"));
    gateway.asks_to_log_in(&page);
    let place = page.location().expect("a place");
    let endpoint = Keycloak::shared().endpoint(REALM, "auth");
    assert!(place.as_str().starts_with(&endpoint), "{place}");
    let wrong = with_basic(&gateway, "alex", "wrong");
    gateway.answered(&wrong, 401);
    assert!(session_cookies(&wrong).is_empty());
    gateway.forwarded(&with_basic(&gateway, "alex", "doe"));
}
