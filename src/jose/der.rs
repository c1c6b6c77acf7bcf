//! The little DER (ITU-T X.690) that a host's cryptography wants: public keys as
//! SubjectPublicKeyInfo (RFC 5280 section 4.1) and ECDSA signatures as `Ecdsa-Sig-Value` (RFC 3279
//! section 2.2.3). It only writes: nothing from outside is ever read as DER.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption` with its NULL parameters (RFC 3279 section 2.3.1).
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// `id-ecPublicKey` with `secp256r1` (RFC 5480 section 2.1.1).
pub(super) const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// `id-ecPublicKey` with `secp384r1` (RFC 5480 section 2.1.1).
pub(super) const P384: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
];
/// `id-ecPublicKey` with `secp521r1` (RFC 5480 section 2.1.1).
pub(super) const P521: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23,
];
/// `id-Ed25519` (RFC 8410 section 3).
pub(super) const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// An RSA key as SubjectPublicKeyInfo (RFC 3279 section 2.3.1).
pub(super) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = tlv(SEQUENCE, &[&unsigned(modulus), &unsigned(exponent)]);
    spki(RSA, &key)
}

/// A key as SubjectPublicKeyInfo (RFC 5280 section 4.1): `algorithm` is the content of its
/// AlgorithmIdentifier, `key` the bits.
pub(super) fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = tlv(SEQUENCE, &[algorithm]);
    // The leading zero says that no bit of the last byte is unused.
    let key = tlv(BIT_STRING, &[&[0], key]);
    tlv(SEQUENCE, &[&algorithm, &key])
}

/// The `r || s` of a JWS (RFC 7518 section 3.4) as `Ecdsa-Sig-Value`. The halves are of equal length.
pub(super) fn ecdsa_signature(halves: &[u8]) -> Vec<u8> {
    let (r, s) = halves.split_at(halves.len() / 2);
    tlv(SEQUENCE, &[&unsigned(r), &unsigned(s)])
}

/// A number without sign as INTEGER: as short as can be, with a zero in front where the first bit
/// would make it negative (X.690 section 8.3.2).
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let bytes = without_leading_zeros(bytes);
    match bytes.first() {
        Some(first) if *first < 0x80 => tlv(INTEGER, &[bytes]),
        _ => tlv(INTEGER, &[&[0], bytes]),
    }
}

/// The bytes from the first that is not zero.
pub(super) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut out = Vec::with_capacity(length.saturating_add(6));
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = without_leading_zeros(&bytes);
            // A usize has eight bytes at most.
            out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
            out.extend_from_slice(bytes);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_never_negative() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[1, 0, 1]), [2, 3, 1, 0, 1]);
    }

    #[test]
    fn lengths_take_the_long_form_from_128_on() {
        assert_eq!(tlv(4, &[&[0; 127]]).get(..2), Some(&[4, 127][..]));
        assert_eq!(tlv(4, &[&[0; 128]]).get(..3), Some(&[4, 0x81, 128][..]));
        assert_eq!(tlv(4, &[&[0; 256]]).get(..4), Some(&[4, 0x82, 1, 0][..]));
    }

    #[test]
    fn a_signature_is_split_in_the_middle() {
        assert_eq!(
            ecdsa_signature(&[0, 1, 0x80, 2]),
            [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]
        );
    }
}
