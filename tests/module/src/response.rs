//! Answers: the upstream's, the filter's own, and the host's error pages; and the end of a request.

use tokio::sync::oneshot;

use crate::headers::{Headers, Pairs};
use crate::state::{Callback, LocalResponse, ToFront};
use crate::worker::{Fault, Worker};

impl Worker {
    /// The upstream has answered: the filter may change it.
    pub(crate) fn response(
        &mut self,
        id: u32,
        response: LocalResponse,
        back: oneshot::Sender<LocalResponse>,
    ) {
        if let Some(answer) = self.show_response(id, response) {
            // A client that is gone needs no answer.
            let _ = back.send(answer);
        }
    }

    /// Answers what the filter said, having shown it to the filter as any other response.
    pub(crate) fn answer_locally(&mut self, id: u32) {
        let kong = self.state().kong().cloned();
        let Some(stream) = self.stream(id) else {
            return;
        };
        let Some(mut local) = stream.local.take() else {
            return;
        };
        stream.answered = true;
        if let Some(kong) = kong {
            let earlier = stream.response.visible();
            local.headers = on_kong(earlier, local.headers, kong.local_headers_collapse);
            if kong.local_body_newline {
                local.body.push(b'\n');
            }
            self.abort_calls(id);
        }
        let Some(answer) = self.show_response(id, local) else {
            return;
        };
        if let Some(stream) = self.stream(id) {
            // A client that is gone needs no answer.
            let _ = stream.front.send(ToFront::Answer(answer));
        }
    }

    /// The host's own answer.
    pub(crate) fn error_page(&mut self, id: u32, status: u16, text: &str) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.forwarded {
            return stream.close();
        }
        (stream.answered, stream.error_page) = (true, true);
        let headers = vec![("content-type".to_owned(), b"text/plain".to_vec())];
        let page = LocalResponse {
            status,
            headers,
            body: text.as_bytes().to_vec(),
        };
        // A client that is gone needs no answer.
        let _ = stream.front.send(ToFront::Answer(page));
    }

    /// Runs the response callbacks. `None`: the connection closes.
    fn show_response(&mut self, id: u32, response: LocalResponse) -> Option<LocalResponse> {
        let kong = self.is_kong();
        let generation = self.state().generation;
        let stream = self.stream(id)?;
        if stream.generation == 0 || !kong && stream.generation != generation {
            return Some(response);
        }
        let status = response.status.to_string().into_bytes();
        let mut pairs = vec![(":status".to_owned(), status)];
        if kong && !stream.answered {
            // What the filter added in the request phase.
            pairs.extend(stream.response.visible());
        }
        pairs.extend(response.headers);
        stream.response = Headers::new(pairs);
        stream.response_body = response.body;
        stream.responding = true;
        let count = u32::try_from(stream.response.visible().len()).unwrap_or(u32::MAX);
        let size = u32::try_from(stream.response_body.len()).unwrap_or(u32::MAX);
        let end = u32::from(!kong && size == 0);
        let phase = Callback::Response;
        let mut called = self.call("proxy_on_response_headers", id, phase, &[id, count, end]);
        if called.is_ok() && (kong || size > 0) {
            called = self.call("proxy_on_response_body", id, phase, &[id, size, 1]);
        }
        match called {
            Err(Fault::Crash) => return None,
            Err(Fault::Trap) if !kong => {
                return Some(LocalResponse {
                    status: 503,
                    ..LocalResponse::default()
                });
            }
            // A trap there lets the response through.
            _ => {}
        }
        let stream = self.stream(id)?;
        // Neither host takes a second answer at this point.
        stream.local = None;
        let pairs = stream.response.visible();
        let status = stream
            .response
            .get(":status")
            .and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        Some(LocalResponse {
            status: status.unwrap_or(500),
            headers: pairs
                .into_iter()
                .filter(|(name, _)| !name.starts_with(':'))
                .collect(),
            body: std::mem::take(&mut stream.response_body),
        })
    }

    /// The request is over: the filter is told, and forgets it.
    pub(crate) fn end(&mut self, id: u32) {
        let kong = self.is_kong();
        let generation = self.state().generation;
        let Some(stream) = self.stream(id) else {
            return;
        };
        let known = stream.generation == generation;
        let quiet = kong && stream.error_page;
        stream.answered = true;
        if kong {
            self.abort_calls(id);
        }
        if known {
            let phases: &[&str] = if quiet {
                &["proxy_on_delete"]
            } else {
                &["proxy_on_done", "proxy_on_log", "proxy_on_delete"]
            };
            for name in phases {
                if self.call(name, id, Callback::End, &[id]).is_err() {
                    break;
                }
            }
        }
        self.state().streams.remove(&id);
        self.drop_idle_roots();
    }

    fn abort_calls(&mut self, id: u32) {
        self.state().calls.retain(|_, call| {
            if call.context == id {
                call.abort.abort();
            }
            call.context != id
        });
    }
}

/// Kong sets each header of a local response over what is there.
fn on_kong(earlier: Pairs, local: Pairs, collapse: bool) -> Pairs {
    if !collapse {
        return earlier.into_iter().chain(local).collect();
    }
    let mut headers = Headers::new(earlier);
    for (name, value) in local {
        headers.replace(&name, value);
    }
    headers.visible()
}
