//! The filter between a scripted provider and a recording upstream, in either host.

use std::time::Duration;

use module_host::{FakeClock, Host, HostOptions, Mode, filter};
use serde_json::{Value, json};
use support::issuer::{SigningKey, claims, now};
use support::provider::{DISCOVERY, JWKS, Provider};
use support::upstream::Upstream;

use super::wire::{self, Message, request};
use super::{exchange, start};

/// One host with the filter, its provider and its upstream.
pub struct Flow {
    /// The provider.
    pub provider: Provider,
    /// What lies behind the filter.
    pub upstream: Upstream,
    /// The filter's clock.
    pub clock: FakeClock,
    /// The host.
    pub host: Host,
    /// What the clock showed first, in seconds: when all tokens are made.
    began: u64,
}

impl Flow {
    /// With the provider's own configuration.
    pub fn new(mode: Mode) -> Flow {
        Flow::with(mode, &json!({}))
    }

    /// With `members` over the provider's configuration.
    pub fn with(mode: Mode, members: &Value) -> Flow {
        Flow::build(mode, members, |options| options)
    }

    /// With `change` to the options of the host.
    pub fn build(
        mode: Mode,
        members: &Value,
        change: impl FnOnce(HostOptions) -> HostOptions,
    ) -> Flow {
        let config = |provider: &Provider| {
            let mut config = provider.config();
            for (name, value) in members.as_object().into_iter().flatten() {
                config[name] = value.clone();
            }
            config
        };
        Flow::exactly(mode, config, change)
    }

    /// With this configuration and no more.
    pub fn exactly(
        mode: Mode,
        config: impl FnOnce(&Provider) -> Value,
        change: impl FnOnce(HostOptions) -> HostOptions,
    ) -> Flow {
        let (provider, upstream, began) = (Provider::start(), Upstream::start(), now());
        let clock = FakeClock::at(began);
        let text = config(&provider).to_string();
        let mut options = HostOptions::new(filter(), text, mode, upstream.address())
            .cluster("provider", provider.address());
        options.clock = Some(clock.clone());
        let host = start(change(options));
        Flow {
            provider,
            upstream,
            clock,
            host,
            began,
        }
    }

    /// A token for alex.
    pub fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    /// A token of the provider with these claims over alex's.
    pub fn token_with(&self, members: &Value) -> String {
        self.sign(SigningKey::shared(), members)
    }

    /// The same under a key of one's own.
    pub fn sign(&self, key: &SigningKey, members: &Value) -> String {
        let mut claims = claims(&self.provider.issuer());
        // The filter's clock stands still while this machine's goes on.
        claims["iat"] = self.began.into();
        claims["exp"] = (self.began + 300).into();
        for (name, value) in members.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        key.token(&claims)
    }

    /// GET with alex's token.
    pub fn get(&self, target: &str) -> Message {
        self.get_with(target, &self.token(), &[])
    }

    /// GET with this token and further headers.
    pub fn get_with(&self, target: &str, token: &str, headers: &[(&str, &str)]) -> Message {
        exchange(
            &self.host,
            &self.request("GET", target, token, headers, b""),
        )
    }

    /// POST with alex's token.
    pub fn post(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
        exchange(
            &self.host,
            &self.request("POST", target, &self.token(), headers, body),
        )
    }

    /// The bytes of a request with this token.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        request(method, target, &all, body)
    }

    /// Fetches the keys, so that the next request finds them.
    pub fn warm(&self) {
        assert_eq!(self.get("/warm").status(), 200, "{}", self.log());
        let _ = self.upstream.take();
    }

    /// How often discovery document and keys were fetched.
    pub fn fetches(&self) -> (usize, usize) {
        (self.provider.calls(DISCOVERY), self.provider.calls(JWKS))
    }

    /// The host's log as one text.
    pub fn log(&self) -> String {
        self.host.record().logs().join("\n")
    }

    /// Asserts that nothing reached the upstream, and that nothing went wrong in the module.
    pub fn assert_untouched(&self) {
        let seen = self.upstream.take();
        assert!(seen.is_empty(), "reached the upstream: {seen:?}");
        self.assert_sound();
    }

    /// Asserts that the module neither trapped nor took the worker with it.
    pub fn assert_sound(&self) {
        let record = self.host.record();
        let (traps, crashes) = (record.traps(), record.crashes());
        assert!(
            traps.is_empty() && crashes.is_empty(),
            "{traps:?} {crashes:?}"
        );
    }

    /// Sends a request whose decision waits for the provider, and asserts that nothing goes on
    /// meanwhile. The provider has to hold the discovery document.
    pub fn begin_held(&self, bytes: &[u8]) -> std::net::TcpStream {
        let connection = super::open(&self.host, bytes);
        self.provider.wait_for_calls(DISCOVERY, 1);
        connection
    }
}

/// A sign of life that is no answer: nothing comes on the connection for a while.
pub fn hangs(connection: &mut std::net::TcpStream) -> bool {
    wire::stays_silent(connection, super::QUIET)
}

/// The answer on a connection, which has to come.
pub fn answer(connection: &mut std::net::TcpStream) -> Message {
    let patient = connection.set_read_timeout(Some(wire::PATIENCE));
    patient.expect("a timeout can be set");
    wire::read_message(connection).expect("an answer")
}

/// Both hosts, with the settings of the shipped configurations.
pub fn both() -> [Mode; 2] {
    [Mode::envoy(), Mode::kong()]
}

/// A time limit for the provider that a test can wait for.
pub const SHORT: Duration = Duration::from_millis(300);
