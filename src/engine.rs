//! The order of steps for one request (specification section 2), readable from top to bottom.
//!
//! [`begin`] is step 0 and whatever needs nobody's answer, the hot path among it; [`finish`] is the part
//! that waits. The code of a step stands in its own room.

use std::rc::Rc;

use crate::account::Account;
use crate::authz::{self, Admission, Basis, Facts};
use crate::config::{AuthMethod, Place, RequestBody, ResponseMode};
use crate::failure::{Kind, Refusal};
use crate::flow::judge::Judge;
use crate::flow::{
    Credential, Outcome, accompanied, authorization_code, bearer, login, logout, own_paths,
    refresh, search, session, token_request,
};
use crate::host::{Counter, Host, Level, Series, Task};
use crate::http::{Body, Request, Response};
use crate::oauth::client_choice;
use crate::policy::{Policy, Rules};
use crate::session::Opened;
use crate::upstream::Edits;

pub use crate::failure::unexpected;

/// What becomes of a request.
#[allow(
    clippy::large_enum_variant,
    reason = "as with `Step`: a box would be an allocation on the hot path"
)]
pub enum Decision {
    /// It goes on, with this proof and these changes.
    Forward(Admission, Edits),
    /// It is answered here.
    Reply(Response),
}

/// How far a decision came without waiting.
#[allow(
    clippy::large_enum_variant,
    reason = "one for each request, and most are the large one: a box would be an allocation on the hot path"
)]
pub enum Step {
    /// Decided at once.
    Done(Decision),
    /// Something has to be waited for.
    Later(Task<Decision>),
}

/// What is to be done for a request.
enum Next {
    /// Nothing: it is decided.
    Decided(Decision),
    /// Its body may be a callback or a logout, or hold a credential.
    ReadBody,
    /// It is the callback of a login.
    Callback(login::Ticket),
    /// It is a logout.
    Logout,
    /// Its session needs new tokens.
    Renew(Box<Opened>),
    /// Its session's tokens are to be verified again, or the provider has to say more of them.
    AskOfSession(Box<Opened>),
    /// It is judged when the provider's metadata is known.
    Discover,
    /// Somebody has to find out about its token, and about the ID token beside it.
    ByToken(Credential<'static>, Judge, Option<search::IdToken>),
    /// The provider has to give tokens for what it shows.
    AskForTokens(search::Shown),
    /// Its visitor has to log in, because of this.
    LogIn(Refusal),
}

/// The way in that decides, where one was tried.
type Via = Option<AuthMethod>;

/// A step, and the policy under which it is taken.
type At = (Rc<Policy>, Next);

impl Next {
    /// The way in that this step takes.
    fn via(&self) -> Via {
        match self {
            Next::Decided(_) | Next::ReadBody | Next::Discover => None,
            Next::Callback(_) | Next::LogIn(_) => LOGIN,
            Next::Logout | Next::Renew(_) | Next::AskOfSession(_) => SESSION,
            Next::ByToken(_, judge, _) => Some(judge.method()),
            Next::AskForTokens(shown) => Some(shown.method()),
        }
    }
}

/// Begins to decide on a request: the steps that need nobody's answer, the hot path among them.
///
/// `host` serves what is done here; `own` makes the door that the waiting part keeps.
pub fn begin(
    policy: &Rc<Policy>,
    mut request: Request,
    host: &dyn Host,
    own: &dyn Fn() -> Rc<dyn Host>,
) -> Step {
    let (at, next) = match step_zero(policy, host, &request) {
        Some(found) => found,
        None => by_route(policy, host, &mut request),
    };
    match next {
        Next::Decided(decision) => Step::Done(decision),
        next => Step::Later(Box::pin(finish(policy.clone(), own(), request, (at, next)))),
    }
}

/// Step 0: what is decided by the client's path alone, before a route is chosen and any credential looked for.
fn step_zero(outer: &Rc<Policy>, host: &dyn Host, request: &Request) -> Option<At> {
    if request.target().is_none() {
        // CONNECT, or a request without a path: nobody's route, so nobody's credential.
        let refusal = Refusal::new(Kind::NoCredential, "no_target", "the request has no path");
        return Some(refused(outer, host, request, None, &refusal));
    }
    if let Some(reply) = own_paths::answer(&outer.config, request) {
        let decision = replied(host, None, "own_path", reply);
        return Some((outer.clone(), Next::Decided(decision)));
    }
    if request.is_posted_form() {
        let by_form =
            |policy: &Rc<Policy>| policy.config.login.response_mode == ResponseMode::FormPost;
        let may_come_back = authorization_code::logins(outer, request).any(by_form);
        return may_come_back.then(|| (outer.clone(), Next::ReadBody));
    }
    let query = request.query().filter(|_| request.is_navigation())?;
    coming_back(outer, host, request, query)
}

/// What a query or a form at the callback is: a callback, an error that is nobody's, or nothing.
fn coming_back(outer: &Rc<Policy>, host: &dyn Host, request: &Request, form: &[u8]) -> Option<At> {
    match authorization_code::coming_back(outer, host, request, form) {
        Ok(Some((policy, ticket))) => Some((policy, Next::Callback(ticket))),
        Ok(None) => {
            let mut logins = authorization_code::logins(outer, request);
            let policy =
                logins.find(|policy| authorization_code::is_foreign_error(policy, form))?;
            let reason = "an error came to the callback, and no login of ours belongs to it";
            let refusal = Refusal::bad_credential("foreign_callback", reason);
            Some(refused(policy, host, request, LOGIN, &refusal))
        }
        Err(refusal) => Some(refused(outer, host, request, LOGIN, &refusal)),
    }
}

/// A login, or its end.
const LOGIN: Via = Some(AuthMethod::AuthorizationCode);

fn refused(
    policy: &Rc<Policy>,
    host: &dyn Host,
    request: &Request,
    via: Via,
    refusal: &Refusal,
) -> At {
    let decision = refuse(policy, host, request, via, refusal);
    (policy.clone(), Next::Decided(decision))
}

/// Chooses the rules that hold for a request, and takes the steps of an ordinary one under them.
fn by_route(outer: &Rc<Policy>, host: &dyn Host, request: &mut Request) -> At {
    let policy = match outer.rules(request) {
        Ok(Rules::Of(policy)) => policy,
        Ok(Rules::Nothing) => {
            let outcome = pass_unasked(outer, host, request, &Basis::DisabledRoute);
            let decision = conclude(outer, host, request, None, outcome);
            return (outer.clone(), Next::Decided(decision));
        }
        Err(refusal) => return refused(outer, host, request, None, &refusal),
    };
    request.client = policy.chosen(request);
    let next = if !logout::may_be_asked_by_body(&policy, request) {
        judge(&policy, host, request)
    } else if request.body.is_none() {
        Next::ReadBody
    } else if logout::is_asked_by_form(&policy, request, request.body().form()) {
        Next::Logout
    } else {
        judge(&policy, host, request)
    };
    (policy, next)
}

/// The steps of an ordinary request, as far as nobody has to be asked.
fn judge(policy: &Policy, host: &dyn Host, request: &Request) -> Next {
    let decided = |via, outcome| Next::Decided(conclude(policy, host, request, via, outcome));
    if !policy.config.methods.run_on_preflight && request.is_preflight() {
        return decided(None, pass_unasked(policy, host, request, &Basis::Preflight));
    }
    if logout::is_asked_by_target(policy, request) {
        return Next::Logout;
    }
    match session::find(policy, host, request) {
        Ok(session::Outcome::None) => {}
        Ok(session::Outcome::Decided(outcome)) => return decided(SESSION, *outcome),
        Ok(session::Outcome::Renew(opened)) => return Next::Renew(opened),
        Ok(session::Outcome::Over(reason)) => return after_session(policy, host, request, reason),
        Ok(session::Outcome::Undiscovered) => return Next::Discover,
        Ok(session::Outcome::Ask(opened)) => return Next::AskOfSession(opened),
        Err(refusal) => return decided(SESSION, Err(refusal)),
    }
    let takes_tokens = policy.config.methods.take_tokens();
    let mut token = bearer::find(&policy.config, request).filter(|_| takes_tokens);
    let reads_on = match token {
        None => wants_body(policy, request, takes_tokens),
        Some(_) => may_be_accompanied_by_body(policy, request),
    };
    if reads_on {
        return Next::ReadBody;
    }
    if token.is_none() && takes_tokens {
        token = bearer::find_behind(&policy.config, request);
    }
    let token = token.map(|credential| (Judge::of(policy, &credential.token), credential));
    let as_client = |judge: &Judge| matches!(judge, Judge::Provider(_));
    let as_client = token.as_ref().is_none_or(|(judge, _)| as_client(judge));
    if as_client && may_choose_by_body(policy, request) {
        return Next::ReadBody;
    }
    if let Some((judge, credential)) = token {
        let id_token = search::id_token(&policy.config, request);
        let known = match &id_token {
            None => judge.known(policy, host, request, &credential),
            Some(_) => None,
        };
        return match known {
            Some(outcome) => decided(Some(judge.method()), outcome),
            None => Next::ByToken(credential.into_owned(), judge, id_token),
        };
    }
    if let Some(shown) = search::find(&policy.config, request) {
        return Next::AskForTokens(shown);
    }
    let refusal = Refusal::new(
        Kind::NoCredential,
        "no_credential",
        "no credential was shown",
    );
    if policy.logs_in() && request.can_be_redirected() {
        Next::LogIn(refusal)
    } else {
        decided(None, Err(refusal))
    }
}

/// A session, or its end.
const SESSION: Via = Some(AuthMethod::Session);

/// Whether a credential may stand in the body, which was not read yet.
fn wants_body(policy: &Policy, request: &Request, takes_tokens: bool) -> bool {
    let config = &policy.config;
    request.body.is_none()
        && (takes_tokens && config.bearer.looks_in(Place::Body) || search::looks_in_body(config))
        && policy.config.host.request_body == RequestBody::On
        && Body::is_readable(request)
}

/// Whether an ID token may stand in the body, which was not read yet.
fn may_be_accompanied_by_body(policy: &Policy, request: &Request) -> bool {
    let config = &policy.config;
    request.body.is_none()
        && search::id_token_in_body(config)
        && search::id_token(config, request).is_none()
        && config.host.request_body == RequestBody::On
        && Body::is_readable(request)
}

/// Whether the body, which was not read yet, may say as which of our clients to act (specification section 5).
fn may_choose_by_body(policy: &Policy, request: &Request) -> bool {
    request.body.is_none()
        && policy.config.clients.are_several()
        && !client_choice::is_named(&policy.config.clients, request)
        && policy.config.host.request_body == RequestBody::On
        && Body::is_readable(request)
}

/// A session that came to its end: a navigation logs in again, anything else is told (C24).
fn after_session(policy: &Policy, host: &dyn Host, request: &Request, reason: Refusal) -> Next {
    if logs_in_again(policy, request) {
        Next::LogIn(reason)
    } else {
        Next::Decided(conclude(policy, host, request, SESSION, Err(reason)))
    }
}

fn logs_in_again(policy: &Policy, request: &Request) -> bool {
    policy.logs_in() && request.is_navigation() && request.can_be_redirected()
}

/// The rest of the steps, for what has to be waited for.
async fn finish(
    outer: Rc<Policy>,
    host: Rc<dyn Host>,
    mut request: Request,
    (mut policy, mut next): At,
) -> Decision {
    if matches!(next, Next::ReadBody) {
        let body = match host.body().await {
            Ok(bytes) => Body::of(&request, bytes),
            Err(error) => {
                let line = format!(
                    "oidc-filter: body_not_read: {error:?} (request {})",
                    request.id()
                );
                host.log(Level::Info, &line);
                Body::Opaque
            }
        };
        request.body = Some(Rc::new(body));
        (policy, next) = by_form(&outer, &*host, &mut request);
    }
    if matches!(next, Next::Discover) {
        next = match policy.provider.keys(&host).await {
            Ok(_) => judge(&policy, &*host, &request),
            Err(refusal) => Next::Decided(refuse(&policy, &*host, &request, SESSION, &refusal)),
        };
    }
    let via = next.via();
    let outcome = match next {
        Next::Decided(decision) => return decision,
        Next::Discover => Err(Refusal::unexpected(
            "discovered_twice",
            "the provider's metadata was there and is gone",
        )),
        Next::ReadBody => Err(Refusal::unexpected(
            "body_twice",
            "a body was to be read twice",
        )),
        Next::Callback(ticket) => {
            request.client = ticket.client(&policy.config).unwrap_or(0);
            match authorization_code::callback(&policy, &host, &request, ticket).await {
                Ok(Outcome::Reply(reply)) => return replied(&*host, via, "login_answered", reply),
                Ok(Outcome::Forward(admission, edits)) => Ok((admission, *edits)),
                Err(refusal) => Err(refusal),
            }
        }
        Next::Logout => match logout::run(&policy, &host, &request).await {
            Ok(reply) => return replied(&*host, via, "logged_out", reply),
            Err(refusal) => Err(refusal),
        },
        Next::AskOfSession(opened) => {
            match session::asked(&policy, &host, &request, &opened).await {
                Err(reason) if reason.kind == Kind::BadCredential => {
                    return over(&policy, &host, &request, reason).await;
                }
                outcome => outcome,
            }
        }
        Next::Renew(opened) => {
            let is_good =
                |host: &dyn Host| session::is_good_still(&policy, &opened.session, host.now());
            let judged = match refresh::renew(&policy, &host, &opened.session, is_good(&*host))
                .await
            {
                Ok(renewed) => session::renewed(&policy, &host, &request, &opened, &renewed).await,
                // A provider that is down ends no session whose tokens are good still. Nor does one that
                // knows the refresh token no more: another worker may have been faster.
                Err(reason)
                    if (reason.kind == Kind::Unexpected || reason.code == refresh::OVER)
                        && is_good(&*host) =>
                {
                    session::kept(&policy, &host, &request, &opened.session).await
                }
                Err(reason) => return over(&policy, &host, &request, reason).await,
            };
            match judged {
                Err(reason) if reason.kind == Kind::BadCredential => {
                    return over(&policy, &host, &request, reason).await;
                }
                judged => judged,
            }
        }
        Next::ByToken(credential, judge, None) => {
            judge.find_out(&policy, &host, &request, &credential).await
        }
        Next::ByToken(credential, judge, Some(id_token)) => {
            let outcome = match judge.known(&policy, &*host, &request, &credential) {
                Some(outcome) => outcome,
                None => judge.find_out(&policy, &host, &request, &credential).await,
            };
            accompanied::accompany(&policy, &host, &request, &credential, &id_token, outcome).await
        }
        Next::AskForTokens(shown) => {
            match token_request::authenticate(&policy, &host, &request, shown).await {
                Ok(Outcome::Reply(reply)) => return replied(&*host, via, "login_answered", reply),
                Ok(Outcome::Forward(admission, edits)) => Ok((admission, *edits)),
                Err(refusal) => Err(refusal),
            }
        }
        Next::LogIn(reason) => return log_in(&policy, &host, &request, &reason).await,
    };
    conclude(&policy, &*host, &request, via, outcome)
}

/// What a body says: a callback, a logout, or nothing beside what any request may hold.
fn by_form(outer: &Rc<Policy>, host: &dyn Host, request: &mut Request) -> At {
    if request.is_posted_form()
        && let Some(found) = coming_back(outer, host, request, request.body().form())
    {
        return found;
    }
    by_route(outer, host, request)
}

/// The same, when it came while the request waited.
async fn over(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    reason: Refusal,
) -> Decision {
    if logs_in_again(policy, request) {
        log_in(policy, host, request, &reason).await
    } else {
        refuse(policy, &**host, request, SESSION, &reason)
    }
}

async fn log_in(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    reason: &Refusal,
) -> Decision {
    let line = format!(
        "oidc-filter: {}: {} (request {})",
        reason.code,
        reason.reason,
        request.id()
    );
    host.log(Level::Debug, &line);
    match authorization_code::start(policy, host, request, login::target(request), 1).await {
        Ok(reply) => replied(&**host, LOGIN, "login_started", reply),
        Err(refusal) => refuse(policy, &**host, request, LOGIN, &refusal),
    }
}

/// Lets a request go on without a credential: a cross-origin preflight where `run_on_preflight` is off
/// (decision C25), or one of a disabled route.
fn pass_unasked(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    basis: &Basis<'_>,
) -> Result<(Admission, Edits), Refusal> {
    let facts = Facts {
        request,
        keys: None,
    };
    let admission = authz::admit(basis, &facts, &policy.config, host.now())?;
    let mut edits = Edits::anonymous(request, &policy.names, host.abilities())?;
    if matches!(basis, Basis::Preflight) {
        edits.downstream.owned.clone_from(&policy.of_responses);
    }
    edits.account.code = match basis {
        Basis::Preflight => "preflight",
        Basis::DisabledRoute => "disabled_route",
        Basis::Verdict(_) => "",
    };
    Ok((admission, edits))
}

fn conclude(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    via: Via,
    outcome: Result<(Admission, Edits), Refusal>,
) -> Decision {
    match outcome {
        Ok((admission, mut edits)) => {
            host.count(Counter::Forwarded);
            let account = &mut edits.account;
            account.method = account.who.as_ref().map(|who| who.method).or(via);
            if account.code.is_empty() {
                account.code = "forwarded";
            }
            host.tally(Series::Results(account.method, account.code));
            Decision::Forward(admission, edits)
        }
        Err(refusal) => refuse(policy, host, request, via, &refusal),
    }
}

/// An answer that is no refusal.
fn replied(host: &dyn Host, method: Via, code: &'static str, mut reply: Response) -> Decision {
    host.tally(Series::Results(method, code));
    reply.account = Account {
        code,
        method,
        who: None,
    };
    Decision::Reply(reply)
}

/// Every refusal is explained to the operator, and not to the stranger. A session that leads to one is
/// taken away (`unauthorized_destroy_session`, `forbidden_destroy_session`).
fn refuse(
    policy: &Policy,
    host: &dyn Host,
    request: &Request,
    via: Via,
    refusal: &Refusal,
) -> Decision {
    let (counter, level) = match refusal.kind {
        Kind::NoCredential | Kind::BadCredential | Kind::BadRequest => {
            (Counter::Unauthorized, Level::Info)
        }
        Kind::Forbidden => (Counter::Forbidden, Level::Info),
        Kind::Unexpected => (Counter::Unexpected, Level::Error),
    };
    host.count(counter);
    if host.logs(level) {
        let line = format!(
            "oidc-filter: {}: {} (request {})",
            refusal.code,
            refusal.reason,
            request.id()
        );
        host.log(level, &line);
    }
    let failures = &policy.config.failures;
    let ends = match refusal.kind {
        // What another site can cause must not log anybody out, and of two sessions the planted one would stay.
        _ if ["foreign_callback", "session_conflict"].contains(&refusal.code) => false,
        Kind::BadCredential => failures.unauthorized_destroys_session,
        Kind::Forbidden => failures.forbidden_destroys_session,
        Kind::NoCredential | Kind::BadRequest | Kind::Unexpected => false,
    };
    let ended = match ends {
        true => session::ended_cookies(policy, host, request).unwrap_or_default(),
        false => Vec::new(),
    };
    let mut reply = refusal.answer(&policy.config, request).with_cookies(&ended);
    let who = refusal.who.clone();
    let method = who.as_ref().map(|who| who.method).or(via);
    host.tally(Series::Results(method, refusal.code));
    reply.account = Account {
        code: refusal.code,
        method,
        who,
    };
    Decision::Reply(reply)
}
