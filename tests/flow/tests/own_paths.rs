//! Our own paths: answered by the filter, whoever asks.

use flow::assertion::client_jwk;
use flow::{Dialect, Request, World};
use serde_json::{Value, json};

fn each(members: Value, then: impl Fn(&World)) {
    for dialect in Dialect::BOTH {
        then(&World::with_login(dialect, members.clone()));
    }
}

#[test]
fn a_probe_is_told_that_the_filter_is_there() {
    each(json!({"status_path": "/oidc/status"}), |world| {
        let outcome = world.ask(Request::get("/oidc/status?x=1"));
        outcome.assert_status(200);
        assert_eq!(
            outcome.json(),
            json!({"filter": "oidc-filter", "status": "ready"})
        );
        assert_eq!(
            outcome.answer_header("cache-control").as_deref(),
            Some("no-store")
        );
        world
            .ask(Request::new("HEAD", "/oidc/status"))
            .assert_status(200);
        // Also where the provider is down: nobody is asked.
        assert!(world.calls().is_empty());
        let post = world.ask(Request::new("POST", "/oidc/status"));
        post.assert_status(405);
        assert_eq!(post.answer_header("allow").as_deref(), Some("GET, HEAD"));
        // Letter by letter: what is not the path is an ordinary request.
        for path in [
            "/oidc/status/",
            "/oidc//status",
            "/oidc/%73tatus",
            "/oidc/status;x",
            "/OIDC/status",
        ] {
            world.ask(Request::get(path)).assert_status(302);
        }
    });
    each(json!({}), |world| {
        world.ask(Request::get("/oidc/status")).assert_status(302)
    });
}

#[test]
fn the_public_half_of_our_keys_is_served_and_nothing_else_of_them() {
    let members = json!({"jwks_path": "/oidc/keys", "client_auth": ["private_key_jwt"], "client_jwk": [client_jwk()],
    "routes": [
        {"match": {"paths": ["/oidc/*"]}, "disabled": true},
        {"match": {"paths": ["/x"]}, "config": {"leeway": 1}},
    ]});
    each(members, |world| {
        let outcome = world.ask(Request::get("/oidc/keys"));
        outcome.assert_status(200);
        let own = client_jwk();
        let set = outcome.json();
        let keys = set["keys"].as_array().expect("keys");
        assert_eq!(keys.len(), 1, "once, though the route has it, too");
        assert_eq!(keys[0]["kid"], own["kid"]);
        assert_eq!(keys[0]["x"], own["x"]);
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(keys[0].get(name).is_none(), "trap T3: {name}");
        }
        let body = String::from_utf8_lossy(&outcome.answer().body).into_owned();
        assert!(!body.contains(own["d"].as_str().expect("a private number")));
        let kind = outcome.answer_header("content-type");
        assert_eq!(kind.as_deref(), Some("application/jwk-set+json"));
        let caching = outcome.answer_header("cache-control");
        assert_eq!(caching.as_deref(), Some("public, max-age=300"));
        world
            .ask(Request::new("HEAD", "/oidc/keys"))
            .assert_status(200);
        world
            .ask(Request::new("POST", "/oidc/keys"))
            .assert_status(405);
        world
            .ask(Request::new("DELETE", "/oidc/keys"))
            .assert_status(405);
        assert!(world.ask(Request::get("/oidc/other")).is_forwarded());
    });
}

#[test]
fn without_a_key_the_set_is_empty() {
    each(json!({"jwks_path": "/keys"}), |world| {
        assert_eq!(world.ask(Request::get("/keys")).json(), json!({"keys": []}));
    });
}
