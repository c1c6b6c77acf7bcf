//! Clients that a test registers at the shared Keycloak.

use serde_json::{Value, json};
use support::keycloak::{Keycloak, REALM};

/// A client of its own at Keycloak, which accepts this proof only.
///
/// # Panics
/// When Keycloak refuses.
pub fn register(id: &str, authenticator: &str, members: &Value) {
    let mut client = json!({
        "clientId": id, "clientAuthenticatorType": authenticator, "publicClient": false,
        "standardFlowEnabled": true, "redirectUris": ["*"],
    });
    for (name, value) in members.as_object().expect("members") {
        client[name] = value.clone();
    }
    let answer = Keycloak::shared().admin("POST", &format!("/realms/{REALM}/clients"), &client);
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Attributes of a client that proves itself with [`private_key`].
#[must_use]
pub fn with_key() -> Value {
    json!({
        "use.jwks.string": "true",
        "jwks.string": json!({"keys": [public_key()]}).to_string(),
        "token.endpoint.auth.signing.alg": "ES256",
    })
}

/// The public half of the key of RFC 7515 appendix A.3.1.
fn public_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "mine", "use": "sig", "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// The whole key of RFC 7515 appendix A.3.1.
#[must_use]
pub fn private_key() -> Value {
    let mut key = public_key();
    key["d"] = json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    key
}
