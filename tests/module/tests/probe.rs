//! The facts about Kong, each held against the host with its switch on, and with it off.

mod common;

use common::wire::{self, Server, chunked, request};
use common::{
    QUIET, closes, exchange, get, kong, nobody, open, options, post, start, wait, wait_for_log,
};
use module_host::{Host, HostOptions, KongSwitches, Mode, SharedData, StartError, small_module};
use std::sync::Arc;

/// The probe on Kong.
fn probe(change: impl FnOnce(&mut KongSwitches), upstream: &Server) -> Host {
    start(options("probe", kong(change), upstream, nobody()))
}

/// The probe on Kong, with a zone for shared data.
fn with_zone(change: impl FnOnce(&mut KongSwitches), upstream: &Server) -> Host {
    let mut options = options("probe", kong(change), upstream, nobody());
    options.shared_zone = true;
    start(options)
}

#[test]
fn a_paused_request_goes_on_by_itself_after_its_last_call() {
    let (upstream, callee) = (Server::upstream(), Server::upstream());
    let target = callee.address().to_string();
    let host = probe(|_| {}, &upstream);
    // The module does nothing with the answer.
    assert_eq!(get(&host, "/call", &[("x-target", &target)]).status(), 200);
    assert_eq!(upstream.count("/call"), 1);
    // Also when the call fails, and when the callback traps.
    let dead = nobody().to_string();
    assert_eq!(get(&host, "/call", &[("x-target", &dead)]).status(), 200);
    assert_eq!(
        get(&host, "/call-trap", &[("x-target", &target)]).status(),
        200
    );
    assert_eq!(host.record().traps().len(), 1);
    // A local response is the one thing that holds it.
    let denied = get(&host, "/call-deny", &[("x-target", &target)]);
    assert_eq!((denied.status(), upstream.count("/call-deny")), (403, 0));
}

#[test]
fn without_auto_resume_it_waits_to_be_told() {
    let (upstream, callee) = (Server::upstream(), Server::upstream());
    let target = callee.address().to_string();
    let host = probe(|kong| kong.auto_resume = false, &upstream);
    let mut silent = open(
        &host,
        &request("GET", "/call", &[("x-target", &target)], b""),
    );
    let _ = callee.wait_for(1);
    assert!(wire::stays_silent(&mut silent, QUIET));
    assert_eq!(upstream.count("/call"), 0);
    assert_eq!(
        get(&host, "/call-resume", &[("x-target", &target)]).status(),
        200
    );
}

#[test]
fn a_pause_with_nothing_pending_hangs() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    let mut silent = open(&host, &request("GET", "/hold", &[], b""));
    // The next request shows that the worker had the first one.
    assert_eq!(get(&host, "/pass", &[]).status(), 200);
    assert!(wire::stays_silent(&mut silent, QUIET));
    assert_eq!(upstream.count("/hold"), 0);
}

#[test]
fn a_removed_header_goes_upstream() {
    for (keeps, expected) in [(true, vec!["theirs"]), (false, Vec::new())] {
        let upstream = Server::upstream();
        let host = probe(|kong| kong.removal_keeps = keeps, &upstream);
        assert_eq!(
            get(&host, "/remove", &[("X-Secret", "theirs")]).status(),
            200
        );
        assert_eq!(
            upstream.seen()[0].all("x-secret"),
            expected,
            "removal_keeps {keeps}"
        );
    }
}

#[test]
fn a_replaced_header_leaves_its_other_copies() {
    for (keeps, expected) in [(true, vec!["mine", "theirs"]), (false, vec!["mine"])] {
        let upstream = Server::upstream();
        let host = probe(|kong| kong.removal_keeps = keeps, &upstream);
        let twice = [("X-Secret", "theirs"), ("X-Secret", "theirs")];
        assert_eq!(get(&host, "/replace", &twice).status(), 200);
        assert_eq!(
            upstream.seen()[0].all("x-secret"),
            expected,
            "removal_keeps {keeps}"
        );
    }
}

#[test]
fn compare_and_swap_is_strict() {
    let upstream = Server::upstream();
    let strict = with_zone(|_| {}, &upstream);
    assert_eq!(
        get(&strict, "/cas", &[]).text().trim(),
        "missing without: written, present without: mismatch, missing with: mismatch, present with: written"
    );
    let like_envoy = with_zone(|kong| kong.strict_cas = false, &upstream);
    assert_eq!(
        get(&like_envoy, "/cas", &[]).text().trim(),
        "missing without: written, present without: written, missing with: written, present with: written"
    );
}

#[test]
fn shared_data_without_a_zone_traps() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    assert_eq!(get(&host, "/shared", &[]).status(), 500);
    assert!(host.record().traps()[0].contains("no zone"));
    // With a zone, or with the switch off, it is there.
    for host in [
        with_zone(|_| {}, &upstream),
        probe(|kong| kong.missing_zone_traps = false, &upstream),
    ] {
        assert_eq!(get(&host, "/shared", &[]).text().trim(), "nothing");
        assert_eq!(host.record().traps(), Vec::<String>::new());
    }
}

#[test]
fn shared_data_compares_no_keys() {
    let upstream = Server::upstream();
    let host = with_zone(|_| {}, &upstream);
    assert_eq!(
        get(&host, "/crc", &[]).text().trim(),
        "Ok(()) Some(\"mine\")"
    );
    let host = with_zone(|kong| kong.crc32_keys = false, &upstream);
    assert_eq!(get(&host, "/crc", &[]).text().trim(), "Ok(()) None");
}

#[test]
fn two_workers_of_a_node_share_their_data() {
    let upstream = Server::upstream();
    let shared: Arc<SharedData> = Arc::default();
    let worker = || {
        let mut options = options("probe", Mode::kong(), &upstream, nobody());
        (options.shared_zone, options.shared) = (true, shared.clone());
        start(options)
    };
    let (first, second) = (worker(), worker());
    assert_eq!(
        get(&first, "/crc", &[]).text().trim(),
        "Ok(()) Some(\"mine\")"
    );
    let read = get(&second, "/crc", &[]).text();
    assert_eq!(read.trim(), "Err(CasMismatch) Some(\"mine\")");
    assert_eq!(shared.keys().len(), 1);
}

/// How many bytes obey the additive relation of libc's `random()`.
fn predicted(hex: &str) -> usize {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
    // r[i] = r[i-3] + r[i-31], and the lowest bit, cut off, may carry one.
    (31..bytes.len())
        .filter(|at| {
            let sum = bytes[at - 3].wrapping_add(bytes[at - 31]);
            bytes[*at] == sum || bytes[*at] == sum.wrapping_add(1)
        })
        .count()
}

#[test]
fn random_numbers_are_those_of_libc() {
    let upstream = Server::upstream();
    let weak = get(&probe(|_| {}, &upstream), "/random", &[]).text();
    assert_eq!(
        predicted(weak.trim()),
        128 - 31,
        "31 bytes give the rest away"
    );
    let strong = get(
        &probe(|kong| kong.weak_random = false, &upstream),
        "/random",
        &[],
    )
    .text();
    assert!(predicted(strong.trim()) < 20);
}

#[test]
fn an_export_is_called_without_a_look() {
    let upstream = Server::upstream();
    let host = start(options("bare", Mode::kong(), &upstream, nobody()));
    // The body callback is missing: the worker dies before anything goes upstream.
    assert!(closes(&host, &request("POST", "/", &[], b"body")));
    assert_eq!(upstream.seen().len(), 0);
    // The response callback is missing too, and the new worker dies as well.
    assert!(closes(&host, &request("GET", "/", &[], b"")));
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(host.record().crashes().len(), 2);

    let host = start(options(
        "bare",
        kong(|kong| kong.exports_unchecked = false),
        &upstream,
        nobody(),
    ));
    assert_eq!(post(&host, "/", &[], b"body").status(), 200);
    assert_eq!(host.record().crashes(), Vec::<String>::new());
}

#[test]
fn a_dying_worker_takes_all_connections_with_it() {
    let upstream = Server::upstream();
    // `raw` returns 5 and more: the worker dies.
    let host = start(options("raw", Mode::kong(), &upstream, nobody()));
    let mut held = open(&host, &request("GET", "/headers/1", &[], b""));
    wait_for_log(&host, "headers");
    assert!(closes(&host, &request("GET", "/headers/255", &[], b"")));
    assert!(wire::read_message(&mut held).is_err());
    assert_eq!(get(&host, "/headers/0", &[]).status(), 200);
    assert_eq!(host.record().crashes().len(), 1);
}

#[test]
fn other_numbers_than_0_and_1_mean_something_else() {
    let upstream = Server::upstream();
    let host = start(options("raw", Mode::kong(), &upstream, nobody()));
    for number in [2, 4, 5] {
        assert!(closes(
            &host,
            &request("GET", &format!("/headers/{number}"), &[], b"")
        ));
    }
    assert_eq!(
        (upstream.seen().len(), host.record().crashes().len()),
        (0, 0)
    );
    assert_eq!(get(&host, "/headers/3", &[]).status(), 200);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_body_is_shown_in_the_body_phase_only_and_only_if_there_is_one() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    assert_eq!(
        post(&host, "/continue-for-body", &[], b"four")
            .text()
            .trim(),
        "body of 4"
    );
    let unmeasured = [("Transfer-Encoding", "chunked")];
    let chunks = chunked(&[b"twelve", b" bytes"]);
    let body = post(&host, "/continue-for-body", &unmeasured, &chunks);
    assert_eq!(body.text().trim(), "body of 12");
    assert_eq!(upstream.seen().len(), 0);
    // No callback for what has no body, or an empty one.
    for bytes in [
        request("GET", "/continue-for-body", &[], b""),
        request(
            "POST",
            "/continue-for-body",
            &[("Content-Length", "0")],
            b"",
        ),
        request("POST", "/continue-for-body", &unmeasured, &chunked(&[])),
    ] {
        assert_eq!(exchange(&host, &bytes).text(), "from the upstream");
    }
    // After a pause in the headers no body comes.
    let mut silent = open(&host, &request("POST", "/pause-for-body", &[], b"four"));
    assert_eq!(get(&host, "/pass", &[]).status(), 200);
    assert!(wire::stays_silent(&mut silent, QUIET));

    let host = probe(|kong| kong.body_only_in_body_phase = false, &upstream);
    assert_eq!(
        post(&host, "/pause-for-body", &[], b"four").text().trim(),
        "body of 4"
    );
    assert_eq!(
        get(&host, "/continue-for-body", &[]).text().trim(),
        "body of 0"
    );
}

#[test]
fn a_body_in_a_file_cannot_be_read_and_goes_upstream_whole() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    assert_eq!(post(&host, "/pass", &[], &[b'x'; 100_000]).status(), 200);
    assert_eq!(upstream.seen()[0].body.len(), 100_000);
    assert_eq!(
        post(&host, "/offset", &[], &[b'x'; 100_000]).text().trim(),
        ""
    );
}

#[test]
fn the_offset_of_a_read_is_ignored() {
    let upstream = Server::upstream();
    for (ignored, expected) in [(true, "abc"), (false, "cde")] {
        let host = probe(|kong| kong.read_offset_ignored = ignored, &upstream);
        assert_eq!(
            post(&host, "/offset", &[], b"abcdef").text().trim(),
            expected
        );
    }
}

#[test]
fn nobody_can_wake_another_request() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    let mut held = open(&host, &request("GET", "/hold", &[], b""));
    assert_eq!(get(&host, "/pass", &[]).status(), 200);
    // The host says yes and does nothing.
    assert_eq!(get(&host, "/wake", &[]).text().trim(), "Ok(()) Ok(())");
    assert!(wire::stays_silent(&mut held, QUIET));
    assert_eq!(upstream.count("/hold"), 0);

    let host = probe(|kong| kong.no_waking = false, &upstream);
    let mut held = open(&host, &request("GET", "/hold", &[], b""));
    assert_eq!(get(&host, "/pass", &[]).status(), 200);
    assert_eq!(get(&host, "/wake", &[]).text().trim(), "Ok(()) Ok(())");
    let woken = wire::read_message(&mut held).expect("an answer");
    assert_eq!((woken.status(), upstream.count("/hold")), (200, 1));
}

#[test]
fn a_refusing_or_trapping_configuration_leaves_no_filter() {
    let upstream = Server::upstream();
    for configuration in ["refuse", "trap"] {
        let with = |mode: Mode| {
            Host::start(HostOptions::new(
                small_module("probe"),
                configuration,
                mode,
                upstream.address(),
            ))
        };
        let host = with(Mode::kong()).expect("Kong starts");
        assert!(!host.record().filter_active());
        // The probe would answer this one itself: it is proxied, with its body.
        let answer = post(&host, "/cookies", &[], b"body");
        assert_eq!(answer.text(), "from the upstream");
        let off = with(kong(|kong| {
            kong.refusing_configure_leaves_no_filter = false
        }));
        assert!(off.is_err(), "{configuration}");
    }
}

#[test]
fn a_module_that_cannot_be_linked_stops_the_node() {
    let upstream = Server::upstream();
    // (module (import "env" "unknown" (func)))
    let bytes: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0f\x01\x03env\x07unknown\0\0";
    let module = module_host::Module::Bytes(bytes.into());
    let started = Host::start(HostOptions::new(
        module,
        "",
        Mode::kong(),
        upstream.address(),
    ));
    assert!(matches!(started.err(), Some(StartError::Module(_))));
    // One without the exports that are looked for is dropped, and everything is proxied.
    let module = module_host::Module::Bytes(b"\0asm\x01\0\0\0"[..].into());
    let host = start(HostOptions::new(
        module,
        "",
        Mode::kong(),
        upstream.address(),
    ));
    assert_eq!(get(&host, "/", &[]).status(), 200);
    assert!(!host.record().filter_active());
}

#[test]
fn cookies_of_an_answer_collapse_and_a_newline_is_added() {
    let upstream = Server::upstream();
    let answer = get(&probe(|_| {}, &upstream), "/cookies", &[]);
    assert_eq!(answer.all("set-cookie"), ["b=2"]);
    assert_eq!(answer.text(), "cookies\n");
    let off = |kong: &mut KongSwitches| {
        (kong.local_headers_collapse, kong.local_body_newline) = (false, false);
    };
    let answer = get(&probe(off, &upstream), "/cookies", &[]);
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.text(), "cookies");
}

#[test]
fn what_kong_lacks_traps() {
    let upstream = Server::upstream();
    for path in ["/level", "/foreign"] {
        let host = probe(|_| {}, &upstream);
        assert_eq!(get(&host, path, &[]).status(), 500);
        assert_eq!(host.record().traps().len(), 1);
    }
    let host = probe(|kong| kong.unimplemented_traps = false, &upstream);
    assert_eq!(get(&host, "/foreign", &[]).text().trim(), "Err(NotFound)");
}

#[test]
fn the_list_of_headers_is_cut_at_100() {
    let upstream = Server::upstream();
    let host = probe(|_| {}, &upstream);
    let names: Vec<String> = (0..120).map(|number| format!("x-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    // Four pseudo-headers, Host and Connection come on top.
    assert_eq!(
        get(&host, "/count", &headers).text().trim(),
        "told 126 listed 100"
    );
}

#[test]
fn a_trap_lets_a_paused_neighbour_through() {
    let (upstream, callee) = (Server::upstream(), Slow::start());
    let target = callee.server.address().to_string();
    let host = probe(|_| {}, &upstream);
    let mut paused = open(
        &host,
        &request("GET", "/call-deny", &[("x-target", &target)], b""),
    );
    let _ = callee.server.wait_for(1);
    assert_eq!(get(&host, "/trap", &[]).status(), 500);
    callee.answer();
    // The new instance does not know the call; nothing denied it.
    let answer = wire::read_message(&mut paused).expect("an answer");
    assert_eq!((answer.status(), upstream.count("/call-deny")), (200, 1));
    wait("the second trap", || host.record().traps().len() == 2);
}

/// A server that answers when it is told.
struct Slow {
    server: Server,
    tell: std::sync::mpsc::Sender<()>,
}

impl Slow {
    fn start() -> Slow {
        let (tell, told) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let server = Server::start(move |_| {
            // The test is over when the sender is gone.
            let _ = told.lock().expect("one request at a time").recv();
            wire::Reply::json("{}")
        });
        Slow { server, tell }
    }

    fn answer(&self) {
        self.tell.send(()).expect("the server waits");
    }
}
