//! The HTTP front: a real listener, and real requests to the upstream.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::headers::{Pairs, kong_path, nginx_path};
use crate::options::HostOptions;
use crate::state::{LocalResponse, ROOT, Stream, ToFront};
use crate::worker::Command;

/// nginx answers 400 to a longer header line (`large_client_header_buffers`), in bytes.
const NGINX_LINE: usize = 8 << 10;

/// The longest header count that we read: the filter shall see what the hosts let through.
const MAX_HEADERS: usize = 2000;

/// How long the rest of a body is read behind an early answer, so that the client sees it.
const DRAIN: Duration = Duration::from_secs(2);

/// What each connection needs.
pub struct Front {
    options: Arc<HostOptions>,
    commands: Sender<Command>,
    next: AtomicU32,
}

/// The connection closes without an answer.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host closed the connection")
    }
}

impl std::error::Error for Closed {}

/// Tells the worker that the request is over, also when the client left.
struct Over<'a>(&'a Front, u32);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // The worker may be gone before the front.
        let _ = self.0.commands.send(Command::End(self.1));
    }
}

impl Front {
    /// A front for a worker.
    pub fn new(options: Arc<HostOptions>, commands: Sender<Command>) -> Front {
        Front {
            options,
            commands,
            next: AtomicU32::new(ROOT + 1),
        }
    }

    /// Serves connections until it is dropped.
    pub async fn run(self: Arc<Self>, listener: TcpListener) {
        while let Ok((connection, peer)) = listener.accept().await {
            let front = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| front.serve(request, peer));
                let served = hyper::server::conn::http1::Builder::new()
                    .max_headers(MAX_HEADERS)
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
                // A client that breaks off, or a `Closed` of ours: both end the connection.
                drop(served);
            });
        }
    }

    async fn serve(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Full<Bytes>>, Closed> {
        let (id, over) = {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            (id, Over(self, id))
        };
        let (parts, mut body) = request.into_parts();
        let too_long = parts
            .headers
            .iter()
            .any(|(name, value)| name.as_str().len() + value.len() + 4 > NGINX_LINE);
        if too_long && self.options.kong().is_some() {
            return Ok(plain(400, "Request header or cookie too large"));
        }
        let (to_front, mut told) = unbounded_channel();
        let mut stream = Stream::new(to_front, self.pairs(&parts, peer, id), peer);
        stream.raw_target = parts
            .uri
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .to_owned();
        stream.has_body = !body.is_end_stream();
        self.set_variables(&mut stream);
        let has_body = stream.has_body;
        self.tell(Command::Request(id, Box::new(stream)))?;
        let mut reading = has_body;
        let mut exchange: Option<Pin<Box<dyn Future<Output = Exchanged> + Send + '_>>> = None;
        let idle = self.options.envoy().map(|envoy| envoy.stream_idle_timeout);
        let answer = loop {
            tokio::select! {
                biased;
                message = told.recv() => match message {
                    Some(ToFront::Forward { method, path, headers, target, body }) => {
                        let target = target.unwrap_or(self.options.upstream);
                        let pieces = Pieces(has_body.then_some(body));
                        exchange = Some(Box::pin(async move {
                            send_upstream(target, &method, &path, headers, pieces).await
                        }));
                    }
                    Some(ToFront::Answer(answer)) => break answer,
                    Some(ToFront::Close) | None => return Err(Closed),
                },
                frame = body.frame(), if reading => {
                    reading = self.pass(id, frame, &body)?;
                }
                exchanged = async { exchange.as_mut().expect("checked").await }, if exchange.is_some() => {
                    match exchanged {
                        Exchanged::Answer(response) => {
                            let (back, shown) = oneshot::channel();
                            self.tell(Command::Response { id, response, back })?;
                            break shown.await.map_err(|_| Closed)?;
                        }
                        Exchanged::Unreachable if idle.is_some() => {
                            break LocalResponse { status: 503, ..LocalResponse::default() };
                        }
                        Exchanged::Unreachable => {
                            break LocalResponse { status: 502, ..LocalResponse::default() };
                        }
                        Exchanged::Cut => return Err(Closed),
                    }
                }
                () = sleep(idle.unwrap_or_default()), if idle.is_some() && exchange.is_none() => {
                    break LocalResponse { status: 503, body: b"stream timeout".to_vec(), ..LocalResponse::default() };
                }
            }
        };
        if reading {
            let rest = async { while let Some(Ok(_)) = body.frame().await {} };
            // A client that stops sending is not waited for.
            let _ = timeout(DRAIN, rest).await;
        }
        drop(over);
        Ok(self.response(answer))
    }

    fn tell(&self, command: Command) -> Result<(), Closed> {
        self.commands.send(command).map_err(|_| Closed)
    }

    /// Passes a frame of the body on; answers whether more is to be read.
    fn pass(
        &self,
        id: u32,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
        body: &Incoming,
    ) -> Result<bool, Closed> {
        let Some(frame) = frame else {
            self.tell(Command::Body {
                id,
                bytes: Bytes::new(),
                end: true,
            })?;
            return Ok(false);
        };
        let frame = frame.map_err(|_| Closed)?;
        match frame.into_data() {
            Ok(bytes) => {
                let end = body.is_end_stream();
                self.tell(Command::Body { id, bytes, end })?;
                Ok(!end)
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let pair = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
                    (name.as_str().to_owned(), value.as_bytes().to_vec())
                };
                let trailers = trailers.iter().map(pair).collect();
                self.tell(Command::Trailers(id, trailers))?;
                Ok(false)
            }
        }
    }

    /// The headers as the host shows them.
    fn pairs(&self, parts: &hyper::http::request::Parts, peer: SocketAddr, id: u32) -> Pairs {
        let target = parts.uri.path_and_query().map(|it| it.as_str());
        let host = parts
            .headers
            .get("host")
            .map_or_else(Vec::new, |host| host.as_bytes().to_vec());
        let method = parts.method.as_str().as_bytes().to_vec();
        let mut pairs: Pairs = Vec::new();
        let mut add = |name: &str, value: Vec<u8>| pairs.push((name.to_owned(), value));
        let rest = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let Some(envoy) = self.options.envoy() else {
            let (path, query) = match target.unwrap_or("/").split_once('?') {
                Some((path, query)) => (nginx_path(path), format!("?{query}")),
                None => (nginx_path(target.unwrap_or("/")), String::new()),
            };
            add(":path", format!("{path}{query}").into_bytes());
            add(":method", method);
            add(":scheme", b"http".to_vec());
            // nginx's server name and port, not the client's word.
            add(":authority", b"kong:8000".to_vec());
            rest.for_each(|(name, value)| add(name, value.to_vec()));
            return pairs;
        };
        add(":authority", host);
        if let Some(target) = target {
            add(":path", target.as_bytes().to_vec());
        }
        add(":method", method);
        add(":scheme", b"http".to_vec());
        for (name, value) in rest {
            if ["host", "connection", "x-forwarded-proto", "x-request-id"].contains(&name) {
                continue;
            }
            // Envoy joins what it knows to be one header.
            let joins = ["authorization", "x-forwarded-for"].contains(&name);
            match pairs.iter_mut().find(|(known, _)| joins && known == name) {
                Some((_, joined)) => joined.extend([b",", value].concat()),
                None => pairs.push((name.to_owned(), value.to_vec())),
            }
        }
        if envoy.use_remote_address {
            let peer = peer.ip().to_string();
            match pairs.iter_mut().find(|(name, _)| name == "x-forwarded-for") {
                Some((_, list)) => list.extend(format!(",{peer}").bytes()),
                None => pairs.push(("x-forwarded-for".to_owned(), peer.into_bytes())),
            }
        }
        pairs.push(("x-forwarded-proto".to_owned(), b"http".to_vec()));
        let id = format!("00000000-0000-4000-8000-{id:012}");
        pairs.push(("x-request-id".to_owned(), id.into_bytes()));
        pairs
    }

    /// What Kong's access phase has set when filters begin.
    fn set_variables(&self, stream: &mut Stream) {
        if self.options.kong().is_none() {
            return;
        }
        let uri = match stream.raw_target.split_once('?') {
            Some((path, query)) => format!("{}?{query}", kong_path(path)),
            None => kong_path(&stream.raw_target),
        };
        let mut set = |name: &str, value: &str| {
            stream
                .variables
                .insert(name.to_owned(), value.as_bytes().to_vec());
        };
        set("ngx.upstream_uri", &uri);
        set("ngx.upstream_scheme", "http");
    }

    fn response(&self, answer: LocalResponse) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            // hyper measures the body itself.
            if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str())
                && let Ok(value) = HeaderValue::from_bytes(&value)
            {
                response = response.header(name, value);
            }
        }
        let server = if self.options.kong().is_some() {
            "kong/3.9.3"
        } else {
            "envoy"
        };
        let body = Full::new(Bytes::from(answer.body));
        let response = response.header("server", server).body(body);
        // Only a status that is none, or a name that is none, comes here.
        response.unwrap_or_else(|_| plain(500, "the module's answer is no HTTP"))
    }
}

fn plain(status: u16, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// How the exchange with the upstream ended.
enum Exchanged {
    Answer(LocalResponse),
    Unreachable,
    Cut,
}

async fn send_upstream(
    target: SocketAddr,
    method: &str,
    path: &str,
    headers: Pairs,
    body: Pieces,
) -> Exchanged {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(body) else {
        return Exchanged::Unreachable;
    };
    let Ok(connected) = TcpStream::connect(target).await else {
        return Exchanged::Unreachable;
    };
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(connected))
        .await;
    let Ok((mut sender, connection)) = handshake else {
        return Exchanged::Unreachable;
    };
    tokio::spawn(connection);
    let Ok(response) = sender.send_request(request).await else {
        return Exchanged::Unreachable;
    };
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Exchanged::Cut;
    };
    let pair = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    Exchanged::Answer(LocalResponse {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(pair).collect(),
        body: body.to_bytes().to_vec(),
    })
}

/// A body that comes in pieces, or none.
struct Pieces(Option<UnboundedReceiver<Frame<Bytes>>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Some(pieces) => pieces.poll_recv(context).map(|piece| piece.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
