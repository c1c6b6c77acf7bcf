//! How we authenticate at the provider's endpoints (RFC 6749 section 2.3, RFC 7523 section 2.2, OpenID
//! Connect Core 1.0 section 9).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::form::{Form, encode};
use crate::config::{Client, ClientAuth, Secret};
use crate::failure::Refusal;
use crate::host::Time;
use crate::jose::{self, Algorithm, Entropy, PrivateJwk};

/// How long an assertion is good, in seconds: it is used at once, and whoever finds it later must find it
/// useless. Long enough for a provider whose clock is behind.
const ASSERTION_LIFETIME: u64 = 60;

/// `client_assertion_type` (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who we say we are at one endpoint, and what there is to prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The client's id.
    pub id: &'a str,
    /// Its secret.
    pub secret: Option<&'a Secret>,
    /// Its private key.
    pub key: Option<&'a PrivateJwk>,
    /// What it signs with, if the configuration says so.
    pub alg: Option<Algorithm>,
    /// How it proves itself.
    pub method: ClientAuth,
}

/// What a signed proof is made of, beside the client.
pub struct AssertionFacts<'a> {
    /// For whom it is: the provider's issuer, as one text. An endpoint's address there would let a hostile
    /// provider that names another one's endpoint use the proof at that one (CVE-2025-27370).
    pub audience: &'a str,
    /// Now.
    pub now: Time,
    /// Random bytes that nobody else can predict: 16 for `jti`, 32 for the signature.
    pub random: [u8; 48],
}

/// A proof, ready to be sent. Its `Debug` prints its kind alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof<'a> {
    /// `client_secret_basic`.
    Basic(&'a str, &'a Secret),
    /// `client_secret_post`.
    Post(&'a str, &'a Secret),
    /// `client_secret_jwt` and `private_key_jwt`.
    Assertion(Secret),
    /// `none`: nothing but the id.
    Public(&'a str),
    /// No client at all: what is shown says it all.
    Nobody,
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proof::Basic(..) => "Basic",
            Proof::Post(..) => "Post",
            Proof::Assertion(_) => "Assertion",
            Proof::Public(_) => "Public",
            Proof::Nobody => "Nobody",
        })
    }
}

impl<'a> Credentials<'a> {
    /// How it proves itself, by the name that providers announce (RFC 8414 section 2).
    pub fn method_name(&self) -> &'static str {
        self.method.name()
    }

    /// Those of one of our clients. `None` where the configuration gives it no id.
    ///
    /// The method (specification section 6): that of the endpoint, else the client's, else the first
    /// of ours that the provider lists in `supported`, else `client_secret_basic`. Where nothing is
    /// configured, a client without a secret proves itself with its key, and one that has nothing to show
    /// but its id is public.
    pub fn of(
        client: &'a Client,
        at_endpoint: Option<ClientAuth>,
        supported: Option<&[String]>,
    ) -> Option<Credentials<'a>> {
        let id = client.id.as_deref()?;
        let secret = client.secret.as_ref();
        let key = client.key.as_deref();
        let method = at_endpoint
            .or(client.auth)
            .unwrap_or_else(|| match (secret, key) {
                (None, None) => ClientAuth::None,
                (None, Some(_)) => ClientAuth::PrivateKeyJwt,
                (Some(_), key) => announced(supported.unwrap_or_default(), key.is_some()),
            });
        Some(Credentials {
            id,
            secret,
            key,
            alg: client.alg,
            method,
        })
    }

    /// Those that the gateway's client showed, for the client credentials grant (specification section
    /// 4.8): our own are not used. The method is chosen as for ours, but only among those that a secret
    /// is enough for; `none` is passed over.
    pub fn of_caller(
        id: &'a str,
        secret: &'a Secret,
        ours: &Client,
        at_endpoint: Option<ClientAuth>,
        supported: Option<&[String]>,
    ) -> Credentials<'a> {
        let with_secret = |method: &ClientAuth| WITH_SECRET.contains(method);
        let method = at_endpoint
            .filter(with_secret)
            .or(ours.auth.filter(with_secret))
            .unwrap_or_else(|| announced(supported.unwrap_or_default(), false));
        Credentials {
            id,
            secret: Some(secret),
            key: None,
            alg: ours.alg.filter(|alg| alg.is_symmetric()),
            method,
        }
    }

    /// The proof. `facts` is asked only where something has to be signed. An error: there is nothing to
    /// prove it with, which the configuration refuses where it can know.
    pub fn proof<'f>(
        &self,
        facts: impl FnOnce() -> Result<AssertionFacts<'f>, Refusal>,
    ) -> Result<Proof<'a>, Refusal> {
        match (self.method, self.secret, self.key) {
            (ClientAuth::ClientSecretBasic, Some(secret), _) => Ok(Proof::Basic(self.id, secret)),
            (ClientAuth::ClientSecretPost, Some(secret), _) => Ok(Proof::Post(self.id, secret)),
            (ClientAuth::None, ..) => Ok(Proof::Public(self.id)),
            (ClientAuth::ClientSecretJwt, Some(secret), _) => {
                // Kong's default.
                let alg = self.alg.unwrap_or(Algorithm::HS256);
                let claims = facts()?.claims(self.id);
                signed(jose::sign_hmac(secret.expose().as_bytes(), alg, &claims))
            }
            (ClientAuth::PrivateKeyJwt, _, Some(key)) => {
                let facts = facts()?;
                let claims = facts.claims(self.id);
                let token = key
                    .algorithm(self.alg)
                    .and_then(|alg| jose::sign(key, alg, &claims, &facts.entropy()));
                signed(token)
            }
            (method, ..) => Err(Refusal::unexpected(
                "client_unauthenticated",
                format!(
                    "the client has nothing to authenticate with by `{}`",
                    method.name()
                ),
            )),
        }
    }
}

fn signed(token: Option<String>) -> Result<Proof<'static>, Refusal> {
    token.map(Secret::new).map(Proof::Assertion).ok_or_else(|| {
        let reason = "`client_alg` does not go with what the client signs with";
        Refusal::unexpected("client_unauthenticated", reason)
    })
}

impl AssertionFacts<'_> {
    /// RFC 7523 section 3, OpenID Connect Core 1.0 section 9.
    fn claims(&self, id: &str) -> Map<String, Value> {
        let iat = self.now.seconds();
        let jti = self.random.get(..16).unwrap_or_default();
        [
            ("iss", Value::from(id)),
            ("sub", Value::from(id)),
            ("aud", Value::from(self.audience)),
            ("jti", Value::from(URL_SAFE_NO_PAD.encode(jti))),
            ("iat", Value::from(iat)),
            ("exp", Value::from(iat.saturating_add(ASSERTION_LIFETIME))),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn entropy(&self) -> Entropy {
        self.random.last_chunk().copied().unwrap_or_default()
    }
}

impl Proof<'_> {
    /// Adds to a call's headers and to its form what the method wants.
    #[must_use]
    pub fn apply(&self, headers: &mut Vec<(String, String)>, form: Form) -> Form {
        match self {
            Proof::Basic(id, secret) => {
                headers.push(("authorization".to_owned(), basic(id, secret)));
                form
            }
            Proof::Post(id, secret) => form
                .with("client_id", id)
                .with("client_secret", secret.expose()),
            // No `client_id` beside it: it is optional (RFC 7521 section 4.2), and upsets Okta (B27).
            Proof::Assertion(assertion) => form
                .with("client_assertion_type", ASSERTION_TYPE)
                .with("client_assertion", assertion.expose()),
            Proof::Public(id) => form.with("client_id", id),
            Proof::Nobody => form,
        }
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1): a colon in the id
/// would otherwise move into the secret.
fn basic(id: &str, secret: &Secret) -> String {
    let pair = format!("{}:{}", encode(id), encode(secret.expose()));
    format!("Basic {}", STANDARD.encode(pair))
}

/// The methods that a secret is enough for, the preferred one first.
const WITH_SECRET: [ClientAuth; 3] = [
    ClientAuth::ClientSecretBasic,
    ClientAuth::ClientSecretPost,
    ClientAuth::ClientSecretJwt,
];

/// The first of our methods that the provider lists. `none` is not taken from a list: there is a
/// secret, and to leave it out because a document says so would be a downgrade.
fn announced(supported: &[String], has_key: bool) -> ClientAuth {
    WITH_SECRET
        .into_iter()
        .chain(has_key.then_some(ClientAuth::PrivateKeyJwt))
        .find(|method| supported.iter().any(|listed| listed == method.name()))
        .unwrap_or(ClientAuth::ClientSecretBasic)
}

#[cfg(test)]
mod tests;
