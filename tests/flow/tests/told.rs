//! What the client gets in headers of the response (specification section 10.2), and the keys and signed documents
//! that go to either side. Each test must fail when a field is put back to its default: `make parity` does that.

use flow::idp::{CLIENT, USERINFO};
use flow::stage::{logged_in, with_methods};
use flow::{Dialect, Request, World, document};
use serde_json::json;
use support::issuer;

/// The only value of a header of the response.
#[track_caller]
fn told(outcome: &flow::Outcome, name: &str) -> String {
    let values = outcome.forwarded().response(name);
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values.concat()
}

#[test]
fn a_client_is_told_its_token_and_its_claims() {
    let members = json!({
        "downstream_access_token_header": "x_access:bearer",
        "downstream_headers": [{"header": "x-who", "path": ["name", "first"]}],
        "downstream_headers_claims": ["sub", "lines"], "downstream_headers_names": ["x-sub", "x-lines"],
    });
    with_methods(&["bearer"], members, |world| {
        let claims =
            json!({"name": {"first": "Alex"}, "sub": "s1", "lines": "a\r\nset-cookie: b=c"});
        let token = world.token(claims);
        // Fresh, and from the cache.
        for _ in 0..2 {
            let outcome = world.show(&token);
            outcome.assert_user("alex");
            assert_eq!(told(&outcome, "x-access"), format!("Bearer {token}"));
            assert_eq!(told(&outcome, "x-who"), "Alex", "not the upstream's own");
            assert_eq!(told(&outcome, "x-sub"), "s1");
            assert_eq!(told(&outcome, "x-lines"), "aset-cookie: b=c");
            // Whoever keeps it could hand it to somebody else.
            assert_eq!(told(&outcome, "cache-control"), "private, no-store");
            assert_eq!(told(&outcome, "vary"), "Cookie, Authorization");
        }
        world.show("bad.bad.bad").assert_status(401);
    });
}

#[test]
fn what_only_we_tell_does_not_come_from_the_upstream() {
    let members = json!({
        "downstream_headers_claims": ["department"], "downstream_headers_names": ["x-who"],
        "run_on_preflight": false,
    });
    with_methods(&["bearer"], members, |world| {
        // The claim is not there: then nobody says anything.
        let outcome = world.show(&world.token(json!({})));
        outcome.assert_user("alex");
        assert_eq!(outcome.forwarded().response("x-who"), [""; 0]);
        assert_eq!(told(&outcome, "cache-control"), "public, max-age=60");
        let preflight = Request::new("OPTIONS", "/")
            .header("origin", "https://app.test")
            .header("access-control-request-method", "POST");
        let outcome = world.ask(preflight);
        assert_eq!(outcome.forwarded().response("x-who"), [""; 0]);
        world.show("bad.bad.bad").assert_status(401);
    });
    // Where no field names it, it is the upstream's.
    with_methods(&["bearer"], json!({}), |world| {
        let outcome = world.show(&world.token(json!({})));
        assert_eq!(outcome.forwarded().response("x-who"), ["theirs"]);
    });
}

#[test]
fn a_client_is_told_the_tokens_of_its_session() {
    let members = json!({
        "downstream_access_token_header": "x-access", "downstream_id_token_header": "x-id",
        "downstream_refresh_token_header": "x-refresh", "downstream_session_id_header": "x-session",
        "session_response_headers": ["id", "subject", "timeout"],
    });
    logged_in(members, |world, browser| {
        let before = browser.open("/app").here();
        before.outcome.assert_user("alex");
        assert_eq!(
            told(&before.outcome, "x-id"),
            world.idp().id_token().expect("one")
        );
        let refresh = world.idp().refresh_tokens();
        assert_eq!(told(&before.outcome, "x-refresh"), refresh.concat());
        let upstream = before.outcome.forwarded().header("authorization");
        let access = told(&before.outcome, "x-access");
        assert_eq!(upstream, Some(format!("Bearer {access}")));
        let id = told(&before.outcome, "x-session");
        assert_eq!(
            told(&before.outcome, "session-id"),
            id,
            "not the upstream's own"
        );
        assert_eq!(told(&before.outcome, "session-subject"), "sub of alex");
        let seconds = |outcome| told(outcome, "session-timeout").parse::<u64>();
        let left = seconds(&before.outcome).expect("seconds");
        world.pass_seconds(7);
        let after = browser.open("/app").here();
        assert_eq!(
            seconds(&after.outcome),
            Ok(left - 7),
            "counted anew each time"
        );
        assert_eq!(told(&after.outcome, "x-session"), id);
    });
}

#[test]
fn the_session_of_a_request_that_brings_cookies_is_told_as_well() {
    let members = json!({
        "auth_methods": ["password", "session"], "downstream_id_token_header": "x-id",
        "session_response_headers": ["id"],
    });
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        let pair = "Basic YWxleDp0aGUgcGFzc3dvcmQgb2YgYWxleA==";
        let outcome = world.ask(Request::get("/app").header("authorization", pair));
        outcome.assert_user("alex");
        assert_eq!(outcome.forwarded().response("set-cookie").len(), 2);
        assert_eq!(told(&outcome, "session-id").len(), 22);
        assert_eq!(told(&outcome, "x-id"), world.idp().id_token().expect("one"));
        assert_eq!(told(&outcome, "cache-control"), "private, no-store");
    }
}

#[test]
fn documents_are_told_to_the_client_and_to_the_upstream() {
    for (method, document_of, jwt_of, accept) in [
        (
            "introspection",
            "introspection",
            "introspection_jwt",
            "introspection_accept",
        ),
        ("userinfo", "user_info", "user_info_jwt", "userinfo_accept"),
    ] {
        for signed in [true, false] {
            let mut members = json!({});
            for side in ["upstream", "downstream"] {
                members[format!("{side}_{document_of}_header")] = json!("x-document");
                members[format!("{side}_{jwt_of}_header")] = json!("x-jwt");
            }
            if signed && method == "introspection" {
                members[accept] = json!("application/token-introspection+jwt");
            } else if signed {
                members[accept] = json!("application/jwt");
            }
            with_methods(&[method], members, |world| {
                world.idp().set(|idp| idp.signs = true);
                let token = world.idp().token_for("alex", world.now());
                for _ in 0..2 {
                    let request = Request::get("/app")
                        .bearer(&token)
                        .header("x-jwt", "forged");
                    let outcome = world.ask(request);
                    outcome.assert_user("alex");
                    let seen = outcome.forwarded();
                    let upstream = seen.header("x-document").expect("a document");
                    assert_eq!(document(&upstream)["sub"], "sub of alex");
                    assert_eq!(told(&outcome, "x-document"), upstream);
                    let jwt = seen.header("x-jwt");
                    assert_eq!(jwt.is_some(), signed, "{jwt:?}");
                    assert_eq!(seen.response("x-jwt").first().cloned(), jwt);
                    assert!(jwt.is_none_or(|jwt| jwt.matches('.').count() == 2));
                }
                assert_eq!(
                    world.calls_to(if method == "userinfo" {
                        USERINFO
                    } else {
                        flow::idp::INTROSPECT
                    }),
                    1
                );
                world.show("nobody's").assert_status(401);
            });
        }
    }
}

#[test]
fn the_key_that_verified_a_token_is_told_and_nothing_else_of_it() {
    let members = json!({
        "upstream_access_token_jwk_header": "x-key", "downstream_access_token_jwk_header": "x-key",
    });
    let public = |kid: &str| flow::stage::key(kid).jwk();
    with_methods(&["bearer"], members.clone(), |world| {
        // A provider that publishes too much.
        let mut keys = issuer::jwks([flow::stage::key("k1"), flow::stage::key("k2")]);
        keys["keys"][1]["d"] = json!("AAAA");
        keys["keys"][1]["x5c"] = json!(["AAAA"]);
        world.put(flow::stage::KEYS, &keys);
        let token = world.token_of("k2", json!({}));
        for _ in 0..2 {
            let outcome = world.ask(Request::get("/").bearer(&token).header("x-key", "forged"));
            outcome.assert_user("alex");
            let seen = outcome.forwarded().header("x-key").expect("a key");
            assert_eq!(document(&seen), public("k2"));
            assert_eq!(told(&outcome, "x-key"), seen);
        }
        let other = world.token_of("k9", json!({}));
        world.show(&other).assert_status(401);
    });
    // A session knows its keys also where the worker has just begun.
    let members = json!({
        "upstream_access_token_jwk_header": "x-key", "downstream_access_token_jwk_header": "x-key",
        "upstream_id_token_jwk_header": "x-id-key", "downstream_id_token_jwk_header": "x-id-key",
    });
    for dialect in Dialect::BOTH {
        let world = World::with_workers(dialect, 1, 2);
        world.put_login(json!({}));
        world.route(&flow::stage::login_config(members.clone()));
        let mut browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        browser.worker = 1;
        let page = browser.open("/app").here();
        page.outcome.assert_user("alex");
        for name in ["x-key", "x-id-key"] {
            let seen = page.outcome.forwarded().header(name).expect("a key");
            assert_eq!(document(&seen), public("k1"));
            assert_eq!(told(&page.outcome, name), seen);
        }
        // A key that is gone is not told; the session goes on.
        world.publish(&["k2"]);
        world.pass_seconds(20);
        let other = world.token_of("k2", json!({"aud": CLIENT}));
        world
            .ask(Request::get("/").bearer(&other).at(1))
            .assert_user("alex");
        let page = browser.open("/app").here();
        page.outcome.assert_user("alex");
        assert_eq!(page.outcome.forwarded().header("x-key"), None);
    }
}

#[test]
fn a_route_tells_what_it_says_and_leaves_the_others_alone() {
    let members = json!({
        "routes": [{
            "match": {"paths": ["/told/*"]},
            "config": {"downstream_headers_claims": ["sub"], "downstream_headers_names": ["x-who"]},
        }],
    });
    with_methods(&["bearer"], members, |world| {
        let token = world.token(json!({"sub": "s1"}));
        for (path, expected) in [("/told/a", "s1"), ("/b", "theirs")] {
            let outcome = world.ask(Request::get(path).bearer(&token));
            outcome.assert_user("alex");
            assert_eq!(told(&outcome, "x-who"), expected, "{path}");
        }
        world.show("bad.bad.bad").assert_status(401);
    });
}
