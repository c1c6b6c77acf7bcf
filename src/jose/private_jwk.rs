//! A private JSON Web Key of ours (RFC 7517 section 4, RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section
//! 2), checked and ready to sign.
//!
//! Unlike the keys of a provider, which are skipped when they are of no use, a key of ours that is of no
//! use is a mistake of the operator: the fault names the member and says what to write.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::alg::Algorithm;
use super::der;
use super::jwk::Jwk;
use super::private_key::{Entropy, PrivateKey};

/// A key that signs, with its names. Two are equal when they are the same key under the same names.
///
/// Its `Debug` prints nothing of the private part.
pub struct PrivateJwk {
    /// The public half, with `kid`, `alg` and the thumbprints of its certificate.
    pub public: Jwk,
    key: PrivateKey,
    /// What may be published (RFC 7517 section 5): put together from names that are known to be public,
    /// never by leaving out private ones (trap T3).
    published: Map<String, Value>,
}

/// Why a key is of no use, and the member that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwkFault {
    /// The member's name, such as `d`.
    pub member: &'static str,
    /// What is wrong and what to write instead. Never repeats a value.
    pub reason: &'static str,
}

fn fault(member: &'static str, reason: &'static str) -> JwkFault {
    JwkFault { member, reason }
}

impl fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateJwk")
            .field("kid", &self.public.kid)
            .field("alg", &self.public.alg)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl PartialEq for PrivateJwk {
    fn eq(&self, other: &PrivateJwk) -> bool {
        // The thumbprint is of the public key, which belongs to one private key only.
        self.published == other.published
            && self.public.x5t == other.public.x5t
            && self.public.x5t_s256 == other.public.x5t_s256
    }
}

impl Eq for PrivateJwk {}

impl PrivateJwk {
    /// Reads a key's members. A public key alone, one for another purpose, a weak one, and one whose private
    /// part does not belong to the public one are refused.
    pub fn from_members(members: &Map<String, Value>) -> Result<PrivateJwk, JwkFault> {
        let kty = match text(members, "kty")? {
            Some(kty @ ("RSA" | "EC" | "OKP")) => kty,
            Some("oct") => {
                let text = "a symmetric key is the client's secret: write it in `client_secret`";
                return Err(fault("kty", text));
            }
            Some(_) => return Err(fault("kty", "is no key type; write `RSA`, `EC` or `OKP`")),
            None => return Err(fault("kty", "is required; write `RSA`, `EC` or `OKP`")),
        };
        if members.contains_key("k") {
            return Err(fault("k", "belongs to a symmetric key only; remove it"));
        }
        check_purpose(members)?;
        check_kind(members, kty)?;
        for name in ["kid", "alg", "x5t", "x5t#S256"] {
            text(members, name)?;
        }
        if !members.contains_key("d") {
            let text = "is missing: a public key signs nothing; write the private key";
            return Err(fault("d", text));
        }
        let public = Jwk::from_members(&public_half(members, kty)).map_err(|reason| {
            let member = if members.contains_key("alg") && reason.contains("`alg`") {
                "alg"
            } else {
                public_member(kty)
            };
            fault(member, reason)
        })?;
        let key = match kty {
            "RSA" => rsa(members)?,
            "EC" => ec(members)?,
            _ => okp(members)?,
        };
        let published = published(members, kty, &public);
        Ok(PrivateJwk {
            public,
            key,
            published,
        })
    }

    /// The algorithm to sign with: the wanted one, else the key's own, else the common one for its kind
    /// (Kong: RS256). `None` where the wanted one is not for this key.
    pub fn algorithm(&self, wanted: Option<Algorithm>) -> Option<Algorithm> {
        let common = match &self.key {
            PrivateKey::Rsa(_) => Algorithm::RS256,
            PrivateKey::P256(_) => Algorithm::ES256,
            PrivateKey::P384(_) => Algorithm::ES384,
            PrivateKey::P521(_) => Algorithm::ES512,
            PrivateKey::Ed25519(_) => Algorithm::EdDSA,
        };
        let alg = wanted.or(self.public.alg).unwrap_or(common);
        self.public.fits(alg).then_some(alg)
    }

    /// Signs (RFC 7515 section 5.1, step 5). `None` where the algorithm is not for this key.
    pub(super) fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        entropy: &Entropy,
    ) -> Option<Vec<u8>> {
        if !self.public.fits(alg) {
            return None;
        }
        self.key.sign(alg, message, entropy)
    }
}

/// The key set that a provider may fetch to verify what these keys sign (RFC 7517 section 5). No private
/// member can be in it (trap T3). Keys that are equal stand once.
pub fn public_jwks<'a>(keys: impl IntoIterator<Item = &'a PrivateJwk>) -> Value {
    let mut list: Vec<Value> = Vec::new();
    for key in keys {
        let key = Value::Object(key.published.clone());
        if !list.contains(&key) {
            list.push(key);
        }
    }
    let mut set = Map::new();
    set.insert("keys".to_owned(), Value::Array(list));
    Value::Object(set)
}

/// The members of a public key of each type (RFC 7518 sections 6.2.1 and 6.3.1, RFC 8037 section 2).
fn public_names(kty: &str) -> &'static [&'static str] {
    match kty {
        "RSA" => &["n", "e"],
        "EC" => &["crv", "x", "y"],
        _ => &["crv", "x"],
    }
}

/// Where a fault of the public half is shown.
fn public_member(kty: &str) -> &'static str {
    match kty {
        "RSA" => "n",
        _ => "x",
    }
}

/// What [`Jwk`] reads. `use` and `key_ops` were judged by other rules: they are those of the private key.
fn public_half(members: &Map<String, Value>, kty: &str) -> Map<String, Value> {
    let names = ["kty", "kid", "alg", "x5t", "x5t#S256"];
    let mut half = Map::new();
    for name in names.iter().chain(public_names(kty)) {
        if let Some(value) = members.get(*name) {
            half.insert((*name).to_owned(), value.clone());
        }
    }
    half
}

fn published(members: &Map<String, Value>, kty: &str, public: &Jwk) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: &str| {
        map.insert(name.to_owned(), Value::from(value));
    };
    put("kty", kty);
    put("use", "sig");
    for name in public_names(kty) {
        if let Some(Value::String(value)) = members.get(*name) {
            put(name, value);
        }
    }
    if let Some(kid) = &public.kid {
        put("kid", kid);
    }
    if let Some(alg) = public.alg {
        put("alg", alg.name());
    }
    map
}

/// `use` and `key_ops`, where present, must allow signing (RFC 7517 sections 4.2 and 4.3).
fn check_purpose(members: &Map<String, Value>) -> Result<(), JwkFault> {
    if members.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(fault(
            "use",
            "is not `sig`: the key must be one for signatures",
        ));
    }
    let signs = members.get("key_ops").is_none_or(|operations| {
        let list = operations.as_array();
        list.is_some_and(|list| list.is_empty() || list.iter().any(|one| one == "sign"))
    });
    if !signs {
        let text = "does not name `sign`: the key must be one for signatures";
        return Err(fault("key_ops", text));
    }
    Ok(())
}

/// Members of another type of key would have no effect.
fn check_kind(members: &Map<String, Value>, kty: &str) -> Result<(), JwkFault> {
    const RSA: [&str; 7] = ["n", "e", "p", "q", "dp", "dq", "qi"];
    const CURVE: [&str; 3] = ["crv", "x", "y"];
    let foreign: &[&'static str] = match kty {
        "RSA" => &CURVE,
        "EC" => &RSA,
        _ => &["n", "e", "p", "q", "dp", "dq", "qi", "y"],
    };
    match foreign.iter().find(|name| members.contains_key(**name)) {
        Some(name) => Err(fault(name, "belongs to a key of another type; remove it")),
        None => Ok(()),
    }
}

fn rsa(members: &Map<String, Value>) -> Result<PrivateKey, JwkFault> {
    let n = bytes(members, "n")?.unwrap_or_default();
    let e = bytes(members, "e")?.unwrap_or_default();
    let d = bytes(members, "d")?.unwrap_or_default();
    let (p, q) = (bytes(members, "p")?, bytes(members, "q")?);
    // They follow from `p`, `q` and `d`. A key whose parts were garbled on the way is still worth an error.
    for name in ["dp", "dq", "qi"] {
        bytes(members, name)?;
    }
    let primes: Vec<&[u8]> = match (&p, &q) {
        (Some(p), Some(q)) => vec![p, q],
        (None, None) => Vec::new(),
        (Some(_), None) => return Err(fault("q", "is missing, and `p` is there; write both")),
        (None, Some(_)) => return Err(fault("p", "is missing, and `q` is there; write both")),
    };
    let plain = der::without_leading_zeros;
    PrivateKey::rsa(plain(&n), plain(&e), plain(&d), &primes).map_err(|reason| fault("d", reason))
}

fn ec(members: &Map<String, Value>) -> Result<PrivateKey, JwkFault> {
    let d = bytes(members, "d")?.unwrap_or_default();
    type Make = fn(&[u8]) -> Result<(PrivateKey, Vec<u8>), &'static str>;
    let (length, make): (usize, Make) = match text(members, "crv")? {
        Some("P-256") => (32, PrivateKey::p256),
        Some("P-384") => (48, PrivateKey::p384),
        _ => (66, PrivateKey::p521),
    };
    if d.len() != length {
        // RFC 7518 section 6.2.2.1: full length, zeros included.
        return Err(fault("d", "is not as long as the curve demands"));
    }
    let (key, point) = make(&d).map_err(|reason| fault("d", reason))?;
    let x = bytes(members, "x")?.unwrap_or_default();
    let y = bytes(members, "y")?.unwrap_or_default();
    if point != [&[4], x.as_slice(), y.as_slice()].concat() {
        return Err(fault(
            "d",
            "does not belong to `x` and `y`: they are not one key",
        ));
    }
    Ok(key)
}

fn okp(members: &Map<String, Value>) -> Result<PrivateKey, JwkFault> {
    let d = bytes(members, "d")?.unwrap_or_default();
    let (key, public) = PrivateKey::ed25519(&d).map_err(|reason| fault("d", reason))?;
    if Some(public) != bytes(members, "x")? {
        return Err(fault("d", "does not belong to `x`: they are not one key"));
    }
    Ok(key)
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, JwkFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(fault(name, "write a text")),
    }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<u8>>, JwkFault> {
    let Some(text) = text(members, name)? else {
        return Ok(None);
    };
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => Err(fault(name, "is not base64url without padding")),
    }
}
