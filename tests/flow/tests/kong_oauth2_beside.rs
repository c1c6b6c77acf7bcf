//! The way in with a token of Kong's own OAuth2 plugin: an Admin API in trouble, and other ways in beside it
//! (specification sections 3, 4.3 and 15).

use flow::idp::{INTROSPECT, TOKEN, USERINFO};
use flow::kong::{
    CONSUMER, SHOWN, admin_calls, assert_alex, config, consumer_url, credential_url, each, put_all,
    token_url,
};
use flow::stage::KONG_ADMIN;
use flow::{Behaviour, Dialect, Request, World};
use oidc_filter::host::Level;
use serde_json::json;

// --- the Admin API in trouble

#[test]
fn what_kong_does_not_know_is_401_and_asked_again() {
    each(json!({}), json!({}), |world| {
        let other = "Zz3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";
        for _ in 0..2 {
            let outcome = world.show(other);
            outcome.assert_status(401);
            let challenge = outcome.answer_header("www-authenticate");
            assert!(challenge.expect("a challenge").contains("invalid_token"));
        }
        assert_eq!(world.calls_to(&token_url(other)), 2);
        // Nobody else is asked about it, and it begins no login.
        assert_eq!(world.calls().len(), 2);
    });
    each(json!({}), json!({"cache_ttl_neg": 10}), |world| {
        for _ in 0..2 {
            world.show("nobodys").assert_status(401);
        }
        assert_eq!(world.calls_to(&token_url("nobodys")), 1);
        world.pass_seconds(10);
        world.show("nobodys").assert_status(401);
        assert_eq!(world.calls_to(&token_url("nobodys")), 2);
    });
    // An application or a Consumer that is gone takes its tokens along.
    for gone in [credential_url(), consumer_url()] {
        each(json!({}), json!({}), |world| {
            world.next(&gone, [Behaviour::Status(404)]);
            world.show(SHOWN).assert_status(401);
            assert_alex(world);
        });
    }
}

#[test]
fn an_admin_api_in_trouble_lets_nobody_in_and_is_not_asked_by_all() {
    let twice = json!({"id": CONSUMER, "username": "alex"}).to_string();
    let twice = twice.replacen('{', &format!("{{\"id\":\"{CONSUMER}\","), 1);
    for (failure, code) in [
        (Behaviour::Status(500), "kong_admin_failed"),
        (Behaviour::Status(204), "kong_admin_failed"),
        (Behaviour::Status(429), "kong_admin_failed"),
        (Behaviour::Redirect(token_url("a")), "kong_admin_failed"),
        (Behaviour::Status(401), "kong_admin_refused"),
        (Behaviour::Status(403), "kong_admin_refused"),
        (Behaviour::NoAnswer, "kong_admin_unreachable"),
        (Behaviour::Timeout, "kong_admin_unreachable"),
        (Behaviour::NotSent, "kong_admin_unreachable"),
        (Behaviour::Body(b"<html>".to_vec()), "kong_admin_unreadable"),
        (Behaviour::Body(b"{}".to_vec()), "kong_admin_unreadable"),
        (Behaviour::Body(b"[]".to_vec()), "kong_admin_unreadable"),
        (Behaviour::Body(twice.into_bytes()), "kong_admin_unreadable"),
        (
            Behaviour::Body(vec![b' '; 300_000]),
            "kong_admin_unreadable",
        ),
    ] {
        for (place, url) in [token_url(SHOWN), credential_url(), consumer_url()]
            .iter()
            .enumerate()
        {
            each(json!({}), json!({}), |world| {
                world.next(url, [failure.clone()]);
                world.show(SHOWN).assert_status(500);
                assert!(
                    world.logged(code),
                    "{code}: {:?}",
                    world.lines(Level::Error)
                );
                assert!(
                    !world
                        .lines(Level::Error)
                        .iter()
                        .any(|line| line.contains(SHOWN))
                );
                // For a moment the same answer for all; then it heals.
                world.show(SHOWN).assert_status(500);
                assert_eq!(world.calls().len(), place + 1, "{failure:?}");
                world.pass_seconds(1);
                assert_alex(world);
            });
        }
    }
}

#[test]
fn twenty_requests_with_one_new_token_ask_once() {
    let world = World::with_login(
        Dialect::Envoy,
        config(&["kong_oauth2"], json!({}), json!({})),
    );
    put_all(&world);
    let send = || world.send(Request::get("/app").bearer(SHOWN));
    let tickets: Vec<_> = (0..20).map(|_| send()).collect();
    // Who began it leaves; the others wait on.
    world.leave(tickets[0]);
    world.deliver_all();
    for ticket in &tickets[1..] {
        let outcome = world.outcome(*ticket);
        assert_eq!(outcome.forwarded().all("x-consumer-id"), [CONSUMER]);
    }
    assert_eq!(admin_calls(&world), 3);
}

#[test]
fn how_long_a_call_may_take_is_told() {
    each(
        json!({"timeout": 1500}),
        json!({"timeout": 20_000}),
        |world| {
            let began = world.milliseconds();
            world.next(&token_url(SHOWN), [Behaviour::Timeout]);
            world.show(SHOWN).assert_status(500);
            assert_eq!(world.milliseconds() - began, 1500);
        },
    );
}

#[test]
fn the_admin_api_has_a_cluster_of_its_own() {
    let clusters = json!({"clusters": {KONG_ADMIN: "kong-admin", "*": "rest"}});
    each(json!({}), clusters, |world| {
        assert_alex(world);
        assert!(
            world
                .calls()
                .iter()
                .all(|call| call.cluster == "kong-admin")
        );
    });
}

// --- beside other ways in

#[test]
fn each_method_takes_what_may_be_its_own() {
    let methods = [
        "bearer",
        "kong_oauth2",
        "introspection",
        "userinfo",
        "password",
    ];
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, config(&methods, json!({}), json!({})));
        put_all(&world);
        // A JWT is judged here; a bad one is nobody else's.
        let jwt = world.idp().token_for("alex", world.now());
        world.show(&jwt).assert_user("alex");
        let (head, _) = jwt.rsplit_once('.').expect("a signature");
        world.show(&format!("{head}.AAAA")).assert_status(401);
        assert_eq!(admin_calls(&world) + world.calls_to(INTROSPECT), 0);
        // What Kong may have issued is Kong's, known or not.
        assert_alex(&world);
        world.show("nobodys").assert_status(401);
        assert_eq!((admin_calls(&world), world.calls_to(INTROSPECT)), (4, 0));
        // Any other is the provider's.
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        assert!(opaque.contains('-'), "{opaque}");
        world.show(&opaque).assert_user("alex");
        assert_eq!((admin_calls(&world), world.calls_to(INTROSPECT)), (4, 1));
        assert_eq!(world.calls_to(USERINFO) + world.calls_to(TOKEN), 0);
    }
}

#[test]
fn a_bad_token_begins_no_login_and_no_token_does() {
    let methods = ["kong_oauth2", "authorization_code", "session", "password"];
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, config(&methods, json!({}), json!({})));
        put_all(&world);
        for bad in ["nobodys", "no-token", &world.token(json!({}))] {
            world.show(bad).assert_status(401);
        }
        // What stands behind it is not looked at.
        let request =
            Request::get("/app?username=alex&password=the+password+of+alex").bearer("nobodys");
        world.ask(request).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
        world.ask(Request::get("/app")).assert_status(302);
        assert_alex(&world);
    }
}

#[test]
fn its_places_are_those_of_a_bearer_token() {
    each(json!({}), json!({}), |world| {
        for request in [
            Request::get("/app").header("x-access-token", SHOWN),
            Request::get(&format!("/app?access_token={SHOWN}")),
            Request::new("POST", "/app").form(&format!("access_token={SHOWN}&a=b")),
        ] {
            let outcome = world.ask(request);
            assert_eq!(outcome.forwarded().all("x-consumer-id"), [CONSUMER]);
            assert_eq!(
                outcome.forwarded().all("authorization"),
                [format!("Bearer {SHOWN}")]
            );
        }
        assert_eq!(admin_calls(world), 3);
    });
    each(
        json!({}),
        json!({"bearer_token_param_type": ["header"]}),
        |world| {
            world
                .ask(Request::get(&format!("/app?access_token={SHOWN}")))
                .assert_status(401);
            assert_eq!(admin_calls(world), 0);
            assert_alex(world);
        },
    );
}
