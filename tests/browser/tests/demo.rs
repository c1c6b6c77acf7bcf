//! What `make run` starts, on ports of its own, with the realm as it is shipped.

use browser::{Browser, log_in};
use serde_json::{Value, json};
use support::demo::{self, Ports};
use support::raw;

#[test]
fn the_demo_logs_in_shows_what_came_logs_out_and_in_again() {
    let ports = Ports::free();
    let _website = demo::website(ports).unwrap_or_else(|error| panic!("{error}"));
    let keycloak = demo::keycloak(ports).unwrap_or_else(|error| panic!("{error}"));
    let envoy = demo::gateway(ports).unwrap_or_else(|error| panic!("{error}"));
    let browser = Browser::start();

    for round in ["first", "second"] {
        // In the second round alex has just logged out: the form comes again, and by itself.
        if round == "first" {
            browser.open(&ports.url());
        }
        log_in(&browser);
        browser.wait_for_url(&ports.url());
        let text = |selector: &str| {
            let script = format!("return document.querySelector('{selector}').innerText");
            browser.run(&script).as_str().unwrap_or_default().to_owned()
        };
        assert_eq!(text("#user"), "alex", "{}", browser.text());
        assert_eq!(text("#email"), "alex@example.test");
        let page = browser.text();
        // What the website got, and the token's claims.
        for shown in ["x-user", "authorization", "Bearer ey", "preferred_username"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        // The page's own policy lets its style pass.
        let width = browser.run("return getComputedStyle(document.body).maxWidth");
        assert_eq!(width, json!("960px"));

        let site = |name: &str| browser.cookies("localhost", name);
        assert!(!site("session").is_empty(), "{round}");
        browser.click("#logout");
        browser.wait("the provider's form", || browser.has("#kc-login"));
        assert!(site("session").is_empty(), "{round}");
    }
    let log = envoy.logs();
    assert!(!log.contains("restricted"), "{log}");

    // And for programs, as the README says.
    let address = ([127, 0, 0, 1], ports.gateway).into();
    let token = keycloak.password_token(demo::USER, demo::PASSWORD);
    let answer = raw::get_with_token(address, "/hello?a=1", &token);
    let seen: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(seen["headers"]["x-user"], "alex", "{seen}");
    assert_eq!(seen["args"], json!({"a": "1"}));
    let stranger = raw::get(address, "/hello", &[]);
    assert_eq!(stranger.status, 302, "{}", stranger.text());
}

#[test]
fn the_website_escapes_all_that_came_and_shows_no_token_whole() {
    let ports = Ports::free();
    let _website = demo::website(ports).unwrap_or_else(|error| panic!("{error}"));
    // {"alg":"RS256","typ":"JWT"} and {"sub":"<i>\ud800","nested":"<b>"}
    let head = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
    let claims = "eyJzdWIiOiI8aT5cdWQ4MDAiLCJuZXN0ZWQiOiI8Yj4ifQ";
    let token = format!("{head}.{claims}.c2lnbmF0dXJl");
    let address = ([127, 0, 0, 1], ports.website).into();
    let target = format!("/<script>?<img>=<svg>&t={token}");
    let bearer = format!("Bearer {token}");
    let hostile = [
        ("authorization", bearer.as_str()),
        ("x-user", "\"><script>alert(1)</script>"),
        ("x-email", "<a href='x'>"),
        ("x-other", token.as_str()),
    ];
    for accept in ["text/html,*/*;q=0.8", "*/*"] {
        let mut headers = hostile.to_vec();
        headers.push(("accept", accept));
        let answer = raw::get(address, &target, &headers);
        let body = answer.text();
        assert_eq!(answer.status, 200, "{body}");
        for part in [claims, "c2lnbmF0dXJl", &head[..16]] {
            assert!(!body.contains(part), "{}", body);
        }
        assert!(body.contains(&head[..12]), "{}", body);
        if accept == "*/*" {
            let seen = serde_json::from_str::<Value>(&body).expect("JSON");
            assert_eq!(seen["headers"]["x-user"], hostile[1].1);
            continue;
        }
        for tag in ["<script", "<i>", "<b>", "<a href='x'", "<img", "<svg"] {
            assert!(!body.contains(tag), "{tag}: {}", body);
        }
        assert!(body.contains("&lt;script&gt;alert(1)"));
        assert!(body.contains("&lt;i&gt;"));
    }
}
