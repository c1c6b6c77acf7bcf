//! A login under way: what is remembered between the redirect and the callback, in one sealed cookie for
//! each login, so that tabs do not disturb each other (specification sections 4.9 and 11).

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::http::{Request, cookie_names};
use crate::session::{Cookie, Jar, Keyring, Purpose};

/// The most logins that a browser may have under way; the oldest goes.
const MOST_LOGINS: usize = 10;
/// The most login cookies that are looked at.
const MOST_COOKIES: usize = 32;
/// The longest place to come back to, in bytes: `state` carries it.
const LONGEST_TARGET: usize = 1024;
/// How often one visit may be sent to log in before it is told that it failed.
pub const MOST_TRIES: u8 = 2;

/// What the `state` parameter holds: enough to know an old callback again when its cookie is gone.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Ticket {
    /// Names the cookie.
    pub id: String,
    /// When the login began, in seconds.
    pub created: u64,
    /// Path and query that the visitor wanted.
    pub target: String,
    /// Which try this is, from 1.
    pub tries: u8,
    /// The id of the client that it began with; `None`: the first one, whose id is in the seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The id of the route under whose policy it began; `None`: the outer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

impl Ticket {
    /// The place of its client, whatever the request that brings it says.
    pub fn client(&self, config: &Config) -> Option<usize> {
        match &self.client {
            None => Some(0),
            Some(id) => {
                let mut clients = config.clients.iter();
                clients.position(|client| client.id.as_ref() == Some(id))
            }
        }
    }
}

/// What the cookie holds.
#[derive(Clone, Deserialize, Serialize)]
pub struct Login {
    /// When it began, in seconds.
    pub created: u64,
    /// The ID token must repeat it (OpenID Connect Core section 3.1.2.1).
    pub nonce: String,
    /// The PKCE verifier (RFC 7636 section 4.1).
    pub verifier: Option<String>,
    /// The same one is sent to the token endpoint (RFC 6749 section 4.1.3).
    pub redirect_uri: String,
}

/// The seals of one policy's logins: those of another issuer or client do not open.
pub struct Seals<'a> {
    keyring: &'a Keyring,
    config: &'a Config,
}

impl<'a> Seals<'a> {
    /// The seals under this configuration.
    pub fn new(keyring: &'a Keyring, config: &'a Config) -> Seals<'a> {
        Seals { keyring, config }
    }

    /// The `state` parameter for a ticket.
    pub fn state(&self, ticket: &Ticket, nonce: [u8; 12]) -> Option<String> {
        let plain = serde_json::to_vec(ticket).ok()?;
        let binding = self.binding("");
        self.keyring.seal(Purpose::State, &binding, &plain, nonce)
    }

    /// The ticket in a `state` parameter, if it is one of ours, of a client that there is.
    pub fn ticket(&self, state: &str) -> Option<Ticket> {
        let binding = self.binding("");
        let plain = self
            .keyring
            .open(Purpose::State, &binding, state.as_bytes())?;
        let ticket: Ticket = serde_json::from_slice(&plain).ok()?;
        ticket.client(self.config).is_some().then_some(ticket)
    }

    /// The value of a login's cookie.
    pub fn cookie(&self, id: &str, login: &Login, nonce: [u8; 12]) -> Option<String> {
        let plain = serde_json::to_vec(login).ok()?;
        let binding = self.binding(id);
        self.keyring.seal(Purpose::Login, &binding, &plain, nonce)
    }

    /// The login of this id, from whichever of the cookies of its name opens.
    pub fn login(&self, request: &Request, id: &str) -> Option<Login> {
        let binding = self.binding(id);
        Jar::read(&request.headers, &cookie_of(self.config, id))
            .values()
            .take(4)
            .find_map(|value| {
                let plain = self.keyring.open(Purpose::Login, &binding, &value)?;
                serde_json::from_slice(&plain).ok()
            })
    }

    fn binding<'b>(&'b self, id: &'b str) -> [&'b [u8]; 4] {
        let client = self.config.clients.first().id.as_deref().unwrap_or("");
        [
            self.config.provider.issuer.identifier.as_bytes(),
            client.as_bytes(),
            self.config.login.cookie.name.as_bytes(),
            id.as_bytes(),
        ]
    }
}

/// The name of a login's cookie. An id has always the same length, so none begins with another's name.
fn cookie_of(config: &Config, id: &str) -> String {
    format!("{}_{id}", config.login.cookie.name)
}

/// The `Set-Cookie` value of a login, and those that make room for it.
pub fn set_cookies(
    config: &Config,
    request: &Request,
    seals: &Seals<'_>,
    id: &str,
    value: &str,
    secure: bool,
) -> Vec<String> {
    let prefix = cookie_of(config, "");
    let mut others: Vec<(u64, String)> = cookie_names(&request.headers)
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_prefix(&prefix))
        .take(MOST_COOKIES)
        // What does not open any more goes first.
        .map(|other| {
            let began = seals.login(request, other).map_or(0, |login| login.created);
            (began, other.to_owned())
        })
        .collect();
    others.sort();
    let surplus = others.len().saturating_sub(MOST_LOGINS.saturating_sub(1));
    let oldest = others.iter().take(surplus);
    let mut cookies: Vec<String> = oldest
        .flat_map(|(_, other)| clear_cookie(config, other, secure))
        .collect();
    let set = with_cookie(config, id, secure, |cookie| cookie.set(value, 1));
    cookies.extend(set.unwrap_or_default());
    cookies
}

/// The `Set-Cookie` values that end a login.
pub fn clear_cookie(config: &Config, id: &str, secure: bool) -> Vec<String> {
    with_cookie(config, id, secure, |cookie| cookie.clear(1))
}

fn with_cookie<T>(
    config: &Config,
    id: &str,
    secure: bool,
    then: impl FnOnce(&Cookie<'_>) -> T,
) -> T {
    let settings = &config.login.cookie;
    then(&Cookie {
        name: &cookie_of(config, id),
        path: &settings.path,
        domain: settings.domain.as_deref(),
        same_site: settings.same_site,
        http_only: settings.http_only,
        secure: settings.secure.unwrap_or(secure),
        // A browser that is never closed would collect the logins that nobody ends.
        max_age: Some(config.login.rolling_timeout).filter(|seconds| *seconds > 0),
    })
}

/// The path and query to come back to. Never another site: it begins with one slash, and holds nothing
/// that a browser would read as another.
pub fn target(request: &Request) -> String {
    let wanted = request
        .target()
        .and_then(|target| std::str::from_utf8(target).ok());
    let local = |target: &&str| {
        target.starts_with('/')
            && !target.starts_with("//")
            && target
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && target.len() <= LONGEST_TARGET
    };
    wanted.filter(local).unwrap_or("/").to_owned()
}
