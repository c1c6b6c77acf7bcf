//! What the operator sees: counters, what access logs can tell, and lines of the log.

use flow::idp::{INTROSPECT, TOKEN};
use flow::stage::{DISCOVERY, KEYS};
use flow::{Behaviour, Dialect, Request, World};
use oidc_filter::host::Level;
use serde_json::json;

#[test]
fn each_request_tells_who_came_by_which_way_and_what_became_of_it() {
    for dialect in Dialect::BOTH {
        let world = World::ready(
            dialect,
            json!({"roles_required": ["staff"],
            "routes": [{"match": {"paths": ["/public"]}, "disabled": true}]}),
        );
        let good = world.token(json!({"roles": ["staff"], "azp": "shop"}));
        // Also from the cache.
        for _ in 0..2 {
            world.show(&good).assert_user("alex");
            let alex = world.told();
            assert_eq!(alex[..2], ["oidc_code=forwarded", "oidc_method=bearer"]);
            assert!(
                alex[2].starts_with("oidc_subject=") && alex[3] == "oidc_client=shop",
                "{alex:?}"
            );
        }
        world
            .show(&world.token(json!({"azp": null})))
            .assert_status(403);
        let told = world.told();
        assert_eq!(told[..2], ["oidc_code=role_missing", "oidc_method=bearer"]);
        assert!(
            told[2].starts_with("oidc_subject="),
            "who is refused is known: {told:?}"
        );
        world.show("rubbish").assert_status(401);
        assert_eq!(
            world.told().len(),
            2,
            "nobody knows who showed it: {:?}",
            world.told()
        );
        world.ask(Request::get("/")).assert_status(401);
        assert_eq!(world.told(), ["oidc_code=no_credential"]);
        assert!(world.ask(Request::get("/public")).is_forwarded());
        assert_eq!(world.told(), ["oidc_code=disabled_route"]);
        let series = world.series();
        for (name, count) in [
            ("oidc.result.bearer.forwarded", 2),
            ("oidc.result.bearer.role_missing", 1),
            ("oidc.result.none.no_credential", 1),
            ("oidc.result.none.disabled_route", 1),
            ("oidc.call.discovery.ok", 1),
            ("oidc.call.jwks.ok", 1),
        ] {
            assert_eq!(series.get(name), Some(&count), "{name} in {series:?}");
        }
    }
}

#[test]
fn names_of_strangers_are_fit_for_a_line() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let long = "a".repeat(1000);
    let token = world.token(json!({"sub": format!("root\r\nforged line\u{0}{long}"), "azp": 5}));
    world.show(&token).assert_user("alex");
    let told = world.told();
    let subject = told
        .iter()
        .find_map(|line| line.strip_prefix("oidc_subject="))
        .expect("a subject");
    assert!(
        subject.starts_with("rootforged linea") && subject.len() == 256,
        "{subject}"
    );
    assert!(!told.iter().any(|line| line.starts_with("oidc_client")));
}

#[test]
fn a_login_is_told_from_its_beginning_to_its_end() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(
            dialect,
            json!({"logout_query_arg": "bye", "logout_methods": ["GET"]}),
        );
        let browser = world.browser();
        let away = browser.open("/app").away();
        assert_eq!(
            world.told(),
            ["oidc_code=login_started", "oidc_method=authorization_code"]
        );
        browser.log_in(&away).here().outcome.assert_user("alex");
        let told = world.told();
        assert_eq!(
            told[..3],
            [
                "oidc_code=forwarded",
                "oidc_method=authorization_code",
                "oidc_subject=sub of alex"
            ]
        );
        browser.open("/app").here().outcome.assert_user("alex");
        assert_eq!(
            world.told()[..3],
            [
                "oidc_code=forwarded",
                "oidc_method=session",
                "oidc_subject=sub of alex"
            ]
        );
        browser.ask(Request::get("/app?bye")).assert_status(302);
        assert_eq!(
            world.told(),
            ["oidc_code=logged_out", "oidc_method=session"]
        );
        assert_eq!(world.series()["oidc.call.token.ok"], 1);
    }
}

#[test]
fn calls_are_counted_by_endpoint_and_by_how_they_ended() {
    let world = World::with_login(
        Dialect::Envoy,
        json!({"auth_methods": ["introspection", "password"]}),
    );
    world.next(INTROSPECT, [Behaviour::Status(503), Behaviour::Timeout]);
    for token in ["opaque-1", "opaque-2", "opaque-3"] {
        let _ = world.show(token);
    }
    let basic = Request::get("/").header("authorization", "Basic bm9ib2R5OndvcnNl");
    world.next(TOKEN, [Behaviour::Status(401)]);
    let _ = world.ask(basic);
    let series = world.series();
    for name in [
        "oidc.call.introspection.failed",
        "oidc.call.introspection.timed_out",
        "oidc.call.introspection.ok",
        "oidc.call.token.refused",
    ] {
        assert_eq!(series.get(name), Some(&1), "{name} in {series:?}");
    }
}

#[test]
fn the_names_of_the_keys_in_force_are_told_when_they_change() {
    let world = World::ready(Dialect::Envoy, json!({"rediscovery_lifetime": 0}));
    world.show(&world.token(json!({}))).assert_user("alex");
    assert!(world.logged("keys_in_force: provider https://idp.test/realm: k1"));
    world.publish(&["k1", "k2"]);
    world.pass_seconds(40);
    world
        .show(&world.token_of("k2", json!({})))
        .assert_user("alex");
    assert!(world.logged("keys_in_force: provider https://idp.test/realm: k1, k2"));
    let lines = world.lines(Level::Info);
    let told = lines
        .iter()
        .filter(|line| line.contains("keys_in_force"))
        .count();
    assert_eq!(told, 2);
    assert!(world.calls_to(DISCOVERY) > 0 && world.calls_to(KEYS) > 0);
}

#[test]
fn a_refusal_is_one_line_with_its_code() {
    let world = World::ready(Dialect::Envoy, json!({"claims_forbidden": ["root"]}));
    for (token, code) in [
        ("rubbish".to_owned(), "jws_malformed"),
        (world.token(json!({"exp": 5})), "token_expired"),
        (
            world.token(json!({"iss": "https://other.test"})),
            "issuer_mismatch",
        ),
        (world.token(json!({"root": true})), "claim_forbidden"),
    ] {
        let before = world.lines(Level::Info).len();
        let _ = world.show(&token);
        let told = world.told();
        let told = told[0]
            .strip_prefix("oidc_code=")
            .expect("a code")
            .to_owned();
        let lines = world.lines(Level::Info);
        let own: Vec<_> = lines[before..]
            .iter()
            .filter(|line| line.starts_with(&format!("oidc-filter: {told}: ")))
            .collect();
        assert_eq!(own.len(), 1, "{code}: {lines:?}");
    }
}
