//! Callouts of the module, over real connections, with the answers that either host would show.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::headers::Pairs;
use crate::state::CallAnswer;

/// The longest response header line that Kong reads (`wasm_socket_large_buffers`), in bytes.
const KONG_LINE: usize = 8 << 10;
/// Kong shows no more response headers.
const KONG_HEADERS: usize = 100;

/// What is sent.
#[derive(Debug)]
pub struct Callout {
    /// The headers with pseudo-headers, as the module gave them.
    pub headers: Pairs,
    /// The body.
    pub body: Vec<u8>,
    /// The module's time limit; zero is none.
    pub timeout: Duration,
}

/// Why there is no whole answer.
enum Failure {
    /// No connection, or it ended before a header came.
    NoAnswer,
    /// The time was up.
    TimedOut,
}

impl Callout {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    fn request(&self, further: &[(&str, String)]) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.header(":method")?)
            .uri(self.header(":path")?);
        if let Some(authority) = self.header(":authority") {
            request = request.header("host", authority);
        }
        for (name, value) in &self.headers {
            let dropped = ["host", "connection", "content-length"].contains(&name.as_str());
            if !name.starts_with(':') && !dropped {
                request = request.header(name, value.as_slice());
            }
        }
        for (name, value) in further {
            request = request.header(*name, value);
        }
        request.body(Full::new(Bytes::from(self.body.clone()))).ok()
    }

    /// As Envoy does it: one time limit for everything, and answers of its own where none came.
    pub async fn like_envoy(self, cluster: SocketAddr) -> CallAnswer {
        let mut further = vec![("x-envoy-internal", "true".to_owned())];
        if !self.timeout.is_zero() {
            let limit = self.timeout.as_millis().to_string();
            further.push(("x-envoy-expected-rq-timeout-ms", limit));
        }
        let Some(request) = self.request(&further) else {
            return CallAnswer::default();
        };
        let exchange = async {
            let response = send(cluster, request)
                .await
                .map_err(|_| Failure::NoAnswer)?;
            let mut headers = pairs(&response, response.headers());
            headers.push(("x-envoy-upstream-service-time".to_owned(), b"1".to_vec()));
            // A reset behind the headers leaves nothing at all.
            Ok(match response.into_body().collect().await {
                Ok(body) => answer(headers, body.to_bytes().to_vec()),
                Err(_) => CallAnswer::default(),
            })
        };
        let limit = if self.timeout.is_zero() {
            Duration::MAX
        } else {
            self.timeout
        };
        let ended = timeout(limit, exchange).await;
        match ended.unwrap_or(Err(Failure::TimedOut)) {
            Ok(answer) => answer,
            Err(Failure::TimedOut) => synthetic("504", "upstream request timeout"),
            Err(Failure::NoAnswer) => synthetic(
                "503",
                "upstream connect error or disconnect/reset before headers",
            ),
        }
    }

    /// As Kong does it: the time limit is one for each step, and TLS was never set up here.
    pub async fn like_kong(self, target: String) -> CallAnswer {
        if self.header(":scheme") == Some(b"https") {
            return failed("tls handshake failure");
        }
        let limit = if self.timeout.is_zero() {
            Duration::from_secs(60)
        } else {
            self.timeout
        };
        let port = if target
            .rsplit(']')
            .next()
            .is_some_and(|end| end.contains(':'))
        {
            ""
        } else {
            ":80"
        };
        let Some(address) = resolve(&format!("{target}{port}")).await else {
            return failed("resolver failure");
        };
        let mut further = vec![("connection", "close".to_owned())];
        if self.body.is_empty() {
            further.push(("content-length", "0".to_owned()));
        }
        let Some(request) = self.request(&further) else {
            return failed("broken connection");
        };
        let connected = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => return failed("broken connection"),
            Err(_) => return failed("timeout"),
        };
        match timeout(limit, send_on(connected, request)).await {
            Ok(Ok(response)) => read_like_kong(response, limit).await,
            // A connection that closes without a word is no failure to Kong.
            Ok(Err(_)) => failed("ok"),
            Err(_) => failed("timeout"),
        }
    }
}

async fn resolve(target: &str) -> Option<SocketAddr> {
    lookup_host(target).await.ok()?.next()
}

async fn read_like_kong(response: Response<Incoming>, limit: Duration) -> CallAnswer {
    let line = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    if response
        .headers()
        .iter()
        .map(line)
        .any(|length| length > KONG_LINE)
    {
        return failed("reader failure");
    }
    let announced = response.headers().get("content-length");
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let chunked = response.headers().contains_key("transfer-encoding");
    let mut headers = pairs(&response, response.headers());
    headers.truncate(KONG_HEADERS);
    headers.insert(1, (":dispatch_status".to_owned(), b"ok".to_vec()));
    if announced.is_none() && !chunked {
        // A body that ends with the connection is not read.
        return answer(headers, Vec::new());
    }
    let mut body = response.into_body();
    let mut read = Vec::new();
    loop {
        match timeout(limit, body.frame()).await {
            Ok(None) => return answer(headers, read),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
            // The announced size is told, and the body cannot be read.
            Ok(Some(Err(_))) => {
                let size = announced.unwrap_or(read.len());
                let cut = answer(headers, Vec::new());
                return CallAnswer {
                    size,
                    body: None,
                    ..cut
                };
            }
            Err(_) => return failed("timeout"),
        }
    }
}

async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> std::io::Result<Response<Incoming>> {
    send_on(TcpStream::connect(address).await?, request).await
}

/// Sends on a connection of its own; the connection lives as long as the body is read.
async fn send_on(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> std::io::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(1000)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .map_err(std::io::Error::other)
}

fn pairs(response: &Response<Incoming>, headers: &HeaderMap) -> Pairs {
    let status = response.status().as_str().as_bytes().to_vec();
    let pair = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let mut pairs = vec![(":status".to_owned(), status)];
    pairs.extend(headers.iter().map(pair));
    pairs
}

fn answer(headers: Pairs, body: Vec<u8>) -> CallAnswer {
    // Kong counts what the provider sent, not its own word.
    let own = headers
        .iter()
        .filter(|(name, _)| name == ":dispatch_status")
        .count();
    CallAnswer {
        count: u32::try_from(headers.len() - own).unwrap_or(u32::MAX),
        size: body.len(),
        body: Some(body),
        headers,
    }
}

/// Envoy's own answer: three headers.
fn synthetic(status: &str, text: &str) -> CallAnswer {
    let length = text.len().to_string();
    let headers = [
        (":status", status),
        ("content-length", &length),
        ("content-type", "text/plain"),
    ];
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
    answer(
        headers.into_iter().map(pair).collect(),
        text.as_bytes().to_vec(),
    )
}

/// Kong calls back with nothing but its word for what happened.
fn failed(status: &str) -> CallAnswer {
    let headers = vec![(":dispatch_status".to_owned(), status.as_bytes().to_vec())];
    CallAnswer {
        headers,
        count: 0,
        size: 0,
        body: Some(Vec::new()),
    }
}
