//! What an ID token must say (OpenID Connect Core 1.0 sections 3.1.3.7, 3.1.3.8 and 12.2). Its
//! signature is verified before, with [`crate::provider::verify`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::claims::{Issuers, date, same_issuer};
use super::same_secret;
use crate::failure::{Kind, Refusal};
use crate::host::Time;
use crate::jose::{Algorithm, Jws};

/// What one ID token is held against.
#[derive(Clone, Copy)]
pub struct IdTokenRules<'a> {
    /// Who may have issued it.
    pub issuers: Issuers<'a>,
    /// For whom it must be.
    pub client_id: &'a str,
    /// The nonce of the login. `None`: not looked at (`verify_nonce: false`, and after a refresh).
    pub nonce: Option<&'a str>,
    /// The access token that came with it, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// The code that it came for, for `c_hash`.
    pub code: Option<&'a str>,
    /// The `state` beside which it came through the browser: then it must bind the code, and must not bind another
    /// `state` (section 3.3.2.11; FAPI 1.0 Advanced section 5.1.1). `None`: it came from the token endpoint.
    pub state: Option<&'a str>,
    /// The greatest age of the login, in seconds.
    pub max_age: Option<u64>,
    /// The clocks' tolerated difference, in seconds.
    pub leeway: u64,
    /// Accepted values of `hd`; empty: any (C21: a token without `hd` is of no domain).
    pub domains: &'a [String],
}

/// How far ahead of ours a provider's clock may be for `iat` and `nbf`, in seconds, where `leeway` is
/// not greater. The token was made a moment ago, and without this every login would fail at a
/// provider that is one second ahead (FAPI 2.0 Security Profile section 5.3.2.1 demands as much).
pub const LEAST_LEEWAY: u64 = 10;

/// Checks the claims and gives the moment until which the token counts.
pub fn check_claims(
    jws: &Jws<'_>,
    claims: &Value,
    rules: &IdTokenRules<'_>,
    now: Time,
) -> Result<Time, Refusal> {
    check_type(jws)?;
    check_issuer(claims, rules)?;
    check_subject(claims)?;
    check_audience(jws.header.alg, claims, rules.client_id)?;
    let end = check_times(claims, rules, now)?;
    if let Some(expected) = rules.nonce {
        check_nonce(claims, expected)?;
    }
    check_hash(jws.header.alg, claims, "at_hash", rules.access_token)?;
    check_hash(jws.header.alg, claims, "c_hash", rules.code)?;
    check_hash(jws.header.alg, claims, "s_hash", rules.state)?;
    if rules.state.is_some() && claims.get("c_hash").is_none() {
        return Err(missing("c_hash"));
    }
    check_age(claims, rules, now)?;
    check_domain(claims, rules.domains)?;
    Ok(end)
}

/// Checks that the ID token from the token endpoint is about the same login as the one that came through the
/// browser (section 3.3.3.6).
pub fn check_same_login(front: &Value, back: &Value) -> Result<(), Refusal> {
    let text = |claims: &Value, name: &str| {
        let value = claims.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let same = same_issuer(&text(front, "iss"), &text(back, "iss"))
        && text(front, "sub") == text(back, "sub");
    if same {
        return Ok(());
    }
    Err(refused(
        "id_tokens_differ",
        "the ID tokens of the two endpoints are about different people".to_owned(),
    ))
}

/// Checks that an ID token from a refresh is about the same login as the one before (OpenID Connect
/// Core 1.0 section 12.2). [`check_claims`] comes first, without a nonce.
pub fn check_refreshed(before: &Value, after: &Value) -> Result<(), Refusal> {
    let text = |claims: &'_ Value, name: &str| {
        claims
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let changed = |name: &str| {
        refused(
            "id_token_changed",
            format!("the refreshed ID token has another `{name}` than the one before"),
        )
    };
    if !same_issuer(&text(before, "iss"), &text(after, "iss")) {
        return Err(changed("iss"));
    }
    if text(before, "sub") != text(after, "sub") {
        return Err(changed("sub"));
    }
    // These may be left out, but not replaced.
    for name in ["azp", "auth_time", "nonce"] {
        if let (old, Some(new)) = (before.get(name), after.get(name))
            && old != Some(new)
            && (old.is_some() || name == "nonce")
        {
            return Err(changed(name));
        }
    }
    if date(after, "iat")? < date(before, "iat")? {
        return Err(refused(
            "id_token_changed",
            "the refreshed ID token is older than the one before".to_owned(),
        ));
    }
    Ok(())
}

/// Explicit types are for other kinds of tokens (RFC 8725 section 3.11): access tokens, logout tokens,
/// proofs. An ID token has none, or says JWT.
fn check_type(jws: &Jws<'_>) -> Result<(), Refusal> {
    match jws.header.typ.as_deref() {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("jwt") => Ok(()),
        Some(_) => Err(refused(
            "wrong_token_type",
            "`typ` names another kind of token than an ID token".to_owned(),
        )),
    }
}

fn check_issuer(claims: &Value, rules: &IdTokenRules<'_>) -> Result<(), Refusal> {
    match claims.get("iss").and_then(Value::as_str) {
        Some(issuer) if !issuer.is_empty() && rules.issuers.accept(issuer, claims) => Ok(()),
        Some(_) => Err(refused(
            "issuer_not_allowed",
            "`iss` is not the provider's issuer".to_owned(),
        )),
        None => Err(missing("iss")),
    }
}

fn check_subject(claims: &Value) -> Result<(), Refusal> {
    match claims.get("sub").and_then(Value::as_str) {
        Some(subject) if !subject.is_empty() => Ok(()),
        _ => Err(missing("sub")),
    }
}

/// `aud` is a text or a list of texts and holds our id. Of several audiences `azp` says who asked for
/// the token, and wherever it is, that must be us.
fn check_audience(alg: Algorithm, claims: &Value, client_id: &str) -> Result<(), Refusal> {
    let audiences: Option<Vec<&str>> = match claims.get("aud") {
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let audiences = audiences.ok_or_else(|| missing("aud"))?;
    if !audiences.contains(&client_id) {
        return Err(refused(
            "audience_not_allowed",
            "`aud` does not name this client".to_owned(),
        ));
    }
    if alg.is_symmetric() && audiences.len() > 1 {
        // Each of them would have to know our secret (section 3.1.3.7, point 8).
        return Err(refused(
            "audience_not_allowed",
            "a token with a shared secret's signature names several audiences".to_owned(),
        ));
    }
    match claims.get("azp") {
        Some(Value::String(party)) if party == client_id => Ok(()),
        Some(_) => Err(refused(
            "authorized_party_mismatch",
            "`azp` is not this client".to_owned(),
        )),
        None if audiences.len() > 1 => Err(refused(
            "authorized_party_missing",
            "`aud` names several audiences and there is no `azp`".to_owned(),
        )),
        None => Ok(()),
    }
}

fn check_times(claims: &Value, rules: &IdTokenRules<'_>, now: Time) -> Result<Time, Refusal> {
    let ahead = now.plus_seconds(rules.leeway.max(LEAST_LEEWAY));
    let made = date(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    if made > ahead {
        return Err(refused(
            "token_from_the_future",
            "`iat` lies in the future".to_owned(),
        ));
    }
    if date(claims, "nbf")?.is_some_and(|begin| begin > ahead) {
        return Err(refused(
            "token_not_yet_valid",
            "`nbf` lies in the future".to_owned(),
        ));
    }
    let end = date(claims, "exp")?
        .ok_or_else(|| missing("exp"))?
        .plus_seconds(rules.leeway);
    if now >= end {
        return Err(refused(
            "token_expired",
            "the ID token has expired".to_owned(),
        ));
    }
    Ok(end)
}

fn check_nonce(claims: &Value, expected: &str) -> Result<(), Refusal> {
    match claims.get("nonce").and_then(Value::as_str) {
        Some(nonce) if !nonce.is_empty() && same_secret(nonce, expected) => Ok(()),
        Some(_) => Err(refused(
            "nonce_mismatch",
            "`nonce` is not that of this login".to_owned(),
        )),
        None => Err(missing("nonce")),
    }
}

/// `at_hash` and `c_hash`: the left half of the hash that goes with the token's algorithm. They may be
/// missing in the code flow (section 3.1.3.6).
fn check_hash(
    alg: Algorithm,
    claims: &Value,
    name: &'static str,
    hashed: Option<&str>,
) -> Result<(), Refusal> {
    let (Some(claim), Some(hashed)) = (claims.get(name), hashed) else {
        return Ok(());
    };
    if claim
        .as_str()
        .is_some_and(|claim| same_secret(claim, &left_half(alg, hashed)))
    {
        return Ok(());
    }
    Err(refused(
        "token_hash_mismatch",
        format!("`{name}` is not that of what came with the ID token"),
    ))
}

/// base64url of the left half of a text's hash (section 3.1.3.6).
fn left_half(alg: Algorithm, text: &str) -> String {
    let hash = match alg.hash_name() {
        "sha256" => Sha256::digest(text).to_vec(),
        "sha384" => Sha384::digest(text).to_vec(),
        _ => Sha512::digest(text).to_vec(),
    };
    let (left, _) = hash.split_at(hash.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// As for bearer tokens: an age rule, hence 403.
fn check_age(claims: &Value, rules: &IdTokenRules<'_>, now: Time) -> Result<(), Refusal> {
    let Some(max_age) = rules.max_age else {
        return Ok(());
    };
    let login = date(claims, "auth_time")?;
    let good =
        login.is_some_and(|login| now < login.plus_seconds(max_age).plus_seconds(rules.leeway));
    if good {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Forbidden,
        "login_too_old",
        match login {
            None => "`max_age` is set and the ID token has no `auth_time`",
            Some(_) => "the login is older than `max_age`",
        },
    ))
}

fn check_domain(claims: &Value, domains: &[String]) -> Result<(), Refusal> {
    let domain = claims.get("hd").and_then(Value::as_str);
    if domains.is_empty() || domain.is_some_and(|domain| domains.iter().any(|own| own == domain)) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Forbidden,
        "domain_not_allowed",
        "`hd` is in none of `domains`",
    ))
}

fn refused(code: &'static str, reason: String) -> Refusal {
    Refusal::bad_credential(code, reason)
}

fn missing(name: &str) -> Refusal {
    refused(
        "claim_missing",
        format!("the ID token has no usable `{name}`"),
    )
}

#[cfg(test)]
mod tests;
