//! Discovery, key sets and a provider that misbehaves (specification sections 7.1, 7.2 and 16).

use flow::assertion::client_jwk;
use flow::stage::{DISCOVERY, ISSUER, KEYS, config, key};
use flow::{Behaviour, Dialect, Request, World};
use oidc_filter::host::{Counter, Level};
use serde_json::{Value, json};
use support::issuer;

#[test]
fn a_provider_that_is_down_at_first_heals_after_five_seconds() {
    for dialect in Dialect::BOTH {
        for down in [
            Behaviour::Status(502),
            Behaviour::NotSent,
            Behaviour::NoAnswer,
        ] {
            let world = World::ready(dialect, json!({}));
            world.always(DISCOVERY, down);
            let token = world.token(json!({}));
            let refused = world.show(&token);
            refused.assert_status(500);
            assert_eq!(
                refused.json(),
                json!({"message": "An unexpected error occurred"})
            );
            assert!(!world.lines(Level::Error).is_empty());
            world.always(DISCOVERY, Behaviour::Normal);
            let calls = world.calls_to(DISCOVERY);
            world.pass_milliseconds(4_999);
            world.show(&token).assert_status(500);
            assert_eq!(world.calls_to(DISCOVERY), calls, "too soon");
            world.pass_milliseconds(1);
            world.show(&token).assert_user("alex");
        }
    }
}

#[test]
fn a_provider_that_does_not_answer_is_waited_for_as_configured() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"timeout": 700}));
        world.next(DISCOVERY, [Behaviour::Timeout]);
        let (began, token) = (world.now(), world.token(json!({})));
        world.show(&token).assert_status(500);
        assert!(world.now() <= began + 1);
        assert_eq!(
            (
                world.calls_to(DISCOVERY),
                world.counted(Counter::CallRetried)
            ),
            (1, 0)
        );
        world.pass_seconds(5);
        world.show(&token).assert_user("alex");
    }
}

#[test]
fn a_broken_connection_is_tried_once_more_and_not_twice() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        world.next(DISCOVERY, [Behaviour::NoAnswer]);
        world.next(KEYS, [Behaviour::NoAnswer]);
        world.show(&world.token(json!({}))).assert_user("alex");
        assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (2, 2));
        assert_eq!(world.counted(Counter::CallRetried), 2);
        let world = World::ready(dialect, json!({}));
        world.always(DISCOVERY, Behaviour::NoAnswer);
        world.show(&world.token(json!({}))).assert_status(500);
        assert_eq!(world.calls_to(DISCOVERY), 2);
        for once in [
            Behaviour::Timeout,
            Behaviour::NotSent,
            Behaviour::Status(503),
        ] {
            let world = World::ready(dialect, json!({}));
            world.always(DISCOVERY, once);
            world.show(&world.token(json!({}))).assert_status(500);
            assert_eq!(world.calls_to(DISCOVERY), 1);
        }
    }
}

#[test]
fn an_answer_that_is_no_document_lets_nobody_in() {
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let padded = format!(
        r#"{{"issuer":"{ISSUER}","jwks_uri":"{KEYS}","p":"{}"}}"#,
        "x".repeat(130 << 10)
    );
    let bodies = [
        Vec::new(),
        b"<html>sign in</html>".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        br#"{"issuer": 1, "jwks_uri": "x"}"#.to_vec(),
        br#"{"keys": {}}"#.to_vec(),
        deep.into_bytes(),
        padded.into_bytes(),
        vec![b' '; 300 << 10],
        vec![b'x'; 2 << 20],
        vec![0xff; 100],
    ];
    let mut bad: Vec<Behaviour> = bodies.into_iter().map(Behaviour::Body).collect();
    bad.extend([201, 204, 206, 301, 304, 400, 401, 404, 429, 500].map(Behaviour::Status));
    bad.push(Behaviour::Redirect("https://evil.test/keys".to_owned()));
    for dialect in Dialect::BOTH {
        for behaviour in &bad {
            for url in [DISCOVERY, KEYS] {
                if url == KEYS && is_padded_metadata(behaviour) {
                    continue;
                }
                let world = World::ready(dialect, json!({}));
                world.put("https://evil.test/keys", &issuer::jwks([key("stranger")]));
                world.always(url, behaviour.clone());
                let refused = world.show(&world.token(json!({})));
                refused.assert_status(500);
                assert_eq!(
                    refused.json(),
                    json!({"message": "An unexpected error occurred"})
                );
                world
                    .show(&world.token_of("stranger", json!({})))
                    .assert_status(500);
                assert_eq!(world.calls_to("https://evil.test/keys"), 0);
                // The same provider heals.
                world.always(url, Behaviour::Normal);
                world.pass_seconds(5);
                world.show(&world.token(json!({}))).assert_user("alex");
            }
        }
    }
}

fn is_padded_metadata(behaviour: &Behaviour) -> bool {
    matches!(behaviour, Behaviour::Body(body) if body.starts_with(b"{\"issuer\":\""))
}

#[test]
fn cve_2026_48524_a_failed_fetch_keeps_the_old_keys() {
    let world = World::ready(Dialect::Envoy, json!({}));
    world.show(&world.token(json!({}))).assert_user("alex");
    for bad in [
        Behaviour::Status(500),
        Behaviour::Body(b"{}".to_vec()),
        Behaviour::Timeout,
    ] {
        world.pass_seconds(60);
        world.next(KEYS, [bad]);
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        world
            .show(&world.token(json!({"jti": "after"})))
            .assert_user("alex");
    }
}

#[test]
fn an_empty_key_set_is_a_withdrawal_of_all_keys() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    world.publish(&[]);
    world.pass_seconds(60);
    world
        .show(&world.token_of("stranger", json!({})))
        .assert_status(401);
    world.show(&token).assert_status(401);
    world.publish(&["k1"]);
    world.pass_seconds(30);
    world.show(&token).assert_user("alex");
}

#[test]
fn c23_another_issuer_in_the_metadata_is_a_warning_or_a_refusal() {
    let other = json!({"issuer": "https://other.test", "jwks_uri": KEYS});
    let world = World::ready(Dialect::Envoy, json!({}));
    world.put(DISCOVERY, &other);
    world
        .show(&world.token(json!({"iss": "https://other.test"})))
        .assert_user("alex");
    assert!(world.lines(Level::Warn)[0].contains("issuer_mismatch"));
    world.show(&world.token(json!({}))).assert_status(401);

    for document in [other, json!({"jwks_uri": KEYS})] {
        let world = World::ready(Dialect::Envoy, json!({"verify_issuer": "strict"}));
        world.put(DISCOVERY, &document);
        world.show(&world.token(json!({}))).assert_status(500);
        assert!(world.logged("issuer_mismatch"));
        world.put(
            DISCOVERY,
            &json!({"issuer": format!("{ISSUER}/"), "jwks_uri": KEYS}),
        );
        world.pass_seconds(5);
        world.show(&world.token(json!({}))).assert_user("alex");
    }
}

/// Microsoft's metadata for many tenants name an issuer that no token has.
#[test]
fn an_issuer_for_many_tenants_is_that_of_the_tokens_tenant() {
    let shared = json!({"issuer": "https://idp.test/{tenantid}/v2.0", "jwks_uri": KEYS});
    let of = |named: &str, tid: Value| json!({"iss": format!("https://idp.test/{named}/v2.0"), "tid": tid});
    for (members, second) in [
        (json!({"verify_issuer": "strict"}), 200),
        (
            json!({"issuers_allowed": ["https://idp.test/one/v2.0"]}),
            401,
        ),
    ] {
        let world = World::new(Dialect::Envoy, 1);
        let issuer = "https://idp.test/common/v2.0";
        world.put(
            &format!("{issuer}/.well-known/openid-configuration"),
            &shared,
        );
        world.publish(&["k1"]);
        let members = flow::stage::merged(json!({"issuer": issuer}), members);
        world.route(&flow::stage::config(members));
        let show = |claims| world.show(&world.token(claims));
        show(of("one", json!("one"))).assert_user("alex");
        assert_eq!(world.logged("every_tenant"), second == 200);
        assert!(!world.logged("issuer_mismatch"));
        // Another tenant: as the operator says. One that the token itself does not name: never.
        let other = show(of("two", json!("two")));
        assert_eq!(other.is_forwarded(), second == 200);
        for bad in [
            of("two", json!("one")),
            of("two", Value::Null),
            of("{tenantid}", json!("{tenantid}")),
            of("common", json!("two")),
            json!({"iss": "https://evil.test/one/v2.0", "tid": "one"}),
        ] {
            show(bad).assert_status(401);
        }
    }
}

/// A login there: its session is of the tenant, and the client's assertion is for the issuer as it is configured.
#[test]
fn people_of_a_tenant_log_in_where_the_metadata_are_of_many() {
    let members = json!({"client_auth": ["private_key_jwt"], "client_jwk": [client_jwk()]});
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        world.put_login(json!({"issuer": "https://idp.test/{tenantid}"}));
        let tid = |tid: &str| {
            let claims = json!({"tid": tid});
            world.idp().set(|idp| {
                idp.id_claims = claims.clone();
                idp.access_claims = claims;
            });
        };
        tid("realm");
        let browser = world.browser();
        browser.enter("/app").outcome.assert_user("alex");
        assert_eq!(world.idp().proofs(), ["private_key_jwt"]);
        browser.ask(Request::get("/app")).assert_user("alex");
        tid("other");
        let other = world.browser();
        let stop = other.log_in(&other.open("/app").away());
        stop.here().outcome.assert_status(401);
        assert!(world.logged("issuer_not_allowed"));
    }
}

#[test]
fn metadata_without_an_issuer_are_no_crash() {
    let world = World::ready(Dialect::Envoy, json!({}));
    world.put(DISCOVERY, &json!({"jwks_uri": KEYS}));
    world.show(&world.token(json!({}))).assert_user("alex");
    world
        .show(&world.token(json!({"iss": "https://other.test"})))
        .assert_status(401);
}

#[test]
fn the_issuer_may_be_written_as_the_address_of_its_metadata() {
    let oauth = "https://idp.test/.well-known/oauth-authorization-server/realm";
    for (written, fetched) in [
        (DISCOVERY.to_owned(), DISCOVERY),
        (format!("{ISSUER}/"), DISCOVERY),
        (oauth.to_owned(), oauth),
    ] {
        let world = World::ready(Dialect::Envoy, json!({"issuer": written}));
        world.put(oauth, &json!({"issuer": ISSUER, "jwks_uri": KEYS}));
        world.show(&world.token(json!({}))).assert_user("alex");
        assert_eq!(world.calls_to(fetched), 1);
        assert!(!world.logged("issuer_mismatch"));
    }
}

#[test]
fn metadata_must_name_keys_that_are_reached_as_safely() {
    for bad in [
        json!({"issuer": ISSUER}),
        json!({"issuer": ISSUER, "jwks_uri": ""}),
        json!({"issuer": ISSUER, "jwks_uri": "/keys"}),
        json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": ISSUER, "jwks_uri": "http://idp.test/realm/keys"}),
    ] {
        let world = World::ready(Dialect::Envoy, json!({}));
        world.put("http://idp.test/realm/keys", &issuer::jwks([key("k1")]));
        world.put(DISCOVERY, &bad);
        world.show(&world.token(json!({}))).assert_status(500);
        assert_eq!(world.calls().len(), 1, "{bad}");
        world.put(DISCOVERY, &json!({"issuer": ISSUER, "jwks_uri": KEYS}));
        world.pass_seconds(5);
        world.show(&world.token(json!({}))).assert_user("alex");
    }
}

#[test]
fn jwks_endpoint_takes_the_place_of_the_announced_one() {
    let mine = "https://keys.test/mine";
    let world = World::ready(
        Dialect::Envoy,
        json!({"jwks_endpoint": mine, "clusters": {"https://keys.test": "k"}}),
    );
    world.put(mine, &issuer::jwks([key("k2")]));
    world
        .show(&world.token_of("k2", json!({})))
        .assert_user("alex");
    world.show(&world.token(json!({}))).assert_status(401);
    assert_eq!((world.calls_to(KEYS), world.calls_to(mine)), (0, 1));
    let clusters: Vec<_> = world
        .calls()
        .iter()
        .map(|call| call.cluster.clone())
        .collect();
    assert_eq!(clusters, ["idp.test", "k"]);
}

#[test]
fn extra_keys_stay_when_their_endpoint_goes_down() {
    let extra = "https://keys.test/extra";
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"extra_jwks_uris": [extra]}));
        world.put(extra, &issuer::jwks([key("k2")]));
        world.show(&world.token(json!({}))).assert_user("alex");
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
        world.always(extra, Behaviour::Status(503));
        world.publish(&["k3"]);
        world.pass_seconds(60);
        world
            .show(&world.token_of("k3", json!({})))
            .assert_user("alex");
        world
            .show(&world.token_of("k2", json!({"jti": 2})))
            .assert_user("alex");
        world
            .show(&world.token(json!({"jti": 2})))
            .assert_status(401);
    }
}

#[test]
fn a_pseudo_issuer_is_never_called() {
    for dialect in Dialect::BOTH {
        let keys = "https://keys.test/keys";
        let world = World::new(dialect, 1);
        world.put(keys, &issuer::jwks([key("k1")]));
        world.route(&config(
            json!({"using_pseudo_issuer": true, "jwks_endpoint": keys}),
        ));
        world.show(&world.token(json!({}))).assert_user("alex");
        world
            .show(&world.token(json!({"iss": "https://other.test"})))
            .assert_status(401);
        world.pass_seconds(60);
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        assert!(world.calls().iter().all(|call| call.url == keys));
    }
}

#[test]
fn a_pseudo_issuer_with_a_secret_calls_nobody() {
    let secret = "a client secret of thirty-two bytes!";
    let world = World::new(Dialect::Kong, 1);
    world.route(&config(json!({
        "using_pseudo_issuer": true, "enable_hs_signatures": true, "client_secret": [secret],
    })));
    let token = |claims| issuer::hs256(secret.as_bytes(), &world.claims(claims));
    world.show(&token(json!({}))).assert_user("alex");
    world
        .show(&token(json!({"iss": "https://other.test"})))
        .assert_status(401);
    world.show(&world.token(json!({}))).assert_status(401);
    assert!(world.calls().is_empty());
}

#[test]
fn discovery_headers_go_to_discovery_and_nowhere_else() {
    let world = World::ready(
        Dialect::Envoy,
        json!({
            "discovery_headers_names": ["X-Api-Key"], "discovery_headers_values": ["the key to the door"],
        }),
    );
    world.show(&world.token(json!({}))).assert_user("alex");
    let calls = world.calls();
    assert_eq!(calls[0].header("x-api-key"), Some("the key to the door"));
    assert_eq!(calls[1].header("x-api-key"), None);
    for call in calls.iter() {
        assert_eq!(
            (call.method, call.header("accept")),
            ("GET", Some("application/json"))
        );
        assert!(
            call.header("user-agent").is_some(),
            "some providers refuse calls without one"
        );
    }
}

#[test]
fn useless_keys_in_a_set_do_no_harm() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let mut jwks = issuer::jwks([key("k1")]);
    let keys = jwks["keys"].as_array_mut().expect("a list");
    keys.insert(
        0,
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}),
    );
    keys.insert(
        0,
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "evil\r\nkey"}),
    );
    keys.insert(0, json!("no key"));
    keys.insert(
        0,
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "use": "enc"}),
    );
    world.put(KEYS, &jwks);
    world.show(&world.token(json!({}))).assert_user("alex");
    world
        .show(&issuer::hs256(b"secret", &world.claims(json!({}))))
        .assert_status(401);
    assert_eq!(
        world
            .lines(Level::Info)
            .iter()
            .filter(|line| line.contains("key_skipped"))
            .count(),
        4
    );
}
