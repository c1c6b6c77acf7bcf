//! JWTs of our own (RFC 7515 section 5.1, RFC 7519 section 7.1): what we show to a provider to prove who we
//! are.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::{Sha256, Sha384, Sha512};

use super::alg::Algorithm;
use super::private_jwk::PrivateJwk;
use super::private_key::Entropy;
use super::verify::SHORTEST_SECRET;

/// A JWT signed with a private key. Its header names the key by `kid`, and by the thumbprints of its
/// certificate where the key has them (RFC 7515 sections 4.1.4, 4.1.7 and 4.1.8). `None` where the
/// algorithm is not for this key.
#[must_use]
pub fn sign(
    key: &PrivateJwk,
    alg: Algorithm,
    claims: &Map<String, Value>,
    entropy: &Entropy,
) -> Option<String> {
    let names = [
        ("kid", &key.public.kid),
        ("x5t", &key.public.x5t),
        ("x5t#S256", &key.public.x5t_s256),
    ];
    let input = signing_input(alg, &names, claims);
    let signature = key.sign(alg, input.as_bytes(), entropy)?;
    Some(joined(&input, &signature))
}

/// A JWT under a shared secret. `None` for an algorithm that is not symmetric, and for a secret of less
/// than two bytes.
#[must_use]
pub fn sign_hmac(secret: &[u8], alg: Algorithm, claims: &Map<String, Value>) -> Option<String> {
    if secret.len() < SHORTEST_SECRET {
        return None;
    }
    let input = signing_input(alg, &[], claims);
    let message = input.as_bytes();
    let signature = match alg {
        Algorithm::HS256 => hmac::<Hmac<Sha256>>(secret, message)?,
        Algorithm::HS384 => hmac::<Hmac<Sha384>>(secret, message)?,
        Algorithm::HS512 => hmac::<Hmac<Sha512>>(secret, message)?,
        _ => return None,
    };
    Some(joined(&input, &signature))
}

fn hmac<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(secret).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

fn signing_input(
    alg: Algorithm,
    names: &[(&str, &Option<String>)],
    claims: &Map<String, Value>,
) -> String {
    let mut header = Map::new();
    header.insert("alg".to_owned(), Value::from(alg.name()));
    header.insert("typ".to_owned(), Value::from("JWT"));
    for (name, value) in names {
        if let Some(value) = value {
            header.insert((*name).to_owned(), Value::from(value.as_str()));
        }
    }
    let part = |map: &Map<String, Value>| {
        URL_SAFE_NO_PAD.encode(serde_json::to_string(map).unwrap_or_default())
    };
    format!("{}.{}", part(&header), part(claims))
}

fn joined(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
