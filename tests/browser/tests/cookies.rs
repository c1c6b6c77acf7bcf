//! The cookies as the browser keeps them.

use browser::{Browser, Entrance};
use serde_json::json;

#[test]
fn the_cookies_are_hidden_from_pages_and_end_in_time() {
    let entrance = Entrance::new(json!({}));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/wanted");
    let login = browser.cookies("localhost", "");
    assert_eq!(login.len(), 1, "{login:?}");
    assert!(login[0].name.starts_with("authorization_"));
    // The browser's own rule: Lax, except for two minutes.
    assert_eq!(login[0].same_site, "");

    browser::log_in(&browser);
    browser.wait_for_url(&entrance.url("/wanted"));
    let session = browser.cookies("localhost", "");
    assert_eq!(session.len(), 1, "{session:?}");
    assert_eq!(session[0].name, "session");
    assert_eq!(session[0].same_site, "Lax");
    for cookie in [&login[0], &session[0]] {
        assert!(cookie.http_only, "{cookie:?}");
        // The gateway is reached by plain HTTP.
        assert!(!cookie.secure, "{cookie:?}");
        assert_eq!(cookie.path, "/");
    }
    // A login ends by itself, and a session with the browser.
    assert!(!login[0].until_close && session[0].until_close);
    assert_eq!(browser.run("return document.cookie"), json!(""));
}

#[test]
fn attributes_that_are_configured_are_those_that_the_browser_keeps() {
    let entrance = Entrance::new(json!({
        "session_cookie_name": "app",
        "session_cookie_path": "/app",
        "session_cookie_same_site": "None",
        "session_cookie_secure": true,
        "session_cookie_http_only": false,
        "authorization_cookie_name": "login",
        "authorization_cookie_same_site": "Lax",
    }));
    let browser = Browser::start();
    entrance.is_sent_to_log_in(&browser, "/app/wanted");
    let login = browser.cookies("localhost", "login_");
    assert_eq!(login.len(), 1);
    assert_eq!(login[0].same_site, "Lax");
    browser::log_in(&browser);
    browser.wait_for_url(&entrance.url("/app/wanted"));
    let session = browser.cookies("localhost", "app").remove(0);
    // Chromium takes Secure from localhost also without TLS.
    assert!(session.secure && !session.http_only, "{session:?}");
    assert_eq!(session.path, "/app");
    assert_eq!(session.same_site, "None");
}
