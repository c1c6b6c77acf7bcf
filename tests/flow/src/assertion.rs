//! What a provider asks of a client that proves itself with a JWT (RFC 7523 section 3).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use oidc_filter::jose::Jws;
use serde_json::{Value, json};
use support::issuer::b64;

use crate::idp::{CLIENT, SECRET};
use crate::stage::ISSUER;

const X: [u8; 32] = [
    127, 205, 206, 39, 112, 246, 196, 93, 65, 131, 203, 238, 111, 219, 75, 123, 88, 7, 51, 53, 123,
    233, 239, 19, 186, 207, 110, 60, 123, 209, 84, 69,
];
const Y: [u8; 32] = [
    199, 241, 68, 205, 27, 189, 155, 126, 135, 44, 223, 237, 185, 238, 185, 244, 179, 105, 93, 110,
    169, 11, 36, 173, 138, 70, 35, 40, 133, 136, 229, 173,
];
const D: [u8; 32] = [
    142, 155, 16, 158, 113, 144, 152, 191, 152, 4, 135, 223, 31, 93, 119, 233, 203, 41, 96, 110,
    190, 210, 38, 59, 95, 87, 194, 19, 223, 132, 244, 178,
];

/// The client's private key: that of RFC 7515 appendix A.3.1.
#[must_use]
pub fn client_jwk() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "kid": "mine", "x": b64(&X), "y": b64(&Y), "d": b64(&D) })
}

/// How the client proved itself, and the `jti`; `None` if it did not.
pub(crate) fn method(assertion: &str, now: u64) -> Option<(&'static str, String)> {
    let jws = Jws::parse(assertion).ok()?;
    let message = jws.signing_input.as_bytes();
    let method = match jws.header.alg.name() {
        "ES256" => {
            let point = [&[4], X.as_slice(), Y.as_slice()].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(message, &jws.signature).ok()?;
            "private_key_jwt"
        }
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            hmac::verify(&key, message, &jws.signature).ok()?;
            "client_secret_jwt"
        }
        _ => return None,
    };
    let claims: Value = serde_json::from_slice(&jws.payload).ok()?;
    let exp = claims["exp"].as_u64()?;
    let good = claims["iss"] == CLIENT
        && claims["sub"] == CLIENT
        && claims["aud"] == ISSUER
        && claims["iat"] == now
        && (now + 1..=now + 300).contains(&exp);
    let jti = claims["jti"].as_str().filter(|jti| jti.len() >= 22)?;
    good.then(|| (method, jti.to_owned()))
}
