//! Fields about calls to the provider whose effect no other test needs. Each test must fail when the field is put
//! back to its default: `make parity` does that.

use flow::idp::{INTROSPECT, ROBOT, TOKEN, USERINFO};
use flow::network::Sent;
use flow::{Dialect, Request, World};
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

#[test]
fn an_audience_is_asked_for_where_tokens_are() {
    let members = json!({"audience": ["https://api.test", "other"]});
    let asked = |text: &str| text.contains("audience=https%3A%2F%2Fapi.test+other");
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        world.browser().enter("/app").outcome.assert_user("alex");
        assert!(asked(&world.idp().asked()[0]), "{:?}", world.idp().asked());
        assert!(asked(&last(&world).body), "{}", last(&world).body);
    }
    each("client_credentials", members, |world| {
        let [id, secret] = ROBOT;
        let pair = format!("/app?client_id={id}&client_secret={secret}");
        world
            .ask(Request::get(&pair).secret(secret))
            .assert_user("robot");
        assert!(asked(&last(world).body), "{}", last(world).body);
    });
}
