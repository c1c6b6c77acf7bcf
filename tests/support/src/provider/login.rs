//! What people come to: authorization and end-session endpoint (RFC 6749, OpenID Connect Core). Strict where a client
//! could be careless: a code is good once, for its `redirect_uri`, its verifier and its client.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::habits::Habits;
use super::{CLIENT, PERSON};
use crate::issuer::SigningKey;

/// What the token endpoint gives.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Merged into the claims of the ID token; null takes one out.
    pub id: Value,
    /// Merged into the claims of the access token.
    pub access: Value,
    /// Merged into the answer; null takes a member out.
    pub answer: Value,
    /// How long the access token lives, in seconds.
    pub lifetime: u64,
    /// Whether the ID token's signature is spoilt.
    pub bad_signature: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            id: json!({}),
            access: json!({}),
            answer: json!({}),
            lifetime: 300,
            bad_signature: false,
        }
    }
}

/// An answer of these endpoints.
pub(super) struct Own {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

impl Own {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            kind: "application/json",
            location: None,
            body: body.to_string(),
        }
    }

    pub(super) fn error(error: &str, description: &str) -> Self {
        let status = match error {
            "invalid_client" | "invalid_token" => 401,
            "access_denied" => 403,
            _ => 400,
        };
        let body = json!({"error": error, "error_description": description});
        Self::json(status, &body)
    }

    fn to(place: String) -> Self {
        Self {
            location: Some(place),
            ..Self::json(302, &json!({}))
        }
    }
}

/// A code, or a refresh token, and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client: String,
    /// `sub`: of a person, or of the client itself.
    pub(super) subject: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
    pub(super) may_refresh: bool,
}

impl Grant {
    /// Nobody's login: what a client or a person asks for at the token endpoint.
    pub(super) fn of(client: &str, subject: &str, asked: &Fields) -> Grant {
        let get = |name: &str| asked.get(name).cloned();
        Grant {
            client: client.to_owned(),
            subject: subject.to_owned(),
            redirect_uri: get("redirect_uri").unwrap_or_default(),
            nonce: get("nonce"),
            challenge: get("code_challenge"),
            scope: get("scope").unwrap_or_default(),
            audience: get("audience"),
            may_refresh: true,
        }
    }

    pub(super) fn is_of_a_client(&self) -> bool {
        self.subject == self.client
    }

    pub(super) fn scopes(&self) -> Vec<&str> {
        self.scope.split_whitespace().collect()
    }
}

/// All logins so far, and all that came of them.
pub(super) struct Logins {
    pub(super) tokens: Tokens,
    pub(super) habits: Habits,
    pub(super) forms: Vec<BTreeMap<String, String>>,
    pub(super) codes: BTreeMap<String, Grant>,
    pub(super) refresh_tokens: BTreeMap<String, Grant>,
    /// The access tokens that were given: their claims, and whether they name an API of the client's.
    pub(super) access: BTreeMap<String, (Value, bool)>,
    pub(super) key: &'static SigningKey,
    pub(super) id_key: &'static SigningKey,
    pub(super) port: u16,
    serial: u32,
}

pub(super) type Fields = BTreeMap<String, String>;

pub(super) fn fields(text: &[u8]) -> Fields {
    form_urlencoded::parse(text).into_owned().collect()
}

impl Logins {
    pub(super) fn new(habits: Habits, port: u16) -> Self {
        let key = SigningKey::shared();
        let id_key = if habits.two_keys {
            SigningKey::second()
        } else {
            key
        };
        Self {
            tokens: Tokens::default(),
            habits,
            forms: Vec::new(),
            codes: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            access: BTreeMap::new(),
            key,
            id_key,
            port,
            serial: 0,
        }
    }

    pub(super) fn next(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{}", self.serial)
    }

    pub(super) fn authorize(&mut self, asked: &Fields) -> Own {
        let get = |name: &str| asked.get(name).cloned();
        let (Some(redirect_uri), Some(state)) = (get("redirect_uri"), get("state")) else {
            return Own::error("invalid_request", "no redirect_uri or state");
        };
        let good = get("client_id").as_deref() == Some(CLIENT.0)
            && get("response_type").as_deref() == Some("code")
            && get("code_challenge_method").is_none_or(|method| method == "S256");
        if !good {
            return Own::error("invalid_request", "another client or flow");
        }
        if self.habits.https_callbacks && !is_safe(&redirect_uri) {
            return Own::error("redirect_mismatch", "a callback has to be https");
        }
        if self.habits.secret.is_none() && get("code_challenge").is_none() {
            return Own::error(
                "invalid_request",
                "a public client without a code_challenge",
            );
        }
        let code = self.next("code");
        let mut grant = Grant::of(CLIENT.0, PERSON, asked);
        grant.may_refresh = self.habits.refresh.is_asked(&grant, asked);
        self.codes.insert(code.clone(), grant);
        if get("response_mode").as_deref() == Some("form_post") {
            return posted(&redirect_uri, &[("code", &code), ("state", &state)]);
        }
        let mark = if redirect_uri.contains('?') { '&' } else { '?' };
        let mut back = form_urlencoded::Serializer::new(String::new());
        back.append_pair("code", &code).append_pair("state", &state);
        Own::to(format!("{redirect_uri}{mark}{}", back.finish()))
    }

    pub(super) fn end_session(&self, asked: &Fields) -> Own {
        let back = match self.habits.own_logout {
            // It leads back by its own argument alone, and only for a client that it knows.
            Some(back) => match (asked.get("client_id"), asked.get(back)) {
                (Some(client), Some(place)) if client == CLIENT.0 => Some(place),
                _ => {
                    let why = format!("client_id and {back} are required");
                    return Own::error("invalid_request", &why);
                }
            },
            None => asked.get("post_logout_redirect_uri"),
        };
        match back {
            Some(place) => Own::to(place.clone()),
            None => Own::json(200, &json!({"logged_out": true})),
        }
    }
}

fn is_safe(redirect_uri: &str) -> bool {
    Url::parse(redirect_uri)
        .is_ok_and(|url| url.scheme() == "https" || url.host_str() == Some("localhost"))
}

/// A form that posts itself (OAuth 2.0 Form Post Response Mode).
fn posted(action: &str, fields: &[(&str, &str)]) -> Own {
    let quoted = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
    let inputs: String = fields
        .iter()
        .map(|(name, value)| {
            format!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                quoted(value)
            )
        })
        .collect();
    Own {
        status: 200,
        kind: "text/html",
        location: None,
        body: format!(
            "<body onload=\"document.forms[0].submit()\"><form method=\"post\" action=\"{}\">{inputs}</form>",
            quoted(action)
        ),
    }
}

/// Members replace or join those that are there; null takes one out.
pub(super) fn merge(into: &mut Value, members: &Value) {
    let Some(own) = into.as_object_mut() else {
        return;
    };
    for (name, value) in members.as_object().into_iter().flatten() {
        if value.is_null() {
            own.remove(name);
        } else {
            own.insert(name.clone(), value.clone());
        }
    }
}
