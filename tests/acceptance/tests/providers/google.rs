//! Google.

use serde_json::{Value, json};
use support::browser::Browser;
use support::issuer::SigningKey;
use support::provider::{CLIENT, JWKS, Provider, TOKEN, USERINFO};
use support::quirks::GOOGLE;

use super::{access_token, api, ends, enters, forbids, gateway, says, token_of, tokens_of_alex};

fn tokens(provider: &Provider) -> Value {
    tokens_of_alex(provider, CLIENT.1, &[("scope", "openid email")])
}

#[test]
fn google_endpoints_at_other_hosts() {
    let provider = GOOGLE.start();
    enters(&gateway(&provider, json!({})));
    assert_eq!((provider.calls(TOKEN), provider.calls(JWKS)), (1, 1));
    let one_host = gateway(&provider, json!({"clusters": {"*": "provider"}}));
    let page = Browser::new().log_in(&one_host.url("/page"));
    one_host.answered(&page.answer, 500);
    assert_eq!(provider.calls(TOKEN), 1);
}

#[test]
fn google_opaque_access_tokens() {
    let provider = GOOGLE.start();
    let answer = tokens(&provider);
    let token = access_token(&answer);
    assert!(token.starts_with("ya29."));
    let asking = gateway(&provider, json!({"auth_methods": ["userinfo"]}));
    for _ in 0..3 {
        asking.admits(token);
    }
    assert_eq!(provider.calls(USERINFO), 1);
    asking.refuses("ya29.another");
    api(&provider, json!({})).refuses(token);
    // A login forwards such a token as it is.
    assert!(token_of(&enters(&gateway(&provider, json!({})))).starts_with("ya29."));
}

#[test]
fn google_no_introspection() {
    let provider = GOOGLE.start();
    let answer = tokens(&provider);
    let token = access_token(&answer);
    let asking = gateway(&provider, json!({"auth_methods": ["introspection"]}));
    asking.answered(&asking.get_with_token(token), 500);
    says(&asking, "introspection_endpoint");
    gateway(&provider, json!({"auth_methods": ["userinfo"]})).admits(token);
}

/// An ID token of another client of Google's, which the same keys sign.
fn of_another_client(provider: &Provider) -> String {
    let mut claims = support::issuer::claims(&provider.issuer());
    claims["aud"] = "somebody-else".into();
    claims["azp"] = "somebody-else".into();
    SigningKey::shared().token(&claims)
}

#[test]
fn google_keys_of_all_clients() {
    let provider = GOOGLE.start();
    let answer = tokens(&provider);
    let own = answer["id_token"].as_str().expect("an ID token");
    let foreign = of_another_client(&provider);
    let demanding = api(&provider, json!({"audience_required": [CLIENT.0]}));
    demanding.admits(own);
    forbids(&demanding, &foreign);
    // Without the demand everybody gets in who is a client of Google's.
    api(&provider, json!({})).admits(&foreign);
}

#[test]
fn ex_16_a_login_at_google() {
    let provider = GOOGLE.start();
    let members = json!({
        "redirect_uri": ["{own}/page"],
        "scopes": ["openid", "email"],
        "auth_methods": null,
        "audience_required": [CLIENT.0],
        "login_action": "upstream",
    });
    let gateway = gateway(&provider, members);
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/page")));
    let page = Browser::new().log_in(&gateway.url("/page"));
    gateway.forwarded(&page.answer);
    assert_eq!(provider.calls(TOKEN), 1);
    forbids(&gateway, &of_another_client(&provider));
}

#[test]
fn google_refresh_by_argument() {
    let provider = GOOGLE.start();
    let header = json!({"upstream_refresh_token_header": "x-refresh"});
    let offline = json!({
        "upstream_refresh_token_header": "x-refresh",
        "authorization_query_args_names": ["access_type"],
        "authorization_query_args_values": ["offline"],
    });
    let seen = enters(&gateway(&provider, offline));
    assert!(seen.header("x-refresh").is_some());
    let seen = enters(&gateway(&provider, header));
    assert_eq!(seen.header("x-refresh"), None);
}

#[test]
fn google_issuer_without_scheme() {
    let provider = GOOGLE.start_with(&["issuer_without_scheme"]);
    let bare = provider.issuer().replace("http://", "");
    let both = json!({"issuers_allowed": [provider.issuer(), bare]});
    enters(&gateway(&provider, both));
    ends(&gateway(&provider, json!({})), 401, "issuer_not_allowed");
}

#[test]
fn google_hd() {
    let provider = GOOGLE.start_with(&["hd"]);
    let of = |domain: &str| json!({"domains": [domain]});
    enters(&gateway(&provider, of("example.test")));
    ends(
        &gateway(&provider, of("other.test")),
        403,
        "domain_not_allowed",
    );
    let private = GOOGLE.start();
    ends(
        &gateway(&private, of("example.test")),
        403,
        "domain_not_allowed",
    );
}
