//! Whose signature a token bears: the same search for access tokens and ID tokens (specification
//! section 7.1).

use std::rc::Rc;

use super::{KeySet, Provider};
use crate::config::Secret;
use crate::failure::Refusal;
use crate::host::{Counter, Host, Time};
use crate::jose::{self, By, Jwk, Jws, Outcome};

/// The key that made a signature.
pub struct Signer {
    /// Its thumbprint (RFC 7638).
    pub thumbprint: [u8; 32],
    /// The keys among which it was found.
    pub keys: Rc<KeySet>,
}

/// HS*: only where it was asked for, with the client's secret. A public key is never used as a
/// secret: the algorithm decides which of the two is looked at.
pub fn with_secret(secret: Option<&Secret>, jws: &Jws<'_>) -> Result<(), Refusal> {
    let secret = secret.ok_or_else(|| {
        Refusal::bad_credential(
            "algorithm_not_allowed",
            format!("{} is off (`enable_hs_signatures`)", jws.header.alg.name()),
        )
    })?;
    if jose::verify_hmac(jws.header.alg, secret.expose().as_bytes(), jws) {
        Ok(())
    } else {
        Err(invalid())
    }
}

/// Finds the key that signed the token: by its name, then after one rediscovery, then by its
/// algorithm. `arrived`: when the request came that brought the token.
pub async fn with_key(
    provider: &Rc<Provider>,
    host: &Rc<dyn Host>,
    jws: &Jws<'_>,
    arrived: Time,
) -> Result<Signer, Refusal> {
    let names_a_key = jws.header.names_a_key();
    let mut keys = provider.keys(host).await?;
    // For a token that names no key these are all that fit its algorithm.
    let mut found = any_good(&**host, jws, keys.named(&jws.header));
    let unknown = found == Found::NoKey || found == Found::NoneGood && !names_a_key;
    if unknown && let Some(newer) = provider.rediscover(host, &keys, arrived).await {
        keys = newer;
        found = any_good(&**host, jws, keys.named(&jws.header));
    }
    if found == Found::NoKey && names_a_key {
        found = any_good(&**host, jws, keys.fitting(jws.header.alg));
    }
    match found {
        Found::Good(thumbprint) => Ok(Signer { thumbprint, keys }),
        Found::NoneGood => Err(invalid()),
        Found::NoKey => Err(Refusal::bad_credential(
            "key_unknown",
            "the provider has no key for this token",
        )),
    }
}

/// The key among these that signed a token, if any did: nobody is asked for others.
pub fn signer_among<'a>(host: &dyn Host, keys: &'a KeySet, jws: &Jws<'_>) -> Option<&'a Jwk> {
    if jws.header.alg.is_symmetric() {
        return None;
    }
    let mut found = any_good(host, jws, keys.named(&jws.header));
    if found == Found::NoKey {
        found = any_good(host, jws, keys.fitting(jws.header.alg));
    }
    match found {
        Found::Good(thumbprint) => keys.key(&thumbprint),
        Found::NoneGood | Found::NoKey => None,
    }
}

fn invalid() -> Refusal {
    Refusal::bad_credential("signature_invalid", "the signature is not good")
}

#[derive(PartialEq, Eq)]
enum Found {
    /// The key with this thumbprint verified the signature.
    Good([u8; 32]),
    /// There were keys, and none of them verified it.
    NoneGood,
    /// There was no key to try.
    NoKey,
}

fn any_good<'a>(host: &dyn Host, jws: &Jws<'_>, keys: impl Iterator<Item = &'a Jwk>) -> Found {
    let mut found = Found::NoKey;
    for key in keys {
        match jose::verify(key, jws, &mut |check| host.verify_signature(check)) {
            Outcome::Valid(by) => {
                host.count(match by {
                    By::Host => Counter::VerifiedByHost,
                    By::Module => Counter::VerifiedInModule,
                });
                return Found::Good(key.thumbprint);
            }
            Outcome::Invalid => found = Found::NoneGood,
        }
    }
    found
}
