//! The facts about Envoy that the filter relies on, held against the host.

mod common;

use common::wire::{self, Server, chunked, request};
use common::{
    QUIET, envoy, get, in_two_steps, logged, nobody, open, options, post, start, wait_for_log,
};
use module_host::{FailurePolicy, Host, HostOptions, Mode, StartError, small_module};
use std::time::Duration;

/// More than the buffer limit of 1 MiB.
const LARGE: usize = 3 << 20;

fn host(module: &str, upstream: &Server, callee: &Server) -> Host {
    start(options(module, Mode::envoy(), upstream, callee.address()))
}

/// A POST that `raw` answers with these numbers, after a call.
fn upload(headers: u32, body: u32) -> String {
    format!("/headers/{headers}/body/{body}")
}

fn callbacks(host: &Host) -> Vec<String> {
    let logs = host.record().logs();
    logs.iter()
        .map(|line| line.trim_start_matches("[info] ").to_owned())
        .collect()
}

/// When the answer to the call comes.
enum Answer {
    /// When the whole body was sent.
    AfterSending,
    /// When the filter saw the body's end.
    AfterTheEnd,
    /// Not before the host answered the client.
    Never,
}

/// Status, what arrived upstream, and what `raw` logged of an upload during a call.
fn run(mode: Mode, path: &str, size: usize, answer: &Answer) -> (u16, usize, Vec<String>) {
    let upstream = Server::upstream();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let callee = Server::start(move |_| {
        // Answers when the sender speaks, or is gone.
        let _ = told
            .lock()
            .expect("one request")
            .recv_timeout(wire::PATIENCE);
        wire::Reply::json("{}")
    });
    let host = start(options("raw", mode, &upstream, callee.address()));
    let length = size.to_string();
    let head = request(
        "POST",
        path,
        &[("x-target", "called"), ("content-length", &length)],
        b"",
    );
    let mut connection = open(&host, &head);
    let _ = callee.wait_for(1);
    // A 413 may end the sending.
    let _ = std::io::Write::write_all(&mut connection, &vec![b'x'; size]);
    match answer {
        Answer::AfterSending => tell.send(()).expect("the callee waits"),
        Answer::AfterTheEnd => {
            wait_for_log(&host, "end=1");
            tell.send(()).expect("the callee waits");
        }
        Answer::Never => {}
    }
    let status = wire::read_message(&mut connection).map_or(0, |answer| answer.status());
    let arrived = upstream.seen().first().map_or(0, |seen| seen.body.len());
    (status, arrived, callbacks(&host))
}

#[test]
fn a_pause_of_4_holds_the_whole_body_and_shows_none_of_it() {
    let path = upload(4, 0);
    let (status, arrived, callbacks) = run(Mode::envoy(), &path, LARGE, &Answer::AfterSending);
    assert_eq!((status, arrived), (200, LARGE));
    assert_eq!(callbacks[0], "headers end=0");
    assert!(callbacks[1].starts_with("answer"), "{callbacks:?}");
    assert!(callbacks[2].starts_with("body"), "{callbacks:?}");
}

#[test]
fn a_pause_of_1_shows_the_body_and_buffers_it() {
    let path = upload(1, 1);
    // At the end of the body `raw` says 0, and that lets it go on.
    let (status, arrived, callbacks) = run(Mode::envoy(), &path, 1000, &Answer::Never);
    assert_eq!((status, arrived), (200, 1000));
    assert!(
        callbacks.contains(&"body size=1000 end=1".to_owned()),
        "{callbacks:?}"
    );
    // Over the limit Envoy answers by itself.
    let (status, arrived, _) = run(Mode::envoy(), &path, LARGE, &Answer::Never);
    assert_eq!((status, arrived), (413, 0));
    // Watermarks instead: no limit.
    let (status, arrived, _) = run(Mode::envoy(), &upload(1, 2), LARGE, &Answer::AfterTheEnd);
    assert_eq!((status, arrived), (200, LARGE));
}

#[test]
fn without_the_flag_1_behaves_like_4() {
    let mode = envoy(|envoy| envoy.allow_on_headers_stop_iteration = false);
    let (status, arrived, callbacks) = run(mode, &upload(1, 1), 1000, &Answer::AfterSending);
    assert_eq!((status, arrived), (200, 1000));
    assert_eq!(callbacks[0], "headers end=0");
    assert!(callbacks[1].starts_with("answer"), "{callbacks:?}");
}

#[test]
fn a_pause_of_3_buffers_up_to_the_limit() {
    let (status, arrived, _) = run(Mode::envoy(), &upload(3, 0), LARGE, &Answer::Never);
    assert_eq!((status, arrived), (413, 0));
}

#[test]
fn a_continue_for_the_body_lets_held_headers_go() {
    let (upstream, callee) = (Server::upstream(), Server::start(|_| wire::Reply::Silence));
    let host = host("raw", &upstream, &callee);
    // The call is never answered: the body callback alone let it through.
    let answer = post(&host, &upload(1, 0), &[("x-target", "called")], b"body");
    assert_eq!((answer.status(), upstream.seen().len()), (200, 1));
}

#[test]
fn the_size_of_a_held_body_adds_up() {
    let (upstream, callee) = (Server::upstream(), Server::upstream());
    let host = host("raw", &upstream, &callee);
    let head = request("POST", &upload(1, 1), &[("content-length", "8")], b"four");
    let ready = || wait_for_log(&host, "body size=4 end=0");
    let answer = in_two_steps(&host, &head, ready, b"more");
    assert_eq!(answer.status(), 200);
    assert_eq!(logged(&host, "body size=8 end=1"), 1);
    assert_eq!(upstream.seen()[0].text(), "fourmore");
}

#[test]
fn trailers_have_a_callback_of_their_own() {
    let (upstream, callee) = (Server::upstream(), Server::upstream());
    let host = host("raw", &upstream, &callee);
    let mut bytes = request(
        "POST",
        &upload(1, 1),
        &[("transfer-encoding", "chunked"), ("trailer", "x-sum")],
        b"",
    );
    let mut body = chunked(&[b"four"]);
    body.truncate(body.len() - 2);
    bytes.extend([&body[..], b"x-sum: 1\r\n\r\n"].concat());
    let answer = common::exchange(&host, &bytes);
    assert_eq!(
        (answer.status(), logged(&host, "trailers count=1")),
        (200, 1)
    );
    assert_eq!(upstream.seen()[0].text(), "four");
    assert_eq!(
        upstream.seen()[0].trailers,
        [("x-sum".to_owned(), "1".to_owned())]
    );
}

#[test]
fn a_request_stays_paused_until_it_is_told() {
    let (upstream, callee) = (Server::upstream(), Server::upstream());
    let mode = envoy(|envoy| envoy.stream_idle_timeout = Duration::from_millis(700));
    let host = start(options("probe", mode, &upstream, callee.address()));
    assert_eq!(get(&host, "/call", &[("x-target", "called")]).status(), 503);
    assert_eq!(upstream.count("/call"), 0);
    assert_eq!(
        get(&host, "/call-resume", &[("x-target", "called")]).status(),
        200
    );
}

#[test]
fn failed_calls_are_answered_as_envoy_does() {
    let upstream = Server::upstream();
    let cut_late = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec();
    let callee = Server::start(move |_| wire::Reply::Raw(cut_late.clone()));
    let callee_cut = Server::start(|_| wire::Reply::Cut);
    for (address, text) in [
        (nobody(), "denied after 3 headers"),
        (callee_cut.address(), "denied after 3 headers"),
        (callee.address(), "denied after 0 headers"),
    ] {
        let host = start(options("probe", Mode::envoy(), &upstream, address));
        let answer = get(&host, "/call-deny", &[("x-target", "called")]);
        assert_eq!((answer.status(), answer.text()), (403, text.to_owned()));
    }
    // A cluster that is none is refused at once.
    let host = start(options("probe", Mode::envoy(), &upstream, nobody()));
    let answer = get(&host, "/call-deny", &[("x-target", "unknown")]);
    assert_eq!(answer.text(), "refused BadArgument");
}

#[test]
fn a_trap_costs_its_request_503_and_its_neighbours_their_patience() {
    let upstream = Server::upstream();
    for (policy, after) in [
        (FailurePolicy::Reload, 200),
        (FailurePolicy::Closed, 503),
        (FailurePolicy::Open, 200),
    ] {
        let mode = envoy(|envoy| {
            envoy.failure_policy = policy;
            envoy.stream_idle_timeout = Duration::from_millis(1500);
        });
        let host = start(options("probe", mode, &upstream, nobody()));
        let mut held = open(&host, &request("GET", "/hold", &[], b""));
        assert_eq!(get(&host, "/pass", &[]).status(), 200);
        assert_eq!(get(&host, "/trap", &[]).status(), 503, "{policy:?}");
        assert_eq!(get(&host, "/pass", &[]).status(), after, "{policy:?}");
        assert!(wire::stays_silent(&mut held, QUIET), "{policy:?}");
        held.set_read_timeout(Some(wire::PATIENCE))
            .expect("a timeout");
        assert_eq!(
            wire::read_message(&mut held).expect("an answer").status(),
            503
        );
    }
}

#[test]
fn a_refused_configuration_stops_the_start() {
    let upstream = Server::upstream();
    let with = |configuration: &str| {
        let module = small_module("probe");
        Host::start(HostOptions::new(
            module,
            configuration,
            Mode::envoy(),
            upstream.address(),
        ))
    };
    assert!(matches!(with("refuse").err(), Some(StartError::Refused(_))));
    assert!(matches!(with("trap").err(), Some(StartError::Trapped(_))));
}

#[test]
fn a_capability_list_covers_imports_and_exports() {
    let upstream = Server::upstream();
    let list = [
        "proxy_abi_version_0_2_1",
        "proxy_on_memory_allocate",
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_request_headers",
        "proxy_get_header_map_value",
        "proxy_log",
        // The module's own hash maps.
        "random_get",
    ];
    let list = list.map(str::to_owned).to_vec();
    let mode = envoy(|envoy| envoy.capabilities = Some(list));
    let host = start(options("raw", mode, &upstream, nobody()));
    // The body callback is not called, so its 1 holds nothing; the call is refused.
    let answer = post(&host, &upload(0, 1), &[("x-target", "called")], b"body");
    assert_eq!(answer.status(), 200);
    assert_eq!(callbacks(&host), ["headers end=0", "the call was refused"]);
}

#[test]
fn waking_works_and_headers_go_away() {
    let upstream = Server::upstream();
    let host = start(options("probe", Mode::envoy(), &upstream, nobody()));
    let mut held = open(&host, &request("GET", "/hold", &[], b""));
    assert_eq!(get(&host, "/pass", &[]).status(), 200);
    assert_eq!(get(&host, "/wake", &[]).text(), "Ok(()) Ok(())");
    assert_eq!(
        wire::read_message(&mut held).expect("an answer").status(),
        200
    );
    assert_eq!(
        get(&host, "/remove", &[("x-secret", "theirs")]).status(),
        200
    );
    let seen = upstream.seen();
    assert_eq!(seen.last().map(|seen| seen.all("x-secret").len()), Some(0));
    let cookies = get(&host, "/cookies", &[]);
    assert_eq!(cookies.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(get(&host, "/foreign", &[]).text(), "Err(NotFound)");
}

#[test]
fn the_controls_do_what_they_say() {
    let upstream = Server::upstream();
    for mode in [Mode::envoy(), Mode::kong()] {
        let name = mode.name();
        let open = start(options("open", mode.clone(), &upstream, nobody()));
        assert_eq!(post(&open, "/open", &[], b"body").status(), 200, "{name}");
        let closed = start(options("closed", mode, &upstream, nobody()));
        for answer in [
            get(&closed, "/closed", &[]),
            post(&closed, "/closed", &[], b"body"),
        ] {
            assert_eq!(answer.status(), 401, "{name}");
            assert_eq!(
                answer.text().trim(),
                r#"{"message":"Unauthorized"}"#,
                "{name}"
            );
        }
    }
    assert_eq!((upstream.count("/open"), upstream.count("/closed")), (2, 0));
}
