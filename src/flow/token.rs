//! The standard claims of a token (specification section 7.2, RFC 7519 section 4.1).

use serde_json::Value;

use crate::config::Config;
use crate::failure::{Kind, Refusal};
use crate::host::Time;

/// Checks `iss`, `exp`, `nbf` and `iat`, each where present, and gives the moment until which the
/// token counts. At that very moment it no longer does (DX-18).
pub fn check_times_and_issuer(
    claims: &Value,
    config: &Config,
    discovered_issuer: Option<&str>,
    now: Time,
) -> Result<Option<Time>, Refusal> {
    check_issuer(claims, config, discovered_issuer)?;
    let leeway = config.verification.leeway;
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
    let Some(max_age) = config.verification.max_age else {
        return Ok(None);
    };
    let too_old = |reason| Err(Refusal::new(Kind::Forbidden, "login_too_old", reason));
    match date(claims, "auth_time")? {
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

fn check_issuer(
    claims: &Value,
    config: &Config,
    discovered_issuer: Option<&str>,
) -> Result<(), Refusal> {
    let Some(issuer) = claims.get("iss") else {
        // On access tokens only when present (specification section 7.2).
        return Ok(());
    };
    let issuer = issuer.as_str().unwrap_or_default();
    let allowed = &config.provider.issuers_allowed;
    let good = if allowed.is_empty() {
        // C11: the switch skips this comparison and no other.
        !config.verification.verify_claims
            || same_issuer(
                issuer,
                discovered_issuer.unwrap_or(&config.provider.issuer.identifier),
            )
    } else {
        allowed.iter().any(|allowed| same_issuer(issuer, allowed))
    };
    if good {
        return Ok(());
    }
    Err(Refusal::bad_credential(
        "issuer_not_allowed",
        "`iss` is not the provider's issuer",
    ))
}

/// Issuers compare byte for byte, but for one trailing slash (specification section 7.2).
fn same_issuer(a: &str, b: &str) -> bool {
    a.strip_suffix('/').unwrap_or(a) == b.strip_suffix('/').unwrap_or(b)
}

/// A NumericDate, as a number or (Kong 3.13) as a string of one.
fn date(claims: &Value, name: &str) -> Result<Option<Time>, Refusal> {
    let seconds = match claims.get(name) {
        // A null is no date: a token must not live for ever because of one.
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse::<f64>().ok(),
        Some(_) => None,
    };
    match seconds.filter(|seconds| (0.0..MAX_SECONDS).contains(seconds)) {
        Some(seconds) => Ok(Some(Time(milliseconds(seconds)))),
        None => Err(Refusal::bad_credential(
            "claim_malformed",
            format!("`{name}` is no date in seconds"),
        )),
    }
}

/// The year 33658: whatever lies behind it is no date.
const MAX_SECONDS: f64 = 1e12;

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between 0 and 1e15"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
