//! Signatures of tokens: JWS, JWK and the algorithms (RFC 7515, RFC 7517, RFC 7518, RFC 8037).
//!
//! # The tour
//!
//! 1. [`Jws::parse`] takes a token apart, with no tolerance for anything that two readers could read
//!    differently.
//! 2. [`JwkSet::parse`] keeps the keys of a provider that are fit for verifying, and the reasons why
//!    others are not. [`JwkSet::candidates`] picks those that may have signed a token.
//! 3. [`verify`] says whether a key did, [`verify_hmac`] whether a secret did. Where the host has
//!    cryptography that passed the [`probe`], it computes; the module otherwise.
//! 4. [`PrivateJwk`] is a key of ours. [`sign`] and [`sign_hmac`] make the JWTs that prove to a provider
//!    who we are; [`public_jwks`] is what the provider verifies them with.
//!
//! What is refused (RFC 8725 and the advisories behind it): `none`, encrypted tokens, `crit`, keys in
//! the token, secrets in key sets, a key under another algorithm than its own. Only the compact form
//! exists here. Nothing decrypts.

mod alg;
mod der;
mod header;
mod jwk;
mod jwk_set;
mod jws;
mod key;
mod private_jwk;
mod private_key;
pub mod probe;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub use alg::Algorithm;
pub use jwk::Jwk;
pub use jwk_set::{JwkError, JwkSet, MAX_KEYS, MAX_SET, MAX_TRIED};
pub use jws::{Jws, JwsError, JwsHeader, MAX_HEADER, MAX_TOKEN};
pub use key::PublicKey;
pub use private_jwk::{JwkFault, PrivateJwk, public_jwks};
pub use private_key::Entropy;
pub use sign::{sign, sign_hmac};
pub use verify::{By, Outcome, verify, verify_hmac};
