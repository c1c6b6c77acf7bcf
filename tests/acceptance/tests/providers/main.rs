//! Real providers with their quirks (`tests/support/src/quirks.rs`), and the scenarios that are about them. A test of a
//! quirk has its name; it shows the setting that meets the quirk, and what becomes of its nearest twin.

use acceptance::{Gateway, merged};
use serde_json::{Value, json};
use support::browser::Browser;
use support::provider::{CLIENT, PASSWORD, Provider};
use support::upstream::Seen;

mod auth0;
mod cognito;
mod entra;
mod google;
mod kong_identity;
mod okta;
mod plain;

/// A gateway for logins at this provider, at all its hosts. `{own}` in a text is the gateway's own address. One worker,
/// so that calls are counted.
fn gateway(provider: &Provider, members: Value) -> Gateway {
    let discovery = format!(
        "{}/.well-known/openid-configuration",
        provider.issuer().trim_end_matches('/')
    );
    let elsewhere = format!("http://{}", provider.elsewhere());
    let hosts = json!({
        "issuer": discovery,
        "clusters": {"*": "provider", elsewhere: "elsewhere"},
    });
    let config = merged(merged(provider.login_config(), hosts), members);
    Gateway::of(config, provider.address(), |options| {
        options.concurrency = 1;
        let other = support::envoy::Cluster::new("elsewhere", provider.elsewhere());
        options.clusters.push(other);
        let own = format!("http://127.0.0.1:{}", options.listener().port);
        let filter = options.filter();
        let text = filter.config.to_string().replace("{own}", &own);
        filter.config = serde_json::from_str(&text).expect("a configuration");
    })
}

/// A gateway that takes bearer tokens of this provider.
fn api(provider: &Provider, members: Value) -> Gateway {
    gateway(
        provider,
        merged(json!({"auth_methods": ["bearer"]}), members),
    )
}

/// What a program of alex's gets for his password; the client has this secret.
fn tokens_of_alex(provider: &Provider, secret: &str, more: &[(&str, &str)]) -> Value {
    let mut fields = vec![
        ("grant_type", "password"),
        ("client_id", CLIENT.0),
        ("client_secret", secret),
        ("username", PASSWORD.0),
        ("password", PASSWORD.1),
    ];
    fields.extend(more);
    provider.ask_for_tokens(&fields)
}

/// What the client gets for itself.
fn tokens_of_the_client(provider: &Provider, secret: &str, more: &[(&str, &str)]) -> Value {
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT.0),
        ("client_secret", secret),
    ];
    fields.extend(more);
    provider.ask_for_tokens(&fields)
}

fn access_token(answer: &Value) -> &str {
    answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("no access token: {answer}"))
}

/// The token that the upstream got.
fn token_of(seen: &Seen) -> String {
    let header = seen.header("authorization").expect("a token");
    header
        .strip_prefix("Bearer ")
        .expect("a bearer token")
        .to_owned()
}

/// alex logs in, and gets to the page.
fn enters(gateway: &Gateway) -> Seen {
    let seen = gateway.enter(&mut Browser::new(), "/page");
    assert_eq!(seen.target, "/page");
    seen
}

/// alex tries to log in, and ends at this status; the log says why.
#[track_caller]
fn ends(gateway: &Gateway, status: u16, why: &str) {
    let page = Browser::new().log_in(&gateway.url("/page"));
    gateway.answered(&page.answer, status);
    assert!(acceptance::session_cookies(&page.answer).is_empty());
    says(gateway, why);
}

#[track_caller]
fn says(gateway: &Gateway, why: &str) {
    let log = gateway.filter_log();
    assert!(log.contains(why), "{why}: {log}");
}

/// This token is good, and breaks a rule.
#[track_caller]
fn forbids(gateway: &Gateway, token: &str) {
    gateway.answered(&gateway.get_with_token(token), 403);
}

/// The provider's own logout leads back by its own argument, which is written in `logout_redirect_uri`.
fn logs_out_by(provider: &Provider, argument: &str) {
    let endpoint = provider.url(support::provider::END_SESSION);
    let place = format!("{endpoint}?client_id=kong&{argument}=http%3A%2F%2Fapp.test%2Fbye");
    let members = json!({"logout_uri_suffix": "/logout", "logout_redirect_uri": [place]});
    let good = gateway(provider, members);
    let mut browser = Browser::new();
    good.enter(&mut browser, "/page");
    let page = browser.post(&good.url("/logout"), &[]);
    good.answered(&page.answer, 302);
    assert_eq!(page.answer.header("location"), Some(place.as_str()));
    let page = browser.get(&place);
    assert_eq!(page.answer.header("location"), Some("http://app.test/bye"));
    assert_eq!(provider.calls(support::provider::END_SESSION), 1);
    good.asks_to_log_in(&browser.get(&good.url("/page")));

    // OpenID Connect's way is not understood there.
    let members = json!({
        "logout_uri_suffix": "/logout", "logout_redirect_uri": ["http://app.test/bye"],
        "end_session_endpoint": endpoint,
    });
    let plain = gateway(provider, members);
    let mut browser = Browser::new();
    plain.enter(&mut browser, "/page");
    let page = browser.post(&plain.url("/logout"), &[]);
    let refused = browser.get(page.location().expect("a place").as_str());
    assert_eq!(refused.answer.status, 400);
}

#[test]
fn every_quirk_has_its_source_and_its_test() {
    let tests = [
        include_str!("auth0.rs"),
        include_str!("cognito.rs"),
        include_str!("entra.rs"),
        include_str!("google.rs"),
        include_str!("okta.rs"),
    ]
    .concat();
    for like in support::quirks::ALL {
        for quirk in like.quirks {
            let name = format!("{}_{}", like.name, quirk.name);
            assert_eq!(tests.matches(&format!("fn {name}()")).count(), 1, "{name}");
            assert!(quirk.source.starts_with("http"), "{name}");
            assert!(!quirk.what.is_empty(), "{name}");
        }
    }
}
