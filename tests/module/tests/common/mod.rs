//! What the tests of the module share. Each test file uses a part of it.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod flow;
pub mod wire;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use module_host::{EnvoySwitches, Host, HostOptions, KongSwitches, Mode, small_module};

use wire::{Message, PATIENCE, Server};

/// How long a test listens for what must not come. Longer is surer; nothing waits on it to happen.
pub const QUIET: Duration = Duration::from_millis(400);

/// Kong, but for what `change` switches.
pub fn kong(change: impl FnOnce(&mut KongSwitches)) -> Mode {
    let mut switches = KongSwitches::default();
    change(&mut switches);
    Mode::Kong(switches)
}

/// Envoy, but for what `change` switches.
pub fn envoy(change: impl FnOnce(&mut EnvoySwitches)) -> Mode {
    let mut switches = EnvoySwitches::default();
    change(&mut switches);
    Mode::Envoy(switches)
}

/// Options for a small module in front of `upstream`; the cluster `called` is `callee`.
pub fn options(module: &str, mode: Mode, upstream: &Server, callee: SocketAddr) -> HostOptions {
    HostOptions::new(small_module(module), "", mode, upstream.address()).cluster("called", callee)
}

/// Starts a host that has to start.
pub fn start(options: HostOptions) -> Host {
    Host::start(options).unwrap_or_else(|error| panic!("the host did not start: {error}"))
}

/// GET with these headers.
pub fn get(host: &Host, path: &str, headers: &[(&str, &str)]) -> Message {
    exchange(host, &wire::request("GET", path, headers, b""))
}

/// POST with a body.
pub fn post(host: &Host, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
    exchange(host, &wire::request("POST", path, headers, body))
}

/// Sends bytes and reads the answer that has to come.
pub fn exchange(host: &Host, bytes: &[u8]) -> Message {
    wire::send(host.address(), bytes)
        .unwrap_or_else(|error| panic!("no answer: {error}\n{}", host.record().logs().join("\n")))
}

/// Sends a request and leaves it open.
pub fn open(host: &Host, bytes: &[u8]) -> TcpStream {
    wire::open(host.address(), bytes).expect("a connection to the host")
}

/// Sends a request that gets no answer: its connection closes.
pub fn closes(host: &Host, bytes: &[u8]) -> bool {
    wire::send(host.address(), bytes).is_err_and(|error| {
        let kinds = [
            std::io::ErrorKind::UnexpectedEof,
            std::io::ErrorKind::ConnectionReset,
        ];
        kinds.contains(&error.kind())
    })
}

/// Sends the head of a request, then its body when `ready` says so.
pub fn in_two_steps(host: &Host, head: &[u8], ready: impl Fn(), body: &[u8]) -> Message {
    let mut connection = open(host, head);
    ready();
    connection.write_all(body).expect("the body is taken");
    wire::read_message(&mut connection).expect("an answer")
}

/// Waits until the host has logged a line with `text`.
pub fn wait_for_log(host: &Host, text: &str) {
    wait(&format!("the log line `{text}`"), || {
        host.record().logs().iter().any(|line| line.contains(text))
    });
}

/// Waits until something has become true.
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// How many log lines contain `text`.
pub fn logged(host: &Host, text: &str) -> usize {
    host.record()
        .logs()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address")
}
