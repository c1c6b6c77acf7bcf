//! The worker: one thread that owns the instance and runs its callbacks one at a time.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use wasmtime::{Instance, Linker, Module, Store};

use crate::headers::{Headers, Pairs};
use crate::options::FailurePolicy;
use crate::state::{CallAnswer, Callback, LocalResponse, ROOT, State, Stream, ToFront};

/// What the worker is told.
#[derive(Debug)]
pub enum Command {
    /// A request has come.
    Request(u32, Box<Stream>),
    /// A piece of its body.
    Body {
        /// The request.
        id: u32,
        /// The piece.
        bytes: Bytes,
        /// It is the last.
        end: bool,
    },
    /// These trailers ended its body.
    Trailers(u32, Pairs),
    /// The upstream answered.
    Response {
        /// The request.
        id: u32,
        /// The answer.
        response: LocalResponse,
        /// Where it goes when the module has seen it; dropped where the connection closes.
        back: oneshot::Sender<LocalResponse>,
    },
    /// The request has ended, or its client left.
    End(u32),
    /// A callout has ended.
    Answered {
        /// Its token.
        token: u32,
        /// What the module gets.
        answer: CallAnswer,
    },
    /// How many pages of 64 KiB the instance's memory has; none where there is no instance.
    Pages(oneshot::Sender<u64>),
    /// Tick now; the sender is dropped when that is done.
    Tick(oneshot::Sender<()>),
    /// Put this configuration in force; the answer tells whether it was taken.
    Configure(String, oneshot::Sender<bool>),
    /// Behave as if a callback of yet another request had trapped; the sender is dropped when done.
    Trap(oneshot::Sender<()>),
    /// Nothing more.
    Stop,
}

/// Why a callback gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It trapped: the instance is gone.
    Trap,
    /// It took the worker with it (Kong).
    Crash,
}

/// Why there is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFilter {
    /// What the module lacks.
    Unfit(String),
    /// `on_configure` answered no.
    Refused,
    /// A callback of the start trapped.
    Trapped,
}

/// The worker's own.
pub struct Worker {
    pub(crate) store: Store<State>,
    pub(crate) linker: Linker<State>,
    pub(crate) module: Module,
    pub(crate) instance: Option<Instance>,
    /// A worker of Kong starts the VM once; a new instance after a trap is only configured.
    pub(crate) started: bool,
    /// Requests meet the filter.
    pub(crate) filter: bool,
    /// Envoy: no request goes on after a trap.
    pub(crate) closed: bool,
    next_tick: Option<Instant>,
}

impl Worker {
    /// A worker without an instance yet.
    pub fn new(store: Store<State>, linker: Linker<State>, module: Module) -> Worker {
        Worker {
            store,
            linker,
            module,
            instance: None,
            started: false,
            filter: true,
            closed: false,
            next_tick: None,
        }
    }

    pub(crate) fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }

    pub(crate) fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.state().streams.get_mut(&id)
    }

    pub(crate) fn is_kong(&self) -> bool {
        self.store.data().kong().is_some()
    }

    /// Whether requests meet the filter.
    pub fn set_filter(&mut self, active: bool) {
        self.filter = active;
        self.state().record.set_filter(active);
    }

    /// Runs until it is told to stop.
    pub fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let wait = self.until_tick();
            let command = match commands.recv_timeout(wait) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
            };
            match command {
                Some(command) => self.obey(command),
                None if self.next_tick.is_some() => self.tick(),
                None => {}
            }
            self.settle();
        }
    }

    fn until_tick(&mut self) -> Duration {
        let Some(period) = self.state().tick else {
            self.next_tick = None;
            return Duration::from_secs(3600);
        };
        let now = Instant::now();
        self.next_tick
            .get_or_insert(now + period)
            .saturating_duration_since(now)
    }

    fn tick(&mut self) {
        self.next_tick = None;
        if self.filter && self.ensure_instance().is_ok() {
            // A trap was recorded, and there is nobody to tell.
            for root in self.state().roots.clone() {
                let _ = self.call("proxy_on_tick", root, Callback::Tick, &[root]);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let kong = self.is_kong();
        match command {
            Command::Request(id, mut stream) => {
                let meets = self.filter && !self.skips_filter();
                stream.root = self.state().root;
                stream.generation = if meets {
                    self.state().generation.max(1)
                } else {
                    0
                };
                self.state().streams.insert(id, *stream);
                match (meets, kong) {
                    (false, true) => self.kong_upstream(id),
                    (false, false) => self.envoy_bypass(id),
                    (true, true) => self.kong_request(id),
                    (true, false) => self.envoy_request(id),
                }
            }
            Command::Body { id, bytes, end } => {
                let Some(stream) = self.stream(id).filter(|stream| !stream.answered) else {
                    return;
                };
                if !bytes.is_empty() {
                    stream.inbox.push_back(bytes);
                }
                stream.inbox_end |= end;
                self.body_came(id);
            }
            Command::Trailers(id, trailers) => {
                let Some(stream) = self.stream(id).filter(|stream| !stream.answered) else {
                    return;
                };
                stream.inbox_end = true;
                stream.trailers = Some(Headers::new(trailers));
                self.body_came(id);
            }
            Command::Response { id, response, back } => self.response(id, response, back),
            Command::End(id) => self.end(id),
            Command::Answered { token, answer } => self.answered(token, answer),
            Command::Tick(done) => {
                self.tick();
                drop(done);
            }
            Command::Pages(told) => {
                let memory = self.state().memory;
                let pages = memory.map_or(0, |memory| memory.size(&self.store));
                // Who asked may have left.
                let _ = told.send(pages);
            }
            Command::Configure(configuration, taken) => {
                let accepted = self.reconfigure(configuration);
                // Who asked may have left.
                let _ = taken.send(accepted);
            }
            Command::Trap(done) => {
                let reason = wasmtime::Error::msg("unreachable");
                self.trapped("a neighbour's callback", &reason);
                drop(done);
            }
            Command::Stop => {}
        }
    }

    fn body_came(&mut self, id: u32) {
        if self.is_kong() {
            self.kong_body_came(id);
        } else {
            self.envoy_pump(id);
        }
    }

    /// Envoy's FAIL_OPEN after a trap.
    fn skips_filter(&self) -> bool {
        let open =
            |envoy: &crate::options::EnvoySwitches| envoy.failure_policy == FailurePolicy::Open;
        self.closed && self.store.data().options.envoy().is_some_and(open)
    }

    /// A callout's answer: for the root on either host, and on Kong in the name of its request.
    fn answered(&mut self, token: u32, answer: CallAnswer) {
        let kong = self.is_kong();
        let Some(call) = self.state().calls.remove(&token) else {
            return;
        };
        if let Some(stream) = self.stream(call.context) {
            stream.pending = stream.pending.saturating_sub(1);
        } else if kong && call.context != call.root {
            return;
        }
        if !kong && call.generation != self.state().generation {
            // Envoy's calls die with their VM.
            return;
        }
        let context = if kong { call.context } else { call.root };
        if self.ensure_instance().is_ok() {
            let size = u32::try_from(answer.size).unwrap_or(u32::MAX);
            let arguments = [call.root, token, answer.count, size, 0];
            self.state().answer = Some(answer);
            let name = "proxy_on_http_call_response";
            let called = self.call(name, context, Callback::CallResponse, &arguments);
            self.state().answer = None;
            if called == Err(Fault::Crash) {
                return;
            }
        }
        if kong {
            self.kong_after_call(call.context);
        }
    }

    /// Does what the module asked for during a callback, for whichever request.
    pub(crate) fn settle(&mut self) {
        let kong = self.is_kong();
        loop {
            let due = self.state().streams.iter_mut().find_map(|(id, stream)| {
                let local = stream.local.is_some();
                let resumes = stream.resume && stream.is_held() && !(kong && stream.pending > 0);
                (!stream.answered && (local || resumes)).then_some((*id, local))
            });
            let Some((id, local)) = due else { break };
            if local {
                self.answer_locally(id);
            } else if let Some(stream) = self.stream(id) {
                stream.resume = false;
                if kong {
                    self.kong_go_on(id);
                } else {
                    self.envoy_resume(id);
                }
            }
        }
    }
}

impl Stream {
    /// A request that the module has not seen yet.
    pub fn new(
        front: UnboundedSender<ToFront>,
        request: Pairs,
        peer: std::net::SocketAddr,
    ) -> Stream {
        Stream {
            root: ROOT,
            front,
            request: Headers::new(request),
            response: Headers::default(),
            responding: false,
            peer,
            raw_target: String::new(),
            hold: crate::state::Hold::No,
            inbox: std::collections::VecDeque::new(),
            inbox_end: false,
            body: Vec::new(),
            response_body: Vec::new(),
            upstream: None,
            forwarded: false,
            local: None,
            answered: false,
            resume: false,
            pending: 0,
            variables: std::collections::BTreeMap::new(),
            generation: 0,
            has_body: false,
            trailers: None,
            end_shown: false,
            error_page: false,
        }
    }

    /// It waits for the module. (Kong's reading of a body is no such wait.)
    pub fn is_held(&self) -> bool {
        use crate::state::Hold;
        match self.hold {
            Hold::KongBodyRead => false,
            Hold::No => !self.body.is_empty(),
            _ => true,
        }
    }
}
