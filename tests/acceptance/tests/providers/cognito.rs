//! Amazon Cognito.

use acceptance::session_cookies;
use serde_json::{Value, json};
use support::browser::Browser;
use support::issuer::{SigningKey, jwks};
use support::provider::{AUTHORIZE, CLIENT, Provider, TOKEN};
use support::quirks::COGNITO;

use super::{access_token, api, ends, enters, forbids, gateway, says, tokens_of_alex};

fn tokens(provider: &Provider) -> Value {
    tokens_of_alex(provider, CLIENT.1, &[])
}

fn id_token(answer: &Value) -> &str {
    answer["id_token"].as_str().expect("an ID token")
}

#[test]
fn cognito_endpoints_of_the_domain() {
    let provider = COGNITO.start();
    let good = gateway(&provider, json!({}));
    let page = Browser::new().get(&good.url("/page"));
    let place = page.location().expect("a place");
    let domain = format!("http://{}/oauth2/authorize?", provider.elsewhere());
    assert!(place.as_str().starts_with(&domain), "{place}");
    enters(&good);
    assert_eq!(provider.calls(TOKEN), 1);
    let one_host = gateway(&provider, json!({"clusters": {"*": "provider"}}));
    ends(&one_host, 500, "token_endpoint_failed");
    assert_eq!(provider.calls(TOKEN), 1);
}

#[test]
fn cognito_no_audience() {
    let provider = COGNITO.start();
    let answer = tokens(&provider);
    let wanted = |claim: &str| json!({"audience_claim": [claim], "audience_required": [CLIENT.0]});
    api(&provider, wanted("client_id")).admits(access_token(&answer));
    forbids(&api(&provider, wanted("aud")), access_token(&answer));
}

#[test]
fn cognito_token_use() {
    let provider = COGNITO.start();
    let answer = tokens(&provider);
    let by_use = json!({"roles_claim": ["token_use"], "roles_required": ["access"]});
    let good = api(&provider, by_use);
    good.admits(access_token(&answer));
    forbids(&good, id_token(&answer));
    // Without the rule one is as good as the other.
    api(&provider, json!({})).admits(id_token(&answer));
}

#[test]
fn cognito_two_keys() {
    let provider = COGNITO.start();
    let answer = tokens(&provider);
    let good = api(&provider, json!({}));
    good.admits(access_token(&answer));
    good.admits(id_token(&answer));
    enters(&gateway(&provider, json!({})));
    provider.set_keys(jwks([SigningKey::shared()]));
    let half = api(&provider, json!({}));
    half.admits(access_token(&answer));
    half.refuses(id_token(&answer));
}

#[test]
fn cognito_own_logout() {
    super::logs_out_by(&COGNITO.start(), "logout_uri");
}

#[test]
fn oh_23_a_logout_goes_on_to_cognito() {
    super::logs_out_by(&COGNITO.start(), "logout_uri");
}

/// A login whose callback is at this address, which some TLS in front of the gateway takes. Gives the answer there.
fn by_callback(provider: &Provider, members: Value) {
    let base = json!({
        "redirect_uri": ["https://app.test/callback"],
        "client_secret": null,
        "require_proof_key_for_code_exchange": true,
    });
    let gateway = gateway(provider, acceptance::merged(base, members));
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/page"));
    gateway.asks_to_log_in(&page);
    assert!(
        page.answer
            .header("set-cookie")
            .expect("a cookie")
            .contains("; Secure")
    );
    let back = browser.get(page.location().expect("a place").as_str());
    let place = back.location().expect("a callback");
    assert!(
        place.as_str().starts_with("https://app.test/callback?"),
        "{place}"
    );
    let query = place.query().expect("a code");
    let done = browser.get(&gateway.url(&format!("/callback?{query}")));
    gateway.answered(&done.answer, 302);
    assert!(!session_cookies(&done.answer).is_empty());
    gateway.shows(&mut browser, "/page");
}

/// The provider does not even begin a login.
fn does_not_begin(gateway: &acceptance::Gateway) {
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/page"));
    let refused = browser.get(page.location().expect("a place").as_str());
    assert_eq!(refused.answer.status, 400, "{refused:?}");
}

#[test]
fn cognito_https_callbacks() {
    let provider = COGNITO.start_with(&["https_callbacks", "public_client"]);
    by_callback(&provider, json!({}));
    let here = json!({"client_secret": null, "require_proof_key_for_code_exchange": true});
    does_not_begin(&gateway(&provider, here));
}

#[test]
fn ex_02_a_login_at_cognito_without_a_secret() {
    let provider = COGNITO.start_with(&["https_callbacks", "public_client"]);
    by_callback(&provider, json!({}));
    assert_eq!((provider.calls(AUTHORIZE), provider.calls(TOKEN)), (1, 1));
    assert!(!provider.token_forms()[0].contains_key("client_secret"));
}

#[test]
fn cognito_public_client() {
    let provider = COGNITO.start_with(&["public_client"]);
    let public = json!({"client_secret": null, "client_auth": ["none"]});
    let pkce = json!({"require_proof_key_for_code_exchange": true});
    enters(&gateway(
        &provider,
        acceptance::merged(public.clone(), pkce.clone()),
    ));
    does_not_begin(&gateway(&provider, public));
    let with_secret = gateway(&provider, pkce);
    ends(&with_secret, 500, "invalid_client");
    says(&with_secret, "token_endpoint_refused");
}
