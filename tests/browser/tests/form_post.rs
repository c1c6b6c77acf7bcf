//! `response_mode: form_post`: the provider's page posts the callback, and the browser may hold the login's cookie back.

use std::thread;
use std::time::Duration;

use browser::{Browser, Entrance, Exchange, log_in};
use serde_json::json;

use crate::login::at_gateway;

/// The page that sends the form once more brought the login to its end, and nothing else would have.
fn went_over_the_page(entrance: &Entrance, browser: &Browser) {
    browser.wait_for_url(&entrance.url("/wanted?a=b"));
    entrance.page_of_alex("/wanted?a=b");
    let exchanges = browser.exchanges();
    let posts = posts(&exchanges);
    assert_eq!(posts.len(), 2, "{exchanges:#?}");
    // From the provider's page: no cookie, so no login. A page comes, and sends the same once more.
    let [first, second] = [posts[0], posts[1]];
    assert!(
        first.lacks("authorization_") && !first.brings("authorization_"),
        "{first:#?}"
    );
    assert_eq!(first.status, 200);
    assert!(first.body.contains("code=") && !first.body.contains("resubmitted"));
    assert!(second.brings("authorization_"), "{second:#?}");
    assert!(second.body.contains("oidc_filter_resubmitted=1"));
    assert_eq!(second.status, 302);
    assert!(at_gateway(&exchanges).iter().all(|step| step.status < 400));
}

fn posts(exchanges: &[Exchange]) -> Vec<&Exchange> {
    let mut posts = at_gateway(exchanges);
    posts.retain(|exchange| exchange.method == "POST");
    posts
}

#[test]
fn a_posted_callback_brings_a_new_cookie_along() {
    let entrance = Entrance::new(json!({"response_mode": "form_post"}));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted?a=b");
    let exchanges = browser.exchanges();
    let posts = posts(&exchanges);
    assert_eq!(posts.len(), 1, "{exchanges:#?}");
    assert!(posts[0].brings("authorization_") && posts[0].status == 302);
}

#[test]
fn a_lax_cookie_never_comes_with_a_posted_callback_and_the_login_ends_all_the_same() {
    let entrance = Entrance::new(json!({
        "response_mode": "form_post",
        "authorization_cookie_same_site": "Lax",
    }));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted?a=b");
    log_in(&browser);
    went_over_the_page(&entrance, &browser);
}

#[test]
fn after_130_seconds_on_the_providers_form_the_login_ends_all_the_same() {
    let entrance = Entrance::new(json!({"response_mode": "form_post"}));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted?a=b");
    // Chromium brings a cookie without SameSite along with a foreign form for two minutes, and not longer.
    thread::sleep(Duration::from_secs(130));
    log_in(&browser);
    went_over_the_page(&entrance, &browser);
}

#[test]
fn a_posted_callback_with_strict_cookies_goes_over_both_pages() {
    let entrance = Entrance::new(json!({
        "response_mode": "form_post",
        "authorization_cookie_same_site": "Strict",
        "session_cookie_same_site": "Strict",
    }));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted?a=b");
    let exchanges = browser.exchanges();
    let own = at_gateway(&exchanges);
    let steps: Vec<_> = own
        .iter()
        .map(|step| (step.method.as_str(), step.status))
        .collect();
    assert_eq!(
        steps,
        [("GET", 302), ("POST", 200), ("POST", 200), ("GET", 200)],
        "{exchanges:#?}"
    );
}

#[test]
fn a_login_whose_cookie_is_gone_begins_once_more_at_the_provider() {
    // The answer to the form that our page sends leads to another site: a policy for forms would stop it.
    let entrance = Entrance::new(json!({"response_mode": "form_post"}));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted?a=b");
    for cookie in browser.cookies("localhost", "authorization_") {
        browser.forget_cookie(&entrance.url("/"), &cookie.name);
    }
    log_in(&browser);
    browser.wait_for_url(&entrance.url("/wanted?a=b"));
    entrance.page_of_alex("/wanted?a=b");
    let exchanges = browser.exchanges();
    let statuses: Vec<u64> = posts(&exchanges).iter().map(|post| post.status).collect();
    // The page, the way back to the provider, and the callback of the second login.
    assert_eq!(statuses, [200, 302, 302], "{exchanges:#?}");
}
