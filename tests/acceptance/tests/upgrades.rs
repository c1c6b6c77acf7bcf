//! gRPC and WebSocket on a real Envoy: who comes is known before anything else happens.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use acceptance::{Gateway, bearer, tampered};
use serde_json::json;
use support::envoy::Cluster;
use support::provider::{Behaviour, DISCOVERY, Provider};
use support::raw::{self, Answer};

fn call(gateway: &Gateway, token: Option<&str>) -> Answer {
    let bearer = token.map(bearer);
    let mut headers: Vec<(&str, &[u8])> =
        vec![("content-type", b"application/grpc"), ("te", b"trailers")];
    headers.extend(
        bearer
            .as_ref()
            .map(|value| ("authorization", value.as_bytes())),
    );
    let call = raw::http2(gateway.address(), "POST", "/a.Service/Call", &headers, None);
    raw::block_on(call).expect("an answer")
}

#[track_caller]
fn assert_status(gateway: &Gateway, answer: &Answer, code: &str, message: &str) {
    gateway.answered(answer, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/grpc"),
        "{answer:?}"
    );
    assert_eq!(answer.header("grpc-status"), Some(code), "{answer:?}");
    assert_eq!(answer.header("grpc-message"), Some(message), "{answer:?}");
    assert!(
        answer.body.is_empty() && answer.header("location").is_none(),
        "{answer:?}"
    );
}

#[test]
fn dx_53_grpc_clients_get_a_status_of_grpc() {
    let provider = Provider::start();
    let members = json!({
        "unauthorized_error_message": "who are you?",
        "unauthorized_redirect_uri": ["https://login.test/"],
    });
    let gateway = Gateway::before(&provider, members);
    let token = provider.token();
    gateway.on_every_worker(|| {
        assert_status(&gateway, &call(&gateway, None), "16", "who are you?");
        assert_status(
            &gateway,
            &call(&gateway, Some(&tampered(&token))),
            "16",
            "who are you?",
        );
        gateway.forwarded(&call(&gateway, Some(&token)));
    });
    let strict = Gateway::before(&provider, json!({"roles_required": ["nobody"]}));
    assert_status(&strict, &call(&strict, Some(&token)), "7", "Forbidden");
    provider.always(DISCOVERY, Behaviour::Status(503));
    let cold = Gateway::before(&provider, json!({}));
    assert_status(
        &cold,
        &call(&cold, Some(&token)),
        "14",
        "An unexpected error occurred",
    );
}

/// A server of one WebSocket: it tells who came, and then sends back what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve(stream);
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut user = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(name) = line.to_ascii_lowercase().strip_prefix("x-user:") {
            user = name.trim().to_owned();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-seen: {user}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    stream.write_all(&bytes)
}

#[test]
fn dx_53_a_websocket_is_opened_for_who_is_known() {
    let provider = Provider::start();
    let address = echo();
    let members = json!({"auth_methods": ["session", "authorization_code", "bearer"]});
    let gateway = Gateway::for_logins_with(&provider, members, |options| {
        options.clusters.push(Cluster::new("ws", address));
        let route = json!({"match": {"prefix": "/ws"}, "route": {"cluster": "ws"}});
        options.listener().routes.insert(0, route);
    });
    let open = |token: &str| {
        let mut stream = TcpStream::connect(gateway.address()).expect("a connection");
        let head = format!(
            "GET /ws HTTP/1.1\r\nhost: gateway.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{token}\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream
    };
    let read_head = |stream: &mut TcpStream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer") > 0 {
            head.push(byte[0]);
        }
        String::from_utf8_lossy(&head).to_ascii_lowercase()
    };
    let token = provider.token();
    gateway.on_every_worker(|| {
        // Not a redirect to a login, which no WebSocket could follow.
        let mut nobody = open("");
        let head = read_head(&mut nobody);
        assert!(
            head.starts_with("http/1.1 401") && !head.contains("\nlocation:"),
            "{head}"
        );
        let mut bad = open(&format!("authorization: Bearer {}\r\n", tampered(&token)));
        let head = read_head(&mut bad);
        assert!(
            head.starts_with("http/1.1 401") && !head.contains("x-seen"),
            "{head}"
        );
        let mut good = open(&format!(
            "authorization: Bearer {token}\r\nx-user: root\r\n"
        ));
        let head = read_head(&mut good);
        assert!(
            head.starts_with("http/1.1 101") && head.contains("x-seen: alex\r\n"),
            "{head}"
        );
        good.write_all(b"ping").expect("sent");
        let mut back = [0; 4];
        good.read_exact(&mut back).expect("an echo");
        assert_eq!(&back, b"ping");
    });
}
