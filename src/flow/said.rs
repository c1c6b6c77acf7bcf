//! What the provider says of a token when it is asked: introspection (specification section 4.4, RFC 7662) and
//! userinfo (section 4.5, OpenID Connect Core section 5.3).

use std::rc::Rc;

use serde_json::Value;

use super::Credential;
use super::authorization_code::client_id;
use super::recent::{self, Fetch, Fetched, Key, Question, Recent, keep_until, key_of};
use super::session::claims_of;
use super::token::{check_times_and_issuer, verified_claims};
use crate::cache::Weigh;
use crate::config::{AuthMethod, Client};
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

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The introspection endpoint.
    Introspection,
    /// The userinfo endpoint.
    Userinfo,
}

/// What was said of a token.
pub struct Said {
    /// The claims, an object.
    pub claims: Value,
    /// The signed JWT that they came in.
    pub jwt: Option<String>,
    /// When what was said ends, or the token itself; `None`: nobody told.
    pub end: Option<Time>,
    /// Until when it may be kept: the moment it came, where it may not be.
    pub until: Time,
    bytes: usize,
}

impl Weigh for Said {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What is asked about, for which request.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The access token.
    pub token: &'a str,
    /// As which of our clients, by its place.
    pub client: usize,
    /// What the client of the gateway may add to the question.
    pub request: &'a Request,
}

impl<'a> About<'a> {
    /// The token that a request showed.
    pub fn of(request: &'a Request, credential: &'a Credential<'_>) -> About<'a> {
        About {
            token: &credential.token,
            client: request.client,
            request,
        }
    }
}

impl Whom {
    /// The way in.
    pub fn method(self) -> AuthMethod {
        match self {
            Whom::Introspection => AuthMethod::Introspection,
            Whom::Userinfo => AuthMethod::Userinfo,
        }
    }

    fn shelf(self) -> recent::Shelf<Said> {
        fn introspected(policy: &Policy) -> &Recent<Said> {
            &policy.introspected
        }
        fn informed(policy: &Policy) -> &Recent<Said> {
            &policy.informed
        }
        match self {
            Whom::Introspection => introspected,
            Whom::Userinfo => informed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Whom::Introspection => "introspection",
            Whom::Userinfo => "userinfo",
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
        let (headers, arguments, places) = match self {
            Whom::Introspection => {
                let settings = &policy.config.introspection;
                (&settings.headers, &settings.arguments, Places::QueryAndForm)
            }
            Whom::Userinfo => {
                let settings = &policy.config.userinfo;
                (&settings.headers, &settings.arguments, Places::Query)
            }
        };
        Extra::of(headers, arguments, places, &shown)
    }
}

/// What a question depends on: the token, as which client it is asked, and what else is asked with it (trap
/// T15).
pub fn key(policy: &Policy, about: About<'_>, whom: Whom) -> Key {
    key_with(policy, about, whom, &whom.extra(policy, about.request))
}

fn key_with(policy: &Policy, about: About<'_>, whom: Whom, extra: &Extra) -> Key {
    let client = client_id(client_at(policy, about.client));
    let mut parts = vec![
        whom.name().as_bytes(),
        about.token.as_bytes(),
        client.as_bytes(),
    ];
    for (name, value) in extra.parts() {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    key_of(parts)
}

/// What is known already.
pub fn known(
    policy: &Policy,
    now: Time,
    about: About<'_>,
    whom: Whom,
) -> Option<Result<Rc<Said>, Refusal>> {
    if !whom.is_kept(policy) {
        return None;
    }
    whom.shelf()(policy).get(&key(policy, about, whom), now)
}

/// Asks, where it is not known.
pub async fn ask(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    about: About<'_>,
    whom: Whom,
) -> Result<Rc<Said>, Refusal> {
    let extra = whom.extra(policy, about.request);
    let question = Question {
        key: key_with(policy, about, whom, &extra),
        shelf: whom.shelf(),
        name: whom.name(),
        is_kept: whom.is_kept(policy),
    };
    let token: Rc<str> = Rc::from(about.token);
    let (policy_of_flight, place) = (policy.clone(), about.client);
    let fetch: Fetch<Said> = Rc::new(move |host: Rc<dyn Host>| {
        let (policy, token, extra) = (policy_of_flight.clone(), token.clone(), extra.clone());
        Box::pin(async move { fetch(&policy, &host, place, &token, extra, whom).await })
    });
    recent::answer(policy, host, &question, &fetch).await
}

fn client_at(policy: &Policy, place: usize) -> &Client {
    let clients = &policy.config.clients;
    clients.at(place).unwrap_or(clients.first())
}

async fn fetch(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    place: usize,
    token: &str,
    extra: Extra,
    whom: Whom,
) -> Fetched<Said> {
    let config = &policy.config;
    let client = client_at(policy, place);
    let keys = policy.provider.keys(host).await?;
    let (claims, jwt) = match whom {
        Whom::Introspection => introspect(policy, host, client, &keys, token, extra).await?,
        Whom::Userinfo => inform(policy, host, client, &keys, token, extra).await?,
    };
    let now = host.now();
    let end = check_times_and_issuer(&claims, config, keys.metadata.issuer.as_deref(), now)?;
    // What is said of a token ends with the token, if that tells its end.
    let own = claims_of(token).and_then(|claims| date(&claims, "exp").ok().flatten());
    let own = own.map(|end| end.plus_seconds(config.verification.leeway));
    let end = end.into_iter().chain(own).min();
    let until = if whom.is_kept(policy) {
        keep_until(&config.caching, end, now)
    } else {
        now
    };
    let text = claims.to_string().len().saturating_mul(2);
    let bytes = text.saturating_add(jwt.as_ref().map_or(0, String::len));
    let said = Said {
        claims,
        jwt,
        end,
        until,
        bytes,
    };
    Ok((Rc::new(said), until))
}

async fn introspect(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    keys: &KeySet,
    token: &str,
    extra: Extra,
) -> Result<(Value, Option<String>), Refusal> {
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
    match introspection::read_answer(&answer, settings.accept)? {
        IntrospectionAnswer::Claims(claims) => {
            Ok((introspected(claims, settings.check_active)?.claims, None))
        }
        IntrospectionAnswer::Jwt(text) => {
            let by = AuthMethod::Introspection;
            let (jws, claims) = signed(policy, host, client, by, text.expose()).await?;
            let rules = IntrospectionRules {
                issuers: Issuers::of(config, metadata.issuer.as_deref()),
                client_id: client_id(client),
                check_active: settings.check_active,
            };
            let found = introspected_in_jwt(&jws, &claims, &rules)?;
            Ok((found.claims, Some(text.expose().to_owned())))
        }
    }
}

async fn inform(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &Client,
    keys: &KeySet,
    token: &str,
    extra: Extra,
) -> Result<(Value, Option<String>), Refusal> {
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
    match userinfo::read_answer(&answer, settings.accept)? {
        UserinfoAnswer::Claims(claims) => Ok((userinfo::userinfo(claims)?.claims, None)),
        UserinfoAnswer::Jwt(text) => {
            let by = AuthMethod::Userinfo;
            let (jws, claims) = signed(policy, host, client, by, text.expose()).await?;
            let issuers = Issuers::of(config, keys.metadata.issuer.as_deref());
            let found = userinfo_in_jwt(&jws, claims, &issuers, client.id.as_deref())?;
            Ok((found.claims, Some(text.expose().to_owned())))
        }
    }
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
