//! `make run`: a website behind a login, with a real Envoy with the filter and a real Keycloak; see `support::demo`.
//!
//! Ports: `GATEWAY_PORT` (8000), `KEYCLOAK_PORT` (8180), `ECHO_PORT` (8080), `ADMIN_PORT` (9901).

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp, tcsetpgrp};
use support::demo::{self, PASSWORD, Ports, USER};
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM};
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
    let usual = Ports::USUAL;
    let ports = Ports {
        gateway: port("GATEWAY_PORT", usual.gateway)?,
        keycloak: port("KEYCLOAK_PORT", usual.keycloak)?,
        website: port("ECHO_PORT", usual.website)?,
        admin: port("ADMIN_PORT", usual.admin)?,
    };
    let module = support::module();
    if !module.exists() {
        return Err(format!("{} is not there: run `make wasm`", module.display()).into());
    }
    let mut website = demo::website(ports)?;
    let mut keycloak = progress("starting Keycloak (about 20 s)", || demo::keycloak(ports))?;
    let mut envoy = progress("starting Envoy with the filter", || demo::gateway(ports))?;
    explain(ports, &keycloak);

    loop {
        for service in [envoy.service(), keycloak.service(), &mut website] {
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

fn explain(ports: Ports, keycloak: &Keycloak) {
    let url = ports.url();
    let token = keycloak.endpoint(REALM, "token");
    let provider = keycloak.url();
    println!(
        r#"
  Open       {url}
  User       {USER}
  Password   {PASSWORD}

The gateway sends the browser to Keycloak, and after the login to a page that shows what the website got. It has a link
that logs out. Keycloak itself is at {provider}, administrator admin / admin.

Programs show a token instead:

   TOKEN=$(curl -s {token} \
     -d grant_type=password -d client_id={CLIENT} -d client_secret={CLIENT_SECRET} \
     -d username={USER} -d password={PASSWORD} | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

   curl -i -H "Authorization: Bearer $TOKEN" {url}hello

Ctrl-C stops everything."#
    );
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
