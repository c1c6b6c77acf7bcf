//! Uploads of 20 MiB that begin before their token is known: whole, and not one byte before the decision.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use acceptance::{Gateway, bearer, eventually, tampered};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use serde_json::json;
use support::issuer::{SigningKey, claims, jwks};
use support::provider::{Behaviour, DISCOVERY, Provider};
use support::raw::{self, Answer, Exchange};

const SIZE: usize = 20 << 20;

/// How the body says where it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Length,
    Chunked,
    Http2,
    Http2WithTrailers,
}

/// Bytes of which no two stretches look the same for long.
fn body() -> Vec<u8> {
    (0..SIZE)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0])
        .collect()
}

/// Begins to send.
fn upload(address: SocketAddr, form: Form, token: &str) -> JoinHandle<io::Result<Answer>> {
    let bearer = bearer(token);
    thread::spawn(move || {
        let authorization = ("authorization", bearer.as_bytes());
        match form {
            Form::Length => {
                let length = SIZE.to_string();
                let headers = [authorization, ("content-length", length.as_bytes())];
                http1(address, &headers, &[body()])
            }
            Form::Chunked => {
                let headers = [authorization, ("transfer-encoding", b"chunked")];
                let mut parts: Vec<Vec<u8>> = Vec::new();
                for chunk in body().chunks(100_000) {
                    parts.push(format!("{:x}\r\n", chunk.len()).into_bytes());
                    parts.push(chunk.to_vec());
                    parts.push(b"\r\n".to_vec());
                }
                parts.push(b"0\r\n\r\n".to_vec());
                http1(address, &headers, &parts)
            }
            Form::Http2 | Form::Http2WithTrailers => {
                let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
                let mut rest = Bytes::from(body());
                while !rest.is_empty() {
                    let part = rest.split_to(rest.len().min(100_000));
                    let _ = frames.send(Ok(Frame::data(part)));
                }
                if form == Form::Http2WithTrailers {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-checksum", "abc".parse().map_err(io::Error::other)?);
                    let _ = frames.send(Ok(Frame::trailers(trailers)));
                }
                drop(frames);
                let headers = [authorization];
                raw::block_on(raw::http2(
                    address,
                    "POST",
                    "/upload",
                    &headers,
                    Some(receiver),
                ))
            }
        }
    })
}

/// Sends from one thread and reads in another: an answer may come before all is sent.
fn http1(address: SocketAddr, headers: &[(&str, &[u8])], parts: &[Vec<u8>]) -> io::Result<Answer> {
    let mut reader = Exchange::begin(address, &raw::head_of("POST", "/upload", headers))?;
    let mut writer = reader.split()?;
    thread::scope(|scope| {
        scope.spawn(move || {
            for part in parts {
                // After a refusal nobody reads any more.
                if writer.send(part).is_err() {
                    break;
                }
            }
        });
        reader.answer()
    })
}

/// The provider holds its answer; an upload with a token of a key that is not known yet waits for it.
struct Held<'a> {
    provider: &'a Provider,
    gateway: &'a Gateway,
}

impl Held<'_> {
    /// Uploads, sees that nothing goes through, and gives the answer with the moment of the decision.
    fn upload(&self, form: Form, token: &str) -> (io::Result<Answer>, Instant) {
        let envoy = &self.gateway.envoy;
        let received = || {
            envoy
                .stat("http.gateway.downstream_cx_rx_bytes_total")
                .unwrap_or(0)
        };
        let requests = || envoy.stat("cluster.upstream.upstream_rq_total");
        let (calls, bytes, before) = (self.provider.calls(DISCOVERY), received(), requests());
        let sending = upload(self.gateway.address(), form, token);
        self.provider.wait_for_calls(DISCOVERY, calls + 1);
        eventually("some of the body is there", || received() > bytes + 100_000);
        assert!(self.gateway.upstream.seen().is_empty(), "{form:?}");
        assert_eq!(requests(), before, "{form:?}");
        assert!(!sending.is_finished(), "{form:?}");
        let decided = Instant::now();
        self.provider.release();
        (sending.join().expect("the client ends"), decided)
    }

    /// A key that the gateway does not know yet, though the provider does.
    fn new_key(&self, kid: &str) -> String {
        let key = SigningKey::generate("ES256", kid);
        self.provider.set_keys(jwks([&key]));
        key.token(&claims(&self.provider.issuer()))
    }
}

fn gateway(provider: &Provider) -> Gateway {
    provider.always(DISCOVERY, Behaviour::Hold);
    Gateway::before(provider, json!({"rediscovery_lifetime": 0}))
}

fn arrives_whole(form: Form) {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let held = Held {
        provider: &provider,
        gateway: &gateway,
    };
    let mut round = 0;
    gateway.on_every_worker(|| {
        round += 1;
        let token = held.new_key(&format!("{form:?}-{round}"));
        let (answer, decided) = held.upload(form, &token);
        let seen = gateway.forwarded(&answer.expect("an answer"));
        assert!(seen.at >= decided, "it began before the decision");
        assert!(seen.complete);
        assert_eq!(seen.body.len(), SIZE);
        assert!(seen.body == body(), "the bytes are others");
    });
}

fn is_kept_out(form: Form) {
    let provider = Provider::start();
    let gateway = gateway(&provider);
    let held = Held {
        provider: &provider,
        gateway: &gateway,
    };
    let mut round = 0;
    gateway.on_every_worker(|| {
        round += 1;
        let token = held.new_key(&format!("{form:?}-{round}"));
        let (answer, _) = held.upload(form, &tampered(&token));
        gateway.answered(&answer.expect("an answer"), 401);
        let sent = gateway
            .envoy
            .stat("cluster.upstream.upstream_cx_tx_bytes_total");
        assert_eq!(sent.unwrap_or(0), 0, "{form:?}");
    });
}

#[test]
fn with_length_it_arrives_whole() {
    arrives_whole(Form::Length);
}

#[test]
fn chunked_it_arrives_whole() {
    arrives_whole(Form::Chunked);
}

#[test]
fn over_http2_it_arrives_whole() {
    arrives_whole(Form::Http2);
}

#[test]
fn over_http2_with_trailers_it_arrives_whole() {
    arrives_whole(Form::Http2WithTrailers);
}

#[test]
fn with_length_and_a_bad_token_it_is_kept_out() {
    is_kept_out(Form::Length);
}

#[test]
fn chunked_and_with_a_bad_token_it_is_kept_out() {
    is_kept_out(Form::Chunked);
}

#[test]
fn over_http2_and_with_a_bad_token_it_is_kept_out() {
    is_kept_out(Form::Http2);
}

#[test]
fn over_http2_with_trailers_and_a_bad_token_it_is_kept_out() {
    is_kept_out(Form::Http2WithTrailers);
}
