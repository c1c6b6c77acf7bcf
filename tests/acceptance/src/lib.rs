//! A gateway under test: a real Envoy with the filter, and an API behind it that remembers what it got.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::browser::{Browser, Page};
use support::demo::{Ports, SESSION_SECRET, adapted, example};
use support::envoy::{Envoy, EnvoyOptions};
use support::keycloak::Keycloak;
use support::provider::Provider;
use support::raw::{self, Answer};
use support::upstream::{Seen, Upstream};

pub mod clients;

/// Envoy with the filter, and the API behind it.
pub struct Gateway {
    /// Two workers, unless the test changed that.
    pub envoy: Envoy,
    /// The API.
    pub upstream: Upstream,
    /// Whether a trap of the filter is part of the test.
    pub traps: bool,
}

impl Gateway {
    /// A gateway for this provider, with these members added to [`Provider::config`].
    #[must_use]
    pub fn before(provider: &Provider, members: Value) -> Self {
        Self::with(provider, members, |_| {})
    }

    /// The same, with a change to what is in Envoy.
    #[must_use]
    pub fn with(
        provider: &Provider,
        members: Value,
        change: impl FnOnce(&mut EnvoyOptions),
    ) -> Self {
        let config = merged(provider.config(), members);
        Self::of(config, provider.address(), change)
    }

    /// A gateway for logins at this provider, with these members added to [`Provider::login_config`].
    #[must_use]
    pub fn for_logins(provider: &Provider, members: Value) -> Self {
        Self::for_logins_with(provider, members, |_| {})
    }

    /// The same, with a change to what is in Envoy.
    #[must_use]
    pub fn for_logins_with(
        provider: &Provider,
        members: Value,
        change: impl FnOnce(&mut EnvoyOptions),
    ) -> Self {
        let config = merged(provider.login_config(), members);
        Self::of(config, provider.address(), change)
    }

    /// A gateway with this configuration, for a provider that is the cluster `provider`.
    #[must_use]
    pub fn of(config: Value, provider: SocketAddr, change: impl FnOnce(&mut EnvoyOptions)) -> Self {
        let upstream = Upstream::start();
        let mut options =
            EnvoyOptions::new(config, upstream.address()).cluster("provider", provider);
        change(&mut options);
        let envoy = Envoy::start(options);
        Self {
            envoy,
            upstream,
            traps: false,
        }
    }

    /// The example of this flow, `envoy/<flow>.yaml`, as it is but for its ports, before Keycloak's realm of the demo.
    /// Its cluster of the provider is `keycloak`.
    ///
    /// # Panics
    /// When Envoy does not start with it.
    #[must_use]
    pub fn shipped(flow: &str, concurrency: u32) -> Self {
        let upstream = Upstream::start();
        let ports = Ports {
            keycloak: Keycloak::shared().address().port(),
            website: upstream.address().port(),
            ..Ports::free()
        };
        let bootstrap = adapted(&example(flow), ports).expect("an example");
        let secret = [(SESSION_SECRET, "a-secret-of-more-than-sixteen-bytes")];
        let started =
            Envoy::from_bootstrap_of(&bootstrap, ports.gateway, ports.admin, &secret, concurrency);
        Self {
            envoy: started.unwrap_or_else(|error| panic!("{flow}: {error}")),
            upstream,
            traps: false,
        }
    }

    /// Where the first listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.envoy.address()
    }

    /// The address of a path and query here.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address())
    }

    /// A browser logs in and gets to the page it wanted; gives the request as it arrived.
    ///
    /// # Panics
    /// When it does not.
    pub fn enter(&self, browser: &mut Browser, target: &str) -> Seen {
        let page = browser.log_in(&self.url(target));
        let seen = self.forwarded(&page.answer);
        assert_eq!(page.url.as_str(), self.url(target));
        seen
    }

    /// A browser follows the way of a login up to the callback, but not further: gives the provider's last page.
    ///
    /// # Panics
    /// When the browser is not sent to the provider.
    pub fn until_callback(&self, browser: &mut Browser, target: &str) -> Page {
        let page = browser.get(&self.url(target));
        let place = page.location().expect("a redirect to the provider");
        browser.get(place.as_str())
    }

    /// A browser gets this page at once; gives the request as it arrived.
    ///
    /// # Panics
    /// When it does not.
    pub fn shows(&self, browser: &mut Browser, target: &str) -> Seen {
        let page = browser.get(&self.url(target));
        self.forwarded(&page.answer)
    }

    /// This page is a redirect to a login, and brings no session.
    ///
    /// # Panics
    /// When it is not, or the upstream got something.
    pub fn asks_to_log_in(&self, page: &Page) {
        self.answered(&page.answer, 302);
        assert!(page.parameter("state").is_some(), "{page:?}");
        assert!(page.parameter("client_id").is_some(), "{page:?}");
        assert_eq!(session_cookies(&page.answer), Vec::<String>::new());
    }

    /// GET with these headers, on a connection of its own.
    #[must_use]
    pub fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        raw::get(self.address(), target, headers)
    }

    /// POST of this body, on a connection of its own.
    #[must_use]
    pub fn post(&self, target: &str, kind: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let length = body.len().to_string();
        let mut all = vec![
            ("content-type", kind.as_bytes()),
            ("content-length", length.as_bytes()),
            ("connection", b"close"),
        ];
        let more = headers.iter();
        all.extend(more.map(|(name, value)| (*name, value.as_bytes())));
        let mut bytes = raw::head_of("POST", target, &all);
        bytes.extend_from_slice(body.as_bytes());
        raw::send(self.address(), &bytes)
    }

    /// A request without a body, with these bytes as values of headers.
    #[must_use]
    pub fn send(&self, method: &str, headers: &[(&str, &[u8])]) -> Answer {
        raw::send(self.address(), &raw::request(method, "/hello", headers))
    }

    /// GET with this bearer token, on a connection of its own.
    #[must_use]
    pub fn get_with_token(&self, token: &str) -> Answer {
        raw::get_with_token(self.address(), "/hello", token)
    }

    /// A request with this token goes through, as one of alex; gives it as it arrived.
    ///
    /// # Panics
    /// When it does not.
    pub fn admits(&self, token: &str) -> Seen {
        let answer = self.get_with_token(token);
        self.forwarded(&answer)
    }

    /// A request with this token is answered 401, and nothing of it reaches the upstream.
    ///
    /// # Panics
    /// When it is not, or it does.
    pub fn refuses(&self, token: &str) -> Answer {
        let answer = self.get_with_token(token);
        self.answered(&answer, 401);
        answer
    }

    /// This was the answer to the only request since the last look, which went through as one of alex: only the filter
    /// says so to the upstream.
    ///
    /// # Panics
    /// When it did not.
    pub fn forwarded(&self, answer: &Answer) -> Seen {
        self.forwarded_as(answer, "alex")
    }

    /// The same for somebody else.
    ///
    /// # Panics
    /// When it did not.
    pub fn forwarded_as(&self, answer: &Answer, user: &str) -> Seen {
        assert_eq!(
            answer.status,
            200,
            "{}\n{}",
            answer.text(),
            self.last_lines()
        );
        let seen = self.upstream.take_one();
        assert_eq!(seen.header("x-user").as_deref(), Some(user), "{seen:?}");
        seen
    }

    /// The filter answered this by itself: the upstream got nothing since the last look.
    ///
    /// # Panics
    /// When the status is another one, or the upstream got something.
    pub fn answered(&self, answer: &Answer, status: u16) {
        assert_eq!(
            answer.status,
            status,
            "{}\n{}",
            answer.text(),
            self.last_lines()
        );
        let seen = self.upstream.take();
        assert!(seen.is_empty(), "reached the upstream: {seen:?}");
    }

    /// The lines that the filter has logged so far.
    #[must_use]
    pub fn filter_log(&self) -> String {
        let log = self.envoy.logs();
        let lines = log.lines().filter(|line| line.contains("oidc-filter"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The end of that, for messages.
    fn last_lines(&self) -> String {
        let log = self.filter_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// One of the filter's counters, such as `signatures.verified_by_host`, once all requests so far are counted: each
    /// worker writes its counts every second.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let read = |name: &str| {
            self.envoy
                .stat(&format!("wasmcustom.oidc.{name}"))
                .unwrap_or(0)
        };
        eventually("all requests are counted", || {
            let outcomes = ["forwarded", "unauthorized", "forbidden", "unexpected"];
            let counted: u64 = outcomes
                .iter()
                .map(|outcome| read(&format!("requests.{outcome}")))
                .sum();
            self.envoy.stat("http.gateway.downstream_rq_total") == Some(counted)
        });
        read(name)
    }

    /// How many connections each worker has taken so far at the first listener.
    #[must_use]
    pub fn connections(&self) -> Vec<u64> {
        self.connections_at(self.address().port())
    }

    /// The same at the listener on this port.
    #[must_use]
    pub fn connections_at(&self, port: u16) -> Vec<u64> {
        (0..self.envoy.options().concurrency)
            .map(|worker| {
                let name = format!("listener.127.0.0.1_{port}.worker_{worker}.downstream_cx_total");
                self.envoy.stat(&name).unwrap_or(0)
            })
            .collect()
    }

    /// Repeats an action, which opens a connection at least, until every worker has had one of them.
    ///
    /// # Panics
    /// When one worker gets none.
    pub fn on_every_worker(&self, action: impl FnMut()) {
        self.on_every_worker_of(self.address().port(), action);
    }

    /// The same at the listener on this port.
    ///
    /// # Panics
    /// When one worker gets none.
    pub fn on_every_worker_of(&self, port: u16, mut action: impl FnMut()) {
        let before = self.connections_at(port);
        // The kernel deals connections out by their ports: a hundred in a row to one of two workers will not be.
        for _ in 0..100 {
            action();
            let now = self.connections_at(port);
            if before.iter().zip(&now).all(|(before, now)| before < now) {
                return;
            }
        }
        panic!(
            "a worker got no connection: {before:?}, {:?}",
            self.connections_at(port)
        );
    }

    /// Waits until so many requests are under way in Envoy.
    ///
    /// # Panics
    /// When they are not after 10 s.
    pub fn wait_for_active(&self, count: u64) {
        eventually(&format!("{count} requests under way"), || {
            self.envoy.stat("http.gateway.downstream_rq_active") == Some(count)
        });
    }
}

impl Drop for Gateway {
    /// A trap would go unnoticed: the next request gets a new VM. And a call that the list of capabilities lacks only
    /// fails.
    fn drop(&mut self) {
        if std::thread::panicking() || self.traps {
            return;
        }
        let log = self.envoy.logs();
        assert_eq!(
            self.envoy.stat("wasm.oidc.vm_reload"),
            Some(0),
            "the filter trapped: {log}"
        );
        let restricted = log.lines().find(|line| line.contains("restricted"));
        assert_eq!(restricted, None);
    }
}

/// The session cookies that an answer sets, by their names and values.
#[must_use]
pub fn session_cookies(answer: &Answer) -> Vec<String> {
    let cookies = answer.all("set-cookie").into_iter();
    let pairs = cookies.filter_map(|line| line.split(';').next());
    let own = pairs.filter(|pair| pair.starts_with("session") && !pair.ends_with('='));
    own.map(str::to_owned).collect()
}

/// An answer with cookies has each of them once, is kept by nobody, and depends on who asks.
///
/// # Panics
/// When it is otherwise.
pub fn is_private(answer: &Answer) {
    let lines = answer.all("set-cookie").into_iter();
    let mut names: Vec<&str> = lines.filter_map(|line| line.split('=').next()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(count > 0 && names.len() == count, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("vary"), Some("Cookie, Authorization"));
}

/// The members of one object, and those of another that replace or join them.
///
/// # Panics
/// When one of them is no object.
#[must_use]
pub fn merged(mut config: Value, members: Value) -> Value {
    let Value::Object(members) = members else {
        panic!("no object: {members}");
    };
    let config_members = config
        .as_object_mut()
        .expect("a configuration is an object");
    config_members.extend(members);
    config
}

/// Waits until something holds.
///
/// # Panics
/// When it does not after 10 s.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not within 10 s: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The value of `Authorization` for a token.
#[must_use]
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The value of `Authorization` for a name and its secret (RFC 7617).
#[must_use]
pub fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// The token with the last byte of its signature changed to another good letter.
///
/// # Panics
/// When it is empty.
#[must_use]
pub fn tampered(token: &str) -> String {
    // The very last letter holds unused bits, the one before does not.
    let at = token.len() - 2;
    let other = if token.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut token = token.to_owned();
    token.replace_range(at..=at, other);
    token
}

/// The access token, a JWT, that the upstream got.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn token_of(seen: &Seen) -> String {
    let header = seen.header("authorization").expect("a token");
    let token = header.strip_prefix("Bearer ").expect("a bearer token");
    assert_eq!(token.matches('.').count(), 2, "{header}");
    token.to_owned()
}
