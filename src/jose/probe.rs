//! Known answers for the host's cryptography. A host that cannot tell these signatures from damaged
//! ones is not asked about any other.

use crate::host::SignatureCheck;

const MESSAGE: &[u8] = b"oidc-filter: does the host verify signatures?";
const RSA_SPKI: &[u8] = include_bytes!("probe/rsa.spki.der");
const RSA_SIGNATURE: &[u8] = include_bytes!("probe/rs256.sig");
const P256_SPKI: &[u8] = include_bytes!("probe/p256.spki.der");
const P256_SIGNATURE: &[u8] = include_bytes!("probe/es256.sig");

/// A question with its answer.
pub struct Check {
    /// What is asked.
    pub check: SignatureCheck<'static>,
    /// What a sound host says.
    pub expected: bool,
}

/// RS256 and ES256 (RFC 7518 sections 3.3 and 3.4): each a good signature, which must be found good,
/// and the same under another message and under another hash, which must not.
pub fn checks() -> impl Iterator<Item = Check> {
    let keys = [(RSA_SPKI, RSA_SIGNATURE), (P256_SPKI, P256_SIGNATURE)];
    let (_, damaged) = MESSAGE.split_at(1);
    keys.into_iter().flat_map(move |(spki, signature)| {
        [
            ("sha256", MESSAGE, true),
            ("sha256", damaged, false),
            ("sha384", MESSAGE, false),
        ]
        .map(|(hash, message, expected)| Check {
            check: SignatureCheck {
                hash,
                spki,
                signature,
                message,
            },
            expected,
        })
    })
}

/// Whether the host gives the known answers, all of them.
pub fn host_is_sound(host: &mut dyn FnMut(&SignatureCheck<'_>) -> Option<bool>) -> bool {
    checks().all(|known| host(&known.check) == Some(known.expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_that_tells_good_from_bad_is_sound() {
        assert!(host_is_sound(&mut |check| Some(
            check.message == MESSAGE && check.hash == "sha256"
        )));
        assert!(!host_is_sound(&mut |_| Some(true)));
        assert!(!host_is_sound(&mut |_| Some(false)));
        assert!(!host_is_sound(&mut |_| None));
        assert!(!host_is_sound(&mut |check| Some(check.hash == "sha256")));
    }
}
