//! Header fields as strangers send them, and as the upstream gets them, on every worker.

use acceptance::{Gateway, bearer, merged, tampered};
use serde_json::json;
use support::envoy::Cluster;
use support::issuer::{SigningKey, claims};
use support::provider::Provider;
use support::raw;

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let provider = Provider::start();
    let members = json!({
        "bearer_token_param_type": ["header", "query", "cookie"],
        "bearer_token_cookie_name": "token",
    });
    let gateway = Gateway::before(&provider, members);
    let bearer = bearer(&provider.token());
    let junk: &[u8] = b"\xff\xfe caf\xe9 \x80\xbf";
    gateway.on_every_worker(|| {
        let headers: [(&str, &[u8]); 3] = [
            ("x-junk", junk),
            ("authorization", bearer.as_bytes()),
            ("cookie", junk),
        ];
        let seen = gateway.forwarded(&gateway.send("GET", &headers));
        let arrived = seen.headers.iter().find(|(name, _)| name == "x-junk");
        assert_eq!(arrived.map(|(_, value)| value.as_slice()), Some(junk));

        let credential = [b"Bearer ", junk].concat();
        let cookie = [b"token=", junk].concat();
        let refused: [&[(&str, &[u8])]; 4] = [
            &[("authorization", &credential)],
            &[("authorization", junk)],
            &[("cookie", &cookie)],
            &[("x-access-token", junk), ("x-junk", junk)],
        ];
        for headers in refused {
            gateway.answered(&gateway.send("GET", headers), 401);
        }
    });
}

#[test]
fn line_breaks_in_a_claim_make_no_header() {
    let provider = Provider::start();
    let mapping = json!({"upstream_headers": [
        {"header": "x-user", "path": ["preferred_username"]},
        {"header": "x-name", "path": ["name"]},
        {"header": "x-groups", "path": ["groups"]},
    ]});
    let gateway = Gateway::before(&provider, mapping);
    let evil = json!({
        "name": "Zo\u{eb}\r\nx-admin: yes\r\n\r\nGET /two HTTP/1.1\0\u{1b}\u{7f}",
        "groups": ["a\r\nx-admin: yes", "b"],
    });
    let token = SigningKey::shared().token(&merged(claims(&provider.issuer()), evil));
    gateway.on_every_worker(|| {
        let seen = gateway.admits(&token);
        assert_eq!(seen.header("x-admin"), None);
        let name = seen.header("x-name");
        assert_eq!(
            name.as_deref(),
            Some("Zo\u{eb}x-admin: yesGET /two HTTP/1.1")
        );
        assert_eq!(seen.header("x-groups").as_deref(), Some("ax-admin: yes, b"));
        gateway.refuses(&tampered(&token));
    });
}

#[test]
fn line_breaks_make_no_header_in_our_answers() {
    let provider = Provider::start();
    let members = json!({
        "display_errors": true,
        "unauthorized_error_message": "No\r\nset-cookie: evil=1\r\n\r\nbody",
        "forbidden_error_message": "No\r\nset-cookie: evil=1",
        "scopes_required": ["admin"],
    });
    let gateway = Gateway::before(&provider, members);
    let token = provider.token();
    let kid = json!({"alg": "RS256", "kid": "a\r\nset-cookie: evil=1", "typ": "JWT"});
    let strange =
        SigningKey::generate("RS256", "x").token_with(&kid, &claims("a\r\nset-cookie: b"));
    gateway.on_every_worker(|| {
        let answers = [
            (gateway.get("/hello", &[]), 401),
            (
                gateway.get(
                    "/%0d%0aset-cookie:%20evil=1?access_token=%0d%0aset-cookie:x",
                    &[],
                ),
                401,
            ),
            (gateway.get_with_token(&strange), 401),
            (gateway.get_with_token(&token), 403),
        ];
        for (answer, status) in answers {
            gateway.answered(&answer, status);
            assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
            assert!(answer.json()["message"].is_string(), "{}", answer.text());
        }
    });
}

#[test]
fn two_authorization_lines_are_two_opinions() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let bearer = bearer(&provider.token());
    let one = ("authorization", bearer.as_bytes());
    gateway.on_every_worker(|| {
        gateway.forwarded(&gateway.send("GET", &[one]));
        for twice in [
            [one, one],
            [one, ("authorization", b"Basic YWxleDpkb2U=")],
            [one, ("authorization", b"x")],
            [("authorization", b"Bearer x"), one],
        ] {
            gateway.answered(&gateway.send("GET", &twice), 401);
        }
    });
}

#[test]
fn a_hundred_header_fields_are_looked_through() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let bearer = bearer(&provider.token());
    let names: Vec<String> = (0..96).map(|number| format!("x-field-{number}")).collect();
    // With the host line and `connection` these are a hundred, and the forged name is the last.
    let fill = |count: usize| {
        let mut headers: Vec<(&str, &[u8])> = vec![("authorization", bearer.as_bytes())];
        headers.extend(
            names[..count]
                .iter()
                .map(|name| (name.as_str(), &b"value"[..])),
        );
        headers.push(("x-user", b"root"));
        headers
    };
    gateway.on_every_worker(|| {
        let seen = gateway.forwarded(&gateway.send("GET", &fill(96)));
        assert_eq!(seen.header("x-field-95").as_deref(), Some("value"));
        gateway.answered(&gateway.send("GET", &fill(96)[1..]), 401);
    });
    let mut more = fill(96);
    more.push(("x-one-more", b"value"));
    gateway.answered(&gateway.send("GET", &more), 431);
}

#[test]
fn forwarded_headers_of_a_stranger_prove_nothing() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"trusted_ips": ["10.0.0.0/8"]}));
    let forged: [(&str, &str); 7] = [
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-envoy-internal", "true"),
        ("x-envoy-external-address", "10.0.0.1"),
        ("x-request-id", "oidc-filter: forged (request x)"),
    ];
    let token = bearer(&provider.token());
    gateway.on_every_worker(|| {
        gateway.answered(&gateway.get("/hello", &forged), 401);
        let mut headers = forged.to_vec();
        headers.push(("authorization", &token));
        let seen = gateway.forwarded(&gateway.get("/hello", &headers));
        assert_ne!(
            seen.header("x-envoy-external-address").as_deref(),
            Some("10.0.0.1")
        );
    });
    // The log names the request by an id that is one word, and nothing else of the stranger's.
    let log = gateway.filter_log();
    let refusals: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("no_credential"))
        .collect();
    assert!(!refusals.is_empty(), "{log}");
    assert!(
        refusals.iter().all(|line| line.contains("(request ")),
        "{log}"
    );
    assert!(
        !log.contains("forged") && !log.contains("10.0.0.1"),
        "{log}"
    );
}

#[test]
fn an_internal_redirect_is_authenticated_again() {
    let provider = Provider::start();
    let follow = |options: &mut support::envoy::EnvoyOptions| {
        options.listener().routes[0]["route"]["internal_redirect_policy"] =
            json!({"max_internal_redirects": 2});
    };
    let gateway = Gateway::with(
        &provider,
        json!({"bearer_token_param_type": ["query", "header"]}),
        follow,
    );
    let by_query = Gateway::with(
        &provider,
        json!({"bearer_token_param_type": ["query"]}),
        follow,
    );
    let token = provider.token();
    for gateway in [&gateway, &by_query] {
        gateway
            .upstream
            .redirect("/first", "http://gateway.test/second");
        let again = format!("http://gateway.test/second?access_token={token}");
        gateway.upstream.redirect("/again", &again);
    }
    let bearer = bearer(&token);
    gateway.on_every_worker(|| {
        let answer = gateway.get(
            "/first",
            &[
                ("authorization", &bearer),
                ("x-user", "root"),
                ("x_user", "root"),
            ],
        );
        assert_eq!(answer.status, 200);
        let seen = gateway.upstream.take();
        assert_eq!(
            seen.iter()
                .map(|seen| seen.target.as_str())
                .collect::<Vec<_>>(),
            ["/first", "/second"]
        );
        // One copy each time, though the second pass began with what the first had set.
        assert!(
            seen.iter().all(|seen| seen.all("x-user") == ["alex"]),
            "{seen:?}"
        );
        assert!(
            seen.iter().all(|seen| seen.all("x_user").is_empty()),
            "{seen:?}"
        );
        assert!(
            seen.iter().all(|seen| seen.all("authorization").len() == 1),
            "{seen:?}"
        );
    });
    by_query.on_every_worker(|| {
        // The credential was for the first target, and what the first pass had set is no credential.
        let answer = by_query.get(&format!("/first?access_token={token}"), &[]);
        assert_eq!(answer.status, 401);
        assert_eq!(by_query.upstream.take_one().target, "/first");
        let answer = by_query.get(&format!("/again?access_token={token}"), &[]);
        assert_eq!(answer.status, 200);
        let seen = by_query.upstream.take();
        assert_eq!(
            seen.last().map(|seen| seen.target.as_str()),
            Some("/second")
        );
        assert!(
            seen.iter().all(|seen| seen.all("x-user") == ["alex"]),
            "{seen:?}"
        );
    });
}

#[test]
fn trailers_carry_no_name_of_ours() {
    let provider = Provider::start();
    let gateway = Gateway::with(&provider, json!({}), |options| {
        let upstream: &mut Cluster = &mut options.clusters[0];
        upstream.http2 = true;
    });
    let token = bearer(&provider.token());
    let forged = [
        ("x-user", "root"),
        ("x_user", "root"),
        ("x-consumer-id", "1"),
        ("authorization", "x"),
    ];
    gateway.on_every_worker(|| {
        let post = |headers: &[(&str, &[u8])]| {
            let (frames, body) = tokio::sync::mpsc::unbounded_channel();
            let mut trailers = hyper::HeaderMap::new();
            trailers.insert("x-checksum", "abc".parse().expect("a value"));
            for (name, value) in forged {
                trailers.insert(name, value.parse().expect("a value"));
            }
            frames
                .send(Ok(hyper::body::Frame::data("hello".into())))
                .expect("an open channel");
            frames
                .send(Ok(hyper::body::Frame::trailers(trailers)))
                .expect("an open channel");
            drop(frames);
            raw::block_on(raw::http2(
                gateway.address(),
                "POST",
                "/hello",
                headers,
                Some(body),
            ))
            .expect("an answer")
        };
        // Once cold and once from the cache of a worker.
        for _ in 0..2 {
            let seen = gateway.forwarded(&post(&[("authorization", token.as_bytes())]));
            assert_eq!(seen.body, b"hello");
            let names: Vec<&str> = seen
                .trailers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, ["x-checksum"]);
        }
        gateway.answered(&post(&[]), 401);
    });
}

#[test]
fn a_preflight_that_passes_carries_no_identity() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"run_on_preflight": false}));
    let bearer = bearer(&provider.token());
    let forged = [
        ("x-user", b"root".as_slice()),
        ("x_user", b"root"),
        ("x-consumer-id", b"1"),
    ];
    let mut preflight = vec![
        ("origin", b"https://app.test".as_slice()),
        ("access-control-request-method", b"POST"),
    ];
    preflight.extend(forged);
    gateway.on_every_worker(|| {
        let answer = gateway.send("OPTIONS", &preflight);
        assert_eq!(answer.status, 200);
        let seen = gateway.upstream.take_one();
        assert_eq!(seen.header("origin").as_deref(), Some("https://app.test"));
        for (name, _) in forged {
            assert_eq!(seen.header(name), None, "{seen:?}");
        }
        // What only looks like one is an ordinary request.
        gateway.answered(&gateway.send("OPTIONS", &preflight[1..]), 401);
        gateway.answered(&gateway.send("GET", &preflight), 401);
        let mut with = preflight.clone();
        with.push(("authorization", bearer.as_bytes()));
        gateway.forwarded(&gateway.send("POST", &with));
    });
}
