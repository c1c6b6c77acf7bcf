//! Okta.

use acceptance::{Gateway, basic, bearer, session_cookies, tampered};
use serde_json::json;
use support::browser::{Browser, parameter};
use support::issuer::{SigningKey, claims};
use support::provider::{AUTHORIZE, CLIENT, DISCOVERY, INTROSPECT, JWKS, Provider, ROBOT, TOKEN};
use support::quirks::OKTA;
use support::raw::Answer;

use super::{
    access_token, api, ends, enters, forbids, gateway, says, token_of, tokens_of_alex,
    tokens_of_the_client,
};

/// A token of alex's for the API.
fn token(provider: &Provider) -> String {
    let scope = [("scope", "openid api:access")];
    access_token(&tokens_of_alex(provider, CLIENT.1, &scope)).to_owned()
}

#[test]
fn okta_path_issuer() {
    let provider = OKTA.start();
    let token = token(&provider);
    let good = api(&provider, json!({}));
    good.admits(&token);
    good.refuses(&tampered(&token));
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (1, 1));
    let bare = api(&provider, json!({"issuer": provider.host()}));
    bare.refuses(&token);
    says(&bare, "signature_invalid");
}

#[test]
fn okta_scopes_in_scp() {
    let provider = OKTA.start();
    let token = token(&provider);
    let wanted = json!({"scopes_required": ["api:access"], "scopes_claim": ["scp"]});
    api(&provider, wanted).admits(&token);
    let elsewhere = json!({"scopes_required": ["api:access"]});
    forbids(&api(&provider, elsewhere), &token);
    let other = json!({"scopes_required": ["api:write"], "scopes_claim": ["scp"]});
    forbids(&api(&provider, other), &token);
}

#[test]
fn okta_client_in_cid() {
    let provider = OKTA.start();
    let token = token(&provider);
    let of_client =
        |claim: &str| json!({"audience_claim": [claim], "audience_required": [CLIENT.0]});
    api(&provider, of_client("cid")).admits(&token);
    for other in ["azp", "client_id"] {
        forbids(&api(&provider, of_client(other)), &token);
    }
}

#[test]
fn okta_audience_of_the_server() {
    let provider = OKTA.start();
    let token = token(&provider);
    let wanted = |audience: &str| json!({"audience_required": [audience]});
    api(&provider, wanted("api://default")).admits(&token);
    forbids(&api(&provider, wanted(CLIENT.0)), &token);
}

/// The FAQ's error, and its cure.
fn a_client_needs_a_scope_of_the_api() {
    let provider = OKTA.start();
    let base = json!({
        "auth_methods": ["client_credentials"], "scopes_claim": ["scp"],
        "upstream_headers": [{"header": "x-user", "path": ["cid"]}],
    });
    let show = |gateway: &Gateway, secret: &str| {
        let pair = basic(ROBOT.0, secret);
        gateway.get("/anything", &[("authorization", &pair)])
    };
    let failing = gateway(&provider, base.clone());
    failing.answered(&show(&failing, ROBOT.1), 500);
    says(&failing, "invalid_scope: Cannot request");

    let cure = json!({"scopes": ["api:access"], "scopes_required": ["api:access"]});
    let cured = gateway(&provider, acceptance::merged(base, cure));
    let calls = provider.calls(TOKEN);
    for _ in 0..3 {
        let seen = cured.forwarded_as(&show(&cured, ROBOT.1), ROBOT.0);
        assert_eq!(token_of(&seen).matches('.').count(), 2);
    }
    assert_eq!(provider.calls(TOKEN), calls + 1);
    cured.answered(&show(&cured, "wrong"), 401);
}

#[test]
fn okta_openid_needs_a_person() {
    a_client_needs_a_scope_of_the_api();
}

#[test]
fn ht_02b_a_client_needs_a_scope_of_the_api() {
    a_client_needs_a_scope_of_the_api();
}

#[test]
fn okta_refresh_by_scope() {
    let provider = OKTA.start();
    let with = |scope: &str| json!({"scopes": ["openid", scope], "upstream_refresh_token_header": "x-refresh"});
    let seen = enters(&gateway(&provider, with("offline_access")));
    assert!(seen.header("x-refresh").is_some());
    let seen = enters(&gateway(&provider, with("profile")));
    assert_eq!(seen.header("x-refresh"), None);
}

#[test]
fn okta_keys_rotate() {
    let provider = OKTA.start();
    let old = token(&provider);
    let good = api(&provider, json!({"rediscovery_lifetime": 0}));
    let late = api(&provider, json!({"rediscovery_lifetime": 3600}));
    good.admits(&old);
    late.admits(&old);
    let calls = provider.calls(JWKS);
    provider.rotate("new");
    let new = self::token(&provider);
    good.admits(&new);
    assert_eq!(provider.calls(JWKS), calls + 1);
    good.admits(&old);
    let unknown = SigningKey::unpublished().token(&claims(&provider.issuer()));
    good.refuses(&unknown);
    // Whoever looks once an hour meets the next change too late.
    late.admits(&new);
    provider.rotate("newer");
    let newer = self::token(&provider);
    good.admits(&newer);
    late.refuses(&newer);
    says(&late, "signature_invalid");
}

#[test]
fn okta_opaque_to_all() {
    let provider = OKTA.start_with(&["opaque_to_all"]);
    let token = token(&provider);
    let bearer = api(&provider, json!({}));
    bearer.refuses(&token);
    says(&bearer, "signature_invalid");
    let asking = gateway(&provider, json!({"auth_methods": ["introspection"]}));
    for _ in 0..3 {
        asking.admits(&token);
    }
    assert_eq!(provider.calls(INTROSPECT), 1);
    asking.refuses(&tampered(&token));
    // A login brings such a token, too: that nobody can verify it has to be said.
    ends(&gateway(&provider, json!({})), 401, "signature_invalid");
    let ignoring = json!({"ignore_signature": ["authorization_code", "session"]});
    enters(&gateway(&provider, ignoring));
}

/// The how-to of the authorization code flow with Okta.
fn how_to(provider: &Provider) -> Gateway {
    let members = json!({
        "redirect_uri": ["{own}/anything"],
        "scopes": ["openid", "email", "profile"],
        "auth_methods": ["authorization_code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "response_mode": "form_post",
        "login_action": "upstream",
        "login_tokens": null,
        "preserve_query_args": null,
        "session_secret": null,
    });
    gateway(provider, members)
}

#[test]
fn ht_02a_a_login_at_okta_ends_at_the_upstream() {
    let provider = OKTA.start();
    let gateway = how_to(&provider);
    let mut browser = Browser::new();
    let page = browser.get(&gateway.url("/anything"));
    gateway.asks_to_log_in(&page);
    let place = page.location().expect("a place");
    let asked = |name: &str| parameter(&place, name);
    assert!(place.as_str().starts_with(&provider.url(AUTHORIZE)));
    assert_eq!(asked("scope").as_deref(), Some("openid email profile"));
    assert_eq!(asked("response_mode").as_deref(), Some("form_post"));
    assert_eq!(asked("redirect_uri"), Some(gateway.url("/anything")));
    let form = browser.get(place.as_str());
    let done = browser.submit(&form, &[]);
    let seen = gateway.forwarded(&done.answer);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/anything")
    );
    assert_eq!(token_of(&seen).matches('.').count(), 2);
    assert_eq!(provider.calls(TOKEN), 1);
    assert_eq!(session_cookies(&done.answer), Vec::<String>::new());
    // There is no session: whoever comes again logs in again.
    gateway.asks_to_log_in(&browser.get(&gateway.url("/anything")));
}

#[test]
fn ex_24_scopes_of_okta_are_read_from_scp() {
    let provider = OKTA.start();
    let members = |claim: &str| {
        json!({
            "redirect_uri": ["{own}/anything"],
            "scopes": ["openid", "email", "profile"],
            "scopes_claim": [claim],
            "scopes_required": ["email"],
            "auth_methods": ["authorization_code"],
            "login_action": "upstream",
        })
    };
    let good = gateway(&provider, members("scp"));
    let page = Browser::new().log_in(&good.url("/anything"));
    good.forwarded(&page.answer);
    ends(&gateway(&provider, members("scope")), 403, "scope");
}

#[test]
fn oh_22_the_test_list_of_okta() {
    let provider = OKTA.start();
    let gateway = gateway(&provider, json!({}));
    let mut browser = Browser::new();
    gateway.asks_to_log_in(&browser.get(&gateway.url("/page")));
    gateway.enter(&mut browser, "/page");
    let calls = provider.calls(TOKEN);
    gateway.shows(&mut browser, "/other");
    assert_eq!(provider.calls(TOKEN), calls);
    browser.cookies.clear();
    gateway.asks_to_log_in(&browser.get(&gateway.url("/page")));
}

/// A call of an agent (JSON-RPC 2.0), with spaces and letters that a careless filter would change.
const RPC: &str = "{ \"jsonrpc\": \"2.0\",\n \"method\": \"message/send\", \"id\": 1.0, \"params\": {\"text\": \"\\u00e4 ü\"}}";

fn calls(gateway: &Gateway, token: Option<&str>) -> Answer {
    let token = token.map(bearer);
    let headers: Vec<_> = token
        .iter()
        .map(|token| ("authorization", token.as_str()))
        .collect();
    gateway.post("/a2a", "application/json", &headers, RPC)
}

/// An agent's token, and a gateway for agents.
fn agent(provider: &Provider) -> (String, Gateway) {
    let scope = [("scope", "api:access")];
    let token = access_token(&tokens_of_the_client(provider, CLIENT.1, &scope)).to_owned();
    let members = json!({"upstream_headers": [{"header": "x-user", "path": ["cid"]}]});
    (token, api(provider, members))
}

#[test]
fn ht_23a_an_agent_of_okta_without_a_token_is_refused() {
    let provider = OKTA.start();
    let (token, gateway) = agent(&provider);
    gateway.answered(&calls(&gateway, None), 401);
    gateway.forwarded_as(&calls(&gateway, Some(&token)), CLIENT.0);
}

#[test]
fn ht_23b_the_body_of_an_agent_of_okta_arrives_as_it_was_sent() {
    let provider = OKTA.start();
    let (token, gateway) = agent(&provider);
    let seen = gateway.forwarded_as(&calls(&gateway, Some(&token)), CLIENT.0);
    assert_eq!(String::from_utf8_lossy(&seen.body), RPC);
    assert!(seen.complete);
    gateway.answered(&calls(&gateway, Some(&tampered(&token))), 401);
}
