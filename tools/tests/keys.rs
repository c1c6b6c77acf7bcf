//! `oidc-filter keys new`: another library finds the keys in order.

mod common;

use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{folder, own, run};
use serde_json::{Value, json};

const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// A new client key, and the public half from its file.
fn client_jwk(alg: &str) -> (Value, Value) {
    let folder = folder(&format!("keys-{alg}"));
    let ran = run(
        &[
            "keys",
            "new",
            "client-jwk",
            "--alg",
            alg,
            "--public",
            "public.json",
        ],
        &folder,
        &[],
    );
    assert!(ran.good, "{alg}: {}", ran.stderr);
    let public = fs::read(folder.join("public.json")).expect("the public half");
    let read = |text: &[u8]| serde_json::from_slice(text).expect("JSON");
    (read(ran.stdout.as_bytes()), read(&public))
}

fn bytes(jwk: &Value, name: &str) -> Vec<u8> {
    let text = jwk[name].as_str().unwrap_or_else(|| panic!("no {name}"));
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// The halves belong together, and the public one has nothing private.
fn agree(alg: &str, jwk: &Value, public: &Value) {
    let [public] = &public["keys"].as_array().expect("a set")[..] else {
        panic!("not one key");
    };
    for (name, value) in public.as_object().expect("a JWK") {
        assert!(!PRIVATE.contains(&name.as_str()), "{alg}: {name}");
        assert_eq!(&jwk[name], value, "{alg}: {name}");
    }
    assert_eq!((&jwk["alg"], &jwk["use"]), (&json!(alg), &json!("sig")));
    let required: &[&str] = match jwk["kty"].as_str() {
        Some("RSA") => &["e", "kty", "n"],
        Some("EC") => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let members: Vec<String> = required
        .iter()
        .map(|name| format!("\"{name}\":{}", public[name]))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
    assert_eq!(jwk["kid"], json!(thumbprint), "{alg}");
}

#[test]
fn keys_on_curves_are_pairs_for_another_library() {
    let algorithms: [(&str, &'static EcdsaSigningAlgorithm, usize); 3] = [
        ("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING, 32),
        ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        ("ES512", &ECDSA_P521_SHA512_FIXED_SIGNING, 66),
    ];
    for (alg, algorithm, length) in algorithms {
        let (jwk, public) = client_jwk(alg);
        agree(alg, &jwk, &public);
        let point = [vec![4], bytes(&jwk, "x"), bytes(&jwk, "y")].concat();
        assert_eq!(point.len(), 1 + 2 * length);
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &bytes(&jwk, "d"), &point)
            .unwrap_or_else(|why| panic!("{alg}: {why}"));
    }
}

#[test]
fn an_ed25519_key_is_a_pair_for_another_library() {
    let (jwk, public) = client_jwk("EdDSA");
    agree("EdDSA", &jwk, &public);
    Ed25519KeyPair::from_seed_and_public_key(&bytes(&jwk, "d"), &bytes(&jwk, "x")).expect("a pair");
}

#[test]
fn an_rsa_key_has_all_its_parts() {
    for alg in ["RS256", "PS512"] {
        let (jwk, public) = client_jwk(alg);
        agree(alg, &jwk, &public);
        assert_eq!(bytes(&jwk, "n").len(), 256);
        assert_eq!(jwk["e"], "AQAB");
        // RFC 8017 section A.1.2: the library looks whether the parts belong together.
        let parts =
            ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| integer(&bytes(&jwk, name)));
        let key = tagged(0x30, &[integer(&[0]), parts.concat()].concat());
        RsaKeyPair::from_der(&key).unwrap_or_else(|why| panic!("{alg}: {why}"));
    }
}

/// A positive number in DER.
fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
    tagged(2, &[sign, number].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short key");
    let [high, low] = length.to_be_bytes();
    let length: &[u8] = match length {
        0..0x80 => &[low],
        0x80..0x100 => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, content].concat()
}

#[test]
fn no_two_secrets_are_alike() {
    let new = || run(&["keys", "new", "session-secret"], &own(""), &[]);
    let (one, other) = (new(), new());
    assert!(one.good);
    assert_ne!(one.stdout, other.stdout);
    assert_eq!(
        URL_SAFE_NO_PAD
            .decode(one.stdout.trim())
            .expect("base64url")
            .len(),
        32
    );
}

#[test]
fn an_algorithm_that_is_none_is_refused_with_those_there_are() {
    let ran = run(
        &["keys", "new", "client-jwk", "--alg", "HS256"],
        &own(""),
        &[],
    );
    assert!(!ran.good && ran.stderr.contains("ES256"), "{}", ran.stderr);
}
