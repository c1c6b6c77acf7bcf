//! The way in with a token of Kong's own OAuth2 plugin, looked up through Kong's Admin API (specification
//! sections 4.3 and 9.1). What it does beside others, and in trouble: kong_oauth2_beside.rs.

use flow::kong::{
    APPLICATION_SECRET, CONSUMER, CREDENTIAL, OTHER_SERVICE, ROW, SERVICE, SHOWN, admin_calls,
    assert_alex, config, consumer, consumer_url, credential, credential_url, each, put_all, row,
    token_url,
};
use flow::stage::{DISCOVERY, KONG_ADMIN, merged};
use flow::{Dialect, Request, World};
use oidc_filter::host::{Counter, Level};
use serde_json::{Value, json};

/// The row with these changes is refused for this reason, and the good one is not.
#[track_caller]
fn refused(admin: Value, changes: Value, status: u16, code: &str) {
    each(admin, json!({}), |world| {
        world.put(&token_url(SHOWN), &merged(row(world), changes.clone()));
        world.show(SHOWN).assert_status(status);
        assert!(world.logged(code), "{:?}", world.lines(Level::Info));
        // Nobody is asked what is known already.
        assert_eq!(world.calls_to(&consumer_url()), 0);
    });
}

// --- whose token it is

#[test]
fn a_token_leads_to_its_consumer_by_three_calls_and_is_then_known() {
    each(
        json!({"token": "admin-token-of-kong"}),
        json!({}),
        |world| {
            world.keep_out_of_log("admin-token-of-kong");
            for _ in 0..3 {
                let outcome = world.show(SHOWN);
                let forwarded = outcome.forwarded();
                for (name, value) in [
                    ("x-consumer-id", CONSUMER),
                    ("x-consumer-username", "alex"),
                    ("x-consumer-custom-id", "alex-1"),
                    ("x-credential-identifier", "the-app"),
                    ("x-authenticated-scope", "read write"),
                    ("x-authenticated-userid", "user-7"),
                    ("authorization", &format!("Bearer {SHOWN}")),
                ] {
                    assert_eq!(forwarded.all(name), [value], "{name}");
                }
                assert!(!forwarded.contains(APPLICATION_SECRET));
            }
            for url in [&token_url(SHOWN), &credential_url(), &consumer_url()] {
                assert_eq!(world.calls_to(url), 1, "{url}");
            }
            assert_eq!(world.counted(Counter::KongAdminAsked), 3);
            assert_eq!(world.counted(Counter::VerdictHit), 2);
            // The provider has no part in it.
            assert_eq!(world.calls_to(DISCOVERY), 0);
            for call in world.calls().iter() {
                assert_eq!(call.method, "GET");
                assert_eq!(call.header("kong-admin-token"), Some("admin-token-of-kong"));
                assert_eq!(call.header("authorization"), None);
            }
        },
    );
}

#[test]
fn what_kong_tells_is_its_own_to_tell() {
    each(json!({}), json!({}), |world| {
        // A Consumer without names, a token for nobody and nothing in particular.
        world.put(
            &consumer_url(),
            &merged(consumer(), json!({"username": "", "custom_id": null})),
        );
        world.put(
            &token_url(SHOWN),
            &merged(
                row(world),
                json!({"scope": null, "authenticated_userid": null}),
            ),
        );
        let claimed = [
            "X-Consumer-ID",
            "X-Consumer-Username",
            "X-Consumer-Custom-Id",
            "X-Consumer-Groups",
            "X-Credential-Identifier",
            "X-Credential-Username",
            "X-Authenticated-Scope",
            "X-Authenticated-Userid",
            "X-Anonymous-Consumer",
        ];
        let mut request = Request::get("/app").bearer(SHOWN);
        for name in claimed {
            request = request.header(name, "mallory");
        }
        let outcome = world.ask(request);
        assert_eq!(outcome.forwarded().all("x-consumer-id"), [CONSUMER]);
        assert_eq!(
            outcome.forwarded().all("x-credential-identifier"),
            ["the-app"]
        );
        assert!(!outcome.forwarded().contains("mallory"));
        for name in [
            "x-consumer-username",
            "x-consumer-custom-id",
            "x-authenticated-scope",
        ] {
            let left = outcome.forwarded().all(name);
            assert!(left.iter().all(String::is_empty), "{name}: {left:?}");
        }
    });
}

#[test]
fn its_scope_is_judged_like_a_claim_and_told_like_one() {
    for (required, passes) in [("write", true), ("write read", true), ("admin", false)] {
        let members = json!({
            "scopes_required": [required],
            "upstream_headers_claims": ["scope", "authenticated_userid"],
            "upstream_headers_names": ["x-scope", "x-consumer-username"],
        });
        each(json!({}), members, |world| {
            for _ in 0..2 {
                let outcome = world.show(SHOWN);
                if passes {
                    assert_eq!(outcome.forwarded().all("x-scope"), ["read write"]);
                    // What Kong knows the Consumer by wins over a claim.
                    assert_eq!(outcome.forwarded().all("x-consumer-username"), ["alex"]);
                } else {
                    outcome.assert_status(403);
                }
            }
            assert_eq!(world.calls_to(&token_url(SHOWN)), 1);
        });
    }
    // It knows no audience and no time of login: what demands one cannot be met.
    for members in [
        json!({"audience_required": ["api"]}),
        json!({"max_age": 10}),
    ] {
        each(json!({}), members, |world| {
            world.show(SHOWN).assert_status(403)
        });
    }
}

// --- traps

#[test]
fn the_id_of_a_row_is_no_token() {
    let plain = ROW.replace('-', "");
    each(json!({}), json!({}), |world| {
        // Kong's path takes it, and answers with the row.
        for id in [ROW, &plain] {
            world.put(&token_url(id), &row(world));
            world.show(id).assert_status(401);
        }
        assert_eq!(
            world.calls_to(&token_url(ROW)),
            0,
            "it is no token to begin with"
        );
        assert_eq!(world.calls_to(&token_url(&plain)), 1);
        assert!(world.logged("kong_token_unknown"));
        assert_alex(world);
    });
    // Nor is a token that differs in the case of a letter, or goes on.
    each(json!({}), json!({}), |world| {
        for near in [SHOWN.to_ascii_lowercase(), format!("{SHOWN}a")] {
            world.put(&token_url(&near), &row(world));
            world.show(&near).assert_status(401);
        }
    });
}

#[test]
fn what_would_leave_its_place_in_a_path_asks_nobody() {
    each(json!({}), json!({}), |world| {
        world.put(&format!("{KONG_ADMIN}/consumers"), &row(world));
        for token in [
            "../consumers",
            "..",
            ".",
            "a/b",
            "a%2fb",
            "%2e%2e",
            "a?b",
            "a#b",
            "a b",
            "a;b",
            "a\\b",
            "é",
            "a.b.c",
            "a-b",
            "a_b",
            &"a".repeat(513),
        ] {
            world
                .ask(Request::get("/app").header("access-token", token))
                .assert_status(401);
        }
        assert_eq!(admin_calls(world), 0);
        assert!(world.logged("token_malformed"));
        assert_alex(world);
    });
}

#[test]
fn ids_that_would_leave_their_place_in_a_path_are_none() {
    for id in [
        "../services",
        "a/b",
        "a%2fb",
        "",
        "..",
        "a b",
        &"a".repeat(65),
    ] {
        each(json!({}), json!({}), |world| {
            let changes = json!({"consumer": {"id": id}});
            world.put(&credential_url(), &merged(credential(), changes));
            world.show(SHOWN).assert_status(500);
            assert!(world.logged("kong_admin_unreadable"));
            assert_eq!(admin_calls(world), 2);
        });
        let changes = json!({"credential": {"id": id}});
        refused(json!({}), changes, 500, "");
    }
}

#[test]
fn an_answer_about_somebody_else_is_none() {
    each(json!({}), json!({}), |world| {
        world.put(&credential_url(), &merged(credential(), json!({"id": ROW})));
        world.show(SHOWN).assert_status(500);
    });
    // A Consumer whose name is the id of another one.
    each(json!({}), json!({}), |world| {
        let changes = json!({"id": ROW, "username": CONSUMER});
        world.put(&consumer_url(), &merged(consumer(), changes));
        world.show(SHOWN).assert_status(500);
        assert!(world.logged("kong_admin_unreadable"));
    });
}

#[test]
fn a_token_counts_until_the_last_of_its_seconds() {
    each(json!({}), json!({}), |world| {
        // Rows live on after their end.
        let changes = json!({"created_at": world.now() - 7201});
        world.put(&token_url(SHOWN), &merged(row(world), changes));
        world.show(SHOWN).assert_status(401);
        assert!(world.logged("token_expired"));
        assert_eq!(admin_calls(world), 1);
        let changes = json!({"created_at": world.now() - 7200});
        world.put(&token_url(SHOWN), &merged(row(world), changes));
        assert_alex(world);
        // From the cache as well.
        world.pass_milliseconds(1);
        world.show(SHOWN).assert_status(401);
    });
    each(
        json!({}),
        json!({"cache_ttl": 100_000, "leeway": 60}),
        |world| {
            assert_alex(world);
            world.pass_seconds(7200);
            assert_alex(world);
            assert_eq!(admin_calls(world), 3);
            world.pass_milliseconds(1);
            world.show(SHOWN).assert_status(401);
            assert_eq!(
                admin_calls(world),
                4,
                "the row is asked for again, and nothing more"
            );
        },
    );
}

#[test]
fn a_token_without_an_end_is_kept_for_a_while() {
    each(json!({}), json!({"cache_ttl": 5}), |world| {
        let changes = json!({"expires_in": 0, "created_at": 1});
        world.put(&token_url(SHOWN), &merged(row(world), changes));
        assert_alex(world);
        world.pass_milliseconds(4999);
        assert_alex(world);
        assert_eq!(admin_calls(world), 3);
        world.pass_milliseconds(1);
        assert_alex(world);
        assert_eq!(admin_calls(world), 6);
    });
    // And one with an end no longer than is configured.
    each(json!({}), json!({"cache_ttl_max": 10}), |world| {
        assert_alex(world);
        world.pass_seconds(10);
        assert_alex(world);
        assert_eq!(admin_calls(world), 6);
    });
}

#[test]
fn a_token_of_the_future_is_none() {
    let now = World::new(Dialect::Envoy, 1).now();
    // As far as clocks may differ it is.
    each(json!({}), json!({}), |world| {
        let changes = json!({"created_at": now + 10});
        world.put(&token_url(SHOWN), &merged(row(world), changes));
        assert_alex(world);
    });
    for created_at in [now + 11, now * 1000, u64::MAX] {
        let changes = json!({"created_at": created_at});
        refused(json!({}), changes, 401, "token_from_the_future");
    }
    // The end of time is no end of ours.
    each(json!({}), json!({}), |world| {
        let changes = json!({"expires_in": u64::MAX});
        world.put(&token_url(SHOWN), &merged(row(world), changes));
        assert_alex(world);
    });
}

#[test]
fn a_row_that_says_it_otherwise_is_no_row() {
    for changes in [
        json!({"created_at": null}),
        json!({"created_at": "1"}),
        json!({"created_at": -1}),
        json!({"created_at": 1.5}),
        json!({"expires_in": null}),
        json!({"expires_in": -1}),
        json!({"expires_in": "0"}),
        json!({"access_token": null}),
        json!({"credential": null}),
        json!({"credential": CREDENTIAL}),
        json!({"service": SERVICE}),
        json!({"scope": ["read"]}),
    ] {
        refused(json!({}), changes, 500, "kong_admin_unreadable");
    }
}

// --- services

#[test]
fn a_token_counts_for_its_own_service_alone() {
    let bound = json!({"service": {"id": SERVICE}});
    each(
        json!({"service": SERVICE.to_uppercase()}),
        json!({}),
        |world| {
            world.put(&token_url(SHOWN), &merged(row(world), bound.clone()));
            assert_alex(world);
        },
    );
    refused(
        json!({"service": OTHER_SERVICE}),
        bound,
        401,
        "kong_token_service",
    );
}

#[test]
fn a_token_of_no_service_counts_where_that_is_on() {
    refused(
        json!({"global_credentials": false}),
        json!({}),
        401,
        "kong_token_global",
    );
    refused(
        json!({"global_credentials": null, "service": SERVICE}),
        json!({}),
        401,
        "kong_token_global",
    );
    each(json!({"service": SERVICE}), json!({}), assert_alex);
}

#[test]
fn kong_says_for_which_service_a_request_is() {
    let members = config(&["kong_oauth2"], json!({}), json!({}));
    let bound = |world: &World| {
        put_all(world);
        world.put(
            &token_url(SHOWN),
            &merged(row(world), json!({"service": {"id": SERVICE}})),
        );
    };
    let world = World::with_login(Dialect::Kong, members.clone());
    bound(&world);
    world.set_service(Some(SERVICE));
    assert_alex(&world);
    // What is known of a token for one service says nothing of another.
    world.set_service(Some(OTHER_SERVICE));
    world.show(SHOWN).assert_status(401);
    world.set_service(None);
    world.show(SHOWN).assert_status(401);
    assert!(world.logged("write `kong_admin.service`"));
    world.set_service(Some(SERVICE));
    assert_alex(&world);
    assert_eq!(world.calls_to(&consumer_url()), 1);
    // Envoy does not.
    let world = World::with_login(Dialect::Envoy, members);
    bound(&world);
    world.set_service(Some(SERVICE));
    world.show(SHOWN).assert_status(401);
    assert!(world.logged("write `kong_admin.service`"));
}
