//! JSON Web Signatures in compact serialization (RFC 7515 section 7.1): taken apart, not yet verified.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use super::header::JwsHeader;

/// The longest token that is looked at, in bytes. Hosts let longer headers through than any provider
/// makes tokens.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The longest header that is parsed, in bytes of JSON.
pub const MAX_HEADER: usize = 4 * 1024;

/// A token's parts (RFC 7515 section 3). Nothing in it is to be believed before
/// [`verify`](super::verify) or [`verify_hmac`](super::verify_hmac) said so.
#[derive(Clone, Debug)]
pub struct Jws<'a> {
    /// The protected header (RFC 7515 section 4).
    pub header: JwsHeader,
    /// What was signed: header and payload as they came, with the dot (RFC 7515 section 5.2).
    pub signing_input: &'a str,
    /// The payload's bytes; claims, if the token is a JWT (RFC 7519 section 3).
    pub payload: Vec<u8>,
    /// The signature's bytes, never empty.
    pub signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart (RFC 7515 section 5.2, steps 1 to 7), with no tolerance: base64url without
    /// padding and in its only spelling, no member twice, no extension that must be understood.
    pub fn parse(token: &'a str) -> Result<Jws<'a>, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        // Looks at no more dots than tell the forms apart (CVE-2025-30204).
        let mut parts = token.splitn(6, '.');
        let (Some(header), Some(payload), Some(signature)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::NotCompact);
        };
        match parts.count() {
            0 => {}
            2 => return Err(JwsError::Encrypted),
            _ => return Err(JwsError::NotCompact),
        }
        let header = JwsHeader::parse(&decode(header, "the header is not base64url")?)?;
        let payload = decode(payload, "the payload is not base64url")?;
        let signature = decode(signature, "the signature is not base64url")?;
        if signature.is_empty() {
            return Err(JwsError::Malformed("the signature is empty"));
        }
        let (signing_input, _) = token.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        Ok(Jws {
            header,
            signing_input,
            payload,
            signature,
        })
    }
}

/// Why a token could not be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsError {
    /// Not three parts with dots between them (RFC 7515 section 7.1): an opaque token, most likely.
    NotCompact,
    /// Five parts: a JWE (RFC 7516 section 7.1), which we do not decrypt.
    Encrypted,
    /// `alg` is `none` in some spelling (RFC 7515 section 6, RFC 8725 section 3.2).
    AlgorithmNone,
    /// An algorithm that we do not verify (RFC 8725 section 3.1).
    UnsupportedAlgorithm,
    /// `crit` names extensions (RFC 7515 section 4.1.11), or `b64` (RFC 7797 section 3) is not true.
    Critical,
    /// Longer than [`MAX_TOKEN`], or its header than [`MAX_HEADER`].
    TooLarge,
    /// Something else is wrong with its form.
    Malformed(&'static str),
}

impl JwsError {
    /// The stable name of this error.
    pub fn code(self) -> &'static str {
        match self {
            JwsError::NotCompact => "token_not_compact",
            JwsError::Encrypted => "token_encrypted",
            JwsError::AlgorithmNone => "algorithm_none",
            JwsError::UnsupportedAlgorithm => "algorithm_unsupported",
            JwsError::Critical => "critical_extension",
            JwsError::TooLarge => "token_too_large",
            JwsError::Malformed(_) => "token_malformed",
        }
    }
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwsError::NotCompact => "the token is not three parts with dots between them",
            JwsError::Encrypted => "the token is encrypted (JWE), which is not supported",
            JwsError::AlgorithmNone => "the token is not signed (`alg` is none)",
            JwsError::UnsupportedAlgorithm => "the token's `alg` is not supported",
            JwsError::Critical => "the token demands an extension (`crit` or `b64`)",
            JwsError::TooLarge => "the token or its header is too long",
            JwsError::Malformed(what) => what,
        })
    }
}

impl std::error::Error for JwsError {}

/// base64url without padding and with the unused last bits zero (RFC 7515 section 2, RFC 4648
/// sections 3.5 and 5): two spellings of one token would be two tokens to a cache or a log.
fn decode(text: &str, complaint: &'static str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JwsError::Malformed(complaint))
}
