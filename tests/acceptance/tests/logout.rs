//! Logout, and what is in bodies: callbacks by form_post, logouts by an argument, and forms that are neither.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use acceptance::{Gateway, eventually, is_private, session_cookies};
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use support::browser::{Browser, Page, encoded, parameter};
use support::issuer::b64;
use support::provider::{Behaviour, DISCOVERY, END_SESSION, Provider, TOKEN};
use support::raw::{self, Answer, Exchange};

const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");

fn cookie_of(browser: &Browser) -> String {
    let cookies = browser.cookies.iter();
    let pairs: Vec<String> = cookies
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect();
    pairs.join("; ")
}

/// This answer ends the session, and sends the browser to the provider.
fn is_logout(gateway: &Gateway, provider: &Provider, answer: &Answer) {
    gateway.answered(answer, 302);
    let place = answer.header("location").expect("a place to go to");
    let endpoint = format!("{}{END_SESSION}", provider.issuer());
    assert!(place.starts_with(&endpoint), "{place}");
    let cookies = answer.all("set-cookie");
    let ends = cookies.iter().any(|line| {
        line.starts_with("session=;") && line.contains("Path=/") && line.contains("Max-Age=0")
    });
    assert!(ends, "{cookies:?}");
    assert!(session_cookies(answer).is_empty());
    is_private(answer);
}

#[test]
fn dx_38_by_argument_and_suffix() {
    let provider = Provider::start();
    let members = json!({
        "logout_query_arg": "logout",
        "logout_post_arg": "bye",
        "logout_uri_suffix": "/logout",
        "logout_methods": ["POST", "DELETE"],
    });
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let cookie = cookie_of(&browser);
    let headers = [("cookie", cookie.as_bytes())];
    // Methods that are not listed: ordinary requests.
    for target in ["/hello?logout=1", "/app/logout", "/app/logout?a=1"] {
        let answer = raw::send(gateway.address(), &raw::request("GET", target, &headers));
        let seen = gateway.forwarded(&answer);
        assert_eq!(seen.target, target);
    }
    gateway.on_every_worker(|| {
        for target in [
            "/hello?logout=1",
            "/hello?a=1&logout",
            "/app/logout",
            "/app/logout?a=1",
        ] {
            for method in ["POST", "DELETE"] {
                let head = [
                    headers[0],
                    ("content-length", b"0"),
                    ("connection", b"close"),
                ];
                let bytes = raw::head_of(method, target, &head);
                is_logout(&gateway, &provider, &raw::send(gateway.address(), &bytes));
            }
        }
        for (body, logs_out) in [
            ("bye=1", true),
            ("a=b&bye=", true),
            ("bye", true),
            ("a=bye", false),
            ("byebye=1", false),
        ] {
            let answer = post(&gateway, "/hello", &cookie, body);
            if logs_out {
                is_logout(&gateway, &provider, &answer);
            } else {
                let seen = gateway.forwarded(&answer);
                assert_eq!(seen.body, body.as_bytes());
            }
        }
        for target in ["/app/logout/x", "/app/logouts"] {
            let answer = post(&gateway, target, &cookie, "a=b");
            gateway.forwarded(&answer);
        }
    });
}

/// POST of a form with these cookies.
fn post(gateway: &Gateway, target: &str, cookie: &str, body: &str) -> Answer {
    let length = body.len().to_string();
    let headers = [
        ("cookie", cookie.as_bytes()),
        FORM,
        ("content-length", length.as_bytes()),
        ("connection", b"close"),
    ];
    let mut bytes = raw::head_of("POST", target, &headers);
    bytes.extend_from_slice(body.as_bytes());
    raw::send(gateway.address(), &bytes)
}

#[test]
fn dx_40_a_logout_goes_on_to_the_provider() {
    let provider = Provider::start();
    let members = json!({
        "logout_uri_suffix": "/logout",
        "logout_methods": ["GET"],
        "logout_redirect_uri": ["http://app.example/bye?a=1&b=2"],
    });
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let copied = browser.clone();
    let page = browser.get(&gateway.url("/logout"));
    is_logout(&gateway, &provider, &page.answer);
    assert_eq!(page.parameter("client_id").as_deref(), Some("kong"));
    let back = page.parameter("post_logout_redirect_uri");
    assert_eq!(back.as_deref(), Some("http://app.example/bye?a=1&b=2"));
    let hint = page.parameter("id_token_hint").expect("a hint");
    assert_eq!(hint.split('.').count(), 3);
    assert!(browser.named("session").is_empty(), "{browser:?}");
    let at_provider = browser.get(page.location().expect("a place").as_str());
    assert_eq!(
        at_provider.answer.header("location"),
        Some("http://app.example/bye?a=1&b=2")
    );
    gateway.asks_to_log_in(&browser.get(&gateway.url("/hello")));
    // A session lives in its cookie alone: who copied it before keeps it, until it ends by itself (session_storage).
    gateway.shows(&mut copied.clone(), "/hello");
    // A logout without a session, and with one that does not open: the same, without a hint.
    for cookies in [Vec::new(), vec![("cookie", "session=1garbage")]] {
        let answer = gateway.get("/logout", &cookies);
        gateway.answered(&answer, 302);
        let place = answer.header("location").expect("a place");
        assert!(
            place.contains("client_id=kong") && !place.contains("id_token_hint"),
            "{place}"
        );
    }
}

#[test]
fn a_logout_ends_the_session_here_when_the_provider_is_down() {
    let provider = Provider::start();
    let members = json!({"logout_uri_suffix": "/logout", "logout_methods": ["GET"]});
    let gateway = Gateway::for_logins(&provider, members.clone());
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    provider.always(DISCOVERY, Behaviour::Status(503));
    // One that never reached the provider.
    let other = Gateway::for_logins(&provider, members);
    let page = browser.get(&other.url("/logout"));
    other.answered(&page.answer, 200);
    assert!(browser.named("session").is_empty());
    assert!(other.filter_log().contains("logout_only_here"));
}

/// How a body comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Slow,
    Chunked,
    Http2,
    Http2Slow,
    Http2Trailers,
}

const WAYS: [Way; 5] = [
    Way::Slow,
    Way::Chunked,
    Way::Http2,
    Way::Http2Slow,
    Way::Http2Trailers,
];

/// POST of a form in this way.
fn send(gateway: &Gateway, target: &str, cookie: &str, body: &[u8], way: Way) -> Answer {
    let slow = || thread::sleep(Duration::from_millis(30));
    let pieces: Vec<&[u8]> = body.chunks(body.len().div_ceil(4).max(1)).collect();
    let headers = vec![("cookie", cookie.as_bytes()), FORM];
    if matches!(way, Way::Slow | Way::Chunked) {
        let length = body.len().to_string();
        let mut all = headers;
        all.push(match way {
            Way::Slow => ("content-length", length.as_bytes()),
            _ => ("transfer-encoding", b"chunked"),
        });
        let mut exchange = Exchange::begin(gateway.address(), &raw::head_of("POST", target, &all))
            .expect("a connection");
        for piece in pieces {
            slow();
            let framed = match way {
                Way::Slow => piece.to_vec(),
                _ => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
            };
            if exchange.send(&framed).is_err() {
                break;
            }
        }
        if way == Way::Chunked {
            let _ = exchange.send(b"0\r\n\r\n");
        }
        return exchange.answer().expect("an answer");
    }
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::copy_from_slice).collect();
    let sending = thread::spawn(move || {
        for piece in pieces {
            if way == Way::Http2Slow {
                thread::sleep(Duration::from_millis(30));
            }
            let _ = frames.send(Ok::<_, io::Error>(Frame::data(piece)));
        }
        if way == Way::Http2Trailers {
            let mut trailers = hyper::HeaderMap::new();
            trailers.insert("x-checksum", "abc".parse().expect("a value"));
            let _ = frames.send(Ok(Frame::trailers(trailers)));
        }
    });
    let call = raw::http2(gateway.address(), "POST", target, &headers, Some(receiver));
    let answer = raw::block_on(call).expect("an answer");
    sending.join().expect("all is sent");
    answer
}

fn form_of(page: &Page) -> String {
    let form = page.form().expect("a form");
    let fields = form.fields.iter();
    encoded(fields.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// In every way: a browser comes back from the provider with its form, and the answer to that.
fn come_back(gateway: &Gateway, then: impl Fn(&mut Browser, &Page, &Answer)) {
    for way in WAYS {
        let mut browser = Browser::new();
        let page = gateway.until_callback(&mut browser, "/hello?a=1");
        let (cookie, body) = (cookie_of(&browser), form_of(&page));
        let answer = send(gateway, "/hello", &cookie, body.as_bytes(), way);
        assert_eq!(session_cookies(&answer).len(), 1, "{way:?}: {answer:?}");
        then(&mut browser, &page, &answer);
    }
}

#[test]
fn a_form_post_counts_however_it_comes() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"response_mode": "form_post"}));
    come_back(&gateway, |browser, page, answer| {
        gateway.answered(answer, 302);
        browser.keep(&page.url, answer);
        gateway.shows(browser, "/hello?a=1");
    });
}

#[test]
fn a_form_post_that_goes_on_to_the_upstream_is_a_get_however_it_comes() {
    let provider = Provider::start();
    let members = json!({"response_mode": "form_post", "login_action": "upstream"});
    let gateway = Gateway::for_logins(&provider, members);
    come_back(&gateway, |_, _, answer| {
        let seen = gateway.forwarded(answer);
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", "/hello?a=1")
        );
        assert!(seen.body.is_empty() && seen.complete, "{seen:?}");
    });
}

#[test]
fn a_logout_by_its_body_counts_however_it_comes() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"logout_post_arg": "logout"}));
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    for way in WAYS {
        let answer = send(
            &gateway,
            "/hello",
            &cookie_of(&browser),
            b"a=1&logout=true&b=2",
            way,
        );
        is_logout(&gateway, &provider, &answer);
    }
}

#[test]
fn a_form_that_is_none_of_ours_arrives_whole_however_it_comes() {
    let provider = Provider::start();
    let members = json!({"response_mode": "form_post", "logout_post_arg": "logout"});
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let bodies = [
        "text=caf%C3%A9&state=of+mine&code=1".to_owned(),
        format!("a={}", "x".repeat(60_000)),
        // Too long to decide: judged without its body, whatever that says.
        format!("logout=1&a={}", "x".repeat(300_000)),
    ];
    for way in WAYS {
        for body in bodies.each_ref().map(String::as_bytes) {
            let answer = send(&gateway, "/hello?q=1", &cookie_of(&browser), body, way);
            let seen = gateway.forwarded(&answer);
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str()),
                ("POST", "/hello?q=1")
            );
            assert!(seen.body == body, "{way:?}: {} bytes", seen.body.len());
            assert_eq!(seen.header("cookie"), None);
            // Nobody is there: nothing of it arrives.
            let answer = send(&gateway, "/hello?q=1", "a=1", body, way);
            assert!([302, 401].contains(&answer.status), "{way:?}: {answer:?}");
            assert!(gateway.upstream.take().is_empty());
        }
    }
}

#[test]
fn without_the_flag_a_form_ends_with_an_error_that_names_it() {
    let provider = Provider::start();
    let members = json!({"response_mode": "form_post", "logout_post_arg": "logout"});
    let gateway = Gateway::for_logins_with(&provider, members, |options| {
        options.filter().stop_iteration = false;
        options.concurrency = 1;
    });
    let mut browser = Browser::new();
    let page = gateway.until_callback(&mut browser, "/hello");
    let begun = Instant::now();
    let cookie = cookie_of(&browser);
    let answer = post(&gateway, "/hello", &cookie, &form_of(&page));
    gateway.answered(&answer, 500);
    let took = begun.elapsed();
    let expected = Duration::from_secs(4)..Duration::from_secs(9);
    assert!(expected.contains(&took), "{took:?}");
    let log = gateway.filter_log();
    assert!(
        log.contains("allow_on_headers_stop_iteration: true"),
        "{log}"
    );
    assert_eq!(provider.calls(TOKEN), 0);
    // What has no body is served.
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/hello")));
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_a_form_leaves_nothing() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"response_mode": "form_post"}));
    let active = || gateway.envoy.stat("http.gateway.downstream_rq_active");
    for _ in 0..20 {
        let head = raw::head_of("POST", "/hello", &[FORM, ("content-length", b"1000")]);
        let mut exchange = Exchange::begin(gateway.address(), &head).expect("a connection");
        exchange.send(b"state=").expect("it is sent");
        drop(exchange);
    }
    eventually("they are gone", || active() == Some(0));
    assert!(gateway.upstream.take().is_empty());
    let mut browser = Browser::new();
    let page = gateway.until_callback(&mut browser, "/hello");
    let done = browser.submit(&page, &[]);
    assert_eq!(session_cookies(&done.answer).len(), 1);
}

#[test]
fn a_form_post_that_lost_its_cookie_is_sent_once_more_and_then_begins_anew() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"response_mode": "form_post"}));
    let mut browser = Browser::new();
    let page = gateway.until_callback(&mut browser, "/hello");
    // As browsers do two minutes after it was set: without the cookie, then with it.
    let kept = browser.cookies.clone();
    browser.cookies.clear();
    let again = browser.submit(&page, &[]);
    gateway.answered(&again.answer, 200);
    assert!(again.form().is_some(), "{again:?}");
    assert_eq!(again.answer.header("cache-control"), Some("no-store"));
    let mut lost = browser.clone();
    browser.cookies = kept;
    let done = browser.submit(&again, &[]);
    gateway.answered(&done.answer, 302);
    assert_eq!(session_cookies(&done.answer).len(), 1);
    gateway.shows(&mut browser, "/hello");
    // Never there: a new login, and not a third page.
    let anew = lost.submit(&again, &[]);
    gateway.asks_to_log_in(&anew);
    assert_eq!(
        parameter(&anew.location().expect("a place"), "response_mode").as_deref(),
        Some("form_post")
    );
    let garbage = b64(b"no state of ours");
    let answer = post(
        &gateway,
        "/hello",
        "a=1",
        &format!("state={garbage}&code=1"),
    );
    assert!([302, 401].contains(&answer.status), "{answer:?}");
    assert_eq!(answer.json(), Value::Null);
}
