//! The signature algorithms on real Envoy, and who verifies each: Envoy's BoringSSL, or the module.

use acceptance::{Gateway, merged, tampered};
use serde_json::{Value, json};
use support::issuer::{ALGORITHMS, SigningKey, b64, claims, hs256, jwks};
use support::provider::Provider;

/// What Envoy's `verify_signature` can do (specification of the host, section 1).
fn host_can(alg: &str) -> bool {
    alg.starts_with("RS") || alg.starts_with("ES")
}

/// An Ed448 key (RFC 8032 section 5.2), which nothing here can make: any 57 bytes look like one.
fn ed448() -> Value {
    json!({"kty": "OKP", "crv": "Ed448", "kid": "goldilocks", "use": "sig", "x": b64(&[7; 57])})
}

#[test]
fn all_ten_algorithms_and_who_verified() {
    let provider = Provider::start();
    let keys = ALGORITHMS.map(|alg| SigningKey::generate(alg, alg));
    let mut set = jwks(&keys);
    set["keys"].as_array_mut().expect("a list").push(ed448());
    provider.set_keys(set);
    let gateway = Gateway::before(&provider, json!({}));
    let verified = || {
        (
            gateway.counter("signatures.verified_by_host"),
            gateway.counter("signatures.verified_in_module"),
        )
    };
    // Each of these went through the same place: the sum tells of every single one.
    let (by_host, in_module): (Vec<_>, Vec<_>) = keys.iter().partition(|key| host_can(key.alg));
    for key in by_host {
        gateway.admits(&key.token(&claims(&provider.issuer())));
    }
    assert_eq!(verified(), (6, 0));
    for key in in_module {
        gateway.admits(&key.token(&claims(&provider.issuer())));
    }
    assert_eq!(verified(), (6, 4));
    for key in &keys {
        gateway.refuses(&tampered(&key.token(&claims(&provider.issuer()))));
        let other = SigningKey::generate(key.alg, key.alg);
        gateway.refuses(&other.token(&claims(&provider.issuer())));
    }
    assert_eq!(verified(), (6, 4), "a bad signature is not counted");
    // The verdict is known to the worker that made it: no second look at the signature.
    let token = keys[0].token(&claims(&provider.issuer()));
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    let before = verified();
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    assert_eq!(verified(), before);
    let log = gateway.filter_log();
    assert!(
        log.lines().any(|line| line.contains("key_skipped")
            && line.contains("goldilocks")
            && line.contains("Ed448")),
        "{log}"
    );
}

#[test]
fn a_key_verifies_for_its_own_algorithm_only() {
    let provider = Provider::start();
    let [rs, ps] = ["RS256", "PS256"].map(|alg| SigningKey::generate(alg, alg));
    provider.set_keys(jwks([&rs, &ps]));
    let gateway = Gateway::before(&provider, json!({}));
    let claims = claims(&provider.issuer());
    gateway.admits(&rs.token(&claims));
    gateway.admits(&ps.token(&claims));
    for (key, alg) in [
        (&rs, "PS256"),
        (&ps, "RS256"),
        (&rs, "RS512"),
        (&rs, "EdDSA"),
    ] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": key.kid});
        gateway.refuses(&key.token_with(&header, &claims));
    }
    // A key that the token brings along is nobody's (CVE-2018-0114).
    let stranger = SigningKey::generate("RS256", "stranger");
    for member in [
        json!({"jwk": stranger.jwk()}),
        json!({"jku": format!("{}/jwks", provider.issuer())}),
        json!({"x5c": ["AAAA"]}),
    ] {
        let header = merged(
            json!({"alg": "RS256", "typ": "JWT", "kid": "RS256"}),
            member,
        );
        gateway.refuses(&stranger.token_with(&header, &claims));
    }
    let critical = json!({"alg": "RS256", "typ": "JWT", "kid": "RS256", "crit": ["exp"]});
    gateway.refuses(&rs.token_with(&critical, &claims));
}

#[test]
fn dx_14_shared_secrets_are_off_unless_asked_for() {
    const SECRET: &str = "a secret of the client that is long enough";
    let provider = Provider::start();
    let claims = claims(&provider.issuer());
    let client = json!({"client_id": ["kong"], "client_secret": [SECRET]});
    let off = Gateway::before(&provider, client.clone());
    let on = Gateway::before(
        &provider,
        merged(client, json!({"enable_hs_signatures": true})),
    );
    off.refuses(&hs256(SECRET.as_bytes(), &claims));
    on.admits(&hs256(SECRET.as_bytes(), &claims));

    let modulus = SigningKey::shared().jwk()["n"]
        .as_str()
        .expect("a modulus")
        .to_owned();
    for gateway in [&off, &on] {
        gateway.admits(&provider.token());
        // The public key is no secret, in whatever form it is taken for one.
        for key in [
            SigningKey::shared().jwk().to_string(),
            modulus.clone(),
            String::new(),
        ] {
            gateway.refuses(&hs256(key.as_bytes(), &claims));
        }
        gateway.refuses(&tampered(&hs256(SECRET.as_bytes(), &claims)));
    }
}
