//! Rules by path on a real Envoy: what its own normalisation does not mend, the filter refuses.

use acceptance::Gateway;
use serde_json::json;
use support::provider::Provider;
use support::raw;

fn members() -> serde_json::Value {
    json!({
        "status_path": "/oidc/status",
        "routes": [
            {"match": {"paths": ["/public/*"]}, "disabled": true},
            {"match": {"paths": ["/admin/*"]}, "config": {"roles_required": ["admin"]}},
        ],
    })
}

/// Ways out of `/public` for one server or another, as they are sent.
const BYPASSES: [&str; 16] = [
    "/public/../hello",
    "/public/%2e%2e/hello",
    "/public/..%2fhello",
    "/public/..%5chello",
    "/public/..\\hello",
    "/public/%252e%252e/hello",
    "/public/..%252fhello",
    "/public/..;/hello",
    "/public/..;a=b/hello",
    "/public/..%3b/hello",
    "//public/../hello",
    "//public/hello",
    "/public//../../hello",
    "/%70ublic/hello",
    "/public%2f..%2fhello",
    "/./public/hello",
];

#[test]
fn no_spelling_of_a_path_leads_past_its_rules() {
    let provider = Provider::start();
    // As the client sent it, and with all that Envoy can do about it.
    for manager in [
        json!({}),
        json!({"normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}),
        json!({"normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "KEEP_UNCHANGED"}),
    ] {
        let gateway = Gateway::with(&provider, members(), |options| {
            options.listener().manager = manager.clone();
        });
        let token = provider.token();
        gateway.on_every_worker(|| {
            let public = gateway.get("/public/hello", &[("x-user", "root")]);
            assert_eq!(public.status, 200, "{}", public.text());
            let seen = gateway.upstream.take_one();
            assert_eq!(
                seen.header("x-user"),
                None,
                "a forged name is taken out where nothing is asked, too"
            );
            gateway.answered(&gateway.get("/hello", &[]), 401);
            let admin = raw::get_with_token(gateway.address(), "/admin/hello", &token);
            gateway.answered(&admin, 403);
            gateway.admits(&token);
        });
        for path in BYPASSES {
            let answer = gateway.get(path, &[]);
            let seen = gateway.upstream.take();
            // What Envoy made plain before the filter saw it may be public; what is not, is refused.
            let fair = match answer.status {
                200 => seen.len() == 1 && seen[0].target.starts_with("/public/"),
                status => matches!(status, 400 | 401) && seen.is_empty(),
            };
            assert!(fair, "{manager}: {path}: {} {seen:?}", answer.status);
            if manager == json!({}) {
                assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            }
        }
        for path in [
            "/x/../admin/hello",
            "/%61dmin/hello",
            "//admin/hello",
            "/x/..%2fadmin/hello",
            "/admin;x/hello",
        ] {
            let answer = raw::get_with_token(gateway.address(), path, &token);
            let seen = gateway.upstream.take();
            assert!(
                matches!(answer.status, 400 | 403) && seen.is_empty(),
                "{manager}: {path}: {answer:?} {seen:?}"
            );
        }
    }
}
