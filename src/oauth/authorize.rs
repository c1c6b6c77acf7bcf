//! The authorization endpoint: the URL that the browser is sent to, and the callback that it comes
//! back with (RFC 6749 section 4.1, OpenID Connect Core 1.0 section 3.1.2, RFC 9207).

use url::Url;

use super::claims::Issuers;
use super::form::{Form, pairs};
use super::pkce;
use crate::config::{AuthorizationArguments, ResponseMode, Secret};
use crate::failure::{Kind, Refusal};

/// What is asked of the provider for one login.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The authorization endpoint; its own query stays.
    pub endpoint: &'a Url,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// The scopes; none is sent where there are none.
    pub scopes: &'a [String],
    /// Comes back with the browser (RFC 6749 section 10.12).
    pub state: &'a str,
    /// Comes back in the ID token (OpenID Connect Core 1.0 section 15.5.2).
    pub nonce: Option<&'a str>,
    /// The PKCE challenge (RFC 7636 section 4.3), always by S256.
    pub challenge: Option<&'a str>,
    /// `code`.
    pub response_type: &'a str,
    /// Sent when it is not the default of `code`.
    pub response_mode: ResponseMode,
    /// For whom the access token shall be good; several with spaces between.
    pub audience: &'a [String],
    /// The greatest age of the login, in seconds.
    pub max_age: Option<u64>,
    /// Further arguments, from [`extra_arguments`]. One that has a name of ours is left out.
    pub extra: &'a [(String, String)],
}

/// The URL to send the browser to.
pub fn url(request: &AuthorizationRequest<'_>) -> String {
    let mode = match request.response_mode {
        ResponseMode::Query => None,
        ResponseMode::FormPost => Some("form_post"),
    };
    let max_age = request.max_age.map(|seconds| seconds.to_string());
    let own = Form::new()
        .with("response_type", request.response_type)
        .with("client_id", request.client_id)
        .with("redirect_uri", request.redirect_uri)
        .with_list("scope", request.scopes)
        .with("state", request.state)
        .with_some("nonce", request.nonce)
        .with_some("response_mode", mode)
        .with_some("code_challenge", request.challenge)
        .with_some(
            "code_challenge_method",
            request.challenge.map(|_| pkce::METHOD),
        )
        .with_list("audience", request.audience)
        .with_some("max_age", max_age.as_deref());
    let names = own.clone();
    request
        .extra
        .iter()
        .filter(|(name, _)| !names.has(name))
        .fold(own, |form, (name, value)| form.with(name, value))
        .as_query_of(request.endpoint)
}

/// The longest argument that is passed on from a client, in bytes.
const MAX_PASSED: usize = 2048;

/// The static arguments, and those that the client's query may add (row E
/// `authorization_query_args_*`). A client's argument that is repeated, unreadable or too long is
/// left out, and so is one that the configuration sets itself.
pub fn extra_arguments(arguments: &AuthorizationArguments, query: &[u8]) -> Vec<(String, String)> {
    let mut extra = arguments.fixed.clone();
    if arguments.from_client.is_empty() {
        return extra;
    }
    let shown: Vec<(Vec<u8>, Vec<u8>)> = pairs(query).collect();
    for name in &arguments.from_client {
        if arguments.fixed.iter().any(|(fixed, _)| fixed == name) {
            continue;
        }
        let mut values = shown
            .iter()
            .filter(|(shown, _)| shown == name.as_bytes())
            .map(|(_, value)| value);
        if let (Some(value), None) = (values.next(), values.next())
            && value.len() <= MAX_PASSED
            && let Ok(value) = std::str::from_utf8(value)
            && !value.chars().any(char::is_control)
        {
            extra.push((name.clone(), value.to_owned()));
        }
    }
    extra
}

/// What the provider sent back with the browser (RFC 6749 sections 4.1.2 and 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// A code.
    Code {
        /// The code.
        code: Secret,
        /// Our `state`.
        state: String,
        /// The provider's name for itself (RFC 9207 section 2).
        iss: Option<String>,
        /// The ID token beside it (OpenID Connect Core 1.0 section 3.3.2.5): nobody verified it yet.
        id_token: Option<Secret>,
    },
    /// A refusal.
    Error {
        /// The error's code; what is not allowed in one is a `?`.
        error: String,
        /// The same in words, for the log; as above.
        description: Option<String>,
        /// Our `state`.
        state: Option<String>,
        /// As above.
        iss: Option<String>,
    },
    /// Neither: an ordinary request.
    None,
}

/// The parameters of a callback: the upstream sees none of them.
pub const PARAMETERS: [&str; 8] = [
    "code",
    "state",
    "iss",
    "session_state",
    "error",
    "error_description",
    "error_uri",
    "id_token",
];

/// The longest parameter, in bytes.
const MAX_PARAMETER: usize = 4096;
/// The longest ID token, in bytes.
const MAX_ID_TOKEN: usize = 16 << 10;
/// The longest text of an error that is looked at, in letters.
const MAX_ERROR: usize = 512;
/// More values of `state` are not looked at.
const MAX_STATES: usize = 4;

/// The values of `state` in a query or a form. Any request may have some: it is a callback only if one
/// of them is ours, and only then does [`read_callback`] say what is wrong with it.
pub fn shown_states(form: &[u8]) -> Vec<String> {
    pairs(form)
        .filter(|(name, value)| name == b"state" && value.len() <= MAX_PARAMETER)
        .filter_map(|(_, value)| String::from_utf8(value).ok())
        .take(MAX_STATES)
        .collect()
}

/// Reads a callback from a query or from the body of a form_post (OAuth 2.0 Form Post Response Mode).
///
/// A parameter that occurs twice is refused (RFC 6749 section 3.1): two readers could believe
/// different ones. So are a code together with an error, and parameters that are too long or hold
/// what is not allowed in them (RFC 6749 appendix A).
pub fn read_callback(form: &[u8]) -> Result<Callback, Refusal> {
    let mut read: [Option<Vec<u8>>; PARAMETERS.len()] = Default::default();
    for (name, value) in pairs(form) {
        let place = PARAMETERS
            .iter()
            .zip(&mut read)
            .find(|(own, _)| own.as_bytes() == name);
        let Some((own, place)) = place else {
            continue;
        };
        if place.is_some() {
            return Err(bad_request(
                "callback_parameter_repeated",
                format!("the callback has `{own}` twice"),
            ));
        }
        let most = match *own {
            "id_token" => MAX_ID_TOKEN,
            _ => MAX_PARAMETER,
        };
        if value.len() > most {
            return Err(bad_request(
                "callback_parameter_too_long",
                format!("the callback's `{own}` is longer than {most} bytes"),
            ));
        }
        *place = Some(value);
    }
    let [code, state, iss, _, error, description, _, id_token] = read;
    let [state, iss] = [visible(state, "state")?, visible(iss, "iss")?];
    match (code.filter(|code| !code.is_empty()), error) {
        (Some(_), Some(_)) => Err(bad_request(
            "callback_contradictory",
            "the callback has both `code` and `error`".to_owned(),
        )),
        (None, Some(error)) => Ok(Callback::Error {
            error: readable(&error),
            description: description.as_deref().map(readable),
            state,
            iss,
        }),
        (Some(code), None) => match (visible(Some(code), "code")?, state) {
            (Some(code), Some(state)) => Ok(Callback::Code {
                code: Secret::new(code),
                state,
                iss,
                id_token: visible(id_token, "id_token")?.map(Secret::new),
            }),
            // Without `state` it is somebody else's code.
            _ => Ok(Callback::None),
        },
        (None, None) => Ok(Callback::None),
    }
}

impl Callback {
    /// Whether it is the wanted provider that answers (RFC 9207 section 2.4): before the code goes
    /// anywhere. `demanded`: the metadata says that the provider always names itself.
    pub fn check_issuer(&self, issuers: &Issuers<'_>, demanded: bool) -> Result<(), Refusal> {
        let iss = match self {
            Callback::Code { iss, .. } | Callback::Error { iss, .. } => iss,
            Callback::None => return Ok(()),
        };
        match iss {
            Some(iss) if issuers.accept_of_any_tenant(iss) => Ok(()),
            Some(_) => Err(Refusal::bad_credential(
                "callback_issuer_mismatch",
                "the callback's `iss` is not the provider's issuer",
            )),
            None if demanded => Err(Refusal::bad_credential(
                "callback_issuer_missing",
                "the callback has no `iss`, and the provider's metadata promises one",
            )),
            None => Ok(()),
        }
    }
}

/// A parameter of visible ASCII and spaces (VSCHAR of RFC 6749 appendix A); an empty one is none.
fn visible(value: Option<Vec<u8>>, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match String::from_utf8(value) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(Some(text)),
        _ => Err(bad_request(
            "callback_malformed",
            format!("the callback's `{name}` holds what it must not"),
        )),
    }
}

/// A stranger's text about an error, fit for a log (RFC 6749 section 4.1.2.1).
pub(super) fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(MAX_ERROR)
        .map(|letter| match letter {
            '"' | '\\' => '?',
            ' '..='~' => letter,
            _ => '?',
        })
        .collect()
}

fn bad_request(code: &'static str, reason: String) -> Refusal {
    Refusal::new(Kind::BadRequest, code, reason)
}

#[cfg(test)]
mod tests;
