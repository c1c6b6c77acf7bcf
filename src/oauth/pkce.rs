//! Proof Key for Code Exchange (RFC 7636): the code is worth nothing without the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::provider::Metadata;

/// The one method that is used (RFC 7636 section 4.2): `plain` would protect from nobody who sees the
/// request.
pub const METHOD: &str = "S256";

/// The verifier of 32 random bytes: 43 letters (RFC 7636 section 4.1).
pub fn verifier(random: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// The challenge that goes with a verifier (RFC 7636 section 4.2).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Whether a login uses it: as `require_proof_key_for_code_exchange` says, else where the provider
/// announces our method (specification C1).
pub fn is_used(configured: Option<bool>, metadata: &Metadata) -> bool {
    configured.unwrap_or_else(|| {
        metadata
            .code_challenge_methods_supported
            .as_ref()
            .is_some_and(|methods| methods.iter().any(|method| method == METHOD))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let random = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let verifier = verifier(&random);
        assert_eq!(verifier, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn used_where_announced_unless_the_configuration_decides() {
        let with = |methods: Option<&[&str]>| Metadata {
            code_challenge_methods_supported: methods
                .map(|methods| methods.iter().map(|&method| method.to_owned()).collect()),
            ..Metadata::default()
        };
        assert!(is_used(None, &with(Some(&["plain", "S256"]))));
        for metadata in [with(None), with(Some(&[])), with(Some(&["plain"]))] {
            assert!(!is_used(None, &metadata));
            assert!(is_used(Some(true), &metadata));
        }
        assert!(!is_used(Some(false), &with(Some(&["S256"]))));
    }
}
