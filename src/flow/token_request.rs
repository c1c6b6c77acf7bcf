//! The three ways in that ask the token endpoint for whoever comes: a name and a password, a client of the
//! caller's own, a refresh token (specification sections 4.6 to 4.8; RFC 6749 sections 4.3, 4.4 and 6).

use std::rc::Rc;

use serde_json::{Map, Value};

use super::after_login;
use super::authorization_code::client_id;
use super::given::Given;
use super::more;
use super::recent::{self, Fetch, Fetched, Key, Question, keep_until, key_of};
use super::search::Shown;
use super::session::{self, claims_of};
use super::{Credential, Outcome, Place};
use crate::cache::Weigh;
use crate::config::{AuthMethod, Grant, Secret};
use crate::failure::{Kind, Refusal};
use crate::host::{self, Counter, Endpoint, Host, Time};
use crate::http::{Request, without_arguments};
use crate::oauth::claims::date;
use crate::oauth::client_auth::{Credentials, Proof};
use crate::oauth::token::{self, PasswordGrant};
use crate::policy::Policy;
use crate::provider::Metadata;
use crate::session::Session;

/// What a grant brought.
pub struct Granted {
    session: Session,
    /// The endpoint's answer as it came, for `login_tokens: tokens`.
    whole: Map<String, Value>,
    /// Headers of it for the client (`token_headers_replay`).
    replayed: Vec<(String, Vec<u8>)>,
}

impl Weigh for Granted {
    fn bytes(&self) -> usize {
        let session = &self.session;
        let texts = [
            &session.access_token,
            &session.id_token,
            &session.refresh_token,
            &session.scope,
        ];
        let texts = texts.into_iter().flatten().map(String::len);
        // The answer holds the same tokens once more.
        let tokens = texts.fold(0, usize::saturating_add).saturating_mul(2);
        let replayed = self.replayed.iter();
        let replayed = replayed.map(|(name, value)| name.len().saturating_add(value.len()));
        replayed
            .fold(tokens, usize::saturating_add)
            .saturating_add(1024)
    }
}

/// What is shown for one grant.
#[derive(Clone)]
enum Show {
    Password(String, Secret),
    Client(String, Secret),
    /// The assertion, and who shows it.
    Assertion(Secret, Option<(String, Option<Secret>)>),
    RefreshToken(Secret),
}

impl Show {
    /// The grant, as the provider announces it.
    fn grant(&self) -> &'static str {
        match self {
            Show::Password(..) => "password",
            Show::Client(..) => "client_credentials",
            Show::Assertion(..) => token::ASSERTION_GRANT,
            Show::RefreshToken(_) => "refresh_token",
        }
    }
}

/// Lets somebody in with what they showed.
pub async fn authenticate(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    shown: Shown,
) -> Result<Outcome, Refusal> {
    if shown.is_empty() {
        let reason = "the credential is empty, repeated or unreadable";
        return Err(Refusal::bad_credential("credential_unreadable", reason));
    }
    let (granted, method, place) = match shown {
        Shown::RefreshToken { token, place } => {
            let show = Show::RefreshToken(token);
            let granted = ask(policy, host, request, show).await?;
            (granted, AuthMethod::RefreshToken, place)
        }
        Shown::Assertion {
            assertion,
            client,
            place,
        } => {
            let show = Show::Assertion(assertion, client);
            let granted = ask(policy, host, request, show).await?;
            (granted, AuthMethod::ClientCredentials, place)
        }
        Shown::Pair {
            name,
            secret,
            is_password,
            is_client,
            place,
        } => {
            let password = Show::Password(name.clone(), secret.clone());
            let client = Show::Client(name, secret);
            if is_password && is_client {
                let (granted, method) = either(policy, host, request, password, client).await?;
                (granted, method, place)
            } else if is_password {
                let granted = ask(policy, host, request, password).await?;
                (granted, AuthMethod::Password, place)
            } else {
                let granted = ask(policy, host, request, client).await?;
                (granted, AuthMethod::ClientCredentials, place)
            }
        }
    };
    conclude(policy, host, request, &granted, method, place).await
}

/// One pair in a Basic header can be a person's or a client's: a person is tried first (specification
/// section 3). A client that got in before is not taken for a person again.
async fn either(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    password: Show,
    client: Show,
) -> Result<(Rc<Granted>, AuthMethod), Refusal> {
    let known = policy
        .granted
        .get(&key(policy, request, &client), host.now());
    if let Some(Ok(granted)) = known.filter(|_| policy.config.caching.tokens) {
        return Ok((granted, AuthMethod::ClientCredentials));
    }
    match ask(policy, host, request, password).await {
        Ok(granted) => Ok((granted, AuthMethod::Password)),
        Err(refusal) if refusal.kind == Kind::BadCredential => {
            let granted = ask(policy, host, request, client).await?;
            Ok((granted, AuthMethod::ClientCredentials))
        }
        Err(refusal) => Err(refusal),
    }
}

async fn conclude(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    granted: &Granted,
    method: AuthMethod,
    place: Place,
) -> Result<Outcome, Refusal> {
    host.count(Counter::Granted);
    let mut session = granted.session.clone();
    let more = more::of_session(policy, host, request, &session).await?;
    let host = &**host;
    // Kong has no random numbers, and without sessions there is no secret to make them of.
    let id = match policy.sessions(host)? {
        Some(_) => policy.secrets.text(&policy.config, host, request)?,
        None => String::new(),
    };
    session.begin(id, host.now());
    let cookies = session::new_cookies(policy, host, request, &session, method)?;
    let target = target(request, &place);
    let client = policy.client(request);
    if let Some(reply) = after_login::answer(
        &policy.config,
        client,
        &session,
        &granted.whole,
        &target,
        method,
    ) {
        // Who may not pass gets no tokens either.
        session::judged(policy, host, request, &session, &more)?;
        return Ok(Outcome::Reply(reply.with_cookies(&cookies)));
    }
    let access_token = session.access_token.clone().unwrap_or_default();
    let credential = Credential {
        token: access_token.into(),
        place,
    };
    let (admission, mut edits) =
        session::entered(policy, host, request, &session, &more, &credential, cookies)?;
    edits
        .downstream
        .headers
        .extend(granted.replayed.iter().cloned());
    Ok(Outcome::Forward(admission, Box::new(edits)))
}

/// Where a redirect leads: the same address without the credential.
fn target(request: &Request, place: &Place) -> String {
    let target = super::login::target(request);
    let (Some((path, query)), Place::Query(names)) = (target.split_once('?'), place) else {
        return target;
    };
    let left = without_arguments(query.as_bytes(), names);
    match left.and_then(|left| String::from_utf8(left).ok()) {
        Some(left) => format!("{path}?{left}"),
        None => path.to_owned(),
    }
}

async fn ask(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    show: Show,
) -> Result<Rc<Granted>, Refusal> {
    let question = Question {
        key: key(policy, request, &show),
        shelf: |policy| &policy.granted,
        name: "grant",
        is_kept: policy.config.caching.tokens,
    };
    let (policy_of_flight, request) = (policy.clone(), request.clone());
    let fetch: Fetch<Granted> = Rc::new(move |host: Rc<dyn Host>| {
        let (policy, request, show) = (policy_of_flight.clone(), request.clone(), show.clone());
        Box::pin(async move { fetch(&policy, &host, &request, &show).await })
    });
    recent::answer(policy, host, &question, &fetch).await
}

/// All that the endpoint's answer depends on (traps T15 and T16).
fn key(policy: &Policy, request: &Request, show: &Show) -> Key {
    let extra = policy.token_extra(Some(request));
    let ours = client_id(policy.client(request)).as_bytes();
    let mut parts: Vec<&[u8]> = match show {
        Show::Password(name, secret) => {
            vec![
                b"password",
                ours,
                name.as_bytes(),
                secret.expose().as_bytes(),
            ]
        }
        Show::Client(name, secret) => vec![b"client", name.as_bytes(), secret.expose().as_bytes()],
        Show::Assertion(assertion, client) => {
            let assertion = assertion.expose().as_bytes();
            // Each with a word of its own: what a client adds must not look like an id and a secret.
            match client {
                None => vec![b"assertion", assertion],
                Some((id, None)) => vec![b"assertion, id", assertion, id.as_bytes()],
                Some((id, Some(secret))) => vec![
                    b"assertion, id, secret",
                    assertion,
                    id.as_bytes(),
                    secret.expose().as_bytes(),
                ],
            }
        }
        Show::RefreshToken(token) => vec![b"refresh", ours, token.expose().as_bytes()],
    };
    for (name, value) in extra.parts() {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    key_of(parts)
}

/// How a client of the caller's own proves itself. Which of our clients is meant plays no part here
/// (specification section 5).
fn proof_of_caller<'a>(
    policy: &'a Policy,
    host: &dyn Host,
    metadata: &Metadata,
    id: &'a str,
    secret: &'a Secret,
) -> Result<Proof<'a>, Refusal> {
    let supported = metadata.token_endpoint_auth_methods_supported.as_deref();
    let (ours, auth) = (policy.config.clients.first(), policy.config.token.auth);
    let theirs = Credentials::of_caller(id, secret, ours, auth, supported);
    policy.check_announced("client_auth", theirs.method_name(), supported)?;
    theirs.proof(|| policy.assertion_facts(metadata, host))
}

async fn fetch(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
    show: &Show,
) -> Fetched<Granted> {
    let keys = policy.provider.keys(host).await?;
    let settings = &policy.config.login;
    policy.check_grant(show.grant(), &keys.metadata)?;
    let (scopes, audience) = (&settings.scopes[..], &settings.audience[..]);
    let client = policy.client(request);
    let (call, grant, method) = match show {
        Show::Password(username, password) => {
            let endpoint = policy.token_endpoint(client, &keys.metadata, &**host, Some(request))?;
            let grant = PasswordGrant {
                username,
                password,
                scopes,
                audience,
            };
            let call = token::password_grant(&endpoint, &grant);
            (call, Grant::Password, AuthMethod::Password)
        }
        Show::Client(id, secret) => {
            let proof = proof_of_caller(policy, &**host, &keys.metadata, id, secret)?;
            let endpoint = policy.token_endpoint_as(proof, &keys.metadata, Some(request))?;
            let call = token::client_credentials_grant(&endpoint, scopes, audience);
            (
                call,
                Grant::ClientCredentials,
                AuthMethod::ClientCredentials,
            )
        }
        Show::Assertion(assertion, client) => {
            let proof = match client {
                Some((id, Some(secret))) => {
                    proof_of_caller(policy, &**host, &keys.metadata, id, secret)?
                }
                Some((id, None)) => Proof::Public(id),
                None => Proof::Nobody,
            };
            let endpoint = policy.token_endpoint_as(proof, &keys.metadata, Some(request))?;
            let call = token::assertion_grant(&endpoint, assertion, scopes, audience);
            (
                call,
                Grant::ClientCredentials,
                AuthMethod::ClientCredentials,
            )
        }
        Show::RefreshToken(refresh_token) => {
            let endpoint = policy.token_endpoint(client, &keys.metadata, &**host, Some(request))?;
            let call = token::refresh_grant(&endpoint, refresh_token.expose(), &[], &[]);
            (call, Grant::RefreshToken, AuthMethod::RefreshToken)
        }
    };
    let answer = host::call(&**host, Endpoint::Token, call)
        .await
        .map_err(|error| Refusal::unexpected("token_endpoint_unreachable", error.to_string()))?;
    let received = host.now();
    let tokens = token::read_answer(&answer).map_err(|error| match show {
        Show::Client(..) | Show::Assertion(..) => error.of_caller(),
        _ => Refusal::from(&error),
    })?;
    let replayed = token::replayed(&policy.config.token.replay, grant, &answer.headers);
    // The provider took it, so it is as it says.
    let asserted = match show {
        Show::Assertion(assertion, _) => claims_of(assertion.expose()),
        _ => None,
    };
    let issuer = asserted
        .as_ref()
        .and_then(|claims| claims.get("iss")?.as_str());
    let (client, audience) = match show {
        Show::Client(id, _) | Show::Assertion(_, Some((id, _))) => {
            (policy.config.clients.first(), id.as_str())
        }
        Show::Assertion(_, None) => (policy.config.clients.first(), issuer.unwrap_or_default()),
        Show::Password(..) | Show::RefreshToken(_) => (client, client_id(client)),
    };
    let given = Given {
        tokens: &tokens,
        received,
        method,
        client,
        audience,
        nonce: None,
        code: None,
    };
    let mut session = given.session(policy, host, &keys).await?;
    if let (Show::RefreshToken(token), None) = (show, &session.refresh_token) {
        // The old one stays good where no new one came (RFC 6749 section 6).
        session.refresh_token = Some(token.expose().to_owned());
    }
    let end = session.access_expires.map(Time::of_seconds);
    // What an assertion brought is nobody's any more when it has ended.
    let asserted = asserted.and_then(|claims| date(&claims, "exp").ok().flatten());
    let end = end.into_iter().chain(asserted).min();
    let until = keep_until(&policy.config.caching, end, host.now());
    let granted = Granted {
        session,
        whole: tokens.whole,
        replayed,
    };
    Ok((Rc::new(granted), until))
}
