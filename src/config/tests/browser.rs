//! The settings of login and logout, read directly: whether the table lets them through yet is not
//! asked here.

use serde_json::{Value, json};
use url::Url;

use super::*;

/// With the code flow on, and a client.
fn login(members: Value) -> Read<LoginSettings> {
    let mut whole = json!({ "client_id": ["me"], "client_secret": ["secret"], "auth_methods": ["authorization_code"] });
    for (name, value) in members.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let (read, warnings) = with_methods(whole)?;
    Ok((read.0, warnings))
}

fn with_methods(members: Value) -> Read<(LoginSettings, Methods)> {
    let mut reader = reader(members);
    let mut methods = Methods {
        enabled: vec![AuthMethod::Bearer, AuthMethod::AuthorizationCode],
        left_out: Vec::new(),
        refresh_tokens: true,
        run_on_preflight: true,
        hide_credentials: true,
        search_user_info: false,
    };
    let clients = Clients::read(&mut reader);
    let token = TokenSettings::read(&mut reader);
    let introspection = IntrospectionSettings::read(&mut reader);
    let login = LoginSettings::read(&mut reader, &methods, &clients);
    check_clients(&mut reader, &mut methods, &clients, &token, &introspection);
    ended(reader, (login, methods))
}

fn logout(members: Value) -> Read<LogoutSettings> {
    let mut reader = reader(members);
    let logout = LogoutSettings::read(&mut reader);
    ended(reader, logout)
}

fn login_refused(members: Value, path: &str, text: &str) {
    let shown = members.to_string();
    let errors = login(members).expect_err(&shown);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(&format!("{path}: ")), "{errors:?}");
    assert!(errors[0].contains(text), "{errors:?}");
}

fn login_warned(members: Value) -> Vec<String> {
    login(members).unwrap().1
}

#[test]
fn the_defaults_of_a_login_are_kongs() {
    let (login, warnings) = login(json!({})).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let expected = LoginSettings {
        authorization_endpoint: None,
        response_mode: ResponseMode::Query,
        response_type: ResponseType::Code,
        scopes: vec!["openid".to_owned()],
        audience: Vec::new(),
        arguments: AuthorizationArguments::default(),
        pkce: None,
        verify_nonce: true,
        cookie: LoginCookie {
            name: "authorization".to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Default,
            http_only: true,
            secure: None,
        },
        rolling_timeout: 600,
        methods: vec![AuthMethod::AuthorizationCode],
        action: LoginAction::Upstream,
        tokens: vec![LoginToken::IdToken],
        redirect_mode: RedirectMode::Fragment,
        preserve_query_args: false,
    };
    assert_eq!(login, expected);
}

#[test]
fn every_setting_of_a_login_is_read() {
    let (login, _) = login(json!({
        "authorization_endpoint": "https://idp.example/auth?p=1",
        "response_mode": "form_post",
        "scopes": ["openid", "email profile"],
        "audience": ["api"],
        "authorization_query_args_names": ["prompt", "resource"],
        "authorization_query_args_values": ["login", "https://api"],
        "authorization_query_args_client": ["login_hint"],
        "require_proof_key_for_code_exchange": false,
        "verify_nonce": false,
        "authorization_cookie_name": "__Secure-login",
        "authorization_cookie_path": "/app",
        "authorization_cookie_domain": ".app.example",
        "authorization_cookie_same_site": "None",
        "authorization_cookie_http_only": false,
        "authorization_cookie_secure": true,
        "authorization_rolling_timeout": 0,
        "login_methods": ["session", "password", "authorization_code"],
        "login_action": "redirect",
        "login_tokens": ["tokens", "access_token", "refresh_token"],
        "login_redirect_mode": "query",
        "preserve_query_args": true,
    }))
    .unwrap();
    let url = |text| Url::parse(text).ok();
    assert_eq!(
        login.authorization_endpoint,
        url("https://idp.example/auth?p=1")
    );
    assert_eq!(login.response_mode, ResponseMode::FormPost);
    assert_eq!(login.scopes, ["openid", "email profile"]);
    assert_eq!(login.audience, ["api"]);
    assert_eq!(login.arguments.fixed.len(), 2);
    assert_eq!(login.arguments.from_client, ["login_hint"]);
    assert_eq!((login.pkce, login.verify_nonce), (Some(false), false));
    assert_eq!(
        (
            login.cookie.name.as_str(),
            login.cookie.secure,
            login.cookie.http_only
        ),
        ("__Secure-login", Some(true), false)
    );
    assert_eq!(login.cookie.same_site, SameSite::None);
    assert_eq!(login.rolling_timeout, 0);
    assert_eq!(login.methods.len(), 3);
    assert_eq!(
        (login.action, login.redirect_mode),
        (LoginAction::Redirect, RedirectMode::Query)
    );
    assert_eq!(
        login.tokens,
        [
            LoginToken::AccessToken,
            LoginToken::RefreshToken,
            LoginToken::Tokens
        ]
    );
    assert!(login.preserve_query_args);
}

#[test]
fn null_and_empty_lists_ask_for_nothing_and_hand_out_nothing() {
    for nothing in [json!(null), json!([]), json!({})] {
        let (login, _) = login(json!({ "scopes": nothing, "login_tokens": nothing })).unwrap();
        assert!(
            login.scopes.is_empty() && login.tokens.is_empty(),
            "{nothing}"
        );
    }
}

#[test]
fn what_no_server_reads_and_what_is_not_built_is_refused() {
    let mode = "config.response_mode";
    for mode_name in ["fragment", "fragment.jwt"] {
        login_refused(
            json!({ "response_mode": mode_name }),
            mode,
            "stays in the browser",
        );
    }
    for mode_name in ["jwt", "query.jwt", "form_post.jwt"] {
        login_refused(json!({ "response_mode": mode_name }), mode, "JARM");
    }
    login_refused(json!({ "response_mode": "post" }), mode, "unknown value");
    for (types, why) in [
        (json!(["id_token"]), "must hold `code`"),
        (json!([]), "must hold `code`"),
        (json!(["code", "token"]), "can be stolen"),
        (json!(["code token id_token"]), "can be stolen"),
        (json!(["none"]), "unknown value"),
        (json!(["code", "Code"]), "unknown value"),
    ] {
        login_refused(
            json!({ "response_type": types }),
            "config.response_type",
            why,
        );
    }
    let hybrid = json!(["id_token", "code"]);
    login_refused(
        json!({ "response_type": hybrid }),
        mode,
        "write `form_post`",
    );
    let plain =
        json!({ "response_type": hybrid, "response_mode": "form_post", "scopes": ["email"] });
    login_refused(plain, "config.response_type", "scope `openid`");
    for types in [hybrid, json!(["code id_token"])] {
        let form = json!({ "response_type": types, "response_mode": "form_post" });
        assert_eq!(
            login(form).unwrap().0.response_type,
            ResponseType::CodeIdToken
        );
    }
    login_refused(
        json!({ "login_tokens": ["introspection"] }),
        "config.login_tokens",
        "not built",
    );
    let off = json!({ "response_mode": "form_post", "request_body": "off" });
    login_refused(off, mode, "`request_body` is off");
}

#[test]
fn addresses_are_absolute_and_without_fragment() {
    for name in ["authorization_endpoint", "token_endpoint"] {
        let path = format!("config.{name}");
        login_refused(json!({ name: "https://a.example/#x" }), &path, "fragment");
        login_refused(json!({ name: "/token" }), &path, "absolute");
    }
    login_refused(
        json!({ "redirect_uri": ["https://a.example/cb#"] }),
        "config.redirect_uri[0]",
        "fragment",
    );
    login_refused(
        json!({ "redirect_uri": ["myapp://cb"] }),
        "config.redirect_uri[0]",
        "absolute",
    );
    let two =
        login_warned(json!({ "login_redirect_uri": ["https://a.example", "https://b.example"] }));
    assert!(
        two[0].starts_with("config.login_redirect_uri: there is an address for each client"),
        "{two:?}"
    );
}

#[test]
fn arguments_that_the_flow_writes_are_not_the_operators() {
    for name in [
        "state",
        "redirect_uri",
        "nonce",
        "code_challenge",
        "request",
        "request_uri",
        "",
    ] {
        let fixed = json!({
            "authorization_query_args_names": ["prompt", name],
            "authorization_query_args_values": ["login", "x"],
        });
        login_refused(fixed, "config.authorization_query_args_names[1]", "");
        let passed = json!({ "authorization_query_args_client": [name] });
        login_refused(passed, "config.authorization_query_args_client[0]", "");
    }
    for name in ["scope", "max_age", "audience", "resource"] {
        let passed = json!({ "authorization_query_args_client": [name] });
        login_refused(
            passed,
            "config.authorization_query_args_client[0]",
            "must not choose",
        );
    }
    let uneven = json!({ "authorization_query_args_names": ["prompt"] });
    login_refused(
        uneven,
        "config.authorization_query_args_values",
        "go in pairs",
    );
}

#[test]
fn cookies_that_browsers_reject_are_refused() {
    let secure = "config.authorization_cookie_secure";
    let none =
        json!({ "authorization_cookie_same_site": "None", "authorization_cookie_secure": false });
    login_refused(none, secure, "SameSite=None");
    let named =
        json!({ "authorization_cookie_name": "__Host-a", "authorization_cookie_secure": false });
    login_refused(named, secure, "of this name");
    let domain = json!({ "authorization_cookie_name": "__Host-a", "authorization_cookie_domain": "a.example" });
    login_refused(domain, "config.authorization_cookie_domain", "no domain");
    let path =
        json!({ "authorization_cookie_name": "__Host-a", "authorization_cookie_path": "/a" });
    login_refused(path, "config.authorization_cookie_path", "the path `/`");
}

#[test]
fn a_form_post_without_its_cookie_is_warned_of() {
    for (same_site, count) in [("Strict", 1), ("Lax", 1), ("None", 0), ("Default", 0)] {
        let members =
            |mode| json!({ "response_mode": mode, "authorization_cookie_same_site": same_site });
        assert_eq!(
            login_warned(members("form_post")).len(),
            count,
            "{same_site}"
        );
        assert_eq!(login_warned(members("query")).len(), 0, "{same_site}");
    }
}

#[test]
fn weakening_is_warned_of() {
    let members = json!({ "verify_nonce": false, "require_proof_key_for_code_exchange": false });
    assert_eq!(login_warned(members).len(), 2);
}

#[test]
fn the_code_flow_needs_a_client() {
    let named = json!({ "auth_methods": ["authorization_code"] });
    let errors = with_methods(named).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("config.client_id: is required"),
        "{errors:?}"
    );
    let ((_, methods), warnings) = with_methods(json!({})).unwrap();
    assert_eq!(
        methods.enabled,
        [AuthMethod::Bearer],
        "by default it is left out"
    );
    assert_eq!(methods.left_out, [AuthMethod::AuthorizationCode]);
    assert!(
        warnings[0].contains("want of a `client_id`"),
        "{warnings:?}"
    );
}

#[test]
fn authentication_goes_with_what_there_is_to_show() {
    let endpoint = "config.token_endpoint_auth_method";
    for method in ["self_signed_tls_client_auth", "tls_client_auth"] {
        login_refused(
            json!({ "token_endpoint_auth_method": method }),
            endpoint,
            "not built",
        );
        login_refused(
            json!({ "client_auth": [method] }),
            "config.client_auth[0]",
            "not built",
        );
    }
    for method in ["client_secret_basic", "client_secret_post"] {
        let members =
            |secret| json!({ "client_secret": secret, "token_endpoint_auth_method": method });
        assert!(login(members(json!(["s"]))).is_ok());
        login_refused(members(json!([])), endpoint, "needs a `client_secret`");
    }
    let public = |secret| json!({ "client_secret": secret, "client_auth": ["none"] });
    assert!(login_warned(public(json!([]))).is_empty());
    assert_eq!(login_warned(public(json!(["s"]))).len(), 1);
    let bare = json!({ "client_secret": null });
    assert!(login_warned(bare).is_empty(), "a public client");
}

#[test]
fn the_defaults_of_a_logout_are_kongs() {
    let (logout, warnings) = logout(json!({})).unwrap();
    let expected = LogoutSettings {
        methods: vec![LogoutMethod::Delete, LogoutMethod::Post],
        query_arg: None,
        post_arg: None,
        uri_suffix: None,
        end_session_endpoint: None,
    };
    assert_eq!((&logout, warnings.len()), (&expected, 0));
    assert!(logout.takes(b"POST") && logout.takes(b"DELETE"));
    assert!(!logout.takes(b"GET") && !logout.takes(b"post") && !logout.takes(b""));
}

#[test]
fn every_setting_of_a_logout_is_read() {
    let (logout, warnings) = logout(json!({
        "logout_methods": ["GET", "POST"],
        "logout_query_arg": "logout",
        "logout_post_arg": "bye",
        "logout_uri_suffix": "/logout",
        "end_session_endpoint": "https://idp.example/logout",
    }))
    .unwrap();
    assert!(logout.takes(b"GET") && !logout.takes(b"DELETE"));
    assert_eq!(logout.query_arg.as_deref(), Some("logout"));
    assert_eq!(logout.post_arg.as_deref(), Some("bye"));
    assert_eq!(logout.uri_suffix.as_deref(), Some("/logout"));
    assert_eq!(
        logout.end_session_endpoint,
        Url::parse("https://idp.example/logout").ok()
    );
    assert!(
        warnings[0].starts_with("config.logout_methods: `GET`"),
        "{warnings:?}"
    );
}

#[test]
fn a_logout_that_cannot_be_is_refused_or_warned_of() {
    for (members, path) in [
        (
            json!({ "logout_methods": ["PUT"] }),
            "config.logout_methods[0]",
        ),
        (json!({ "logout_query_arg": "" }), "config.logout_query_arg"),
        (
            json!({ "logout_uri_suffix": "/" }),
            "config.logout_uri_suffix",
        ),
        (
            json!({ "logout_uri_suffix": "/a?b" }),
            "config.logout_uri_suffix",
        ),
        (
            json!({ "end_session_endpoint": "https://a/#x" }),
            "config.end_session_endpoint",
        ),
        (
            json!({ "logout_post_arg": "a", "request_body": "off" }),
            "config.logout_post_arg",
        ),
    ] {
        let errors = logout(members).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(&format!("{path}: ")), "{errors:?}");
    }
    let (read, warnings) = logout(json!({ "logout_methods": [], "logout_post_arg": "a" })).unwrap();
    assert!(read.methods.is_empty() && !read.takes(b"POST"));
    assert_eq!(warnings.len(), 1);
}
