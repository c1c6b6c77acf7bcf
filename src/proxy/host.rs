//! The door [`Host`] over the ABI: for a request, or for its root (flights, background jobs).

#![allow(clippy::disallowed_methods, reason = "the other side of the door")]

use std::rc::Rc;

use super::abi;
use super::dialect::{self, Dialect};
use super::stream::Stream;
use super::world::{Root, world};
use crate::host::{
    Abilities, BodyError, CallError, Connection, Counter, Host, Level, NoRandomness, Series,
    SharedError, SignatureCheck, Task, Time,
};
use crate::http::{Answer, Call, Request};
use crate::jose::probe;

/// The host as a flow sees it.
pub struct Door {
    root: Rc<Root>,
    /// Whose request it is; none for a flight or a background job.
    stream: Option<Rc<Stream>>,
}

impl Door {
    /// The door of a request.
    pub fn of_stream(stream: Rc<Stream>) -> Rc<dyn Host> {
        Rc::new(Door {
            root: stream.root.clone(),
            stream: Some(stream),
        })
    }

    /// The door of a root.
    pub fn of_root(root: Rc<Root>) -> Rc<dyn Host> {
        Rc::new(Door { root, stream: None })
    }
}

impl Host for Door {
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self, out: &mut [u8]) -> Result<(), NoRandomness> {
        match dialect() {
            // BoringSSL's generator behind WASI.
            Dialect::Envoy => getrandom::fill(out).map_err(|_| NoRandomness),
            Dialect::Kong => Err(NoRandomness),
        }
    }

    fn call(&self, call: Call) -> Task<Result<Answer, CallError>> {
        let sent = world(|world| {
            let dialect = world.dialect();
            world
                .executor
                .call(Box::new(move || dialect.dispatch(&call)))
        });
        let Some(stream) = self.stream.clone() else {
            return sent;
        };
        Box::pin(async move {
            let pending = stream.pending_call();
            let answer = sent.await;
            pending.end();
            answer
        })
    }

    fn join(&self, key: &str, start: &mut dyn FnMut(Rc<dyn Host>) -> Task<()>) -> Task<()> {
        if dialect() == Dialect::Kong {
            // Nothing wakes another request there: each flies its own.
            return start(Rc::new(Door {
                root: self.root.clone(),
                stream: self.stream.clone(),
            }));
        }
        let flight = world(|world| {
            world.executor.join(self.root.id, key, &mut || {
                start(Door::of_root(self.root.clone()))
            })
        });
        if let Some(stream) = &self.stream {
            stream.note_callout();
        }
        flight
    }

    fn background(&self, job: Box<dyn FnOnce(Rc<dyn Host>) -> Task<()>>) {
        self.root.add_job(job);
    }

    fn body(&self) -> Task<Result<Vec<u8>, BodyError>> {
        match &self.stream {
            Some(stream) => stream.body(),
            None => Box::pin(async { Err(BodyError::Unavailable) }),
        }
    }

    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        // Without a zone this traps on Kong, and no call tells: off there.
        if dialect() == Dialect::Kong {
            return None;
        }
        abi::shared_get(key)
            .ok()
            .filter(|(value, _)| !value.is_empty())
    }

    fn shared_set(&self, key: &str, value: &[u8], cas: Option<u32>) -> Result<(), SharedError> {
        if dialect() == Dialect::Kong {
            return Err(SharedError::Unavailable);
        }
        // On Envoy any mark creates a missing key, and 0 would overwrite an existing one: the
        // highest mark is never a real one.
        abi::shared_set(key, value, cas.unwrap_or(u32::MAX)).map_err(|status| {
            if status == abi::Status::CAS_MISMATCH {
                SharedError::Changed
            } else {
                SharedError::Unavailable
            }
        })
    }

    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Option<bool> {
        let sound = world(|world| world.host_verifies(|| probe::host_is_sound(&mut ask_host)));
        if sound { ask_host(check) } else { None }
    }

    fn request_mark(&self) -> String {
        match dialect() {
            Dialect::Envoy => String::new(),
            // 128 bits of OpenSSL's, which Kong tells nobody.
            Dialect::Kong => abi::property(b"ngx.request_id")
                .ok()
                .and_then(|mark| String::from_utf8(mark).ok())
                .unwrap_or_default(),
        }
    }

    fn connection(&self, request: &Request) -> Connection {
        dialect::connection(dialect(), request)
    }

    fn service_id(&self) -> Option<String> {
        match dialect() {
            Dialect::Envoy => None,
            // Only a request has one: elsewhere the property is refused.
            Dialect::Kong => abi::property(b"kong.service_id")
                .ok()
                .and_then(|id| String::from_utf8(id).ok())
                .filter(|id| !id.is_empty()),
        }
    }

    fn abilities(&self) -> Abilities {
        let envoy = dialect() == Dialect::Envoy;
        Abilities {
            removes_headers: envoy,
            shares_flights: envoy,
        }
    }

    fn logs(&self, level: Level) -> bool {
        world(|world| world.logs(level))
    }

    fn log(&self, level: Level, line: &str) {
        world(|world| world.log(level, line));
    }

    fn count(&self, counter: Counter) {
        world(|world| world.count(counter));
    }

    fn tally(&self, series: Series) {
        world(|world| world.tally(series));
    }
}

fn dialect() -> Dialect {
    world(|world| world.dialect())
}

/// Envoy's `verify_signature`: protobuf in and out. Only the exact answer "field 1 is true" counts.
fn ask_host(check: &SignatureCheck<'_>) -> Option<bool> {
    let mut arguments = Vec::with_capacity(
        check
            .message
            .len()
            .saturating_add(check.spki.len())
            .saturating_add(check.signature.len())
            .saturating_add(64),
    );
    put_field(&mut arguments, 1, check.hash.as_bytes());
    put_field(&mut arguments, 2, check.spki);
    put_field(&mut arguments, 3, check.signature);
    put_field(&mut arguments, 4, check.message);
    match abi::foreign_function("verify_signature", &arguments) {
        Ok(result) => Some(result == [0x08, 0x01]),
        Err(_) => None,
    }
}

/// One length-delimited protobuf field.
fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push((number << 3) | 2);
    let mut left = bytes.len();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or_default());
    out.extend_from_slice(bytes);
}
