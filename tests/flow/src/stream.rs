//! One request, from its headers to the decision: the model of `src/proxy/stream.rs`.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use oidc_filter::authz::Admission;
use oidc_filter::engine::{self, Decision, Step};
use oidc_filter::host::BodyError;
use oidc_filter::http::{Headers, Request, Response};
use oidc_filter::proxy::executor::Owner;
use oidc_filter::upstream::Edits;

use crate::door::Door;
use crate::forward::Forwarded;
use crate::outcome::Outcome;
use crate::request;
use crate::worker::Root;
use crate::world::{Dialect, Inner};

/// Kong delivers no more header fields than this.
const KONG_HEADER_LIMIT: usize = 100;

/// The longest body that the glue reads.
const MAX_BODY: usize = 64 << 10;

/// A request under way.
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) worker: usize,
    pub(crate) root: Rc<Root>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    /// The address at the other end of the connection.
    pub(crate) peer: Option<IpAddr>,
    host_path: Option<Vec<u8>>,
    over: Cell<bool>,
    grpc: Cell<bool>,
    task: Cell<Option<u64>>,
    /// Calls of its own that have no answer yet.
    pub(crate) pending: Cell<u32>,
    pub(crate) called_out: Cell<bool>,
    outcome: Rc<RefCell<Outcome>>,
}

impl Stream {
    pub(crate) fn new(
        id: u32,
        worker: usize,
        root: Rc<Root>,
        request: request::Request,
        outcome: Rc<RefCell<Outcome>>,
    ) -> Stream {
        Stream {
            id,
            worker,
            root,
            headers: request.headers,
            body: request.body,
            peer: request.peer,
            host_path: request.host_path,
            over: Cell::new(false),
            grpc: Cell::new(false),
            task: Cell::new(None),
            pending: Cell::new(0),
            called_out: Cell::new(false),
            outcome,
        }
    }

    /// Whether it was decided on.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// The headers have come.
    pub(crate) fn begin(self: &Rc<Stream>, world: &Rc<Inner>) {
        let headers = Headers::from_serialized(serialize(&self.headers));
        let Some(mut request) = headers.map(Request::new) else {
            return self.unexpected(world);
        };
        request.host_path = self.host_path.clone();
        self.grpc.set(request.is_grpc());
        let Some(policy) = self.root.policy.borrow().clone() else {
            return self.unexpected(world);
        };
        if world.dialect == Dialect::Kong && request.headers.len() >= KONG_HEADER_LIMIT {
            let mut reply = Response::new(431);
            reply.account.code = "too_many_headers";
            return self.reply(world, reply);
        }
        let worker = &world.workers[self.worker];
        world
            .current
            .set(Some((self.worker, Owner::Stream(self.id))));
        let root_door = Door::of_root(world, self.worker, &self.root);
        let step = engine::begin(&policy, request, &*root_door, &|| {
            Door::of_stream(world, self)
        });
        match step {
            Step::Done(decision) => self.act(world, decision),
            Step::Later(decision) => {
                let (stream, world) = (self.clone(), world.clone());
                let task = Box::pin(async move {
                    let decision = decision.await;
                    stream.act(&world, decision);
                });
                let task = worker.executor.spawn(Owner::Stream(self.id), task);
                self.task.set(Some(task));
            }
        }
        worker.run(world, self.worker);
    }

    /// The body, as far as the glue reads one. On Kong no body callback comes where no length is told.
    pub(crate) fn body(&self, dialect: Dialect) -> Result<Vec<u8>, BodyError> {
        if dialect == Dialect::Envoy && self.called_out.get() {
            return Err(BodyError::TooLate);
        }
        let told = self.headers.iter().any(|(name, value)| {
            let name = name.to_ascii_lowercase();
            name == b"transfer-encoding" || name == b"content-length" && value != b"0"
        });
        if dialect == Dialect::Kong && !told {
            return Ok(Vec::new());
        }
        if self.body.len() > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        Ok(self.body.clone())
    }

    /// The client is gone.
    pub(crate) fn leave(&self, world: &Inner) {
        let worker = &world.workers[self.worker];
        worker.streams.borrow_mut().remove(&self.id);
        if let Some(task) = self.task.take() {
            worker.executor.cancel(task);
        }
        *self.outcome.borrow_mut() = Outcome::Left;
    }

    fn act(&self, world: &Inner, decision: Decision) {
        match decision {
            Decision::Forward(admission, edits) => self.forward(world, admission, &edits),
            Decision::Reply(reply) => self.reply(world, reply),
        }
    }

    fn forward(&self, world: &Inner, _admission: Admission, edits: &Edits) {
        if self.pending.get() > 0 {
            world
                .record
                .violation("a request goes on before its call ended");
            return self.unexpected(world);
        }
        for (name, value) in edits.set() {
            world.record.header(name, value);
        }
        world.record.account(&edits.account);
        let forwarded = Forwarded::edited(&self.headers, &self.body, edits, world.dialect);
        world.record.forwarded(self.root.id, &forwarded);
        self.end(world, Outcome::Forwarded(forwarded));
    }

    fn unexpected(&self, world: &Inner) {
        let mut reply = engine::unexpected(self.grpc.get());
        reply.account.code = "unexpected";
        self.reply(world, reply);
    }

    fn reply(&self, world: &Inner, reply: Response) {
        world.record.answer(self.root.id, &reply);
        world.record.account(&reply.account);
        self.end(world, Outcome::Answered(reply));
    }

    fn end(&self, world: &Inner, outcome: Outcome) {
        if self.over.replace(true) {
            world.record.violation("a request was decided on twice");
        }
        *self.outcome.borrow_mut() = outcome;
    }
}

/// The serialized header map of the Proxy-Wasm ABI, as both hosts hand it over.
fn serialize(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = size(headers.len()).to_vec();
    for (name, value) in headers {
        out.extend(size(name.len()));
        out.extend(size(value.len()));
    }
    for (name, value) in headers {
        out.extend(name);
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}
