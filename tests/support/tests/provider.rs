//! The scripted provider holds those who come to it to the rules: whatever it lets pass, a careless client would not be
//! caught at.

use serde_json::{Value, json};
use support::http;
use support::issuer::{self, SigningKey};
use support::provider::{CLIENT, Habits, INTROSPECT, PASSWORD, Provider, ROBOT, TOKEN, USERINFO};

const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn by_password(provider: &Provider, more: &[(&str, &str)]) -> Value {
    let mut fields = vec![
        ("grant_type", "password"),
        ("username", PASSWORD.0),
        ("password", PASSWORD.1),
    ];
    fields.extend(more);
    provider.ask_for_tokens(&fields)
}

fn post(provider: &Provider, authorization: Option<&str>, form: &str) -> Value {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(authorization.map(|value| ("authorization", value)));
    let answer = http::send("POST", &provider.url(TOKEN), &headers, form);
    answer.expect("an answer").json()
}

#[test]
fn a_client_proves_itself_by_the_rules() {
    let provider = Provider::start();
    let right = [("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
    assert!(by_password(&provider, &right)["access_token"].is_string());
    let form = "grant_type=client_credentials";
    // Made with `printf 'kong:a+secret+of+the+client' | base64`: in a form a space is a plus sign.
    let encoded = "Basic a29uZzphK3NlY3JldCtvZit0aGUrY2xpZW50";
    assert!(post(&provider, Some(encoded), form)["access_token"].is_string());
    let both = format!("{form}&client_id=kong&client_secret=x");
    for (answer, error) in [
        (by_password(&provider, &right[..1]), "invalid_client"),
        (by_password(&provider, &[]), "invalid_client"),
        (
            by_password(&provider, &[right[0], ("client_secret", "wrong")]),
            "invalid_client",
        ),
        (post(&provider, Some(encoded), &both), "invalid_request"),
        (
            by_password(&provider, &[right[0], right[1], ("password", "wrong")]),
            "invalid_grant",
        ),
        (
            provider.ask_for_tokens(&[right[0], right[1], ("grant_type", "magic")]),
            "unsupported_grant_type",
        ),
    ] {
        assert_eq!(answer["error"], error, "{answer}");
    }
    assert_eq!(provider.calls(TOKEN), 8);
}

#[test]
fn a_refresh_token_is_good_once_and_for_its_client() {
    let provider = Provider::start();
    let of = |client: (&'static str, &'static str)| {
        [("client_id", client.0), ("client_secret", client.1)]
    };
    let refresh = |client, token: &str| {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(of(client));
        provider.ask_for_tokens(&fields)
    };
    let first = by_password(&provider, &of(CLIENT));
    let token = first["refresh_token"].as_str().expect("one");
    let second = refresh(CLIENT, token);
    let next = second["refresh_token"].as_str().expect("another");
    assert_eq!(refresh(CLIENT, token)["error"], "invalid_grant");
    assert_eq!(refresh(ROBOT, next)["error"], "invalid_grant");
}

#[test]
fn an_assertion_is_signed_for_this_provider_and_for_now() {
    let provider = Provider::start();
    let good = json!({"sub": "a-program", "aud": provider.issuer(), "exp": issuer::now() + 60});
    let ask = |key: &SigningKey, changes: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().expect("changes") {
            claims[name] = value.clone();
        }
        let assertion = key.token(&claims);
        provider.ask_for_tokens(&[("grant_type", ASSERTION), ("assertion", &assertion)])
    };
    let key = SigningKey::second();
    assert!(ask(key, json!({}))["access_token"].is_string());
    for answer in [
        ask(SigningKey::unpublished(), json!({})),
        ask(key, json!({"aud": "https://other.test"})),
        ask(key, json!({"exp": issuer::now()})),
        ask(key, json!({"sub": null})),
    ] {
        assert_eq!(answer["error"], "invalid_grant", "{answer}");
    }
}

#[test]
fn it_says_of_a_token_what_is_true_to_whom_it_should() {
    let provider = Provider::start_with(Habits::default());
    let client = [("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
    let answer = by_password(&provider, &client);
    let token = answer["access_token"].as_str().expect("a token");
    let introspect = |client: &[(&str, &str)], token: &str| {
        let mut fields = vec![("token", token)];
        fields.extend(client);
        http::post_form(&provider.url(INTROSPECT), &fields)
            .expect("an answer")
            .json()
    };
    assert_eq!(introspect(&client, token)["active"], true);
    assert_eq!(introspect(&client, token)["sub"], issuer::ALEX);
    assert_eq!(introspect(&client, "another"), json!({"active": false}));
    assert_eq!(introspect(&client[..1], token)["error"], "invalid_client");

    let userinfo = |authorization: &str, accept: &str| {
        let headers = [("authorization", authorization), ("accept", accept)];
        http::send("GET", &provider.url(USERINFO), &headers, "").expect("an answer")
    };
    let bearer = format!("Bearer {token}");
    let said = userinfo(&bearer, "application/json");
    assert_eq!(said.json()["preferred_username"], "alex");
    let signed = userinfo(&bearer, "application/jwt");
    assert_eq!(signed.body.matches('.').count(), 2, "{signed:?}");
    assert_eq!(userinfo("Bearer another", "application/json").status, 401);
    assert_eq!(
        (provider.calls(INTROSPECT), provider.calls(USERINFO)),
        (4, 3)
    );
}
