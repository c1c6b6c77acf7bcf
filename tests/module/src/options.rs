//! What a host is started with: the module, its configuration, and which host to be like.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::shared::SharedData;

/// The module under test.
#[derive(Clone, Debug)]
pub enum Module {
    /// A compiled file.
    Path(PathBuf),
    /// Its bytes.
    Bytes(Arc<[u8]>),
}

impl From<PathBuf> for Module {
    fn from(path: PathBuf) -> Module {
        Module::Path(path)
    }
}

/// Which host to be like.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Envoy 1.40.
    Envoy(EnvoySwitches),
    /// Kong Gateway 3.9.
    Kong(KongSwitches),
}

impl Mode {
    /// Like Envoy with the settings of the shipped configurations.
    pub fn envoy() -> Mode {
        Mode::Envoy(EnvoySwitches::default())
    }

    /// Like Kong in everything.
    pub fn kong() -> Mode {
        Mode::Kong(KongSwitches::default())
    }

    /// `envoy` or `kong`, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Envoy(_) => "envoy",
            Mode::Kong(_) => "kong",
        }
    }
}

/// What becomes of requests after a trap (Envoy's `failure_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// A new VM at once.
    Reload,
    /// 503 for ever.
    Closed,
    /// The filter is skipped.
    Open,
}

/// Settings and abilities of the Envoy-like host.
#[derive(Clone, Debug)]
pub struct EnvoySwitches {
    /// Whether a pause (1) in the headers callback still lets body callbacks come.
    pub allow_on_headers_stop_iteration: bool,
    /// Whether `source.address` is the direct peer; otherwise the client's X-Forwarded-For decides.
    pub use_remote_address: bool,
    /// Whether the foreign function `verify_signature` exists.
    pub verify_signature: bool,
    /// What a trap leads to.
    pub failure_policy: FailurePolicy,
    /// The most that is buffered for the filter, in bytes; more is answered 413.
    pub buffer_limit: usize,
    /// A stream without progress is answered 503 after this time.
    pub stream_idle_timeout: Duration,
    /// `capability_restriction_config.allowed_capabilities`: imports and exports, all where `None`.
    pub capabilities: Option<Vec<String>>,
}

impl Default for EnvoySwitches {
    fn default() -> Self {
        EnvoySwitches {
            allow_on_headers_stop_iteration: true,
            use_remote_address: true,
            verify_signature: true,
            failure_policy: FailurePolicy::Reload,
            buffer_limit: 1 << 20,
            stream_idle_timeout: Duration::from_secs(300),
            capabilities: None,
        }
    }
}

/// How far the Kong-like host is like Kong. Each is on by default; off is what a filter written for
/// Envoy would expect.
#[derive(Clone, Debug)]
pub struct KongSwitches {
    /// A paused request goes on by itself when its last call ends. Off: only when told to.
    pub auto_resume: bool,
    /// A removed request header is only marked: it still goes upstream. Off: it is gone.
    pub removal_keeps: bool,
    /// CAS 0 does not overwrite, and a CAS on a missing key fails. Off: Envoy's rules.
    pub strict_cas: bool,
    /// Shared data without a zone traps. Off: it is always there.
    pub missing_zone_traps: bool,
    /// Entries of shared data are found by the CRC32 of their key alone. Off: by the key.
    pub crc32_keys: bool,
    /// `random_get` is libc's `random()`. Off: the system's random numbers.
    pub weak_random: bool,
    /// An export is called without a look whether it exists: a missing one kills the worker. Off:
    /// it is skipped.
    pub exports_unchecked: bool,
    /// The body callback comes only in the body phase, and only if there is a body. Off: it comes
    /// for every request, also for one that the headers callback paused.
    pub body_only_in_body_phase: bool,
    /// `proxy_set_effective_context` does nothing: nobody can act on another request. Off: it works.
    pub no_waking: bool,
    /// A refusing `on_configure` leaves the node without the filter. Off: it does not start.
    pub refusing_configure_leaves_no_filter: bool,
    /// Of several Set-Cookie in a local response only the last arrives. Off: all do.
    pub local_headers_collapse: bool,
    /// A newline is appended to the body of a local response. Off: the body is as given.
    pub local_body_newline: bool,
    /// The start offset of a buffer read is ignored. Off: it is honoured.
    pub read_offset_ignored: bool,
    /// What Kong does not implement traps. Off: it answers Unimplemented, or NotFound.
    pub unimplemented_traps: bool,
    /// `ngx.kong_proxy_mode` of the route.
    pub proxy_mode: &'static str,
    /// A longer body lies in a file and cannot be read, in bytes.
    pub body_buffer: usize,
}

impl Default for KongSwitches {
    fn default() -> Self {
        KongSwitches {
            auto_resume: true,
            removal_keeps: true,
            strict_cas: true,
            missing_zone_traps: true,
            crc32_keys: true,
            weak_random: true,
            exports_unchecked: true,
            body_only_in_body_phase: true,
            no_waking: true,
            refusing_configure_leaves_no_filter: true,
            local_headers_collapse: true,
            local_body_newline: true,
            read_offset_ignored: true,
            unimplemented_traps: true,
            proxy_mode: "http",
            // Observed: 8.3 KB could still be read, 20 KB not.
            body_buffer: 10_000,
        }
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    /// A clock that shows `seconds` since 1970.
    pub fn at(seconds: u64) -> FakeClock {
        FakeClock(Arc::new(AtomicU64::new(seconds * 1_000_000_000)))
    }

    /// A clock that shows the present.
    pub fn now() -> FakeClock {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        FakeClock::at(now.as_secs())
    }

    /// Goes on by `time`.
    pub fn advance(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::SeqCst);
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What [`crate::Host::start`] needs.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The module.
    pub wasm: Module,
    /// The configuration that the filter reads.
    pub configuration: String,
    /// Which host to be like.
    pub mode: Mode,
    /// Envoy: where the clusters are.
    pub clusters: BTreeMap<String, SocketAddr>,
    /// Where requests are forwarded to.
    pub upstream: SocketAddr,
    /// The environment that the module sees.
    pub env: BTreeMap<String, String>,
    /// Kong: whether there is a zone for shared data.
    pub shared_zone: bool,
    /// Shared data to use instead of fresh ones: two hosts with the same are two workers of a node.
    pub shared: Arc<SharedData>,
    /// A clock instead of the system's.
    pub clock: Option<FakeClock>,
    /// Makes the random numbers repeatable.
    pub random_seed: Option<u32>,
    /// Further properties, by their dotted names.
    pub properties: BTreeMap<String, Vec<u8>>,
}

impl HostOptions {
    /// A host of `mode` with the module and its configuration, in front of `upstream`.
    pub fn new(
        wasm: impl Into<Module>,
        configuration: impl Into<String>,
        mode: Mode,
        upstream: SocketAddr,
    ) -> HostOptions {
        HostOptions {
            wasm: wasm.into(),
            configuration: configuration.into(),
            mode,
            clusters: BTreeMap::new(),
            upstream,
            env: BTreeMap::new(),
            shared_zone: false,
            shared: Arc::default(),
            clock: None,
            random_seed: None,
            properties: BTreeMap::new(),
        }
    }

    /// Names a cluster (Envoy).
    #[must_use]
    pub fn cluster(mut self, name: &str, address: SocketAddr) -> HostOptions {
        self.clusters.insert(name.to_owned(), address);
        self
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        let now = match &self.clock {
            Some(clock) => clock.nanoseconds(),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)),
        };
        match &self.mode {
            Mode::Envoy(_) => now,
            // Kong reads nginx's cached clock.
            Mode::Kong(_) => now - now % 1_000_000,
        }
    }

    pub(crate) fn kong(&self) -> Option<&KongSwitches> {
        match &self.mode {
            Mode::Kong(switches) => Some(switches),
            Mode::Envoy(_) => None,
        }
    }

    pub(crate) fn envoy(&self) -> Option<&EnvoySwitches> {
        match &self.mode {
            Mode::Envoy(switches) => Some(switches),
            Mode::Kong(_) => None,
        }
    }
}
