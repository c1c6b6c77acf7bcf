//! Clients that send just the bytes a test wants: HTTP/1.1 by hand, and HTTP/2 with frames of one's own.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::server::runtime;

/// No answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, as it was sent.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that came once.
    ///
    /// # Panics
    /// When there are several copies.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let first = values.next();
        assert!(values.next().is_none(), "several copies of {name}");
        first.map(|(_, value)| value.as_str())
    }

    /// The values of a header, all copies in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(own, _)| own == name);
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request of HTTP/1.1 under way.
pub struct Exchange {
    stream: TcpStream,
}

impl Exchange {
    /// Connects and sends these bytes.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn begin(address: SocketAddr, bytes: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(bytes)?;
        Ok(Self { stream })
    }

    /// Sends more.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Another handle of the connection, to send from one thread and read in another.
    ///
    /// # Errors
    /// When the system has none left.
    pub fn split(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(Self { stream })
    }

    /// Whether nothing has come within this time.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn is_silent_for(&self, time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        let silent = match self.stream.peek(&mut [0]) {
            Ok(_) => false,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                true
            }
            Err(error) => return Err(error),
        };
        self.stream.set_read_timeout(Some(PATIENCE))?;
        Ok(silent)
    }

    /// Reads the answer. The connection may stay open.
    ///
    /// # Errors
    /// When it closes before the answer is complete.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| broken("no status line"))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let value = |name: &str| {
            let found = headers.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone())
        };
        let mut body = Vec::new();
        if status == 100 {
            return self.answer();
        }
        if value("transfer-encoding").is_some() {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16).map_err(|_| broken(&line))?;
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk)?;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = value("content-length") {
            let length = length.parse().map_err(|_| broken(&length))?;
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// Sends these bytes on a connection of their own and reads one answer.
///
/// # Panics
/// When none comes.
#[must_use]
pub fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    Exchange::begin(address, bytes)
        .and_then(|mut exchange| exchange.answer())
        .unwrap_or_else(|error| panic!("{error} after {}", String::from_utf8_lossy(bytes)))
}

/// A request without a body. Names and values are sent as they are; `host` and `connection: close` are added.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut headers = headers.to_vec();
    headers.push(("connection", b"close"));
    head_of(method, target, &headers)
}

/// The head of a request, whose body may follow, and further requests after it. `host` is added.
#[must_use]
pub fn head_of(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// GET with these headers. For HEAD there is [`head`].
#[must_use]
pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    send(address, &request("GET", target, &headers))
}

/// GET with this bearer token.
#[must_use]
pub fn get_with_token(address: SocketAddr, target: &str, token: &str) -> Answer {
    get(
        address,
        target,
        &[("authorization", &format!("Bearer {token}"))],
    )
}

/// HEAD: the answer has no body, whatever its length says.
///
/// # Panics
/// When no answer comes.
#[must_use]
pub fn head(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let bytes = request("HEAD", target, &headers);
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&bytes).expect("the request is sent");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).expect("an answer");
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    Answer {
        status: status.expect("a status"),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// A request of HTTP/2 with prior knowledge, on a connection of its own. Its body is what comes out of `frames`: data
/// or trailers. With `frames` absent the headers end it.
///
/// # Errors
/// When the connection or the stream is closed without an answer.
pub async fn http2(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &[u8])],
    frames: Option<UnboundedReceiver<Result<Frame<Bytes>, io::Error>>>,
) -> io::Result<Answer> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://gateway.test{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match frames {
        Some(frames) => {
            StreamBody::new(tokio_stream::wrappers::UnboundedReceiverStream::new(frames)).boxed()
        }
        None => http_body_util::Empty::new()
            .map_err(|never: std::convert::Infallible| match never {})
            .boxed(),
    };
    let request = request.body(body).map_err(io::Error::other)?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: pairs(&head.headers),
        body: body.to_vec(),
    })
}

/// Runs a client of [`http2`] to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect()
}
