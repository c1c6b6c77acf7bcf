//! The browser's traps: cookies that it holds back (specification section 4.9, "Cookie trap"; RFC 6265bis
//! section 5.6.7).

use flow::idp::TOKEN;
use flow::{Dialect, Stop, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        then(&world);
    }
}

const SENT_AGAIN: &str = "POST /app 200";

#[test]
fn a_form_post_soon_after_the_start_brings_its_cookie() {
    each(json!({"response_mode": "form_post"}), |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        world.pass_seconds(119);
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
        assert_eq!(page.count(SENT_AGAIN), 0, "no page of ours is needed");
    });
}

#[test]
fn a_form_post_without_its_cookie_is_sent_once_more_from_our_site() {
    for same_site in ["Default", "Lax", "Strict"] {
        let members =
            json!({"response_mode": "form_post", "authorization_cookie_same_site": same_site});
        each(members, |world| {
            let browser = world.browser();
            let away = browser.open("/app").away();
            // Somebody thinks about their password for 130 s.
            world.pass_seconds(130);
            let page = browser.log_in(&away).here();
            page.outcome.assert_user("alex");
            assert_eq!(page.count(SENT_AGAIN), 1, "{:?}", page.visited);
            assert_eq!(world.calls_to(TOKEN), 1);
            assert_eq!(world.counted(Counter::LoginStarted), 1);
        });
    }
}

#[test]
fn with_same_site_none_it_takes_no_page() {
    let members = json!({"response_mode": "form_post", "authorization_cookie_same_site": "None"});
    each(members, |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        world.pass_seconds(590);
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
        assert_eq!(page.count(SENT_AGAIN), 0);
    });
}

#[test]
fn a_form_whose_cookie_is_gone_is_sent_again_once_and_then_begins_anew() {
    each(json!({"response_mode": "form_post"}), |world| {
        let browser = world.browser();
        let away = browser.open("/app").away();
        browser.forget("authorization_");
        let again = browser.log_in(&away).away();
        browser.forget("authorization_");
        let page = browser.log_in(&again).here();
        page.outcome.assert_status(401);
        assert_eq!(
            page.count(SENT_AGAIN),
            2,
            "once for each login: {:?}",
            page.visited
        );
        assert_eq!(world.counted(Counter::LoginStarted), 2);
        assert_eq!(world.calls_to(TOKEN), 0);
    });
}

#[test]
fn the_page_that_sends_the_form_again_runs_nothing_else() {
    each(json!({"response_mode": "form_post"}), |world| {
        let stranger = world.browser().open("/app").away();
        let state = stranger.parameter("state").expect("a state");
        let evil = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
        let form = format!("state={state}&code={evil}&x={evil}");
        let request = flow::Request::new("POST", "/app").form(&form);
        let outcome = world.ask(request);
        outcome.assert_status(200);
        let body = String::from_utf8_lossy(&outcome.answer().body).into_owned();
        assert_eq!(body.matches("<script>").count(), 1, "{body}");
        assert!(!body.contains("name=\"x\""), "{body}");
        let policy = outcome.answer_header("content-security-policy");
        let policy = policy.expect("a policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        // It would be held against the redirect to the provider that may follow the form.
        assert!(!policy.contains("form-action"), "{policy}");
    });
}

#[test]
fn a_strict_session_works_at_once_by_a_page_of_ours() {
    for mode in ["query", "form_post"] {
        let members = json!({"session_cookie_same_site": "Strict", "response_mode": mode,
            "login_action": "redirect", "login_tokens": [], "preserve_query_args": true});
        each(members, |world| {
            let browser = world.browser();
            let page = browser.enter("/app?a=1&b=%22");
            page.outcome.assert_user("alex");
            assert_eq!(page.url, "/app?a=1&b=%22");
            // By a redirect the cookie would have been held back, and another login begun.
            assert_eq!(world.counted(Counter::LoginStarted), 1);
            assert_eq!(
                page.visited.last().map(String::as_str),
                Some("GET /app?a=1&b=%22 upstream")
            );
            // A link on another site brings no Strict cookie; one of ours does.
            assert!(matches!(browser.open_from_elsewhere("/app"), Stop::Away(_)));
            browser.open("/app").here().outcome.assert_user("alex");
        });
    }
}

#[test]
fn a_lax_session_needs_no_page() {
    let members = json!({"login_action": "redirect", "login_tokens": []});
    each(members, |world| {
        let page = world.browser().enter("/app");
        page.outcome.assert_user("alex");
        assert_eq!(page.count(" 200"), 0, "{:?}", page.visited);
    });
}

#[test]
fn a_strict_session_survives_a_stale_callback() {
    let members = json!({"session_cookie_same_site": "Strict", "login_action": "redirect", "login_tokens": []});
    each(members, |world| {
        let browser = world.browser();
        let late = browser.open("/late").away();
        browser.enter("/app").outcome.assert_user("alex");
        browser.forget("authorization_");
        // The callback comes from the provider's site, so the session is held back as well.
        match browser.log_in(&late) {
            Stop::Here(page) => page.outcome.assert_user("alex"),
            Stop::Away(again) => browser.log_in(&again).here().outcome.assert_user("alex"),
        }
        assert!(world.counted(Counter::LoginStarted) <= 3);
    });
}
