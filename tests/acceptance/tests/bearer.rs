//! Scenarios of the bearer flow, by their ids.
//!
//! Each holds a request that goes through because of its credential, and its nearest twin that is refused: a gateway
//! that forwards everything fails here, and so does one that refuses everything.

use acceptance::{Gateway, bearer, eventually, merged, tampered};
use serde_json::{Value, json};
use support::issuer::{SigningKey, b64, claims, jwks, now};
use support::keycloak::{Keycloak, REALM};
use support::provider::{Behaviour, DISCOVERY, JWKS, Provider};
use support::raw::{self, Exchange};

/// Bearer tokens of the real Keycloak, in the query only.
fn query_only() -> Gateway {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "auth_methods": ["bearer"],
        "bearer_token_param_type": ["query"],
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    Gateway::of(config, keycloak.address(), |_| {})
}

#[test]
fn ht_04b_a_token_of_keycloak_in_the_query() {
    let gateway = query_only();
    let token = Keycloak::shared().password_token("alex", "doe");

    let answer = gateway.get(&format!("/anything?access_token={token}"), &[]);
    let seen = gateway.forwarded(&answer);
    assert_eq!(seen.target, "/anything");
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {token}"))
    );

    // Other arguments stay, in their order and spelling.
    let target = format!("/anything?b=%20x&access_token={token}&a=1&a=2");
    let seen = gateway.forwarded(&gateway.get(&target, &[]));
    assert_eq!(seen.target, "/anything?b=%20x&a=1&a=2");

    let target = format!("/anything?access_token={}", tampered(&token));
    gateway.answered(&gateway.get(&target, &[]), 401);
}

#[test]
fn ht_04c_a_header_is_no_place_where_only_the_query_is_one() {
    let gateway = query_only();
    let token = Keycloak::shared().password_token("alex", "doe");
    gateway.refuses(&token);
    gateway.forwarded(&gateway.get(&format!("/anything?access_token={token}"), &[]));
    // Once more, now that the token is known.
    gateway.refuses(&token);
}

#[test]
fn dx_02a_an_invalid_bearer_token_is_401_and_no_redirect() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    gateway.admits(&token);

    let answer = gateway.refuses(&tampered(&token));
    assert_eq!(answer.header("location"), None);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!(answer.json()["message"], "Unauthorized");
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // Without a credential there is nothing to complain about (RFC 6750 section 3.1).
    let answer = gateway.get("/hello", &[]);
    gateway.answered(&answer, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(!challenge.contains("error"), "{challenge}");
}

#[test]
fn dx_11_a_new_key_causes_one_rediscovery() {
    let provider = Provider::start();
    let gateway = Gateway::with(&provider, json!({"rediscovery_lifetime": 30}), |options| {
        options.concurrency = 1;
    });
    let old = provider.token();
    gateway.admits(&old);

    let [new, unknown, other] =
        ["new", "unknown", "other"].map(|kid| SigningKey::generate("ES256", kid));
    let of = |key: &SigningKey| key.token(&claims(&provider.issuer()));
    provider.set_keys(jwks([&new]));
    gateway.admits(&of(&new));
    assert_eq!(provider.calls(DISCOVERY), 2);
    assert_eq!(provider.calls(JWKS), 2);
    // What the withdrawn key had signed counts no longer, though it was verified before.
    gateway.refuses(&old);

    gateway.refuses(&of(&unknown));
    gateway.refuses(&of(&other));
    gateway.admits(&of(&new));
    assert_eq!(provider.calls(DISCOVERY), 2, "no fetch within the lifetime");
    assert_eq!(provider.calls(JWKS), 2);
}

#[test]
fn dx_11_after_the_lifetime_a_new_key_is_found_again() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"rediscovery_lifetime": 1}));
    gateway.on_every_worker(|| drop(gateway.admits(&provider.token())));
    for kid in ["second", "third"] {
        let key = SigningKey::generate("ES256", kid);
        let token = key.token(&claims(&provider.issuer()));
        gateway.on_every_worker(|| drop(gateway.refuses(&token)));
        provider.set_keys(jwks([&key]));
        eventually("the new key is known", || {
            gateway.get_with_token(&token).status == 200
        });
        assert!(
            gateway
                .upstream
                .take()
                .iter()
                .all(|seen| seen.all("x-user") == ["alex"])
        );
        gateway.refuses(&tampered(&token));
    }
}

#[test]
fn dx_13_keys_that_are_cached_outlive_their_endpoint() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"rediscovery_lifetime": 0}));
    gateway.on_every_worker(|| drop(gateway.admits(&provider.token())));

    let stranger = SigningKey::generate("RS256", "stranger");
    for trouble in [Behaviour::Close, Behaviour::Status(503)] {
        provider.always(JWKS, trouble.clone());
        let mut claims = claims(&provider.issuer());
        claims["jti"] = format!("{trouble:?}").into();
        let token = SigningKey::shared().token(&claims);
        gateway.on_every_worker(|| drop(gateway.admits(&token)));
        // The search for an unknown key fails, and spoils nothing.
        let calls = provider.calls(JWKS);
        gateway.on_every_worker(|| drop(gateway.refuses(&stranger.token(&claims))));
        assert!(provider.calls(JWKS) > calls, "the key set was asked for");
        gateway.on_every_worker(|| drop(gateway.admits(&token)));
    }
}

#[test]
fn dx_15a_unsigned_and_encrypted_tokens_are_refused() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    gateway.admits(&provider.token());

    let payload = b64(claims(&provider.issuer()).to_string().as_bytes());
    let signature = provider
        .token()
        .rsplit('.')
        .next()
        .expect("a signature")
        .to_owned();
    for alg in ["none", "None", "NONE", "nOnE", " none", ""] {
        let header = b64(json!({"alg": alg, "typ": "JWT", "kid": "shared"})
            .to_string()
            .as_bytes());
        gateway.refuses(&format!("{header}.{payload}."));
        gateway.refuses(&format!("{header}.{payload}"));
        gateway.refuses(&format!("{header}.{payload}.{signature}"));
    }
    let header = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "shared"});
    let part = b64(&[7; 32]);
    let jwe = format!(
        "{}.{part}.{part}.{part}.{part}",
        b64(header.to_string().as_bytes())
    );
    gateway.refuses(&jwe);
    gateway.admits(&provider.token());
}

#[test]
fn dx_16_at_jwt_and_a_trailing_slash() {
    let provider = Provider::start();
    let issuer = format!("{}/", provider.issuer());
    let gateway = Gateway::before(
        &provider,
        json!({"issuer": issuer, "verify_issuer": "strict"}),
    );
    let token = |typ: Option<&str>, issuer: &str| {
        let mut header = json!({"alg": "RS256", "kid": "shared"});
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        SigningKey::shared().token_with(&header, &claims(issuer))
    };
    for typ in [
        None,
        Some("at+jwt"),
        Some("application/at+jwt"),
        Some("AT+JWT"),
        Some("JWT"),
    ] {
        gateway.admits(&token(typ, &issuer));
        gateway.admits(&token(typ, &provider.issuer()));
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", ""] {
        gateway.refuses(&token(Some(typ), &issuer));
    }
    for other in [format!("{issuer}/"), format!("{issuer}x"), String::new()] {
        gateway.refuses(&token(Some("at+jwt"), &other));
    }
}

#[test]
fn dx_17_a_token_without_kid_finds_its_key_by_algorithm() {
    let provider = Provider::start();
    let [ours, stranger] = ["ours", "stranger"].map(|kid| SigningKey::generate("ES256", kid));
    provider.set_keys(jwks([SigningKey::shared(), &ours]));
    let gateway = Gateway::before(&provider, json!({}));
    let token = |key: &SigningKey| {
        let header = json!({"alg": key.alg, "typ": "JWT"});
        key.token_with(&header, &claims(&provider.issuer()))
    };
    gateway.admits(&token(&ours));
    gateway.admits(&token(SigningKey::shared()));
    gateway.refuses(&token(&stranger));
    // A key is there, but for another algorithm than the token names.
    let header = json!({"alg": "RS256", "typ": "JWT"});
    gateway.refuses(&ours.token_with(&header, &claims(&provider.issuer())));
}

#[test]
fn dx_18_the_times_of_a_token() {
    let provider = Provider::start();
    let exact = Gateway::before(&provider, json!({}));
    let lenient = Gateway::before(&provider, json!({"leeway": 600}));
    let token = |name: &str, value: Value| {
        SigningKey::shared().token(&merged(claims(&provider.issuer()), json!({name: value})))
    };
    // As a string, and whatever the clock: both are far away.
    exact.admits(&token("exp", (now() + 3000).to_string().into()));
    exact.refuses(&token("exp", (now() - 3000).to_string().into()));
    exact.refuses(&token("exp", "tomorrow".into()));
    exact.refuses(&token("exp", Value::Null));
    // At this very second the token counts no longer.
    exact.refuses(&token("exp", now().into()));
    exact.refuses(&token("nbf", (now() + 300).into()));
    exact.refuses(&token("iat", (now() + 300).into()));
    exact.admits(&token("nbf", now().into()));
    // Leeway moves both ends.
    lenient.admits(&token("exp", (now() - 300).into()));
    lenient.refuses(&token("exp", (now() - 900).into()));
    lenient.admits(&token("nbf", (now() + 300).into()));
    lenient.refuses(&token("nbf", (now() + 900).into()));
}

/// The names of the client's headers that some upstream could take for `name`.
fn like(name: &str, seen: &support::upstream::Seen) -> Vec<String> {
    let fold = |name: &str| {
        let fold = |byte: u8| {
            if byte.is_ascii_alphanumeric() {
                byte.to_ascii_lowercase()
            } else {
                b'-'
            }
        };
        name.bytes().map(fold).collect::<Vec<u8>>()
    };
    let names = seen.headers.iter().map(|(name, _)| name.clone());
    names.filter(|own| fold(own) == fold(name)).collect()
}

#[test]
fn dx_19_a_claim_header_comes_from_the_claim_alone() {
    let provider = Provider::start();
    let mapping = json!({"upstream_headers": [
        {"header": "x-user", "path": ["preferred_username"]},
        {"header": "X-Authenticated-User", "path": ["login", "name"]},
    ]});
    let gateway = Gateway::before(&provider, mapping);
    let bearer = bearer(&provider.token());
    let spellings = [
        "X-Authenticated-User",
        "x-authenticated-user",
        "X_Authenticated_User",
        "x-authenticated_user",
        "x.authenticated.user",
        "x~authenticated!user",
    ];
    for spelling in spellings {
        let root = (spelling, "root");
        let headers = [
            ("authorization", bearer.as_str()),
            root,
            ("x-other", "root"),
            root,
        ];
        let seen = gateway.forwarded(&gateway.get("/hello", &headers));
        assert_eq!(like("x-authenticated-user", &seen), [""; 0], "{spelling}");
        assert_eq!(seen.header("x-other").as_deref(), Some("root"));
        gateway.answered(&gateway.get("/hello", &[root]), 401);
    }
    // The claim is there: one copy, and its value.
    let with = merged(
        claims(&provider.issuer()),
        json!({"login": {"name": "adele"}}),
    );
    let bearer = format!("Bearer {}", SigningKey::shared().token(&with));
    let mut headers = vec![("authorization", bearer.as_str()), ("x-user", "root")];
    headers.extend(spellings.map(|spelling| (spelling, "root")));
    let seen = gateway.forwarded(&gateway.get("/hello", &headers));
    assert_eq!(like("x-authenticated-user", &seen).len(), 1, "{seen:?}");
    assert_eq!(
        seen.header("x-authenticated-user").as_deref(),
        Some("adele")
    );
}

#[test]
fn dx_20_reserved_names_never_come_from_the_client() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let bearer = bearer(&provider.token());
    let reserved = [
        "X-Consumer-Username",
        "X-Consumer-Id",
        "X-Consumer-Custom-Id",
        "X-Consumer-Groups",
        "X-Credential-Identifier",
        "X-Anonymous-Consumer",
        "X-Authenticated-Groups",
        "X-Authenticated-Userid",
        "Session-Id",
        "Session-Subject",
    ];
    for name in reserved {
        let underscored = name.replace('-', "_");
        let forged = [(name, "root"), (underscored.as_str(), "root")];
        let headers = [("authorization", bearer.as_str()), forged[0], forged[1]];
        let seen = gateway.forwarded(&gateway.get("/hello", &headers));
        assert_eq!(like(name, &seen), [""; 0], "{seen:?}");
        gateway.answered(&gateway.get("/hello", &forged), 401);
    }
}

#[test]
fn dx_54a_fifty_first_requests_cause_one_discovery_a_worker() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    let tokens: Vec<String> = (0..50)
        .map(|number| {
            if number % 5 == 0 {
                tampered(&token)
            } else {
                token.clone()
            }
        })
        .collect();
    let mut exchanges: Vec<Exchange> = tokens
        .iter()
        .map(|token| {
            let bearer = bearer(token);
            let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
            Exchange::begin(gateway.address(), &request).expect("a connection")
        })
        .collect();
    gateway.wait_for_active(50);
    let workers = gateway.connections();
    assert!(
        workers.iter().all(|connections| *connections > 0),
        "{workers:?}"
    );
    provider.wait_for_calls(DISCOVERY, 2);
    assert!(gateway.upstream.seen().is_empty());
    provider.release();

    for (exchange, sent) in exchanges.iter_mut().zip(&tokens) {
        let status = exchange.answer().expect("an answer").status;
        assert_eq!(status, if *sent == token { 200 } else { 401 });
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), 40);
    assert!(seen.iter().all(|seen| seen.all("x-user") == ["alex"]));
    assert_eq!(provider.calls(DISCOVERY), 2, "one for each worker");
    assert_eq!(provider.calls(JWKS), 2);
}
