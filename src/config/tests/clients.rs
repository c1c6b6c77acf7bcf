//! Who we are: one client, several in step, and what they authenticate with.

use serde_json::{Value, json};

use super::*;
use crate::jose::Algorithm;

/// RFC 7515 appendix A.3.1.
fn key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

fn clients(members: Value) -> Read<Clients> {
    let mut reader = reader(members);
    let clients = Clients::read(&mut reader);
    ended(reader, clients)
}

/// With the code flow on, which authenticates at the token endpoint.
fn used(members: Value) -> Result<(Config, Vec<String>), Vec<String>> {
    let mut whole = json!({ "client_id": ["me"], "auth_methods": ["authorization_code"], "bearer_token_param_type": ["header"] });
    for (name, value) in members.as_object().unwrap() {
        whole[name] = value.clone();
    }
    match read(whole) {
        Ok((config, warnings)) => Ok((config, warnings.iter().map(ToString::to_string).collect())),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn used_refused(members: Value, path: &str, text: &str) {
    let errors = used(members).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(&format!("{path}: ")), "{errors:?}");
    assert!(errors[0].contains(text), "{errors:?}");
}

#[test]
fn without_a_client_there_is_still_one_to_ask() {
    let (read, warnings) = clients(json!({})).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(read.first(), &Client::default());
    assert_eq!((read.ids().len(), read.iter().count()), (0, 1));
    assert_eq!(read.argument.name, "client_id");
    assert_eq!(read.argument.headers, ["x-client-id", "client-id"]);
    assert_eq!(read.named("1").unwrap().0, 0);
}

#[test]
fn lists_go_in_step_and_the_first_element_fills_the_gaps() {
    let (read, warnings) = clients(json!({
        "client_id": ["a", "b", "c"],
        "client_secret": ["one", "", "three"],
        "client_auth": ["client_secret_post", "private_key_jwt"],
        "client_alg": ["HS512", "ES256"],
        "client_jwk": [{}, key()],
        "redirect_uri": ["https://a.example/cb", "https://b.example/cb?x=1"],
        "login_redirect_uri": ["https://a.example/in#/start"],
        "logout_redirect_uri": ["https://a.example/out", "https://b.example/out"],
        "unauthorized_redirect_uri": ["https://a.example/401", "https://b.example/401"],
        "forbidden_redirect_uri": ["https://a.example/403", "https://b.example/403"],
        "unexpected_redirect_uri": ["https://a.example/500", "https://b.example/500"],
    }))
    .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let url = |text: &str| Url::parse(text).ok();
    let (a, b, c) = (
        read.at(0).unwrap(),
        read.at(1).unwrap(),
        read.at(2).unwrap(),
    );
    let secret = |client: &Client| client.secret.as_ref().map(|text| text.expose().to_owned());
    assert_eq!(secret(a).as_deref(), Some("one"));
    assert_eq!(secret(b), None, "an empty text is no secret");
    assert_eq!(secret(c).as_deref(), Some("three"));
    assert_eq!(a.auth, Some(ClientAuth::ClientSecretPost));
    assert_eq!(b.auth, Some(ClientAuth::PrivateKeyJwt));
    assert_eq!(c.auth, a.auth);
    assert_eq!(
        (a.alg, b.alg, c.alg),
        (Some(Algorithm::HS512), Some(Algorithm::ES256), a.alg)
    );
    assert!(a.key.is_none() && b.key.is_some() && c.key.is_none());
    assert_eq!(b.redirect_uri, url("https://b.example/cb?x=1"));
    assert_eq!(c.redirect_uri, url("https://a.example/cb"));
    assert_eq!(b.login_redirect, url("https://a.example/in#/start"));
    assert_eq!(b.logout_redirect, url("https://b.example/out"));
    assert_eq!(b.unauthorized_redirect, url("https://b.example/401"));
    assert_eq!(b.forbidden_redirect, url("https://b.example/403"));
    assert_eq!(b.unexpected_redirect, url("https://b.example/500"));
    assert_eq!(
        (read.ids().join(" "), read.at(3)),
        ("a b c".to_owned(), None)
    );
}

#[test]
fn b03_a_client_has_its_own_key() {
    let mut other = key();
    other["kid"] = json!("other");
    let (read, _) =
        clients(json!({ "client_id": ["a", "b"], "client_jwk": [key(), other] })).unwrap();
    let kid = |index| {
        read.at(index)
            .unwrap()
            .key
            .as_ref()
            .unwrap()
            .public
            .kid
            .clone()
    };
    assert_eq!(
        (kid(0).as_deref(), kid(1).as_deref()),
        (Some("k"), Some("other"))
    );
}

#[test]
fn a_request_names_a_client_by_id_or_number() {
    let (read, _) =
        clients(json!({ "client_id": ["a", "3", "c"], "client_secret": ["", "", ""] })).unwrap();
    let index = |text: &str| {
        read.named(text).map(|(index, client)| {
            assert_eq!(read.at(index), Some(client));
            index
        })
    };
    assert_eq!(
        (index("a"), index("c"), index("1"), index("2")),
        (Some(0), Some(2), Some(0), Some(1))
    );
    assert_eq!(index("3"), Some(1), "an id comes before a number");
    for none in [
        "",
        "0",
        "4",
        "-1",
        "+1",
        " 1",
        "A",
        "99999999999999999999999",
    ] {
        assert_eq!(index(none), None, "{none}");
    }
}

#[test]
fn the_argument_has_three_spellings() {
    let (read, _) = clients(json!({ "client_arg": "client_config" })).unwrap();
    assert_eq!(read.argument.name, "client_config");
    assert_eq!(read.argument.headers, ["x-client-config", "client-config"]);
    for bad in ["", "a b", ":path", "a\r\nb"] {
        let errors = clients(json!({ "client_arg": bad })).unwrap_err();
        assert!(errors[0].starts_with("config.client_arg: "), "{errors:?}");
    }
}

#[test]
fn what_belongs_to_no_client_is_refused_or_warned_of() {
    for (name, value) in [
        ("client_secret", json!(["a", "b"])),
        ("client_auth", json!(["none", "none"])),
        ("client_alg", json!(["HS256", "HS256"])),
        ("client_jwk", json!([{}, {}])),
    ] {
        let errors = clients(json!({ "client_id": ["me"], name: value })).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with(&format!("config.{name}: has 2 elements")),
            "{errors:?}"
        );
    }
    let (_, warnings) = clients(json!({ "client_secret": ["a", "b"] })).unwrap();
    assert!(
        warnings[0].contains("only the first is used"),
        "{warnings:?}"
    );
    for name in [
        "redirect_uri",
        "logout_redirect_uri",
        "unauthorized_redirect_uri",
        "unexpected_redirect_uri",
    ] {
        let two = json!({ "client_id": ["me"], name: ["https://a.example", "https://b.example"] });
        let (_, warnings) = clients(two).unwrap();
        assert!(
            warnings[0].starts_with(&format!("config.{name}: there is an address")),
            "{warnings:?}"
        );
    }
    let (_, warnings) =
        clients(json!({ "client_id": ["a", "b"], "client_secret": ["s"] })).unwrap();
    assert!(warnings[0].contains("the same secret"), "{warnings:?}");
    let errors = clients(json!({ "client_id": ["a", ""] })).unwrap_err();
    assert!(
        errors[0].starts_with("config.client_id[1]: is empty"),
        "{errors:?}"
    );
}

#[test]
fn addresses_of_clients_are_checked() {
    for (name, value) in [
        ("redirect_uri", "https://a.example/cb#"),
        ("redirect_uri", "myapp://cb"),
        ("login_redirect_uri", "/start"),
        ("logout_redirect_uri", "javascript:x"),
        ("forbidden_redirect_uri", "nowhere"),
    ] {
        let errors = clients(json!({ name: [value] })).unwrap_err();
        assert!(
            errors[0].starts_with(&format!("config.{name}[0]: ")),
            "{errors:?}"
        );
    }
}

#[test]
fn a_bad_key_is_refused_where_it_is_bad() {
    let with = |name: &str, value: Value| {
        let mut key = key();
        key[name] = value;
        json!({ "client_jwk": [key] })
    };
    for (members, path, text) in [
        (
            with("d", json!("AA")),
            "config.client_jwk[0].d",
            "not as long",
        ),
        (
            with("use", json!("enc")),
            "config.client_jwk[0].use",
            "signatures",
        ),
        (
            with("key_ops", json!(["verify"])),
            "config.client_jwk[0].key_ops",
            "`sign`",
        ),
        (
            with("alg", json!("RS256")),
            "config.client_jwk[0].alg",
            "does not go with",
        ),
        (
            with("kty", json!("oct")),
            "config.client_jwk[0].kty",
            "`client_secret`",
        ),
        (
            with("k", json!("AA")),
            "config.client_jwk[0].k",
            "not supported",
        ),
        (
            with("oth", json!("AA")),
            "config.client_jwk[0].oth",
            "two primes",
        ),
        (
            with("kdi", json!("x")),
            "config.client_jwk[0].kdi",
            "unknown field",
        ),
        (
            json!({ "client_jwk": ["key"] }),
            "config.client_jwk[0]",
            "object",
        ),
        (json!({ "client_jwk": "key" }), "config.client_jwk", "list"),
        (
            json!({ "client_alg": ["none"] }),
            "config.client_alg[0]",
            "`ES256`",
        ),
    ] {
        let shown = errors(members);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with(&format!("{path}: ")), "{shown:?}");
        assert!(shown[0].contains(text), "{shown:?}");
    }
    let inert = json!({ "issuer": "us", "x5c": ["AA"], "x5u": "https://a.example", "x5t": "dA", "x5t#S256": "dA" });
    let mut key = key();
    for (name, value) in inert.as_object().unwrap() {
        key[name] = value.clone();
    }
    assert!(
        good(json!({ "client_jwk": [key] }))
            .clients
            .first()
            .key
            .is_some()
    );
}

#[test]
fn a_method_goes_with_what_its_client_can_show() {
    let jwt = json!(["private_key_jwt"]);
    used_refused(
        json!({ "client_auth": jwt }),
        "config.client_auth[0]",
        "private key",
    );
    used_refused(
        json!({ "token_endpoint_auth_method": "private_key_jwt", "client_secret": ["s"] }),
        "config.token_endpoint_auth_method",
        "`client_jwk`",
    );
    used_refused(
        json!({ "client_auth": jwt, "client_jwk": [key()], "client_alg": ["RS256"] }),
        "config.client_alg[0]",
        "write `ES256`",
    );
    let (config, warnings) =
        used(json!({ "client_auth": jwt, "client_jwk": [key()], "client_alg": ["ES256"] }))
            .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.clients.first().key.is_some());
    assert!(used(json!({ "client_auth": jwt, "client_jwk": [key()] })).is_ok());

    let hmac = json!(["client_secret_jwt"]);
    let long = json!(["a secret of more than thirty-two bytes"]);
    used_refused(
        json!({ "client_auth": hmac }),
        "config.client_auth[0]",
        "needs a `client_secret`",
    );
    used_refused(
        json!({ "client_auth": hmac, "client_secret": long, "client_alg": ["RS256"] }),
        "config.client_alg[0]",
        "`HS512`",
    );
    let (_, warnings) =
        used(json!({ "client_auth": hmac, "client_secret": long, "client_alg": ["HS256"] }))
            .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    used_refused(
        json!({ "client_auth": hmac, "client_secret": ["x"] }),
        "config.client_auth[0]",
        "longer than one",
    );
    let (_, warnings) = used(json!({ "client_auth": hmac, "client_secret": ["short"] })).unwrap();
    assert!(warnings[0].contains("guessed"), "{warnings:?}");
}

#[test]
fn each_client_is_checked() {
    used_refused(
        json!({ "client_id": ["a", "b"], "client_secret": ["s", ""], "client_auth": ["client_secret_basic"] }),
        "config.client_auth[0]",
        "client 2",
    );
    used_refused(
        json!({
            "client_id": ["a", "b"], "client_secret": ["s", "t"],
            "client_auth": ["client_secret_basic", "private_key_jwt"],
        }),
        "config.client_auth[1]",
        "client 2",
    );
    let good = json!({
        "client_id": ["a", "b"], "client_secret": ["s", ""],
        "client_auth": ["client_secret_basic", "private_key_jwt"], "client_jwk": [{}, key()],
    });
    assert!(used(good).is_ok());
}

#[test]
fn t03_no_key_in_debug_or_errors() {
    let private = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let config = good(json!({ "client_jwk": [key()] }));
    assert!(!format!("{config:?} {config:#?}").contains(private));
    for name in ["x", "y", "kty", "crv", "use", "alg", "kid", "x5t", "p"] {
        let mut key = key();
        key[name] = json!([private]);
        let shown = errors(json!({ "client_jwk": [key] })).concat();
        assert!(!shown.contains(private), "{shown}");
    }
}

#[test]
fn an_id_token_needs_a_client_and_a_name_of_its_own() {
    let config = good(
        json!({ "client_id": ["me"], "client_secret": ["secret of me"], "id_token_param_name": "id_token", "session_secret": "a secret, long enough" }),
    );
    let named = config.lookup.id_token.unwrap();
    assert_eq!((named.header.as_str(), named.places.len()), ("id-token", 3));
    refused(
        json!({ "auth_methods": ["bearer"], "id_token_param_name": "id_token" }),
        "config.client_id",
        "an ID token is for a client of ours",
    );
    refused(
        json!({ "auth_methods": ["bearer"], "client_id": ["me"], "id_token_param_name": "it", "refresh_token_param_name": "It" }),
        "config.id_token_param_name",
        "choose another",
    );
}
