//! The executor: polls a paused request's future when the answer it waits for has come.
//!
//! One thread, no runtime. Its rules (docs/architecture.md, "The executor"):
//! - a task is taken out of its slot while it is polled: no borrow is held across a host call;
//! - before every poll the caller's `enter` makes the task's context the effective one;
//! - a flight belongs to the root and outlives the request that began it;
//! - an answer with an unknown token is ignored and reported to the caller, who counts it.
//!
//! It knows no host function, so the same code runs in the module and in native tests.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::host::{CallError, Task};
use crate::http::Answer;

/// For whom a task runs, hence which context must be in force while it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The root with this context id: flights and background jobs.
    Root(u32),
    /// The request with this context id.
    Stream(u32),
}

/// What came of a callout.
pub type CallResult = Result<Answer, CallError>;

/// All tasks, calls and flights of one worker.
#[derive(Default)]
pub struct Executor {
    tasks: RefCell<HashMap<u64, Slot>>,
    next: RefCell<u64>,
    ready: Ready,
    calls: Rc<RefCell<Calls>>,
    flights: Rc<RefCell<Flights>>,
}

/// Who waits for which answer, by the host's token.
type Calls = HashMap<u32, Rc<Cell<CallResult>>>;

/// What is flown, by name.
type Flights = HashMap<String, Rc<Flight>>;

struct Slot {
    owner: Owner,
    /// Empty while the task is being polled.
    future: Option<Task<()>>,
}

impl Executor {
    /// Adds a task; it runs at the next [`Executor::run`].
    pub fn spawn(&self, owner: Owner, future: Task<()>) -> u64 {
        let id = {
            let mut next = self.next.borrow_mut();
            *next = next.wrapping_add(1);
            *next
        };
        self.tasks.borrow_mut().insert(
            id,
            Slot {
                owner,
                future: Some(future),
            },
        );
        push(&self.ready, id);
        id
    }

    /// Drops a task whose request is gone. Its calls' answers are ignored when they come.
    pub fn cancel(&self, id: u64) {
        let slot = self.tasks.borrow_mut().remove(&id);
        // Dropped here, with no borrow held: a future's destructor may come back to us.
        drop(slot);
    }

    /// Ends all that a root had under way. Who joined one of its flights is woken, and looks again.
    pub fn end_root(&self, root: u32) {
        let dropped: Vec<Slot> = {
            let mut tasks = self.tasks.borrow_mut();
            let ids: Vec<u64> = tasks
                .iter()
                .filter(|(_, slot)| slot.owner == Owner::Root(root))
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| tasks.remove(id)).collect()
        };
        // With no borrow held: flights land when their tasks are dropped.
        drop(dropped);
    }

    /// Polls every task that was woken, until none is left. `enter` makes a task's context the
    /// effective one; where it cannot (the context is dead) the task is dropped unpolled, or it
    /// would act on somebody else's request.
    pub fn run(&self, enter: &mut dyn FnMut(Owner) -> bool) {
        while let Some(id) = self.pop() {
            let taken = self
                .tasks
                .borrow_mut()
                .get_mut(&id)
                .and_then(|slot| slot.future.take().map(|future| (slot.owner, future)));
            // Woken twice, finished, or its request is gone.
            let Some((owner, mut future)) = taken else {
                continue;
            };
            if !enter(owner) {
                drop(future);
                self.cancel(id);
                continue;
            }
            let waker = Waker::from(Arc::new(WakeTask {
                id,
                ready: self.ready.clone(),
            }));
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => self.cancel(id),
                Poll::Pending => {
                    let mut tasks = self.tasks.borrow_mut();
                    if let Some(slot) = tasks.get_mut(&id) {
                        slot.future = Some(future);
                    }
                }
            }
        }
    }

    fn pop(&self) -> Option<u64> {
        self.ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// The future of a callout that `dispatch` begins at the first poll.
    pub fn call(&self, dispatch: Box<dyn FnOnce() -> Result<u32, CallError>>) -> Task<CallResult> {
        Box::pin(CallFuture {
            calls: self.calls.clone(),
            state: CallState::New(dispatch),
        })
    }

    /// Whether some request waits for the answer with this token.
    pub fn awaits(&self, token: u32) -> bool {
        self.calls.borrow().contains_key(&token)
    }

    /// Hands over an answer. `false`: nobody waits for it (any more).
    pub fn answer(&self, token: u32, result: CallResult) -> bool {
        let cell = self.calls.borrow_mut().remove(&token);
        match cell {
            Some(cell) => {
                cell.fill(result);
                true
            }
            None => false,
        }
    }

    /// Waits for the flight `key`, starting it as root `root` if nobody flies it. Requests of several
    /// roots may wait for one flight: they share a provider.
    pub fn join(&self, root: u32, key: &str, start: &mut dyn FnMut() -> Task<()>) -> Task<()> {
        let flying = self.flights.borrow().get(key).cloned();
        let flight = flying.unwrap_or_else(|| {
            let flight = Rc::new(Flight::default());
            self.flights
                .borrow_mut()
                .insert(key.to_owned(), flight.clone());
            let landing = Landing {
                key: key.to_owned(),
                flight: flight.clone(),
                flights: self.flights.clone(),
            };
            let body = start();
            let task = Box::pin(async move {
                let _landing = landing;
                body.await;
            });
            self.spawn(Owner::Root(root), task);
            flight
        });
        Box::pin(JoinFuture(flight))
    }

    /// How many tasks there are: nothing must be left when all requests have ended.
    pub fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value that one side fills and the other waits for.
pub struct Cell<T> {
    state: RefCell<(Option<T>, Option<Waker>)>,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Cell {
            state: RefCell::new((None, None)),
        }
    }
}

impl<T> Cell<T> {
    /// Fills the cell and wakes who waits.
    pub fn fill(&self, value: T) {
        let waker = {
            let mut state = self.state.borrow_mut();
            state.0 = Some(value);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the value, or notes who waits.
    pub fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut state = self.state.borrow_mut();
        match state.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[derive(Default)]
struct Flight {
    landed: RefCell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Flight {
    fn land(&self) {
        *self.landed.borrow_mut() = true;
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Lands a flight when its task ends, in whatever way: nobody may wait for one that is gone.
struct Landing {
    key: String,
    flight: Rc<Flight>,
    flights: Rc<RefCell<Flights>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.borrow_mut().remove(&self.key);
        self.flight.land();
    }
}

struct JoinFuture(Rc<Flight>);

impl Future for JoinFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if *self.0.landed.borrow() {
            return Poll::Ready(());
        }
        self.0.waiting.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }
}

struct CallFuture {
    calls: Rc<RefCell<Calls>>,
    state: CallState,
}

enum CallState {
    New(Box<dyn FnOnce() -> Result<u32, CallError>>),
    Sent(u32, Rc<Cell<CallResult>>),
    Over,
}

impl Future for CallFuture {
    type Output = CallResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CallResult> {
        if matches!(self.state, CallState::New(_))
            && let CallState::New(dispatch) = std::mem::replace(&mut self.state, CallState::Over)
        {
            match dispatch() {
                Ok(token) => {
                    let cell = Rc::new(Cell::default());
                    self.calls.borrow_mut().insert(token, cell.clone());
                    self.state = CallState::Sent(token, cell);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let CallState::Sent(_, cell) = &self.state else {
            return Poll::Ready(Err(CallError::NotSent("polled after its end".to_owned())));
        };
        let polled = cell.poll(context);
        if polled.is_ready() {
            self.state = CallState::Over;
        }
        polled
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        // The request left. Its answer will find no cell, and be counted as a stray.
        if let CallState::Sent(token, _) = self.state {
            self.calls.borrow_mut().remove(&token);
        }
    }
}

/// The tasks to poll next. A `Waker` must be `Send`, hence the mutex; it is never contended.
type Ready = Arc<Mutex<VecDeque<u64>>>;

fn push(ready: &Ready, id: u64) {
    ready
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push_back(id);
}

struct WakeTask {
    id: u64,
    ready: Ready,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        push(&self.ready, self.id);
    }
}
