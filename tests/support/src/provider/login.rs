//! The endpoints of a login: authorization, token and end-session endpoint (RFC 6749, OpenID Connect Core). Strict where a
//! client could be careless: a code is good once, for its `redirect_uri`, its verifier and its client; a refresh token is
//! rotated, and good once.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::CLIENT;
use crate::issuer::{SigningKey, b64, claims};

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

    fn error(error: &str, description: &str) -> Self {
        let status = if error == "invalid_client" { 401 } else { 400 };
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
#[derive(Clone, Default)]
struct Grant {
    redirect_uri: String,
    nonce: Option<String>,
    challenge: Option<String>,
}

/// All logins so far.
#[derive(Default)]
pub(super) struct Logins {
    pub(super) tokens: Tokens,
    pub(super) forms: Vec<BTreeMap<String, String>>,
    codes: BTreeMap<String, Grant>,
    refresh_tokens: BTreeSet<String>,
    serial: u32,
}

type Fields = BTreeMap<String, String>;

fn fields(text: &[u8]) -> Fields {
    form_urlencoded::parse(text).into_owned().collect()
}

impl Logins {
    pub(super) fn answer(
        &mut self,
        path: &str,
        query: &str,
        body: &[u8],
        basic: Option<&str>,
        port: u16,
    ) -> Own {
        match path {
            super::AUTHORIZE => self.authorize(&fields(query.as_bytes())),
            super::TOKEN => self.token(fields(body), basic, port),
            _ => {
                let query = fields(query.as_bytes());
                match query.get("post_logout_redirect_uri") {
                    Some(place) => Own::to(place.clone()),
                    None => Own::json(200, &json!({"logged_out": true})),
                }
            }
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{}", self.serial)
    }

    fn authorize(&mut self, asked: &Fields) -> Own {
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
        let code = self.next("code");
        let grant = Grant {
            redirect_uri: redirect_uri.clone(),
            nonce: get("nonce"),
            challenge: get("code_challenge"),
        };
        self.codes.insert(code.clone(), grant);
        if get("response_mode").as_deref() == Some("form_post") {
            let quoted = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
            let input = |name: &str, value: &str| {
                format!(
                    "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                    quoted(value)
                )
            };
            return Own {
                status: 200,
                kind: "text/html",
                location: None,
                body: format!(
                    "<body onload=\"document.forms[0].submit()\"><form method=\"post\" action=\"{}\">{}{}</form>",
                    quoted(&redirect_uri),
                    input("code", &code),
                    input("state", &state)
                ),
            };
        }
        let mark = if redirect_uri.contains('?') { '&' } else { '?' };
        let mut back = form_urlencoded::Serializer::new(String::new());
        back.append_pair("code", &code).append_pair("state", &state);
        Own::to(format!("{redirect_uri}{mark}{}", back.finish()))
    }

    fn token(&mut self, form: Fields, basic: Option<&str>, port: u16) -> Own {
        self.forms.push(form.clone());
        let get = |name: &str| form.get(name).cloned();
        let by_header = basic
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|pair| String::from_utf8(pair).ok());
        let shown = match by_header {
            Some(pair) => {
                // Name and secret are form-encoded there (RFC 6749 section 2.3.1).
                let read = |text: &str| {
                    let text = format!("x={text}");
                    fields(text.as_bytes()).remove("x").unwrap_or_default()
                };
                pair.split_once(':')
                    .map(|(name, secret)| (read(name), read(secret)))
            }
            None => get("client_id").zip(get("client_secret")),
        };
        if shown != Some((CLIENT.0.to_owned(), CLIENT.1.to_owned())) {
            return Own::error("invalid_client", "another client or secret");
        }
        let grant = match get("grant_type").as_deref() {
            Some("authorization_code") => {
                let code = get("code").unwrap_or_default();
                let Some(grant) = self.codes.remove(&code) else {
                    return Own::error("invalid_grant", "no such code");
                };
                if get("redirect_uri").as_ref() != Some(&grant.redirect_uri) {
                    return Own::error("invalid_grant", "another redirect_uri");
                }
                let hashed = get("code_verifier").map(|verifier| {
                    b64(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref())
                });
                if hashed != grant.challenge {
                    return Own::error("invalid_grant", "another code_verifier");
                }
                grant
            }
            Some("refresh_token") => {
                if !self
                    .refresh_tokens
                    .remove(&get("refresh_token").unwrap_or_default())
                {
                    return Own::error("invalid_grant", "no such refresh token");
                }
                Grant::default()
            }
            _ => return Own::error("unsupported_grant_type", "another grant"),
        };
        let answer = self.give(&grant, port);
        Own::json(200, &answer)
    }

    fn give(&mut self, grant: &Grant, port: u16) -> Value {
        let tokens = self.tokens.clone();
        let key = SigningKey::shared();
        let mut access = claims(&format!("http://127.0.0.1:{port}"));
        access["exp"] = (access["iat"].as_u64().unwrap_or_default() + tokens.lifetime).into();
        access["jti"] = self.next("access").into();
        let mut id = claims(&format!("http://127.0.0.1:{port}"));
        id["aud"] = CLIENT.0.into();
        if let Some(nonce) = &grant.nonce {
            id["nonce"] = nonce.as_str().into();
        }
        merge(&mut access, &tokens.access);
        merge(&mut id, &tokens.id);
        let mut id_token = key.token(&id);
        if tokens.bad_signature {
            // Not the very last letter, which holds unused bits.
            let at = id_token.len() - 3;
            let other = if id_token.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            id_token.replace_range(at..=at, other);
        }
        let refresh_token = self.next("refresh");
        self.refresh_tokens.insert(refresh_token.clone());
        let mut answer = json!({
            "access_token": key.token(&access),
            "token_type": "Bearer",
            "expires_in": tokens.lifetime,
            "refresh_token": refresh_token,
            "id_token": id_token,
            "scope": "openid",
        });
        merge(&mut answer, &tokens.answer);
        answer
    }
}

/// Members replace or join those that are there; null takes one out.
fn merge(into: &mut Value, members: &Value) {
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
