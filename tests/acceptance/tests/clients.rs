//! Several clients of ours at one provider: which one a request means, by the ids of its scenarios.

use acceptance::{Gateway, basic, merged};
use serde_json::{Value, json};
use support::browser::Browser;
use support::provider::{CLIENT, PASSWORD, Provider, ROBOT};

/// A gateway with two clients, which tells the upstream the client that a token was given to.
fn two_clients(provider: &Provider, members: Value) -> Gateway {
    let config = json!({
        "client_id": [CLIENT.0, ROBOT.0],
        "client_secret": [CLIENT.1, ROBOT.1],
        "auth_methods": ["password", "authorization_code"],
        "upstream_headers": [
            {"header": "x-user", "path": ["preferred_username"]},
            {"header": "x-client", "path": ["azp"]},
        ],
    });
    Gateway::for_logins(provider, merged(config, members))
}

/// Whoever asks so gets in as this client, and is sent to the login of this client.
fn is_of(gateway: &Gateway, target: &str, header: Option<(&str, &str)>, client: &str) {
    let with = |secret: &str| {
        let own = basic(PASSWORD.0, secret);
        let mut headers = vec![("authorization", own.as_str())];
        headers.extend(header);
        gateway.get(target, &headers)
    };
    let seen = gateway.forwarded(&with(PASSWORD.1));
    assert_eq!(seen.all("x-client"), [client], "{target} {header:?}");
    gateway.answered(&with("wrong"), 401);

    let mut browser = Browser::new();
    let more = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
    browser.headers.extend(more);
    let page = browser.get(&gateway.url(target));
    gateway.asks_to_log_in(&page);
    assert_eq!(page.parameter("client_id").as_deref(), Some(client));
}

#[test]
fn dx_04_a_request_names_its_client_by_id_or_by_index() {
    let provider = Provider::start();
    let gateway = two_clients(&provider, json!({}));
    for (target, client) in [
        ("/hello?client_id=robot", ROBOT.0),
        ("/hello?client_id=2", ROBOT.0),
        ("/hello", CLIENT.0),
        ("/hello?client_id=1", CLIENT.0),
        ("/hello?client_id=9", CLIENT.0),
        ("/hello?client_id=0", CLIENT.0),
        ("/hello?client_id=nobody", CLIENT.0),
    ] {
        is_of(&gateway, target, None, client);
    }
    for name in ["client-id", "x-client-id"] {
        for (value, client) in [
            ("2", ROBOT.0),
            ("robot", ROBOT.0),
            ("1", CLIENT.0),
            ("9", CLIENT.0),
        ] {
            is_of(&gateway, "/hello", Some((name, value)), client);
        }
    }
}

#[test]
fn dx_05_the_argument_that_names_a_client_may_have_another_name() {
    let provider = Provider::start();
    let gateway = two_clients(&provider, json!({"client_arg": "client_config"}));
    for name in ["x-client-config", "client-config"] {
        is_of(&gateway, "/hello", Some((name, "2")), ROBOT.0);
    }
    is_of(&gateway, "/hello?client_config=robot", None, ROBOT.0);
    // The usual name says nothing then.
    is_of(&gateway, "/hello?client_id=2", None, CLIENT.0);
    is_of(&gateway, "/hello", Some(("client-id", "2")), CLIENT.0);
}
