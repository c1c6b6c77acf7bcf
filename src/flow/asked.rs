//! The two ways in that ask the provider about a token: introspection (specification section 4.4) and userinfo
//! (section 4.5).

use std::rc::Rc;

use super::more::{self, More};
use super::said::{self, About, Said, Whom};
use super::token::end_by_age;
use super::{Credential, pass_by_word};
use crate::account::Who;
use crate::authz::{self, Admission, Verdict};
use crate::config::AuthMethod;
use crate::failure::Refusal;
use crate::host::{Counter, Host, Time};
use crate::http::Request;
use crate::policy::Policy;
use crate::upstream::{Edits, Identity};

/// The hot path: what the provider said of this token is known.
pub fn from_cache(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    credential: &Credential<'_>,
    whom: Whom,
) -> Option<Result<(Admission, Edits), Refusal>> {
    let about = About::of(request, credential);
    let key = more::key(policy, about, Some(whom));
    let now = host.now();
    let known = policy.verdicts.borrow().get(&key, now);
    let Some(verdict) = known else {
        // What the provider refused is known, too.
        return said::known(policy, now, about, whom)?.err().map(Err);
    };
    if now >= verdict.valid_until {
        return None;
    }
    host.count(Counter::VerdictHit);
    Some(pass_by_word(policy, host, request, credential, &verdict))
}

/// Asks about a token, and judges the request by the answer.
pub async fn authenticate(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    credential: &Credential<'_>,
    whom: Whom,
) -> Result<(Admission, Edits), Refusal> {
    let about = About::of(request, credential);
    let main = said::ask(policy, host, about, whom).await?;
    let subject = main.claims.get("sub").and_then(serde_json::Value::as_str);
    let more = more::of(policy, host, about, subject, Some(whom)).await?;
    let now = host.now();
    let until = main.until.min(more.until());
    let verdict = Rc::new(verdict(policy, main, more, whom, now));
    let key = more::key(policy, about, Some(whom));
    let ttl = until.since(now) / 1000;
    policy
        .verdicts
        .borrow_mut()
        .put(&key, verdict.clone(), ttl, now);
    pass_by_word(policy, &**host, request, credential, &verdict)
}

fn verdict(policy: &Policy, main: Rc<Said>, mut more: More, whom: Whom, now: Time) -> Verdict {
    let config = &policy.config;
    let end = main.end.into_iter().chain(more.end()).min();
    let who = Who::of(whom.method(), &main.claims);
    match whom {
        Whom::Introspection => more.introspection = Some(main),
        Whom::Userinfo => more.userinfo = Some(main),
    }
    let identity = more.add_to(Identity::default());
    let judged = identity.judged();
    let by_age = end_by_age(&judged, config, now);
    let age_end = by_age.clone().ok().flatten();
    let (headers, told) = more.told(identity, config, &|_| None).shared();
    Verdict {
        valid_until: end.into_iter().chain(age_end).min().unwrap_or(Time::END),
        key: None,
        rules: by_age.and_then(|_| authz::judge(&judged, config)),
        session_cookie: None,
        token: None,
        who,
        headers,
        told,
    }
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
