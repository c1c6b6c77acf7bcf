//! What comes back from a login: the callback, what it must bring, and what the provider gives for it. At the scripted
//! provider, which lies when it is told to.

use acceptance::{Gateway, session_cookies, tampered};
use serde_json::json;
use support::browser::{Browser, parameter};
use support::provider::{AUTHORIZE, Behaviour, DISCOVERY, Provider, TOKEN};

#[test]
fn dx_30_a_callback_with_a_wrong_state_is_no_callback() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let back = gateway.until_callback(&mut browser, "/hello");
    let callback = back.location().expect("the callback");
    let state = parameter(&callback, "state").expect("a state");
    for wrong in [tampered(&state), state[1..].to_owned(), "x".to_owned()] {
        let url = callback.as_str().replace(&state, &wrong);
        gateway.asks_to_log_in(&browser.get(&url));
    }
    assert_eq!(provider.calls(TOKEN), 0);
    // The right one still counts.
    let page = browser.follow(back);
    gateway.forwarded(&page.answer);
}

#[test]
fn dx_30_a_callback_without_its_cookie_begins_anew_and_not_for_ever() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let mut back = gateway.until_callback(&mut browser, "/hello?a=1");
    browser.cookies.clear();
    let again = browser.get(back.location().expect("the callback").as_str());
    gateway.asks_to_log_in(&again);
    back = browser.get(again.location().expect("the provider").as_str());
    let mut forgetful = Browser::new();
    let end = forgetful.get(back.location().expect("the callback").as_str());
    gateway.answered(&end.answer, 401);
    assert_eq!(session_cookies(&end.answer), Vec::<String>::new());
    assert_eq!(provider.calls(TOKEN), 0);
    // With its cookie the second login leads to where the first one should have.
    let page = browser.follow(back);
    assert_eq!(page.url.as_str(), gateway.url("/hello?a=1"));
    gateway.forwarded(&page.answer);
}

#[test]
fn dx_30_a_replayed_callback_gives_no_second_session() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let back = gateway.until_callback(&mut browser, "/hello");
    let callback = back.location().expect("the callback");
    let mut thief = browser.clone();
    let page = browser.follow(back);
    gateway.forwarded(&page.answer);
    // Whoever is logged in gets to the page (a reload, the back button).
    let reload = browser.get(callback.as_str());
    gateway.answered(&reload.answer, 302);
    let page = browser.follow(reload);
    assert_eq!(page.url.as_str(), gateway.url("/hello"));
    gateway.forwarded(&page.answer);
    // With a copy of the login's cookie: the provider knows the code no more.
    let calls = provider.calls(TOKEN);
    gateway.asks_to_log_in(&thief.get(callback.as_str()));
    assert_eq!(provider.calls(TOKEN), calls + 1);
    // And without it.
    gateway.asks_to_log_in(&Browser::new().get(callback.as_str()));
    assert_eq!(provider.calls(TOKEN), calls + 1);
}

#[test]
fn dx_30_an_id_token_of_another_login_is_refused() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    provider.set_tokens(|tokens| tokens.id = json!({"nonce": "of another login"}));
    let page = Browser::new().log_in(&gateway.url("/hello"));
    gateway.answered(&page.answer, 401);
    assert_eq!(session_cookies(&page.answer), Vec::<String>::new());
    provider.set_tokens(|tokens| tokens.id = json!({}));
    gateway.enter(&mut Browser::new(), "/hello");
}

#[test]
fn dx_31_two_tabs_log_in_at_once() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let first = gateway.until_callback(&mut browser, "/first?tab=1");
    let second = gateway.until_callback(&mut browser, "/second?tab=2");
    assert_eq!(browser.named("authorization").len(), 2);
    for (back, target) in [(first, "/first?tab=1"), (second, "/second?tab=2")] {
        let page = browser.follow(back);
        assert_eq!(page.url.as_str(), gateway.url(target));
        let seen = gateway.forwarded(&page.answer);
        assert_eq!(seen.target, target);
    }
    assert!(browser.named("authorization").is_empty());
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/first")));
}

#[test]
fn a_provider_that_is_down_at_a_login_is_500_and_heals() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Status(503));
    // One worker: each finds out by itself that the provider is there again.
    let gateway = Gateway::for_logins_with(&provider, json!({}), |options| {
        options.concurrency = 1;
    });
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/hello"));
    gateway.answered(&page.answer, 500);
    assert_eq!(page.answer.header("set-cookie"), None);
    provider.always(DISCOVERY, Behaviour::Normal);
    acceptance::eventually("the provider is there again", || {
        browser.get(&gateway.url("/hello")).answer.status == 302
    });
    gateway.enter(&mut Browser::new(), "/hello");

    // Down at the callback: no session, and no second use of the code.
    for behaviour in [
        Behaviour::Status(500),
        Behaviour::Close,
        Behaviour::Answer(b"no".to_vec()),
    ] {
        let mut browser = Browser::new();
        let back = gateway.until_callback(&mut browser, "/hello");
        provider.next(TOKEN, behaviour.clone());
        let calls = provider.calls(TOKEN);
        let page = browser.get(back.location().expect("the callback").as_str());
        gateway.answered(&page.answer, 500);
        assert_eq!(session_cookies(&page.answer), Vec::<String>::new());
        assert_eq!(provider.calls(TOKEN), calls + 1, "{behaviour:?}");
    }
    gateway.enter(&mut Browser::new(), "/hello");
}

#[test]
fn tokens_that_are_not_for_this_login_make_no_session() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let wrong = [
        json!({"nonce": null}),
        json!({"aud": "another client"}),
        json!({"aud": ["kong", "another"], "azp": "another"}),
        json!({"iss": "http://elsewhere.example"}),
        json!({"exp": 1}),
        json!({"exp": null}),
        json!({"sub": null}),
        json!({"iat": 9_999_999_999_u64}),
        json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ];
    for claims in wrong {
        provider.set_tokens(|tokens| tokens.id = claims.clone());
        let page = Browser::new().log_in(&gateway.url("/hello"));
        assert_eq!(
            page.answer.status,
            401,
            "{claims}: {}",
            gateway.filter_log()
        );
        assert_eq!(
            session_cookies(&page.answer),
            Vec::<String>::new(),
            "{claims}"
        );
    }
    provider.set_tokens(|tokens| {
        tokens.id = json!({});
        tokens.bad_signature = true;
    });
    let page = Browser::new().log_in(&gateway.url("/hello"));
    gateway.answered(&page.answer, 401);
    provider.set_tokens(|tokens| {
        tokens.bad_signature = false;
        tokens.answer = json!({"id_token": null});
    });
    let page = Browser::new().log_in(&gateway.url("/hello"));
    gateway.answered(&page.answer, 500);
    provider.set_tokens(|tokens| tokens.answer = json!({}));
    gateway.enter(&mut Browser::new(), "/hello");
}

#[test]
fn a_changed_code_or_login_cookie_makes_no_session() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let back = gateway.until_callback(&mut browser, "/hello");
    let callback = back.location().expect("the callback");
    let code = parameter(&callback, "code").expect("a code");
    // Another code than the provider's.
    let other = callback.as_str().replace(&code, "code-of-mallory");
    gateway.asks_to_log_in(&browser.clone().get(&other));
    // A code of mallory's own login in the login of alex: another verifier belongs to it.
    let mut mallory = Browser::new();
    let theirs = gateway.until_callback(&mut mallory, "/hello");
    let theirs = theirs.parameter("code").expect("a code");
    let mixed = callback.as_str().replace(&code, &theirs);
    gateway.asks_to_log_in(&browser.clone().get(&mixed));
    // The login's cookie, changed at every so many places.
    let own = browser.named("authorization")[0].clone();
    for at in (0..own.value.len()).step_by(7) {
        let mut changed = own.value.clone();
        let letter = if &changed[at..=at] == "A" { "B" } else { "A" };
        changed.replace_range(at..=at, letter);
        let mut one = browser.clone();
        for cookie in &mut one.cookies {
            cookie.value.clone_from(&changed);
        }
        gateway.asks_to_log_in(&one.get(callback.as_str()));
    }
    // A cookie under the name of another login.
    let mut one = browser.clone();
    mallory.cookies[0].value.clone_from(&own.value);
    one.cookies = mallory.cookies;
    gateway.asks_to_log_in(&one.get(callback.as_str()));
    // Untouched it counts.
    let page = browser.get(callback.as_str());
    let page = browser.follow(page);
    gateway.forwarded(&page.answer);
}

#[test]
fn an_error_of_the_provider_ends_the_login() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let back = gateway.until_callback(&mut browser, "/hello");
    let state = back.parameter("state").expect("a state");
    let denied = gateway.url(&format!("/hello?error=access_denied&state={state}"));
    let page = browser.get(&denied);
    gateway.answered(&page.answer, 401);
    assert_eq!(provider.calls(AUTHORIZE), 1);
    let page = browser.follow(back);
    gateway.forwarded(&page.answer);
}
