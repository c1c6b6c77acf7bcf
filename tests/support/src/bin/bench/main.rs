//! `make bench`: CPU per request in a real Envoy, over the same Envoy without a filter.
//!
//! One Envoy with one worker has a listener for each variant, and each answers by itself (`direct_response`), so that
//! nothing but the filters differs. Rounds of all variants alternate; what counts is the least of each, and ratios of one
//! run: times belong to the machine.

mod visitor;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;

use serde_json::{Value, json};
use support::envoy::{Envoy, EnvoyOptions, HttpFilter, Listener, WasmFilter};
use support::issuer::{SigningKey, claims, jwks};
use support::provider::Provider;

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 4_000;

/// Places in the list of variants.
const SESSION: usize = 4;
const NATIVE_SESSION: usize = 5;

/// A listener of the measured Envoy.
struct Variant {
    name: &'static str,
    address: SocketAddr,
    request: Vec<u8>,
    least: f64,
}

fn main() -> ExitCode {
    let provider = Provider::start();
    let key = SigningKey::shared();
    let mut content = claims(&provider.issuer());
    // The run takes longer than five minutes on a slow machine.
    content["exp"] = json!(support::issuer::now() + 7200);
    let token = key.token(&content);

    let secrets = support::scratch("bench").expect("a folder");
    let listeners = [
        ("no filter", Vec::new()),
        ("oidc-filter, cached, 3 headers", vec![filter(&provider)]),
        (
            "jwt_authn, no cache, 3 headers",
            vec![native(key, &provider, None)],
        ),
        (
            "jwt_authn, cache of 500, 3 headers",
            vec![native(key, &provider, Some(500))],
        ),
        ("oidc-filter, session", vec![visitor::filter(&provider)]),
        (
            "oauth2, session",
            vec![visitor::native(&provider, &secrets)],
        ),
    ];
    let mut options = EnvoyOptions::new(json!({}), provider.address());
    options = options.cluster("provider", provider.address());
    options.concurrency = 1;
    options.log_level = "warning".into();
    options.listeners.clear();
    let mut variants = Vec::new();
    for (number, (name, filters)) in listeners.into_iter().enumerate() {
        let mut listener = Listener::new(&format!("bench{number}"), filters);
        listener.routes = vec![json!({
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
        })];
        // Writing a log line costs the same in all variants, and more than what is measured.
        listener.manager = json!({"access_log": []});
        variants.push(Variant {
            name,
            address: ([127, 0, 0, 1], listener.port).into(),
            request: request("authorization", &format!("Bearer {token}")),
            least: f64::INFINITY,
        });
        options.listeners.push(listener);
    }
    let mut envoy = Envoy::start(options);
    let pid = envoy.service().pid();
    visitor::prepare(&provider);
    for (index, callback) in [(SESSION, "/orders/17"), (NATIVE_SESSION, "/callback")] {
        let variant = &mut variants[index];
        let cookies = visitor::log_in(&provider, variant.address, callback);
        variant.request = request("cookie", &cookies);
    }

    for round in 0..=ROUNDS {
        for variant in &mut variants {
            let before = cpu(pid);
            load(variant.address, &variant.request);
            let used = cpu(pid) - before;
            let each = used as f64 / (CONNECTIONS * REQUESTS_PER_CONNECTION) as f64 / 1000.0;
            // The first round fills caches and connections.
            if round > 0 {
                variant.least = variant.least.min(each);
            }
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    report(&variants);
    let _ = fs::remove_dir_all(secrets);
    ExitCode::SUCCESS
}

fn report(variants: &[Variant]) {
    let base = variants[0].least;
    println!("CPU of Envoy per request, least of {ROUNDS} rounds:");
    for variant in variants {
        println!(
            "  {:<36} {:6.2} us  ({:+.2} us)",
            variant.name,
            variant.least,
            variant.least - base
        );
    }
    let over = |index: usize| variants[index].least - base;
    println!(
        "oidc-filter / jwt_authn without cache: {:.3}",
        over(1) / over(2)
    );
    println!(
        "oidc-filter / jwt_authn with cache:    {:.3}",
        over(1) / over(3)
    );
    println!(
        "oidc-filter / oauth2, session:         {:.3}",
        over(SESSION) / over(NATIVE_SESSION)
    );
    if let Ok(module) = fs::metadata(support::module()) {
        println!("module: {} bytes", module.len());
    }
}

fn filter(provider: &Provider) -> HttpFilter {
    let mut config = provider.config();
    config["upstream_headers"] = json!([
        {"header": "x-user", "path": ["preferred_username"]},
        {"header": "x-email", "path": ["email"]},
        {"header": "x-scope", "path": ["scope"]},
    ]);
    HttpFilter::Wasm(Box::new(WasmFilter::new(config)))
}

fn native(key: &SigningKey, provider: &Provider, cache: Option<u32>) -> HttpFilter {
    let claim = |header: &str, claim: &str| json!({"header_name": header, "claim_name": claim});
    let mut settings = json!({
        "issuer": provider.issuer(),
        "local_jwks": {"inline_string": jwks([key]).to_string()},
        "forward": true,
        "claim_to_headers": [
            claim("x-user", "preferred_username"), claim("x-email", "email"), claim("x-scope", "scope"),
        ],
    });
    if let Some(size) = cache {
        settings["jwt_cache_config"] = json!({"jwt_cache_size": size});
    }
    let typed: Value = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"p": settings},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
    });
    HttpFilter::Raw(json!({"name": "envoy.filters.http.jwt_authn", "typed_config": typed}))
}

/// The usual headers, and one that tells who is there.
fn request(name: &str, value: &str) -> Vec<u8> {
    format!(
        "GET /orders/17?expand=lines HTTP/1.1\r\nhost: api.example.test\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\
         accept-encoding: gzip, br\r\nx-request-id: 2f1c0a56-8d5e-4a1a-9a0e-0a4f7f3f6a11\r\n\
         {name}: {value}\r\n\r\n"
    )
    .into_bytes()
}

/// Sends all requests of a round, each connection one after the other.
fn load(address: SocketAddr, request: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).expect("a connection");
                stream.set_nodelay(true).expect("an option");
                let mut buffer = [0; 4096];
                for _ in 0..REQUESTS_PER_CONNECTION {
                    stream.write_all(request).expect("a request");
                    let mut read = 0;
                    while !is_whole(&buffer[..read]) {
                        let more = stream.read(&mut buffer[read..]).expect("an answer");
                        assert!(more > 0, "the connection was closed");
                        read += more;
                    }
                    assert!(
                        buffer.starts_with(b"HTTP/1.1 200"),
                        "{}",
                        text(&buffer[..read])
                    );
                }
            });
        }
    });
}

/// Headers, and the two bytes of the body.
fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    match end {
        // Another answer than the expected one is whole when it has a body at all.
        Some(end) => answer.len() >= end + 6,
        None => false,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Nanoseconds that all threads of a process have run.
fn cpu(pid: i32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task"))
        .expect("a process")
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}
