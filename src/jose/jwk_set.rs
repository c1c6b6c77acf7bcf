//! A provider's keys (RFC 7517 section 5) and which of them may have signed a token.

use std::fmt;

use serde_json::Value;

use super::alg::Algorithm;
use super::header::JwsHeader;
use super::jwk::Jwk;

/// The longest key set that is read, in bytes: 64 keys with certificate chains have about 200 KB.
pub const MAX_SET: usize = 256 * 1024;

/// How many keys of a set are looked at.
pub const MAX_KEYS: usize = 64;

/// How many keys are tried on a token that does not name its key: each costs a verification.
pub const MAX_TRIED: usize = 8;

/// The usable keys of a set.
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    /// In the order of the set.
    pub keys: Vec<Jwk>,
    /// The `kid` of each key that is not used, and why not: for the operator's log. RFC 7517 section
    /// 5 has unusable keys ignored, not the set refused.
    pub skipped: Vec<(Option<String>, &'static str)>,
}

impl JwkSet {
    /// Reads a set (RFC 7517 section 5.1).
    pub fn parse(json: &[u8]) -> Result<JwkSet, JwkError> {
        if json.len() > MAX_SET {
            return Err(JwkError::TooLarge);
        }
        let mut document: Value = serde_json::from_slice(json).map_err(|_| JwkError::NotJson)?;
        let Some(Value::Array(entries)) = document.get_mut("keys").map(Value::take) else {
            return Err(JwkError::NoKeys);
        };
        let mut set = JwkSet::default();
        for entry in entries.iter().take(MAX_KEYS) {
            let read = entry
                .as_object()
                .ok_or("the entry is no JSON object")
                .and_then(Jwk::from_members);
            match read {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push((kid_of(entry), reason)),
            }
        }
        if let Some(entry) = entries.get(MAX_KEYS) {
            set.skipped.push((
                kid_of(entry),
                "the set has more than 64 keys: this and all later ones are left out",
            ));
        }
        Ok(set)
    }

    /// The keys that the token names by `kid`, `x5t` or `x5t#S256`, byte for byte, and that are for
    /// its algorithm (RFC 7515 appendix D; keys of one name are told apart by algorithm). For a token
    /// that names none these are the [`fitting`](JwkSet::fitting) ones.
    pub fn candidates<'a>(&'a self, header: &'a JwsHeader) -> impl Iterator<Item = &'a Jwk> + 'a {
        let by_name = header.names_a_key();
        self.fitting_keys(header.alg)
            .filter(move |key| !by_name || is_named(key, header))
            .take(MAX_TRIED)
    }

    /// The keys that are for this algorithm, whatever they are called: for a token that names no key,
    /// or one that fetching the keys anew did not bring.
    pub fn fitting(&self, alg: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.fitting_keys(alg).take(MAX_TRIED)
    }

    fn fitting_keys(&self, alg: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.keys.iter().filter(move |key| key.fits(alg))
    }
}

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwkError {
    /// Longer than [`MAX_SET`].
    TooLarge,
    /// Not JSON.
    NotJson,
    /// No array `keys` (RFC 7517 section 5.1).
    NoKeys,
}

impl JwkError {
    /// The stable name of this error.
    pub fn code(self) -> &'static str {
        match self {
            JwkError::TooLarge => "jwks_too_large",
            JwkError::NotJson => "jwks_not_json",
            JwkError::NoKeys => "jwks_without_keys",
        }
    }
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwkError::TooLarge => "the key set is longer than 256 KiB",
            JwkError::NotJson => "the key set is not JSON",
            JwkError::NoKeys => "the key set has no array `keys`",
        })
    }
}

impl std::error::Error for JwkError {}

fn is_named(key: &Jwk, header: &JwsHeader) -> bool {
    let same = |named: &Option<String>, own: &Option<String>| named.is_some() && named == own;
    same(&header.kid, &key.kid)
        || same(&header.x5t, &key.x5t)
        || same(&header.x5t_s256, &key.x5t_s256)
}

fn kid_of(entry: &Value) -> Option<String> {
    entry
        .get("kid")
        .and_then(Value::as_str)
        .map(|kid| kid.chars().take(MAX_LOGGED).collect())
}

/// How much of a `kid` goes into a log, in characters.
const MAX_LOGGED: usize = 100;
