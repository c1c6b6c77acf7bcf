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
        .with_some("code_challenge_method", request.challenge.map(|_| pkce::METHOD))
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
pub const PARAMETERS: [&str; 7] = [
    "code",
    "state",
    "iss",
    "session_state",
    "error",
    "error_description",
    "error_uri",
];

/// The longest parameter, in bytes.
const MAX_PARAMETER: usize = 4096;
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
        if value.len() > MAX_PARAMETER {
            return Err(bad_request(
                "callback_parameter_too_long",
                format!("the callback's `{own}` is longer than 4096 bytes"),
            ));
        }
        *place = Some(value);
    }
    let [code, state, iss, _, error, description, _] = read;
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
            Some(iss) if issuers.accept(iss) => Ok(()),
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
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain<'a>(endpoint: &'a Url, state: &'a str, extra: &'a [(String, String)]) -> AuthorizationRequest<'a> {
        AuthorizationRequest {
            endpoint,
            client_id: "me",
            redirect_uri: "https://app.example/cb",
            scopes: &[],
            state,
            nonce: None,
            challenge: None,
            response_type: "code",
            response_mode: ResponseMode::Query,
            audience: &[],
            max_age: None,
            extra,
        }
    }

    fn endpoint() -> Url {
        Url::parse("https://idp.example/auth?tenant=a%20b").unwrap()
    }

    const PLAIN: &str = "https://idp.example/auth?tenant=a%20b&response_type=code&client_id=me\
        &redirect_uri=https%3A%2F%2Fapp.example%2Fcb";

    #[test]
    fn the_least_that_is_asked() {
        assert_eq!(url(&plain(&endpoint(), "st", &[])), format!("{PLAIN}&state=st"));
    }

    #[test]
    fn all_that_can_be_asked() {
        let scopes = ["openid".to_owned(), "e mail".to_owned()];
        let audience = ["api".to_owned()];
        let extra = [("login_hint".to_owned(), "a&state=evil".to_owned())];
        let endpoint = Url::parse("https://idp.example/auth").unwrap();
        let request = AuthorizationRequest {
            endpoint: &endpoint,
            client_id: "me",
            redirect_uri: "https://app.example/cb?x=1",
            scopes: &scopes,
            state: "s+t",
            nonce: Some("no"),
            challenge: Some("ch"),
            response_type: "code",
            response_mode: ResponseMode::FormPost,
            audience: &audience,
            max_age: Some(60),
            extra: &extra,
        };
        assert_eq!(
            url(&request),
            "https://idp.example/auth?response_type=code&client_id=me\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&scope=openid+e+mail&state=s%2Bt\
             &nonce=no&response_mode=form_post&code_challenge=ch&code_challenge_method=S256\
             &audience=api&max_age=60&login_hint=a%26state%3Devil"
        );
    }

    #[test]
    fn further_arguments_never_repeat_ours() {
        let extra = ["state", "client_id", "prompt"].map(|name| (name.to_owned(), "x".to_owned()));
        assert_eq!(
            url(&plain(&endpoint(), "st", &extra)),
            format!("{PLAIN}&state=st&prompt=x")
        );
    }

    #[test]
    fn a_clients_argument_is_passed_on_only_if_it_is_the_only_one() {
        let arguments = AuthorizationArguments {
            fixed: vec![("prompt".to_owned(), "login".to_owned())],
            from_client: ["login_hint", "prompt", "ui_locales"].map(str::to_owned).into(),
        };
        let passed = |query: &str| -> Vec<String> {
            extra_arguments(&arguments, query.as_bytes())
                .into_iter()
                .skip(1)
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        assert_eq!(passed("login_hint=a%40b&other=1"), ["login_hint=a@b"]);
        assert_eq!(passed("prompt=none&ui_locales=de+en"), ["ui_locales=de en"]);
        for refused in ["login_hint=a&login%5Fhint=b", "login_hint=%ff", "login_hint=a%0D%0Ab"] {
            assert!(passed(refused).is_empty(), "{refused}");
        }
        assert!(passed(&format!("login_hint={}", "a".repeat(2049))).is_empty());
    }

    fn code(code: &str, state: &str, iss: Option<&str>) -> Result<Callback, &'static str> {
        Ok(Callback::Code {
            code: Secret::new(code),
            state: state.to_owned(),
            iss: iss.map(str::to_owned),
        })
    }

    fn read(form: &str) -> Result<Callback, &'static str> {
        read_callback(form.as_bytes()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn reads_a_code() {
        assert_eq!(read("code=a%2Bb&state=s&session_state=x&z=1"), code("a+b", "s", None));
        assert_eq!(
            read("iss=https%3A%2F%2Fidp&state=s&code=c"),
            code("c", "s", Some("https://idp"))
        );
    }

    #[test]
    fn reads_an_error_without_believing_its_text() {
        assert_eq!(
            read("error=access_denied&error_description=a%0d%0a%22%3Cb%3E%ff&state=s"),
            Ok(Callback::Error {
                error: "access_denied".to_owned(),
                description: Some("a???<b>?".to_owned()),
                state: Some("s".to_owned()),
                iss: None,
            })
        );
        let long = format!("error={}", "e".repeat(1000));
        let Ok(Callback::Error { error, state, .. }) = read(&long) else {
            panic!("an error");
        };
        assert_eq!((error.len(), state), (512, None));
    }

    #[test]
    fn ordinary_requests_are_no_callbacks() {
        for form in ["", "a=1", "state=s", "code=c", "code=&state=s", "code=c&state=", "Code=c&State=s"] {
            assert_eq!(read(form), Ok(Callback::None), "{form}");
        }
    }

    #[test]
    fn repeated_parameters_are_refused_in_any_spelling() {
        for name in PARAMETERS {
            let form = format!("code=c&state=s&iss=i&{name}=1&{name}=1");
            assert_eq!(read(&form), Err("callback_parameter_repeated"), "{name}");
        }
        assert_eq!(read("code=c&st%61te=s&state=s"), Err("callback_parameter_repeated"));
        assert_eq!(read("code=c&code=&state=s"), Err("callback_parameter_repeated"));
    }

    #[test]
    fn contradictions_long_and_foreign_bytes_are_refused() {
        assert_eq!(read("code=c&state=s&error=e"), Err("callback_contradictory"));
        for form in ["code=c%00&state=s", "code=c&state=%ff", "code=c%C3%A9&state=s", "code=c&state=s&iss=%0a"] {
            assert_eq!(read(form), Err("callback_malformed"), "{form}");
        }
        for name in ["code", "state", "iss"] {
            let long = format!("{name}={}", "a".repeat(4097));
            assert_eq!(read(&long), Err("callback_parameter_too_long"));
        }
        let just = "a".repeat(4096);
        assert_eq!(read(&format!("code={just}&state=s")), code(&just, "s", None));
    }

    #[test]
    fn all_states_are_shown_before_anything_is_refused() {
        assert_eq!(shown_states(b"state=a&x=1&st%61te=b"), ["a", "b"]);
        assert_eq!(shown_states(b"state=1&state=2&state=3&state=4&state=5").len(), 4);
        assert!(shown_states(b"state=%ff&State=a").is_empty());
    }

    #[test]
    fn the_provider_that_answers_is_the_one_that_was_asked() {
        let issuers = Issuers {
            allowed: &[],
            expected: "https://idp.example",
            compare: true,
        };
        let check = |form: &str, demanded| {
            read(form).and_then(|callback| {
                callback
                    .check_issuer(&issuers, demanded)
                    .map_err(|refusal| refusal.code)
            })
        };
        let good = "iss=https%3A%2F%2Fidp.example";
        let evil = "iss=https%3A%2F%2Fevil.example";
        for kind in ["code=c&state=s", "error=e&state=s"] {
            assert_eq!(check(&format!("{kind}&{good}"), true), Ok(()));
            assert_eq!(check(&format!("{kind}&{evil}"), false), Err("callback_issuer_mismatch"));
            assert_eq!(check(kind, true), Err("callback_issuer_missing"));
            assert_eq!(check(kind, false), Ok(()));
        }
    }

    #[test]
    fn the_code_is_not_printed() {
        assert!(!format!("{:?}", read("code=hunter2&state=s")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_callback(&bytes);
            let _ = shown_states(&bytes);
        }

        #[test]
        fn what_is_asked_arrives_as_it_was(state in ".{1,20}", name in "[a-z]{1,3}", value in ".{0,20}") {
            let extra = [(name, value)];
            let url = url(&plain(&endpoint(), &state, &extra));
            let url = Url::parse(&url).unwrap();
            let states: Vec<_> = url.query_pairs().filter(|(name, _)| name == "state").collect();
            prop_assert_eq!(states.len(), 1);
            prop_assert!(states.iter().all(|(_, value)| *value == *state));
        }
    }
}
