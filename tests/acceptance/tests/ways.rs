//! The ways in that ask the provider, by the ids of their scenarios: at a real Keycloak. One worker, so that every call
//! to the provider is counted: discovery and keys are two, whatever asks first.

use acceptance::{Gateway, basic, bearer, merged, session_cookies, tampered, token_of};
use serde_json::{Value, json};
use support::browser::Browser;
use support::keycloak::{CLIENT, CLIENT_SECRET, Keycloak, REALM, ROBOT};
use support::raw::{self, Answer};
use support::upstream::Seen;

/// The user that Keycloak invents for the client [`ROBOT`].
const ROBOT_USER: &str = "service-account-robot";

/// The base block of Kong's how-tos, and what a filter in Envoy needs beside it.
fn how_to(methods: &[&str], members: Value) -> Gateway {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [CLIENT],
        "client_secret": [CLIENT_SECRET],
        "client_auth": ["client_secret_post"],
        "auth_methods": methods,
        "session_secret": "a secret of these tests, 32 byte",
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    let config = merged(config, members);
    Gateway::of(config, keycloak.address(), |options| {
        options.concurrency = 1;
    })
}

/// The example of this flow: what users start from is what the scenarios of the how-tos run.
fn shipped(flow: &str) -> Gateway {
    Gateway::shipped(flow, 1)
}

/// Calls that Keycloak has got from this gateway: its cluster has one name here and another one in the examples.
fn calls(gateway: &Gateway) -> u64 {
    ["provider", "keycloak"]
        .iter()
        .filter_map(|name| {
            let counter = format!("cluster.{name}.upstream_rq_total");
            gateway.envoy.stat(&counter)
        })
        .sum()
}

fn with_basic(gateway: &Gateway, name: &str, secret: &str) -> Answer {
    gateway.get("/anything", &[("authorization", &basic(name, secret))])
}

/// alex gets in with name and password; gives the request as it arrived. A wrong password does not.
fn alex_gets_in(gateway: &Gateway) -> Seen {
    gateway.answered(&with_basic(gateway, "alex", "wrong"), 401);
    let seen = gateway.forwarded(&with_basic(gateway, "alex", "doe"));
    let _ = token_of(&seen);
    seen
}

/// A token gets in by one call of an endpoint, is known then, and its twin does not get in.
fn a_token_is_asked_about_once(gateway: &Gateway, counter: &str) {
    let token = Keycloak::shared().password_token("alex", "doe");
    gateway.admits(&token);
    assert_eq!(calls(gateway), 3, "discovery, keys, and the endpoint");
    for _ in 0..3 {
        let seen = gateway.admits(&token);
        assert_eq!(token_of(&seen), token);
    }
    assert_eq!(calls(gateway), 3, "what is known is not asked again");
    gateway.refuses(&tampered(&token));
    assert_eq!(calls(gateway), 4);
    gateway.admits(&token);
    assert_eq!(calls(gateway), 4);
    assert_eq!(gateway.counter(counter), 2);
}

#[test]
fn ht_03a_a_password_opens_a_session() {
    let gateway = shipped("session");
    gateway.answered(&gateway.get("/anything", &[]), 401);
    let answer = with_basic(&gateway, "alex", "doe");
    gateway.forwarded(&answer);
    let cookies = answer.all("set-cookie");
    let session: Vec<_> = cookies
        .iter()
        .filter(|line| line.starts_with("session="))
        .collect();
    assert_eq!(session.len(), 1, "{cookies:?}");
    for part in ["; Path=/", "; SameSite=Lax", "; HttpOnly"] {
        assert!(session[0].contains(part), "{part}: {cookies:?}");
    }
}

#[test]
fn ht_03b_the_cookie_of_a_password_is_enough() {
    let gateway = shipped("session");
    let answer = with_basic(&gateway, "alex", "doe");
    let token = token_of(&gateway.forwarded(&answer));
    let mut browser = Browser::new();
    let url = gateway.url("/anything").parse().expect("an address");
    browser.keep(&url, &answer);
    let before = calls(&gateway);
    for _ in 0..3 {
        assert_eq!(token_of(&gateway.shows(&mut browser, "/anything")), token);
    }
    assert_eq!(calls(&gateway), before, "nobody is asked");
    browser.cookies.clear();
    let page = browser.get(&gateway.url("/anything"));
    gateway.answered(&page.answer, 401);
}

#[test]
fn ht_04a_a_password_where_tokens_are_taken_from_the_query() {
    let members = json!({"bearer_token_param_type": ["query"]});
    let gateway = how_to(&["bearer", "password"], members);
    let token = token_of(&alex_gets_in(&gateway));
    // Which is good for the next scenario of the how-to.
    let answer = gateway.get(&format!("/anything?access_token={token}"), &[]);
    gateway.forwarded(&answer);
}

#[test]
fn ht_05a_a_password_beside_introspection() {
    let gateway = shipped("introspection");
    let token = token_of(&alex_gets_in(&gateway));
    gateway.admits(&token);
}

#[test]
fn ht_05b_a_token_is_introspected_once() {
    a_token_is_asked_about_once(&shipped("introspection"), "introspection.asked");
}

fn from_the_header(method: &str) -> Gateway {
    how_to(&[method], json!({"bearer_token_param_type": ["header"]}))
}

#[test]
fn ex_18_the_example_introspection() {
    a_token_is_asked_about_once(&from_the_header("introspection"), "introspection.asked");
}

#[test]
fn ht_06a_a_password_beside_userinfo() {
    let gateway = shipped("user-info");
    let token = token_of(&alex_gets_in(&gateway));
    gateway.admits(&token);
}

#[test]
fn ht_06b_userinfo_is_asked_once() {
    a_token_is_asked_about_once(&shipped("user-info"), "userinfo.asked");
}

#[test]
fn ex_31_the_example_userinfo() {
    a_token_is_asked_about_once(&from_the_header("userinfo"), "userinfo.asked");
}

#[test]
fn ht_07a_a_password_brings_a_refresh_token() {
    let gateway = shipped("refresh-token");
    let seen = alex_gets_in(&gateway);
    let token = seen.header("refresh-token").expect("a refresh token");
    assert_eq!(token.matches('.').count(), 2);
    // What a client writes there is a credential, and never goes on.
    let headers = [("refresh-token", "forged")];
    gateway.answered(&gateway.get("/anything", &headers), 401);
}

/// A refresh token gets in by one grant, is known then, and its twin does not get in.
fn a_refresh_token_is_used_once(gateway: &Gateway) {
    let keycloak = Keycloak::shared();
    let tokens = keycloak.token(
        REALM,
        &[
            ("grant_type", "password"),
            ("client_id", CLIENT),
            ("client_secret", CLIENT_SECRET),
            ("username", "alex"),
            ("password", "doe"),
            ("scope", "openid profile email"),
        ],
    );
    let token = tokens["refresh_token"].as_str().expect("a refresh token");
    let show = |token: &str| gateway.get("/anything", &[("refresh-token", token)]);
    let first = token_of(&gateway.forwarded(&show(token)));
    assert_ne!(Some(first.as_str()), tokens["access_token"].as_str());
    assert_eq!(calls(gateway), 3, "discovery, keys, and one grant");
    for _ in 0..3 {
        let seen = gateway.forwarded(&show(token));
        assert_eq!(token_of(&seen), first);
        assert!(seen.header("refresh-token").is_some());
    }
    assert_eq!(calls(gateway), 3);
    gateway.answered(&show(&tampered(token)), 401);
    gateway.answered(&gateway.get("/anything", &[]), 401);
    assert_eq!(calls(gateway), 4);
}

#[test]
fn ht_07b_a_refresh_token_gets_in_by_one_grant() {
    a_refresh_token_is_used_once(&shipped("refresh-token"));
}

#[test]
fn ex_27_the_example_refresh_token() {
    let members = json!({
        "refresh_token_param_type": ["header"],
        "refresh_token_param_name": "refresh_token",
        "upstream_refresh_token_header": "refresh_token",
    });
    a_refresh_token_is_used_once(&how_to(&["refresh_token"], members));
}

/// Name and password get in by one grant and are known then; a wrong password does not get in.
fn a_password_is_asked_about_once(gateway: &Gateway) {
    let first = token_of(&gateway.forwarded(&with_basic(gateway, "alex", "doe")));
    assert_eq!(calls(gateway), 3, "discovery, keys, and one grant");
    for _ in 0..3 {
        let seen = gateway.forwarded(&with_basic(gateway, "alex", "doe"));
        assert_eq!(token_of(&seen), first);
    }
    assert_eq!(calls(gateway), 3);
    for (name, secret) in [("alex", "wrong"), ("nobody", "doe")] {
        let answer = with_basic(gateway, name, secret);
        gateway.answered(&answer, 401);
        assert!(session_cookies(&answer).is_empty());
    }
    assert_eq!(calls(gateway), 5);
    // Nobody is asked about a place where nothing is looked for.
    let answer = gateway.get("/anything?username=alex&password=doe", &[]);
    gateway.answered(&answer, 401);
    assert_eq!(calls(gateway), 5);
}

#[test]
fn ht_08a_name_and_password_are_asked_about_once() {
    a_password_is_asked_about_once(&shipped("password"));
}

#[test]
fn ex_26_the_example_password() {
    let members = json!({"password_param_type": ["header"], "client_auth": null});
    a_password_is_asked_about_once(&how_to(&["password"], members));
}

/// A client gets in with its own id and secret by one grant, in the header alone.
fn a_client_is_asked_about_once(gateway: &Gateway) {
    let (id, secret) = ROBOT;
    let ask = |id: &str, secret: &str| with_basic(gateway, id, secret);
    let first = token_of(&gateway.forwarded_as(&ask(id, secret), ROBOT_USER));
    assert_eq!(calls(gateway), 3, "discovery, keys, and one grant");
    for _ in 0..3 {
        let seen = gateway.forwarded_as(&ask(id, secret), ROBOT_USER);
        assert_eq!(token_of(&seen), first);
    }
    assert_eq!(calls(gateway), 3);
    gateway.answered(&ask(id, "wrong"), 401);
    assert_eq!(calls(gateway), 4);
    // The gateway's own client, too, may show itself.
    gateway.forwarded_as(&ask(CLIENT, CLIENT_SECRET), "service-account-kong");
    assert_eq!(calls(gateway), 5);
    let arguments = format!("client_id={id}&client_secret={secret}");
    let in_query = gateway.get(&format!("/anything?{arguments}"), &[]);
    gateway.answered(&in_query, 401);
    gateway.answered(&post_form(gateway, "/anything", &arguments), 401);
    assert_eq!(calls(gateway), 5);
}

fn post_form(gateway: &Gateway, target: &str, form: &str) -> Answer {
    post(
        gateway,
        target,
        "application/x-www-form-urlencoded",
        &[],
        form,
    )
}

fn post(
    gateway: &Gateway,
    target: &str,
    kind: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let length = body.len().to_string();
    let mut all = vec![
        ("content-type", kind.as_bytes()),
        ("content-length", length.as_bytes()),
        ("connection", b"close"),
    ];
    all.extend(
        headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes())),
    );
    let mut bytes = raw::head_of("POST", target, &all);
    bytes.extend_from_slice(body.as_bytes());
    raw::send(gateway.address(), &bytes)
}

#[test]
fn ht_09a_a_client_of_the_callers_own_is_asked_about_once() {
    a_client_is_asked_about_once(&shipped("client-credentials"));
}

#[test]
fn ex_10_the_example_client_credentials() {
    let members = json!({"client_credentials_param_type": ["header"], "client_auth": null});
    a_client_is_asked_about_once(&how_to(&["client_credentials"], members));
}

#[test]
fn ht_09b_a_client_beside_passwords_is_tried_as_a_person_first() {
    let members = json!({
        "client_credentials_param_type": ["header"], "password_param_type": ["header"],
    });
    let gateway = how_to(&["password", "client_credentials"], members);
    let (id, secret) = ROBOT;
    gateway.forwarded_as(&with_basic(&gateway, id, secret), ROBOT_USER);
    assert_eq!(calls(&gateway), 4, "discovery, keys, a person, a client");
    // Kong tries the password on every request; here the client is known then.
    gateway.forwarded_as(&with_basic(&gateway, id, secret), ROBOT_USER);
    assert_eq!(calls(&gateway), 4);
    gateway.answered(&with_basic(&gateway, id, "wrong"), 401);
    assert_eq!(calls(&gateway), 6);
}

#[test]
fn dx_03_a_person_comes_before_a_client() {
    let gateway = how_to(&["password", "client_credentials"], json!({}));
    gateway.forwarded(&with_basic(&gateway, "alex", "doe"));
    assert_eq!(calls(&gateway), 3, "no client was tried");
    let (id, secret) = ROBOT;
    gateway.forwarded_as(&with_basic(&gateway, id, secret), ROBOT_USER);
    assert_eq!(calls(&gateway), 5);
    gateway.answered(&with_basic(&gateway, "alex", "wrong"), 401);
}

/// The configuration of the Kubernetes guide: all default methods.
fn all_methods() -> Gateway {
    let keycloak = Keycloak::shared();
    let config = json!({
        "issuer": keycloak.issuer(REALM),
        "client_id": [CLIENT],
        "client_secret": [CLIENT_SECRET],
        "session_secret": "a secret of these tests, 32 byte",
        "clusters": {"*": "provider"},
        "upstream_headers": [{"header": "x-user", "path": ["preferred_username"]}],
    });
    Gateway::of(config, keycloak.address(), |_| {})
}

#[test]
fn ht_24a_a_visitor_without_credential_is_sent_to_keycloak() {
    let gateway = all_methods();
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/echo"));
    gateway.asks_to_log_in(&page);
    let place = page.location().expect("a place");
    let endpoint = Keycloak::shared().endpoint(REALM, "auth");
    assert!(place.as_str().starts_with(&endpoint), "{place}");
}

#[test]
fn ht_24b_a_password_gets_in_with_all_default_methods() {
    let gateway = all_methods();
    let answer = gateway.get("/echo", &[("authorization", &basic("alex", "doe"))]);
    let _ = token_of(&gateway.forwarded(&answer));
    let answer = gateway.get("/echo", &[("authorization", &basic("alex", "wrong"))]);
    gateway.answered(&answer, 401);
    assert_eq!(answer.header("location"), None, "no login instead");
}

/// A call of an agent (JSON-RPC 2.0), with spaces and letters that a careless filter would change.
const RPC: &str = "{ \"jsonrpc\": \"2.0\",\n \"method\": \"message/send\", \"id\": 1.0, \"params\": {\"text\": \"\\u00e4 ü\"}}";

fn agent() -> Gateway {
    how_to(&["bearer"], json!({}))
}

#[test]
fn ht_23a_an_agent_without_a_token_is_refused() {
    let gateway = agent();
    let answer = post(&gateway, "/a2a", "application/json", &[], RPC);
    gateway.answered(&answer, 401);
    let token = bearer(&Keycloak::shared().client_token());
    let headers = [("authorization", token.as_str())];
    let answer = post(&gateway, "/a2a", "application/json", &headers, RPC);
    gateway.forwarded_as(&answer, "service-account-kong");
}

#[test]
fn ht_23b_the_body_of_an_agent_arrives_as_it_was_sent() {
    let gateway = agent();
    let token = Keycloak::shared().client_token();
    for kind in ["application/json", "application/json; charset=utf-8"] {
        let good = bearer(&token);
        let headers = [("authorization", good.as_str())];
        let answer = post(&gateway, "/a2a", kind, &headers, RPC);
        let seen = gateway.forwarded_as(&answer, "service-account-kong");
        assert_eq!(String::from_utf8_lossy(&seen.body), RPC);
        assert!(seen.complete);
        let bad = bearer(&tampered(&token));
        let headers = [("authorization", bad.as_str())];
        gateway.answered(&post(&gateway, "/a2a", kind, &headers, RPC), 401);
    }
}

#[test]
fn dx_35_a_password_may_open_no_session() {
    let members = json!({"disable_session": ["password"]});
    let gateway = how_to(&["session", "password", "client_credentials"], members);
    let answer = with_basic(&gateway, "alex", "doe");
    gateway.forwarded(&answer);
    assert_eq!(answer.all("set-cookie"), [""; 0]);
    // Other methods do.
    let answer = with_basic(&gateway, ROBOT.0, ROBOT.1);
    gateway.forwarded_as(&answer, ROBOT_USER);
    assert!(!session_cookies(&answer).is_empty());
    gateway.answered(&with_basic(&gateway, "alex", "wrong"), 401);
}
