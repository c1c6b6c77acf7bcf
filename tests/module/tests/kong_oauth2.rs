//! A token of Kong's own OAuth2 plugin, looked up through Kong's Admin API: the compiled filter, in both hosts.

mod common;

use common::flow::{Flow, both};
use common::{envoy, kong};
use module_host::Mode;
use serde_json::{Value, json};
use support::issuer::now;
use support::provider::{Behaviour, Provider};

const TOKEN: &str = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";
const CREDENTIAL: &str = "0a1b2c3d-0000-4000-8000-000000000002";
const CONSUMER: &str = "0a1b2c3d-0000-4000-8000-000000000003";
/// What the host like Kong says in `kong.service_id`.
const SERVICE: &str = "00000000-0000-0000-0000-000000000002";
const OTHER_SERVICE: &str = "00000000-0000-0000-0000-000000000009";

/// A host whose filter asks an Admin API.
struct Kong {
    admin: Provider,
    flow: Flow,
}

impl Kong {
    /// With these members in `kong_admin`, and the token belonging to this service.
    fn new(mode: Mode, members: Value, service: Option<&str>) -> Kong {
        let admin = Provider::start();
        let row = json!({
            "access_token": TOKEN, "credential": {"id": CREDENTIAL}, "scope": "read",
            "service": service.map(|id| json!({"id": id})),
            // The filter's clock stands still while this machine's goes on.
            "created_at": now() - 5, "expires_in": 7200,
        });
        let credential = json!({
            "id": CREDENTIAL, "client_id": "the-app", "client_secret": "hush", "consumer": {"id": CONSUMER},
        });
        let consumer = json!({"id": CONSUMER, "username": "alex", "custom_id": null});
        for (path, document) in [
            (token_path(), row),
            (credential_path(), credential),
            (consumer_path(), consumer),
        ] {
            admin.always(&path, Behaviour::Answer(document.to_string().into_bytes()));
        }
        let mut own = json!({"url": admin.issuer()});
        for (name, value) in members.as_object().into_iter().flatten() {
            own[name] = value.clone();
        }
        let clusters = json!({"*": "provider", admin.issuer(): "admin"});
        let config =
            json!({"auth_methods": ["kong_oauth2"], "kong_admin": own, "clusters": clusters});
        let address = admin.address();
        let flow = Flow::build(mode, &config, |options| options.cluster("admin", address));
        Kong { admin, flow }
    }

    /// The token is good, and the upstream gets its owner and no client's word.
    fn admits(&self) {
        let forged = [
            ("X-Consumer-Username", "mallory"),
            ("X-Authenticated-Scope", "admin"),
        ];
        let answer = self.flow.get_with("/app", TOKEN, &forged);
        assert_eq!(answer.status(), 200, "{}", self.flow.log());
        let seen = self.flow.upstream.take_one();
        for (name, value) in [
            ("x-consumer-id", CONSUMER),
            ("x-consumer-username", "alex"),
            ("x-credential-identifier", "the-app"),
            ("x-authenticated-scope", "read"),
        ] {
            assert_eq!(
                seen.header(name).as_deref(),
                Some(value),
                "{name}: {seen:?}"
            );
        }
        self.flow.assert_sound();
    }

    /// This token is answered with this status, and the upstream sees nothing.
    fn answers(&self, token: &str, status: u16, code: &str) {
        let answer = self.flow.get_with("/app", token, &[]);
        assert_eq!(answer.status(), status, "{}", self.flow.log());
        self.flow.assert_untouched();
        let log = self.flow.log();
        assert!(
            log.contains(code) && !log.contains(TOKEN) && !log.contains("hush"),
            "{log}"
        );
    }

    fn calls(&self) -> [usize; 3] {
        [token_path(), credential_path(), consumer_path()].map(|path| self.admin.calls(&path))
    }
}

fn token_path() -> String {
    format!("/oauth2_tokens/{TOKEN}")
}

fn credential_path() -> String {
    format!("{}/credential", token_path())
}

fn consumer_path() -> String {
    format!("/consumers/{CONSUMER}")
}

#[test]
fn a_token_of_kong_leads_to_its_consumer() {
    for mode in both() {
        let kong = Kong::new(mode, json!({"global_credentials": true}), None);
        kong.answers("nobodys", 401, "kong_token_unknown");
        kong.answers("..%2fconsumers", 401, "token_malformed");
        for _ in 0..3 {
            kong.admits();
        }
        assert_eq!(kong.calls(), [1, 1, 1]);
        assert_eq!(
            kong.flow.fetches(),
            (0, 0),
            "the provider has no part in it"
        );
    }
}

#[test]
fn kong_says_for_which_service_a_request_is_and_envoy_does_not() {
    let here = Kong::new(kong(|_| {}), json!({}), Some(SERVICE));
    here.admits();
    here.admits();
    assert_eq!(here.calls(), [1, 1, 1]);
    let elsewhere = Kong::new(kong(|_| {}), json!({}), Some(OTHER_SERVICE));
    elsewhere.answers(TOKEN, 401, "kong_token_service");
    let unsaid = Kong::new(envoy(|_| {}), json!({}), Some(SERVICE));
    unsaid.answers(TOKEN, 401, "write `kong_admin.service`");
    // What is configured wins.
    for mode in both() {
        let said = Kong::new(mode, json!({"service": OTHER_SERVICE}), Some(OTHER_SERVICE));
        said.admits();
    }
}

#[test]
fn an_admin_api_that_is_gone_lets_nobody_in() {
    for mode in both() {
        let kong = Kong::new(
            mode,
            json!({"global_credentials": true, "timeout": 500}),
            None,
        );
        for (path, behaviour, code) in [
            (token_path(), Behaviour::Close, "kong_admin_unreachable"),
            (credential_path(), Behaviour::Hang, "kong_admin_unreachable"),
            (consumer_path(), Behaviour::Status(500), "kong_admin_failed"),
            (token_path(), Behaviour::Status(403), "kong_admin_refused"),
            (credential_path(), Behaviour::Cut, "kong_admin_"),
        ] {
            kong.admin.next(&path, behaviour);
            kong.answers(TOKEN, 500, code);
            // A failure is the answer for a second.
            kong.flow.clock.advance(std::time::Duration::from_secs(1));
        }
        kong.admits();
    }
}
