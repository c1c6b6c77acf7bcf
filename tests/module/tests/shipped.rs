//! The files in `kong/`, as users get them: the compiled filter in a host like Kong.

mod common;

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::exchange;
use common::flow::Flow;
use common::wire::{Message, request};
use module_host::Mode;
use serde_json::{Value, json};
use support::provider::{CLIENT, PASSWORD, Provider, ROBOT};

/// The examples: each flow with the `config` of its filter.
fn examples() -> BTreeMap<String, Value> {
    let folder = fs::read_dir(support::workspace().join("kong")).expect("the folder");
    folder
        .map(|file| {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("readable");
            let file: Value = serde_yaml_ng::from_str(&text).expect("YAML");
            let filter = &file["services"][0]["filter_chains"][0]["filters"][0];
            assert_eq!(filter["name"], "oidc-filter", "{}", path.display());
            let flow = path.file_stem().and_then(|name| name.to_str());
            (flow.expect("a name").to_owned(), filter["config"].clone())
        })
        .collect()
}

/// As Kong hands a configuration over: every empty list arrives as an empty object.
fn serialised_by_kong(value: &mut Value) {
    match value {
        Value::Array(items) if items.is_empty() => *value = json!({}),
        Value::Array(items) => items.iter_mut().for_each(serialised_by_kong),
        Value::Object(members) => members.values_mut().for_each(serialised_by_kong),
        _ => {}
    }
}

/// A host with this configuration, but for issuer and secret, which are those of the scripted provider.
fn host(mut config: Value) -> Flow {
    serialised_by_kong(&mut config);
    let own = |provider: &Provider| {
        config["issuer"] = provider.issuer().into();
        if !config["client_secret"].is_null() {
            assert_eq!(config["client_id"], json!([CLIENT.0]));
            config["client_secret"] = json!([CLIENT.1]);
        }
        config
    };
    Flow::exactly(Mode::kong(), own, |mut options| {
        let secret = "a-secret-of-more-than-sixteen-bytes";
        options
            .env
            .insert("SESSION_SECRET".to_owned(), secret.to_owned());
        // The provider's own: it makes the tokens.
        options.clock = None;
        options
    })
}

/// A credential: the header, a good value, the value of its nearest twin, and whose it is.
struct Credential(&'static str, String, String, &'static str);

fn basic((name, secret): (&str, &str), user: &'static str) -> Credential {
    let of = |secret: &str| {
        let pair = BASE64_STANDARD.encode(format!("{name}:{secret}"));
        format!("Basic {pair}")
    };
    let twin = of(&format!("{secret}x"));
    Credential("authorization", of(secret), twin, user)
}

/// A credential of the flow; none where nobody here gives one.
fn credential(flow: &str, provider: &Provider) -> Option<Credential> {
    let token = |kind: &str, header: &'static str, scheme: &str| {
        let fields = [
            ("grant_type", "password"),
            ("client_id", CLIENT.0),
            ("client_secret", CLIENT.1),
            ("username", PASSWORD.0),
            ("password", PASSWORD.1),
            ("scope", "openid profile email"),
        ];
        let tokens = provider.ask_for_tokens(&fields);
        let token = tokens[kind].as_str().expect("a token");
        let good = format!("{scheme}{token}");
        let twin = good[..good.len() - 2].to_owned();
        Credential(header, good, twin, "alex")
    };
    Some(match flow {
        // `tests/kong_oauth2.rs` has an Admin API.
        "kong-oauth-token" => return None,
        "session" | "password" => basic(PASSWORD, "alex"),
        // The provider gives a client no name, and on Kong a header is emptied, never removed.
        "client-credentials" => basic(ROBOT, ""),
        "refresh-token" => token("refresh_token", "refresh-token", ""),
        "bearer" | "routes" | "authorization-code" | "introspection" | "user-info" => {
            token("access_token", "authorization", "Bearer ")
        }
        other => panic!("a credential for {other}?"),
    })
}

#[test]
fn every_example_for_kong_refuses_who_shows_nothing_and_lets_in_who_may() {
    let examples = examples();
    assert!(examples.len() >= 9, "{:?}", examples.keys());
    for (flow, config) in examples {
        let own = host(config);
        let ask = |headers: &[(&str, &str)]| -> Message {
            let mut all = vec![("host", "api.test"), ("x-user", "root")];
            all.extend(headers);
            exchange(&own.host, &request("GET", "/orders", &all, b""))
        };
        let refused = if flow == "authorization-code" {
            302
        } else {
            401
        };
        assert_eq!(ask(&[]).status(), refused, "{flow}: {}", own.log());
        own.assert_untouched();
        let Some(Credential(header, good, twin, user)) = credential(&flow, &own.provider) else {
            continue;
        };
        for (value, status) in [(&twin, 401), (&good, 200)] {
            let answer = ask(&[(header, value)]);
            assert_eq!(answer.status(), status, "{flow}: {}", own.log());
            if status == 401 {
                own.assert_untouched();
            }
        }
        let seen = own.upstream.take_one();
        assert_eq!(seen.all("x-user"), [user], "{flow}");
        own.assert_sound();
    }
}
