//! Attacks that once worked elsewhere, by their CVE where they have one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::{b64, in_module, jwk, rfc, token};
use crate::jose::{Algorithm, JwkSet, Jws, JwsError, Outcome, verify, verify_hmac};

fn parse(header: &str) -> Result<Jws<'static>, JwsError> {
    // Leaked: a test's memory is short-lived anyway.
    Jws::parse(token(header, b"{}", b"signature").leak())
}

#[test]
fn cve_2015_9235_alg_none_in_every_casing() {
    for bits in 0..16_u8 {
        let none: String = "none"
            .chars()
            .enumerate()
            .map(|(at, letter)| {
                if bits >> at & 1 == 1 {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                }
            })
            .collect();
        let header = format!(r#"{{"alg":"{none}"}}"#);
        assert_eq!(parse(&header).unwrap_err(), JwsError::AlgorithmNone);
        let unsigned = format!("{}.e30.", b64(header.as_bytes()));
        assert_eq!(Jws::parse(&unsigned).unwrap_err(), JwsError::AlgorithmNone);
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":""}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"alg":"rs256"}"#,
    ] {
        assert!(parse(header).is_err(), "{header}");
    }
}

#[test]
fn an_empty_signature_is_no_signature() {
    let text = format!("{}.e30.", b64(br#"{"alg":"HS256"}"#));
    assert_eq!(
        Jws::parse(&text).unwrap_err(),
        JwsError::Malformed("the signature is empty")
    );
}

#[test]
fn cve_2016_5431_a_public_key_is_no_hmac_secret() {
    for members in rfc::keys() {
        let key = jwk(&members);
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let text = token(&format!(r#"{{"alg":"{}"}}"#, alg.name()), b"{}", &[0; 64]);
            let outcome = verify(&key, &Jws::parse(&text).unwrap(), &mut |_| Some(true));
            assert_eq!(outcome, Outcome::Invalid, "not even a host's word counts");
        }
    }
    let set = json!({"keys": rfc::keys()}).to_string();
    let set = JwkSet::parse(set.as_bytes()).unwrap();
    assert_eq!(set.keys.len(), 4);
    assert_eq!(set.fitting(Algorithm::HS256).count(), 0);
}

#[test]
fn an_asymmetric_algorithm_is_no_hmac() {
    for alg in Algorithm::ALL.into_iter().filter(|alg| !alg.is_symmetric()) {
        let text = token(&format!(r#"{{"alg":"{}"}}"#, alg.name()), b"{}", &[0; 32]);
        assert!(!verify_hmac(alg, b"secret", &Jws::parse(&text).unwrap()));
    }
}

#[test]
fn a_secret_of_one_byte_verifies_nothing() {
    use aws_lc_rs::hmac;
    let input = format!("{}.e30", b64(br#"{"alg":"HS256"}"#));
    for secret in [&b""[..], b"x"] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let text = format!(
            "{input}.{}",
            b64(hmac::sign(&key, input.as_bytes()).as_ref())
        );
        assert!(!verify_hmac(
            Algorithm::HS256,
            secret,
            &Jws::parse(&text).unwrap()
        ));
    }
}

#[test]
fn cve_2022_21449_psychic_signatures() {
    let order = super::unb64("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let keys = rfc::keys();
    let p256 = jwk(&keys[1]);
    let zero = [0_u8; 32];
    let mut one = zero;
    one[31] = 1;
    for (r, s) in [
        (&zero[..], &zero[..]),
        (&zero, &one),
        (&one, &zero),
        (&order, &one),
        (&one, &order),
        (&[0xff; 32], &[0xff; 32]),
    ] {
        let text = token(r#"{"alg":"ES256"}"#, b"{}", &[r, s].concat());
        assert_eq!(in_module(&p256, &text), Outcome::Invalid);
        let outcome = verify(&p256, &Jws::parse(&text).unwrap(), &mut |_| Some(true));
        assert_eq!(outcome, Outcome::Invalid, "refused before a host is asked");
    }
    let zeros = token(r#"{"alg":"ES512"}"#, b"{}", &[0; 132]);
    assert_eq!(in_module(&jwk(&keys[2]), &zeros), Outcome::Invalid);
}

#[test]
fn cve_2018_0114_a_key_in_the_header_is_not_used() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let own = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)});
    let header = json!({
        "alg": "ES256", "jwk": own, "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x5u", "x5c": ["AAAA"]
    });
    let input = format!("{}.e30", b64(header.to_string().as_bytes()));
    let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    let text = format!("{input}.{}", b64(signature.as_ref()));
    assert!(
        matches!(in_module(&jwk(&own), &text), Outcome::Valid(_)),
        "the token itself is sound"
    );
    let set = json!({"keys": rfc::keys()}).to_string();
    let set = JwkSet::parse(set.as_bytes()).unwrap();
    let jws = Jws::parse(&text).unwrap();
    assert!(!jws.header.names_a_key());
    let tried: Vec<_> = set.candidates(&jws.header).collect();
    assert_eq!(tried.len(), 1);
    assert_eq!(in_module(tried[0], &text), Outcome::Invalid);
}

#[test]
fn members_that_occur_twice() {
    for header in [
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"alg":"RS256","alg":"none"}"#,
        r#"{"alg":"RS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"RS256","x":1,"x":2}"#,
        r#"{"alg":"RS256","\u0061lg":"HS256"}"#,
    ] {
        assert!(
            matches!(parse(header), Err(JwsError::Malformed(_))),
            "{header}"
        );
    }
}

#[test]
fn cve_2025_59420_critical_extensions() {
    for header in [
        r#"{"alg":"RS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"RS256","crit":[]}"#,
        r#"{"alg":"RS256","crit":null}"#,
        r#"{"alg":"RS256","b64":false}"#,
        r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#,
    ] {
        assert_eq!(parse(header).unwrap_err(), JwsError::Critical, "{header}");
    }
    assert!(parse(r#"{"alg":"RS256","b64":true,"unknown":{"a":[1]}}"#).is_ok());
}

#[test]
fn headers_that_are_no_header() {
    for header in [
        "",
        "[]",
        "null",
        "1",
        "\"a\"",
        "{",
        r#"{"alg":"RS256"}x"#,
        r#"{"alg":"RS256",}"#,
        r#"{"alg":"RS256","kid":1}"#,
        r#"{"alg":"RS256","kid":null}"#,
        r#"{"alg":"RS256","typ":["JWT"]}"#,
    ] {
        assert!(
            matches!(parse(header), Err(JwsError::Malformed(_))),
            "{header}"
        );
    }
    assert_eq!(
        parse(r#"{"alg":"ES256K"}"#).unwrap_err(),
        JwsError::UnsupportedAlgorithm
    );
    assert_eq!(
        parse(r#"{"alg":"RSA-OAEP"}"#).unwrap_err(),
        JwsError::UnsupportedAlgorithm
    );
    let many: String = (0..70).map(|at| format!(r#","m{at}":0"#)).collect();
    assert!(parse(&format!(r#"{{"alg":"RS256"{many}}}"#)).is_err());
    let deep = format!(
        r#"{{"alg":"RS256","x":{}{}}}"#,
        "[".repeat(3000),
        "]".repeat(3000)
    );
    let _ = parse(&deep);
}

#[test]
fn base64url_has_one_spelling() {
    let good = format!("{}.e30.AA", b64(br#"{"alg":"RS256"}"#));
    let (header, _) = good.split_once('.').unwrap();
    assert!(Jws::parse(&good).is_ok());
    for bad in [
        format!("{header}.e30.AA=="),
        format!("{header}.e30=.AA"),
        format!("{header}=.e30.AA"),
        format!("{header}.e30.AB"),
        format!("{header}.e31.AA="),
        format!("{header}.e30.A"),
        format!("{header}.e30.A+"),
        format!("{header}.e30./A"),
        format!("{header}.e3 0.AA"),
        format!("{header}.e30.AA\n"),
        format!(" {header}.e30.AA"),
        format!("{header}.e30.ÄA"),
    ] {
        assert!(Jws::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn cve_2025_30204_forms_and_sizes_are_bounded() {
    for text in ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e.f", "opaque-token"] {
        assert_eq!(
            Jws::parse(text).unwrap_err(),
            JwsError::NotCompact,
            "{text}"
        );
    }
    assert_eq!(
        Jws::parse(&".".repeat(16_000)).unwrap_err(),
        JwsError::NotCompact
    );
    assert_eq!(
        Jws::parse(&".".repeat(17_000)).unwrap_err(),
        JwsError::TooLarge
    );
    let jwe = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA";
    assert_eq!(Jws::parse(jwe).unwrap_err(), JwsError::Encrypted);
    let long = format!(r#"{{"alg":"RS256","x":"{}"}}"#, "x".repeat(9000));
    assert_eq!(parse(&long).unwrap_err(), JwsError::TooLarge);
}

#[test]
fn an_explicit_type_is_not_an_access_token() {
    let typ = |typ: &str| {
        parse(&json!({"alg": "RS256", "typ": typ}).to_string())
            .unwrap()
            .header
    };
    for good in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        assert!(typ(good).is_access_token_type(), "{good}");
    }
    assert!(
        parse(r#"{"alg":"RS256"}"#)
            .unwrap()
            .header
            .is_access_token_type()
    );
    for bad in [
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "",
        "JOSE",
        "at+jwt ",
        "token-introspection+jwt",
    ] {
        assert!(!typ(bad).is_access_token_type(), "{bad}");
    }
}
