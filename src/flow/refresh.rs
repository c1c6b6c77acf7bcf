//! New tokens for a session, with its refresh token (RFC 6749 section 6, OpenID Connect Core section 12).
//!
//! Parallel requests with one session share one call: a provider that rotates refresh tokens takes the
//! second use of one for theft. What it brought is kept for a moment, for requests that still show the
//! old cookie.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::authorization_code::{client_id, verified_id_token};
use super::session::{claims_of, end_of};
use crate::failure::Refusal;
use crate::host::{Counter, Host, Level, Task, Time};
use crate::oauth::claims::Issuers;
use crate::oauth::id_token::{self, IdTokenRules};
use crate::oauth::token::{self, TokenAnswer};
use crate::policy::Policy;
use crate::session::Session;

/// How long an old cookie gets what its refresh token brought, in seconds (specification section 14,
/// "Renewal").
const GRACE: u64 = 10;

/// The code of a refusal of the refresh token, not of what it brought.
pub const OVER: &str = "session_over";

/// The most results that are kept.
const MOST_RESULTS: usize = 1024;

/// What refresh tokens brought, by their hashes.
#[derive(Default)]
pub struct Refreshed(RefCell<HashMap<[u8; 32], Kept>>);

struct Kept {
    until: Time,
    result: Result<Rc<TokenAnswer>, Refusal>,
}

impl Refreshed {
    fn get(&self, key: &[u8; 32], now: Time) -> Option<Result<Rc<TokenAnswer>, Refusal>> {
        let kept = self.0.borrow();
        kept.get(key)
            .filter(|kept| now < kept.until)
            .map(|kept| kept.result.clone())
    }

    fn put(&self, key: [u8; 32], result: Result<Rc<TokenAnswer>, Refusal>, now: Time) {
        let mut kept = self.0.borrow_mut();
        kept.retain(|_, kept| now < kept.until);
        // Where each request makes its own call, a provider refuses all but the first: what that one brought
        // stays.
        let taken = |kept: &Kept| kept.result.is_ok() && result.is_err();
        if kept.len() < MOST_RESULTS && !kept.get(&key).is_some_and(taken) {
            kept.insert(
                key,
                Kept {
                    until: now.plus_seconds(GRACE),
                    result,
                },
            );
        }
    }
}

/// The session with new tokens.
pub async fn renew(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    session: &Session,
) -> Result<Session, Refusal> {
    let Some(refresh_token) = session.refresh_token.clone() else {
        return Err(Refusal::bad_credential(
            OVER,
            "the session has no refresh token",
        ));
    };
    let key: [u8; 32] = Sha256::digest(&refresh_token).into();
    if policy.refreshed.get(&key, host.now()).is_none() {
        let name = format!("refresh {:p} {}", Rc::as_ptr(policy), hex(&key));
        host.join(&name, &mut |flight_host| {
            let (policy, refresh_token) = (policy.clone(), refresh_token.clone());
            let task: Task<()> = Box::pin(async move {
                let result = call(&policy, &flight_host, &refresh_token).await;
                policy
                    .refreshed
                    .put(key, result.map(Rc::new), flight_host.now());
            });
            task
        })
        .await;
    }
    let Some(result) = policy.refreshed.get(&key, host.now()) else {
        return Err(Refusal::unexpected(
            "refresh_lost",
            "the refresh ended without a result",
        ));
    };
    let tokens = result?;
    host.count(Counter::Refreshed);
    adopt(policy, host, session, &tokens).await
}

async fn call(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    refresh_token: &str,
) -> Result<TokenAnswer, Refusal> {
    let keys = policy.provider.keys(host).await?;
    let endpoint = policy.token_endpoint(&keys.metadata, &**host)?;
    let answer = host
        .call(token::refresh_grant(&endpoint, refresh_token, &[], &[]))
        .await
        .map_err(|error| Refusal::unexpected("token_endpoint_unreachable", error.to_string()))?;
    token::read_answer(&answer).map_err(|error| {
        host.log(
            Level::Info,
            &format!("oidc-filter: refresh_failed: {error}"),
        );
        // C24: a session that cannot be refreshed is over, whatever the reason.
        Refusal::bad_credential(OVER, error.to_string())
    })
}

/// Puts new tokens into a session. A refresh brings no new ID token at some providers: the old one
/// stays (DX-37).
async fn adopt(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    session: &Session,
    tokens: &TokenAnswer,
) -> Result<Session, Refusal> {
    let mut next = session.clone();
    if let Some(text) = &tokens.id_token {
        let keys = policy.provider.keys(host).await?;
        let config = &policy.config;
        let rules = IdTokenRules {
            issuers: Issuers::of(config, keys.metadata.issuer.as_deref()),
            client_id: client_id(policy),
            nonce: None,
            access_token: Some(tokens.access_token.expose()),
            code: None,
            // The login is as old as it was: each request is held against `max_age`.
            max_age: None,
            leeway: config.verification.leeway,
            domains: &config.verification.domains,
        };
        let after = verified_id_token(policy, host, text, &rules).await?;
        if let Some(before) = session.id_token.as_deref().and_then(claims_of) {
            id_token::check_refreshed(&before, &after)?;
        }
        next.id_token = Some(text.expose().to_owned());
    }
    let now = host.now();
    next.access_token = Some(tokens.access_token.expose().to_owned());
    next.access_expires = end_of(tokens, now);
    if let Some(rotated) = &tokens.refresh_token {
        next.refresh_token = Some(rotated.expose().to_owned());
    }
    if let Some(scope) = &tokens.scope {
        next.scope = Some(scope.clone());
    }
    next.renew(now);
    Ok(next)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
