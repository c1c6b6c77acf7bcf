//! An ID token beside an access token (specification section 3, rows D `id_token_param_name` and
//! `id_token_param_type`; OpenID Connect Core 1.0 sections 3.1.3.6 and 3.1.3.7).

use aws_lc_rs::digest::{SHA256, digest};
use flow::idp::{CLIENT, INTROSPECT, ROBOT};
use flow::stage::{ISSUER, key, merged};
use flow::{Dialect, Request, World};
use serde_json::{Value, json};
use support::issuer::b64;

/// In both hosts, with these methods and members, and the ID token under its name.
#[track_caller]
fn each(methods: &[&str], members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        let whole = json!({
            "auth_methods": methods, "id_token_param_name": "id_token",
            "upstream_id_token_header": "x-id-token", "downstream_id_token_header": "x-id-token",
            "upstream_headers_claims": ["preferred_username", "sid", "scope"],
            "upstream_headers_names": ["x-user", "x-sid", "x-scope"],
        });
        then(&World::with_login(dialect, merged(whole, members.clone())));
    }
}

/// An ID token of alex for this gateway, with these changes.
fn id_token(world: &World, changes: Value) -> String {
    let now = world.now();
    let claims = json!({
        "iss": ISSUER, "sub": "sub of alex", "aud": CLIENT, "iat": now, "exp": now + 300, "sid": "there",
        "preferred_username": "alexander", "nonce": "of a login elsewhere",
    });
    key("k1").token(&merged(claims, changes))
}

fn showing(access: &str, id_token: &str) -> Request {
    Request::get("/app")
        .bearer(access)
        .header("id-token", id_token)
        .secret(id_token)
}

#[test]
fn it_tells_what_the_access_token_does_not() {
    each(&["bearer"], json!({}), |world| {
        let access = world.idp().token_for("alex", world.now());
        let id_token = id_token(world, json!({}));
        for _ in 0..2 {
            let outcome = world.ask(showing(&access, &id_token));
            // The access token is believed first.
            outcome.assert_user("alex");
            let forwarded = outcome.forwarded();
            assert_eq!(forwarded.all("x-scope"), ["openid profile"]);
            assert_eq!(forwarded.all("x-sid"), ["there"]);
            assert_eq!(forwarded.all("x-id-token"), [id_token.as_str()]);
            assert_eq!(forwarded.response("x-id-token"), [id_token.as_str()]);
            assert!(
                forwarded.all("id-token").iter().all(String::is_empty),
                "it is hidden"
            );
        }
        // Without it nothing of it is told, whatever was shown before.
        let alone = world.show(&access);
        alone.assert_user("alex");
        assert!(alone.forwarded().all("x-sid").iter().all(String::is_empty));
    });
}

#[test]
fn alone_it_is_no_credential() {
    each(&["bearer", "password"], json!({}), |world| {
        let id_token = id_token(world, json!({}));
        let request = Request::get("/app").header("id-token", &id_token);
        world.ask(request).assert_status(401);
        assert!(world.logged("no_credential"));
        // Nor does it come along with another one, unseen.
        let request = Request::get("/app?username=alex&password=the+password+of+alex");
        let outcome = world.ask(request.header("id-token", "forged"));
        outcome.assert_user("alex");
        assert!(!outcome.forwarded().contains("forged"));
    });
}

#[test]
fn one_that_is_no_good_ends_the_request() {
    each(&["bearer"], json!({}), |world| {
        let now = world.now();
        let access = world.idp().token_for("alex", now);
        let good = id_token(world, json!({}));
        let (head, _) = good.rsplit_once('.').expect("a signature");
        for (bad, code) in [
            (format!("{head}.AAAA"), "signature"),
            (format!("{head}."), ""),
            ("no-token".to_owned(), ""),
            (String::new(), ""),
            (
                id_token(world, json!({"aud": "another"})),
                "audience_not_allowed",
            ),
            (
                id_token(world, json!({"iss": "https://evil.test"})),
                "issuer_not_allowed",
            ),
            (id_token(world, json!({"exp": now - 60})), "token_expired"),
            (id_token(world, json!({"sub": null})), "claim_missing"),
            (
                id_token(world, json!({"sub": "sub of mallory"})),
                "id_token_unrelated",
            ),
            (
                id_token(world, json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
                "token_hash_mismatch",
            ),
            // An access token is none.
            (access.clone(), ""),
        ] {
            world.ask(showing(&access, &bad)).assert_status(401);
            assert!(world.logged(code), "{code}");
        }
        // Two opinions are none, and a bad access token is not made good.
        let twice = showing(&access, &good).header("id-token", &good);
        assert!(!world.ask(twice).is_forwarded());
        let (head, _) = access.rsplit_once('.').expect("a signature");
        world
            .ask(showing(&format!("{head}.AAAA"), &good))
            .assert_status(401);
        world.ask(showing(&access, &good)).assert_user("alex");
    });
}

#[test]
fn a_token_of_ones_own_does_not_borrow_somebody_elses_name() {
    each(&["bearer"], json!({}), |world| {
        let robots = world.idp().token_for(ROBOT[0], world.now());
        world
            .ask(showing(&robots, &id_token(world, json!({}))))
            .assert_status(401);
        assert!(world.logged("id_token_unrelated"));
        // Made together they belong together.
        let half = digest(&SHA256, robots.as_bytes());
        let made = id_token(world, json!({"at_hash": b64(&half.as_ref()[..16])}));
        assert_eq!(
            world.ask(showing(&robots, &made)).forwarded().all("x-sid"),
            ["there"]
        );
    });
    // An opaque token says nothing by itself: then only `at_hash` tells.
    each(&["introspection"], json!({}), |world| {
        world.idp().set(|idp| idp.opaque = true);
        let opaque = world.idp().token_for("alex", world.now());
        world
            .ask(showing(&opaque, &id_token(world, json!({}))))
            .assert_status(401);
        let half = digest(&SHA256, opaque.as_bytes());
        let made = id_token(world, json!({"at_hash": b64(&half.as_ref()[..16])}));
        for _ in 0..2 {
            let outcome = world.ask(showing(&opaque, &made));
            outcome.assert_user("alex");
            assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        }
        assert_eq!(world.calls_to(INTROSPECT), 1);
    });
}

#[test]
fn it_is_looked_for_in_its_places_and_hidden_there() {
    each(&["bearer"], json!({}), |world| {
        let access = world.idp().token_for("alex", world.now());
        let id_token = id_token(world, json!({}));
        let outcome =
            world.ask(Request::get(&format!("/app?id_token={id_token}&x=1")).bearer(&access));
        assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        assert_eq!(outcome.forwarded().path(), "/app?x=1");
        let both = format!("/app?access_token={access}&x=1&id_token={id_token}");
        let outcome = world.ask(Request::get(&both));
        assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        assert_eq!(outcome.forwarded().path(), "/app?x=1");
        // In the body, with the access token in a header, and in the body as well.
        let post = || Request::new("POST", "/app");
        let outcome = world.ask(
            post()
                .bearer(&access)
                .form(&format!("a=b&id_token={id_token}")),
        );
        assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        assert_eq!(outcome.forwarded().body(), b"a=b");
        let form = format!("access_token={access}&a=b&id_token={id_token}");
        let outcome = world.ask(post().form(&form));
        assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        assert_eq!(outcome.forwarded().body(), b"a=b");
    });
    each(
        &["bearer"],
        json!({"id_token_param_type": ["query"]}),
        |world| {
            let access = world.idp().token_for("alex", world.now());
            let id_token = id_token(world, json!({}));
            for request in [
                showing(&access, &id_token),
                Request::new("POST", "/app")
                    .bearer(&access)
                    .form(&format!("id_token={id_token}")),
            ] {
                let outcome = world.ask(request);
                outcome.assert_user("alex");
                assert!(outcome.forwarded().all("x-sid").is_empty());
            }
            let outcome =
                world.ask(Request::get(&format!("/app?id_token={id_token}")).bearer(&access));
            assert_eq!(outcome.forwarded().all("x-sid"), ["there"]);
        },
    );
    // Where hiding is off it stays.
    each(&["bearer"], json!({"hide_credentials": false}), |world| {
        let access = world.idp().token_for("alex", world.now());
        let id_token = id_token(world, json!({}));
        let outcome = world.ask(showing(&access, &id_token));
        assert_eq!(outcome.forwarded().all("id-token"), [id_token]);
    });
}
