//! The door [`Host`] to the simulated world: the model of `src/proxy/host.rs`.

use std::rc::Rc;

use oidc_filter::host::{
    Abilities, BodyError, CallError, Connection, Counter, Host, Level, NoRandomness, Series,
    SharedError, SignatureCheck, Task, Time,
};
use oidc_filter::http::{Answer, Call, Request};
use oidc_filter::jose::probe;
use oidc_filter::proxy::executor::Owner;

use crate::stream::Stream;
use crate::worker::{Job, Root};
use crate::world::{Dialect, Inner};

/// The world as a flow sees it.
pub(crate) struct Door {
    world: Rc<Inner>,
    worker: usize,
    root: Rc<Root>,
    /// Whose request it is; none for a flight or a background job.
    stream: Option<Rc<Stream>>,
    /// Which fetch of the worker goes through this door.
    fetch: Option<u64>,
}

impl Door {
    pub(crate) fn of_root(world: &Rc<Inner>, worker: usize, root: &Rc<Root>) -> Rc<dyn Host> {
        Rc::new(Door {
            world: world.clone(),
            worker,
            root: root.clone(),
            stream: None,
            fetch: None,
        })
    }

    pub(crate) fn of_stream(world: &Rc<Inner>, stream: &Rc<Stream>) -> Rc<dyn Host> {
        Rc::new(Door {
            world: world.clone(),
            worker: stream.worker,
            root: stream.root.clone(),
            stream: Some(stream.clone()),
            fetch: None,
        })
    }

    fn of_flight(&self) -> Rc<dyn Host> {
        let fetches = &self.world.workers[self.worker].fetches;
        fetches.set(fetches.get() + 1);
        let shared = self.world.dialect == Dialect::Envoy;
        Rc::new(Door {
            world: self.world.clone(),
            worker: self.worker,
            root: self.root.clone(),
            stream: self.stream.clone().filter(|_| !shared),
            fetch: Some(fetches.get()),
        })
    }

    fn owner(&self) -> Owner {
        match &self.stream {
            Some(stream) => Owner::Stream(stream.id),
            None => Owner::Root(self.root.id),
        }
    }

    fn is_envoy(&self) -> bool {
        self.world.dialect == Dialect::Envoy
    }
}

impl Host for Door {
    fn now(&self) -> Time {
        Time(self.world.clock.get())
    }

    fn random(&self, out: &mut [u8]) -> Result<(), NoRandomness> {
        if !self.is_envoy() {
            return Err(NoRandomness);
        }
        for byte in out {
            *byte = self.world.random.next().to_le_bytes()[0];
        }
        Ok(())
    }

    fn call(&self, call: Call) -> Task<Result<Answer, CallError>> {
        let (world, worker, owner, fetch) =
            (self.world.clone(), self.worker, self.owner(), self.fetch);
        let dispatch = Box::new(move || world.dispatch(&call, worker, owner, fetch));
        let sent = self.world.workers[self.worker].executor.call(dispatch);
        let Some(stream) = self.stream.clone() else {
            return sent;
        };
        Box::pin(async move {
            stream.called_out.set(true);
            stream.pending.set(stream.pending.get() + 1);
            let answer = sent.await;
            stream.pending.set(stream.pending.get() - 1);
            answer
        })
    }

    fn join(&self, key: &str, start: &mut dyn FnMut(Rc<dyn Host>) -> Task<()>) -> Task<()> {
        if !self.is_envoy() {
            return start(self.of_flight());
        }
        if let Some(stream) = &self.stream {
            stream.called_out.set(true);
        }
        let executor = &self.world.workers[self.worker].executor;
        executor.join(self.root.id, key, &mut || start(self.of_flight()))
    }

    fn background(&self, job: Job) {
        if !self.is_envoy() {
            self.world
                .record
                .violation("a job for a tick that cannot call");
        }
        self.root.jobs.borrow_mut().push(job);
    }

    fn body(&self) -> Task<Result<Vec<u8>, BodyError>> {
        let body = match &self.stream {
            None => Err(BodyError::Unavailable),
            Some(stream) => stream.body(self.world.dialect),
        };
        Box::pin(async move { body })
    }

    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        if !self.is_envoy() {
            return None;
        }
        self.world.shared.borrow().get(key).cloned()
    }

    fn shared_set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), SharedError> {
        if !self.is_envoy() {
            return Err(SharedError::Unavailable);
        }
        let mut shared = self.world.shared.borrow_mut();
        let now = shared.get(key).map(|(_, mark)| *mark);
        if now != cas {
            return Err(SharedError::Changed);
        }
        shared.insert(key.to_owned(), (value.to_vec(), now.unwrap_or(0) + 1));
        Ok(())
    }

    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Option<bool> {
        if !self.is_envoy() {
            return None;
        }
        let crypto = self.world.crypto.get();
        let mut ask = |check: &SignatureCheck<'_>| crypto.ask(check, &self.world.record.asked_host);
        let sound = *self.world.workers[self.worker]
            .host_is_sound
            .get_or_init(|| probe::host_is_sound(&mut ask));
        if sound { ask(check) } else { None }
    }

    fn request_mark(&self) -> String {
        match (self.is_envoy(), self.world.marks.get()) {
            (false, true) => format!("{:016x}", self.world.random.next()),
            _ => String::new(),
        }
    }

    fn connection(&self, request: &Request) -> Connection {
        let header = |name| {
            request
                .headers
                .only(name)
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        Connection {
            scheme: header(":scheme").unwrap_or_else(|| "http".to_owned()),
            authority: header(":authority"),
            peer: self.world.current_peer(),
        }
    }

    fn service_id(&self) -> Option<String> {
        let is_request = self.stream.is_some();
        let service = self.world.service.borrow().clone();
        service.filter(|_| is_request && !self.is_envoy())
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            removes_headers: self.is_envoy(),
            shares_flights: self.is_envoy(),
        }
    }

    fn logs(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, level: Level, line: &str) {
        self.world.record.log(level, line);
    }

    fn count(&self, counter: Counter) {
        self.world.record.count(counter);
    }

    fn tally(&self, series: Series) {
        self.world.record.tally(series);
    }
}
