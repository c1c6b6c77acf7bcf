//! Private keys that are of no use, and numbers that are no key.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::signing::{ed25519, p256, private, rsa, with};
use super::{b64, rfc, unb64};
use crate::jose::{Algorithm, PrivateJwk};

#[track_caller]
pub(super) fn refused(key: &Value, member: &str, reason: &str) {
    let fault = PrivateJwk::from_members(key.as_object().unwrap()).unwrap_err();
    assert_eq!(fault.member, member, "{fault:?}");
    assert!(fault.reason.contains(reason), "{fault:?}");
}

#[test]
fn keys_that_cannot_sign_for_us_are_refused() {
    let key = p256();
    refused(&rfc::keys()[0], "d", "public key");
    refused(&rfc::keys()[1], "d", "public key");
    refused(&with(&key, json!({ "d": "" })), "d", "not as long");
    refused(&with(&key, json!({ "d": "AA==" })), "d", "base64url");
    refused(&with(&key, json!({ "d": 1 })), "d", "text");
    refused(&with(&key, json!({ "use": "enc" })), "use", "signatures");
    refused(
        &with(&key, json!({ "key_ops": ["verify"] })),
        "key_ops",
        "`sign`",
    );
    refused(
        &with(&key, json!({ "key_ops": "sign" })),
        "key_ops",
        "`sign`",
    );
    refused(
        &with(&key, json!({ "alg": "ES384" })),
        "alg",
        "does not go with",
    );
    refused(
        &with(&key, json!({ "alg": "HS256" })),
        "alg",
        "does not go with",
    );
    refused(
        &with(&key, json!({ "alg": "RSA-OAEP" })),
        "alg",
        "no supported",
    );
    refused(&with(&key, json!({ "kid": 5 })), "kid", "text");
    refused(&with(&key, json!({ "x5t": [] })), "x5t", "text");
    refused(&with(&key, json!({ "k": "c2VjcmV0" })), "k", "symmetric");
    refused(
        &json!({ "kty": "oct", "k": "c2VjcmV0" }),
        "kty",
        "`client_secret`",
    );
    refused(&json!({ "kty": "AKP", "d": "AA" }), "kty", "`OKP`");
    refused(&json!({ "d": "AA" }), "kty", "required");
    refused(&with(&key, json!({ "x": null })), "x", "missing");
    refused(&with(&key, json!({ "crv": "secp256k1" })), "x", "secp256k1");
    refused(&with(&key, json!({ "p": "AA" })), "p", "another type");
    refused(&with(&ed25519(), json!({ "y": "AA" })), "y", "another type");
    let (_, of_rsa) = rsa(KeySize::Rsa2048);
    refused(
        &with(&of_rsa, json!({ "crv": "AA" })),
        "crv",
        "another type",
    );
    refused(
        &with(&ed25519(), json!({ "crv": "X25519" })),
        "x",
        "encryption",
    );
    refused(
        &with(&ed25519(), json!({ "d": b64(&[1; 31]) })),
        "d",
        "32 bytes",
    );
    assert!(
        PrivateJwk::from_members(
            with(&key, json!({ "use": "sig", "key_ops": ["verify", "sign"] }))
                .as_object()
                .unwrap()
        )
        .is_ok()
    );
}

#[test]
fn a_private_part_of_another_key_is_refused() {
    refused(
        &with(&p256(), json!({ "d": b64(&[1; 32]) })),
        "d",
        "not one key",
    );
    refused(
        &with(&ed25519(), json!({ "d": b64(&[1; 32]) })),
        "d",
        "not one key",
    );
    let (_, one) = rsa(KeySize::Rsa2048);
    let (_, two) = rsa(KeySize::Rsa2048);
    refused(
        &with(&one, json!({ "d": two["d"] })),
        "d",
        "not the private exponent",
    );
    refused(&with(&one, json!({ "p": two["p"] })), "d", "its primes");
    refused(&with(&one, json!({ "p": null })), "p", "write both");
    refused(&with(&one, json!({ "q": null })), "q", "write both");
    refused(&with(&one, json!({ "dp": "!" })), "dp", "base64url");
    let bare = json!({ "d": two["d"], "p": null, "q": null });
    refused(&with(&one, bare), "d", "not the private exponent");
    refused(
        &with(&one, json!({ "d": "AQ" })),
        "d",
        "not the private exponent",
    );
    refused(
        &with(&one, json!({ "d": "" })),
        "d",
        "not the private exponent",
    );
}

#[test]
fn weak_rsa_keys_are_refused() {
    let (_, key) = rsa(KeySize::Rsa2048);
    let n = unb64(key["n"].as_str().unwrap());
    refused(
        &with(&key, json!({ "n": b64(&n[..128]) })),
        "n",
        "less than 2048",
    );
    refused(&with(&key, json!({ "e": b64(&[1]) })), "n", "exponent");
}

#[test]
fn keys_are_equal_when_key_and_names_are() {
    let key = || private(&p256());
    assert_eq!(key(), key());
    for other in [
        with(&p256(), json!({ "kid": "a" })),
        with(&p256(), json!({ "x5t": "a" })),
        with(&p256(), json!({ "alg": "ES256" })),
        ed25519(),
    ] {
        assert_ne!(key(), private(&other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A configuration may hold any numbers; on Kong a panic while it is read would let everybody in.
    #[test]
    fn any_private_numbers(
        mut n in proptest::collection::vec(any::<u8>(), 256..=264),
        e in prop_oneof![Just(vec![3]), Just(vec![1, 0, 1]), proptest::collection::vec(any::<u8>(), 0..5)],
        d in proptest::collection::vec(any::<u8>(), 0..300),
        p in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        q in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
    ) {
        n[0] |= 0x80;
        n[255] |= 1;
        let mut key = json!({ "kty": "RSA", "n": b64(&n), "e": b64(&e), "d": b64(&d) });
        for (name, prime) in [("p", p), ("q", q)] {
            if let Some(prime) = prime {
                key[name] = json!(b64(&prime));
            }
        }
        prop_assert!(PrivateJwk::from_members(key.as_object().unwrap()).is_err());
    }

    #[test]
    fn any_members(
        kty in "RSA|EC|OKP|oct|.{0,3}",
        crv in "P-256|P-384|P-521|Ed25519|.{0,3}",
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 3),
    ) {
        let key = json!({
            "kty": kty, "crv": crv, "x": b64(&values[0]), "y": b64(&values[1]), "d": b64(&values[2]),
        });
        prop_assert!(PrivateJwk::from_members(key.as_object().unwrap()).is_err());
    }

    #[test]
    fn any_message_under_any_entropy(message: Vec<u8>, entropy: [u8; 32]) {
        let key = private(&p256());
        let signature = key.sign(Algorithm::ES256, &message, &entropy).unwrap();
        let members = p256();
        let point = [vec![4], unb64(members["x"].as_str().unwrap()), unb64(members["y"].as_str().unwrap())].concat();
        let public = UnparsedPublicKey::new(&aws::ECDSA_P256_SHA256_FIXED, point);
        prop_assert!(public.verify(&message, &signature).is_ok());
    }
}

/// Primes that are none, or not two: the numbers fit together, so only their own checks are in the way.
#[test]
fn rsa_numbers_on_the_edge_are_refused_without_a_panic() {
    let (_, key) = rsa(KeySize::Rsa2048);
    let n = key["n"].clone();
    for (p, q) in [
        (json!("AQ"), n.clone()),
        (n.clone(), json!("AQ")),
        (json!(""), json!("")),
        (json!("AA"), json!("AA")),
        (key["p"].clone(), key["p"].clone()),
        (json!("Ag"), json!("Aw")),
        (key["p"].clone(), json!("")),
    ] {
        refused(&with(&key, json!({ "p": p, "q": q })), "d", "its primes");
    }
    for d in ["", "AA", "AQ", "Ag", "__________8"] {
        refused(
            &with(&key, json!({ "d": d })),
            "d",
            "not the private exponent",
        );
    }
    refused(
        &with(&key, json!({ "d": n, "p": null, "q": null })),
        "d",
        "not the private exponent",
    );
}
