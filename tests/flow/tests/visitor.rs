//! What a visitor's request looks like, and where it leads: addresses, forwarded names, upgrades, cookies.

use flow::idp::AUTHORIZE;
use flow::stage::login_config;
use flow::{Dialect, Outcome, Request, Stop, World, pairs};
use oidc_filter::host::{Counter, Level};
use serde_json::{Value, json};

#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        then(&world);
    }
}

/// Where the provider is asked to send the browser back to.
#[track_caller]
fn redirect_uri(outcome: &Outcome) -> String {
    outcome.assert_status(302);
    let place = outcome.answer_header("location").expect("a place");
    let (endpoint, query) = place.split_once('?').expect("a query");
    assert_eq!(endpoint, AUTHORIZE);
    let query = pairs(query);
    let found = query.iter().find(|(name, _)| name == "redirect_uri");
    found.expect("a redirect_uri").1.clone()
}

#[test]
fn dx_51_a_space_in_the_path_is_encoded() {
    each(json!({}), |world| {
        for target in ["/a%20b/c?x=1", "/a b/c"] {
            let browser = world.browser();
            let away = browser.open(target).away();
            let uri = away.parameter("redirect_uri");
            assert_eq!(uri.as_deref(), Some("https://api.test/a%20b/c"));
            let page = browser.log_in(&away).here();
            page.outcome.assert_user("alex");
            assert_eq!(page.outcome.forwarded().path(), "/a%20b/c");
        }
    });
}

#[test]
fn dx_52_forwarded_names_count_from_those_who_are_trusted() {
    each(json!({"trusted_ips": ["198.51.100.0/24"]}), |world| {
        let request = |peer: &str| {
            Request::get("/app?x=1")
                .from_peer(peer)
                .header("x-forwarded-host", "shop.test")
                .header("x-forwarded-port", "8443")
        };
        let trusted = world.ask(request("198.51.100.7"));
        assert_eq!(redirect_uri(&trusted), "https://shop.test:8443/app");
        for stranger in ["192.0.2.1", "198.51.101.7", "2001:db8::1"] {
            let outcome = world.ask(request(stranger));
            assert_eq!(redirect_uri(&outcome), "https://api.test/app");
        }
        // And the login works, whatever was forwarded.
        world.browser().enter("/app").outcome.assert_user("alex");
    });
}

#[test]
fn without_trusted_ips_nobody_is_trusted() {
    each(json!({}), |world| {
        let request = Request::get("/app").header("x-forwarded-host", "evil.test");
        assert_eq!(redirect_uri(&world.ask(request)), "https://api.test/app");
    });
}

#[test]
fn a_name_that_is_no_host_leads_nowhere() {
    each(json!({"trusted_ips": ["0.0.0.0/0"]}), |world| {
        for name in [
            "evil.test/x?",
            "user@evil.test",
            "a b",
            "evil.test\\@api.test",
            "a,b",
            "#",
        ] {
            let forwarded = Request::get("/app").header("x-forwarded-host", name);
            world.ask(forwarded).assert_status(400);
            let own = Request::get("/app").with(":authority", name);
            world.ask(own).assert_status(400);
        }
    });
}

#[test]
fn a_target_that_is_no_path_moves_no_host() {
    // What follows the name must not become a part of it.
    each(json!({}), |world| {
        for target in [
            "@evil.test/",
            ".evil.test/",
            ":80@evil.test/",
            "https://evil.test/",
            "x",
        ] {
            let outcome = world.ask(Request::get(target));
            if outcome.answer().status == 302 {
                let uri = redirect_uri(&outcome);
                assert!(uri.starts_with("https://api.test/"), "{target}: {uri}");
            } else {
                outcome.assert_status(400);
            }
        }
    });
}

#[test]
fn nobody_is_sent_to_another_site_after_a_login() {
    let members = json!({"login_action": "redirect", "login_tokens": [], "preserve_query_args": true,
        "redirect_uri": ["https://api.test/cb"]});
    each(members, |world| {
        for target in [
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/\t/evil.test",
            "/\\/evil.test",
            "https://evil.test/",
            "https:evil.test",
            "javascript:alert(1)",
            "@evil.test",
            "/app\\..\\x",
            "/%0d%0aX:y",
            "/..//evil.test",
            "/.//evil.test",
            "/app?next=//evil.test",
        ] {
            let browser = world.browser();
            let Stop::Away(away) = browser.open(target) else {
                continue;
            };
            let page = browser.log_in(&away).here();
            page.outcome.assert_user("alex");
            let wanted = page.url.as_str();
            assert!(
                wanted.starts_with('/') && !wanted.starts_with("//"),
                "{target}"
            );
            assert!(!wanted.contains('\\'), "{target}");
        }
    });
}

#[test]
fn a_target_that_is_too_long_for_a_state_is_the_front_page() {
    let members =
        json!({"login_action": "redirect", "login_tokens": [], "preserve_query_args": true});
    each(members, |world| {
        let long = format!("/app?x={}", "a".repeat(2000));
        let page = world.browser().enter(&long);
        page.outcome.assert_user("alex");
        assert_eq!(page.url, "/");
    });
}

#[test]
fn an_upgrade_and_grpc_are_never_redirected() {
    each(json!({}), |world| {
        let websocket = || {
            Request::get("/ws")
                .header("upgrade", "WebSocket")
                .header("connection", "Upgrade")
        };
        let grpc = || Request::new("POST", "/s/M").header("content-type", "application/grpc+proto");
        for request in [websocket(), grpc()] {
            world.ask(request).assert_status(401);
        }
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        for request in [websocket(), grpc()] {
            browser.ask(request).assert_user("alex");
        }
        // Also when the session has come to its end.
        world.idp().forget();
        world.pass_seconds(600);
        for request in [websocket(), grpc()] {
            browser.copy().ask(request).assert_status(401);
        }
    });
}

#[test]
fn our_cookies_reach_the_upstream_on_no_way() {
    let members = json!({"run_on_preflight": false});
    each(members, |world| {
        let line = "a=1; session=garbage; session2=x; authorization_abc=y; b=2; sessions=3";
        let left = "a=1; b=2; sessions=3";
        let bearer = Request::get("/app")
            .header("cookie", line)
            .bearer(&world.token(json!({})));
        let preflight = Request::new("OPTIONS", "/app")
            .header("cookie", line)
            .header("origin", "https://app.test")
            .header("access-control-request-method", "PUT");
        for request in [bearer, preflight] {
            let outcome = world.ask(request);
            assert_eq!(outcome.forwarded().header("cookie").as_deref(), Some(left));
        }
        let browser = world.browser();
        let pending = browser.open("/app").away();
        browser.enter("/app").outcome.assert_user("alex");
        browser.plant("mine", "1");
        let outcome = browser.ask(Request::get("/app"));
        outcome.assert_user("alex");
        assert_eq!(
            outcome.forwarded().header("cookie").as_deref(),
            Some("theirs=1; mine=1")
        );
        // On the callback as well, which goes upstream itself.
        let page = browser.log_in(&pending).here();
        assert_eq!(
            page.outcome.forwarded().header("cookie").as_deref(),
            Some("mine=1; theirs=1")
        );
    });
}

#[test]
fn a_response_that_brings_a_cookie_is_kept_by_no_cache() {
    each(json!({}), |world| {
        let browser = world.browser();
        let page = browser.enter("/app");
        let seen = page.outcome.forwarded();
        assert_eq!(seen.response("cache-control"), ["private, no-store"]);
        assert_eq!(seen.response("vary"), ["Cookie, Authorization"]);
        assert!(seen.response("set-cookie").len() >= 3, "theirs, and ours");
        // Without one the upstream's word stands.
        let page = browser.open("/app").here();
        let seen = page.outcome.forwarded();
        assert_eq!(seen.response("cache-control"), ["public, max-age=60"]);
        assert_eq!(seen.response("set-cookie"), ["theirs=1"]);
    });
}

#[test]
fn a_secret_that_nobody_configured_is_made_once_for_all_workers() {
    let world = World::with_workers(Dialect::Envoy, 1, 2);
    world.put_login(json!({}));
    world.route(&login_config(json!({"session_secret": null})));
    let mut browser = world.browser();
    let away = browser.open("/app").away();
    // The callback comes to the other worker, and so does what follows.
    browser.worker = 1;
    browser.log_in(&away).here().outcome.assert_user("alex");
    browser.worker = 0;
    browser.open("/").here().outcome.assert_user("alex");
    let warned = world.lines(Level::Warn);
    let made = warned
        .iter()
        .filter(|line| line.contains("session_secret_made"));
    assert_eq!(made.count(), 1, "{warned:?}");
}

#[test]
fn on_kong_a_secret_is_mandatory() {
    let world = World::new(Dialect::Kong, 1);
    world.put_login(json!({}));
    world.route(&login_config(json!({"session_secret": null})));
    let browser = world.browser();
    browser.open("/app").here().outcome.assert_status(500);
    assert!(world.logged("no_session_secret"));
    assert_eq!(world.counted(Counter::LoginStarted), 0);
}

#[test]
fn a_post_or_a_script_that_is_not_logged_in_is_sent_away_without_its_body() {
    each(json!({}), |world| {
        let outcome = world.ask(Request::new("POST", "/app?x=1").form("a=1"));
        assert_eq!(redirect_uri(&outcome), "https://api.test/app");
        let browser = world.browser();
        let away = match browser.post("/app", "a=1") {
            Stop::Away(away) => away,
            Stop::Here(page) => panic!("{page:?}"),
        };
        let page = browser.log_in(&away).here();
        page.outcome.assert_user("alex");
        assert_eq!(page.outcome.forwarded().method(), "GET");
    });
}
