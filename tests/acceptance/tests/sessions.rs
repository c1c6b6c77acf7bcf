//! Sessions on real Envoy: the cookie in all its sizes and states, renewal, and what workers and updates share.

use std::thread;
use std::time::Duration;

use acceptance::{Gateway, eventually, is_private, session_cookies, tampered};
use serde_json::{Value, json};
use support::browser::Browser;
use support::envoy::Envoy;
use support::issuer::b64;
use support::keycloak::{CLIENT_SECRET, Keycloak, REALM, demo_realm};
use support::provider::{Behaviour, Provider, TOKEN};
use support::raw::{self, Answer};

/// Text that no compression makes shorter by much.
fn noise(length: usize) -> String {
    let mut state = 0x1234_5678_9abc_def0_u64;
    let bytes: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    b64(&bytes)
}

/// All session cookies of a browser, as a header.
fn cookie_line(browser: &Browser) -> String {
    let cookies = browser.named("session").into_iter();
    let pairs: Vec<String> = cookies
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect();
    pairs.join("; ")
}

/// The lines of an answer that end a session cookie.
fn ended(answer: &Answer) -> Vec<String> {
    let lines = answer.all("set-cookie").into_iter();
    let own = lines.filter(|line| line.starts_with("session") && line.contains("Max-Age=0"));
    own.filter_map(|line| line.split('=').next().map(str::to_owned))
        .collect()
}

#[test]
fn dx_33_a_session_of_more_than_one_cookie() {
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.access = json!({"noise": noise(6000)}));
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/hello"));
    let back = browser.get(page.location().expect("the provider").as_str());
    let done = browser.get(back.location().expect("the callback").as_str());
    let lines = done.answer.all("set-cookie");
    assert!(lines.iter().all(|line| line.len() <= 4096), "{lines:?}");
    let names: Vec<String> = browser
        .named("session")
        .iter()
        .map(|cookie| cookie.name.clone())
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let expected: Vec<String> = (1..=names.len())
        .map(|number| match number {
            1 => "session".to_owned(),
            _ => format!("session{number}"),
        })
        .collect();
    assert_eq!(names, expected);

    // Put together again, also when the browser sends them in another order and over several lines.
    let big = cookie_line(&browser);
    let mut pieces: Vec<&str> = big.split("; ").collect();
    pieces.reverse();
    let lines: Vec<(&str, &str)> = pieces.iter().map(|piece| ("cookie", *piece)).collect();
    let answer = gateway.get("/hello", &lines);
    let seen = gateway.forwarded(&answer);
    assert_eq!(seen.header("cookie"), None);
    let token = seen.header("authorization").unwrap_or_default();
    assert!(token.len() > 8000, "{}", token.len());
    // One piece missing, or of another session: no session.
    for at in 0..names.len() {
        let mut some: Vec<&str> = big.split("; ").collect();
        some.remove(at);
        gateway.answered(&gateway.get("/hello", &[("cookie", &some.join("; "))]), 302);
    }

    // Surplus pieces go with the first smaller session.
    provider.set_tokens(|tokens| tokens.access = json!({}));
    for cookie in &mut browser.cookies {
        cookie.value.truncate(100);
    }
    let page = browser.get(&gateway.url("/hello"));
    gateway.asks_to_log_in(&page);
    let back = browser.get(page.location().expect("the provider").as_str());
    let done = browser.get(back.location().expect("the callback").as_str());
    assert_eq!(ended(&done.answer), names[1..]);
    assert_eq!(browser.named("session").len(), 1);
    gateway.shows(&mut browser, "/hello");
}

#[test]
fn dx_34_what_does_not_open_is_no_session() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"session_bind": ["user-agent"]}));
    let agent = |name: &str| vec![("user-agent".to_owned(), name.to_owned())];
    let mut browser = Browser::new();
    browser.headers = agent("Firefox");
    gateway.enter(&mut browser, "/hello");
    gateway.shows(&mut browser, "/hello");
    let good = browser.cookie("session").expect("a session").to_owned();

    // Every part of the cookie, changed, cut and prolonged.
    let mut bad: Vec<String> = (0..good.len())
        .step_by(29)
        .map(|at| {
            let mut changed = good.clone();
            let letter = if &good[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, letter);
            changed
        })
        .collect();
    bad.extend([
        tampered(&good),
        good[1..].to_owned(),
        format!("{good}A"),
        format!("{good}.x"),
    ]);
    bad.extend((0..good.len()).step_by(101).map(|at| good[..at].to_owned()));
    for value in bad {
        let cookie = format!("session={value}");
        let headers = [("cookie", cookie.as_str()), ("user-agent", "Firefox")];
        let answer = gateway.get("/hello", &headers);
        if value == format!("{good}.x") {
            // Something beside ours that is nobody's: ours still counts.
            gateway.forwarded(&answer);
        } else {
            gateway.answered(&answer, 302);
        }
    }
    // Bound to the User-Agent.
    let mut moved = browser.clone();
    moved.headers = agent("curl");
    gateway.asks_to_log_in(&moved.get(&gateway.url("/hello")));
    // Of another secret, another client, another cookie name.
    for members in [
        json!({"session_secret": "another secret of these tests, 32"}),
        json!({"client_id": ["another"]}),
        json!({"session_audience": "another"}),
    ] {
        let mut all = json!({"session_bind": ["user-agent"]});
        for (name, value) in members.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let other = Gateway::for_logins(&provider, all);
        let page = browser.clone().get(&other.url("/hello"));
        other.asks_to_log_in(&page);
    }
    // With the old secret beside the new one it still opens.
    let rotated = Gateway::for_logins(
        &provider,
        json!({
            "session_bind": ["user-agent"],
            "session_secret": "another secret of these tests, 32",
            "session_secrets_previous": ["a secret of these tests, 32 byte"],
        }),
    );
    rotated.shows(&mut browser.clone(), "/hello");
    gateway.shows(&mut browser, "/hello");
}

#[test]
fn cookies_of_ours_never_reach_the_upstream() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let own = cookie_line(&browser);
    let cookies =
        format!("a=1; {own}; session2=x; authorization_abc=y; session10=keep; sessions=keep; b=2");
    gateway.on_every_worker(|| {
        let headers = [
            ("cookie", cookies.as_str()),
            ("cookie", "authorization_x=1; c=3"),
        ];
        let seen = gateway.forwarded(&gateway.get("/hello", &headers));
        let left = seen.header("cookie");
        assert_eq!(
            left.as_deref(),
            Some("a=1; session10=keep; sessions=keep; b=2; c=3")
        );
    });
}

#[test]
fn five_hundred_cookies_of_garbage_change_nothing() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins_with(&provider, json!({}), |options| {
        options.listener().manager = json!({"max_request_headers_kb": 96});
    });
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let own = cookie_line(&browser);
    let garbage: Vec<String> = (0..500)
        .map(|number| match number % 5 {
            0 => format!("session={}", noise(40)),
            1 => format!("session{}=9{}", number % 10, noise(30)),
            2 => format!("authorization_{number}={}", noise(20)),
            3 => format!("session=1{}", noise(30)),
            _ => format!("x{number}=;=;; ="),
        })
        .collect();
    let garbage = garbage.join("; ");
    gateway.on_every_worker(|| {
        let line = format!("{own}; {garbage}");
        gateway.forwarded(&gateway.get("/hello", &[("cookie", &line)]));
        let line = format!("{garbage}; {own}");
        let answer = gateway.get("/hello", &[("cookie", &line)]);
        gateway.forwarded(&answer);
        gateway.answered(&gateway.get("/hello", &[("cookie", &garbage)]), 302);
    });
    // Login cookies that nobody could have set make way for a real one.
    let page = browser.get(&gateway.url("/hello"));
    gateway.forwarded(&page.answer);
}

#[test]
fn set_cookie_comes_once_and_never_with_304() {
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.lifetime = 20);
    let gateway = Gateway::for_logins_with(&provider, json!({}), |options| options.concurrency = 1);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    // Twenty seconds are less than what an upstream needs: each request renews.
    let page = browser.get(&gateway.url("/hello"));
    gateway.forwarded(&page.answer);
    assert_eq!(session_cookies(&page.answer).len(), 1);
    assert_eq!(page.answer.all("set-cookie").len(), 1);
    is_private(&page.answer);
    gateway.upstream.status("/unchanged", 304);
    let condition = ("if-none-match".to_owned(), "\"1\"".to_owned());
    browser.headers = vec![condition.clone()];
    let page = browser.get(&gateway.url("/unchanged"));
    assert_eq!(page.answer.status, 304);
    assert!(page.answer.all("set-cookie").is_empty());
    // It should not come to that: an upstream is not asked whether anything changed when a cookie has to come along.
    assert_eq!(gateway.upstream.take_one().header("if-none-match"), None);

    // Without a renewal nothing is added, and nothing taken away.
    provider.set_tokens(|tokens| tokens.lifetime = 300);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    browser.headers = vec![condition];
    let page = browser.get(&gateway.url("/hello"));
    let seen = gateway.forwarded(&page.answer);
    assert_eq!(seen.header("if-none-match").as_deref(), Some("\"1\""));
    for name in ["set-cookie", "cache-control", "vary"] {
        assert_eq!(page.answer.header(name), None, "{name}");
    }
}

#[test]
fn parallel_requests_share_one_refresh() {
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.lifetime = 20);
    let gateway = Gateway::for_logins_with(&provider, json!({}), |options| options.concurrency = 1);
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/hello"));
    let back = browser.get(page.location().expect("the provider").as_str());
    browser.get(back.location().expect("the callback").as_str());
    let cookie = cookie_line(&browser);
    provider.set_tokens(|tokens| tokens.lifetime = 300);
    provider.next(TOKEN, Behaviour::Delay(Duration::from_millis(300)));
    let calls = provider.calls(TOKEN);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let sending: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gateway.get("/hello", &[("cookie", &cookie)])))
            .collect();
        let joined = sending
            .into_iter()
            .map(|one| one.join().expect("an answer"));
        joined.collect()
    });
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(provider.calls(TOKEN), calls + 1);
    let mut tokens: Vec<Vec<String>> = gateway
        .upstream
        .take()
        .iter()
        .map(|seen| seen.all("authorization"))
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all with the new token");
    // Whoever comes late with the old cookie is served, too, for a moment.
    gateway.forwarded(&gateway.get("/hello", &[("cookie", &cookie)]));
    assert_eq!(provider.calls(TOKEN), calls + 1);
}

#[test]
fn the_worker_that_refreshes_second_logs_nobody_out() {
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.lifetime = 20);
    let gateway = Gateway::for_logins(&provider, json!({}));
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    provider.set_tokens(|tokens| tokens.lifetime = 300);
    // The provider takes each refresh token once; the workers find each other's results.
    let cookie = cookie_line(&browser);
    let calls = provider.calls(TOKEN);
    gateway.on_every_worker(|| {
        let answer = gateway.get("/hello", &[("cookie", &cookie)]);
        gateway.forwarded(&answer);
        assert_eq!(session_cookies(&answer).len(), 1, "{answer:?}");
    });
    assert_eq!(provider.calls(TOKEN), calls + 1);
}

#[test]
fn a_session_without_good_tokens_is_over_when_its_refresh_fails() {
    let provider = Provider::start();
    provider.set_tokens(|tokens| tokens.lifetime = 2);
    let gateway = Gateway::for_logins_with(&provider, json!({"leeway": 0}), |options| {
        options.concurrency = 1;
    });
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    thread::sleep(Duration::from_secs(3));
    let cookie = cookie_line(&browser);
    provider.always(
        TOKEN,
        Behaviour::Answer(br#"{"error":"invalid_grant"}"#.to_vec()),
    );
    // Nobody logs in by a POST (C24).
    let post = raw::request("POST", "/hello", &[("cookie", cookie.as_bytes())]);
    let answer = raw::send(gateway.address(), &post);
    gateway.answered(&answer, 401);
    let page = browser.get(&gateway.url("/hello"));
    gateway.asks_to_log_in(&page);
    provider.always(TOKEN, Behaviour::Normal);
    gateway.enter(&mut browser, "/hello");
}

#[test]
fn tokens_of_keycloak_are_refreshed_once_for_parallel_requests() {
    let mut realm = demo_realm();
    realm["accessTokenLifespan"] = 8.into();
    realm["revokeRefreshToken"] = true.into();
    realm["clients"][0]["redirectUris"] = json!(["*"]);
    let keycloak = Keycloak::start(&[realm], support::ports::free()).expect("it starts");
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": ["kong"],
        "client_secret": [CLIENT_SECRET],
        "auth_methods": ["session", "authorization_code"],
        "session_secret": "a secret of these tests, 32 byte",
        "login_action": "redirect",
        "login_tokens": [],
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    let gateway = Gateway::of(config, keycloak.address(), |options| {
        options.concurrency = 1
    });
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let mut last = String::new();
    for round in 0..3 {
        let cookie = cookie_line(&browser);
        let calls = || gateway.envoy.stat("cluster.provider.upstream_rq_total");
        let before = calls().unwrap_or(0);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let sending: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| gateway.get("/hello", &[("cookie", &cookie)])))
                .collect();
            let joined = sending
                .into_iter()
                .map(|one| one.join().expect("an answer"));
            joined.collect()
        });
        for answer in &answers {
            assert_eq!(
                answer.status,
                200,
                "{}\n{}",
                answer.text(),
                gateway.filter_log()
            );
        }
        assert_eq!(calls(), Some(before + 1), "round {round}");
        let seen = gateway.upstream.take();
        let token = seen[0].header("authorization").expect("a token");
        assert!(
            seen.iter()
                .all(|seen| seen.header("authorization").as_ref() == Some(&token))
        );
        assert_ne!(token, last, "round {round}");
        last = token;
        let url = gateway.url("/").parse().expect("an address");
        browser.keep(&url, &answers[0]);
        // After the time that an old cookie is served.
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn two_workers_share_a_session_under_a_secret_that_one_of_them_made() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"session_secret": null}));
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    gateway.on_every_worker(|| drop(gateway.shows(&mut browser, "/hello")));
    // Logins begin on one worker and end on another.
    gateway.on_every_worker(|| drop(gateway.enter(&mut Browser::new(), "/hello")));
    let log = gateway.filter_log();
    assert_eq!(log.matches("session_secret_made").count(), 1, "{log}");
    assert!(
        log.contains("replicas do not know each other's sessions"),
        "{log}"
    );
    // Another Envoy made another one.
    let other = Gateway::for_logins(&provider, json!({"session_secret": null}));
    other.asks_to_log_in(&browser.get(&other.url("/hello")));
}

#[test]
fn without_a_secret_and_a_vm_id_the_configuration_is_refused() {
    let provider = Provider::start();
    let mut config = provider.login_config();
    config["session_secret"] = Value::Null;
    let upstream = support::upstream::Upstream::start();
    let mut options = support::envoy::EnvoyOptions::new(config, upstream.address())
        .cluster("provider", provider.address());
    options.filter().vm_id = String::new();
    options.fixed = true;
    let error = Envoy::try_start(options.clone()).err().expect("a refusal");
    assert!(error.log.contains("config.session_secret"), "{error}");
    assert!(error.log.contains("vm_id"), "{error}");
    options.filter().config["session_secret"] = "a secret of these tests, 32 byte".into();
    assert!(Envoy::try_start(options).is_ok());
}

#[test]
fn a_session_survives_an_update_of_another_field() {
    let provider = Provider::start();
    for secret in [json!("a secret of these tests, 32 byte"), Value::Null] {
        let mut gateway = Gateway::for_logins(&provider, json!({"session_secret": secret}));
        let mut browser = Browser::new();
        gateway.enter(&mut browser, "/hello");
        let calls = provider.calls(TOKEN);
        let mut config = gateway.envoy.options().clone().filter().config.clone();
        config["unauthorized_error_message"] = "Please log in".into();
        let members = config["upstream_headers"].as_array_mut().expect("a list");
        members.push(json!({"header": "x-mail", "path": ["email"]}));
        gateway.envoy.update_config(config).expect("an update");
        let gateway = &gateway;
        gateway.on_every_worker(|| {
            let seen = gateway.shows(&mut browser, "/hello");
            assert_eq!(seen.header("x-mail").as_deref(), Some("alex@example.test"));
        });
        assert_eq!(provider.calls(TOKEN), calls);
    }
}

#[test]
fn a_session_ends_by_its_timeouts() {
    let provider = Provider::start();
    let members = json!({"session_idling_timeout": 0, "session_rolling_timeout": 0, "session_absolute_timeout": 3});
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    gateway.shows(&mut browser, "/hello");
    eventually("the session is over", || {
        thread::sleep(Duration::from_millis(200));
        let page = browser.clone().get(&gateway.url("/hello"));
        let _ = gateway.upstream.take();
        page.answer.status == 302
    });
    gateway.enter(&mut browser, "/hello");
}
