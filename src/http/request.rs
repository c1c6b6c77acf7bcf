//! The request a client sent, as far as a decision needs it.

use std::rc::Rc;

use super::{Body, Headers};

/// A client's request before anything of it went upstream.
#[derive(Clone, Default)]
pub struct Request {
    /// All headers, the pseudo-headers `:method`, `:path`, `:authority`, `:scheme` among them.
    pub headers: Headers,
    /// The body, once it was read.
    pub body: Option<Rc<Body>>,
    /// The path as the host normalised it for its own routing, where it did.
    pub host_path: Option<Vec<u8>>,
    /// Which of our clients at the provider it means, by its place in the configuration
    /// ([`crate::oauth::client_choice`]).
    pub client: usize,
}

impl Request {
    /// A request with these headers.
    pub fn new(headers: Headers) -> Request {
        Request {
            headers,
            ..Request::default()
        }
    }

    /// The body; nothing is in one that was not read.
    pub fn body(&self) -> &Body {
        self.body.as_deref().unwrap_or(&Body::Opaque)
    }

    /// The method; empty when the host names none.
    pub fn method(&self) -> &[u8] {
        self.headers.first(":method").unwrap_or_default()
    }

    /// The request target as the client sent it. `None` for CONNECT and for a request without one
    /// (RFC 9110 section 9.3.6): nobody may index into what is not there.
    pub fn target(&self) -> Option<&[u8]> {
        if self.method() == b"CONNECT" {
            return None;
        }
        self.headers.first(":path").filter(|path| !path.is_empty())
    }

    /// The part of the target before the first `?`.
    pub fn path(&self) -> Option<&[u8]> {
        self.target()?.split(|byte| *byte == b'?').next()
    }

    /// The part of the target behind the first `?`.
    pub fn query(&self) -> Option<&[u8]> {
        let target = self.target()?;
        let mark = target.iter().position(|byte| *byte == b'?')?;
        target.get(mark.checked_add(1)?..)
    }

    /// A cross-origin preflight (Fetch, section 3.2.2; decision C25), which never carries
    /// credentials. Any other OPTIONS is an ordinary request.
    pub fn is_preflight(&self) -> bool {
        self.method() == b"OPTIONS"
            && self.headers.first("origin").is_some()
            && self
                .headers
                .first("access-control-request-method")
                .is_some()
    }

    /// What a browser sends when somebody follows a link: GET, or HEAD, which is answered like it.
    pub fn is_navigation(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD")
    }

    /// Whether a redirect to a login means anything to the client: not to one of gRPC, nor to one that
    /// wants a WebSocket (RFC 6455 section 4.1).
    pub fn can_be_redirected(&self) -> bool {
        let upgrades = self
            .headers
            .first("upgrade")
            .is_some_and(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"));
        !upgrades && !self.is_grpc()
    }

    /// A form in a POST (WHATWG HTML section 4.10.22.6): where callbacks and logouts may be.
    pub fn is_posted_form(&self) -> bool {
        let form = b"application/x-www-form-urlencoded";
        self.method() == b"POST"
            && self.headers.first("content-type").is_some_and(|kind| {
                let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
                kind.trim_ascii().eq_ignore_ascii_case(form)
            })
    }

    /// A call of gRPC: its client understands statuses and trailers, not bodies and redirects.
    pub fn is_grpc(&self) -> bool {
        self.headers
            .first("content-type")
            .is_some_and(|kind| kind.starts_with(b"application/grpc"))
    }

    /// The request's id for the log, if the host or a proxy before it gave one that is printable.
    pub fn id(&self) -> &str {
        self.headers
            .first("x-request-id")
            .filter(|id| id.len() <= 64 && id.iter().all(|byte| byte.is_ascii_graphic()))
            .and_then(|id| std::str::from_utf8(id).ok())
            .unwrap_or("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pairs: &[(&str, &str)]) -> Request {
        Request::new(Headers::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn a_target_may_be_missing() {
        assert_eq!(
            request(&[(":method", "CONNECT"), (":path", "/x")]).target(),
            None
        );
        assert_eq!(request(&[(":method", "GET")]).target(), None);
        assert_eq!(request(&[(":method", "GET"), (":path", "")]).target(), None);
    }

    #[test]
    fn the_query_begins_at_the_first_mark() {
        let with = request(&[(":method", "GET"), (":path", "/a?b=c?d")]);
        assert_eq!(with.query(), Some(&b"b=c?d"[..]));
        assert_eq!(
            request(&[(":method", "GET"), (":path", "/a")]).query(),
            None
        );
    }

    #[test]
    fn c25_only_a_real_preflight_is_one() {
        let plain = [(":method", "OPTIONS"), (":path", "/")];
        assert!(!request(&plain).is_preflight());
        let real = [
            (":method", "OPTIONS"),
            ("origin", "https://a"),
            ("access-control-request-method", "GET"),
        ];
        assert!(request(&real).is_preflight());
    }

    #[test]
    fn an_unprintable_request_id_is_not_logged() {
        assert_eq!(request(&[("x-request-id", "a b")]).id(), "-");
        assert_eq!(request(&[("x-request-id", "a-b")]).id(), "a-b");
    }
}
