//! Against an independent library (AWS-LC): it signs, the module verifies; it also plays the host,
//! so that keys and signatures in DER are read by somebody else's parser.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac as aws_hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Value, json};

use super::{b64, in_module, jwk};
use crate::host::SignatureCheck;
use crate::jose::{Algorithm, By, Jwk, Jws, Outcome, probe, verify, verify_hmac};

/// What Envoy's `verify_signature` does with AWS-LC's sibling: the key decides the scheme.
fn host(check: &SignatureCheck<'_>) -> Option<bool> {
    let algorithm: &dyn VerificationAlgorithm = match (check.spki.len(), check.hash) {
        (91, "sha256") => &aws::ECDSA_P256_SHA256_ASN1,
        (91, "sha384") => &aws::ECDSA_P256_SHA384_ASN1,
        (120, "sha384") => &aws::ECDSA_P384_SHA384_ASN1,
        (158, "sha512") => &aws::ECDSA_P521_SHA512_ASN1,
        (200.., "sha256") => &aws::RSA_PKCS1_2048_8192_SHA256,
        (200.., "sha384") => &aws::RSA_PKCS1_2048_8192_SHA384,
        (200.., "sha512") => &aws::RSA_PKCS1_2048_8192_SHA512,
        other => panic!("the host was asked for {other:?}"),
    };
    let key = UnparsedPublicKey::new(algorithm, check.spki);
    Some(key.verify(check.message, check.signature).is_ok())
}

fn signed(alg: Algorithm, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = json!({"alg": alg.name(), "typ": "JWT", "kid": "k"}).to_string();
    let input = format!("{}.{}", b64(header.as_bytes()), b64(br#"{"iss":"i"}"#));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", b64(&signature))
}

/// Good in the module and, if it has a form for hosts, at the host; bad when any part is touched.
fn check_both(key: &Jwk, token: &str, by: By) {
    let jws = Jws::parse(token).unwrap();
    assert_eq!(in_module(key, token), Outcome::Valid(By::Module));
    assert_eq!(verify(key, &jws, &mut host), Outcome::Valid(by));
    for at in [0, jws.signature.len() / 2, jws.signature.len() - 1] {
        let mut damaged = jws.clone();
        damaged.signature[at] ^= 1;
        assert_eq!(verify(key, &damaged, &mut |_| None), Outcome::Invalid);
        assert_eq!(verify(key, &damaged, &mut host), Outcome::Invalid);
    }
    let mut shorter = jws.clone();
    shorter.signature.pop();
    let mut longer = jws.clone();
    longer.signature.push(0);
    let mut shifted = jws.clone();
    shifted.signature.insert(0, 0);
    let mut other = jws.clone();
    other.signing_input = &token[1..token.rfind('.').unwrap()];
    for damaged in [shorter, longer, shifted] {
        let mut asked = false;
        let outcome = verify(key, &damaged, &mut |check| {
            asked = true;
            host(check)
        });
        assert_eq!(outcome, Outcome::Invalid);
        assert!(
            !asked,
            "a signature of the wrong length is no question for the host"
        );
    }
    assert_eq!(verify(key, &other, &mut |_| None), Outcome::Invalid);
}

#[test]
fn rsa_tokens_of_all_sizes_and_schemes() {
    let schemes: [(Algorithm, &'static dyn RsaEncoding, By); 6] = [
        (Algorithm::RS256, &aws::RSA_PKCS1_SHA256, By::Host),
        (Algorithm::RS384, &aws::RSA_PKCS1_SHA384, By::Host),
        (Algorithm::RS512, &aws::RSA_PKCS1_SHA512, By::Host),
        (Algorithm::PS256, &aws::RSA_PSS_SHA256, By::Module),
        (Algorithm::PS384, &aws::RSA_PSS_SHA384, By::Module),
        (Algorithm::PS512, &aws::RSA_PSS_SHA512, By::Module),
    ];
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        let pair = RsaKeyPair::generate(size).unwrap();
        let public = pair.public_key();
        let key = jwk(&json!({
            "kty": "RSA",
            "n": b64(public.modulus().big_endian_without_leading_zero()),
            "e": b64(public.exponent().big_endian_without_leading_zero()),
        }));
        let theirs: PublicKeyX509Der<'_> = public.as_der().unwrap();
        assert_eq!(key.spki, theirs.as_ref());
        for (alg, scheme, by) in schemes {
            let token = signed(alg, |message| {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(scheme, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            });
            check_both(&key, &token, by);
        }
    }
}

#[test]
fn ecdsa_tokens_of_all_curves() {
    let curves: [(Algorithm, &'static EcdsaSigningAlgorithm, &str, usize); 3] = [
        (
            Algorithm::ES256,
            &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
            "P-256",
            32,
        ),
        (
            Algorithm::ES384,
            &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
            "P-384",
            48,
        ),
        (
            Algorithm::ES512,
            &aws::ECDSA_P521_SHA512_FIXED_SIGNING,
            "P-521",
            66,
        ),
    ];
    // Many keys and signatures: those with a leading zero or a first bit set must be among them.
    for _ in 0..40 {
        for (alg, scheme, crv, length) in curves {
            let pair = EcdsaKeyPair::generate(scheme).unwrap();
            let (x, y) = pair.public_key().as_ref()[1..].split_at(length);
            let key = jwk(&ec(crv, x, y));
            let theirs: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            assert_eq!(key.spki, theirs.as_ref());
            let token = signed(alg, |message| {
                pair.sign(&SystemRandom::new(), message)
                    .unwrap()
                    .as_ref()
                    .to_vec()
            });
            check_both(&key, &token, By::Host);
        }
    }
}

fn ec(crv: &str, x: &[u8], y: &[u8]) -> Value {
    json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
}

#[test]
fn ed25519_tokens_never_go_to_the_host() {
    for _ in 0..20 {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = jwk(&json!({
            "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())
        }));
        let token = signed(Algorithm::EdDSA, |message| {
            pair.sign(message).as_ref().to_vec()
        });
        check_both(&key, &token, By::Module);
    }
}

#[test]
fn hmac_tokens() {
    for (alg, scheme) in [
        (Algorithm::HS256, aws_hmac::HMAC_SHA256),
        (Algorithm::HS384, aws_hmac::HMAC_SHA384),
        (Algorithm::HS512, aws_hmac::HMAC_SHA512),
    ] {
        for length in [2, 31, 32, 64, 65, 128, 129, 300] {
            let secret = vec![7; length];
            let key = aws_hmac::Key::new(scheme, &secret);
            let token = signed(alg, |message| {
                aws_hmac::sign(&key, message).as_ref().to_vec()
            });
            let mut jws = Jws::parse(&token).unwrap();
            assert!(verify_hmac(alg, &secret, &jws));
            assert!(!verify_hmac(alg, &secret[1..], &jws));
            jws.signature.pop();
            assert!(!verify_hmac(alg, &secret, &jws), "truncated");
        }
    }
}

#[test]
fn the_probe_finds_a_sound_host_sound() {
    assert!(probe::host_is_sound(&mut host));
    for known in probe::checks() {
        assert_eq!(host(&known.check), Some(known.expected));
    }
}
