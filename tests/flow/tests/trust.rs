//! Whose word counts, and for how long: signatures that are not verified, tokens of a session that are verified
//! again, and what a refusal does to the session (specification sections 7.1, 13; rows K and L).

use flow::idp::ROBOT;
use flow::stage::{DISCOVERY, logged_in_for_long, login_config};
use flow::{Behaviour, Browser, Dialect, Request, Stop, World};
use serde_json::{Value, json};

/// A provider that signs with a key that it does not publish.
fn with_unknown_key(members: &Value) -> [World; 2] {
    Dialect::BOTH.map(|dialect| {
        let world = World::with_login(dialect, members.clone());
        world.publish(&["k2"]);
        world
    })
}

fn logs_in(browser: &Browser<'_>) -> bool {
    let away = browser.open("/app").away();
    match browser.log_in(&away) {
        Stop::Here(page) => page.outcome.is_forwarded(),
        Stop::Away(_) => false,
    }
}

#[test]
fn the_signatures_of_a_login_count_for_nothing_only_where_that_is_asked() {
    for world in with_unknown_key(&json!({"ignore_signature": ["authorization_code"]})) {
        let browser = world.browser();
        assert!(logs_in(&browser));
        // The session goes on after a refresh, too.
        world.pass_seconds(280);
        browser.open("/app").here().outcome.assert_user("alex");
        assert!(world.counted(oidc_filter::host::Counter::Refreshed) > 0);
        // What a client shows is verified all the same.
        world.show(&world.token(json!({}))).assert_status(401);
    }
    for other in [json!([]), json!(["password", "session", "userinfo"])] {
        for world in with_unknown_key(&json!({"ignore_signature": other})) {
            assert!(!logs_in(&world.browser()));
        }
    }
}

#[test]
fn no_signature_at_all_is_still_none() {
    for world in with_unknown_key(&json!({"ignore_signature": ["authorization_code"]})) {
        let forge = |claims: &Value| {
            let header = support::issuer::b64(br#"{"alg":"none"}"#);
            let claims = support::issuer::b64(claims.to_string().as_bytes());
            format!("{header}.{claims}.")
        };
        world.idp().set(|idp| idp.forge = Some(forge));
        assert!(!logs_in(&world.browser()));
    }
}

#[test]
fn the_claims_of_a_login_are_judged_without_a_signature_too() {
    let wrong = [
        json!({"iss": "https://elsewhere.test"}),
        json!({"aud": "another client"}),
        json!({"nonce": "another login"}),
        json!({"exp": 1}),
    ];
    for claims in wrong {
        for world in with_unknown_key(&json!({"ignore_signature": ["authorization_code"]})) {
            world.idp().set(|idp| idp.id_claims = claims.clone());
            assert!(!logs_in(&world.browser()), "{claims}");
        }
    }
}

#[test]
fn the_signatures_of_other_grants_are_ignored_by_their_names() {
    let [id, secret] = ROBOT;
    let robot = || Request::get(&format!("/app?client_id={id}&client_secret={secret}"));
    let members = |ignored: &str| json!({"auth_methods": ["client_credentials"], "ignore_signature": [ignored]});
    for world in with_unknown_key(&members("client_credentials")) {
        assert!(world.ask(robot()).is_forwarded());
    }
    for world in with_unknown_key(&members("password")) {
        world.ask(robot()).assert_status(401);
    }
}

#[test]
fn a_session_is_verified_again_on_each_request() {
    logged_in_for_long(json!({"reverify": true}), |world, browser| {
        browser.open("/app").here().outcome.assert_user("alex");
        // The provider withdraws the key, and this worker learns of it.
        world.publish(&["k2"]);
        world.pass_seconds(31);
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
        let stays = browser.copy();
        stays.ask(Request::new("POST", "/app")).assert_status(401);
        assert_eq!(stays.count("session"), 0);
        assert!(
            matches!(browser.open("/app"), Stop::Away(_)),
            "a navigation logs in"
        );
    });
    // The nearest twin: a session that is trusted.
    logged_in_for_long(json!({}), |world, browser| {
        world.publish(&["k2"]);
        world.pass_seconds(31);
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
        browser
            .ask(Request::new("POST", "/app"))
            .assert_user("alex");
    });
}

#[test]
fn a_session_that_cannot_be_verified_again_is_nobodys_fault() {
    for dialect in Dialect::BOTH {
        let world = World::with_workers(dialect, 1, 2);
        world.put_login(json!({}));
        world.route(&login_config(json!({"reverify": true})));
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        // A worker that knows no keys yet, and a provider that is down.
        world.always(DISCOVERY, Behaviour::NoAnswer);
        browser.worker = 1;
        let outcome = browser.ask(Request::new("POST", "/app"));
        outcome.assert_status(500);
        assert_eq!(browser.count("session"), 1, "it is not over");
    }
}

#[test]
fn a_session_that_is_verified_again_is_renewed_like_any_other() {
    let members =
        json!({"reverify": true, "session_rolling_timeout": 100, "session_idling_timeout": 0});
    logged_in_for_long(members, |world, browser| {
        for _ in 0..5 {
            world.pass_seconds(90);
            browser.open("/app").here().outcome.assert_user("alex");
        }
    });
}

#[test]
fn a_403_takes_the_session_away_where_that_is_on() {
    for (kept, members) in [
        (0, json!({})),
        (1, json!({"forbidden_destroy_session": false})),
        (0, json!({"unauthorized_destroy_session": false})),
    ] {
        for dialect in Dialect::BOTH {
            let world = World::with_login(dialect, json!({}));
            let admins = json!({"scopes_required": ["admin"], "scopes_claim": ["scope"]});
            let admins = flow::stage::merged(admins, members.clone());
            let admins = world.route(&login_config(admins));
            let mut browser = world.browser();
            browser.enter("/app").outcome.assert_user("alex");
            browser.route = Some(admins);
            browser.ask(Request::get("/app")).assert_status(403);
            assert_eq!(browser.count("session"), kept, "{members}");
        }
    }
}

#[test]
fn a_401_takes_the_session_away_where_that_is_on() {
    for (kept, members) in [
        (0, json!({})),
        (1, json!({"unauthorized_destroy_session": false})),
        (0, json!({"forbidden_destroy_session": false})),
    ] {
        for dialect in Dialect::BOTH {
            let world = World::with_login(dialect, json!({}));
            let plain = json!({"auth_methods": ["session"], "refresh_tokens": false});
            let plain = world.route(&login_config(flow::stage::merged(plain, members.clone())));
            let mut browser = world.browser();
            browser.enter("/app").outcome.assert_user("alex");
            browser.route = Some(plain);
            world.pass_seconds(300);
            browser.ask(Request::get("/app")).assert_status(401);
            assert_eq!(browser.count("session"), kept, "{members}");
        }
    }
}
