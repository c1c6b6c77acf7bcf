//! The plain provider, where a real Keycloak cannot show it: signed answers, and the calls of each endpoint.

use acceptance::{Gateway, basic, merged, tampered};
use serde_json::{Value, json};
use support::issuer::{SigningKey, jwks};
use support::provider::{CLIENT, DISCOVERY, INTROSPECT, JWKS, PASSWORD, Provider, TOKEN, USERINFO};

use super::{access_token, gateway, says, token_of, tokens_of_alex};

/// Calls of discovery, keys, token endpoint, introspection and userinfo.
fn calls(provider: &Provider) -> [usize; 5] {
    [DISCOVERY, JWKS, TOKEN, INTROSPECT, USERINFO].map(|endpoint| provider.calls(endpoint))
}

/// What a signed answer says counts; one that another key signed does not, and is nobody's fault who shows a token.
fn signed_answers_are_verified(members: Value, expected: [usize; 5]) {
    let provider = Provider::start();
    let answer = tokens_of_alex(&provider, CLIENT.1, &[]);
    let token = access_token(&answer);
    let good = gateway(&provider, members.clone());
    for _ in 0..3 {
        good.admits(token);
    }
    assert_eq!(calls(&provider), expected);
    good.refuses(&tampered(token));
    provider.set_keys(jwks([SigningKey::second()]));
    let doubting = gateway(&provider, members);
    doubting.answered(&doubting.get_with_token(token), 500);
    says(&doubting, "answer_not_verified");
}

#[test]
fn a_signed_introspection_is_verified() {
    let members = json!({
        "auth_methods": ["introspection"],
        "introspection_accept": "application/token-introspection+jwt",
    });
    signed_answers_are_verified(members, [1, 1, 1, 1, 0]);
}

#[test]
fn signed_userinfo_is_verified() {
    let members = json!({"auth_methods": ["userinfo"], "userinfo_accept": "application/jwt"});
    signed_answers_are_verified(members, [1, 1, 1, 0, 1]);
}

fn with_basic(gateway: &Gateway, secret: &str) -> support::raw::Answer {
    let pair = basic(PASSWORD.0, secret);
    gateway.get("/page", &[("authorization", &pair)])
}

#[test]
fn a_password_and_its_refresh_token_cost_one_call_each() {
    let provider = Provider::start();
    let base = json!({
        "auth_methods": ["refresh_token", "password"],
        "refresh_token_param_name": "refresh_token",
        "upstream_refresh_token_header": "refresh_token",
        "login_action": "upstream",
    });
    for method in ["client_secret_basic", "client_secret_post"] {
        let before = provider.calls(TOKEN);
        let auth = json!({"client_auth": [method]});
        let gateway = gateway(&provider, merged(base.clone(), auth));
        let mut seen = None;
        for _ in 0..3 {
            seen = Some(gateway.forwarded(&with_basic(&gateway, PASSWORD.1)));
        }
        let seen = seen.expect("a request");
        assert_eq!(provider.calls(TOKEN), before + 1, "{method}");
        let refresh_token = seen.header("refresh-token").expect("a refresh token");
        let show = |token: &str| gateway.get("/page", &[("refresh-token", token)]);
        for _ in 0..3 {
            let next = gateway.forwarded(&show(&refresh_token));
            assert_ne!(token_of(&next), token_of(&seen));
        }
        // It is rotated: a second grant would have failed.
        assert_eq!(provider.calls(TOKEN), before + 2, "{method}");
        gateway.answered(&with_basic(&gateway, "wrong"), 401);
        gateway.answered(&show("another"), 401);
        let form = provider.token_forms().pop().expect("a form");
        assert_eq!(
            form.contains_key("client_secret"),
            method == "client_secret_post"
        );
    }
}
