//! Plain HTTP/1.1 for tests, byte by byte: a client that may send what no library would, and a
//! server that answers by a script and remembers what it got.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A message's start line, headers and body.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The start line.
    pub start: String,
    /// Names (lower case) and values in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    #[must_use]
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of an answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.target().parse().unwrap_or_default()
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All headers of this name.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends bytes on a connection of their own and reads one answer.
///
/// # Errors
/// When the connection closes before a whole answer, or none comes in [`PATIENCE`].
pub fn send(to: SocketAddr, request: &[u8]) -> io::Result<Message> {
    let mut connection = open(to, request)?;
    read_message(&mut connection)
}

/// Sends bytes on a connection of their own and leaves it open.
///
/// # Errors
/// When it cannot be opened. (An answer that comes early may end the sending; it is read anyway.)
pub fn open(to: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut connection = TcpStream::connect(to)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    match connection.write_all(request) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(connection),
    }
}

/// Whether nothing comes on the connection for `time`. (Hanging has no sign of its own.)
#[must_use]
pub fn stays_silent(connection: &mut TcpStream, time: Duration) -> bool {
    let timeout = connection.set_read_timeout(Some(time));
    let mut byte = [0];
    let read = connection.read(&mut byte);
    let silent = read.is_err_and(|error| {
        [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind())
    });
    timeout.is_ok() && silent
}

/// The bytes of a request with `Host` and `Connection: close`; a body brings its length.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let measured = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !body.is_empty() && !measured {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `pieces` as a chunked body.
#[must_use]
pub fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Reads one message.
///
/// # Errors
/// When the connection ends or is silent before it is whole.
pub fn read_message(connection: &mut TcpStream) -> io::Result<Message> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at;
        }
        more(connection, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(header).collect();
    let mut message = Message {
        start,
        headers,
        body: bytes.split_off(head + 4),
        trailers: Vec::new(),
    };
    if message.start.contains(" 100 ") {
        let mut rest = read_message(connection)?;
        rest.body.splice(0..0, message.body);
        return Ok(rest);
    }
    if message.header("transfer-encoding") == Some("chunked") {
        (message.body, message.trailers) = read_chunks(connection, message.body)?;
    } else {
        let length = message
            .header("content-length")
            .and_then(|length| length.parse().ok());
        while message.body.len() < length.unwrap_or(0) {
            more(connection, &mut message.body)?;
        }
    }
    Ok(message)
}

/// A chunked body and its trailers.
type Chunks = (Vec<u8>, Vec<(String, String)>);

fn read_chunks(connection: &mut TcpStream, mut bytes: Vec<u8>) -> io::Result<Chunks> {
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    let mut over = false;
    loop {
        let Some(end) = find(&bytes, b"\r\n") else {
            more(connection, &mut bytes)?;
            continue;
        };
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end + 2);
        if over {
            match header(&line) {
                Some(trailer) => trailers.push(trailer),
                None => return Ok((body, trailers)),
            }
            continue;
        }
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        over = size == 0;
        if !over {
            while bytes.len() < size + 2 {
                more(connection, &mut bytes)?;
            }
            body.extend(bytes.drain(..size));
            bytes.drain(..2);
        }
    }
}

/// A header's line; `None` where it is none.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

fn more(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    match connection.read(&mut piece)? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        read => {
            bytes.extend_from_slice(&piece[..read]);
            Ok(())
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// What a scripted server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer with a length.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, and the connection closes.
    Cut,
    /// Nothing until the server ends.
    Silence,
}

impl Reply {
    /// 200 with JSON.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Reply {
        let header = ("content-type".to_owned(), "application/json".to_owned());
        Reply::Answer(200, vec![header], text.into().into_bytes())
    }
}

type Script = dyn Fn(&Message) -> Reply + Send + Sync;

/// A server on a port of its own, a thread for each connection. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    seen: Mutex<Vec<Message>>,
    changed: Condvar,
    stopped: AtomicBool,
    script: Box<Script>,
}

impl Inner {
    fn seen(&self) -> MutexGuard<'_, Vec<Message>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// A server that answers by `script`.
    ///
    /// # Panics
    /// When this machine gives no port.
    pub fn start(script: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let inner = Arc::new(Inner {
            seen: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            script: Box::new(script),
        });
        let shared = inner.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(connection, &shared));
            }
        });
        Server { address, inner }
    }

    /// An upstream that answers 200 to everything.
    #[must_use]
    pub fn upstream() -> Server {
        Server::start(|_| Reply::Answer(200, Vec::new(), b"from the upstream".to_vec()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Message> {
        self.inner.seen().clone()
    }

    /// How many requests for this path there were so far.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.inner
            .seen()
            .iter()
            .filter(|seen| seen.target() == path)
            .count()
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not come in [`PATIENCE`].
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Message> {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.inner.seen();
        while seen.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} requests came", seen.len());
            let waited = self.inner.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        seen.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            // Under the lock: whoever has just looked at the flag is waiting by now.
            let _seen = self.inner.seen();
            self.inner.stopped.store(true, Ordering::SeqCst);
        }
        self.inner.changed.notify_all();
        // Wakes the listener; if that fails, it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut connection: TcpStream, inner: &Inner) {
    while let Ok(message) = read_message(&mut connection) {
        inner.seen().push(message.clone());
        inner.changed.notify_all();
        match (inner.script)(&message) {
            Reply::Answer(status, headers, body) => {
                let mut text = format!(
                    "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n",
                    body.len()
                );
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
                let sent = connection.write_all(&[text.as_bytes(), &body].concat());
                if sent.is_err() {
                    return;
                }
            }
            Reply::Raw(bytes) => {
                // Whoever broke off meanwhile misses nothing.
                let _ = connection.write_all(&bytes);
                return;
            }
            Reply::Cut => return,
            Reply::Silence => {
                let mut seen = inner.seen();
                while !inner.stopped.load(Ordering::SeqCst) {
                    seen = inner
                        .changed
                        .wait(seen)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                return;
            }
        }
    }
}
