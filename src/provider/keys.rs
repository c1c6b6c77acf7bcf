//! The keys that one fetch brought, and what was learned beside them.

use super::Metadata;
use crate::account::shown;
use crate::host::Time;
use crate::jose::{Algorithm, Jwk, JwkSet, JwsHeader};

/// A provider's keys at one moment.
pub struct KeySet {
    /// What the metadata said; empty without discovery.
    pub metadata: Metadata,
    /// The primary set, then those of `extra_jwks_uris`, in their order.
    pub sets: Vec<JwkSet>,
    /// When the fetch ended.
    pub fetched: Time,
    /// Changes when the set of keys in force does: what an older generation's key verified is looked at again.
    pub generation: u64,
}

/// How many keys are tried for a token that names none.
const MAX_TRIED: usize = 8;

impl KeySet {
    /// The keys that the token's `kid` or certificate thumbprint names, for its algorithm.
    pub fn named<'a>(&'a self, header: &'a JwsHeader) -> impl Iterator<Item = &'a Jwk> {
        self.sets
            .iter()
            .flat_map(move |set| set.candidates(header))
            .take(MAX_TRIED)
    }

    /// The keys that fit an algorithm, for a token whose key is not named or not known
    /// (specification section 7.1).
    pub fn fitting(&self, algorithm: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.sets
            .iter()
            .flat_map(move |set| set.fitting(algorithm))
            .take(MAX_TRIED)
    }

    /// Whether a key is still there.
    pub fn holds(&self, thumbprint: &[u8; 32]) -> bool {
        self.thumbprints().any(|own| own == thumbprint)
    }

    /// The key of this thumbprint.
    pub fn key(&self, thumbprint: &[u8; 32]) -> Option<&Jwk> {
        let keys = self.sets.iter().flat_map(|set| set.keys.iter());
        keys.into_iter().find(|key| key.thumbprint == *thumbprint)
    }

    /// The names of the keys, for the log; of those that have none, the number.
    pub fn ids(&self) -> String {
        let keys = || self.sets.iter().flat_map(|set| &set.keys);
        let named = keys().filter_map(|key| shown(key.kid.as_deref()?));
        let mut ids: Vec<String> = named.collect();
        let nameless = keys().count().saturating_sub(ids.len());
        if nameless > 0 {
            ids.push(format!("{nameless} without kid"));
        }
        ids.join(", ")
    }

    /// Whether both hold the same keys.
    pub fn same_keys(&self, other: &KeySet) -> bool {
        self.thumbprints().all(|own| other.holds(own))
            && other.thumbprints().all(|theirs| self.holds(theirs))
    }

    fn thumbprints(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.sets
            .iter()
            .flat_map(|set| set.keys.iter().map(|key| &key.thumbprint))
    }
}
