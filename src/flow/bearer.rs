//! The way in with a JWT access token (specification section 4.2, RFC 6750, RFC 9068).
//!
//! Locate, look up, and only for a token not seen before: decode, pick the key, verify signature and
//! claims, judge the rules.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value;

use super::more::{self, More};
use super::said::About;
use super::token::{check_times_and_issuer, end_by_age, payload};
use super::{Credential, Place, pass};
use crate::account::Who;
use crate::authz::{self, Admission, Facts, KeyMark, Verdict};
use crate::config::{AuthMethod, Config, Fact, Place as Where};
use crate::failure::Refusal;
use crate::host::{Counter, Host, Time};
use crate::http::{Request, arguments, cookie_values};
use crate::jose::{Jwk, Jws};
use crate::policy::Policy;
use crate::provider::verify;
use crate::upstream::{Edits, Identity};

/// The query argument of RFC 6750 section 2.3.
pub const ARGUMENT: &str = "access_token";

/// Headers that carry a token without the word Bearer (specification section 3).
const TOKEN_HEADERS: [&str; 2] = ["access-token", "x-access-token"];

/// The first token that the request shows in its headers: header, then query. The first hit ends the
/// search; whether it is any good is not asked here.
pub fn find<'a>(config: &'a Config, request: &'a Request) -> Option<Credential<'a>> {
    let places = &config.bearer;
    in_header(config, request)
        .filter(|_| places.looks_in(Where::Header))
        .or_else(|| {
            places
                .looks_in(Where::Query)
                .then(|| in_query(request))
                .flatten()
        })
}

/// The places behind those: body, then cookie.
pub fn find_behind(config: &Config, request: &Request) -> Option<Credential<'static>> {
    let places = &config.bearer;
    let in_body = || {
        let tokens = request.body().arguments(ARGUMENT);
        let token = one_of(tokens.iter().map(Vec::as_slice))?;
        Some(credential(token, Place::Body(vec![ARGUMENT.to_owned()])).into_owned())
    };
    places
        .looks_in(Where::Body)
        .then(in_body)
        .flatten()
        .or_else(|| {
            places
                .looks_in(Where::Cookie)
                .then(|| in_cookie(config, request).map(Credential::into_owned))
                .flatten()
        })
}

/// The headers that are looked at, in lower case.
pub fn header_names(config: &Config) -> impl Iterator<Item = &str> {
    let own = config.bearer.header_name.as_deref();
    let usual = std::iter::once("authorization").chain(TOKEN_HEADERS);
    let usual = usual.filter(move |_| own.is_none());
    own.into_iter()
        .chain(usual)
        .filter(|_| config.bearer.looks_in(Where::Header))
}

/// The hot path: a token whose verdict is known. `None`: it has to be verified.
pub fn from_cache(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
) -> Option<Result<(Admission, Edits), Refusal>> {
    let key = more::key(policy, About::of(request, credential), None);
    let now = host.now();
    // Where the tick cannot call a provider, a request has to wait for the refresh that is due.
    let must_wait = !host.abilities().shares_flights && policy.provider.is_due(now);
    let known = policy
        .verdicts
        .borrow()
        .get(&key, now)
        .filter(|_| !must_wait);
    let Some(verdict) = known else {
        host.count(Counter::VerdictMiss);
        return None;
    };
    let keys = policy.provider.current();
    let facts = Facts {
        request,
        keys: keys.as_deref(),
    };
    if verdict.check_current(&facts, now).is_err() {
        policy.verdicts.borrow_mut().remove(&key);
        host.count(Counter::VerdictMiss);
        return None;
    }
    host.count(Counter::VerdictHit);
    policy.provider.refresh_in_background(host, now);
    Some(pass(policy, host, &facts, Some(credential), &verdict, now))
}

/// Verifies a token, remembers the verdict, and judges the request by it.
pub async fn authenticate(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    credential: &Credential<'_>,
) -> Result<(Admission, Edits), Refusal> {
    policy.provider.refresh_if_due(host).await;
    let verified = verify(policy, host, &credential.token).await?;
    let about = About::of(request, credential);
    let subject = verified.claims.get("sub").and_then(Value::as_str);
    let more = more::of(policy, host, about, subject, None).await?;
    let now = host.now();
    let most = more.until().since(now) / 1000;
    let ttl = most.min(policy.config.caching.ttl_of(verified.end.is_some()));
    let verdict = Rc::new(verified.verdict(&policy.config, &more, now)?);
    let key = more::key(policy, about, None);
    policy
        .verdicts
        .borrow_mut()
        .put(&key, verdict.clone(), ttl, now);
    let keys = policy.provider.current();
    let facts = Facts {
        request,
        keys: keys.as_deref(),
    };
    pass(policy, &**host, &facts, Some(credential), &verdict, now)
}

/// A token whose signature and standard claims are good.
struct Verified {
    claims: Value,
    /// The key that signed it; none for a shared secret.
    key: Option<KeyMark>,
    /// The same as JSON, where a header wants it.
    jwk: Option<String>,
    /// When it ends; `None`: it does not tell.
    end: Option<Time>,
}

async fn verify(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    token: &str,
) -> Result<Verified, Refusal> {
    let config = &policy.config;
    let arrived = host.now();
    let jws = Jws::parse(token)
        .map_err(|error| Refusal::bad_credential(error.code(), error.to_string()))?;
    if !jws.header.is_access_token_type() {
        return Err(Refusal::bad_credential(
            "wrong_token_type",
            "`typ` names another kind of token than an access token",
        ));
    }
    let (key, jwk, issuer) = if jws.header.alg.is_symmetric() {
        verify::with_secret(config.verification.hs_secret.as_ref(), &jws)?;
        let issuer = match policy.provider.current() {
            Some(keys) => keys.metadata.issuer.clone(),
            None if config.provider.using_pseudo_issuer => None,
            None => policy.provider.keys(host).await?.metadata.issuer.clone(),
        };
        (None, None, issuer)
    } else {
        let signer = verify::with_key(&policy.provider, host, &jws, arrived).await?;
        let key = KeyMark {
            thumbprint: signer.thumbprint,
            generation: Cell::new(signer.keys.generation),
        };
        let jwk = signer.keys.key(&key.thumbprint).filter(|_| {
            let wanted = [Fact::AccessTokenJwk];
            config.upstream.tells(&wanted) || config.downstream.tells(&wanted)
        });
        let jwk = jwk.map(Jwk::public_json);
        (Some(key), jwk, signer.keys.metadata.issuer.clone())
    };
    let claims = payload(&jws)?;
    let end = check_times_and_issuer(&claims, config, issuer.as_deref(), host.now())?;
    Ok(Verified {
        claims,
        key,
        jwk,
        end,
    })
}

impl Verified {
    /// What is to be thought of it: its claims, and the rules on them and on what the provider said beside.
    fn verdict(self, config: &Config, more: &More, now: Time) -> Result<Verdict, Refusal> {
        let identity = more.add_to(Identity {
            access: Some(&self.claims),
            ..Identity::default()
        });
        let judged = identity.judged();
        let by_age = end_by_age(&judged, config, now);
        let ends = [self.end, more.end(), by_age.clone().ok().flatten()];
        let jwk = &self.jwk;
        let told = more.told(identity, config, &|fact| match fact {
            Fact::AccessTokenJwk => jwk.clone(),
            _ => None,
        });
        let (headers, told) = told.shared();
        Ok(Verdict {
            valid_until: ends.into_iter().flatten().min().unwrap_or(Time::END),
            rules: by_age.and_then(|_| authz::judge(&judged, config)),
            session_cookie: session_claim(&self.claims, config)?,
            token: None,
            who: Who::of(AuthMethod::Bearer, &self.claims),
            headers,
            told,
            key: self.key,
        })
    }
}

/// The value that the cookie `jwt_session_cookie` must have, if that is configured.
fn session_claim(claims: &Value, config: &Config) -> Result<Option<String>, Refusal> {
    let Some(binding) = &config.bearer.jwt_session else {
        return Ok(None);
    };
    match claims.get(&binding.claim).and_then(Value::as_str) {
        Some(value) if !value.is_empty() => Ok(Some(value.to_owned())),
        _ => Err(Refusal::bad_credential(
            "session_claim_missing",
            format!(
                "the token has no claim `{}` to compare with the cookie",
                binding.claim
            ),
        )),
    }
}

fn in_header<'a>(config: &'a Config, request: &'a Request) -> Option<Credential<'a>> {
    if let Some(name) = &config.bearer.header_name {
        let value = one_of(request.headers.all(name))?;
        let token = after_bearer(value).unwrap_or(value);
        return Some(credential(token, Place::Header(Cow::Owned(name.clone()))));
    }
    if let Some(token) = one_of(request.headers.all("authorization")).and_then(after_bearer) {
        return Some(credential(
            token,
            Place::Header(Cow::Borrowed("authorization")),
        ));
    }
    TOKEN_HEADERS.into_iter().find_map(|name| {
        let token = one_of(request.headers.all(name))?;
        Some(credential(token, Place::Header(Cow::Borrowed(name))))
    })
}

fn in_query(request: &Request) -> Option<Credential<'_>> {
    let tokens: Vec<_> = arguments(request.query()?, ARGUMENT).take(2).collect();
    let token = one_of(tokens.iter().map(Vec::as_slice))?;
    Some(credential(token, Place::Query(vec![ARGUMENT.to_owned()])).into_owned())
}

fn in_cookie<'a>(config: &'a Config, request: &'a Request) -> Option<Credential<'a>> {
    let name = config.bearer.cookie_name.as_deref()?;
    let token = one_of(cookie_values(&request.headers, name))?;
    Some(credential(token, Place::Cookie(name.to_owned())))
}

/// The only value; of several none is believed, yet something was shown: a credential that fails.
fn one_of<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    match (values.next(), values.next()) {
        (first, None) => first,
        (_, Some(_)) => Some(b"Bearer (repeated)"),
    }
}

/// What stands behind the word Bearer, in any case (RFC 9110 section 11.1).
fn after_bearer(value: &[u8]) -> Option<&[u8]> {
    let (word, token) = value.split_at_checked(7)?;
    word.eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Bytes that are no text are a credential too: one that fails, not one that is passed over.
fn credential(token: &[u8], place: Place) -> Credential<'_> {
    Credential {
        token: String::from_utf8_lossy(token),
        place,
    }
}
