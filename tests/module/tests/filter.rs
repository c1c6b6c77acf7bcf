//! The compiled filter in both hosts, with a provider and an upstream over real connections.

mod common;

use common::flow::{Flow, SHORT, answer, both, hangs};
use common::wire::{Server, chunked, request};
use common::{envoy, exchange, nobody};
use module_host::{Host, HostOptions, Mode, StartError, filter};
use serde_json::json;
use std::time::Duration;
use support::issuer::{SigningKey, jwks};
use support::provider::{Behaviour, DISCOVERY, JWKS};
use support::upstream::Upstream;

#[test]
fn a_first_request_fetches_the_keys_and_goes_on_with_claim_headers() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        assert_eq!(
            flow.get("/orders?a=b").status(),
            200,
            "{name}\n{}",
            flow.log()
        );
        let seen = flow.upstream.take_one();
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", "/orders?a=b"),
            "{name}"
        );
        assert_eq!(seen.all("x-user"), ["alex"], "{name}");
        assert_eq!(flow.fetches(), (1, 1), "{name}");
        flow.assert_sound();
    }
}

#[test]
fn a_known_token_needs_no_provider() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.warm();
        flow.provider.always(DISCOVERY, Behaviour::Close);
        flow.provider.always(JWKS, Behaviour::Close);
        assert_eq!(flow.get("/again").status(), 200, "{name}");
        // Another token under the same key needs none either.
        let blake = flow.token_with(&json!({"preferred_username": "blake"}));
        assert_eq!(flow.get_with("/again", &blake, &[]).status(), 200, "{name}");
        let users: Vec<_> = flow
            .upstream
            .take()
            .iter()
            .map(|seen| seen.all("x-user"))
            .collect();
        assert_eq!(users, [["alex"], ["blake"]], "{name}");
        assert_eq!(flow.fetches(), (1, 1), "{name}");
        flow.assert_sound();
    }
}

#[test]
fn without_a_good_token_nothing_goes_on() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        let nothing = exchange(&flow.host, &request("GET", "/", &[], b""));
        assert_eq!(nothing.status(), 401, "{name}");
        assert_eq!(nothing.all("www-authenticate").len(), 1, "{name}");
        assert_eq!(
            nothing.text().trim(),
            r#"{"message":"Unauthorized"}"#,
            "{name}"
        );
        let token = flow.token();
        let (signed, signature) = token.rsplit_once('.').expect("a JWS");
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{other}{}", &signature[1..]);
        let expired = flow.token_with(&json!({"exp": 1_000_000_000}));
        let foreign = flow.token_with(&json!({"iss": "https://other.test"}));
        for token in [forged.as_str(), &expired, &foreign, "junk", "a.b.c"] {
            let refused = flow.get_with("/", token, &[]);
            assert_eq!(refused.status(), 401, "{name} {token}");
            let post = flow.request("POST", "/", token, &[], b"body");
            assert_eq!(exchange(&flow.host, &post).status(), 401, "{name} {token}");
        }
        flow.assert_untouched();
    }
}

#[test]
fn an_unknown_key_is_looked_for_once() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.warm();
        flow.clock.advance(Duration::from_secs(1));
        let key = SigningKey::generate("ES256", "new");
        let token = flow.sign(&key, &json!({}));
        assert_eq!(flow.get_with("/", &token, &[]).status(), 401, "{name}");
        assert_eq!(flow.fetches(), (2, 2), "{name}");
        assert_eq!(flow.get_with("/", &token, &[]).status(), 401, "{name}");
        assert_eq!(flow.fetches(), (2, 2), "{name}: not again so soon");
        flow.assert_untouched();
        // The provider publishes it, and the time of one rediscovery is over.
        flow.provider.set_keys(jwks([SigningKey::shared(), &key]));
        flow.clock.advance(Duration::from_secs(31));
        assert_eq!(flow.get_with("/", &token, &[]).status(), 200, "{name}");
        assert_eq!(flow.upstream.take_one().all("x-user"), ["alex"], "{name}");
        flow.assert_sound();
    }
}

#[test]
fn a_dead_provider_lets_nobody_in() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::build(mode, &json!({}), |mut options| {
            let dead = nobody();
            options.clusters.insert("provider".to_owned(), dead);
            options.configuration = json!({
                "issuer": format!("http://{dead}"),
                "auth_methods": ["bearer"],
                "clusters": {"*": "provider"},
            })
            .to_string();
            options
        });
        assert_eq!(flow.get("/").status(), 500, "{name}");
        assert_eq!(flow.post("/", &[], b"body").status(), 500, "{name}");
        assert!(
            flow.log().contains("provider_unreachable"),
            "{name}\n{}",
            flow.log()
        );
        flow.assert_untouched();
    }
}

#[test]
fn a_late_provider_holds_the_request() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.provider.next(DISCOVERY, Behaviour::Hold);
        let token = flow.token();
        let mut held = flow.begin_held(&flow.request("POST", "/late", &token, &[], b"body"));
        assert!(hangs(&mut held), "{name}");
        assert!(flow.upstream.seen().is_empty(), "{name}");
        flow.provider.release();
        assert_eq!(answer(&mut held).status(), 200, "{name}");
        let seen = flow.upstream.take_one();
        assert_eq!(
            (seen.all("x-user"), seen.body.as_slice()),
            (vec!["alex".to_owned()], &b"body"[..])
        );
        flow.assert_sound();
    }
}

#[test]
fn a_provider_that_never_answers_is_given_up() {
    for mode in both() {
        let name = mode.name();
        let limit = u64::try_from(SHORT.as_millis()).expect("a short time");
        let flow = Flow::with(mode, &json!({"timeout": limit}));
        flow.provider.always(DISCOVERY, Behaviour::Hang);
        assert_eq!(flow.get("/").status(), 500, "{name}");
        flow.assert_untouched();
        // Up again, and the pause after a failure over: the next request goes on.
        flow.provider.always(DISCOVERY, Behaviour::Normal);
        flow.clock.advance(Duration::from_secs(30));
        assert_eq!(flow.get("/").status(), 200, "{name}");
        assert_eq!(flow.upstream.take_one().all("x-user"), ["alex"], "{name}");
    }
}

#[test]
fn a_cut_connection_is_tried_once_more() {
    for mode in both() {
        let name = mode.name();
        for behaviour in [Behaviour::Cut, Behaviour::Close] {
            let flow = Flow::new(mode.clone());
            flow.provider.next(DISCOVERY, behaviour.clone());
            flow.provider.next(JWKS, behaviour.clone());
            assert_eq!(
                flow.get("/").status(),
                200,
                "{name} {behaviour:?}\n{}",
                flow.log()
            );
            assert_eq!(flow.fetches(), (2, 2), "{name} {behaviour:?}");
            let _ = flow.upstream.take_one();

            let flow = Flow::new(mode.clone());
            flow.provider.always(JWKS, behaviour.clone());
            assert_eq!(flow.get("/").status(), 500, "{name} {behaviour:?}");
            assert_eq!(flow.fetches(), (1, 2), "{name} {behaviour:?}");
            flow.assert_untouched();
        }
    }
}

#[test]
fn a_provider_that_answers_nonsense_lets_nobody_in() {
    for mode in both() {
        let name = mode.name();
        for behaviour in [
            Behaviour::Status(404),
            Behaviour::Status(503),
            Behaviour::Redirect("/elsewhere".to_owned()),
            Behaviour::Answer(b"<html>".to_vec()),
            Behaviour::Answer(vec![b'x'; 2 << 20]),
            Behaviour::Answer(Vec::new()),
        ] {
            let flow = Flow::new(mode.clone());
            flow.provider.always(JWKS, behaviour.clone());
            assert_eq!(flow.get("/").status(), 500, "{name} {}", flow.log());
            flow.assert_untouched();
        }
    }
}

#[test]
fn bodies_of_every_kind_arrive_whole() {
    for mode in both() {
        let name = mode.name();
        let chunks = chunked(&[b"twelve", b" bytes"]);
        let by_chunks = [("Transfer-Encoding", "chunked")];
        let large = vec![b'x'; 3 << 20];
        for (headers, sent, expected) in [
            (&[][..], &b"body"[..], &b"body"[..]),
            (&[("Content-Length", "0")], b"", b""),
            (&by_chunks, &chunks, b"twelve bytes"),
            (&by_chunks, b"0\r\n\r\n", b""),
            (&[], &large, &large),
        ] {
            // Cold: the body comes while the decision waits. Warm: the decision is there at once.
            let flow = Flow::new(mode.clone());
            for round in ["cold", "warm"] {
                let status = flow.post("/upload", headers, sent).status();
                assert_eq!(status, 200, "{name} {round} {headers:?}\n{}", flow.log());
                let seen = flow.upstream.take_one();
                assert!(
                    seen.complete && seen.body == expected,
                    "{name} {round} {headers:?}"
                );
                assert_eq!(seen.all("x-user"), ["alex"], "{name} {round} {headers:?}");
            }
            flow.assert_sound();
        }
    }
}

#[test]
fn a_forged_identity_never_arrives() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        let nameless = flow.token_with(&json!({"preferred_username": null}));
        for round in ["cold", "warm"] {
            let forged = [("X-User", "admin"), ("X-Consumer-Id", "1")];
            assert_eq!(
                flow.get_with("/", &nameless, &forged).status(),
                200,
                "{name} {round}"
            );
            let seen = flow.upstream.take_one();
            for header in ["x-user", "x-consumer-id"] {
                let arrived: String = seen.all(header).concat();
                assert_eq!(arrived, "", "{name} {round} {header}");
            }
            let token = flow.token();
            assert_eq!(
                flow.get_with("/", &token, &forged).status(),
                200,
                "{name} {round}"
            );
            assert_eq!(
                flow.upstream.take_one().all("x-user"),
                ["alex"],
                "{name} {round}"
            );
        }
        flow.assert_sound();
    }
}

#[test]
fn a_token_in_the_query_does_not_arrive() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        for round in ["cold", "warm"] {
            let target = format!("/orders?a=1&access_token={}&b=2", flow.token());
            let answer = exchange(&flow.host, &request("GET", &target, &[], b""));
            assert_eq!(answer.status(), 200, "{name} {round}\n{}", flow.log());
            assert_eq!(
                flow.upstream.take_one().target,
                "/orders?a=1&b=2",
                "{name} {round}"
            );
        }
        flow.assert_sound();
    }
}

#[test]
fn preflights_follow_the_switch() {
    for mode in both() {
        let name = mode.name();
        let bytes = request(
            "OPTIONS",
            "/",
            &[
                ("Origin", "https://app.test"),
                ("Access-Control-Request-Method", "GET"),
                ("X-User", "admin"),
            ],
            b"",
        );
        let flow = Flow::new(mode.clone());
        assert_eq!(exchange(&flow.host, &bytes).status(), 401, "{name}");
        flow.assert_untouched();
        let flow = Flow::with(mode, &json!({"run_on_preflight": false}));
        assert_eq!(exchange(&flow.host, &bytes).status(), 200, "{name}");
        assert_eq!(
            flow.upstream.take_one().all("x-user").concat(),
            "",
            "{name}"
        );
    }
}

#[test]
fn a_client_that_leaves_harms_nobody() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.provider.next(DISCOVERY, Behaviour::Hold);
        let token = flow.token();
        drop(flow.begin_held(&flow.request("GET", "/left", &token, &[], b"")));
        flow.provider.release();
        assert_eq!(flow.get("/stayed").status(), 200, "{name}\n{}", flow.log());
        assert_eq!(flow.upstream.take_one().target, "/stayed", "{name}");
        flow.assert_sound();
    }
}

#[test]
fn requests_at_once_are_all_decided() {
    for mode in both() {
        let name = mode.name();
        // Nothing wakes another request on Kong: there each makes its own call.
        let fetches = if name == "kong" { 4 } else { 1 };
        let flow = Flow::new(mode);
        for _ in 0..fetches {
            flow.provider.next(DISCOVERY, Behaviour::Hold);
        }
        let bytes = flow.request("GET", "/", &flow.token(), &[], b"");
        let mut held: Vec<_> = (0..4).map(|_| common::open(&flow.host, &bytes)).collect();
        flow.provider.wait_for_calls(DISCOVERY, fetches);
        assert!(hangs(&mut held[3]), "{name}");
        flow.provider.release();
        for connection in &mut held {
            assert_eq!(answer(connection).status(), 200, "{name}\n{}", flow.log());
        }
        assert_eq!(flow.upstream.take().len(), 4, "{name}");
        assert_eq!(flow.fetches().0, fetches, "{name}");
        flow.assert_sound();
    }
}

#[test]
fn envoy_verifies_where_it_can() {
    for host_verifies in [true, false] {
        let flow = Flow::new(envoy(|envoy| envoy.verify_signature = host_verifies));
        flow.warm();
        // The filter counts for itself and tells the host on its tick.
        flow.host.tick();
        let metrics = flow.host.record().metrics();
        let by = |name: &str| metrics.get(name).copied().unwrap_or(0) == 1;
        assert_eq!(by("oidc.signatures.verified_by_host"), host_verifies);
        assert_eq!(by("oidc.signatures.verified_in_module"), !host_verifies);
        flow.assert_sound();
    }
}

#[test]
fn the_shipped_capability_list_suffices_on_envoy() {
    let shipped = include_str!("../../../envoy/bearer.yaml");
    let (_, list) = shipped.split_once("allowed_capabilities:").expect("a list");
    let names = list
        .lines()
        .skip(1)
        .map_while(|line| line.trim().strip_suffix(": {}"));
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 20, "{names:?}");
    let flow = Flow::new(envoy(|envoy| envoy.capabilities = Some(names)));
    assert_eq!(flow.post("/", &[], b"body").status(), 200, "{}", flow.log());
    assert_eq!(flow.post("/", &[], b"body").status(), 200);
    assert_eq!(
        exchange(&flow.host, &request("GET", "/", &[], b"")).status(),
        401
    );
    flow.host.tick();
    assert_eq!(flow.upstream.take().len(), 2);
    flow.assert_sound();
}

#[test]
fn envoy_without_the_stop_iteration_flag_serves_bearer_tokens() {
    let flow = Flow::new(envoy(|envoy| envoy.allow_on_headers_stop_iteration = false));
    for _ in ["cold", "warm"] {
        assert_eq!(flow.post("/", &[], &vec![b'x'; 3 << 20]).status(), 200);
        assert_eq!(flow.upstream.take_one().body.len(), 3 << 20);
    }
    flow.assert_sound();
}

#[test]
fn on_envoy_a_neighbours_trap_strands_a_request_and_lets_nothing_through() {
    let mode = envoy(|envoy| envoy.stream_idle_timeout = Duration::from_secs(2));
    let flow = Flow::new(mode);
    flow.provider.next(DISCOVERY, Behaviour::Hold);
    let token = flow.token();
    let mut held = flow.begin_held(&flow.request("POST", "/held", &token, &[], b"body"));
    flow.host.trap();
    flow.provider.release();
    assert_eq!(answer(&mut held).status(), 503);
    assert!(flow.upstream.take().is_empty());
    assert_eq!(flow.get("/next").status(), 200, "{}", flow.log());
}

#[test]
fn envoy_does_not_start_with_a_bad_configuration() {
    let upstream = Upstream::start();
    for configuration in [
        "",
        "{}",
        "[",
        r#"{"issuer": "https://idp.test", "unknown_field": 1}"#,
    ] {
        let options = HostOptions::new(filter(), configuration, Mode::envoy(), upstream.address());
        match Host::start(options).err() {
            Some(StartError::Refused(log)) => {
                assert!(log.join("\n").contains("configuration refused"), "{log:?}");
            }
            other => panic!("{configuration}: {other:?}"),
        }
    }
}

#[test]
fn a_request_ends_under_the_configuration_it_began_with() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.provider.next(DISCOVERY, Behaviour::Hold);
        let mut held = flow.begin_held(&flow.request("GET", "/old", &flow.token(), &[], b""));
        let mut config = flow.provider.config();
        config["upstream_headers"] = json!([{"header": "x-name", "path": ["email"]}]);
        assert!(flow.host.reconfigure(config.to_string()), "{name}");
        assert!(hangs(&mut held), "{name}");
        flow.provider.release();
        assert_eq!(answer(&mut held).status(), 200, "{name}\n{}", flow.log());
        let old = flow.upstream.take_one();
        assert_eq!(
            (old.all("x-user").len(), old.all("x-name").len()),
            (1, 0),
            "{name}"
        );
        assert_eq!(flow.get("/new").status(), 200, "{name}\n{}", flow.log());
        let new = flow.upstream.take_one();
        assert_eq!(new.all("x-user").len(), 0, "{name}");
        assert_eq!(new.all("x-name"), ["alex@example.test"], "{name}");
        // Nothing of the token that the old configuration let in is asked for anew.
        assert_eq!(flow.fetches(), (1, 1), "{name}");
        flow.assert_sound();
    }
}

#[test]
fn a_bad_update_is_refused_on_envoy_and_answers_errors_on_kong() {
    for mode in both() {
        let name = mode.name();
        let flow = Flow::new(mode);
        flow.warm();
        let taken = flow.host.reconfigure(r#"{"issuer": 1}"#);
        let status = flow.get("/").status();
        if name == "envoy" {
            assert!(!taken);
            assert_eq!(status, 200, "the old one stays in force");
        } else {
            assert!(taken);
            assert_eq!(status, 500);
            assert!(flow.upstream.take().is_empty());
        }
        assert!(flow.log().contains("configuration refused"), "{name}");
        flow.assert_sound();
    }
}

#[test]
fn a_forged_identity_in_the_trailers_never_arrives() {
    // Envoy alone passes trailers on.
    let upstream = Server::upstream();
    let flow = Flow::build(Mode::envoy(), &json!({}), |mut options| {
        options.upstream = upstream.address();
        options
    });
    let headers = [
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "x-user, x-sum"),
    ];
    let body = b"4\r\nfour\r\n0\r\nX-User: admin\r\nX-Sum: 1\r\n\r\n";
    for (round, arrived) in ["cold", "warm"].into_iter().zip(1..) {
        assert_eq!(
            flow.post("/", &headers, body).status(),
            200,
            "{round}\n{}",
            flow.log()
        );
        let seen = &upstream.wait_for(arrived)[arrived - 1];
        assert_eq!(seen.text(), "four", "{round}");
        assert_eq!(
            seen.trailers,
            [("x-sum".to_owned(), "1".to_owned())],
            "{round}"
        );
    }
    flow.assert_sound();
}

#[test]
fn the_client_is_told_by_us_and_not_by_the_upstream() {
    for mode in both() {
        let name = mode.name();
        let members = json!({
            "downstream_access_token_header": "x-token",
            "downstream_headers_claims": ["department"], "downstream_headers_names": ["x-upstream"],
        });
        let flow = Flow::with(mode, &members);
        let token = flow.token_with(&json!({"department": "sales\r\nx-forged: 1"}));
        // Fresh, and from the cache.
        for _ in 0..2 {
            let told = flow.get_with("/", &token, &[]);
            assert_eq!(told.status(), 200, "{name}\n{}", flow.log());
            assert_eq!(told.all("x-upstream"), ["salesx-forged: 1"], "{name}");
            assert_eq!(told.all("x-token"), [token.as_str()], "{name}");
            assert_eq!(told.all("cache-control"), ["private, no-store"], "{name}");
        }
        // Where we have nothing to say, nobody says it.
        let silent = flow.get("/");
        assert_eq!(silent.status(), 200, "{name}");
        assert_eq!(silent.all("x-upstream"), [""; 0], "{name}");
        let refused = flow.get_with("/", "bad.bad.bad", &[]);
        assert_eq!((refused.status(), refused.all("x-token").len()), (401, 0));
        flow.assert_sound();
    }
    for mode in both() {
        let flow = Flow::new(mode);
        assert_eq!(flow.get("/").all("x-upstream"), ["theirs"]);
    }
}
