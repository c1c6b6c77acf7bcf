//! An assertion as the credential of a client (specification sections 3 and 4.8, RFC 7523 section 2.1).

use flow::idp::{ASSERTION_GRANT, ROBOT, TOKEN};
use flow::{Behaviour, Dialect, Request, World};
use serde_json::{Value, json};

/// In both hosts, with client credentials and these members.
#[track_caller]
fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let all = flow::stage::merged(
            json!({"auth_methods": ["client_credentials"]}),
            members.clone(),
        );
        let world = World::with_login(dialect, all);
        world.idp().set(|idp| idp.refresh = false);
        then(&world);
    }
}

/// A form, or a query, with these arguments.
fn arguments(all: &[(&str, &str)]) -> String {
    let encoded = all
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace(':', "%3A").replace(' ', "+")));
    encoded.collect::<Vec<_>>().join("&")
}

fn form(all: &[(&str, &str)]) -> Request {
    Request::new("POST", "/app").form(&arguments(all))
}

fn showing(assertion: &str) -> Request {
    form(&[
        ("grant_type", ASSERTION_GRANT),
        ("assertion", assertion),
        ("a", "b"),
    ])
}

#[test]
fn an_assertion_gets_in_once_for_all_who_show_it() {
    each(json!({"scopes": ["openid", "read"]}), |world| {
        let assertion = world.idp().assertion(world.now() + 200);
        for _ in 0..3 {
            let outcome = world.ask(showing(&assertion));
            outcome.assert_user(ROBOT[0]);
            let forwarded = outcome.forwarded();
            assert!(!forwarded.contains(&assertion), "it is hidden");
            assert_eq!(forwarded.body(), b"a=b");
            let token = forwarded.header("authorization").expect("a token");
            assert_eq!(token.matches('.').count(), 2);
        }
        assert_eq!(world.calls_to(TOKEN), 1);
        assert_eq!(world.idp().proofs(), ["nobody"]);
        let call = world.calls().last().expect("a call").clone();
        assert!(call.body.contains("scope=openid+read"), "{}", call.body);
        assert!(
            !call.body.contains("client_"),
            "ours has no part in it: {}",
            call.body
        );
        assert_eq!(call.header("authorization"), None);
        // In a query and in JSON as well.
        let query = arguments(&[("grant_type", ASSERTION_GRANT), ("assertion", &assertion)]);
        let outcome = world.ask(Request::get(&format!("/app?x=1&{query}")));
        outcome.assert_user(ROBOT[0]);
        assert_eq!(outcome.forwarded().path(), "/app?x=1");
        let text = json!({"grant_type": ASSERTION_GRANT, "assertion": assertion}).to_string();
        let request = Request::new("POST", "/app").header("content-type", "application/json");
        world.ask(request.body(&text)).assert_user(ROBOT[0]);
        assert_eq!(world.calls_to(TOKEN), 1);
    });
}

#[test]
fn who_shows_it_may_say_so_beside_it() {
    each(json!({"client_auth": ["client_secret_basic"]}), |world| {
        let [id, secret] = ROBOT;
        let assertion = world.idp().assertion(world.now() + 200);
        let mut known = vec![
            ("grant_type", ASSERTION_GRANT),
            ("assertion", assertion.as_str()),
        ];
        world.ask(form(&known)).assert_user(id);
        known.push(("client_id", id));
        world.ask(form(&known)).assert_user(id);
        known.push(("client_secret", secret));
        for _ in 0..2 {
            let outcome = world.ask(form(&known).secret(secret));
            outcome.assert_user(id);
            assert!(!outcome.forwarded().contains(secret));
        }
        // Each is a question of its own.
        assert_eq!(world.idp().proofs(), ["nobody", "public robot", "robot"]);
        // A client that is not the one it says is not let in by an assertion that is good.
        known.pop();
        known.push(("client_secret", "another-secret-of-robot"));
        world
            .ask(form(&known).secret("another-secret-of-robot"))
            .assert_status(401);
        assert!(world.logged("client_refused"));
    });
}

#[test]
fn it_is_good_for_no_longer_than_it_says() {
    each(json!({}), |world| {
        let assertion = world.idp().assertion(world.now() + 10);
        world.ask(showing(&assertion)).assert_user(ROBOT[0]);
        world.pass_milliseconds(9_999);
        world.ask(showing(&assertion)).assert_user(ROBOT[0]);
        assert_eq!(world.calls_to(TOKEN), 1);
        // The token that it brought lives on, and whoever finds the assertion gets nothing for it.
        world.pass_milliseconds(1);
        world.ask(showing(&assertion)).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 2);
        assert!(world.logged("grant_refused"));
    });
}

#[test]
fn what_is_no_assertion_is_401_or_nothing() {
    each(json!({}), |world| {
        let assertion = world.idp().assertion(world.now() + 200);
        let grant = ("grant_type", ASSERTION_GRANT);
        // One that the provider does not take, empty ones, and two opinions.
        let near = format!("{assertion}A");
        for (bad, code) in [
            (vec![grant, ("assertion", near.as_str())], "grant_refused"),
            (vec![grant, ("assertion", "")], "credential_unreadable"),
            (
                vec![grant, ("assertion", &assertion), ("assertion", &assertion)],
                "credential_unreadable",
            ),
            (
                vec![grant, ("assertion", &assertion), ("client_id", "")],
                "credential_unreadable",
            ),
            (
                vec![
                    grant,
                    ("assertion", &assertion),
                    ("client_id", "robot"),
                    ("client_secret", ""),
                ],
                "credential_unreadable",
            ),
        ] {
            world.ask(form(&bad)).assert_status(401);
            assert!(world.logged(code), "{code}");
        }
        assert_eq!(world.calls_to(TOKEN), 1, "only the first was asked about");
        // Without its grant an `assertion` is the upstream's own business.
        for none in [
            vec![("assertion", assertion.as_str())],
            vec![("grant_type", "password"), ("assertion", &assertion)],
            vec![grant, grant, ("assertion", &assertion)],
            vec![grant],
        ] {
            world.ask(form(&none)).assert_status(401);
        }
        assert!(world.logged("no_credential"));
        assert_eq!(world.calls_to(TOKEN), 1);
        world.ask(showing(&assertion)).assert_user(ROBOT[0]);
    });
}

#[test]
fn it_is_looked_for_where_client_credentials_are_and_only_if_they_are_on() {
    each(
        json!({"client_credentials_param_type": ["header", "query"]}),
        |world| {
            let assertion = world.idp().assertion(world.now() + 200);
            world.ask(showing(&assertion)).assert_status(401);
            assert_eq!(world.calls_to(TOKEN), 0);
            let query = arguments(&[("grant_type", ASSERTION_GRANT), ("assertion", &assertion)]);
            world
                .ask(Request::get(&format!("/app?{query}")))
                .assert_user(ROBOT[0]);
        },
    );
    each(json!({"auth_methods": ["password"]}), |world| {
        let assertion = world.idp().assertion(world.now() + 200);
        world.ask(showing(&assertion)).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
    });
}

#[test]
fn a_provider_in_trouble_lets_nobody_in() {
    for failure in [
        Behaviour::Status(500),
        Behaviour::NoAnswer,
        Behaviour::Timeout,
    ] {
        each(json!({}), |world| {
            let assertion = world.idp().assertion(world.now() + 200);
            world.next(TOKEN, [failure.clone()]);
            world.ask(showing(&assertion)).assert_status(500);
            world.pass_seconds(1);
            world.ask(showing(&assertion)).assert_user(ROBOT[0]);
        });
    }
}
