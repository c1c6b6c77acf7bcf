//! Envoy's foreign function `verify_signature`.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::status::{BAD_ARGUMENT, Status};

/// The arguments: 1 hash, 2 key (SPKI), 3 signature, 4 text, 5 key as PEM.
pub fn verify_signature(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let mut fields: [Option<Vec<u8>>; 6] = Default::default();
    for (number, value) in fields_of(arguments).ok_or(BAD_ARGUMENT)? {
        *fields.get_mut(number).ok_or(BAD_ARGUMENT)? = Some(value);
    }
    let [_, hash, der, signature, text, pem] = fields;
    let key = match (
        der.filter(|key| !key.is_empty()),
        pem.filter(|key| !key.is_empty()),
    ) {
        (Some(der), None) => Some(der),
        (None, Some(pem)) => read_pem(&pem),
        _ => return Err(BAD_ARGUMENT),
    };
    let hash = String::from_utf8(hash.unwrap_or_default()).map_err(|_| BAD_ARGUMENT)?;
    let (signature, text) = (signature.unwrap_or_default(), text.unwrap_or_default());
    let verified = key.is_some_and(|key| {
        algorithms(&hash.to_ascii_lowercase(), &key)
            .iter()
            .any(|algorithm| {
                UnparsedPublicKey::new(*algorithm, &key)
                    .verify(&text, &signature)
                    .is_ok()
            })
    });
    if verified {
        return Ok(vec![8, 1]);
    }
    let error = b"verification failed";
    let mut result = vec![0x12, u8::try_from(error.len()).unwrap_or(0)];
    result.extend(error);
    Ok(result)
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

/// The key decides the scheme, the argument the hash. Only what JWS uses is here.
fn algorithms(hash: &str, key: &[u8]) -> Vec<&'static dyn VerificationAlgorithm> {
    let is = |oid: &[u8]| {
        key.iter()
            .take(32)
            .copied()
            .collect::<Vec<_>>()
            .windows(oid.len())
            .any(|at| at == oid)
    };
    match hash {
        "sha1" if is(RSA) => vec![&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY],
        "sha256" if is(RSA) => vec![&RSA_PKCS1_2048_8192_SHA256],
        "sha384" if is(RSA) => vec![&RSA_PKCS1_2048_8192_SHA384],
        "sha512" if is(RSA) => vec![&RSA_PKCS1_2048_8192_SHA512],
        "sha256" if is(P256) => vec![&ECDSA_P256_SHA256_ASN1],
        "sha384" if is(P384) => vec![&ECDSA_P384_SHA384_ASN1],
        "sha512" if is(P521) => vec![&ECDSA_P521_SHA512_ASN1],
        _ => Vec::new(),
    }
}

fn read_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    STANDARD
        .decode(lines.map(str::trim).collect::<String>())
        .ok()
}

/// The length-delimited fields of a protobuf message.
fn fields_of(mut bytes: &[u8]) -> Option<Vec<(usize, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        (tag & 7 == 2).then_some(())?;
        let size = usize::try_from(varint(&mut bytes)?).ok()?;
        let value = bytes.get(..size)?;
        bytes = bytes.get(size..)?;
        fields.push((usize::try_from(tag >> 3).ok()?, value.to_vec()));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter asks a host before it trusts it, with the answers of the real Envoy.
    #[test]
    fn the_filters_own_questions_get_envoys_answers() {
        let text = b"oidc-filter: does the host verify signatures?";
        let keys: [(&[u8], &[u8]); 2] = [
            (
                include_bytes!("../../../src/jose/probe/rsa.spki.der"),
                include_bytes!("../../../src/jose/probe/rs256.sig"),
            ),
            (
                include_bytes!("../../../src/jose/probe/p256.spki.der"),
                include_bytes!("../../../src/jose/probe/es256.sig"),
            ),
        ];
        for (key, signature) in keys {
            let ask = |hash: &str, text: &[u8]| {
                let mut arguments = Vec::new();
                for (number, value) in [(1, hash.as_bytes()), (2, key), (3, signature), (4, text)] {
                    arguments.push(number << 3 | 2);
                    let size = value.len();
                    if size > 127 {
                        arguments.push(u8::try_from(size & 0x7f).expect("seven bits") | 0x80);
                        arguments.push(u8::try_from(size >> 7).expect("a short value"));
                    } else {
                        arguments.push(u8::try_from(size).expect("seven bits"));
                    }
                    arguments.extend_from_slice(value);
                }
                verify_signature(&arguments).expect("an answer") == [8, 1]
            };
            assert!(ask("sha256", text));
            assert!(!ask("sha256", &text[1..]));
            assert!(!ask("sha384", text));
        }
    }
}
