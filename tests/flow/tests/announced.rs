//! Asking the provider only for what it announces (row A `verify_parameters`).

use flow::idp::{AUTHORIZE, TOKEN};
use flow::stage::login_config;
use flow::{Dialect, Request, World};
use serde_json::{Value, json};

fn world(dialect: Dialect, metadata: Value, members: Value) -> World {
    let world = World::new(dialect, 1);
    world.put_login(metadata);
    world.route(&login_config(members));
    world
}

/// All that a login with the defaults asks for.
fn enough() -> Value {
    json!({"scopes_supported": ["openid", "email"], "response_types_supported": ["code"],
        "response_modes_supported": ["query"], "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"]})
}

#[test]
fn what_the_metadata_leave_out_is_not_asked_for() {
    for dialect in Dialect::BOTH {
        let on = json!({"verify_parameters": true, "require_proof_key_for_code_exchange": true});
        // Also where they say nothing at all.
        for metadata in [enough(), json!({})] {
            let world = world(dialect, metadata, on.clone());
            world.browser().enter("/app").outcome.assert_user("alex");
        }
        for (name, list) in [
            ("scopes_supported", json!(["email"])),
            ("response_types_supported", json!(["token"])),
            ("response_modes_supported", json!(["fragment"])),
            ("grant_types_supported", json!(["password"])),
            ("code_challenge_methods_supported", json!(["plain"])),
        ] {
            let mut metadata = enough();
            metadata[name] = list;
            let strict = world(dialect, metadata.clone(), on.clone());
            strict.ask(Request::get("/app")).assert_status(500);
            assert!(strict.logged("parameter_not_announced"), "{name}");
            let lax = world(dialect, metadata, json!({"verify_parameters": false}));
            let away = lax.browser().open("/app").away();
            assert!(away.url.starts_with(AUTHORIZE), "{name}");
        }
    }
}

#[test]
fn grants_and_ways_to_authenticate_are_looked_up_where_they_are_used() {
    let basic = || Request::get("/").header("authorization", "Basic YWxleDpzZXNhbWU=");
    for (verify, called) in [(true, 0), (false, 1)] {
        let members = json!({"auth_methods": ["password"], "verify_parameters": verify});
        let mut metadata = enough();
        let world_of_grants = world(Dialect::Envoy, metadata.clone(), members.clone());
        let _ = world_of_grants.ask(basic());
        assert_eq!(
            world_of_grants.calls_to(TOKEN),
            called,
            "no grant of passwords is announced"
        );
        metadata["grant_types_supported"] = json!(["password"]);
        let members = json!({"auth_methods": ["password"], "verify_parameters": verify,
            "client_auth": ["client_secret_post"]});
        let world_of_proofs = world(Dialect::Envoy, metadata, members);
        let _ = world_of_proofs.ask(basic());
        assert_eq!(
            world_of_proofs.calls_to(TOKEN),
            called,
            "no secret in a form is announced"
        );
    }
}
