//! What is refused, and which path the error names.

use serde_json::{Value, json};

use super::*;

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        "  ",
        "nonsense",
        "[]",
        "null",
        "\"text\"",
        "{\"issuer\": \"https://idp.example\"} x",
    ] {
        let errors = Config::parse(text.as_bytes(), &env).unwrap_err();
        assert_eq!(
            (errors.len(), errors[0].path.as_str()),
            (1, "config"),
            "{text}"
        );
    }
    let long = vec![b' '; (1 << 20) + 1];
    assert!(
        Config::parse(&long, &env).unwrap_err()[0]
            .message
            .contains("1 MiB")
    );
}

#[test]
fn methods_that_are_none_are_refused_by_name() {
    assert_eq!(
        good(json!({ "auth_methods": ["bearer", "bearer"] }))
            .methods
            .left_out,
        []
    );
    refused(
        json!({ "auth_methods": ["magic"] }),
        "config.auth_methods[0]",
        "`bearer`",
    );
    refused(
        json!({ "auth_methods": [] }),
        "config.auth_methods",
        "nobody",
    );
    refused(
        json!({ "auth_methods": {} }),
        "config.auth_methods",
        "nobody",
    );
    refused(
        json!({ "bearer_token_param_type": ["cookie"] }),
        "config.bearer_token_cookie_name",
        "required",
    );
    let config = good(
        json!({ "bearer_token_param_type": ["cookie", "header"], "bearer_token_cookie_name": "t" }),
    );
    assert_eq!(config.bearer.places, [Place::Header, Place::Cookie]);
    let all = json!({ "auth_methods": AuthMethod::ALL.map(AuthMethod::name) });
    assert_eq!(
        good(all).methods.enabled,
        good(json!({})).methods.enabled,
        "the default, spelled out"
    );
}

#[test]
fn unbuilt_fields_are_refused_at_any_other_value() {
    for (members, path, text) in [
        (
            json!({ "session_storage": "redis" }),
            "config.session_storage",
            "cookie",
        ),
        (
            json!({ "session_remember": true }),
            "config.session_remember",
            "not built yet in this version",
        ),
        (
            json!({ "redis": { "host": "r" } }),
            "config.redis.host",
            "`127.0.0.1`",
        ),
        (
            json!({ "redis": { "hots": "r" } }),
            "config.redis.hots",
            "did you mean `host`?",
        ),
        (json!({ "redis": 5 }), "config.redis", "not built yet"),
        (
            json!({ "redis": { "sentinel_master": "r" } }),
            "config.redis.sentinel_master",
            "HTTP",
        ),
        (
            json!({ "cluster_cache_redis": { "cloud_authentication": { "aws_region": "r" } } }),
            "config.cluster_cache_redis.cloud_authentication.aws_region",
            "not supported",
        ),
        (
            json!({ "token_exchange": { "subject_token_issuers": [{}] } }),
            "config.token_exchange.subject_token_issuers",
            "not built yet",
        ),
        (
            json!({ "routes": [] , "profile": "fapi" }),
            "config.profile",
            "not built yet",
        ),
        (
            json!({ "ssl_verify": false }),
            "config.ssl_verify",
            "TLS context of the Envoy cluster",
        ),
        (json!({ "keepalive": false }), "config.keepalive", "cluster"),
        (
            json!({ "http_proxy": "http://p" }),
            "config.http_proxy",
            "cluster",
        ),
        (
            json!({ "session_memcached_host": "m" }),
            "config.session_memcached_host",
            "memcached",
        ),
        (
            json!({ "principals": { "enabled": true } }),
            "config.principals.enabled",
            "Konnect",
        ),
        (
            json!({ "consumer_claim": ["sub"] }),
            "config.consumer_claim",
            "consumer_claims",
        ),
        (
            json!({ "session_redis_host": "r" }),
            "config.session_redis_host",
            "old name",
        ),
        (
            json!({ "session_strategy": "x" }),
            "config.session_strategy",
            "removed",
        ),
        (
            json!({ "admin_claim": "x" }),
            "config.admin_claim",
            "Kong Manager",
        ),
        (
            json!({ "verify_signature": false }),
            "config.verify_signature",
            "let anybody in",
        ),
    ] {
        refused(members, path, text);
    }
}

#[test]
fn unknown_fields_get_a_suggestion() {
    refused(
        json!({ "leway": 5 }),
        "config.leway",
        "did you mean `leeway`?",
    );
    refused(
        json!({ "issuer_allowed": [] }),
        "config.issuer_allowed",
        "did you mean `issuers_allowed`?",
    );
    refused(
        json!({ "zzzzzzzzzzzz": 5 }),
        "config.zzzzzzzzzzzz",
        "remove it",
    );
    refused(
        json!({ "config": {} }),
        "config.config",
        "`config` object itself",
    );
    refused(json!({ "redis.host": "r" }), "config.redis.host", "unknown");
    let long = "x".repeat(100_000);
    let shown = errors(json!({ long: 1 }));
    assert!(shown[0].len() < 200);
    let many: serde_json::Map<String, Value> = (0..5000)
        .map(|n| (format!("unknown{n}"), json!(1)))
        .collect();
    assert_eq!(
        errors(many.into()).len(),
        65,
        "64 and the remark that there are more"
    );
}

#[test]
fn all_errors_come_at_once() {
    let shown = errors(
        json!({ "issuer": 1, "leeway": "x", "auth_methods": ["no"], "foo_bar": 1, "client_id": "x" }),
    );
    let paths: Vec<&str> = shown
        .iter()
        .filter_map(|text| text.split_once(": "))
        .map(|(path, _)| path)
        .collect();
    for path in [
        "issuer",
        "leeway",
        "auth_methods[0]",
        "foo_bar",
        "client_id",
    ] {
        assert!(
            paths.contains(&format!("config.{path}").as_str()),
            "{path}: {shown:?}"
        );
    }
}

#[test]
fn lists_that_go_in_pairs_have_one_length() {
    refused(
        json!({ "discovery_headers_names": ["a", "b"], "discovery_headers_values": ["1"] }),
        "config.discovery_headers_values",
        "pairs",
    );
    refused(
        json!({ "upstream_headers_claims": ["a"] }),
        "config.upstream_headers_names",
        "pairs",
    );
    let config =
        good(json!({ "discovery_headers_names": ["X-Key"], "discovery_headers_values": ["1"] }));
    assert_eq!(
        config.provider.discovery_headers,
        [("x-key".to_owned(), Secret::new("1"))]
    );
    let bad = json!({ "discovery_headers_names": ["X-Key"], "discovery_headers_values": ["1\r\nHost: x"] });
    refused(
        bad,
        "config.discovery_headers_values[0]",
        "control character",
    );
    let bad = json!({ "discovery_headers_names": ["Host"], "discovery_headers_values": ["1"] });
    refused(bad, "config.discovery_headers_names[0]", "call");
}

#[test]
fn claim_headers_are_checked() {
    let config = good(json!({
        "upstream_headers": [{ "header": "Authenticated_User", "path": ["user", "name"] }],
        "upstream_headers_claims": ["email"], "upstream_headers_names": ["X-Email"],
    }));
    let names: Vec<&str> = config.upstream.header_names().collect();
    assert_eq!(names, ["authorization", "authenticated-user", "x-email"]);
    let entry = |header: &str, path: Value| json!({ "upstream_headers": [{ "header": header, "path": path }] });
    for name in [
        "host",
        "Content-Length",
        "transfer_encoding",
        "connection",
        "cookie",
        ":path",
        "a b",
        "",
        "é",
    ] {
        assert_eq!(errors(entry(name, json!(["a"]))).len(), 1, "{name}");
    }
    refused(
        entry("x", json!([])),
        "config.upstream_headers[0].path",
        "required",
    );
    refused(
        entry("x", json!([""])),
        "config.upstream_headers[0].path[0]",
        "empty",
    );
    refused(
        entry("authorization", json!(["a"])),
        "config.upstream_headers[0].header",
        "two values",
    );
    refused(
        json!({ "upstream_headers": [{ "path": ["a"] }] }),
        "config.upstream_headers[0].header",
        "required",
    );
    refused(
        json!({ "upstream_headers": ["a"] }),
        "config.upstream_headers[0]",
        "object",
    );
    let unknown = json!({ "upstream_headers": [{ "header": "x", "path": ["a"], "heder": 1 }] });
    refused(
        unknown,
        "config.upstream_headers[0].heder",
        "did you mean `header`?",
    );
    let twice = json!({ "upstream_headers": [{ "header": "x_a", "path": ["a"] }, { "header": "X-A", "path": ["b"] }] });
    refused(twice, "config.upstream_headers[1].header", "two values");
}

#[test]
fn headers_for_the_client_do_not_steer_the_response() {
    let config = good(json!({
        "downstream_access_token_header": "X_Token:bearer", "downstream_user_info_header": "x-info",
        "downstream_headers": [{ "header": "Authorization", "path": ["sub"] }],
    }));
    let names: Vec<&str> = config.downstream.header_names().collect();
    assert_eq!(names, ["x-token", "x-info", "authorization"]);
    for name in [
        "set-cookie",
        "Cache_Control",
        "vary",
        "location",
        "content-type",
    ] {
        refused(
            json!({ "downstream_id_token_header": name }),
            "config.downstream_id_token_header",
            "steers",
        );
        let claims =
            json!({ "downstream_headers_claims": ["sub"], "downstream_headers_names": [name] });
        refused(claims, "config.downstream_headers_names[0]", "steers");
    }
    let twice =
        json!({ "downstream_id_token_header": "x_a", "downstream_session_id_header": "X-A" });
    refused(twice, "config.downstream_session_id_header", "two values");
    refused(
        json!({ "introspect_jwt_tokens": true }),
        "config.client_id",
        "introspect_jwt_tokens",
    );
}

#[test]
fn symmetric_signatures_need_a_secret() {
    refused(
        json!({ "enable_hs_signatures": true }),
        "config.enable_hs_signatures",
        "client_secret",
    );
    let short = json!({ "enable_hs_signatures": true, "client_secret": ["x"] });
    refused(
        short,
        "config.enable_hs_signatures",
        "longer than one character",
    );
    let warnings = warned(json!({ "enable_hs_signatures": true, "client_secret": ["xy"] }));
    assert!(warnings.iter().any(|text| text.contains("32 bytes")));
    assert_eq!(
        good(json!({ "client_secret": ["a good long secret"] }))
            .verification
            .hs_secret,
        None
    );
}

#[test]
fn a_provider_without_discovery_needs_keys() {
    refused(
        json!({ "using_pseudo_issuer": true }),
        "config.using_pseudo_issuer",
        "jwks_endpoint",
    );
    good(json!({ "using_pseudo_issuer": true, "jwks_endpoint": "https://idp.example/keys" }));
    let opaque = json!({
        "using_pseudo_issuer": true, "auth_methods": ["userinfo"], "scopes": [],
    });
    good(opaque);
    refused(
        json!({ "jwks_endpoint": "/keys" }),
        "config.jwks_endpoint",
        "URL",
    );
    refused(
        json!({ "extra_jwks_uris": ["https://a.example", "x"] }),
        "config.extra_jwks_uris[1]",
        "URL",
    );
}

#[test]
fn enumerations_and_bounds() {
    refused(
        json!({ "verify_issuer": "no" }),
        "config.verify_issuer",
        "`strict`",
    );
    refused(
        json!({ "request_body": "auto" }),
        "config.request_body",
        "`off`",
    );
    refused(json!({ "shared_data": true }), "config.shared_data", "text");
    refused(
        json!({ "client_auth": ["mtls"] }),
        "config.client_auth[0]",
        "`private_key_jwt`",
    );
    refused(
        json!({ "cache_ttl_min": 5, "cache_ttl_max": 4 }),
        "config.cache_ttl_min",
        "cache_ttl_max",
    );
    refused(
        json!({ "trusted_ips": ["10.0.0.0/8", "10.0.0.0/33"] }),
        "config.trusted_ips[1]",
        "32",
    );
    refused(
        json!({ "hide_credentials": "yes" }),
        "config.hide_credentials",
        "true or false",
    );
    refused(
        json!({ "unauthorized_redirect_uri": ["javascript:x"] }),
        "config.unauthorized_redirect_uri[0]",
        "https",
    );
    refused(
        json!({ "unauthorized_error_message": "x".repeat(70_000) }),
        "config.unauthorized_error_message",
        "64 KiB",
    );
    assert_eq!(
        good(json!({ "verify_issuer": "strict" }))
            .provider
            .verify_issuer,
        IssuerCheck::Strict
    );
}

#[test]
fn no_secret_in_debug_summary_or_errors() {
    let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let (config, warnings) = read(json!({
        "client_secret": [secret], "enable_hs_signatures": true,
        "discovery_headers_names": ["x-key"], "discovery_headers_values": [secret],
    }))
    .unwrap();
    let shown = format!("{config:?} {config:#?} {warnings:?} {}", config.summary());
    assert!(!shown.contains("hunter2"));
    assert!(
        config.summary().contains("bearer")
            && config.summary().contains("https://idp.example/realm")
    );
    let wrong = errors(json!({
        "session_secret": secret, "session_cookie_path": secret, "auth_methods": [secret], "leeway": secret, "trusted_ips": [secret],
        "jwks_endpoint": secret, "upstream_access_token_header": format!("x:{secret}"),
        "redis": { "password": secret }, "unauthorized_redirect_uri": [format!("https://u:{secret}@a.example")],
    }));
    assert_eq!(wrong.len(), 8, "{wrong:?}");
    assert!(!wrong.concat().contains("hunter2"), "{wrong:?}");
}
