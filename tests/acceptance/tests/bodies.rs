//! Credentials in a body, on a real Envoy.

use acceptance::Gateway;
use serde_json::json;
use support::provider::Provider;
use support::raw;

fn post(gateway: &Gateway, kind: &str, body: &str) -> raw::Answer {
    let length = body.len().to_string();
    let headers: [(&str, &[u8]); 2] = [
        ("content-type", kind.as_bytes()),
        ("content-length", length.as_bytes()),
    ];
    let mut message = raw::request("POST", "/orders", &headers);
    message.extend_from_slice(body.as_bytes());
    raw::send(gateway.address(), &message)
}

#[test]
fn a_token_in_a_body_is_taken_out_before_and_after_it_is_known() {
    let provider = Provider::start();
    let gateway = Gateway::before(
        &provider,
        json!({"bearer_token_param_type": ["body", "header"]}),
    );
    let token = provider.token();
    let form = "application/x-www-form-urlencoded";
    for _ in 0..4 {
        for (kind, body, left) in [
            (form, format!("a=1&access_token={token}&b=2"), "a=1&b=2"),
            (
                "application/json",
                format!("{{\"n\": 1.0, \"access_token\": \"{token}\"}}"),
                "{\"n\":1.0}",
            ),
            (form, format!("access_token={token}"), ""),
        ] {
            let answer = post(&gateway, kind, &body);
            let seen = gateway.forwarded(&answer);
            assert_eq!(String::from_utf8_lossy(&seen.body), left);
            assert_eq!(seen.header("content-length"), Some(left.len().to_string()));
            assert_eq!(seen.header("x-user").as_deref(), Some("alex"));
        }
    }
    // A body without a token is no credential, and stays here.
    gateway.answered(&post(&gateway, form, "a=1"), 401);
    let log = gateway.envoy.logs();
    assert!(!log.contains("restricted"), "{log}");
}
