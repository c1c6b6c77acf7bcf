//! Callbacks that are late, doubled, foreign or forged (specification section 4.9, RFC 9207, RFC 6749
//! section 10.12).

use flow::idp::TOKEN;
use flow::stage::{ISSUER, login_config};
use flow::{Away, Browser, Dialect, Page, Request, Stop, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        then(&world);
    }
}

fn set(fields: &mut [(String, String)], name: &str, value: &str) {
    for (own, old) in fields.iter_mut().filter(|(own, _)| own == name) {
        assert_eq!(own, name);
        value.clone_into(old);
    }
}

/// That nobody is logged in here, and that nothing of the callback went on.
#[track_caller]
fn assert_nobody(browser: &Browser<'_>) {
    assert_eq!(browser.count("session"), 0, "no session");
    let _ = browser.open("/").away();
}

/// The good twin: the same login as it should be.
#[track_caller]
fn assert_good(browser: &Browser<'_>, away: &Away) {
    let page = browser.log_in(away).here();
    page.outcome.assert_user("alex");
    assert_eq!(browser.count("session"), 1);
}

#[test]
fn dx_30a_a_state_that_is_not_ours_starts_no_session() {
    let members = json!({"redirect_uri": ["https://api.test/cb"], "login_action": "redirect", "login_tokens": []});
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        let other = world.browser().open("/app").away();
        let state = away.parameter("state").expect("a state");
        let mut tampered = state.clone().into_bytes();
        let middle = tampered.len() / 2;
        tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).expect("a text");
        let foreign = other.parameter("state").expect("a state");
        for wrong in [
            "",
            "x",
            tampered.as_str(),
            &state[1..],
            &format!("{state}x"),
            &foreign,
        ] {
            let stop = browser.log_in_with(&away, |fields| set(fields, "state", wrong));
            // A state that opens under nobody's key makes no callback: an ordinary request.
            let again = stop.away();
            assert_eq!(browser.count("session"), 0);
            assert_eq!(world.calls_to(TOKEN), 0, "the code went nowhere");
            assert_ne!(again.parameter("state").as_deref(), Some(state.as_str()));
        }
        let none = browser.log_in_with(&away, |fields| fields.retain(|(name, _)| name != "state"));
        let _ = none.away();
        assert_eq!(world.calls_to(TOKEN), 0);
        assert_good(&browser, &away);
    });
}

#[test]
fn dx_30b_without_its_cookie_a_callback_starts_no_session() {
    each(json!({}), |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        let stranger = world.browser();
        // Login CSRF: somebody else's browser is made to end my login.
        let again = stranger.log_in(&away).away();
        assert_eq!(stranger.count("session"), 0);
        assert_eq!(world.calls_to(TOKEN), 0, "the code went nowhere");
        assert_good(&stranger, &again);
        assert_good(&browser, &away);
    });
}

#[test]
fn dx_30c_a_replayed_callback_starts_no_second_session() {
    let members =
        json!({"login_action": "redirect", "login_tokens": [], "preserve_query_args": true});
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app?x=1").away();
        let mut fields = Vec::new();
        let before = browser.copy();
        let page = browser
            .log_in_with(&away, |sent| fields.clone_from(sent))
            .here();
        page.outcome.assert_user("alex");
        let callback = page.visited[1].split(' ').nth(1).expect("a target");
        assert!(callback.contains("code="), "{:?}", page.visited);
        // With the session: on to the page. The login's cookie is gone, so the code is not looked at.
        let twice = browser.open(callback).here();
        twice.outcome.assert_user("alex");
        assert_eq!(twice.url, "/app?x=1");
        assert_eq!(world.calls_to(TOKEN), 1);
        // Without, and with the login's cookie: the provider knows the code no more.
        let again = before.open(callback).away();
        assert_eq!(world.calls_to(TOKEN), 2);
        assert_eq!(before.count("session"), 0);
        assert_good(&before, &again);
    });
}

#[test]
fn dx_30d_an_id_token_of_another_login_starts_no_session() {
    each(json!({}), |world| {
        for nonce in [
            json!("another"),
            json!(null),
            json!(""),
            json!(1),
            json!(["x"]),
        ] {
            let browser = world.browser();
            let away = browser.open("/app").away();
            world
                .idp()
                .set(|idp| idp.id_claims = json!({"nonce": nonce.clone()}));
            if nonce.is_null() {
                world
                    .idp()
                    .set(|idp| idp.id_claims = json!({"nonce": Value::Null}));
            }
            browser.log_in(&away).here().outcome.assert_status(401);
            assert_nobody(&browser);
        }
        world.idp().set(|idp| idp.id_claims = json!({}));
        let browser = world.browser();
        let away = browser.open("/app").away();
        assert_good(&browser, &away);
    });
}

#[test]
fn dx_31_tabs_log_in_side_by_side() {
    each(json!({"response_mode": "form_post"}), |world| {
        let browser = world.browser();
        let tabs: Vec<Away> = ["/one", "/two", "/three"]
            .iter()
            .map(|target| browser.open(target).away())
            .collect();
        assert_eq!(browser.count("authorization_"), 3);
        // The second ends first; each ends where it began.
        for (tab, path) in [(1, "/two"), (0, "/one"), (2, "/three")] {
            let page = browser.log_in(&tabs[tab]).here();
            page.outcome.assert_user("alex");
            assert_eq!(page.outcome.forwarded().path(), path);
        }
        assert_eq!(browser.count("authorization_"), 0);
        assert_eq!(world.counted(Counter::LoggedIn), 3);
    });
}

#[test]
fn a_second_login_while_a_session_lives_takes_its_place() {
    each(json!({}), |world| {
        let mut browser = world.browser();
        let second = browser.open("/two").away();
        browser.enter("/one").outcome.assert_user("alex");
        browser.user = "blake".to_owned();
        let page = browser.log_in(&second).here();
        page.outcome.assert_user("blake");
        browser.open("/").here().outcome.assert_user("blake");
        assert_eq!(browser.count("session"), 1);
    });
}

#[test]
fn a_state_of_another_key_issuer_or_client_is_none() {
    for members in [
        json!({"session_secret": "another secret, unknown too"}),
        json!({"client_id": ["somebody else"]}),
        json!({"authorization_cookie_name": "other"}),
    ] {
        let world = World::with_login(Dialect::Envoy, json!({}));
        let other = world.route(&login_config(members));
        let mut browser = world.browser();
        let away = browser.open("/app").away();
        browser.route = Some(other);
        let stop = browser.log_in(&away);
        let _ = stop.away();
        assert_eq!(world.calls_to(TOKEN), 0);
    }
}

#[test]
fn the_issuer_in_a_callback_is_held_against_the_providers() {
    for (promised, iss, good) in [
        (false, None, true),
        (false, Some(ISSUER), true),
        (false, Some("https://evil.test"), false),
        (true, Some(ISSUER), true),
        (true, Some("https://evil.test"), false),
        (true, None, false),
    ] {
        let world = World::new(Dialect::Envoy, 1);
        world.put_login(json!({"authorization_response_iss_parameter_supported": promised}));
        // That claims are not verified changes nothing here (RFC 9207 section 2.4).
        world.route(&login_config(json!({"verify_claims": iss.is_none()})));
        world.idp().set(|idp| idp.iss = iss);
        let browser = world.browser();
        let away = browser.open("/").away();
        let page = browser.log_in(&away).here();
        if good {
            page.outcome.assert_user("alex");
        } else {
            page.outcome.assert_status(401);
            assert_eq!(world.calls_to(TOKEN), 0, "the code went nowhere");
            assert_nobody(&browser);
        }
    }
}

fn as_error(fields: &mut Vec<(String, String)>) {
    fields.retain(|(name, _)| name == "state");
    fields.push(("error".to_owned(), "access_denied".to_owned()));
    fields.push((
        "error_description".to_owned(),
        "no\r\nX-Evil: \"1\"".to_owned(),
    ));
}

#[test]
fn an_error_of_the_provider_is_told_and_starts_no_login() {
    for mode in ["query", "form_post"] {
        each(json!({"response_mode": mode}), |world| {
            let browser = world.browser();
            let away = browser.open("/app").away();
            let page: Page = browser.log_in_with(&away, as_error).here();
            page.outcome.assert_status(401);
            assert!(world.logged("access_denied"));
            assert_eq!(world.calls_to(TOKEN), 0);
            assert_eq!(world.counted(Counter::LoginStarted), 1, "no new login");
            assert_nobody(&browser);
        });
    }
}

#[test]
fn a_foreign_error_at_the_callback_is_401_and_clears_nothing() {
    let members = json!({"redirect_uri": ["https://api.test/cb"]});
    each(members, |world| {
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let pending = browser.open("/app");
        assert!(
            matches!(pending, Stop::Here(_)),
            "the session answers for it"
        );
        for target in ["/cb?error=access_denied", "/cb?error=x&state=foreign"] {
            let page = browser.open_from_elsewhere(target).here();
            page.outcome.assert_status(401);
            assert_eq!(page.outcome.answer_header("set-cookie"), None);
        }
        browser.open("/app").here().outcome.assert_user("alex");
        // At any other address it is an ordinary request.
        let page = browser.open("/app?error=access_denied").here();
        page.outcome.assert_user("alex");
    });
}

#[test]
fn a_form_with_a_foreign_error_is_401_and_starts_no_login() {
    let members = json!({"redirect_uri": ["https://api.test/cb"], "response_mode": "form_post"});
    each(members, |world| {
        let browser = world.browser();
        let page = browser
            .post_from_elsewhere("/cb", "error=access_denied&state=foreign")
            .here();
        page.outcome.assert_status(401);
        assert_eq!(world.counted(Counter::LoginStarted), 0);
    });
}

#[test]
fn a_callback_by_query_is_a_get() {
    each(json!({}), |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        let state = away.parameter("state").expect("a state");
        let target = format!("/app?code=x&state={state}");
        let post = Request::new("POST", &target).header("content-type", "application/json");
        browser.ask(post).assert_status(302);
        assert_eq!(world.calls_to(TOKEN), 0);
        assert!(!world.logged("stale_callback"));
    });
}

#[test]
fn a_login_without_pkce_is_not_finished_where_pkce_is_demanded() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(
            dialect,
            json!({"require_proof_key_for_code_exchange": false}),
        );
        let mut browser = world.browser();
        let away = browser.open("/app").away();
        assert_eq!(away.parameter("code_challenge"), None);
        let strict = world.route(&login_config(
            json!({"require_proof_key_for_code_exchange": true}),
        ));
        browser.route = Some(strict);
        let again = browser.log_in(&away).away();
        assert!(again.parameter("code_challenge").is_some());
        assert_eq!(world.calls_to(TOKEN), 0, "the code went nowhere");
        browser.log_in(&again).here().outcome.assert_user("alex");
    }
}

#[test]
fn a_stale_callback_ends_in_one_fresh_login_and_at_most_two() {
    each(json!({}), |world| {
        let browser = world.browser();
        let mut away = browser.open("/app").away();
        // Each time the browser loses the cookie on its way.
        browser.forget("authorization_");
        away = browser.log_in(&away).away();
        browser.forget("authorization_");
        let page = browser.log_in(&away).here();
        page.outcome.assert_status(401);
        assert_eq!(world.counted(Counter::LoginStarted), 2);
        assert_eq!(world.calls_to(TOKEN), 0);
        // And a fresh visit is a fresh start.
        browser.enter("/app").outcome.assert_user("alex");
    });
}

#[test]
fn a_login_that_took_too_long_begins_again() {
    each(json!({}), |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        world.pass_seconds(599);
        let slow = browser.open("/slow").away();
        world.pass_seconds(1);
        let again = browser.log_in(&away).away();
        assert_eq!(world.calls_to(TOKEN), 0);
        assert_good(&browser, &again);
        let page = browser.log_in(&slow).here();
        assert_eq!(page.outcome.forwarded().path(), "/slow");
    });
}

#[test]
fn ten_logins_may_be_under_way_and_the_oldest_goes() {
    each(json!({}), |world| {
        let browser = world.browser();
        let mut tabs = Vec::new();
        for number in 0..12 {
            tabs.push(browser.open(&format!("/{number}")).away());
            world.pass_seconds(1);
            assert_eq!(browser.count("authorization_"), 10.min(number + 1));
        }
        let page = browser.log_in(&tabs[11]).here();
        assert_eq!(page.outcome.forwarded().path(), "/11");
        let page = browser.log_in(&tabs[2]).here();
        assert_eq!(page.outcome.forwarded().path(), "/2");
        // The oldest lost its cookie; a session lives, so it ends in its page.
        let page = browser.log_in(&tabs[0]).here();
        page.outcome.assert_user("alex");
        assert_eq!(page.url, "/0");
    });
}

#[test]
fn a_callback_with_a_parameter_twice_or_with_contradictions_is_400() {
    each(json!({}), |world| {
        for spoil in [
            |fields: &mut Vec<(String, String)>| fields.push(fields[0].clone()),
            |fields: &mut Vec<(String, String)>| {
                fields.push(("state".to_owned(), "other".to_owned()));
            },
            |fields: &mut Vec<(String, String)>| {
                fields.push(("error".to_owned(), "x".to_owned()));
            },
            |fields: &mut Vec<(String, String)>| set(fields, "code", "\u{1}"),
        ] {
            let browser = world.browser();
            let away = browser.open("/app").away();
            let page = browser.log_in_with(&away, spoil).here();
            page.outcome.assert_status(400);
            assert_eq!(browser.count("session"), 0);
        }
        assert_eq!(world.calls_to(TOKEN), 0);
    });
}

#[test]
fn a_form_that_another_site_made_is_not_made_ours() {
    // With a state that opens (of the attacker's own login) the resubmit page must carry nothing else.
    each(
        json!({"response_mode": "form_post", "logout_post_arg": "bye"}),
        |world| {
            let attacker = world.browser().open("/app").away();
            let state = attacker.parameter("state").expect("a state");
            let browser = world.browser();
            browser.enter("/app").outcome.assert_user("alex");
            let form = format!("state={state}&code=x&bye=1&transfer=1000");
            let page = browser.post_from_elsewhere("/app", &form).here();
            page.outcome.assert_user("alex");
            assert_eq!(page.outcome.forwarded().method(), "GET");
            assert!(!page.outcome.forwarded().contains("transfer"));
            browser.open("/").here().outcome.assert_user("alex");
        },
    );
}

#[test]
fn an_ordinary_form_with_a_state_of_its_own_is_left_alone() {
    each(json!({"response_mode": "form_post"}), |world| {
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let request = Request::new("POST", "/app").form("state=Bavaria&code=1&error=none");
        let outcome = browser.ask(request);
        outcome.assert_user("alex");
        let seen = outcome.forwarded();
        assert_eq!(seen.method(), "POST");
        assert_eq!(seen.body(), b"state=Bavaria&code=1&error=none");
    });
}

#[test]
fn a_form_that_is_too_long_to_read_is_no_callback_and_goes_on_whole() {
    let members = json!({"response_mode": "form_post", "logout_post_arg": "bye"});
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        let long = "x".repeat(70_000);
        let stop = browser.log_in_with(&away, |fields| fields.push(("pad".to_owned(), long)));
        let again = stop.away();
        assert_eq!(world.calls_to(TOKEN), 0);
        assert_good(&browser, &again);
        let form = format!("bye=1&pad={}", "x".repeat(70_000));
        let outcome = browser.ask(Request::new("POST", "/app").form(&form));
        outcome.assert_user("alex");
        assert_eq!(outcome.forwarded().body(), form.as_bytes());
        assert!(world.logged("body_not_read"));
    });
}
