//! The one door between the product and the world outside it.
//!
//! Everything a flow wants from outside (the clock, random numbers, a provider's answer, another
//! worker's data) comes through [`Host`]. The glue in `proxy/` implements it over Proxy-Wasm, the
//! simulated world of the tests implements it over a seed; a third host would be one more
//! implementation and nothing else.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;

use crate::config::AuthMethod;
use crate::http::{Answer, Call, Request};

/// A future of the single thread that a worker is.
pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// What the product may ask of the proxy it runs in.
pub trait Host {
    /// The wall clock. Read anew for every decision: a cached clock would stretch a token's life.
    fn now(&self) -> Time;

    /// Fills `out` with random bytes. On a host whose numbers are predictable (Kong) this fails, and
    /// who needs a secret number derives it from the configured secret instead.
    fn random(&self, out: &mut [u8]) -> Result<(), NoRandomness>;

    /// Sends a request to a provider and waits for its answer: my own callout.
    fn call(&self, call: Call) -> Task<Result<Answer, CallError>>;

    /// Waits for the flight named `key`, starting it with `start` if nobody flies it yet.
    ///
    /// Where the host can wake one request from another's callback (Envoy), the flight belongs to
    /// the root: it outlives the request that began it. Elsewhere (Kong) each request flies its own.
    /// A flight leaves its result where its owner looks for it, hence no value here; a joiner looks
    /// again when this returns.
    fn join(&self, key: &str, start: &mut dyn FnMut(Rc<dyn Host>) -> Task<()>) -> Task<()>;

    /// Runs `job` for the root on its next tick, on no request's account. Only where
    /// [`Abilities::shares_flights`]; a job may be dropped unrun when its root ends first.
    fn background(&self, job: Box<dyn FnOnce(Rc<dyn Host>) -> Task<()>>);

    /// The request's body, read to its end. On Envoy only before the request's first `call`.
    fn body(&self) -> Task<Result<Vec<u8>, BodyError>>;

    /// A value that all workers of this virtual machine share, with its compare-and-swap mark.
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Writes a shared value if its mark is still `cas` (`None`: if there was none).
    fn shared_set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), SharedError>;

    /// Verifies a signature with the host's own cryptography, where it has one that passed a
    /// known-answer probe. `None`: verify in the module.
    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Option<bool>;

    /// A text that differs from request to request and that strangers do not know, where the host has one:
    /// it stands in for random numbers that are predictable.
    fn request_mark(&self) -> String;

    /// How the client reached us. Each look costs host calls: ask where a rule needs it.
    fn connection(&self, request: &Request) -> Connection;

    /// The id of Kong's service that this request is for. `None`: the host is not Kong, or there is no such.
    fn service_id(&self) -> Option<String>;

    /// What this host can and cannot do, where the product has to know.
    fn abilities(&self) -> Abilities;

    /// Whether lines of this level are written at all, so that no text is built in vain.
    fn logs(&self, level: Level) -> bool;

    /// Writes one line to the host's log. Never a token, never a secret.
    fn log(&self, level: Level, line: &str);

    /// Adds one to a counter.
    fn count(&self, counter: Counter);

    /// Adds one to a counter of a series.
    fn tally(&self, series: Series);
}

/// Sends a request to a provider, and counts how it ended.
pub async fn call(host: &dyn Host, endpoint: Endpoint, call: Call) -> Result<Answer, CallError> {
    let answer = host.call(call).await;
    let outcome = match &answer {
        Ok(answer) if (200..300).contains(&answer.status) => "ok",
        Ok(answer) if answer.status < 500 => "refused",
        Ok(_) => "failed",
        Err(CallError::NotSent(_)) => "not_sent",
        Err(CallError::NoAnswer(_)) => "no_answer",
        Err(CallError::TimedOut) => "timed_out",
    };
    host.tally(Series::Calls(endpoint, outcome));
    answer
}

/// An endpoint of a provider, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names explain themselves")]
pub enum Endpoint {
    Discovery,
    Jwks,
    Token,
    Introspection,
    Userinfo,
    KongAdmin,
}

impl Endpoint {
    fn name(self) -> &'static str {
        match self {
            Endpoint::Discovery => "discovery",
            Endpoint::Jwks => "jwks",
            Endpoint::Token => "token",
            Endpoint::Introspection => "introspection",
            Endpoint::Userinfo => "userinfo",
            Endpoint::KongAdmin => "kong_admin",
        }
    }
}

/// Counters with parts in their names. Each is made when it is first needed; all parts are ours, so there are
/// no more of them than we wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Series {
    /// What became of requests, by way in and code.
    Results(Option<AuthMethod>, &'static str),
    /// How calls ended, by endpoint and outcome.
    Calls(Endpoint, &'static str),
}

impl Series {
    /// The metric's name, without the host's prefix.
    pub fn name(self) -> String {
        match self {
            Series::Results(method, code) => {
                format!(
                    "oidc.result.{}.{code}",
                    method.map_or("none", AuthMethod::name)
                )
            }
            Series::Calls(endpoint, outcome) => format!("oidc.call.{}.{outcome}", endpoint.name()),
        }
    }
}

/// Where hosts differ in what reaches the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// A removed request header is really gone, all copies of it. Kong only overwrites one copy.
    pub removes_headers: bool,
    /// One request can wait for what another began, and the tick can call providers. On Kong nothing
    /// wakes another request, and a call from the tick uses another resolver than one from a request.
    pub shares_flights: bool,
}

/// How the client reached us, by the word of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port as the client wrote them; none where it wrote none.
    pub authority: Option<String>,
    /// The direct peer. None where the host names somebody else, as Envoy does without
    /// `use_remote_address`: that one is of the client's choosing.
    pub peer: Option<IpAddr>,
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Whole seconds since the Unix epoch: the unit of every claim (RFC 7519 section 2, NumericDate).
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Later than any moment.
    pub const END: Time = Time(u64::MAX);

    /// The moment so many seconds after the Unix epoch.
    pub fn of_seconds(seconds: u64) -> Time {
        Time(0).plus_seconds(seconds)
    }

    /// Milliseconds since `earlier`; 0 where the clock was set back.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `seconds` more.
    pub fn plus_seconds(self, seconds: u64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(1000)))
    }
}

/// The host's random numbers are not fit for secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

/// Why a provider gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The host refused to send: no such cluster, no endpoint, circuit breaker.
    NotSent(String),
    /// No usable answer came: connection refused, reset, cut off. A pooled connection that the
    /// provider had closed looks like this, so a GET may be tried once more.
    NoAnswer(String),
    /// The provider did not answer in time.
    TimedOut,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NotSent(why) => write!(f, "not sent: {why}"),
            CallError::NoAnswer(why) => write!(f, "no answer: {why}"),
            CallError::TimedOut => f.write_str("timed out"),
        }
    }
}

/// Why a request's body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than we read (64 KiB).
    TooLarge,
    /// The host never delivers bodies, or spilled it to a file.
    Unavailable,
    /// Asked for after a callout: an error of ours, refused rather than hung.
    TooLate,
}

/// Why a shared value was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError {
    /// Somebody else wrote first.
    Changed,
    /// This host has no shared data, or no room in it.
    Unavailable,
}

/// A question for the host's cryptography.
#[derive(Clone, Copy)]
pub struct SignatureCheck<'a> {
    /// `sha256`, `sha384` or `sha512`.
    pub hash: &'a str,
    /// SubjectPublicKeyInfo in DER (RFC 5280 section 4.1).
    pub spki: &'a [u8],
    /// PKCS#1 v1.5, or ECDSA in DER (not the `r || s` of JWS).
    pub signature: &'a [u8],
    /// The signed bytes.
    pub message: &'a [u8],
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For somebody who debugs one request.
    Debug,
    /// Normal life: start, refusals.
    Info,
    /// Works, but the operator should look.
    Warn,
    /// Does not work.
    Error,
}

/// What is counted. The names are the metrics' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each is explained by its name in `Counter::name`"
)]
pub enum Counter {
    Forwarded,
    Unauthorized,
    Forbidden,
    Unexpected,
    VerifiedByHost,
    VerifiedInModule,
    VerdictHit,
    VerdictMiss,
    DiscoveryFetched,
    JwksFetched,
    FetchFailed,
    CallRetried,
    StrayAnswer,
    SessionHit,
    SessionOpened,
    LoginStarted,
    LoggedIn,
    LoggedOut,
    Refreshed,
    Granted,
    Introspected,
    UserinfoAsked,
    KongAdminAsked,
}

impl Counter {
    /// All counters, in the order of their definition.
    pub const ALL: [Counter; 23] = [
        Counter::Forwarded,
        Counter::Unauthorized,
        Counter::Forbidden,
        Counter::Unexpected,
        Counter::VerifiedByHost,
        Counter::VerifiedInModule,
        Counter::VerdictHit,
        Counter::VerdictMiss,
        Counter::DiscoveryFetched,
        Counter::JwksFetched,
        Counter::FetchFailed,
        Counter::CallRetried,
        Counter::StrayAnswer,
        Counter::SessionHit,
        Counter::SessionOpened,
        Counter::LoginStarted,
        Counter::LoggedIn,
        Counter::LoggedOut,
        Counter::Refreshed,
        Counter::Granted,
        Counter::Introspected,
        Counter::UserinfoAsked,
        Counter::KongAdminAsked,
    ];

    /// The metric's name, without the host's prefix.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Forwarded => "oidc.requests.forwarded",
            Counter::Unauthorized => "oidc.requests.unauthorized",
            Counter::Forbidden => "oidc.requests.forbidden",
            Counter::Unexpected => "oidc.requests.unexpected",
            Counter::VerifiedByHost => "oidc.signatures.verified_by_host",
            Counter::VerifiedInModule => "oidc.signatures.verified_in_module",
            Counter::VerdictHit => "oidc.verdicts.hit",
            Counter::VerdictMiss => "oidc.verdicts.miss",
            Counter::DiscoveryFetched => "oidc.provider.discovery_fetched",
            Counter::JwksFetched => "oidc.provider.jwks_fetched",
            Counter::FetchFailed => "oidc.provider.fetch_failed",
            Counter::CallRetried => "oidc.calls.retried",
            Counter::StrayAnswer => "oidc.calls.stray_answer",
            Counter::SessionHit => "oidc.sessions.hit",
            Counter::SessionOpened => "oidc.sessions.opened",
            Counter::LoginStarted => "oidc.logins.started",
            Counter::LoggedIn => "oidc.logins.done",
            Counter::LoggedOut => "oidc.logouts.done",
            Counter::Refreshed => "oidc.sessions.refreshed",
            Counter::Granted => "oidc.grants.used",
            Counter::Introspected => "oidc.introspection.asked",
            Counter::UserinfoAsked => "oidc.userinfo.asked",
            Counter::KongAdminAsked => "oidc.kong_admin.asked",
        }
    }
}
