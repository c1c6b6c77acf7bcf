//! The standard claims of a token (specification section 7.2, RFC 7519 section 4.1).

use std::rc::Rc;

use serde_json::Value;

use crate::config::{AuthMethod, Client, Config};
use crate::failure::{Kind, Refusal};
use crate::host::{Host, Time};
use crate::jose::Jws;
use crate::oauth::claims::{Issuers, date};
use crate::oauth::id_token::LEAST_LEEWAY;
use crate::policy::Policy;
use crate::provider::verify;

/// The claims of a JWT that the provider gave us, whose signature is good under its keys, or this client's
/// secret. `by`: the ways in that it came by (`ignore_signature`; OpenID Connect Core section 3.1.3.7 rule 6).
pub async fn verified_claims(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    by: &[AuthMethod],
    jws: &Jws<'_>,
) -> Result<Value, Refusal> {
    if policy.config.verification.ignores_signature(by) {
        // Over TLS from the provider's own endpoint: the channel vouches for it.
    } else if jws.header.alg.is_symmetric() {
        verify::with_secret(policy.hs_secret(client), jws)?;
    } else {
        verify::with_key(&policy.provider, host, jws, host.now()).await?;
    }
    payload(jws)
}

/// The claims in a JWT, whoever signed it.
pub fn payload(jws: &Jws<'_>) -> Result<Value, Refusal> {
    serde_json::from_slice(&jws.payload)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| {
            Refusal::bad_credential("payload_unreadable", "the payload is no JSON object")
        })
}

/// Verifies an access token that the token endpoint gave, if it is a JWT: like one that a client shows. It
/// is a moment old, so clocks that differ a little are forgiven as with ID tokens.
pub async fn verify_given_access_token(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    by: &[AuthMethod],
    text: &str,
    discovered_issuer: Option<&str>,
) -> Result<(), Refusal> {
    let Ok(jws) = Jws::parse(text) else {
        return Ok(());
    };
    let claims = verified_claims(policy, host, client, by, &jws).await?;
    let leeway = policy.config.verification.leeway.max(LEAST_LEEWAY);
    check_issuer(&claims, &policy.config, discovered_issuer)?;
    check_times(&claims, leeway, host.now()).map(|_| ())
}

/// Checks `iss`, `exp`, `nbf` and `iat`, each where present, and gives the moment until which the
/// token counts. At that very moment it no longer does (DX-18).
pub fn check_times_and_issuer(
    claims: &Value,
    config: &Config,
    discovered_issuer: Option<&str>,
    now: Time,
) -> Result<Option<Time>, Refusal> {
    check_issuer(claims, config, discovered_issuer)?;
    check_times(claims, config.verification.leeway, now)
}

fn check_times(claims: &Value, leeway: u64, now: Time) -> Result<Option<Time>, Refusal> {
    for (name, code) in [
        ("nbf", "token_not_yet_valid"),
        ("iat", "token_from_the_future"),
    ] {
        if let Some(begin) = date(claims, name)?
            && begin > now.plus_seconds(leeway)
        {
            return Err(Refusal::bad_credential(
                code,
                format!("`{name}` lies in the future"),
            ));
        }
    }
    let end = date(claims, "exp")?.map(|end| end.plus_seconds(leeway));
    if end.is_some_and(|end| now >= end) {
        return Err(Refusal::bad_credential(
            "token_expired",
            "the token has expired",
        ));
    }
    Ok(end)
}

/// The end of the token under `max_age` (`auth_time` and so many seconds): an age rule, hence 403.
pub fn end_by_age(claims: &Value, config: &Config, now: Time) -> Result<Option<Time>, Refusal> {
    match config.verification.max_age {
        Some(_) => end_of_login(date(claims, "auth_time")?, config, now),
        None => Ok(None),
    }
}

/// The same for a login at this time.
pub fn end_of_login(
    login: Option<Time>,
    config: &Config,
    now: Time,
) -> Result<Option<Time>, Refusal> {
    let Some(max_age) = config.verification.max_age else {
        return Ok(None);
    };
    let too_old = |reason| Err(Refusal::new(Kind::Forbidden, "login_too_old", reason));
    match login {
        None => too_old("`max_age` is set and the token has no `auth_time`"),
        Some(login) => {
            let end = login
                .plus_seconds(max_age)
                .plus_seconds(config.verification.leeway);
            if now >= end {
                return too_old("the login is older than `max_age`");
            }
            Ok(Some(end))
        }
    }
}

/// Checks `iss`, where present.
pub fn check_issuer(
    claims: &Value,
    config: &Config,
    discovered_issuer: Option<&str>,
) -> Result<(), Refusal> {
    let Some(issuer) = claims.get("iss") else {
        // On access tokens only when present (specification section 7.2).
        return Ok(());
    };
    let issuer = issuer.as_str().unwrap_or_default();
    if Issuers::of(config, discovered_issuer).accept(issuer, claims) {
        return Ok(());
    }
    Err(Refusal::bad_credential(
        "issuer_not_allowed",
        "`iss` is not the provider's issuer",
    ))
}
