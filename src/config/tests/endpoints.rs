//! The settings of the token, introspection and userinfo endpoints, read directly.

use serde_json::{Value, json};

use super::*;

fn token(members: Value) -> Read<TokenSettings> {
    let mut reader = reader(members);
    let read = TokenSettings::read(&mut reader);
    ended(reader, read)
}

fn introspection(members: Value) -> Read<IntrospectionSettings> {
    let mut reader = reader(members);
    let read = IntrospectionSettings::read(&mut reader);
    ended(reader, read)
}

fn userinfo(members: Value) -> Read<UserinfoSettings> {
    let mut reader = reader(members);
    let read = UserinfoSettings::read(&mut reader);
    ended(reader, read)
}

#[track_caller]
fn refused_at<T: std::fmt::Debug>(read: Read<T>, path: &str, text: &str) {
    let errors = read.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with(&format!("config.{path}: ")),
        "{errors:?}"
    );
    assert!(errors[0].contains(text), "{errors:?}");
}

fn secrets(pairs: &[(&str, &str)]) -> Vec<(String, Secret)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
        .collect()
}

#[test]
fn the_defaults_are_kongs() {
    let (read, warnings) = token(json!({})).unwrap();
    let expected = TokenSettings {
        endpoint: None,
        auth: None,
        headers: ExtraHeaders::default(),
        arguments: ExtraArguments::default(),
        replay: Replay {
            headers: Vec::new(),
            grants: vec![
                Grant::AuthorizationCode,
                Grant::ClientCredentials,
                Grant::Password,
                Grant::RefreshToken,
            ],
        },
    };
    assert_eq!((read, warnings.len()), (expected, 0));
    let (read, warnings) = introspection(json!({})).unwrap();
    let expected = IntrospectionSettings {
        endpoint: None,
        auth: None,
        token_param: "token".to_owned(),
        hint: "access_token".to_owned(),
        accept: IntrospectionAccept::Json,
        check_active: true,
        jwt_tokens: false,
        headers: ExtraHeaders::default(),
        arguments: ExtraArguments::default(),
    };
    assert_eq!((read, warnings.len()), (expected, 0));
    let (read, warnings) = userinfo(json!({})).unwrap();
    let expected = UserinfoSettings {
        endpoint: None,
        accept: UserinfoAccept::Json,
        headers: ExtraHeaders::default(),
        arguments: ExtraArguments::default(),
    };
    assert_eq!((read, warnings.len()), (expected, 0));
}

#[test]
fn every_setting_of_the_token_endpoint_is_read() {
    let (read, _) = token(json!({
        "token_endpoint": "http://idp.example/token?t=1",
        "token_endpoint_auth_method": "client_secret_post",
        "token_headers_names": ["X_Tenant", "User-Agent"],
        "token_headers_values": ["one", "me"],
        "token_headers_client": ["X-Device"],
        "token_headers_replay": ["X-Limit", "date"],
        "token_headers_prefix": "IdP_",
        "token_headers_grants": ["password", "authorization_code"],
        "token_post_args_names": ["resource", "scope"],
        "token_post_args_values": ["https://api", "a b"],
        "token_post_args_client": ["otp"],
    }))
    .unwrap();
    assert_eq!(
        read.endpoint,
        Url::parse("http://idp.example/token?t=1").ok()
    );
    assert_eq!(read.auth, Some(ClientAuth::ClientSecretPost));
    assert_eq!(
        read.headers.fixed,
        secrets(&[("x_tenant", "one"), ("user-agent", "me")])
    );
    assert_eq!(read.headers.from_client, ["x-device"]);
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        read.replay.headers,
        [pair("x-limit", "idp-x-limit"), pair("date", "idp-date")]
    );
    assert_eq!(
        read.replay.grants,
        [Grant::AuthorizationCode, Grant::Password]
    );
    assert_eq!(
        read.arguments.fixed,
        secrets(&[("resource", "https://api"), ("scope", "a b")])
    );
    assert_eq!(read.arguments.from_client, ["otp"]);
    assert!(read.arguments.from_headers.is_empty());
}

#[test]
fn every_setting_of_introspection_is_read() {
    let (read, warnings) = introspection(json!({
        "introspection_endpoint": "https://idp.example/introspect",
        "introspection_endpoint_auth_method": "none",
        "introspection_token_param_name": "tok",
        "introspection_hint": "refresh_token",
        "introspection_accept": "application/token-introspection+jwt",
        "introspection_check_active": false,
        "introspect_jwt_tokens": true,
        "introspection_headers_names": ["Authorization"],
        "introspection_headers_values": ["Bearer a-token"],
        "introspection_headers_client": ["X-Tenant"],
        "introspection_post_args_names": ["realm"],
        "introspection_post_args_values": ["one"],
        "introspection_post_args_client": ["device"],
        "introspection_post_args_client_headers": ["X-Method"],
    }))
    .unwrap();
    assert_eq!(
        read.endpoint,
        Url::parse("https://idp.example/introspect").ok()
    );
    assert_eq!(read.auth, Some(ClientAuth::None));
    assert_eq!(
        (read.token_param.as_str(), read.hint.as_str()),
        ("tok", "refresh_token")
    );
    assert_eq!(read.accept.name(), "application/token-introspection+jwt");
    assert!(!read.check_active && read.jwt_tokens);
    assert_eq!(
        read.headers.fixed,
        secrets(&[("authorization", "Bearer a-token")])
    );
    assert_eq!(read.headers.from_client, ["x-tenant"]);
    assert_eq!(read.arguments.fixed, secrets(&[("realm", "one")]));
    assert_eq!(read.arguments.from_client, ["device"]);
    assert_eq!(
        read.arguments.from_headers,
        [("X-Method".to_owned(), "x-method".to_owned())]
    );
    assert!(
        warnings[0].starts_with("config.introspection_check_active: "),
        "{warnings:?}"
    );
    for (name, accept) in [
        ("application/json", IntrospectionAccept::Json),
        ("application/jwt", IntrospectionAccept::Jwt),
    ] {
        let (read, _) = introspection(json!({ "introspection_accept": name })).unwrap();
        assert_eq!((read.accept, read.accept.name()), (accept, name));
    }
}

#[test]
fn every_setting_of_userinfo_is_read() {
    let (read, _) = userinfo(json!({
        "userinfo_endpoint": "https://idp.example/me",
        "userinfo_accept": "application/jwt",
        "userinfo_headers_names": ["x-a"],
        "userinfo_headers_values": ["1"],
        "userinfo_headers_client": ["x-b"],
        "userinfo_query_args_names": ["schema"],
        "userinfo_query_args_values": ["openid"],
        "userinfo_query_args_client": ["lang"],
    }))
    .unwrap();
    assert_eq!(read.endpoint, Url::parse("https://idp.example/me").ok());
    assert_eq!(
        (read.accept, read.accept.name()),
        (UserinfoAccept::Jwt, "application/jwt")
    );
    assert_eq!(read.headers.fixed, secrets(&[("x-a", "1")]));
    assert_eq!(read.headers.from_client, ["x-b"]);
    assert_eq!(read.arguments.fixed, secrets(&[("schema", "openid")]));
    assert_eq!(read.arguments.from_client, ["lang"]);
}

#[test]
fn names_and_values_go_in_pairs() {
    for prefix in ["token_headers", "token_post_args"] {
        let (names, values) = (format!("{prefix}_names"), format!("{prefix}_values"));
        refused_at(
            token(json!({ &names: ["a", "b"], &values: ["1"] })),
            &values,
            "pairs",
        );
        refused_at(token(json!({ &names: ["a"] })), &values, "pairs");
    }
    for prefix in ["introspection_headers", "introspection_post_args"] {
        let (names, values) = (format!("{prefix}_names"), format!("{prefix}_values"));
        refused_at(
            introspection(json!({ &values: ["1"], &names: [] })),
            &values,
            "pairs",
        );
    }
    for prefix in ["userinfo_headers", "userinfo_query_args"] {
        let (names, values) = (format!("{prefix}_names"), format!("{prefix}_values"));
        refused_at(
            userinfo(json!({ &names: ["a", "b"], &values: ["1", "2", "3"] })),
            &values,
            "pairs",
        );
    }
}

#[test]
fn what_a_call_writes_itself_is_not_the_operators() {
    let header = |prefix: &str, name: &str| json!({ format!("{prefix}_headers_names"): ["x-a", name], format!("{prefix}_headers_values"): ["1", "2"] });
    for name in [
        "Host",
        "content-length",
        "Content-Type",
        "connection",
        "authorization",
        "accept",
    ] {
        refused_at(
            token(header("token", name)),
            "token_headers_names[1]",
            "itself",
        );
        refused_at(
            introspection(header("introspection", name)),
            "introspection_headers_names[1]",
            "itself",
        );
        refused_at(
            userinfo(header("userinfo", name)),
            "userinfo_headers_names[1]",
            "itself",
        );
    }
    refused_at(
        token(header("token", ":path")),
        "token_headers_names[1]",
        "HTTP/2",
    );
    let broken = json!({ "token_headers_names": ["x-a"], "token_headers_values": ["a\r\nb"] });
    refused_at(token(broken), "token_headers_values[0]", "control");
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "username",
        "client_assertion",
        "",
    ] {
        let fixed =
            json!({ "token_post_args_names": ["a", name], "token_post_args_values": ["1", "2"] });
        refused_at(token(fixed), "token_post_args_names[1]", "");
        refused_at(
            token(json!({ "token_post_args_client": [name] })),
            "token_post_args_client[0]",
            "",
        );
    }
    for name in ["token", "token_type_hint", "client_id"] {
        let fixed = json!({ "introspection_post_args_names": [name], "introspection_post_args_values": ["1"] });
        refused_at(
            introspection(fixed),
            "introspection_post_args_names[0]",
            "itself",
        );
        let passed = json!({ "introspection_post_args_client_headers": [name] });
        refused_at(
            introspection(passed),
            "introspection_post_args_client_headers[0]",
            "itself",
        );
    }
    let own = json!({ "introspection_token_param_name": "tok", "introspection_post_args_client": ["tok"] });
    refused_at(
        introspection(own),
        "introspection_post_args_client[0]",
        "itself",
    );
    refused_at(
        userinfo(json!({ "userinfo_query_args_client": ["access_token"] })),
        "userinfo_query_args_client[0]",
        "itself",
    );
}

#[test]
fn a_client_chooses_no_rights_and_shows_no_credential() {
    let (_, warnings) = token(json!({ "token_post_args_client": ["scope"] })).unwrap();
    assert!(
        warnings
            .iter()
            .any(|line| line.contains("chooses the `scope`")),
        "{warnings:?}"
    );
    refused_at(
        introspection(json!({ "introspection_post_args_client": ["scope"] })),
        "introspection_post_args_client[0]",
        "must not choose",
    );
    for name in ["audience", "resource"] {
        refused_at(
            token(json!({ "token_post_args_client": [name] })),
            "token_post_args_client[0]",
            "must not choose",
        );
    }
    for name in ["Authorization", "cookie", "Proxy-Authorization"] {
        let text = if name == "Authorization" {
            ""
        } else {
            "credential"
        };
        refused_at(
            token(json!({ "token_headers_client": [name] })),
            "token_headers_client[0]",
            text,
        );
        let argument = json!({ "introspection_post_args_client_headers": [name] });
        refused_at(
            introspection(argument),
            "introspection_post_args_client_headers[0]",
            "credential",
        );
    }
    let none = json!({ "introspection_endpoint_auth_method": "none", "introspection_headers_client": ["authorization"] });
    refused_at(
        introspection(none),
        "introspection_headers_client[0]",
        "credential",
    );
}

#[test]
fn no_name_stands_twice() {
    let twice =
        json!({ "token_headers_names": ["x-a", "X-A"], "token_headers_values": ["1", "2"] });
    refused_at(token(twice), "token_headers_names", "twice");
    refused_at(
        token(json!({ "token_headers_client": ["x-a", "X-A"] })),
        "token_headers_client",
        "twice",
    );
    let both = json!({ "token_headers_names": ["x-a"], "token_headers_values": ["1"], "token_headers_client": ["x-a"] });
    refused_at(token(both), "token_headers_client[0]", "fixed value");
    let twice =
        json!({ "token_post_args_names": ["a", "a"], "token_post_args_values": ["1", "2"] });
    refused_at(token(twice), "token_post_args_names", "twice");
    refused_at(
        token(json!({ "token_post_args_client": ["a", "a"] })),
        "token_post_args_client",
        "twice",
    );
    let both = json!({ "token_post_args_names": ["a"], "token_post_args_values": ["1"], "token_post_args_client": ["a"] });
    refused_at(token(both), "token_post_args_client[0]", "fixed value");
    let both = json!({ "introspection_post_args_client": ["a"], "introspection_post_args_client_headers": ["a"] });
    refused_at(
        introspection(both),
        "introspection_post_args_client_headers[0]",
        "too",
    );
}

#[test]
fn what_is_replayed_harms_no_answer() {
    for name in [
        "Set-Cookie",
        "transfer-encoding",
        "location",
        "cache-control",
        "a b",
    ] {
        refused_at(
            token(json!({ "token_headers_replay": [name] })),
            "token_headers_replay[0]",
            "",
        );
    }
    let (read, _) =
        token(json!({ "token_headers_replay": ["location"], "token_headers_prefix": "x-" }))
            .unwrap();
    assert_eq!(
        read.replay.headers,
        [("location".to_owned(), "x-location".to_owned())]
    );
    let prefix = json!({ "token_headers_replay": ["cookie-x"], "token_headers_prefix": "a b" });
    refused_at(token(prefix), "token_headers_replay[0]", "");
    refused_at(
        token(json!({ "token_headers_prefix": "x-" })),
        "token_headers_prefix",
        "no effect",
    );
    refused_at(
        token(json!({ "token_headers_grants": ["password"] })),
        "token_headers_grants",
        "no effect",
    );
    let grant = json!({ "token_headers_replay": ["a"], "token_headers_grants": ["implicit"] });
    refused_at(token(grant), "token_headers_grants[0]", "`password`");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    refused_at(
        introspection(json!({ "introspection_hint": "" })),
        "introspection_hint",
        "empty",
    );
    refused_at(
        introspection(json!({ "introspection_token_param_name": "" })),
        "introspection_token_param_name",
        "empty",
    );
    refused_at(
        introspection(json!({ "introspection_token_param_name": "client_id" })),
        "introspection_token_param_name",
        "another name",
    );
    refused_at(
        introspection(json!({ "introspection_accept": "text/html" })),
        "introspection_accept",
        "`application/jwt`",
    );
    refused_at(
        introspection(json!({ "introspection_endpoint": "/a" })),
        "introspection_endpoint",
        "absolute",
    );
    refused_at(
        introspection(json!({ "introspection_check_active": "no" })),
        "introspection_check_active",
        "true or false",
    );
    refused_at(
        userinfo(json!({ "userinfo_accept": "application/token-introspection+jwt" })),
        "userinfo_accept",
        "`application/json`",
    );
    refused_at(
        userinfo(json!({ "userinfo_endpoint": "https://a.example/#x" })),
        "userinfo_endpoint",
        "fragment",
    );
    refused_at(
        token(json!({ "token_endpoint": "https://a.example/#x" })),
        "token_endpoint",
        "fragment",
    );
    refused_at(
        token(json!({ "token_endpoint_auth_method": "magic" })),
        "token_endpoint_auth_method",
        "`none`",
    );
}

#[test]
fn the_values_are_not_printed() {
    let values = json!({
        "token_headers_names": ["x-a"], "token_headers_values": ["hunter2"],
        "token_post_args_names": ["a"], "token_post_args_values": ["hunter2"],
    });
    let (read, _) = token(values).unwrap();
    assert!(!format!("{read:?}").contains("hunter2"));
}
