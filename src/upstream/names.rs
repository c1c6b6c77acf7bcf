//! The header names that only the gateway may set.

use std::rc::Rc;

use crate::config::{AuthMethod, Config, Place};
use crate::http::same_name;
use crate::session::is_piece_of;

/// Names that Kong's plugin and this filter give a meaning to, whatever the configuration says
/// (specification sections 9 and 10.1).
const ALWAYS: [&str; 11] = [
    "x-anonymous-consumer",
    "x-authenticated-groups",
    "x-authenticated-scope",
    "x-authenticated-userid",
    "session-id",
    "session-audience",
    "session-subject",
    "session-timeout",
    "session-idling-timeout",
    "session-rolling-timeout",
    "session-absolute-timeout",
];

/// Families of such names.
const PREFIXES: [&str; 2] = ["x-consumer-", "x-credential-"];

/// All names that are ours, sorted by length so that the hot path compares few.
pub struct OwnedNames {
    by_length: Vec<Vec<Vec<u8>>>,
    /// The names of session cookies, where sessions are on.
    session_cookies: Vec<String>,
    /// What the names of login cookies begin with, where logins are on.
    login_cookies: Vec<String>,
}

impl OwnedNames {
    /// The names that are ours under this configuration or one of its routes: an upstream behind several of
    /// them believes a name that any of them sets.
    pub fn new(config: &Config) -> OwnedNames {
        let mut names = OwnedNames {
            by_length: Vec::new(),
            session_cookies: Vec::new(),
            login_cookies: Vec::new(),
        };
        for name in ALWAYS {
            names.add(name);
        }
        for config in config.all() {
            // Alone it was verified by nobody; with its access token it has `upstream_id_token_header`.
            let id_token = config.lookup.id_token.as_ref();
            let id_token = id_token.filter(|named| named.places.contains(&Place::Header));
            if let Some(named) = id_token.filter(|_| config.methods.hide_credentials) {
                names.add(&named.header);
            }
            for name in config.upstream.header_names() {
                names.add(name);
            }
            if config.methods.has(AuthMethod::Session) {
                note(
                    &mut names.session_cookies,
                    config.session.cookie_name.clone(),
                );
            }
            if config.methods.has(AuthMethod::AuthorizationCode) {
                note(
                    &mut names.login_cookies,
                    format!("{}_", config.login.cookie.name),
                );
            }
        }
        names
    }

    /// Whether a client's header is one of ours, in any spelling.
    pub fn owns(&self, name: &[u8]) -> bool {
        let known = self
            .by_length
            .get(name.len())
            .is_some_and(|names| names.iter().any(|own| same_name(own, name)));
        known
            || PREFIXES.iter().any(|prefix| {
                name.get(..prefix.len())
                    .is_some_and(|start| same_name(prefix.as_bytes(), start))
            })
    }

    /// Whether a cookie is one of ours, which no upstream has any business with.
    pub fn owns_cookie(&self, name: &[u8]) -> bool {
        let (sessions, logins) = (&self.session_cookies, &self.login_cookies);
        sessions.iter().any(|own| is_piece_of(name, own))
            || logins
                .iter()
                .any(|prefix| name.starts_with(prefix.as_bytes()))
    }

    fn add(&mut self, name: &str) {
        if self.by_length.len() <= name.len() {
            self.by_length
                .resize_with(name.len().saturating_add(1), Vec::new);
        }
        let name = name.as_bytes().to_vec();
        if let Some(names) = self.by_length.get_mut(name.len())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
}

/// The headers of a response that are ours under this configuration; `None` where no field names one.
pub fn response_names(config: &Config) -> Option<Rc<[String]>> {
    let facts = config.session.response_headers.iter();
    let facts = facts.map(|fact| fact.header_name());
    let names: Vec<String> = config
        .downstream
        .header_names()
        .chain(facts)
        .map(str::to_owned)
        .collect();
    (!names.is_empty()).then(|| Rc::from(names))
}

fn note(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}
