//! What a client gets that may not pass (specification section 13, RFC 6750 section 3), and requests
//! of unusual shape.

use flow::stage::{DISCOVERY, ISSUER, config};
use flow::{Behaviour, Dialect, Outcome, Request, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

/// One refusal of each kind, as a configuration shows them.
struct Refusals {
    no_credential: Outcome,
    bad_credential: Outcome,
    forbidden: Outcome,
    unexpected: Outcome,
}

fn refusals(dialect: Dialect, members: Value) -> Refusals {
    let members = flow::stage::merged(json!({"scopes_required": ["admin"]}), members);
    let world = World::ready(dialect, members.clone());
    let down = World::ready(dialect, members);
    down.always(DISCOVERY, Behaviour::Status(500));
    Refusals {
        no_credential: world.ask(Request::get("/")),
        bad_credential: world.show("bad.bad.bad"),
        forbidden: world.show(&world.token(json!({}))),
        unexpected: down.show(&down.token(json!({}))),
    }
}

#[test]
fn each_kind_of_refusal_has_its_status_body_and_challenge() {
    for dialect in Dialect::BOTH {
        let shown = refusals(dialect, json!({}));
        for (outcome, status, message, challenge) in [
            (
                &shown.no_credential,
                401,
                "Unauthorized",
                Some(String::new()),
            ),
            (
                &shown.bad_credential,
                401,
                "Unauthorized",
                Some(", error=\"invalid_token\"".to_owned()),
            ),
            (
                &shown.forbidden,
                403,
                "Forbidden",
                Some(", error=\"insufficient_scope\"".to_owned()),
            ),
            (&shown.unexpected, 500, "An unexpected error occurred", None),
        ] {
            outcome.assert_status(status);
            assert_eq!(outcome.json(), json!({"message": message}));
            let expected = challenge.map(|error| format!("Bearer realm=\"{ISSUER}\"{error}"));
            assert_eq!(outcome.answer_header("www-authenticate"), expected);
            assert_eq!(
                outcome.answer_header("content-type").as_deref(),
                Some("application/json; charset=utf-8")
            );
        }
    }
}

#[test]
fn the_error_code_can_be_withheld() {
    let shown = refusals(Dialect::Envoy, json!({"expose_error_code": false}));
    for outcome in [shown.no_credential, shown.bad_credential, shown.forbidden] {
        let challenge = outcome.answer_header("www-authenticate");
        assert_eq!(challenge, Some(format!("Bearer realm=\"{ISSUER}\"")));
    }
}

#[test]
fn messages_are_the_operators_and_reasons_are_shown_only_on_request() {
    let shown = refusals(
        Dialect::Envoy,
        json!({
            "unauthorized_error_message": "Wer da?", "forbidden_error_message": "Nein.",
        }),
    );
    assert_eq!(shown.bad_credential.json(), json!({"message": "Wer da?"}));
    assert_eq!(shown.forbidden.json(), json!({"message": "Nein."}));
    let shown = refusals(Dialect::Envoy, json!({"display_errors": true}));
    for (outcome, code) in [
        (&shown.no_credential, "no_credential"),
        (&shown.bad_credential, "token_malformed"),
        (&shown.forbidden, "insufficient_scope"),
        (&shown.unexpected, "provider_refused"),
    ] {
        let body = outcome.json();
        assert_eq!(body["code"], code);
        assert!(
            body["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
    }
}

#[test]
fn each_kind_of_refusal_has_its_redirect() {
    let shown = refusals(
        Dialect::Envoy,
        json!({
            "unauthorized_redirect_uri": ["https://site.test/401"],
            "forbidden_redirect_uri": ["https://site.test/403"],
            "unexpected_redirect_uri": ["https://site.test/500"],
        }),
    );
    for (outcome, to) in [
        (&shown.no_credential, "https://site.test/401"),
        (&shown.bad_credential, "https://site.test/401"),
        (&shown.forbidden, "https://site.test/403"),
        (&shown.unexpected, "https://site.test/500"),
    ] {
        outcome.assert_status(302);
        assert_eq!(outcome.answer_header("location").as_deref(), Some(to));
        assert!(outcome.answer().body.is_empty());
    }
    // A forbidden request never goes where an unauthorized one goes.
    let shown = refusals(
        Dialect::Envoy,
        json!({"unauthorized_redirect_uri": ["https://site.test/401"]}),
    );
    shown.forbidden.assert_status(403);
    shown.unexpected.assert_status(500);
}

#[test]
fn a_client_of_grpc_gets_no_body_and_no_redirect() {
    let world = World::ready(
        Dialect::Envoy,
        json!({"unauthorized_redirect_uri": ["https://site.test/401"]}),
    );
    for kind in ["application/grpc", "application/grpc+proto"] {
        let refused = world.ask(Request::new("POST", "/a.B/C").header("content-type", kind));
        refused.assert_status(401);
        assert!(refused.answer().body.is_empty());
        let good = Request::new("POST", "/a.B/C").header("content-type", kind);
        world
            .ask(good.bearer(&world.token(json!({}))))
            .assert_user("alex");
    }
}

#[test]
fn c25_only_a_real_preflight_passes_without_a_credential() {
    for dialect in Dialect::BOTH {
        let preflight = || {
            Request::new("OPTIONS", "/")
                .header("Origin", "https://app.test")
                .header("Access-Control-Request-Method", "PUT")
        };
        let strict = World::ready(dialect, json!({}));
        strict.ask(preflight()).assert_status(401);
        let world = World::ready(dialect, json!({"run_on_preflight": false}));
        let passed = world.ask(
            preflight()
                .header("x-user", "root")
                .header("x-consumer-id", "1"),
        );
        let passed = passed.forwarded();
        assert_eq!(passed.all("x-user"), [""; 0], "nobody's identity");
        assert_eq!(passed.all("x-consumer-id"), [""; 0]);
        assert_eq!(passed.header("origin").as_deref(), Some("https://app.test"));
        for other in [
            Request::new("OPTIONS", "/"),
            Request::new("OPTIONS", "/").header("origin", "https://app.test"),
            Request::new("OPTIONS", "/").header("access-control-request-method", "PUT"),
            Request::get("/")
                .header("origin", "a")
                .header("access-control-request-method", "PUT"),
            Request::new("options", "/")
                .header("origin", "a")
                .header("access-control-request-method", "PUT"),
        ] {
            world.ask(other).assert_status(401);
        }
        assert!(world.calls().is_empty(), "a preflight waits for nobody");
    }
}

#[test]
fn a_request_of_any_method_needs_its_credential() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PRI", "x",
        ] {
            world.ask(Request::new(method, "/")).assert_status(401);
            world
                .ask(Request::new(method, "/").bearer(&token))
                .assert_user("alex");
        }
    }
}

#[test]
fn a_request_without_a_path_goes_nowhere() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        for request in [
            Request::bare(),
            Request::bare().header(":method", "GET"),
            Request::bare().header(":method", "GET").header(":path", ""),
            Request::bare()
                .header(":method", "CONNECT")
                .header(":authority", "api.test:443"),
            Request::new("CONNECT", "/websocket").header(":protocol", "websocket"),
        ] {
            world.ask(request.bearer(&token)).assert_status(401);
        }
        world.show(&token).assert_user("alex");
    }
}

#[test]
fn no_header_skips_the_decision() {
    let world = World::ready(Dialect::Envoy, json!({}));
    for (name, value) in [
        ("accept", "text/html"),
        ("user-agent", "kube-probe/1.30"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "idp.test"),
        ("x-original-url", "/health"),
        ("x-envoy-original-path", "/health"),
        ("x-http-method-override", "OPTIONS"),
        ("upgrade", "websocket"),
        ("connection", "authorization"),
        ("sec-fetch-mode", "cors"),
    ] {
        world
            .ask(Request::get("/").header(name, value))
            .assert_status(401);
    }
    assert_eq!(world.counted(Counter::Unauthorized), 10);
}

#[test]
fn on_kong_a_refused_configuration_and_a_cut_header_list_let_nobody_in() {
    let world = World::new(Dialect::Kong, 1);
    world.put_provider();
    let broken = world.refused_route(&config(json!({"verify_signature": false})));
    let route = world.route(&config(json!({})));
    let token = world.token(json!({}));
    world
        .ask(Request::get("/").bearer(&token).on(broken))
        .assert_status(500);
    // Four pseudo-headers and the token stand beside these.
    let many = |count: usize| {
        (0..count).fold(
            Request::get("/").bearer(&token).on(route),
            |request, number| request.header(format!("x-{number}"), "1"),
        )
    };
    world.ask(many(94)).assert_user("alex");
    world.ask(many(95)).assert_status(431);
}
