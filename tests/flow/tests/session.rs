//! Sessions: how long they hold, what they are bound to, and what a stranger can do to their cookies
//! (specification section 14).

use flow::stage::{logged_in_for_long, login_config};
use flow::{Browser, Dialect, Request, Route, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

/// Whether the browser is logged in; if not, it is sent to log in.
fn is_in(browser: &Browser<'_>) -> bool {
    match browser.open("/app") {
        flow::Stop::Away(_) => false,
        flow::Stop::Here(page) => {
            page.outcome.assert_user("alex");
            true
        }
    }
}

#[test]
fn dx_01_a_session_wins_over_a_bad_bearer() {
    logged_in_for_long(json!({}), |world, browser| {
        for token in ["garbage", "a.b.c", &world.token(json!({"exp": 1}))] {
            let outcome = browser.ask(Request::get("/app").bearer(token));
            outcome.assert_user("alex");
            assert!(!outcome.forwarded().contains(token));
            // The nearest twin: without the session the bearer decides, and no login begins.
            world.show(token).assert_status(401);
        }
    });
}

#[test]
fn dx_32a_a_session_that_rests_for_900_s_is_over() {
    logged_in_for_long(json!({}), |world, browser| {
        let unused = browser.copy();
        world.pass_seconds(899);
        assert!(is_in(browser));
        world.pass_seconds(899);
        assert!(is_in(browser), "the first use was written down");
        assert!(!is_in(&unused), "the copy was not used for 1,798 s");
        world.pass_seconds(900);
        assert!(!is_in(browser));
    });
}

#[test]
fn dx_32b_a_session_is_over_86400_s_after_the_login() {
    logged_in_for_long(json!({}), |world, browser| {
        for _ in 0..143 {
            world.pass_seconds(600);
            assert!(is_in(browser));
        }
        world.pass_seconds(599);
        assert!(is_in(browser));
        world.pass_seconds(1);
        assert!(!is_in(browser), "however busy it was");
    });
}

#[test]
fn dx_32c_a_session_is_renewed_when_three_quarters_of_its_time_are_spent() {
    logged_in_for_long(json!({"session_idling_timeout": 0}), |world, browser| {
        let old = browser.copy();
        world.pass_seconds(2699);
        let page = browser.open("/app").here();
        page.outcome.assert_user("alex");
        let before = browser.cookie("session");
        // What was opened a moment ago is not looked at again for ten seconds.
        world.pass_seconds(10);
        let page = browser.open("/app").here();
        page.outcome.assert_user("alex");
        assert_eq!(page.outcome.forwarded().response("set-cookie").len(), 2);
        assert_ne!(browser.cookie("session"), before, "a new cookie");
        world.pass_seconds(891);
        assert!(!is_in(&old), "3,600 s after the login");
        assert!(is_in(browser), "and 891 s after the renewal");
    });
}

#[test]
fn dx_32d_requests_side_by_side_around_a_renewal_are_all_served() {
    // Both at once: the session's time and its access token are nearly spent, and the provider takes each
    // refresh token once.
    let members = json!({"session_rolling_timeout": 360, "session_idling_timeout": 0});
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        world.pass_seconds(275);
        let old = browser.copy();
        let tickets: Vec<_> = (0..20)
            .map(|_| world.send(browser.with_cookies(Request::new("POST", "/app"))))
            .collect();
        while world.deliver_any().is_some() {}
        for ticket in tickets {
            let outcome = world.outcome(ticket);
            outcome.assert_user("alex");
            browser.keep_cookies(&outcome);
        }
        // Whatever cookie came last, it is a good one, and so is the old one for a moment.
        world.pass_seconds(9);
        old.ask(Request::new("POST", "/app")).assert_user("alex");
        world.pass_seconds(100);
        let outcome = browser.ask(Request::new("POST", "/app"));
        outcome.assert_user("alex");
        assert_eq!(
            world.counted(Counter::Unauthorized),
            0,
            "{dialect:?}: none was refused"
        );
        // The nearest twin: a stranger is.
        let stranger = Request::new("PUT", "/app").header("upgrade", "websocket");
        world.ask(stranger).assert_status(401);
    }
}

#[test]
fn dx_33_a_large_session_is_cut_and_put_together() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        world.idp().set(|idp| idp.padding = 6000);
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let pieces = browser.count("session");
        assert!((3..=9).contains(&pieces), "{pieces} pieces");
        assert!(browser.cookie("session2").is_some() && browser.cookie("session3").is_some());
        browser.open("/app").here().outcome.assert_user("alex");
        // In any order.
        let turned = browser.copy();
        turned.jar.borrow_mut().reverse();
        turned.open("/app").here().outcome.assert_user("alex");
        // A piece that is missing, or of another session, makes none of it.
        for number in 1..=pieces {
            let name = if number == 1 {
                "session".to_owned()
            } else {
                format!("session{number}")
            };
            let broken = browser.copy();
            broken.jar.borrow_mut().retain(|cookie| cookie.name != name);
            let _ = broken.open("/app").away();
        }
        let other = world.browser();
        other.enter("/app").outcome.assert_user("alex");
        let mixed = browser.copy();
        mixed.plant(
            "session2",
            &other.cookie("session2").expect("a piece").value,
        );
        let _ = mixed.open("/app").away();
        // Smaller tokens, fewer pieces: the surplus goes.
        world.idp().set(|idp| idp.padding = 0);
        world.pass_seconds(290);
        browser.open("/app").here().outcome.assert_user("alex");
        assert_eq!(browser.count("session"), 1);
        browser.open("/app").here().outcome.assert_user("alex");
    }
}

#[test]
fn a_session_beyond_nine_cookies_is_an_error_that_says_so() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        world.idp().set(|idp| idp.padding = 40_000);
        let browser = world.browser();
        let away = browser.open("/app").away();
        browser.log_in(&away).here().outcome.assert_status(500);
        assert!(world.logged("session_too_large"));
        assert_eq!(browser.count("session"), 0);
    }
}

#[test]
fn dx_34a_a_cookie_that_was_touched_is_no_session() {
    logged_in_for_long(json!({}), |_, browser| {
        let good = browser.cookie("session").expect("a cookie").value;
        for at in (0..good.len()).step_by(good.len() / 60) {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(bytes).expect("a text");
            browser.plant("session", &touched);
            let page = browser.open("/app");
            let _ = page.away();
        }
        for cut in [&good[1..], &good[..good.len() - 1], "", "1", "9", "2aaaa"] {
            browser.plant("session", cut);
            let _ = browser.open("/app").away();
        }
        browser.forget("authorization_");
        browser.plant("session", &good);
        assert!(is_in(browser));
    });
}

#[test]
fn dx_34b_another_secret_opens_nothing_and_an_old_one_still_does() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        let other = "another secret, unknown too";
        let previous = "a secret that nobody guesses";
        let foreign = world.route(&login_config(json!({"session_secret": other})));
        let rotated = world.route(&login_config(
            json!({"session_secret": other, "session_secrets_previous": [previous]}),
        ));
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        browser.route = Some(foreign);
        let _ = browser.open("/app").away();
        browser.route = Some(rotated);
        assert!(is_in(&browser));
    }
}

#[test]
fn dx_34c_a_bound_session_is_good_for_its_browser() {
    logged_in_for_long(
        json!({"session_bind": ["user-agent", "scheme"]}),
        |_, browser| {
            assert!(is_in(browser));
            let mut thief = browser.copy();
            thief.agent = "another browser".to_owned();
            let _ = thief.open("/app").away();
            // Not by what was remembered a moment ago, either.
            assert!(is_in(browser));
            let _ = thief.open("/app").away();
        },
    );
}

#[test]
fn a_session_bound_to_an_address_stays_there() {
    logged_in_for_long(json!({"session_bind": ["ip"]}), |_, browser| {
        let outcome = browser.ask(Request::get("/app"));
        outcome.assert_user("alex");
        let elsewhere = Request::get("/app").from_peer("198.51.100.7");
        browser.ask(elsewhere).assert_status(302);
    });
}

#[test]
fn a_session_is_of_an_issuer_a_client_and_an_audience_and_not_of_a_policy() {
    let world = World::with_login(Dialect::Envoy, json!({}));
    let mut browser = world.browser();
    browser.enter("/app").outcome.assert_user("alex");
    let on = |browser: &mut Browser<'_>, members: Value| -> Route {
        let route = world.route(&login_config(members));
        browser.route = Some(route);
        route
    };
    for members in [
        json!({"client_id": ["other"]}),
        json!({"session_audience": "other"}),
        json!({"session_cookie_name": "other"}),
        json!({"issuer": "https://idp.test/realm/"}),
    ] {
        let slash = members.get("issuer").is_some();
        on(&mut browser, members.clone());
        if slash {
            // The same provider, spelt with a slash: whatever it is, it is nobody's session by accident.
            continue;
        }
        browser.ask(Request::get("/app")).assert_status(302);
    }
    for members in [
        json!({"scopes_required": ["openid"]}),
        json!({"logout_query_arg": "x"}),
    ] {
        on(&mut browser, members);
        assert!(is_in(&browser), "another policy, the same login");
    }
    on(&mut browser, json!({"scopes_required": ["admin"]}));
    browser.ask(Request::get("/app")).assert_status(403);
}

#[test]
fn a_session_bound_to_an_address_needs_one() {
    logged_in_for_long(json!({"session_bind": ["ip"]}), |world, browser| {
        let unknown = browser.ask(Request::get("/app").from_nobody());
        unknown.assert_status(500);
        assert!(world.logged("no_peer") && world.logged("use_remote_address"));
    });
}

#[test]
fn a_session_is_held_against_each_routes_issuers() {
    for dialect in Dialect::BOTH {
        let other = "https://other.test";
        let world = World::with_login(dialect, json!({"issuers_allowed": [other]}));
        world.idp().set(|idp| {
            idp.id_claims = json!({"iss": other});
            idp.access_claims = json!({"iss": other});
        });
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        assert!(is_in(&browser));
        let strict = world.route(&login_config(json!({})));
        browser.route = Some(strict);
        // Also on a worker that does not know the provider yet.
        browser.ask(Request::get("/app")).assert_status(302);
        browser
            .ask(Request::new("POST", "/app").header("x-a", "b"))
            .assert_status(302);
    }
}

#[test]
fn a_session_of_a_shared_secret_counts_only_where_that_is_taken() {
    let mut tokens = None;
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({"enable_hs_signatures": true}));
        world.idp().set(|idp| {
            idp.forge = Some(|claims| support::issuer::hs256(flow::idp::SECRET.as_bytes(), claims));
        });
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        tokens = world.idp().id_token();
        assert!(is_in(&browser));
        let strict = world.route(&login_config(json!({"enable_hs_signatures": false})));
        browser.route = Some(strict);
        browser.ask(Request::get("/app")).assert_status(302);
    }
    assert!(tokens.is_some());
}

#[test]
fn beside_a_session_nothing_that_looks_like_a_token_goes_on() {
    for (hide, left) in [(true, false), (false, true)] {
        logged_in_for_long(json!({"hide_credentials": hide}), |_, browser| {
            let request = Request::get("/app?a=1&access_token=planted&b=2")
                .header("authorization", "Bearer planted")
                .header("access-token", "planted")
                .header("x-access-token", "planted");
            let outcome = browser.ask(request);
            outcome.assert_user("alex");
            let seen = outcome.forwarded();
            assert_ne!(
                seen.header("authorization").as_deref(),
                Some("Bearer planted")
            );
            assert_eq!(seen.header("access-token").is_some(), left);
            assert_eq!(seen.header("x-access-token").is_some(), left);
            assert_eq!(seen.path().contains("planted"), left);
            if hide {
                assert_eq!(seen.path(), "/app?a=1&b=2");
            }
        });
    }
}

#[test]
fn max_age_counts_from_the_login_also_after_a_refresh_that_does_not_tell() {
    logged_in_for_long(json!({"max_age": 1000}), |world, browser| {
        world
            .idp()
            .set(|idp| idp.id_claims = json!({"auth_time": null}));
        world.pass_seconds(600);
        browser
            .ask(Request::new("POST", "/app"))
            .assert_user("alex");
        world.pass_seconds(250);
        browser
            .ask(Request::new("POST", "/app"))
            .assert_user("alex");
        world.pass_seconds(150);
        browser.ask(Request::new("POST", "/app")).assert_status(403);
    });
}

#[test]
fn what_is_known_of_the_session_goes_upstream_and_a_clients_word_does_not() {
    let members = json!({"session_request_headers": ["id", "subject", "audience", "timeout"]});
    logged_in_for_long(members, |_, browser| {
        let request = Request::get("/app")
            .header("session-subject", "root")
            .header("session-rolling-timeout", "9");
        let seen = browser.ask(request);
        let seen = seen.forwarded();
        assert_eq!(seen.all("session-subject"), ["sub of alex"]);
        assert_eq!(seen.all("session-audience"), ["default"]);
        assert_eq!(seen.all("session-timeout"), ["900"]);
        assert_eq!(seen.all("session-id").len(), 1);
        assert!(seen.all("session-rolling-timeout").is_empty());
    });
}
