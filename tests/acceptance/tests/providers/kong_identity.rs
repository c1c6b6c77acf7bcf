//! Kong Identity, the provider of Konnect: its authorization servers are plain ones, its principals are out of a
//! filter's reach.

use acceptance::{Gateway, basic, bearer, merged, tampered};
use serde_json::{Value, json};
use support::envoy::{Envoy, EnvoyOptions};
use support::ports;
use support::provider::{CLIENT, DISCOVERY, Habits, JWKS, Provider, ROBOT, Scopes, TOKEN};

use super::{access_token, api, gateway, says, tokens_of_the_client};

fn start() -> Provider {
    Provider::start_with(Habits {
        issuer: "/auth",
        paths: vec![
            (TOKEN, "/auth/oauth/token"),
            (JWKS, "/auth/.well-known/jwks"),
        ],
        access_claims: json!({"aud": "http://myhttpbin.dev", "test-claim": "test"}),
        client_claim: "client_id",
        scopes: Scopes::Text("scope"),
        ..Habits::default()
    })
}

#[test]
fn ht_21a_a_token_of_kong_identity() {
    let provider = start();
    let answer = tokens_of_the_client(&provider, CLIENT.1, &[("scope", "my-scope")]);
    let token = access_token(&answer);
    let members = json!({
        "audience": ["http://myhttpbin.dev"],
        "upstream_headers": [{"header": "x-user", "path": ["client_id"]}, {"header": "x-test", "path": ["test-claim"]}],
    });
    let gateway = api(&provider, members);
    let headers = bearer(token);
    for _ in 0..2 {
        let answer = gateway.get("/anything", &[("authorization", &headers)]);
        let seen = gateway.forwarded_as(&answer, CLIENT.0);
        assert_eq!(seen.header("x-test").as_deref(), Some("test"));
    }
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (1, 1));
    gateway.refuses(&tampered(token));
    // What the guide's author may have meant.
    says(&gateway, "write `audience_required`");
}

fn example(provider: &Provider, principals: Value) -> Value {
    let hosts = json!({"issuer": provider.issuer(), "clusters": {"*": "provider"}});
    let members = json!({
        "auth_methods": ["client_credentials"],
        "client_credentials_param_type": ["header"],
        "client_auth": ["client_secret_post"],
        "principals": principals,
        "upstream_headers": [{"header": "x-user", "path": ["client_id"]}],
    });
    merged(merged(provider.login_config(), hosts), members)
}

/// The block that asks for principals is refused, and says what to write instead. Gives a gateway for what the flow does
/// without them.
fn without_principals(provider: &Provider) -> Gateway {
    let wanted = json!({"enabled": true, "directory": "orders"});
    let nowhere = ([127, 0, 0, 1], ports::free()).into();
    let mut options = EnvoyOptions::new(example(provider, wanted), nowhere);
    options.fixed = true;
    let error = Envoy::try_start(options).err().expect("a refusal");
    for text in [
        "configuration refused: config.principals.enabled: ",
        "principals are a service of Konnect that a filter cannot reach; use the claims in the token",
    ] {
        assert!(error.log.contains(text), "{error}");
    }
    let off = json!({"enabled": false, "principal_by": null, "principal_claim": null});
    gateway(provider, example(provider, off))
}

#[test]
fn ht_22a_a_client_gets_in_without_principals() {
    let provider = start();
    let gateway = without_principals(&provider);
    let show =
        |secret: &str| gateway.get("/anything", &[("authorization", &basic(ROBOT.0, secret))]);
    for _ in 0..2 {
        gateway.forwarded_as(&show(ROBOT.1), ROBOT.0);
    }
    assert_eq!(provider.calls(TOKEN), 1);
    gateway.answered(&show("wrong"), 401);
}

#[test]
fn ht_22b_nobody_gets_in_without_a_credential() {
    let provider = start();
    let gateway = without_principals(&provider);
    gateway.answered(&gateway.get("/anything", &[]), 401);
    assert_eq!(provider.calls(TOKEN), 0);
    let pair = basic(ROBOT.0, ROBOT.1);
    let answer = gateway.get("/anything", &[("authorization", &pair)]);
    gateway.forwarded_as(&answer, ROBOT.0);
}

#[test]
fn ex_09_the_example_client_credentials_identity() {
    let provider = start();
    let gateway = without_principals(&provider);
    let pair = basic(ROBOT.0, ROBOT.1);
    let good = [("authorization", pair.as_str())];
    gateway.forwarded_as(&gateway.get("/anything", &good), ROBOT.0);
    let in_query = format!("/anything?client_id={}&client_secret=x", ROBOT.0);
    gateway.answered(&gateway.get(&in_query, &[]), 401);
    assert_eq!(provider.calls(TOKEN), 1, "a query is no place for it here");
}
