//! Clients that misbehave: after each abuse the filter is alive, and an ordinary request is answered.

use std::thread;

use acceptance::{Gateway, merged, tampered};
use serde_json::json;
use support::issuer::{SigningKey, b64, claims};
use support::provider::{DISCOVERY, JWKS, Provider};
use support::raw::{self, Exchange};

/// A generator of numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// Bytes that may stand in a header's value (RFC 9110 section 5.5).
    fn value(&mut self, count: usize) -> Vec<u8> {
        let fit = |byte: u8| {
            if byte < 0x20 || byte == 0x7f {
                b'~'
            } else {
                byte
            }
        };
        self.bytes(count).into_iter().map(fit).collect()
    }
}

fn gateway(provider: &Provider) -> Gateway {
    let members = json!({
        "bearer_token_param_type": ["header", "query", "cookie"],
        "bearer_token_cookie_name": "token",
    });
    let gateway = Gateway::before(provider, members);
    serves(provider, &gateway);
    gateway
}

/// Both workers still do what they are for.
fn serves(provider: &Provider, gateway: &Gateway) {
    gateway.on_every_worker(|| {
        gateway.admits(&provider.token());
        gateway.refuses(&tampered(&provider.token()));
    });
}

/// Sends requests one after the other on a few connections side by side, and gives their statuses. `make` gets the
/// request's number.
fn flood(gateway: &Gateway, count: usize, make: impl Fn(usize) -> Vec<u8> + Sync) -> Vec<u16> {
    const CONNECTIONS: usize = 8;
    let address = gateway.address();
    let make = &make;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                scope.spawn(move || {
                    let mut exchange = Exchange::begin(address, b"").expect("a connection");
                    let numbers = (first..count).step_by(CONNECTIONS);
                    let statuses = numbers.map(|number| {
                        exchange.send(&make(number)).expect("an open connection");
                        exchange.answer().expect("an answer").status
                    });
                    statuses.collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"))
            .collect()
    })
}

fn with_token(token: &[u8]) -> Vec<u8> {
    let bearer = [b"Bearer ", token].concat();
    raw::head_of("GET", "/hello", &[("authorization", &bearer)])
}

/// All of them were refused, and the upstream got nothing.
fn all_refused(gateway: &Gateway, statuses: &[u16], what: &str) {
    let odd: Vec<_> = statuses.iter().filter(|status| **status != 401).collect();
    assert!(odd.is_empty(), "{what}: {odd:?}");
    assert!(gateway.upstream.take().is_empty(), "{what}");
}

#[test]
fn two_thousand_random_tokens() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let statuses = flood(&gateway, 2000, |number| {
        let mut random = Random(u64::try_from(number).expect("few"));
        let size = 1 + random.below(600);
        let token = match number % 5 {
            0 => random.value(size),
            1 => b64(&random.bytes(size)).into_bytes(),
            2 => {
                let parts = [size, size, 256].map(|size| b64(&random.bytes(size)));
                parts.join(".").into_bytes()
            }
            3 => {
                // A good header over noise.
                let header = b64(json!({"alg": "RS256", "kid": "shared"})
                    .to_string()
                    .as_bytes());
                let parts = [size, 256].map(|size| b64(&random.bytes(size)));
                format!("{header}.{}", parts.join(".")).into_bytes()
            }
            _ => {
                // Good claims under noise.
                let header = b64(json!({"alg": "ES256"}).to_string().as_bytes());
                let payload = b64(claims(&provider.issuer()).to_string().as_bytes());
                format!("{header}.{payload}.{}", b64(&random.bytes(64))).into_bytes()
            }
        };
        with_token(&token)
    });
    assert_eq!(statuses.len(), 2000);
    all_refused(&gateway, &statuses, "random tokens");
    serves(&provider, &gateway);
}

#[test]
fn a_token_with_any_byte_changed() {
    let provider = Provider::start();
    let key = SigningKey::generate("ES256", "short");
    provider.set_keys(support::issuer::jwks([&key, SigningKey::shared()]));
    let gateway = gateway(&provider);
    let token = key.token(&claims(&provider.issuer())).into_bytes();
    let changed = |at: usize, to: u8| {
        let mut token = token.clone();
        token[at] = to;
        token
    };
    for (what, to) in [
        ("a letter", b'A'),
        ("a dot", b'.'),
        ("a comma", b','),
        ("a sign", b'='),
    ] {
        let statuses = flood(&gateway, token.len(), |at| {
            // Never what was there.
            let to = if token[at] == to { b'_' } else { to };
            with_token(&changed(at, to))
        });
        all_refused(&gateway, &statuses, what);
    }
    // The neighbour in the alphabet: of the last letter of a part only unused bits change.
    let statuses = flood(&gateway, token.len(), |at| {
        with_token(&changed(at, token[at] ^ 1))
    });
    all_refused(&gateway, &statuses, "one bit");
    // One byte less, one more, and two the other way round.
    let statuses = flood(&gateway, token.len(), |at| {
        let mut token = token.clone();
        token.remove(at);
        with_token(&token)
    });
    all_refused(&gateway, &statuses, "a byte less");
    let statuses = flood(&gateway, token.len(), |at| {
        let mut token = token.clone();
        token.insert(at, b'A');
        with_token(&token)
    });
    all_refused(&gateway, &statuses, "a byte more");
    let kept = gateway.get_with_token(&String::from_utf8(token).expect("text"));
    gateway.forwarded(&kept);
    serves(&provider, &gateway);
}

#[test]
fn bodies_of_a_mebibyte() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let body = Random(1).bytes(1 << 20);
    let post = |headers: &[(&str, &[u8])]| {
        let mut headers = headers.to_vec();
        headers.extend([
            ("content-length", &b"1048576"[..]),
            ("connection", b"close"),
        ]);
        let mut exchange =
            Exchange::begin(gateway.address(), &raw::head_of("POST", "/hello", &headers))
                .expect("a connection");
        // After a refusal nobody reads any more.
        let _ = exchange.send(&body);
        exchange.answer()
    };
    let good = format!("Bearer {}", provider.token());
    let bad = format!("Bearer {}", tampered(&provider.token()));
    gateway.on_every_worker(|| {
        for kind in [
            "application/x-www-form-urlencoded",
            "application/json",
            "multipart/form-data",
            "",
        ] {
            let kind = ("content-type", kind.as_bytes());
            let seen = gateway
                .forwarded(&post(&[kind, ("authorization", good.as_bytes())]).expect("an answer"));
            assert!(seen.complete && seen.body == body);
            for headers in [vec![kind], vec![kind, ("authorization", bad.as_bytes())]] {
                // The answer may be lost when the connection is reset under the upload.
                if let Ok(answer) = post(&headers) {
                    assert_eq!(answer.status, 401);
                }
                assert!(gateway.upstream.take().is_empty());
            }
        }
    });
    serves(&provider, &gateway);
}

#[test]
fn headers_full_of_garbage() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let names = [
        "authorization",
        "cookie",
        "x-access-token",
        "access-token",
        "content-type",
        "x-user",
        "origin",
        "x-request-id",
        "x-forwarded-for",
        "forwarded",
        "accept",
        "x_user",
        "x-consumer-id",
        "te",
        "!#$%&'*+.^_`|~",
    ];
    // Without a credential, whatever else there is.
    for round in 0..40 {
        let mut random = Random(round);
        let values: Vec<Vec<u8>> = names
            .iter()
            .map(|_| {
                let size = random.below(300);
                random.value(size)
            })
            .collect();
        let mut headers: Vec<(&str, &[u8])> = names
            .iter()
            .copied()
            .zip(values.iter().map(Vec::as_slice))
            .collect();
        headers.rotate_left(random.below(names.len()));
        headers.truncate(1 + random.below(names.len()));
        let answer = raw::send(gateway.address(), &raw::request("GET", "/hello", &headers));
        // Envoy itself refuses some.
        assert!(
            [400, 401].contains(&answer.status),
            "{}: {headers:?}",
            answer.status
        );
        assert!(gateway.upstream.take().is_empty());
    }
    // Lines that are no headers; Envoy may hang up.
    for junk in [
        &b"GET / HTTP/1.1\r\n: x\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET  /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let _ = Exchange::begin(gateway.address(), junk).and_then(|mut exchange| exchange.answer());
    }
    serves(&provider, &gateway);
    assert!(gateway.upstream.take().is_empty());
}

#[test]
fn tokens_of_any_length() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let long = |size: usize| {
        merged(
            claims(&provider.issuer()),
            json!({"padding": "x".repeat(size)}),
        )
    };
    let good = SigningKey::shared().token(&long(2000));
    gateway.on_every_worker(|| {
        gateway.admits(&good);
        for size in [10_000, 58_000] {
            for letter in ["A", ".", "-", "=", "\u{ff}"] {
                gateway.refuses(&letter.repeat(size / letter.len()));
            }
        }
        gateway.refuses(&tampered(&SigningKey::shared().token(&long(20_000))));
        let deep = format!("{}{}", r#"{"a":"#.repeat(5000), "1");
        gateway.refuses(
            &SigningKey::shared().sign(br#"{"alg":"RS256","kid":"shared"}"#, deep.as_bytes()),
        );
        // Claims that are no text, no object, or of other types than claims have.
        let header = br#"{"alg":"RS256","kid":"shared"}"#;
        for payload in [
            &b"{\"sub\":\"\xff\xfe\"}"[..],
            b"",
            b"null",
            b"[1]",
            b"\"alex\"",
            br#"{"exp":[]}"#,
            br#"{"iss":7}"#,
        ] {
            gateway.refuses(&SigningKey::shared().sign(header, payload));
        }
        let members = (0..2000)
            .map(|number| format!(r#""m{number}":1"#))
            .collect::<Vec<_>>();
        let header = format!(r#"{{"alg":"RS256","kid":"shared",{}}}"#, members.join(","));
        gateway.refuses(&SigningKey::shared().sign(header.as_bytes(), b"{}"));
    });
    serves(&provider, &gateway);
}

#[test]
fn hundreds_of_arguments() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let token = provider.token();
    let many = |name: &str, value: &str| {
        (0..400)
            .map(|_| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&")
    };
    gateway.on_every_worker(|| {
        let others = many("a", "%C3%BC");
        let target = format!("/hello?{others}&access_token={token}&{others}");
        let seen = gateway.forwarded(&gateway.get(&target, &[]));
        assert_eq!(seen.target, format!("/hello?{others}&{others}"));
        for query in [
            many("access_token", "x"),
            format!("access_token={token}&{}", many("access_token", "x")),
            format!("access_token={token}&access_token={token}"),
            format!("access_token={token}&%61ccess_token={token}"),
            many("access%5Ftoken", "%00"),
            "&".repeat(5000),
            "=".repeat(5000),
            "%".repeat(5000),
            many("access_token", ""),
        ] {
            gateway.answered(&gateway.get(&format!("/hello?{query}"), &[]), 401);
        }
    });
    serves(&provider, &gateway);
}

#[test]
fn cookies_of_sixty_kilobytes() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let token = provider.token();
    let crumbs = (0..5000)
        .map(|number| format!("c{number}=xxxx"))
        .collect::<Vec<_>>()
        .join("; ");
    let crumbs = &crumbs[..56_000];
    gateway.on_every_worker(|| {
        let seen = gateway
            .forwarded(&gateway.get("/hello", &[("cookie", &format!("{crumbs}; token={token}"))]));
        assert_eq!(
            seen.header("cookie").as_deref(),
            Some(crumbs),
            "the token is hidden, the rest stays"
        );
        for cookie in [
            crumbs.to_owned(),
            format!("{crumbs}; token={}", tampered(&token)),
            format!("token={token}; {crumbs}; token=x"),
            "token=".repeat(9000),
            "=".repeat(56_000),
            ";".repeat(56_000),
            format!("token=\"{}", "x".repeat(50_000)),
        ] {
            gateway.answered(&gateway.get("/hello", &[("cookie", &cookie)]), 401);
        }
        // A little more, and Envoy does not take it.
        gateway.answered(
            &gateway.get("/hello", &[("cookie", &"x".repeat(70_000))]),
            431,
        );
    });
    serves(&provider, &gateway);
}

#[test]
fn unknown_keys_cause_one_rediscovery_a_worker() {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    assert_eq!(provider.calls(DISCOVERY), 2, "one for each worker");
    let stranger = SigningKey::generate("ES256", "stranger");
    let before = gateway.connections();
    let statuses = flood(&gateway, 600, |number| {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": format!("unknown-{number}")});
        with_token(
            stranger
                .token_with(&header, &claims(&provider.issuer()))
                .as_bytes(),
        )
    });
    all_refused(&gateway, &statuses, "unknown keys");
    gateway.on_every_worker(|| {
        let header = json!({"alg": "ES256", "kid": "again"});
        gateway.refuses(&stranger.token_with(&header, &claims(&provider.issuer())));
    });
    let workers = gateway.connections();
    assert!(
        before
            .iter()
            .zip(&workers)
            .all(|(before, now)| before < now),
        "{workers:?}"
    );
    assert!(
        provider.calls(DISCOVERY) <= 4,
        "{} discoveries",
        provider.calls(DISCOVERY)
    );
    assert_eq!(provider.calls(DISCOVERY), provider.calls(JWKS));
    serves(&provider, &gateway);
}
