//! The tests of this room that look at more than one of its files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a panic is how a test fails"
)]

mod attacks;
mod differential;
mod keys;
mod private_keys;
mod rfc;
mod robustness;
mod signing;
mod wycheproof;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Jwk, Jws, Outcome, verify};

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn jwk(members: &Value) -> Jwk {
    Jwk::from_members(members.as_object().unwrap()).unwrap()
}

/// A token with a signature of our making.
fn token(header: &str, payload: &[u8], signature: &[u8]) -> String {
    format!(
        "{}.{}.{}",
        b64(header.as_bytes()),
        b64(payload),
        b64(signature)
    )
}

/// Without a host.
fn in_module(key: &Jwk, token: &str) -> Outcome {
    verify(key, &Jws::parse(token).unwrap(), &mut |_| None)
}
