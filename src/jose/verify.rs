//! Whether a key, or a secret, made a token's signature (RFC 7515 section 5.2, step 8).

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::alg::Algorithm;
use super::jwk::Jwk;
use super::jws::Jws;
use super::key::HostForm;
use crate::host::SignatureCheck;

/// The shortest secret that verifies anything, in bytes. Kong takes a secret of one character for a
/// configuration that lost its secret.
pub(super) const SHORTEST_SECRET: usize = 2;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The key made this signature.
    Valid(By),
    /// It did not, or the key does not go with the algorithm.
    Invalid,
}

/// Who did the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The host's own cryptography.
    Host,
    /// This module.
    Module,
}

/// Verifies a token's signature with one public key (RFC 7515 section 5.2; RFC 7518 sections 3.3 to
/// 3.5; RFC 8037 section 3.1).
///
/// The key must be one for the token's algorithm, so a public key is never a secret (RFC 8725 section
/// 2.1). Form and range of the signature are checked here; then `host` is asked, and where it says
/// nothing (`None`) the module computes.
pub fn verify(
    key: &Jwk,
    jws: &Jws<'_>,
    host: &mut dyn FnMut(&SignatureCheck<'_>) -> Option<bool>,
) -> Outcome {
    let alg = jws.header.alg;
    if !key.fits(alg) {
        return Outcome::Invalid;
    }
    let message = jws.signing_input.as_bytes();
    let form = key.key.host_form(alg, &jws.signature);
    let signature = match &form {
        HostForm::Malformed => return Outcome::Invalid,
        HostForm::None => None,
        HostForm::AsIs => Some(jws.signature.as_slice()),
        HostForm::Der(der) => Some(der.as_slice()),
    };
    let answer = signature.and_then(|signature| {
        host(&SignatureCheck {
            hash: alg.hash_name(),
            spki: &key.spki,
            signature,
            message,
        })
    });
    match answer {
        Some(true) => Outcome::Valid(By::Host),
        Some(false) => Outcome::Invalid,
        None if key.key.verify(alg, message, &jws.signature) => Outcome::Valid(By::Module),
        None => Outcome::Invalid,
    }
}

/// Verifies a token's HMAC with a shared secret, in constant time (RFC 7518 section 3.2).
///
/// False for any algorithm that is not symmetric, whatever the secret, and for a secret of less than
/// two bytes.
pub fn verify_hmac(alg: Algorithm, secret: &[u8], jws: &Jws<'_>) -> bool {
    if alg != jws.header.alg || secret.len() < SHORTEST_SECRET {
        return false;
    }
    let message = jws.signing_input.as_bytes();
    match alg {
        Algorithm::HS256 => hmac_is::<Hmac<Sha256>>(secret, message, &jws.signature),
        Algorithm::HS384 => hmac_is::<Hmac<Sha384>>(secret, message, &jws.signature),
        Algorithm::HS512 => hmac_is::<Hmac<Sha512>>(secret, message, &jws.signature),
        _ => false,
    }
}

fn hmac_is<M: Mac + KeyInit>(secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else {
        return false;
    };
    mac.update(message);
    mac.verify_slice(signature).is_ok()
}
