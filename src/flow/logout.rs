//! Logout by the visitor (specification section 12, OpenID Connect RP-Initiated Logout 1.0).

use std::rc::Rc;

use super::session;
use crate::failure::Refusal;
use crate::host::{Counter, Host, Level};
use crate::http::{Request, Response, arguments};
use crate::oauth::end_session;
use crate::policy::Policy;

/// Whether this request asks for a logout by its method, and by path or query.
pub fn is_asked_by_target(policy: &Policy, request: &Request) -> bool {
    let settings = &policy.config.logout;
    let by_suffix = settings.uri_suffix.as_deref().is_some_and(|suffix| {
        let path = request.path().unwrap_or_default();
        path.ends_with(suffix.as_bytes())
    });
    let by_argument = settings.query_arg.as_deref().is_some_and(|name| {
        let query = request.query().unwrap_or_default();
        arguments(query, name).next().is_some()
    });
    (by_suffix || by_argument) && settings.takes(request.method())
}

/// Whether the form in this request's body may ask for a logout.
pub fn may_be_asked_by_body(policy: &Policy, request: &Request) -> bool {
    let settings = &policy.config.logout;
    settings.post_arg.is_some() && settings.takes(request.method()) && request.is_posted_form()
}

/// Whether a form asks for a logout.
pub fn is_asked_by_form(policy: &Policy, request: &Request, form: &[u8]) -> bool {
    let name = policy.config.logout.post_arg.as_deref();
    may_be_asked_by_body(policy, request)
        && name.is_some_and(|name| arguments(form, name).next().is_some())
}

/// Ends the session here, and sends the visitor to the provider to end it there. That the provider is
/// down keeps nobody logged in here.
pub async fn run(
    policy: &Rc<Policy>,
    host: &Rc<dyn Host>,
    request: &Request,
) -> Result<Response, Refusal> {
    let settings = &policy.config.logout;
    let session = session::current(policy, &**host, request)?;
    // The provider is told which of our clients the session is of.
    let client = match &session {
        Some(session) => policy.client_of(session),
        None => policy.client(request),
    };
    let cookies = session::ended_cookies(policy, &**host, request)?;
    host.count(Counter::LoggedOut);
    let endpoint = match &settings.end_session_endpoint {
        Some(endpoint) => Some(endpoint.clone()),
        None => match policy.provider.keys(host).await {
            Ok(keys) => keys.metadata.end_session_endpoint.clone(),
            Err(refusal) => {
                let line = format!("oidc-filter: logout_only_here: {}", refusal.reason);
                host.log(Level::Warn, &line);
                None
            }
        },
    };
    let place = match endpoint {
        Some(endpoint) => Some(end_session::url(
            &endpoint,
            session
                .as_ref()
                .and_then(|session| session.id_token.as_deref()),
            client.id.as_deref(),
            client.logout_redirect.as_ref(),
            None,
        )),
        None => client.logout_redirect.as_ref().map(ToString::to_string),
    };
    let reply = match place {
        Some(place) => Response::new(302).with("location", place.as_bytes()),
        None => Response::new(200),
    };
    Ok(reply.with_cookies(&cookies))
}
