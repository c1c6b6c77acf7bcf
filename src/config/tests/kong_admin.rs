//! Kong's Admin API, and the method that needs it.

use serde_json::{Value, json};

use super::*;

const SERVICE: &str = "0A1b2c3d-0000-4000-8000-000000000004";

fn with_admin(admin: Value) -> Value {
    json!({ "auth_methods": ["kong_oauth2"], "kong_admin": admin })
}

#[test]
fn what_is_not_said_is_the_default() {
    let config = good(with_admin(json!({ "url": "http://kong:8001" })));
    let admin = config.kong_admin.unwrap();
    let expected = KongAdmin {
        url: "http://kong:8001/".parse().unwrap(),
        token: None,
        timeout_ms: 10_000,
        service: None,
        global_credentials: false,
    };
    assert_eq!(admin, expected);
    assert_eq!(config.methods.enabled, [AuthMethod::KongOauth2]);
}

#[test]
fn everything_can_be_said() {
    let config = good(with_admin(json!({
        "url": "https://kong.example/team", "token": "{vault://env/my-secret}", "timeout": 1500.0,
        "service": SERVICE, "global_credentials": true,
    })));
    let expected = KongAdmin {
        url: "https://kong.example/team".parse().unwrap(),
        token: Some(Secret::new("a secret of the environment, long enough")),
        timeout_ms: 1500,
        service: Some(SERVICE.to_lowercase()),
        global_credentials: true,
    };
    assert_eq!(config.kong_admin, Some(expected));
}

#[test]
fn the_method_needs_it() {
    for absent in [json!({}), json!({ "kong_admin": null })] {
        let mut members = absent;
        members["auth_methods"] = json!(["bearer", "kong_oauth2"]);
        refused(
            members,
            "config.kong_admin",
            "since `auth_methods` names `kong_oauth2`",
        );
    }
    // By default it is left out, and that is told; with the API it is there.
    let config = good(json!({}));
    assert!(config.methods.left_out.contains(&AuthMethod::KongOauth2));
    assert!(
        config.summary().contains("left out: kong_oauth2"),
        "{}",
        config.summary()
    );
    let warnings = warned(json!({}));
    let told = "left out for want of a `kong_admin`: kong_oauth2";
    assert!(
        warnings.iter().any(|text| text.contains(told)),
        "{warnings:?}"
    );
    let config = good(json!({ "kong_admin": { "url": "http://kong:8001" } }));
    assert!(config.methods.has(AuthMethod::KongOauth2));
}

#[test]
fn mistakes_are_named() {
    for (admin, path, text) in [
        (json!({}), "config.kong_admin.url", "is required"),
        (
            json!("http://kong:8001"),
            "config.kong_admin",
            "write an object",
        ),
        (json!([]), "config.kong_admin", "write an object"),
        (json!({ "url": 1 }), "config.kong_admin.url", "write a text"),
        (
            json!({ "url": "kong:8001" }),
            "config.kong_admin.url",
            "http",
        ),
        (
            json!({ "url": "http://kong:8001/?a=b" }),
            "config.kong_admin.url",
            "query",
        ),
        (
            json!({ "url": "http://me:secret@kong:8001/" }),
            "config.kong_admin.url",
            "credentials",
        ),
        (
            json!({ "url": "http://kong", "uri": "x" }),
            "config.kong_admin.uri",
            "did you mean `url`",
        ),
        (
            json!({ "url": "http://kong", "token": "" }),
            "config.kong_admin.token",
            "is empty",
        ),
        (
            json!({ "url": "http://kong", "token": "a\nb" }),
            "config.kong_admin.token",
            "control",
        ),
        (
            json!({ "url": "http://kong", "timeout": 0 }),
            "config.kong_admin.timeout",
            "is 0",
        ),
        (
            json!({ "url": "http://kong", "timeout": "1" }),
            "config.kong_admin.timeout",
            "milliseconds",
        ),
        (
            json!({ "url": "http://kong", "service": "my-service" }),
            "config.kong_admin.service",
            "UUID",
        ),
        (
            json!({ "url": "http://kong", "service": "" }),
            "config.kong_admin.service",
            "UUID",
        ),
        (
            json!({ "url": "http://kong", "global_credentials": "yes" }),
            "config.kong_admin.global_credentials",
            "true or false",
        ),
    ] {
        refused(with_admin(admin), path, text);
    }
}

#[test]
fn what_has_no_effect_or_a_surprising_one_is_warned_of() {
    let admin = json!({ "url": "http://kong:8001" });
    let warnings = warned(json!({ "auth_methods": ["bearer"], "kong_admin": admin }));
    assert!(warnings[0].contains("no effect"), "{warnings:?}");
    let both = json!({ "auth_methods": ["kong_oauth2", "userinfo"], "kong_admin": admin });
    let warnings = warned(both);
    assert!(
        warnings[0].contains("looked up in Kong alone"),
        "{warnings:?}"
    );
}
