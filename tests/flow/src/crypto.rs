//! The host's own `verify_signature`, honest or not.

use std::cell::Cell;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use oidc_filter::host::SignatureCheck;

/// What the host's cryptography is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCrypto {
    /// There is none.
    Absent,
    /// AWS-LC, as in Envoy.
    Sound,
    /// Every signature is good.
    SaysYes,
    /// No signature is good.
    SaysNo,
    /// AWS-LC, but the hash is taken to be SHA-256 whatever was asked.
    IgnoresTheHash,
}

impl HostCrypto {
    /// What this host answers; `asked` counts the questions.
    pub(crate) fn ask(self, check: &SignatureCheck<'_>, asked: &Cell<u32>) -> Option<bool> {
        if self == HostCrypto::Absent {
            return None;
        }
        asked.set(asked.get() + 1);
        match self {
            HostCrypto::Absent => None,
            HostCrypto::Sound => Some(verify(check.hash, check)),
            HostCrypto::SaysYes => Some(true),
            HostCrypto::SaysNo => Some(false),
            HostCrypto::IgnoresTheHash => Some(verify("sha256", check)),
        }
    }
}

/// Object identifiers inside a SubjectPublicKeyInfo (RFC 3279, RFC 5480).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

fn verify(hash: &str, check: &SignatureCheck<'_>) -> bool {
    let start = check.spki.get(..32).unwrap_or_default();
    let is = |oid: &[u8]| start.windows(oid.len()).any(|at| at == oid);
    let algorithm: &'static dyn VerificationAlgorithm = match hash {
        "sha256" if is(RSA) => &RSA_PKCS1_2048_8192_SHA256,
        "sha384" if is(RSA) => &RSA_PKCS1_2048_8192_SHA384,
        "sha512" if is(RSA) => &RSA_PKCS1_2048_8192_SHA512,
        "sha256" if is(P256) => &ECDSA_P256_SHA256_ASN1,
        "sha384" if is(P384) => &ECDSA_P384_SHA384_ASN1,
        "sha512" if is(P521) => &ECDSA_P521_SHA512_ASN1,
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, check.spki)
        .verify(check.message, check.signature)
        .is_ok()
}
