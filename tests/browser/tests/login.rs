//! A login, and what a visitor does with the pages of one.

use browser::{Browser, Entrance, Exchange, log_in};
use serde_json::json;

/// Those at the gateway, without the icon that Chromium asks for.
pub fn at_gateway(exchanges: &[Exchange]) -> Vec<&Exchange> {
    exchanges
        .iter()
        .filter(|exchange| exchange.is_at("localhost"))
        .collect()
}

/// The one that is a callback by its query.
pub fn callback(exchanges: &[Exchange]) -> &Exchange {
    let mut callbacks = at_gateway(exchanges);
    callbacks.retain(|exchange| exchange.url.contains("code=") && exchange.url.contains("state="));
    assert_eq!(callbacks.len(), 1, "{exchanges:#?}");
    callbacks.remove(0)
}

#[test]
fn ht_01b_a_visitor_logs_in_by_the_form_and_gets_the_wanted_page() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    let page = entrance.enter(&browser, "/anything?hello=world");
    assert_eq!(page.method, "GET");
    assert!(browser.text().contains("/anything?hello=world"));

    let exchanges = browser.exchanges();
    let own = at_gateway(&exchanges);
    let statuses: Vec<u64> = own.iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [302, 302, 200], "{exchanges:#?}");
    assert!(own[1].brings("authorization_") && own[2].brings("session"));
    for answer in &own[..2] {
        let caching = answer.header("cache-control").unwrap_or_default();
        assert!(caching.contains("no-store"), "{answer:#?}");
    }
    // The login is over, and so is its cookie.
    assert!(browser.cookies("localhost", "authorization").is_empty());
}

#[test]
fn ht_01c_the_session_opens_the_next_pages_without_the_provider() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    entrance.enter(&browser, "/first");
    let _ = browser.exchanges();
    for path in ["/second", "/third?x=1"] {
        browser.open(&entrance.url(path));
        entrance.page_of_alex(path);
    }
    let exchanges = browser.exchanges();
    assert_eq!(exchanges.len(), 2, "{exchanges:#?}");
    assert!(exchanges.iter().all(|exchange| exchange.status == 200));
}

#[test]
fn dx_31_two_tabs_that_log_in_at_once_both_get_their_pages() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    let one = browser.tab();
    entrance.is_sent_to_log_in(&browser, "/one?tab=1");
    let two = browser.new_tab();
    entrance.is_sent_to_log_in(&browser, "/two?tab=2");
    assert_eq!(browser.cookies("localhost", "authorization").len(), 2);

    log_in(&browser);
    browser.wait_for_url(&entrance.url("/two?tab=2"));
    entrance.page_of_alex("/two?tab=2");
    let first_session = browser.cookies("localhost", "session");
    // Keycloak's page in the other tab may go on by itself, now that alex is logged in there.
    browser.go_to_tab(&one);
    let wanted = entrance.url("/one?tab=1");
    browser.wait("the page of the first tab", || {
        if browser.url() != wanted && browser.has("#kc-login") {
            browser.reload();
        }
        browser.url() == wanted
    });
    entrance.page_of_alex("/one?tab=1");
    // That was a callback of its own, while a session was alive.
    assert!(callback_of(&browser, "/one").brings("session"));
    assert_ne!(browser.cookies("localhost", "session"), first_session);
    assert!(browser.cookies("localhost", "authorization").is_empty());
    for tab in [&two, &one] {
        browser.go_to_tab(tab);
        browser.reload();
        assert!(browser.text().contains("?tab="), "{}", browser.text());
    }
}

fn callback_of(browser: &Browser, path: &str) -> Exchange {
    let mut exchanges = browser.exchanges();
    exchanges.retain(|exchange| exchange.path() == path.trim_start_matches('/'));
    callback(&exchanges).clone()
}

#[test]
fn a_callback_that_is_opened_again_ends_in_the_wanted_page() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted?a=b");
    let url = callback(&browser.exchanges()).url.clone();
    let session = browser.cookies("localhost", "session").remove(0);

    // With a session: straight to the page.
    browser.open(&url);
    browser.wait_for_url(&entrance.url("/wanted?a=b"));
    entrance.page_of_alex("/wanted?a=b");
    let exchanges = browser.exchanges();
    let statuses: Vec<u64> = exchanges.iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [302, 200], "{exchanges:#?}");

    // Without: one fresh login, which Keycloak answers by itself.
    browser.forget_cookie(&entrance.url("/"), &session.name);
    browser.open(&url);
    browser.wait_for_url(&entrance.url("/wanted?a=b"));
    entrance.page_of_alex("/wanted?a=b");
    let exchanges = browser.exchanges();
    let logins = exchanges
        .iter()
        .filter(|exchange| exchange.path().ends_with("openid-connect/auth"));
    assert_eq!(logins.count(), 1, "{exchanges:#?}");
}

#[test]
fn back_to_the_form_after_the_login_leads_forward_again() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted");
    browser.back();
    browser.wait_for_url(&entrance.url("/wanted"));
    assert!(browser.text().contains("/wanted"), "{}", browser.text());
}

#[test]
fn a_login_that_goes_on_to_the_upstream_can_be_reloaded() {
    let entrance = Entrance::new(json!({"login_action": "upstream"}));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted?a=b");
    log_in(&browser);
    browser.wait("the API's page", || browser.text().contains("/wanted"));
    // The browser stands on the callback; the API sees the wanted page.
    entrance.page_of_alex("/wanted?a=b");
    assert!(browser.url().contains("code="), "{}", browser.url());
    let exchanges = browser.exchanges();
    assert_eq!(callback(&exchanges).status, 200, "{exchanges:#?}");

    browser.reload();
    browser.wait_for_url(&entrance.url("/wanted?a=b"));
    entrance.page_of_alex("/wanted?a=b");
}

#[test]
fn a_login_that_hands_tokens_out_shows_them_to_the_browser_alone() {
    let entrance = Entrance::new(json!({"login_tokens": ["id_token"]}));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted");
    log_in(&browser);
    let start = entrance.url("/wanted#id_token=ey");
    browser.wait("the token behind the #", || {
        browser.url().starts_with(&start)
    });
    entrance.page_of_alex("/wanted");
}
