//! What the host functions see: the streams, the callback under way, and the node.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use wasmtime::{Memory, TypedFunc};

use crate::headers::{Headers, Pairs};
use crate::options::{HostOptions, KongSwitches};
use crate::random::Random;
use crate::worker::Command;

/// The first root context. A new configuration makes a further one, numbered from [`MORE_ROOTS`] on.
pub const ROOT: u32 = 1;

/// Beyond all requests of a test.
pub const MORE_ROOTS: u32 = 1 << 30;

/// What the outside may read while the host runs.
#[derive(Debug, Default)]
pub struct Record {
    logs: Mutex<Vec<String>>,
    metrics: Mutex<BTreeMap<String, i64>>,
    traps: Mutex<Vec<String>>,
    crashes: Mutex<Vec<String>>,
    filter: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    pub(crate) fn log(&self, level: &str, text: &str) {
        lock(&self.logs).push(format!("[{level}] {text}"));
    }

    pub(crate) fn trap(&self, text: &str) {
        self.log("critical", &format!("trap: {text}"));
        lock(&self.traps).push(text.to_owned());
    }

    pub(crate) fn crash(&self, text: &str) {
        self.log("emerg", &format!("worker died: {text}"));
        lock(&self.crashes).push(text.to_owned());
    }

    pub(crate) fn set_filter(&self, active: bool) {
        *lock(&self.filter) = active;
    }

    pub(crate) fn add_metric(&self, name: &str, by: i64) {
        *lock(&self.metrics).entry(name.to_owned()).or_default() += by;
    }

    pub(crate) fn set_metric(&self, name: &str, value: i64) {
        lock(&self.metrics).insert(name.to_owned(), value);
    }

    /// The log lines so far, `[level] text`.
    pub fn logs(&self) -> Vec<String> {
        lock(&self.logs).clone()
    }

    /// The metrics by name.
    pub fn metrics(&self) -> BTreeMap<String, i64> {
        lock(&self.metrics).clone()
    }

    /// The traps so far.
    pub fn traps(&self) -> Vec<String> {
        lock(&self.traps).clone()
    }

    /// How often, and why, the worker died.
    pub fn crashes(&self) -> Vec<String> {
        lock(&self.crashes).clone()
    }

    /// Whether requests meet the filter at all.
    pub fn filter_active(&self) -> bool {
        *lock(&self.filter)
    }
}

/// Which callback is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// `_initialize`, `proxy_on_vm_start`, `proxy_on_context_create`.
    Start,
    /// `proxy_on_configure`.
    Configure,
    /// `proxy_on_tick`.
    Tick,
    /// `proxy_on_request_headers`.
    RequestHeaders,
    /// `proxy_on_request_body`.
    RequestBody,
    /// `proxy_on_http_call_response`.
    CallResponse,
    /// `proxy_on_response_headers` and `_body`.
    Response,
    /// `proxy_on_log`, `_done`, `_delete`.
    End,
}

impl Callback {
    /// Where Kong lets a filter dispatch.
    pub fn may_dispatch(self) -> bool {
        matches!(
            self,
            Callback::RequestHeaders
                | Callback::RequestBody
                | Callback::CallResponse
                | Callback::Tick
        )
    }

    /// Where Kong lets a filter answer.
    pub fn may_answer(self) -> bool {
        matches!(
            self,
            Callback::RequestHeaders | Callback::RequestBody | Callback::CallResponse
        )
    }
}

/// An answer of the filter to the client.
#[derive(Clone, Debug, Default)]
pub struct LocalResponse {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: Pairs,
    /// Its body.
    pub body: Vec<u8>,
}

/// An answer to a callout.
#[derive(Clone, Debug, Default)]
pub struct CallAnswer {
    /// What the header map shows.
    pub headers: Pairs,
    /// The count that the callback is told.
    pub count: u32,
    /// The size that the callback is told.
    pub size: usize,
    /// The body; `None` where it cannot be read.
    pub body: Option<Vec<u8>>,
}

/// What the worker tells the front about a request.
#[derive(Debug)]
pub enum ToFront {
    /// Send this upstream; pieces of the body follow until the channel closes.
    Forward {
        /// The method.
        method: String,
        /// Path and query.
        path: String,
        /// The headers.
        headers: Pairs,
        /// Another upstream than the usual one.
        target: Option<SocketAddr>,
        /// The body.
        body: tokio::sync::mpsc::UnboundedReceiver<Frame<Bytes>>,
    },
    /// Answer this.
    Answer(LocalResponse),
    /// Close the connection without an answer.
    Close,
}

/// How a stream is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not at all: what comes goes on.
    No,
    /// The headers wait; body callbacks come.
    Headers,
    /// Everything waits, up to the buffer limit.
    AllAndBuffer,
    /// Everything waits, the body in the connection.
    All,
    /// Kong: paused in the headers phase.
    KongHeaders,
    /// Kong: waits for the end of the body.
    KongBodyRead,
    /// Kong: paused in the body phase.
    KongBody,
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    /// The configuration it began under.
    pub root: u32,
    /// The way back to the client.
    pub front: UnboundedSender<ToFront>,
    /// The request's headers with pseudo-headers.
    pub request: Headers,
    /// The response's headers; before there is one: what the filter adds to it (Kong).
    pub response: Headers,
    /// The response is under way.
    pub responding: bool,
    /// The client's address.
    pub peer: SocketAddr,
    /// The target as it was sent.
    pub raw_target: String,
    /// How it is held.
    pub hold: Hold,
    /// Pieces of the body that the filter has not seen.
    pub inbox: VecDeque<Bytes>,
    /// The last piece is in the inbox, or was seen.
    pub inbox_end: bool,
    /// What the body buffer shows.
    pub body: Vec<u8>,
    /// The response's body, in its callback.
    pub response_body: Vec<u8>,
    /// Where the body goes once the headers went upstream.
    pub upstream: Option<UnboundedSender<Frame<Bytes>>>,
    /// The headers went upstream.
    pub forwarded: bool,
    /// The filter's answer, not yet sent.
    pub local: Option<LocalResponse>,
    /// It was answered, or its connection closed.
    pub answered: bool,
    /// The filter told it to go on.
    pub resume: bool,
    /// Its calls under way.
    pub pending: usize,
    /// nginx variables, or Envoy's filter state.
    pub variables: BTreeMap<String, Vec<u8>>,
    /// The instance that knows it; 0 where it never met the filter.
    pub generation: u64,
    /// It has a body.
    pub has_body: bool,
    /// The trailers that ended the body, once they came.
    pub trailers: Option<Headers>,
    /// The filter was shown the end of the body.
    pub end_shown: bool,
    /// It was answered with an error page of the host.
    pub error_page: bool,
}

/// A callout under way.
#[derive(Debug)]
pub struct Call {
    /// Under which configuration.
    pub root: u32,
    /// Who made it.
    pub context: u32,
    /// In which instance.
    pub generation: u64,
    /// To cancel it.
    pub abort: AbortHandle,
}

/// The state behind the host functions.
pub struct State {
    /// Memory of the instance.
    pub memory: Option<Memory>,
    /// Its allocator.
    pub allocate: Option<TypedFunc<i32, i32>>,
    /// The options.
    pub options: Arc<HostOptions>,
    /// What the outside reads.
    pub record: Arc<Record>,
    /// The requests by context id.
    pub streams: BTreeMap<u32, Stream>,
    /// The root context of the configuration in force.
    pub root: u32,
    /// All live root contexts.
    pub roots: Vec<u32>,
    /// The configuration in force.
    pub configuration: String,
    /// Whom host calls act on.
    pub effective: u32,
    /// The callback under way.
    pub callback: Callback,
    /// The answer under way.
    pub answer: Option<CallAnswer>,
    /// The callouts under way.
    pub calls: BTreeMap<u32, Call>,
    /// The next call's token.
    pub next_token: u32,
    /// The tick.
    pub tick: Option<Duration>,
    /// Counts instances.
    pub generation: u64,
    /// Metric names by id - 1.
    pub metrics: Vec<String>,
    /// The environment as `NAME=value`.
    pub environment: Vec<String>,
    /// Where random numbers come from.
    pub random: Random,
    /// To the worker itself.
    pub commands: std::sync::mpsc::Sender<Command>,
    /// Where calls run.
    pub runtime: Handle,
}

impl State {
    /// The switches of the Kong-like host.
    pub fn kong(&self) -> Option<&KongSwitches> {
        self.options.kong()
    }

    /// Whether a context is a root.
    pub fn is_root(&self, context: u32) -> bool {
        context == ROOT || context > MORE_ROOTS
    }

    /// The stream that host calls act on.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.effective)
    }

    /// Whether the module may call `name`.
    pub fn capable(&self, name: &str) -> bool {
        self.options
            .envoy()
            .and_then(|envoy| envoy.capabilities.as_ref())
            .is_none_or(|list| list.iter().any(|listed| listed == name))
    }
}
