//! A scripted identity provider: conforming until a test tells it otherwise, and counting every call.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use crate::issuer::{SigningKey, claims, jwks};
use crate::server::{Body, Server, full};

mod asked;
mod grants;
mod habits;
mod login;

pub use habits::{Access, Api, Habits, Refresh, Scopes};
pub use login::Tokens;
use login::{Logins, Own, fields};

/// Path of the discovery document.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Path of the key set.
pub const JWKS: &str = "/jwks";
/// Path of the authorization endpoint: whoever comes there is alex, and logged in at once.
pub const AUTHORIZE: &str = "/authorize";
/// Path of the token endpoint.
pub const TOKEN: &str = "/token";
/// Path of the end-session endpoint.
pub const END_SESSION: &str = "/end-session";
/// Path of the introspection endpoint.
pub const INTROSPECT: &str = "/introspect";
/// Path of the userinfo endpoint.
pub const USERINFO: &str = "/userinfo";
/// The client that the provider knows, and its secret.
pub const CLIENT: (&str, &str) = ("kong", "a secret of the client");
/// Another client, a program, and its secret.
pub const ROBOT: (&str, &str) = ("robot", "a secret of the robot");
/// The person who can log in with a password.
pub const PASSWORD: (&str, &str) = ("alex", "doe");

/// The person's `sub`.
const PERSON: &str = crate::issuer::ALEX;

/// All endpoints, by their usual paths.
const ENDPOINTS: [&str; 7] = [
    DISCOVERY,
    JWKS,
    AUTHORIZE,
    TOKEN,
    END_SESSION,
    INTROSPECT,
    USERINFO,
];

/// Where the neighbour's keys are: another authorization server at the same host.
const NEIGHBOURS_KEYS: &str = "/neighbour/keys";

/// What one call of an endpoint meets.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The endpoint's own answer.
    Normal,
    /// The endpoint's own answer, so much later.
    Delay(Duration),
    /// This status, with an empty JSON object.
    Status(u16),
    /// A redirect to this place.
    Redirect(String),
    /// 200 with this body.
    Answer(Vec<u8>),
    /// This status with this body.
    Failure(u16, Vec<u8>),
    /// The connection is closed without an answer, like a pooled one that the provider had given up.
    Close,
    /// The connection is closed in the middle of the body.
    Cut,
    /// 200, and then a byte of a body every now and then, without an end.
    Drip,
    /// No answer ever.
    Hang,
    /// The endpoint's own answer, when [`Provider::release`] is called.
    Hold,
}

struct Script {
    keys: Value,
    metadata: Value,
    /// One-time behaviours, by path, in order.
    next: BTreeMap<String, VecDeque<Behaviour>>,
    /// What all other calls of a path meet.
    always: BTreeMap<String, Behaviour>,
    calls: BTreeMap<String, usize>,
    /// Headers of the last call of each path.
    headers: BTreeMap<String, Vec<(String, String)>>,
    logins: Logins,
    /// The port of the other host.
    elsewhere: u16,
}

/// A running provider. It begins with the key [`SigningKey::shared`].
pub struct Provider {
    server: Server,
    /// Another host, for the endpoints that are not at the issuer's.
    elsewhere: Server,
    script: Arc<Mutex<Script>>,
    released: watch::Sender<u64>,
}

impl Provider {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(crate::ports::free())
    }

    /// Starts one on this port: a provider that was down comes up.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        Self::with_habits(port, Habits::default())
    }

    /// Starts one with these habits.
    #[must_use]
    pub fn start_with(habits: Habits) -> Self {
        Self::with_habits(crate::ports::free(), habits)
    }

    fn with_habits(port: u16, habits: Habits) -> Self {
        let elsewhere = crate::ports::free();
        let mut keys = vec![SigningKey::shared()];
        keys.extend(habits.two_keys.then(SigningKey::second));
        let script = Arc::new(Mutex::new(Script {
            keys: jwks(keys),
            metadata: json!({}),
            next: BTreeMap::new(),
            always: BTreeMap::new(),
            calls: BTreeMap::new(),
            headers: BTreeMap::new(),
            logins: Logins::new(habits, port),
            elsewhere,
        }));
        let (released, waiting) = watch::channel(0);
        let server = |at: u16| {
            let (script, waiting) = (script.clone(), waiting.clone());
            Server::start_on(at, move |request| {
                answer(request, at, script.clone(), waiting.clone())
            })
        };
        Self {
            server: server(port),
            elsewhere: server(elsewhere),
            script,
            released,
        }
    }

    /// Where it listens, for Envoy's cluster.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The other host, for another cluster.
    #[must_use]
    pub fn elsewhere(&self) -> SocketAddr {
        self.elsewhere.address
    }

    /// The host itself, where the issuer may have a path.
    #[must_use]
    pub fn host(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> String {
        Habits::issuer_of(self.lock().logins.habits.issuer, self.address().port())
    }

    /// The address of an endpoint.
    #[must_use]
    pub fn url(&self, endpoint: &'static str) -> String {
        url(&self.lock(), endpoint)
    }

    /// A token for alex, good for five minutes, signed with the key the provider began with.
    #[must_use]
    pub fn token(&self) -> String {
        SigningKey::shared().token(&claims(&self.issuer()))
    }

    /// The filter's configuration for this provider: bearer only, the cluster `provider`, and `x-user` for the upstream.
    #[must_use]
    pub fn config(&self) -> Value {
        json!({
            "issuer": self.issuer(),
            "auth_methods": ["bearer"],
            "clusters": {"*": "provider"},
            "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
        })
    }

    /// The filter's configuration for logins at this provider: session and authorization code, back to the wanted page.
    #[must_use]
    pub fn login_config(&self) -> Value {
        let mut config = self.config();
        let members = json!({
            "client_id": [CLIENT.0],
            "client_secret": [CLIENT.1],
            "auth_methods": ["session", "authorization_code"],
            "session_secret": "a secret of these tests, 32 byte",
            "login_action": "redirect",
            "login_tokens": [],
            "preserve_query_args": true,
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        config
    }

    /// What the token endpoint gives from now on.
    pub fn set_tokens(&self, change: impl FnOnce(&mut Tokens)) {
        change(&mut self.lock().logins.tokens);
    }

    /// The forms that the token endpoint has taken so far.
    #[must_use]
    pub fn token_forms(&self) -> Vec<BTreeMap<String, String>> {
        self.lock().logins.forms.clone()
    }

    /// Signs with a new key of this name from now on, and publishes it beside the old ones.
    pub fn rotate(&self, kid: &str) {
        let key: &'static SigningKey = Box::leak(Box::new(SigningKey::generate("RS256", kid)));
        let mut script = self.lock();
        script.logins.key = key;
        script.logins.id_key = key;
        if let Some(keys) = script.keys["keys"].as_array_mut() {
            keys.push(key.jwk());
        }
    }

    /// A call of the token endpoint, as anybody can make it; gives the whole answer.
    ///
    /// # Panics
    /// When the provider does not answer.
    #[must_use]
    pub fn ask_for_tokens(&self, fields: &[(&str, &str)]) -> Value {
        crate::http::post_form(&self.url(TOKEN), fields)
            .unwrap_or_else(|error| panic!("{error}"))
            .json()
    }

    /// Publishes these keys from now on.
    pub fn set_keys(&self, keys: Value) {
        self.lock().keys = keys;
    }

    /// Puts these members into the discovery document; null takes one out.
    pub fn set_metadata(&self, members: Value) {
        self.lock().metadata = members;
    }

    /// What the next call of `path` meets (after those that were scripted before).
    pub fn next(&self, path: &str, behaviour: Behaviour) {
        let mut script = self.lock();
        script
            .next
            .entry(path.to_owned())
            .or_default()
            .push_back(behaviour);
    }

    /// What every further call of `path` meets.
    pub fn always(&self, path: &str, behaviour: Behaviour) {
        self.lock().always.insert(path.to_owned(), behaviour);
    }

    /// Lets all calls go on that meet [`Behaviour::Hold`] now.
    pub fn release(&self) {
        self.released.send_modify(|round| *round += 1);
    }

    /// How often `path` was called.
    #[must_use]
    pub fn calls(&self, path: &str) -> usize {
        self.lock().calls.get(path).copied().unwrap_or(0)
    }

    /// The headers of the last call of `path`.
    #[must_use]
    pub fn last_headers(&self, path: &str) -> Vec<(String, String)> {
        self.lock().headers.get(path).cloned().unwrap_or_default()
    }

    /// Waits until `path` was called so often (10 s at most).
    ///
    /// # Panics
    /// When it is not.
    pub fn wait_for_calls(&self, path: &str, count: usize) {
        let start = Instant::now();
        while self.calls(path) < count {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{} of {count} calls of {path}",
                self.calls(path)
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    request: Request<Incoming>,
    port: u16,
    script: Arc<Mutex<Script>>,
    mut released: watch::Receiver<u64>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let round = *released.borrow_and_update();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (behaviour, own) = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let habits = &script.logins.habits;
        let endpoint = habits.endpoint(head.uri.path()).filter(|endpoint| {
            let is_elsewhere = habits.elsewhere.contains(endpoint);
            is_elsewhere == (port == script.elsewhere)
        });
        // Endpoints go by their usual paths, and nothing else does.
        let path = match (endpoint, head.uri.path()) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, path) if ENDPOINTS.contains(&path) => format!("{path} of nobody"),
            (None, path) => path.to_owned(),
        };
        *script.calls.entry(path.clone()).or_default() += 1;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        script.headers.insert(path.clone(), headers.collect());
        let next = script.next.get_mut(&path).and_then(VecDeque::pop_front);
        let behaviour = next
            .or_else(|| script.always.get(&path).cloned())
            .unwrap_or(Behaviour::Normal);
        let header = |name: &str| head.headers.get(name)?.to_str().ok();
        let (authorization, accept) = (header("authorization"), header("accept").unwrap_or(""));
        let query = fields(head.uri.query().unwrap_or_default().as_bytes());
        let logins = &mut script.logins;
        let own = match endpoint {
            Some(AUTHORIZE) => logins.authorize(&query),
            Some(TOKEN) => logins.token(fields(&body), authorization),
            Some(END_SESSION) => logins.end_session(&query),
            Some(INTROSPECT) => logins.introspect(&fields(&body), authorization, accept),
            Some(USERINFO) => logins.userinfo(authorization, accept),
            _ => match document(head.uri.path(), endpoint, &script) {
                Some(document) => Own::json(200, &document),
                None => Own::json(404, &json!({})),
            },
        };
        (behaviour, own)
    };
    match behaviour {
        Behaviour::Normal => {}
        Behaviour::Delay(time) => tokio::time::sleep(time).await,
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Hold => {
            let _ = released.wait_for(|now| *now > round).await;
        }
        Behaviour::Close => return Err(io::ErrorKind::ConnectionReset.into()),
        Behaviour::Status(status) => return Ok(json_answer(status, full("{}"))),
        Behaviour::Answer(bytes) => return Ok(json_answer(200, full(bytes))),
        Behaviour::Failure(status, bytes) => return Ok(json_answer(status, full(bytes))),
        Behaviour::Redirect(place) => {
            let mut redirect = json_answer(302, full("{}"));
            let place = place.parse().map_err(io::Error::other)?;
            redirect.headers_mut().insert("location", place);
            return Ok(redirect);
        }
        Behaviour::Drip => return Ok(json_answer(200, drip())),
        Behaviour::Cut => return Ok(json_answer(200, cut(&own.body))),
    }
    let mut answer = Response::builder()
        .status(own.status)
        .header("content-type", own.kind);
    if let Some(place) = own.location {
        answer = answer.header("location", place);
    }
    answer.body(full(own.body)).map_err(io::Error::other)
}

fn url(script: &Script, endpoint: &'static str) -> String {
    let habits = &script.logins.habits;
    let port = if habits.elsewhere.contains(&endpoint) {
        script.elsewhere
    } else {
        script.logins.port
    };
    format!("http://127.0.0.1:{port}{}", habits.path(endpoint))
}

fn document(path: &str, endpoint: Option<&str>, script: &Script) -> Option<Value> {
    let habits = &script.logins.habits;
    let host = format!("http://127.0.0.1:{}", script.logins.port);
    match (endpoint, path) {
        (Some(DISCOVERY), _) => {
            let named = habits.named.unwrap_or(habits.issuer);
            let mut metadata = json!({
                "issuer": Habits::issuer_of(named, script.logins.port),
                "jwks_uri": url(script, JWKS),
                "authorization_endpoint": url(script, AUTHORIZE),
                "token_endpoint": url(script, TOKEN),
                "end_session_endpoint": url(script, END_SESSION),
                "introspection_endpoint": url(script, INTROSPECT),
                "userinfo_endpoint": url(script, USERINFO),
                "code_challenge_methods_supported": ["S256"],
            });
            for (name, value) in script.metadata.as_object().into_iter().flatten() {
                metadata[name] = value.clone();
            }
            for name in &habits.untold {
                metadata.as_object_mut()?.remove(*name);
            }
            Some(metadata)
        }
        (Some(JWKS), _) => Some(script.keys.clone()),
        (_, DISCOVERY) if habits.neighbour => {
            Some(json!({"issuer": host, "jwks_uri": format!("{host}{NEIGHBOURS_KEYS}")}))
        }
        (_, NEIGHBOURS_KEYS) if habits.neighbour => Some(jwks([SigningKey::second()])),
        _ => None,
    }
}

fn json_answer(status: u16, body: Body) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .expect("an answer")
}

/// Half of the text, then an error.
fn cut(text: &str) -> Body {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let frames = [
        Ok(Frame::data(half)),
        Err(io::ErrorKind::ConnectionReset.into()),
    ];
    StreamBody::new(tokio_stream::iter(frames)).boxed()
}

/// Spaces, which JSON allows before its text, for as long as the connection lives.
fn drip() -> Body {
    let frames = tokio_stream::iter(std::iter::repeat(()));
    let frames = frames.then(|()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Frame::data(Bytes::from_static(b" ")))
    });
    StreamBody::new(frames).boxed()
}
