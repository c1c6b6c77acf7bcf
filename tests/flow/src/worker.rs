//! One worker: one thread with one virtual machine, as `src/proxy/world.rs` has it.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use oidc_filter::host::{Host, Task};
use oidc_filter::policy::{Policy, Shared};
use oidc_filter::proxy::executor::{Executor, Owner};

use crate::door::Door;
use crate::stream::Stream;
use crate::world::Inner;

/// A job that no request waits for.
pub(crate) type Job = Box<dyn FnOnce(Rc<dyn Host>) -> Task<()>>;

/// What one virtual machine holds.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) executor: Executor,
    pub(crate) shared: Shared,
    pub(crate) roots: RefCell<HashMap<u32, Rc<Root>>>,
    pub(crate) streams: RefCell<HashMap<u32, Rc<Stream>>>,
    /// Whether the host's cryptography passed the probe.
    pub(crate) host_is_sound: OnceCell<bool>,
    /// How many fetches of a provider began here.
    pub(crate) fetches: std::cell::Cell<u64>,
}

/// One configuration and what belongs to it.
pub(crate) struct Root {
    pub(crate) id: u32,
    pub(crate) policy: RefCell<Option<Rc<Policy>>>,
    pub(crate) jobs: RefCell<Vec<Job>>,
}

impl Worker {
    pub(crate) fn add_root(&self, id: u32, policy: Option<Rc<Policy>>) {
        let root = Root {
            id,
            policy: RefCell::new(policy),
            jobs: RefCell::new(Vec::new()),
        };
        self.roots.borrow_mut().insert(id, Rc::new(root));
    }

    pub(crate) fn root(&self, id: u32) -> Option<Rc<Root>> {
        self.roots.borrow().get(&id).cloned()
    }

    /// Runs all woken tasks, each under its own context.
    pub(crate) fn run(&self, world: &Inner, index: usize) {
        self.executor.run(&mut |owner| {
            let alive = match owner {
                Owner::Root(id) => self.roots.borrow().contains_key(&id),
                Owner::Stream(id) => self.streams.borrow().contains_key(&id),
            };
            world.current.set(alive.then_some((index, owner)));
            alive
        });
        world.current.set(None);
        // A host ends the context of a request some time after its decision.
        self.streams
            .borrow_mut()
            .retain(|_, stream| !stream.is_over());
    }

    /// The second's beat.
    pub(crate) fn tick(&self, world: &Rc<Inner>, index: usize) {
        let mut roots: Vec<Rc<Root>> = self.roots.borrow().values().cloned().collect();
        roots.sort_by_key(|root| root.id);
        for root in roots {
            let jobs = std::mem::take(&mut *root.jobs.borrow_mut());
            for job in jobs {
                let task = job(Door::of_root(world, index, &root));
                self.executor.spawn(Owner::Root(root.id), task);
            }
            self.run(world, index);
        }
    }

    /// The configuration goes, with all that it had under way.
    pub(crate) fn remove_root(&self, world: &Inner, index: usize, id: u32) {
        let root = self.roots.borrow_mut().remove(&id);
        drop(root);
        self.executor.end_root(id);
        self.run(world, index);
    }
}
