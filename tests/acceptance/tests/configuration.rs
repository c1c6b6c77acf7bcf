//! Configurations: wrong ones, two in one virtual machine, and one that changes under way.

use acceptance::{Gateway, eventually, merged, tampered};
use serde_json::{Value, json};
use support::envoy::{Envoy, EnvoyOptions, HttpFilter, Listener, WasmFilter};
use support::issuer::{SigningKey, claims};
use support::ports;
use support::provider::{Behaviour, DISCOVERY, JWKS, Provider};
use support::raw::{self, Exchange};

/// Wrong members, and the path that the log must name.
fn wrong() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"issuer": null}), "config.issuer"),
        (json!({"isuer": "http://idp.test"}), "config.isuer"),
        (json!({"leeway": "long"}), "config.leeway"),
        (json!({"auth_methods": ["bearer", "telepathy"]}), "config.auth_methods[1]"),
        (
            json!({"upstream_headers": [{"header": "x-user", "path": ["sub"]}, {"header": "x y", "path": ["sub"]}]}),
            "config.upstream_headers[1]",
        ),
        (json!({"client_secret": ["{vault://env/NOT_THERE}"]}), "config.client_secret[0]"),
    ]
}

#[test]
fn a_wrong_configuration_is_refused_at_start_with_the_field_s_path() {
    let provider = Provider::start();
    let nowhere = ([127, 0, 0, 1], ports::free()).into();
    for (members, path) in wrong() {
        let mut options = EnvoyOptions::new(merged(provider.config(), members), nowhere);
        options.fixed = true;
        let error = Envoy::try_start(options).err().expect("a refusal");
        assert!(error.exit.is_some(), "{path}: {error}");
        let refused = format!("configuration refused: {path}");
        assert!(error.log.contains(&refused), "{path}: {error}");
    }
}

#[test]
fn a_wrong_update_is_refused_and_the_old_one_stays_in_force() {
    let provider = Provider::start();
    let mut gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    for (members, path) in wrong() {
        let config = merged(provider.config(), members);
        let log = gateway.envoy.update_config(config).expect_err("a refusal");
        assert!(log.contains(&format!("configuration refused: {path}")), "{path}: {log}");
    }
    gateway.on_every_worker(|| {
        gateway.admits(&token);
        gateway.refuses(&tampered(&token));
        gateway.answered(&gateway.get("/hello", &[]), 401);
    });
    assert_eq!(provider.calls(DISCOVERY), 2, "and so do its keys");
}

#[test]
fn two_configurations_in_one_vm_keep_to_their_own_rules() {
    let provider = Provider::start();
    let strict = json!({
        "audience_required": ["second"],
        "upstream_headers": [{"header": "x-second", "path": ["preferred_username"]}],
    });
    let second = WasmFilter::new(merged(provider.config(), strict));
    let mut gateway = Gateway::with(&provider, json!({}), |options| {
        let filters = vec![HttpFilter::Wasm(Box::new(second))];
        options.listeners.push(Listener::new("second", filters));
    });
    let port = gateway.envoy.options().listeners[1].port;
    let at_second = |token: &str| raw::get_with_token(([127, 0, 0, 1], port).into(), "/hello", token);
    let token = provider.token();
    let for_second = merged(claims(&provider.issuer()), json!({"aud": ["second", "account"]}));
    let for_second = SigningKey::shared().token(&for_second);

    let rules = |gateway: &Gateway| {
        gateway.on_every_worker(|| {
            let bearer = format!("Bearer {token}");
            let forged = [("authorization", bearer.as_str()), ("x-second", "mine"), ("x-user", "root")];
            let seen = gateway.forwarded(&gateway.get("/hello", &forged));
            assert_eq!(seen.header("x-second").as_deref(), Some("mine"), "not a name of the first");
            gateway.admits(&for_second);
            gateway.refuses(&tampered(&token));
        });
        gateway.on_every_worker_of(port, || {
            gateway.answered(&at_second(&token), 403);
            gateway.answered(&at_second(&tampered(&for_second)), 401);
            assert_eq!(at_second(&for_second).status, 200);
            let seen = gateway.upstream.take_one();
            assert_eq!(seen.header("x-second").as_deref(), Some("alex"));
            assert_eq!(seen.header("x-user"), None);
        });
    };
    rules(&gateway);
    // The keys are the provider's, not the configuration's.
    assert_eq!((provider.calls(DISCOVERY), provider.calls(JWKS)), (2, 2), "one for each worker");

    // One of the two goes; the other one does not notice.
    let removed = gateway.envoy.update(|options| drop(options.listeners.remove(0)));
    removed.expect("an update");
    gateway.on_every_worker_of(port, || {
        gateway.answered(&at_second(&token), 403);
        assert_eq!(at_second(&for_second).status, 200);
        assert_eq!(gateway.upstream.take_one().header("x-second").as_deref(), Some("alex"));
    });
    assert_eq!(provider.calls(DISCOVERY), 2);
}

#[test]
fn requests_end_under_the_configuration_they_began_with() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let mut gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    let bearer = format!("Bearer {token}");
    let request = raw::request("GET", "/old", &[("authorization", bearer.as_bytes())]);
    let begin = || Exchange::begin(gateway.address(), &request).expect("a connection");
    let mut waiting: Vec<Exchange> = Vec::new();
    gateway.on_every_worker(|| waiting.push(begin()));
    waiting.resize_with(50, begin);
    gateway.wait_for_active(50);
    provider.wait_for_calls(DISCOVERY, 2);

    // The new one demands what the token does not have, calls the user otherwise, and has its own provider settings.
    let change = json!({
        "roles_required": ["admin"],
        "timeout": 9000,
        "upstream_headers": [{"header": "x-person", "path": ["preferred_username"]}],
    });
    let update = gateway.envoy.update_config(merged(provider.config(), change));
    update.expect("an update");
    provider.always(DISCOVERY, Behaviour::Normal);
    gateway.on_every_worker(|| gateway.answered(&gateway.get_with_token(&token), 403));

    provider.release();
    for exchange in &mut waiting {
        assert_eq!(exchange.answer().expect("an answer").status, 200);
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), 50);
    for seen in &seen {
        assert_eq!(seen.header("x-user").as_deref(), Some("alex"), "{seen:?}");
        assert_eq!(seen.header("x-person"), None, "{seen:?}");
    }
    let admin = merged(claims(&provider.issuer()), json!({"roles": ["admin"]}));
    let admin = SigningKey::shared().token(&admin);
    gateway.on_every_worker(|| {
        assert_eq!(gateway.get_with_token(&admin).status, 200);
        assert_eq!(gateway.upstream.take_one().header("x-person").as_deref(), Some("alex"));
        gateway.answered(&gateway.get_with_token(&token), 403);
    });
}

#[test]
fn an_update_that_leaves_the_provider_alone_keeps_its_keys() {
    let provider = Provider::start();
    let mut gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    let change = json!({"roles_required": ["admin"]});
    gateway.envoy.update_config(merged(provider.config(), change)).expect("an update");
    gateway.on_every_worker(|| gateway.answered(&gateway.get_with_token(&token), 403));
    assert_eq!(provider.calls(DISCOVERY), 2);
    gateway.envoy.update_config(provider.config()).expect("an update");
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    gateway.on_every_worker(|| drop(gateway.refuses(&tampered(&token))));
}

#[test]
fn a_trap_costs_its_own_request_and_the_next_is_served() {
    let provider = Provider::start();
    let mut gateway = Gateway::with(&provider, json!({}), |options| {
        // Without a clock a credential cannot be judged: the standard library gives up, and the VM with it.
        let names = options.filter().capabilities.as_mut().and_then(Value::as_object_mut);
        names.expect("a list").remove("clock_time_get");
    });
    gateway.traps = true;
    let token = provider.token();
    for round in 1..=2 {
        gateway.on_every_worker(|| {
            gateway.answered(&gateway.get_with_token(&token), 503);
            // A new VM, unless the last one was loaded just before: then 503 until that is a while ago.
            let served = || gateway.get("/hello", &[]).status == 401;
            eventually("the filter is back", served);
        });
        gateway.on_every_worker(|| {
            eventually("both are back", || gateway.get("/hello", &[]).status == 401);
        });
        let reloads = gateway.envoy.stat("wasm.oidc.vm_reload_success").unwrap_or(0);
        assert!(reloads >= 2 * round, "{reloads} reloads in round {round}");
    }
    assert!(gateway.upstream.seen().is_empty());

    // With its clock back the filter admits again: nothing of the traps is left.
    let whole = WasmFilter::new(provider.config());
    gateway.envoy.update(|options| *options.filter() = whole).expect("an update");
    gateway.on_every_worker(|| {
        gateway.admits(&token);
        gateway.refuses(&tampered(&token));
    });
}
