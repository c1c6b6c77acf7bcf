//! Sessions: the cookie, the times, the secret.

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

pub(super) const SAME_SITES: [(&str, SameSite); 4] = [
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

impl SessionSettings {
    pub(super) fn read(reader: &mut Reader) -> SessionSettings {
        storage(reader);
        let (secret, previous_secrets) = secrets(reader);
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
            cookie_secure: reader.flag_if_set(SECURE),
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
pub(super) fn several<T: Copy>(reader: &mut Reader, name: &str, options: &[(&str, T)]) -> Vec<T> {
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
pub(super) fn cookie_path(text: &str) -> Result<String, String> {
    let legal = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
    if text.starts_with('/') && text.len() <= 1024 && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("is not a cookie's path; write one that begins with `/`, without `;`".to_owned())
    }
}

/// A host's name without a port (RFC 6265 section 5.2.3: a point before it means nothing).
pub(super) fn cookie_domain(text: &str) -> Result<String, String> {
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

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use serde_json::{Value, json};

    use super::super::document::Document;
    use super::*;

    /// The reader alone, as if every row were honoured.
    fn read(members: Value) -> (Option<SessionSettings>, Vec<String>) {
        let Value::Object(members) = members else {
            panic!("an object");
        };
        let document = Document {
            members,
            routes: serde_json::Value::Null,
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        let mut reader = Reader::new(document);
        let settings = SessionSettings::read(&mut reader);
        match reader.finish(Some(settings)) {
            Ok((settings, warnings)) => (
                Some(settings),
                warnings.iter().map(ToString::to_string).collect(),
            ),
            Err(errors) => (None, errors.iter().map(ToString::to_string).collect()),
        }
    }

    fn good(members: Value) -> SessionSettings {
        match read(members) {
            (Some(settings), _) => settings,
            (None, errors) => panic!("{errors:?}"),
        }
    }

    fn refused(members: Value, name: &str, text: &str) {
        let shown = members.to_string();
        let (settings, errors) = read(members);
        assert_eq!(settings, None, "{shown}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        let of_it = |error: &String| error.contains(&format!("config.{name}"));
        assert!(errors.iter().all(of_it), "{errors:?}");
        assert!(
            errors.iter().all(|error| error.contains(text)),
            "{errors:?}"
        );
    }

    #[test]
    fn the_defaults_are_kongs() {
        let settings = good(json!({}));
        let expected = SessionSettings {
            disabled_for: Vec::new(),
            secret: None,
            previous_secrets: Vec::new(),
            audience: "default".to_owned(),
            cookie_name: "session".to_owned(),
            cookie_path: "/".to_owned(),
            cookie_domain: None,
            cookie_same_site: SameSite::Lax,
            cookie_http_only: true,
            cookie_secure: None,
            timeouts: Timeouts {
                rolling: 3600,
                idling: 900,
                absolute: 86_400,
            },
            bind: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            enforce_same_subject: false,
        };
        assert_eq!(settings, expected);
        assert_eq!(
            read(json!({})).1,
            Vec::<String>::new(),
            "and warn of nothing"
        );
    }

    #[test]
    fn everything_set() {
        let settings = good(json!({
            "disable_session": ["bearer", "session"], "session_secret": "a secret of 16 b",
            "session_secrets_previous": ["another one, also long"], "session_storage": "cookie",
            "session_audience": "app", "session_cookie_name": "__Secure-s", "session_cookie_path": "/app",
            "session_cookie_domain": ".Example.com", "session_cookie_same_site": "Strict",
            "session_cookie_http_only": false, "session_cookie_secure": true, "session_rolling_timeout": 0,
            "session_idling_timeout": 60.0, "session_absolute_timeout": 7200,
            "session_bind": ["user-agent", "ip", "ip"], "session_request_headers": ["id"],
            "session_response_headers": ["timeout", "audience"], "session_enforce_same_subject": true,
        }));
        assert_eq!(
            settings.disabled_for,
            [AuthMethod::Session, AuthMethod::Bearer]
        );
        assert_eq!(settings.secret, Some(Secret::new("a secret of 16 b")));
        assert_eq!(settings.previous_secrets.len(), 1);
        assert_eq!(settings.cookie_domain.as_deref(), Some("example.com"));
        assert_eq!(settings.cookie_same_site, SameSite::Strict);
        assert!(!settings.cookie_http_only, "T11: what is configured");
        assert_eq!(settings.cookie_secure, Some(true));
        assert_eq!(settings.timeouts.idling, 60);
        assert_eq!(settings.bind, [Bind::Ip, Bind::UserAgent]);
        assert_eq!(settings.request_headers, [SessionFact::Id]);
        assert_eq!(
            settings.response_headers,
            [SessionFact::Audience, SessionFact::Timeout]
        );
        assert!(settings.enforce_same_subject);
        assert!(!format!("{settings:?}").contains("16 b"));
    }

    #[test]
    fn secure_has_three_states() {
        let secure = |value: Value| good(json!({ "session_cookie_secure": value })).cookie_secure;
        assert_eq!(secure(Value::Null), None);
        assert_eq!(secure(json!(false)), Some(false));
        assert_eq!(secure(json!(true)), Some(true));
        refused(
            json!({ "session_cookie_secure": "yes" }),
            "session_cookie_secure",
            "true or false",
        );
    }

    #[test]
    fn weak_secrets_are_refused_and_not_shown() {
        refused(
            json!({ "session_secret": "fifteen bytes.." }),
            "session_secret",
            "shorter than 16 bytes",
        );
        assert!(
            read(json!({ "session_secret": "hush" }))
                .1
                .iter()
                .all(|error| !error.contains("hush"))
        );
        refused(
            json!({ "session_secret": "a secret of 16 b", "session_secrets_previous": ["short"] }),
            "session_secrets_previous[0]",
            "shorter than 16 bytes",
        );
        refused(
            json!({ "session_secrets_previous": ["a secret of 16 b"] }),
            "session_secrets_previous",
            "needs `session_secret`",
        );
        let many = vec!["a secret of 16 b"; 9];
        refused(
            json!({ "session_secret": "a secret of 16 b", "session_secrets_previous": many }),
            "session_secrets_previous",
            "more than 8",
        );
    }

    #[test]
    fn what_browsers_reject_is_refused() {
        refused(
            json!({ "session_cookie_same_site": "None", "session_cookie_secure": false }),
            "session_cookie_secure",
            "SameSite=None",
        );
        good(json!({ "session_cookie_same_site": "None" }));
        refused(
            json!({ "session_cookie_name": "__secure-s", "session_cookie_secure": false }),
            "session_cookie_secure",
            "of this name",
        );
        refused(
            json!({ "session_cookie_name": "__Host-s", "session_cookie_domain": "example.com" }),
            "session_cookie_domain",
            "`__Host-`",
        );
        refused(
            json!({ "session_cookie_name": "__Host-s", "session_cookie_path": "/app" }),
            "session_cookie_path",
            "`__Host-`",
        );
        good(json!({ "session_cookie_name": "__Host-s", "session_cookie_secure": true }));
    }

    #[test]
    fn values_that_break_a_cookie_are_refused() {
        refused(
            json!({ "session_cookie_name": "a b" }),
            "session_cookie_name",
            "cookie's name",
        );
        for path in ["app", "", "/a;b", "/a\nb"] {
            refused(
                json!({ "session_cookie_path": path }),
                "session_cookie_path",
                "begins with `/`",
            );
        }
        for domain in ["", ".", "a..b", "example.com:80", "https://a", "a b", "a;b"] {
            refused(
                json!({ "session_cookie_domain": domain }),
                "session_cookie_domain",
                "not a domain",
            );
        }
        for audience in ["", "a b"] {
            refused(
                json!({ "session_audience": audience }),
                "session_audience",
                "is no name",
            );
        }
        refused(
            json!({ "session_cookie_same_site": "lax" }),
            "session_cookie_same_site",
            "`Lax`",
        );
        refused(
            json!({ "session_bind": ["port"] }),
            "session_bind[0]",
            "`user-agent`",
        );
    }

    #[test]
    fn only_the_cookie_is_a_store() {
        refused(
            json!({ "session_storage": "redis" }),
            "session_storage",
            "not built yet",
        );
        refused(
            json!({ "session_storage": "memcached" }),
            "session_storage",
            "no HTTP",
        );
        refused(
            json!({ "session_storage": "memcache" }),
            "session_storage",
            "no HTTP",
        );
        refused(
            json!({ "session_storage": "disk" }),
            "session_storage",
            "unknown value",
        );
    }

    #[test]
    fn a_session_for_ever_is_warned_of() {
        let (settings, warnings) = read(json!({ "session_absolute_timeout": 0 }));
        assert!(settings.is_some());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
