//! Calls of the token endpoint and of its neighbours, what goes into them and what is kept of their answers, by the ids
//! of the scenarios.

use std::time::{Duration, Instant};

use acceptance::{Gateway, basic, bearer, eventually, merged, tampered};
use serde_json::{Value, json};
use support::browser::Browser;
use support::envoy::EnvoyOptions;
use support::issuer::{SigningKey, claims};
use support::ports;
use support::provider::{
    Behaviour, CLIENT, DISCOVERY, INTROSPECT, JWKS, PASSWORD, Provider, TOKEN,
};
use support::raw::Answer;

fn one_worker(options: &mut EnvoyOptions) {
    options.concurrency = 1;
}

/// A gateway where alex gets in with a password, with one worker.
fn passwords(provider: &Provider, members: Value) -> Gateway {
    let config = json!({
        "client_id": [CLIENT.0],
        "client_secret": [CLIENT.1],
        "auth_methods": ["password"],
    });
    Gateway::with(provider, merged(config, members), one_worker)
}

fn with_password(gateway: &Gateway, secret: &str) -> Answer {
    gateway.get("/hello", &[("authorization", &basic(PASSWORD.0, secret))])
}

#[test]
fn dx_09_what_is_kept_is_asked_for_again_after_the_longest_time() {
    const LONGEST: u64 = 4;
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.lifetime = 180);
    let gateway = passwords(&provider, json!({"cache_ttl_max": LONGEST}));
    gateway.forwarded(&with_password(&gateway, PASSWORD.1));
    let known = Instant::now();
    assert_eq!(provider.calls(TOKEN), 1);
    eventually("the token endpoint is called again", || {
        gateway.forwarded(&with_password(&gateway, PASSWORD.1));
        provider.calls(TOKEN) > 1
    });
    // The filter counts whole seconds.
    let kept = known.elapsed();
    assert!(kept >= Duration::from_secs(LONGEST - 2), "{kept:?}");
    assert_eq!(provider.calls(TOKEN), 2);
    gateway.answered(&with_password(&gateway, "wrong"), 401);
}

/// An access token that ends when it comes is not good for the request that brought it, either.
#[test]
fn dx_10_an_answer_that_ends_at_once_is_not_kept() {
    let provider = Provider::start();
    let gateway = passwords(&provider, json!({}));
    provider.set_tokens(|tokens| tokens.answer = json!({"expires_in": 0}));
    for _ in 0..3 {
        gateway.answered(&with_password(&gateway, PASSWORD.1), 401);
    }
    assert!(provider.calls(TOKEN) > 0);
    // Nothing of it is left: the next answer counts, and is kept.
    provider.set_tokens(|tokens| tokens.answer = json!({}));
    let before = provider.calls(TOKEN);
    for _ in 0..3 {
        gateway.forwarded(&with_password(&gateway, PASSWORD.1));
    }
    assert_eq!(provider.calls(TOKEN), before + 1);
}

#[test]
fn dx_12_people_can_log_in_as_soon_as_the_provider_is_there() {
    let port = ports::free();
    let provider = Provider::start_on(port);
    let members = json!({"rediscovery_lifetime": 0});
    let gateway = Gateway::for_logins_with(&provider, members, one_worker);
    drop(provider);
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/page"));
    gateway.answered(&page.answer, 500);
    let _provider = Provider::start_on(port);
    gateway.enter(&mut browser, "/page");
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/page")));
}

#[test]
fn dx_37_a_refresh_without_an_id_token_keeps_the_old_one() {
    let provider = Provider::start();
    // So short that the next request renews it.
    provider.set_tokens(|tokens| tokens.lifetime = 5);
    let members = json!({"upstream_id_token_header": "x-id-token"});
    let gateway = Gateway::for_logins_with(&provider, members, one_worker);
    let mut browser = Browser::new();
    let first = gateway.enter(&mut browser, "/page");
    let id_token = first.header("x-id-token").expect("an ID token");
    assert_eq!(id_token.matches('.').count(), 2, "{id_token}");
    provider.set_tokens(|tokens| {
        tokens.lifetime = 300;
        tokens.answer = json!({"id_token": null});
    });
    let before = provider.calls(TOKEN);
    let second = gateway.shows(&mut browser, "/page");
    assert_eq!(provider.calls(TOKEN), before + 1);
    let forms = provider.token_forms();
    assert_eq!(forms.last().expect("a form")["grant_type"], "refresh_token");
    assert_ne!(
        second.header("authorization"),
        first.header("authorization")
    );
    assert_eq!(second.all("x-id-token"), [id_token.clone()]);
    // And in the session that came of it.
    let third = gateway.shows(&mut browser, "/page");
    assert_eq!(provider.calls(TOKEN), before + 1);
    assert_eq!(third.all("x-id-token"), [id_token]);
}

#[test]
fn dx_48_an_introspection_that_failed_says_nothing() {
    let provider = Provider::start();
    let members = json!({
        "client_id": [CLIENT.0],
        "client_secret": [CLIENT.1],
        "auth_methods": ["introspection"],
    });
    let gateway = Gateway::before(&provider, members);
    let mut active = claims(&provider.issuer());
    active["active"] = true.into();
    let active = active.to_string().into_bytes();
    for status in [500, 503, 404, 401] {
        provider.always(INTROSPECT, Behaviour::Failure(status, active.clone()));
        // A failure is remembered for a while, for its token.
        let token = format!("token-{status}");
        gateway.answered(&gateway.get_with_token(&token), 500);
    }
    // The same words under 200 let it in.
    provider.always(INTROSPECT, Behaviour::Answer(active));
    gateway.admits("good-token");
    provider.always(INTROSPECT, Behaviour::Normal);
    gateway.refuses("another-token");
}

#[test]
fn dx_49_a_password_is_asked_about_without_a_redirect_uri() {
    let provider = Provider::start();
    let gateway = passwords(
        &provider,
        json!({
            "auth_methods": ["password", "authorization_code", "session"],
            "session_secret": "a secret of these tests, 32 byte",
            "redirect_uri": ["https://api.test/back"],
        }),
    );
    gateway.forwarded(&with_password(&gateway, PASSWORD.1));
    let forms = provider.token_forms();
    assert_eq!(forms.len(), 1);
    assert_eq!(forms[0]["grant_type"], "password");
    assert_eq!(forms[0].get("redirect_uri"), None);
    gateway.answered(&with_password(&gateway, "wrong"), 401);
}

/// Not DX-50 itself, whose argument is `scope`: the filter refuses a configuration that lets a client choose that.
#[test]
fn arguments_of_the_client_go_to_the_token_endpoint() {
    let provider = Provider::start();
    let gateway = passwords(&provider, json!({"token_post_args_client": ["branch"]}));
    let credential = basic(PASSWORD.0, PASSWORD.1);
    let own = ("authorization", credential.as_str());
    let form = "application/x-www-form-urlencoded";
    // What the last call said of it.
    let asked = |gateway: &Gateway, answer: &Answer| {
        gateway.forwarded(answer);
        let forms = provider.token_forms();
        forms.last().expect("a form").get("branch").cloned()
    };
    let answer = gateway.get("/hello?branch=query", &[own]);
    assert_eq!(asked(&gateway, &answer).as_deref(), Some("query"));
    let answer = gateway.post("/hello", form, &[own], "branch=body");
    assert_eq!(asked(&gateway, &answer).as_deref(), Some("body"));
    let answer = gateway.get("/hello", &[own, ("branch", "header")]);
    assert_eq!(asked(&gateway, &answer).as_deref(), Some("header"));
    // What was given for one is not given for another.
    assert_eq!(provider.calls(TOKEN), 3);
    let answer = gateway.get("/hello", &[own]);
    assert_eq!(asked(&gateway, &answer), None);
    assert_eq!(provider.calls(TOKEN), 4);
    gateway.answered(&with_password(&gateway, "wrong"), 401);
    // An argument that is not named stays here.
    let plain = passwords(&provider, json!({}));
    let answer = plain.get("/hello?branch=query", &[own]);
    assert_eq!(asked(&plain, &answer), None);
    assert_eq!(provider.calls(TOKEN), 6);
}

#[test]
fn dx_55_a_pseudo_issuer_is_never_called() {
    const NOWHERE: &str = "https://nowhere.invalid";
    let provider = Provider::start();
    let members = json!({
        "issuer": NOWHERE,
        "using_pseudo_issuer": true,
        "jwks_endpoint": provider.url(JWKS),
    });
    let gateway = Gateway::before(&provider, members);
    let of = |issuer: &str| SigningKey::shared().token(&claims(issuer));
    let token = of(NOWHERE);
    let seen = gateway.admits(&token);
    assert_eq!(seen.header("authorization"), Some(bearer(&token)));
    gateway.refuses(&tampered(&token));
    gateway.refuses(&of(&provider.issuer()));
    assert_eq!(provider.calls(DISCOVERY), 0);
    assert!(provider.calls(JWKS) > 0);
}
