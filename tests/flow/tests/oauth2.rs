//! Logins without an ID token (plain OAuth 2.0), and with one that comes through the browser beside the code
//! (OpenID Connect Core section 3.3).

use flow::idp::{AUTHORIZE, INTROSPECT, TOKEN, USERINFO};
use flow::stage::DISCOVERY;
use flow::{Behaviour, Dialect, Request, World};
use serde_json::{Value, json};

/// What a login tells: who it is, and nothing that a provider must be asked for later.
fn plain(members: Value) -> Value {
    let plain = json!({
        "scopes": ["email"], "session_request_headers": ["subject"],
        "upstream_headers_claims": ["email"], "upstream_headers_names": ["x-mail"],
    });
    flow::stage::merged(plain, members)
}

#[test]
fn without_openid_the_userinfo_says_who_logged_in() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, plain(json!({"search_user_info": true})));
        world.idp().set(|idp| idp.opaque = true);
        let browser = world.browser();
        let away = browser.open("/app").away();
        assert_eq!(away.parameter("scope").as_deref(), Some("email"));
        assert_eq!(away.parameter("nonce"), None);
        for outcome in [
            browser.log_in(&away).here().outcome,
            browser.open("/app").here().outcome,
        ] {
            let seen = outcome.forwarded();
            assert_eq!(seen.all("session-subject"), ["sub of alex"]);
            assert_eq!(seen.all("x-mail"), ["alex@idp.test"]);
        }
        assert_eq!((world.calls_to(TOKEN), world.calls_to(USERINFO)), (1, 1));
        // With `openid` the ID token must be there: nothing else says who logged in.
        let strict = World::with_login(dialect, json!({}));
        strict.idp().set(|idp| idp.id_token = false);
        strict.browser().enter("/app").outcome.assert_status(500);
        assert!(strict.logged("no_id_token"));
    }
}

#[test]
fn where_there_is_no_userinfo_introspection_says_it_and_else_nobody() {
    for (metadata, said, subject) in [
        (
            json!({}),
            json!({"sub": null, "id": 583_231}),
            Some("583231"),
        ),
        (json!({}), json!({"sub": null}), None),
        (json!({}), json!({"sub": ""}), None),
        (
            json!({"userinfo_endpoint": null}),
            json!({}),
            Some("sub of alex"),
        ),
        (
            json!({"userinfo_endpoint": null}),
            json!({"sub": null, "username": "al"}),
            Some("al"),
        ),
        (
            json!({"userinfo_endpoint": null, "introspection_endpoint": null}),
            json!({}),
            None,
        ),
    ] {
        for dialect in Dialect::BOTH {
            let world = World::with_login(dialect, plain(json!({})));
            world.put_login(metadata.clone());
            world.idp().set(|idp| {
                idp.opaque = true;
                idp.said = said.clone();
            });
            let browser = world.browser();
            let outcome = browser.enter("/app").outcome;
            if let Some(subject) = subject {
                assert_eq!(outcome.forwarded().all("session-subject"), [subject]);
                let again = browser.open("/app").here().outcome;
                assert_eq!(again.forwarded().all("session-subject"), [subject]);
            } else {
                outcome.assert_status(500);
                assert!(world.logged("no_subject"));
                assert_eq!(browser.cookie("session"), None);
            }
        }
    }
}

#[test]
fn a_jwt_says_itself_who_logged_in() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, plain(json!({})));
        let outcome = world.browser().enter("/app").outcome;
        assert_eq!(outcome.forwarded().all("session-subject"), ["sub of alex"]);
        assert_eq!(
            (world.calls_to(USERINFO), world.calls_to(INTROSPECT)),
            (0, 0)
        );
        // Its signature counts as ever.
        let forged = World::with_login(dialect, plain(json!({})));
        forged.publish(&["k2"]);
        forged.browser().enter("/app").outcome.assert_status(401);
    }
}

#[test]
fn an_endpoint_in_trouble_begins_no_session() {
    for dialect in Dialect::BOTH {
        for (trouble, status) in [(Behaviour::NoAnswer, 500), (Behaviour::Status(401), 401)] {
            let world = World::with_login(dialect, plain(json!({})));
            world.idp().set(|idp| idp.opaque = true);
            world.always(USERINFO, trouble);
            let browser = world.browser();
            browser.enter("/app").outcome.assert_status(status);
            assert_eq!(browser.cookie("session"), None);
            world.always(USERINFO, Behaviour::Normal);
            world.pass_seconds(2);
            let outcome = browser.enter("/app").outcome;
            assert_eq!(outcome.forwarded().all("session-subject"), ["sub of alex"]);
        }
    }
}

/// Somebody logs in with an ID token beside the code.
#[track_caller]
fn hybrid(front: Option<Value>, back: Value, then: impl Fn(&World, &flow::Page)) {
    for dialect in Dialect::BOTH {
        let members = json!({
            "response_type": ["code", "id_token"], "response_mode": "form_post",
            "authorization_cookie_same_site": "None",
        });
        let world = World::with_login(dialect, members);
        world.idp().set(|idp| {
            idp.front_claims.clone_from(&front);
            idp.id_claims = back.clone();
        });
        let browser = world.browser();
        let away = browser.open("/app").away();
        assert_eq!(
            away.parameter("response_type").as_deref(),
            Some("code id_token")
        );
        then(&world, &browser.log_in(&away).here());
    }
}

#[test]
fn an_id_token_beside_the_code_vouches_for_it() {
    for front in [json!({}), json!({"s_hash": null})] {
        hybrid(Some(front), json!({}), |world, page| {
            page.outcome.assert_user("alex");
            assert_eq!(world.calls_to(TOKEN), 1);
            let log_in = page.visited.join(" ");
            assert!(!log_in.contains("id_token="), "{log_in}");
        });
    }
    // The code is not redeemed where nothing, or something wrong, vouches for it.
    let other = support::issuer::b64(&[7; 16]);
    for front in [
        None,
        Some(json!({"c_hash": null})),
        Some(json!({"c_hash": other})),
        Some(json!({"s_hash": other})),
        Some(json!({"nonce": "another"})),
        Some(json!({"nonce": null})),
        Some(json!({"aud": "somebody"})),
        Some(json!({"iss": "https://evil.test"})),
        Some(json!({"exp": 1})),
    ] {
        hybrid(front.clone(), json!({}), |world, page| {
            page.outcome.assert_status(401);
            assert_eq!(world.calls_to(TOKEN), 0, "{front:?}");
        });
    }
    // Both must be about the same person, and both are verified.
    for back in [
        json!({"sub": "sub of mallory"}),
        json!({"nonce": "another"}),
    ] {
        hybrid(Some(json!({})), back, |_, page| {
            page.outcome.assert_status(401)
        });
    }
}

#[test]
fn an_id_token_in_a_query_is_not_taken() {
    for dialect in Dialect::BOTH {
        let members = json!({"response_type": ["code", "id_token"], "response_mode": "form_post"});
        let world = World::with_login(dialect, members);
        let browser = world.browser();
        let away = browser.open("/app").away();
        let mut back = Vec::new();
        let _ = browser.log_in_with(&away, |fields| {
            back = std::mem::take(fields);
        });
        let query: Vec<_> = back
            .iter()
            .map(|(name, value)| format!("{name}={}", flow::encode(value)))
            .collect();
        let target = format!("/app?{}", query.join("&"));
        browser.ask(Request::get(&target)).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        let fresh = world.browser();
        fresh.enter("/app").outcome.assert_user("alex");
    }
}

#[test]
fn a_provider_that_publishes_nothing_is_enough() {
    let members = json!({
        "using_pseudo_issuer": true, "auth_methods": ["authorization_code", "session"], "authorization_endpoint": AUTHORIZE, "token_endpoint": TOKEN,
        "userinfo_endpoint": USERINFO, "require_proof_key_for_code_exchange": true,
    });
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, plain(members.clone()));
        world.idp().set(|idp| idp.opaque = true);
        let browser = world.browser();
        for outcome in [
            browser.enter("/app").outcome,
            browser.open("/app").here().outcome,
        ] {
            assert_eq!(outcome.forwarded().all("session-subject"), ["sub of alex"]);
        }
        assert_eq!(world.calls_to(DISCOVERY), 0);
        let stranger = world.ask(Request::new("POST", "/app"));
        assert!(!stranger.is_forwarded());
    }
}
