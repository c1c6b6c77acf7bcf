//! The ways in that ask the provider about a token: introspection and userinfo (specification sections 3, 4.4, 4.5 and 15).

use flow::idp::{INTROSPECT, SECRET, USERINFO};
use flow::stage::with_methods;
use flow::{Behaviour, Dialect, Request, World};
use serde_json::json;

#[test]
fn ht_05b_a_token_is_introspected_once_and_then_known() {
    for opaque in [true, false] {
        with_methods(&["introspection"], json!({}), |world| {
            world.idp().set(|idp| idp.opaque = opaque);
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..3 {
                let outcome = world.ask(Request::get("/app").bearer(&token));
                outcome.assert_user("alex");
                assert_eq!(outcome.upstream_token(), token);
            }
            assert_eq!(world.calls_to(INTROSPECT), 1);
            let call = world.calls().last().expect("a call").clone();
            assert!(
                call.body.contains("token_type_hint=access_token"),
                "{}",
                call.body
            );
        });
    }
}

#[test]
fn a_token_that_is_not_active_is_401_and_asked_about_again() {
    with_methods(&["introspection"], json!({}), |world| {
        for _ in 0..2 {
            world.show("nobody's-token").assert_status(401);
        }
        assert_eq!(world.calls_to(INTROSPECT), 2);
        assert!(world.logged("token_inactive"));
    });
    // Unless refusals are kept.
    with_methods(&["introspection"], json!({"cache_ttl_neg": 10}), |world| {
        for _ in 0..3 {
            world.show("nobody's-token").assert_status(401);
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
        world.pass_seconds(10);
        world.show("nobody's-token").assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 2);
    });
}

#[test]
fn what_was_said_of_a_token_ends_with_it() {
    with_methods(&["introspection"], json!({"cache_ttl": 100_000}), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let token = world.idp().token_for("alex", world.now());
        world.show(&token).assert_user("alex");
        // Withdrawn: what is known holds until the end of the token, as Kong's does.
        world.idp().withdraw();
        world.pass_seconds(299);
        world.show(&token).assert_user("alex");
        world.pass_seconds(1);
        world.show(&token).assert_status(401);
    });
    // Where no end is told, `cache_ttl` counts.
    with_methods(&["introspection"], json!({"cache_ttl": 7}), |world| {
        world.idp().set(|idp| {
            idp.opaque = true;
            idp.said = json!({"exp": null});
        });
        let token = world.idp().token_for("alex", world.now());
        for _ in 0..2 {
            world.show(&token).assert_user("alex");
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
        world.pass_seconds(7);
        world.show(&token).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 2);
    });
    // And with the cache off each request asks.
    with_methods(
        &["introspection"],
        json!({"cache_introspection": false}),
        |world| {
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..2 {
                world.show(&token).assert_user("alex");
            }
            world.idp().withdraw();
            world.show(&token).assert_status(401);
            assert_eq!(world.calls_to(INTROSPECT), 3);
        },
    );
}

#[test]
fn what_is_said_of_a_token_is_judged_like_claims() {
    for (said, members, status) in [
        (
            json!({"scope": "read"}),
            json!({"scopes_required": ["admin"]}),
            403,
        ),
        (json!({"iss": "https://evil.test"}), json!({}), 401),
        (json!({"nbf": 9_999_999_999_u64}), json!({}), 401),
        (json!({"exp": 1}), json!({}), 401),
        (json!({"active": "true"}), json!({}), 500),
        (json!({"active": null}), json!({}), 500),
        (
            json!({"active": null}),
            json!({"introspection_check_active": false}),
            200,
        ),
        (
            json!({"active": false}),
            json!({"introspection_check_active": false}),
            401,
        ),
    ] {
        with_methods(&["introspection"], members, |world| {
            world.idp().set(|idp| idp.said = said.clone());
            let token = world.idp().token_for("alex", world.now());
            let outcome = world.show(&token);
            match status {
                200 => outcome.assert_user("alex"),
                status => outcome.assert_status(status),
            }
        });
    }
}

#[test]
fn an_endpoint_in_trouble_lets_nobody_in_and_is_not_asked_by_all() {
    for failure in [
        Behaviour::Status(500),
        Behaviour::Status(401),
        Behaviour::Status(200),
        Behaviour::NoAnswer,
        Behaviour::Timeout,
        Behaviour::Body(b"<html>".to_vec()),
        Behaviour::Body(br#"{"active":true,"active":true}"#.to_vec()),
    ] {
        let broken = !matches!(failure, Behaviour::Status(200));
        with_methods(&["introspection"], json!({}), |world| {
            let token = world.idp().token_for("alex", world.now());
            world.next(INTROSPECT, [failure.clone()]);
            let outcome = world.show(&token);
            if broken {
                outcome.assert_status(500);
                // For a moment the same answer for all; then it heals.
                world.show(&token).assert_status(500);
                assert_eq!(world.calls_to(INTROSPECT), 1);
                world.pass_seconds(1);
            }
            world.show(&token).assert_user("alex");
        });
    }
}

#[test]
fn twenty_requests_with_one_new_token_ask_once() {
    let world = World::with_login(Dialect::Envoy, json!({"auth_methods": ["introspection"]}));
    let token = world.idp().token_for("alex", world.now());
    let tickets: Vec<_> = (0..20)
        .map(|_| world.send(Request::get("/app").bearer(&token)))
        .collect();
    // Who began it leaves; the others wait on.
    world.leave(tickets[0]);
    world.deliver_all();
    for ticket in &tickets[1..] {
        world.outcome(*ticket).assert_user("alex");
    }
    assert_eq!(world.calls_to(INTROSPECT), 1);
}

#[test]
fn a_jwt_goes_to_bearer_and_another_token_to_the_endpoint() {
    with_methods(&["bearer", "introspection"], json!({}), |world| {
        let jwt = world.idp().token_for("alex", world.now());
        world.show(&jwt).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 0);
        // A bad JWT is a bad JWT: nobody is asked about it.
        let (head, _) = jwt.rsplit_once('.').expect("a signature");
        world.show(&format!("{head}.AAAA")).assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 0);
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        world.show(&opaque).assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 1);
    });
    // Switched off is off: an opaque token is nothing for bearer alone.
    with_methods(&["bearer"], json!({}), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        world.show(&opaque).assert_status(401);
        assert_eq!(world.calls_to(INTROSPECT), 0);
    });
}

#[test]
fn what_is_asked_with_a_token_is_part_of_the_question() {
    let members = json!({
        "introspection_post_args_names": ["tenant"], "introspection_post_args_values": ["one"],
        "introspection_post_args_client": ["branch"],
        "introspection_headers_client": ["x-trace"],
        "introspection_token_param_name": "token", "introspection_hint": "any",
        "upstream_introspection_header": "x-said",
    });
    with_methods(&["introspection"], members, |world| {
        let token = world.idp().token_for("alex", world.now());
        let ask = |target: &str| {
            let request = Request::get(target).bearer(&token).header("x-trace", "7");
            world.ask(request.header("x-said", "forged"))
        };
        let outcome = ask("/app?branch=a%26b");
        outcome.assert_user("alex");
        let said = outcome.forwarded().header("x-said").expect("what was said");
        assert_eq!(flow::document(&said)["active"], true);
        let call = world.calls().last().expect("a call").clone();
        for part in ["tenant=one", "branch=a%26b", "token_type_hint=any"] {
            assert!(call.body.contains(part), "{part} in {}", call.body);
        }
        assert!(
            call.headers
                .contains(&("x-trace".to_owned(), "7".to_owned()))
        );
        ask("/app?branch=a%26b").assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 1);
        ask("/app?branch=other").assert_user("alex");
        assert_eq!(world.calls_to(INTROSPECT), 2, "another question");
    });
}

#[test]
fn ht_06b_userinfo_is_asked_once_with_the_token_alone() {
    with_methods(
        &["userinfo"],
        json!({"upstream_user_info_header": "x-info"}),
        |world| {
            let token = world.idp().token_for("alex", world.now());
            for _ in 0..3 {
                let outcome = world.show(&token);
                outcome.assert_user("alex");
                let info = outcome.forwarded().header("x-info").expect("a document");
                assert_eq!(flow::document(&info)["email"], "alex@idp.test");
            }
            assert_eq!(world.calls_to(USERINFO), 1);
            let call = world.calls().last().expect("a call").clone();
            assert_eq!(call.method, "GET");
            assert!(
                call.headers
                    .contains(&("authorization".to_owned(), format!("Bearer {token}")))
            );
            assert!(!format!("{:?}{}", call.headers, call.body).contains(SECRET));
            // The document is as old as the token at most.
            world.pass_seconds(300);
            world.show(&token).assert_status(401);
            world.show("nobody's").assert_status(401);
        },
    );
}
