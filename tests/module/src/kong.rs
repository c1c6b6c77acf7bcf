//! A request's way through the Kong-like host.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc::unbounded_channel;

use crate::envoy::HOP_BY_HOP;
use crate::headers::Pairs;
use crate::options::KongSwitches;
use crate::state::{Callback, Hold, Stream, ToFront};
use crate::worker::{Fault, Worker};

impl Worker {
    fn kong_switches(&mut self) -> KongSwitches {
        self.state().kong().cloned().unwrap_or_default()
    }

    /// The headers have come.
    pub(crate) fn kong_request(&mut self, id: u32) {
        if self.ensure_instance().is_err() {
            return self.error_page(id, 500, ERROR_PAGE);
        }
        let generation = self.state().generation;
        let Some(stream) = self.stream(id) else {
            return;
        };
        stream.generation = generation;
        let root = stream.root;
        let count = u32::try_from(stream.request.visible().len()).unwrap_or(u32::MAX);
        let create = self.call("proxy_on_context_create", id, Callback::Start, &[id, root]);
        let called = create.and_then(|_| {
            // The end of the stream is never told here.
            let phase = Callback::RequestHeaders;
            self.call("proxy_on_request_headers", id, phase, &[id, count, 0])
        });
        let status = match called {
            Ok(status) => status.unwrap_or(0),
            Err(Fault::Trap) => return self.error_page(id, 500, ERROR_PAGE),
            Err(Fault::Crash) => return,
        };
        let only_in_phase = self.kong_switches().body_only_in_body_phase;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.local.is_some() {
            return;
        }
        match status {
            // 3 means nothing here, and is taken for 0.
            0 | 3 => self.kong_body_phase(id),
            1 => {
                stream.hold = Hold::KongHeaders;
                if !only_in_phase {
                    self.kong_body_came(id);
                }
            }
            2 | 4 | 5 => {
                let dispatched = stream.pending > 0;
                stream.close();
                if status == 4 && dispatched {
                    self.crash("SIGSEGV: 4 was returned while a call was under way");
                }
            }
            _ => self.crash(&format!("{status} was returned from the headers phase")),
        }
    }

    /// The filter let it go on: nginx reads the body to its end, if there is one.
    fn kong_body_phase(&mut self, id: u32) {
        let only_in_phase = self.kong_switches().body_only_in_body_phase;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.has_body || !only_in_phase {
            stream.hold = Hold::KongBodyRead;
            self.kong_body_came(id);
        } else {
            self.kong_upstream(id);
        }
    }

    /// More of the body was read.
    pub(crate) fn kong_body_came(&mut self, id: u32) {
        let only_in_phase = self.kong_switches().body_only_in_body_phase;
        let Some(stream) = self.stream(id) else {
            return;
        };
        let whole = stream.inbox_end || !stream.has_body;
        let phase = stream.hold == Hold::KongBodyRead;
        let early = stream.hold == Hold::KongHeaders && !only_in_phase && !stream.end_shown;
        if !whole || !(phase || early) {
            // Without a filter, pieces wait for the end of the body.
            if whole && stream.hold == Hold::No && stream.generation == 0 {
                self.kong_upstream(id);
            }
            return;
        }
        stream.gather();
        let empty = stream.body.is_empty();
        if stream.end_shown || empty && only_in_phase {
            return self.kong_upstream(id);
        }
        stream.end_shown = true;
        let size = u32::try_from(stream.body.len()).unwrap_or(u32::MAX);
        // Whoever made this context may be gone: the callback comes all the same.
        if self.ensure_instance().is_err() {
            return self.error_page(id, 500, ERROR_PAGE);
        }
        let called = self.call(
            "proxy_on_request_body",
            id,
            Callback::RequestBody,
            &[id, size, 1],
        );
        let status = match called {
            Ok(status) => status.unwrap_or(0),
            Err(Fault::Trap) => return self.error_page(id, 500, ERROR_PAGE),
            Err(Fault::Crash) => return,
        };
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.local.is_some() {
            return;
        }
        match status {
            0 | 3 => self.kong_upstream(id),
            1 if early => {}
            1 => stream.hold = Hold::KongBody,
            2 | 4 => self.error_page(id, 500, ERROR_PAGE),
            _ => self.crash(&format!("{status} was returned from the body phase")),
        }
    }

    /// A call of this request has ended: after the last one it goes on by itself.
    pub(crate) fn kong_after_call(&mut self, id: u32) {
        let auto = self.kong_switches().auto_resume;
        let Some(stream) = self.stream(id) else {
            return;
        };
        let over = stream.answered || stream.local.is_some();
        if auto && !over && stream.pending == 0 && stream.is_held() {
            stream.resume = false;
            self.kong_go_on(id);
        }
    }

    /// A paused request goes on, in the phase behind the one that paused it.
    pub(crate) fn kong_go_on(&mut self, id: u32) {
        match self.stream(id).map(|stream| stream.hold) {
            Some(Hold::KongHeaders) => self.kong_body_phase(id),
            Some(Hold::KongBody) => self.kong_upstream(id),
            _ => {}
        }
    }

    /// Sends it where nginx's variables say.
    pub(crate) fn kong_upstream(&mut self, id: u32) {
        let switches = self.kong_switches();
        let usual = self.state().options.upstream;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.has_body && !stream.inbox_end || stream.forwarded || stream.answered {
            return;
        }
        stream.gather();
        stream.hold = Hold::No;
        let variable = |name: &str| {
            let value = stream
                .variables
                .get(name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let scheme = variable("ngx.upstream_scheme");
        let grpc = switches.proxy_mode == "grpc";
        if !["http", "https"].contains(&scheme.as_str()) {
            // nginx has no answer left once a body was announced.
            if stream.announced_body() && !grpc {
                return stream.close();
            }
            return self.error_page(id, 500, ERROR_PAGE);
        }
        // A gRPC call goes to the path of the client, whatever the variable says.
        let path = if grpc {
            stream.raw_target.clone()
        } else {
            variable("ngx.upstream_uri")
        };
        if !path.starts_with('/') {
            return self.error_page(
                id,
                502,
                "An invalid response was received from the upstream server",
            );
        }
        let target: Option<SocketAddr> = variable("kong.service.target").parse().ok();
        let method = stream.request.get(":method").unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        let pairs = if switches.removal_keeps {
            stream.request.sent()
        } else {
            stream.request.visible()
        };
        let headers = to_upstream(pairs, stream, target.unwrap_or(usual));
        let (upstream, body) = unbounded_channel();
        if !stream.body.is_empty() {
            // An upstream that is gone takes nothing.
            let _ = upstream.send(Frame::data(Bytes::from(std::mem::take(&mut stream.body))));
        }
        stream.forwarded = true;
        // A client that is gone needs no answer.
        let _ = stream.front.send(ToFront::Forward {
            method,
            path,
            headers,
            target,
            body,
        });
    }
}

/// What Kong says when it fails itself.
pub(crate) const ERROR_PAGE: &str = "An unexpected error occurred";

/// The headers of the client, with those that Kong sets itself.
fn to_upstream(pairs: Pairs, stream: &Stream, upstream: SocketAddr) -> Pairs {
    let host = stream.request.get("host").unwrap_or_default().to_vec();
    let peer = stream.peer.ip().to_string().into_bytes();
    let own = [
        ("host", upstream.to_string().into_bytes()),
        ("x-forwarded-for", peer.clone()),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", b"http".to_vec()),
        ("x-real-ip", peer),
    ];
    let kept = |(name, _): &(String, Vec<u8>)| {
        let replaced = own.iter().any(|(known, _)| known == name);
        !name.starts_with(':') && !replaced && !HOP_BY_HOP.contains(&name.as_str())
    };
    let mut headers: Pairs = pairs.into_iter().filter(kept).collect();
    // nginx has read the body whole, and knows its length.
    headers.retain(|(name, _)| name != "content-length");
    if stream.announced_body() {
        headers.push((
            "content-length".to_owned(),
            stream.body.len().to_string().into_bytes(),
        ));
    }
    headers.extend(
        own.iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    headers
}

impl Stream {
    /// Puts what was read into the buffer.
    fn gather(&mut self) {
        for piece in std::mem::take(&mut self.inbox) {
            self.body.extend_from_slice(&piece);
        }
    }

    /// The client announced a body, be it an empty one.
    fn announced_body(&self) -> bool {
        self.request.get("content-length").is_some()
            || self.request.get("transfer-encoding").is_some()
    }
}
