//! The introspection endpoint: what the provider says of a token (RFC 7662), as JSON or as a signed JWT
//! (RFC 9701).

use std::fmt;

use serde_json::{Map, Value};

use super::answer::{Content, content, object};
use super::authorize::readable;
use super::claims::{Issuers, date};
use super::form::Form;
use super::form_endpoint::FormEndpoint;
use crate::config::{IntrospectionAccept, IntrospectionSettings, Secret};
use crate::failure::Refusal;
use crate::host::Time;
use crate::http::{Answer, Call};
use crate::jose::Jws;

/// The call that asks what a token is worth (RFC 7662 section 2.1).
pub fn call(endpoint: &FormEndpoint<'_>, settings: &IntrospectionSettings, token: &str) -> Call {
    let form = Form::new()
        .with(&settings.token_param, token)
        .with("token_type_hint", &settings.hint);
    endpoint.post(settings.accept.name(), form)
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub enum IntrospectionAnswer {
    /// The claims: for [`introspected`].
    Claims(Map<String, Value>),
    /// A JWT that nobody verified yet: its signature first, then [`introspected_in_jwt`].
    Jwt(Secret),
}

impl fmt::Debug for IntrospectionAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntrospectionAnswer::Claims(_) => "Claims",
            IntrospectionAnswer::Jwt(_) => "Jwt",
        })
    }
}

/// Reads an answer: status, then content type, then content (trap T21). An error is never the fault of who
/// showed the token: a provider that is unhappy with a token says `active: false`.
pub fn read_answer(
    answer: &Answer,
    asked: IntrospectionAccept,
) -> Result<IntrospectionAnswer, Refusal> {
    if answer.status != 200 {
        return Err(refused(answer));
    }
    match content(answer, asked != IntrospectionAccept::Json) {
        Ok(Content::Claims(claims)) => Ok(IntrospectionAnswer::Claims(claims)),
        Ok(Content::Jwt(text)) => Ok(IntrospectionAnswer::Jwt(Secret::new(text))),
        Err(why) => Err(unreadable(why)),
    }
}

/// RFC 7662 section 2.3: 401 means that we are not who we should be.
fn refused(answer: &Answer) -> Refusal {
    let members = object(
        answer
            .body
            .get(..answer.body.len().min(4096))
            .unwrap_or_default(),
    );
    let error = members
        .as_ref()
        .and_then(|members| members.get("error")?.as_str())
        .map(|error| format!(" ({})", readable(error.as_bytes())))
        .unwrap_or_default();
    let status = answer.status;
    match status {
        401 | 403 => Refusal::unexpected(
            "introspection_refused",
            format!("the introspection endpoint does not let our client ask: {status}{error}"),
        ),
        _ => Refusal::unexpected(
            "introspection_failed",
            format!("the introspection endpoint answered {status}{error}"),
        ),
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal::unexpected(
        "introspection_unreadable",
        format!("the introspection endpoint's answer {why}"),
    )
}

/// What a provider says of a token that is good. Its `Debug` prints no claim.
#[derive(Clone, PartialEq)]
pub struct Introspected {
    /// The claims, an object: `active` among them.
    pub claims: Value,
    /// When the token ends. `None`: not said. The caller holds it against the time, now and whenever it
    /// comes from a cache.
    pub exp: Option<Time>,
}

impl fmt::Debug for Introspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspected")
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

/// Judges the claims of an answer (RFC 7662 section 2.2).
///
/// With `check_active` the answer must hold `active`, and it must be the boolean true. Without it
/// (`introspection_check_active: false`) the member may be missing, but it still cannot say anything else:
/// nobody means to let in a token of which the provider says that it is not active.
pub fn introspected(
    claims: Map<String, Value>,
    check_active: bool,
) -> Result<Introspected, Refusal> {
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            let reason = "the provider says that the token is not active";
            return Err(Refusal::bad_credential("token_inactive", reason));
        }
        Some(_) => return Err(unreadable("has an `active` that is neither true nor false")),
        None if check_active => return Err(unreadable("has no `active`")),
        None => {}
    }
    let claims = Value::Object(claims);
    let exp = date(&claims, "exp")?;
    Ok(Introspected { claims, exp })
}

/// What a signed answer is held against.
#[derive(Clone, Copy, Debug)]
pub struct IntrospectionRules<'a> {
    /// Who may have signed it.
    pub issuers: Issuers<'a>,
    /// For whom it must be.
    pub client_id: &'a str,
    /// As in [`introspected`].
    pub check_active: bool,
}

/// Judges a signed answer (RFC 9701 section 5). Its signature is verified before, with
/// [`crate::provider::verify`]; `claims` are those of the JWT.
///
/// The explicit type keeps it apart from any other token of this provider (RFC 8725 section 3.11): an access
/// token has an `iss` and an `aud`, too.
pub fn introspected_in_jwt(
    jws: &Jws<'_>,
    claims: &Value,
    rules: &IntrospectionRules<'_>,
) -> Result<Introspected, Refusal> {
    let typ = jws.header.typ.as_deref().unwrap_or_default();
    let names = [
        "token-introspection+jwt",
        "application/token-introspection+jwt",
    ];
    if !names.iter().any(|name| typ.eq_ignore_ascii_case(name)) {
        return Err(unreadable(
            "is a JWT of another type than `token-introspection+jwt`",
        ));
    }
    let iss = claims.get("iss").and_then(Value::as_str);
    if !iss.is_some_and(|iss| rules.issuers.accept(iss, claims)) {
        return Err(unreadable("is a JWT of another issuer"));
    }
    if !is_for(claims, rules.client_id) {
        return Err(unreadable("is a JWT for another audience than our client"));
    }
    if !matches!(date(claims, "iat"), Ok(Some(_))) {
        return Err(unreadable("is a JWT without `iat`"));
    }
    match claims.get("token_introspection") {
        Some(Value::Object(members)) => {
            let mut members = members.clone();
            members.retain(|_, value| !value.is_null());
            introspected(members, rules.check_active)
        }
        _ => Err(unreadable("is a JWT without `token_introspection`")),
    }
}

/// Whether `aud` names this client (RFC 7519 section 4.1.3).
pub(super) fn is_for(claims: &Value, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(list)) => list.iter().any(|one| one == client_id),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
