//! Sessions: the cookie, the times, the secret.

use super::document::Document;
use super::methods::AuthMethod;
use super::names::cookie_name;
use super::reader::{Reader, one_of};
use super::secret::Secret;

/// A shorter secret can be guessed from a cookie, at leisure.
const SHORTEST_SECRET: usize = 16;
/// Rotation needs one or two.
const MOST_PREVIOUS: usize = 8;
const SECURE: &str = "session_cookie_secure";

/// How sessions are kept (row Q). They live in a cookie: `session_storage` knows nothing else yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Row Q `disable_session`: methods that begin no session; for `session`, it renews none.
    pub disabled_for: Vec<AuthMethod>,
    /// Row Q `session_secret`: at least 16 bytes. `None`: the host has to make one.
    pub secret: Option<Secret>,
    /// Our `session_secrets_previous`: what they sealed still opens.
    pub previous_secrets: Vec<Secret>,
    /// Row Q `session_audience`, default `default`: whose part of the cookie is ours.
    pub audience: String,
    /// Row Q `session_cookie_name`, default `session`.
    pub cookie_name: String,
    /// Row Q `session_cookie_path`, default `/`.
    pub cookie_path: String,
    /// Row Q `session_cookie_domain`. `None`: the host that set it.
    pub cookie_domain: Option<String>,
    /// Row Q `session_cookie_same_site`, default `Lax`.
    pub cookie_same_site: SameSite,
    /// Row Q `session_cookie_http_only`, default true.
    pub cookie_http_only: bool,
    /// Row Q `session_cookie_secure`. `None`: as the request's scheme says.
    pub cookie_secure: Option<bool>,
    /// Row Q `session_rolling_timeout`, `session_idling_timeout`, `session_absolute_timeout`.
    pub timeouts: Timeouts,
    /// Row Q `session_bind`: what of a request must stay as it was, in the order of [`Bind`].
    pub bind: Vec<Bind>,
    /// Row Q `session_request_headers`: facts for the upstream.
    pub request_headers: Vec<SessionFact>,
    /// Row Q `session_response_headers`: facts for the client.
    pub response_headers: Vec<SessionFact>,
    /// Row Q `session_enforce_same_subject`, default false: parts of other subjects leave the cookie.
    pub enforce_same_subject: bool,
}

/// Times in seconds; 0 is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Row Q `session_rolling_timeout`, default 3600: until it must be renewed.
    pub rolling: u64,
    /// Row Q `session_idling_timeout`, default 900: without any use.
    pub idling: u64,
    /// Row Q `session_absolute_timeout`, default 86,400: since the login.
    pub absolute: u64,
}

/// `SameSite` of a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// No attribute: the browser's own default.
    Default,
    /// Sent with navigations from elsewhere.
    Lax,
    /// Sent with everything.
    None,
    /// Sent from our own site only.
    Strict,
}

/// What a session can be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bind {
    /// The client's address.
    Ip,
    /// `http` or `https`.
    Scheme,
    /// The User-Agent header.
    UserAgent,
}

/// A fact of a session, for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kong's and explain themselves")]
pub enum SessionFact {
    AbsoluteTimeout,
    Audience,
    Id,
    IdlingTimeout,
    RollingTimeout,
    Subject,
    Timeout,
}

const SAME_SITES: [(&str, SameSite); 4] = [
    ("Default", SameSite::Default),
    ("Lax", SameSite::Lax),
    ("None", SameSite::None),
    ("Strict", SameSite::Strict),
];

const BINDS: [(&str, Bind); 3] = [
    ("ip", Bind::Ip),
    ("scheme", Bind::Scheme),
    ("user-agent", Bind::UserAgent),
];

const FACTS: [(&str, SessionFact); 7] = [
    ("absolute-timeout", SessionFact::AbsoluteTimeout),
    ("audience", SessionFact::Audience),
    ("id", SessionFact::Id),
    ("idling-timeout", SessionFact::IdlingTimeout),
    ("rolling-timeout", SessionFact::RollingTimeout),
    ("subject", SessionFact::Subject),
    ("timeout", SessionFact::Timeout),
];

impl SameSite {
    /// The attribute's value; `None`: no attribute.
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            SameSite::Default => None,
            SameSite::Lax => Some("Lax"),
            SameSite::None => Some("None"),
            SameSite::Strict => Some("Strict"),
        }
    }
}

impl SessionFact {
    /// The header's name, in lower case.
    pub fn header_name(self) -> &'static str {
        match self {
            SessionFact::AbsoluteTimeout => "session-absolute-timeout",
            SessionFact::Audience => "session-audience",
            SessionFact::Id => "session-id",
            SessionFact::IdlingTimeout => "session-idling-timeout",
            SessionFact::RollingTimeout => "session-rolling-timeout",
            SessionFact::Subject => "session-subject",
            SessionFact::Timeout => "session-timeout",
        }
    }
}

/// Whether `session_cookie_secure` is there at all. Absent, true and false are three things, and the
/// reader's flags are two.
pub(super) fn secure_is_set(document: &Document) -> bool {
    document
        .members
        .get(SECURE)
        .is_some_and(|value| !value.is_null())
}

impl SessionSettings {
    pub(super) fn read(reader: &mut Reader, secure_is_set: bool) -> SessionSettings {
        storage(reader);
        let (secret, previous_secrets) = secrets(reader);
        let secure = reader.flag(SECURE);
        let settings = SessionSettings {
            disabled_for: several(reader, "disable_session", &methods()),
            secret,
            previous_secrets,
            audience: audience(reader),
            cookie_name: reader
                .checked("session_cookie_name", cookie_name)
                .unwrap_or_default(),
            cookie_path: reader
                .checked("session_cookie_path", cookie_path)
                .unwrap_or_default(),
            cookie_domain: reader.checked("session_cookie_domain", cookie_domain),
            cookie_same_site: reader
                .choice("session_cookie_same_site", &SAME_SITES)
                .unwrap_or(SameSite::Lax),
            cookie_http_only: reader.flag("session_cookie_http_only"),
            cookie_secure: secure_is_set.then_some(secure),
            timeouts: timeouts(reader),
            bind: several(reader, "session_bind", &BINDS),
            request_headers: several(reader, "session_request_headers", &FACTS),
            response_headers: several(reader, "session_response_headers", &FACTS),
            enforce_same_subject: reader.flag("session_enforce_same_subject"),
        };
        settings.check(reader);
        settings
    }

    /// Combinations that browsers reject without a word.
    fn check(&self, reader: &mut Reader) {
        let prefix = |prefix: &str| {
            let start = self.cookie_name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let insecure = self.cookie_secure == Some(false);
        if insecure && self.cookie_same_site == SameSite::None {
            let text = "browsers take `SameSite=None` only with Secure; remove it, or choose another `session_cookie_same_site`";
            reader.error(SECURE, text);
        }
        if insecure && (prefix("__Host-") || prefix("__Secure-")) {
            let text = "browsers take a cookie of this name only with Secure; remove it, or choose another `session_cookie_name`";
            reader.error(SECURE, text);
        }
        if prefix("__Host-") && self.cookie_domain.is_some() {
            let text = "a `__Host-` cookie has no domain; remove it, or choose another `session_cookie_name`";
            reader.error("session_cookie_domain", text);
        }
        if prefix("__Host-") && self.cookie_path != "/" {
            let text = "a `__Host-` cookie has the path `/`; remove it, or choose another `session_cookie_name`";
            reader.error("session_cookie_path", text);
        }
    }
}

fn methods() -> [(&'static str, AuthMethod); 9] {
    AuthMethod::ALL.map(|method| (method.name(), method))
}

/// Only the cookie. The other stores have their say here, so that nobody takes one for the other.
fn storage(reader: &mut Reader) {
    const NAME: &str = "session_storage";
    match reader.text(NAME).as_deref() {
        None | Some("cookie") => {}
        Some("redis") => reader.error(
            NAME,
            "`redis` is not built yet in this version; remove it or leave it at its default `cookie`",
        ),
        Some("memcache" | "memcached") => reader.error(
            NAME,
            "memcached speaks no HTTP and a filter has no other way out; leave it at `cookie`",
        ),
        Some(_) => reader.error(NAME, "unknown value; write `cookie`"),
    }
}

fn secrets(reader: &mut Reader) -> (Option<Secret>, Vec<Secret>) {
    const PREVIOUS: &str = "session_secrets_previous";
    let current = reader.checked("session_secret", secret);
    let previous = reader.list(PREVIOUS, secret);
    if previous.len() > MOST_PREVIOUS {
        reader.error(PREVIOUS, "has more than 8 elements; remove the oldest");
    }
    if !previous.is_empty() && current.is_none() && !reader.failed("session_secret") {
        let text = "needs `session_secret`: the secret that seals now";
        reader.error(PREVIOUS, text);
    }
    (current, previous)
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.len() < SHORTEST_SECRET {
        return Err(
            "is shorter than 16 bytes and can be guessed; write 32 random bytes, as from `openssl rand -base64 32`"
                .to_owned(),
        );
    }
    Ok(Secret::new(text))
}

fn audience(reader: &mut Reader) -> String {
    let audience = reader.text("session_audience").unwrap_or_default();
    let printable = audience.bytes().all(|byte| byte.is_ascii_graphic());
    if (audience.is_empty() || !printable) && !reader.failed("session_audience") {
        let text = "is no name; write letters, digits and hyphens, like `default`";
        reader.error("session_audience", text);
    }
    audience
}

fn timeouts(reader: &mut Reader) -> Timeouts {
    let mut seconds = |name: &str| reader.seconds(name).unwrap_or(0);
    let timeouts = Timeouts {
        rolling: seconds("session_rolling_timeout"),
        idling: seconds("session_idling_timeout"),
        absolute: seconds("session_absolute_timeout"),
    };
    let failed = [
        "session_rolling_timeout",
        "session_idling_timeout",
        "session_absolute_timeout",
    ];
    if timeouts.absolute == 0 && !failed.iter().any(|name| reader.failed(name)) {
        reader.warn(
            "session_absolute_timeout",
            "is off: a session that is used goes on for ever, and so does a stolen one",
        );
    }
    timeouts
}

/// Several of several texts, each once, in the order of `options`. None is a value, too.
fn several<T: Copy>(reader: &mut Reader, name: &str, options: &[(&str, T)]) -> Vec<T> {
    let named = reader.list(name, |text| {
        let found = options.iter().position(|(option, _)| *option == text);
        found.ok_or_else(|| one_of(options))
    });
    let all = options.iter().enumerate();
    all.filter(|(position, _)| named.contains(position))
        .map(|(_, (_, value))| *value)
        .collect()
}

/// `path-value` of RFC 6265 section 4.1.1.
fn cookie_path(text: &str) -> Result<String, String> {
    let legal = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
    if text.starts_with('/') && text.len() <= 1024 && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("is not a cookie's path; write one that begins with `/`, without `;`".to_owned())
    }
}

/// A host's name without a port (RFC 6265 section 5.2.3: a point before it means nothing).
fn cookie_domain(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let labels_are_good = name
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(legal));
    if labels_are_good && name.len() <= 253 {
        Ok(name.to_ascii_lowercase())
    } else {
        Err("is not a domain; write one like `example.com`, without scheme and port".to_owned())
    }
}
