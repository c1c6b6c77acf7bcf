//! Key sets: what is left out of them, and which keys are tried on a token.

use serde_json::{Value, json};

use super::{b64, jwk, rfc, token, unb64};
use crate::jose::{Algorithm, JwkError, JwkSet, Jws};

fn set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// The first of the RFC's keys of this index, with members added.
fn with(index: usize, members: Value) -> Value {
    let mut key = rfc::keys()[index].clone();
    for (name, value) in members.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[track_caller]
fn skipped(key: Value, reason: &str) {
    let set = set(&[key]);
    assert!(set.keys.is_empty());
    let (_, given) = &set.skipped[0];
    assert!(given.contains(reason), "{given}");
}

#[test]
fn keys_for_something_else_are_skipped() {
    skipped(with(0, json!({"use": "enc"})), "`use` is not `sig`");
    skipped(with(0, json!({"use": 1})), "`use` is not `sig`");
    skipped(with(0, json!({"key_ops": ["sign"]})), "`key_ops` without");
    skipped(with(0, json!({"key_ops": "verify"})), "`key_ops` without");
    skipped(
        with(0, json!({"alg": "RSA-OAEP"})),
        "no supported signature algorithm",
    );
    skipped(with(0, json!({"alg": "ES256"})), "does not go with");
    skipped(with(0, json!({"alg": "HS256"})), "does not go with");
    skipped(with(1, json!({"alg": "ES384"})), "does not go with");
    skipped(json!({"kty": "oct", "k": "c2VjcmV0c2VjcmV0"}), "never used");
    skipped(
        json!({"kty": "AKP", "alg": "ML-DSA-44"}),
        "`kty`) is not supported",
    );
    skipped(json!({"kid": "a"}), "no `kty`");
    skipped(json!("key"), "no JSON object");
    skipped(
        json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}),
        "Ed448 is not supported",
    );
    skipped(
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        "encryption",
    );
    skipped(with(1, json!({"crv": "secp256k1"})), "secp256k1");
}

#[test]
fn private_members_are_not_looked_at() {
    let key = with(
        1,
        json!({"d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", "use": "sig", "key_ops": ["sign", "verify"]}),
    );
    assert_eq!(set(&[key]).keys.len(), 1);
}

#[test]
fn weak_or_broken_rsa_keys_are_skipped() {
    let n = unb64(rfc::keys()[0]["n"].as_str().unwrap());
    let modulus = |n: &[u8]| with(0, json!({"n": b64(n)}));
    skipped(modulus(&n[..128]), "less than 2048");
    let mut low = n.clone();
    low[0] = 0x7f;
    skipped(modulus(&low), "less than 2048");
    skipped(modulus(&[0xff; 1025]), "more than 8192");
    let mut even = n.clone();
    even[255] &= 0xfe;
    skipped(modulus(&even), "odd");
    skipped(modulus(&[]), "less than 2048");
    for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        skipped(with(0, json!({"e": b64(e)})), "exponent");
    }
    skipped(with(0, json!({"n": "AQAB="})), "base64url");
    skipped(with(0, json!({"e": 65537})), "base64url");
}

#[test]
fn a_leading_zero_of_a_modulus_changes_nothing() {
    let plain = jwk(&rfc::keys()[0]);
    let n = unb64(rfc::keys()[0]["n"].as_str().unwrap());
    let padded = jwk(&with(0, json!({"n": b64(&[&[0], n.as_slice()].concat())})));
    assert_eq!(plain.thumbprint, padded.thumbprint);
    assert_eq!(plain.spki, padded.spki);
}

#[test]
fn invalid_curve_points_are_skipped() {
    let keys = rfc::keys();
    let x = keys[1]["x"].as_str().unwrap();
    skipped(with(1, json!({"y": x})), "no point of its curve");
    skipped(
        with(1, json!({"x": b64(&[0; 32]), "y": b64(&[0; 32])})),
        "no point of its curve",
    );
    skipped(
        with(1, json!({"x": b64(&[0xff; 32])})),
        "no point of its curve",
    );
    skipped(with(1, json!({"crv": "P-384"})), "not as long");
    skipped(with(1, json!({"x": b64(&unb64(x)[1..])})), "not as long");
    skipped(with(2, json!({"y": keys[2]["x"]})), "no point of its curve");
    skipped(with(3, json!({"x": b64(&[0; 32])})), "small order");
    skipped(with(3, json!({"x": b64(&[0; 31])})), "32 bytes");
}

#[test]
fn documents_that_are_no_key_set() {
    assert_eq!(JwkSet::parse(b"<html>").unwrap_err(), JwkError::NotJson);
    for json in ["{}", "[]", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        assert_eq!(
            JwkSet::parse(json.as_bytes()).unwrap_err(),
            JwkError::NoKeys,
            "{json}"
        );
    }
    assert_eq!(
        JwkSet::parse(&vec![b' '; 1_100_000]).unwrap_err(),
        JwkError::TooLarge
    );
    assert!(JwkSet::parse("[".repeat(100_000).as_bytes()).is_err());
    assert!(JwkSet::parse(br#"{"keys":[]}"#).unwrap().keys.is_empty());
}

#[test]
fn only_so_many_keys_are_looked_at() {
    let set = set(&vec![rfc::keys()[1].clone(); 70]);
    assert_eq!((set.keys.len(), set.skipped.len()), (64, 1));
    assert_eq!(set.fitting(Algorithm::ES256).count(), 8);
}

#[test]
fn a_key_is_found_by_name_and_algorithm() {
    let set = set(&[
        with(0, json!({"kid": "a", "alg": "RS256", "x5t": "t1"})),
        with(0, json!({"kid": "a", "alg": "PS256"})),
        with(1, json!({"kid": "a"})),
        with(1, json!({"kid": "b", "x5t#S256": "t2"})),
    ]);
    let found = |header: Value| {
        let text = token(&header.to_string(), b"{}", b"s");
        let header = Jws::parse(&text).unwrap().header;
        set.candidates(&header)
            .map(|found| {
                set.keys
                    .iter()
                    .position(|key| std::ptr::eq(key, found))
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"alg": "RS256", "kid": "a"})), [0]);
    assert_eq!(found(json!({"alg": "PS256", "kid": "a"})), [1]);
    assert_eq!(found(json!({"alg": "ES256", "kid": "a"})), [2]);
    assert_eq!(found(json!({"alg": "ES256", "kid": "b"})), [3]);
    assert_eq!(found(json!({"alg": "ES256", "x5t#S256": "t2"})), [3]);
    assert_eq!(found(json!({"alg": "RS256", "x5t": "t1"})), [0]);
    assert_eq!(found(json!({"alg": "ES256"})), [2, 3]);
    assert!(found(json!({"alg": "RS512", "kid": "a"})).is_empty());
    assert!(found(json!({"alg": "ES256", "kid": "A"})).is_empty());
    assert!(found(json!({"alg": "ES256", "kid": ""})).is_empty());
    assert!(found(json!({"alg": "HS256", "kid": "a"})).is_empty());
    assert_eq!(set.fitting(Algorithm::ES256).count(), 2);
}
