//! The JOSE header of a JWS (RFC 7515 section 4), read strictly.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::alg::Algorithm;
use super::jws::{JwsError, MAX_HEADER};

/// More members than any header has; bounds the search for duplicates.
const MAX_MEMBERS: usize = 64;

/// What a token says about itself (RFC 7515 section 4.1). Keys that it brings along or points to
/// (`jwk`, `jku`, `x5c`, `x5u`) have no place here, so nobody can believe them (CVE-2018-0114).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwsHeader {
    /// The algorithm (RFC 7515 section 4.1.1).
    pub alg: Algorithm,
    /// The key's name (RFC 7515 section 4.1.4): opaque, compared byte for byte.
    pub kid: Option<String>,
    /// The token's media type (RFC 7515 section 4.1.9).
    pub typ: Option<String>,
    /// The payload's media type (RFC 7515 section 4.1.10).
    pub cty: Option<String>,
    /// The SHA-1 thumbprint of the key's certificate (RFC 7515 section 4.1.7): a name, not a proof.
    pub x5t: Option<String>,
    /// The SHA-256 thumbprint of the key's certificate (RFC 7515 section 4.1.8).
    pub x5t_s256: Option<String>,
}

impl JwsHeader {
    /// Reads a header's JSON. A member that occurs twice is refused (RFC 7515 section 4): two readers
    /// could each believe another one.
    pub(super) fn parse(json: &[u8]) -> Result<JwsHeader, JwsError> {
        if json.len() > MAX_HEADER {
            return Err(JwsError::TooLarge);
        }
        let members: Members = serde_json::from_slice(json)
            .map_err(|_| JwsError::Malformed("the header is no JSON object with unique members"))?;
        let alg = match members.alg {
            Some(Value::String(name)) => named(&name)?,
            _ => return Err(JwsError::Malformed("the header has no `alg`")),
        };
        if members.critical {
            return Err(JwsError::Critical);
        }
        Ok(JwsHeader {
            alg,
            kid: text(members.kid, "`kid` is no string")?,
            typ: text(members.typ, "`typ` is no string")?,
            cty: text(members.cty, "`cty` is no string")?,
            x5t: text(members.x5t, "`x5t` is no string")?,
            x5t_s256: text(members.x5t_s256, "`x5t#S256` is no string")?,
        })
    }

    /// Whether `typ` lets the token be an access token: absent, `JWT`, or `at+jwt` (RFC 9068 section
    /// 2.1). Any other explicit type is another kind of token (RFC 8725 section 3.11), such as a
    /// logout token or a DPoP proof. Media types have no case (RFC 7515 section 4.1.9).
    pub fn is_access_token_type(&self) -> bool {
        self.typ.as_deref().is_none_or(|typ| {
            ["JWT", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|good| typ.eq_ignore_ascii_case(good))
        })
    }

    /// Whether the token says which key signed it (RFC 7515 sections 4.1.4, 4.1.7 and 4.1.8).
    pub fn names_a_key(&self) -> bool {
        self.kid.is_some() || self.x5t.is_some() || self.x5t_s256.is_some()
    }
}

fn named(name: &str) -> Result<Algorithm, JwsError> {
    if name.trim().eq_ignore_ascii_case("none") {
        return Err(JwsError::AlgorithmNone);
    }
    Algorithm::from_name(name).ok_or(JwsError::UnsupportedAlgorithm)
}

fn text(value: Option<Value>, complaint: &'static str) -> Result<Option<String>, JwsError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsError::Malformed(complaint)),
    }
}

#[derive(Default)]
struct Members {
    alg: Option<Value>,
    kid: Option<Value>,
    typ: Option<Value>,
    cty: Option<Value>,
    x5t: Option<Value>,
    x5t_s256: Option<Value>,
    /// There is a `crit`, whatever it holds, or a `b64` other than true.
    critical: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.len() >= MAX_MEMBERS || seen.contains(&name) {
                return Err(A::Error::custom("a member too many"));
            }
            let place = match name.as_str() {
                "alg" => Some(&mut members.alg),
                "kid" => Some(&mut members.kid),
                "typ" => Some(&mut members.typ),
                "cty" => Some(&mut members.cty),
                "x5t" => Some(&mut members.x5t),
                "x5t#S256" => Some(&mut members.x5t_s256),
                _ => None,
            };
            match (place, name.as_str()) {
                (Some(place), _) => *place = Some(map.next_value()?),
                (None, "crit") => {
                    map.next_value::<IgnoredAny>()?;
                    members.critical = true;
                }
                (None, "b64") => {
                    members.critical |= map.next_value::<Value>()? != Value::Bool(true);
                }
                (None, _) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            seen.push(name);
        }
        Ok(members)
    }
}
