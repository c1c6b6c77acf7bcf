//! A session cookie with `SameSite=Strict`, which browsers hold back on all that another site began.

use browser::{Browser, Entrance, Exchange};
use serde_json::json;

use crate::login::{at_gateway, callback};

fn strict() -> Entrance {
    Entrance::new(json!({"session_cookie_same_site": "Strict"}))
}

/// The callback was answered with the page that goes on by itself, and the step from there brought the cookie.
fn went_over_the_page(exchanges: &[Exchange]) {
    let page = callback(exchanges);
    assert_eq!(page.status, 200, "{exchanges:#?}");
    assert_eq!(page.header("location"), None);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    let own = at_gateway(exchanges);
    let last = own.last().expect("a step");
    assert!(
        last.brings("session") && last.status == 200,
        "{exchanges:#?}"
    );
}

#[test]
fn a_strict_session_reaches_the_wanted_page_over_a_page_of_ours() {
    let entrance = strict();
    let browser = Browser::start();
    entrance.enter(&browser, "/wanted?a=b");
    went_over_the_page(&browser.exchanges());
    assert_eq!(
        browser.cookies("localhost", "session")[0].same_site,
        "Strict"
    );
    // What begins here brings the cookie.
    browser.reload();
    entrance.page_of_alex("/wanted?a=b");
}

#[test]
fn a_link_from_another_site_costs_a_strict_session_a_detour_and_no_loop() {
    let entrance = strict();
    let browser = Browser::start();
    entrance.enter(&browser, "/first");
    let _ = browser.exchanges();
    // The API itself, at 127.0.0.1: another site.
    browser.open(&format!(
        "http://{}/elsewhere",
        entrance.gateway.upstream.address()
    ));
    let _ = entrance.gateway.upstream.take();
    browser.run(&format!("location.href = '{}'", entrance.url("/wanted")));
    browser.wait_for_url(&entrance.url("/wanted"));
    entrance.page_of_alex("/wanted");

    // The browser holds the cookie back on that link, and would on a redirect at the end of the login as well: without
    // the page there would be one login after another.
    let exchanges = browser.exchanges();
    let own = at_gateway(&exchanges);
    assert!(
        own[0].lacks("session") && own[0].status == 302,
        "{exchanges:#?}"
    );
    assert!(callback(&exchanges).lacks("session"), "{exchanges:#?}");
    went_over_the_page(&exchanges);
}
