//! Attacks on JOSE that worked elsewhere: each class with the number under which it is known.

use flow::stage::{ISSUER, KEYS, key, key_for, merged};
use flow::{Dialect, World};
use serde_json::{Value, json};
use support::issuer::{self, b64};

#[test]
fn cve_2015_9235_a_public_key_is_no_hmac_secret() {
    let members = json!({"client_secret": ["a client secret of thirty-two bytes!"], "enable_hs_signatures": true});
    for members in [json!({}), members] {
        let world = World::ready(Dialect::Envoy, members);
        let rsa = key_for("RS256", "rsa");
        world.put(KEYS, &issuer::jwks([rsa]));
        let claims = world.claims(json!({}));
        world.show(&rsa.token(&claims)).assert_user("alex");
        let jwk = rsa.jwk();
        let modulus = jwk["n"].as_str().expect("a modulus").to_owned();
        for secret in [
            jwk.to_string(),
            modulus,
            issuer::jwks([rsa]).to_string(),
            String::new(),
        ] {
            world
                .show(&issuer::hs256(secret.as_bytes(), &claims))
                .assert_status(401);
        }
    }
}

#[test]
fn cve_2018_0114_keys_in_the_header_are_not_believed_and_not_fetched() {
    let world = World::ready(Dialect::Envoy, json!({}));
    world.put("https://evil.test/keys", &issuer::jwks([key("stranger")]));
    world.show(&world.token(json!({}))).assert_user("alex");
    let claims = world.claims(json!({}));
    let evil = key("stranger");
    for header in [
        json!({"alg": "ES256", "jwk": evil.jwk()}),
        json!({"alg": "ES256", "kid": "stranger", "jwk": evil.jwk()}),
        json!({"alg": "ES256", "kid": "k1", "jwk": evil.jwk()}),
        json!({"alg": "ES256", "kid": "stranger", "jku": "https://evil.test/keys"}),
        json!({"alg": "ES256", "x5u": "https://evil.test/keys", "x5c": ["MIIB"]}),
        json!({"alg": "ES256", "kid": "https://evil.test/keys"}),
        json!({"alg": "ES256", "kid": "../../dev/null"}),
    ] {
        world
            .show(&evil.token_with(&header, &claims))
            .assert_status(401);
    }
    assert!(
        world
            .calls()
            .iter()
            .all(|call| call.url.starts_with(ISSUER))
    );
}

#[test]
fn cve_2026_25537_a_claim_of_another_type_is_not_an_absent_one() {
    let world = World::ready(Dialect::Envoy, json!({}));
    world.show(&world.token(json!({}))).assert_user("alex");
    let wrong = [
        json!({}),
        json!([]),
        json!(true),
        json!("soon"),
        json!(""),
        json!(-1),
        json!(1e300),
    ];
    for value in wrong {
        for name in ["exp", "nbf", "iat"] {
            let token = world.token(json!({name: value.clone()}));
            world.show(&token).assert_status(401);
        }
    }
    // A null cannot come through `claims`, which takes it for a removal.
    let mut claims = world.claims(json!({}));
    for name in ["exp", "nbf", "iat", "iss"] {
        let before = claims[name].clone();
        claims[name] = Value::Null;
        world.show(&key("k1").token(&claims)).assert_status(401);
        match before {
            Value::Null => claims.as_object_mut().expect("an object").remove(name),
            before => claims
                .as_object_mut()
                .expect("an object")
                .insert(name.to_owned(), before),
        };
    }
    for iss in [json!(1), json!([ISSUER]), json!({"a": ISSUER}), json!("")] {
        world
            .show(&world.token(json!({"iss": iss})))
            .assert_status(401);
    }
}

#[test]
fn cve_2025_59420_critical_extensions_are_refused() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let claims = world.claims(json!({}));
    for extra in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
    ] {
        let header = merged(json!({"alg": "ES256", "kid": "k1"}), extra);
        world
            .show(&key("k1").token_with(&header, &claims))
            .assert_status(401);
    }
    world.show(&world.token(json!({}))).assert_user("alex");
}

#[test]
fn cve_2022_21449_a_signature_of_zeros_is_none() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    let (body, _) = token.rsplit_once('.').expect("a token");
    let der = [0x30, 6, 2, 1, 0, 2, 1, 0];
    for signature in [
        &[0; 64][..],
        &[0xff; 64],
        &[0; 1],
        &[0; 63],
        &[0; 65],
        &[0; 132],
        &der,
    ] {
        world
            .show(&format!("{body}.{}", b64(signature)))
            .assert_status(401);
    }
    world.show(&format!("{body}.")).assert_status(401);
}

#[test]
fn cve_2025_30204_many_dots_are_not_taken_apart() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    for bad in [
        ".".to_owned(),
        "..".to_owned(),
        ".".repeat(4),
        ".".repeat(60_000),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        "a".repeat(60_000),
    ] {
        world.show(&bad).assert_status(401);
    }
    world.show(&token).assert_user("alex");
}

#[test]
fn cve_2016_9122_only_the_compact_form_is_a_token() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let signature = json!({"protected": parts[0], "signature": parts[2]});
    for form in [
        json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]}),
        json!({"payload": parts[1], "signatures": [signature]}),
    ] {
        world.show(&form.to_string()).assert_status(401);
        world
            .show(&b64(form.to_string().as_bytes()))
            .assert_status(401);
    }
    world.show(&token).assert_user("alex");
}

#[test]
fn cve_2022_36083_passwords_and_compression_are_refused_at_once() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let claims = world.claims(json!({}));
    for header in [
        json!({"alg": "PBES2-HS256+A128KW", "p2c": 2_000_000_000, "p2s": "AAAA", "enc": "A128GCM"}),
        json!({"alg": "dir", "enc": "A128GCM", "zip": "DEF"}),
        json!({"alg": "RSA1_5", "enc": "A128GCM"}),
    ] {
        world
            .show(&key("k1").token_with(&header, &claims))
            .assert_status(401);
        let header = b64(header.to_string().as_bytes());
        world
            .show(&format!("{header}.AA.AA.AA.AA"))
            .assert_status(401);
    }
    assert!(world.calls().is_empty(), "nobody is asked for a key");
    world.show(&world.token(json!({}))).assert_user("alex");
}

#[test]
fn one_token_has_one_spelling() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let token = world.token(json!({}));
    world.show(&token).assert_user("alex");
    let last = token.len() - 1;
    // A signature of 64 bytes leaves four bits of its last letter unused.
    let other = match &token[last..] {
        "A" => "B",
        "Q" => "R",
        "g" => "h",
        _ => "x",
    };
    for spelling in [
        format!("{}{other}", &token[..last]),
        format!("{token}="),
        format!("{token}=="),
        token.replace('.', ". "),
        token.replace('.', "\t."),
        token.replacen('.', "%2E", 1),
    ] {
        world.show(&spelling).assert_status(401);
    }
}

#[test]
fn an_algorithm_is_the_keys_and_not_the_tokens() {
    let world = World::ready(Dialect::Envoy, json!({}));
    let rsa = key_for("RS256", "rsa");
    world.put(KEYS, &issuer::jwks([rsa, key("k1")]));
    let claims = world.claims(json!({}));
    world.show(&rsa.token(&claims)).assert_user("alex");
    for alg in [
        "PS256", "RS384", "RS512", "ES256", "EdDSA", "HS256", "rs256", "RS256 ",
    ] {
        let header = json!({"alg": alg, "kid": "rsa"});
        world
            .show(&rsa.token_with(&header, &claims))
            .assert_status(401);
    }
    let header = json!({"alg": "RS256", "kid": "k1"});
    world
        .show(&key("k1").token_with(&header, &claims))
        .assert_status(401);
}

#[test]
fn a_kid_is_compared_byte_for_byte() {
    let world = World::ready(Dialect::Envoy, json!({}));
    // Two keys of the same algorithm, so that only the name can choose: a wrong choice is a wrong key.
    world.publish(&["k1", "K1"]);
    for (signer, named, good) in [
        ("k1", "k1", true),
        ("K1", "K1", true),
        ("k1", "K1", false),
        ("K1", "k1", false),
    ] {
        let header = json!({"alg": "ES256", "kid": named});
        let outcome = world.show(&key(signer).token_with(&header, &world.claims(json!({}))));
        assert_eq!(outcome.is_forwarded(), good, "{signer} named {named}");
    }
}
