//! Requests of every kind: what Envoy passes on to a filter without a look, on every worker.

use acceptance::{Gateway, bearer, tampered};
use serde_json::json;
use support::provider::{Behaviour, DISCOVERY, Provider};
use support::raw::{self, Exchange};

#[test]
fn head_is_like_get_without_a_body() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let bearer = bearer(&provider.token());
    gateway.on_every_worker(|| {
        let refused = raw::head(gateway.address(), "/hello", &[]);
        gateway.answered(&refused, 401);
        assert!(refused.body.is_empty(), "{}", refused.text());
        assert_eq!(
            refused.header("www-authenticate").map(|value| &value[..6]),
            Some("Bearer")
        );

        let answer = raw::head(gateway.address(), "/hello", &[("authorization", &bearer)]);
        assert_eq!(gateway.forwarded(&answer).method, "HEAD");
        assert!(answer.body.is_empty());
    });
}

#[test]
fn connect_has_no_path_and_is_nobodys() {
    let provider = Provider::start();
    let gateway = Gateway::with(&provider, json!({}), |options| {
        let connect = json!([{"upgrade_type": "CONNECT"}]);
        let listener = options.listener();
        listener.manager = json!({
            "upgrade_configs": connect,
            "http2_protocol_options": {"allow_connect": true},
        });
        listener.routes.insert(0, json!({
            "match": {"connect_matcher": {}},
            "route": {"cluster": "upstream", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
        }));
    });
    let token = provider.token();
    gateway.on_every_worker(|| {
        // Known or not, a token opens no tunnel.
        for headers in ["".to_owned(), format!("authorization: Bearer {token}\r\n")] {
            let head =
                format!("CONNECT upstream:443 HTTP/1.1\r\nhost: upstream:443\r\n{headers}\r\n");
            gateway.answered(&raw::send(gateway.address(), head.as_bytes()), 401);
        }
        let bearer = bearer(&token);
        let headers = [("authorization", bearer.as_bytes())];
        let tunnel = raw::http2(gateway.address(), "CONNECT", "", &headers, None);
        gateway.answered(&raw::block_on(tunnel).expect("an answer"), 401);
        gateway.admits(&token);
    });
}

#[test]
fn a_client_that_waits_for_100_continue_is_served() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let post = |token: &str| {
        let bearer = bearer(token);
        let head = raw::head_of(
            "POST",
            "/hello",
            &[
                ("authorization", bearer.as_bytes()),
                ("expect", b"100-continue"),
                ("content-length", b"5"),
                ("connection", b"close"),
            ],
        );
        let mut exchange = Exchange::begin(gateway.address(), &head).expect("a connection");
        // The interim answer, or already the final one.
        assert!(
            !exchange
                .is_silent_for(std::time::Duration::from_secs(10))
                .expect("a connection")
        );
        // After a refusal nobody listens any more.
        let _ = exchange.send(b"hello");
        exchange.answer().expect("an answer")
    };
    let token = provider.token();
    gateway.on_every_worker(|| {
        let seen = gateway.forwarded(&post(&token));
        assert_eq!((seen.body.as_slice(), seen.complete), (&b"hello"[..], true));
        gateway.answered(&post(&tampered(&token)), 401);
    });
}

#[test]
fn grpc_clients_get_a_status_and_nothing_else() {
    let provider = Provider::start();
    let members = json!({"unauthorized_redirect_uri": ["https://login.test/"]});
    let gateway = Gateway::before(&provider, members);
    let token = provider.token();
    let bad = bearer(&tampered(&token));
    gateway.on_every_worker(|| {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web",
        ] {
            let answer = gateway.send(
                "POST",
                &[
                    ("content-type", kind.as_bytes()),
                    ("authorization", bad.as_bytes()),
                ],
            );
            // Envoy makes 200 and trailers of it where it takes the request for gRPC itself.
            let status = if kind == "application/grpc-web" {
                401
            } else {
                200
            };
            gateway.answered(&answer, status);
            if status == 200 {
                assert_eq!(answer.header("grpc-status"), Some("16"), "{answer:?}");
                let message = answer.header("grpc-message");
                assert_eq!(message, Some("Unauthorized"), "{answer:?}");
                assert!(answer.body.is_empty(), "{}", answer.text());
            }
            assert_eq!(answer.header("location"), None, "{answer:?}");
        }
        // Others are sent to the login.
        let answer = gateway.get_with_token(&tampered(&token));
        gateway.answered(&answer, 302);
        gateway.admits(&token);
    });
}

#[test]
fn a_connection_is_no_credential() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let bearer = bearer(&provider.token());
    let good = raw::head_of("GET", "/good", &[("authorization", bearer.as_bytes())]);
    let bad = raw::head_of("GET", "/bad", &[("x-user", b"root")]);
    gateway.on_every_worker(|| {
        // One after the other, and all at once.
        let mut exchange = Exchange::begin(gateway.address(), b"").expect("a connection");
        for _ in 0..2 {
            for (request, status) in [(&good, 200), (&bad, 401)] {
                exchange.send(request).expect("an open connection");
                assert_eq!(exchange.answer().expect("an answer").status, status);
            }
        }
        // Envoy hangs up on a third request behind two, one of which it or a filter answers.
        let both = [good.clone(), bad.clone()].concat();
        exchange.send(&both).expect("an open connection");
        for status in [200, 401] {
            assert_eq!(exchange.answer().expect("an answer").status, status);
        }
        let seen = gateway.upstream.take();
        assert_eq!(seen.len(), 3);
        assert!(
            seen.iter()
                .all(|seen| seen.target == "/good" && seen.all("x-user") == ["alex"])
        );
    });
}

#[test]
fn a_websocket_is_authenticated_by_its_handshake() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let handshake = |token: &str| {
        let bearer = bearer(token);
        let headers: [(&str, &[u8]); 5] = [
            ("authorization", bearer.as_bytes()),
            ("connection", b"upgrade"),
            ("upgrade", b"websocket"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        ];
        // With a first frame right behind it.
        let mut bytes = raw::head_of("GET", "/socket", &headers);
        bytes.extend_from_slice(b"\x81\x85\0\0\0\0hello");
        raw::send(gateway.address(), &bytes)
    };
    let token = provider.token();
    gateway.on_every_worker(|| {
        gateway.answered(&handshake(&tampered(&token)), 401);
        // This upstream has no sockets: it answers like to any request, which ends the matter.
        let seen = gateway.forwarded(&handshake(&token));
        assert_eq!(seen.header("upgrade").as_deref(), Some("websocket"));
    });
}

#[test]
fn without_the_stop_iteration_flag_nothing_passes_early_either() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let gateway = Gateway::with(&provider, json!({}), |options| {
        options.filter().stop_iteration = false;
    });
    let post = |token: &str| {
        let bearer = bearer(token);
        let headers = [
            ("authorization", bearer.as_bytes()),
            ("content-length", &b"5"[..]),
        ];
        let mut bytes = raw::head_of("POST", "/hello", &headers);
        bytes.extend_from_slice(b"hello");
        Exchange::begin(gateway.address(), &bytes).expect("a connection")
    };
    let token = provider.token();
    let mut good = Vec::new();
    gateway.on_every_worker(|| good.push(post(&token)));
    let mut bad = post(&tampered(&token));
    provider.wait_for_calls(DISCOVERY, 2);
    gateway.wait_for_active(u64::try_from(good.len()).expect("few") + 1);
    assert!(gateway.upstream.seen().is_empty());
    provider.release();
    assert_eq!(bad.answer().expect("an answer").status, 401);
    for exchange in &mut good {
        assert_eq!(exchange.answer().expect("an answer").status, 200);
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), good.len());
    assert!(
        seen.iter()
            .all(|seen| seen.body == b"hello" && seen.all("x-user") == ["alex"])
    );
}
