//! What goes in, and what comes out.

use serde_json::{Value, json};
use url::Url;

use super::*;

#[test]
fn defaults_are_kongs() {
    let (config, warnings) = read(json!({})).unwrap();
    assert_eq!(
        config.provider.issuer.identifier,
        "https://idp.example/realm"
    );
    assert!(!config.provider.using_pseudo_issuer);
    assert_eq!(config.provider.rediscovery_lifetime, 30);
    assert_eq!(config.provider.verify_issuer, IssuerCheck::Warn);
    assert_eq!(config.provider.timeout_ms, 10_000);
    // What calls the provider as our client is left out without one, and what needs Kong's Admin API without that.
    assert_eq!(
        config.methods.enabled,
        [
            AuthMethod::Session,
            AuthMethod::Bearer,
            AuthMethod::Userinfo,
            AuthMethod::ClientCredentials
        ]
    );
    assert_eq!(config.methods.left_out.len(), 5);
    assert!(config.methods.run_on_preflight && config.methods.hide_credentials);
    assert_eq!(
        config.bearer.places,
        [Place::Header, Place::Query, Place::Body]
    );
    assert_eq!(config.bearer.jwt_session, None);
    assert_eq!(config.verification.hs_secret, None);
    assert!(config.verification.verify_claims);
    assert_eq!(
        (config.verification.leeway, config.verification.max_age),
        (0, None)
    );
    let paths = config.authorization.rules().map(|rule| rule.path.join("."));
    assert_eq!(paths, ["scope", "aud", "groups", "roles"]);
    assert!(
        config
            .authorization
            .rules()
            .iter()
            .all(|rule| rule.required.is_empty())
    );
    assert_eq!(config.failures.unauthorized_message, "Unauthorized");
    assert_eq!(config.failures.forbidden_message, "Forbidden");
    assert!(config.failures.expose_error_code && !config.failures.display_errors);
    let token = TokenHeader {
        name: "authorization".to_owned(),
        bearer: true,
    };
    assert_eq!(config.upstream.access_token_header, Some(token));
    assert_eq!(
        config.caching,
        Caching {
            ttl: 3600,
            ttl_min: None,
            ttl_max: None,
            ttl_neg: None,
            ttl_resurrect: None,
            tokens: true,
            introspection: true,
            userinfo: true,
        }
    );
    assert_eq!(config.host.request_body, RequestBody::On);
    assert_eq!(config.host.shared_data, SharedData::Auto);
    let paths: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.path.as_str())
        .collect();
    assert_eq!(paths, ["config.auth_methods", "config.auth_methods"]);
    assert!(warnings[0].message.contains("kong_oauth2"));
    assert!(warnings[1].message.contains("authorization_code"));
}

#[test]
fn an_exported_configuration_spells_the_defaults_out() {
    let members: serde_json::Map<String, Value> = table::FIELDS
        .iter()
        .filter(|field| !field.path.contains(['.', '[']) && field.path != "issuer")
        .map(|field| (field.path.to_owned(), field.default_value()))
        .collect();
    assert!(
        good(members.into())
            .upstream
            .access_token_header
            .is_some_and(|header| header.bearer)
    );
    good(json!({ "redis": {
        "host": "127.0.0.1", "port": 6379.0, "ssl": false, "socket": null, "cluster_nodes": {},
        "cloud_authentication": { "aws_is_serverless": true, "aws_region": null },
    }, "principals": { "enabled": false }, "http_version": 1.1, "response_type": ["code"], "client_jwk": {} }));
}

#[test]
fn the_table_is_complete_and_sound() {
    let mut paths: Vec<&str> = table::FIELDS.iter().map(|field| field.path).collect();
    paths.sort_unstable();
    let count = paths.len();
    paths.dedup();
    assert_eq!(paths.len(), count, "no path stands twice");
    for field in table::FIELDS {
        let default: Result<Value, _> = serde_json::from_str(field.default);
        assert!(default.is_ok(), "{}", field.path);
    }
}

#[test]
fn the_issuer_is_normalised() {
    let openid = "https://idp.example/realm/.well-known/openid-configuration";
    for (text, identifier, discovery) in [
        (
            "https://idp.example/realm",
            "https://idp.example/realm",
            openid,
        ),
        (openid, "https://idp.example/realm", openid),
        (
            "https://idp.example/realm/",
            "https://idp.example/realm/",
            "https://idp.example/realm/.well-known/openid-configuration",
        ),
        (
            "https://idp.example/.well-known/oauth-authorization-server/realm",
            "https://idp.example/realm",
            "https://idp.example/.well-known/oauth-authorization-server/realm",
        ),
        (
            "http://idp.example/.well-known/oauth-authorization-server",
            "http://idp.example",
            "http://idp.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://idp.example",
            "https://idp.example",
            "https://idp.example/.well-known/openid-configuration",
        ),
    ] {
        let issuer = good(json!({ "issuer": text })).provider.issuer;
        assert_eq!(issuer.identifier, identifier);
        assert_eq!(issuer.discovery_url().as_str(), discovery);
    }
    for text in [
        "",
        "idp.example",
        "ftp://idp.example",
        "https://u:p@idp.example",
        "https://idp.example/#a",
        "https://",
    ] {
        assert_eq!(errors(json!({ "issuer": text })).len(), 1, "{text}");
    }
    refused(
        json!({ "issuer": "https://idp.example/?a=b" }),
        "config.issuer",
        "query",
    );
    refused(json!({ "issuer": null }), "config.issuer", "required");
}

#[test]
fn references_are_read_from_the_environment() {
    let config =
        good(json!({ "client_secret": ["{vault://env/my-secret}"], "enable_hs_signatures": true }));
    let secret = config.verification.hs_secret.expect("a secret");
    assert_eq!(secret.expose(), "a secret of the environment, long enough");
    for (reference, text) in [
        ("{vault://env/ABSENT}", "ABSENT"),
        ("{vault://aws/MY_SECRET}", "env"),
        ("{vault://env/}", "env"),
        ("{vault://env/MY_SECRET/part}", "env"),
        ("{vault://env/MY_SECRET", "env"),
    ] {
        refused(
            json!({ "client_secret": ["x", reference] }),
            "config.client_secret[1]",
            text,
        );
    }
}

#[test]
fn an_empty_object_is_an_empty_list_and_a_number_may_have_a_point() {
    let config = good(json!({
        "client_id": {}, "claims_forbidden": {}, "upstream_headers": {}, "trusted_ips": {}, "clusters": [],
        "cache_ttl": 60.0, "leeway": 3600.0, "timeout": 500.0,
    }));
    assert_eq!(
        (
            config.caching.ttl,
            config.verification.leeway,
            config.provider.timeout_ms
        ),
        (60, 3600, 500)
    );
    for bad in [
        json!(0.5),
        json!(-1),
        json!(1e300),
        json!("60"),
        json!(4_294_967_296_u64),
    ] {
        refused(json!({ "leeway": bad }), "config.leeway", "seconds");
        refused(json!({ "timeout": bad }), "config.timeout", "milliseconds");
    }
    refused(json!({ "timeout": 0 }), "config.timeout", "0");
}

#[test]
fn null_is_absent() {
    let config = good(
        json!({ "leeway": null, "auth_methods": null, "clusters": { "*": null }, "session_secret": null }),
    );
    assert_eq!(config.methods.enabled.len(), 4);
    refused(
        json!({ "client_id": [null] }),
        "config.client_id[0]",
        "text",
    );
}

#[test]
fn the_access_token_header_can_be_switched_off() {
    for off in [json!(null), json!(""), json!("nil")] {
        let config = good(json!({ "upstream_access_token_header": off }));
        assert_eq!(config.upstream.access_token_header, None);
    }
    let warnings = warned(json!({ "upstream_access_token_header": "nil" }));
    assert!(
        warnings
            .iter()
            .any(|text| text.starts_with("config.upstream_access_token_header: "))
    );
    for (text, name, bearer) in [
        ("X_Token", "x-token", false),
        ("x-token:bearer", "x-token", true),
    ] {
        let config = good(json!({ "upstream_access_token_header": text }));
        assert_eq!(
            config.upstream.access_token_header,
            Some(TokenHeader {
                name: name.to_owned(),
                bearer
            })
        );
    }
    for bad in ["x:basic", ":bearer", "x:", "a b", "host"] {
        let shown = errors(json!({ "upstream_access_token_header": bad }));
        assert!(
            shown[0].starts_with("config.upstream_access_token_header: "),
            "{shown:?}"
        );
    }
}

#[test]
fn requirements_are_alternatives_of_sets() {
    let config = good(
        json!({ "groups_required": ["employee  marketing", "admins"], "groups_claim": ["a", "b"] }),
    );
    assert_eq!(config.authorization.groups.path, ["a", "b"]);
    assert_eq!(
        config.authorization.groups.required,
        [vec!["employee", "marketing"], vec!["admins"]]
    );
    for name in [
        "scopes_required",
        "audience_required",
        "roles_required",
        "issuers_allowed",
        "domains",
    ] {
        refused(json!({ name: [] }), &format!("config.{name}"), "empty list");
        refused(
            json!({ name: [" "] }),
            &format!("config.{name}[0]"),
            "empty",
        );
    }
    refused(
        json!({ "roles_claim": [] }),
        "config.roles_claim",
        "empty path",
    );
}

#[test]
fn the_longest_run_of_segments_finds_the_cluster() {
    let config = good(json!({ "clusters": {
        "https://idp.example": "idp", "https://idp.example/realms/a": "a", "https://idp.example/realms/a/keys/": "keys",
        "https://idp.example:8443": "other-port", "*": "rest",
    }}));
    for (url, cluster) in [
        ("https://idp.example/", "idp"),
        ("https://idp.example:443/realms", "idp"),
        ("https://idp.example/realms/a", "a"),
        ("https://idp.example/realms/ab", "idp"),
        ("https://idp.example/realms/a/token?x=/keys", "a"),
        ("https://idp.example/realms/a/keys/1", "keys"),
        ("https://idp.example:8443/realms/a", "other-port"),
        ("http://idp.example/realms/a", "rest"),
        ("https://idp.example.evil/", "rest"),
    ] {
        assert_eq!(
            config.cluster_for(&Url::parse(url).unwrap()),
            cluster,
            "{url}"
        );
    }
    let without = good(json!({}));
    assert_eq!(
        without.cluster_for(&Url::parse("https://IDP.example:8443/x").unwrap()),
        "idp.example"
    );
    refused(
        json!({ "clusters": { "idp": "c" } }),
        "config.clusters[idp]",
        "URL",
    );
    refused(
        json!({ "clusters": { "*": "" } }),
        "config.clusters[*]",
        "name",
    );
    let twice = json!({ "clusters": { "https://a.example": "c", "https://a.example:443/": "d" } });
    refused(twice, "config.clusters[https://a.example:443/]", "same URL");
}

#[test]
fn ranges_of_addresses() {
    for (range, address, inside) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("::/0", "2001:db8::1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
    ] {
        let trusted = TrustedIps(vec![Cidr::parse(range).unwrap()]);
        assert_eq!(
            trusted.contains(address.parse().unwrap()),
            inside,
            "{range} {address}"
        );
    }
    for bad in [
        "",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/008x",
        "10.0.0.1/8",
        "10.0.0/8",
        "a",
        "unix:",
        "::/129",
    ] {
        assert!(Cidr::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn old_names_are_read_as_the_new_ones_with_one_warning() {
    let old = json!({
        "session_cookie_lifetime": 60, "session_cookie_idletime": 30, "session_cookie_samesite": "Strict",
        "session_cookie_httponly": false, "authorization_cookie_lifetime": 20,
        "authorization_cookie_samesite": "Lax", "authorization_cookie_httponly": false,
    });
    let new = json!({
        "session_rolling_timeout": 60, "session_idling_timeout": 30, "session_cookie_same_site": "Strict",
        "session_cookie_http_only": false, "authorization_rolling_timeout": 20,
        "authorization_cookie_same_site": "Lax", "authorization_cookie_http_only": false,
    });
    assert_eq!(good(old.clone()), good(new));
    let warnings = warned(old);
    let of_names = warnings.iter().filter(|line| line.contains("old names"));
    assert_eq!(of_names.count(), 1, "{warnings:?}");
    let one = warned(json!({ "auth_methods": ["bearer"], "session_cookie_lifetime": 60 }));
    assert_eq!(
        one,
        [
            "config: has old names, which are read as new ones: `session_cookie_lifetime` as \
          `session_rolling_timeout`; write the new ones"
        ]
    );
    assert_eq!(
        good(json!({ "session_cookie_lifetime": null })),
        good(json!({}))
    );
    refused(
        json!({ "session_cookie_lifetime": 60, "session_rolling_timeout": 60 }),
        "config.session_cookie_lifetime",
        "is the old name of `session_rolling_timeout`, which is set as well; remove it",
    );
    refused(
        json!({ "session_cookie_lifetime": "long" }),
        "config.session_rolling_timeout",
        "number",
    );
}

#[test]
fn an_audience_that_goes_nowhere_is_warned_of() {
    let members = json!({ "auth_methods": ["bearer"], "audience": ["api"] });
    let warnings = warned(members);
    assert!(
        warnings
            .iter()
            .any(|line| line.starts_with("config.audience: is sent")),
        "{warnings:?}"
    );
    let members = json!({ "auth_methods": ["client_credentials"], "audience": ["api"] });
    let warnings = warned(members);
    assert!(
        !warnings
            .iter()
            .any(|line| line.starts_with("config.audience")),
        "{warnings:?}"
    );
}
