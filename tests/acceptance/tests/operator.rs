//! What the operator of a real Envoy sees: metrics, the access log, and whether the filter is there.

use acceptance::{Gateway, eventually, tampered};
use serde_json::{Value, json};
use support::provider::Provider;

#[test]
fn metrics_and_the_access_log_tell_who_came_and_what_became_of_it() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    gateway.admits(&token);
    gateway.admits(&token);
    gateway.answered(&gateway.get_with_token(&tampered(&token)), 401);
    gateway.answered(&gateway.get("/hello", &[]), 401);
    // Each worker tells its counts once a second.
    let metric = |name: &str| {
        let all = gateway.envoy.admin("/stats/prometheus");
        let line = all
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    for (name, count) in [
        ("oidc_result_bearer_forwarded", 2),
        ("oidc_result_none_no_credential", 1),
        ("oidc_requests_forwarded", 2),
        ("oidc_requests_unauthorized", 2),
    ] {
        eventually(name, || metric(name) == Some(count));
    }
    for name in ["oidc_call_discovery_ok", "oidc_call_jwks_ok"] {
        eventually(name, || metric(name).is_some_and(|count| count > 0));
    }
    let log = gateway.envoy.access_log_of(4);
    let told = |at: usize, name: &str| log[at][name].as_str().map(str::to_owned);
    let [good, _, bad, nobody] = [0, 1, 2, 3];
    assert_eq!(
        told(good, "oidc_code").as_deref(),
        Some("forwarded"),
        "{log:?}"
    );
    assert_eq!(told(good, "oidc_method").as_deref(), Some("bearer"));
    assert!(
        told(good, "oidc_subject").is_some_and(|subject| !subject.is_empty()),
        "{log:?}"
    );
    assert_eq!(told(bad, "oidc_method").as_deref(), Some("bearer"));
    let code = told(bad, "oidc_code").expect("a code");
    assert!(
        gateway
            .filter_log()
            .contains(&format!("oidc-filter: {code}: ")),
        "one line with the same code"
    );
    assert_eq!(
        log[bad]["oidc_subject"],
        Value::Null,
        "nobody is named for a bad token"
    );
    assert_eq!(told(nobody, "oidc_code").as_deref(), Some("no_credential"));
    assert!(gateway.filter_log().contains("keys_in_force: provider "));
}

#[test]
fn a_probe_through_the_listener_tells_whether_a_worker_has_its_filter() {
    let provider = Provider::start();
    let gateway = Gateway::before(&provider, json!({"status_path": "/oidc/status"}));
    gateway.on_every_worker(|| {
        let answer = gateway.get("/oidc/status", &[]);
        gateway.answered(&answer, 200);
        assert_eq!(
            answer.json(),
            json!({"filter": "oidc-filter", "status": "ready"})
        );
    });
    // Without the filter the upstream answers, and the probe sees that.
    let bare = Gateway::with(
        &provider,
        json!({"status_path": "/oidc/status"}),
        |options| {
            options.filter().disabled = true;
        },
    );
    let answer = bare.get("/oidc/status", &[]);
    assert!(!answer.text().contains("oidc-filter"), "{}", answer.text());
    assert_eq!(bare.upstream.take().len(), 1);
}
