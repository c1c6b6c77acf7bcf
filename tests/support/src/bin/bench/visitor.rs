//! A visitor who has logged in, at our filter or at Envoy's own `oauth2`: what their next request looks like.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use support::envoy::{HttpFilter, WasmFilter};
use support::issuer::{SigningKey, claims, now};
use support::provider::{Behaviour, Provider};
use support::raw;

const TOKEN: &str = "/token";
const CLIENT: &str = "kong";

/// Our filter with a login.
pub fn filter(provider: &Provider) -> HttpFilter {
    let mut config = provider.config();
    config["auth_methods"] = json!(["session", "authorization_code"]);
    config["client_id"] = json!([CLIENT]);
    config["client_secret"] = json!(["the-secret-of-the-client"]);
    config["session_secret"] = json!("a-secret-of-more-than-sixteen-bytes");
    config["upstream_headers"] = json!([]);
    let mut wasm = WasmFilter::new(config);
    wasm.name = "oidc-session".into();
    wasm.vm_id = "oidc-session".into();
    if let Some(capabilities) = wasm.capabilities.as_mut() {
        capabilities["proxy_on_response_headers"] = json!({});
        capabilities["proxy_set_buffer_bytes"] = json!({});
    }
    HttpFilter::Wasm(Box::new(wasm))
}

/// Envoy's own, forwarding the access token like ours.
pub fn native(provider: &Provider, folder: &Path) -> HttpFilter {
    let secret = |name: &str| {
        let file = folder.join(format!("{name}.json"));
        let resource = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            "generic_secret": {"secret": {"inline_string": "a-secret-of-more-than-sixteen-bytes"}},
        }]});
        fs::write(&file, resource.to_string()).expect("a secret's file");
        json!({"name": name, "sds_config": {"path_config_source": {"path": file}, "resource_api_version": "V3"}})
    };
    let issuer = provider.issuer();
    HttpFilter::Raw(json!({
        "name": "envoy.filters.http.oauth2",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2",
            "config": {
                "token_endpoint": {"cluster": "provider", "uri": format!("{issuer}{TOKEN}"), "timeout": "5s"},
                "authorization_endpoint": format!("{issuer}/authorize"),
                "redirect_uri": "http://gateway.test/callback",
                "redirect_path_matcher": {"path": {"exact": "/callback"}},
                "signout_path": {"path": {"exact": "/signout"}},
                "forward_bearer_token": true,
                "auth_scopes": ["openid"],
                "credentials": {
                    "client_id": CLIENT,
                    "token_secret": secret("token"),
                    "hmac_secret": secret("hmac"),
                },
            },
        },
    }))
}

/// Makes the provider one where visitors can log in.
pub fn prepare(provider: &Provider) {
    let issuer = provider.issuer();
    provider.set_metadata(json!({
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}{TOKEN}"),
    }));
}

/// Logs in and gives the Cookie line of the requests that follow.
pub fn log_in(provider: &Provider, gateway: SocketAddr, callback: &str) -> String {
    let mut cookies: Vec<(String, String)> = Vec::new();
    let answer = raw::get(gateway, "/orders/17", &[]);
    keep(&mut cookies, &answer);
    let place = answer
        .header("location")
        .unwrap_or_else(|| panic!("no login: {answer:?}"))
        .to_owned();
    let argument = |name: &str| {
        let query = place.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let mut content = claims(&provider.issuer());
    content["exp"] = (now() + 7200).into();
    let access = SigningKey::shared().token(&content);
    content["aud"] = CLIENT.into();
    content["nonce"] = argument("nonce").map_or(Value::Null, Value::from);
    let tokens = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": 7200,
        "id_token": SigningKey::shared().token(&content),
        "refresh_token": "a-refresh-token-of-the-usual-length-0123456789",
    });
    provider.always(TOKEN, Behaviour::Answer(tokens.to_string().into_bytes()));
    let state = argument("state").unwrap_or_else(|| panic!("no state: {place}"));
    let target = format!("{callback}?code=a-code&state={state}");
    let answer = raw::get(gateway, &target, &[("cookie", &line(&cookies))]);
    keep(&mut cookies, &answer);
    assert!(answer.status < 400, "the login failed: {answer:?}");
    line(&cookies)
}

fn line(cookies: &[(String, String)]) -> String {
    let pairs: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

fn keep(cookies: &mut Vec<(String, String)>, answer: &raw::Answer) {
    for (_, cookie) in answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
    {
        let pair = cookie.split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        cookies.retain(|(own, _)| own != name);
        if !value.is_empty() && value != "deleted" {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}
