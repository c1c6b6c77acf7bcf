//! Sealing: what a client keeps for us and must neither read nor change.
//!
//! AES-256-GCM-SIV (RFC 8452), which stays safe when a nonce repeats: random numbers are weak on one of
//! our hosts. Each purpose has a key of its own, derived with HKDF-SHA256 (RFC 5869), so that nothing
//! sealed for one purpose opens for another.

use std::cell::Cell;
use std::fmt;

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::MOST_BYTES;
use crate::config::Secret;

/// The version of all that is derived and sealed here. Another one opens nothing of this one.
const FORMAT: u8 = 1;
const SALT: &[u8] = b"oidc-filter";

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// What something is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session in its cookie.
    Session,
    /// A login under way, in its cookie.
    Login,
    /// The `state` of an authorization request (RFC 6749 section 4.1.1).
    State,
    /// What a refresh brought, for the other workers of this host.
    Refreshed,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Session => "session",
            Purpose::Login => "login",
            Purpose::State => "state",
            Purpose::Refreshed => "refreshed",
        }
    }
}

/// The keys of one `session_secret` and of those before it (row Q, our `session_secrets_previous`).
/// `Debug` prints nothing of them.
pub struct Keyring {
    /// The first one seals, all of them open.
    keys: Vec<Keys>,
    /// The state of [`Keyring::random`], and how often it was asked.
    pool: Cell<[u8; 32]>,
    asked: Cell<u64>,
}

/// The keys of one secret.
struct Keys {
    /// Says which secret sealed something. Derived, so that all replicas agree without being told.
    id: [u8; KEY_ID_BYTES],
    session: Aes256GcmSiv,
    login: Aes256GcmSiv,
    state: Aes256GcmSiv,
    refreshed: Aes256GcmSiv,
    /// For [`Keyring::marks`].
    mark: [u8; 32],
}

impl Keys {
    fn derive(secret: &Secret) -> Option<Keys> {
        let kdf = Hkdf::<Sha256>::new(Some(SALT), secret.expose().as_bytes());
        let cipher = |purpose: Purpose| {
            let key: [u8; 32] = expand(&kdf, purpose.name())?;
            Some(Aes256GcmSiv::new(&key.into()))
        };
        Some(Keys {
            id: expand(&kdf, "key id")?,
            session: cipher(Purpose::Session)?,
            login: cipher(Purpose::Login)?,
            state: cipher(Purpose::State)?,
            refreshed: cipher(Purpose::Refreshed)?,
            mark: expand(&kdf, "mark")?,
        })
    }

    fn cipher(&self, purpose: Purpose) -> &Aes256GcmSiv {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::Login => &self.login,
            Purpose::State => &self.state,
            Purpose::Refreshed => &self.refreshed,
        }
    }
}

impl Keyring {
    /// Derives the keys. `current` seals; `previous` still open what they sealed.
    pub fn new(current: &Secret, previous: &[Secret]) -> Keyring {
        let secrets = std::iter::once(current).chain(previous);
        let kdf = Hkdf::<Sha256>::new(Some(SALT), current.expose().as_bytes());
        Keyring {
            keys: secrets.filter_map(Keys::derive).collect(),
            // 32 bytes are always there to be had (RFC 5869 section 2.3).
            pool: Cell::new(expand(&kdf, "random").unwrap_or_default()),
            asked: Cell::new(0),
        }
    }

    /// Seals `plain`: base64url (RFC 4648 section 5, without padding) of format version, key id, nonce
    /// and ciphertext. It opens only with the same purpose and `binding`. `None`: too long for a cookie.
    pub fn seal(
        &self,
        purpose: Purpose,
        binding: &[&[u8]],
        plain: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Option<String> {
        if plain.len() > MOST_BYTES {
            return None;
        }
        let keys = self.keys.first()?;
        let aad = additional_data(purpose, keys.id, binding);
        let ciphertext = encrypt(keys.cipher(purpose), nonce, &aad, plain)?;
        let mut sealed = vec![FORMAT];
        sealed.extend_from_slice(&keys.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        let text = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        (text.len() <= MOST_BYTES).then_some(text)
    }

    /// Opens what [`Keyring::seal`] made, with the current secret or a previous one. `None` says nothing
    /// about why, on purpose.
    pub fn open(&self, purpose: Purpose, binding: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > MOST_BYTES || !self.knows(sealed) {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (_, rest) = bytes.split_first_chunk::<1>()?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let aad = additional_data(purpose, *id, binding);
        let mut keys = self.keys.iter().filter(|keys| keys.id == *id);
        keys.find_map(|keys| decrypt(keys.cipher(purpose), *nonce, &aad, ciphertext))
    }

    /// Whether one of our secrets may have sealed this: a look at the first bytes, not a proof.
    pub(super) fn knows(&self, sealed: &[u8]) -> bool {
        // Eight characters are six bytes: the version, the key id and one more.
        let head = sealed.get(..8).unwrap_or_default();
        let Ok(head) = BASE64_URL_SAFE_NO_PAD.decode(head) else {
            return false;
        };
        match head.split_first() {
            Some((&FORMAT, rest)) => self.keys.iter().any(|keys| rest.starts_with(&keys.id)),
            _ => false,
        }
    }

    /// A short mark of `fields` under each secret, the current one's first. Equal fields have equal
    /// marks, and without the secret nobody can tell which fields a mark belongs to.
    pub(super) fn marks(&self, fields: &[&[u8]]) -> Vec<[u8; 6]> {
        let framed = framed(fields);
        let marks = self.keys.iter().map(|keys| mac(&keys.mark, &framed));
        marks
            .filter_map(|whole| whole.first_chunk().copied())
            .collect()
    }

    /// Fills `out` with bytes that nobody without the secret can predict, after the pattern of HMAC_DRBG
    /// (NIST SP 800-90A section 10.1.2).
    ///
    /// The workers of a host start from the same secret, so `seed` must tell them and their requests
    /// apart: the time, the host's random bytes where they are good, the request's id. Every seed ever
    /// given goes on counting.
    pub fn random(&self, seed: &[&[u8]], out: &mut [u8]) {
        let asked = self.asked.get().wrapping_add(1);
        self.asked.set(asked);
        let seed = framed(seed);
        let pool = mac(
            &self.pool.get(),
            &framed(&[b"mix", &asked.to_be_bytes(), &seed]),
        );
        for (number, block) in (0u32..).zip(out.chunks_mut(32)) {
            let bytes = mac(&pool, &framed(&[b"out", &number.to_be_bytes()]));
            for (to, from) in block.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        // Who learns the pool later cannot compute what it gave before.
        self.pool.set(mac(&pool, &framed(&[b"next"])));
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

/// The authenticated context. Every field is length-prefixed: moving a byte from one field to the next
/// changes it.
fn additional_data(purpose: Purpose, id: [u8; KEY_ID_BYTES], binding: &[&[u8]]) -> Vec<u8> {
    let mut aad = framed(&[purpose.name().as_bytes(), &[FORMAT], &id]);
    aad.extend_from_slice(&framed(binding));
    aad
}

pub(super) fn framed(fields: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for field in fields {
        let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
        all.extend_from_slice(&length.to_be_bytes());
        all.extend_from_slice(field);
    }
    all
}

/// `OKM = HKDF-Expand(PRK, info)`. `None` only beyond 8160 bytes.
fn expand<const N: usize>(kdf: &Hkdf<Sha256>, what: &str) -> Option<[u8; N]> {
    let info = framed(&[what.as_bytes(), &[FORMAT]]);
    let mut bytes = [0; N];
    kdf.expand(&info, &mut bytes).ok()?;
    Some(bytes)
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC fills a short key up with zeros itself (RFC 2104 section 2); given whole it cannot fail.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub(super) fn encrypt(
    cipher: &Aes256GcmSiv,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    plain: &[u8],
) -> Option<Vec<u8>> {
    let payload = Payload { msg: plain, aad };
    cipher.encrypt(&Nonce::from(nonce), payload).ok()
}

pub(super) fn decrypt(
    cipher: &Aes256GcmSiv,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    let payload = Payload {
        msg: ciphertext,
        aad,
    };
    cipher.decrypt(&Nonce::from(nonce), payload).ok()
}
