//! Tokens of Kong's own OAuth2 plugin, looked up through a scripted Admin API, by the ids of their scenarios.

use std::fs;
use std::path::Path;

use acceptance::Gateway;
use serde_json::{Value, json};
use support::envoy::Envoy;
use support::ports;
use support::provider::{Behaviour, Provider};
use support::raw::{self, Answer};
use support::upstream::{Seen, Upstream};

const TOKEN: &str = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";
/// The row's own id, without its hyphens: Kong's Admin API answers to it as well.
const ROW: &str = "0a1b2c3d000040008000000000000001";
const CREDENTIAL: &str = "0a1b2c3d-0000-4000-8000-000000000002";
const CONSUMER: &str = "0a1b2c3d-0000-4000-8000-000000000003";
const SERVICE: &str = "0a1b2c3d-0000-4000-8000-000000000004";
/// What the Admin API tells of the application.
const SECRET: &str = "the-secret-of-the-application";

/// Kong's Admin API with one token, for this Consumer. As Kong does, it answers to the row's id, too.
fn admin_of(username: &str, row: &Value) -> Provider {
    let admin = Provider::start();
    let mut whole = json!({
        "id": ROW, "access_token": TOKEN, "token_type": "bearer", "credential": {"id": CREDENTIAL},
        "service": null, "scope": "read", "authenticated_userid": null, "created_at": 1, "expires_in": 0,
    });
    for (name, value) in row.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    let credential = json!({
        "id": CREDENTIAL, "name": "app", "client_id": "the-app", "client_secret": SECRET,
        "consumer": {"id": CONSUMER},
    });
    let consumer =
        json!({"id": CONSUMER, "username": username, "custom_id": null, "created_at": 1});
    for (path, document) in [
        (format!("/oauth2_tokens/{TOKEN}"), &whole),
        (format!("/oauth2_tokens/{ROW}"), &whole),
        (format!("/oauth2_tokens/{TOKEN}/credential"), &credential),
        (format!("/consumers/{CONSUMER}"), &consumer),
    ] {
        admin.always(&path, Behaviour::Answer(document.to_string().into_bytes()));
    }
    admin
}

fn calls(admin: &Provider) -> usize {
    let paths = ["", "/credential"].map(|end| format!("/oauth2_tokens/{TOKEN}{end}"));
    let consumer = format!("/consumers/{CONSUMER}");
    paths
        .iter()
        .chain([&consumer])
        .map(|path| admin.calls(path))
        .sum()
}

/// A request of the scenario went through, as one of this Consumer.
fn assert_consumer(answer: &Answer, upstream: &Upstream, username: &str, log: &str) {
    assert_eq!(answer.status, 200, "{}\n{log}", answer.text());
    let seen: Seen = upstream.take_one();
    for (name, value) in [
        ("x-consumer-id", CONSUMER),
        ("x-consumer-username", username),
        ("x-credential-identifier", "the-app"),
        ("x-authenticated-scope", "read"),
    ] {
        assert_eq!(
            seen.header(name).as_deref(),
            Some(value),
            "{name}: {seen:?}"
        );
    }
    assert!(!format!("{seen:?}").contains(SECRET));
}

/// A gateway of one worker, so that every call is counted.
fn gateway(admin: &Provider, settings: Value) -> Gateway {
    let mut own = json!({"url": admin.issuer()});
    for (name, value) in settings.as_object().into_iter().flatten() {
        own[name] = value.clone();
    }
    let config = json!({
        "issuer": "http://127.0.0.1:1/realm", "client_id": ["kong"], "client_secret": ["secret"],
        "client_auth": ["client_secret_post"], "auth_methods": ["kong_oauth2"],
        "bearer_token_param_type": ["header"], "kong_admin": own, "clusters": {"*": "provider"},
    });
    Gateway::of(config, admin.address(), |options| options.concurrency = 1)
}

#[test]
fn ht_10b_a_token_of_kong_leads_to_its_consumer() {
    let admin = admin_of("alex", &json!({}));
    let gateway = gateway(&admin, json!({"global_credentials": true, "token": "us"}));
    let ask = |token: &str| gateway.get_with_token(token);
    // Forged names do not help who has no token, nor mislead who has one.
    let forged = ("x-consumer-username", "mallory");
    gateway.answered(&gateway.get("/anything", &[forged]), 401);
    for _ in 0..3 {
        let bearer = format!("Bearer {TOKEN}");
        let answer = gateway.get("/anything", &[("authorization", &bearer), forged]);
        assert_consumer(&answer, &gateway.upstream, "alex", &gateway.filter_log());
    }
    assert_eq!(calls(&admin), 3, "what is known is not asked again");
    let sent = admin.last_headers(&format!("/oauth2_tokens/{TOKEN}"));
    let named = |name: &str| {
        sent.iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(named("kong-admin-token"), Some("us"));
    assert_eq!(named("authorization"), None);
    // The id of the row is no token, nor is anything near it.
    for bad in [ROW, &TOKEN.to_lowercase(), "..%2fconsumers", "nobodys"] {
        gateway.answered(&ask(bad), 401);
    }
    // It stands in the header alone.
    gateway.answered(
        &gateway.get(&format!("/anything?access_token={TOKEN}"), &[]),
        401,
    );
    assert_consumer(
        &ask(TOKEN),
        &gateway.upstream,
        "alex",
        &gateway.filter_log(),
    );
    assert_eq!(
        gateway.counter("kong_admin.asked"),
        6,
        "three, and one for each bad one that could be a token"
    );
    let log = gateway.filter_log();
    assert!(!log.contains(TOKEN) && !log.contains(SECRET), "{log}");
}

#[test]
fn ex_20_the_shipped_configuration_lets_in_who_has_a_token_of_kong() {
    let admin = admin_of("alex", &json!({}));
    let upstream = Upstream::start();
    let (port, admin_port) = (ports::free(), ports::free());
    let bootstrap = shipped([
        (8000, port),
        (8080, upstream.address().port()),
        (8001, admin.address().port()),
        (9901, admin_port),
    ]);
    let envoy = Envoy::from_bootstrap(&bootstrap, port, admin_port).expect("it starts");
    let address = ([127, 0, 0, 1], port).into();
    for _ in 0..4 {
        for bad in [
            raw::get(address, "/orders", &[]),
            raw::get_with_token(address, "/orders", ROW),
        ] {
            assert_eq!(bad.status, 401, "{}", bad.text());
        }
        assert!(upstream.seen().is_empty());
        let good = raw::get_with_token(address, "/orders", TOKEN);
        assert_consumer(&good, &upstream, "alex", &envoy.logs());
    }
    let log = envoy.logs();
    assert!(!log.contains("restricted"), "{log}");
    assert_eq!(envoy.stat("wasm.oidc.vm_reload"), Some(0));
    assert!(!log.to_ascii_lowercase().contains("deprecated"), "{log}");
}

/// The file as it is, with these ports and the module under test.
fn shipped(ports: [(u16, u16); 4]) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy/kong-oauth-token.yaml");
    let mut text = fs::read_to_string(file).expect("the file");
    let module = support::module().to_string_lossy().into_owned();
    let ports =
        ports.map(|(usual, own)| (format!("port_value: {usual}"), format!("port_value: {own}")));
    for (usual, own) in ports
        .into_iter()
        .chain([("dist/oidc-filter.wasm".to_owned(), module)])
    {
        assert_eq!(text.matches(&usual).count(), 1, "{usual}");
        text = text.replace(&usual, &own);
    }
    serde_yaml_ng::from_str(&text).expect("YAML")
}

#[test]
fn oh_07_jane_comes_in_for_the_service_of_her_token_alone() {
    let admin = admin_of("jane", &json!({"service": {"id": SERVICE}}));
    let elsewhere = gateway(&admin, json!({"global_credentials": true}));
    elsewhere.refuses(TOKEN);
    assert!(elsewhere.filter_log().contains("kong_token_service"));
    let here = gateway(&admin, json!({"service": SERVICE}));
    here.refuses("nobodys");
    assert_consumer(
        &here.get_with_token(TOKEN),
        &here.upstream,
        "jane",
        &here.filter_log(),
    );
}

#[test]
fn an_admin_api_that_is_gone_lets_nobody_in() {
    let admin = admin_of("alex", &json!({}));
    let gateway = gateway(&admin, json!({"global_credentials": true, "timeout": 500}));
    for (end, behaviour) in [
        ("", Behaviour::Close),
        ("", Behaviour::Status(503)),
        ("/credential", Behaviour::Hang),
    ] {
        admin.next(&format!("/oauth2_tokens/{TOKEN}{end}"), behaviour);
        gateway.answered(&gateway.get_with_token(TOKEN), 500);
        // A failure is the answer for a second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    assert_consumer(
        &gateway.get_with_token(TOKEN),
        &gateway.upstream,
        "alex",
        &gateway.filter_log(),
    );
}
