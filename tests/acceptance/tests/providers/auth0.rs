//! Auth0.

use acceptance::{Gateway, basic, merged, tampered};
use serde_json::{Value, json};
use support::provider::{CLIENT, JWKS, Provider, ROBOT, TOKEN, USERINFO};
use support::quirks::AUTH0;
use support::raw;

use super::{access_token, api, enters, gateway, says, token_of, tokens_of_alex};

const API: &str = "https://api.test/orders";

#[test]
fn auth0_trailing_slash() {
    let provider = AUTH0.start();
    assert!(provider.issuer().ends_with('/'));
    let answer = tokens_of_alex(&provider, CLIENT.1, &[("audience", API)]);
    let token = access_token(&answer);
    for issuer in [provider.issuer(), provider.host()] {
        let gateway = api(
            &provider,
            json!({"issuer": issuer, "verify_issuer": "strict"}),
        );
        gateway.admits(token);
        gateway.refuses(&tampered(token));
    }
    api(&provider, json!({"issuers_allowed": [provider.host()]})).admits(token);
    let other = json!({"issuers_allowed": [format!("{}/other", provider.host())]});
    api(&provider, other).refuses(token);
    enters(&gateway(&provider, json!({})));
}

/// The example: a client's own credentials for an API.
fn example(provider: &Provider, members: Value) -> Gateway {
    let base = json!({
        "auth_methods": ["client_credentials"], "audience": [API], "scopes": null,
        "upstream_headers": [{"header": "x-user", "path": ["sub"]}, {"header": "x-for", "path": ["aud"]}],
    });
    gateway(provider, merged(base, members))
}

fn show(gateway: &Gateway, secret: &str) -> raw::Answer {
    gateway.get("/orders", &[("authorization", &basic(ROBOT.0, secret))])
}

#[test]
fn auth0_audience_makes_a_jwt() {
    let provider = AUTH0.start();
    let good = example(&provider, json!({}));
    let seen = good.forwarded_as(&show(&good, ROBOT.1), ROBOT.0);
    assert_eq!(seen.header("x-for").as_deref(), Some(API));
    let without = example(&provider, json!({"audience": null}));
    without.answered(&show(&without, ROBOT.1), 500);
    says(&without, "access_denied");
    // And in a login.
    let seen = enters(&gateway(&provider, json!({"audience": [API]})));
    assert_eq!(token_of(&seen).matches('.').count(), 2);
}

#[test]
fn ex_03_the_audience_reaches_the_token_endpoint_of_auth0() {
    let provider = AUTH0.start();
    let gateway = example(&provider, json!({}));
    for _ in 0..2 {
        let seen = gateway.forwarded_as(&show(&gateway, ROBOT.1), ROBOT.0);
        assert_eq!(seen.header("x-for").as_deref(), Some(API));
    }
    assert_eq!((provider.calls(TOKEN), provider.calls(JWKS)), (1, 1));
    assert_eq!(provider.token_forms()[0]["audience"], API);
    gateway.answered(&show(&gateway, "wrong"), 401);

    let pair = |secret: &str| {
        let secret = secret.replace(' ', "+");
        format!("client_id={}&client_secret={secret}", ROBOT.0)
    };
    let in_query = |secret: &str| gateway.get(&format!("/orders?{}", pair(secret)), &[]);
    let seen = gateway.forwarded_as(&in_query(ROBOT.1), ROBOT.0);
    assert_eq!(seen.target, "/orders", "the credential stays here");
    gateway.answered(&in_query("wrong"), 401);

    let form = "application/x-www-form-urlencoded";
    let in_body = |secret: &str| gateway.post("/orders", form, &[], &pair(secret));
    gateway.forwarded_as(&in_body(ROBOT.1), ROBOT.0);
    gateway.answered(&in_body("wrong"), 401);
}

#[test]
fn auth0_encrypted_without_audience() {
    let provider = AUTH0.start();
    let token = token_of(&enters(&gateway(&provider, json!({}))));
    assert_eq!(token.matches('.').count(), 4, "a JWE");
    let asking = gateway(&provider, json!({"auth_methods": ["userinfo"]}));
    asking.admits(&token);
    assert_eq!(provider.calls(USERINFO), 1);
    api(&provider, json!({})).refuses(&token);
}

#[test]
fn auth0_own_logout() {
    super::logs_out_by(&AUTH0.start(), "returnTo");
}

#[test]
fn auth0_refresh_by_scope() {
    let provider = AUTH0.start();
    let with = |scope: &str| json!({"scopes": ["openid", scope], "upstream_refresh_token_header": "x-refresh"});
    let seen = enters(&gateway(&provider, with("offline_access")));
    assert!(seen.header("x-refresh").is_some());
    let seen = enters(&gateway(&provider, with("profile")));
    assert_eq!(seen.header("x-refresh"), None);
}
