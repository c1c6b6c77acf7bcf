//! Fields about calls to the provider whose effect no other test needs. Each test must fail when the field is put
//! back to its default: `make parity` does that.

use flow::idp::{INTROSPECT, ROBOT, TOKEN, USERINFO};
use flow::network::Sent;
use flow::{Behaviour, Dialect, Request, World};
use serde_json::{Value, json};

/// In both hosts, with this method and members.
#[track_caller]
fn each(method: &str, members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let all = flow::stage::merged(json!({"auth_methods": [method]}), members.clone());
        then(&World::with_login(dialect, all));
    }
}

fn last(world: &World) -> Sent {
    world.calls().last().expect("a call").clone()
}

#[test]
fn configured_endpoints_are_asked_where_the_metadata_have_none() {
    for (method, field, url) in [
        ("introspection", "introspection_endpoint", INTROSPECT),
        ("userinfo", "userinfo_endpoint", USERINFO),
    ] {
        let mut members = json!({});
        members[field] = json!(url);
        each(method, members, |world| {
            let mut without = json!({});
            without[field] = Value::Null;
            world.put_login(without);
            let token = world.idp().token_for("alex", world.now());
            world.show(&token).assert_user("alex");
            assert_eq!(world.calls_to(url), 1);
        });
    }
}

#[test]
fn introspection_may_want_another_proof_and_another_answer() {
    let members = json!({
        "client_auth": ["client_secret_basic"],
        "introspection_endpoint_auth_method": "client_secret_post",
        "introspection_headers_names": ["x-key"], "introspection_headers_values": ["k"],
        "introspection_post_args_client_headers": ["x-branch"],
    });
    each("introspection", members, |world| {
        let token = world.idp().token_for("alex", world.now());
        let request = Request::get("/app").bearer(&token).header("x-branch", "b");
        world.ask(request).assert_user("alex");
        let call = last(world);
        assert!(call.body.contains("client_secret="), "{}", call.body);
        assert_eq!(call.header("x-key"), Some("k"));
        assert!(call.body.contains("x-branch=b"), "{}", call.body);
    });
    for (method, field, accept) in [
        (
            "introspection",
            "introspection_accept",
            "application/token-introspection+jwt",
        ),
        ("userinfo", "userinfo_accept", "application/jwt"),
    ] {
        let mut members = json!({});
        members[field] = json!(accept);
        each(method, members, |world| {
            let token = world.idp().token_for("alex", world.now());
            // This provider answers with JSON whatever is asked for.
            let _ = world.show(&token);
            assert_eq!(last(world).header("accept"), Some(accept));
        });
    }
}

#[test]
fn what_the_configuration_adds_to_userinfo_goes_there() {
    let members = json!({
        "userinfo_headers_names": ["x-key"], "userinfo_headers_values": ["k"],
        "userinfo_headers_client": ["x-trace"],
        "userinfo_query_args_names": ["tenant"], "userinfo_query_args_values": ["one"],
        "userinfo_query_args_client": ["branch"],
    });
    each("userinfo", members, |world| {
        let token = world.idp().token_for("alex", world.now());
        let request = Request::get("/app?branch=a").bearer(&token);
        let _ = world.ask(request.header("x-trace", "7"));
        let call = last(world);
        assert_eq!(call.header("x-key"), Some("k"));
        assert_eq!(call.header("x-trace"), Some("7"));
        for argument in ["tenant=one", "branch=a"] {
            assert!(call.url.contains(argument), "{}", call.url);
        }
    });
}

#[test]
fn credentials_are_looked_for_only_where_the_configuration_says() {
    let pair = format!("/app?client_id={}&client_secret={}", ROBOT[0], ROBOT[1]);
    let asked = || Request::get(&pair).secret(ROBOT[1]);
    each("client_credentials", json!({}), |world| {
        world.ask(asked()).assert_user("robot");
    });
    let header = json!({"client_credentials_param_type": ["header"]});
    each("client_credentials", header, |world| {
        world.ask(asked()).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
    });
    let header = json!({"refresh_token_param_name": "rt", "refresh_token_param_type": ["header"]});
    each("refresh_token", header, |world| {
        world.ask(Request::get("/app?rt=x")).assert_status(401);
        assert_eq!(world.calls_to(TOKEN), 0);
    });
}

/// Somebody and something with a credential, to whom the token endpoint answers with `x-limit: 7`: what each gets
/// under this name.
#[track_caller]
fn limits(members: Value, name: &str) -> Vec<[usize; 2]> {
    let methods = json!({"auth_methods": ["password", "client_credentials"]});
    let world = |dialect| {
        World::with_login(
            dialect,
            flow::stage::merged(methods.clone(), members.clone()),
        )
    };
    let ask = |world: &World, target: &str| {
        world.next(TOKEN, [Behaviour::With("x-limit", "7")]);
        let outcome = world.ask(Request::get(target));
        let sent = outcome.forwarded().response(name);
        assert!(sent.iter().all(|value| value == "7"), "{sent:?}");
        sent.len()
    };
    let robot = format!("/app?client_id={}&client_secret={}", ROBOT[0], ROBOT[1]);
    let alex = "/app?username=alex&password=the%20password%20of%20alex";
    let asked = Dialect::BOTH.map(world);
    asked
        .iter()
        .map(|world| [ask(world, alex), ask(world, &robot)])
        .collect()
}

#[test]
fn headers_of_the_token_endpoint_are_replayed_to_the_client() {
    let replay = json!({"token_headers_replay": ["x-limit"]});
    assert_eq!(limits(replay, "x-limit"), [[1, 1]; 2]);
    assert_eq!(limits(json!({}), "x-limit"), [[0, 0]; 2]);
}

#[test]
fn replayed_headers_may_have_a_prefix() {
    let replay = json!({"token_headers_replay": ["x-limit"], "token_headers_prefix": "idp-"});
    assert_eq!(limits(replay.clone(), "idp-x-limit"), [[1, 1]; 2]);
    assert_eq!(limits(replay, "x-limit"), [[0, 0]; 2]);
}

#[test]
fn headers_are_replayed_for_the_grants_that_are_named() {
    let replay = json!({"token_headers_replay": ["x-limit"], "token_headers_grants": ["password"]});
    assert_eq!(limits(replay, "x-limit"), [[1, 0]; 2]);
}

#[test]
fn introspection_names_the_token_as_configured() {
    let members = json!({"introspection_token_param_name": "tok"});
    each("introspection", members, |world| {
        let token = world.idp().token_for("alex", world.now());
        // This provider knows the standard name only.
        let _ = world.show(&token);
        let body = last(world).body;
        assert!(body.contains(&format!("tok={token}")), "{body}");
        assert!(!body.contains("token="), "{body}");
    });
}

#[test]
fn the_audience_is_sent_to_both_endpoints() {
    let members = json!({"audience": ["https://api.test", "other"]});
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        let browser = world.browser();
        let away = browser.open("/app").away();
        assert_eq!(
            away.parameter("audience").as_deref(),
            Some("https://api.test other")
        );
        browser.log_in(&away).here().outcome.assert_user("alex");
        let body = last(&world).body;
        assert!(
            body.contains("audience=https%3A%2F%2Fapi.test+other"),
            "{body}"
        );
    }
    each("client_credentials", members, |world| {
        let pair = format!("/app?client_id={}&client_secret={}", ROBOT[0], ROBOT[1]);
        world
            .ask(Request::get(&pair).secret(ROBOT[1]))
            .assert_user("robot");
        let body = last(world).body;
        assert!(
            body.contains("audience=https%3A%2F%2Fapi.test+other"),
            "{body}"
        );
    });
}

#[test]
fn userinfo_may_be_asked_each_time() {
    each("userinfo", json!({"cache_user_info": false}), |world| {
        let token = world.idp().token_for("alex", world.now());
        for calls in 1..=3 {
            world.show(&token).assert_user("alex");
            assert_eq!(world.calls_to(USERINFO), calls);
        }
    });
}

#[test]
fn the_upstream_gets_the_id_token_and_the_sessions_id_where_they_are_asked_for() {
    let members = json!({"upstream_id_token_header": "x-id-token", "upstream_session_id_header": "x-session"});
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        let outcome = browser.ask(Request::get("/app").header("x-session", "forged"));
        let seen = outcome.forwarded();
        assert_eq!(
            seen.all("x-id-token"),
            [world.idp().id_token().expect("one")]
        );
        let session = seen.header("x-session").expect("an id");
        assert!(session.len() > 10 && session != "forged", "{session}");
    }
}
