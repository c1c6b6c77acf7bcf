//! What Kong does differently, switch by switch, and what the filter does about it.
//!
//! A flow test for each switch; where it would pass with the switch off as well, a line says why.

mod common;

use common::flow::{Flow, answer, hangs};
use common::wire::{Reply, Server, chunked, request};
use common::{closes, envoy, exchange, kong, logged, nobody, options, start};
use module_host::{Host, HostOptions, KongSwitches, Mode, filter};
use serde_json::json;
use support::issuer::SigningKey;
use support::provider::{Behaviour, DISCOVERY};
use support::upstream::Upstream;

#[test]
fn auto_resume_carries_a_decision_on() {
    let flow = Flow::new(Mode::kong());
    assert_eq!(flow.post("/", &[], b"body").status(), 200);
    assert_eq!(flow.upstream.take_one().all("x-user"), ["alex"]);
    // Off: the filter never says "go on" on Kong, so the request hangs.
    let flow = Flow::new(kong(|kong| kong.auto_resume = false));
    let token = flow.token();
    let mut held = common::open(&flow.host, &flow.request("GET", "/", &token, &[], b""));
    flow.provider.wait_for_calls(support::provider::JWKS, 1);
    assert!(hangs(&mut held));
    flow.assert_untouched();
}

/// A request is paused, a neighbour's callback traps, and Kong resumes what nobody decided.
fn after_a_trap(
    mode: Mode,
    method: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (Flow, bool, u16) {
    let flow = Flow::new(mode);
    flow.provider.next(DISCOVERY, Behaviour::Hold);
    let token = flow.token();
    let bytes = flow.request(method, "/held", &token, headers, body);
    let mut held = flow.begin_held(&bytes);
    flow.host.trap();
    flow.provider.release();
    let got = common::wire::read_message(&mut held);
    let status = got.as_ref().map_or(0, common::wire::Message::status);
    (flow, got.is_err(), status)
}

#[test]
fn auto_resume_after_a_neighbours_trap_meets_the_poison() {
    // `probe` shows in `a_trap_lets_a_paused_neighbour_through` what comes without the poison.
    let (flow, _, status) = after_a_trap(Mode::kong(), "GET", &[], b"");
    assert_eq!(status, 502);
    assert!(flow.upstream.take().is_empty());
    assert_eq!(flow.get("/next").status(), 200, "{}", flow.log());
    // With a body, the new instance is asked about a request that it never saw: it answers itself.
    for (headers, body) in [
        (&[][..], &b"body"[..]),
        (
            &[("Transfer-Encoding", "chunked")],
            b"4\r\nbody\r\n0\r\n\r\n",
        ),
    ] {
        let (flow, _, status) = after_a_trap(Mode::kong(), "POST", headers, body);
        assert_eq!(status, 500, "{}", flow.log());
        assert!(flow.upstream.take().is_empty());
        assert_eq!(logged(&flow.host, "unknown_context"), 1);
    }
    let (flow, _, status) = after_a_trap(Mode::kong(), "POST", &[("Content-Length", "0")], b"");
    assert_eq!(status, 502);
    assert!(flow.upstream.take().is_empty());
}

#[test]
fn on_a_grpc_route_the_scheme_is_poisoned() {
    let grpc = || kong(|kong| kong.proxy_mode = "grpc");
    let (flow, _, status) = after_a_trap(grpc(), "GET", &[], b"");
    assert_eq!(status, 500);
    assert!(flow.upstream.take().is_empty());
    let flow = Flow::new(grpc());
    assert_eq!(flow.get("/a.Service/Call").status(), 200, "{}", flow.log());
    assert_eq!(flow.upstream.take_one().target, "/a.Service/Call");
}

#[test]
fn a_removal_that_keeps_is_an_overwriting() {
    // The filter never removes on Kong, so it does not matter whether removal works: both columns
    // show an emptied header. What would come of a removal shows `a_removed_header_goes_upstream`.
    for keeps in [true, false] {
        let flow = Flow::new(kong(|kong| kong.removal_keeps = keeps));
        let nameless = flow.token_with(&json!({"preferred_username": null}));
        for _ in ["cold", "warm"] {
            let answer = flow.get_with("/", &nameless, &[("X-User", "admin")]);
            assert_eq!(answer.status(), 200, "{}", flow.log());
            assert_eq!(
                flow.upstream.take_one().all("x-user"),
                [""],
                "removal_keeps {keeps}"
            );
        }
    }
    // Envoy's way of removing: nothing arrives.
    let flow = Flow::new(envoy(|_| {}));
    let nameless = flow.token_with(&json!({"preferred_username": null}));
    assert_eq!(
        flow.get_with("/", &nameless, &[("X-User", "admin")])
            .status(),
        200
    );
    assert!(flow.upstream.take_one().all("x-user").is_empty());
}

#[test]
fn what_cannot_be_overwritten_is_refused() {
    // The host replaces the first copy only, and takes underscores.
    let flow = Flow::new(Mode::kong());
    flow.warm();
    let token = flow.token();
    for headers in [
        &[("X-User", "admin"), ("X-User", "root")][..],
        &[("X_User", "admin")],
        &[("x-user", "admin"), ("x_user", "root")],
        &[("X_Consumer_Id", "1")],
    ] {
        assert_eq!(
            flow.get_with("/", &token, headers).status(),
            400,
            "{headers:?}"
        );
    }
    flow.assert_untouched();
    assert_eq!(
        flow.get_with("/", &token, &[("X-User", "admin")]).status(),
        200
    );
    assert_eq!(flow.upstream.take_one().all("x-user"), ["alex"]);
}

#[test]
fn a_second_authorization_is_refused_or_gone() {
    // nginx knows one Authorization, and the filter reads one: what arrives is what was verified.
    let flow = Flow::new(Mode::kong());
    flow.warm();
    let token = flow.token();
    let status = flow
        .get_with("/", &token, &[("Authorization", "Bearer other")])
        .status();
    assert_eq!(status, 401);
    flow.assert_untouched();
}

#[test]
fn a_cut_list_of_headers_is_refused() {
    // An upstream that takes any number of headers: the other one answers 431 itself.
    let upstream = Server::upstream();
    let flow = Flow::build(Mode::kong(), &json!({}), |mut options| {
        options.upstream = upstream.address();
        options
    });
    let token = flow.token();
    for round in ["cold", "warm"] {
        let names: Vec<String> = (0..120).map(|number| format!("x-{number}")).collect();
        let mut headers: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(
            flow.get_with("/few", &token, &headers[..80]).status(),
            200,
            "{round}"
        );
        // Behind the cut: the filter would never see it.
        headers.push(("X-User", "admin"));
        assert_eq!(
            flow.get_with("/many", &token, &headers).status(),
            431,
            "{round}"
        );
    }
    assert_eq!((upstream.count("/few"), upstream.count("/many")), (2, 0));
    flow.assert_sound();
}

#[test]
fn an_answer_that_was_cut_off_is_no_answer() {
    // Kong announces the whole size, and then cannot deliver the body.
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"issuer\": ".to_vec();
    let provider = Server::start(move |_| Reply::Raw(half.clone()));
    let flow = of_provider(&provider);
    assert_eq!(flow.get("/").status(), 500);
    // Tried once more, as after any broken connection.
    assert_eq!(provider.seen().len(), 2);
    assert!(flow.log().contains("cut off"), "{}", flow.log());
    flow.assert_untouched();
}

#[test]
fn an_answer_without_a_length_is_empty() {
    // Kong does not read what ends with the connection.
    let open_ended = b"HTTP/1.1 200 OK\r\n\r\n{}".to_vec();
    let provider = Server::start(move |_| Reply::Raw(open_ended.clone()));
    let flow = of_provider(&provider);
    assert_eq!(flow.get("/").status(), 500);
    flow.assert_untouched();
}

#[test]
fn an_answer_with_a_line_too_long_is_no_answer() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: {}\r\n\r\n{{}}",
        "x".repeat(9000)
    );
    let provider = Server::start(move |_| Reply::Raw(long.clone().into_bytes()));
    let flow = of_provider(&provider);
    assert_eq!(flow.get("/").status(), 500);
    assert!(flow.log().contains("reader failure"), "{}", flow.log());
    flow.assert_untouched();
}

/// A flow whose provider answers byte by byte.
fn of_provider(provider: &Server) -> Flow {
    let issuer = format!("http://{}", provider.address());
    Flow::with(Mode::kong(), &json!({"issuer": issuer}))
}

/// A cold and a warm request, with and without a body, a refusal, and a tick.
fn tour(flow: &Flow) {
    assert_eq!(flow.get("/tour").status(), 200, "{}", flow.log());
    assert_eq!(flow.get("/tour").status(), 200, "{}", flow.log());
    assert_eq!(
        flow.post("/tour", &[], b"body").status(),
        200,
        "{}",
        flow.log()
    );
    assert_eq!(
        exchange(&flow.host, &request("GET", "/tour", &[], b"")).status(),
        401
    );
    flow.host.tick();
    assert_eq!(flow.upstream.take().len(), 3);
    flow.assert_sound();
}

/// The tour with everything like Kong, and with one thing not so.
fn tour_with_and_without(off: impl FnOnce(&mut KongSwitches)) {
    tour(&Flow::new(Mode::kong()));
    tour(&Flow::new(kong(off)));
}

#[test]
fn no_zone_is_needed() {
    // Off passes too: the filter leaves shared data alone on Kong. With a zone it does the same.
    tour_with_and_without(|kong| kong.missing_zone_traps = false);
    let flow = Flow::build(Mode::kong(), &json!({}), |mut options| {
        options.shared_zone = true;
        options
    });
    tour(&flow);
    assert!(flow.host.shared().keys().is_empty());
}

#[test]
fn strict_cas_meets_nobody() {
    // Off passes too: nothing is kept in shared data on Kong.
    tour_with_and_without(|kong| kong.strict_cas = false);
    tour_with_and_without(|kong| kong.crc32_keys = false);
}

#[test]
fn weak_random_numbers_decide_nothing() {
    // Off passes too: the bearer flow draws none. The module's hash maps seed themselves, no more.
    tour_with_and_without(|kong| kong.weak_random = false);
}

#[test]
fn no_export_is_missing() {
    // Off passes too: the filter exports everything. `bare` shows a worker that dies.
    tour_with_and_without(|kong| kong.exports_unchecked = false);
    let bare = Upstream::start();
    let upstream = Server::upstream();
    let host = start(options("bare", Mode::kong(), &upstream, bare.address()));
    assert!(closes(&host, &request("POST", "/", &[], b"body")));
}

#[test]
fn the_body_phase_decides_nothing_anew() {
    // Off passes too: an early body callback finds an undecided request, and is told to wait. No
    // flow of this version reads a body.
    tour_with_and_without(|kong| kong.body_only_in_body_phase = false);
    let flow = Flow::new(kong(|kong| kong.body_only_in_body_phase = false));
    flow.provider.next(DISCOVERY, Behaviour::Hold);
    let token = flow.token();
    let mut held = flow.begin_held(&flow.request("POST", "/", &token, &[], b"body"));
    assert!(hangs(&mut held) && flow.upstream.seen().is_empty());
    flow.provider.release();
    assert_eq!(answer(&mut held).status(), 200);
}

#[test]
fn nobody_waits_for_a_neighbours_call() {
    // Off passes too: the filter goes by the host's name, not by what waking does.
    for no_waking in [true, false] {
        let flow = Flow::new(kong(|kong| kong.no_waking = no_waking));
        flow.provider.next(DISCOVERY, Behaviour::Hold);
        let token = flow.token();
        let mut held = flow.begin_held(&flow.request("GET", "/first", &token, &[], b""));
        // The second one fetches for itself and goes on; the first still waits for its own call.
        assert_eq!(flow.get("/second").status(), 200);
        assert!(hangs(&mut held));
        assert_eq!(flow.upstream.take_one().target, "/second");
        flow.provider.release();
        assert_eq!(answer(&mut held).status(), 200);
        assert_eq!(flow.upstream.take_one().target, "/first");
        flow.assert_sound();
    }
}

#[test]
fn a_bad_configuration_answers_every_request() {
    // Off passes too: the filter refuses nothing on Kong. `probe` shows the open node.
    let upstream = Upstream::start();
    for configuration in [
        "",
        "{}",
        "[",
        r#"{"issuer": "https://idp.test", "unknown_field": 1}"#,
    ] {
        for leaves_no_filter in [true, false] {
            let mode = kong(|kong| kong.refusing_configure_leaves_no_filter = leaves_no_filter);
            let options = HostOptions::new(filter(), configuration, mode, upstream.address());
            let host = Host::start(options).expect("Kong starts");
            assert!(host.record().filter_active());
            let token = SigningKey::shared().token(&json!({"iss": "https://idp.test"}));
            let bearer = format!("Bearer {token}");
            let unmeasured = chunked(&[b"body"]);
            for bytes in [
                request("GET", "/", &[], b""),
                request("GET", "/", &[("Authorization", &bearer)], b""),
                request("POST", "/", &[], b"body"),
                request("POST", "/", &[("Content-Length", "0")], b""),
                request(
                    "POST",
                    "/",
                    &[("Transfer-Encoding", "chunked")],
                    &unmeasured,
                ),
            ] {
                assert_eq!(exchange(&host, &bytes).status(), 500, "{configuration}");
            }
            assert!(logged(&host, "configuration refused") > 0);
            assert_eq!(logged(&host, "not_configured"), 5);
            assert!(host.record().traps().is_empty() && host.record().crashes().is_empty());
        }
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_answer_repeats_no_header() {
    // Off passes too: the filter's answers name each header once, and JSON may end in a newline.
    for collapse in [true, false] {
        let flow = Flow::new(kong(|kong| {
            (kong.local_headers_collapse, kong.local_body_newline) = (collapse, collapse);
        }));
        let refused = exchange(&flow.host, &request("GET", "/", &[], b""));
        assert_eq!(refused.status(), 401);
        for (name, _) in &refused.headers {
            assert_eq!(refused.all(name).len(), 1, "{name}");
        }
        let body: serde_json::Value = serde_json::from_slice(&refused.body).expect("JSON");
        assert_eq!(body, json!({"message": "Unauthorized"}));
        flow.assert_untouched();
    }
}

#[test]
fn reads_begin_at_the_beginning() {
    // Off passes too: the filter asks for no other offset.
    tour_with_and_without(|kong| kong.read_offset_ignored = false);
}

#[test]
fn nothing_that_kong_lacks_is_called() {
    // Off passes too: the filter knows the host before it asks for the log level or a function.
    tour_with_and_without(|kong| kong.unimplemented_traps = false);
}

#[test]
fn the_upstream_gets_the_path_that_kong_chose() {
    let flow = Flow::new(Mode::kong());
    for round in ["cold", "warm"] {
        // The poison is lifted to what was there, not to `:path`.
        assert_eq!(
            flow.get("/public%2Fx/../admin?q=%2F").status(),
            200,
            "{round}"
        );
        assert_eq!(flow.upstream.take_one().target, "/admin?q=%2F", "{round}");
    }
}

#[test]
fn a_provider_behind_tls_that_fails_lets_nobody_in() {
    let flow = Flow::build(Mode::kong(), &json!({}), |mut options| {
        options.configuration = json!({
            "issuer": format!("https://{}", nobody()),
            "auth_methods": ["bearer"],
        })
        .to_string();
        options
    });
    assert_eq!(flow.get("/").status(), 500);
    assert!(
        flow.log().contains("tls handshake failure"),
        "{}",
        flow.log()
    );
    flow.assert_untouched();
}
