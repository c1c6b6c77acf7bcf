//! Private keys of all kinds: beside `key`, the only file that knows the cryptographic libraries.
//!
//! They sign who we are at a provider, and nothing else. What they compute on is secret: RSA is blinded
//! against timing, ECDSA and EdDSA take no random number that could be bad (RFC 6979, RFC 8032).

use std::convert::Infallible;
use std::fmt;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::{BoxedUint, PrivateKey as RsaKey, Pss};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::alg::Algorithm;

/// Random bytes for one signature, which nobody else can predict: for the salt of PSS and for blinding.
pub type Entropy = [u8; 32];

/// A key that signs. Its `Debug` prints the kind alone; the libraries wipe it from memory when it goes.
pub(super) enum PrivateKey {
    /// RSA (RFC 7518 section 6.3.2).
    Rsa(Box<RsaKey>),
    /// P-256 (RFC 7518 section 6.2.2).
    P256(Box<p256::ecdsa::SigningKey>),
    /// P-384.
    P384(Box<p384::ecdsa::SigningKey>),
    /// P-521.
    P521(Box<p521::ecdsa::SigningKey>),
    /// Ed25519 (RFC 8037 section 2).
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PrivateKey::Rsa(_) => "Rsa",
            PrivateKey::P256(_) => "P256",
            PrivateKey::P384(_) => "P384",
            PrivateKey::P521(_) => "P521",
            PrivateKey::Ed25519(_) => "Ed25519",
        })
    }
}

impl PrivateKey {
    /// An RSA key. `primes` are both or none; what else a JWK holds (`dp`, `dq`, `qi`) follows from them and
    /// is computed anew. That the parts belong together is checked.
    pub(super) fn rsa(
        n: &[u8],
        e: &[u8],
        d: &[u8],
        primes: &[&[u8]],
    ) -> Result<PrivateKey, &'static str> {
        // Once, while a configuration is read: nobody can measure this in a request.
        let number = BoxedUint::from_be_slice_vartime;
        let primes = primes.iter().map(|prime| number(prime)).collect();
        RsaKey::from_components(number(n), number(e), number(d), primes)
            .map(|key| PrivateKey::Rsa(Box::new(key)))
            .map_err(|_| "is not the private exponent of this modulus, or `p` and `q` are not its primes")
    }

    /// A key on P-256, and the point that belongs to it, uncompressed (SEC 1 section 2.3.3).
    pub(super) fn p256(d: &[u8]) -> Result<(PrivateKey, Vec<u8>), &'static str> {
        let key = p256::ecdsa::SigningKey::from_slice(d).map_err(|_| NO_SCALAR)?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok((PrivateKey::P256(Box::new(key)), point))
    }

    /// A key on P-384, and its point.
    pub(super) fn p384(d: &[u8]) -> Result<(PrivateKey, Vec<u8>), &'static str> {
        let key = p384::ecdsa::SigningKey::from_slice(d).map_err(|_| NO_SCALAR)?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok((PrivateKey::P384(Box::new(key)), point))
    }

    /// A key on P-521, and its point.
    pub(super) fn p521(d: &[u8]) -> Result<(PrivateKey, Vec<u8>), &'static str> {
        let key = p521::ecdsa::SigningKey::from_slice(d).map_err(|_| NO_SCALAR)?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok((PrivateKey::P521(Box::new(key)), point))
    }

    /// An Ed25519 key, and the public one (RFC 8032 section 5.1.5).
    pub(super) fn ed25519(d: &[u8]) -> Result<(PrivateKey, Vec<u8>), &'static str> {
        let seed = <&[u8; 32]>::try_from(d).map_err(|_| "is not 32 bytes, as an Ed25519 key is")?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes().to_vec();
        Ok((PrivateKey::Ed25519(Box::new(key)), public))
    }

    /// The signature as a JWS holds it (RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1). `None` where
    /// the algorithm is not one for this key, or the library finds its own result wrong.
    pub(super) fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        entropy: &Entropy,
    ) -> Option<Vec<u8>> {
        match self {
            PrivateKey::Rsa(key) => sign_rsa(key, alg, message, entropy),
            PrivateKey::P256(key) if alg == Algorithm::ES256 => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(&Sha256::digest(message)).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            PrivateKey::P384(key) if alg == Algorithm::ES384 => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(&Sha384::digest(message)).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            PrivateKey::P521(key) if alg == Algorithm::ES512 => {
                let signature: p521::ecdsa::Signature =
                    key.sign_prehash(&Sha512::digest(message)).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            PrivateKey::Ed25519(key) if alg == Algorithm::EdDSA => {
                Some(key.try_sign(message).ok()?.to_bytes().to_vec())
            }
            _ => None,
        }
    }
}

const NO_SCALAR: &str = "is no private key of its curve: it is 0, or not less than the order";

fn sign_rsa(key: &RsaKey, alg: Algorithm, message: &[u8], entropy: &Entropy) -> Option<Vec<u8>> {
    let mut stream = Stream::new(entropy, message)?;
    // PSS with a salt as long as the hash (RFC 7518 section 3.5): what `Pss::new` makes.
    match alg {
        Algorithm::RS256 => {
            let digest = Sha256::digest(message);
            key.sign_with_rng(&mut stream, Pkcs1v15Sign::new::<Sha256>(), &digest)
        }
        Algorithm::RS384 => {
            let digest = Sha384::digest(message);
            key.sign_with_rng(&mut stream, Pkcs1v15Sign::new::<Sha384>(), &digest)
        }
        Algorithm::RS512 => {
            let digest = Sha512::digest(message);
            key.sign_with_rng(&mut stream, Pkcs1v15Sign::new::<Sha512>(), &digest)
        }
        Algorithm::PS256 => {
            let digest = Sha256::digest(message);
            key.sign_with_rng(&mut stream, Pss::<Sha256>::new(), &digest)
        }
        Algorithm::PS384 => {
            let digest = Sha384::digest(message);
            key.sign_with_rng(&mut stream, Pss::<Sha384>::new(), &digest)
        }
        Algorithm::PS512 => {
            let digest = Sha512::digest(message);
            key.sign_with_rng(&mut stream, Pss::<Sha512>::new(), &digest)
        }
        _ => return None,
    }
    .ok()
}

/// The caller's random bytes, stretched: HMAC over a counter, bound to the message, so that bytes that came
/// twice would still not blind two messages alike.
struct Stream {
    mac: Hmac<Sha256>,
    counter: u64,
}

impl Stream {
    fn new(entropy: &Entropy, message: &[u8]) -> Option<Stream> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(entropy).ok()?;
        mac.update(&Sha256::digest(message));
        Some(Stream { mac, counter: 0 })
    }

    fn block(&mut self) -> [u8; 32] {
        self.counter = self.counter.wrapping_add(1);
        let mut mac = self.mac.clone();
        mac.update(&self.counter.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(32) {
            let block = self.block();
            for (to, from) in part.iter_mut().zip(block) {
                *to = from;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Stream {}
