//! The token endpoint (RFC 6749 sections 3.2, 4.1.3, 4.3, 4.4, 5 and 6; RFC 7523 section 2.1).

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{MAX_ANSWER, Media};
use super::authorize::readable;
use super::form::Form;
use super::form_endpoint::FormEndpoint;
use crate::config::{Grant, Replay, Secret};
use crate::failure::Refusal;
use crate::http::{Answer, Call, Headers, strip_controls};

/// What a code is redeemed with (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub struct CodeGrant<'a> {
    /// The code.
    pub code: &'a str,
    /// As in the authorization request.
    pub redirect_uri: &'a str,
    /// The PKCE verifier, where a challenge was sent.
    pub verifier: Option<&'a str>,
    /// Row E `scopes`: Kong sends them here, too.
    pub scopes: &'a [String],
    /// Row E `audience` (C9).
    pub audience: &'a [String],
}

/// The call that redeems a code. It must be sent once only: a code is good for one use.
pub fn code_grant(endpoint: &FormEndpoint<'_>, grant: &CodeGrant<'_>) -> Call {
    let form = Form::new()
        .with("grant_type", "authorization_code")
        .with("code", grant.code)
        .with("redirect_uri", grant.redirect_uri)
        .with_some("code_verifier", grant.verifier)
        .with_list("scope", grant.scopes)
        .with_list("audience", grant.audience);
    call(endpoint, form)
}

/// The call that gets new tokens for a refresh token (RFC 6749 section 6). Without `scopes` they are
/// those of the login, which is what a provider that granted fewer than we asked for insists on.
pub fn refresh_grant(
    endpoint: &FormEndpoint<'_>,
    refresh_token: &str,
    scopes: &[String],
    audience: &[String],
) -> Call {
    let form = Form::new()
        .with("grant_type", "refresh_token")
        .with("refresh_token", refresh_token)
        .with_list("scope", scopes)
        .with_list("audience", audience);
    call(endpoint, form)
}

/// What a person's name and password are exchanged with (RFC 6749 section 4.3). Our client asks, with its own
/// proof.
pub struct PasswordGrant<'a> {
    /// The name, as it was shown.
    pub username: &'a str,
    /// The password.
    pub password: &'a Secret,
    /// Row E `scopes`.
    pub scopes: &'a [String],
    /// Row E `audience` (C9).
    pub audience: &'a [String],
}

/// The call that gets tokens for a person's name and password (specification section 4.7).
pub fn password_grant(endpoint: &FormEndpoint<'_>, grant: &PasswordGrant<'_>) -> Call {
    let form = Form::new()
        .with("grant_type", "password")
        .with("username", grant.username)
        .with("password", grant.password.expose())
        .with_list("scope", grant.scopes)
        .with_list("audience", grant.audience);
    call(endpoint, form)
}

/// The call that gets tokens for a client of its own (RFC 6749 section 4.4). The proof in `endpoint` is that of
/// the caller, made from what it showed: [`super::client_auth::Credentials::of_caller`], or its own
/// `client_assertion`. Our client has no part in it (specification section 4.8).
pub fn client_credentials_grant(
    endpoint: &FormEndpoint<'_>,
    scopes: &[String],
    audience: &[String],
) -> Call {
    let form = Form::new()
        .with("grant_type", "client_credentials")
        .with_list("scope", scopes)
        .with_list("audience", audience);
    call(endpoint, form)
}

/// The call that gets tokens for an assertion that the caller showed (RFC 7523 section 2.1). The proof in
/// `endpoint` is the caller's, or [`Proof::Nobody`]: the assertion says for whom it is.
pub fn assertion_grant(
    endpoint: &FormEndpoint<'_>,
    assertion: &Secret,
    scopes: &[String],
    audience: &[String],
) -> Call {
    let form = Form::new()
        .with("grant_type", ASSERTION_GRANT)
        .with("assertion", assertion.expose())
        .with_list("scope", scopes)
        .with_list("audience", audience);
    call(endpoint, form)
}

/// `grant_type` of [`assertion_grant`] (RFC 7523 section 2.1).
pub const ASSERTION_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn call(endpoint: &FormEndpoint<'_>, form: Form) -> Call {
    endpoint.post("application/json", form)
}

/// A successful answer (RFC 6749 section 5.1, OpenID Connect Core 1.0 section 3.1.3.3). Its `Debug`
/// prints no token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The access token, never empty.
    pub access_token: Secret,
    /// `Bearer`, as the provider spelt it.
    pub token_type: String,
    /// Seconds that the access token lives; 0 is not cacheable (trap T4). `None`: not said.
    pub expires_in: Option<u64>,
    /// The refresh token. `None` after a refresh: the old one stays.
    pub refresh_token: Option<Secret>,
    /// The ID token, not verified.
    pub id_token: Option<Secret>,
    /// The granted scopes; `None`: those that were asked for.
    pub scope: Option<String>,
    /// The answer as it came, for `login_tokens: tokens`.
    pub whole: Map<String, Value>,
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .field("refresh_token", &self.refresh_token)
            .field("id_token", &self.id_token)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// `invalid_grant` (RFC 6749 section 5.2): code or refresh token are used, expired, withdrawn or
    /// another client's. The description is the provider's, fit for a log.
    InvalidGrant(String),
    /// Another error code of RFC 6749 section 5.2, such as `invalid_client`: code and description.
    Refused(String, String),
    /// Neither tokens nor an error that we understand: the status.
    Status(u16),
    /// It said 200 and something that is no answer of a token endpoint.
    Unreadable(&'static str),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::InvalidGrant(why) => {
                write!(f, "the token endpoint says invalid_grant: {why}")
            }
            TokenError::Refused(code, why) => write!(f, "the token endpoint says {code}: {why}"),
            TokenError::Status(status) => write!(f, "the token endpoint answered {status}"),
            TokenError::Unreadable(why) => write!(f, "the token endpoint's answer {why}"),
        }
    }
}

impl std::error::Error for TokenError {}

impl From<&TokenError> for Refusal {
    /// What was shown is no good (401), or something between us and the provider is wrong (500).
    fn from(error: &TokenError) -> Refusal {
        let reason = error.to_string();
        match error {
            TokenError::InvalidGrant(_) => Refusal::bad_credential("grant_refused", reason),
            TokenError::Refused(..) => Refusal::unexpected("token_endpoint_refused", reason),
            TokenError::Status(_) => Refusal::unexpected("token_endpoint_failed", reason),
            TokenError::Unreadable(_) => Refusal::unexpected("token_answer_unreadable", reason),
        }
    }
}

impl TokenError {
    /// The refusal where the credentials in the call were the caller's own: what is wrong with them is not
    /// ours, so an `invalid_client` (RFC 6749 section 5.2) is a 401.
    pub fn of_caller(&self) -> Refusal {
        let theirs = match self {
            TokenError::Refused(code, _) => {
                matches!(code.as_str(), "invalid_client" | "unauthorized_client")
            }
            TokenError::Status(status) => *status == 401,
            TokenError::InvalidGrant(_) | TokenError::Unreadable(_) => false,
        };
        match theirs {
            true => Refusal::bad_credential("client_refused", self.to_string()),
            false => Refusal::from(self),
        }
    }
}

/// The longest header that is replayed, in bytes, and the most of them.
const MAX_REPLAYED: (usize, usize) = (4096, 32);

/// The headers of the endpoint's answer that the client gets (row F `token_headers_replay`), without control
/// bytes, under the names that it gets them by.
pub fn replayed(replay: &Replay, grant: Grant, headers: &Headers) -> Vec<(String, Vec<u8>)> {
    if !replay.grants.contains(&grant) {
        return Vec::new();
    }
    let (longest, most) = MAX_REPLAYED;
    let values = replay.headers.iter().flat_map(|(from, to)| {
        let values = headers.all(from).filter(|value| value.len() <= longest);
        values.map(move |value| (to.clone(), strip_controls(value)))
    });
    values.take(most).collect()
}

/// Later than any session; keeps sums of times far from their end.
const MAX_EXPIRES_IN: u64 = 10 * 366 * 24 * 3600;

/// The members that are read. One that occurs twice is refused.
#[derive(Deserialize)]
struct Members {
    error: Option<Value>,
    error_description: Option<Value>,
    access_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    refresh_token: Option<Value>,
    id_token: Option<Value>,
    scope: Option<Value>,
}

/// Reads an answer: status, then content type, then content (trap T21).
pub fn read_answer(answer: &Answer) -> Result<TokenAnswer, TokenError> {
    let status = answer.status;
    let members = readable_members(answer);
    if let Ok(Members {
        error: Some(Value::String(error)),
        error_description,
        ..
    }) = &members
        && matches!(status, 200 | 400 | 401 | 403)
    {
        // Some providers refuse with 200.
        let error = readable(error.as_bytes());
        let why = error_description.as_ref().and_then(Value::as_str);
        let why = readable(why.unwrap_or("(no description)").as_bytes());
        return Err(match error.as_str() {
            "invalid_grant" => TokenError::InvalidGrant(why),
            _ => TokenError::Refused(error, why),
        });
    }
    if status != 200 {
        return Err(TokenError::Status(status));
    }
    let members = members?;
    let access_token =
        token(members.access_token)?.ok_or(TokenError::Unreadable("has no access_token"))?;
    // Required, but some providers leave it out, and there is nothing else they could mean.
    let token_type = match members.token_type {
        None => "Bearer".to_owned(),
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => kind,
        Some(_) => return Err(TokenError::Unreadable("has a token_type other than Bearer")),
    };
    Ok(TokenAnswer {
        access_token,
        token_type,
        expires_in: members
            .expires_in
            .map(|value| seconds(&value))
            .transpose()?,
        refresh_token: token(members.refresh_token)?,
        id_token: token(members.id_token)?,
        scope: scope(members.scope),
        whole: serde_json::from_slice(&answer.body).unwrap_or_default(),
    })
}

fn readable_members(answer: &Answer) -> Result<Members, TokenError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(TokenError::Unreadable("is longer than 256 KiB"));
    }
    if Media::of(&answer.headers) != Media::Json {
        return Err(TokenError::Unreadable("is no JSON by its content-type"));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| TokenError::Unreadable("is no JSON object with unique members"))
}

/// A token: visible ASCII (RFC 6749 appendix A.12), since it goes into headers. An empty one is none.
fn token(value: Option<Value>) -> Result<Option<Secret>, TokenError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(Secret::new(text)))
        }
        Some(_) => Err(TokenError::Unreadable(
            "has a token that is no visible text",
        )),
    }
}

/// A number, or a text of one (trap B8); what is not positive is 0 (T4).
fn seconds(value: &Value) -> Result<u64, TokenError> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|number: &f64| number.is_finite()) {
        Some(number) if number >= MAX_EXPIRES_IN as f64 => Ok(MAX_EXPIRES_IN),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the value lies between 0 and ten years"
        )]
        Some(number) if number > 0.0 => Ok(number as u64),
        Some(_) => Ok(0),
        None => Err(TokenError::Unreadable(
            "has an expires_in that is no number",
        )),
    }
}

/// The scopes as a text; some providers write a list.
fn scope(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            Some(texts.join(" "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
