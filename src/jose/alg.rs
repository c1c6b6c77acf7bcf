//! The signature algorithms of RFC 7518 section 3.1 and RFC 8037 section 3.1, as far as we verify them.

/// A signature algorithm that this module verifies. `none` is not among them, so nothing can ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384 (RFC 7518 section 3.3).
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 7518 section 3.3).
    RS512,
    /// RSASSA-PSS with SHA-256 (RFC 7518 section 3.5).
    PS256,
    /// RSASSA-PSS with SHA-384 (RFC 7518 section 3.5).
    PS384,
    /// RSASSA-PSS with SHA-512 (RFC 7518 section 3.5).
    PS512,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    ES256,
    /// ECDSA on P-384 with SHA-384 (RFC 7518 section 3.4).
    ES384,
    /// ECDSA on P-521 with SHA-512 (RFC 7518 section 3.4).
    ES512,
    /// EdDSA with Ed25519 (RFC 8037 section 3.1).
    EdDSA,
    /// HMAC with SHA-256 (RFC 7518 section 3.2).
    HS256,
    /// HMAC with SHA-384 (RFC 7518 section 3.2).
    HS384,
    /// HMAC with SHA-512 (RFC 7518 section 3.2).
    HS512,
}

impl Algorithm {
    /// All of them, in the order of RFC 7518 section 3.1.
    pub const ALL: [Algorithm; 13] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::EdDSA,
    ];

    /// The algorithm of this name. Names are compared byte for byte (RFC 7515 section 4.1.1).
    /// `Ed25519` is what RFC 9864 section 2.2 calls EdDSA with our only Edwards curve.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        match name {
            "Ed25519" => Some(Algorithm::EdDSA),
            name => Algorithm::ALL.into_iter().find(|alg| alg.name() == name),
        }
    }

    /// The name in a JOSE header (RFC 7518 section 3.1).
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::ES512 => "ES512",
            Algorithm::EdDSA => "EdDSA",
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
        }
    }

    /// The hash that goes with it (RFC 7518 section 3.1, RFC 8032 section 5.1), as hosts spell it.
    pub fn hash_name(self) -> &'static str {
        match self {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::HS256 => "sha256",
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 | Algorithm::HS384 => "sha384",
            Algorithm::RS512
            | Algorithm::PS512
            | Algorithm::ES512
            | Algorithm::EdDSA
            | Algorithm::HS512 => "sha512",
        }
    }

    /// Whether one shared secret both signs and verifies (RFC 7518 section 3.2).
    pub fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn names_lead_back_to_their_algorithm() {
        for alg in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
            assert_eq!(
                Algorithm::from_name(&alg.name().to_lowercase()),
                None,
                "names are case-sensitive"
            );
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDSA));
        for name in ["none", "", "RS1", "ES256K", "Ed448", "HS256 ", "RSA-OAEP"] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn hashes_and_symmetry_follow_the_name() {
        for alg in Algorithm::ALL {
            let name = alg.name();
            assert_eq!(alg.is_symmetric(), name.starts_with("HS"));
            if alg != Algorithm::EdDSA {
                assert!(name.ends_with(alg.hash_name().trim_start_matches("sha")));
            }
        }
    }
}
