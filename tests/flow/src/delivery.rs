//! Calls that were sent, and the handing over of their answers when a test says so.

use std::cell::Ref;

use oidc_filter::host::{CallError, Counter};
use oidc_filter::http::Call;
use oidc_filter::proxy::executor::{CallResult, Owner};
use serde_json::Value;

use crate::network::{Behaviour, Sent};
use crate::world::{Inner, World};

/// An answer that was handed over.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The worker that got it.
    pub worker: usize,
    /// Where the call went.
    pub url: String,
    /// The worker's fetch that it belonged to.
    pub fetch: Option<u64>,
    /// The body of a 200.
    pub body: Option<Vec<u8>>,
    /// Whether somebody still waited for it.
    pub awaited: bool,
}

/// A call whose answer has not been handed over.
pub(crate) struct Waiting {
    worker: usize,
    token: u32,
    url: String,
    fetch: Option<u64>,
    result: CallResult,
    /// The end of the wait for an answer that never comes.
    due: Option<u64>,
}

impl Inner {
    /// Sends a call. The host attributes it to the context in force.
    pub(crate) fn dispatch(
        &self,
        call: &Call,
        worker: usize,
        owner: Owner,
        fetch: Option<u64>,
    ) -> Result<u32, CallError> {
        if self.current.get() != Some((worker, owner)) {
            self.record
                .violation(format!("a call to {} under another context", call.url));
        }
        let mut network = self.network.borrow_mut();
        let odd = match call.method {
            "GET" => !call.body.is_empty(),
            "POST" => !network.serves(call.url.as_str()),
            _ => true,
        };
        if odd || call.timeout == 0 {
            let shown = (call.method, &call.url, call.timeout);
            self.record.violation(format!("an odd call: {shown:?}"));
        }
        network.calls.push(Sent {
            method: call.method,
            url: call.url.to_string(),
            cluster: call.cluster.clone(),
            headers: call.headers.clone(),
            body: String::from_utf8_lossy(&call.body).into_owned(),
            worker,
            fetch,
        });
        let (result, never) = network.begin(call, self.clock.get() / 1000);
        if let Err(CallError::NotSent(why)) = result {
            return Err(CallError::NotSent(why));
        }
        let token = self.next_token.get() + 1;
        self.next_token.set(token);
        self.waiting.borrow_mut().push(Waiting {
            worker,
            token,
            url: call.url.to_string(),
            fetch,
            result,
            due: never.then(|| self.clock.get() + u64::from(call.timeout)),
        });
        Ok(token)
    }
}

impl World {
    /// The URLs of the calls whose answers are under way, in the order of sending.
    #[must_use]
    pub fn under_way(&self) -> Vec<String> {
        let waiting = self.inner.waiting.borrow();
        waiting.iter().map(|call| call.url.clone()).collect()
    }

    /// Hands over the oldest answer.
    pub fn deliver_one(&self) -> Option<Delivered> {
        self.deliver(0)
    }

    /// Hands over an answer that the seed chooses.
    pub fn deliver_any(&self) -> Option<Delivered> {
        let count = self.inner.waiting.borrow().len();
        self.deliver(self.inner.random.below(count))
    }

    /// Hands over all answers, oldest first, those to calls that follow from them included.
    pub fn deliver_all(&self) {
        while self.deliver_one().is_some() {}
    }

    /// Hands over the answer that stands at `index` of [`World::under_way`].
    pub fn deliver(&self, index: usize) -> Option<Delivered> {
        let call = {
            let mut waiting = self.inner.waiting.borrow_mut();
            (index < waiting.len()).then(|| waiting.remove(index))?
        };
        if let Some(due) = call.due {
            self.inner.clock.set(self.inner.clock.get().max(due));
        }
        let worker = &self.inner.workers[call.worker];
        let awaited = worker.executor.awaits(call.token);
        let body = call
            .result
            .as_ref()
            .ok()
            .filter(|answer| answer.status == 200);
        let delivered = Delivered {
            worker: call.worker,
            url: call.url,
            fetch: call.fetch,
            body: body.map(|answer| answer.body.clone()),
            awaited,
        };
        if awaited {
            worker.executor.answer(call.token, call.result);
            worker.run(&self.inner, call.worker);
        } else {
            self.inner.record.count(Counter::StrayAnswer);
        }
        Some(delivered)
    }

    /// Puts a document at a URL.
    pub fn put(&self, url: &str, document: &Value) {
        self.inner.network.borrow_mut().put(url, document);
    }

    /// How an endpoint treats calls from now on.
    pub fn always(&self, url: &str, behaviour: Behaviour) {
        self.inner.network.borrow_mut().always(url, behaviour);
    }

    /// How an endpoint treats its next calls, one by one.
    pub fn next(&self, url: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.inner.network.borrow_mut().next(url, behaviours);
    }

    /// All calls that were sent.
    #[must_use]
    pub fn calls(&self) -> Ref<'_, Vec<Sent>> {
        Ref::map(self.inner.network.borrow(), |network| &network.calls)
    }

    /// How many calls were sent to a URL.
    #[must_use]
    pub fn calls_to(&self, url: &str) -> usize {
        self.calls().iter().filter(|call| call.url == url).count()
    }
}
