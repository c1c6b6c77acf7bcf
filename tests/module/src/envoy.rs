//! A request's way through the Envoy-like host.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::mpsc::unbounded_channel;

use crate::state::{Callback, Hold, Stream, ToFront};
use crate::worker::{Fault, Worker};

/// More header fields are answered 431.
const HEADER_LIMIT: usize = 100;

/// Headers that belong to a connection, not to the message.
pub(crate) const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "host",
];

impl Worker {
    /// The filter is skipped (FAIL_OPEN).
    pub(crate) fn envoy_bypass(&mut self, id: u32) {
        self.envoy_forward(id);
        self.envoy_pump(id);
    }

    /// The headers have come.
    pub(crate) fn envoy_request(&mut self, id: u32) {
        let made = self.ensure_instance();
        let generation = self.state().generation;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.request.visible().len() > HEADER_LIMIT {
            return self.error_page(id, 431, "");
        }
        if made.is_err() {
            return self.error_page(id, 503, "");
        }
        stream.generation = generation;
        let root = stream.root;
        let end = u32::from(!stream.has_body);
        let count = u32::try_from(stream.request.visible().len()).unwrap_or(u32::MAX);
        let create = self.call("proxy_on_context_create", id, Callback::Start, &[id, root]);
        let called = create.and_then(|_| {
            let phase = Callback::RequestHeaders;
            self.call("proxy_on_request_headers", id, phase, &[id, count, end])
        });
        let Ok(status) = called else {
            return self.error_page(id, 503, "");
        };
        let flag = self.envoy_switches().allow_on_headers_stop_iteration;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.local.is_some() {
            return;
        }
        stream.hold = match status.unwrap_or(0) {
            1 if flag => Hold::Headers,
            1 | 4 => Hold::All,
            3 => Hold::AllAndBuffer,
            _ => return self.envoy_resume(id),
        };
    }

    fn envoy_switches(&mut self) -> crate::options::EnvoySwitches {
        self.state().options.envoy().cloned().unwrap_or_default()
    }

    /// Headers and what is buffered go on; what the filter has not seen is shown to it.
    pub(crate) fn envoy_resume(&mut self, id: u32) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        stream.hold = Hold::No;
        self.envoy_forward(id);
        self.envoy_flush(id);
        self.envoy_pump(id);
    }

    fn envoy_forward(&mut self, id: u32) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.forwarded || stream.answered {
            return;
        }
        let pairs = stream.request.sent();
        if pairs
            .iter()
            .any(|(_, value)| value.iter().any(|byte| b"\r\n\0".contains(byte)))
        {
            return self.error_page(id, 503, "invalid header value");
        }
        let text = |name: &str| {
            String::from_utf8_lossy(stream.request.get(name).unwrap_or_default()).into_owned()
        };
        let (method, path, host) = (text(":method"), text(":path"), text(":authority"));
        let mut headers = vec![("host".to_owned(), host.into_bytes())];
        headers.extend(
            pairs
                .into_iter()
                .filter(|(name, _)| !name.starts_with(':') && !HOP_BY_HOP.contains(&name.as_str())),
        );
        let (upstream, body) = unbounded_channel();
        stream.forwarded = true;
        if stream.has_body {
            stream.upstream = Some(upstream);
        }
        // A client that is gone needs no answer.
        let _ = stream.front.send(ToFront::Forward {
            method,
            path,
            headers,
            target: None,
            body,
        });
    }

    /// Sends on what is buffered, and the end if that was all.
    fn envoy_flush(&mut self, id: u32) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let buffered = std::mem::take(&mut stream.body);
        if let Some(upstream) = &stream.upstream
            && !buffered.is_empty()
        {
            // An upstream that is gone takes no more.
            let _ = upstream.send(Frame::data(Bytes::from(buffered)));
        }
        if stream.saw_all() {
            stream.send_trailers();
            stream.upstream = None;
        }
    }

    /// Shows the filter what has come, as far as the pause lets it.
    pub(crate) fn envoy_pump(&mut self, id: u32) {
        let limit = self.envoy_switches().buffer_limit;
        let generation = self.state().generation;
        loop {
            let Some(stream) = self.stream(id) else {
                return;
            };
            if stream.answered || stream.local.is_some() || !stream.has_body {
                return;
            }
            let known = stream.generation == generation;
            match stream.hold {
                Hold::All => return,
                Hold::AllAndBuffer => {
                    if stream.inbox.iter().map(Bytes::len).sum::<usize>() > limit {
                        self.error_page(id, 413, "Payload Too Large");
                    }
                    return;
                }
                // Its instance is gone: it hangs.
                _ if !known && stream.generation != 0 && !stream.forwarded => return,
                _ => {}
            }
            let piece = stream.inbox.pop_front();
            let bare_end = piece.is_none() && stream.inbox_end && !stream.end_shown;
            if piece.is_none() && !bare_end {
                return;
            }
            let trailers = stream.trailers.as_ref().filter(|_| bare_end);
            let trailers = trailers.map(|trailers| trailers.visible().len());
            stream.body.extend_from_slice(&piece.unwrap_or_default());
            let last = stream.inbox.is_empty() && stream.inbox_end;
            stream.end_shown |= last && (stream.trailers.is_none() || bare_end);
            let end = u32::from(stream.end_shown);
            let size = u32::try_from(stream.body.len()).unwrap_or(u32::MAX);
            let called = match (known, trailers) {
                (false, _) => Ok(Some(0)),
                (true, None) => {
                    let phase = Callback::RequestBody;
                    self.call("proxy_on_request_body", id, phase, &[id, size, end])
                }
                (true, Some(count)) => {
                    let count = u32::try_from(count).unwrap_or(u32::MAX);
                    let phase = Callback::RequestBody;
                    self.call("proxy_on_request_trailers", id, phase, &[id, count])
                }
            };
            self.envoy_after_body(id, called, limit);
        }
    }

    fn envoy_after_body(&mut self, id: u32, called: Result<Option<i32>, Fault>, limit: usize) {
        let Ok(status) = called else {
            return match self.stream(id) {
                Some(stream) if stream.forwarded => stream.close(),
                _ => self.error_page(id, 503, ""),
            };
        };
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.local.is_some() {
            return;
        }
        match status.unwrap_or(0) {
            1 if stream.body.len() > limit => self.error_page(id, 413, "Payload Too Large"),
            1 | 2 => {}
            3 => stream.body.clear(),
            // Also where the headers were held: Envoy takes a Continue here for both.
            _ => {
                stream.hold = Hold::No;
                self.envoy_forward(id);
                self.envoy_flush(id);
            }
        }
    }
}

impl Stream {
    /// Nothing of its body is still to come or to be shown.
    fn saw_all(&self) -> bool {
        self.inbox_end && self.inbox.is_empty() && self.end_shown
    }

    fn send_trailers(&mut self) {
        let (Some(upstream), Some(trailers)) = (&self.upstream, &self.trailers) else {
            return;
        };
        let header = |(name, value): (String, Vec<u8>)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&value).ok()?))
        };
        let map: HeaderMap = trailers.visible().into_iter().filter_map(header).collect();
        // An upstream that is gone takes no more.
        let _ = upstream.send(Frame::trailers(map));
    }

    /// Closes its connection without an answer.
    pub(crate) fn close(&mut self) {
        self.answered = true;
        // A client that is gone needs no word.
        let _ = self.front.send(ToFront::Close);
    }
}
