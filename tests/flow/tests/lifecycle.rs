//! Requests that wait: together, for each other, under a policy that changes, or not to the end.

use flow::stage::{DISCOVERY, KEYS, config, key, key_for};
use flow::{Behaviour, Dialect, HostCrypto, Outcome, Request, World};
use oidc_filter::host::Counter;
use serde_json::json;
use support::issuer;

#[test]
fn who_shares_a_flight_does_not_lose_it_with_its_starter() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let starter = world.send(Request::get("/").bearer(&world.token(json!({"jti": 1}))));
    let sharer = world.send(Request::get("/").bearer(&world.token(json!({"jti": 2}))));
    world.leave(starter);
    world.deliver_one();
    let late = world.send(Request::get("/").bearer(&world.token(json!({"jti": 3}))));
    world.deliver_all();
    assert!(matches!(world.outcome(starter), Outcome::Left));
    world.outcome(sharer).assert_user("alex");
    world.outcome(late).assert_user("alex");
    assert_eq!(world.calls_to(DISCOVERY), 1);
    assert_eq!(
        world.counted(Counter::StrayAnswer),
        0,
        "the flight is the root's"
    );
}

#[test]
fn a_flight_that_everybody_left_still_lands() {
    let world = World::ready(Dialect::Envoy, json!({}));
    for number in 0..3 {
        let ticket = world.send(Request::get("/").bearer(&world.token(json!({"jti": number}))));
        world.leave(ticket);
    }
    world.deliver_all();
    assert_eq!(world.tasks(), 0);
    world.show(&world.token(json!({}))).assert_user("alex");
    assert_eq!(world.calls_to(KEYS), 1);
}

#[test]
fn on_kong_the_answer_to_a_request_that_left_is_a_stray() {
    let world = World::ready(Dialect::Kong, json!({}));
    let leaves = world.send(Request::get("/").bearer(&world.token(json!({"jti": 1}))));
    let stays = world.send(Request::get("/").bearer(&world.token(json!({"jti": 2}))));
    world.leave(leaves);
    world.deliver_all();
    world.outcome(stays).assert_user("alex");
    assert_eq!(world.counted(Counter::StrayAnswer), 1);
    assert_eq!(world.tasks(), 0);
}

#[test]
fn on_kong_a_refresh_that_was_left_alone_is_begun_again() {
    let world = World::ready(Dialect::Kong, json!({"cache_ttl": 60}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(60);
    let leaves = world.send(Request::get("/").bearer(&token));
    world.leave(leaves);
    world.deliver_all();
    world.show(&token).assert_user("alex");
    assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (3, 2));
}

#[test]
fn a_paused_request_ends_under_the_policy_it_began_with() {
    for dialect in Dialect::BOTH {
        let world = World::new(dialect, 1);
        world.put_provider();
        let route = world.route(&config(json!({})));
        let paused = world.send(Request::get("/").bearer(&world.token(json!({"jti": 1}))));
        world.deliver_one();
        world.update(route, &config(json!({"scopes_required": ["admin"]})));
        let newer = world.send(Request::get("/").bearer(&world.token(json!({"jti": 2}))));
        world.deliver_all();
        world.outcome(paused).assert_user("alex");
        world.outcome(newer).assert_status(403);
        // The other way round: what was forbidden stays so.
        let paused = world.send(Request::get("/").bearer(&world.token_of("k2", json!({}))));
        world.update(route, &config(json!({})));
        world.deliver_all();
        world.outcome(paused).assert_status(401);
    }
}

#[test]
fn a_new_policy_does_not_believe_what_an_older_one_remembered() {
    for dialect in Dialect::BOTH {
        let world = World::new(dialect, 1);
        world.put_provider();
        let route = world.route(&config(json!({})));
        let token = world.token(json!({}));
        world.show(&token).assert_user("alex");
        world.update(route, &config(json!({"audience_required": ["other"]})));
        world.show(&token).assert_status(403);
        world.update(
            route,
            &config(json!({"issuers_allowed": ["https://other.test"]})),
        );
        world.show(&token).assert_status(401);
        world.update(route, &config(json!({})));
        world.show(&token).assert_user("alex");
    }
}

#[test]
fn an_update_to_another_provider_is_judged_by_its_keys() {
    let world = World::new(Dialect::Envoy, 1);
    world.put_provider();
    let other = "https://other.test";
    world.put(
        "https://other.test/.well-known/openid-configuration",
        &json!({
            "issuer": other, "jwks_uri": "https://other.test/keys",
        }),
    );
    world.put("https://other.test/keys", &issuer::jwks([key("other")]));
    let route = world.route(&config(json!({})));
    let (here, there) = (
        world.token(json!({})),
        world.token_of("other", json!({"iss": other})),
    );
    let paused = world.send(Request::get("/").bearer(&here));
    world.update(route, &config(json!({"issuer": other})));
    let newer = world.send(Request::get("/").bearer(&there));
    world.deliver_all();
    world.outcome(paused).assert_user("alex");
    world.outcome(newer).assert_user("alex");
    world.show(&here).assert_status(401);
}

#[test]
fn fifty_routes_on_one_provider_fetch_once() {
    let world = World::new(Dialect::Envoy, 1);
    world.put_provider();
    let routes: Vec<_> = (0..50)
        .map(|number| {
            world.route(&config(
                json!({"unauthorized_error_message": format!("route {number}")}),
            ))
        })
        .collect();
    let token = world.token(json!({}));
    for route in &routes {
        world
            .ask(Request::get("/").bearer(&token).on(*route))
            .assert_user("alex");
    }
    assert_eq!((world.calls_to(DISCOVERY), world.calls_to(KEYS)), (1, 1));
    let refused = world.ask(Request::get("/").on(routes[7]));
    assert_eq!(refused.json(), json!({"message": "route 7"}));
}

#[test]
fn each_worker_finds_out_for_itself() {
    for dialect in Dialect::BOTH {
        let world = World::with_workers(dialect, 1, 3);
        world.put_provider();
        world.route(&config(json!({})));
        let token = world.token(json!({}));
        let first: Vec<_> = (0..3)
            .map(|worker| world.send(Request::get("/").bearer(&token).at(worker)))
            .collect();
        while world.deliver_any().is_some() {}
        for ticket in first {
            world.outcome(ticket).assert_user("alex");
        }
        assert_eq!(world.calls_to(DISCOVERY), 3);
        // A key that one worker has lost sight of is still good at another until that one looks, too.
        world.publish(&["k2"]);
        world.pass_seconds(60);
        world
            .ask(
                Request::get("/")
                    .bearer(&world.token_of("k2", json!({})))
                    .at(1),
            )
            .assert_user("alex");
        world
            .ask(Request::get("/").bearer(&token).at(1))
            .assert_status(401);
        world
            .ask(Request::get("/").bearer(&token).at(0))
            .assert_user("alex");
    }
}

#[test]
fn a_route_that_ends_leaves_nothing_and_lets_nobody_in() {
    for dialect in Dialect::BOTH {
        let world = World::new(dialect, 1);
        world.put_provider();
        let ends = world.route(&config(json!({"cache_ttl": 60})));
        let stays = world.route(&config(json!({})));
        let paused = world.send(Request::get("/").bearer(&world.token(json!({}))).on(ends));
        world.remove(ends);
        world.deliver_all();
        match dialect {
            // Its flight ended with the route, and there is nobody to fly another one.
            Dialect::Envoy => world.outcome(paused).assert_status(500),
            Dialect::Kong => world.outcome(paused).assert_user("alex"),
        }
        assert_eq!(world.tasks(), 0);
        world
            .ask(Request::get("/").bearer(&world.token(json!({}))).on(stays))
            .assert_user("alex");
    }
}

#[test]
fn a_token_is_judged_when_the_wait_is_over() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({"exp": world.now() + 2}));
        let waits = world.send(Request::get("/").bearer(&token));
        world.pass_seconds(2);
        world.deliver_all();
        world.outcome(waits).assert_status(401);
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({"nbf": world.now() + 2}));
        let waits = world.send(Request::get("/").bearer(&token));
        world.pass_seconds(2);
        world.deliver_all();
        world.outcome(waits).assert_user("alex");
        let token = world.token(json!({"nbf": world.now() + 2}));
        world.show(&token).assert_status(401);
        world.pass_seconds(2);
        world.show(&token).assert_user("alex");
    }
}

#[test]
fn fifty_requests_share_a_failure_and_then_the_next_attempt() {
    let world = World::ready(Dialect::Envoy, json!({}));
    world.next(DISCOVERY, [Behaviour::Timeout]);
    let tickets: Vec<_> = (0..50)
        .map(|number| world.send(Request::get("/").bearer(&world.token(json!({"jti": number})))))
        .collect();
    world.deliver_all();
    for ticket in tickets {
        world.outcome(ticket).assert_status(500);
    }
    assert_eq!(world.calls_to(DISCOVERY), 1);
    world.pass_seconds(5);
    world.show(&world.token(json!({}))).assert_user("alex");
}

#[test]
fn the_hosts_cryptography_is_used_where_it_is_sound() {
    let algorithms = [
        "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "EdDSA",
    ];
    let world = World::ready(Dialect::Envoy, json!({}));
    world.set_crypto(HostCrypto::Sound);
    let keys = algorithms.map(|alg| key_for(alg, alg));
    world.put(KEYS, &issuer::jwks(keys));
    for signer in keys {
        let token = signer.token(&world.claims(json!({})));
        world.show(&token).assert_user("alex");
        let (body, signature) = token.rsplit_once('.').expect("a token");
        let forged = key_for(signer.alg, "forger").token(&world.claims(json!({})));
        let (_, wrong) = forged.rsplit_once('.').expect("a token");
        assert_ne!(signature, wrong);
        world.show(&format!("{body}.{wrong}")).assert_status(401);
    }
    assert_eq!(
        world.counted(Counter::VerifiedByHost),
        6,
        "PSS and EdDSA are none of its arts"
    );
    assert_eq!(world.counted(Counter::VerifiedInModule), 2);
}

#[test]
fn a_host_that_fails_the_probe_is_not_asked_again() {
    for crypto in [
        HostCrypto::Absent,
        HostCrypto::SaysYes,
        HostCrypto::SaysNo,
        HostCrypto::IgnoresTheHash,
    ] {
        let world = World::ready(Dialect::Envoy, json!({}));
        world.set_crypto(crypto);
        world.show(&world.token(json!({}))).assert_user("alex");
        let asked = world.asked_crypto();
        for number in 0..5 {
            let token = world.token(json!({"jti": number}));
            world.show(&token).assert_user("alex");
            let (body, _) = token.rsplit_once('.').expect("a token");
            let forged = world.token_of("stranger", json!({}));
            let (_, wrong) = forged.rsplit_once('.').expect("a token");
            world.show(&format!("{body}.{wrong}")).assert_status(401);
        }
        assert_eq!(world.asked_crypto(), asked, "{crypto:?}");
        assert_eq!(world.counted(Counter::VerifiedByHost), 0);
    }
}
