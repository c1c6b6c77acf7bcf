//! The authorization code flow (RFC 6749 section 4.1, OpenID Connect Core section 3.1; specification
//! section 4.9): a visitor is sent to the provider, and comes back with a code.
//!
//! [`start`] sends, [`callback`] receives. Between the two stand one sealed cookie for each login
//! ([`super::login`]) and the `state` parameter that names it.

use std::rc::Rc;

use serde_json::Value;

use super::Outcome;
use super::after_login;
use super::given::{Given, verified_id_token};
use super::login::{self, Login, MOST_TRIES, Seals, Ticket};
use super::more;
use super::origin::Origin;
use super::session;
use crate::config::{AuthMethod, Client, Grant, ResponseMode, ResponseType, Secret};
use crate::failure::Refusal;
use crate::host::{self, Counter, Endpoint, Host, Level, Time};
use crate::http::{Request, Response, without_arguments};
use crate::oauth::authorize::{self, AuthorizationRequest, Callback, shown_states};
use crate::oauth::claims::Issuers;
use crate::oauth::form::pairs;
use crate::oauth::id_token::{self, IdTokenRules};
use crate::oauth::token::{self, CodeGrant, TokenAnswer, TokenError};
use crate::oauth::{endpoint, pkce};
use crate::policy::Policy;
use crate::provider::{KeySet, Metadata};
use crate::session::Session;

/// Sends the visitor to the provider; afterwards they get to `target`.
pub async fn start(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    target: String,
    tries: u8,
) -> Result<Response, Refusal> {
    let config = &policy.config;
    let settings = &config.login;
    let client = policy.client(request);
    let keyring = policy.secrets.keyring(config, &**host)?;
    let seals = Seals::new(&keyring, config);
    let keys = policy.provider.keys(host).await?;
    let endpoint = endpoint(
        settings.authorization_endpoint.as_ref(),
        keys.metadata.authorization_endpoint.as_ref(),
        "authorization_endpoint",
    )?;
    check_announced(policy, &keys.metadata)?;
    let text = || policy.secrets.text(config, &**host, request);
    let created = host.now().seconds();
    let ticket = Ticket {
        id: text()?,
        created,
        target,
        tries,
        client: client.id.clone().filter(|_| request.client > 0),
        route: policy.route.clone(),
    };
    let verifier = if pkce::is_used(settings.pkce, &keys.metadata) {
        let mut random = [0; 32];
        policy
            .secrets
            .random(config, &**host, request, &mut random)?;
        Some(pkce::verifier(&random))
    } else {
        None
    };
    let origin = Origin::of(policy, &**host, request);
    let redirect_uri = match &client.redirect_uri {
        Some(uri) => uri.to_string(),
        None => origin.url(request.path().unwrap_or(b"/"))?,
    };
    let login = Login {
        created,
        nonce: text()?,
        verifier,
        redirect_uri,
    };
    let nonce = || policy.secrets.nonce(config, &**host, request);
    let state = seals.state(&ticket, nonce()?);
    let (Some(state), Some(cookie)) = (state, seals.cookie(&ticket.id, &login, nonce()?)) else {
        return Err(Refusal::unexpected(
            "not_sealed",
            "the login could not be sealed",
        ));
    };
    let challenge = login.verifier.as_deref().map(pkce::challenge);
    let url = authorize::url(&AuthorizationRequest {
        endpoint,
        client_id: client_id(client),
        redirect_uri: &login.redirect_uri,
        scopes: &settings.scopes,
        state: &state,
        // Without `openid` no ID token repeats it.
        nonce: Some(login.nonce.as_str()).filter(|_| settings.asks_openid()),
        challenge: challenge.as_deref(),
        response_type: settings.response_type.name(),
        response_mode: settings.response_mode,
        audience: &settings.audience,
        max_age: config.verification.max_age,
        extra: &authorize::extra_arguments(
            &settings.arguments,
            request.query().unwrap_or_default(),
        ),
    });
    let secure = origin.is_secure(client);
    let cookies = login::set_cookies(config, request, &seals, &ticket.id, &cookie, secure);
    host.count(Counter::LoginStarted);
    Ok(Response::new(302)
        .with("location", url.as_bytes())
        .with_cookies(&cookies))
}

/// Row A `verify_parameters`, for what a login asks for.
fn check_announced(policy: &Policy, metadata: &Metadata) -> Result<(), Refusal> {
    let settings = &policy.config.login;
    let scopes = metadata.scopes_supported.as_deref();
    for scope in &settings.scopes {
        policy.check_announced("scopes", scope, scopes)?;
    }
    let types = metadata.response_types_supported.as_deref();
    policy.check_announced("response_type", settings.response_type.name(), types)?;
    let mode = match settings.response_mode {
        ResponseMode::Query => "query",
        ResponseMode::FormPost => "form_post",
    };
    let modes = metadata.response_modes_supported.as_deref();
    policy.check_announced("response_mode", mode, modes)?;
    if settings.pkce == Some(true) {
        let field = "require_proof_key_for_code_exchange";
        let methods = metadata.code_challenge_methods_supported.as_deref();
        policy.check_announced(field, "S256", methods)?;
    }
    policy.check_grant("authorization_code", metadata)
}

pub(super) fn client_id(client: &Client) -> &str {
    client.id.as_deref().unwrap_or("")
}

/// Whether a request may be a callback by its path: that of a configured `redirect_uri`, or any.
fn is_callback_path(policy: &Policy, request: &Request) -> bool {
    let mut clients = policy.config.clients.iter();
    clients.any(|client| is_callback_of(client, request))
}

fn is_callback_of(client: &Client, request: &Request) -> bool {
    match &client.redirect_uri {
        Some(uri) => request.path() == Some(uri.path().as_bytes()),
        None => true,
    }
}

/// The callback in a query or a form, if there is one: its ticket, and the policy that the login began under.
/// A route that is gone leaves its logins to a policy whose seal is the same; none opens another's.
pub fn coming_back(
    outer: &Rc<Policy>,
    host: &dyn Host,
    request: &Request,
    form: &[u8],
) -> Result<Option<(Rc<Policy>, Ticket)>, Refusal> {
    let mut first = None;
    for policy in logins(outer, request) {
        match ticket(policy, host, form)? {
            Some(ticket) if ticket.route == policy.route => {
                return Ok(Some((policy.clone(), ticket)));
            }
            Some(ticket) if first.is_none() => first = Some((policy.clone(), ticket)),
            _ => {}
        }
    }
    Ok(first)
}

/// The policies that send people to log in, and whose callbacks come to this path.
pub fn logins<'a>(
    outer: &'a Rc<Policy>,
    request: &'a Request,
) -> impl Iterator<Item = &'a Rc<Policy>> {
    outer
        .all()
        .filter(|policy| policy.logs_in() && is_callback_path(policy, request))
}

/// The ticket in a query or a form, if a `state` of ours is in it: then it is a callback, whatever else
/// may be wrong with it.
fn ticket(policy: &Policy, host: &dyn Host, form: &[u8]) -> Result<Option<Ticket>, Refusal> {
    let states = shown_states(form);
    if states.is_empty() {
        return Ok(None);
    }
    let keyring = policy.secrets.keyring(&policy.config, host)?;
    let seals = Seals::new(&keyring, &policy.config);
    Ok(states.iter().find_map(|state| seals.ticket(state)))
}

/// Whether this is an error that comes to the configured callback without a login of ours: answered, for
/// a new login would only bring the same error.
pub fn is_foreign_error(policy: &Policy, form: &[u8]) -> bool {
    policy.config.clients.first().redirect_uri.is_some()
        && pairs(form).any(|(name, _)| name == b"error")
}

/// Receives a callback: by query, or in a form that was read. `request` means the ticket's client.
pub async fn callback(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    ticket: Ticket,
) -> Result<Outcome, Refusal> {
    let config = &policy.config;
    let client = policy.client(request);
    if !is_callback_of(client, request) {
        return Err(Refusal::bad_credential(
            "foreign_callback",
            "the login is one of another client, whose `redirect_uri` has another path",
        ));
    }
    let is_posted = request.is_posted_form();
    let form = if is_posted {
        request.body().form()
    } else {
        request.query().unwrap_or_default()
    };
    let found = authorize::read_callback(form)?;
    let keyring = policy.secrets.keyring(config, &**host)?;
    let seals = Seals::new(&keyring, config);
    let login = seals.login(request, &ticket.id);
    let Some(login) = login.filter(|login| login.created == ticket.created) else {
        // A browser holds cookies back on a form that another site sent: once more, from ours.
        if is_posted && !pairs(form).any(|(name, _)| name == RESUBMITTED.as_bytes()) {
            return Ok(Outcome::Reply(resubmit(form)));
        }
        return again(policy, host, request, ticket, "the login's cookie is gone").await;
    };
    let lifetime = config.login.rolling_timeout;
    if lifetime > 0 && host.now() >= Time::of_seconds(login.created).plus_seconds(lifetime) {
        return again(policy, host, request, ticket, "the login took too long").await;
    }
    let keys = policy.provider.keys(host).await?;
    found.check_issuer(
        &Issuers::of(config, keys.metadata.issuer.as_deref()).compared(),
        keys.metadata.authorization_response_iss_parameter_supported,
    )?;
    if login.verifier.is_none() && pkce::is_used(config.login.pkce, &keys.metadata) {
        // It began under another configuration; a code without PKCE is not taken under this one.
        return again(policy, host, request, ticket, "the login has no PKCE").await;
    }
    let (code, front) = match found {
        Callback::Code {
            code,
            state,
            id_token,
            ..
        } => {
            let front = Front {
                id_token: id_token.filter(|_| is_posted),
                state: &state,
                code: &code,
            };
            let claims = front.claims(policy, host, request, &keys, &login).await?;
            (code, claims)
        }
        Callback::Error {
            error, description, ..
        } => {
            let description = description.unwrap_or_default();
            return Err(Refusal::bad_credential(
                "provider_error",
                format!("the provider answered {error}: {description}"),
            ));
        }
        Callback::None => {
            return Err(Refusal::bad_credential(
                "no_code",
                "the callback has no code",
            ));
        }
    };
    let (tokens, replayed) = match redeem(policy, host, request, &keys, &login, &code).await {
        Ok(tokens) => tokens,
        // A code that was used before, or is not the provider's.
        Err(Failed::Grant(reason)) => return again(policy, host, request, ticket, &reason).await,
        Err(Failed::Other(refusal)) => return Err(refusal),
    };
    let session = verified(policy, host, request, &keys, &tokens, &login, &code).await?;
    if let Some(front) = front {
        let back = session.id_token.as_deref().and_then(session::claims_of);
        id_token::check_same_login(&front, &back.unwrap_or_default())?;
    }
    // Also where a redirect follows: a person whom the provider says nothing of would come back for ever.
    let more = more::of_session(policy, host, request, &session).await?;
    host.count(Counter::LoggedIn);
    let secure = Origin::of(policy, &**host, request).is_secure(client);
    let mut cookies = login::clear_cookie(config, &ticket.id, secure);
    cookies.extend(session::new_cookies(
        policy,
        &**host,
        request,
        &session,
        AuthMethod::AuthorizationCode,
    )?);
    match after_login::answer(
        config,
        client,
        &session,
        &tokens.whole,
        &ticket.target,
        AuthMethod::AuthorizationCode,
    ) {
        Some(reply) => Ok(Outcome::Reply(reply.with_cookies(&cookies))),
        None => {
            let rest = rest_of_query(policy, request, &ticket);
            let (admission, mut edits) =
                session::logged_in(policy, &**host, request, &session, &more, rest, cookies)?;
            edits.downstream.headers.extend(replayed);
            Ok(Outcome::Forward(admission, Box::new(edits)))
        }
    }
}

/// The field that tells a form of ours from the provider's.
const RESUBMITTED: &str = "oidc_filter_resubmitted";

fn resubmit(form: &[u8]) -> Response {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    // Only what a callback has: repeating all of it would make another site's form one of ours.
    let mut fields: Vec<(String, String)> = pairs(form)
        .filter(|(name, _)| {
            authorize::PARAMETERS
                .iter()
                .any(|own| own.as_bytes() == name)
        })
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    fields.push((RESUBMITTED.to_owned(), "1".to_owned()));
    Response::resubmit(&fields)
}

/// The query that the upstream gets: the first request's where it is preserved, and never a parameter of
/// the callback.
fn rest_of_query(policy: &Policy, request: &Request, ticket: &Ticket) -> Option<Vec<u8>> {
    if policy.config.login.preserve_query_args {
        return ticket
            .target
            .split_once('?')
            .map(|(_, query)| query.as_bytes().to_vec());
    }
    without_arguments(request.query()?, &authorize::PARAMETERS)
}

/// A callback that leads nowhere: whoever is logged in goes where they wanted to, anybody else logs in
/// once more, and is told after the second time.
async fn again(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    ticket: Ticket,
    reason: &str,
) -> Result<Outcome, Refusal> {
    let line = format!(
        "oidc-filter: stale_callback: {reason} (request {})",
        request.id()
    );
    host.log(Level::Info, &line);
    if session::current(policy, &**host, request)?.is_some() {
        return Ok(Outcome::Reply(after_login::go_to(
            &policy.config,
            &ticket.target,
        )));
    }
    if ticket.tries >= MOST_TRIES {
        return Err(Refusal::bad_credential(
            "login_failed",
            format!("{reason}, twice"),
        ));
    }
    let tries = ticket.tries.saturating_add(1);
    start(policy, host, request, ticket.target, tries)
        .await
        .map(Outcome::Reply)
}

enum Failed {
    /// The provider does not know the code (any more).
    Grant(String),
    /// Anything else.
    Other(Refusal),
}

async fn redeem(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    keys: &KeySet,
    login: &Login,
    code: &Secret,
) -> Result<(TokenAnswer, Replayed), Failed> {
    let settings = &policy.config.login;
    let endpoint = policy
        .token_endpoint(
            policy.client(request),
            &keys.metadata,
            &**host,
            Some(request),
        )
        .map_err(Failed::Other)?;
    let call = token::code_grant(
        &endpoint,
        &CodeGrant {
            code: code.expose(),
            redirect_uri: &login.redirect_uri,
            verifier: login.verifier.as_deref(),
            scopes: &settings.scopes,
            audience: &settings.audience,
        },
    );
    // Once: a code is good for one use (RFC 6749 section 4.1.2).
    let answer = host::call(&**host, Endpoint::Token, call)
        .await
        .map_err(|error| {
            Failed::Other(Refusal::unexpected(
                "token_endpoint_unreachable",
                error.to_string(),
            ))
        })?;
    let tokens = token::read_answer(&answer).map_err(|error| match &error {
        TokenError::InvalidGrant(_) => Failed::Grant(error.to_string()),
        _ => Failed::Other(Refusal::from(&error)),
    })?;
    let replay = &policy.config.token.replay;
    let replayed = token::replayed(replay, Grant::AuthorizationCode, &answer.headers);
    Ok((tokens, replayed))
}

/// Headers of the endpoint's answer that the client gets.
type Replayed = Vec<(String, Vec<u8>)>;

/// What came through the browser beside a code.
struct Front<'a> {
    id_token: Option<Secret>,
    state: &'a str,
    code: &'a Secret,
}

impl Front<'_> {
    /// The claims of the ID token, where one was asked for: it must be there, and vouch for this code of this login
    /// (OpenID Connect Core section 3.3.2.8), before the code goes anywhere.
    async fn claims(
        &self,
        policy: &Rc<Policy>,
        host: &Rc<dyn Host>,
        request: &Request,
        keys: &KeySet,
        login: &Login,
    ) -> Result<Option<Value>, Refusal> {
        let config = &policy.config;
        if config.login.response_type != ResponseType::CodeIdToken {
            return Ok(None);
        }
        let Some(id_token) = &self.id_token else {
            return Err(Refusal::bad_credential(
                "no_id_token",
                "the callback's form has no ID token beside its code",
            ));
        };
        let client = policy.client(request);
        let rules = IdTokenRules {
            issuers: Issuers::of(config, keys.metadata.issuer.as_deref()),
            client_id: client_id(client),
            // It came through the browser: `verify_nonce` is about the token endpoint's.
            nonce: Some(&login.nonce),
            access_token: None,
            code: Some(self.code.expose()),
            state: Some(self.state),
            max_age: config.verification.max_age,
            leeway: config.verification.leeway,
            domains: &config.verification.domains,
        };
        let text = id_token.expose();
        // It came through the browser: its signature counts, whatever `ignore_signature` says.
        verified_id_token(policy, host, client, &[], text, &rules)
            .await
            .map(Some)
    }
}

/// Verifies what the token endpoint gave, and makes a session of it.
async fn verified(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    keys: &KeySet,
    tokens: &TokenAnswer,
    login: &Login,
    code: &Secret,
) -> Result<Session, Refusal> {
    // Plain OAuth 2.0 has none; where one was asked for, nothing else says who logged in.
    if tokens.id_token.is_none() && policy.config.login.asks_openid() {
        return Err(Refusal::unexpected(
            "no_id_token",
            "the token endpoint gave no ID token, and `scopes` asks for one with `openid`",
        ));
    }
    let config = &policy.config;
    let client = policy.client(request);
    let given = Given {
        tokens,
        received: host.now(),
        method: AuthMethod::AuthorizationCode,
        client,
        audience: client_id(client),
        nonce: config.login.verify_nonce.then_some(login.nonce.as_str()),
        code: Some(code.expose()),
    };
    let mut session = given.session(policy, host, keys).await?;
    if session.subject.is_empty() {
        session.subject = more::subject(policy, host, request, &session, keys).await?;
    }
    let id = policy.secrets.text(config, &**host, request)?;
    session.begin(id, host.now());
    Ok(session)
}
