//! What one virtual machine holds. A worker is one thread, so all of it hangs on a thread-local.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::abi;
use super::dialect::Dialect;
use super::executor::{Executor, Owner};
use super::host::Door;
use super::stream::Stream;
use crate::host::{Counter, Host, Level, Series, Task};
use crate::policy::{Policy, Shared};

/// A job that no request waits for.
pub type Job = Box<dyn FnOnce(Rc<dyn Host>) -> Task<()>>;

/// All state of one virtual machine.
#[derive(Default)]
pub struct World {
    dialect: OnceCell<Dialect>,
    roots: RefCell<ById<Rc<Root>>>,
    streams: RefCell<ById<Rc<Stream>>>,
    shared: Shared,
    /// The tasks of this worker.
    pub executor: Executor,
    counters: OnceCell<Vec<Counted>>,
    series: RefCell<Vec<(Series, Counted)>>,
    host_verifies: OnceCell<bool>,
    /// Whether any body callback ever came while a request was held for its body.
    pub saw_held_body: Cell<bool>,
}

thread_local! {
    static WORLD: World = World::default();
}

/// Does one step on this worker's world.
pub fn world<T>(step: impl FnOnce(&World) -> T) -> T {
    WORLD.with(step)
}

/// A counter of the host, and what it has not heard of yet.
struct Counted {
    id: Option<u32>,
    since_tick: Cell<i64>,
}

impl Counted {
    fn add(&self, by: i64) {
        self.since_tick
            .set(self.since_tick.get().saturating_add(by));
    }

    fn write(&self) {
        let by = self.since_tick.replace(0);
        if let (Some(id), true) = (self.id, by > 0) {
            abi::increment(id, by);
        }
    }
}

/// Hashes a context id to itself: the host chose it, no stranger did.
#[derive(Clone, Copy, Default)]
struct OfId(u64);

impl Hasher for OfId {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, id: u32) {
        // The table looks at the highest bits, too.
        self.0 = u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type ById<T> = HashMap<u32, T, BuildHasherDefault<OfId>>;

/// One configuration of this virtual machine and what belongs to it.
pub struct Root {
    /// Its context id.
    pub id: u32,
    policy: RefCell<Option<Rc<Policy>>>,
    jobs: RefCell<Vec<Job>>,
}

impl Root {
    /// The policy in force; `None` while there is none, or after a refused configuration on Kong.
    pub fn policy(&self) -> Option<Rc<Policy>> {
        self.policy.borrow().clone()
    }

    /// Puts a policy in force. Requests under way keep the one they began with.
    pub fn set_policy(&self, policy: Rc<Policy>) {
        *self.policy.borrow_mut() = Some(policy);
    }

    /// From now on every request is answered with an error.
    pub fn set_refused(&self) {
        *self.policy.borrow_mut() = None;
    }

    /// Leaves a job for the next tick.
    pub fn add_job(&self, job: Job) {
        self.jobs.borrow_mut().push(job);
    }

    /// Begins the jobs that were left since the last tick.
    pub fn start_jobs(self: &Rc<Root>, world: &World) {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        for job in jobs {
            let task = job(Door::of_root(self.clone()));
            world.executor.spawn(Owner::Root(self.id), task);
        }
    }
}

impl World {
    /// Asks the host who it is, once. `ngx.pid` is unknown to Envoy (NotFound); Kong answers
    /// InternalFailure outside a request and a value inside one. Nothing else may be probed before:
    /// an unknown foreign function traps on Kong.
    pub fn detect_dialect(&self) -> Dialect {
        *self
            .dialect
            .get_or_init(|| match abi::property(b"ngx.pid") {
                Err(abi::Status::NOT_FOUND) => Dialect::Envoy,
                // Any other answer: the host whose rules are the stricter.
                _ => Dialect::Kong,
            })
    }

    /// Which host this is.
    pub fn dialect(&self) -> Dialect {
        self.detect_dialect()
    }

    /// What all policies of this virtual machine share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Adds a root context.
    pub fn add_root(&self, id: u32) -> Rc<Root> {
        let root = Rc::new(Root {
            id,
            policy: RefCell::new(None),
            jobs: RefCell::new(Vec::new()),
        });
        self.roots.borrow_mut().insert(id, root.clone());
        root
    }

    /// The root with this context id.
    pub fn root(&self, id: u32) -> Option<Rc<Root>> {
        self.roots.borrow().get(&id).cloned()
    }

    /// Forgets a root. Its requests under way hold it until they end; its flights end here, and who
    /// waits for one of them looks again.
    pub fn remove_root(&self, id: u32) {
        let root = self.roots.borrow_mut().remove(&id);
        drop(root);
        self.executor.end_root(id);
        self.run();
    }

    /// Adds a request.
    pub fn add_stream(&self, stream: Rc<Stream>) {
        self.streams.borrow_mut().insert(stream.id, stream);
    }

    /// The request with this context id.
    pub fn stream(&self, id: u32) -> Option<Rc<Stream>> {
        self.streams.borrow().get(&id).cloned()
    }

    /// All requests, as they are now.
    pub fn streams(&self) -> Vec<Rc<Stream>> {
        self.streams.borrow().values().cloned().collect()
    }

    /// Forgets a request.
    pub fn remove_stream(&self, id: u32) -> Option<Rc<Stream>> {
        self.streams.borrow_mut().remove(&id)
    }

    /// Runs all woken tasks, each under its own context.
    pub fn run(&self) {
        self.executor.run(&mut |owner| match owner {
            Owner::Root(id) | Owner::Stream(id) => self.enter(id),
        });
    }

    /// Makes a context the effective one; `false` if it is dead.
    pub fn enter(&self, id: u32) -> bool {
        abi::set_effective_context(id).is_ok()
    }

    /// Defines the counters, once. Not on Kong: a full metric zone traps there.
    pub fn define_metrics(&self) {
        if self.dialect() == Dialect::Envoy {
            self.counters.get_or_init(|| {
                let defined = Counter::ALL.iter().map(|counter| Counted {
                    id: abi::define_counter(counter.name()),
                    since_tick: Cell::new(0),
                });
                defined.collect()
            });
        }
    }

    /// Adds one to a counter. The host hears of it on the next tick: a call for each would be a tenth of
    /// what a cached request costs.
    pub fn count(&self, counter: Counter) {
        let counted = self
            .counters
            .get()
            .and_then(|all| all.get(counter as usize));
        if let Some(counted) = counted {
            counted.add(1);
        }
    }

    /// The same for a counter of a series, which is made on the tick after its first use.
    pub fn tally(&self, series: Series) {
        if self.dialect() != Dialect::Envoy {
            return;
        }
        let mut all = self.series.borrow_mut();
        match all.iter().find(|(own, _)| *own == series) {
            Some((_, counted)) => counted.add(1),
            None => {
                let counted = Counted {
                    id: None,
                    since_tick: Cell::new(1),
                };
                all.push((series, counted));
            }
        }
    }

    /// Tells the host what was counted since the last tick.
    pub fn write_counters(&self) {
        for counted in self.counters.get().into_iter().flatten() {
            counted.write();
        }
        for (series, counted) in self.series.borrow_mut().iter_mut() {
            if counted.id.is_none() {
                counted.id = abi::define_counter(&series.name());
            }
            counted.write();
        }
    }

    /// Whether the host writes lines of this level. Kong has no such question: it traps.
    pub fn logs(&self, level: Level) -> bool {
        match self.dialect() {
            Dialect::Envoy => abi::log_level().is_none_or(|lowest| lowest <= number(level)),
            Dialect::Kong => level >= Level::Info,
        }
    }

    /// Writes a line to the host's log.
    pub fn log(&self, level: Level, line: &str) {
        abi::log(number(level), line);
    }

    /// Whether the host verifies signatures, by a known-answer probe on first need.
    pub fn host_verifies(&self, probe: impl FnOnce() -> bool) -> bool {
        self.dialect() == Dialect::Envoy && *self.host_verifies.get_or_init(probe)
    }
}

/// The ABI's log levels begin with trace.
fn number(level: Level) -> u32 {
    match level {
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}
