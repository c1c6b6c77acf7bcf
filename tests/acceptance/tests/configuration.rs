//! Configurations: wrong ones, two in one virtual machine, and one that changes under way.

use acceptance::{Gateway, bearer, eventually, merged, tampered};
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
        (
            json!({"auth_methods": ["bearer", "telepathy"]}),
            "config.auth_methods[1]",
        ),
        (
            json!({"upstream_headers": [{"header": "x-user", "path": ["sub"]}, {"header": "x y", "path": ["sub"]}]}),
            "config.upstream_headers[1]",
        ),
        (
            json!({"client_secret": ["{vault://env/NOT_THERE}"]}),
            "config.client_secret[0]",
        ),
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
        assert!(
            log.contains(&format!("configuration refused: {path}")),
            "{path}: {log}"
        );
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
    let at_second =
        |token: &str| raw::get_with_token(([127, 0, 0, 1], port).into(), "/hello", token);
    let token = provider.token();
    let for_second = merged(
        claims(&provider.issuer()),
        json!({"aud": ["second", "account"]}),
    );
    let for_second = SigningKey::shared().token(&for_second);

    let rules = |gateway: &Gateway| {
        gateway.on_every_worker(|| {
            let bearer = bearer(&token);
            let forged = [
                ("authorization", bearer.as_str()),
                ("x-second", "mine"),
                ("x-user", "root"),
            ];
            let seen = gateway.forwarded(&gateway.get("/hello", &forged));
            assert_eq!(
                seen.header("x-second").as_deref(),
                Some("mine"),
                "not a name of the first"
            );
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
    assert_eq!(
        (provider.calls(DISCOVERY), provider.calls(JWKS)),
        (2, 2),
        "one for each worker"
    );

    // One of the two goes; the other one does not notice.
    let removed = gateway
        .envoy
        .update(|options| drop(options.listeners.remove(0)));
    removed.expect("an update");
    gateway.on_every_worker_of(port, || {
        gateway.answered(&at_second(&token), 403);
        assert_eq!(at_second(&for_second).status, 200);
        assert_eq!(
            gateway.upstream.take_one().header("x-second").as_deref(),
            Some("alex")
        );
    });
    assert_eq!(provider.calls(DISCOVERY), 2);
}

#[test]
fn requests_end_under_the_configuration_they_began_with() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let mut gateway = Gateway::before(&provider, json!({}));
    let token = provider.token();
    let bearer = bearer(&token);
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
    let update = gateway
        .envoy
        .update_config(merged(provider.config(), change));
    update.expect("an update");
    provider.always(DISCOVERY, Behaviour::Normal);
    gateway.answered(&gateway.get_with_token(&token), 403);

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
        assert_eq!(
            gateway.upstream.take_one().header("x-person").as_deref(),
            Some("alex")
        );
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
    gateway
        .envoy
        .update_config(merged(provider.config(), change))
        .expect("an update");
    gateway.on_every_worker(|| gateway.answered(&gateway.get_with_token(&token), 403));
    assert_eq!(provider.calls(DISCOVERY), 2);
    gateway
        .envoy
        .update_config(provider.config())
        .expect("an update");
    gateway.on_every_worker(|| drop(gateway.admits(&token)));
    gateway.on_every_worker(|| drop(gateway.refuses(&tampered(&token))));
}

#[test]
fn a_listener_that_goes_takes_nobody_else_along() {
    let provider = Provider::start();
    provider.always(DISCOVERY, Behaviour::Hold);
    let filter = WasmFilter::new(merged(provider.config(), json!({"leeway": 1})));
    let mut gateway = Gateway::with(&provider, json!({}), |options| {
        let filters = vec![HttpFilter::Wasm(Box::new(filter))];
        options.listeners.push(Listener::new("second", filters));
    });
    let token = provider.token();
    let bearer = bearer(&token);
    let request = raw::request("GET", "/hello", &[("authorization", bearer.as_bytes())]);
    let ports: Vec<u16> = gateway
        .envoy
        .options()
        .listeners
        .iter()
        .map(|one| one.port)
        .collect();
    let begin_at = |port: u16| {
        let mut waiting = Vec::new();
        gateway.on_every_worker_of(port, || {
            let address = ([127, 0, 0, 1], port).into();
            waiting.push(Exchange::begin(address, &request).expect("a connection"));
        });
        waiting
    };
    // Those who go came first: a call that both wait for is theirs.
    let going = begin_at(ports[0]);
    provider.wait_for_calls(DISCOVERY, 2);
    let mut staying = begin_at(ports[1]);
    let removed = gateway
        .envoy
        .update(|options| drop(options.listeners.remove(0)));
    removed.expect("an update");
    eventually("the old listener is gone", || {
        gateway
            .envoy
            .stat("listener_manager.total_listeners_draining")
            == Some(0)
    });
    assert!(gateway.upstream.seen().is_empty());

    provider.always(DISCOVERY, Behaviour::Normal);
    provider.release();
    for exchange in &mut staying {
        assert_eq!(exchange.answer().expect("an answer").status, 200);
    }
    for mut exchange in going {
        // Envoy has closed these connections.
        assert!(
            exchange
                .answer()
                .map_or(true, |answer| answer.status != 200)
        );
    }
    let seen = gateway.upstream.take();
    assert_eq!(seen.len(), staying.len());
    assert!(seen.iter().all(|seen| seen.all("x-user") == ["alex"]));
    gateway.on_every_worker_of(ports[1], || {
        let address = ([127, 0, 0, 1], ports[1]).into();
        gateway.forwarded(&raw::get_with_token(address, "/hello", &token));
        gateway.answered(
            &raw::get_with_token(address, "/hello", &tampered(&token)),
            401,
        );
    });
}

#[test]
fn a_trap_costs_its_own_request_and_the_next_is_served() {
    let provider = Provider::start();
    let mut gateway = Gateway::with(&provider, json!({}), |options| {
        // Without a clock a credential cannot be judged: the standard library gives up, and the VM with it.
        let names = options
            .filter()
            .capabilities
            .as_mut()
            .and_then(Value::as_object_mut);
        names.expect("a list").remove("clock_time_get");
    });
    gateway.traps = true;
    let token = provider.token();
    let bearer = bearer(&token);
    let trapping = raw::head_of("GET", "/hello", &[("authorization", bearer.as_bytes())]);
    let ordinary = raw::head_of("GET", "/hello", &[]);
    let reloads = |gateway: &Gateway| gateway.envoy.stat("wasm.oidc.vm_reload_success");
    assert_eq!(reloads(&gateway), Some(0));
    let mut traps = 0;
    for _ in 0..2 {
        gateway.on_every_worker(|| {
            // One connection: it is the same worker that traps and that serves again.
            let mut exchange = Exchange::begin(gateway.address(), b"").expect("a connection");
            let mut status_of = |request: &[u8]| {
                exchange.send(request).expect("an open connection");
                exchange.answer().expect("an answer").status
            };
            assert_eq!(status_of(&trapping), 503);
            // A new VM, unless the last one was loaded just before: then 503 until that is a while ago.
            eventually("the worker serves again", || status_of(&ordinary) == 401);
            traps += 1;
        });
    }
    assert!(traps >= 4, "each worker twice");
    assert!(
        reloads(&gateway) >= Some(traps),
        "{:?} after {traps} traps",
        reloads(&gateway)
    );
    assert!(gateway.upstream.seen().is_empty());

    // With its clock back the filter admits again: nothing of the traps is left.
    let whole = WasmFilter::new(provider.config());
    gateway
        .envoy
        .update(|options| *options.filter() = whole)
        .expect("an update");
    gateway.on_every_worker(|| {
        gateway.admits(&token);
        gateway.refuses(&tampered(&token));
    });
}
