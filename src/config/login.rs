//! The authorization code flow: what is asked of the provider, and what happens after the login.

use url::Url;

use super::client::Clients;
use super::issuer::http_url;
use super::methods::{AuthMethod, Methods};
use super::names::cookie_name;
use super::reader::Reader;
use super::session::{SAME_SITES, SameSite, cookie_domain, cookie_path, several};

/// How a browser logs in (rows E, J and `preserve_query_args` of row B).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// Row E `authorization_endpoint`: replaces the discovered one.
    pub authorization_endpoint: Option<Url>,
    /// Row E `response_mode`, default `query`: how the provider's answer comes back.
    pub response_mode: ResponseMode,
    /// Row E `response_type`, default `code`: what comes back through the browser.
    pub response_type: ResponseType,
    /// Row E `scopes`, default `openid`: what to ask for. Null or empty: nothing is asked for.
    pub scopes: Vec<String>,
    /// Row E `audience`: for whom the access token shall be good.
    pub audience: Vec<String>,
    /// Row E `authorization_query_args_*`.
    pub arguments: AuthorizationArguments,
    /// Row E `require_proof_key_for_code_exchange`. `None`: where the provider announces PKCE.
    pub pkce: Option<bool>,
    /// Row E `verify_nonce`, default true.
    pub verify_nonce: bool,
    /// Row E `authorization_cookie_*`: the cookie of a login under way.
    pub cookie: LoginCookie,
    /// Row E `authorization_rolling_timeout`, seconds, default 600: how long a login may take; 0: for
    /// ever.
    pub rolling_timeout: u64,
    /// Row J `login_methods`, default `authorization_code`: the methods to which the following fields
    /// apply.
    pub methods: Vec<AuthMethod>,
    /// Row J `login_action`, default `upstream`: what follows a login.
    pub action: LoginAction,
    /// Row J `login_tokens`, default the ID token: what is handed out. Null or empty: nothing.
    pub tokens: Vec<LoginToken>,
    /// Row J `login_redirect_mode`, default `fragment`: where tokens stand in a redirect.
    pub redirect_mode: RedirectMode,
    /// Row B `preserve_query_args`, default false: whether the first request's query survives.
    pub preserve_query_args: bool,
}

/// Arguments of the authorization request beyond those that the flow writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationArguments {
    /// `authorization_query_args_names` and `_values`.
    pub fixed: Vec<(String, String)>,
    /// `authorization_query_args_client`: names of a client's query arguments that are passed on.
    pub from_client: Vec<String>,
}

/// The attributes of the cookie of a login under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCookie {
    /// `authorization_cookie_name`, default `authorization`; an id of the login follows it.
    pub name: String,
    /// `authorization_cookie_path`, default `/`.
    pub path: String,
    /// `authorization_cookie_domain`. `None`: the host that set it.
    pub domain: Option<String>,
    /// `authorization_cookie_same_site`, default `Default`.
    pub same_site: SameSite,
    /// `authorization_cookie_http_only`, default true.
    pub http_only: bool,
    /// `authorization_cookie_secure`. `None`: as the request's scheme says.
    pub secure: Option<bool>,
}

/// What comes back through the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// A code (OpenID Connect Core 1.0 section 3.1).
    Code,
    /// A code and an ID token that vouches for it (section 3.3).
    CodeIdToken,
}

impl ResponseType {
    /// As the authorization request says it.
    pub fn name(self) -> &'static str {
        match self {
            ResponseType::Code => "code",
            ResponseType::CodeIdToken => "code id_token",
        }
    }
}

/// How the provider's answer comes back (OAuth 2.0 Multiple Response Types section 2.1, OAuth 2.0 Form
/// Post Response Mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a redirect.
    Query,
    /// In a form that the browser posts.
    FormPost,
}

/// What follows a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginAction {
    /// The callback goes to the upstream.
    Upstream,
    /// The callback is answered with tokens.
    Response,
    /// The browser is sent on.
    Redirect,
}

/// What a login can hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginToken {
    /// The access token.
    AccessToken,
    /// The ID token.
    IdToken,
    /// The answer of the introspection endpoint: not built yet.
    Introspection,
    /// The refresh token.
    RefreshToken,
    /// The answer of the token endpoint.
    Tokens,
}

/// Where tokens stand in a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectMode {
    /// Behind the `#`: only the browser sees them.
    Fragment,
    /// In the query.
    Query,
}

const TOKENS: [(&str, LoginToken); 5] = [
    ("access_token", LoginToken::AccessToken),
    ("id_token", LoginToken::IdToken),
    ("introspection", LoginToken::Introspection),
    ("refresh_token", LoginToken::RefreshToken),
    ("tokens", LoginToken::Tokens),
];

/// What the flow writes itself, and what would put its request into other hands (RFC 9101).
const OWN_ARGUMENTS: [&str; 11] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "state",
];

impl LoginSettings {
    pub(super) fn read(reader: &mut Reader, methods: &Methods, clients: &Clients) -> LoginSettings {
        let settings = LoginSettings {
            authorization_endpoint: reader.checked("authorization_endpoint", without_fragment),
            response_mode: response_mode(reader),
            response_type: response_type(reader),
            scopes: scopes(reader),
            audience: reader.names("audience"),
            arguments: arguments(reader),
            pkce: reader.flag_if_set("require_proof_key_for_code_exchange"),
            verify_nonce: reader.flag("verify_nonce"),
            cookie: LoginCookie::read(reader),
            rolling_timeout: reader
                .seconds("authorization_rolling_timeout")
                .unwrap_or(600),
            methods: several(
                reader,
                "login_methods",
                &AuthMethod::ALL.map(|method| (method.name(), method)),
            ),
            action: reader
                .choice(
                    "login_action",
                    &[
                        ("redirect", LoginAction::Redirect),
                        ("response", LoginAction::Response),
                        ("upstream", LoginAction::Upstream),
                    ],
                )
                .unwrap_or(LoginAction::Upstream),
            tokens: tokens(reader),
            redirect_mode: reader
                .choice(
                    "login_redirect_mode",
                    &[
                        ("fragment", RedirectMode::Fragment),
                        ("query", RedirectMode::Query),
                    ],
                )
                .unwrap_or(RedirectMode::Fragment),
            preserve_query_args: reader.flag("preserve_query_args"),
        };
        let has_client = clients.first().id.is_some();
        if methods.enabled.contains(&AuthMethod::AuthorizationCode) && has_client {
            settings.check(reader);
        }
        // C9: it is sent to the provider; what a token must be for is another field's matter.
        let sends = |method: &AuthMethod| {
            *method == AuthMethod::ClientCredentials
                || AuthMethod::WITH_TOKEN_ENDPOINT.contains(method)
        };
        if !settings.audience.is_empty() && !methods.enabled.iter().any(sends) {
            let text = "is sent with logins and token requests only, and no method here makes one; to demand an audience of a token, write `audience_required`";
            reader.warn("audience", text);
        }
        settings
    }

    /// Whether it is OpenID Connect: there is an ID token, and it must be there (OpenID Connect Core 1.0 section
    /// 3.1.2.1). Else it is plain OAuth 2.0.
    pub fn asks_openid(&self) -> bool {
        let mut words = self
            .scopes
            .iter()
            .flat_map(|text| text.split_ascii_whitespace());
        words.any(|word| word == "openid")
    }

    /// What goes together badly.
    fn check(&self, reader: &mut Reader) {
        if self.response_mode == ResponseMode::FormPost {
            if reader.text("request_body").as_deref() == Some("off") {
                let text = "`form_post` comes in a body, and `request_body` is off; write `query`";
                reader.error("response_mode", text);
            }
            if matches!(self.cookie.same_site, SameSite::Lax | SameSite::Strict) {
                let text = "a form_post comes from the provider's site, and browsers do not bring a cookie of this kind with it: every login takes one more page. `None` does without";
                reader.warn("authorization_cookie_same_site", text);
            }
        }
        if self.response_type == ResponseType::CodeIdToken {
            if self.response_mode != ResponseMode::FormPost {
                let text = "an ID token from the authorization endpoint comes in a form (OAuth 2.0 Multiple Response Types section 5); write `form_post`, or leave `id_token` out of `response_type`";
                reader.error("response_mode", text);
            }
            if !self.asks_openid() {
                let text = "an ID token comes only with the scope `openid`; add it to `scopes`, or write `[\"code\"]`";
                reader.error("response_type", text);
            }
        }
        if !self.verify_nonce {
            let text = "false: an ID token of another login is taken for one of this login";
            reader.warn("verify_nonce", text);
        }
        if self.pkce == Some(false) {
            let text = "false: whoever gets hold of a code can use it in a login of his own";
            reader.warn("require_proof_key_for_code_exchange", text);
        }
        self.cookie.check(reader);
    }
}

impl LoginCookie {
    fn read(reader: &mut Reader) -> LoginCookie {
        LoginCookie {
            name: reader
                .checked("authorization_cookie_name", cookie_name)
                .unwrap_or_default(),
            path: reader
                .checked("authorization_cookie_path", cookie_path)
                .unwrap_or_default(),
            domain: reader.checked("authorization_cookie_domain", cookie_domain),
            same_site: reader
                .choice("authorization_cookie_same_site", &SAME_SITES)
                .unwrap_or(SameSite::Default),
            http_only: reader.flag("authorization_cookie_http_only"),
            secure: reader.flag_if_set("authorization_cookie_secure"),
        }
    }

    /// Combinations that browsers reject without a word (RFC 6265bis sections 4.1.3 and 5.7).
    fn check(&self, reader: &mut Reader) {
        let named = |prefix: &str| {
            let start = self.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let insecure = self.secure == Some(false);
        if insecure && self.same_site == SameSite::None {
            let text = "browsers take `SameSite=None` only with Secure; remove it, or choose another `authorization_cookie_same_site`";
            reader.error("authorization_cookie_secure", text);
        }
        if insecure && (named("__Host-") || named("__Secure-")) {
            let text = "browsers take a cookie of this name only with Secure; remove it, or choose another `authorization_cookie_name`";
            reader.error("authorization_cookie_secure", text);
        }
        if named("__Host-") && self.domain.is_some() {
            let text = "a `__Host-` cookie has no domain; remove it, or choose another `authorization_cookie_name`";
            reader.error("authorization_cookie_domain", text);
        }
        if named("__Host-") && self.path != "/" {
            let text = "a `__Host-` cookie has the path `/`; remove it, or choose another `authorization_cookie_name`";
            reader.error("authorization_cookie_path", text);
        }
    }
}

/// The mode, if it is one that a server can read and that is built.
fn response_mode(reader: &mut Reader) -> ResponseMode {
    const NAME: &str = "response_mode";
    match reader.text(NAME).as_deref() {
        None | Some("query") => return ResponseMode::Query,
        Some("form_post") => return ResponseMode::FormPost,
        Some("fragment" | "fragment.jwt") => reader.error(
            NAME,
            "no server sees a fragment: it stays in the browser; write `query` or `form_post`",
        ),
        Some("form_post.jwt" | "jwt" | "query.jwt") => reader.error(
            NAME,
            "signed responses (JARM) are not built yet in this version; write `query` or `form_post`",
        ),
        Some(_) => reader.error(NAME, "unknown value; write `query` or `form_post`"),
    }
    ResponseMode::Query
}

/// What may come through the browser: a code, and an ID token that binds it. An access token may not (RFC 9700
/// section 2.1.2).
fn response_type(reader: &mut Reader) -> ResponseType {
    const NAME: &str = "response_type";
    let named = reader.texts(NAME);
    let words: Vec<&str> = named
        .iter()
        .flat_map(|text| text.split_ascii_whitespace())
        .collect();
    let has = |word: &str| words.contains(&word);
    let knows = |word: &&str| ["code", "id_token", "token"].contains(word);
    if has("token") {
        let text = "an access token that comes through the browser can be stolen there (RFC 9700 section 2.1.2); write `[\"code\"]` or `[\"code\", \"id_token\"]`";
        reader.error(NAME, text);
    } else if !words.iter().all(knows) {
        let text = "unknown value; write `[\"code\"]` or `[\"code\", \"id_token\"]`";
        reader.error(NAME, text);
    } else if !has("code") {
        let text = "must hold `code`: without one there is nothing to redeem for an access token; write `[\"code\"]`";
        reader.error(NAME, text);
    } else if has("id_token") {
        return ResponseType::CodeIdToken;
    }
    ResponseType::Code
}

/// Null is a value of its own here: nothing is asked for.
fn scopes(reader: &mut Reader) -> Vec<String> {
    if reader.is_null("scopes") {
        return Vec::new();
    }
    // `scope-token` of RFC 6749 section 3.3; several of them in one element are Kong's, too.
    reader.list("scopes", |text| {
        let legal = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.trim().is_empty() || !text.bytes().all(legal) {
            Err("is not a scope; write visible letters without quotes".to_owned())
        } else {
            Ok(text.to_owned())
        }
    })
}

fn arguments(reader: &mut Reader) -> AuthorizationArguments {
    const NAMES: &str = "authorization_query_args_names";
    const CLIENT: &str = "authorization_query_args_client";
    let fixed = reader.pairs(NAMES, "authorization_query_args_values");
    for (at, (name, _)) in fixed.iter().enumerate() {
        if let Err(why) = argument(name) {
            reader.error(&format!("{NAMES}[{at}]"), why);
        }
    }
    AuthorizationArguments {
        fixed,
        from_client: reader.list(CLIENT, |name| {
            argument(name)?;
            // A client that could ask for them would choose its own rights.
            match name {
                "scope" | "max_age" | "audience" | "resource" => Err(
                    "the client must not choose this argument; set it in the configuration"
                        .to_owned(),
                ),
                name => Ok(name.to_owned()),
            }
        }),
    }
}

fn argument(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if OWN_ARGUMENTS.contains(&name) {
        return Err("is written by the flow itself; remove it".to_owned());
    }
    Ok(())
}

/// Null is a value of its own here: nothing is handed out.
fn tokens(reader: &mut Reader) -> Vec<LoginToken> {
    const NAME: &str = "login_tokens";
    if reader.is_null(NAME) {
        return Vec::new();
    }
    let tokens = several(reader, NAME, &TOKENS);
    if tokens.contains(&LoginToken::Introspection) {
        let text = "`introspection` is not built yet in this version; remove it";
        reader.error(NAME, text);
    }
    tokens
}

/// An endpoint's address or a redirection's: without a fragment (RFC 6749 sections 3.1, 3.1.2, 3.2).
pub(super) fn without_fragment(text: &str) -> Result<Url, String> {
    let url = http_url(text)?;
    if url.fragment().is_some() {
        return Err("has a fragment; write the URL without it".to_owned());
    }
    Ok(url)
}
