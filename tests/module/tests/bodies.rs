//! Credentials in a body: read, taken out, and the rest goes on whole, in both hosts.

mod common;

use common::flow::Flow;
use common::wire::request;
use common::{envoy, exchange, kong};
use serde_json::json;
use support::provider::Behaviour;

const TOKEN: &str = "/token";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_bearer_token_in_a_body_is_taken_out_before_and_after_it_is_known() {
    for mode in [envoy(|_| {}), kong(|_| {})] {
        let flow = Flow::with(
            mode,
            &json!({"bearer_token_param_type": ["body", "header"]}),
        );
        let token = flow.token();
        for (kind, body, left) in [
            (FORM, format!("a=1&access_token={token}&b=2"), "a=1&b=2"),
            (
                "application/json",
                format!("{{\"n\": 1.0, \"access_token\": \"{token}\"}}"),
                "{\"n\":1.0}",
            ),
            // The whole body is the token: nothing is left of it.
            (FORM, format!("access_token={token}"), ""),
        ] {
            let headers = [("Host", "gateway.test"), ("Content-Type", kind)];
            let answer = exchange(
                &flow.host,
                &request("POST", "/orders", &headers, body.as_bytes()),
            );
            let logs = flow.host.record().logs().join("\n");
            assert_eq!(answer.status(), 200, "{logs}");
            let seen = flow.upstream.take_one();
            assert_eq!(String::from_utf8_lossy(&seen.body), left);
            assert_eq!(seen.header("content-length"), Some(left.len().to_string()));
            assert_eq!(seen.header("x-user").as_deref(), Some("alex"));
            assert!(seen.complete);
        }
        assert_eq!(flow.provider.calls("/jwks"), 1);
    }
}

#[test]
fn a_password_in_a_body_gets_in_and_stays_here() {
    for mode in [envoy(|_| {}), kong(|_| {})] {
        let flow = Flow::with(
            mode,
            &json!({
                "auth_methods": ["password"], "client_id": ["kong"], "client_secret": ["s"],
                "session_secret": "a-secret-of-more-than-sixteen-bytes",
            }),
        );
        let issuer = flow.provider.issuer();
        flow.provider
            .set_metadata(json!({"token_endpoint": format!("{issuer}{TOKEN}")}));
        let answer = json!({
            "access_token": flow.token(), "token_type": "Bearer", "expires_in": 300,
        });
        let answer = Behaviour::Answer(answer.to_string().into_bytes());
        flow.provider.always(TOKEN, answer);
        let headers = [("Host", "gateway.test"), ("Content-Type", FORM)];
        let body = b"username=alex&password=doe&order=7";
        for calls in [1, 1] {
            let answer = exchange(&flow.host, &request("POST", "/orders", &headers, body));
            let logs = flow.host.record().logs().join("\n");
            assert_eq!(answer.status(), 200, "{logs}");
            let seen = flow.upstream.take_one();
            assert_eq!(seen.body, b"order=7");
            assert_eq!(seen.header("x-user").as_deref(), Some("alex"));
            assert_eq!(flow.provider.calls(TOKEN), calls, "then it is known");
            assert!(!logs.contains("doe"), "{logs}");
        }
        // A wrong one stops here with its body.
        let refused = Behaviour::Answer(br#"{"error":"invalid_grant"}"#.to_vec());
        flow.provider.always(TOKEN, refused);
        let body = b"username=alex&password=wrong";
        let answer = exchange(&flow.host, &request("POST", "/orders", &headers, body));
        assert_eq!(answer.status(), 401);
        assert!(flow.upstream.take().is_empty());
    }
}
