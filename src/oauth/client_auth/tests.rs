//! Which method is chosen, and what each one sends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::rc::Rc;

use serde_json::json;

use super::*;
use crate::jose::{Jwk, Jws, Outcome, verify, verify_hmac};

/// RFC 7515 appendix A.3.1.
fn key() -> PrivateJwk {
    let members = json!({
        "kty": "EC", "crv": "P-256", "kid": "k", "x5t": "dA",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    });
    PrivateJwk::from_members(members.as_object().unwrap()).unwrap()
}

fn client(auth: Option<ClientAuth>, secret: Option<&str>) -> Client {
    Client {
        id: Some("an id:1".to_owned()),
        secret: secret.map(Secret::new),
        auth,
        ..Client::default()
    }
}

fn with_key(auth: Option<ClientAuth>, secret: Option<&str>) -> Client {
    Client {
        key: Some(Rc::new(key())),
        ..client(auth, secret)
    }
}

fn facts() -> Result<AssertionFacts<'static>, Refusal> {
    let mut random = [9; 48];
    random[..16].fill(1);
    Ok(AssertionFacts {
        audience: "https://idp.example",
        now: Time(1_700_000_000_999),
        random,
    })
}

fn chosen(client: &Client, at_endpoint: Option<ClientAuth>, supported: &[&str]) -> ClientAuth {
    let listed: Vec<String> = supported.iter().map(|&name| name.to_owned()).collect();
    Credentials::of(client, at_endpoint, Some(&listed))
        .unwrap()
        .method
}

/// The headers and the body.
fn sent(client: &Client) -> (Vec<(String, String)>, String) {
    let mut headers = Vec::new();
    let proof = Credentials::of(client, None, None)
        .unwrap()
        .proof(facts)
        .unwrap();
    let body = proof.apply(&mut headers, Form::new()).encoded();
    (headers, body)
}

fn assertion(client: &Client) -> String {
    match Credentials::of(client, None, None)
        .unwrap()
        .proof(facts)
        .unwrap()
    {
        Proof::Assertion(assertion) => assertion.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn endpoint_then_client_then_metadata_then_basic() {
    use ClientAuth::{
        ClientSecretBasic as Basic, ClientSecretJwt, ClientSecretPost as Post, None as Public,
        PrivateKeyJwt,
    };
    let post = ["private_key_jwt", "client_secret_post"];
    assert_eq!(
        chosen(&client(Some(Basic), Some("s")), Some(Post), &[]),
        Post
    );
    assert_eq!(chosen(&client(Some(Post), Some("s")), None, &[]), Post);
    assert_eq!(chosen(&client(Some(Basic), Some("s")), None, &post), Basic);
    assert_eq!(chosen(&client(None, Some("s")), None, &post), Post);
    let both = ["client_secret_post", "client_secret_basic"];
    assert_eq!(chosen(&client(None, Some("s")), None, &both), Basic);
    for other in [&["private_key_jwt", "none"][..], &[], &["tls_client_auth"]] {
        assert_eq!(chosen(&client(None, Some("s")), None, other), Basic);
    }
    assert_eq!(
        chosen(
            &client(None, Some("s")),
            None,
            &["none", "client_secret_jwt"]
        ),
        ClientSecretJwt
    );
    assert_eq!(chosen(&client(None, None), None, &post), Public);
    assert_eq!(
        chosen(&client(Some(Public), Some("s")), None, &post),
        Public
    );
    // A key counts where the provider lists it and no secret does, or where there is nothing else.
    assert_eq!(
        chosen(&with_key(None, Some("s")), None, &["private_key_jwt"]),
        PrivateKeyJwt
    );
    assert_eq!(chosen(&with_key(None, Some("s")), None, &post), Post);
    assert_eq!(chosen(&with_key(None, None), None, &[]), PrivateKeyJwt);
    assert_eq!(
        Credentials::of(&client(None, Some("s")), None, None)
            .unwrap()
            .method,
        Basic
    );
}

#[test]
fn without_an_id_there_are_no_credentials() {
    let nobody = Client {
        id: None,
        ..client(None, Some("s"))
    };
    assert_eq!(Credentials::of(&nobody, None, None), None);
}

#[test]
fn basic_encodes_both_parts_before_joining_them() {
    let (headers, body) = sent(&client(None, Some("s %&+:\u{a3}")));
    assert_eq!(body, "", "one method at a time");
    let expected = STANDARD.encode("an+id%3A1:s+%25%26%2B%3A%C2%A3");
    assert_eq!(
        headers,
        [("authorization".to_owned(), format!("Basic {expected}"))]
    );
}

#[test]
fn post_and_none_go_into_the_body() {
    for (auth, expected) in [
        (
            ClientAuth::ClientSecretPost,
            "client_id=an+id%3A1&client_secret=s%26",
        ),
        (ClientAuth::None, "client_id=an+id%3A1"),
    ] {
        let (headers, body) = sent(&client(Some(auth), Some("s&")));
        assert_eq!((headers.len(), body.as_str()), (0, expected));
    }
}

#[test]
fn b27_an_assertion_goes_alone() {
    for client in [
        client(Some(ClientAuth::ClientSecretJwt), Some("a secret")),
        with_key(Some(ClientAuth::PrivateKeyJwt), None),
    ] {
        let (headers, body) = sent(&client);
        let expected = format!(
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={}",
            assertion(&client)
        );
        assert_eq!((headers.len(), body), (0, expected));
    }
}

#[test]
fn an_assertion_says_what_rfc_7523_section_3_asks_for() {
    let client = with_key(Some(ClientAuth::PrivateKeyJwt), None);
    let token = assertion(&client);
    let jws = Jws::parse(&token).unwrap();
    let claims: Value = serde_json::from_slice(&jws.payload).unwrap();
    let expected = json!({
        "iss": "an id:1", "sub": "an id:1", "aud": "https://idp.example",
        "jti": "AQEBAQEBAQEBAQEBAQEBAQ", "iat": 1_700_000_000, "exp": 1_700_000_060,
    });
    assert_eq!(claims, expected, "the audience is one text, the issuer");
    assert_eq!(
        (jws.header.kid.as_deref(), jws.header.x5t.as_deref()),
        (Some("k"), Some("dA"))
    );
    let set = jose::public_jwks([&key()]);
    let public = Jwk::from_members(set["keys"][0].as_object().unwrap()).unwrap();
    assert!(matches!(
        verify(&public, &jws, &mut |_| None),
        Outcome::Valid(_)
    ));
}

#[test]
fn a_secret_signs_with_the_configured_algorithm() {
    for (alg, expected) in [
        (None, Algorithm::HS256),
        (Some(Algorithm::HS384), Algorithm::HS384),
        (Some(Algorithm::HS512), Algorithm::HS512),
    ] {
        let client = Client {
            alg,
            ..client(Some(ClientAuth::ClientSecretJwt), Some("a secret"))
        };
        let token = assertion(&client);
        let jws = Jws::parse(&token).unwrap();
        assert!(verify_hmac(expected, b"a secret", &jws));
        assert!(!verify_hmac(expected, b"another", &jws));
    }
}

#[test]
fn what_cannot_be_proved_is_an_error() {
    let alg = |client: Client, alg| Client {
        alg: Some(alg),
        ..client
    };
    for client in [
        client(Some(ClientAuth::ClientSecretBasic), None),
        client(Some(ClientAuth::ClientSecretPost), None),
        client(Some(ClientAuth::ClientSecretJwt), None),
        client(Some(ClientAuth::ClientSecretJwt), Some("x")),
        client(Some(ClientAuth::PrivateKeyJwt), Some("s")),
        client(Some(ClientAuth::TlsClientAuth), Some("s")),
        client(Some(ClientAuth::SelfSignedTlsClientAuth), Some("s")),
        alg(
            client(Some(ClientAuth::ClientSecretJwt), Some("a secret")),
            Algorithm::RS256,
        ),
        alg(
            with_key(Some(ClientAuth::PrivateKeyJwt), None),
            Algorithm::RS256,
        ),
    ] {
        let refusal = Credentials::of(&client, None, None)
            .unwrap()
            .proof(facts)
            .unwrap_err();
        assert_eq!(refusal.code, "client_unauthenticated");
    }
    let failed = || Err(Refusal::unexpected("no_randomness", ""));
    let jwt = with_key(Some(ClientAuth::PrivateKeyJwt), None);
    let refusal = Credentials::of(&jwt, None, None)
        .unwrap()
        .proof(failed)
        .unwrap_err();
    assert_eq!(refusal.code, "no_randomness");
    // Nothing is asked for where nothing is signed.
    let basic = client(None, Some("s"));
    assert!(
        Credentials::of(&basic, None, None)
            .unwrap()
            .proof(failed)
            .is_ok()
    );
}

#[test]
fn a_callers_secret_is_shown_by_a_method_of_secrets() {
    use ClientAuth::{
        ClientSecretBasic as Basic, ClientSecretJwt, ClientSecretPost as Post, None as Public,
        PrivateKeyJwt,
    };
    let secret = Secret::new("theirs");
    let method = |ours: &Client, at_endpoint| {
        let credentials = Credentials::of_caller("them", &secret, ours, at_endpoint, None);
        assert_eq!(
            (credentials.id, credentials.secret),
            ("them", Some(&secret))
        );
        assert!(credentials.key.is_none());
        credentials.method
    };
    assert_eq!(method(&client(None, Some("ours")), None), Basic);
    assert_eq!(method(&client(Some(Post), None), None), Post);
    assert_eq!(method(&client(Some(Post), None), Some(Basic)), Basic);
    assert_eq!(
        method(&client(Some(Public), None), Some(Public)),
        Basic,
        "`none` is passed over"
    );
    assert_eq!(method(&with_key(Some(PrivateKeyJwt), None), None), Basic);
    assert_eq!(
        method(&client(None, None), Some(ClientSecretJwt)),
        ClientSecretJwt
    );
    let alg = |alg| {
        let ours = Client {
            alg: Some(alg),
            ..client(None, None)
        };
        Credentials::of_caller("them", &secret, &ours, None, None).alg
    };
    assert_eq!(
        (alg(Algorithm::HS384), alg(Algorithm::ES256)),
        (Some(Algorithm::HS384), None)
    );
}

#[test]
fn no_secret_is_printed() {
    let client = with_key(Some(ClientAuth::ClientSecretPost), Some("hunter2"));
    let credentials = Credentials::of(&client, None, None).unwrap();
    let shown = format!("{credentials:?} {:?} {client:?}", credentials.proof(facts));
    assert!(
        !shown.contains("hunter2") && !shown.contains("jpsQnn"),
        "{shown}"
    );
}
