//! One request, from its headers to the decision.
//!
//! The calls that let a request go on stand in [`Stream::forward`] and nowhere else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::abi;
use super::dialect::{self, Dialect, Poison};
use super::executor::{self, Owner};
use super::host::Door;
use super::world::{Root, World, world};
use crate::account::Account;
use crate::authz::Admission;
use crate::engine::{self, Decision, Step};
use crate::flow::refresh;
use crate::host::{BodyError, Level, Series, Task, Time};
use crate::http::{Downstream, Headers, MAX_BODY, Response};
use crate::policy::Policy;
use crate::upstream::{Edits, QueryEdit};

/// What a request callback answers to go on.
pub const GO_ON: u32 = 0;
/// To pause. On Envoy body callbacks still come (with `allow_on_headers_stop_iteration`).
pub const PAUSE: u32 = 1;
/// What a body callback answers to pause and slow the client down at the buffer's limit: Envoy only. With 1
/// a body beyond it is answered 413.
const PAUSE_AT_WATERMARK: u32 = 2;
/// To pause and leave the body in the connection: Envoy only. With 1 an upload of more than the
/// buffer limit (1 MiB) that comes during a callout is answered 413.
const PAUSE_AND_HOLD_BODY: u32 = 4;

/// How long a request waits for the first body callback on a host that never makes one.
const HOPELESS_HOLD_SECONDS: u64 = 5;

/// A request under way.
pub struct Stream {
    /// Its context id.
    pub id: u32,
    /// The configuration it began under.
    pub root: Rc<Root>,
    phase: Cell<Phase>,
    task: Cell<Option<u64>>,
    pending: Rc<Cell<u32>>,
    called_out: Cell<bool>,
    hold: RefCell<Hold>,
    poison: RefCell<Option<Poison>>,
    /// What the request began under.
    policy: RefCell<Option<Rc<Policy>>>,
    grpc: Cell<bool>,
    /// What the client gets beside the upstream's response.
    downstream: RefCell<Downstream>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No decision yet, and a callback of this request is under way.
    Deciding,
    /// No decision yet; the request is paused.
    Paused,
    /// Decided: it goes on.
    Forwarded,
    /// Decided: it was answered.
    Replied,
}

type BodyResult = Result<Vec<u8>, BodyError>;

/// Whether, and how far, the body is read for the decision.
#[derive(Default)]
struct Hold {
    /// Somebody waits for the body here.
    waiting: Option<Rc<executor::Cell<BodyResult>>>,
    since: Option<Time>,
    /// The request ended with its headers, or its body was already handed over.
    over: bool,
    /// It is longer than what is read.
    too_large: bool,
}

impl Stream {
    /// A request that has just begun.
    pub fn new(id: u32, root: Rc<Root>) -> Stream {
        Stream {
            id,
            root,
            phase: Cell::new(Phase::Deciding),
            task: Cell::new(None),
            pending: Rc::new(Cell::new(0)),
            called_out: Cell::new(false),
            hold: RefCell::new(Hold::default()),
            poison: RefCell::new(None),
            policy: RefCell::new(None),
            grpc: Cell::new(false),
            downstream: RefCell::new(Downstream::default()),
        }
    }

    /// The headers have come: the hot path first, a task for the rest.
    pub fn on_headers(self: &Rc<Stream>, world: &World, end: bool) -> u32 {
        let request = abi::headers(abi::Map::Request)
            .ok()
            .and_then(Headers::from_serialized)
            .and_then(|headers| dialect::request(world.dialect(), headers));
        let Some(request) = request else {
            return self.fail(world, "headers_unreadable", "the host gave no headers");
        };
        self.grpc.set(request.is_grpc());
        let Some(policy) = self.root.policy() else {
            return self.fail(
                world,
                "not_configured",
                "the configuration was refused (see the log at start)",
            );
        };
        *self.policy.borrow_mut() = Some(policy.clone());
        if world.dialect() == Dialect::Kong && request.headers.len() >= KONG_HEADER_LIMIT {
            // Kong cuts the list there: what lies behind could be a forged identity.
            let code = "too_many_headers";
            let line = format!(
                "oidc-filter: {code}: Kong shows no more than {KONG_HEADER_LIMIT} header fields"
            );
            world.log(Level::Info, &line);
            return self.refuse(world, code, Response::new(431));
        }
        if end || world.dialect() == Dialect::Kong && announces_no_body(&request.headers) {
            self.hold.borrow_mut().over = true;
        }
        let root_door = Door::of_root(self.root.clone());
        let step = engine::begin(&policy, request, &*root_door, &|| {
            Door::of_stream(self.clone())
        });
        match step {
            Step::Done(decision) => self.act(decision),
            Step::Later(decision) => {
                let stream = self.clone();
                let task = Box::pin(async move {
                    let decision = decision.await;
                    stream.act(decision);
                });
                self.task
                    .set(Some(world.executor.spawn(Owner::Stream(self.id), task)));
                world.run();
                world.enter(self.id);
            }
        }
        self.after_step(world, false)
    }

    /// A piece of the body has come.
    pub fn on_body(self: &Rc<Stream>, world: &World, size: usize, end: bool) -> u32 {
        match self.phase.get() {
            Phase::Forwarded => return GO_ON,
            Phase::Replied => return PAUSE,
            Phase::Deciding | Phase::Paused => {}
        }
        if self.hold.borrow().waiting.is_some() {
            world.saw_held_body.set(true);
            if size > MAX_BODY {
                self.end_hold(Err(BodyError::TooLarge));
            } else if end {
                self.end_hold(
                    abi::buffer(abi::Buffer::RequestBody, size).map_err(|_| BodyError::Unavailable),
                );
            } else {
                return PAUSE;
            }
            self.phase.set(Phase::Deciding);
            world.run();
            world.enter(self.id);
            return self.after_step(world, true);
        }
        // Undecided: nothing of it may pass.
        self.pause_body(world)
    }

    /// The body ended with its trailers, which go upstream as headers do.
    pub fn on_trailers(self: &Rc<Stream>, world: &World) -> u32 {
        let size = if self.hold.borrow().waiting.is_some() {
            let most = MAX_BODY.saturating_add(1);
            abi::buffer(abi::Buffer::RequestBody, most).map_or(0, |body| body.len())
        } else {
            0
        };
        // Trailers know no watermark.
        let answer = self.on_body(world, size, true).min(PAUSE);
        if self.phase.get() != Phase::Replied && !self.strip_trailers() {
            return self.fail(world, "trailers_not_stripped", "the host refused an edit");
        }
        answer
    }

    /// Takes the names that are ours out of the trailers: an upstream may read them as headers
    /// (RFC 9110 section 6.5.1).
    fn strip_trailers(&self) -> bool {
        let policy = self.policy.borrow().clone();
        let trailers = abi::headers(abi::Map::RequestTrailers)
            .ok()
            .and_then(Headers::from_serialized);
        let (Some(policy), Some(trailers)) = (policy, trailers) else {
            return false;
        };
        trailers
            .iter()
            .filter(|(name, _)| policy.names.owns(name))
            .all(|(name, _)| abi::remove_header(abi::Map::RequestTrailers, name).is_ok())
    }

    /// The upstream's response has come. Ours does not come here for this: it has its headers already.
    pub fn on_response_headers(&self, world: &World) -> u32 {
        let mut downstream = std::mem::take(&mut *self.downstream.borrow_mut());
        let policy = self.policy.borrow().clone();
        if let (Some(policy), Some(mark)) = (policy, &downstream.refresh_mark)
            && refresh::was_used(&policy, &*Door::of_root(self.root.clone()), mark)
        {
            // While the upstream thought, another request got a newer session.
            downstream.cookies.clear();
        }
        if self.phase.get() != Phase::Forwarded {
            return GO_ON;
        }
        // What only we say of the client must not come from the upstream, also where we have nothing to say.
        for name in downstream.stripped() {
            let _ = abi::remove_header(abi::Map::Response, name.as_bytes());
        }
        if downstream.is_empty() {
            return GO_ON;
        }
        let status = abi::header(abi::Map::Response, b":status").unwrap_or_default();
        if status == b"304" {
            // It only says that a stored response is good still; a cookie in it would be stored, too.
            return GO_ON;
        }
        let private = abi::replace_header(
            abi::Map::Response,
            b"cache-control",
            Downstream::CACHE_CONTROL,
        );
        for name in Downstream::CACHE_ORDERS {
            let _ = abi::remove_header(abi::Map::Response, name.as_bytes());
        }
        let mut added = downstream
            .added()
            .map(|(name, value)| abi::add_header(abi::Map::Response, name, value));
        if private.is_err() || added.any(|written| written.is_err()) {
            world.log(
                Level::Warn,
                "oidc-filter: response_not_written: the host refused a header for the client",
            );
        }
        GO_ON
    }

    /// The client is gone: drop what was done for it.
    pub fn abandon(&self, world: &World) {
        if let Some(task) = self.task.take() {
            world.executor.cancel(task);
        }
    }

    /// Notes a callout of this request; it may not go on before [`PendingCall::end`].
    pub fn pending_call(&self) -> PendingCall {
        self.called_out.set(true);
        self.pending.set(self.pending.get().saturating_add(1));
        PendingCall(self.pending.clone())
    }

    /// Notes that this request waits for a flight of the root.
    pub fn note_callout(&self) {
        self.called_out.set(true);
    }

    /// The body, read to its end.
    pub fn body(&self) -> Task<Result<Vec<u8>, BodyError>> {
        if self.called_out.get() && world(World::dialect) == Dialect::Envoy {
            // After a pause of 4 no body callback ever comes.
            return Box::pin(async { Err(BodyError::TooLate) });
        }
        let mut hold = self.hold.borrow_mut();
        if hold.over {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let cell = Rc::new(executor::Cell::default());
        hold.waiting = Some(cell.clone());
        Box::pin(std::future::poll_fn(move |context| cell.poll(context)))
    }

    fn end_hold(&self, body: Result<Vec<u8>, BodyError>) {
        let waiting = {
            let mut hold = self.hold.borrow_mut();
            hold.over = true;
            hold.too_large = body == Err(BodyError::TooLarge);
            hold.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.fill(body);
        }
    }

    /// What the callback under way answers, now that this request's task has run.
    fn after_step(&self, world: &World, in_body: bool) -> u32 {
        match self.phase.get() {
            Phase::Forwarded => return GO_ON,
            Phase::Replied => return PAUSE,
            Phase::Deciding | Phase::Paused => {}
        }
        let for_body = self.hold.borrow().waiting.is_some();
        match world.dialect() {
            Dialect::Envoy => {
                self.phase.set(Phase::Paused);
                if in_body {
                    // What came is buffered here already: it waits for the decision.
                    self.pause_body(world)
                } else if for_body {
                    self.hold
                        .borrow_mut()
                        .since
                        .get_or_insert(Door::of_root(self.root.clone()).now());
                    PAUSE
                } else {
                    PAUSE_AND_HOLD_BODY
                }
            }
            Dialect::Kong => {
                if self.poison.borrow().is_none() {
                    match Poison::set() {
                        Some(poison) => *self.poison.borrow_mut() = Some(poison),
                        None => {
                            self.abandon(world);
                            return self.fail(
                                world,
                                "not_poisoned",
                                "this host cannot be kept from going on",
                            );
                        }
                    }
                }
                self.phase.set(Phase::Paused);
                // The body callback comes only after a Continue; the poison keeps it from the upstream.
                if for_body { GO_ON } else { PAUSE }
            }
        }
    }

    /// What a body callback answers while nothing is decided. A body that is too long to be read is not
    /// edited either; any other may be, and Envoy lets that be done to a buffered one only.
    fn pause_body(&self, world: &World) -> u32 {
        if world.dialect() == Dialect::Envoy && self.hold.borrow().too_large {
            PAUSE_AT_WATERMARK
        } else {
            PAUSE
        }
    }

    fn act(&self, decision: Decision) {
        match decision {
            Decision::Forward(admission, edits) => self.forward(admission, edits),
            Decision::Reply(reply) => self.reply(reply),
        }
    }

    /// Keeps what the access log may tell of this request: Envoy's filter state, or what Kong's plugins share.
    /// A request goes its way also where the host does not take it.
    fn tell(&self, account: &Account) {
        let kong = world(World::dialect) == Dialect::Kong;
        for (name, value) in account.told() {
            let _ = if kong {
                let path = format!("kong.ctx.shared.{name}");
                abi::set_property(path.as_bytes(), value.as_bytes())
            } else {
                abi::set_property(name.as_bytes(), value.as_bytes())
            };
        }
    }

    /// The one place where a request is let go on. It takes the proof by value.
    fn forward(&self, _admission: Admission, edits: Edits) {
        let waiting = self.phase.get();
        if self.pending.get() > 0 {
            world(|world| {
                self.fail(
                    world,
                    "forward_while_calling",
                    "a decision came before its call ended",
                )
            });
            return;
        }
        let applied = match world(World::dialect) {
            Dialect::Envoy => apply_on_envoy(&edits),
            Dialect::Kong => apply_on_kong(&edits, self.poison.borrow().as_ref()),
        };
        if let Err(status) = applied {
            world(|world| {
                let status = status.0;
                self.fail(
                    world,
                    "headers_not_written",
                    &format!("the host refused an edit (status {status})"),
                )
            });
            return;
        }
        *self.downstream.borrow_mut() = edits.downstream;
        self.tell(&edits.account);
        self.phase.set(Phase::Forwarded);
        if waiting == Phase::Paused && world(World::dialect) == Dialect::Envoy {
            // Kong goes on by itself when this callback returns.
            let _ = abi::continue_request();
        }
    }

    /// Answers 500 for a reason that stands in the log, and says what the callback answers then.
    fn fail(&self, world: &World, code: &'static str, reason: &str) -> u32 {
        world.log(Level::Error, &format!("oidc-filter: {code}: {reason}"));
        self.refuse(world, code, engine::unexpected(self.grpc.get()))
    }

    fn refuse(&self, world: &World, code: &'static str, mut reply: Response) -> u32 {
        world.tally(Series::Results(None, code));
        reply.account.code = code;
        self.reply(reply);
        PAUSE
    }

    fn reply(&self, reply: Response) {
        self.phase.set(Phase::Replied);
        self.tell(&reply.account);
        // Kong keeps the last of several copies in a reply, but all that the response map holds before.
        let kong = world(World::dialect) == Dialect::Kong;
        let (before, mut headers): (Vec<_>, Vec<_>) = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .partition(|(name, _)| kong && *name == b"set-cookie");
        for (name, value) in before {
            let _ = abi::add_header(abi::Map::Response, name, value);
        }
        let _ = match &reply.grpc {
            None => abi::send_response(reply.status, &headers, &reply.body, None),
            // Envoy writes the body into `grpc-message`, where the request is one of gRPC for it, too.
            Some(grpc) if !kong => {
                let message = grpc.message.as_bytes();
                abi::send_response(reply.status, &headers, message, Some(grpc.code))
            }
            // Kong sends what it is told: 200 and the status as a header ("Trailers-Only").
            Some(grpc) => {
                let (code, message) = (grpc.code.to_string(), grpc.encoded());
                headers.push((b"content-type", b"application/grpc"));
                headers.push((b"grpc-status", code.as_bytes()));
                headers.push((b"grpc-message", message.as_bytes()));
                abi::send_response(200, &headers, b"", None)
            }
        };
    }
}

/// Kong delivers no more than this many header fields, pseudo-headers included.
const KONG_HEADER_LIMIT: usize = 100;

/// On Kong no body callback comes for these; `end of stream` is never set there.
fn announces_no_body(headers: &Headers) -> bool {
    headers.first("transfer-encoding").is_none()
        && headers
            .first("content-length")
            .is_none_or(|length| length == b"0")
}

fn apply_on_envoy(edits: &Edits) -> Result<(), abi::Status> {
    for name in &edits.strip {
        abi::remove_header(abi::Map::Request, name)?;
    }
    for (name, value) in edits.set() {
        abi::add_header(abi::Map::Request, name, value)?;
    }
    if let QueryEdit::Replace { target, .. } = &edits.query {
        abi::replace_header(abi::Map::Request, b":path", target)?;
    }
    if edits.as_get {
        for name in BODY_HEADERS {
            abi::remove_header(abi::Map::Request, name)?;
        }
        // Without it Envoy would announce a chunked body, which some servers refuse in a GET.
        abi::add_header(abi::Map::Request, b"content-length", b"0")?;
        make_get()?;
    }
    if let Some(body) = &edits.body {
        replace_body(body)?;
    }
    Ok(())
}

fn replace_body(body: &[u8]) -> Result<(), abi::Status> {
    let length = body.len().to_string();
    abi::replace_header(abi::Map::Request, b"content-length", length.as_bytes())?;
    abi::replace_request_body(body)
}

/// What describes a body.
const BODY_HEADERS: [&[u8]; 3] = [b"content-type", b"content-length", b"transfer-encoding"];

fn make_get() -> Result<(), abi::Status> {
    abi::replace_header(abi::Map::Request, b":method", b"GET")?;
    abi::replace_request_body(b"")
}

/// On Kong a removal does not reach the upstream, so the single copy is overwritten with an empty
/// value (the engine has refused requests with more copies), and the query is edited in the URI
/// that Kong sends.
fn apply_on_kong(edits: &Edits, poison: Option<&Poison>) -> Result<(), abi::Status> {
    for name in &edits.strip {
        if !edits.set().any(|(set, _)| set == name) {
            abi::replace_header(abi::Map::Request, name, b"")?;
        }
    }
    for (name, value) in edits.set() {
        abi::replace_header(abi::Map::Request, name, value)?;
    }
    if edits.as_get {
        if abi::header(abi::Map::Request, b"content-type").is_ok() {
            abi::replace_header(abi::Map::Request, b"content-type", b"")?;
        }
        make_get()?;
    }
    if let Some(body) = &edits.body {
        replace_body(body)?;
    }
    // Last, and in one step: until it is written, nothing can go upstream.
    match &edits.query {
        QueryEdit::Keep => poison.map_or(Ok(()), |poison| poison.lift(None)),
        QueryEdit::Replace { query, .. } => match poison {
            Some(poison) => poison.lift(Some(query.as_deref())),
            None => dialect::replace_upstream_query(query.as_deref()),
        },
    }
}

/// Ends requests that wait for a body on a host that will never deliver one: Envoy without
/// `allow_on_headers_stop_iteration`. Once any body has come, the flag is known to be set.
pub fn end_hopeless_holds(world: &World) {
    if world.saw_held_body.get() {
        return;
    }
    for stream in world.streams() {
        let since = stream.hold.borrow().since;
        let Some(since) = since.filter(|_| stream.phase.get() == Phase::Paused) else {
            continue;
        };
        let now = Door::of_root(stream.root.clone()).now();
        if now >= since.plus_seconds(HOPELESS_HOLD_SECONDS) && world.enter(stream.id) {
            stream.abandon(world);
            stream.fail(
                world,
                "body_never_came",
                "set `allow_on_headers_stop_iteration: true` in the filter's configuration of Envoy",
            );
        }
    }
}

/// A callout of a request that has not been answered yet.
pub struct PendingCall(Rc<Cell<u32>>);

impl PendingCall {
    /// The answer has come.
    pub fn end(self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
