//! Each rule with a token that passes and its nearest twin that does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use serde_json::json;

use super::*;
use crate::jose::Jws;

const NOW: u64 = 1_700_000_000;

fn jws(header: &Value) -> Jws<'static> {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let token = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode("{}"));
    Jws::parse(Box::leak(token.into_boxed_str())).unwrap()
}

fn rules() -> IdTokenRules<'static> {
    IdTokenRules {
        issuers: Issuers {
            allowed: &[],
            expected: "https://idp.example",
            compare: true,
        },
        client_id: "me",
        nonce: Some("n-0S6_WzA2Mj"),
        access_token: None,
        code: None,
        state: None,
        max_age: None,
        leeway: 0,
        domains: &[],
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "sub": "alice", "aud": "me", "nonce": "n-0S6_WzA2Mj",
        "iat": NOW, "exp": NOW + 60,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn check_with(rules: &IdTokenRules<'_>, claims: &Value) -> Result<(), &'static str> {
    let jws = jws(&json!({ "alg": "RS256" }));
    check_claims(&jws, claims, rules, Time(NOW * 1000))
        .map(|_| ())
        .map_err(|refusal| refusal.code)
}

fn check(claims: &Value) -> Result<(), &'static str> {
    check_with(&rules(), claims)
}

#[test]
fn a_plain_token_passes_and_says_until_when() {
    let jws = jws(&json!({ "alg": "RS256", "typ": "JWT" }));
    let leeway = IdTokenRules {
        leeway: 5,
        ..rules()
    };
    let end = check_claims(&jws, &claims(), &leeway, Time(NOW * 1000)).unwrap();
    assert_eq!(end, Time((NOW + 65) * 1000));
}

#[test]
fn other_kinds_of_tokens_are_refused() {
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", ""] {
        let jws = jws(&json!({ "alg": "RS256", "typ": typ }));
        let refusal = check_claims(&jws, &claims(), &rules(), Time(NOW * 1000)).unwrap_err();
        assert_eq!(refusal.code, "wrong_token_type", "{typ}");
    }
}

#[test]
fn the_issuer_is_the_providers() {
    assert_eq!(check(&with("iss", json!("https://idp.example/"))), Ok(()));
    for other in [
        "https://idp.example//",
        "https://IDP.example",
        "https://evil.example",
        "",
    ] {
        assert_eq!(
            check(&with("iss", json!(other))),
            Err("issuer_not_allowed"),
            "{other}"
        );
    }
    for missing in [
        without("iss"),
        with("iss", json!(["https://idp.example"])),
        with("iss", json!(null)),
    ] {
        assert_eq!(check(&missing), Err("claim_missing"));
    }
}

#[test]
fn there_is_a_subject() {
    assert_eq!(check(&with("sub", json!("0"))), Ok(()));
    for bad in [
        without("sub"),
        with("sub", json!("")),
        with("sub", json!(5)),
        with("sub", json!(null)),
    ] {
        assert_eq!(check(&bad), Err("claim_missing"));
    }
}

#[test]
fn it_is_for_us() {
    assert_eq!(check(&with("aud", json!(["me"]))), Ok(()));
    for other in [
        json!("you"),
        json!("ME"),
        json!("me too"),
        json!([]),
        json!(["you"]),
    ] {
        assert_eq!(check(&with("aud", other)), Err("audience_not_allowed"));
    }
    for bad in [json!(["me", 5]), json!({ "me": 1 }), json!(null), json!(5)] {
        assert_eq!(check(&with("aud", bad)), Err("claim_missing"));
    }
    assert_eq!(check(&without("aud")), Err("claim_missing"));
}

#[test]
fn the_authorized_party_is_us() {
    let both = |azp: Option<Value>| {
        let mut claims = with("aud", json!(["you", "me"]));
        if let Some(azp) = azp {
            claims["azp"] = azp;
        }
        check(&claims)
    };
    assert_eq!(both(Some(json!("me"))), Ok(()));
    assert_eq!(both(None), Err("authorized_party_missing"));
    assert_eq!(both(Some(json!("you"))), Err("authorized_party_mismatch"));
    assert_eq!(check(&with("azp", json!("me"))), Ok(()));
    for other in [json!("you"), json!(["me"]), json!(null)] {
        assert_eq!(check(&with("azp", other)), Err("authorized_party_mismatch"));
    }
}

#[test]
fn a_secret_is_shared_with_nobody_else() {
    let jws = jws(&json!({ "alg": "HS256" }));
    let check = |aud: Value| {
        let mut claims = with("aud", aud);
        claims["azp"] = json!("me");
        check_claims(&jws, &claims, &rules(), Time(NOW * 1000)).map_err(|refusal| refusal.code)
    };
    assert!(check(json!(["me"])).is_ok());
    assert_eq!(check(json!(["me", "you"])), Err("audience_not_allowed"));
}

#[test]
fn it_has_not_ended() {
    assert_eq!(check(&with("exp", json!(NOW + 1))), Ok(()));
    assert_eq!(check(&with("exp", json!((NOW + 1).to_string()))), Ok(()));
    assert_eq!(
        check(&with("exp", json!(NOW))),
        Err("token_expired"),
        "the very second"
    );
    let leeway = IdTokenRules {
        leeway: 1,
        ..rules()
    };
    assert_eq!(check_with(&leeway, &with("exp", json!(NOW))), Ok(()));
    assert_eq!(check(&without("exp")), Err("claim_missing"));
    for bad in [json!(null), json!("never"), json!(1e300), json!([NOW])] {
        assert_eq!(check(&with("exp", bad)), Err("claim_malformed"));
    }
}

#[test]
fn it_was_made_in_the_past() {
    for name in ["iat", "nbf"] {
        assert_eq!(check(&with(name, json!(NOW + 10))), Ok(()), "{name}");
        assert!(check(&with(name, json!(NOW + 11))).is_err(), "{name}");
        let leeway = IdTokenRules {
            leeway: 20,
            ..rules()
        };
        assert_eq!(
            check_with(&leeway, &with(name, json!(NOW + 20))),
            Ok(()),
            "{name}"
        );
        assert!(
            check_with(&leeway, &with(name, json!(NOW + 21))).is_err(),
            "{name}"
        );
        assert_eq!(check(&with(name, json!(null))), Err("claim_malformed"));
    }
    assert_eq!(check(&without("iat")), Err("claim_missing"));
    assert_eq!(check(&without("nbf")), Ok(()));
}

#[test]
fn the_nonce_is_that_of_the_login() {
    for bad in ["n-0S6_WzA2Mk", "", "n-0S6_WzA2M", "n-0S6_WzA2Mjj"] {
        assert_eq!(check(&with("nonce", json!(bad))), Err("nonce_mismatch"));
    }
    assert_eq!(check(&without("nonce")), Err("claim_missing"));
    assert_eq!(
        check(&with("nonce", json!(["n-0S6_WzA2Mj"]))),
        Err("claim_missing")
    );
    let unverified = IdTokenRules {
        nonce: None,
        ..rules()
    };
    assert_eq!(check_with(&unverified, &without("nonce")), Ok(()));
    let empty = IdTokenRules {
        nonce: Some(""),
        ..rules()
    };
    assert_eq!(
        check_with(&empty, &with("nonce", json!(""))),
        Err("nonce_mismatch")
    );
}

/// OpenID Connect Core 1.0 appendix A.3 and A.4: access token and code of the examples, with RS256.
#[test]
fn the_hashes_of_the_examples_of_openid_connect_core() {
    let rules = IdTokenRules {
        access_token: Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
        code: Some("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"),
        ..rules()
    };
    let check = |name, value| check_with(&rules, &with(name, value));
    assert_eq!(check("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")), Ok(()));
    assert_eq!(check("c_hash", json!("LDktKdoQak3Pk0cnXxCltA")), Ok(()));
    assert_eq!(check_with(&rules, &claims()), Ok(()), "both may be missing");
    for name in ["at_hash", "c_hash"] {
        for bad in [
            json!("77QmUPtjPfzWtF2AnpK9RA"),
            json!(""),
            json!(null),
            json!(5),
        ] {
            assert_eq!(check(name, bad), Err("token_hash_mismatch"));
        }
    }
    let nothing = IdTokenRules {
        access_token: None,
        code: None,
        ..rules
    };
    assert_eq!(
        check_with(&nothing, &with("at_hash", json!("x"))),
        Ok(()),
        "nothing to compare with"
    );
}

#[test]
fn hashes_follow_the_algorithm() {
    // printf %s token | openssl dgst -sha256|-sha384|-sha512, left halves.
    for (alg, bytes) in [("ES256", 16), ("PS384", 24), ("RS512", 32), ("EdDSA", 32)] {
        let alg = Algorithm::from_name(alg).unwrap();
        let half = URL_SAFE_NO_PAD.decode(left_half(alg, "token")).unwrap();
        assert_eq!(half.len(), bytes);
    }
    let sha512 = left_half(Algorithm::RS512, "abc");
    // FIPS 180-2 appendix C.1: ddaf35a193617aba cc417349ae204131 12e6fa4e89a97ea2 0a9eeee64b55d39a ...
    let expected = [
        0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba, 0xcc, 0x41, 0x73, 0x49, 0xae, 0x20, 0x41,
        0x31, 0x12, 0xe6, 0xfa, 0x4e, 0x89, 0xa9, 0x7e, 0xa2, 0x0a, 0x9e, 0xee, 0xe6, 0x4b, 0x55,
        0xd3, 0x9a,
    ];
    assert_eq!(sha512, URL_SAFE_NO_PAD.encode(expected));
    assert_eq!(left_half(Algorithm::EdDSA, "abc"), sha512);
}

#[test]
fn the_login_is_young_enough() {
    let rules = IdTokenRules {
        max_age: Some(60),
        leeway: 5,
        ..rules()
    };
    let check = |claims: &Value| check_with(&rules, claims);
    assert_eq!(check(&with("auth_time", json!(NOW - 64))), Ok(()));
    assert_eq!(
        check(&with("auth_time", json!(NOW - 65))),
        Err("login_too_old")
    );
    assert_eq!(check(&claims()), Err("login_too_old"));
    assert_eq!(
        check(&with("auth_time", json!("x"))),
        Err("claim_malformed")
    );
}

#[test]
fn the_domain_is_one_of_ours() {
    let domains = ["a.example".to_owned()];
    let rules = IdTokenRules {
        domains: &domains,
        ..rules()
    };
    assert_eq!(check_with(&rules, &with("hd", json!("a.example"))), Ok(()));
    for bad in [
        with("hd", json!("ba.example")),
        with("hd", json!(["a.example"])),
        claims(),
    ] {
        assert_eq!(check_with(&rules, &bad), Err("domain_not_allowed"), "C21");
    }
}

#[test]
fn a_refreshed_token_is_about_the_same_login() {
    let mut before = with("auth_time", json!(NOW - 5));
    before["azp"] = json!("me");
    let after = |name: &str, value: Value| {
        let mut after = before.clone();
        after[name] = value;
        check_refreshed(&before, &after).map_err(|refusal| refusal.code)
    };
    assert_eq!(after("iat", json!(NOW + 5)), Ok(()));
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("sub", json!("bob")),
        ("azp", json!("you")),
        ("auth_time", json!(NOW)),
        ("nonce", json!("other")),
        ("iat", json!(NOW - 1)),
    ] {
        assert_eq!(after(name, value), Err("id_token_changed"), "{name}");
    }
    let bare = json!({ "iss": "https://idp.example", "sub": "alice", "iat": NOW });
    assert_eq!(
        check_refreshed(&before, &bare).map_err(|refusal| refusal.code),
        Ok(())
    );
    let fresh_nonce =
        json!({ "iss": "https://idp.example", "sub": "alice", "iat": NOW, "nonce": "n" });
    assert!(
        check_refreshed(&bare, &fresh_nonce).is_err(),
        "no nonce that nobody asked for"
    );
}
