//! The userinfo endpoint: what the provider says of the person behind an access token (OpenID Connect Core
//! 1.0 section 5.3).

use std::fmt;

use serde_json::{Map, Value};
use url::Url;

use super::answer::{Content, USER_AGENT, content};
use super::claims::{Issuers, date};
use super::extra::Extra;
use super::form::Form;
use super::introspection::is_for;
use super::same_secret;
use crate::config::{Secret, UserinfoAccept};
use crate::failure::Refusal;
use crate::host::Time;
use crate::http::{Answer, Call};
use crate::jose::Jws;

/// The userinfo endpoint. Nobody says there who we are: the token is the only credential (trap T22).
#[derive(Clone, Debug)]
pub struct UserinfoEndpoint<'a> {
    /// Its address.
    pub url: &'a Url,
    /// The Envoy cluster that leads there.
    pub cluster: String,
    /// How long to wait for the answer, in milliseconds.
    pub timeout_ms: u32,
    /// What the configuration and this request add.
    pub extra: Extra,
}

/// The call (OpenID Connect Core 1.0 section 5.3.1, RFC 6750 section 2.1). A token that cannot stand in a
/// header is none.
pub fn call(
    endpoint: &UserinfoEndpoint<'_>,
    accept: UserinfoAccept,
    token: &str,
) -> Result<Call, Refusal> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::bad_credential(
            "token_malformed",
            "the token is no visible text (RFC 6750 section 2.1)",
        ));
    }
    let mut headers: Vec<(String, String)> =
        [("accept", accept.name()), ("user-agent", USER_AGENT)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    endpoint.extra.add_headers(&mut headers);
    // Last: nothing that is added can replace it.
    headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    let address = endpoint
        .extra
        .add_arguments(Form::new())
        .as_query_of(endpoint.url);
    let url = Url::parse(&address).map_err(|_| {
        let reason = "the endpoint's address and the configured arguments make no URL";
        Refusal::unexpected("endpoint_unknown", reason)
    })?;
    Ok(Call {
        method: "GET",
        url,
        cluster: endpoint.cluster.clone(),
        headers,
        body: Vec::new(),
        timeout: endpoint.timeout_ms,
    })
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub enum UserinfoAnswer {
    /// The claims: for [`userinfo`].
    Claims(Map<String, Value>),
    /// A JWT that nobody verified yet: its signature first, then [`userinfo_in_jwt`].
    Jwt(Secret),
}

impl fmt::Debug for UserinfoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UserinfoAnswer::Claims(_) => "Claims",
            UserinfoAnswer::Jwt(_) => "Jwt",
        })
    }
}

/// Reads an answer: status, then content type, then content. 200 alone means that the token is good.
pub fn read_answer(answer: &Answer, asked: UserinfoAccept) -> Result<UserinfoAnswer, Refusal> {
    match answer.status {
        200 => {}
        // RFC 6750 section 3.1. Nothing of ours is in the call, so it is the token that is refused.
        status @ (400 | 401 | 403) => {
            return Err(Refusal::bad_credential(
                "userinfo_refused",
                format!("the userinfo endpoint does not take the token: {status}"),
            ));
        }
        status => {
            return Err(Refusal::unexpected(
                "userinfo_failed",
                format!("the userinfo endpoint answered {status}"),
            ));
        }
    }
    match content(answer, asked == UserinfoAccept::Jwt) {
        Ok(Content::Claims(claims)) => Ok(UserinfoAnswer::Claims(claims)),
        Ok(Content::Jwt(text)) => Ok(UserinfoAnswer::Jwt(Secret::new(text))),
        Err(why) => Err(unreadable(why)),
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal::unexpected(
        "userinfo_unreadable",
        format!("the userinfo endpoint's answer {why}"),
    )
}

/// What the provider says of a person. Its `Debug` prints no claim.
#[derive(Clone, PartialEq)]
pub struct Userinfo {
    /// The claims, an object.
    pub claims: Value,
    /// Until when they count. `None`: not said.
    pub exp: Option<Time>,
}

impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Userinfo")
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

/// The claims of an answer in JSON. Providers of OAuth 2.0 alone have no `sub`; whoever has an ID token
/// compares with [`check_subject`], which demands it.
pub fn userinfo(claims: Map<String, Value>) -> Result<Userinfo, Refusal> {
    // Some answers with errors say 200.
    if claims.is_empty() || claims.contains_key("error") {
        return Err(unreadable("holds no claims, or an error"));
    }
    let claims = Value::Object(claims);
    let exp = date(&claims, "exp")?;
    Ok(Userinfo { claims, exp })
}

/// Judges a signed answer (OpenID Connect Core 1.0 section 5.3.2). Its signature is verified before, with
/// [`crate::provider::verify`]; `claims` are those of the JWT.
///
/// `iss` and `aud` should be there and must be ours where they are. Explicit types are for other kinds of
/// tokens (RFC 8725 section 3.11).
pub fn userinfo_in_jwt(
    jws: &Jws<'_>,
    claims: Value,
    issuers: &Issuers<'_>,
    client_id: Option<&str>,
) -> Result<Userinfo, Refusal> {
    let typ = jws.header.typ.as_deref().unwrap_or("JWT");
    if !["JWT", "application/jwt"]
        .iter()
        .any(|name| typ.eq_ignore_ascii_case(name))
    {
        return Err(unreadable("is a JWT of another type"));
    }
    let Value::Object(mut members) = claims else {
        return Err(unreadable("is a JWT without claims"));
    };
    members.retain(|_, value| !value.is_null());
    let info = userinfo(members)?;
    if let Some(iss) = info.claims.get("iss")
        && !iss
            .as_str()
            .is_some_and(|iss| issuers.accept(iss, &info.claims))
    {
        return Err(unreadable("is a JWT of another issuer"));
    }
    if let (Some(client_id), Some(_)) = (client_id, info.claims.get("aud"))
        && !is_for(&info.claims, client_id)
    {
        return Err(unreadable("is a JWT for another audience than our client"));
    }
    Ok(info)
}

/// The person must be the one that the ID token, or the access token, is about (OpenID Connect Core 1.0
/// section 5.3.2): else a token of somebody else was put in between.
pub fn check_subject(claims: &Value, expected: &str) -> Result<(), Refusal> {
    match claims.get("sub").and_then(Value::as_str) {
        Some(sub) if !expected.is_empty() && same_secret(sub, expected) => Ok(()),
        Some(_) => Err(Refusal::bad_credential(
            "userinfo_subject",
            "the userinfo endpoint speaks of another `sub` than the token",
        )),
        None => Err(unreadable("has no `sub`")),
    }
}

#[cfg(test)]
mod tests;
