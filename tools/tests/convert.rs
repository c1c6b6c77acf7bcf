//! `oidc-filter convert`: Kong's files become good ones, or the field that stands in the way is named.

mod common;

use std::fmt::Write as _;
use std::fs;

use common::{Ran, folder, own, run, snapshot};
use serde_json::{Value, json};

/// Converts a tree in a file of this name.
fn convert(name: &str, tree: &Value, target: &str) -> Ran {
    let folder = folder(name);
    fs::write(folder.join("kong.yaml"), tree.to_string()).expect("writable");
    run(&["convert", "kong.yaml", "--to", target], &folder, &[])
}

/// A file with one service, one route, and this plugin for all.
fn with_config(config: &Value) -> Value {
    json!({
        "_format_version": "3.0",
        "plugins": [{ "name": "openid-connect", "config": config }],
        "services": [{ "name": "api", "url": "http://127.0.0.1:8080", "routes": [{ "name": "all", "paths": ["/"] }] }],
    })
}

fn tree_of(ran: &Ran) -> Value {
    assert!(ran.good, "{}", ran.stderr);
    serde_yaml_ng::from_str(&ran.stdout).expect("YAML")
}

fn manager(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn filter_json(bootstrap: &Value, index: usize) -> Value {
    let plugin = &manager(bootstrap)["http_filters"][index]["typed_config"]["config"];
    let text = plugin["configuration"]["value"]
        .as_str()
        .expect("the filter's JSON");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_file_with_everything_becomes_what_was_read() {
    for target in ["envoy", "kong"] {
        let ran = run(
            &["convert", "kong-plugins.yaml", "--to", target],
            &own("files"),
            &[],
        );
        assert!(ran.good, "{}", ran.stderr);
        snapshot(&own(&format!("files/converted-{target}.yaml")), &ran.stdout);
        // What is told stands in the output, too.
        for line in ran.stderr.lines() {
            let note = line
                .strip_prefix("kong-plugins.yaml: note: ")
                .expect("a note");
            assert!(ran.stdout.contains(&format!("# - {note}\n")), "{note}");
        }
        let folder = folder(&format!("converted-{target}"));
        fs::write(folder.join("file"), &ran.stdout).expect("writable");
        let checked = run(&["check", "file"], &folder, &[]);
        assert!(checked.good, "{}", checked.stderr);
    }
}

#[test]
fn every_field_is_carried_over_or_named() {
    let config = json!({
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "http_version": 1.0, "ssl_verify": false,
        "http_proxy": "http://proxy.example:3128", "http_proxy_authorization": "Basic x",
        "https_proxy": "http://proxy.example:3128", "https_proxy_authorization": "Basic y", "no_proxy": "localhost",
        "keepalive": true, "leeway": 5,
    });
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("named-{target}"), &with_config(&config), target);
        assert!(ran.good, "{}", ran.stderr);
        for name in config.as_object().expect("fields").keys() {
            let carried = ["issuer", "auth_methods", "leeway"].contains(&name.as_str());
            let named = ran.stderr.contains(&format!("plugins[0].config.{name}: "));
            let is_default = name == "keepalive";
            assert_eq!(named, !carried && !is_default, "{target}: {name}");
        }
        assert!(!ran.stderr.contains("Basic"), "a credential");
    }
}

#[test]
fn null_that_switches_a_default_off_stays() {
    let config = json!({
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "login_tokens": null,
        "upstream_access_token_header": null,
    });
    let bootstrap = tree_of(&convert("nulls", &with_config(&config), "envoy"));
    let filter = filter_json(&bootstrap, 0);
    for name in ["login_tokens", "upstream_access_token_header"] {
        assert_eq!(filter.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn the_plugin_of_a_route_rules_it_then_that_of_its_service_then_the_one_for_all() {
    let plugin = |leeway: u8| {
        json!([{ "name": "openid-connect", "config": {
        "issuer": "https://idp.example", "auth_methods": ["bearer"], "leeway": leeway } }])
    };
    let file = json!({
        "_format_version": "3.0",
        "plugins": plugin(1),
        "services": [
            { "name": "one", "url": "http://one.example", "plugins": plugin(2), "routes": [
                { "name": "a", "paths": ["/a"], "plugins": plugin(3) }, { "name": "b", "paths": ["/b"] },
            ]},
            { "name": "two", "url": "http://two.example" },
        ],
        "routes": [{ "name": "c", "paths": ["/c"], "service": { "name": "two" } }],
    });
    let bootstrap = tree_of(&convert("precedence", &file, "envoy"));
    let routes = &manager(&bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    for (path, leeway) in [("/a", 3), ("/b", 2), ("/c", 1)] {
        let routes = routes.as_array().expect("routes");
        let route = routes.iter().find(|route| route["match"]["prefix"] == path);
        let own = &route.expect("the route")["typed_per_filter_config"];
        let name = own
            .as_object()
            .and_then(|own| own.keys().next())
            .expect("a filter");
        let filters = manager(&bootstrap)["http_filters"]
            .as_array()
            .expect("filters");
        let index = filters
            .iter()
            .position(|filter| filter["name"] == **name)
            .expect("the filter");
        assert_eq!(filters[index]["disabled"], true, "on by its routes only");
        assert_eq!(filter_json(&bootstrap, index)["leeway"], leeway, "{path}");
    }
    let kong = tree_of(&convert("precedence-kong", &file, "kong"));
    let leeway =
        |route: &Value| route["filter_chains"][0]["filters"][0]["config"]["leeway"].clone();
    assert_eq!(leeway(&kong["services"][0]["routes"][0]), 3);
    assert_eq!(leeway(&kong["services"][0]["routes"][1]), 2);
    assert_eq!(leeway(&kong["routes"][0]), 1);
    assert!(kong.get("plugins").is_none() && kong["services"][0].get("plugins").is_none());
}

#[test]
fn a_route_that_stays_open_is_named() {
    let file = json!({ "_format_version": "3.0", "services": [{ "name": "api", "url": "http://api.example", "routes": [
        { "name": "a", "paths": ["/a"], "plugins": [{ "name": "openid-connect",
            "config": { "issuer": "https://idp.example", "auth_methods": ["bearer"] } }] },
        { "name": "b", "paths": ["/b"] },
    ]}]});
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("open-{target}"), &file, target);
        assert!(
            ran.good && ran.stderr.contains("services[0].routes[1]: has no plugin"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_name_and_leaves_no_output() {
    let config = json!({ "issuer": "https://idp.example", "session_storage": "memcached" });
    for target in ["envoy", "kong"] {
        let ran = convert(&format!("refused-{target}"), &with_config(&config), target);
        assert!(!ran.good && ran.stdout.is_empty());
        assert!(
            ran.stderr.contains("config.session_storage: "),
            "{}",
            ran.stderr
        );
    }
    let ran = convert("empty", &json!({ "_format_version": "3.0" }), "envoy");
    assert!(
        !ran.good && ran.stderr.contains("there is no plugin"),
        "{}",
        ran.stderr
    );
}

/// Kong's example configurations, each with what is particular about it.
fn examples() -> Vec<(&'static str, Value)> {
    let clients = json!({
        "issuer": "http://keycloak.test:8080/realms/master", "client_id": ["kong"], "client_secret": ["the-secret-of-kong"],
        "client_auth": ["client_secret_post"],
    });
    let bare = json!({ "issuer": "http://keycloak.test:8080/realms/master" });
    let at = |issuer: &str| json!({ "issuer": issuer, "client_id": ["kong"], "client_secret": ["the-secret-of-kong"] });
    let with = |base: &Value, more: Value| {
        let mut whole = base.clone();
        for (name, value) in more.as_object().expect("members") {
            whole[name] = value.clone();
        }
        whole
    };
    let issuer = |text: &str| {
        json!([{ "issuer": text, "verify_signature": true, "conditions": {
        "has_audience": null, "has_scopes": null, "missing_audience": null, "missing_scopes": null } }])
    };
    vec![
        (
            "EX-01 acl-auth",
            with(
                &clients,
                json!({ "auth_methods": ["password"], "authenticated_groups_claim": ["scope"] }),
            ),
        ),
        (
            "EX-02 amazon-cognito",
            at("https://cognito-idp.eu-west-1.amazonaws.com/pool/.well-known/openid-configuration"),
        ),
        (
            "EX-03 auth0",
            with(
                &at("https://tenant.auth0.example/.well-known/openid-configuration"),
                json!({ "audience": ["api"], "auth_methods": ["client_credentials"] }),
            ),
        ),
        (
            "EX-04 authorization-code",
            with(
                &clients,
                json!({ "auth_methods": ["authorization_code", "session"], "response_mode": "form_post", "preserve_query_args": true, "login_action": "redirect", "login_tokens": null }),
            ),
        ),
        (
            "EX-05 azure-ad",
            with(
                &at(
                    "https://login.microsoftonline.com/tenant/v2.0/.well-known/openid-configuration",
                ),
                json!({ "redirect_uri": ["https://api.example/cb"], "scopes": ["openid", "email", "profile", "kong/.default"], "verify_parameters": false }),
            ),
        ),
        (
            "EX-06 cert-bound-access-tokens-no-client-info",
            with(
                &bare,
                json!({ "auth_methods": ["bearer"], "proof_of_possession_mtls": "strict", "proof_of_possession_auth_methods_validation": true }),
            ),
        ),
        (
            "EX-07 cert-bound-access-tokens",
            with(
                &at("http://keycloak.test:8080/realms/master"),
                json!({ "auth_methods": ["bearer"], "proof_of_possession_mtls": "strict", "proof_of_possession_auth_methods_validation": true }),
            ),
        ),
        (
            "EX-08 claims-based-auth",
            with(
                &clients,
                json!({ "auth_methods": ["password"], "scopes_claim": ["scope"], "scopes_required": ["openid", "email"] }),
            ),
        ),
        (
            "EX-09 client-credentials-identity",
            with(
                &clients,
                json!({ "auth_methods": ["client_credentials"], "client_credentials_param_type": ["header"], "principals": { "enabled": true, "directory": "default" } }),
            ),
        ),
        (
            "EX-10 client-credentials",
            with(
                &clients,
                json!({ "auth_methods": ["client_credentials"], "client_credentials_param_type": ["header"] }),
            ),
        ),
        (
            "EX-11 consumer-auth",
            with(
                &clients,
                json!({ "auth_methods": ["password"], "consumer_claims": [["preferred_username"]], "consumer_by": ["username"] }),
            ),
        ),
        (
            "EX-12 consumer-group-auth",
            with(
                &bare,
                json!({ "auth_methods": ["client_credentials"], "consumer_groups_claim": ["tier"] }),
            ),
        ),
        (
            "EX-13 curity",
            with(
                &at("https://curity.example/oauth/v2/oauth-anonymous"),
                json!({ "scopes_required": ["openid"], "hide_credentials": true, "upstream_access_token_header": null, "upstream_headers": [{ "header": "x-phantom-token", "path": ["phantom_token"] }], "auth_methods": ["introspection"] }),
            ),
        ),
        (
            "EX-14 dpop",
            with(
                &at("http://keycloak.test:8080/realms/master"),
                json!({ "auth_methods": ["bearer"], "proof_of_possession_dpop": "strict" }),
            ),
        ),
        (
            "EX-15 extra-jwks",
            with(
                &bare,
                json!({ "auth_methods": ["bearer"], "extra_jwks_uris": ["https://one.example/jwks", "https://two.example/jwks"], "issuers_allowed": ["https://one.example", "https://two.example"], "verify_signature": true, "verify_claims": false }),
            ),
        ),
        (
            "EX-16 google",
            with(
                &at("https://accounts.google.com/.well-known/openid-configuration"),
                json!({ "redirect_uri": ["https://api.example/cb"], "scopes": ["openid", "email"] }),
            ),
        ),
        (
            "EX-17 headers",
            with(
                &clients,
                json!({ "auth_methods": ["password"], "upstream_headers": [{ "header": "X-Authenticated-User", "path": ["preferred_username"] }] }),
            ),
        ),
        (
            "EX-18 introspection-auth",
            with(
                &clients,
                json!({ "auth_methods": ["introspection"], "bearer_token_param_type": ["header"] }),
            ),
        ),
        (
            "EX-19 jwt-access-token",
            with(
                &clients,
                json!({ "auth_methods": ["bearer"], "bearer_token_param_type": ["query"] }),
            ),
        ),
        (
            "EX-20 kong-oauth-token",
            with(
                &clients,
                json!({ "auth_methods": ["kong_oauth2"], "bearer_token_param_type": ["header"] }),
            ),
        ),
        (
            "EX-21 logout",
            with(
                &clients,
                json!({ "auth_methods": ["password", "session"], "logout_uri_suffix": "/logout", "logout_methods": ["POST"], "logout_revoke": true }),
            ),
        ),
        (
            "EX-22 mtls-client-auth",
            with(
                &bare,
                json!({ "client_id": ["kong"], "client_auth": ["tls_client_auth"], "auth_methods": ["password"], "tls_client_auth_cert_id": "10000000-0000-0000-0000-000000000000", "tls_client_auth_ssl_verify": true }),
            ),
        ),
        (
            "EX-23 mtls-pop-from-header",
            with(
                &at("http://keycloak.test:8080/realms/master"),
                json!({ "auth_methods": ["bearer"], "proof_of_possession_mtls": "strict", "proof_of_possession_mtls_from_header": { "certificate_header_name": "x-client-cert", "ca_certificates": ["10000000-0000-0000-0000-000000000000"] } }),
            ),
        ),
        (
            "EX-24 okta",
            with(
                &at("https://tenant.okta.example/oauth2/default/.well-known/openid-configuration"),
                json!({ "redirect_uri": ["https://api.example/cb"], "scopes_claim": ["scp"], "scopes": ["openid", "email", "profile"], "auth_methods": ["authorization_code"] }),
            ),
        ),
        (
            "EX-25 override-jwks-endpoint",
            with(
                &bare,
                json!({ "auth_methods": ["bearer"], "jwks_endpoint": "https://keys.example/jwks", "issuers_allowed": ["https://one.example", "https://two.example"] }),
            ),
        ),
        (
            "EX-26 password",
            with(
                &clients,
                json!({ "auth_methods": ["password"], "password_param_type": ["header"] }),
            ),
        ),
        (
            "EX-27 refresh-token",
            with(
                &clients,
                json!({ "auth_methods": ["refresh_token"], "refresh_token_param_type": ["header"], "refresh_token_param_name": "refresh_token", "upstream_refresh_token_header": "refresh_token" }),
            ),
        ),
        (
            "EX-28 session-auth",
            with(
                &clients,
                json!({ "auth_methods": ["session"], "session_secret": "{vault://env/SESSION_SECRET}" }),
            ),
        ),
        (
            "EX-29 token-exchange-cross-domain",
            with(
                &clients,
                json!({ "auth_methods": ["bearer"], "token_exchange": { "subject_token_issuers": issuer("https://other.example"), "request": { "audience": null, "empty_audience": false, "scopes": null, "empty_scopes": false } } }),
            ),
        ),
        (
            "EX-30 token-exchange-transformation",
            with(
                &clients,
                json!({ "auth_methods": ["bearer"], "token_exchange": { "subject_token_issuers": [{ "issuer": "http://keycloak.test:8080/realms/master", "conditions": { "missing_scopes": ["profile"] } }] } }),
            ),
        ),
        (
            "EX-31 user-info-auth",
            with(
                &clients,
                json!({ "auth_methods": ["userinfo"], "bearer_token_param_type": ["header"] }),
            ),
        ),
    ]
}

/// `examples.txt`: what becomes of each. `OIDC_FILTER_UPDATE=1` writes it anew when a field was built.
#[test]
fn each_of_kongs_examples_is_converted_or_refused_by_the_name_of_a_field() {
    let examples = examples();
    assert_eq!(examples.len(), 31);
    let mut all = String::new();
    for (title, config) in examples {
        let ran = convert("example", &with_config(&config), "envoy");
        if ran.good {
            writeln!(all, "{title}: converted").expect("a text");
            continue;
        }
        writeln!(all, "{title}: refused").expect("a text");
        for line in ran.stderr.lines() {
            let (_, field) = line.rsplit_once(": config.").expect("a field");
            let name = field.split([':', '[', '.']).next().unwrap_or_default();
            // The plugin looks into Kong's own tables; a filter has to be told where they are.
            let told_beside = name == "kong_admin";
            assert!(
                told_beside || config.get(name).is_some(),
                "{title}: not a field of it: {line}"
            );
            writeln!(all, "    config.{field}").expect("a text");
        }
    }
    snapshot(&own("examples.txt"), &all);
}
