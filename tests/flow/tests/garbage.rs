//! Whatever a stranger sends: no panic, and nothing goes on.

use flow::stage::key;
use flow::{Dialect, Outcome, Request, World};
use proptest::prelude::*;
use serde_json::json;

/// Header names that mean something to the filter, and any other.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        ":method",
        ":path",
        ":authority",
        ":scheme",
        "authorization",
        "Authorization",
        "access-token",
        "x-access-token",
        "cookie",
        "x-user",
        "X_User",
        "x-consumer-id",
        "session-id",
        "origin",
        "access-control-request-method",
        "content-type",
        "x-request-id",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
    ]);
    prop_oneof![
        4 => known.prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

/// Values that look like credentials, and any other.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let part = "[A-Za-z0-9_=-]{0,40}";
    let header = prop::sample::select(vec![
        r#"{"alg":"none"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"k1"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"RS256","kid":1}"#,
        "{}",
        "",
        "[1,2",
        r#"{"alg":"ES256","alg":"none"}"#,
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (part, part, part).prop_map(|(a, b, c)| format!("Bearer {a}.{b}.{c}").into_bytes()),
        (header, any::<Vec<u8>>(), any::<Vec<u8>>()).prop_map(|(header, payload, signature)| {
            let [header, payload, signature] =
                [header.as_bytes(), &payload, &signature].map(support::issuer::b64);
            format!("Bearer {header}.{payload}.{signature}").into_bytes()
        }),
        "/[a-z?&=%._]{0,30}".prop_map(|path| format!("{path}?access_token={path}").into_bytes()),
        "(token|session)=[a-z.;= ]{0,30}".prop_map(String::into_bytes),
        prop::sample::select(vec!["GET", "OPTIONS", "CONNECT", "POST"])
            .prop_map(|word| word.as_bytes().to_vec()),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop::collection::vec((name(), value()), 0..14)
}

fn world(dialect: Dialect) -> World {
    World::ready(
        dialect,
        json!({
            "bearer_token_param_type": ["header", "query", "cookie"],
            "bearer_token_cookie_name": "token",
            "jwt_session_cookie": "session",
            "display_errors": true,
            "client_secret": ["a client secret of thirty-two bytes!"],
            "enable_hs_signatures": true,
        }),
    )
}

fn request(headers: &[(Vec<u8>, Vec<u8>)]) -> Request {
    headers
        .iter()
        .fold(Request::bare(), |request, (name, value)| {
            request.header(name, value)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_garbage_goes_on(headers in headers(), kong in any::<bool>()) {
        let world = world(if kong { Dialect::Kong } else { Dialect::Envoy });
        let outcome = world.ask(request(&headers));
        prop_assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
        prop_assert!([400, 401, 431].contains(&outcome.answer().status));
    }

    #[test]
    fn garbage_beside_a_good_token_makes_nobody_else_of_its_bearer(headers in headers(), kong in any::<bool>()) {
        let world = World::ready(if kong { Dialect::Kong } else { Dialect::Envoy }, json!({}));
        let token = world.token(json!({}));
        let good = Request::get("/").bearer(&token);
        let outcome = world.ask(headers.iter().fold(good, |good, (name, value)| good.header(name, value)));
        if let Outcome::Forwarded(seen) = &outcome {
            prop_assert_eq!(seen.all("x-user"), ["alex"]);
            prop_assert!(seen.all("x-consumer-id").is_empty() && seen.all("session-id").is_empty());
        }
    }

    #[test]
    fn no_changed_byte_of_a_token_goes_on(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let world = world(Dialect::Envoy);
        let token = world.token(json!({"sid": "s"}));
        let with = |token: &[u8]| {
            let value = [b"Bearer ", token].concat();
            world.ask(Request::get("/").header("authorization", value).header("cookie", "session=s"))
        };
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        // A blank at its end is not part of the token.
        let trimmed = at + 1 == changed.len() && byte.is_ascii_whitespace();
        prop_assume!(changed[at] != byte && !trimmed);
        changed[at] = byte;
        prop_assert!(!with(&changed).is_forwarded());
        prop_assert!(with(token.as_bytes()).is_forwarded());
        prop_assert!(!with(&changed).is_forwarded());
    }

    #[test]
    fn no_signed_garbage_breaks_the_rules(
        header in prop::collection::vec(any::<u8>(), 0..60),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let world = world(Dialect::Kong);
        for header in [header.as_slice(), br#"{"alg":"ES256","kid":"k1"}"#] {
            let outcome = world.show(&key("k1").sign(header, &payload));
            prop_assert!(!outcome.is_forwarded(), "the session cookie is missing at least");
        }
    }
}
