//! A whole login with a browser (specification sections 4.9 and 11).

use flow::assertion::client_jwk;
use flow::idp::{AUTHORIZE, TOKEN};
use flow::stage::login_config;
use flow::{Dialect, Outcome, World, decode};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

/// Logs in at this target under both dialects, and hands the world and the last page over.
#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        then(&world);
    }
}

#[test]
fn by_query_the_callback_itself_goes_on_without_a_trace_of_the_login() {
    each(json!({}), |world| {
        let browser = world.browser();
        let away = browser.open("/app?a=1&b=2").away();
        assert!(away.url.starts_with(AUTHORIZE));
        let redirect_uri = away.parameter("redirect_uri");
        assert_eq!(redirect_uri.as_deref(), Some("https://api.test/app"));
        assert_eq!(away.parameter("response_mode"), None);
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
        let seen = page.outcome.forwarded();
        assert_eq!(seen.path(), "/app", "nothing of the callback");
        assert!(
            seen.header("authorization")
                .is_some_and(|value| value.starts_with("Bearer ey"))
        );
        assert_eq!(seen.header("cookie"), None, "no cookie of ours");
        browser.open("/other").here().outcome.assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
        assert_eq!(world.counted(Counter::LoggedIn), 1);
        assert_eq!(browser.count("authorization"), 0, "the login is over");
    });
}

#[test]
fn by_form_post_it_arrives_as_a_get_without_a_body() {
    let members = json!({"response_mode": "form_post", "preserve_query_args": true,
        "authorization_cookie_same_site": "None"});
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app?hello=world").away();
        assert_eq!(
            away.parameter("response_mode").as_deref(),
            Some("form_post")
        );
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
        let seen = page.outcome.forwarded();
        assert_eq!(seen.method(), "GET");
        assert_eq!(seen.body(), b"");
        if world.dialect() == Dialect::Envoy {
            assert_eq!(seen.header("content-type"), None);
        }
        assert_eq!(
            seen.path(),
            "/app?hello=world",
            "the first request's query is back"
        );
        assert_eq!(page.url, "/app", "the address bar stays");
    });
}

#[test]
fn the_first_query_survives_only_where_it_is_preserved() {
    for (preserve, action, expected) in [
        (false, "upstream", "/app"),
        (true, "upstream", "/app?a=%201&b"),
        (false, "redirect", "/app"),
        (true, "redirect", "/app?a=%201&b"),
    ] {
        let members =
            json!({"preserve_query_args": preserve, "login_action": action, "login_tokens": []});
        each(members, |world| {
            let page = world.browser().enter("/app?a=%201&b");
            page.outcome.assert_user("alex");
            let seen = page.outcome.forwarded().path();
            assert_eq!(seen, expected, "{preserve} {action}");
        });
    }
}

#[test]
fn a_redirect_leads_back_with_the_session_and_without_tokens() {
    let members =
        json!({"login_action": "redirect", "login_tokens": [], "preserve_query_args": true});
    each(members, |world| {
        let browser = world.browser();
        let page = browser.enter("/app?a=1");
        page.outcome.assert_user("alex");
        assert_eq!(page.url, "/app?a=1");
        assert_eq!(page.count("GET /app?a=1 302"), 1);
        assert_eq!(page.count(" 302"), 2, "{:?}", page.visited);
        assert_eq!(browser.count("session"), 1);
    });
}

#[test]
fn tokens_stand_in_a_redirect_only_where_they_are_listed() {
    for (mode, tokens, mark) in [
        ("fragment", json!(["id_token"]), '#'),
        ("query", json!(["access_token", "refresh_token"]), '?'),
    ] {
        let members = json!({"login_action": "redirect", "login_tokens": tokens, "login_redirect_mode": mode,
            "login_redirect_uri": ["https://app.test/in"]});
        let world = World::with_login(Dialect::Envoy, members);
        let page = world.browser().enter("/");
        page.outcome.assert_status(302);
        let place = page.outcome.answer_header("location").expect("a place");
        let (before, after) = place.split_once(mark).expect("tokens");
        assert_eq!(before, "https://app.test/in");
        let names: Vec<&str> = after
            .split('&')
            .filter_map(|part| part.split('=').next())
            .collect();
        let expected: Vec<&str> = tokens
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(names, expected);
        for part in after.split('&') {
            world.hand_out(&decode(part.split('=').nth(1).expect("a value")));
        }
    }
}

#[test]
fn a_response_is_a_json_with_the_listed_tokens() {
    for (tokens, members) in [
        (json!(["access_token"]), vec!["access_token"]),
        (
            json!(["id_token", "refresh_token"]),
            vec!["id_token", "refresh_token"],
        ),
        (
            json!(["tokens"]),
            vec![
                "access_token",
                "expires_in",
                "id_token",
                "refresh_token",
                "scope",
                "token_type",
            ],
        ),
        (json!([]), vec![]),
    ] {
        let config = json!({"login_action": "response", "login_tokens": tokens});
        let world = World::with_login(Dialect::Envoy, config);
        let page = world.browser().enter("/");
        page.outcome.assert_status(200);
        let body = page.outcome.json();
        let body = body.as_object().expect("an object");
        let mut names: Vec<&str> = body.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members);
        for value in body.values().filter_map(Value::as_str) {
            world.hand_out(value);
        }
        let caching = page.outcome.answer_header("cache-control");
        assert_eq!(caching.as_deref(), Some("private, no-store"));
    }
}

#[test]
fn a_login_method_that_is_not_listed_goes_upstream() {
    let members = json!({"login_methods": [], "login_action": "response"});
    each(members, |world| {
        world.browser().enter("/").outcome.assert_user("alex");
    });
}

#[test]
fn c01_pkce_is_used_where_announced_unless_the_configuration_decides() {
    for (announced, required, used) in [
        (json!(["S256"]), Value::Null, true),
        (json!(["plain", "S256"]), Value::Null, true),
        (json!(["plain"]), Value::Null, false),
        (Value::Null, Value::Null, false),
        (Value::Null, json!(true), true),
        (json!(["S256"]), json!(false), false),
    ] {
        let world = World::new(Dialect::Envoy, 1);
        world.put_login(json!({"code_challenge_methods_supported": announced}));
        world.route(&login_config(
            json!({"require_proof_key_for_code_exchange": required}),
        ));
        let browser = world.browser();
        let away = browser.open("/").away();
        assert_eq!(away.parameter("code_challenge").is_some(), used);
        let method = away.parameter("code_challenge_method");
        assert_eq!(method.as_deref() == Some("S256"), used);
        // The provider takes the code only with the verifier that belongs to the challenge.
        browser.log_in(&away).here().outcome.assert_user("alex");
        let sent = world
            .calls()
            .last()
            .expect("a call")
            .body
            .contains("code_verifier=");
        assert_eq!(sent, used);
    }
}

#[test]
fn the_client_proves_itself_as_configured() {
    for (auth, secret, proof) in [
        (Value::Null, true, "basic"),
        (json!(["client_secret_basic"]), true, "basic"),
        (json!(["client_secret_post"]), true, "post"),
        (json!(["none"]), true, "none"),
        (Value::Null, false, "none"),
    ] {
        let mut members = json!({"client_auth": auth});
        if !secret {
            members["client_secret"] = Value::Null;
        }
        each(members, |world| {
            world.browser().enter("/").outcome.assert_user("alex");
            assert_eq!(world.idp().proofs(), [proof], "{auth} {secret}");
        });
    }
}

#[test]
fn a_client_proves_itself_with_an_assertion_that_is_good_once() {
    for (members, proof) in [
        (
            json!({"client_auth": ["private_key_jwt"], "client_jwk": [client_jwk()]}),
            "private_key_jwt",
        ),
        (
            json!({"client_auth": ["private_key_jwt"], "client_jwk": [client_jwk()], "client_alg": ["ES256"], "client_secret": null}),
            "private_key_jwt",
        ),
        (
            json!({"token_endpoint_auth_method": "client_secret_jwt"}),
            "client_secret_jwt",
        ),
    ] {
        each(members, |world| {
            let browser = world.browser();
            browser.enter("/").outcome.assert_user("alex");
            // The access token lasts for 300 seconds. Its refresh needs another assertion.
            world.pass_seconds(299);
            browser.open("/").here().outcome.assert_user("alex");
            assert_eq!(world.idp().proofs(), [proof, proof]);
        });
    }
}

#[test]
fn what_is_asked_of_the_provider_is_what_the_configuration_says() {
    let members = json!({
        "scopes": ["openid", "email"], "max_age": 3600,
        "redirect_uri": ["https://api.test/cb"], "authorization_query_args_names": ["prompt"],
        "authorization_query_args_values": ["login"], "authorization_query_args_client": ["login_hint"],
    });
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app?login_hint=alex%40b&state=mine").away();
        for (name, value) in [
            ("scope", "openid email"),
            ("max_age", "3600"),
            ("redirect_uri", "https://api.test/cb"),
            ("prompt", "login"),
            ("login_hint", "alex@b"),
        ] {
            assert_eq!(away.parameter(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(away.url.matches("state=").count(), 1);
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
    });
}

#[test]
fn every_random_text_is_used_once_also_where_the_host_has_none() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        // The hardest case: a host without random numbers, and requests that differ in nothing.
        world.without_request_marks();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            let browser = world.browser();
            let away = browser.open("/").away();
            let cookie = browser.jar.borrow()[0].clone();
            for text in ["state", "nonce", "code_challenge"]
                .iter()
                .filter_map(|name| away.parameter(name))
                .chain([cookie.name, cookie.value])
            {
                assert!(seen.insert(text), "{dialect:?}: a text came again");
            }
        }
    }
}

#[test]
fn another_secret_makes_other_random_texts() {
    let texts = |secret: &str| {
        let world = World::with_login(Dialect::Kong, json!({"session_secret": secret}));
        world.without_request_marks();
        let away = world.browser().open("/").away();
        (away.parameter("nonce"), away.parameter("code_challenge"))
    };
    let (one, other) = (
        texts("a secret that nobody knows"),
        texts("another secret, unknown too"),
    );
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
}

#[test]
fn on_kong_a_login_needs_no_host_but_its_own_requests() {
    let world = World::with_login(Dialect::Kong, json!({}));
    let browser = world.browser();
    let page = browser.enter("/app");
    page.outcome.assert_user("alex");
    let urls: Vec<String> = world.calls().iter().map(|call| call.url.clone()).collect();
    assert_eq!(
        urls.len(),
        3,
        "discovery, keys, token endpoint, each once: {urls:?}"
    );
    assert!(matches!(page.outcome, Outcome::Forwarded(_)));
}
