//! The world: clock, workers, network, and the entry point that tests call.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use oidc_filter::config::Config;
use oidc_filter::http::Response;
use oidc_filter::policy::Policy;
use oidc_filter::proxy::executor::Owner;
use serde_json::Value;

use crate::control::{Control, control};
use crate::crypto::HostCrypto;
use crate::delivery::Waiting;
use crate::forward::Forwarded;
use crate::idp::Idp;
use crate::network::Network;
use crate::neutralise::{self, neutralised};
use crate::outcome::{Outcome, Ticket};
use crate::random::Random;
use crate::record::Record;
use crate::request::Request;
use crate::stream::Stream;
use crate::worker::Worker;

/// The host that the world imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Requests share flights, the tick can call, a removed header is gone.
    Envoy,
    /// Each request flies its own, a header can only be overwritten.
    Kong,
}

impl Dialect {
    /// Both hosts.
    pub const BOTH: [Dialect; 2] = [Dialect::Envoy, Dialect::Kong];
}

/// A configuration in force, on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(u32);

/// A simulated world. At its end it fails the test if a secret was seen, a rule of the glue was
/// broken, or something was left over.
pub struct World {
    pub(crate) inner: Rc<Inner>,
    control: Control,
    routes: RefCell<Vec<Route>>,
    outcomes: RefCell<BTreeMap<Ticket, Rc<RefCell<Outcome>>>>,
    next_id: Cell<u32>,
}

/// What the doors hold on to.
pub(crate) struct Inner {
    pub(crate) dialect: Dialect,
    /// Milliseconds since 1970.
    pub(crate) clock: Cell<u64>,
    pub(crate) random: Random,
    pub(crate) workers: Vec<Worker>,
    pub(crate) record: Record,
    pub(crate) shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    pub(crate) crypto: Cell<HostCrypto>,
    /// Whether Kong gives each request an id that strangers do not know.
    pub(crate) marks: Cell<bool>,
    /// The service that Kong's requests are for.
    pub(crate) service: RefCell<Option<String>>,
    /// The context that the host takes calls to be made by.
    pub(crate) current: Cell<Option<(usize, Owner)>>,
    pub(crate) network: RefCell<Network>,
    pub(crate) waiting: RefCell<Vec<Waiting>>,
    pub(crate) next_token: Cell<u32>,
    pub(crate) idp: Rc<Idp>,
}

impl Inner {
    /// The client's address, while one of its callbacks runs.
    pub(crate) fn current_peer(&self) -> Option<IpAddr> {
        let Some((worker, Owner::Stream(id))) = self.current.get() else {
            return None;
        };
        let streams = self.workers[worker].streams.borrow();
        streams.get(&id).and_then(|stream| stream.peer)
    }
}

/// 2027-01-15T08:00:00Z: any fixed moment would do.
const BEGINNING: u64 = 1_800_000_000_000;

impl World {
    /// A world of one worker.
    #[must_use]
    pub fn new(dialect: Dialect, seed: u64) -> World {
        World::with_workers(dialect, seed, 1)
    }

    /// A world of several workers behind one listener.
    #[must_use]
    pub fn with_workers(dialect: Dialect, seed: u64, workers: usize) -> World {
        let inner = Inner {
            dialect,
            clock: Cell::new(BEGINNING),
            random: Random::new(seed),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            record: Record::default(),
            shared: RefCell::default(),
            crypto: Cell::new(HostCrypto::Absent),
            marks: Cell::new(true),
            service: RefCell::default(),
            current: Cell::new(None),
            network: RefCell::default(),
            waiting: RefCell::default(),
            next_token: Cell::new(0),
            idp: Rc::default(),
        };
        World {
            inner: Rc::new(inner),
            control: control(),
            routes: RefCell::default(),
            outcomes: RefCell::default(),
            next_id: Cell::new(0),
        }
    }

    // Configurations.

    /// Puts a configuration in force; the first one is the default route.
    ///
    /// # Panics
    /// When the configuration is refused.
    #[track_caller]
    pub fn route(&self, config: &Value) -> Route {
        let route = Route(self.new_id());
        for worker in &self.inner.workers {
            worker.add_root(route.0, Some(policy(config, worker)));
        }
        self.routes.borrow_mut().push(route);
        route
    }

    /// A route whose configuration was refused: Kong keeps such a one.
    ///
    /// # Panics
    /// When the configuration is a good one.
    #[track_caller]
    pub fn refused_route(&self, config: &Value) -> Route {
        assert!(parse(config).is_err(), "a good configuration: {config}");
        let route = Route(self.new_id());
        for worker in &self.inner.workers {
            worker.add_root(route.0, None);
        }
        self.routes.borrow_mut().push(route);
        route
    }

    /// Puts another configuration in force on a route.
    ///
    /// # Panics
    /// When the configuration is refused.
    #[track_caller]
    pub fn update(&self, route: Route, config: &Value) {
        for worker in &self.inner.workers {
            let root = worker.root(route.0).expect("the route is there");
            *root.policy.borrow_mut() = Some(policy(config, worker));
        }
    }

    /// Ends a route; its requests under way go on.
    pub fn remove(&self, route: Route) {
        for (index, worker) in self.inner.workers.iter().enumerate() {
            worker.remove_root(&self.inner, index, route.0);
        }
    }

    // Clients.

    /// The entry point: a request comes. What it gets without waiting has happened when this returns.
    ///
    /// # Panics
    /// When there is no route.
    #[track_caller]
    pub fn send(&self, request: Request) -> Ticket {
        for secret in &request.secrets {
            self.inner.record.keep_secret(secret);
        }
        let ticket = Ticket(self.new_id());
        let outcome = Rc::new(RefCell::new(Outcome::Paused));
        self.outcomes.borrow_mut().insert(ticket, outcome.clone());
        match self.control {
            Control::Open => {
                *outcome.borrow_mut() =
                    Outcome::Forwarded(Forwarded::unchanged(&request.headers, &request.body));
                return ticket;
            }
            Control::Closed => {
                *outcome.borrow_mut() = Outcome::Answered(Response::new(401));
                return ticket;
            }
            Control::Filter => {}
        }
        let route = request
            .route
            .or_else(|| self.routes.borrow().first().copied());
        let worker = &self.inner.workers[request.worker];
        let root = worker
            .root(route.expect("a route").0)
            .expect("the route is there");
        let stream = Stream::new(ticket.0, request.worker, root, request, outcome);
        let stream = Rc::new(stream);
        worker.streams.borrow_mut().insert(ticket.0, stream.clone());
        stream.begin(&self.inner);
        worker
            .streams
            .borrow_mut()
            .retain(|_, stream| !stream.is_over());
        ticket
    }

    /// What became of a request so far.
    ///
    /// # Panics
    /// When it is none of this world.
    #[must_use]
    pub fn outcome(&self, ticket: Ticket) -> Outcome {
        self.outcomes.borrow()[&ticket].borrow().clone()
    }

    /// Sends a request, delivers all answers, and tells what became of it.
    #[track_caller]
    pub fn ask(&self, request: Request) -> Outcome {
        let ticket = self.send(request);
        self.deliver_all();
        self.outcome(ticket)
    }

    /// Asks with this token as a bearer.
    #[track_caller]
    pub fn show(&self, token: &str) -> Outcome {
        self.ask(Request::get("/").bearer(token))
    }

    /// The client of a request leaves.
    pub fn leave(&self, ticket: Ticket) {
        for worker in &self.inner.workers {
            let stream = worker.streams.borrow().get(&ticket.0).cloned();
            if let Some(stream) = stream {
                stream.leave(&self.inner);
            }
        }
    }

    // Time and answers.

    /// The time in seconds, as tokens count it.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.inner.clock.get() / 1000
    }

    /// The time in milliseconds.
    #[must_use]
    pub fn milliseconds(&self) -> u64 {
        self.inner.clock.get()
    }

    /// Moves the clock forward.
    pub fn pass_seconds(&self, seconds: u64) {
        self.pass_milliseconds(seconds * 1000);
    }

    /// Moves the clock forward.
    pub fn pass_milliseconds(&self, milliseconds: u64) {
        let clock = &self.inner.clock;
        clock.set(clock.get() + milliseconds);
    }

    /// The second's beat on all workers: background jobs begin.
    pub fn tick(&self) {
        for (index, worker) in self.inner.workers.iter().enumerate() {
            worker.tick(&self.inner, index);
        }
    }

    fn new_id(&self) -> u32 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// Ends all that is under way, and says what was wrong with this world.
    fn findings(&self) -> Vec<String> {
        self.deliver_all();
        for secret in self.inner.idp.issued() {
            self.inner.record.keep_secret(&secret);
        }
        let mut findings = self.inner.record.findings(&self.calls());
        if self.tasks() > 0 {
            findings.push(format!("{} tasks are left", self.tasks()));
        }
        for (ticket, outcome) in self.outcomes.borrow().iter() {
            if outcome.borrow().is_paused() {
                findings.push(format!("request {} waits for ever", ticket.0));
            }
        }
        findings
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || self.control != Control::Filter {
            return;
        }
        let findings = self.findings();
        assert!(findings.is_empty(), "at the world's end: {findings:#?}");
    }
}

fn parse(config: &Value) -> Result<Config, Vec<String>> {
    let config = neutralised(config);
    let parsed = Config::parse(config.to_string().as_bytes(), &|_| None);
    parsed
        .map(|(config, _)| config)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn policy(config: &Value, worker: &Worker) -> Rc<Policy> {
    let config = parse(config).unwrap_or_else(|errors| {
        neutralise::refused();
        panic!("refused: {errors:?}")
    });
    Policy::new(config, &worker.shared)
}
