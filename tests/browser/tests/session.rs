//! A session on its way to its end.

use std::thread;
use std::time::Duration;

use browser::{Browser, Entrance, SHORT_CLIENT, keycloak};
use serde_json::{Value, json};
use support::keycloak::REALM;

const LOGOUT: &str = "/logout";

/// The demo's way to log out: by a link, and back to a page that is the provider's business.
fn with_logout(members: Value) -> Entrance {
    Entrance::with(members, |options| {
        let port = options.listener().port;
        let config = &mut options.filter().config;
        config["logout_uri_suffix"] = LOGOUT.into();
        config["logout_methods"] = json!(["GET", "POST"]);
        config["logout_redirect_uri"] = json!([format!("http://localhost:{port}/")]);
    })
}

fn short_lived() -> Value {
    json!({"client_id": [SHORT_CLIENT]})
}

#[test]
fn tokens_are_refreshed_after_the_access_token_ended() {
    let entrance = Entrance::new(short_lived());
    let browser = Browser::start();
    let before = entrance.enter(&browser, "/wanted");
    let cookie = browser.cookies("localhost", "session");
    let _ = browser.exchanges();
    // The access token lasts five seconds.
    thread::sleep(Duration::from_secs(6));
    browser.open(&entrance.url("/later"));
    let after = entrance.page_of_alex("/later");
    let token = |seen: &support::upstream::Seen| seen.header("authorization");
    assert!(token(&after).is_some() && token(&before) != token(&after));
    // Without the provider's pages, and the new tokens are kept.
    let exchanges = browser.exchanges();
    assert_eq!(exchanges.len(), 1, "{exchanges:#?}");
    assert!(exchanges[0].header("set-cookie").is_some());
    assert_ne!(browser.cookies("localhost", "session"), cookie);
}

#[test]
fn dx_38_a_link_to_the_logout_ends_the_session_here_and_at_the_provider() {
    let entrance = with_logout(json!({}));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted");
    let _ = browser.exchanges();
    browser.open(&entrance.url("/some/logout?why=not"));
    let exchanges = browser.exchanges();
    let steps = exchanges.iter().map(|exchange| exchange.path());
    let steps: Vec<&str> = steps.collect();
    let at_keycloak = |name| format!("realms/{REALM}/protocol/openid-connect/{name}");
    assert_eq!(
        steps,
        [
            "some/logout",
            &at_keycloak("logout"),
            "",
            &at_keycloak("auth")
        ],
        "{exchanges:#?}"
    );
    assert!(
        exchanges[1].url.contains("id_token_hint="),
        "{exchanges:#?}"
    );
    assert!(browser.cookies("localhost", "session").is_empty());
    assert!(entrance.gateway.upstream.take().is_empty());
    // Keycloak asks for the password again.
    assert!(browser.has("#password"), "{}", browser.text());
    // A page seen before is not shown again without a login.
    entrance.is_sent_to_log_in(&browser, "/wanted");
}

#[test]
fn dx_40_a_logout_comes_back_to_its_place_and_a_new_login_starts_afresh() {
    let entrance = with_logout(json!({}));
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted");
    let first = browser.cookies("localhost", "session");
    browser.open(&entrance.url(LOGOUT));
    browser::log_in(&browser);
    browser.wait_for_url(&entrance.url("/"));
    entrance.page_of_alex("/");
    assert_ne!(browser.cookies("localhost", "session"), first);
}

/// What somebody gets with a copy of the cookie, after its owner has logged out.
fn copied(entrance: &Entrance) -> Browser {
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted");
    // Chromium asks for an icon by itself. Where the tokens are short-lived that request renews the session, too, and an
    // answer on its way would bring the cookie back after the logout.
    browser.wait("the icon", || {
        let log = entrance.gateway.envoy.access_log();
        log.iter().any(|line| line["path"] == "/favicon.ico")
    });
    let cookies = browser.cookies("localhost", "session");
    assert_eq!(cookies.len(), 1);
    browser.open(&entrance.url(LOGOUT));
    assert!(browser.cookies("localhost", "session").is_empty());
    let _ = entrance.gateway.upstream.take();

    let thief = Browser::start();
    thief.take_cookie(&entrance.url("/"), &cookies[0]);
    thief
}

#[test]
fn a_copied_cookie_gets_nothing_once_its_tokens_have_to_be_refreshed() {
    let entrance = with_logout(short_lived());
    let thief = copied(&entrance);
    // Until the access token ends, after five seconds, a refresh that fails ends nothing.
    thread::sleep(Duration::from_secs(6));
    // Keycloak refuses the refresh token of a session that was logged out.
    entrance.is_sent_to_log_in(&thief, "/wanted");
    assert!(thief.has("#password"), "{}", thief.text());
    assert!(keycloak().logs().contains("REFRESH_TOKEN_ERROR"));
}

#[test]
fn a_copied_cookie_is_good_until_its_tokens_end() {
    // Nothing is kept at the gateway, so nothing can be taken back there: the demo's tokens last five minutes.
    let entrance = with_logout(json!({}));
    let thief = copied(&entrance);
    thief.open(&entrance.url("/wanted"));
    entrance.page_of_alex("/wanted");
}
