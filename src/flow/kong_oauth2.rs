//! The way in with a token of Kong's own OAuth2 plugin (specification section 4.3): looked up through Kong's
//! Admin API, from the token to the credential to the Consumer.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::recent::{self, Fetch, Fetched, Key, Question, keep_until, key_of};
use super::token::end_by_age;
use super::{Credential, pass_by_word};
use crate::account::{Who, shown};
use crate::authz::{self, Admission, Verdict};
use crate::config::AuthMethod;
use crate::failure::Refusal;
use crate::host::{self, Counter, Endpoint, Host, Time};
use crate::http::{Answer, Call, Request};
use crate::kong_admin::{self, AdminApi, Consumer, ShownToken, TokenRow};
use crate::oauth::id_token::LEAST_LEEWAY;
use crate::policy::Policy;
use crate::upstream::{Edits, Identity, Pair, Told, consumer_headers, text_header};

/// The hot path: what Kong said of this token is known, or it is none of Kong's.
pub fn from_cache(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
) -> Option<Result<(Admission, Edits), Refusal>> {
    if ShownToken::new(&credential.token).is_none() {
        return Some(Err(Refusal::bad_credential(
            "token_malformed",
            "the token is none of Kong's: those are letters and digits",
        )));
    }
    let key = key(&credential.token, service(policy, host).as_deref());
    let now = host.now();
    let verdict = match policy.kong_tokens.get(&key, now)? {
        Ok(verdict) => verdict,
        Err(refusal) => return Some(Err(refusal)),
    };
    if now >= verdict.valid_until {
        return None;
    }
    host.count(Counter::VerdictHit);
    Some(pass_by_word(policy, host, request, credential, &verdict))
}

/// Asks Kong about a token, and judges the request by the answer.
pub async fn authenticate(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    credential: &Credential<'_>,
) -> Result<(Admission, Edits), Refusal> {
    // The flight is nobody's request, so it could not ask.
    let service: Option<Rc<str>> = service(policy, &**host).map(Rc::from);
    let question = Question {
        key: key(&credential.token, service.as_deref()),
        shelf: |policy| &policy.kong_tokens,
        name: "kong_oauth2",
        is_kept: true,
    };
    let token: Rc<str> = Rc::from(&*credential.token);
    let policy_of_flight = policy.clone();
    let fetch: Fetch<Verdict> = Rc::new(move |host: Rc<dyn Host>| {
        let (policy, token, service) = (policy_of_flight.clone(), token.clone(), service.clone());
        Box::pin(async move { fetch(&policy, &host, &token, service.as_deref()).await })
    });
    let verdict = recent::answer(policy, host, &question, &fetch).await?;
    pass_by_word(policy, &**host, request, credential, &verdict)
}

/// The service whose tokens count: the configured one, else the one that the host says.
fn service(policy: &Policy, host: &dyn Host) -> Option<String> {
    let configured = policy.config.kong_admin.as_ref()?.service.clone();
    configured.or_else(|| host.service_id())
}

/// The token, and for which service it must be good.
fn key(token: &str, service: Option<&str>) -> Key {
    key_of([token.as_bytes(), service.unwrap_or_default().as_bytes()])
}

async fn fetch(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    token: &str,
    service: Option<&str>,
) -> Fetched<Verdict> {
    let config = &policy.config;
    let (Some(settings), Some(token)) = (&config.kong_admin, ShownToken::new(token)) else {
        let reason = "no Admin API to ask about this token";
        return Err(Refusal::unexpected("kong_admin_unknown", reason));
    };
    let api = AdminApi {
        settings,
        cluster: config.cluster_for(&settings.url),
    };
    let row = TokenRow::read(&ask(host, api.token(token)).await?, token)?;
    let may_differ = config.verification.leeway.max(LEAST_LEEWAY);
    let end = row.check(settings, service, may_differ, host.now())?;
    let credential = ask(host, api.credential(token)).await?;
    let credential = kong_admin::Credential::read(&credential, &row)?;
    let consumer = ask(host, api.consumer(credential.consumer())).await?;
    let consumer = Consumer::read(&consumer, credential.consumer())?;
    let now = host.now();
    let claims = claims(&row);
    let by_age = end_by_age(&claims, config, now);
    let headers = headers(&row, &credential, &consumer);
    let is_free = |pair: &Pair| !headers.iter().any(|(name, _)| *name == pair.0);
    let identity = Identity {
        introspection: Some(&claims),
        ..Identity::default()
    };
    let mut told = Told::of(identity, config, &|_| None);
    told.upstream.retain(is_free);
    told.upstream.extend(headers);
    let (headers, told) = told.shared();
    let verdict = Verdict {
        valid_until: end.unwrap_or(Time::END),
        key: None,
        rules: by_age.and_then(|_| authz::judge(&claims, config)),
        session_cookie: None,
        token: None,
        who: Rc::new(Who {
            method: AuthMethod::KongOauth2,
            subject: row.authenticated_userid.as_deref().and_then(shown),
            client: shown(consumer.id.as_str()),
        }),
        headers,
        told,
    };
    let until = keep_until(&config.caching, end, now);
    Ok((Rc::new(verdict), until))
}

async fn ask(host: &Rc<dyn Host>, call: Call) -> Result<Answer, Refusal> {
    host.count(Counter::KongAdminAsked);
    let answer = host::call(&**host, Endpoint::KongAdmin, call).await;
    answer.map_err(|error| Refusal::unexpected("kong_admin_unreachable", error.to_string()))
}

/// What the rules on claims and the claim headers look at: Kong's tokens say no more than this.
fn claims(row: &TokenRow) -> Value {
    let members = [
        ("scope", &row.scope),
        ("authenticated_userid", &row.authenticated_userid),
    ];
    let members = members.into_iter().filter_map(|(name, value)| {
        let value = value.clone()?;
        Some((name.to_owned(), Value::String(value)))
    });
    Value::Object(Map::from_iter(members))
}

/// What Kong's OAuth2 plugin tells the upstream (specification section 10.1).
fn headers(row: &TokenRow, credential: &kong_admin::Credential, consumer: &Consumer) -> Vec<Pair> {
    let mut headers = consumer_headers(
        consumer.id.as_str(),
        consumer.username.as_deref(),
        consumer.custom_id.as_deref(),
    );
    headers.extend(
        [
            ("x-credential-identifier", Some(&credential.client_id)),
            ("x-authenticated-scope", row.scope.as_ref()),
            ("x-authenticated-userid", row.authenticated_userid.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| text_header(name, value?)),
    );
    headers
}
