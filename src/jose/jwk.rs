//! One JSON Web Key (RFC 7517 section 4), checked and ready to verify.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::alg::Algorithm;
use super::der;
use super::key::PublicKey;

/// A public key for signatures, with its names (RFC 7517 section 4).
#[derive(Clone, Debug)]
pub struct Jwk {
    /// The key's name (RFC 7517 section 4.5).
    pub kid: Option<String>,
    /// The SHA-1 thumbprint of its certificate (RFC 7517 section 4.8).
    pub x5t: Option<String>,
    /// The SHA-256 thumbprint of its certificate (RFC 7517 section 4.9).
    pub x5t_s256: Option<String>,
    /// The only algorithm it is for, if it says so (RFC 7517 section 4.4).
    pub alg: Option<Algorithm>,
    /// The key itself.
    pub key: PublicKey,
    /// SHA-256 of its required members (RFC 7638 section 3): what the key is, whatever it is called.
    pub thumbprint: [u8; 32],
    /// SubjectPublicKeyInfo in DER (RFC 5280 section 4.1), for the host's cryptography.
    pub spki: Vec<u8>,
    /// The JSON of its required members.
    canonical: String,
}

impl Jwk {
    /// Reads a key's members. The error says why the key is of no use here. Private members
    /// (RFC 7518 sections 6.2.2 and 6.3.2) are not looked at.
    pub fn from_members(members: &Map<String, Value>) -> Result<Jwk, &'static str> {
        check_purpose(members)?;
        let material = match string(members, "kty") {
            Some("RSA") => rsa(members)?,
            Some("EC") => ec(members)?,
            Some("OKP") => okp(members)?,
            Some("oct") => return Err("a secret (kty `oct`) in a key set is never used"),
            Some(_) => return Err("the key type (`kty`) is not supported"),
            None => return Err("the key has no `kty`"),
        };
        let alg = match members.get("alg") {
            None => None,
            Some(name) => Some(
                name.as_str()
                    .and_then(Algorithm::from_name)
                    .ok_or("the key's `alg` is no supported signature algorithm")?,
            ),
        };
        if alg.is_some_and(|alg| !material.key.fits(alg)) {
            return Err("the key's `alg` does not go with its type or curve");
        }
        Ok(Jwk {
            kid: owned(members, "kid"),
            x5t: owned(members, "x5t"),
            x5t_s256: owned(members, "x5t#S256"),
            alg,
            key: material.key,
            thumbprint: Sha256::digest(material.canonical.as_bytes()).into(),
            spki: material.spki,
            canonical: material.canonical,
        })
    }

    /// The key as JSON: what it is and what it is called, and nothing of what else the provider wrote there.
    pub fn public_json(&self) -> String {
        let mut members: Map<String, Value> =
            serde_json::from_str(&self.canonical).unwrap_or_default();
        let names = [
            ("kid", self.kid.as_deref()),
            ("x5t", self.x5t.as_deref()),
            ("x5t#S256", self.x5t_s256.as_deref()),
            ("alg", self.alg.map(Algorithm::name)),
            ("use", Some("sig")),
        ];
        let named = names
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
        members.extend(named);
        Value::Object(members).to_string()
    }

    /// Whether a token of this algorithm may have been signed with this key: kind and curve fit, and
    /// so does the key's own `alg` if it has one (RFC 7517 section 4.4, RFC 8725 section 3.1).
    pub fn fits(&self, alg: Algorithm) -> bool {
        self.key.fits(alg) && self.alg.is_none_or(|own| own == alg)
    }
}

struct Material {
    key: PublicKey,
    /// The JSON whose hash is the thumbprint (RFC 7638 section 3.2).
    canonical: String,
    spki: Vec<u8>,
}

/// `use` and `key_ops`, where present, must allow verifying (RFC 7517 sections 4.2 and 4.3).
fn check_purpose(members: &Map<String, Value>) -> Result<(), &'static str> {
    if members.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("the key is not for signatures (`use` is not `sig`)");
    }
    let verifies = members.get("key_ops").is_none_or(|operations| {
        operations
            .as_array()
            .is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    });
    if !verifies {
        return Err("the key is not for verifying (`key_ops` without `verify`)");
    }
    Ok(())
}

fn rsa(members: &Map<String, Value>) -> Result<Material, &'static str> {
    let n = bytes(members, "n").ok_or("the modulus `n` is missing or not base64url")?;
    let e = bytes(members, "e").ok_or("the exponent `e` is missing or not base64url")?;
    // Some providers put a zero in front (RFC 7518 section 6.3.1.1 warns of it); it means nothing.
    let n = der::without_leading_zeros(&n);
    let e = der::without_leading_zeros(&e);
    Ok(Material {
        key: PublicKey::rsa(n, e)?,
        canonical: format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(e),
            URL_SAFE_NO_PAD.encode(n)
        ),
        spki: der::rsa_spki(n, e),
    })
}

fn ec(members: &Map<String, Value>) -> Result<Material, &'static str> {
    type Make = fn(&[u8]) -> Result<PublicKey, &'static str>;
    let crv = string(members, "crv").ok_or("the key has no `crv`")?;
    let (length, identifier, make): (usize, &[u8], Make) = match crv {
        "P-256" => (32, der::P256, PublicKey::p256),
        "P-384" => (48, der::P384, PublicKey::p384),
        "P-521" => (66, der::P521, PublicKey::p521),
        "secp256k1" => return Err("secp256k1 (ES256K) is not supported: use P-256"),
        _ => return Err("the curve (`crv`) is not supported"),
    };
    let x = bytes(members, "x").ok_or("the coordinate `x` is missing or not base64url")?;
    let y = bytes(members, "y").ok_or("the coordinate `y` is missing or not base64url")?;
    if x.len() != length || y.len() != length {
        // RFC 7518 section 6.2.1.2: full length, zeros included.
        return Err("a coordinate is not as long as the curve demands");
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok(Material {
        key: make(&point)?,
        canonical: format!(
            r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(&x),
            URL_SAFE_NO_PAD.encode(&y)
        ),
        spki: der::spki(identifier, &point),
    })
}

fn okp(members: &Map<String, Value>) -> Result<Material, &'static str> {
    match string(members, "crv") {
        Some("Ed25519") => {}
        Some("Ed448") => return Err("Ed448 is not supported: of EdDSA only Ed25519 is"),
        Some("X25519" | "X448") => return Err("X25519 and X448 are for encryption only"),
        Some(_) => return Err("the curve (`crv`) is not supported"),
        None => return Err("the key has no `crv`"),
    }
    let x = bytes(members, "x").ok_or("the key `x` is missing or not base64url")?;
    Ok(Material {
        key: PublicKey::ed25519(&x)?,
        canonical: format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(&x)
        ),
        spki: der::spki(der::ED25519, &x),
    })
}

fn string<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn owned(members: &Map<String, Value>, name: &str) -> Option<String> {
    string(members, name).map(str::to_owned)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(string(members, name)?).ok()
}
