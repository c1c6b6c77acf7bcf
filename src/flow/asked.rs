//! The two ways in that ask the provider about a token: introspection (specification section 4.4, RFC 7662)
//! and userinfo (section 4.5, OpenID Connect Core section 5.3).

use std::rc::Rc;

use serde_json::Value;

use super::authorization_code::client_id;
use super::recent::{self, Fetch, Fetched, Key, Question, Recent, keep_until, key_of};
use super::session::claims_of;
use super::token::{check_times_and_issuer, end_by_age, verified_claims};
use super::{Credential, pass};
use crate::account::Who;
use crate::authz::{self, Admission, Facts, Verdict};
use crate::config::{AuthMethod, Client, Fact};
use crate::failure::Refusal;
use crate::host::{self, Counter, Endpoint, Host, Time};
use crate::http::Request;
use crate::jose::Jws;
use crate::oauth::claims::{Issuers, date};
use crate::oauth::endpoint;
use crate::oauth::extra::{Extra, Places, Shown};
use crate::oauth::introspection::{
    self, IntrospectionAnswer, IntrospectionRules, introspected, introspected_in_jwt,
};
use crate::oauth::userinfo::{self, UserinfoAnswer, UserinfoEndpoint, userinfo_in_jwt};
use crate::policy::Policy;
use crate::provider::KeySet;
use crate::upstream::{Edits, claim_headers, fact_headers};

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The introspection endpoint.
    Introspection,
    /// The userinfo endpoint.
    Userinfo,
}

impl Whom {
    /// The way in.
    pub fn method(self) -> AuthMethod {
        match self {
            Whom::Introspection => AuthMethod::Introspection,
            Whom::Userinfo => AuthMethod::Userinfo,
        }
    }

    fn shelf(self) -> recent::Shelf<Verdict> {
        fn introspected(policy: &Policy) -> &Recent<Verdict> {
            &policy.introspected
        }
        fn informed(policy: &Policy) -> &Recent<Verdict> {
            &policy.informed
        }
        match self {
            Whom::Introspection => introspected,
            Whom::Userinfo => informed,
        }
    }

    fn is_kept(self, policy: &Policy) -> bool {
        match self {
            Whom::Introspection => policy.config.caching.introspection,
            Whom::Userinfo => policy.config.caching.userinfo,
        }
    }

    fn extra(self, policy: &Policy, request: &Request) -> Extra {
        let shown = Shown::of(request);
        match self {
            Whom::Introspection => {
                let settings = &policy.config.introspection;
                Extra::of(
                    &settings.headers,
                    &settings.arguments,
                    Places::QueryAndForm,
                    &shown,
                )
            }
            Whom::Userinfo => {
                let settings = &policy.config.userinfo;
                Extra::of(
                    &settings.headers,
                    &settings.arguments,
                    Places::Query,
                    &shown,
                )
            }
        }
    }
}

/// The hot path: what the provider said of this token is known.
pub fn from_cache(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
    whom: Whom,
) -> Option<Result<(Admission, Edits), Refusal>> {
    if !whom.is_kept(policy) {
        return None;
    }
    let client = client_id(policy.client(request));
    let key = key(&credential.token, client, &whom.extra(policy, request));
    let now = host.now();
    let verdict = match whom.shelf()(policy).get(&key, now)? {
        Ok(verdict) => verdict,
        Err(refusal) => return Some(Err(refusal)),
    };
    if now >= verdict.valid_until {
        return None;
    }
    host.count(Counter::VerdictHit);
    Some(conclude(policy, host, request, credential, &verdict))
}

/// Asks about a token, and judges the request by the answer.
pub async fn authenticate(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    credential: &Credential<'_>,
    whom: Whom,
) -> Result<(Admission, Edits), Refusal> {
    let extra = whom.extra(policy, request);
    let question = Question {
        key: key(&credential.token, client_id(policy.client(request)), &extra),
        shelf: whom.shelf(),
        name: match whom {
            Whom::Introspection => "introspection",
            Whom::Userinfo => "userinfo",
        },
        is_kept: whom.is_kept(policy),
    };
    let token: Rc<str> = Rc::from(&*credential.token);
    let (policy_of_flight, place) = (policy.clone(), request.client);
    let fetch: Fetch<Verdict> = Rc::new(move |host: Rc<dyn Host>| {
        let (policy, token, extra) = (policy_of_flight.clone(), token.clone(), extra.clone());
        Box::pin(async move { fetch(&policy, &host, place, &token, extra, whom).await })
    });
    let verdict = recent::answer(policy, host, &question, &fetch).await?;
    conclude(policy, &**host, request, credential, &verdict)
}

/// The token, as which client it is asked about, and what else is asked with it (trap T15).
fn key(token: &str, client: &str, extra: &Extra) -> Key {
    let mut parts = vec![token.as_bytes(), client.as_bytes()];
    for (name, value) in extra.parts() {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    key_of(parts)
}

fn conclude(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
    verdict: &Verdict,
) -> Result<(Admission, Edits), Refusal> {
    let facts = Facts {
        request,
        keys: None,
    };
    pass(policy, host, &facts, Some(credential), verdict, host.now())
}

async fn fetch(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    place: usize,
    token: &str,
    extra: Extra,
    whom: Whom,
) -> Fetched<Verdict> {
    let config = &policy.config;
    let client = config.clients.at(place).unwrap_or(config.clients.first());
    let keys = policy.provider.keys(host).await?;
    let claims = match whom {
        Whom::Introspection => introspect(policy, host, client, &keys, token, extra).await?,
        Whom::Userinfo => inform(policy, host, client, &keys, token, extra).await?,
    };
    let now = host.now();
    let end = check_times_and_issuer(&claims, config, keys.metadata.issuer.as_deref(), now)?;
    // What is said of a token ends with the token, if that tells its end.
    let own = claims_of(token).and_then(|claims| date(&claims, "exp").ok().flatten());
    let own = own.map(|end| end.plus_seconds(config.verification.leeway));
    let end = end.into_iter().chain(own).min();
    let by_age = end_by_age(&claims, config, now);
    let age_end = by_age.clone().ok().flatten();
    let document = claims.to_string();
    let mut headers = claim_headers(&[&claims], config);
    headers.extend(fact_headers(config, |fact| match (fact, whom) {
        (Fact::Introspection, Whom::Introspection) | (Fact::Userinfo, Whom::Userinfo) => {
            Some(document.clone())
        }
        _ => None,
    }));
    let verdict = Verdict {
        valid_until: end.into_iter().chain(age_end).min().unwrap_or(Time::END),
        key: None,
        rules: by_age.and_then(|_| authz::judge(&claims, config)),
        session_cookie: None,
        token: None,
        who: Who::of(whom.method(), &claims),
        headers: Rc::from(headers),
    };
    let until = keep_until(&config.caching, end, now);
    Ok((Rc::new(verdict), until))
}

async fn introspect(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    keys: &KeySet,
    token: &str,
    extra: Extra,
) -> Result<Value, Refusal> {
    let config = &policy.config;
    let settings = &config.introspection;
    let metadata = &keys.metadata;
    let url = endpoint(
        settings.endpoint.as_ref(),
        metadata.introspection_endpoint.as_ref(),
        "introspection_endpoint",
    )?;
    let supported = metadata
        .introspection_endpoint_auth_methods_supported
        .as_deref();
    let proof = policy.proof(client, settings.auth, supported, metadata, &**host)?;
    let endpoint = policy.form_endpoint(url, proof, extra);
    host.count(Counter::Introspected);
    let call = introspection::call(&endpoint, settings, token);
    let answer = host::call(&**host, Endpoint::Introspection, call)
        .await
        .map_err(|error| Refusal::unexpected("introspection_unreachable", error.to_string()))?;
    let found = match introspection::read_answer(&answer, settings.accept)? {
        IntrospectionAnswer::Claims(claims) => introspected(claims, settings.check_active)?,
        IntrospectionAnswer::Jwt(text) => {
            let by = AuthMethod::Introspection;
            let (jws, claims) = signed(policy, host, client, by, text.expose()).await?;
            let rules = IntrospectionRules {
                issuers: Issuers::of(config, metadata.issuer.as_deref()),
                client_id: client_id(client),
                check_active: settings.check_active,
            };
            introspected_in_jwt(&jws, &claims, &rules)?
        }
    };
    Ok(found.claims)
}

async fn inform(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    keys: &KeySet,
    token: &str,
    extra: Extra,
) -> Result<Value, Refusal> {
    let config = &policy.config;
    let settings = &config.userinfo;
    let url = endpoint(
        settings.endpoint.as_ref(),
        keys.metadata.userinfo_endpoint.as_ref(),
        "userinfo_endpoint",
    )?;
    let endpoint = UserinfoEndpoint {
        url,
        cluster: config.cluster_for(url),
        timeout_ms: config.provider.timeout_ms,
        extra,
    };
    host.count(Counter::UserinfoAsked);
    let call = userinfo::call(&endpoint, settings.accept, token)?;
    let answer = host::call(&**host, Endpoint::Userinfo, call)
        .await
        .map_err(|error| Refusal::unexpected("userinfo_unreachable", error.to_string()))?;
    let found = match userinfo::read_answer(&answer, settings.accept)? {
        UserinfoAnswer::Claims(claims) => userinfo::userinfo(claims)?,
        UserinfoAnswer::Jwt(text) => {
            let by = AuthMethod::Userinfo;
            let (jws, claims) = signed(policy, host, client, by, text.expose()).await?;
            let issuers = Issuers::of(config, keys.metadata.issuer.as_deref());
            userinfo_in_jwt(&jws, claims, &issuers, client.id.as_deref())?
        }
    };
    Ok(found.claims)
}

/// The claims of an answer whose signature is good.
async fn signed<'a>(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    by: AuthMethod,
    text: &'a str,
) -> Result<(Jws<'a>, Value), Refusal> {
    // Whoever showed the token has no part in this answer: an error is the provider's.
    let bad = |refusal: Refusal| Refusal::unexpected("answer_not_verified", refusal.reason);
    let jws = Jws::parse(text)
        .map_err(|error| Refusal::unexpected("answer_not_verified", error.to_string()))?;
    let claims = verified_claims(policy, host, client, &[by], &jws)
        .await
        .map_err(bad)?;
    Ok((jws, claims))
}

/// Where tokens are asked about, if anywhere.
pub fn whom(policy: &Policy) -> Option<Whom> {
    let methods = &policy.config.methods;
    if methods.has(AuthMethod::Introspection) {
        Some(Whom::Introspection)
    } else if methods.has(AuthMethod::Userinfo) {
        Some(Whom::Userinfo)
    } else {
        None
    }
}
