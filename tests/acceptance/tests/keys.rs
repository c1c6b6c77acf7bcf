//! Keys that are fetched anew in the background, while those that are there still serve.

use std::time::Instant;

use acceptance::{Gateway, bearer, eventually, merged, tampered};
use serde_json::json;
use support::envoy::{HttpFilter, Listener, WasmFilter};
use support::issuer::{SigningKey, claims, jwks};
use support::provider::{Behaviour, DISCOVERY, JWKS, Provider};
use support::raw::{self, Exchange};

/// A token that was verified and is good for minutes falls with its key, though nobody shows an unknown one.
fn a_withdrawn_key_is_noticed(cache_ttl: u64) {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"cache_ttl": cache_ttl}));
    let token = provider.token();
    let without_end = {
        let mut claims = claims(&provider.issuer());
        claims.as_object_mut().expect("an object").remove("exp");
        SigningKey::shared().token(&claims)
    };
    gateway.on_every_worker(|| {
        gateway.admits(&token);
        gateway.admits(&without_end);
        gateway.admits(&token);
        gateway.admits(&without_end);
    });
    let next = SigningKey::generate("ES256", "next");
    provider.set_keys(jwks([&next]));
    for token in [&token, &without_end] {
        // So many in a row are not all of one worker.
        eventually("the key is gone", || {
            (0..20).all(|_| {
                let status = gateway.get_with_token(token).status;
                assert!([200, 401].contains(&status), "{status}");
                status == 401
            })
        });
    }
    assert!(
        gateway
            .upstream
            .take()
            .iter()
            .all(|seen| seen.all("x-user") == ["alex"])
    );
    gateway.on_every_worker(|| drop(gateway.admits(&next.token(&claims(&provider.issuer())))));
}

#[test]
fn a_withdrawn_key_is_noticed_after_a_second() {
    a_withdrawn_key_is_noticed(1);
}

#[test]
fn a_withdrawn_key_is_noticed_with_a_lifetime_of_zero() {
    a_withdrawn_key_is_noticed(0);
}

#[test]
fn a_lifetime_of_zero_is_for_what_has_no_end_of_its_own() {
    let provider = Provider::start();
    let gateway = Gateway::with(&provider, json!({"cache_ttl": 0}), |options| {
        options.concurrency = 1;
    });
    let with_end = claims(&provider.issuer());
    let mut without_end = with_end.clone();
    without_end
        .as_object_mut()
        .expect("an object")
        .remove("exp");
    for (claims, hits) in [(without_end, 0), (with_end, 2)] {
        let token = SigningKey::shared().token(&claims);
        for _ in 0..3 {
            gateway.admits(&token);
            gateway.refuses(&tampered(&token));
        }
        assert_eq!(gateway.counter("verdicts.hit"), hits);
    }
}

#[test]
fn a_refresh_that_fails_is_tried_again_some_seconds_later() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"cache_ttl": 0}));
    let token = provider.token();
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    provider.always(DISCOVERY, Behaviour::Status(503));
    let (start, calls) = (Instant::now(), provider.calls(DISCOVERY));
    // Who is known goes on, and so does who comes with a new token of a known key.
    eventually("a refresh has failed", || {
        gateway.admits(&token);
        provider.calls(DISCOVERY) > calls
    });
    for number in 0..100 {
        let claims = merged(
            claims(&provider.issuer()),
            json!({"jti": number.to_string()}),
        );
        gateway.admits(&SigningKey::shared().token(&claims));
    }
    // The provider is not asked on every tick while it is down: every 5 s at most, by each worker.
    let next = SigningKey::generate("ES256", "next");
    provider.set_keys(jwks([SigningKey::shared(), &next]));
    let failed = provider.calls(DISCOVERY) - calls;
    let rounds = usize::try_from(start.elapsed().as_secs() / 5).expect("few") + 1;
    assert!(
        failed <= 2 * rounds,
        "{failed} attempts in {rounds} rounds of 5 s"
    );
    provider.always(DISCOVERY, Behaviour::Normal);
    let before = provider.calls(JWKS);
    eventually("both workers have new keys", || {
        gateway.admits(&token);
        provider.calls(JWKS) >= before + 2
    });
    gateway.on_every_worker(|| {
        gateway.admits(&next.token(&claims(&provider.issuer())));
        gateway.refuses(&tampered(&token));
    });
}

#[test]
fn two_configurations_share_one_flight() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let second = json!({"upstream_headers": [
        {"header": "x-user", "path": ["preferred_username"]},
        {"header": "x-email", "path": ["email"]},
    ]});
    let second = WasmFilter::new(merged(provider.config(), second));
    let gateway = Gateway::with(&provider, json!({}), |options| {
        let filters = vec![HttpFilter::Wasm(Box::new(second))];
        options.listeners.push(Listener::new("second", filters));
    });
    let bearer = bearer(&provider.token());
    let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
    let mut waiting = Vec::new();
    for listener in &gateway.envoy.options().listeners {
        gateway.on_every_worker_of(listener.port, || {
            let address = ([127, 0, 0, 1], listener.port).into();
            waiting.push(Exchange::begin(address, &request).expect("a connection"));
        });
    }
    let active = |name: &str| {
        gateway
            .envoy
            .stat(&format!("http.{name}.downstream_rq_active"))
    };
    let all = u64::try_from(waiting.len()).expect("few");
    eventually("all wait", || {
        active("gateway").unwrap_or(0) + active("second").unwrap_or(0) == all
    });
    provider.wait_for_calls(DISCOVERY, 2);
    provider.release();
    for exchange in &mut waiting {
        assert_eq!(exchange.answer().expect("an answer").status, 200);
    }
    assert!(
        gateway
            .upstream
            .take()
            .iter()
            .all(|seen| seen.all("x-user") == ["alex"])
    );
    gateway.refuses(&tampered(&provider.token()));
    let calls = (provider.calls(DISCOVERY), provider.calls(JWKS));
    assert_eq!(
        calls,
        (2, 2),
        "one for each worker, whatever the number of configurations"
    );
}

#[test]
fn an_unknown_key_keeps_only_its_own_bearers_waiting() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    provider.always(DISCOVERY, Behaviour::Hold);
    let stranger = SigningKey::generate("ES256", "stranger");
    let bearer = bearer(&stranger.token(&claims(&provider.issuer())));
    let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
    let mut waiting = Vec::new();
    gateway.on_every_worker(|| {
        waiting.push(Exchange::begin(gateway.address(), &request).expect("a connection"));
    });
    provider.wait_for_calls(DISCOVERY, 4);
    let claims = merged(claims(&provider.issuer()), json!({"jti": "another"}));
    gateway.on_every_worker(|| {
        gateway.admits(&token);
        gateway.admits(&SigningKey::shared().token(&claims));
        gateway.refuses(&tampered(&token));
    });
    provider.release();
    for exchange in &mut waiting {
        gateway.answered(&exchange.answer().expect("an answer"), 401);
    }
}
