//! Kong's example configurations: here each is converted or refused by name, in `tests/acceptance` Envoy starts with
//! those that are converted.

use serde_json::{Value, json};

/// A file with one service, one route, and this plugin for all.
pub fn with_config(config: &Value) -> Value {
    json!({
        "_format_version": "3.0",
        "plugins": [{ "name": "openid-connect", "config": config }],
        "services": [{ "name": "api", "url": "http://127.0.0.1:8080", "routes": [{ "name": "all", "paths": ["/"] }] }],
    })
}

/// Kong's example configurations, each with what is particular about it.
pub fn examples() -> Vec<(&'static str, Value)> {
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
