//! What a client sends.

use std::net::IpAddr;

use crate::world::Route;

/// A client's request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) route: Option<Route>,
    pub(crate) worker: usize,
    pub(crate) secrets: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) host_path: Option<Vec<u8>>,
}

impl Request {
    /// A GET for this path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A request with this method for this path.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self::bare()
            .header(":method", method)
            .header(":path", path)
            .header(":authority", "api.test")
            .header(":scheme", "https")
    }

    /// A request without any header.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            peer: Some([192, 0, 2, 1].into()),
            ..Self::default()
        }
    }

    /// With one more header; the same name may come again.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// With this header instead of those of its name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name.as_bytes()));
        self.header(name, value)
    }

    /// With this form as its body.
    #[must_use]
    pub fn form(self, form: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(form)
    }

    /// With this body and its length.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("content-length", body.len().to_string())
    }

    /// For this path, as the host's own router reads it (Kong).
    #[must_use]
    pub fn read_by_host_as(mut self, path: &str) -> Self {
        self.host_path = Some(path.as_bytes().to_vec());
        self
    }

    /// From this address, by a connection of its own.
    ///
    /// # Panics
    /// When it is no address.
    #[must_use]
    pub fn from_peer(mut self, peer: &str) -> Self {
        self.peer = Some(peer.parse().expect("an address"));
        self
    }

    /// From an address that the host does not tell.
    #[must_use]
    pub fn from_nobody(mut self) -> Self {
        self.peer = None;
        self
    }

    /// With this token as RFC 6750 section 2.1 has it.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
            .secret(token)
    }

    /// A GET of `/app` with this name and its secret (RFC 7617).
    #[must_use]
    pub fn basic([name, secret]: [&str; 2]) -> Self {
        let pair = base64(&format!("{name}:{secret}"));
        Self::get("/app")
            .header("authorization", format!("Basic {pair}"))
            .secret(secret)
    }

    /// How many headers of this name there are.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        let same = |own: &[u8]| own.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(|(own, _)| same(own)).count()
    }

    /// Names a text that must appear in no log line and in no answer. [`Request::bearer`] does so by
    /// itself.
    #[must_use]
    pub fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    /// On this route instead of the first one.
    #[must_use]
    pub fn on(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// At this worker instead of the first one.
    #[must_use]
    pub fn at(mut self, worker: usize) -> Self {
        self.worker = worker;
        self
    }
}

/// Standard Base64 (RFC 4648 section 4), written out: the product must not test itself.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .map(|chunk| {
            let word = chunk
                .iter()
                .chain([0, 0].iter())
                .take(3)
                .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
            (0..4)
                .map(|place| match place <= chunk.len() {
                    true => char::from(LETTERS[word >> (18 - 6 * place) & 63]),
                    false => '=',
                })
                .collect::<String>()
        })
        .collect()
}
