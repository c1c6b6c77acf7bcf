//! `make run`: a real Envoy with the filter, a real Keycloak, and an API that answers with what it got.
//!
//! Ports: `GATEWAY_PORT` (8000), `KEYCLOAK_PORT` (8180), `ECHO_PORT` (8080), `ADMIN_PORT` (9901).

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp, tcsetpgrp};
use serde_json::{Value, json};
use support::envoy::{Envoy, bearer_config};
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM, demo_realm};
use support::{ports, process};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    // Before any thread starts: all inherit the mask, and one thread waits for the signals.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if let Err(error) = signals.thread_block() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let terminal = Terminal::take();
    thread::spawn(move || {
        let _ = signals.wait();
        println!("\nstopping");
        process::stop_all();
        terminal.give_back();
        std::process::exit(0);
    });
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("error: {error}");
            process::stop_all();
            terminal.give_back();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<std::convert::Infallible, Failure> {
    let [gateway, keycloak_port, echo, admin] = [
        port("GATEWAY_PORT", 8000)?,
        port("KEYCLOAK_PORT", 8180)?,
        port("ECHO_PORT", 8080)?,
        port("ADMIN_PORT", 9901)?,
    ];
    let module = support::module();
    if !module.exists() {
        return Err(format!("{} is not there: run `make wasm`", module.display()).into());
    }
    thread::spawn(move || serve_echo(echo));

    let mut keycloak = progress("starting Keycloak (about 20 s)", || {
        let mut realm = demo_realm();
        for client in realm["clients"].as_array_mut().into_iter().flatten() {
            client["redirectUris"] = json!([
                format!("http://localhost:{gateway}/*"),
                format!("http://127.0.0.1:{gateway}/*")
            ]);
        }
        Keycloak::start(&[realm], keycloak_port)
    })?;
    let mut bootstrap = bearer_config();
    adapt(
        &mut bootstrap,
        &keycloak.issuer(REALM),
        &module.to_string_lossy(),
        |usual| match usual {
            8000 => gateway.into(),
            8180 => keycloak_port.into(),
            8080 => echo.into(),
            9901 => admin.into(),
            other => other,
        },
    )?;
    let mut envoy = progress("starting Envoy with the filter", || {
        Envoy::from_bootstrap(&bootstrap, gateway, admin)
    })?;
    explain(gateway, &keycloak);

    loop {
        for service in [envoy.service(), keycloak.service()] {
            if service.exited().is_some() {
                return Err(service.failure("ended by itself".to_owned()).into());
            }
        }
        thread::sleep(Duration::from_millis(300));
    }
}

/// A port of the demo: from the environment, or the usual one; it must be free.
fn port(variable: &str, usual: u16) -> Result<u16, Failure> {
    let port = match env::var(variable) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{variable}={text} is no port"))?,
        Err(_) => usual,
    };
    if ports::is_free(port) {
        Ok(port)
    } else {
        Err(format!("port {port} is in use; choose another one: {variable}=... make run").into())
    }
}

/// Puts the demo's ports, issuer and module into the shipped configuration.
fn adapt(
    value: &mut Value,
    issuer: &str,
    module: &str,
    port: impl Fn(u64) -> u64 + Copy,
) -> Result<(), Failure> {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), &*member) {
                    ("port_value", Value::Number(usual)) => {
                        *member = port(usual.as_u64().unwrap_or(0)).into();
                    }
                    ("filename", Value::String(_)) => *member = module.into(),
                    ("value", Value::String(text)) => {
                        let mut config: Value = serde_json::from_str(text)?;
                        config["issuer"] = issuer.into();
                        *member = config.to_string().into();
                    }
                    _ => adapt(member, issuer, module, port)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                adapt(item, issuer, module, port)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Says what is going on, with a dot a second on a terminal.
fn progress<T: Send, E: Send>(
    what: &str,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    let start = Instant::now();
    print!("{what} ");
    let _ = io::stdout().flush();
    let result = thread::scope(|scope| {
        let worker = scope.spawn(work);
        let mut dots = 0;
        while !worker.is_finished() {
            thread::sleep(Duration::from_millis(50));
            if io::stdout().is_terminal() && start.elapsed().as_secs() > dots {
                dots += 1;
                print!(".");
                let _ = io::stdout().flush();
            }
        }
        worker.join()
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let outcome = if result.is_ok() { "ready" } else { "failed" };
    println!(" {outcome} ({:.1} s)", start.elapsed().as_secs_f64());
    result
}

fn explain(gateway: u16, keycloak: &Keycloak) {
    let token = keycloak.endpoint(REALM, "token");
    let url = keycloak.url();
    println!(
        r#"
  Gateway   http://127.0.0.1:{gateway}   lets through only requests with a valid access token
  Keycloak  {url}   realm {REALM}; administrator admin / admin

1. Without a token the gateway answers 401 by itself, the API sees nothing:

   curl -i http://127.0.0.1:{gateway}/hello

2. A token for alex, whose password is doe:

   TOKEN=$(curl -s {token} \
     -d grant_type=password -d client_id={CLIENT} -d client_secret={CLIENT_SECRET} \
     -d username=alex -d password=doe | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

3. With it the API answers with what it got, x-user: alex among the headers:

   curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:{gateway}/hello

Ctrl-C stops everything."#
    );
}

/// The API behind the gateway: answers each request with its description.
fn serve_echo(port: u16) {
    let serve = async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(listener, Router::new().fallback(echo)).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    if let Err(error) = runtime.and_then(|runtime| runtime.block_on(serve)) {
        eprintln!("error: the echo upstream: {error}");
        process::stop_all();
        std::process::exit(1);
    }
}

async fn echo(
    Query(args): Query<BTreeMap<String, String>>,
    request: Request,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut headers = BTreeMap::<&str, String>::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    let answer = json!({
        "method": request.method().as_str(),
        "url": request.uri().to_string(),
        "args": args,
        "headers": headers,
    });
    (
        [(CONTENT_TYPE, "application/json")],
        format!("{answer:#}\n"),
    )
}

/// The terminal's foreground: while the demo has it, Ctrl-C reaches the demo alone, which can then end well; otherwise
/// `make` would get it, too, and call the run a failure.
#[derive(Clone, Copy)]
struct Terminal(Option<Pid>);

impl Terminal {
    fn take() -> Self {
        let stdin = io::stdin();
        let shell = getpgrp();
        if !stdin.is_terminal() || tcgetpgrp(&stdin) != Ok(shell) {
            return Self(None);
        }
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        // Ctrl-Z would stop the demo in a way that make does not see.
        stop.add(Signal::SIGTSTP);
        let own = Pid::from_raw(0);
        let taken = stop.thread_block().and_then(|()| setpgid(own, own));
        if taken.is_err() || tcsetpgrp(&stdin, getpgrp()).is_err() {
            return Self(None);
        }
        Self(Some(shell))
    }

    fn give_back(self) {
        if let Self(Some(shell)) = self {
            let _ = tcsetpgrp(io::stdin(), shell);
        }
    }
}
