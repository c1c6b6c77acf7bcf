//! Logins with an authorization code, by the ids of their scenarios: at a real Keycloak, and at the scripted provider.

use acceptance::{Gateway, bearer, is_private, merged, session_cookies, tampered};
use serde_json::{Value, json};
use support::browser::{Browser, Page, parameter};
use support::envoy::EnvoyOptions;
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM};
use support::provider::Provider;

/// The configuration of Kong's how-to "authorization code flow", and what a filter in Envoy needs beside it.
fn how_to(members: Value) -> Gateway {
    how_to_with(members, |_| {})
}

fn how_to_with(members: Value, change: impl FnOnce(&mut EnvoyOptions)) -> Gateway {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [CLIENT],
        "client_secret": [CLIENT_SECRET],
        "client_auth": ["client_secret_post"],
        "auth_methods": ["authorization_code", "session"],
        "response_mode": "form_post",
        "preserve_query_args": true,
        "login_action": "redirect",
        "login_tokens": null,
        "authorization_endpoint": keycloak.endpoint(REALM, "auth"),
        "session_secret": "a secret of these tests, 32 byte",
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    Gateway::of(merged(config, members), keycloak.address(), change)
}

/// Calls that the provider has got from the gateway.
fn provider_calls(gateway: &Gateway) -> u64 {
    let name = "cluster.provider.upstream_rq_total";
    gateway.envoy.stat(name).unwrap_or(0)
}

#[test]
fn ht_01a_a_visitor_is_sent_to_keycloak() {
    let gateway = how_to(json!({}));
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/anything?hello=world"));
    gateway.asks_to_log_in(&page);
    let place = page.location().expect("a place");
    let endpoint = Keycloak::shared().endpoint(REALM, "auth");
    assert!(
        place.as_str().starts_with(&format!("{endpoint}?")),
        "{place}"
    );
    let expected = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", "openid"),
        ("response_mode", "form_post"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &gateway.url("/anything")),
    ];
    for (name, value) in expected {
        assert_eq!(parameter(&place, name).as_deref(), Some(value), "{place}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        let value = parameter(&place, name).unwrap_or_default();
        assert!(value.len() >= 22, "{name}: {place}");
    }
    let cookie = page.answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("authorization_"), "{cookie}");
    assert!(cookie.contains("; HttpOnly"), "{cookie}");
    is_private(&page.answer);
    // No two logins have anything in common.
    let other = Browser::new().get(&gateway.url("/anything?hello=world"));
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(other.parameter(name), page.parameter(name), "{name}");
    }
}

/// A login as in HT-01b; gives the page after the callback, which is not followed yet.
fn logs_in_as_alex(gateway: &Gateway, browser: &mut Browser) -> Page {
    let form = gateway.until_callback(browser, "/anything?hello=world");
    assert!(form.asks_for_password(), "{form:?}");
    let posting = browser.answer_form(&form);
    let callback = posting.form().expect("a form for the gateway");
    assert_eq!(callback.method, "POST");
    assert_eq!(callback.action.as_str(), gateway.url("/anything"));
    for name in ["code", "state"] {
        assert!(callback.fields.iter().any(|(own, _)| own == name), "{name}");
    }
    let done = browser.submit(&posting, &[]);
    gateway.answered(&done.answer, 302);
    let place = done.answer.header("location");
    assert!(
        place == Some("/anything?hello=world")
            || place == Some(&gateway.url("/anything?hello=world")),
        "{place:?}"
    );
    let session = session_cookies(&done.answer);
    assert!(
        session.iter().any(|pair| pair.starts_with("session=")),
        "{session:?}"
    );
    is_private(&done.answer);
    assert!(
        browser.named("authorization").is_empty(),
        "the login is over"
    );
    done
}

/// After the login the page comes from the upstream, which gets the access token and nothing of ours.
fn gets_in_and_a_stranger_does_not(gateway: &Gateway) {
    let mut browser = Browser::new();
    let done = logs_in_as_alex(gateway, &mut browser);
    let page = browser.follow(done);
    let seen = gateway.forwarded(&page.answer);
    assert_eq!(page.url.as_str(), gateway.url("/anything?hello=world"));
    assert_eq!(seen.method, "GET");
    assert_eq!(seen.target, "/anything?hello=world");
    let authorization = seen.header("authorization").expect("a token");
    assert!(authorization.starts_with("Bearer ey"), "{authorization}");
    assert_eq!(authorization.matches('.').count(), 2);
    // Keycloak's cookies are not for this path, ours never arrive.
    assert_eq!(seen.header("cookie"), None);
    let stranger = Browser::new().get(&gateway.url("/anything?hello=world"));
    gateway.asks_to_log_in(&stranger);
}

#[test]
fn ht_01b_alex_logs_in_and_is_sent_back() {
    let gateway = how_to(json!({}));
    logs_in_as_alex(&gateway, &mut Browser::new());
    // With a wrong password Keycloak shows its form again, and the gateway hears nothing.
    let mut browser = Browser::new();
    let form = gateway.until_callback(&mut browser, "/anything");
    let again = browser.submit(&form, &[("username", "alex"), ("password", "wrong")]);
    let again = browser.follow(again);
    assert!(again.asks_for_password(), "{again:?}");
    let page = browser.get(&gateway.url("/anything"));
    gateway.asks_to_log_in(&page);
}

#[test]
fn ht_01c_the_page_comes_with_the_cookies() {
    let gateway = how_to(json!({}));
    gets_in_and_a_stranger_does_not(&gateway);
}

#[test]
fn ht_03b_the_cookie_alone_is_enough() {
    let gateway = how_to(json!({}));
    let mut browser = Browser::new();
    let first = gateway.enter(&mut browser, "/anything?hello=world");
    let calls = provider_calls(&gateway);
    let session = browser.cookie("session").expect("a session").to_owned();
    let cookie = format!("session={session}");
    gateway.on_every_worker(|| {
        let seen = gateway.forwarded(&gateway.get("/anything", &[("cookie", &cookie)]));
        assert_eq!(seen.header("authorization"), first.header("authorization"));
        assert_eq!(seen.header("cookie"), None);
        let bad = format!("session={}", tampered(&session));
        gateway.answered(&gateway.get("/anything", &[("cookie", &bad)]), 302);
    });
    // Each worker fetches discovery document and keys at most; no token is asked for.
    assert!(
        provider_calls(&gateway) <= calls + 2,
        "calls of the provider"
    );
    let log = Keycloak::shared().logs();
    assert!(!log.contains("CODE_TO_TOKEN_ERROR"), "{log}");
}

#[test]
fn ex_04_the_example_authorization_code() {
    // As HT-01, with `client_secret_basic`, which is what a client does without `client_auth`.
    let gateway = how_to(json!({"client_auth": ["client_secret_basic"]}));
    gets_in_and_a_stranger_does_not(&gateway);
}

#[test]
fn dx_01_a_session_wins_over_a_bad_bearer_token() {
    let provider = Provider::start();
    let members = json!({"auth_methods": ["session", "authorization_code", "bearer"]});
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    let first = gateway.enter(&mut browser, "/hello");
    let bad = bearer(&tampered(&provider.token()));
    browser.headers = vec![("authorization".to_owned(), bad.clone())];
    let seen = gateway.shows(&mut browser, "/hello");
    assert_eq!(seen.header("authorization"), first.header("authorization"));

    gateway.answered(&gateway.get("/hello", &[("authorization", &bad)]), 401);
    browser.cookies.clear();
    let page = browser.get(&gateway.url("/hello"));
    gateway.answered(&page.answer, 401);
}

#[test]
fn dx_02b_a_bad_bearer_token_is_401_where_a_login_is_possible() {
    let provider = Provider::start();
    let members = json!({"auth_methods": ["session", "authorization_code", "bearer"]});
    let gateway = Gateway::for_logins(&provider, members);
    gateway.admits(&provider.token());
    let answer = gateway.refuses(&tampered(&provider.token()));
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("set-cookie"), None);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    // Nothing shown: a login.
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/hello")));
}

#[test]
fn dx_51_a_path_with_a_space_at_keycloak() {
    let gateway = how_to(json!({}));
    for target in ["/a%20page/of%20alex", "/a%20page?with=a%20query&and=%26"] {
        let mut browser = Browser::new();
        let seen = gateway.enter(&mut browser, target);
        assert_eq!(seen.target, target);
    }
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/a%20page")));
}

#[test]
fn dx_52_a_forwarded_host_counts_from_trusted_peers_only() {
    let provider = Provider::start();
    let redirect_uri = |gateway: &Gateway, headers: &[(&str, &str)]| {
        let mut browser = Browser::new();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        browser.headers = headers.iter().map(own).collect();
        let page = browser.get(&gateway.url("/hello"));
        gateway.asks_to_log_in(&page);
        page.parameter("redirect_uri").expect("a redirect_uri")
    };
    let host = ("x-forwarded-host", "app.example");
    let trusting = json!({"trusted_ips": ["127.0.0.0/8"]});
    let trusting = Gateway::for_logins(&provider, trusting);
    assert_eq!(redirect_uri(&trusting, &[host]), "http://app.example/hello");
    let with_port = [host, ("x-forwarded-port", "8443")];
    assert_eq!(
        redirect_uri(&trusting, &with_port),
        "http://app.example:8443/hello"
    );
    assert_eq!(redirect_uri(&trusting, &[]), trusting.url("/hello"));
    // What cannot be a host is none.
    let page = Browser {
        headers: vec![(host.0.to_owned(), "app.example/evil".to_owned())],
        ..Browser::new()
    }
    .get(&trusting.url("/hello"));
    trusting.answered(&page.answer, 400);

    for members in [json!({}), json!({"trusted_ips": ["10.0.0.0/8"]})] {
        let gateway = Gateway::for_logins(&provider, members);
        let shown = [
            host,
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(redirect_uri(&gateway, &shown), gateway.url("/hello"));
        // Nor does a client become a trusted peer by its own word.
        let shown = [host, ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(redirect_uri(&gateway, &shown), gateway.url("/hello"));
        gateway.enter(&mut Browser::new(), "/hello");
    }
}

#[test]
fn dx_52_a_forwarded_scheme_counts_where_envoy_trusts_it() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins_with(&provider, json!({}), |options| {
        options.listener().manager = json!({"xff_num_trusted_hops": 1});
    });
    let mut browser = Browser::new();
    browser.headers = vec![("x-forwarded-proto".to_owned(), "https".to_owned())];
    let page = browser.get(&gateway.url("/hello"));
    gateway.asks_to_log_in(&page);
    let own = gateway.url("/hello").replace("http:", "https:");
    assert_eq!(page.parameter("redirect_uri"), Some(own));
    let cookie = page.answer.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; Secure"), "{cookie}");
    // The same without: this is no https.
    let page = Browser::new().get(&gateway.url("/hello"));
    let cookie = page.answer.header("set-cookie").expect("a cookie");
    assert!(!cookie.contains("Secure"), "{cookie}");
    gateway.enter(&mut Browser::new(), "/hello");
}

#[test]
fn clients_that_cannot_log_in_get_401() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({}));
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = gateway.get("/hello", &upgrade);
    gateway.answered(&answer, 401);
    assert_eq!(answer.header("location"), None);
    let grpc: Vec<(&str, &[u8])> = grpc
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let call = support::raw::http2(gateway.address(), "POST", "/a.Service/Call", &grpc, None);
    let answer = support::raw::block_on(call).expect("an answer");
    // Envoy turns 401 into a status of gRPC.
    let status = answer.header("grpc-status").map(str::to_owned);
    assert!(
        answer.status == 401 || status.as_deref() == Some("16"),
        "{answer:?}"
    );
    assert_eq!(answer.header("location"), None);
    assert!(gateway.upstream.take().is_empty());
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/hello")));
    // With a session both get through.
    let mut browser = Browser::new();
    gateway.enter(&mut browser, "/hello");
    let cookie = format!("session={}", browser.cookie("session").expect("a session"));
    let headers = [grpc, vec![("cookie", cookie.as_bytes())]].concat();
    let call = support::raw::http2(gateway.address(), "POST", "/a.Service/Call", &headers, None);
    gateway.forwarded(&support::raw::block_on(call).expect("an answer"));
}

#[test]
fn login_action_upstream_after_form_post_arrives_as_get() {
    let provider = Provider::start();
    for (preserve, target) in [(true, "/hello?a=1&b=2"), (false, "/hello")] {
        let members = json!({
            "response_mode": "form_post",
            "login_action": "upstream",
            "preserve_query_args": preserve,
        });
        let gateway = Gateway::for_logins(&provider, members);
        gateway.on_every_worker(|| {
            let mut browser = Browser::new();
            let page = browser.log_in(&gateway.url("/hello?a=1&b=2"));
            let seen = gateway.forwarded(&page.answer);
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str()),
                ("GET", target)
            );
            assert!(seen.body.is_empty(), "{seen:?}");
            for name in ["content-type", "transfer-encoding", "cookie"] {
                assert_eq!(seen.header(name), None, "{seen:?}");
            }
            assert_eq!(seen.header("content-length").as_deref(), Some("0"));
            // The session comes with the upstream's answer, once.
            let session = page.answer.all("set-cookie");
            let own = session.iter().filter(|line| line.starts_with("session="));
            assert_eq!(own.count(), 1, "{session:?}");
            is_private(&page.answer);
            gateway.shows(&mut browser, "/hello");
        });
    }
}

#[test]
fn login_action_upstream_after_a_query_hides_code_and_state() {
    let provider = Provider::start();
    let gateway = Gateway::for_logins(&provider, json!({"login_action": "upstream"}));
    let mut browser = Browser::new();
    let page = browser.log_in(&gateway.url("/hello?a=1"));
    let seen = gateway.forwarded(&page.answer);
    assert_eq!(seen.target, "/hello?a=1");
    assert_eq!(seen.header("cookie"), None);
    is_private(&page.answer);
}

#[test]
fn login_action_response_hands_out_the_tokens() {
    let provider = Provider::start();
    let members = json!({"login_action": "response", "login_tokens": ["access_token", "id_token"]});
    let gateway = Gateway::for_logins(&provider, members);
    let mut browser = Browser::new();
    let page = browser.log_in(&gateway.url("/hello"));
    gateway.answered(&page.answer, 200);
    let body = page.answer.json();
    for name in ["access_token", "id_token"] {
        assert!(
            body[name]
                .as_str()
                .is_some_and(|token| token.starts_with("ey")),
            "{body}"
        );
    }
    assert_eq!(body["refresh_token"], Value::Null);
    is_private(&page.answer);
    let seen = gateway.shows(&mut browser, "/hello");
    let token = body["access_token"].as_str().unwrap_or_default();
    assert_eq!(seen.header("authorization"), Some(bearer(token)));
}
