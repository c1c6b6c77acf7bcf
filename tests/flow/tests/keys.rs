//! Which key verifies a token, and when keys are fetched (specification section 7.1).

use flow::stage::{DISCOVERY, KEYS, key, key_for};
use flow::{Behaviour, Dialect, Request, World};
use oidc_filter::host::Counter;
use serde_json::json;
use support::issuer::{self, ALGORITHMS};

#[test]
fn dx_11_a_new_key_is_fetched_once_and_strangers_cause_no_flood() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        world.show(&world.token(json!({}))).assert_user("alex");
        world.pass_seconds(60);
        world.publish(&["k1", "k2"]);
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
        assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (2, 2));
        world.pass_milliseconds(29_999);
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (2, 2));
        world.pass_milliseconds(1);
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (3, 3));
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
    }
}

#[test]
fn dx_11_a_withdrawn_key_drops_what_it_verified() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let old = world.token(json!({}));
        world.show(&old).assert_user("alex");
        world.pass_seconds(60);
        world.publish(&["k2"]);
        world.show(&old).assert_user("alex");
        assert_eq!(world.calls_to(KEYS), 1, "nobody has looked yet");
        world
            .show(&world.token_of("k2", json!({})))
            .assert_user("alex");
        let refused = world.show(&old);
        refused.assert_status(401);
        assert!(
            !refused
                .answer_header("www-authenticate")
                .unwrap_or_default()
                .is_empty()
        );
    }
}

#[test]
fn dx_13_keys_outlive_their_endpoint() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        world.show(&token).assert_user("alex");
        world.always(KEYS, Behaviour::Status(503));
        world.pass_seconds(60);
        world.show(&token).assert_user("alex");
        world
            .show(&world.token(json!({"jti": "another"})))
            .assert_user("alex");
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        assert_eq!(world.calls_to(KEYS), 2, "the stranger's rediscovery");
        world
            .show(&world.token(json!({"jti": "a third"})))
            .assert_user("alex");
    }
}

#[test]
fn dx_17_without_a_kid_the_algorithm_finds_the_key() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let keys = [
            key_for("RS256", "rsa"),
            key("k1"),
            key("k2"),
            key_for("EdDSA", "ed"),
        ];
        world.put(KEYS, &issuer::jwks(keys));
        for signer in keys {
            let header = json!({"alg": signer.alg});
            let token = signer.token_with(&header, &world.claims(json!({})));
            world.show(&token).assert_user("alex");
        }
        let token = key("stranger").token_with(&json!({"alg": "ES256"}), &world.claims(json!({})));
        world.show(&token).assert_status(401);
    }
}

#[test]
fn dx_54a_fifty_first_requests_share_one_discovery() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let good: Vec<_> = (0..49)
        .map(|number| {
            let token =
                world.token(json!({"jti": number, "preferred_username": format!("user{number}")}));
            world.send(Request::get("/").bearer(&token))
        })
        .collect();
    let bad = world.send(Request::get("/").bearer(&world.token_of("stranger", json!({}))));
    assert!(world.outcome(good[48]).is_paused());
    world.deliver_all();
    for (number, ticket) in good.into_iter().enumerate() {
        world.outcome(ticket).assert_user(&format!("user{number}"));
    }
    world.outcome(bad).assert_status(401);
    assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (1, 1));
}

#[test]
fn on_kong_fifty_first_requests_each_make_their_own_calls() {
    let world = World::ready(Dialect::Kong, json!({}));
    let tickets: Vec<_> = (0..50)
        .map(|number| world.send(Request::get("/").bearer(&world.token(json!({"jti": number})))))
        .collect();
    world.deliver_all();
    for ticket in tickets {
        world.outcome(ticket).assert_user("alex");
    }
    assert_eq!(world.calls_to(DISCOVERY), 50);
    world
        .show(&world.token(json!({"jti": 51})))
        .assert_user("alex");
    assert_eq!(world.calls_to(DISCOVERY), 50);
}

#[test]
fn all_ten_algorithms_verify_and_a_changed_token_does_not() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let keys = ALGORITHMS.map(|alg| key_for(alg, alg));
    world.put(KEYS, &issuer::jwks(keys));
    for signer in keys {
        let token = signer.token(&world.claims(json!({"preferred_username": signer.alg})));
        world.show(&token).assert_user(signer.alg);
        let other = signer.token(&world.claims(json!({"preferred_username": "root"})));
        let (body, _) = other.rsplit_once('.').expect("a token");
        let (_, signature) = token.rsplit_once('.').expect("a token");
        world
            .show(&format!("{body}.{signature}"))
            .assert_status(401);
    }
    assert_eq!(world.counted(Counter::VerifiedInModule), 10);
}

#[test]
fn one_kid_for_two_algorithms_and_a_name_by_certificate() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let twins = [key_for("RS256", "same"), key_for("ES256", "same")];
    let mut jwks = issuer::jwks(twins);
    let mut by_certificate = key("named by x5t").jwk();
    by_certificate["x5t"] = json!("abc");
    by_certificate
        .as_object_mut()
        .expect("an object")
        .remove("kid");
    jwks["keys"]
        .as_array_mut()
        .expect("a list")
        .push(by_certificate);
    world.put(KEYS, &jwks);
    for signer in twins {
        world
            .show(&signer.token(&world.claims(json!({}))))
            .assert_user("alex");
    }
    let claims = world.claims(json!({}));
    let header = json!({"alg": "ES256", "x5t": "abc"});
    world
        .show(&key("named by x5t").token_with(&header, &claims))
        .assert_user("alex");
    world
        .show(&key("stranger").token_with(&header, &claims))
        .assert_status(401);
}

#[test]
fn an_unknown_kid_may_be_a_key_under_an_old_name() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let claims = world.claims(json!({}));
    let header = json!({"alg": "ES256", "kid": "renamed"});
    world
        .show(&key("k1").token_with(&header, &claims))
        .assert_user("alex");
    world
        .show(&key("stranger").token_with(&header, &claims))
        .assert_status(401);
}

#[test]
fn a_failed_rediscovery_is_tried_again_after_five_seconds() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        world.show(&world.token(json!({}))).assert_user("alex");
        world.pass_seconds(60);
        world.publish(&["k1", "k2"]);
        world.next(KEYS, [Behaviour::Status(500)]);
        let token = world.token_of("k2", json!({}));
        world.show(&token).assert_status(401);
        world.pass_milliseconds(4_999);
        world.show(&token).assert_status(401);
        assert_eq!(world.calls_to(KEYS), 2, "too soon");
        world.pass_milliseconds(1);
        world.show(&token).assert_user("alex");
        assert_eq!(world.calls_to(KEYS), 3);
    }
}

#[test]
fn rediscovery_lifetime_is_the_operators_to_choose() {
    let world = World::ready(Dialect::Envoy, json!({"rediscovery_lifetime": 0}));
    world.show(&world.token(json!({}))).assert_user("alex");
    for fetches in 2..5 {
        world.pass_milliseconds(1);
        world
            .show(&world.token_of("stranger", json!({})))
            .assert_status(401);
        assert_eq!(world.calls_to(KEYS), fetches);
    }
}

#[test]
fn keys_are_refreshed_in_the_background_and_keep_what_they_verified() {
    let world = World::ready(Dialect::Envoy, json!({"cache_ttl": 60}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(61);
    world.show(&token).assert_user("alex");
    world.show(&token).assert_user("alex");
    assert_eq!(
        world.calls_to(DISCOVERY),
        1,
        "no request waits for a refresh"
    );
    world.tick();
    world.deliver_all();
    assert_eq!(
        (world.calls_to(DISCOVERY), world.calls_to(KEYS)),
        (2, 2),
        "one job for two requests"
    );
    let hits = world.counted(Counter::VerdictHit);
    world.show(&token).assert_user("alex");
    assert_eq!(world.counted(Counter::VerdictHit), hits + 1);
    world.publish(&["k2"]);
    world.pass_seconds(61);
    world.show(&token).assert_user("alex");
    world.tick();
    world.deliver_all();
    world.show(&token).assert_status(401);
}

#[test]
fn on_kong_one_request_waits_for_the_refresh_that_is_due() {
    let world = World::ready(Dialect::Kong, json!({"cache_ttl": 60}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(61);
    let waits = world.send(Request::get("/").bearer(&token));
    assert!(world.outcome(waits).is_paused());
    let passes = world.send(Request::get("/").bearer(&token));
    world.outcome(passes).assert_user("alex");
    world.deliver_all();
    world.outcome(waits).assert_user("alex");
    assert_eq!(world.calls_to(DISCOVERY), 2);
    world.pass_seconds(61);
    world.always(DISCOVERY, Behaviour::Status(503));
    world.show(&token).assert_user("alex");
    world.show(&token).assert_user("alex");
    assert_eq!(
        world.calls_to(DISCOVERY),
        3,
        "a refresh that failed is not tried at once again"
    );
}

#[test]
fn on_kong_an_older_fetch_never_replaces_a_newer_one() {
    let world = World::ready(Dialect::Kong, json!({}));
    let early = world.send(Request::get("/").bearer(&world.token(json!({}))));
    world.deliver_one();
    // The early request's key set is on its way while the provider turns its keys over.
    assert_eq!(world.under_way(), [KEYS]);
    world.publish(&["k2"]);
    let late = world.send(Request::get("/").bearer(&world.token_of("k2", json!({}))));
    world.deliver(1);
    world.deliver(1);
    world.outcome(late).assert_user("alex");
    world.deliver_all();
    world.outcome(early).assert_status(401);
    world
        .show(&world.token_of("k2", json!({"jti": 2})))
        .assert_user("alex");
}

#[test]
fn on_kong_a_row_of_strangers_does_not_keep_the_provider_busy() {
    let world = World::ready(Dialect::Kong, json!({}));
    world.show(&world.token(json!({}))).assert_user("alex");
    world.pass_seconds(60);
    let before = world.calls_to(DISCOVERY);
    // Each stranger comes while the one before still waits, for twenty seconds.
    for number in 0..100 {
        let token = world.token_of("stranger", json!({"jti": number}));
        let _ = world.send(Request::get("/").bearer(&token));
        world.pass_milliseconds(200);
        while world.under_way().len() > 1 {
            world.deliver_one();
        }
    }
    world.deliver_all();
    let fetches = world.calls_to(DISCOVERY) - before;
    assert!(
        fetches <= 8,
        "{fetches} rediscoveries within `rediscovery_lifetime`"
    );
}

#[test]
fn a_refresh_that_failed_under_a_waiting_request_counts_as_its_failure() {
    let world = World::ready(Dialect::Envoy, json!({"cache_ttl": 60}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(61);
    world.publish(&["k1", "k2"]);
    world.next(DISCOVERY, [Behaviour::Status(500)]);
    world.show(&token).assert_user("alex");
    world.tick();
    // Joins the refresh that is under way, which fails.
    let new = world.token_of("k2", json!({}));
    world.show(&new).assert_status(401);
    world.pass_seconds(6);
    world.show(&new).assert_user("alex");
}
