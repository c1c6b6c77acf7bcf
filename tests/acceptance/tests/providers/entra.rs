//! Microsoft Entra ID.

use acceptance::{Gateway, merged};
use serde_json::{Value, json};
use support::browser::Browser;
use support::provider::{CLIENT, DISCOVERY, Provider, TOKEN, USERINFO};
use support::quirks::{ENTRA, ENTRA_SECRET, TENANT};

use super::{
    access_token, api, ends, enters, forbids, says, token_of, tokens_of_alex, tokens_of_the_client,
};

/// The scope of the client's own API.
const OWN: &str = "kong/.default";

fn gateway(provider: &Provider, members: Value) -> Gateway {
    let base =
        json!({"client_secret": [ENTRA_SECRET], "scopes": ["openid", "email", "profile", OWN]});
    super::gateway(provider, merged(base, members))
}

/// A token of alex's for this.
fn token(provider: &Provider, scope: &str) -> String {
    access_token(&tokens_of_alex(provider, ENTRA_SECRET, &[("scope", scope)])).to_owned()
}

#[test]
fn entra_tenant_issuer() {
    let provider = ENTRA.start();
    assert!(provider.issuer().ends_with(&format!("/{TENANT}/v2.0")));
    enters(&gateway(&provider, json!({})));
    assert_eq!(provider.calls(DISCOVERY), 1);
    let bare = gateway(&provider, json!({"issuer": provider.host()}));
    let page = Browser::new().get(&bare.url("/page"));
    bare.answered(&page.answer, 500);
}

#[test]
fn ex_05_a_login_at_azure() {
    let provider = ENTRA.start();
    let members = json!({
        "redirect_uri": ["{own}/page"], "verify_parameters": false, "login_action": "upstream",
    });
    let gateway = gateway(&provider, members);
    gateway.asks_to_log_in(&Browser::new().get(&gateway.url("/page")));
    let seen = enters_at_callback(&gateway);
    assert_eq!(token_of(&seen).matches('.').count(), 2);
    assert_eq!(provider.calls(TOKEN), 1);
}

/// alex logs in, and the callback itself goes to the upstream.
fn enters_at_callback(gateway: &Gateway) -> support::upstream::Seen {
    let page = Browser::new().log_in(&gateway.url("/page"));
    gateway.forwarded(&page.answer)
}

#[test]
fn entra_graph_without_a_scope() {
    let provider = ENTRA.start();
    enters(&gateway(&provider, json!({})));
    let for_graph = json!({"scopes": ["openid", "email", "profile"]});
    let refusing = gateway(&provider, for_graph.clone());
    ends(&refusing, 401, "signature_invalid");
    // Whoever wants the login alone says that the token is somebody else's.
    let ignoring = json!({"ignore_signature": ["authorization_code", "session"]});
    enters(&gateway(&provider, merged(for_graph, ignoring)));
    api(&provider, json!({})).refuses(&token(&provider, "openid"));
}

#[test]
fn entra_scopes_in_scp() {
    let provider = ENTRA.start();
    let token = token(&provider, "openid kong/.default");
    let wanted = |claim: &str| json!({"scopes_required": [OWN], "scopes_claim": [claim]});
    api(&provider, wanted("scp")).admits(&token);
    forbids(&api(&provider, wanted("scope")), &token);
}

#[test]
fn entra_roles_of_programs() {
    let provider = ENTRA.start();
    let answer = tokens_of_the_client(&provider, ENTRA_SECRET, &[("scope", OWN)]);
    let of_program = access_token(&answer);
    let user = json!({"upstream_headers": [{"header": "x-user", "path": ["sub"]}]});
    let by_role = json!({"roles_required": ["Reader"]});
    let gateway = api(&provider, merged(user.clone(), by_role));
    gateway.forwarded_as(&gateway.get_with_token(of_program), CLIENT.0);
    forbids(&gateway, &token(&provider, OWN));
    let by_scope = json!({"scopes_required": [OWN], "scopes_claim": ["scp"]});
    forbids(&api(&provider, merged(user, by_scope)), of_program);
}

#[test]
fn entra_userinfo_of_graph() {
    let provider = ENTRA.start();
    let for_graph = token(&provider, "openid");
    let members = json!({"auth_methods": ["userinfo"]});
    let good = gateway(&provider, members.clone());
    for _ in 0..3 {
        good.admits(&for_graph);
    }
    assert_eq!(provider.calls(USERINFO), 1);
    good.refuses(&token(&provider, OWN));
    // Graph is another host.
    let one_host = merged(members, json!({"clusters": {"*": "provider"}}));
    let lost = gateway(&provider, one_host);
    lost.answered(&lost.get_with_token(&for_graph), 500);
    says(&lost, "userinfo_failed");
}

#[test]
fn entra_no_hd() {
    let provider = ENTRA.start();
    let by_domain = json!({"domains": ["example.test"]});
    ends(&gateway(&provider, by_domain), 403, "domain_not_allowed");
    let by_tenant = |tenant: &str| json!({"roles_claim": ["tid"], "roles_required": [tenant]});
    enters(&gateway(&provider, by_tenant(TENANT)));
    ends(&gateway(&provider, by_tenant("another")), 403, "role");
}

#[test]
fn entra_refresh_by_scope() {
    let provider = ENTRA.start();
    let with = |scope: &str| json!({"scopes": ["openid", OWN, scope], "upstream_refresh_token_header": "x-refresh"});
    let seen = enters(&gateway(&provider, with("offline_access")));
    assert!(seen.header("x-refresh").is_some());
    let seen = enters(&gateway(&provider, with("profile")));
    assert_eq!(seen.header("x-refresh"), None);
}

/// Kong's users write the secret in its encoded form. Here it is written as it is, and the filter encodes it.
#[test]
fn entra_secret_with_reserved_letters() {
    let provider = ENTRA.start();
    let basic =
        |secret: &str| json!({"client_secret": [secret], "client_auth": ["client_secret_basic"]});
    enters(&gateway(&provider, basic(ENTRA_SECRET)));
    let encoded = "a~secret%2Bwith%2Freserved%3Dletters%2541";
    let twice = gateway(&provider, basic(encoded));
    ends(&twice, 500, "invalid_client");
}

#[test]
fn entra_version_1_tokens() {
    let provider = ENTRA.start_with(&["version_1_tokens"]);
    let token = token(&provider, "api://kong/read");
    let sts = format!("https://sts.windows.net/{TENANT}/");
    let both = json!({"issuers_allowed": [provider.issuer(), sts]});
    api(&provider, both.clone()).admits(&token);
    let one = api(&provider, json!({}));
    one.refuses(&token);
    says(&one, "issuer_not_allowed");
    let audience = |audience: &str| merged(both.clone(), json!({"audience_required": [audience]}));
    api(&provider, audience("api://kong")).admits(&token);
    forbids(&api(&provider, audience("kong")), &token);
}

#[test]
fn entra_issuer_template() {
    let provider = ENTRA.start_with(&["issuer_template"]);
    assert!(provider.issuer().ends_with("/organizations/v2.0"));
    let good = gateway(&provider, json!({"verify_issuer": "strict"}));
    enters(&good);
    says(&good, "every_tenant");
    let strict = api(&provider, json!({}));
    let token_of_tenant = token(&provider, OWN);
    strict.admits(&token_of_tenant);
    // `iss` and `tid` are of one tenant.
    provider.set_tokens(|tokens| tokens.access = json!({"tid": "another"}));
    strict.refuses(&token(&provider, OWN));
    provider.set_tokens(|tokens| tokens.access = json!({"tid": null}));
    strict.refuses(&token(&provider, OWN));
    says(&strict, "issuer_not_allowed");
    // And of one that may come.
    let own = format!("{}/{TENANT}/v2.0", provider.host());
    let other = format!("{}/another/v2.0", provider.host());
    api(&provider, json!({"issuers_allowed": [own]})).admits(&token_of_tenant);
    api(&provider, json!({"issuers_allowed": [other]})).refuses(&token_of_tenant);
}
