//! Nothing that a client or a provider sends may end in a panic: it would end the whole worker.

use proptest::prelude::*;

use super::{b64, in_module, jwk, token};
use crate::jose::{Algorithm, JwkSet, Jws, verify, verify_hmac};

proptest! {
    #[test]
    fn any_text_as_token(text in ".{0,300}") {
        let _ = Jws::parse(&text);
    }

    #[test]
    fn any_header(header in proptest::collection::vec(any::<u8>(), 0..200), payload: Vec<u8>) {
        let text = format!("{}.{}.AA", b64(&header), b64(&payload));
        let _ = Jws::parse(&text);
    }

    #[test]
    fn any_header_members(kid: String, typ: String, alg in "(RS|PS|ES|HS)(256|384|512)|EdDSA|none") {
        let header = serde_json::json!({"alg": alg, "kid": kid, "typ": typ}).to_string();
        let text = token(&header, b"{}", b"s");
        prop_assert_eq!(Jws::parse(&text).is_ok(), alg != "none");
    }

    #[test]
    fn any_bytes_as_key_set(bytes: Vec<u8>) {
        let _ = JwkSet::parse(&bytes);
    }

    #[test]
    fn any_rsa_key(
        n in proptest::collection::vec(any::<u8>(), 240..1040),
        e in proptest::collection::vec(any::<u8>(), 0..6),
        signature: Vec<u8>,
        alg in "RS256|PS256",
    ) {
        let set = serde_json::json!({"keys": [{"kty": "RSA", "n": b64(&n), "e": b64(&e)}]});
        let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
        prop_assert_eq!(set.keys.len() + set.skipped.len(), 1);
        for key in &set.keys {
            // Half of the signatures have the right length, so that the arithmetic is reached.
            let mut long = signature.clone();
            long.resize(n.len(), 7);
            for signature in [signature.as_slice(), &[1], &long] {
                let text = token(&format!(r#"{{"alg":"{alg}"}}"#), b"{}", signature);
                if let Ok(jws) = Jws::parse(&text) {
                    let _ = verify(key, &jws, &mut |_| None);
                }
            }
        }
    }

    #[test]
    fn any_point(
        x in proptest::collection::vec(any::<u8>(), 32),
        y in proptest::collection::vec(any::<u8>(), 32),
        crv in "P-256|P-384|P-521|Ed25519|secp256k1",
        kty in "EC|OKP",
    ) {
        let set = serde_json::json!({"keys": [{"kty": kty, "crv": crv, "x": b64(&x), "y": b64(&y)}]});
        JwkSet::parse(set.to_string().as_bytes()).unwrap();
    }

    #[test]
    fn any_signature(signature in proptest::collection::vec(any::<u8>(), 1..140), secret: Vec<u8>) {
        let keys = super::rfc::keys();
        for alg in Algorithm::ALL {
            let text = token(&format!(r#"{{"alg":"{}"}}"#, alg.name()), b"{}", &signature);
            let jws = Jws::parse(&text).unwrap();
            prop_assert!(!verify_hmac(alg, &secret, &jws));
            for key in &keys {
                prop_assert_eq!(
                    in_module(&jwk(key), &text),
                    crate::jose::Outcome::Invalid
                );
            }
        }
    }
}
