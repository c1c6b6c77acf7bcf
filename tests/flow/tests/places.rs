//! Where a bearer token is looked for, and which one counts (specification section 3).

use flow::stage::{KEYS, key};
use flow::{Dialect, Request, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};

fn everywhere(members: Value) -> Value {
    let places = json!({
        "bearer_token_param_type": ["cookie", "query", "header"],
        "bearer_token_cookie_name": "token",
    });
    flow::stage::merged(places, members)
}

#[test]
fn each_place_is_read_where_it_is_named_and_nowhere_else() {
    for dialect in Dialect::BOTH {
        for place in ["header", "query", "cookie"] {
            let world = World::ready(
                dialect,
                json!({"bearer_token_param_type": [place], "bearer_token_cookie_name": "token"}),
            );
            let token = world.token(json!({}));
            for (shown, request) in [
                (
                    "header",
                    Request::get("/").header("Authorization", format!("Bearer {token}")),
                ),
                (
                    "header",
                    Request::get("/").header("authorization", format!("bEaReR   {token} ")),
                ),
                ("header", Request::get("/").header("Access-Token", &token)),
                ("header", Request::get("/").header("X-Access-Token", &token)),
                (
                    "query",
                    Request::get(&format!("/?a=b&access_token={token}")),
                ),
                (
                    "query",
                    Request::get(&format!("/?access%5Ftoken={}", token.replace('.', "%2E"))),
                ),
                (
                    "cookie",
                    Request::get("/").header("cookie", format!("a=b; token={token}")),
                ),
                (
                    "cookie",
                    Request::get("/")
                        .header("cookie", "a=b")
                        .header("cookie", format!("token={token}")),
                ),
            ] {
                let two_lines = request.count("cookie") == 2;
                let outcome = world.ask(request.secret(&token));
                if shown != place {
                    outcome.assert_status(401);
                } else if dialect == Dialect::Kong && two_lines {
                    // No way to take the token out of one of them.
                    outcome.assert_status(400);
                } else {
                    outcome.assert_user("alex");
                }
            }
        }
    }
}

#[test]
fn a_bare_token_or_another_scheme_is_no_bearer() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    for value in [
        token.clone(),
        format!("Bearer{token}"),
        format!("Bearer\t{token}"),
        format!("Basic {token}"),
        format!("DPoP {token}"),
        format!(" Bearer {token}"),
        "Bearer".to_owned(),
    ] {
        let refused = world.ask(
            Request::get("/")
                .header("authorization", value)
                .secret(&token),
        );
        refused.assert_status(401);
        let challenge = refused
            .answer_header("www-authenticate")
            .unwrap_or_default();
        assert!(
            !challenge.contains("error"),
            "nothing was shown: {challenge}"
        );
    }
    for value in ["Bearer ", "Bearer  ", "Bearer a b", "Bearer \u{e9}"] {
        let refused = world.ask(Request::get("/").header("authorization", value));
        refused.assert_status(401);
        let challenge = refused
            .answer_header("www-authenticate")
            .unwrap_or_default();
        assert!(challenge.contains("invalid_token"), "{value}: {challenge}");
    }
}

#[test]
fn the_first_place_decides_whether_its_token_is_good_or_not() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, everywhere(json!({})));
        let [first, second, third] =
            ["one", "two", "three"].map(|user| world.token(json!({"preferred_username": user})));
        let query = format!("/?access_token={second}");
        let cookie = format!("token={third}");
        let all = Request::get(&query)
            .bearer(&first)
            .header("cookie", &cookie);
        world.ask(all).assert_user("one");
        world
            .ask(Request::get(&query).header("cookie", &cookie))
            .assert_user("two");
        world
            .ask(Request::get("/").header("cookie", &cookie))
            .assert_user("three");
        let bad = Request::get(&query)
            .bearer("bad.bad.bad")
            .header("cookie", &cookie);
        world.ask(bad).assert_status(401);
        let bad = Request::get("/?access_token=").header("cookie", &cookie);
        world.ask(bad).assert_status(401);
        let order = Request::get("/")
            .header("x-access-token", &second)
            .header("access-token", &first);
        world.ask(order).assert_user("one");
    }
}

#[test]
fn a_named_header_is_the_only_one_that_is_read() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"bearer_token_header_name": "X_Tok"}));
        let token = world.token(json!({}));
        world
            .ask(Request::get("/").header("x-tok", &token))
            .assert_user("alex");
        world
            .ask(Request::get("/").header("X-Tok", format!("Bearer {token}")))
            .assert_user("alex");
        world.show(&token).assert_status(401);
        world
            .ask(Request::get("/").header("access-token", &token))
            .assert_status(401);
        world
            .ask(Request::get("/").header("x-tok", "bad").bearer(&token))
            .assert_status(401);
    }
}

#[test]
fn two_opinions_on_who_is_calling_are_none() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, everywhere(json!({})));
        let [one, two] =
            ["one", "two"].map(|user| world.token(json!({"preferred_username": user})));
        for other in [one.as_str(), two.as_str(), "", "x"] {
            for request in [
                Request::get("/").bearer(&one).bearer(other),
                Request::get("/").bearer(other).bearer(&one),
                Request::get("/").header("authorization", format!("Bearer {one},Bearer {other}")),
                Request::get("/").header("authorization", format!("Bearer {one}, Basic {other}")),
                Request::get("/").header("authorization", format!("Bearer {one},{other}")),
                Request::get("/")
                    .header("access-token", &one)
                    .header("access-token", other),
                Request::get(&format!("/?access_token={one}&access_token={other}")),
                Request::get(&format!("/?access_token={one}&access%5ftoken={other}")),
                Request::get("/").header("cookie", format!("token={one}; token={other}")),
                Request::get("/")
                    .header("cookie", format!("token={one}"))
                    .header("cookie", format!("token={other}")),
            ] {
                world.ask(request.secret(&one)).assert_status(401);
            }
        }
        world.show(&one).assert_user("one");
    }
}

#[test]
fn the_session_cookie_is_judged_on_every_request() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"jwt_session_cookie": "session"}));
        let token = world.token(json!({"sid": "s-1"}));
        let with = |cookie: &str| Request::get("/").bearer(&token).header("cookie", cookie);
        world.ask(with("session=s-1")).assert_user("alex");
        for bad in [
            "session=s-2",
            "session=",
            "session=s-1; session=s-1",
            "Session=s-1",
            "other=s-1",
        ] {
            let refused = world.ask(with(bad));
            refused.assert_status(401);
        }
        world
            .ask(with("session=s-1").header("cookie", "session=s-2"))
            .assert_status(401);
        world.show(&token).assert_status(401);
        world.ask(with("a=b; session=s-1")).assert_user("alex");
        assert_eq!(
            world.counted(Counter::VerdictMiss),
            1,
            "one token, verified once"
        );
        for claims in [
            json!({}),
            json!({"sid": ""}),
            json!({"sid": 1}),
            json!({"sid": ["s-1"]}),
        ] {
            let token = world.token(claims);
            world
                .ask(
                    Request::get("/")
                        .bearer(&token)
                        .header("cookie", "session=s-1"),
                )
                .assert_status(401);
            world
                .ask(
                    Request::get("/")
                        .bearer(&token)
                        .header("cookie", "session="),
                )
                .assert_status(401);
        }
    }
}

#[test]
fn the_session_claim_may_have_another_name() {
    let members = json!({"jwt_session_cookie": "session", "jwt_session_claim": "jti"});
    let world = World::ready(Dialect::Envoy, members);
    let token = world.token(json!({"jti": "s-1", "sid": "s-2"}));
    let with = |cookie: &str| Request::get("/").bearer(&token).header("cookie", cookie);
    world.ask(with("session=s-1")).assert_user("alex");
    world.ask(with("session=s-2")).assert_status(401);
}

#[test]
fn cache_ttl_max_has_a_token_verified_again() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"cache_ttl_max": 30}));
        let token = world.token(json!({}));
        world.show(&token).assert_user("alex");
        world.pass_milliseconds(29_999);
        world.show(&token).assert_user("alex");
        assert_eq!(world.counted(Counter::VerifiedInModule), 1);
        world.pass_milliseconds(1);
        world.show(&token).assert_user("alex");
        assert_eq!(world.counted(Counter::VerifiedInModule), 2);
    }
}

#[test]
fn a_token_without_an_end_is_remembered_for_cache_ttl() {
    let world = World::ready(Dialect::Envoy, json!({"cache_ttl": 30}));
    let token = world.token(json!({"exp": null}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(29);
    world.show(&token).assert_user("alex");
    assert_eq!(world.counted(Counter::VerifiedInModule), 1);
    world.pass_seconds(1);
    world.show(&token).assert_user("alex");
    assert_eq!(world.counted(Counter::VerifiedInModule), 2);
}

#[test]
fn a_stranger_cannot_replace_what_is_remembered() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    let (body, signature) = token.rsplit_once('.').expect("a token");
    let forged = key("stranger").token(&world.claims(json!({"preferred_username": "root"})));
    let (forged_body, _) = forged.rsplit_once('.').expect("a token");
    // The last bytes choose the place in the cache; the whole token is what counts.
    world
        .show(&format!("{forged_body}.{signature}"))
        .assert_status(401);
    world
        .show(&format!(
            "{body}.{}",
            signature.replace('_', "-").to_lowercase()
        ))
        .assert_status(401);
    world.show(&token).assert_user("alex");
    assert_eq!(world.calls_to(KEYS), 1);
}

/// A token in each kind of body that is looked into, and the same body without it.
fn bodies(token: &str) -> [(&'static str, String, String); 3] {
    [
        (
            "application/x-www-form-urlencoded",
            format!("a=1&access_token={token}&b=2"),
            "a=1&b=2".to_owned(),
        ),
        (
            "application/json",
            format!("{{\"a\": 1.50, \"access_token\": \"{token}\", \"b\": [null]}}"),
            "{\"a\":1.50,\"b\":[null]}".to_owned(),
        ),
        (
            "application/merge-patch+json; charset=utf-8",
            format!("{{\"access_token\": \"{token}\"}}"),
            "{}".to_owned(),
        ),
    ]
}

#[test]
fn a_token_in_a_form_or_in_json_is_read_and_taken_out() {
    for dialect in Dialect::BOTH {
        for hide in [true, false] {
            let world = World::ready(dialect, json!({"hide_credentials": hide}));
            let token = world.token(json!({}));
            for method in ["POST", "PUT", "PATCH"] {
                for (kind, body, without) in bodies(&token) {
                    let request = Request::new(method, "/orders?x=y")
                        .header("content-type", kind)
                        .body(&body)
                        .secret(&token);
                    let outcome = world.ask(request);
                    outcome.assert_user("alex");
                    let seen = outcome.forwarded();
                    let expected = if hide { without } else { body };
                    assert_eq!(String::from_utf8_lossy(seen.body()), expected);
                    let length = expected.len().to_string();
                    assert_eq!(seen.header("content-length"), Some(length));
                    assert_eq!(
                        (seen.method().as_str(), seen.path().as_str()),
                        (method, "/orders?x=y")
                    );
                }
            }
        }
    }
}

#[test]
fn a_body_is_read_only_where_a_token_may_stand_in_it() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        let form = format!("access_token={token}");
        let long = format!("{form}&x={}", "y".repeat(64 << 10));
        let kind = "application/x-www-form-urlencoded";
        for (members, kind, body) in [
            (json!({}), "text/plain", &form),
            (json!({}), "multipart/form-data; boundary=x", &form),
            (json!({}), kind, &long),
            (
                json!({"bearer_token_param_type": ["header", "query"]}),
                kind,
                &form,
            ),
            (json!({"request_body": "off"}), kind, &form),
        ] {
            let route = world.route(&flow::stage::config(members));
            let request = Request::new("POST", "/")
                .header("content-type", kind)
                .body(body)
                .on(route);
            world.ask(request.secret(&token)).assert_status(401);
        }
        // Without a length it is an upload, which nobody stops.
        let chunked = Request::new("POST", "/")
            .header("content-type", kind)
            .header("transfer-encoding", "chunked");
        world.ask(chunked).assert_status(401);
    }
}

#[test]
fn a_token_in_a_higher_place_wins_over_one_in_the_body() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        let body = "access_token=no-token";
        let request = || Request::new("POST", "/").form(body);
        world.ask(request().bearer(&token)).assert_user("alex");
        world.ask(request()).assert_status(401);
        // A null is no token, a number is a bad one, and of two none is believed.
        for (json, outcome) in [
            (r#"{"access_token":null}"#.to_owned(), "no_credential"),
            (r#"{"access_token":7}"#.to_owned(), "token_not_compact"),
            (
                format!("{{\"access_token\":\"{token}\",\"access_token\":\"{token}\"}}"),
                "token_not_compact",
            ),
        ] {
            let request = Request::new("POST", "/")
                .header("content-type", "application/json")
                .body(&json);
            world.ask(request.secret(&token)).assert_status(401);
            assert!(world.logged(outcome), "{json}");
        }
    }
}
