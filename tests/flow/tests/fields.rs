//! Fields whose effect no other test needs. Each test must fail when the field is put back to its default:
//! `make parity` does that.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use flow::assertion::client_jwk;
use flow::idp::{AUTHORIZE, TOKEN};
use flow::stage::login_config;
use flow::{Browser, Dialect, Request, Stop, World, pairs};
use oidc_filter::host::Counter;
use oidc_filter::jose::Jws;
use serde_json::{Value, json};
use support::issuer::b64;

/// A world where people log in, on both hosts.
#[track_caller]
fn each(members: Value, then: impl Fn(&World, &Browser<'_>)) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, members.clone());
        world.idp().set(|idp| idp.lifetime = 1_000_000);
        then(&world, &world.browser());
    }
}

fn is_in(browser: &Browser<'_>) -> bool {
    match browser.open("/app") {
        Stop::Away(_) => false,
        Stop::Here(page) => page.outcome.is_forwarded(),
    }
}

#[test]
fn configured_endpoints_are_used_where_the_metadata_have_none() {
    let members = json!({"authorization_endpoint": AUTHORIZE, "token_endpoint": TOKEN});
    each(members, |world, browser| {
        world.put_login(json!({"authorization_endpoint": null, "token_endpoint": null}));
        browser.enter("/app").outcome.assert_user("alex");
        assert_eq!(world.calls_to(TOKEN), 1);
    });
}

#[test]
fn the_token_endpoint_may_want_another_proof_than_the_others() {
    let members = json!({"client_auth": ["client_secret_basic"], "token_endpoint_auth_method": "client_secret_post"});
    each(members, |world, browser| {
        browser.enter("/app").outcome.assert_user("alex");
        assert_eq!(world.idp().proofs(), ["post"]);
    });
}

#[test]
fn a_foreign_nonce_is_believed_only_where_nobody_looks() {
    let foreign = json!({"nonce": "of another login"});
    each(json!({"verify_nonce": false}), |world, browser| {
        world.idp().set(|idp| idp.id_claims = foreign.clone());
        browser.enter("/app").outcome.assert_user("alex");
    });
    each(json!({"verify_nonce": true}), |world, browser| {
        world.idp().set(|idp| idp.id_claims = foreign.clone());
        let away = browser.open("/app").away();
        let _ = browser.log_in(&away);
        assert_eq!(browser.count("session"), 0);
    });
}

#[test]
fn a_login_may_take_as_long_as_configured() {
    each(
        json!({"authorization_rolling_timeout": 60}),
        |world, browser| {
            let away = browser.open("/app").away();
            let late = browser.copy();
            world.pass_seconds(59);
            browser.log_in(&away).here().outcome.assert_user("alex");
            let away = late.open("/app").away();
            world.pass_seconds(60);
            let _ = late.log_in(&away);
            assert_eq!(late.count("session"), 0, "60 s are over");
        },
    );
}

#[test]
fn the_cookie_of_a_login_has_the_attributes_that_are_configured() {
    let members = json!({
        "authorization_cookie_path": "/app", "authorization_cookie_domain": "api.test",
        "authorization_cookie_http_only": false, "authorization_cookie_secure": false,
    });
    each(members, |_, browser| {
        let _ = browser.open("/app").away();
        let login = browser.jar.borrow().first().cloned().expect("a cookie");
        assert_eq!(login.path, "/app");
        assert_eq!(login.domain.as_deref(), Some("api.test"));
        assert!(!login.http_only && !login.secure);
    });
}

#[test]
fn a_session_cookie_may_do_without_tls() {
    each(json!({"session_cookie_secure": false}), |_, browser| {
        browser.enter("/app").outcome.assert_user("alex");
        assert!(!browser.cookie("session").expect("a cookie").secure);
    });
}

#[test]
fn a_session_is_over_when_its_configured_time_is() {
    let rolling = json!({"session_rolling_timeout": 100, "session_idling_timeout": 0});
    each(rolling, |world, browser| {
        browser.enter("/app").outcome.assert_user("alex");
        let unused = browser.copy();
        world.pass_seconds(99);
        assert!(is_in(browser));
        world.pass_seconds(11);
        assert!(is_in(browser), "renewed");
        assert!(!is_in(&unused), "110 s after the login");
    });
    each(
        json!({"session_absolute_timeout": 100}),
        |world, browser| {
            browser.enter("/app").outcome.assert_user("alex");
            for _ in 0..3 {
                world.pass_seconds(30);
                assert!(is_in(browser));
            }
            world.pass_seconds(10);
            assert!(!is_in(browser), "however busy it was");
        },
    );
}

#[test]
fn a_login_begins_no_session_where_it_must_not() {
    each(
        json!({"disable_session": ["authorization_code"]}),
        |_, browser| {
            browser.enter("/app").outcome.assert_user("alex");
            assert_eq!(browser.count("session"), 0);
            let _ = browser.open("/app").away();
        },
    );
}

#[test]
fn parts_of_other_people_leave_the_cookie_where_all_must_be_of_one() {
    let members = |audience: &str| {
        login_config(json!({"session_audience": audience, "session_enforce_same_subject": true}))
    };
    for dialect in Dialect::BOTH {
        for (second, stays) in [("alex", true), ("mallory", false)] {
            let world = World::new(dialect, 1);
            world.put_login(json!({}));
            let (one, other) = (world.route(&members("one")), world.route(&members("other")));
            let mut browser = world.browser();
            browser.route = Some(one);
            browser.enter("/app").outcome.assert_user("alex");
            browser.route = Some(other);
            browser.user = second.to_owned();
            browser.enter("/app").outcome.assert_user(second);
            browser.route = Some(one);
            assert_eq!(is_in(&browser), stays, "{second}");
        }
    }
}

#[test]
fn claims_that_authorize_may_stand_elsewhere() {
    for (claim, required) in [
        ("scopes_claim", "scopes_required"),
        ("audience_claim", "audience_required"),
        ("groups_claim", "groups_required"),
    ] {
        for dialect in Dialect::BOTH {
            let mut members = json!({});
            members[claim] = json!(["own", "place"]);
            members[required] = json!(["good"]);
            let world = World::ready(dialect, members);
            let with = |value: &str| world.token(json!({"own": {"place": [value]}}));
            world.show(&with("good")).assert_user("alex");
            world.show(&with("bad")).assert_status(403);
        }
    }
}

#[test]
fn what_is_remembered_stays_for_cache_ttl_min() {
    let world = World::ready(
        Dialect::Envoy,
        json!({"cache_ttl": 10, "cache_ttl_min": 60}),
    );
    let token = world.token(json!({"exp": null}));
    world.show(&token).assert_user("alex");
    world.pass_seconds(59);
    world.show(&token).assert_user("alex");
    assert_eq!(world.counted(Counter::VerifiedInModule), 1);
    world.pass_seconds(1);
    world
        .ask(Request::get("/").bearer(&token))
        .assert_user("alex");
    assert_eq!(world.counted(Counter::VerifiedInModule), 2);
}

/// The assertion in the last call to the token endpoint.
fn assertion(world: &World) -> String {
    let call = world.calls().last().expect("a call").clone();
    let form = pairs(&call.body);
    let found = form
        .into_iter()
        .find(|(name, _)| name == "client_assertion");
    found.expect("an assertion").1
}

#[test]
fn assertions_are_of_the_key_and_the_algorithm_that_are_configured() {
    let members = json!({"client_auth": ["private_key_jwt"], "client_jwk": [client_jwk()]});
    each(members, |world, browser| {
        browser.enter("/").outcome.assert_user("alex");
        assert_eq!(world.idp().proofs(), ["private_key_jwt"]);
        let assertion = assertion(world);
        let jws = Jws::parse(&assertion).expect("a JWS");
        assert_eq!(jws.header.kid.as_deref(), Some("mine"));
    });
    let members = json!({"client_auth": ["client_secret_jwt"], "client_alg": ["HS512"]});
    each(members, |world, browser| {
        let away = browser.open("/").away();
        // This provider takes HS256 only.
        let _ = browser.log_in(&away);
        let assertion = assertion(world);
        assert_eq!(
            Jws::parse(&assertion).expect("a JWS").header.alg.name(),
            "HS512"
        );
    });
}

/// An RSA key as AWS-LC makes it, and the same as a JWK: the numbers of RSAPrivateKey (RFC 8017 appendix A.1.2)
/// in their order.
fn rsa() -> (RsaKeyPair, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    let (info, _) = tlv(der.as_ref());
    let (_version, rest) = tlv(info);
    let (_algorithm, rest) = tlv(rest);
    let (octets, _) = tlv(rest);
    let (numbers, _) = tlv(octets);
    let (_version, mut numbers) = tlv(numbers);
    let mut key = json!({ "kty": "RSA" });
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let (number, rest) = tlv(numbers);
        let plain = number.strip_prefix(&[0]).unwrap_or(number);
        key[name] = json!(b64(plain));
        numbers = rest;
    }
    (pair, key)
}

/// The content of the first value, and what follows it.
fn tlv(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, at) = match usize::from(der[1]) {
        short if short < 0x80 => (short, 2),
        long => {
            let end = 2 + (long & 0x7f);
            let length = der[2..end]
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, end)
        }
    };
    (&der[at..at + length], &der[at + length..])
}

#[test]
fn an_rsa_key_signs_with_the_algorithm_that_it_names() {
    let (pair, mut key) = rsa();
    for (name, value) in [
        ("alg", json!("PS256")),
        ("use", json!("sig")),
        ("key_ops", json!(["sign"])),
    ] {
        key[name] = value;
    }
    let members = json!({"client_auth": ["private_key_jwt"], "client_jwk": [key]});
    each(members, |world, browser| {
        let away = browser.open("/").away();
        // This provider knows the client by another key.
        let _ = browser.log_in(&away);
        let assertion = assertion(world);
        let jws = Jws::parse(&assertion).expect("a JWS");
        assert_eq!(jws.header.alg.name(), "PS256");
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pair.public_key().as_ref());
        let signed = public.verify(jws.signing_input.as_bytes(), &jws.signature);
        assert!(signed.is_ok(), "signed by another key");
    });
}
