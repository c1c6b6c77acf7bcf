//! The harness against real servers: needs `make setup` and `make wasm`.

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::envoy::{Envoy, EnvoyOptions};
use support::keycloak::{Keycloak, REALM};
use support::{http, ports, process};

/// Nothing listens there: whatever gets past the filter is 503.
fn nowhere() -> SocketAddr {
    ([127, 0, 0, 1], ports::free()).into()
}

fn bearer() -> Value {
    json!({"issuer": "http://127.0.0.1:1/realms/demo", "auth_methods": ["bearer"], "clusters": {"*": "provider"}})
}

fn options() -> EnvoyOptions {
    EnvoyOptions::new(bearer(), nowhere()).cluster("provider", nowhere())
}

fn wrong() -> Value {
    json!({"issuer": ["refuse", "this"]})
}

fn status(envoy: &Envoy) -> u16 {
    http::get(&format!("{}/", envoy.url()))
        .expect("an answer")
        .status
}

#[test]
fn a_filter_refuses_a_request_without_credentials() {
    let envoy = Envoy::start(options());
    assert_eq!(status(&envoy), 401);
    assert_eq!(envoy.wait_for_stat("http.gateway.downstream_rq_4xx", 1), 1);
    let log = envoy.access_log_of(1);
    assert_eq!(
        log.first().map(|line| &line["status"]),
        Some(&json!(401)),
        "{log:?}"
    );
}

#[test]
fn a_wrong_configuration_ends_a_fixed_envoy_and_is_refused_by_a_dynamic_one() {
    let mut fixed = options();
    fixed.fixed = true;
    fixed.filter().config = wrong();
    let error = Envoy::try_start(fixed.clone()).err().expect("a refusal");
    assert!(error.exit.is_some(), "{error}");
    assert!(
        error.log.contains("Unable to create Wasm plugin"),
        "{error}"
    );

    fixed.fixed = false;
    let error = Envoy::try_start(fixed).err().expect("a refusal");
    assert!(error.exit.is_none(), "{error}");
    assert!(
        error.log.contains("Unable to create Wasm plugin"),
        "{error}"
    );
}

#[test]
fn an_update_takes_effect_and_a_refused_one_leaves_the_old_in_force() {
    let mut envoy = Envoy::start(options());
    let log = envoy.update_config(wrong()).expect_err("a refusal");
    assert!(log.contains("Unable to create Wasm plugin"), "{log}");
    assert_eq!(status(&envoy), 401);
    envoy
        .update(|options| options.listener().filters.clear())
        .expect("an update");
    assert_eq!(status(&envoy), 503);
    envoy
        .update(|options| {
            let listener = support::envoy::Listener::new("second", Vec::new());
            options.listeners.push(listener);
            options
                .clusters
                .push(support::envoy::Cluster::new("other", nowhere()));
        })
        .expect("an update");
    let port = envoy.options().listeners[1].port;
    assert_eq!(
        http::get(&format!("http://127.0.0.1:{port}/"))
            .expect("an answer")
            .status,
        503
    );
}

#[test]
fn the_shared_keycloak_gives_tokens() {
    let keycloak = Keycloak::shared();
    let discovery = http::get(&format!(
        "{}/.well-known/openid-configuration",
        keycloak.issuer(REALM)
    ))
    .expect("an answer")
    .json();
    assert_eq!(discovery["issuer"], keycloak.issuer(REALM));
    assert_eq!(keycloak.password_token("alex", "doe").split('.').count(), 3);
    assert_eq!(keycloak.client_token().split('.').count(), 3);
    let realm = keycloak
        .admin("GET", &format!("/realms/{REALM}"), &Value::Null)
        .json();
    assert_eq!(realm["realm"], REALM);
}

#[test]
fn a_service_ends_with_all_it_started() {
    let mut service = process::Service::command("shell", "sh")
        .args(["-c", "sleep 1000 & echo child $!; wait"])
        .spawn()
        .expect("sh");
    service
        .wait_for_log("child", std::time::Duration::from_secs(5))
        .expect("the line");
    let child = service
        .logs()
        .trim()
        .rsplit(' ')
        .next()
        .expect("a number")
        .to_owned();
    let alive = || {
        // A killed process stays listed as Z until its parent takes note.
        std::fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|line| !line.contains(") Z "))
    };
    assert!(alive());
    let log = service.log_file().to_owned();
    drop(service);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!alive());
    assert!(!log.exists());
}
