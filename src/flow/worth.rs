//! What a session's tokens are worth: they were verified when it was made, so only time and rules are left
//! (specification section 2, step 10).

use std::rc::Rc;

use super::more::More;
use super::session::claims_of;
use super::token::{end_by_age, end_of_login};
use crate::account::{Who, shown};
use crate::authz::{self, Verdict};
use crate::config::{AuthMethod, Config, Fact, SessionFact};
use crate::host::{Host, Time};
use crate::http::strip_controls;
use crate::jose::{Jwk, Jws};
use crate::policy::Policy;
use crate::provider::verify;
use crate::session::{Session, Sessions};
use crate::upstream::{Identity, Pair};

/// The verdict on a session, with what is told of it (`session_request_headers`, `session_response_headers`).
pub fn verdict(
    policy: &Policy,
    host: &dyn Host,
    sessions: &Sessions,
    session: &Session,
    more: &More,
    now: Time,
) -> Verdict {
    let facts = |wanted: &[SessionFact]| -> Vec<Pair> {
        let wanted = wanted.iter();
        wanted
            .filter_map(|fact| {
                let value = sessions.fact(*fact, session, now)?;
                let name = fact.header_name().as_bytes().to_vec();
                Some((name, strip_controls(value.as_bytes())))
            })
            .collect()
    };
    let settings = &policy.config.session;
    let facts = [
        &facts(&settings.request_headers)[..],
        &facts(&settings.response_headers)[..],
    ];
    let mut verdict = verdict_of_tokens(policy, host, session, more, facts, now);
    let left = session.remaining(&settings.timeouts, now).least();
    let end = left.map_or(Time::END, |left| now.plus_seconds(left));
    verdict.valid_until = verdict.valid_until.min(end);
    verdict
}

/// The same of its tokens alone. `facts`: further headers, for the upstream and for the client.
pub fn verdict_of_tokens(
    policy: &Policy,
    host: &dyn Host,
    session: &Session,
    more: &More,
    facts: [&[Pair]; 2],
    now: Time,
) -> Verdict {
    let config = &policy.config;
    let access = session.access_token.as_deref().and_then(claims_of);
    let id = session.id_token.as_deref().and_then(claims_of);
    let identity = more.add_to(Identity {
        access: access.as_ref(),
        id: id.as_ref(),
        ..Identity::default()
    });
    let judged = identity.judged();
    // A refreshed ID token may leave `auth_time` out (OpenID Connect Core section 12.2).
    let by_age = match session.auth_time {
        Some(login) => end_of_login(Some(Time::of_seconds(login)), config, now),
        None => end_by_age(id.as_ref().unwrap_or(&judged), config, now),
    };
    let ends = session
        .access_expires
        .map(|end| Time::of_seconds(end).plus_seconds(config.verification.leeway));
    let ends = [ends, more.end(), by_age.clone().ok().flatten()];
    let mut told = more.told(identity, config, &|fact| match fact {
        Fact::IdToken => session.id_token.clone(),
        Fact::RefreshToken => session.refresh_token.clone(),
        Fact::SessionId => Some(session.id.clone()).filter(|id| !id.is_empty()),
        Fact::AccessTokenJwk => jwk_of(policy, host, session.access_token.as_deref()?),
        Fact::IdTokenJwk => jwk_of(policy, host, session.id_token.as_deref()?),
        Fact::Introspection | Fact::IntrospectionJwt | Fact::Userinfo | Fact::UserinfoJwt => None,
    });
    told.upstream.extend_from_slice(facts[0]);
    told.downstream.extend_from_slice(facts[1]);
    let (headers, told) = told.shared();
    Verdict {
        valid_until: ends.into_iter().flatten().min().unwrap_or(Time::END),
        key: None,
        rules: by_age.and_then(|_| authz::judge(&judged, config)),
        session_cookie: None,
        token: session.access_token.as_deref().map(Rc::from),
        who: Rc::new(Who {
            method: AuthMethod::Session,
            subject: shown(&session.subject),
            client: shown(&session.client_id),
        }),
        headers,
        told,
    }
}

/// Whether a header tells which key signed a token: the provider's keys must be there then.
pub fn wants_keys(config: &Config) -> bool {
    let keys = [Fact::AccessTokenJwk, Fact::IdTokenJwk];
    config.upstream.tells(&keys) || config.downstream.tells(&keys)
}

/// The key that signed a token, as far as the provider has it still. Nothing for an opaque token, and for one that
/// our own secret signed.
pub fn jwk_of(policy: &Policy, host: &dyn Host, token: &str) -> Option<String> {
    let jws = Jws::parse(token).ok()?;
    let keys = policy.provider.current()?;
    verify::signer_among(host, &keys, &jws).map(Jwk::public_json)
}
