//! Logout by the visitor (specification section 12, RP-Initiated Logout 1.0).

use flow::idp::{CLIENT, END_SESSION};
use flow::stage::{logged_in, login_config};
use flow::{Behaviour, Browser, Dialect, Outcome, Request, World, pairs};
use oidc_filter::host::Counter;
use serde_json::json;

/// The session is gone, and the provider is asked to end its own.
#[track_caller]
fn assert_logged_out(world: &World, browser: &Browser<'_>, outcome: &Outcome) {
    outcome.assert_status(302);
    let place = outcome.answer_header("location").expect("a place");
    assert!(place.starts_with(END_SESSION), "{place}");
    assert_eq!(browser.count("session"), 0);
    assert_eq!(world.counted(Counter::LoggedOut), 1);
    let _ = browser.open("/app").away();
}

#[track_caller]
fn assert_ordinary(world: &World, outcome: &Outcome) {
    outcome.assert_user("alex");
    assert_eq!(world.counted(Counter::LoggedOut), 0);
}

#[test]
fn dx_38a_an_argument_of_the_query_logs_out() {
    logged_in(json!({"logout_query_arg": "bye"}), |world, browser| {
        for target in ["/app?goodbye=1", "/app?x=bye", "/bye", "/app#bye"] {
            let ordinary = browser.ask(Request::new("POST", target));
            assert_ordinary(world, &ordinary);
        }
        let outcome = browser.ask(Request::new("POST", "/app?a=1&bye"));
        assert_logged_out(world, browser, &outcome);
    });
}

#[test]
fn dx_38b_an_argument_of_the_body_logs_out() {
    logged_in(json!({"logout_post_arg": "bye"}), |world, browser| {
        for form in ["goodbye=1", "x=bye", ""] {
            let ordinary = browser.ask(Request::new("POST", "/app").form(form));
            assert_ordinary(world, &ordinary);
            assert_eq!(ordinary.forwarded().body(), form.as_bytes());
        }
        // In JSON, or in the query, it is none.
        let json = Request::new("POST", "/app")
            .header("content-type", "application/json")
            .body("{\"bye\":1}");
        assert_ordinary(world, &browser.ask(json));
        assert_ordinary(
            world,
            &browser.ask(Request::new("POST", "/app?bye=1").form("a=1")),
        );
        let outcome = browser.ask(Request::new("POST", "/app").form("a=1&b%79e=1"));
        assert_logged_out(world, browser, &outcome);
    });
}

#[test]
fn dx_38c_the_end_of_the_path_logs_out_whatever_the_query() {
    logged_in(json!({"logout_uri_suffix": "/logout"}), |world, browser| {
        for target in ["/logout/now", "/app?x=/logout", "/logou", "/app/logout2"] {
            assert_ordinary(world, &browser.ask(Request::new("POST", target)));
        }
        let outcome = browser.ask(Request::new("POST", "/app/logout?a=1"));
        assert_logged_out(world, browser, &outcome);
    });
}

#[test]
fn dx_38d_a_method_that_is_not_listed_is_an_ordinary_request() {
    let members = json!({"logout_uri_suffix": "/logout", "logout_query_arg": "bye"});
    logged_in(members, |world, browser| {
        for method in ["GET", "HEAD", "PUT", "PATCH", "OPTIONS"] {
            assert_ordinary(world, &browser.ask(Request::new(method, "/logout?bye=1")));
        }
        let outcome = browser.ask(Request::new("DELETE", "/logout"));
        assert_logged_out(world, browser, &outcome);
    });
}

#[test]
fn get_logs_out_where_it_is_listed() {
    let members = json!({"logout_uri_suffix": "/logout", "logout_methods": ["GET"]});
    logged_in(members, |world, browser| {
        assert_ordinary(world, &browser.ask(Request::new("POST", "/logout")));
        let page = browser.open("/logout").here();
        assert_logged_out(world, browser, &page.outcome);
    });
}

#[test]
fn dx_40_the_way_leads_over_the_provider_and_back() {
    let members = json!({"logout_uri_suffix": "/logout", "logout_redirect_uri": ["https://app.test/bye?x=1&y"]});
    logged_in(members, |world, browser| {
        let outcome = browser.ask(Request::new("POST", "/logout"));
        let place = outcome.answer_header("location").expect("a place");
        let (endpoint, query) = place.split_once('?').expect("a query");
        assert_eq!(endpoint, END_SESSION);
        let query = pairs(query);
        let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["id_token_hint", "client_id", "post_logout_redirect_uri"]
        );
        assert!(query[0].1.starts_with("ey"));
        assert_eq!(query[1].1, CLIENT);
        assert_eq!(query[2].1, "https://app.test/bye?x=1&y");
        assert_logged_out(world, browser, &outcome);
        // Once more, without a session: there is nobody to hint at.
        let outcome = browser.ask(Request::new("POST", "/logout"));
        let place = outcome.answer_header("location").expect("a place");
        assert!(!place.contains("id_token_hint"), "{place}");
        assert!(place.contains("client_id=me"), "{place}");
    });
}

#[test]
fn without_the_providers_endpoint_the_way_is_short() {
    for (members, status, place) in [
        (
            json!({"logout_redirect_uri": ["https://app.test/bye"]}),
            302,
            Some("https://app.test/bye"),
        ),
        (json!({}), 200, None),
        (
            json!({"end_session_endpoint": "https://other.test/out"}),
            302,
            Some("https://other.test/out?"),
        ),
    ] {
        let world = World::new(Dialect::Envoy, 1);
        world.put_login(json!({"end_session_endpoint": null}));
        let mut config = login_config(members);
        config["logout_uri_suffix"] = json!("/logout");
        world.route(&config);
        let browser = world.browser();
        browser.enter("/").outcome.assert_user("alex");
        let id_token = world.idp().id_token().expect("an ID token");
        let outcome = browser.ask(Request::new("POST", "/logout"));
        outcome.assert_status(status);
        world.hand_out(&id_token);
        let location = outcome.answer_header("location");
        assert_eq!(location.is_some(), place.is_some());
        if let (Some(location), Some(place)) = (location, place) {
            assert!(location.starts_with(place), "{location}");
        }
        assert_eq!(browser.count("session"), 0);
    }
}

#[test]
fn a_provider_that_is_down_keeps_nobody_logged_in_here() {
    for dialect in Dialect::BOTH {
        let world = World::with_workers(dialect, 1, 2);
        world.put_login(json!({}));
        world.route(&login_config(json!({"logout_uri_suffix": "/logout"})));
        let mut browser = world.browser();
        browser.enter("/").outcome.assert_user("alex");
        // A worker that never heard of the provider, and cannot.
        world.always(flow::stage::DISCOVERY, Behaviour::Timeout);
        browser.worker = 1;
        let outcome = browser.ask(Request::new("POST", "/logout"));
        outcome.assert_status(200);
        assert_eq!(browser.count("session"), 0);
    }
}

#[test]
fn all_pieces_go_with_the_attributes_they_came_with() {
    let members = json!({"logout_uri_suffix": "/logout", "session_cookie_path": "/", "session_cookie_domain": "api.test",
        "session_cookie_same_site": "None"});
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        world.idp().set(|idp| idp.padding = 6000);
        let browser = world.browser();
        browser.enter("/").outcome.assert_user("alex");
        assert!(browser.count("session") > 2);
        let outcome = browser.ask(Request::new("POST", "/logout"));
        let set = outcome.answer().headers.iter();
        let set = set.filter(|(name, _)| *name == "set-cookie");
        for (_, value) in set {
            let value = String::from_utf8_lossy(value);
            for attribute in [
                "Path=/",
                "Domain=api.test",
                "SameSite=None",
                "Secure",
                "HttpOnly",
                "Max-Age=0",
            ] {
                assert!(value.contains(attribute), "{value}");
            }
        }
        assert_eq!(browser.count("session"), 0);
    }
}

#[test]
fn another_site_posts_a_logout_in_vain_where_the_cookie_is_lax() {
    logged_in(
        json!({"logout_uri_suffix": "/logout"}),
        |_world, browser| {
            // The browser sends no cookie, so there is no session to end and none is cleared.
            let page = browser.post_from_elsewhere("/logout", "a=1").here();
            page.outcome.assert_status(302);
            assert_eq!(browser.count("session"), 1);
            browser.open("/app").here().outcome.assert_user("alex");
        },
    );
}
