//! The world outside the proxy as data: what stands at each URL, how it behaves, and who asked.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;

use oidc_filter::host::CallError;
use oidc_filter::http::{Answer, Call, Headers};
use serde_json::Value;

/// How an endpoint treats one call.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It answers 200 with its document.
    Normal,
    /// It answers with this status, and with its document all the same: only the status is wrong.
    Status(u16),
    /// It answers 200 with this body.
    Body(Vec<u8>),
    /// It answers 200 with its document, and with this header.
    With(&'static str, &'static str),
    /// It answers 302 to this address.
    Redirect(String),
    /// The connection breaks before an answer.
    NoAnswer,
    /// No answer comes in time. Its delivery moves the clock to the end of the wait.
    Timeout,
    /// The host refuses to send the call.
    NotSent,
}

/// A call that was sent, as the endpoint saw it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The method.
    pub method: &'static str,
    /// The whole URL.
    pub url: String,
    /// Envoy's cluster.
    pub cluster: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The worker that sent it.
    pub worker: usize,
    /// The worker's fetch that it belongs to: fetches count from 1.
    pub fetch: Option<u64>,
}

impl Sent {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What an endpoint that thinks answers: status and document.
pub(crate) type Serve = Rc<dyn Fn(&Call, u64) -> (u16, Value)>;

struct Endpoint {
    document: Vec<u8>,
    serve: Option<Serve>,
    always: Behaviour,
    next: VecDeque<Behaviour>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("always", &self.always)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// All endpoints. A host without any endpoint is one that the proxy does not know.
#[derive(Debug, Default)]
pub struct Network {
    endpoints: BTreeMap<String, Endpoint>,
    /// All calls that were sent, in their order.
    pub calls: Vec<Sent>,
}

/// The longest answer that the glue reads (`src/proxy/dialect.rs`).
const MAX_ANSWER: usize = 1 << 20;

impl Network {
    /// Puts a document at a URL.
    pub fn put(&mut self, url: &str, document: &Value) {
        let document = document.to_string().into_bytes();
        match self.endpoints.get_mut(url) {
            Some(endpoint) => endpoint.document = document,
            None => {
                let endpoint = Endpoint {
                    document,
                    serve: None,
                    always: Behaviour::Normal,
                    next: VecDeque::new(),
                };
                self.endpoints.insert(url.to_owned(), endpoint);
            }
        }
    }

    /// Puts an endpoint at a URL that takes forms. What it decides happens whatever becomes of its answer:
    /// a code is used also when the answer is lost.
    pub(crate) fn serve(&mut self, url: &str, serve: Serve) {
        self.put(url, &Value::Null);
        self.endpoint(url).serve = Some(serve);
    }

    /// Whether an endpoint at a URL takes forms.
    pub(crate) fn serves(&self, url: &str) -> bool {
        let endpoint = self.endpoints.get(url);
        endpoint.is_some_and(|endpoint| endpoint.serve.is_some())
    }

    /// How the endpoint treats calls that no script covers.
    ///
    /// # Panics
    /// When there is no such endpoint.
    pub fn always(&mut self, url: &str, behaviour: Behaviour) {
        self.endpoint(url).always = behaviour;
    }

    /// How the endpoint treats the next calls, one by one.
    ///
    /// # Panics
    /// When there is no such endpoint.
    pub fn next(&mut self, url: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.endpoint(url).next.extend(behaviours);
    }

    fn endpoint(&mut self, url: &str) -> &mut Endpoint {
        self.endpoints
            .get_mut(url)
            .unwrap_or_else(|| panic!("nothing stands at {url}"))
    }

    /// What comes of a call, fixed at the moment it is sent: what an endpoint learns later is not in
    /// an answer that is already on its way. The flag says that nothing came in time.
    pub(crate) fn begin(&mut self, call: &Call, now: u64) -> (Result<Answer, CallError>, bool) {
        let Some(endpoint) = self.endpoints.get_mut(call.url.as_str()) else {
            let host = call.url.host_str().unwrap_or_default();
            let known = self
                .endpoints
                .keys()
                .any(|url| url.split('/').nth(2) == Some(host));
            return if known {
                (Ok(answer(404, b"not found".to_vec())), false)
            } else {
                (Err(CallError::NotSent(format!("no cluster {host}"))), false)
            };
        };
        let behaviour = endpoint
            .next
            .pop_front()
            .unwrap_or_else(|| endpoint.always.clone());
        let sent = !matches!(behaviour, Behaviour::NotSent);
        let (status, document) = match endpoint.serve.clone().filter(|_| sent) {
            Some(serve) => match serve(call, now) {
                // A text is a JWT.
                (status, Value::String(jwt)) if matches!(behaviour, Behaviour::Normal) => {
                    let kind = ("content-type", "application/jwt".to_owned());
                    let headers = [(":status", status.to_string()), kind];
                    let headers = Headers::from_pairs(headers);
                    let signed = Answer {
                        headers,
                        ..answer(status, jwt.into_bytes())
                    };
                    return (Ok(signed), false);
                }
                (status, document) => (status, document.to_string().into_bytes()),
            },
            None => (200, endpoint.document.clone()),
        };
        let result = match behaviour {
            Behaviour::Normal => Ok(answer(status, document)),
            Behaviour::With(name, value) => Ok(Answer {
                headers: Headers::from_pairs([(":status", "200"), (name, value)]),
                ..answer(status, document)
            }),
            Behaviour::Status(status) => Ok(answer(status, document)),
            Behaviour::Body(body) if body.len() > MAX_ANSWER => {
                Err(CallError::NoAnswer("longer than is read".to_owned()))
            }
            Behaviour::Body(body) => Ok(answer(200, body)),
            Behaviour::Redirect(to) => Ok(Answer {
                headers: Headers::from_pairs([(":status", "302"), ("location", to.as_str())]),
                ..answer(302, Vec::new())
            }),
            Behaviour::NoAnswer => Err(CallError::NoAnswer("the connection broke".to_owned())),
            Behaviour::NotSent => Err(CallError::NotSent("refused by the host".to_owned())),
            Behaviour::Timeout => return (Err(CallError::TimedOut), true),
        };
        (result, false)
    }
}

fn answer(status: u16, body: Vec<u8>) -> Answer {
    Answer {
        status,
        headers: Headers::from_pairs([(":status", status.to_string())]),
        body,
    }
}
