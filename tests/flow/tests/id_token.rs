//! What the token endpoint may say, and what is no login (OpenID Connect Core section 3.1.3.7, RFC 6749
//! section 5.2, RFC 8725).

use flow::idp::{SECRET, TOKEN};
use flow::stage::{ISSUER, KEYS, key, key_for};
use flow::{Behaviour, Dialect, World};
use oidc_filter::host::Counter;
use serde_json::{Value, json};
use support::issuer::{self, b64};

/// A login under this lie fails with this status: nothing is forwarded, no session is made, and the next
/// visit is sent to log in as before. Without the lie the same login is good.
#[track_caller]
fn refused(lie: impl Fn(&World), status: u16, told: &str) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        lie(&world);
        let browser = world.browser();
        let away = browser.open("/app").away();
        let page = browser.log_in(&away).here();
        page.outcome.assert_status(status);
        assert!(world.logged(told), "{told}: {:?}", page.outcome);
        assert_eq!(browser.count("session"), 0, "no session");
        assert_eq!(world.counted(Counter::Forwarded), 0, "nothing went on");
        let again = browser.open("/app").away();
        world.idp().set(|idp| *idp = flow::idp::Behaves::default());
        world.publish(&["k1"]);
        browser.log_in(&again).here().outcome.assert_user("alex");
    }
}

#[track_caller]
fn claim_refused(changes: &Value, told: &str) {
    refused(
        |world| world.idp().set(|idp| idp.id_claims = changes.clone()),
        401,
        told,
    );
}

#[track_caller]
fn forged_refused(forge: fn(&Value) -> String) {
    refused(
        |world| world.idp().set(|idp| idp.forge = Some(forge)),
        401,
        "oidc-filter:",
    );
}

/// The moment at which worlds begin, and one later or earlier.
fn at(seconds: i64) -> i64 {
    1_800_000_000 + seconds
}

#[test]
fn an_id_token_of_another_issuer_is_none() {
    for iss in [
        json!("https://evil.test"),
        json!(""),
        json!(null),
        json!([ISSUER]),
        json!(1),
    ] {
        claim_refused(&json!({"iss": iss}), "iss");
    }
}

#[test]
fn an_id_token_for_somebody_else_is_none() {
    for aud in [
        json!("account"),
        json!([]),
        json!(["account"]),
        json!("me "),
        json!("m"),
        json!(null),
        json!({"me": 1}),
    ] {
        claim_refused(&json!({"aud": aud}), "aud");
    }
    // Of several audiences one must have asked for it, and that is us.
    claim_refused(&json!({"aud": ["me", "other"]}), "azp");
    claim_refused(&json!({"aud": ["me", "other"], "azp": "other"}), "azp");
    claim_refused(&json!({"azp": "other"}), "azp");
}

#[test]
fn of_several_audiences_we_may_be_the_one_that_asked() {
    let world = World::with_login(Dialect::Envoy, json!({}));
    world
        .idp()
        .set(|idp| idp.id_claims = json!({"aud": ["other", "me"], "azp": "me"}));
    world.browser().enter("/").outcome.assert_user("alex");
}

#[test]
fn an_id_token_out_of_its_time_is_none() {
    for exp in [json!(at(0)), json!(at(-1)), json!(null), json!("soon")] {
        claim_refused(&json!({"exp": exp}), "exp");
    }
    claim_refused(&json!({"iat": at(3600)}), "iat");
    claim_refused(&json!({"iat": null}), "iat");
    claim_refused(&json!({"nbf": at(3600)}), "nbf");
}

#[test]
fn an_id_token_without_a_subject_is_none() {
    for sub in [json!(null), json!(""), json!(7)] {
        claim_refused(&json!({"sub": sub}), "sub");
    }
}

#[test]
fn an_access_token_that_was_swapped_is_noticed() {
    claim_refused(
        &json!({"at_hash": b64(b"sixteen bytes ..")}),
        "token_hash_mismatch",
    );
    claim_refused(&json!({"at_hash": ""}), "token_hash_mismatch");
    claim_refused(
        &json!({"c_hash": b64(b"sixteen bytes ..")}),
        "token_hash_mismatch",
    );
}

#[test]
fn an_id_token_may_come_without_at_hash() {
    let world = World::with_login(Dialect::Envoy, json!({}));
    world
        .idp()
        .set(|idp| idp.id_claims = json!({"at_hash": null}));
    world.browser().enter("/").outcome.assert_user("alex");
}

#[test]
fn an_id_token_that_nobody_signed_is_none() {
    forged_refused(|claims| {
        let header = b64(json!({"alg": "none", "typ": "JWT"}).to_string().as_bytes());
        format!("{header}.{}.", b64(claims.to_string().as_bytes()))
    });
    forged_refused(|claims| {
        let good = key("k1").token(claims);
        let (signed, _) = good.rsplit_once('.').expect("a signature");
        format!("{signed}.")
    });
    forged_refused(|claims| {
        let good = key("k1").token(claims);
        let signature = good.rsplit_once('.').expect("a signature").1.to_owned();
        let mut other = claims.clone();
        other["sub"] = json!("sub of root");
        let bad = key("k1").token(&other);
        let (signed, _) = bad.rsplit_once('.').expect("a signature");
        format!("{signed}.{signature}")
    });
}

#[test]
fn an_id_token_signed_with_the_public_key_as_a_secret_is_none() {
    forged_refused(|claims| {
        let public = key("k1").jwk().to_string();
        issuer::hs256(public.as_bytes(), claims)
    });
    // Nor with the client's secret, unless `enable_hs_signatures` says so.
    forged_refused(|claims| issuer::hs256(SECRET.as_bytes(), claims));
    forged_refused(|claims| issuer::hs256(b"", claims));
}

#[test]
fn an_id_token_of_a_foreign_key_is_none() {
    forged_refused(|claims| key("foreign").token(claims));
    forged_refused(|claims| {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k1"});
        key("foreign").token_with(&header, claims)
    });
    forged_refused(|claims| {
        let header = json!({"alg": "ES256", "kid": "k1", "jwk": key("foreign").jwk()});
        key("foreign").token_with(&header, claims)
    });
    forged_refused(|claims| key_for("RS256", "k1").token(claims));
}

#[test]
fn another_kind_of_token_is_no_id_token() {
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        refused(
            |world| {
                world.idp().set(|idp| {
                    idp.forge = Some(match typ {
                        "at+jwt" => |claims| typed("at+jwt", claims),
                        "logout+jwt" => |claims| typed("logout+jwt", claims),
                        _ => |claims| typed("dpop+jwt", claims),
                    });
                });
            },
            401,
            "wrong_token_type",
        );
    }
}

fn typed(typ: &str, claims: &Value) -> String {
    key("k1").token_with(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), claims)
}

#[test]
fn no_id_token_or_garbage_for_one_is_no_login() {
    refused(
        |world| world.idp().set(|idp| idp.id_token = false),
        500,
        "no_id_token",
    );
    forged_refused(|_| "garbage".to_owned());
    forged_refused(|_| "a.b.c".to_owned());
}

#[test]
fn an_access_token_that_is_a_jwt_must_be_good_as_well() {
    for changes in [
        json!({"iss": "https://evil.test"}),
        json!({"exp": at(-1)}),
        json!({"nbf": at(3600)}),
    ] {
        refused(
            |world| world.idp().set(|idp| idp.access_claims = changes.clone()),
            401,
            "oidc-filter:",
        );
    }
}

#[test]
fn an_opaque_access_token_is_taken_as_it_is() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        world.idp().set(|idp| idp.opaque = true);
        let browser = world.browser();
        let page = browser.enter("/");
        // The claims are then those of the ID token.
        page.outcome.assert_user("alex");
        let token = page.outcome.forwarded().header("authorization");
        assert!(token.is_some_and(|token| token.starts_with("Bearer access-")));
        browser.open("/").here().outcome.assert_user("alex");
    }
}

#[test]
fn keys_that_changed_after_discovery_are_fetched_for_an_id_token() {
    let world = World::with_login(Dialect::Envoy, json!({}));
    let browser = world.browser();
    let away = browser.open("/").away();
    world.pass_seconds(60);
    world.publish(&["k2"]);
    world.idp().set(|idp| {
        idp.forge = Some(|claims| key("k2").token(claims));
        idp.opaque = true;
    });
    browser.log_in(&away).here().outcome.assert_user("alex");
    assert_eq!(world.calls_to(KEYS), 2);
}

/// The token endpoint in trouble: the visitor is told, or sent to log in once more; nobody gets in.
#[track_caller]
fn endpoint_fails(behaviour: &Behaviour, then: Option<u16>) {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        let browser = world.browser();
        let away = browser.open("/app").away();
        world.next(TOKEN, [behaviour.clone()]);
        let stop = browser.log_in(&away);
        assert_eq!(
            world.calls_to(TOKEN),
            1,
            "a code is sent once: {behaviour:?}"
        );
        assert_eq!(browser.count("session"), 0);
        assert_eq!(world.counted(Counter::Forwarded), 0);
        let again = match then {
            Some(status) => {
                stop.here().outcome.assert_status(status);
                browser.open("/app").away()
            }
            None => stop.away(),
        };
        browser.log_in(&again).here().outcome.assert_user("alex");
    }
}

#[test]
fn a_token_endpoint_in_trouble_makes_no_session() {
    let error = |code: &str| Behaviour::Body(json!({"error": code}).to_string().into_bytes());
    // A code that is worth nothing: one fresh login.
    endpoint_fails(&error("invalid_grant"), None);
    for behaviour in [
        error("invalid_client"),
        error("x\r\ny"),
        // Good tokens, and a status that says otherwise.
        Behaviour::Status(500),
        Behaviour::Status(201),
        Behaviour::Status(400),
        Behaviour::Body(b"<html>".to_vec()),
        Behaviour::Body(Vec::new()),
        Behaviour::Body(b"{}".to_vec()),
        Behaviour::Body(b"[]".to_vec()),
        Behaviour::Body(br#"{"access_token":"a","access_token":"b"}"#.to_vec()),
        Behaviour::Body(br#"{"access_token":"a b\r\n"}"#.to_vec()),
        Behaviour::Body(br#"{"access_token":"a","token_type":"mac"}"#.to_vec()),
        Behaviour::Body(vec![b' '; 300_000]),
        Behaviour::Redirect("https://evil.test/token".to_owned()),
        Behaviour::NoAnswer,
        Behaviour::NotSent,
        Behaviour::Timeout,
    ] {
        endpoint_fails(&behaviour, Some(500));
    }
}

#[test]
fn a_provider_that_is_down_is_a_500_at_the_start_and_no_loop() {
    for dialect in Dialect::BOTH {
        let world = World::with_login(dialect, json!({}));
        world.always(flow::stage::DISCOVERY, Behaviour::NoAnswer);
        let browser = world.browser();
        browser.open("/").here().outcome.assert_status(500);
        assert_eq!(browser.count(""), 0, "no cookie");
        // Up again, without a restart.
        world.always(flow::stage::DISCOVERY, Behaviour::Normal);
        world.pass_seconds(60);
        browser.enter("/").outcome.assert_user("alex");
    }
}
