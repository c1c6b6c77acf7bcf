//! What a token must be: form, signature, standard claims (specification section 7).

use flow::stage::{ISSUER, key};
use flow::{Dialect, World};
use serde_json::json;
use support::issuer::{self, b64};

#[test]
fn dx_02a_an_invalid_bearer_is_401_and_no_redirect() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let token = world.token(json!({}));
        world.show(&token).assert_user("alex");
        let cut = token.len() - 2;
        for bad in [
            "opaque",
            &token[..cut],
            &world.token_of("stranger", json!({})),
        ] {
            let refused = world.show(bad);
            refused.assert_status(401);
            assert_eq!(refused.answer_header("location"), None);
            let challenge = refused
                .answer_header("www-authenticate")
                .unwrap_or_default();
            assert!(
                challenge.contains(r#"error="invalid_token""#),
                "{challenge}"
            );
        }
        world.show(&token).assert_user("alex");
    }
}

#[test]
fn dx_15a_unsigned_and_encrypted_tokens_are_401() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        world.show(&world.token(json!({}))).assert_user("alex");
        let claims = world.claims(json!({}));
        let payload = b64(claims.to_string().as_bytes());
        for alg in ["none", "None", "NONE", "nOnE", " none", ""] {
            let header = json!({"alg": alg, "typ": "JWT"});
            let unsigned = b64(header.to_string().as_bytes());
            world
                .show(&format!("{unsigned}.{payload}."))
                .assert_status(401);
            // Under a good signature, too: the key is not what makes `none` harmless.
            world
                .show(&key("k1").token_with(&header, &claims))
                .assert_status(401);
        }
        let header = b64(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
        world
            .show(&format!("{header}.a2V5.aXY.Y2lwaGVy.dGFn"))
            .assert_status(401);
        assert!(world.logged("algorithm_none") && world.logged("token_encrypted"));
    }
}

#[test]
fn dx_16_access_token_types_and_a_trailing_slash_are_accepted() {
    let slash = format!("{ISSUER}/");
    for dialect in Dialect::BOTH {
        for configured in [ISSUER, &slash] {
            let world = World::ready(dialect, json!({"issuer": configured}));
            for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
                let header = json!({"alg": "ES256", "kid": "k1", "typ": typ});
                for iss in [ISSUER, &slash] {
                    let claims = world.claims(json!({"iss": iss}));
                    world
                        .show(&key("k1").token_with(&header, &claims))
                        .assert_user("alex");
                }
            }
            for typ in ["logout+jwt", "dpop+jwt", "id+jwt", ""] {
                let header = json!({"alg": "ES256", "kid": "k1", "typ": typ});
                let token = key("k1").token_with(&header, &world.claims(json!({})));
                world.show(&token).assert_status(401);
            }
            for iss in [
                "https://idp.test",
                "https://idp.test/realm//",
                "https://evil.test/realm",
            ] {
                world
                    .show(&world.token(json!({"iss": iss})))
                    .assert_status(401);
            }
        }
    }
}

#[test]
fn dx_18_time_claims_at_their_boundaries() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({}));
        let now = world.now();
        for good in [
            json!({"exp": (now + 60).to_string()}),
            json!({"exp": now + 1}),
            json!({"exp": 0.5 + f64::from(u32::try_from(now).expect("before 2106"))}),
            json!({"nbf": now, "iat": now}),
            json!({"nbf": now.to_string()}),
            json!({"exp": null}),
        ] {
            world.show(&world.token(good)).assert_user("alex");
        }
        for bad in [
            json!({"exp": now}),
            json!({"exp": now.to_string()}),
            json!({"exp": now - 1}),
            json!({"nbf": now + 1}),
            json!({"iat": now + 1}),
        ] {
            world.show(&world.token(bad)).assert_status(401);
        }
    }
}

#[test]
fn dx_18_leeway_shifts_the_boundaries() {
    let world = World::ready(Dialect::Envoy, json!({"leeway": 10}));
    let now = world.now();
    for good in [
        json!({"exp": now - 9}),
        json!({"nbf": now + 10}),
        json!({"iat": now + 10}),
    ] {
        world.show(&world.token(good)).assert_user("alex");
    }
    for bad in [
        json!({"exp": now - 10}),
        json!({"nbf": now + 11}),
        json!({"iat": now + 11}),
    ] {
        world.show(&world.token(bad)).assert_status(401);
    }
    // The shifted end holds for what the cache remembers, too.
    let token = world.token(json!({"exp": now - 9}));
    world.pass_milliseconds(999);
    world.show(&token).assert_user("alex");
    world.pass_milliseconds(1);
    world.show(&token).assert_status(401);
}

#[test]
fn hs256_is_off_by_default() {
    let secret = "a client secret of thirty-two bytes!";
    let world = World::ready(Dialect::Envoy, json!({"client_secret": [secret]}));
    world.keep_secret(secret);
    world.show(&world.token(json!({}))).assert_user("alex");
    let token = issuer::hs256(secret.as_bytes(), &world.claims(json!({})));
    world.show(&token).assert_status(401);
}

#[test]
fn hs256_verifies_with_the_first_client_secret_where_it_is_on() {
    for dialect in Dialect::BOTH {
        let secrets = [
            "a client secret of thirty-two bytes!",
            "the second secret is for nothing here",
        ];
        let members = json!({"client_id": ["one", "two"], "client_secret": secrets, "enable_hs_signatures": true});
        let world = World::ready(dialect, members);
        world.keep_secret(secrets[0]);
        let token = issuer::hs256(secrets[0].as_bytes(), &world.claims(json!({})));
        world.show(&token).assert_user("alex");
        world.show(&token).assert_user("alex");
        for wrong in [secrets[1], "", "a client secret of thirty-two bytes"] {
            let token = issuer::hs256(wrong.as_bytes(), &world.claims(json!({})));
            world.show(&token).assert_status(401);
        }
        let late = issuer::hs256(
            secrets[0].as_bytes(),
            &world.claims(json!({"exp": world.now()})),
        );
        world.show(&late).assert_status(401);
        let foreign = json!({"iss": "https://evil.test"});
        let foreign = issuer::hs256(secrets[0].as_bytes(), &world.claims(foreign));
        world.show(&foreign).assert_status(401);
        world.show(&world.token(json!({}))).assert_user("alex");
    }
}

#[test]
fn payloads_that_are_no_claims_are_refused() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let header = br#"{"alg":"ES256","kid":"k1"}"#;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for payload in ["", "null", "[]", "\"alex\"", "{", "\u{fffd}", &deep] {
        let token = key("k1").sign(header, payload.as_bytes());
        world.show(&token).assert_status(401);
    }
    let token = key("k1").sign(header, &[0xff, 0xfe, b'{', b'}']);
    world.show(&token).assert_status(401);
    let token = key("k1").sign(header, b"{}");
    assert!(
        world.show(&token).is_forwarded(),
        "all claims are optional (specification section 7.2)"
    );
}

#[test]
fn c11_verify_claims_off_skips_the_issuer_and_nothing_else() {
    let world = World::ready(Dialect::Envoy, json!({"verify_claims": false}));
    let now = world.now();
    world
        .show(&world.token(json!({"iss": "https://other.test"})))
        .assert_user("alex");
    for bad in [
        json!({"exp": now}),
        json!({"nbf": now + 1}),
        json!({"iat": now + 1}),
    ] {
        world.show(&world.token(bad)).assert_status(401);
    }
    let members = json!({"verify_claims": false, "issuers_allowed": ["https://a.test"], "scopes_required": ["openid"]});
    let world = World::ready(Dialect::Envoy, members);
    world
        .show(&world.token(json!({"iss": "https://a.test"})))
        .assert_user("alex");
    world
        .show(&world.token(json!({"iss": "https://a.test/"})))
        .assert_user("alex");
    world.show(&world.token(json!({}))).assert_status(401);
    world
        .show(&world.token(json!({"iss": "https://a.test", "scope": "x"})))
        .assert_status(403);
}

#[test]
fn the_end_of_a_token_is_judged_at_every_hit() {
    for dialect in Dialect::BOTH {
        let world = World::ready(dialect, json!({"cache_ttl_min": 4000}));
        let token = world.token(json!({"exp": world.now() + 100}));
        world.show(&token).assert_user("alex");
        world.pass_milliseconds(99_999);
        world.show(&token).assert_user("alex");
        world.pass_milliseconds(1);
        world.show(&token).assert_status(401);
    }
}
