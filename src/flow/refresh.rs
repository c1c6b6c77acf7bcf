//! New tokens for a session, with its refresh token (RFC 6749 section 6, OpenID Connect Core section 12).
//!
//! Parallel requests with one session share one call: a provider that rotates refresh tokens takes the
//! second use of one for theft. What it brought is kept for a moment, for requests that still show the
//! old cookie.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::authorization_code::client_id;
use super::given::{is_by_secret, verified_id_token};
use super::recent::hex;
use super::session::{claims_of, end_of};
use super::token::verify_given_access_token;
use crate::config::AuthMethod;
use crate::failure::Refusal;
use crate::host::{self, Counter, Endpoint, Host, Level, Task, Time};
use crate::oauth::claims::Issuers;
use crate::oauth::id_token::{self, IdTokenRules};
use crate::oauth::token::{self, TokenAnswer, TokenError};
use crate::policy::Policy;
use crate::session::{Purpose, Session};

/// How long an old cookie gets what its refresh token brought, in seconds (specification section 14,
/// "Renewal").
const GRACE: u64 = 10;

/// The code of a refusal of the refresh token, not of what it brought.
pub const OVER: &str = "session_over";

/// The most results that are kept.
const MOST_RESULTS: usize = 1024;

/// The mark of a refresh token: its hash.
pub fn mark(refresh_token: &str) -> [u8; 32] {
    Sha256::digest(refresh_token).into()
}

/// What refresh tokens brought, by their marks. The policies of all routes have it in common, for they have the
/// sessions in common; each verifies by its own rules what it takes from here. Not in [`super::recent::Recent`]: a rotated token must not be
/// lost because others hold all the memory.
#[derive(Default)]
pub struct Refreshed {
    kept: RefCell<HashMap<[u8; 32], Kept>>,
    /// Calls under way, until when they are waited for.
    under_way: RefCell<HashMap<[u8; 32], Time>>,
}

struct Kept {
    until: Time,
    result: Result<Rc<Gain>, Refusal>,
}

/// What a refresh brought.
#[derive(Deserialize, Serialize)]
struct Gain {
    received: u64,
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    scope: Option<String>,
}

impl Refreshed {
    fn get(&self, mark: &[u8; 32], now: Time) -> Option<Result<Rc<Gain>, Refusal>> {
        let kept = self.kept.borrow();
        kept.get(mark)
            .filter(|kept| now < kept.until)
            .map(|kept| kept.result.clone())
    }

    fn put(&self, mark: [u8; 32], result: Result<Rc<Gain>, Refusal>, now: Time) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|_, kept| now < kept.until);
        // Where each request makes its own call, a provider refuses all but the first: what that one brought
        // stays.
        let taken = |kept: &Kept| kept.result.is_ok() && result.is_err();
        if kept.get(&mark).is_some_and(taken) {
            return;
        }
        if kept.len() >= MOST_RESULTS {
            let soonest = kept.iter().min_by_key(|(_, kept)| kept.until);
            if let Some(soonest) = soonest.map(|(mark, _)| *mark) {
                kept.remove(&soonest);
            }
        }
        let until = now.plus_seconds(GRACE);
        kept.insert(mark, Kept { until, result });
    }

    /// Notes a call; false where one is under way already.
    fn begin(&self, mark: [u8; 32], now: Time, timeout_ms: u32) -> bool {
        let mut calls = self.under_way.borrow_mut();
        calls.retain(|_, until| now < *until);
        let until = Time(now.0.saturating_add(u64::from(timeout_ms)));
        calls.insert(mark, until).is_none()
    }

    fn end(&self, mark: &[u8; 32]) {
        self.under_way.borrow_mut().remove(mark);
    }
}

/// The session with new tokens. `is_good_still`: its old ones would do.
pub async fn renew(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    session: &Session,
    is_good_still: bool,
) -> Result<Session, Refusal> {
    let Some(refresh_token) = session.refresh_token.clone() else {
        return Err(Refusal::bad_credential(
            OVER,
            "the session has no refresh token",
        ));
    };
    let mark = mark(&refresh_token);
    if policy.refreshed.get(&mark, host.now()).is_none()
        && let Some(gain) = shared(policy, &**host, &mark)
    {
        policy.refreshed.put(mark, Ok(Rc::new(gain)), host.now());
    }
    if policy.refreshed.get(&mark, host.now()).is_none() {
        let timeout = policy.config.provider.timeout_ms;
        let first = policy.refreshed.begin(mark, host.now(), timeout);
        if !first && is_good_still && !host.abilities().shares_flights {
            // Nobody can wait for another's call here, and a second one may look like theft.
            return Err(Refusal::bad_credential(OVER, "a refresh is under way"));
        }
        let name = format!("refresh {:p} {}", Rc::as_ptr(&policy.refreshed), hex(&mark));
        host.join(&name, &mut |flight_host| {
            let (policy, refresh_token) = (policy.clone(), refresh_token.clone());
            let client = session.client_id.clone();
            let task: Task<()> = Box::pin(async move {
                let result = fetch(&policy, &flight_host, &client, mark, &refresh_token).await;
                policy.refreshed.put(mark, result, flight_host.now());
                policy.refreshed.end(&mark);
            });
            task
        })
        .await;
    }
    let Some(result) = policy.refreshed.get(&mark, host.now()) else {
        return Err(Refusal::unexpected(
            "refresh_lost",
            "the refresh ended without a result",
        ));
    };
    let gain = result?;
    host.count(Counter::Refreshed);
    adopt(policy, host, session, &gain).await
}

/// Whether a refresh token of this mark was used a moment ago, on whichever worker.
pub fn was_used(outer: &Rc<Policy>, host: &dyn Host, mark: &[u8; 32]) -> bool {
    let here = outer.refreshed.get(mark, host.now());
    here.is_some_and(|result| result.is_ok())
        || outer
            .all()
            .any(|policy| sealed_gain(policy, host, mark).is_some())
}

/// Calls the token endpoint, and leaves what it gives to the other workers. A worker that comes second is
/// refused where refresh tokens are used once; then the first one's result may be there.
async fn fetch(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &str,
    mark: [u8; 32],
    refresh_token: &str,
) -> Result<Rc<Gain>, Refusal> {
    match call(policy, host, client, refresh_token).await {
        Ok(gain) => {
            share(policy, &**host, &mark, &gain);
            Ok(Rc::new(gain))
        }
        Err(refusal) if refusal.code == OVER => match shared(policy, &**host, &mark) {
            Some(gain) => Ok(Rc::new(gain)),
            None => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    }
}

async fn call(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    client: &str,
    refresh_token: &str,
) -> Result<Gain, Refusal> {
    let keys = policy.provider.keys(host).await?;
    let client = policy.client_named(client);
    policy.check_grant("refresh_token", &keys.metadata)?;
    let endpoint = policy.token_endpoint(client, &keys.metadata, &**host, None)?;
    let call = token::refresh_grant(&endpoint, refresh_token, &[], &[]);
    let answer = host::call(&**host, Endpoint::Token, call)
        .await
        .map_err(|error| Refusal::unexpected("token_endpoint_unreachable", error.to_string()))?;
    match token::read_answer(&answer) {
        Ok(tokens) => Ok(Gain::of(&tokens, host.now())),
        Err(error) => {
            let line = format!("oidc-filter: refresh_failed: {error}");
            host.log(Level::Info, &line);
            Err(match error {
                // C24: the provider knows it no more, and the session is over.
                TokenError::InvalidGrant(_) => Refusal::bad_credential(OVER, error.to_string()),
                // Anything else is the provider's trouble, or the configuration's.
                _ => Refusal::from(&error),
            })
        }
    }
}

/// The places in the host's shared data, which forgets nothing: a fixed number of them is used again and
/// again, and a result that is overwritten too early costs one login at most.
const PLACES: u16 = 1024;

fn place(mark: &[u8; 32]) -> String {
    let [first, second, ..] = *mark;
    let number = u16::from_be_bytes([first, second]) % PLACES;
    format!("oidc-filter refreshed {number}")
}

fn share(policy: &Policy, host: &dyn Host, mark: &[u8; 32], gain: &Gain) {
    let Ok(keyring) = policy.secrets.keyring(&policy.config, host) else {
        return;
    };
    // Never two plaintexts under one nonce: a refresh token brings something once.
    let nonce = mark.first_chunk::<12>().copied().unwrap_or_default();
    let sealed = serde_json::to_vec(gain)
        .ok()
        .and_then(|plain| keyring.seal(Purpose::Refreshed, &binding(policy, mark), &plain, nonce));
    if let Some(sealed) = sealed {
        let place = place(mark);
        let cas = host.shared_get(&place).map(|(_, cas)| cas);
        // Where it cannot be shared, each worker is on its own.
        let _ = host.shared_set(&place, sealed.as_bytes(), cas);
    }
}

fn sealed_gain(policy: &Policy, host: &dyn Host, mark: &[u8; 32]) -> Option<Gain> {
    let (sealed, _) = host.shared_get(&place(mark))?;
    let keyring = policy.secrets.keyring(&policy.config, host).ok()?;
    let plain = keyring.open(Purpose::Refreshed, &binding(policy, mark), &sealed)?;
    serde_json::from_slice(&plain).ok()
}

fn shared(policy: &Policy, host: &dyn Host, mark: &[u8; 32]) -> Option<Gain> {
    let gain = sealed_gain(policy, host, mark)?;
    let until = Time::of_seconds(gain.received).plus_seconds(GRACE);
    (host.now() < until).then_some(gain)
}

fn binding<'a>(policy: &'a Policy, mark: &'a [u8; 32]) -> [&'a [u8]; 3] {
    let issuer = policy.config.provider.issuer.identifier.as_bytes();
    // A refresh token is one client's: the first one's id tells the configuration.
    let client = client_id(policy.config.clients.first());
    [issuer, client.as_bytes(), mark]
}

impl Gain {
    fn of(tokens: &TokenAnswer, received: Time) -> Gain {
        let text = |secret: &Option<crate::config::Secret>| {
            secret.as_ref().map(|secret| secret.expose().to_owned())
        };
        Gain {
            received: received.seconds(),
            access_token: tokens.access_token.expose().to_owned(),
            expires_in: tokens.expires_in,
            refresh_token: text(&tokens.refresh_token),
            id_token: text(&tokens.id_token),
            scope: tokens.scope.clone(),
        }
    }
}

/// The ways in by which a session's tokens came: the one that began it, and those that keep it.
pub fn ways_of(session: &Session) -> Vec<AuthMethod> {
    let began = AuthMethod::named(&session.method);
    let kept = [AuthMethod::Session, AuthMethod::RefreshToken];
    began.into_iter().chain(kept).collect()
}

/// Puts new tokens into a session. A refresh brings no new ID token at some providers: the old one
/// stays (DX-37).
async fn adopt(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    session: &Session,
    gain: &Gain,
) -> Result<Session, Refusal> {
    let mut next = session.clone();
    let client = policy.client_of(session);
    let by = ways_of(session);
    let keys = policy.provider.keys(host).await?;
    let issuer = keys.metadata.issuer.as_deref();
    if let Some(text) = &gain.id_token {
        let config = &policy.config;
        let rules = IdTokenRules {
            issuers: Issuers::of(config, issuer),
            client_id: client_id(client),
            nonce: None,
            access_token: Some(&gain.access_token),
            code: None,
            state: None,
            // The login is as old as it was: each request is held against `max_age`.
            max_age: None,
            leeway: config.verification.leeway,
            domains: &config.verification.domains,
        };
        let after = verified_id_token(policy, host, client, &by, text, &rules).await?;
        if let Some(before) = session.id_token.as_deref().and_then(claims_of) {
            id_token::check_refreshed(&before, &after)?;
        }
        next.by_secret = is_by_secret(policy, &by, text);
        next.id_token = Some(text.clone());
    }
    verify_given_access_token(policy, host, client, &by, &gain.access_token, issuer).await?;
    next.access_token = Some(gain.access_token.clone());
    next.access_expires = end_of(
        &gain.access_token,
        gain.expires_in,
        Time::of_seconds(gain.received),
    );
    if let Some(rotated) = &gain.refresh_token {
        next.refresh_token = Some(rotated.clone());
    }
    if let Some(scope) = &gain.scope {
        next.scope = Some(scope.clone());
    }
    next.renew(host.now());
    Ok(next)
}
