//! The way in with a session (specification sections 4.1 and 14): the cookie is opened, its times are
//! judged, its tokens are renewed before they end.

use std::rc::Rc;

use serde_json::Value;

use super::more::{self, More};
use super::origin::Origin;
use super::reverify;
use super::worth::{self, verdict, verdict_of_tokens};
use super::{Credential, Place, pass, refresh};
use crate::authz::{self, Admission, Basis, Facts, Verdict};
use crate::config::{AuthMethod, Bind};
use crate::failure::{Kind, Refusal};
use crate::host::{Counter, Host, Time};
use crate::http::{Downstream, Request, cookie_names};
use crate::jose::Jws;
use crate::oauth::claims::{Issuers, date};
use crate::policy::Policy;
use crate::session::{Found, Jar, Opened, Session, Sessions, State, is_piece_of};
use crate::upstream::Edits;

/// How long before its end an access token is renewed, in seconds: it must last until the upstream has
/// looked at it.
const RENEW_BEFORE: u64 = 30;

/// What a request's session cookies came to.
pub enum Outcome {
    /// There is no session: other ways in are tried.
    None,
    /// It counts: the request is decided.
    Decided(Box<Result<(Admission, Edits), Refusal>>),
    /// Its access token is to be renewed first.
    Renew(Box<Opened>),
    /// It has come to its end.
    Over(Refusal),
    /// Whether its issuer counts, or which key signed its tokens, is known when the provider's metadata is.
    Undiscovered,
    /// Its tokens are to be verified again, or the provider has to be asked for more about them ([`asked`]).
    Ask(Box<Opened>),
}

/// Looks for a session and judges the request by it.
pub fn find(policy: &Policy, host: &dyn Host, request: &Request) -> Result<Outcome, Refusal> {
    if !policy.config.methods.has(AuthMethod::Session) || !shows_cookie(policy, request) {
        return Ok(Outcome::None);
    }
    // Not before there is a cookie: it is then that a secret is made, where none is configured.
    let Some(sessions) = policy.sessions(host)? else {
        return Ok(Outcome::None);
    };
    let bound = bind(policy, host, request)?;
    let key = key(policy, request, &bound);
    let now = host.now();
    let known = policy.opened.borrow().get(&key, now);
    if let Some(verdict) = known.filter(|verdict| now < verdict.valid_until) {
        host.count(Counter::SessionHit);
        let decided = conclude(policy, host, request, &verdict, Downstream::default(), now);
        return Ok(Outcome::Decided(Box::new(decided)));
    }
    let opened = match sessions.find(&request.headers, &bound, now) {
        Found::None => return Ok(Outcome::None),
        Found::Conflict => {
            return Err(Refusal::bad_credential(
                "session_conflict",
                "two session cookies are good, and are of different people",
            ));
        }
        Found::One(opened) => opened,
    };
    host.count(Counter::SessionOpened);
    let session = &opened.session;
    if let State::Ended(_) = session.state(&policy.config.session.timeouts, now) {
        // As if it were not there: whoever comes back after a night logs in again.
        return Ok(Outcome::None);
    }
    match vouched(policy, session) {
        Vouched::Yes => {}
        // One of another route, whose rules are wider: none here.
        Vouched::No => return Ok(Outcome::None),
        Vouched::Undiscovered => return Ok(Outcome::Undiscovered),
    }
    match token_state(policy, session, now) {
        Token::Good => {}
        Token::Renew => return Ok(Outcome::Renew(opened)),
        Token::Over => {
            let reason = "the session's access token has ended and cannot be renewed";
            return Ok(Outcome::Over(Refusal::bad_credential(
                "session_over",
                reason,
            )));
        }
    }
    if policy.config.verification.reverify {
        return Ok(Outcome::Ask(opened));
    }
    if worth::wants_keys(&policy.config) && policy.provider.current().is_none() {
        return Ok(Outcome::Undiscovered);
    }
    let Some(more) = more::known_of_session(policy, now, request, session) else {
        return Ok(Outcome::Ask(opened));
    };
    let decided = match more {
        Ok(more) => settle(policy, host, request, &sessions, &opened, &more, &key),
        Err(reason) if reason.kind == Kind::BadCredential => return Ok(Outcome::Over(reason)),
        Err(reason) => Err(reason),
    };
    Ok(Outcome::Decided(Box::new(decided)))
}

/// Judges the request by an opened session whose tokens are to be verified again (`reverify`), or of which the
/// provider has more to say.
pub async fn asked(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    opened: &Opened,
) -> Result<(Admission, Edits), Refusal> {
    if policy.config.verification.reverify {
        reverify::tokens(policy, host, &opened.session).await?;
    }
    let more = more::of_session(policy, host, request, &opened.session).await?;
    let host = &**host;
    let sessions = policy.sessions(host)?.ok_or_else(no_sessions)?;
    let key = key(policy, request, &bind(policy, host, request)?);
    settle(policy, host, request, &sessions, opened, &more, &key)
}

/// Judges the request by a session whose tokens are good, and remembers what it is worth.
fn settle(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    sessions: &Sessions,
    opened: &Opened,
    more: &More,
    key: &[u8],
) -> Result<(Admission, Edits), Refusal> {
    let now = host.now();
    let (verdict, downstream, quiet) = used(policy, host, request, sessions, opened, more, now)?;
    if quiet > 0 {
        policy
            .opened
            .borrow_mut()
            .put(key, verdict.clone(), quiet, now);
    }
    conclude(policy, host, request, &verdict, downstream, now)
}

/// What a good session is worth, the cookie that its use asks for, and for how many seconds nothing of that
/// changes.
fn used(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    sessions: &Sessions,
    opened: &Opened,
    more: &More,
    now: Time,
) -> Result<(Rc<Verdict>, Downstream, u64), Refusal> {
    let session = &opened.session;
    let settings = &policy.config.session;
    let verdict = Rc::new(verdict(policy, host, sessions, session, more, now));
    let mut downstream = Downstream::default();
    let (renew, touch) = match session.state(&settings.timeouts, now) {
        State::Live { renew, touch } => (renew, touch),
        State::Ended(_) => (false, false),
    };
    if (renew || touch) && !settings.disabled_for.contains(&AuthMethod::Session) {
        let mut next = session.clone();
        if renew {
            next.renew(now);
        } else {
            next.touch(now);
        }
        downstream.cookies = written(policy, host, request, sessions, &next, Some(opened))?;
        downstream.refresh_mark = session.refresh_token.as_deref().map(refresh::mark);
        return Ok((verdict, downstream, 0));
    }
    // Not in a moment when a header tells how many seconds are left, and never where each request verifies.
    let tells_time = !settings.request_headers.is_empty() || !settings.response_headers.is_empty();
    if tells_time || policy.config.verification.reverify {
        return Ok((verdict, downstream, 0));
    }
    let quiet = session
        .quiet(&settings.timeouts, now)
        .map_or(CACHED, |quiet| quiet.min(CACHED));
    let quiet = quiet.min(more.until().since(now) / 1000);
    Ok((verdict, downstream, quiet))
}

fn no_sessions() -> Refusal {
    Refusal::unexpected("no_sessions", "sessions are off")
}

/// The longest that an opened session is not opened again, in seconds.
const CACHED: u64 = 10;

enum Vouched {
    Yes,
    No,
    Undiscovered,
}

/// Whether this policy would take the word of those who vouched for a session when it was made: routes
/// share sessions, and need not share their rules.
fn vouched(policy: &Policy, session: &Session) -> Vouched {
    let config = &policy.config;
    if session.by_secret && policy.hs_secret(policy.client_of(session)).is_none() {
        return Vouched::No;
    }
    let keys = policy.provider.current();
    let discovered = keys
        .as_deref()
        .and_then(|keys| keys.metadata.issuer.as_deref());
    if Issuers::of(config, discovered).accept_of_any_tenant(&session.issuer) {
        Vouched::Yes
    } else if keys.is_none() && config.provider.issuers_allowed.is_empty() {
        Vouched::Undiscovered
    } else {
        Vouched::No
    }
}

/// Judges the request by a session that was just renewed: its new cookie goes to the client.
pub async fn renewed(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    opened: &Opened,
    next: &Session,
) -> Result<(Admission, Edits), Refusal> {
    let more = more::of_session(policy, host, request, next).await?;
    let (host, now) = (&**host, host.now());
    let sessions = policy.sessions(host)?.ok_or_else(no_sessions)?;
    let verdict = verdict(policy, host, &sessions, next, &more, now);
    let downstream = Downstream {
        cookies: written(policy, host, request, &sessions, next, Some(opened))?,
        ..Downstream::default()
    };
    conclude(policy, host, request, &verdict, downstream, now)
}

/// Judges the request by a session that could not be renewed and is good still. It brings no cookie: the
/// client may have a newer one by now.
pub async fn kept(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    session: &Session,
) -> Result<(Admission, Edits), Refusal> {
    if policy.config.verification.reverify {
        reverify::tokens(policy, host, session).await?;
    }
    let more = more::of_session(policy, host, request, session).await?;
    let (host, now) = (&**host, host.now());
    let sessions = policy.sessions(host)?.ok_or_else(no_sessions)?;
    let verdict = verdict(policy, host, &sessions, session, &more, now);
    conclude(policy, host, request, &verdict, Downstream::default(), now)
}

/// Lets a request go on that showed a credential and got this session for it.
pub fn entered(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    session: &Session,
    more: &More,
    credential: &Credential<'_>,
    cookies: Vec<String>,
) -> Result<(Admission, Edits), Refusal> {
    let now = host.now();
    let verdict = of_new(policy, host, session, more, now)?;
    let downstream = Downstream {
        cookies,
        ..Downstream::default()
    };
    let place = credential.place.clone();
    conclude_from(policy, host, request, &verdict, downstream, place, now)
}

/// Whether a request may pass by a session that was just made.
pub fn judged(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    session: &Session,
    more: &More,
) -> Result<Admission, Refusal> {
    let now = host.now();
    let verdict = of_new(policy, host, session, more, now)?;
    let facts = Facts {
        request,
        keys: None,
    };
    authz::admit(&Basis::Verdict(&verdict), &facts, &policy.config, now)
}

fn of_new(
    policy: &Policy,
    host: &dyn Host,
    session: &Session,
    more: &More,
    now: Time,
) -> Result<Verdict, Refusal> {
    let mut verdict = match policy.sessions(host)? {
        Some(sessions) => verdict(policy, host, &sessions, session, more, now),
        None => verdict_of_tokens(policy, host, session, more, [&[], &[]], now),
    };
    if let Some(method) = AuthMethod::named(&session.method) {
        Rc::make_mut(&mut verdict.who).method = method;
    }
    Ok(verdict)
}

/// Lets the callback of a login go on to the upstream, as a GET with this query.
pub fn logged_in(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    session: &Session,
    more: &More,
    query: Option<Vec<u8>>,
    cookies: Vec<String>,
) -> Result<(Admission, Edits), Refusal> {
    let now = host.now();
    let verdict = of_new(policy, host, session, more, now)?;
    let downstream = Downstream {
        cookies,
        ..Downstream::default()
    };
    let (admission, mut edits) = conclude(policy, host, request, &verdict, downstream, now)?;
    edits.replace_callback(request, query);
    Ok((admission, edits))
}

/// The cookies of a session that a login has just made; none where sessions are off for it.
pub fn new_cookies(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    session: &Session,
    method: AuthMethod,
) -> Result<Vec<String>, Refusal> {
    let disabled = &policy.config.session.disabled_for;
    match policy.sessions(host)? {
        Some(sessions) if !disabled.contains(&method) => {
            written(policy, host, request, &sessions, session, None)
        }
        _ => Ok(Vec::new()),
    }
}

/// The cookies that take the session away, if the request shows one.
pub fn ended_cookies(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
) -> Result<Vec<String>, Refusal> {
    if !shows_cookie(policy, request) {
        return Ok(Vec::new());
    }
    let Some(sessions) = policy.sessions(host)? else {
        return Ok(Vec::new());
    };
    let secure = Origin::of(policy, host, request).is_secure(policy.client(request));
    Ok(sessions.destroy(&request.headers, secure))
}

/// The session of a request, if it has a live one.
pub fn current(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
) -> Result<Option<Session>, Refusal> {
    let Some(sessions) = policy.sessions(host)? else {
        return Ok(None);
    };
    let now = host.now();
    let bound = bind(policy, host, request)?;
    let live = |session: &Session| {
        let state = session.state(&policy.config.session.timeouts, now);
        matches!(state, State::Live { .. }) && !matches!(vouched(policy, session), Vouched::No)
    };
    Ok(match sessions.find(&request.headers, &bound, now) {
        Found::One(opened) => Some(opened.session).filter(live),
        Found::None | Found::Conflict => None,
    })
}

fn written(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    sessions: &Sessions,
    session: &Session,
    opened: Option<&Opened>,
) -> Result<Vec<String>, Refusal> {
    let bound = bind(policy, host, request)?;
    let nonce = policy.secrets.nonce(&policy.config, host, request)?;
    let secure = Origin::of(policy, host, request).is_secure(policy.client_of(session));
    sessions
        .write(session, opened, &request.headers, &bound, nonce, secure)
        .ok_or_else(|| {
            Refusal::unexpected(
                "session_too_large",
                "the session fits into no nine cookies; ask the provider for smaller tokens",
            )
        })
}

/// What a session is bound to beside its secret (`session_bind`).
fn bind(policy: &Policy, host: &dyn Host, request: &Request) -> Result<Vec<u8>, Refusal> {
    let mut bound = Vec::new();
    for what in &policy.config.session.bind {
        let value = match what {
            Bind::Ip => match host.connection(request).peer {
                Some(ip) => ip.to_string().into_bytes(),
                // Bound to nothing, it would be good everywhere.
                None => return Err(Refusal::unexpected("no_peer", NO_PEER)),
            },
            Bind::Scheme => host.connection(request).scheme.into_bytes(),
            Bind::UserAgent => request
                .headers
                .first("user-agent")
                .unwrap_or_default()
                .to_vec(),
        };
        bound.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        bound.extend_from_slice(&value);
    }
    Ok(bound)
}

const NO_PEER: &str = "`session_bind` has `ip`, and the host does not say who the client is; set \
     `use_remote_address: true` in Envoy's connection manager";

/// Whether the request has a cookie of the session's name.
fn shows_cookie(policy: &Policy, request: &Request) -> bool {
    let name = &policy.config.session.cookie_name;
    cookie_names(&request.headers).any(|own| is_piece_of(own, name))
}

/// What an opened session is remembered under: all that opening it depends on.
fn key(policy: &Policy, request: &Request, bound: &[u8]) -> Vec<u8> {
    let jar = Jar::read(&request.headers, &policy.config.session.cookie_name);
    let mut key = bound.to_vec();
    key.extend(more::key_of_request(policy, request));
    for value in jar.values() {
        key.push(0);
        key.extend_from_slice(&value);
    }
    key
}

/// The claims of a token that was verified when its session was made; `None` for an opaque one.
pub fn claims_of(token: &str) -> Option<Value> {
    let jws = Jws::parse(token).ok()?;
    serde_json::from_slice(&jws.payload)
        .ok()
        .filter(Value::is_object)
}

fn conclude(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    verdict: &Verdict,
    downstream: Downstream,
    now: Time,
) -> Result<(Admission, Edits), Refusal> {
    let place = Place::Session;
    conclude_from(policy, host, request, verdict, downstream, place, now)
}

fn conclude_from(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    verdict: &Verdict,
    downstream: Downstream,
    place: Place,
    now: Time,
) -> Result<(Admission, Edits), Refusal> {
    let facts = Facts {
        request,
        keys: None,
    };
    let credential = verdict.token.as_deref().map(|token| Credential {
        token: token.into(),
        place,
    });
    let (admission, mut edits) = pass(policy, host, &facts, credential.as_ref(), verdict, now)?;
    if !downstream.cookies.is_empty() {
        // A 304 brings no cookie: the new session would be lost, and its refresh token with it.
        let asked = CONDITIONS.iter();
        let asked = asked.filter(|name| request.headers.first(name).is_some());
        edits
            .strip
            .extend(asked.map(|name| name.as_bytes().to_vec()));
    }
    edits.downstream.cookies = downstream.cookies;
    edits.downstream.refresh_mark = downstream.refresh_mark;
    Ok((admission, edits))
}

/// What makes an upstream answer 304 (RFC 9110 section 13.1), and what asks for a part on such a condition.
const CONDITIONS: [&str; 3] = ["if-none-match", "if-modified-since", "if-range"];

enum Token {
    Good,
    Renew,
    Over,
}

/// Whether the access token counts still (specification section 2, step 9; decision C24).
fn token_state(policy: &Policy, session: &Session, now: Time) -> Token {
    let Some(end) = session.access_expires else {
        return Token::Good;
    };
    let verification = &policy.config.verification;
    let refreshable = session.refresh_token.is_some() && policy.config.methods.refresh_tokens;
    let due = now.seconds().saturating_add(RENEW_BEFORE) >= end;
    let over = now.seconds() >= end.saturating_add(verification.leeway);
    match (refreshable && due, over) {
        (true, _) => Token::Renew,
        (false, true) => Token::Over,
        (false, false) => Token::Good,
    }
}

/// Whether a session's access token, due for a renewal, counts still.
pub fn is_good_still(policy: &Policy, session: &Session, now: Time) -> bool {
    let leeway = policy.config.verification.leeway;
    session
        .access_expires
        .is_none_or(|end| now.seconds() < end.saturating_add(leeway))
}

/// When an access token that came at `received` ends, in seconds: by the token endpoint's word or by its
/// own, whichever comes first.
pub fn end_of(access_token: &str, expires_in: Option<u64>, received: Time) -> Option<u64> {
    let told = expires_in.map(|lifetime| received.seconds().saturating_add(lifetime));
    let own = claims_of(access_token)
        .and_then(|claims| date(&claims, "exp").ok().flatten())
        .map(Time::seconds);
    told.into_iter().chain(own).min()
}
