//! The API behind the gateway: answers 200 (or a redirect, where a test wants one), and remembers everything that reached it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use serde_json::json;
use tokio::sync::watch;

use crate::server::{Body, Server, full};

/// A request as it arrived.
#[derive(Clone)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Headers after the body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Whether the body came to its end.
    pub complete: bool,
    /// When its headers arrived.
    pub at: Instant,
}

impl Seen {
    /// The values of a header, all copies, bytes that are no UTF-8 replaced.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The value of a header that came once.
    ///
    /// # Panics
    /// When there are several copies.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "several copies of {name}: {all:?}");
        all.pop()
    }
}

impl fmt::Debug for Seen {
    /// Text where it is text: for the messages of tests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for (name, value) in self.headers.iter().chain(&self.trailers) {
            write!(f, "\n  {name}: {}", value.escape_ascii())?;
        }
        write!(f, "\n  ({} bytes of body)", self.body.len())
    }
}

/// What the upstream answers at a target (path and query) instead of 200: a status, and a place to go to.
type Others = Arc<Mutex<BTreeMap<String, (u16, Option<String>)>>>;

/// A running upstream.
pub struct Upstream {
    server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
    others: Others,
    held: watch::Sender<Option<String>>,
}

impl Upstream {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let others = Others::default();
        let held = watch::Sender::new(None);
        let shared = (seen.clone(), others.clone(), held.clone());
        let server = Server::start(move |request| {
            let (seen, others, held) = shared.clone();
            record(request, seen, others, held.subscribe())
        });
        Self {
            server,
            seen,
            others,
            held,
        }
    }

    /// Answers 302 to this place at this target (path and query) from now on.
    pub fn redirect(&self, target: &str, place: &str) {
        self.answer_otherwise(target, 302, Some(place.to_owned()));
    }

    /// Answers with this status at this target from now on.
    pub fn status(&self, target: &str, status: u16) {
        self.answer_otherwise(target, status, None);
    }

    /// Keeps answers at this target (path and query) back, until [`Upstream::release`].
    pub fn hold(&self, target: &str) {
        self.held.send_replace(Some(target.to_owned()));
    }

    /// Gives the answers that were kept back.
    pub fn release(&self) {
        self.held.send_replace(None);
    }

    fn answer_otherwise(&self, target: &str, status: u16, place: Option<String>) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.insert(target.to_owned(), (status, place));
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// All requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    /// The requests so far, which are forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.lock())
    }

    /// The only request since the last [`Upstream::take`], which is forgotten.
    ///
    /// # Panics
    /// When there is none or more than one.
    #[must_use]
    pub fn take_one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(
            seen.len(),
            1,
            "requests that reached the upstream: {seen:?}"
        );
        seen.remove(0)
    }

    /// Waits until so many requests have begun (10 s at most).
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_for(&self, count: usize) {
        let start = Instant::now();
        while self.lock().len() < count {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{} of {count} requests reached the upstream",
                self.lock().len()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn record(
    request: Request<Incoming>,
    all: Arc<Mutex<Vec<Seen>>>,
    others: Others,
    mut held: watch::Receiver<Option<String>>,
) -> std::io::Result<Response<Body>> {
    let (head, mut body) = request.into_parts();
    let lock = || all.lock().unwrap_or_else(PoisonError::into_inner);
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.to_string(), ToString::to_string);
    let seen = Seen {
        method: head.method.to_string(),
        target: target.clone(),
        headers: pairs(&head.headers),
        body: Vec::new(),
        trailers: Vec::new(),
        complete: false,
        at: Instant::now(),
    };
    // Noted before its body is read: a request counts as forwarded from its first byte on. The moment tells it
    // from the others when the test takes them meanwhile.
    let at = seen.at;
    lock().push(seen);
    let (mut bytes, mut trailers) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(std::io::Error::other)?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if let Some(headers) = frame.trailers_ref() {
            trailers = pairs(headers);
        }
    }
    let size = bytes.len();
    if let Some(mine) = lock().iter_mut().find(|seen| seen.at == at) {
        mine.body = bytes;
        mine.trailers = trailers;
        mine.complete = true;
    }
    // The sender lives as long as the server.
    let _ = held.wait_for(|held| held.as_deref() != Some(&target)).await;
    let other = others
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&target)
        .cloned();
    if let Some((status, place)) = other {
        let mut answer = Response::builder().status(status);
        if let Some(place) = place {
            answer = answer.header("location", place);
        }
        return answer.body(full("")).map_err(std::io::Error::other);
    }
    let answer = json!({"method": head.method.as_str(), "target": target, "body_bytes": size});
    Ok(Response::builder()
        .header("content-type", "application/json")
        .header("x-upstream", "theirs")
        .body(full(answer.to_string()))
        .expect("an answer"))
}

fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}
