//! What follows a login (`login_action`, `login_tokens`; specification section 11).

use serde_json::{Map, Value, json};

use crate::config::{AuthMethod, Client, Config, LoginAction, LoginToken, RedirectMode, SameSite};
use crate::http::Response;
use crate::oauth::form::Form;
use crate::session::Session;

/// The answer to whoever got in by this method; `None`: the request goes on to the upstream. `whole` is what
/// the token endpoint said, `target` where the visitor wanted to go.
pub fn answer(
    config: &Config,
    client: &Client,
    session: &Session,
    whole: &Map<String, Value>,
    target: &str,
    method: AuthMethod,
) -> Option<Response> {
    let settings = &config.login;
    if !settings.methods.contains(&method) {
        return None;
    }
    match settings.action {
        LoginAction::Upstream => None,
        LoginAction::Response => {
            let body = if settings.tokens.contains(&LoginToken::Tokens) {
                Value::Object(whole.clone())
            } else {
                let tokens = handed_out(&settings.tokens, session);
                tokens
                    .map(|(name, token)| (name.to_owned(), json!(token)))
                    .collect()
            };
            Some(Response::new(200).with_json(&body))
        }
        LoginAction::Redirect => {
            let place = match &client.login_redirect {
                Some(uri) => uri.to_string(),
                None if settings.preserve_query_args => target.to_owned(),
                None => target.split('?').next().unwrap_or("/").to_owned(),
            };
            let tokens = handed_out(&settings.tokens, session)
                .fold(Form::new(), |form, (name, token)| form.with(name, token))
                .encoded();
            Some(go_to(
                config,
                &with_tokens(place, settings.redirect_mode, &tokens),
            ))
        }
    }
}

/// The tokens that are listed and that there are.
fn handed_out<'a>(
    listed: &'a [LoginToken],
    session: &'a Session,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let all = [
        (
            LoginToken::AccessToken,
            "access_token",
            &session.access_token,
        ),
        (LoginToken::IdToken, "id_token", &session.id_token),
        (
            LoginToken::RefreshToken,
            "refresh_token",
            &session.refresh_token,
        ),
    ];
    all.into_iter().filter_map(|(kind, name, token)| {
        let token = token.as_deref().filter(|_| listed.contains(&kind))?;
        Some((name, token))
    })
}

fn with_tokens(place: String, mode: RedirectMode, tokens: &str) -> String {
    if tokens.is_empty() {
        return place;
    }
    let mark = match mode {
        RedirectMode::Fragment => '#',
        RedirectMode::Query if place.contains('?') => '&',
        RedirectMode::Query => '?',
    };
    format!("{place}{mark}{tokens}")
}

/// Sends the visitor on. A browser holds a Strict cookie back at the end of a chain of redirects that
/// another site began: a page of ours begins a new one.
pub fn go_to(config: &Config, place: &str) -> Response {
    let strict = config.methods.has(AuthMethod::Session)
        && config.session.cookie_same_site == SameSite::Strict;
    if strict {
        Response::hop(place)
    } else {
        Response::new(302).with("location", place.as_bytes())
    }
}
