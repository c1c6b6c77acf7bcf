//! What the upstream gets to see (specification section 10.1).

use flow::stage::merged;
use flow::{Dialect, Outcome, Request, World};
use serde_json::{Value, json};
use support::issuer;

/// A configuration without the usual `x-user`, since the two notations cannot name one header twice.
fn mapping(headers: &[(&str, &[&str])], members: Value) -> Value {
    let list: Vec<Value> = headers
        .iter()
        .map(|(header, path)| json!({"header": header, "path": path}))
        .collect();
    merged(json!({"upstream_headers": list}), members)
}

#[test]
fn claims_are_encoded_by_their_kind() {
    for dialect in Dialect::BOTH {
        let names = [
            "x-text",
            "x-number",
            "x-flag",
            "x-texts",
            "x-mixed",
            "x-object",
            "x-null",
            "x-absent",
            "x-empty",
            "x-none",
            "x-deep",
            "x-second",
            "x-unicode",
            "x-crlf",
        ];
        let paths: Vec<(&str, Vec<&str>)> = names
            .iter()
            .map(|name| match *name {
                "x-deep" => (*name, vec!["object", "in", "side"]),
                "x-second" => (*name, vec!["texts", "2"]),
                other => (*name, vec![&other[2..]]),
            })
            .collect();
        let paths: Vec<(&str, &[&str])> = paths
            .iter()
            .map(|(name, path)| (*name, path.as_slice()))
            .collect();
        let world = World::ready(dialect, mapping(&paths, json!({})));
        let mut claims = world.claims(json!({
            "text": "plain text", "number": 12.5, "flag": false, "texts": ["a", "b c"], "mixed": ["a", 1],
            "object": {"in": {"side": "deep"}}, "empty": "", "none": [], "unicode": "Zoë",
            "crlf": "a\r\nx-admin: 1\u{0}\u{7f}\tb",
        }));
        claims["null"] = Value::Null;
        let outcome = world.show(&flow::stage::key("k1").token(&claims));
        let seen = |name: &str| outcome.forwarded().all(name);
        assert_eq!(seen("x-text"), ["plain text"]);
        assert_eq!(seen("x-number"), ["12.5"]);
        assert_eq!(seen("x-flag"), ["false"]);
        assert_eq!(seen("x-mixed"), ["WyJhIiwxXQ=="]);
        assert_eq!(seen("x-object"), ["eyJpbiI6eyJzaWRlIjoiZGVlcCJ9fQ=="]);
        for nothing in ["x-null", "x-absent", "x-empty", "x-none"] {
            assert_eq!(seen(nothing), [""; 0], "{nothing}");
        }
        assert_eq!(seen("x-deep"), ["deep"]);
        assert_eq!(seen("x-second"), ["b c"]);
        assert_eq!(seen("x-unicode"), ["Zoë"]);
        assert_eq!(seen("x-crlf"), ["ax-admin: 1b"]);
        assert_eq!(seen("x-texts"), ["a, b c"]);
        world.show("bad.bad.bad").assert_status(401);
    }
}

#[test]
fn a_clients_copies_of_our_names_never_reach_the_upstream() {
    let ours = [
        "x-user",
        "x-consumer-id",
        "x-consumer-username",
        "x-consumer-groups",
        "x-credential-identifier",
        "x-anonymous-consumer",
        "x-authenticated-groups",
        "session-id",
        "session-subject",
    ];
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let (with, without) = (
            world.token(json!({})),
            world.token(json!({"preferred_username": null})),
        );
        for name in ours {
            for token in [&with, &without] {
                let expected: &[&str] = if name == "x-user" && *token == with {
                    &["alex"]
                } else {
                    &[]
                };
                for spelling in [name.to_owned(), name.to_uppercase()] {
                    let request = Request::get("/").bearer(token).header(&spelling, "root");
                    let outcome = world.ask(request);
                    assert_eq!(outcome.forwarded().all(name), expected, "{spelling}");
                }
                for spelling in [
                    name.replace('-', "_"),
                    name.replace('-', "."),
                    name.replacen('-', "_", 1).to_uppercase(),
                ] {
                    let request = Request::get("/").bearer(token).header(&spelling, "root");
                    stripped_or_refused(dialect, &world.ask(request), name, expected);
                }
                let request = Request::get("/")
                    .bearer(token)
                    .header(name, "root")
                    .header(name, "root");
                stripped_or_refused(dialect, &world.ask(request), name, expected);
                let request = Request::get("/")
                    .bearer(token)
                    .header(name, "")
                    .header(name.replace('-', "_"), "root");
                stripped_or_refused(dialect, &world.ask(request), name, expected);
            }
        }
        let near = world.ask(
            Request::get("/")
                .bearer(&with)
                .header("x-users", "kept")
                .header("x-user-id", "kept"),
        );
        assert!(
            near.forwarded().kept("x-users", "kept") && near.forwarded().kept("x-user-id", "kept")
        );
    }
}

/// Envoy removes what Kong, which only overwrites, has to refuse.
#[track_caller]
fn stripped_or_refused(dialect: Dialect, outcome: &Outcome, name: &str, expected: &[&str]) {
    match dialect {
        Dialect::Envoy => assert_eq!(outcome.forwarded().all(name), expected),
        Dialect::Kong => outcome.assert_status(400),
    }
}

#[test]
fn an_underscore_in_a_configured_name_becomes_a_hyphen() {
    for dialect in Dialect::BOTH {
        let world = World::ready(
            dialect,
            mapping(&[("authenticated_user", &["sub"])], json!({})),
        );
        let outcome = world.show(&world.token(json!({"sub": "alex"})));
        assert_eq!(
            outcome.forwarded().header("authenticated-user").as_deref(),
            Some("alex")
        );
        assert_eq!(outcome.forwarded().header("authenticated_user"), None);
        world.show("bad.bad.bad").assert_status(401);
    }
}

#[test]
fn the_token_goes_on_under_the_configured_name() {
    for dialect in Dialect::BOTH {
        for (configured, name, word) in [
            (json!("authorization:bearer"), "authorization", "Bearer "),
            (json!("x_token"), "x-token", ""),
            (json!("x-token:bearer"), "x-token", "Bearer "),
            (json!("authorization"), "authorization", ""),
        ] {
            let world = World::ready(dialect, json!({"upstream_access_token_header": configured}));
            let token = world.token(json!({}));
            let expected = format!("{word}{token}");
            let path = format!("/?access_token={token}&a=b");
            for request in [
                Request::get("/").bearer(&token),
                Request::get("/").header("authorization", format!("bearer {token}")),
                Request::get("/").header("x-access-token", &token),
                Request::get("/")
                    .header("access-token", &token)
                    .header("authorization", "Basic YTpi"),
                Request::get(&path),
                Request::get("/").bearer(&token).header("x-token", "forged"),
            ] {
                let outcome = world.ask(request.secret(&token));
                let seen = outcome.forwarded();
                assert_eq!(seen.all(name), [expected.as_str()], "{configured}");
                for other in ["authorization", "access-token", "x-access-token", "x-token"] {
                    let hidden = seen.all(other).iter().all(|value| !value.contains(&token));
                    assert!(other == name || hidden, "{configured}: {other}");
                }
                assert!(!seen.path().contains(&token));
            }
        }
    }
}

#[test]
fn a_hidden_credential_leaves_nothing_behind() {
    for dialect in Dialect::BOTH {
        let world = World::ready(
            dialect,
            json!({
                "upstream_access_token_header": "",
                "bearer_token_param_type": ["header", "query", "cookie"],
                "bearer_token_cookie_name": "token",
            }),
        );
        let token = world.token(json!({}));
        for (request, path, cookie) in [
            (Request::get("/a").bearer(&token), "/a", None),
            (
                Request::get("/a").header("X-Access-Token", &token),
                "/a",
                None,
            ),
            (
                Request::get("/a").header("access-token", &token),
                "/a",
                None,
            ),
            (
                Request::get(&format!("/a?access_token={token}")),
                "/a",
                None,
            ),
            (
                Request::get(&format!("/a?x=%20&access_token={token}&y")),
                "/a?x=%20&y",
                None,
            ),
            (
                Request::get(&format!("/a?access%5Ftoken={token}&y=?")),
                "/a?y=?",
                None,
            ),
            (
                Request::get("/a").header("cookie", format!("token={token}")),
                "/a",
                None,
            ),
            (
                Request::get("/a").header("cookie", format!("x=1; token={token};y=2")),
                "/a",
                Some("x=1; y=2"),
            ),
        ] {
            let outcome = world.ask(request.secret(&token));
            outcome.assert_user("alex");
            let seen = outcome.forwarded();
            assert!(!seen.contains(&token), "{seen:?}");
            assert_eq!(seen.path(), path);
            assert_eq!(seen.header("cookie").as_deref(), cookie);
        }
        world.show("bad.bad.bad").assert_status(401);
    }
}

#[test]
fn a_credential_stays_where_hiding_is_off() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"hide_credentials": false}));
        let token = world.token(json!({}));
        let path = format!("/a?access_token={token}");
        let outcome = world.ask(Request::get(&path).secret(&token));
        assert_eq!(outcome.forwarded().path(), path);
        assert_eq!(
            outcome.forwarded().all("authorization"),
            [format!("Bearer {token}")]
        );
        let outcome = world.ask(
            Request::get("/")
                .header("x-access-token", &token)
                .secret(&token),
        );
        assert_eq!(outcome.forwarded().all("x-access-token"), [token.as_str()]);
        world.show("bad.bad.bad").assert_status(401);
    }
}

#[test]
fn one_token_of_many_headers_is_the_same_from_the_cache() {
    for dialect in Dialect::BOTH {
        let world = World::ready(
            dialect,
            mapping(&[("x-sub", &["sub"]), ("x-aud", &["aud"])], json!({})),
        );
        let token = world.token(json!({"aud": ["a", "b"]}));
        let [first, second] = [world.show(&token), world.show(&token)];
        for outcome in [&first, &second] {
            outcome.assert_user("alex");
            assert_eq!(outcome.forwarded().all("x-aud"), ["a, b"]);
        }
        let lines = |outcome: &Outcome| {
            let text = format!("{:?}", outcome.forwarded());
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&first), lines(&second));
    }
}

#[test]
fn everything_else_of_a_request_goes_on_as_it_came() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let request = Request::new("POST", "/a/%2e%2e/b;c?d=e#f")
            .header("x-odd", [0x80, 0xff, b' '])
            .header("x-twice", "1")
            .header("x-twice", "2")
            .header("cookie", "a=b; session=c");
        let outcome = world.ask(request.bearer(&world.token(json!({}))));
        let seen = outcome.forwarded();
        assert_eq!(seen.path(), "/a/%2e%2e/b;c?d=e#f");
        assert_eq!(seen.all("x-twice"), ["1", "2"]);
        assert_eq!(seen.header("cookie").as_deref(), Some("a=b; session=c"));
        let hs = issuer::hs256(b"secret", &world.claims(json!({})));
        world.show(&hs).assert_status(401);
    }
}
