//! New tokens for a session (RFC 6749 section 6, OpenID Connect Core section 12; decision C24).

use flow::idp::TOKEN;
use flow::stage::login_config;
use flow::{Behaviour, Browser, Dialect, Outcome, Request, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

#[track_caller]
fn each(members: Value, then: impl Fn(&World, &Browser<'_>)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        then(&world, &browser);
    }
}

fn token(outcome: &Outcome) -> String {
    let token = outcome.forwarded().header("authorization");
    token.expect("a token")
}

/// The session is over: a navigation logs in again, anything else is told.
#[track_caller]
fn assert_over(browser: &Browser<'_>) {
    for method in ["POST", "PUT", "OPTIONS"] {
        let outcome = browser.copy().ask(Request::new(method, "/app"));
        outcome.assert_status(401);
    }
    let websocket = Request::get("/app").header("upgrade", "websocket");
    browser.copy().ask(websocket).assert_status(401);
    let away = browser.open("/app").away();
    browser.log_in(&away).here().outcome.assert_user("alex");
}

#[test]
fn dx_36a_an_access_token_that_ends_is_renewed() {
    each(json!({}), |world, browser| {
        let first = browser.open("/app").here().outcome;
        world.pass_seconds(269);
        let same = browser.open("/app").here().outcome;
        assert_eq!(token(&same), token(&first), "31 s are left");
        world.pass_seconds(1);
        let early = browser.open("/app").here().outcome;
        early.assert_user("alex");
        assert_ne!(token(&early), token(&first), "30 s are left");
        assert_eq!(world.calls_to(TOKEN), 2);
        world.pass_seconds(600);
        let late = browser.ask(Request::new("POST", "/app"));
        late.assert_user("alex");
        assert_ne!(token(&late), token(&early), "long after its end");
        assert_eq!(world.calls_to(TOKEN), 3);
        assert_eq!(world.counted(Counter::Refreshed), 2);
        let sent = world.calls();
        let body = &sent.last().expect("a call").body;
        assert!(body.contains("grant_type=refresh_token"));
        assert!(!body.contains("redirect_uri"));
        // The nearest twin: somebody without the session.
        world.ask(Request::get("/app")).assert_status(302);
    });
}

#[test]
fn dx_36b_without_refreshing_a_session_ends_with_its_access_token() {
    for (members, refresh) in [(json!({"refresh_tokens": false}), true), (json!({}), false)] {
        for dialect in Dialect::BOTH {
            let world = World::with_login(dialect, members.clone());
            world.idp().set(|idp| idp.refresh = refresh);
            let browser = world.browser();
            browser.enter("/app").outcome.assert_user("alex");
            world.pass_seconds(299);
            browser.open("/app").here().outcome.assert_user("alex");
            world.pass_seconds(1);
            assert_over(&browser);
            assert_eq!(world.counted(Counter::Refreshed), 0);
        }
    }
}

#[test]
fn dx_36c_a_session_whose_refresh_fails_is_over() {
    let error = json!({"error": "invalid_client"}).to_string().into_bytes();
    for (failure, status) in [
        (None, 401),
        // The provider did not say so: an error of ours, and the session may be renewed later.
        (Some(Behaviour::Status(500)), 500),
        (Some(Behaviour::Body(b"{}".to_vec())), 500),
        (Some(Behaviour::Body(error)), 500),
        (Some(Behaviour::NoAnswer), 500),
        (Some(Behaviour::Timeout), 500),
    ] {
        each(json!({}), |world, browser| {
            // A rotated refresh token whose answer is lost would be lost as well.
            world.idp().set(|idp| idp.rotates = false);
            world.pass_seconds(600);
            match &failure {
                None => world.idp().forget(),
                Some(failure) => world.always(TOKEN, failure.clone()),
            }
            let other = browser.copy();
            other
                .ask(Request::new("POST", "/app"))
                .assert_status(status);
            assert_eq!(other.count("session"), usize::from(status == 500));
            // A navigation logs in again.
            world.pass_seconds(60);
            let away = browser.open("/app").away();
            world.always(TOKEN, Behaviour::Normal);
            if status == 500 {
                world.pass_seconds(60);
                other.ask(Request::new("POST", "/app")).assert_user("alex");
            }
            browser.log_in(&away).here().outcome.assert_user("alex");
        });
    }
}

#[test]
fn dx_36d_where_nobody_can_log_in_an_ended_session_is_401() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        let plain = world.route(&login_config(
            json!({"auth_methods": ["session"], "refresh_tokens": false}),
        ));
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        browser.route = Some(plain);
        browser.open("/app").here().outcome.assert_user("alex");
        world.pass_seconds(300);
        browser.open("/app").here().outcome.assert_status(401);
        assert_eq!(browser.count("session"), 0, "and the cookie is gone");
    }
}

#[test]
fn a_refresh_that_fails_ends_nothing_while_the_token_is_good() {
    for fail in [
        |world: &World| world.idp().forget(),
        |world: &World| world.next(TOKEN, [Behaviour::Status(500)]),
        |world: &World| world.next(TOKEN, [Behaviour::Timeout]),
    ] {
        each(json!({}), |world, browser| {
            let before = browser.cookie("session");
            world.pass_seconds(275);
            fail(world);
            let outcome = browser.ask(Request::new("POST", "/app"));
            outcome.assert_user("alex");
            // Another worker may have renewed the session meanwhile: its cookie must not be overwritten.
            assert_eq!(browser.cookie("session"), before, "no cookie is set");
        });
    }
}

#[test]
fn dx_37_a_refresh_without_an_id_token_keeps_the_old_one() {
    each(json!({"logout_uri_suffix": "/logout"}), |world, browser| {
        let first = world.idp().id_token().expect("an ID token");
        world.idp().set(|idp| idp.refreshed_id_token = false);
        world.pass_seconds(600);
        browser.open("/app").here().outcome.assert_user("alex");
        assert_eq!(world.counted(Counter::Refreshed), 1);
        let outcome = browser.ask(Request::new("POST", "/logout"));
        let place = outcome.answer_header("location").expect("a place");
        assert!(place.contains(&first), "the hint is the first ID token");
    });
}

#[test]
fn a_refreshed_id_token_takes_the_old_ones_place() {
    each(json!({"logout_uri_suffix": "/logout"}), |world, browser| {
        let first = world.idp().id_token().expect("an ID token");
        world.pass_seconds(600);
        browser.open("/app").here().outcome.assert_user("alex");
        let second = world.idp().id_token().expect("an ID token");
        assert_ne!(first, second);
        let outcome = browser.ask(Request::new("POST", "/logout"));
        let place = outcome.answer_header("location").expect("a place");
        assert!(place.contains(&second));
    });
}

#[test]
fn a_refreshed_id_token_is_about_the_same_login() {
    for changes in [
        json!({"sub": "sub of root"}),
        json!({"iss": "https://evil.test"}),
        json!({"aud": "other"}),
        json!({"nonce": "another"}),
        json!({"exp": 1}),
        json!({"at_hash": "c2l4dGVlbiBieXRlcyAuLg"}),
    ] {
        each(json!({}), |world, browser| {
            world.pass_seconds(600);
            world.idp().set(|idp| idp.id_claims = changes.clone());
            let outcome = browser.copy().ask(Request::new("POST", "/app"));
            outcome.assert_status(401);
            world.idp().set(|idp| idp.id_claims = json!({}));
        });
    }
}

#[test]
fn twenty_requests_share_one_refresh() {
    let world = World::with_login(Dialect::Envoy, json!({}));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    world.pass_seconds(600);
    let tickets: Vec<_> = (0..20)
        .map(|number| {
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            world.send(browser.with_cookies(Request::new(method, "/app")))
        })
        .collect();
    assert_eq!(world.under_way().len(), 1);
    // Who began it leaves; the others wait on.
    world.leave(tickets[0]);
    world.deliver_all();
    let mut tokens = Vec::new();
    for ticket in &tickets[1..] {
        let outcome = world.outcome(*ticket);
        outcome.assert_user("alex");
        tokens.push(token(&outcome));
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all got the same token");
    assert_eq!(world.calls_to(TOKEN), 2);
}

#[test]
fn the_old_cookie_gets_the_same_result_for_ten_seconds() {
    each(json!({}), |world, browser| {
        let old = browser.copy();
        world.pass_seconds(600);
        let first = browser.ask(Request::new("POST", "/app"));
        let again = |seconds: u64| {
            world.pass_milliseconds(seconds);
            old.copy().ask(Request::new("POST", "/app"))
        };
        for wait in [0, 1000, 8999] {
            let outcome = again(wait);
            outcome.assert_user("alex");
            assert_eq!(token(&outcome), token(&first));
        }
        assert_eq!(world.calls_to(TOKEN), 2);
        // Then the provider sees a refresh token that was used before, and refuses it.
        again(1).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 3);
        browser
            .ask(Request::new("POST", "/app"))
            .assert_user("alex");
    });
}

#[test]
fn a_rotated_refresh_token_is_used_next_and_an_old_one_where_none_came() {
    for rotates in [true, false] {
        each(json!({}), |world, browser| {
            world.idp().set(|idp| idp.rotates = rotates);
            for round in 0..3_usize {
                world.pass_seconds(600);
                browser.open("/app").here().outcome.assert_user("alex");
                let issued = world.idp().refresh_tokens();
                let sent = world.calls();
                let body = sent.last().expect("a call").body.clone();
                assert!(
                    body.contains(&issued[round]),
                    "the one that came last before"
                );
            }
        });
    }
    each(json!({}), |world, browser| {
        // The first one stays good, and no refresh brings another.
        world.idp().set(|idp| {
            idp.rotates = false;
            idp.refresh = false;
        });
        for _ in 0..3 {
            world.pass_seconds(600);
            browser.open("/app").here().outcome.assert_user("alex");
        }
        assert_eq!(world.idp().refresh_tokens().len(), 1);
    });
}

#[test]
fn workers_that_refresh_at_the_same_moment_lose_nobody() {
    // Each worker makes its own call, and the provider takes the refresh token once. The token is good for
    // some more seconds, so the slower one serves with it.
    let world = World::with_workers(Dialect::Envoy, 1, 2);
    world.put_login(json!({}));
    world.route(&login_config(json!({})));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    let other = {
        let mut other = browser.copy();
        other.worker = 1;
        other
    };
    other.ask(Request::get("/app")).assert_user("alex");
    world.pass_seconds(275);
    let one = world.send(browser.with_cookies(Request::new("POST", "/app")));
    let two = world.send(other.with_cookies(Request::new("POST", "/app")));
    world.deliver_all();
    for ticket in [one, two] {
        let outcome = world.outcome(ticket);
        outcome.assert_user("alex");
        browser.keep_cookies(&outcome);
    }
    world.pass_seconds(60);
    browser
        .ask(Request::new("POST", "/app"))
        .assert_user("alex");
}

#[test]
fn workers_that_come_late_get_what_the_first_one_got() {
    // After a rest the token is over, and the provider takes the refresh token once: what the first worker
    // got waits for the others in the host's shared data, sealed, and for ten seconds.
    let world = World::with_workers(Dialect::Envoy, 1, 2);
    world.put_login(json!({}));
    world.route(&login_config(json!({})));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    let mut other = browser.copy();
    other.worker = 1;
    let mut late = browser.copy();
    late.worker = 1;
    world.pass_seconds(600);
    let first = browser.ask(Request::new("POST", "/app"));
    first.assert_user("alex");
    let second = other.ask(Request::new("POST", "/app"));
    second.assert_user("alex");
    assert_eq!(token(&second), token(&first));
    assert_eq!(world.calls_to(TOKEN), 2, "one call for both");
    // Both have a session that can be renewed again.
    world.pass_seconds(280);
    other.ask(Request::new("POST", "/app")).assert_user("alex");
    // After that the old cookie is as old as it is.
    late.ask(Request::new("POST", "/app")).assert_status(401);
}

#[test]
fn workers_whose_calls_cross_lose_nobody() {
    let world = World::with_workers(Dialect::Envoy, 1, 2);
    world.put_login(json!({}));
    world.route(&login_config(json!({})));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    let mut other = browser.copy();
    other.worker = 1;
    // That worker has met the provider, so that its call goes out at once.
    other.ask(Request::get("/app").header("authorization", "Bearer x"));
    world.pass_seconds(600);
    let one = world.send(browser.with_cookies(Request::new("POST", "/app")));
    let two = world.send(other.with_cookies(Request::new("POST", "/app")));
    world.deliver_all();
    for ticket in [one, two] {
        world.outcome(ticket).assert_user("alex");
    }
}

#[test]
fn on_kong_a_good_token_waits_for_no_second_refresh() {
    let world = World::with_login(Dialect::Kong, json!({}));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    world.pass_seconds(275);
    let tickets: Vec<_> = (0..5)
        .map(|_| world.send(browser.with_cookies(Request::new("POST", "/app"))))
        .collect();
    assert_eq!(
        world.under_way().len(),
        1,
        "the others go on with what they have"
    );
    world.deliver_all();
    for ticket in tickets {
        world.outcome(ticket).assert_user("alex");
    }
    assert_eq!(world.calls_to(TOKEN), 2);
}

#[test]
fn a_refreshed_access_token_is_verified_like_the_first() {
    for lie in [
        json!({"iss": "https://evil.test"}),
        json!({"exp": 1}),
        json!({"nbf": 99_999_999_999_u64}),
    ] {
        each(json!({}), |world, browser| {
            world.pass_seconds(600);
            world.idp().set(|idp| idp.access_claims = lie.clone());
            browser.ask(Request::new("POST", "/app")).assert_status(401);
        });
    }
}

#[test]
fn the_sooner_of_two_ends_of_an_access_token_counts() {
    // `expires_in` says 300 s, and the token itself 60.
    each(json!({"refresh_tokens": false}), |world, browser| {
        let now = world.now();
        world
            .idp()
            .set(|idp| idp.access_claims = json!({"exp": now + 60}));
        let fresh = world.browser();
        fresh.enter("/app").outcome.assert_user("alex");
        world.pass_seconds(59);
        fresh.open("/app").here().outcome.assert_user("alex");
        world.pass_seconds(1);
        let _ = fresh.open("/app").away();
        browser.open("/app").here().outcome.assert_user("alex");
    });
}

#[test]
fn a_request_that_gets_a_cookie_asks_for_no_304() {
    // A 304 brings no cookie: the new refresh token would be lost with it.
    each(json!({}), |world, browser| {
        world.pass_seconds(600);
        let conditional = || {
            Request::get("/app")
                .header("if-none-match", "\"1\"")
                .header("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")
        };
        let renewed = browser.ask(conditional());
        let seen = renewed.forwarded();
        assert_eq!(seen.header("if-none-match"), None);
        assert_eq!(seen.header("if-modified-since"), None);
        assert!(!seen.response("set-cookie").is_empty());
        let plain = browser.ask(conditional());
        assert!(plain.forwarded().header("if-none-match").is_some());
    });
}

#[test]
fn on_kong_a_result_that_arrived_meanwhile_is_taken_first() {
    // Nothing wakes another request there, so each makes its own call; the provider takes the first.
    let world = World::with_login(Dialect::Kong, json!({}));
    let browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    world.pass_seconds(600);
    let tickets: Vec<_> = (0..5)
        .map(|_| world.send(browser.with_cookies(Request::new("POST", "/app"))))
        .collect();
    assert_eq!(world.under_way().len(), 5);
    world.deliver_all();
    for ticket in tickets {
        world.outcome(ticket).assert_user("alex");
    }
    // Nor do the refusals of the later ones cost the old cookie its ten seconds.
    let outcome = browser.ask(Request::new("POST", "/app"));
    outcome.assert_user("alex");
    assert_eq!(world.calls_to(TOKEN), 6);
}
