//! Public keys of all kinds: with `private_key` the only file that knows the cryptographic libraries.
//!
//! Everything in it is public, so nothing here has to take constant time.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pss, PublicKey as RsaKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::alg::Algorithm;
use super::der;

/// The sizes of RSA moduli that are used, in bits: RFC 7518 section 3.3 asks for 2048 at least; the
/// upper end bounds the time of one verification.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The longest RSA exponent, in bytes: the time of one verification grows with it. 65537 has three.
const RSA_EXPONENT_BYTES: usize = 4;

/// A key that can verify (RFC 7518 section 6, RFC 8037 section 2), checked when it was made.
#[derive(Clone, Debug)]
pub enum PublicKey {
    /// RSA (RFC 7518 section 6.3).
    Rsa(RsaKey),
    /// P-256 (RFC 7518 section 6.2).
    P256(p256::ecdsa::VerifyingKey),
    /// P-384 (RFC 7518 section 6.2).
    P384(p384::ecdsa::VerifyingKey),
    /// P-521 (RFC 7518 section 6.2).
    P521(p521::ecdsa::VerifyingKey),
    /// Ed25519 (RFC 8037 section 2).
    Ed25519(Ed25519Key),
}

/// A signature as a host's cryptography takes it.
pub(super) enum HostForm {
    /// No signature of this key can look like that.
    Malformed,
    /// Hosts do not know the algorithm.
    None,
    /// The bytes of the JWS.
    AsIs,
    /// Another encoding of it.
    Der(Vec<u8>),
}

impl PublicKey {
    /// An RSA key from modulus and exponent without leading zeros (RFC 7518 section 6.3.1).
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, &'static str> {
        let first = modulus.first().copied().unwrap_or_default();
        let bits = modulus
            .len()
            .saturating_mul(8)
            .saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(8));
        if bits < *RSA_BITS.start() {
            return Err("an RSA key of less than 2048 bits is too weak");
        }
        if bits > *RSA_BITS.end() {
            return Err("an RSA key of more than 8192 bits is too slow");
        }
        if is_even(modulus) {
            return Err("an RSA modulus is odd");
        }
        if is_even(exponent) || exponent == [1] || exponent.len() > RSA_EXPONENT_BYTES {
            return Err("an RSA exponent is odd, more than 1 and less than 2^32");
        }
        RsaKey::new_with_size_limits(
            BoxedUint::from_be_slice_vartime(modulus),
            BoxedUint::from_be_slice_vartime(exponent),
            RSA_BITS,
        )
        .map(PublicKey::Rsa)
        .map_err(|_| "no RSA key has this modulus and exponent")
    }

    /// A key on P-256 from its uncompressed point (RFC 7518 section 6.2.1).
    pub(super) fn p256(point: &[u8]) -> Result<PublicKey, &'static str> {
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .map(PublicKey::P256)
            .map_err(|_| NOT_ON_CURVE)
    }

    /// A key on P-384 from its uncompressed point (RFC 7518 section 6.2.1).
    pub(super) fn p384(point: &[u8]) -> Result<PublicKey, &'static str> {
        p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .map(PublicKey::P384)
            .map_err(|_| NOT_ON_CURVE)
    }

    /// A key on P-521 from its uncompressed point (RFC 7518 section 6.2.1).
    pub(super) fn p521(point: &[u8]) -> Result<PublicKey, &'static str> {
        p521::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .map(PublicKey::P521)
            .map_err(|_| NOT_ON_CURVE)
    }

    /// An Ed25519 key from its 32 bytes (RFC 8032 section 5.1.5).
    pub(super) fn ed25519(bytes: &[u8]) -> Result<PublicKey, &'static str> {
        let bytes = <&[u8; 32]>::try_from(bytes).map_err(|_| "an Ed25519 key has 32 bytes")?;
        let key = Ed25519Key::from_bytes(bytes).map_err(|_| NOT_ON_CURVE)?;
        // A point of small order verifies signatures of messages that nobody signed.
        if key.is_weak() {
            return Err("the Ed25519 key is a point of small order");
        }
        Ok(PublicKey::Ed25519(key))
    }

    /// Whether the algorithm is one for keys of this kind. EC algorithms name their curve (RFC 7518
    /// section 3.4), and no symmetric algorithm ever fits (RFC 8725 section 2.1).
    pub fn fits(&self, alg: Algorithm) -> bool {
        match alg {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => matches!(self, PublicKey::Rsa(_)),
            Algorithm::ES256 => matches!(self, PublicKey::P256(_)),
            Algorithm::ES384 => matches!(self, PublicKey::P384(_)),
            Algorithm::ES512 => matches!(self, PublicKey::P521(_)),
            Algorithm::EdDSA => matches!(self, PublicKey::Ed25519(_)),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => false,
        }
    }

    /// How a host takes this signature. Length and range are checked here already: an RSA signature
    /// is as long as the modulus (RFC 8017 section 8.2.2), `r || s` twice as long as the order (RFC
    /// 7518 section 3.4) and both in 1..n (CVE-2022-21449).
    pub(super) fn host_form(&self, alg: Algorithm, signature: &[u8]) -> HostForm {
        let well_formed = match self {
            PublicKey::Rsa(key) => signature.len() == key.size(),
            PublicKey::P256(_) => p256::ecdsa::Signature::from_slice(signature).is_ok(),
            PublicKey::P384(_) => p384::ecdsa::Signature::from_slice(signature).is_ok(),
            PublicKey::P521(_) => p521::ecdsa::Signature::from_slice(signature).is_ok(),
            PublicKey::Ed25519(_) => signature.len() == ed25519_dalek::SIGNATURE_LENGTH,
        };
        match alg {
            _ if !well_formed => HostForm::Malformed,
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => HostForm::AsIs,
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 => {
                HostForm::Der(der::ecdsa_signature(signature))
            }
            _ => HostForm::None,
        }
    }

    /// Whether this key made the signature, computed here. False where the algorithm does not fit.
    pub(super) fn verify(&self, alg: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, alg) {
            // PSS with a salt as long as the hash (RFC 7518 section 3.5): what `Pss::new` demands.
            (PublicKey::Rsa(key), Algorithm::RS256) => key
                .verify(
                    Pkcs1v15Sign::new::<Sha256>(),
                    &Sha256::digest(message),
                    signature,
                )
                .is_ok(),
            (PublicKey::Rsa(key), Algorithm::RS384) => key
                .verify(
                    Pkcs1v15Sign::new::<Sha384>(),
                    &Sha384::digest(message),
                    signature,
                )
                .is_ok(),
            (PublicKey::Rsa(key), Algorithm::RS512) => key
                .verify(
                    Pkcs1v15Sign::new::<Sha512>(),
                    &Sha512::digest(message),
                    signature,
                )
                .is_ok(),
            (PublicKey::Rsa(key), Algorithm::PS256) => key
                .verify(Pss::<Sha256>::new(), &Sha256::digest(message), signature)
                .is_ok(),
            (PublicKey::Rsa(key), Algorithm::PS384) => key
                .verify(Pss::<Sha384>::new(), &Sha384::digest(message), signature)
                .is_ok(),
            (PublicKey::Rsa(key), Algorithm::PS512) => key
                .verify(Pss::<Sha512>::new(), &Sha512::digest(message), signature)
                .is_ok(),
            (PublicKey::P256(key), Algorithm::ES256) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.verify_prehash(&Sha256::digest(message), &signature)
                        .is_ok()
                })
            }
            (PublicKey::P384(key), Algorithm::ES384) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.verify_prehash(&Sha384::digest(message), &signature)
                        .is_ok()
                })
            }
            (PublicKey::P521(key), Algorithm::ES512) => {
                p521::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.verify_prehash(&Sha512::digest(message), &signature)
                        .is_ok()
                })
            }
            (PublicKey::Ed25519(key), Algorithm::EdDSA) => {
                // Strict: no second encoding of a signature, no point of small order.
                ed25519_dalek::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            _ => false,
        }
    }
}

const NOT_ON_CURVE: &str = "the key is no point of its curve";

fn is_even(bytes: &[u8]) -> bool {
    bytes.last().is_none_or(|last| last & 1 == 0)
}
