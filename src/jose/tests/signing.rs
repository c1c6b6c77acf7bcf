//! Keys of our own: what is refused, what is published, and signatures that an independent library (AWS-LC)
//! takes.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use aws_lc_rs::{hmac as aws_hmac, rand::SystemRandom};
use serde_json::{Map, Value, json};

use super::private_keys::refused;
use super::{b64, in_module, jwk, rfc, unb64};
use crate::jose::{
    Algorithm, By, Jws, Outcome, PrivateJwk, public_jwks, sign, sign_hmac, verify_hmac,
};

const ENTROPY: [u8; 32] = [7; 32];

pub(super) fn private(members: &Value) -> PrivateJwk {
    PrivateJwk::from_members(members.as_object().unwrap()).unwrap()
}

pub(super) fn with(key: &Value, members: Value) -> Value {
    let mut key = key.clone();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => {
                key.as_object_mut().unwrap().remove(name);
            }
            value => key[name] = value.clone(),
        }
    }
    key
}

fn claims() -> Map<String, Value> {
    json!({ "iss": "me", "n": 1 }).as_object().unwrap().clone()
}

/// RFC 7515 appendix A.3.1.
pub(super) fn p256() -> Value {
    with(
        &rfc::keys()[1],
        json!({ "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI" }),
    )
}

/// RFC 8037 appendix A.1.
pub(super) fn ed25519() -> Value {
    with(
        &rfc::keys()[3],
        json!({ "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" }),
    )
}

/// An RSA key as AWS-LC makes it, and the same as a JWK: the numbers of RSAPrivateKey (RFC 8017 appendix
/// A.1.2) in their order.
pub(super) fn rsa(size: KeySize) -> (RsaKeyPair, Value) {
    let pair = RsaKeyPair::generate(size).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let (_, info, _) = tlv(der.as_ref());
    let (_, _version, rest) = tlv(info);
    let (_, _algorithm, rest) = tlv(rest);
    let (_, octets, _) = tlv(rest);
    let (_, mut numbers, _) = tlv(octets);
    let mut key = json!({ "kty": "RSA" });
    for name in ["version", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let (_, number, rest) = tlv(numbers);
        let number = if number[0] == 0 && number.len() > 1 {
            &number[1..]
        } else {
            number
        };
        if name != "version" {
            key[name] = json!(b64(number));
        }
        numbers = rest;
    }
    (pair, key)
}

/// The tag, the content, and what follows it.
fn tlv(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, at) = match der[1] {
        short if short < 0x80 => (short as usize, 2),
        long => {
            let count = (long & 0x7f) as usize;
            let length = der[2..2 + count]
                .iter()
                .fold(0, |sum, byte| sum << 8 | *byte as usize);
            (length, 2 + count)
        }
    };
    (der[0], &der[at..at + length], &der[at + length..])
}

/// Good for the independent library and for our own verifier; another message is not.
#[track_caller]
fn check(
    key: &PrivateJwk,
    members: &Value,
    alg: Algorithm,
    theirs: &'static dyn VerificationAlgorithm,
    point: &[u8],
) {
    let token = sign(key, alg, &claims(), &ENTROPY).unwrap();
    let jws = Jws::parse(&token).unwrap();
    assert_eq!(jws.header.alg, alg);
    let public = UnparsedPublicKey::new(theirs, point);
    public
        .verify(jws.signing_input.as_bytes(), &jws.signature)
        .unwrap();
    assert!(public.verify(b"another message", &jws.signature).is_err());
    assert_eq!(in_module(&jwk(members), &token), Outcome::Valid(By::Module));
    // The published key is the one that verifies, and nothing else is in it.
    let set = public_jwks([key]);
    assert_eq!(
        in_module(&jwk(&set["keys"][0]), &token),
        Outcome::Valid(By::Module)
    );
}

#[test]
fn rsa_signatures_of_all_schemes_are_good_for_aws_lc() {
    let schemes: [(
        Algorithm,
        &'static dyn VerificationAlgorithm,
        Option<&'static dyn RsaEncoding>,
    ); 6] = [
        (
            Algorithm::RS256,
            &aws::RSA_PKCS1_2048_8192_SHA256,
            Some(&aws::RSA_PKCS1_SHA256),
        ),
        (
            Algorithm::RS384,
            &aws::RSA_PKCS1_2048_8192_SHA384,
            Some(&aws::RSA_PKCS1_SHA384),
        ),
        (
            Algorithm::RS512,
            &aws::RSA_PKCS1_2048_8192_SHA512,
            Some(&aws::RSA_PKCS1_SHA512),
        ),
        (Algorithm::PS256, &aws::RSA_PSS_2048_8192_SHA256, None),
        (Algorithm::PS384, &aws::RSA_PSS_2048_8192_SHA384, None),
        (Algorithm::PS512, &aws::RSA_PSS_2048_8192_SHA512, None),
    ];
    for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
        let (pair, members) = rsa(size);
        // With the primes, and with `d` alone, from which they are found again.
        let bare = with(
            &members,
            json!({ "p": null, "q": null, "dp": null, "dq": null, "qi": null }),
        );
        for members in [&members, &bare] {
            let key = private(members);
            for (alg, theirs, deterministic) in schemes {
                check(&key, members, alg, theirs, pair.public_key().as_ref());
                let message = b"the same message";
                let once = key.sign(alg, message, &ENTROPY).unwrap();
                assert_eq!(key.sign(alg, message, &ENTROPY).unwrap(), once);
                let other = key.sign(alg, message, &[8; 32]).unwrap();
                match deterministic {
                    Some(scheme) => {
                        let mut expected = vec![0; pair.public_modulus_len()];
                        pair.sign(scheme, &SystemRandom::new(), message, &mut expected)
                            .unwrap();
                        assert_eq!(once, expected, "PKCS#1 v1.5 has one signature");
                        assert_eq!(other, expected, "blinding does not show");
                    }
                    None => assert_ne!(once, other, "the salt is the caller's randomness"),
                }
            }
            for alg in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256] {
                assert_eq!(sign(&key, alg, &claims(), &ENTROPY), None);
            }
        }
    }
}

#[test]
fn ecdsa_signatures_of_all_curves_are_good_for_aws_lc() {
    type Curve = (
        Algorithm,
        &'static str,
        usize,
        &'static EcdsaSigningAlgorithm,
        &'static dyn VerificationAlgorithm,
    );
    let curves: [Curve; 3] = [
        (
            Algorithm::ES256,
            "P-256",
            32,
            &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
            &aws::ECDSA_P256_SHA256_FIXED,
        ),
        (
            Algorithm::ES384,
            "P-384",
            48,
            &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
            &aws::ECDSA_P384_SHA384_FIXED,
        ),
        (
            Algorithm::ES512,
            "P-521",
            66,
            &aws::ECDSA_P521_SHA512_FIXED_SIGNING,
            &aws::ECDSA_P521_SHA512_FIXED,
        ),
    ];
    for (alg, crv, length, scheme, theirs) in curves {
        for _ in 0..10 {
            let pair = EcdsaKeyPair::generate(scheme).unwrap();
            let point = pair.public_key().as_ref();
            let (x, y) = point[1..].split_at(length);
            let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
            let members = json!({
                "kty": "EC", "crv": crv, "x": b64(x), "y": b64(y), "d": b64(d.as_ref()),
            });
            let key = private(&members);
            assert_eq!(key.algorithm(None), Some(alg));
            check(&key, &members, alg, theirs, point);
            let other = if alg == Algorithm::ES256 {
                Algorithm::ES384
            } else {
                Algorithm::ES256
            };
            assert_eq!(sign(&key, other, &claims(), &ENTROPY), None);
            assert_eq!(key.algorithm(Some(other)), None);
            refused(
                &with(&members, json!({ "d": b64(&d.as_ref()[1..]) })),
                "d",
                "not as long",
            );
            refused(
                &with(&members, json!({ "d": b64(&vec![0; length]) })),
                "d",
                "no private key",
            );
            refused(
                &with(&members, json!({ "d": b64(&vec![0xff; length]) })),
                "d",
                "no private key",
            );
        }
    }
}

#[test]
fn eddsa_signatures_are_good_for_aws_lc() {
    for _ in 0..10 {
        let pair = Ed25519KeyPair::generate().unwrap();
        let seed = pair.seed().unwrap().as_be_bytes().unwrap();
        let public = pair.public_key().as_ref();
        let members = json!({
            "kty": "OKP", "crv": "Ed25519", "x": b64(public), "d": b64(seed.as_ref()),
        });
        let key = private(&members);
        check(&key, &members, Algorithm::EdDSA, &aws::ED25519, public);
        assert_eq!(
            key.sign(Algorithm::EdDSA, b"m", &ENTROPY).unwrap(),
            pair.sign(b"m").as_ref()
        );
    }
}

#[test]
fn rfc8037_a4_and_rfc6979_a25_known_answers() {
    let signature = private(&ed25519())
        .sign(
            Algorithm::EdDSA,
            b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            &ENTROPY,
        )
        .unwrap();
    assert_eq!(
        b64(&signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let hex = |text: &str| {
        let digits = text.as_bytes().chunks(2);
        let bytes =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        bytes.collect::<Vec<u8>>()
    };
    let key = private(&json!({
        "kty": "EC", "crv": "P-256",
        "d": b64(&hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")),
        "x": b64(&hex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")),
        "y": b64(&hex("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")),
    }));
    let expected = hex(concat!(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    ));
    assert_eq!(
        key.sign(Algorithm::ES256, b"sample", &ENTROPY).unwrap(),
        expected
    );
}

#[test]
fn hmac_signatures_are_good_for_aws_lc() {
    let secret = b"a secret of the client, long enough for anything";
    for (alg, scheme) in [
        (Algorithm::HS256, aws_hmac::HMAC_SHA256),
        (Algorithm::HS384, aws_hmac::HMAC_SHA384),
        (Algorithm::HS512, aws_hmac::HMAC_SHA512),
    ] {
        let token = sign_hmac(secret, alg, &claims()).unwrap();
        let jws = Jws::parse(&token).unwrap();
        let key = aws_hmac::Key::new(scheme, secret);
        aws_hmac::verify(&key, jws.signing_input.as_bytes(), &jws.signature).unwrap();
        assert!(verify_hmac(alg, secret, &jws) && !verify_hmac(alg, b"another", &jws));
        assert_eq!(sign_hmac(b"x", alg, &claims()), None, "trap T2");
        assert_eq!(sign_hmac(b"", alg, &claims()), None, "trap T2");
    }
    for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert_eq!(sign_hmac(secret, alg, &claims()), None);
    }
}

#[test]
fn the_header_names_the_key() {
    let names = json!({ "kid": "a \"key\"", "x5t": "dGh1bWI", "x5t#S256": "dGh1bWIy" });
    let key = private(&with(&p256(), names));
    let token = sign(&key, Algorithm::ES256, &claims(), &ENTROPY).unwrap();
    let header: Value = serde_json::from_slice(&unb64(token.split('.').next().unwrap())).unwrap();
    let expected = json!({
        "alg": "ES256", "typ": "JWT", "kid": "a \"key\"", "x5t": "dGh1bWI", "x5t#S256": "dGh1bWIy",
    });
    assert_eq!(header, expected);
    assert_eq!(
        Jws::parse(&token).unwrap().payload,
        br#"{"iss":"me","n":1}"#
    );
    let bare = sign(&private(&p256()), Algorithm::ES256, &claims(), &ENTROPY).unwrap();
    let header: Value = serde_json::from_slice(&unb64(bare.split('.').next().unwrap())).unwrap();
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT" }));
}

#[test]
fn t03_no_private_member_is_published_or_printed() {
    let (_, rsa) = rsa(KeySize::Rsa2048);
    let members = json!({ "kid": "k1", "use": "sig", "key_ops": ["sign"], "issuer": "us", "x5c": ["AA"], "alg": "PS256" });
    let keys = [with(&rsa, members), p256(), ed25519()];
    let made: Vec<PrivateJwk> = keys.iter().map(private).collect();
    let set = public_jwks(made.iter().chain(&made));
    let text = format!("{set} {made:?} {made:#?}");
    for key in &keys {
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            if let Some(secret) = key.get(name) {
                assert!(!text.contains(secret.as_str().unwrap()), "{name}");
            }
        }
    }
    let list = set["keys"].as_array().unwrap();
    let names = |key: &Value| {
        let names: Vec<&str> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.join(" ")
    };
    let names: Vec<String> = list.iter().map(names).collect();
    assert_eq!(
        names,
        ["alg e kid kty n use", "crv kty use x y", "crv kty use x"],
        "each key once"
    );
    assert_eq!(
        (&list[0]["kid"], &list[0]["alg"]),
        (&json!("k1"), &json!("PS256"))
    );
    assert_eq!(public_jwks([]), json!({ "keys": [] }));
}
