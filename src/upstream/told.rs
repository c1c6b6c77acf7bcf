//! What is known of whoever passes, as headers: for the upstream (specification section 10.1) and for the client
//! (section 10.2).

use std::borrow::Cow;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Pair;
use crate::authz::{claim, text_values};
use crate::config::{Config, Fact, IdentityHeaders};
use crate::http::strip_controls;

/// What is known of whoever passes.
#[derive(Clone, Copy, Default)]
pub struct Identity<'a> {
    /// The claims of the access token, if it is a JWT.
    pub access: Option<&'a Value>,
    /// What the introspection endpoint said of it.
    pub introspection: Option<&'a Value>,
    /// The claims of the ID token.
    pub id: Option<&'a Value>,
    /// What the userinfo endpoint said.
    pub userinfo: Option<&'a Value>,
}

impl<'a> Identity<'a> {
    /// The documents in the order in which claims are looked for (specification sections 9.1 and 10.1): what is
    /// known of the access token, then what is known of the person.
    pub fn sources(self) -> impl Iterator<Item = &'a Value> {
        [self.access, self.introspection, self.id, self.userinfo]
            .into_iter()
            .flatten()
    }

    /// What rules are held against (specification section 8): the access token with what introspection adds;
    /// where both are unknown, the ID token or the userinfo.
    pub fn judged(self) -> Cow<'a, Value> {
        match (self.access, self.introspection) {
            (Some(Value::Object(access)), Some(Value::Object(said))) => {
                let mut all = said.clone();
                all.extend(access.clone());
                Cow::Owned(Value::Object(all))
            }
            (Some(known), _) | (None, Some(known)) => Cow::Borrowed(known),
            (None, None) => self
                .id
                .or(self.userinfo)
                .map_or(Cow::Owned(Value::Null), Cow::Borrowed),
        }
    }

    /// The claim of this name, from the first document that has it as a text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.sources().find_map(|claims| claims.get(name)?.as_str())
    }
}

/// Headers that are ready to be written.
pub struct Told {
    /// For the upstream.
    pub upstream: Vec<Pair>,
    /// For the client.
    pub downstream: Vec<Pair>,
}

impl Told {
    /// The headers that the configuration wants of an identity. `value` gives what is no claim.
    pub fn of(
        identity: Identity<'_>,
        config: &Config,
        value: &dyn Fn(Fact) -> Option<String>,
    ) -> Told {
        let side = |settings: &IdentityHeaders| {
            let mut headers = claim_headers(identity, settings);
            headers.extend(fact_headers(identity, settings, value));
            headers
        };
        Told {
            upstream: side(&config.upstream),
            downstream: side(&config.downstream),
        }
    }

    /// The same as a verdict keeps it: shared, and nothing where nothing is wanted.
    pub fn shared(self) -> (Rc<[Pair]>, Option<Rc<[Pair]>>) {
        let downstream = (!self.downstream.is_empty()).then(|| Rc::from(self.downstream));
        (Rc::from(self.upstream), downstream)
    }
}

/// The headers that claims give (specification section 10.1, "encoding"): a string as it is, a list of
/// strings joined by comma and space, anything else that is not a plain number or boolean as JSON in
/// standard Base64. A missing or null claim sets nothing. The first document that has a claim gives it.
fn claim_headers(identity: Identity<'_>, settings: &IdentityHeaders) -> Vec<Pair> {
    let headers = settings.claim_headers.iter();
    headers
        .filter_map(|mapping| {
            let mut sources = identity.sources();
            let found = sources.find_map(|claims| claim(claims, &mapping.path));
            pair(&mapping.name, header_value(found?))
        })
        .collect()
}

/// The headers of what is known beside single claims: tokens as they are, documents and keys as JSON in standard
/// Base64 (specification section 10.1). What is not there sets nothing.
fn fact_headers(
    identity: Identity<'_>,
    settings: &IdentityHeaders,
    value: &dyn Fn(Fact) -> Option<String>,
) -> Vec<Pair> {
    let headers = settings.fact_headers.iter();
    headers
        .filter_map(|(fact, name)| {
            let value = match fact {
                Fact::Introspection => header_value(identity.introspection?),
                Fact::Userinfo => header_value(identity.userinfo?),
                Fact::AccessTokenJwk | Fact::IdTokenJwk => {
                    STANDARD.encode(value(*fact)?).into_bytes()
                }
                _ => strip_controls(value(*fact)?.as_bytes()),
            };
            pair(name, value)
        })
        .collect()
}

fn pair(name: &str, value: Vec<u8>) -> Option<Pair> {
    (!value.is_empty()).then(|| (name.as_bytes().to_vec(), value))
}

fn header_value(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => strip_controls(text.as_bytes()),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            strip_controls(text_values(value).join(", ").as_bytes())
        }
        Value::Number(_) | Value::Bool(_) => value.to_string().into_bytes(),
        _ => STANDARD.encode(value.to_string()).into_bytes(),
    }
}
