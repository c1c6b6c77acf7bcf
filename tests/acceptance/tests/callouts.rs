//! Calls to a provider that fail, each in its way, and clients that do not wait for their end.

use acceptance::{Gateway, bearer, eventually, tampered};
use serde_json::json;
use support::envoy::Cluster;
use support::ports;
use support::provider::{Behaviour, DISCOVERY, JWKS, Provider};
use support::raw::{self, Exchange};
use tokio::task::JoinSet;

/// A failure is not remembered.
fn impatient() -> serde_json::Value {
    json!({"rediscovery_lifetime": 0})
}

#[test]
fn a_call_that_fails_lets_nobody_in() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, impatient());
    let token = provider.token();
    let elsewhere = Behaviour::Redirect(format!("{}{JWKS}", provider.issuer()));
    for path in [DISCOVERY, JWKS] {
        for trouble in [
            Behaviour::Close,
            Behaviour::Cut,
            Behaviour::Status(503),
            elsewhere.clone(),
        ] {
            provider.always(path, trouble.clone());
            gateway.on_every_worker(|| {
                let answer = gateway.get_with_token(&token);
                gateway.answered(&answer, 500);
                assert_eq!(
                    answer.json()["message"],
                    "An unexpected error occurred",
                    "{trouble:?}"
                );
                assert_eq!(answer.header("www-authenticate"), None);
                gateway.answered(&gateway.get("/hello", &[]), 401);
            });
        }
        provider.always(path, Behaviour::Normal);
    }
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    gateway.refuses(&tampered(&token));
}

#[test]
fn dx_12_a_provider_that_is_not_there_may_come_later() {
    let port = ports::free();
    // Its keys and its token are needed before it listens.
    let provider = Provider::start_on(port);
    let token = provider.token();
    let gateway = Gateway::before(&provider, impatient());
    drop(provider);
    gateway.on_every_worker(|| gateway.answered(&gateway.get_with_token(&token), 500));
    let _provider = Provider::start_on(port);
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    gateway.refuses(&tampered(&token));
}

#[test]
fn a_cluster_that_is_unknown_or_empty_may_be_filled_later() {
    let provider = Provider::start();
    let token = provider.token();
    let mut config = impatient();
    config["clusters"] = json!({"*": "late"});
    let mut unknown = Gateway::before(&provider, config.clone());
    let mut empty = Gateway::with(&provider, config, |options| {
        let mut cluster = Cluster::new("late", provider.address());
        cluster.address = None;
        options.clusters.push(cluster);
    });
    for gateway in [&unknown, &empty] {
        gateway.on_every_worker(|| {
            gateway.answered(&gateway.get_with_token(&token), 500);
            gateway.answered(&gateway.get("/hello", &[]), 401);
        });
        let log = gateway.filter_log();
        assert!(
            log.contains("provider_unreachable") && log.contains("`late`"),
            "{log}"
        );
    }
    let late = Cluster::new("late", provider.address());
    unknown
        .envoy
        .update(|options| options.clusters.push(late.clone()))
        .expect("an update");
    empty
        .envoy
        .update(|options| {
            options.clusters.pop();
            options.clusters.push(late.clone());
        })
        .expect("an update");
    for gateway in [&unknown, &empty] {
        // A worker learns of a cluster in its own time.
        eventually("the cluster is there", || {
            gateway.get_with_token(&token).status == 200
        });
        let _ = gateway.upstream.take();
        gateway.refuses(&tampered(&token));
    }
}

#[test]
fn a_cluster_that_takes_no_more_requests_lets_nobody_in() {
    let provider = Provider::start();
    let token = provider.token();
    let mut gateway = Gateway::with(&provider, impatient(), |options| {
        let none = json!({"max_pending_requests": 0, "max_requests": 0});
        options.clusters[1].extra = json!({"circuit_breakers": {"thresholds": [none]}});
    });
    gateway.on_every_worker(|| gateway.answered(&gateway.get_with_token(&token), 500));
    assert_eq!(provider.calls(DISCOVERY), 0);
    gateway
        .envoy
        .update(|options| options.clusters[1].extra = json!({}))
        .expect("an update");
    eventually("the cluster takes requests", || {
        gateway.get_with_token(&token).status == 200
    });
    let _ = gateway.upstream.take();
    gateway.refuses(&tampered(&token));
}

#[test]
fn a_pooled_connection_that_broke_is_tried_once_more() {
    let provider = Provider::start();
    let gateway = Gateway::with(&provider, impatient(), |options| options.concurrency = 1);
    let token = provider.token();
    // On the connection that discovery used.
    provider.next(JWKS, Behaviour::Close);
    gateway.admits(&token);
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (1, 2));
    assert_eq!(gateway.counter("calls.retried"), 1);
    gateway.refuses(&tampered(&token));

    // Once, and not more often.
    let gateway = Gateway::with(&provider, impatient(), |options| options.concurrency = 1);
    let before = provider.calls(DISCOVERY);
    provider.next(DISCOVERY, Behaviour::Close);
    provider.next(DISCOVERY, Behaviour::Close);
    gateway.answered(&gateway.get_with_token(&token), 500);
    assert_eq!(provider.calls(DISCOVERY), before + 2);
    gateway.admits(&token);
    // An answer is an answer: nothing is sent again.
    let gateway = Gateway::with(&provider, impatient(), |options| options.concurrency = 1);
    let before = provider.calls(DISCOVERY);
    provider.next(DISCOVERY, Behaviour::Status(500));
    gateway.answered(&gateway.get_with_token(&token), 500);
    assert_eq!(provider.calls(DISCOVERY), before + 1);
}

#[test]
fn a_client_that_leaves_takes_nobody_along() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    let begin = || {
        let bearer = bearer(&token);
        let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
        Exchange::begin(gateway.address(), &request).expect("a connection")
    };
    // The first of each worker begins the flight that all others share.
    let mut first = Vec::new();
    gateway.on_every_worker(|| first.push(begin()));
    provider.wait_for_calls(DISCOVERY, 2);
    let mut others: Vec<Exchange> = (0..20).map(|_| begin()).collect();
    gateway.wait_for_active(u64::try_from(first.len()).expect("few") + 20);
    drop(first);
    gateway.wait_for_active(20);
    assert!(gateway.upstream.seen().is_empty());

    provider.release();
    for exchange in &mut others {
        assert_eq!(exchange.answer().expect("an answer").status, 200);
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|seen| seen.all("x-user") == ["alex"]));
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (2, 2));
    gateway.on_every_worker(|| drop(gateway.refuses(&tampered(&token))));
}

#[test]
fn http2_streams_that_are_reset_take_nobody_along() {
    const STREAMS: u64 = 30;
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let gateway = Gateway::before(&provider, json!({}));
    let address = gateway.address();
    let begin = |token: String| async move {
        let bearer = bearer(&token);
        let headers = [("authorization", bearer.as_bytes())];
        raw::http2(address, "GET", "/hello", &headers, None).await
    };
    let [mut reset, mut kept] = [JoinSet::new(), JoinSet::new()];
    raw::block_on(async {
        for _ in 0..STREAMS {
            reset.spawn(begin(provider.token()));
        }
    });
    gateway.wait_for_active(STREAMS);
    raw::block_on(async {
        for _ in 0..STREAMS {
            kept.spawn(begin(provider.token()));
        }
    });
    gateway.wait_for_active(2 * STREAMS);
    // Those who began the flights leave.
    drop(reset);
    gateway.wait_for_active(STREAMS);
    let workers = gateway.connections();
    assert!(workers.iter().all(|count| *count > 0), "{workers:?}");

    provider.release();
    for answer in raw::block_on(kept.join_all()) {
        assert_eq!(answer.expect("an answer").status, 200);
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), 30);
    assert!(seen.iter().all(|seen| seen.all("x-user") == ["alex"]));
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (2, 2));
    gateway.refuses(&tampered(&provider.token()));
}

#[test]
fn when_all_clients_left_the_flight_still_lands() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    let bearer = bearer(&token);
    let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
    let mut left = Vec::new();
    gateway.on_every_worker(|| {
        left.push(Exchange::begin(gateway.address(), &request).expect("a connection"));
    });
    provider.wait_for_calls(DISCOVERY, 2);
    drop(left);
    gateway.wait_for_active(0);
    provider.release();
    provider.wait_for_calls(JWKS, 2);
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    assert_eq!(
        (provider.calls(DISCOVERY), provider.calls(JWKS)),
        (2, 2),
        "its keys are used"
    );
    gateway.refuses(&tampered(&token));
}
